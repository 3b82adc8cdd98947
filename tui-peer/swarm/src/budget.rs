//! How much is asked of whom at once: a source's rate times the delay, within a byte budget that all
//! contents share.

use common::numbers::saturate;

use super::body::Body;
use super::content::Content;
use super::event::ConnId;
use super::node::Node;
use super::time::Time;

/// The part of the budget (one in so many) kept for contents that use less than their share.
const KEPT: u64 = 4;
/// Bytes that a slow source still has to send at least when it is asked for its next chunk: at the rate of
/// one whose chunks of 4 MiB take four seconds, a round trip of 60 ms.
const SLOW_AHEAD: u64 = 64 << 10;

impl Node {
    /// A content's part of `whole`, by its weight among all that are wanted.
    fn part_of(&self, whole: u64, content: &Content) -> u64 {
        if !self.shaping.is_mixed() {
            return whole / (self.live.len() as u64).max(1);
        }
        let live = self.live.iter().filter_map(|id| self.contents.get(id));
        let sum: u64 = live.map(|content| u64::from(content.policy.weight)).sum();
        let own = u64::from(content.policy.weight);
        u64::try_from(u128::from(whole) * u128::from(own) / u128::from(sum.max(own))).unwrap_or(0)
    }

    /// Whether the byte budget lets a content ask for more. The last part of it is kept for contents
    /// that use less than their share, so that one fast download never keeps out the others.
    pub(super) fn may_reserve(&self, content: &Content, bytes: u64) -> bool {
        let share = self.part_of(self.cfg.budget, content);
        let modest = content.outstanding == 0 || content.outstanding + bytes <= share;
        let kept = if modest { 0 } else { self.cfg.budget / KEPT };
        // A chunk larger than the budget must be possible: then it is the only one.
        self.outstanding + bytes <= self.cfg.budget - kept || self.outstanding == 0
    }

    /// Bytes a content may ask for beyond what it has asked, by the same rule.
    pub(super) fn budget_for(&self, content: &Content) -> u64 {
        let share = self.part_of(self.cfg.budget, content);
        let own = share.saturating_sub(content.outstanding);
        let common = (self.cfg.budget - self.cfg.budget / KEPT).saturating_sub(self.outstanding);
        own.max(common).min(self.cfg.budget.saturating_sub(self.outstanding))
    }

    /// Outstanding bytes that keep a source busy: its rate times the delay, and at the start, when the
    /// rate is not known, its part of a window shared by all sources of the content. Without sharing,
    /// many sources of a small content would soon have been asked for all of it, and what is asked
    /// early is asked of the wrong peer (64 peers, 128 MiB: 1.67 of the bound, shared 1.3).
    pub(super) fn depth(&self, now: Time, at: ConnId, content: &Content) -> u64 {
        let Some(conn) = self.conns.get(&at) else { return 0 };
        let time = (conn.rtt() * 2 + self.cfg.depth_time).as_secs_f64();
        // TCP sends twice as much in each round trip until it is as fast as it can be: that must be asked for.
        let growing = conn.per_round.get(now, conn.rtt()) * 2;
        let bytes = ((conn.down.get(now) * time) as u64).max(growing);
        let usual = content.body.as_ref().map_or(0, Body::usual_len);
        if conn.is_slow(now, usual) {
            // The chunk it is at, and when that is nearly here, the next: all share one byte budget, and one
            // that trickles must not hold more of it than need be.
            return usual + bytes.clamp(SLOW_AHEAD.min(usual), usual);
        }
        // Who has sent no whole chunk yet may be one of those.
        let chunks = if conn.pace.0 > 0.0 { 2 * usual } else { usual };
        let most = if conn.streams > 1 { self.cfg.wide_depth } else { self.cfg.max_depth };
        let bytes = bytes.min(most).max(chunks);
        if bytes >= self.cfg.min_depth {
            return bytes;
        }
        // Of more sources the part is no more than that: this is asked at every turn, and a crowd is large.
        let enough = self.cfg.start_depth / bytes.max(1) + 1;
        let open = content.links.values().filter(|link| link.is_open());
        let sources = open.take(saturate::<usize>(enough)).count() as u64;
        bytes.max((self.cfg.start_depth / sources.max(1)).min(self.cfg.min_depth))
    }
}
