//! Requests of a peer about how it and others reach each other.

use std::net::SocketAddr;

use common::id::{ContentId, PeerId};
use common::wire::tracker::Reply;

use super::Session;
use super::rate::Work;

impl Session<'_> {
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

    /// This peer has other addresses in its own network.
    pub(super) fn has_moved(&self, local: Vec<SocketAddr>) {
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
