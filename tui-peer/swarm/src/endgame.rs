//! Late chunks: a slow or dying source never holds up a download.

use common::id::ContentId;

use super::body::Body;
use super::conn::{Asked, Conn};
use super::content::Content;
use super::event::{ConnId, Route};
use super::link::Link;
use super::node::{Cx, Node};
use super::time::Time;

/// A second source is asked for a chunk if the first is expected to need this many times longer.
const STEAL_FACTOR: f64 = 2.0;
/// Seconds that a late chunk must be late by before another source is asked, while there are chunks
/// left that nobody was asked for: the swarm has better things to do than send a chunk twice.
const PATIENCE: f64 = 2.0;
/// The same at the end, when nothing else is left to ask for.
const PATIENCE_AT_END: f64 = 0.2;
/// The same in rounds of the source: its turns come no more often.
const ROUNDS: f64 = 1.5;
/// For a source that needs so many times less than what is left to wait, rounds do not count at the end:
/// sending one chunk twice costs next to nothing then.
const CHEAP: f64 = 20.0;
/// Seconds by which a source may always be slower than all others with what is left.
const SOON: f64 = 0.5;
/// Patience is not doubled more often: 0.2 s become more than any deadline.
const MOST_DOUBLINGS: u8 = 12;

impl Node {
    /// Near the end a slow source would only make the last chunk late: the others will be done sooner
    /// with all that is left.
    pub(super) fn is_too_slow_for_rest(&self, cx: &Cx<'_>, at: ConnId, id: ContentId) -> bool {
        let (Some(content), Some(conn)) = (self.contents.get(&id), self.conns.get(&at)) else {
            return false;
        };
        let Some(body) = content.body.as_ref() else { return false };
        let usual = body.usual_len();
        let left = body.picker.pickable() as u64 * usual;
        if left > self.cfg.max_depth {
            return false;
        }
        let own = conn.speed(cx.now, usual);
        let mine = (conn.outstanding + usual) as f64 / own;
        if own < 1.0 || mine <= SOON {
            return false;
        }
        let pending = body.flights.len() as u64 * usual;
        let waited = cx.now.since(body.asked_at).as_secs_f64();
        let (mut speed, mut soonest) = (0.0, f64::INFINITY);
        // A chunk comes from one source: however many there are, none is done before the soonest. Were
        // that left out, many that are equally slow would leave the last chunk to each other for ever.
        let patience = |speed: f64, soonest: f64| {
            ((left + pending) as f64 / speed).max(soonest) * STEAL_FACTOR + SOON
        };
        for other in self.others_for_rest(cx.now, at, content, body) {
            let its = other.speed(cx.now, usual);
            if its >= 1.0 {
                speed += its;
                soonest = soonest.min((other.outstanding + usual) as f64 / its);
                // With more of them the rest takes no longer: a crowd is not looked at to its end.
                if waited <= SOON && speed > own * 0.01 && mine > patience(speed, soonest) {
                    return true;
                }
            }
        }
        if speed <= own * 0.01 {
            return false;
        }
        let patience = patience(speed, soonest);
        // Time enough for the others to be done with all of it, and nobody was asked for any: they cannot.
        mine > patience && waited <= patience
    }

    /// The other sources that could be asked for what is left of a content; none through the tracker, which leave it to
    /// the others themselves.
    pub(super) fn others_for_rest<'a>(
        &'a self,
        now: Time,
        at: ConnId,
        content: &'a Content,
        body: &'a Body,
    ) -> impl Iterator<Item = &'a Conn> {
        let open = move |link: &Link| link.is_open() && link.dry != Some(body.offers);
        let links = content.links.iter().filter(move |(other, link)| **other != at && open(link));
        links.filter_map(|(other, _)| self.conns.get(other)).filter(move |conn| {
            conn.snubbed_until.is_none()
                && conn.route == Route::Direct
                && conn.rests_until <= now
                && conn.busy.is_none_or(|(until, _)| until <= now)
        })
    }

    /// With nothing left to ask for: a chunk that another source will be late with.
    pub(super) fn steal(&self, cx: &Cx<'_>, at: ConnId, id: ContentId) -> Option<u32> {
        let content = self.contents.get(&id)?;
        let (link, body) = (content.links.get(&at)?, content.body.as_ref()?);
        let conn = self.conns.get(&at)?;
        let end = body.picker.pickable() == 0;
        // Only what would be idle otherwise takes over what others have begun.
        if conn.pending() > 0 {
            return None;
        }
        let (factor, patience) =
            if end { (STEAL_FACTOR, PATIENCE_AT_END) } else { (STEAL_FACTOR * 2.0, PATIENCE) };
        let now = cx.now;
        let usual = body.usual_len();
        let own = conn.speed(now, usual).max(64.0 * 1024.0);
        let mine = (conn.outstanding + usual) as f64 / own;
        let ours = self.limit_delay();
        let late = |chunk: u32| -> Option<f64> {
            let flight = body.flights.get(&chunk)?;
            if flight.verifying.is_some() || flight.asked.iter().any(|(holder, _)| *holder == at) {
                return None;
            }
            let etas = flight.asked.iter().filter_map(|(holder, rid)| {
                let conn = self.conns.get(holder)?;
                let asked = conn.requests.get(rid)?;
                // Its turns come no more often, but what it has begun it sends.
                let still = conn.stands_still(now, ours, asked);
                let round = if end && still { 0.0 } else { conn.round(usual) };
                Some((conn.eta(now, ours, asked, usual)?, round))
            });
            let (eta, round) = etas.min_by(|a, b| a.0.total_cmp(&b.0))?;
            let cheap = end && eta > mine * CHEAP;
            let patience = if cheap { patience } else { patience.max(round * ROUNDS) };
            // Every move doubles the patience: were all sources slower than it, a chunk that is
            // always taken away before it comes would never come.
            let patience = patience * f64::from(1u32 << flight.moves.min(MOST_DOUBLINGS));
            (eta > mine * factor + patience).then_some(eta)
        };
        // Nearly always nothing is late, and that is seen at the sources, without a look at each chunk.
        let candidates = self.conns.values().flat_map(|conn| {
            conn.chunks_later_than(mine * factor + patience, now, ours, id, usual)
        });
        candidates
            .filter(|chunk| link.has.contains(*chunk))
            .filter_map(|chunk| Some((late(chunk)?, chunk)))
            .max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
            .map(|(_, chunk)| chunk)
    }

    /// Whether a source has sent some of what this request is about.
    pub(super) fn has_begun(&self, at: ConnId, rid: u32) -> bool {
        let request = self.conns.get(&at).and_then(|conn| conn.requests.get(&rid));
        request.is_some_and(Asked::has_begun)
    }
}
