//! Over which of its TCP connections each request of a connection goes. What is asked over one is answered over the
//! same, so that all that is said of a request comes in order; between requests there is no order to keep.

use std::collections::BTreeMap;
use std::time::Instant;

use common::wire::peer::PeerMsg;

use crate::conn::ConnHandle;
use swarm::event::ConnId;

/// Where something goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) enum Over {
    /// The connection itself.
    Main,
    /// An extra one.
    Extra(ConnId),
    /// An extra one that is no more: nobody waits for it.
    Gone,
}

/// An extra connection.
#[derive(Debug)]
struct Stream {
    handle: ConnHandle,
    /// Requests under way over it.
    live: usize,
    /// When something last came of these, or the first of them went out.
    moved: Instant,
    /// It is to end when nothing is under way any more.
    draining: bool,
}

/// A request that goes over an extra connection.
#[derive(Debug, Clone, Copy)]
struct Route {
    extra: ConnId,
    /// Which chunk is for the source to choose, and it has not yet.
    any: bool,
}

/// The extra connections of a connection, and what goes over them. Only the side that dialled asks over them: at its
/// end the requests are its own, at the other they are the peer's.
#[derive(Debug, Default)]
pub(in crate::session) struct Routes {
    streams: BTreeMap<ConnId, Stream>,
    /// By request number. As many as may be asked for; the core holds the peer to that.
    of: BTreeMap<u32, Route>,
}

impl Routes {
    pub(in crate::session) fn add(&mut self, extra: ConnId, handle: ConnHandle, now: Instant) {
        self.streams.insert(extra, Stream { handle, live: 0, moved: now, draining: false });
    }

    /// Whether everything goes over the connection itself.
    pub(in crate::session) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.of.is_empty()
    }

    /// How many there are.
    pub(in crate::session) fn count(&self) -> usize {
        self.streams.len()
    }

    pub(in crate::session) fn has(&self, extra: ConnId) -> bool {
        self.streams.contains_key(&extra)
    }

    pub(in crate::session) fn ids(&self) -> Vec<ConnId> {
        self.streams.keys().copied().collect()
    }

    pub(in crate::session) fn handle(&self, extra: ConnId) -> Option<&ConnHandle> {
        self.streams.get(&extra).map(|stream| &stream.handle)
    }

    /// Takes one out, with the numbers of the requests that go over it. These lead nowhere from now on, until they end.
    pub(in crate::session) fn remove(&mut self, extra: ConnId) -> Option<(ConnHandle, Vec<u32>)> {
        let stream = self.streams.remove(&extra)?;
        let lost = self.of.iter().filter(|(_, route)| route.extra == extra);
        let lost = lost.map(|(rid, _)| *rid).collect();
        Some((stream.handle, lost))
    }

    /// Where a request goes.
    pub(in crate::session) fn over(&self, rid: u32) -> Over {
        match self.of.get(&rid) {
            None => Over::Main,
            Some(route) if self.has(route.extra) => Over::Extra(route.extra),
            Some(_) => Over::Gone,
        }
    }

    /// A request goes over an extra connection.
    pub(in crate::session) fn note(&mut self, rid: u32, extra: ConnId, any: bool, now: Instant) {
        let Some(stream) = self.streams.get_mut(&extra) else { return };
        if stream.live == 0 {
            stream.moved = now;
        }
        stream.live += 1;
        if let Some(old) = self.of.insert(rid, Route { extra, any }) {
            self.count_out(old);
        }
    }

    /// The source has chosen the chunk of a request.
    pub(in crate::session) fn assigned(&mut self, rid: u32) {
        if let Some(route) = self.of.get_mut(&rid) {
            route.any = false;
        }
    }

    /// Whether a request that goes over an extra connection is for a chunk that is known.
    pub(in crate::session) fn is_of_a_chunk(&self, rid: u32) -> bool {
        self.of.get(&rid).is_some_and(|route| !route.any)
    }

    /// Nothing more is said of a request.
    pub(in crate::session) fn ended(&mut self, rid: u32) {
        if let Some(route) = self.of.remove(&rid) {
            self.count_out(route);
        }
    }

    fn count_out(&mut self, route: Route) {
        if let Some(stream) = self.streams.get_mut(&route.extra) {
            stream.live = stream.live.saturating_sub(1);
        }
    }

    /// Payload came over an extra connection.
    pub(in crate::session) fn moved(&mut self, extra: ConnId, now: Instant) {
        if let Some(stream) = self.streams.get_mut(&extra) {
            stream.moved = now;
        }
    }

    /// Extra connections over which something was asked, and nothing has come since `before`.
    pub(in crate::session) fn stalled(&self, before: Instant) -> Vec<ConnId> {
        let stalled = |stream: &Stream| stream.live > 0 && stream.moved < before;
        self.streams.iter().filter(|(_, stream)| stalled(stream)).map(|(id, _)| *id).collect()
    }

    /// Nothing more is asked over any of them.
    pub(in crate::session) fn drain(&mut self) {
        self.streams.values_mut().for_each(|stream| stream.draining = true);
    }

    /// Those that were to end when nothing is under way any more, and nothing is.
    pub(in crate::session) fn drained(&self) -> Vec<ConnId> {
        let over = |stream: &Stream| stream.draining && stream.live == 0;
        self.streams.iter().filter(|(_, stream)| over(stream)).map(|(id, _)| *id).collect()
    }

    /// Those over which nothing was under way since `before`.
    pub(in crate::session) fn idle(&self, before: Instant) -> Vec<ConnId> {
        let idle = |stream: &Stream| stream.live == 0 && stream.moved < before;
        self.streams.iter().filter(|(_, stream)| idle(stream)).map(|(id, _)| *id).collect()
    }

    /// When something last came over any of them.
    pub(in crate::session) fn last_moved(&self) -> Option<Instant> {
        self.streams.values().map(|stream| stream.moved).max()
    }

    /// Requests under way over extra connections.
    pub(in crate::session) fn live(&self) -> usize {
        self.streams.values().map(|stream| stream.live).sum()
    }

    /// Divides what is asked among the connection and its extra ones: each request goes where the fewest are under
    /// way, of `pending` in all, so that each carries as many as it is fast. Numbers that one message asks for together
    /// are not kept together.
    pub(in crate::session) fn spread(
        &mut self,
        msg: PeerMsg,
        pending: usize,
        now: Instant,
    ) -> Vec<(Over, PeerMsg)> {
        match msg {
            PeerMsg::Request { rid, .. } => {
                let over = self.least(pending);
                self.note_over(rid, over, false, now);
                vec![(over, msg)]
            }
            PeerMsg::ReqAny { handle, rid: first, count, except } => {
                let mut parts: Vec<(Over, u32, u8)> = Vec::new();
                for rid in (0..u32::from(count)).map(|n| first.wrapping_add(n)) {
                    let over = self.least(pending);
                    self.note_over(rid, over, true, now);
                    match parts.last_mut() {
                        Some((last, _, count)) if *last == over => *count += 1,
                        _ => parts.push((over, rid, 1)),
                    }
                }
                let part = |(over, rid, count)| {
                    let except = except.clone();
                    (over, PeerMsg::ReqAny { handle, rid, count, except })
                };
                parts.into_iter().map(part).collect()
            }
            msg => vec![(Over::Main, msg)],
        }
    }

    fn note_over(&mut self, rid: u32, over: Over, any: bool, now: Instant) {
        if let Over::Extra(extra) = over {
            self.note(rid, extra, any, now);
        }
    }

    /// Where the fewest requests are under way.
    fn least(&self, pending: usize) -> Over {
        let main = pending.saturating_sub(self.live());
        let open = self.streams.iter().filter(|(_, stream)| !stream.draining);
        let least = open.min_by_key(|(_, stream)| stream.live);
        match least {
            Some((id, stream)) if stream.live < main => Over::Extra(*id),
            _ => Over::Main,
        }
    }
}
