//! Who may request. In a private network choking does not punish: it bounds how many are served at
//! once and rotates to those who got least (1.16 of the bound, where tit-for-tat took
//! 1.32 and no choking at all 1.46).

use std::time::Duration;

use common::id::ContentId;
use common::wire::Code;
use common::wire::peer::PeerMsg;

use super::body::Body;
use super::conn::Conn;
use super::event::{ConnId, Notice};
use super::link::Has;
use super::node::{Cx, Node};
use super::time::Time;
use super::uplink::MIN_SLOTS;

/// Who took nothing of what its writer has for so long,
const STUCK: Duration = Duration::from_secs(10);
/// or for as long as that takes at so many bytes per second, does not read. It gets no slot and says nothing
/// about our uplink, or a few dozen of its kind would keep everybody else waiting.
const STUCK_RATE: f64 = 16.0 * 1024.0;

/// A peer as the policy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) conn: ConnId,
    /// Bytes it got from us lately.
    pub(super) recent: u64,
    pub(super) unchoked: bool,
}

/// Chooses whom to serve: the least served, ties at random, one slot for anybody.
pub(super) fn choose(
    mut candidates: Vec<Candidate>,
    slots: usize,
    rng: &mut fastrand::Rng,
) -> Vec<ConnId> {
    if candidates.len() <= slots {
        return candidates.into_iter().map(|c| c.conn).collect();
    }
    rng.shuffle(&mut candidates);
    candidates.sort_by_key(|c| c.recent);
    let fair = slots.saturating_sub(1);
    let lucky = rng.usize(fair..candidates.len());
    candidates.swap(fair, lucky);
    candidates.into_iter().take(slots).map(|c| c.conn).collect()
}

/// Who is served, and who waits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UploadLine {
    /// Peers served at once, as the uplink allows.
    pub slots: usize,
    /// Peers that are.
    pub used: usize,
    /// Those who wait, the next one first.
    pub waiting: Vec<ConnId>,
}

impl Node {
    /// Who is served, and who waits.
    pub fn upload_line(&self, now: Time) -> UploadLine {
        let (served, mut waiting): (Vec<_>, Vec<_>) =
            self.candidates(now).into_iter().partition(|candidate| candidate.unchoked);
        waiting.sort_by_key(|candidate| (candidate.recent, candidate.conn));
        UploadLine {
            slots: self.slots(),
            used: served.len(),
            waiting: waiting.into_iter().map(|candidate| candidate.conn).collect(),
        }
    }

    /// Contents that the peer of a connection takes from us: rate in bytes per second, bytes sent, chunks it
    /// has.
    pub fn takes(&self, at: ConnId, now: Time) -> Vec<(ContentId, f64, u64, u32)> {
        let Some(conn) = self.conns.get(&at) else { return Vec::new() };
        let taken = conn.handles.values().filter_map(|id| {
            let content = self.contents.get(id)?;
            let link = content.links.get(&at)?;
            let wants = link.interesting || link.up.get(now) > 0.0;
            let have = match (&link.has, &content.body) {
                (Has::All, Some(body)) => body.layout.chunks(),
                (Has::Some(set), _) => set.count(),
                _ => 0,
            };
            wants.then(|| (*id, link.up.get(now), link.up.total, have))
        });
        let mut taken: Vec<_> = taken.collect();
        taken.sort_by_key(|(id, ..)| *id);
        taken
    }

    /// Peers that want something of ours.
    fn candidates(&self, now: Time) -> Vec<Candidate> {
        let interested = |conn: &&Conn| {
            conn.handles.values().any(|id| {
                let link = self.contents.get(id).and_then(|c| c.links.get(&conn.id));
                link.is_some_and(|link| link.interesting)
            })
        };
        self.conns
            .values()
            .filter(interested)
            .filter(|conn| !is_stuck(conn, now))
            .map(|c| Candidate { conn: c.id, recent: c.recent_up, unchoked: c.unchoked })
            .collect()
    }

    fn slots(&self) -> usize {
        let served = self.conns.values().flat_map(|conn| conn.pipe_of.values());
        let chunk = served
            .filter_map(|(id, _)| self.contents.get(id)?.body.as_ref())
            .map(Body::usual_len)
            .max();
        self.uplink.slots(chunk.unwrap_or(1), self.cfg.slots)
    }

    /// Gives free slots to whoever waits; takes none away.
    pub(super) fn fill_slots(&mut self, cx: &mut Cx<'_>) {
        let mut waiting = self.candidates(cx.now);
        let taken = waiting.iter().filter(|c| c.unchoked).count();
        waiting.retain(|c| !c.unchoked);
        let free = self.slots().saturating_sub(taken);
        if free > 0 {
            for conn in choose(waiting, free, &mut self.rng) {
                self.set_choke(cx, conn, false);
            }
        }
        // A content opened since on a connection that has a slot.
        let open: Vec<ConnId> = self.conns.values().filter(|c| c.unchoked).map(|c| c.id).collect();
        for conn in open {
            self.say_choke(cx, conn, false);
        }
    }

    /// Rotates slots.
    pub(super) fn rechoke(&mut self, cx: &mut Cx<'_>) {
        let waiting = |conn: &Conn| !conn.in_pipe.is_empty() && !is_stuck(conn, cx.now);
        let serving = self.conns.values().filter(|conn| waiting(conn)).count();
        self.uplink.measure(cx.now, serving >= MIN_SLOTS);
        let chosen = choose(self.candidates(cx.now), self.slots(), &mut self.rng);
        let all: Vec<(ConnId, bool)> = self.conns.values().map(|c| (c.id, c.unchoked)).collect();
        for (conn, unchoked) in all {
            let keep = chosen.contains(&conn);
            if unchoked && !keep {
                self.set_choke(cx, conn, true);
            } else if !unchoked && keep {
                self.set_choke(cx, conn, false);
            }
        }
    }

    fn set_choke(&mut self, cx: &mut Cx<'_>, at: ConnId, choke: bool) {
        if let Some(conn) = self.conns.get_mut(&at) {
            conn.unchoked = !choke;
        }
        self.say_choke(cx, at, choke);
    }

    /// Tells the peer, for every content where that is news.
    fn say_choke(&mut self, cx: &mut Cx<'_>, at: ConnId, choke: bool) {
        let Some(conn) = self.conns.get(&at) else { return };
        let peer = conn.peer;
        let handles: Vec<_> = conn.handles.iter().map(|(handle, id)| (*handle, *id)).collect();
        for (handle, id) in handles {
            let link = self.contents.get_mut(&id).and_then(|c| c.links.get_mut(&at));
            let Some(link) = link.filter(|link| link.choking != choke) else { continue };
            link.choking = choke;
            link.may_ask_since = cx.now;
            let interesting = link.interesting;
            cx.send(at, PeerMsg::Choke { handle, choke });
            if choke {
                self.drop_queued(cx, at, id, Code::Choked);
            } else if interesting {
                cx.notice(Notice::Unchoked { id, peer });
            }
        }
    }
}

/// Whether a peer leaves unread what it asked for.
fn is_stuck(conn: &Conn, now: Time) -> bool {
    let bytes: u64 = conn.in_pipe.values().map(|piped| piped.len).sum();
    let time = Duration::from_secs_f64(bytes as f64 / STUCK_RATE).max(STUCK);
    bytes > 0 && now.since(conn.pipe_moved) > time
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(n: u64, recent: u64) -> Candidate {
        Candidate { conn: ConnId(n), recent, unchoked: false }
    }

    #[test]
    fn the_least_served_come_first_and_one_slot_is_anybodys() {
        let mut rng = fastrand::Rng::with_seed(3);
        let all: Vec<_> = (0..20).map(|n| candidate(n, n * 100)).collect();
        let mut lucky = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let chosen = choose(all.clone(), 4, &mut rng);
            assert_eq!(chosen.len(), 4);
            assert_eq!(chosen[..3], [ConnId(0), ConnId(1), ConnId(2)]);
            lucky.insert(chosen[3]);
        }
        assert_eq!(lucky.len(), 17, "everybody else has a chance");
    }

    #[test]
    fn with_room_for_all_all_are_served() {
        let mut rng = fastrand::Rng::with_seed(3);
        let all: Vec<_> = (0..3).map(|n| candidate(n, n)).collect();
        assert_eq!(choose(all, 8, &mut rng).len(), 3);
    }
}
