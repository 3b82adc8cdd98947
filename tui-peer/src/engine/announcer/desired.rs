//! What the tracker should know of us, and the messages that get it there.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use common::chunk_set::ChunkSet;
use common::id::{ContentId, Hash};
use common::limits::{
    DEFAULT_LOCATIONS, MAX_FILES_PER_PEER, MAX_LIST_ROWS, MAX_REGISTER, MAX_WATCHES,
};
use common::wire::Code;
use common::wire::tracker::{FileMeta, Request, Sort, share_digest};

use super::progress::Progress;
use super::requests::{Pending, Requests};

/// Shortest and longest pause after a refusal, whatever the tracker asks for.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
/// Contents to be located that may wait; as many as one peer may have.
const MAX_LOCATES: usize = MAX_FILES_PER_PEER;

/// Desired state and what of it the tracker has been told on this connection.
#[derive(Debug, Default)]
pub(super) struct Desired {
    shares: BTreeMap<ContentId, FileMeta>,
    watched: HashSet<ContentId>,
    progress: Progress,

    register: BTreeSet<ContentId>,
    unregister: BTreeSet<ContentId>,
    watch: BTreeSet<ContentId>,
    unwatch: BTreeSet<ContentId>,
    locate: BTreeSet<ContentId>,
    watch_catalogue: bool,
    full: Full,
    /// A REGISTER said that more follow.
    more_follow: bool,
    /// Shares the tracker refused one of; they are offered in ever smaller groups to find out which.
    suspects: Vec<Vec<ContentId>>,
    /// Nothing is asked for before this.
    paused_until: Option<Instant>,
    pub(super) requests: Requests,
}

/// Whether the tracker needs the full list of our shares.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Full {
    #[default]
    No,
    /// The next REGISTER begins it.
    Wanted,
    /// That one waits for its answer; nothing else is registered until then, as it may be refused.
    Asked,
}

/// What a refusal means for the session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// These shares are not known to the tracker, and it is of no use to try again.
    Register(Vec<ContentId>),
    /// The same, but it is tried again.
    RegisterForNow(Vec<ContentId>),
    /// Nobody is known to have this.
    Locate(ContentId),
    /// The page of the catalogue has to be asked for again, from the start if so.
    List { from_start: bool },
    /// Nothing the session has to know.
    Other,
}

impl Desired {
    pub(super) fn set_share(&mut self, meta: FileMeta) {
        let id = meta.descriptor.id();
        // What is complete is no longer an unfinished download.
        self.progress.clear(&id);
        self.unregister.remove(&id);
        self.register.insert(id);
        self.shares.insert(id, meta);
    }

    pub(super) fn remove_share(&mut self, id: ContentId) {
        if self.shares.remove(&id).is_some() {
            self.register.remove(&id);
            self.unregister.insert(id);
            // The tracker forgets the chunks with the registration.
            self.progress.tell_again(&id);
        }
    }

    pub(super) fn set_partial(&mut self, id: ContentId, set: ChunkSet) {
        self.progress.set(id, set);
    }

    pub(super) fn add_chunks(&mut self, id: ContentId, chunks: &[u32]) {
        self.progress.add(id, chunks);
    }

    pub(super) fn clear_partial(&mut self, id: ContentId) {
        if self.progress.clear(&id) {
            // A share whose damage is mended, or nothing at all any more.
            if self.shares.contains_key(&id) {
                self.register.insert(id);
            } else {
                self.unregister.insert(id);
            }
        }
    }

    pub(super) fn locate(&mut self, id: ContentId) {
        if self.locate.len() < MAX_LOCATES {
            self.locate.insert(id);
        }
    }

    /// Watches exactly these; of too many, those that are watched already first.
    pub(super) fn watch(&mut self, ids: HashSet<ContentId>) {
        let ids = if ids.len() > MAX_WATCHES {
            let mut sorted: Vec<_> = ids.into_iter().collect();
            sorted.sort_unstable_by_key(|id| (!self.watched.contains(id), *id));
            sorted.into_iter().take(MAX_WATCHES).collect()
        } else {
            ids
        };
        for id in ids.difference(&self.watched) {
            // The UNWATCH goes out first, so that WATCH brings all sources anew.
            self.watch.insert(*id);
        }
        for id in self.watched.difference(&ids) {
            if !self.watch.remove(id) {
                self.unwatch.insert(*id);
            }
        }
        self.watched = ids;
    }

    pub(super) fn is_watched(&self, id: &ContentId) -> bool {
        self.watched.contains(id)
    }

    /// How many chunks a content of ours has.
    pub(super) fn chunks(&self, id: &ContentId) -> Option<u32> {
        self.shares.get(id).map(|meta| meta.chunks).or_else(|| self.progress.chunks(id))
    }

    /// What the tracker compares with what it remembers of us. From here on only what changes is to be
    /// registered, unless [`connected`](Self::connected) says otherwise.
    pub(super) fn hello(&mut self) -> Hash {
        self.register.clear();
        share_digest(self.shares.iter().map(|(id, meta)| (*id, meta.name.as_str())))
    }

    /// A new connection: everything is to be told again, shares only if the digest did not match.
    /// Returns shares that the tracker knows already.
    pub(super) fn connected(&mut self, share_ok: bool) -> Vec<ContentId> {
        for lost in self.requests.drain() {
            match lost {
                Pending::Locate(id) => self.locate(id),
                Pending::Unregister(ids) => {
                    self.unregister.extend(ids.iter().filter(|id| !self.shares.contains_key(id)));
                }
                _ => {}
            }
        }
        self.paused_until = None;
        self.suspects.clear();
        self.more_follow = false;
        self.unwatch.clear();
        self.watch = self.watched.iter().copied().collect();
        self.watch_catalogue = true;
        // Changes of sources were missed meanwhile.
        self.locate.extend(self.watched.iter().copied());
        self.progress.tell_all_again();
        self.full = if share_ok { Full::No } else { Full::Wanted };
        if !share_ok {
            self.register = self.shares.keys().copied().collect();
        }
        self.shares.keys().filter(|id| !self.register.contains(id)).copied().collect()
    }

    /// Shares named here are to be registered again, partial ones told in full.
    pub(super) fn resend(&mut self, ids: &[ContentId]) {
        for id in ids {
            if self.shares.contains_key(id) {
                self.register.insert(*id);
            }
            self.progress.tell_again(id);
        }
    }

    /// Those of `ids` that are still shared: a REGISTER for them was acknowledged.
    pub(super) fn registered(&mut self, mut ids: Vec<ContentId>, begins: bool) -> Vec<ContentId> {
        if begins && self.full == Full::Asked {
            self.full = Full::No;
        }
        ids.retain(|id| self.shares.contains_key(id));
        ids
    }

    /// A request was refused. What may work later is put back and tried after a pause.
    pub(super) fn failed(
        &mut self,
        pending: Pending,
        code: Code,
        retry_ms: u32,
        now: Instant,
    ) -> Failed {
        let later = matches!(code, Code::Rate | Code::Busy | Code::LocalIo | Code::Timeout);
        if later {
            let asked = Duration::from_millis(u64::from(retry_ms));
            self.paused_until = Some(now + asked.clamp(PAUSES.0, PAUSES.1));
        }
        match pending {
            Pending::Register { ids, begins } => self.register_failed(ids, begins, code, later),
            Pending::Unregister(ids) if later => {
                self.unregister.extend(ids.iter().filter(|id| !self.shares.contains_key(id)));
                Failed::Other
            }
            Pending::Watch(ids) if later => {
                self.watch_catalogue |= ids.is_empty();
                self.watch.extend(ids.iter().filter(|id| self.watched.contains(id)));
                Failed::Other
            }
            Pending::Locate(id) if later => {
                self.locate(id);
                Failed::Other
            }
            Pending::Locate(id) => Failed::Locate(id),
            Pending::List => {
                if !later {
                    // Not too fast, should it dislike the first page too.
                    self.paused_until = Some(now + PAUSES.0);
                }
                Failed::List { from_start: !later }
            }
            _ => Failed::Other,
        }
    }

    fn register_failed(
        &mut self,
        mut ids: Vec<ContentId>,
        begins: bool,
        code: Code,
        later: bool,
    ) -> Failed {
        if begins && self.full == Full::Asked {
            self.full = Full::Wanted;
        }
        ids.retain(|id| self.shares.contains_key(id));
        if later {
            self.register.extend(ids.iter().copied());
            // Other kinds of pauses pass unnoticed; a tracker that cannot write should be known of.
            return if code == Code::LocalIo { Failed::RegisterForNow(ids) } else { Failed::Other };
        }
        if code != Code::Limit && ids.len() > 1 {
            let half = ids.split_off(ids.len() / 2);
            self.suspects.extend([half, ids]);
            return Failed::Other;
        }
        Failed::Register(ids)
    }

    /// The next message to send now, if any, and if not too much waits for answers. A page of the
    /// catalogue is asked for by `page`.
    pub(super) fn next(
        &mut self,
        now: Instant,
        page: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Option<Request> {
        if self.paused_until.is_some_and(|until| now < until) {
            return None;
        }
        self.paused_until = None;
        if !self.requests.has_room() {
            return None;
        }
        if !self.unwatch.is_empty() {
            let ids = take(&mut self.unwatch, MAX_WATCHES);
            return Some(Request::Unwatch { catalogue: false, ids });
        }
        // Before the first page, so that no change is missed in between.
        if std::mem::take(&mut self.watch_catalogue) {
            let q = self.requests.ask(Pending::Watch(Vec::new()), now);
            return Some(Request::Watch { q, catalogue: true, ids: Vec::new() });
        }
        // Registrations go out before anything that depends on them.
        if let Some(register) = self.next_register(now) {
            return Some(register);
        }
        if !self.unregister.is_empty() && self.full == Full::No {
            let ids = take(&mut self.unregister, MAX_REGISTER);
            let q = self.requests.ask(Pending::Unregister(ids.clone()), now);
            return Some(Request::Unregister { q, ids });
        }
        if !self.watch.is_empty() {
            let ids = take(&mut self.watch, MAX_WATCHES);
            let q = self.requests.ask(Pending::Watch(ids.clone()), now);
            return Some(Request::Watch { q, catalogue: false, ids });
        }
        if let Some(id) = self.locate.pop_first() {
            let q = self.requests.ask(Pending::Locate(id), now);
            let want = u16::try_from(DEFAULT_LOCATIONS).unwrap_or(u16::MAX);
            return Some(Request::FileLocations { q, id, want });
        }
        let cursor = page()?;
        let q = self.requests.ask(Pending::List, now);
        let limit = u16::try_from(MAX_LIST_ROWS).unwrap_or(u16::MAX);
        Some(Request::FileList { q, query: String::new(), cursor, limit, sort: Sort::Name })
    }

    fn next_register(&mut self, now: Instant) -> Option<Request> {
        let begins = self.full == Full::Wanted;
        let nothing = self.register.is_empty() && self.suspects.is_empty();
        if self.full == Full::Asked || (nothing && !begins && !self.more_follow) {
            return None;
        }
        let mut ids = match self.suspects.pop() {
            Some(group) => group,
            None => take(&mut self.register, MAX_REGISTER),
        };
        ids.retain(|id| self.shares.contains_key(id));
        for id in &ids {
            // Registered means complete: a damaged share is told after that.
            self.progress.tell_again(id);
        }
        let files = ids.iter().filter_map(|id| self.shares.get(id)).cloned().collect();
        let more = !self.register.is_empty() || !self.suspects.is_empty();
        if begins {
            self.full = Full::Asked;
        }
        self.more_follow = more;
        let q = self.requests.ask(Pending::Register { ids, begins }, now);
        Some(Request::Register { q, files, more, full: begins })
    }

    /// Progress to tell, if there is any; ask until there is none.
    pub(super) fn next_progress(&mut self) -> Option<Request> {
        // A list that is refused and begun anew forgets nothing that was told of unfinished downloads,
        // but a REGISTER of the same content means all of it.
        let Self { register, suspects, unregister, progress, .. } = self;
        progress.next(|id| {
            register.contains(id)
                || unregister.contains(id)
                || suspects.iter().any(|group| group.contains(id))
        })
    }

    /// Whether [`next_progress`](Self::next_progress) may have something to say.
    pub(super) fn has_progress(&self) -> bool {
        self.progress.is_untold()
    }

    /// When there may be something to do that nothing else wakes us for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.paused_until.into_iter().chain(self.requests.deadline()).min()
    }

    /// Whether the tracker owes us an answer for too long.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.requests.deadline().is_some_and(|deadline| deadline <= now)
    }
}

/// The first `most` ids, taken out.
fn take(ids: &mut BTreeSet<ContentId>, most: usize) -> Vec<ContentId> {
    std::iter::from_fn(|| ids.pop_first()).take(most).collect()
}
