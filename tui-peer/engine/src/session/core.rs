//! The swarm core as the session has it: its clock, and what it said that has not been carried out yet.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use common::id::{ContentId, PeerId};
use common::net::OnLink;
use common::numbers::saturate;
use swarm::Node;
use swarm::event::{Input, Output};
use swarm::time::Time;
use swarm::view::Touched;

/// See the module.
pub(super) struct Core {
    node: Node,
    me: PeerId,
    began: Instant,
    /// What it said and has not been carried out yet.
    said: VecDeque<Output>,
    /// What it said is being carried out, which may tell it something new.
    executing: bool,
}

impl Core {
    pub(super) fn new(node: Node, me: PeerId) -> Self {
        Self { node, me, began: Instant::now(), said: VecDeque::new(), executing: false }
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    /// Which chunks of a content have changed since that was asked last.
    pub(super) fn touched(&mut self, id: &ContentId) -> Touched {
        self.node.touched(id)
    }

    /// Notes from now on which chunks of a content change.
    pub(super) fn watch_chunks(&mut self, id: &ContentId) {
        self.node.watch_chunks(id);
    }

    pub(super) fn unwatch(&mut self, id: &ContentId) {
        self.node.unwatch(id);
    }

    /// Networks that we are in: dials there are not limited.
    pub(super) fn set_links(&mut self, near: &OnLink) {
        self.node.set_links(near);
    }

    pub(super) fn me(&self) -> PeerId {
        self.me
    }

    /// How long the program has run.
    pub(super) fn uptime(&self) -> Duration {
        self.began.elapsed()
    }

    /// Its clock.
    pub(super) fn now(&self) -> Time {
        let micros = self.uptime().as_micros();
        Time::from_micros(saturate::<u64>(micros))
    }

    /// When it wants to be told the time.
    pub(super) fn due(&self) -> Option<Instant> {
        let deadline = self.node.next_deadline()?;
        Some(self.began + Duration::from_micros(deadline.as_micros()))
    }

    pub(super) fn is_due(&self) -> bool {
        self.node.next_deadline().is_some_and(|deadline| deadline <= self.now())
    }

    /// Tells it what happened. Whether the caller is to carry out what it says: not if that is being done already.
    pub(super) fn tell(&mut self, input: Input) -> bool {
        let now = self.now();
        let mut out = Vec::new();
        self.node.handle(now, input, &mut out);
        self.said.extend(out);
        !std::mem::replace(&mut self.executing, true)
    }

    /// What is to be carried out next. All is done when there is nothing.
    pub(super) fn next(&mut self) -> Option<Output> {
        let next = self.said.pop_front();
        self.executing = next.is_some();
        next
    }
}
