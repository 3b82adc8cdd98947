//! What the halves of a connection and the session share about it: the bytes that wait to be sent, the
//! messages the session has not seen yet, and the word to end.
//!
//! A question of a few bytes is answered with tens of kilobytes. So what waits for a peer is counted in
//! bytes, for each and for all together. From a peer that does not read its answers no more questions are
//! read; one that goes on not reading is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::limits::{MAX_PEER_FRAME, MAX_PROOF};
use common::wire::peer::PeerMsg;
use tokio::sync::Notify;

/// Bytes that may wait at one connection before no more questions are read from it: twice what all the
/// hash requests of an honest peer come to.
const MAX_WAITING: usize = 2 * 1024 * 1024;
/// Bytes that may wait at all connections together before those with more than their share are not read.
const MAX_WAITING_IN_ALL: usize = 16 * 1024 * 1024;
/// What a connection may always have waiting: an answer or two.
const SHARE: usize = 64 * 1024;
/// Bytes of messages that the session has not seen, after which a connection is not read.
const MAX_UNSEEN: usize = 64 * 1024;
/// A peer that leaves its answers unread for so long is closed.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pause before another look at what waits elsewhere.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// What a message costs beside what it carries: so many that the count of the queue and its bytes run out
/// together.
const MESSAGE: usize = 1024;
/// Length of a hash.
const HASH: usize = 32;

/// Counts for one connection.
#[derive(Debug)]
pub(super) struct Flow {
    waiting: AtomicUsize,
    unseen: AtomicUsize,
    /// Bytes waiting at all connections.
    all: Arc<AtomicUsize>,
    moved: Notify,
    ending: Notify,
}

/// Bytes that count as long as this lives.
#[derive(Debug)]
pub(in crate::engine) struct Charge {
    flow: Arc<Flow>,
    waiting: usize,
    unseen: usize,
}

impl Flow {
    pub(super) fn new(all: Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self {
            waiting: AtomicUsize::new(0),
            unseen: AtomicUsize::new(0),
            all,
            moved: Notify::new(),
            ending: Notify::new(),
        })
    }

    /// Counts a message that is to be sent.
    pub(super) fn to_send(self: &Arc<Self>, msg: &PeerMsg) -> Charge {
        self.charge(MESSAGE + carried(msg), 0)
    }

    /// Counts a message that was received, and the answer it will have, once there is room for them. Nothing
    /// if the peer leaves unread what it asked for.
    pub(super) async fn received(self: &Arc<Self>, msg: &PeerMsg) -> Option<Charge> {
        let answer = answer(msg);
        let mut end = Instant::now() + PATIENCE;
        loop {
            let moved = self.moved.notified();
            if self.has_room(answer > 0) {
                return Some(self.charge(answer, MESSAGE + carried(msg)));
            }
            if self.waiting.load(Ordering::Relaxed) < SHARE {
                // The session is behind, or others are: not the fault of this one.
                end = Instant::now() + PATIENCE;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let _ = tokio::time::timeout(left.min(LOOK_AGAIN), moved).await;
        }
    }

    /// The connection is to end.
    pub(super) fn end(&self) {
        self.ending.notify_one();
    }

    /// Waits until it is to end.
    pub(super) async fn ended(&self) {
        self.ending.notified().await;
    }

    /// What is no question is read whatever waits: two peers that ask each other must not stop each other.
    fn has_room(&self, question: bool) -> bool {
        let waiting = self.waiting.load(Ordering::Relaxed);
        let modest = waiting < SHARE || self.all.load(Ordering::Relaxed) < MAX_WAITING_IN_ALL;
        let seen = self.unseen.load(Ordering::Relaxed) < MAX_UNSEEN;
        seen && (!question || (waiting < MAX_WAITING && modest))
    }

    fn charge(self: &Arc<Self>, waiting: usize, unseen: usize) -> Charge {
        self.waiting.fetch_add(waiting, Ordering::Relaxed);
        self.all.fetch_add(waiting, Ordering::Relaxed);
        self.unseen.fetch_add(unseen, Ordering::Relaxed);
        Charge { flow: self.clone(), waiting, unseen }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.flow.waiting.fetch_sub(self.waiting, Ordering::Relaxed);
        self.flow.all.fetch_sub(self.waiting, Ordering::Relaxed);
        self.flow.unseen.fetch_sub(self.unseen, Ordering::Relaxed);
        self.flow.moved.notify_one();
    }
}

/// Bytes that a message holds beside itself.
fn carried(msg: &PeerMsg) -> usize {
    match msg {
        PeerMsg::Bitfield { set, .. } => set.len(),
        PeerMsg::Hashes { hashes, proof, .. } => (hashes.len() + proof.len()) * HASH,
        PeerMsg::Have { runs, .. } | PeerMsg::DontHave { runs, .. } => size_of_val(runs.as_slice()),
        PeerMsg::ReqAny { except, .. } => size_of_val(except.as_slice()),
        _ => 0,
    }
}

/// What the answer to a message may come to in memory, at most; nothing if it has none.
fn answer(msg: &PeerMsg) -> usize {
    match msg {
        PeerMsg::HashReq { count, .. } => MESSAGE + (usize::from(*count) + MAX_PROOF) * HASH,
        // The bitfield.
        PeerMsg::Open(_) => MESSAGE + MAX_PEER_FRAME,
        PeerMsg::ReqAny { count, .. } => MESSAGE * usize::from(*count),
        PeerMsg::Request { .. }
        | PeerMsg::MetaReq { .. }
        | PeerMsg::Cancel { .. }
        | PeerMsg::Recall { .. }
        | PeerMsg::Ping(_) => MESSAGE,
        _ => 0,
    }
}
