//! Asks who is in the network while the list of peers is open, and shows what one of them shares.

use std::time::Instant;

use crate::model::{Ask, Model, Tab};
use crate::msg::Effect;
use crate::panes::files::update::{filtering, lists};
use crate::update::focus;
use engine::api::command::CommandError;
use engine::api::snapshot::{MemberRow, NetState, Page};

/// After every message, before rows are looked at: the list may have been opened.
pub(crate) fn open(model: &mut Model) {
    let open = model.tab == Tab::Peers;
    if open != std::mem::replace(&mut model.crowd.open, open) && open {
        lists::renew_peers(model);
    }
}

/// After every message.
pub(crate) fn settle(model: &mut Model, out: &mut Vec<Effect>) {
    if !is_wanted(model) {
        return;
    }
    let word = model.list_of(Tab::Peers).filter.needed_peer().map(str::to_owned);
    if let Some(Ask { number, query, cursor }) = model.crowd.next(model.now.mono, word.as_deref()) {
        out.push(Effect::Members { number, query, cursor });
    }
}

/// A page of who is there, or why there is none.
pub(crate) fn told(model: &mut Model, number: u64, result: Result<Page<MemberRow>, CommandError>) {
    if model.crowd.told(number, model.now.mono, result) && model.crowd.open {
        lists::renew_peers(model);
    }
}

/// When a page is to be asked for next.
pub(crate) fn deadline(model: &Model) -> Option<Instant> {
    model.crowd.deadline().filter(|_| is_wanted(model))
}

fn is_wanted(model: &Model) -> bool {
    model.crowd.open && model.snap.network.state == NetState::On
}

/// Shows what the member under the cursor shares.
pub(crate) fn browse(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(peer) = model.peer_row(model.list().cursor).map(|row| row.peer) else { return };
    focus::open_tab(model, Tab::Network);
    // The whole key: another one may begin in the same way, and anybody may have any name.
    model.list_mut(Tab::Network).field.set(&format!("peer:{peer}"));
    filtering::changed(model, out);
}
