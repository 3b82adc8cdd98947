//! Requests of a peer about how it and others reach each other.

use std::net::SocketAddr;
use std::time::Duration;

use common::id::{ContentId, PeerId};
use common::wire::tracker::Reply;

use super::Session;
use super::probe::Probing;
use super::rate::Work;
use crate::index::named_outside;

impl<'a> Session<'a> {
    /// Has a source dial this peer, and both call each other where that may help too.
    pub(super) fn dial_me(&self, id: ContentId, source: PeerId) {
        let now = self.shared.clock.now_ms();
        let targets = self.shared.with_index(|index| {
            let called = index.ask_to_punch(now, self.id, id, source);
            [called, index.ask_to_dial(now, self.id, id, source)]
        });
        if let Some(target) = targets.into_iter().flatten().next() {
            self.shared.wake(&[target]);
        }
    }

    /// Looks whether others reach this peer, which listens on `port`, after some time.
    pub(super) fn look_for(&self, port: u16, after: Duration) -> Probing<'a> {
        let place = (self.place.observed.ip(), self.outside, port);
        Probing::begin(self.shared, self.entrance, self.peer, place, after)
    }

    /// It was there at a port, or not; `None` if that could not be found out.
    pub(super) fn was_looked_for(&self, looked: Option<(u16, bool)>) {
        let Some((port, reachable)) = looked else { return };
        let touched = self.shared.with_index(|index| index.was_reached(self.id, port, reachable));
        self.charge(Work::Touched, touched);
        self.outbox.push(&Reply::Reach { reachable, port: Some(port) });
    }

    /// This peer has other addresses in its own network, or another outside.
    pub(super) fn has_moved(&mut self, local: Vec<SocketAddr>) {
        self.outside = named_outside(&local, self.place.observed.ip());
        let touched = self.shared.with_index(|index| index.has_moved(self.id, local));
        self.charge(Work::Touched, touched);
    }

    /// Has this peer and a source meet at the relay; `None` if that may not be.
    pub(super) fn relay(&self, id: ContentId, source: PeerId) -> Option<()> {
        let relay = self.shared.relay.as_ref()?;
        if !self.shared.with_index(|index| index.may_relay(self.id, id, source)) {
            return None;
        }
        let group = self.entrance.links.now().group(self.place.observed.ip());
        let [ours, theirs] = relay.offer(self.peer, group, source)?;
        let now = self.shared.clock.now_ms();
        let asked =
            self.shared.with_index(|index| index.ask_to_relay(now, self.id, id, (source, theirs)));
        let Some((target, nick)) = asked else {
            relay.withdraw(&ours);
            return None;
        };
        self.outbox.push(&Reply::Relay { id, peer: (source, nick), token: ours, dials: true });
        self.shared.wake(&[target]);
        Some(())
    }
}
