//! Asks who shares what, while the filter of the network's files wants that to be known.

use std::sync::Arc;
use std::time::Instant;

use crate::engine::command::CommandError;
use crate::engine::snapshot::NetState;
use crate::members::Owners;

use super::super::model::{Model, Owned, Tab};
use super::super::msg::Effect;
use super::{lists, show};

/// After every message.
pub(super) fn settle(model: &mut Model, out: &mut Vec<Effect>) {
    let words = words(model);
    if words.is_empty() {
        if !model.owned.words.is_empty() {
            model.owned = Owned { asking: model.owned.asking, ..Owned::default() };
        }
        return;
    }
    let now = model.now.mono;
    let early = model.owned.ask_at(&words).is_some_and(|at| now < at);
    if early || model.owned.asking || !is_wanted(model) {
        return;
    }
    out.push(Effect::Owners(model.list_of(Tab::Network).filter.clone()));
    let owned = &mut model.owned;
    (owned.words, owned.asking, owned.asked) = (words, true, Some(now));
}

/// The answer to what was asked for these names.
pub(super) fn told(
    model: &mut Model,
    words: &[String],
    result: Result<Owners, CommandError>,
    out: &mut Vec<Effect>,
) {
    model.owned.asking = false;
    if model.owned.words != words {
        return;
    }
    let (owners, error) = match result {
        Ok(owners) => (owners, None),
        Err(error) => (Owners::default(), Some(show(&error.message))),
    };
    let same = *model.owned.owners == owners;
    (model.owned.owners, model.owned.error) = (Arc::new(owners), error);
    if !same {
        lists::renew_network(model, out);
    }
}

/// When it is to be asked for next.
pub(super) fn deadline(model: &Model) -> Option<Instant> {
    let words = words(model);
    let wanted = !words.is_empty() && !model.owned.asking && is_wanted(model);
    model.owned.ask_at(&words).filter(|_| wanted)
}

/// The names by which the filter asks for members.
fn words(model: &Model) -> Vec<String> {
    let filter = &model.list_of(Tab::Network).filter;
    filter.peers().map(|(_, typed)| typed.to_owned()).collect()
}

fn is_wanted(model: &Model) -> bool {
    model.tab == Tab::Network && model.snap.network.state == NetState::On
}
