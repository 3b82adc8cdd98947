//! What sessions are told unasked. A change of the catalogue is the same for all who have read as far: it is made once,
//! and encoded once.

use std::collections::BTreeMap;
use std::sync::Arc;

use common::wire::tracker::Reply;

/// Changes of the catalogue that are kept for those who have yet to hear them, of some 100 KB each: readers that began
/// together are seldom further apart.
const MAX_DELTAS: usize = 32;

/// Something to be told.
#[derive(Debug)]
pub enum Push {
    /// To this session.
    One(Reply),
    /// To many.
    All(Arc<Shared>),
}

/// A message for many.
#[derive(Debug)]
pub struct Shared {
    kind: u8,
    body: Vec<u8>,
}

/// Changes of the catalogue by the place in the log from which on they are told. What is known here is no newer than
/// the log. Who understands numbers without their rows is told other bytes than who does not.
#[derive(Debug, Default)]
pub(super) struct Deltas {
    from: BTreeMap<(u64, bool), (Arc<Shared>, u64)>,
}

impl Push {
    /// The message itself.
    pub fn into_reply(self) -> Option<Reply> {
        match self {
            Self::One(reply) => Some(reply),
            Self::All(shared) => Reply::decode(shared.kind, &shared.body).ok().flatten(),
        }
    }
}

impl Shared {
    pub(super) fn new(reply: &Reply) -> Self {
        Self { kind: reply.kind(), body: reply.body() }
    }

    /// Its type on the wire.
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// Its body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl Deltas {
    /// What is told from a place on, and the place behind it.
    pub(super) fn get(&self, from: (u64, bool)) -> Option<(Arc<Shared>, u64)> {
        self.from.get(&from).cloned()
    }

    pub(super) fn keep(&mut self, from: (u64, bool), delta: &Arc<Shared>, next: u64) {
        if self.from.len() >= MAX_DELTAS {
            self.from.pop_first();
        }
        self.from.insert(from, (Arc::clone(delta), next));
    }

    /// The log has grown.
    pub(super) fn clear(&mut self) {
        self.from.clear();
    }
}
