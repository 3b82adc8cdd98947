//! Asks who shares what, while the filter of the network's files wants that to be known.

use std::sync::Arc;
use std::time::Instant;

use crate::model::{Model, Owned, Tab};
use crate::msg::Effect;
use crate::panes::files::update::lists;
use engine::api::command::{CommandError, CommandErrorKind};
use engine::api::snapshot::NetState;
use frontend::members::Owners;

/// After every message.
pub(crate) fn settle(model: &mut Model, out: &mut Vec<Effect>) {
    let words = words(model);
    let other = model.owned.words != words;
    if other && model.owned.owners.take().is_some() {
        // What is known of others says nothing of these.
        lists::renew_network(model, out);
    }
    if words.is_empty() {
        if other {
            model.owned = Owned::default();
        }
        return;
    }
    let now = model.now.mono;
    let early = model.owned.ask_at(&words).is_some_and(|at| now < at);
    if early || model.owned.asking && !other || !is_wanted(model) {
        return;
    }
    out.push(Effect::Owners(model.list_of(Tab::Network).filter.clone()));
    let owners = model.owned.owners.take();
    model.owned = Owned { words, owners, error: None, asking: true, asked: Some(now) };
}

/// The answer to what was asked for these names.
pub(crate) fn told(
    model: &mut Model,
    words: &[String],
    result: Result<Owners, CommandError>,
    out: &mut Vec<Effect>,
) {
    if model.owned.words != words {
        return;
    }
    model.owned.asking = false;
    match result {
        Ok(owners) => {
            model.owned.error = None;
            if model.owned.owners.as_deref() != Some(&owners) {
                model.owned.owners = Some(Arc::new(owners));
                lists::renew_network(model, out);
            }
        }
        Err(error) => {
            model.owned.error = Some(common::names::show(&error.message));
            // Those are gone; of anything else it is only not known whether they are.
            if error.kind == CommandErrorKind::NotFound && model.owned.owners.take().is_some() {
                lists::renew_network(model, out);
            }
        }
    }
}

/// When it is to be asked for next.
pub(crate) fn deadline(model: &Model) -> Option<Instant> {
    let words = words(model);
    let waits = model.owned.asking && model.owned.words == words;
    let wanted = !words.is_empty() && !waits && is_wanted(model);
    model.owned.ask_at(&words).filter(|_| wanted)
}

/// The names by which the filter asks for members.
fn words(model: &Model) -> Vec<String> {
    let filter = &model.list_of(Tab::Network).filter;
    filter.peers().map(|name| name.typed.to_owned()).collect()
}

fn is_wanted(model: &Model) -> bool {
    model.tab == Tab::Network && model.snap.network.state == NetState::On
}
