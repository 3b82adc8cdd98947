//! What each request does.

use std::sync::MutexGuard;

use common::id::{ContentId, PeerId};
use common::lock::Unpoisoned as _;
use common::numbers::saturate;
use common::wire::Code;
use common::wire::tracker::{ChunkUpdate, FileMeta, Hello, Reply, Request, Sort};
use tokio::time::{Duration, Instant};

use super::rate::{Rates, Work};
use super::{End, Session, arrival, handshake, punches_from};
use crate::index::{
    Index, MemberPage, Members, Page, Progress, Refusal, Settled, merge_slice, named_outside,
};
use crate::store::{Commit, StoreError};

/// When to try again after the disk failed.
pub(super) const DISK_RETRY_MS: u32 = 5_000;
/// Longest time for which nothing is read: a peer gives up a tracker that does not answer its ping for 10 s.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// Entries that a watched content counts for: the sources that are told of.
const WATCH_COST: usize = 10;
/// Requests refused for their rate, one after the other, before the connection ends.
const MAX_IGNORED: u32 = 50;

impl Session<'_> {
    /// Carries out one request.
    pub(super) async fn request(&mut self, request: Request) -> Result<(), End> {
        let taken = self.lock_rates().take(&request, self.shared.clock.now_ms());
        if let Err(wait_ms) = taken {
            self.shared.metrics.throttled.add(1);
            match &request {
                // What has no answer must not get lost: it is taken, and then nothing is read for a while.
                Request::Hello(_)
                | Request::Addresses { .. }
                | Request::ChunkRegister { .. }
                | Request::Unwatch { .. } => {
                    let pause = Duration::from_millis(wait_ms).min(MAX_PAUSE);
                    self.paused_until = Some(Instant::now() + pause);
                }
                // Made again by who still cannot reach a source.
                Request::DialMe { .. } | Request::Relay { .. } => return Ok(()),
                _ => return self.throttle(number(&request), wait_ms),
            }
        }
        self.ignored = 0;
        match request {
            Request::ChunkRegister { files } => {
                self.shared.metrics.chunk_updates.add(files.len() as u64);
                self.chunk_register(&files).await
            }
            Request::Ping { q } => {
                self.outbox.push(&Reply::Pong { q });
                Ok(())
            }
            other => {
                self.has_news = true;
                // Seldom, and large: only while it lasts.
                Box::pin(self.seldom(other)).await
            }
        }
    }

    /// Carries out what is asked now and then.
    async fn seldom(&mut self, request: Request) -> Result<(), End> {
        match request {
            Request::Hello(hello) => self.hello_again(&hello).await,
            Request::Register { q, files, more, full } => {
                self.register(q, &files, more, full).await
            }
            Request::Unregister { q, ids } => {
                let id = self.id;
                let outcome = self.shared.change(|index| index.unregister(id, &ids)).await;
                self.await_commit(q, outcome, |()| ids.len())
            }
            Request::FileList { q, query, cursor, limit, sort } => {
                self.file_list(q, &query, &cursor, usize::from(limit), sort).await
            }
            Request::FileLocations { q, id, want } => self.locations(q, id, usize::from(want)),
            Request::OfferNames { q, ids, withdraw } => self.offer_names(q, &ids, withdraw).await,
            Request::GiveNames { q, id, manifest } => self.give_names(q, id, manifest).await,
            Request::Find { q, query, limit } => self.find(q, &query, usize::from(limit)).await,
            Request::Members { q, query, cursor, limit } => {
                self.members(q, &query, &cursor, usize::from(limit)).await
            }
            Request::MemberFiles { q, peer, cursor, limit } => {
                self.member_files(q, peer, &cursor, usize::from(limit))
            }
            Request::Leave { q } => self.leave(q).await,
            Request::Watch { q, catalogue, ids } => self.watch(q, catalogue, &ids),
            Request::Unwatch { catalogue, ids } => {
                let id = self.id;
                self.shared.with_index(|index| index.unwatch(id, catalogue, &ids));
                Ok(())
            }
            Request::DialMe { id, peer } => {
                self.dial_me(id, peer);
                Ok(())
            }
            Request::Addresses { local } => {
                self.has_moved(local);
                Ok(())
            }
            Request::Relay { id, peer } => {
                if self.relay(id, peer).is_none() {
                    self.shared.metrics.relay_refused.add(1);
                }
                Ok(())
            }
            Request::Also { .. } => {
                Err(self.refuse(Code::Protocol, "ALSO goes alone over a connection of its own"))
            }
            // What comes often has been seen to.
            Request::ChunkRegister { .. } | Request::Ping { .. } => Ok(()),
        }
    }

    /// Hello again: back after leaving, or a new nick, port or address. Renews the membership too.
    async fn hello_again(&mut self, hello: &Hello) -> Result<(), End> {
        match handshake::check(hello, self.shared, &self.place.exporter) {
            Ok(version) => self.version = version,
            Err(refused) => return Err(self.refuse(Code::Auth, &refused.to_string())),
        }
        let (id, now) = (self.id, self.shared.clock.now_ms());
        let arrival = arrival(self.peer, self.place, hello);
        let punches_from = punches_from(self.place, hello);
        self.outside = named_outside(&hello.local, self.place.observed.ip());
        let arrive = |index: &mut Index| {
            index.may_punch(id, punches_from);
            index.may_count(id, hello.counts);
            index.arrive_again(now, id, arrival)
        };
        let outcome = self.shared.change(arrive).await;
        match self.settled(outcome)? {
            Ok(Settled { touched, .. }) => {
                self.charge(Work::Touched, touched);
                let share_ok = self.shared.share_ok(id).await;
                let share_ok =
                    share_ok.map_err(|error| self.refuse(Code::LocalIo, &error.to_string()))?;
                self.renewed = Instant::now();
                self.welcome(share_ok);
                Ok(())
            }
            Err(refusal) => Err(self.refuse(refusal.code, &refusal.text)),
        }
    }

    /// Enters contents that the peer has completely, as [`Index::register`](crate::index::Index::register) says.
    async fn register(
        &mut self,
        q: u32,
        files: &[FileMeta],
        more: bool,
        full: bool,
    ) -> Result<(), End> {
        if self.shared.is_full() {
            let text = "the tracker's disk is full or failing; known files stay available";
            self.fail(q, Code::LocalIo, text, DISK_RETRY_MS);
            return Ok(());
        }
        self.shared.metrics.registered.add(files.len() as u64);
        let (id, now) = (self.id, self.shared.clock.now_ms());
        let outcome = self.shared.change(|index| index.register(now, id, files, more, full)).await;
        if !more {
            self.settle().await?;
        }
        self.await_commit(q, outcome, |touched| *touched)
    }

    /// Takes the peer out of the network; the connection stays.
    async fn leave(&mut self, q: u32) -> Result<(), End> {
        let id = self.id;
        let outcome = self.shared.change(|index| index.leave(id)).await;
        let result = self.settled(outcome)?;
        self.settle().await?;
        let result = result.map(|touched| self.charge(Work::Touched, touched));
        self.answer(q, result)
    }

    /// Some sources of a content.
    fn locations(&mut self, q: u32, id: ContentId, want: usize) -> Result<(), End> {
        let Self { id: session, rng, .. } = self;
        let found = self.shared.with_index(|index| index.locations(*session, id, want, rng));
        match found {
            Ok(found) => {
                self.charge(Work::Touched, found.cost());
                self.outbox.push(&Reply::Locations {
                    q,
                    id,
                    meta: found.meta,
                    sources: found.sources,
                    complete: found.complete,
                    partial: found.partial,
                });
                Ok(())
            }
            Err(refusal) => self.answer(q, Err(refusal)),
        }
    }

    fn watch(&self, q: u32, catalogue: bool, ids: &[ContentId]) -> Result<(), End> {
        self.charge(Work::Touched, ids.len().saturating_mul(WATCH_COST));
        let result = self.shared.with_index(|index| index.watch(self.id, catalogue, ids));
        // What is not told yet goes out soon.
        self.shared.stirred.notify_one();
        self.answer(q, result)
    }

    /// What was asked for is done when all entries have been gone through.
    async fn settle(&self) -> Result<(), End> {
        let done = self.shared.settle(self.id).await;
        done.map_err(|error| self.refuse(Code::LocalIo, &error.to_string()))
    }

    /// Takes over progress, in slices: others get the index in between.
    async fn chunk_register(&mut self, files: &[ChunkUpdate]) -> Result<(), End> {
        let mut lost = Vec::new();
        let mut rest = files;
        while !rest.is_empty() {
            let (now, later, cost) = merge_slice(rest);
            rest = later;
            self.charge(Work::Touched, cost);
            let updates = match Progress::read(now) {
                Ok(updates) => updates,
                Err(refusal) => return Err(self.refuse(refusal.code, &refusal.text)),
            };
            let id = self.id;
            let change = self.shared.change_soft(|index| index.chunk_register(id, updates));
            let outcome = change.await;
            match outcome.map_err(|error| self.refuse(Code::LocalIo, &error.to_string()))? {
                Ok(ids) => lost.extend(ids),
                Err(refusal) => return Err(self.refuse(refusal.code, &refusal.text)),
            }
        }
        if !lost.is_empty() {
            self.outbox.push(&Reply::Resend { ids: lost });
        }
        Ok(())
    }

    /// A page of the catalogue.
    async fn file_list(
        &mut self,
        q: u32,
        query: &str,
        cursor: &[u8],
        limit: usize,
        sort: Sort,
    ) -> Result<(), End> {
        let begun = self.shared.with_index(|index| index.search(query, cursor, limit, sort));
        let mut search = match begun {
            Ok(search) => search,
            Err(refusal) => return self.answer(q, Err(refusal)),
        };
        let control = &self.control;
        let page = self.shared.search(&mut search, || control.closing().is_some()).await;
        self.looked(search.looked());
        if let Some(Page { rows, total, cursor }) = page {
            self.outbox.push(&Reply::Files { q, rows, total, cursor });
        }
        Ok(())
    }

    /// A page of who is in the network.
    async fn members(
        &mut self,
        q: u32,
        query: &str,
        cursor: &[u8],
        limit: usize,
    ) -> Result<(), End> {
        let id = self.id;
        let begun = self.shared.with_index(|index| index.search_members(id, query, cursor, limit));
        let mut search = match begun {
            Ok(search) => search,
            Err(refusal) => return self.answer(q, Err(refusal)),
        };
        let (control, short) = (&self.control, search.is_short());
        let stop = || control.closing().is_some();
        let page = self.shared.in_slices(short, stop, |index| index.advance_members(&mut search));
        let page = page.await;
        self.looked(search.looked());
        match page {
            Some(Ok(Members { members, total, cursor })) => {
                self.outbox.push(&Reply::Members { q, members, total, cursor });
                Ok(())
            }
            Some(Err(refusal)) => self.answer(q, Err(refusal)),
            None => Ok(()),
        }
    }

    /// A page of what one member shares.
    fn member_files(&self, q: u32, peer: PeerId, cursor: &[u8], limit: usize) -> Result<(), End> {
        match self.shared.with_index(|index| index.member_files(peer, cursor, limit)) {
            Ok(MemberPage { page: Page { rows, total, cursor }, looked }) => {
                self.looked(looked);
                self.outbox.push(&Reply::Files { q, rows, total, cursor });
                Ok(())
            }
            Err(refusal) => self.answer(q, Err(refusal)),
        }
    }

    /// Counts what a search looked at, and lets the peer pay for it.
    pub(super) fn looked(&self, looked: usize) {
        self.shared.metrics.looked.add(saturate::<u64>(looked));
        self.charge(Work::Looked, looked);
    }

    /// Lets the peer pay for what a request turned out to be.
    pub(super) fn charge(&self, work: Work, amount: usize) {
        self.lock_rates().charge(work, amount, self.shared.clock.now_ms());
    }

    fn lock_rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unpoisoned()
    }

    /// Answers when the change is on disk. `touched` says what it was in entries.
    pub(super) fn await_commit<T>(
        &mut self,
        q: u32,
        outcome: Result<(Result<T, Refusal>, Commit), StoreError>,
        touched: impl FnOnce(&T) -> usize,
    ) -> Result<(), End> {
        match outcome {
            Ok((Ok(value), commit)) => {
                self.charge(Work::Touched, touched(&value));
                self.pending.push_back((q, commit));
            }
            Ok((Err(refusal), _)) => self.fail(q, refusal.code, &refusal.text, refusal.retry_ms),
            Err(error) => self.fail(q, Code::LocalIo, &error.to_string(), DISK_RETRY_MS),
        }
        Ok(())
    }

    /// The outcome of a change that nobody waits to see on disk.
    fn settled<T>(&self, outcome: Result<(T, Commit), StoreError>) -> Result<T, End> {
        outcome
            .map(|(value, _)| value)
            .map_err(|error| self.refuse(Code::LocalIo, &error.to_string()))
    }

    pub(super) fn answer(&self, q: u32, result: Result<(), Refusal>) -> Result<(), End> {
        match result {
            Ok(()) => self.outbox.push(&Reply::Done { q }),
            Err(refusal) => self.fail(q, refusal.code, &refusal.text, refusal.retry_ms),
        }
        Ok(())
    }

    fn throttle(&mut self, q: u32, wait_ms: u64) -> Result<(), End> {
        self.ignored += 1;
        if self.ignored > MAX_IGNORED {
            return Err(self.refuse(Code::Rate, "too many requests, and answers ignored"));
        }
        let retry_ms = saturate::<u32>(wait_ms);
        self.fail(q, Code::Rate, "too many requests of this kind; slow down", retry_ms);
        Ok(())
    }
}

/// The number a request wants back; 0 if none.
fn number(request: &Request) -> u32 {
    match request {
        Request::Register { q, .. }
        | Request::Unregister { q, .. }
        | Request::FileList { q, .. }
        | Request::FileLocations { q, .. }
        | Request::Members { q, .. }
        | Request::MemberFiles { q, .. }
        | Request::OfferNames { q, .. }
        | Request::GiveNames { q, .. }
        | Request::Find { q, .. }
        | Request::Leave { q }
        | Request::Also { q }
        | Request::Watch { q, .. }
        | Request::Ping { q } => *q,
        Request::Hello(_)
        | Request::ChunkRegister { .. }
        | Request::DialMe { .. }
        | Request::Relay { .. }
        | Request::Addresses { .. }
        | Request::Unwatch { .. } => 0,
    }
}
