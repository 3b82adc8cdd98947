//! What all connections of one tracker share, and the two ways to touch the index.

use std::num::NonZero;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError};
use std::time::Duration;

use common::channel::Channel;
use common::content::Descriptor;
use common::descriptors;
use common::id::PeerId;
use common::identity::Identity;
use common::inside::InsideError;
use common::join::Secret;
use common::lock::Unpoisoned as _;
use common::membership::{LIFETIME_SECS, Membership};
use common::revoked::Revoked;
use tokio::sync::{Notify, Semaphore};

use crate::clock::Clock;
use crate::config::{Admission, Config};
use crate::controls::{Closing, Control, Controls};
use crate::index::{Find, Found, Index, Page, Refusal, Search, SessionId, Told, WORK_SLICE};
use crate::intervals::{MIN_HAVE_INTERVAL_MS, spread_ms};
use crate::metrics::Metrics;
use crate::record::Saved;
use crate::relay::Relay;
use crate::session::{Rates, RatesByPeer};
use crate::store::{Commit, StoreError, Writer};

/// Pause of all searches, and of what is done in steps, when somebody waits for the index. A mutex of the standard library is not fair: a task
/// that takes it again at once keeps a sleeper out, which needs some 50 us to wake up.
const GIVE_WAY: Duration = Duration::from_millis(1);

/// Long searches at a time: what one has gathered of the rows may take 512 KiB, at two million of them.
const SEARCHES: usize = 64;

/// Lists of files that are checked or wait for that: of more the senders are asked to come again. With one core that is
/// half a second.
const READINGS: usize = 32;

/// When to come again then, in milliseconds.
const READ_RETRY_MS: u32 = 1000;

/// Peers that are dialled at a time to see whether they can be reached: one that cannot takes 5 s.
const PROBES: usize = 64;

/// Handshakes whose first answer is computed at a time, for each core: one that computes, and some that are next,
/// since a turn goes to a task that has to be woken first, and has others before it.
const TURNS_OF_CORE: usize = 8;

/// The state of one tracker.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) secret: Option<Secret>,
    pub(crate) channel: Channel,
    pub(crate) clock: Clock,
    /// Says that this is another run: soft state is gone.
    pub(crate) epoch: u64,
    pub(crate) metrics: Metrics,
    /// Milliseconds between two CHUNK_REGISTER; stretched when many are connected.
    pub(crate) have_interval_ms: AtomicU32,
    /// Milliseconds over which returning peers should spread; follows their number.
    pub(crate) spread_ms: AtomicU32,
    /// How often the wall clock has left the monotonic one: whoever was welcomed before has to be welcomed
    /// again.
    pub(crate) jumps: AtomicU64,
    /// The signed list of keys that were revoked, if there is something to be told of that; each counted on.
    revoked: Mutex<(u64, Option<Arc<[u8]>>)>,
    revoked_version: AtomicU64,
    /// When the ticker last came round, by [`Self::clock`], in milliseconds.
    tick_ms: AtomicU64,
    /// A session changed the index.
    pub(crate) stirred: Notify,
    serial: AtomicU64,
    writer: Writer,
    index: Mutex<Index>,
    /// Threads that wait for the index.
    waiting: AtomicUsize,
    /// The right to look at one slice of a search, or to do one step of what takes long: however many search, and
    /// come and go, they keep one core busy at most, and take turns.
    turns: Semaphore,
    /// Places for searches that are not through at once.
    searches: Semaphore,
    /// Places for lists of files that are told, and the right to check one: however many tell names, that keeps one core
    /// busy at most.
    readings: Semaphore,
    reading: Arc<Semaphore>,
    /// If it relays.
    pub(crate) relay: Option<Relay>,
    /// Where it is by its signed word, if somebody said.
    pub(crate) hosts: OnceLock<Vec<u8>>,
    /// The right to compute the first answer of a handshake: whoever waits for it keeps nobody's handshake from its end.
    pub(crate) handshakes: Semaphore,
    /// Places for looking whether a peer can be reached.
    pub(crate) probes: Semaphore,
    /// There is something to be done in steps.
    busy: Notify,
    controls: Controls,
    rates: Mutex<RatesByPeer>,
}

/// Random numbers that strangers need not guess, once per start.
pub(crate) struct Seeds {
    pub(crate) epoch: u64,
    pub(crate) serial: u64,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        identity: Identity,
        secret: Option<Secret>,
        channel: Channel,
        seeds: &Seeds,
        (index, writer, clock): (Index, Writer, Clock),
    ) -> Self {
        let tick_ms = AtomicU64::new(clock.now_ms());
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let relay = config.relay.map(|limits| Relay::new(limits, descriptors::limit()));
        Self {
            config,
            identity,
            secret,
            channel,
            clock,
            epoch: seeds.epoch,
            metrics: Metrics::new(),
            have_interval_ms: AtomicU32::new(MIN_HAVE_INTERVAL_MS),
            spread_ms: AtomicU32::new(spread_ms(0)),
            jumps: AtomicU64::new(0),
            revoked: Mutex::default(),
            revoked_version: AtomicU64::new(0),
            tick_ms,
            stirred: Notify::new(),
            serial: AtomicU64::new(seeds.serial),
            writer,
            index: Mutex::new(index),
            waiting: AtomicUsize::new(0),
            turns: Semaphore::new(1),
            searches: Semaphore::new(SEARCHES),
            readings: Semaphore::new(READINGS),
            reading: Arc::new(Semaphore::new(1)),
            relay,
            hosts: OnceLock::new(),
            handshakes: Semaphore::new(TURNS_OF_CORE * cores),
            probes: Semaphore::new(PROBES),
            busy: Notify::new(),
            controls: Controls::default(),
            rates: Mutex::new(RatesByPeer::new()),
        }
    }

    /// Looks at the index, or changes what need not be stored.
    pub(crate) fn with_index<T>(&self, work: impl FnOnce(&mut Index) -> T) -> T {
        let mut index = self.lock_index();
        let value = work(&mut index);
        self.note_work(&index);
        value
    }

    /// Waits until there is something to be done in steps.
    pub(crate) async fn until_busy(&self) {
        self.busy.notified().await;
    }

    /// Does one step of what takes long; false when there is no more. What others ask of the index comes first.
    pub(crate) async fn work_some(&self) -> Result<bool, StoreError> {
        // Before the turn: who waits for the disk keeps nobody from searching.
        let permit = self.writer.reserve().await?;
        let Ok(_turn) = self.turns.acquire().await else { return Ok(false) };
        let now = self.clock.now_ms();
        let done = {
            let mut index = self.lock_index();
            let done = index.work(now, WORK_SLICE);
            permit.send(index.take_changes());
            done
        };
        self.wake(&done.readers);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(GIVE_WAY).await;
        } else {
            tokio::task::yield_now().await;
        }
        Ok(done.more)
    }

    /// Has the entries of a session's peer gone through to the end.
    pub(crate) async fn settle(&self, session: SessionId) -> Result<(), StoreError> {
        while self.with_index(|index| index.is_settling(session)) {
            self.work_some().await?;
        }
        Ok(())
    }

    /// Whether the tracker knows what a session's peer shares, once its digest is compared.
    pub(crate) async fn share_ok(&self, session: SessionId) -> Result<bool, StoreError> {
        loop {
            let known = self.with_index(|index| match index.share_ok(session) {
                None if index.is_settling(session) => None,
                known => Some(known.unwrap_or(false)),
            });
            match known {
                Some(share_ok) => return Ok(share_ok),
                None => drop(self.work_some().await?),
            }
        }
    }

    /// Carries a search through, slice by slice, until `stop` says that nobody wants the answer any more. What
    /// others ask of the index comes first.
    pub(crate) async fn search(
        &self,
        search: &mut Search,
        stop: impl Fn() -> bool,
    ) -> Option<Page> {
        let short = search.is_short();
        let _place = if short { None } else { self.searches.acquire().await.ok() };
        self.in_slices(short, stop, |index| index.advance(search)).await
    }

    /// Carries through a search for folders by the files inside, until `stop` says that nobody wants the answer any more.
    /// What others ask of the index comes first, and paths are looked at without it.
    pub(crate) async fn find(&self, find: &mut Find, stop: impl Fn() -> bool) -> Option<Found> {
        let _place = self.searches.acquire().await.ok();
        loop {
            // The semaphore is fair and never closed.
            let turn = self.turns.acquire().await;
            if stop() {
                return None;
            }
            if let Some(found) = self.with_index(|index| index.advance_find(find)) {
                return Some(found);
            }
            find.look();
            if self.waiting.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(GIVE_WAY).await;
            }
            drop(turn);
            tokio::task::yield_now().await;
        }
    }

    /// Checks the list of files that a peer tells of a folder.
    ///
    /// # Errors
    /// [`Refusal`] if it is not that of the folder, or too many wait for this.
    pub(crate) async fn read_names(
        &self,
        manifest: Vec<u8>,
        descriptor: Descriptor,
    ) -> Result<Told, Refusal> {
        let Ok(_place) = self.readings.try_acquire() else {
            return Err(Refusal::later("too many tell names at once", READ_RETRY_MS));
        };
        let told = self.beside(move || Told::read(&manifest, &descriptor)).await;
        told.unwrap_or(Err(InsideError::Damaged)).map_err(Refusal::from)
    }

    /// Reads the names that were stored, one folder after the other, so that folders are found by them.
    pub(crate) async fn read_stored_names(&self) {
        while let Some((id, packed)) = self.with_index(|index| index.unread_names()) {
            let told = self.beside(move || Told::kept(packed)).await.and_then(Result::ok);
            self.with_index(|index| index.names_read(&id, told));
            tokio::task::yield_now().await;
        }
    }

    /// Does what takes a while on a thread of its own, one after the other; `None` if it panicked.
    async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let turn = Arc::clone(&self.reading).acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.ok()
    }

    /// Carries out what is done in slices, until it is through or `stop` says that nobody wants the answer any more.
    /// What is `short` is not kept waiting by what is long.
    pub(crate) async fn in_slices<T>(
        &self,
        short: bool,
        stop: impl Fn() -> bool,
        mut slice: impl FnMut(&Index) -> Option<T>,
    ) -> Option<T> {
        if short && let Some(done) = self.with_index(|index| slice(index)) {
            return Some(done);
        }
        loop {
            // The semaphore is fair and never closed.
            let turn = self.turns.acquire().await;
            if stop() {
                return None;
            }
            let done = self.with_index(|index| slice(index));
            if done.is_some() {
                return done;
            }
            if self.waiting.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(GIVE_WAY).await;
            }
            drop(turn);
            tokio::task::yield_now().await;
        }
    }

    /// Changes what as a rule need not be stored, and has watchers told of it soon. The store is visited only if
    /// there is something for it.
    pub(crate) async fn change_soft<T>(
        &self,
        work: impl FnOnce(&mut Index) -> T,
    ) -> Result<T, StoreError> {
        let (value, stored) = {
            let mut index = self.lock_index();
            // What others left goes with the next tick.
            let left = index.unstored();
            let value = work(&mut index);
            self.note_work(&index);
            (value, index.unstored() > left)
        };
        self.stirred.notify_one();
        if stored {
            self.apply(|_| ()).await?;
        }
        Ok(value)
    }

    /// [`Self::apply`]s what a session wants changed, and has watchers told of it soon.
    pub(crate) async fn change<T>(
        &self,
        work: impl FnOnce(&mut Index) -> T,
    ) -> Result<(T, Commit), StoreError> {
        let outcome = self.apply(work).await;
        self.stirred.notify_one();
        outcome
    }

    /// Changes the index, and hands what must be stored to the writer before anybody else can change it
    /// again: the disk sees changes in the order in which memory did. The commit resolves when
    /// all up to this change is on disk.
    pub(crate) async fn apply<T>(
        &self,
        work: impl FnOnce(&mut Index) -> T,
    ) -> Result<(T, Commit), StoreError> {
        let permit = self.writer.reserve().await?;
        let mut index = self.lock_index();
        let value = work(&mut index);
        self.note_work(&index);
        let commit = permit.send(index.take_changes());
        Ok((value, commit))
    }

    /// The ticker has come round.
    pub(crate) fn ticked(&self, now_ms: u64) {
        self.tick_ms.store(now_ms, Ordering::Relaxed);
    }

    /// How long ago the ticker came round.
    pub(crate) fn since_tick(&self) -> Duration {
        let tick_ms = self.tick_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.clock.now_ms().saturating_sub(tick_ms))
    }

    /// Whether the disk has failed so long that nothing new should be taken on.
    pub(crate) fn is_full(&self) -> bool {
        self.writer.is_full()
    }

    /// Whether the last commit failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.writer.is_failing()
    }

    /// A fresh membership for `peer`, of the usual lifetime from now.
    pub(crate) fn membership(&self, peer: &PeerId) -> Vec<u8> {
        let now = self.clock.wall_ms() / 1000;
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        Membership::issue(&self.identity, peer, serial, now, now.saturating_add(LIFETIME_SECS))
    }

    /// Whether peers are to be told of keys that were revoked, before anything changes: always where members come and go.
    pub(crate) fn has_revoked(&self) -> bool {
        let now = self.clock.wall_ms() / 1000;
        self.config.admission == Admission::Invited
            || self.with_index(|index| !index.revoked(now).is_empty())
    }

    /// Signs the list of keys that were revoked, as it is now, and has all peers told.
    pub(crate) fn tell_revoked(&self) {
        let now = self.clock.wall_ms();
        let mut told = self.revoked.lock().unpoisoned();
        let serial = now.max(told.0.saturating_add(1));
        // Under the lock: of two lists the later is signed with the higher serial.
        let keys = self.with_index(|index| index.revoked(now / 1000));
        *told = (serial, Some(Revoked::issue(&self.identity, serial, keys).into()));
        drop(told);
        self.revoked_version.fetch_add(1, Ordering::Release);
        self.wake_all();
    }

    /// Counts the lists of revoked keys; 0 while there is none.
    pub(crate) fn revoked_version(&self) -> u64 {
        self.revoked_version.load(Ordering::Acquire)
    }

    /// The signed list of keys that were revoked.
    pub(crate) fn revoked(&self) -> Option<Arc<[u8]>> {
        self.revoked.lock().unpoisoned().1.clone()
    }

    /// What `peer` may ask for.
    pub(crate) fn rates_of(&self, peer: PeerId, now_ms: u64) -> Arc<Mutex<Rates>> {
        self.rates.lock().unpoisoned().of(peer, &self.config.server, now_ms)
    }

    pub(crate) fn add_control(&self, session: SessionId, control: Arc<Control>) {
        self.controls.add(session, control);
    }

    pub(crate) fn remove_control(&self, session: SessionId) {
        self.controls.remove(session);
    }

    /// Wakes the tasks of these sessions.
    pub(crate) fn wake(&self, sessions: &[SessionId]) {
        self.controls.wake(sessions);
    }

    pub(crate) fn wake_all(&self) {
        self.controls.wake_all();
    }

    /// Wakes who is to be looked at by now, of a part of all sessions; the next call sees to the next part.
    pub(crate) fn sweep(&self) {
        self.controls.sweep(self.clock.now_ms());
    }

    /// Asks one session to end.
    pub(crate) fn close(&self, session: SessionId, why: Closing) {
        self.controls.close(session, why);
    }

    /// Asks all sessions to end, each with a reason of its own.
    pub(crate) fn close_all(&self, why: impl FnMut() -> Closing) {
        self.controls.close_all(why);
    }

    /// Everything that is stored.
    pub(crate) async fn stored(&self) -> Result<Saved, StoreError> {
        let saved = self.writer.reserve().await?.read();
        saved.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Commits what waits and ends the writer. Blocking.
    pub(crate) fn finish(self) {
        let changes = self.lock_index().take_changes();
        self.writer.close(changes);
    }

    fn note_work(&self, index: &Index) {
        if index.is_busy() {
            self.busy.notify_one();
        }
    }

    fn lock_index(&self) -> MutexGuard<'_, Index> {
        // A panic in the index is a bug; the others are better served than not.
        match self.index.try_lock() {
            Ok(index) => index,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.waiting.fetch_add(1, Ordering::Relaxed);
                let index = self.index.lock().unpoisoned();
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                index
            }
        }
    }
}
