//! The memory through which all payload passes: buffers of two sizes, reused, under one budget.
//!
//! No permit, no read: a connection that cannot get a buffer does not read from its socket, and TCP
//! holds the sender back. That is the whole of our back-pressure. Nobody waits for ever because of a
//! stranger: what is served has a part of the memory and no more, and who waits too long has those closed
//! that hold memory and stand still (see [`Holder`]).

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use common::limits::MAX_DATA_LEN;
use common::lock::Unpoisoned as _;
use common::numbers::saturate;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use super::holders::{Holder, Part};

use super::holders::Holders;
use super::syscalls::DIRECT_ALIGN;

/// Where the memory of a buffer begins: what a disk can be given as it is.
const PAGE: usize = DIRECT_ALIGN;
/// Unit of the budget: a page of memory, so that what counts is what is used.
const UNIT: usize = PAGE;
/// Frames on slow links, and the smallest chunk.
const SMALL: usize = 64 * 1024;
/// A full DATA frame.
const LARGE: usize = MAX_DATA_LEN;

/// The part of the memory (one in so many) that may wait to be sent: peers that ask and do not read must
/// not stop what we receive. Some thirty connections' frames, one being sent and one being read, of 72 MiB.
const SENDING_PART: usize = 5;
/// The part (one in so many) into which messages are read: members that send the beginnings of long ones must
/// not stop payload. Some 36 at once of 72 MiB; few contents have messages that need it.
const MESSAGES_PART: usize = 8;
/// Waits longer than this have those looked for that hold memory and stand still,
const PATIENCE: Duration = Duration::from_secs(1);
/// and again after this.
const AGAIN: Duration = Duration::from_millis(250);

/// Buffers under one budget. Clones share it.
#[derive(Clone)]
pub(crate) struct BufPool {
    inner: Arc<Inner>,
}

struct Inner {
    budget_units: u32,
    permits: Arc<Semaphore>,
    /// Of these, those that may be used for what is to be sent.
    sending: Arc<Semaphore>,
    /// Those that may be used for messages.
    messages: Arc<Semaphore>,
    holders: Holders,
    free: Mutex<Free>,
    /// Nanoseconds that users waited, summed.
    waited: AtomicU64,
}

/// Buffers waiting for their next use. Together with those in use, of whatever length, never more than the
/// budget.
#[derive(Default)]
struct Free {
    small: Vec<Memory>,
    large: Vec<Memory>,
    /// Bytes of all buffers that exist, in use or free.
    exist: usize,
}

/// Memory; what is reused begins with a page, so that it can go to the disk without a copy.
#[derive(Default)]
struct Memory {
    data: Box<[u8]>,
    start: usize,
    /// [`SMALL`] or [`LARGE`]; nothing if it is not reused.
    size: usize,
}

impl Memory {
    fn odd(size: usize) -> Self {
        Self { data: vec![0; size].into_boxed_slice(), start: 0, size: 0 }
    }

    fn aligned(size: usize) -> Self {
        let data = vec![0; size + PAGE - 1].into_boxed_slice();
        let start = data.as_ptr().align_offset(PAGE).min(PAGE - 1);
        Self { data, start, size }
    }
}

/// Memory of a [`BufPool`], of exactly the length asked for. Its first content is arbitrary (whatever
/// the last user left). Dropping it gives it back.
pub(crate) struct Buf {
    memory: Memory,
    len: usize,
    pool: Arc<Inner>,
    /// Held until the memory is back in the free list.
    permit: Option<OwnedSemaphorePermit>,
    /// The same of the part of the memory it is of.
    part: Option<OwnedSemaphorePermit>,
}

/// What memory that was given back still counts for: what was made of its content waits in its place.
#[derive(Debug)]
pub(crate) struct Held {
    _permit: Option<OwnedSemaphorePermit>,
    _part: Option<OwnedSemaphorePermit>,
}

impl Buf {
    /// Gives the memory back and goes on counting.
    pub(crate) fn give_back(mut self) -> Held {
        Held { _permit: self.permit.take(), _part: self.part.take() }
    }
}

impl BufPool {
    /// A pool of at most `budget_bytes` (at least one full frame).
    pub(crate) fn new(budget_bytes: usize) -> Self {
        let units = budget_bytes.max(LARGE) / UNIT;
        let budget_units = saturate::<u32>(units);
        let permits = Arc::new(Semaphore::new(budget_units as usize));
        // Two frames at least: one is read while the other is sent.
        let part = |of: usize| (units / of).max(2 * LARGE / UNIT).min(budget_units as usize);
        Self {
            inner: Arc::new(Inner {
                budget_units,
                permits,
                sending: Arc::new(Semaphore::new(part(SENDING_PART))),
                messages: Arc::new(Semaphore::new(part(MESSAGES_PART))),
                holders: Holders::new(),
                free: Mutex::default(),
                waited: AtomicU64::new(0),
            }),
        }
    }

    /// A buffer of `len` bytes (at most [`MAX_DATA_LEN`] in normal use; longer ones are allocated
    /// freshly and count as what they are). Waits, first come first served, while the budget is used up.
    pub(crate) async fn get(&self, len: usize) -> Buf {
        let permit = self.inner.acquire(&self.inner.permits, None, len).await;
        self.make(len, permit)
    }

    /// The same for what is to be sent: of the part of the memory that is for that.
    pub(crate) async fn get_to_send(&self, len: usize) -> Buf {
        self.get_of(Part::Sending, &self.inner.sending, len).await
    }

    /// The same for a message that is read: of the part of the memory that is for that.
    pub(crate) async fn get_for_message(&self, len: usize) -> Buf {
        self.get_of(Part::Messages, &self.inner.messages, len).await
    }

    async fn get_of(&self, part: Part, permits: &Arc<Semaphore>, len: usize) -> Buf {
        let permit = self.inner.acquire(permits, Some(part), len).await;
        let mut buf = self.get(len).await;
        buf.part = permit;
        buf
    }

    /// Somebody who holds memory of a part while a stranger decides for how long.
    pub(crate) fn holder(&self, part: Part) -> Holder {
        self.inner.holders.add(part)
    }

    /// Time that users waited because the budget was used up, summed over all of them.
    pub(crate) fn waited(&self) -> Duration {
        Duration::from_nanos(self.inner.waited.load(Ordering::Relaxed))
    }

    /// A buffer now, or none while the budget is used up.
    #[cfg(test)]
    pub(crate) fn get_now(&self, len: usize) -> Option<Buf> {
        let permits = self.inner.permits.clone();
        let permit = permits.try_acquire_many_owned(self.inner.units(len)).ok()?;
        Some(self.make(len, Some(permit)))
    }

    /// Bytes in use.
    pub(crate) fn in_use(&self) -> usize {
        let free = saturate::<u32>(self.inner.permits.available_permits());
        self.inner.budget_units.saturating_sub(free) as usize * UNIT
    }

    /// The budget in bytes.
    pub(crate) fn budget(&self) -> usize {
        self.inner.budget_units as usize * UNIT
    }

    /// Most buffers that can be in use at once.
    pub(super) fn max_bufs(&self) -> usize {
        self.inner.budget_units as usize
    }

    fn make(&self, len: usize, permit: Option<OwnedSemaphorePermit>) -> Buf {
        let size = size_for(len);
        let memory = self.inner.take(size);
        Buf { memory, len, pool: self.inner.clone(), permit, part: None }
    }
}

/// Bytes allocated for a buffer of `len`: one of the two sizes if that is nearly filled. Frames of odd
/// lengths get what they need and no more, or a peer that sends them could use up the budget with a
/// fraction of the payload.
fn size_for(len: usize) -> usize {
    let nearly = |size: usize| (size - size / 4..=size).contains(&len);
    if nearly(SMALL) {
        SMALL
    } else if nearly(LARGE) {
        LARGE
    } else {
        len
    }
}

impl Inner {
    fn units(&self, len: usize) -> u32 {
        let units = size_for(len).div_ceil(UNIT).max(1);
        saturate::<u32>(units).min(self.budget_units)
    }

    /// Waits for memory, first come first served; after a while at the cost of those that hold some and
    /// stand still. The semaphores are never closed; if they were, memory without a permit beats a crash.
    async fn acquire(
        &self,
        permits: &Arc<Semaphore>,
        part: Option<Part>,
        len: usize,
    ) -> Option<OwnedSemaphorePermit> {
        let units = self.units(len);
        if let Ok(permit) = permits.clone().try_acquire_many_owned(units) {
            return Some(permit);
        }
        let began = Instant::now();
        // One and the same wait: whoever asks anew stands behind all others.
        let mut acquire = std::pin::pin!(permits.clone().acquire_many_owned(units));
        let mut patience = PATIENCE;
        let permit = loop {
            match tokio::time::timeout(patience, &mut acquire).await {
                Ok(permit) => break permit.ok(),
                Err(_) => self.holders.blame(part, len),
            }
            patience = AGAIN;
        };
        let nanos = saturate::<u64>(began.elapsed().as_nanos());
        self.waited.fetch_add(nanos, Ordering::Relaxed);
        permit
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unpoisoned()
    }

    fn take(&self, size: usize) -> Memory {
        let budget = self.budget_units as usize * UNIT;
        let mut free = self.free();
        let found = match size {
            SMALL => free.small.pop(),
            LARGE => free.large.pop(),
            _ => None,
        };
        if let Some(memory) = found {
            return memory;
        }
        // Unused buffers of other sizes must make room, or what is kept would come on top of what is used.
        while free.exist + size > budget {
            let Some(other) = free.small.pop().or_else(|| free.large.pop()) else { break };
            free.exist -= other.size;
        }
        free.exist += size;
        drop(free);
        if matches!(size, SMALL | LARGE) { Memory::aligned(size) } else { Memory::odd(size) }
    }

    fn put(&self, memory: Memory) {
        let mut free = self.free();
        match memory.size {
            SMALL => free.small.push(memory),
            LARGE => free.large.push(memory),
            _ => free.exist = free.exist.saturating_sub(memory.data.len()),
        }
    }
}

impl Deref for Buf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let Memory { data, start, .. } = &self.memory;
        data.get(*start..start + self.len).unwrap_or_default()
    }
}

impl DerefMut for Buf {
    fn deref_mut(&mut self) -> &mut [u8] {
        let Memory { data, start, .. } = &mut self.memory;
        data.get_mut(*start..*start + self.len).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Buf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        self.pool.put(std::mem::take(&mut self.memory));
        // Only now may somebody else count on the memory.
        self.permit.take();
        self.part.take();
    }
}

impl fmt::Debug for Buf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buf({} bytes)", self.len)
    }
}

impl fmt::Debug for BufPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BufPool({} of {} bytes in use)", self.in_use(), self.budget())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_reused_and_exactly_as_long_as_asked_for() {
        let pool = BufPool::new(1 << 20);
        let mut buf = pool.get_now(200_000).unwrap();
        assert_eq!((buf.len(), pool.in_use()), (200_000, LARGE));
        buf.fill(7);
        drop(buf);
        assert_eq!(pool.in_use(), 0);
        let again = pool.get_now(LARGE).unwrap();
        assert_eq!((again.len(), again[0]), (LARGE, 7), "the same memory, not zeroed again");
        let odd = pool.get_now(70_001).unwrap();
        assert_eq!((odd.len(), pool.in_use()), (70_001, LARGE + 72 * 1024));
        for buf in [again, pool.get_now(SMALL).unwrap()] {
            assert!(buf.as_ptr().addr().is_multiple_of(DIRECT_ALIGN));
        }
    }

    #[test]
    fn the_budget_holds_whatever_the_mix_of_sizes() {
        let pool = BufPool::new(1 << 20);
        let large: Vec<_> = (0..4).map(|_| pool.get_now(LARGE).unwrap()).collect();
        assert!(pool.get_now(1).is_none(), "used up");
        drop(large);
        let small: Vec<_> = (0..16).map(|_| pool.get_now(SMALL).unwrap()).collect();
        assert!(pool.get_now(1).is_none());
        assert!(pool.inner.free().exist <= pool.budget(), "large ones made room");
        drop(small);
        // As long as a small one with its margin, and yet not one of them.
        let odd = SMALL + PAGE - 1;
        drop(pool.get_now(odd).unwrap());
        assert!(pool.inner.free().small.iter().all(|memory| memory.size == SMALL));
        // Nor does what is kept come on top of odd ones.
        let odd: Vec<_> = (0..10).map(|_| pool.get_now(100_000).unwrap()).collect();
        assert!(pool.inner.free().exist <= pool.budget(), "{}", pool.inner.free().exist);
        drop(odd);
        let free = pool.inner.free();
        let kept = free.small.len() * SMALL + free.large.len() * LARGE;
        assert_eq!(free.exist, kept, "what was given back or let go is counted no more");
    }

    #[tokio::test]
    async fn a_waiter_gets_what_another_gives_back() {
        let pool = BufPool::new(LARGE);
        let first = pool.get(LARGE).await;
        let other = pool.clone();
        let waiting = tokio::spawn(async move { other.get(LARGE).await.len() });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        assert_eq!(waiting.await.unwrap(), LARGE);
    }

    #[tokio::test]
    async fn s1_who_stands_still_with_memory_loses_it_to_those_who_wait() {
        let pool = BufPool::new(LARGE);
        let [moving, still] = [Part::Receiving; 2].map(|part| pool.holder(part));
        let held = pool.get(LARGE).await;
        let waits = still.waits(LARGE);
        let other = pool.clone();
        let waiting = tokio::spawn(async move { other.get(LARGE).await.len() });
        tokio::select! {
            () = still.blamed() => {}
            () = moving.blamed() => panic!("blamed for nothing"),
        }
        // What its connection does then.
        drop((waits, held));
        assert_eq!(waiting.await.unwrap(), LARGE);
    }

    #[tokio::test]
    async fn s1_what_waits_to_be_sent_leaves_room_for_what_arrives() {
        let pool = BufPool::new(6 * LARGE);
        let sending = [pool.get_to_send(LARGE).await, pool.get_to_send(LARGE).await];
        let other = pool.clone();
        let third = tokio::spawn(async move { other.get_to_send(LARGE).await.len() });
        let arriving = [pool.get(LARGE).await, pool.get(LARGE).await, pool.get(LARGE).await];
        tokio::task::yield_now().await;
        assert!(!third.is_finished());
        drop(sending);
        assert_eq!(third.await.unwrap(), LARGE);
        drop(arriving);
    }

    /// Memory of messages is held by senders of their beginnings, that of sending by those who do not read.
    #[tokio::test]
    async fn s2_messages_half_here_leave_room_for_payload_and_do_not_stand_for_ever() {
        let pool = BufPool::new(32 * LARGE);
        let (deaf, slow) = (pool.holder(Part::Sending), pool.holder(Part::Messages));
        let sending = pool.get_to_send(LARGE).await;
        let still = deaf.waits(LARGE);
        let mut half = Vec::new();
        for _ in 0..32 / MESSAGES_PART {
            half.push(pool.get_for_message(LARGE).await);
        }
        let waits = slow.waits(LARGE);
        let other = pool.clone();
        let next = tokio::spawn(async move { other.get_for_message(LARGE).await.len() });
        tokio::task::yield_now().await;
        let payload = pool.get_now((32 - 32 / MESSAGES_PART - 1) * LARGE);
        assert!(payload.is_some() && !next.is_finished());
        // Who stands still with some of it makes room for the next, and nobody else.
        tokio::select! {
            () = slow.blamed() => {}
            () = deaf.blamed() => panic!("it holds none of what is short"),
        }
        drop((waits, half.pop()));
        assert_eq!(next.await.unwrap(), LARGE);
        drop((still, sending));
    }
}
