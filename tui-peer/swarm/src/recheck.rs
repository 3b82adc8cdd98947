//! A peer says that a chunk we sent is wrong. What we serve was right when it came or was hashed, but
//! disks err: the chunk is read again, and not offered any more if the peer is right.

use std::time::Duration;

use common::id::Hash;

use super::event::{ConnId, Output};
use super::node::{Cx, Node};

/// Complaints followed up at most this often, over all peers: reading again costs the disk's time.
const EVERY: Duration = Duration::from_secs(1);

impl Node {
    pub(super) fn on_corrupt(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        handle: u16,
        chunk: u32,
        bad: Hash,
    ) {
        let Some(id) = self.by_handle(at, handle) else { return };
        let Some(body) = self.contents.get(&id).and_then(|content| content.body.as_ref()) else {
            return;
        };
        // Who got the right hash has nothing to complain about.
        let expected = body.hash(chunk).filter(|expected| *expected != bad && body.offers(chunk));
        if let Some(expected) = expected
            && self.timers.may_check(cx.now, EVERY)
        {
            cx.out.push(Output::Recheck { id, chunk, expected });
        }
    }
}
