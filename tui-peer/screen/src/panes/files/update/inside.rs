//! Asks the tracker for folders that fit the filter by the files inside.

use std::time::Instant;

use crate::model::{Model, Tab};
use crate::msg::Effect;
use crate::panes::files::update::lists;
use engine::api::snapshot::{Found, NetState};
use frontend::inside::Question;

/// After every message.
pub(crate) fn settle(model: &mut Model, out: &mut Vec<Effect>) {
    if !is_wanted(model) {
        return;
    }
    if let Some((number, query)) = model.inside.next(model.now.mono) {
        out.push(Effect::Find { number, query });
    }
}

/// The filter of the network's files is another: before the list is made anew.
pub(crate) fn filtered(model: &mut Model) {
    let question = Question::of(&model.list_of(Tab::Network).filter);
    model.inside.want(question, model.now.mono);
}

/// The answer, or none: of a tracker that does not look inside folders, or has no time. All else goes on.
pub(crate) fn told(model: &mut Model, number: u64, answer: Option<Found>, out: &mut Vec<Effect>) {
    if model.inside.told(number, answer, model.now.mono) {
        lists::renew_network(model, out);
    }
}

/// When the tracker is to be asked next.
pub(crate) fn deadline(model: &Model) -> Option<Instant> {
    model.inside.deadline().filter(|_| is_wanted(model))
}

fn is_wanted(model: &Model) -> bool {
    model.tab == Tab::Network && model.snap.network.state == NetState::On
}
