//! What a connection has of extra ones.

use std::time::Instant;

use common::wire::Code;
use common::wire::peer::PeerMsg;

use super::routes::{Over, Routes};
use super::trial::Trial;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::session) struct ConnExtras {
    pub(super) routes: Routes,
    /// What names the connection at the other end, if that takes extra ones.
    pub(super) number: Option<u64>,
    pub(super) trial: Option<Trial>,
    /// Dials under way.
    pub(super) dialling: usize,
    /// Since when something was asked over the main connection and nothing comes.
    pub(super) main_waits: Option<Instant>,
}

impl ConnExtras {
    /// Ends all of them.
    pub(in crate::session) fn close(&mut self, code: Code, text: &str) {
        for extra in self.routes.ids() {
            if let Some((handle, _)) = self.routes.remove(extra) {
                handle.close(code, text.to_owned());
            }
        }
    }

    /// Where an answer to the peer goes, or a command about one, on a connection that the peer made (`came`) or not.
    pub(super) fn over_for_peer(&self, came: bool, rid: u32) -> Over {
        if came { self.routes.over(rid) } else { Over::Main }
    }

    /// Where each part of a message goes. `pending`: requests of ours that are under way.
    pub(super) fn route(
        &mut self,
        came: bool,
        msg: PeerMsg,
        pending: usize,
        now: Instant,
    ) -> Vec<(Over, PeerMsg)> {
        let routes = &mut self.routes;
        let over = match (&msg, came) {
            (PeerMsg::Request { .. } | PeerMsg::ReqAny { .. }, false) if routes.count() > 0 => {
                return routes.spread(msg, pending, now);
            }
            (PeerMsg::Cancel { rid } | PeerMsg::Recall { rid }, false)
            | (PeerMsg::Assign { rid, .. }, true) => routes.over(*rid),
            (PeerMsg::Reject { rid, .. }, true) => {
                let over = routes.over(*rid);
                routes.ended(*rid);
                over
            }
            _ => Over::Main,
        };
        vec![(over, msg)]
    }
}
