//! Sources that break off what they began. What arrived of such a chunk has to be fetched again, so a peer
//! that does it over and over could fill the whole line with beginnings. It may do so as often as it likes;
//! what it wastes stays a small share of what the others bring meanwhile.

use std::time::Duration;

use common::id::PeerId;

use super::conn::Asked;
use super::event::ConnId;
use super::node::{Cx, Node};

/// Whoever wasted bytes is asked again when the others have brought so many times more: a line whose
/// sources are honest but for one loses a tenth at most. Alone it is asked at once; nobody is held up.
const TIMES: f64 = 10.0;
/// Longest rest: a link that breaks in the middle of a large chunk is no crime.
const LONGEST: Duration = Duration::from_secs(30);
/// Peers whose rest is remembered beyond their connection.
pub(super) const MAX_RESTING: usize = 4096;

impl Node {
    /// A request of ours ended at the source's word, or with its connection, when some of it had arrived.
    pub(super) fn note_waste(&mut self, cx: &Cx<'_>, at: ConnId, peer: PeerId, wasted: u64) {
        if wasted == 0 {
            return;
        }
        let others = self.conns.values().filter(|conn| conn.id != at);
        let rate: f64 = others.map(|conn| conn.down.get(cx.now)).sum();
        if rate < 1.0 {
            return;
        }
        let rest = Duration::try_from_secs_f64(wasted as f64 * TIMES / rate).unwrap_or(LONGEST);
        let until = cx.now + rest.min(LONGEST);
        let until = self.conduct.resting.get(&peer).map_or(until, |known| until.max(known));
        self.conduct.resting.remember(peer, until);
        if let Some(conn) = self.conns.get_mut(&at) {
            conn.rests_until = until;
        }
    }

    /// Bytes of requests that a connection leaves half answered.
    pub(super) fn half_answered<'a>(requests: impl Iterator<Item = &'a Asked>) -> u64 {
        let got = requests.map(|asked| match asked {
            Asked::Chunk { got, .. } => u64::from(*got),
            _ => 0,
        });
        got.sum()
    }
}
