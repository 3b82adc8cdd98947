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

use crate::disk::Held;

/// Bytes that may wait at one connection before no more questions are read from it: twice what all the
/// hash requests of an honest peer come to.
const MAX_WAITING: usize = 2 * 1024 * 1024;
/// Bytes that may wait at all connections together before those with more than their share are not read: a
/// sixteenth of what answers may come to in a second, longer than it takes to hand them to the system.
const MAX_WAITING_IN_ALL: usize = 4 * 1024 * 1024;
/// What a connection may have waiting and still be read, whatever waits elsewhere: with the answer that is let
/// in last, 8 MB of 200 connections.
const SHARE: usize = 8 * 1024;
/// Bytes that may wait at all connections together before those that leave more than [`MAX_UNASKED`] unread
/// are closed when they are to be told something more: news of chunks go to everybody, asked or not.
const MAX_UNASKED_IN_ALL: usize = 8 * 1024 * 1024;
/// The set of a content of a million chunks, or 160 short messages: news of three seconds, which a peer that
/// reads has in a tenth of one.
const MAX_UNASKED: usize = 160 * 1024;
/// Bytes of messages that the session has not seen, after which a connection is not read,
const MAX_UNSEEN: usize = 64 * 1024;
/// and of all connections together, after which each has one message there at a time.
const MAX_UNSEEN_IN_ALL: usize = 2 * 1024 * 1024;
/// A peer that leaves its answers unread for so long is closed.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pause before another look at what waits elsewhere.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// What a message costs beside what it carries: so many that the count of the queue and its bytes run out
/// together.
const MESSAGE: usize = 1024;
/// Length of a hash.
const HASH: usize = 32;

/// Bytes of messages.
#[derive(Debug, Default)]
pub(crate) struct Queued {
    /// Made, and to be sent.
    waiting: AtomicUsize,
    /// Answers that are not made yet.
    promised: AtomicUsize,
    /// Received, and not seen by the session.
    unseen: AtomicUsize,
}

/// Counts for one connection.
#[derive(Debug)]
pub(super) struct Flow {
    own: Queued,
    /// Of all connections.
    all: Arc<Queued>,
    moved: Notify,
    ending: Notify,
}

/// Bytes that count as long as this lives.
#[derive(Debug)]
pub(crate) struct Charge {
    flow: Arc<Flow>,
    waiting: usize,
    promised: usize,
    unseen: usize,
    held: Option<Held>,
}

impl Charge {
    /// The answer is about to be made, and counts itself from then on.
    pub(crate) fn answer(&mut self) {
        let due = std::mem::take(&mut self.promised);
        self.flow.own.take(0, due, 0);
        self.flow.all.take(0, due, 0);
    }

    /// With memory of the pool that counts for as long.
    pub(super) fn with(mut self, held: Option<Held>) -> Self {
        self.held = held;
        self
    }
}

impl Queued {
    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn unseen(&self) -> usize {
        self.unseen.load(Ordering::Relaxed)
    }

    /// What waits, and what will when questions that were read are answered.
    fn due(&self) -> usize {
        self.waiting().saturating_add(self.promised.load(Ordering::Relaxed))
    }

    fn add(&self, waiting: usize, promised: usize, unseen: usize) {
        self.waiting.fetch_add(waiting, Ordering::Relaxed);
        self.promised.fetch_add(promised, Ordering::Relaxed);
        self.unseen.fetch_add(unseen, Ordering::Relaxed);
    }

    fn take(&self, waiting: usize, promised: usize, unseen: usize) {
        self.waiting.fetch_sub(waiting, Ordering::Relaxed);
        self.promised.fetch_sub(promised, Ordering::Relaxed);
        self.unseen.fetch_sub(unseen, Ordering::Relaxed);
    }
}

impl Flow {
    pub(super) fn new(all: Arc<Queued>) -> Arc<Self> {
        let (moved, ending) = (Notify::new(), Notify::new());
        Arc::new(Self { own: Queued::default(), all, moved, ending })
    }

    /// Counts a message that is to be sent. Nothing if the peer leaves so much unread that it is not worth
    /// the memory; answers that we have not made are not left unread.
    pub(super) fn to_send(self: &Arc<Self>, msg: &PeerMsg) -> Option<Charge> {
        let waiting = self.own.waiting();
        let modest = waiting < MAX_UNASKED || self.all.waiting() < MAX_UNASKED_IN_ALL;
        (modest && waiting < 2 * MAX_WAITING).then(|| self.charge(MESSAGE + carried(msg), 0, 0))
    }

    /// Counts a message that was received, and the answer it will have, once there is room for them. Nothing
    /// if the peer leaves unread what it asked for.
    pub(super) async fn received(self: &Arc<Self>, msg: &PeerMsg) -> Option<Charge> {
        let answer = answer(msg);
        let (mut end, mut least) = (Instant::now() + PATIENCE, usize::MAX);
        loop {
            let moved = self.moved.notified();
            if self.has_room(answer > 0) {
                return Some(self.charge(0, answer, MESSAGE + carried(msg)));
            }
            let waiting = self.own.waiting();
            if waiting < SHARE || waiting < least {
                // The session is behind, or others are, or it reads slowly: not the fault of this one.
                least = waiting;
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
        let (due, unseen) = (self.own.due(), self.own.unseen());
        let modest = due < SHARE || self.all.due() < MAX_WAITING_IN_ALL;
        let seen = unseen == 0 || (unseen < MAX_UNSEEN && self.all.unseen() < MAX_UNSEEN_IN_ALL);
        seen && (!question || (due < MAX_WAITING && modest))
    }

    fn charge(self: &Arc<Self>, waiting: usize, promised: usize, unseen: usize) -> Charge {
        self.own.add(waiting, promised, unseen);
        self.all.add(waiting, promised, unseen);
        Charge { flow: self.clone(), waiting, promised, unseen, held: None }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.flow.own.take(self.waiting, self.promised, self.unseen);
        self.flow.all.take(self.waiting, self.promised, self.unseen);
        self.held = None;
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

#[cfg(test)]
mod tests {
    use common::id::{ContentId, Hash};
    use common::wire::peer::{HaveState, Open, Run};

    use super::*;

    fn question() -> PeerMsg {
        PeerMsg::HashReq { handle: 0, rid: 0, file: 0, level: 2, index: 0, count: 1024 }
    }

    fn news() -> PeerMsg {
        PeerMsg::Have { handle: 0, runs: vec![Run { start: 0, len: 1 }] }
    }

    /// Reads questions of a peer that reads no answers until no more are read.
    async fn ask(flow: &Arc<Flow>) -> Vec<Charge> {
        let mut charges = Vec::new();
        while flow.has_room(true) {
            charges.push(answer_to(flow, question()).await);
        }
        charges
    }

    /// The session sees a question, and the answer waits.
    async fn answer_to(flow: &Arc<Flow>, question: PeerMsg) -> Charge {
        let mut place = flow.received(&question).await.unwrap();
        place.answer();
        let hashes = vec![Hash::from_bytes([0; 32]); 1024];
        let answer = PeerMsg::Hashes { rid: 0, hashes, proof: Vec::new() };
        let place = flow.to_send(&answer).expect("who may ask is answered");
        assert!(flow.to_send(&news()).is_some(), "and told more");
        place
    }

    #[tokio::test]
    async fn s2_200_that_ask_and_do_not_read_hold_13_mb_and_stop_nobody() {
        let all = Arc::new(Queued::default());
        let mut deaf = Vec::new();
        for _ in 0..200 {
            let flow = Flow::new(all.clone());
            deaf.push((ask(&flow).await, flow));
        }
        assert!(all.waiting() < 13_000_000, "{}", all.waiting());
        assert!(deaf.iter().all(|(answers, _)| !answers.is_empty()), "each has one at least");
        // One that reads has its answers, one after the other.
        let honest = Flow::new(all.clone());
        for _ in 0..1000 {
            assert!(honest.has_room(true));
            drop(answer_to(&honest, question()).await);
        }
        // So has one that comes now and opens a content.
        let id = ContentId::from_bytes([0; 32]);
        let open = Open { handle: 0, id, state: HaveState::None, want: true };
        drop(answer_to(&honest, PeerMsg::Open(open)).await);
        drop(deaf);
        assert_eq!((all.due(), all.unseen()), (0, 0));
    }

    #[tokio::test]
    async fn s2_questions_that_we_have_not_answered_are_not_left_unread() {
        // After a restart everybody opens contents, and the session is behind.
        let all = Arc::new(Queued::default());
        let flows: Vec<_> = (0..200).map(|_| Flow::new(all.clone())).collect();
        let mut unseen = Vec::new();
        for flow in &flows {
            while unseen.len() < 400 && flow.has_room(true) {
                let id = ContentId::from_bytes([0; 32]);
                let open = Open { handle: 0, id, state: HaveState::None, want: true };
                unseen.push(flow.received(&PeerMsg::Open(open)).await.unwrap());
            }
        }
        assert!(all.due() > MAX_UNASKED_IN_ALL, "{}", all.due());
        assert!(flows.iter().all(|flow| flow.to_send(&news()).is_some()));
        drop(unseen);
        assert_eq!((all.due(), all.unseen()), (0, 0));
    }

    #[tokio::test]
    async fn s2_news_wait_for_those_who_read() {
        let all = Arc::new(Queued::default());
        let flows: Vec<_> = (0..200).map(|_| Flow::new(all.clone())).collect();
        let honest = Flow::new(all.clone());
        let mut waiting: Vec<Vec<Charge>> = flows.iter().map(|_| Vec::new()).collect();
        let mut closed = 0;
        for _ in 0..4000 {
            for (flow, waiting) in flows.iter().zip(&mut waiting) {
                match flow.to_send(&news()) {
                    Some(place) => waiting.push(place),
                    None => {
                        closed += 1;
                        waiting.clear();
                    }
                }
            }
            let told = honest.to_send(&news());
            assert!(told.is_some(), "whoever reads is told everything");
            let most = MAX_UNASKED_IN_ALL + 200 * (MAX_UNASKED + 2 * MESSAGE);
            assert!(all.waiting() <= most, "{}", all.waiting());
        }
        assert!(closed > 0);
        // Alone, one may be far behind.
        drop(waiting);
        let alone: Vec<_> = (0..2000).map_while(|_| flows[0].to_send(&news())).collect();
        assert_eq!(alone.len(), 2000);
    }

    #[tokio::test]
    async fn s2_what_the_session_has_not_seen_is_bounded_and_everybody_is_heard() {
        let all = Arc::new(Queued::default());
        let mut places = Vec::new();
        let mut flows = Vec::new();
        for _ in 0..200 {
            let flow = Flow::new(all.clone());
            while flow.has_room(false) {
                let long = PeerMsg::Have { handle: 0, runs: vec![Run { start: 0, len: 1 }; 1024] };
                places.push(flow.received(&long).await.unwrap());
            }
            flows.push(flow);
        }
        assert!(all.unseen() < 7_000_000, "{}", all.unseen());
        let late = Flow::new(all.clone());
        let first = late.received(&news()).await.unwrap();
        // The next of it is read when this one has been seen, whatever else waits.
        let mut next = std::pin::pin!(async { late.received(&news()).await.unwrap() });
        let early = tokio::time::timeout(Duration::from_millis(20), &mut next).await;
        assert!(early.is_err());
        drop(first);
        next.await;
        drop((places, flows));
    }
}
