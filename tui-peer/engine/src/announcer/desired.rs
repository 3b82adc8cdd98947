//! What the tracker should know of us, and the messages that get it there.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use common::chunk_set::ChunkSet;
use common::id::{ContentId, Hash, PeerId};
use common::limits::{
    DEFAULT_LOCATIONS, MAX_FILES_PER_PEER, MAX_LIST_ROWS, MAX_REGISTER, MAX_WATCHES,
};
use common::numbers::saturate;
use common::wire::Code;
use common::wire::tracker::{FileMeta, Request, Sort, share_digest};

use super::asks::{Ask, Asks};
use super::inside::Inside;
use super::progress::Progress;
use super::requests::{Pending, Requests};

/// Shortest and longest pause after a refusal, whatever the tracker asks for.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
/// Shortest and longest time after which shares are offered again for which there was no room, whatever the tracker
/// says: each may cost it as many refusals as [`MAX_SPLITS`].
const ROOM_PAUSES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));
/// Refused REGISTERs that are split to find out which share is meant, per connection: enough for thirty bad ones
/// (eight halvings each), and an end if the tracker takes none at all.
const MAX_SPLITS: u32 = 256;
/// Contents to be located that may wait; as many as one peer may have.
const MAX_LOCATES: usize = MAX_FILES_PER_PEER;
/// Sources that are asked to dial us at a time: more than are dialled at a time.
const MAX_DIAL_ME: usize = 64;
/// Contents located together with the hello: with the other early questions fewer than may be in flight.
const EARLY_LOCATES: usize = 4;
/// Contents watched together with the hello at most, two kilobytes: a tracker that does not let us in should not
/// have to be sent more first.
const EARLY_WATCHES: usize = 64;

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
    /// Watched contents whose changes of sources may have been missed: located after those that are waited for.
    catch_up: BTreeSet<ContentId>,
    watch_catalogue: bool,
    full: Full,
    /// A REGISTER said that more follow.
    more_follow: bool,
    /// Shares the tracker refused one of; they are offered in ever smaller groups to find out which.
    suspects: Vec<Vec<ContentId>>,
    splits: u32,
    /// Shares for which the tracker had no room for now, and when they are offered again.
    no_room: BTreeSet<ContentId>,
    offer_at: Option<Instant>,
    /// Nothing is asked for before this.
    paused_until: Option<Instant>,
    /// Hello was said on this connection, and not answered yet.
    greeted: bool,
    pub(super) requests: Requests,
    pub(super) asks: Asks,
    /// Names of the files inside our folders.
    pub(super) inside: Inside,
    /// Sources that are to dial us, and those that are to be met at the tracker.
    dial_me: BTreeSet<(PeerId, ContentId)>,
    relay: BTreeSet<(PeerId, ContentId)>,
    /// What the tracker does of that.
    pub(super) helps: Helps,
}

/// What a tracker does for those who cannot reach each other, by its WELCOME.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Helps {
    /// It asks others to dial us.
    pub(super) passes_on_dials: bool,
    /// It has both meet there.
    pub(super) relays: bool,
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
    /// Changes of the catalogue are missed until it is watched: it has to be listed anew then.
    Catalogue,
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
            self.inside.removed(&id);
            self.register.remove(&id);
            self.unregister.insert(id);
            // The tracker forgets the chunks with the registration.
            self.progress.tell_again(&id);
        }
    }

    pub(super) fn set_partial(&mut self, id: ContentId, set: ChunkSet) {
        self.progress.set(id, set);
    }

    /// Whether there is news for whoever sends it: to what waits to be told anyway more may come.
    pub(super) fn add_chunks(&mut self, id: ContentId, chunks: &[u32]) -> bool {
        let untold = self.progress.is_untold();
        let begun = self.progress.add(id, chunks);
        begun || (!untold && self.progress.is_untold())
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

    /// A source of a content cannot be reached: it is to dial us. Said once or not at all: who still cannot reach it
    /// comes again.
    pub(super) fn ask_to_dial(&mut self, id: ContentId, peer: PeerId) {
        if self.helps.passes_on_dials && self.dial_me.len() < MAX_DIAL_ME {
            self.dial_me.insert((peer, id));
        }
    }

    /// Both are to meet at the tracker.
    pub(super) fn ask_to_relay(&mut self, id: ContentId, peer: PeerId) {
        if self.helps.relays && self.relay.len() < MAX_DIAL_ME {
            self.relay.insert((peer, id));
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
        self.begin();
        self.greeted = true;
        self.register.clear();
        self.digest()
    }

    /// Of what we share now: the tracker remembers that of the last connection.
    pub(super) fn digest(&self) -> Hash {
        share_digest(self.shares.iter().map(|(id, meta)| (*id, meta.name.as_str())))
    }

    /// What goes out together with the hello, before the tracker's answer to it, and so a round trip sooner:
    /// questions that change nothing there, locations first (a page of the catalogue may be long). A page is asked
    /// for by `page`.
    pub(super) fn early(
        &mut self,
        now: Instant,
        page: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Vec<Request> {
        let mut early: Vec<Request> =
            std::iter::from_fn(|| self.next_locate(now)).take(EARLY_LOCATES).collect();
        if self.watch.len() <= EARLY_WATCHES {
            early.extend(self.next_watch(now));
        }
        early.extend(self.next_catalogue(now));
        early.extend(page().map(|cursor| self.list(cursor, now)));
        early
    }

    /// A new connection begins, or a tracker that has forgotten us goes on with one: nothing that was asked
    /// will be answered.
    fn begin(&mut self) {
        for lost in self.requests.drain() {
            match lost {
                Pending::Locate(id) => self.locate(id),
                Pending::Unregister(ids) => {
                    self.unregister.extend(ids.iter().filter(|id| !self.shares.contains_key(id)));
                }
                _ => {}
            }
        }
        self.asks.unanswered();
        self.inside.begin();
        (self.helps, self.paused_until) = (Helps::default(), None);
        self.dial_me.clear();
        self.relay.clear();
        self.unwatch.clear();
        self.watch = self.watched.iter().copied().collect();
        self.watch_catalogue = true;
        // Changes of sources were missed meanwhile.
        self.catch_up = self.watched.iter().copied().collect();
    }

    /// The tracker has let us in, or has forgotten us since: everything is to be told again, shares only if the
    /// digest did not match. What was asked together with the hello stands. Returns shares that the tracker knows
    /// already.
    pub(super) fn connected(&mut self, share_ok: bool) -> Vec<ContentId> {
        if !std::mem::take(&mut self.greeted) {
            self.begin();
        }
        self.suspects.clear();
        self.splits = 0;
        self.offer_at = None;
        // What was refused on the last connection is tried on this one.
        self.register.append(&mut self.no_room);
        self.more_follow = false;
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
        self.offer_names(&ids);
        ids
    }

    /// The tracker has let us in, or has renewed our membership, and says whether it looks inside folders.
    pub(super) fn looks_inside(&mut self, it_does: bool) {
        self.inside.welcomed(it_does);
        let known = self.shares.keys().filter(|id| !self.register.contains(id)).copied();
        self.offer_names(&known.collect::<Vec<_>>());
    }

    /// These are registered: of folders the tracker may know more.
    fn offer_names(&mut self, ids: &[ContentId]) {
        let known = ids.iter().filter_map(|id| self.shares.get(id));
        known.for_each(|meta| self.inside.registered(&meta.descriptor));
    }

    /// A request was refused. What may work later is put back and tried after a pause.
    pub(super) fn failed(
        &mut self,
        pending: Pending,
        code: Code,
        retry_ms: u32,
        now: Instant,
    ) -> Failed {
        if matches!(pending, Pending::Members | Pending::MemberFiles | Pending::Find) {
            return Failed::Other;
        }
        if matches!(pending, Pending::OfferNames(_) | Pending::GiveNames(_)) {
            // Nothing else waits for it.
            self.inside.refused(pending, code, retry_ms, now);
            return Failed::Other;
        }
        let later = matches!(code, Code::Rate | Code::Busy | Code::LocalIo | Code::Timeout);
        if later {
            let asked = Duration::from_millis(u64::from(retry_ms));
            // Of several refusals on their way the longest counts, not the last.
            let until = now + asked.clamp(PAUSES.0, PAUSES.1);
            self.paused_until = Some(self.paused_until.map_or(until, |asked| asked.max(until)));
        }
        match pending {
            Pending::Register { ids, begins } => {
                let failed = self.register_failed(ids, begins, code, later);
                if code == Code::Limit
                    && retry_ms > 0
                    && let Failed::Register(ids) = &failed
                {
                    self.offer_again(ids, retry_ms, now);
                }
                failed
            }
            Pending::Unregister(ids) if later => {
                self.unregister.extend(ids.iter().filter(|id| !self.shares.contains_key(id)));
                Failed::Other
            }
            Pending::Watch(ids) if later && ids.is_empty() => {
                self.watch_catalogue = true;
                Failed::Catalogue
            }
            Pending::Watch(ids) if later => {
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
                    let until = now + PAUSES.0;
                    self.paused_until =
                        Some(self.paused_until.map_or(until, |asked| asked.max(until)));
                }
                Failed::List { from_start: !later }
            }
            _ => Failed::Other,
        }
    }

    /// There is no room for these shares, but there may be later. Nothing else waits for that.
    fn offer_again(&mut self, ids: &[ContentId], retry_ms: u32, now: Instant) {
        let asked = Duration::from_millis(u64::from(retry_ms));
        let at = now + asked.clamp(ROOM_PAUSES.0, ROOM_PAUSES.1);
        self.offer_at = Some(self.offer_at.map_or(at, |other| other.max(at)));
        self.no_room.extend(ids);
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
        if ids.len() > 1 && self.splits < MAX_SPLITS {
            self.splits += 1;
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
        if self.offer_at.is_some_and(|at| at <= now) {
            (self.offer_at, self.splits) = (None, 0);
            let offered = std::mem::take(&mut self.no_room);
            self.register.extend(offered.into_iter().filter(|id| self.shares.contains_key(id)));
        }
        if !self.requests.has_room() {
            return None;
        }
        if !self.unwatch.is_empty() {
            let ids = take(&mut self.unwatch, MAX_WATCHES);
            return Some(Request::Unwatch { catalogue: false, ids });
        }
        if let Some((peer, id)) = self.dial_me.pop_first() {
            return Some(Request::DialMe { id, peer });
        }
        if let Some((peer, id)) = self.relay.pop_first() {
            return Some(Request::Relay { id, peer });
        }
        // Before the first page, so that no change is missed in between.
        if let Some(watch) = self.next_catalogue(now) {
            return Some(watch);
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
        if let Some(watch) = self.next_watch(now) {
            return Some(watch);
        }
        // One page is under way at a time, so it holds up nothing; a thousand locations would.
        if let Some(cursor) = page() {
            return Some(self.list(cursor, now));
        }
        let Self { asks, requests, .. } = self;
        let number = |ask: &Ask| match ask {
            Ask::Members { .. } => requests.ask(Pending::Members, now),
            Ask::Files { .. } => requests.ask(Pending::MemberFiles, now),
            Ask::Find { .. } => requests.ask(Pending::Find, now),
        };
        if let Some(request) = asks.next(now, number) {
            return Some(request);
        }
        if let Some(locate) = self.next_locate(now) {
            return Some(locate);
        }
        // Last: a folder is there before what is inside is known.
        let Self { inside, requests, .. } = self;
        inside.next(now, |pending| requests.ask(pending, now))
    }

    fn next_catalogue(&mut self, now: Instant) -> Option<Request> {
        std::mem::take(&mut self.watch_catalogue).then(|| {
            let q = self.requests.ask(Pending::Watch(Vec::new()), now);
            Request::Watch { q, catalogue: true, ids: Vec::new() }
        })
    }

    fn next_watch(&mut self, now: Instant) -> Option<Request> {
        if self.watch.is_empty() {
            return None;
        }
        let ids = take(&mut self.watch, MAX_WATCHES);
        let q = self.requests.ask(Pending::Watch(ids.clone()), now);
        Some(Request::Watch { q, catalogue: false, ids })
    }

    fn next_locate(&mut self, now: Instant) -> Option<Request> {
        let id = self.locate.pop_first().or_else(|| self.catch_up.pop_first())?;
        self.catch_up.remove(&id);
        let q = self.requests.ask(Pending::Locate(id), now);
        let want = saturate::<u16>(DEFAULT_LOCATIONS);
        Some(Request::FileLocations { q, id, want })
    }

    /// The page of the catalogue after `cursor`.
    fn list(&mut self, cursor: Vec<u8>, now: Instant) -> Request {
        let (q, query) = (self.requests.ask(Pending::List, now), String::new());
        let limit = saturate::<u16>(MAX_LIST_ROWS);
        Request::FileList { q, query, cursor, limit, sort: Sort::Name }
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

    /// Whether a download got its first chunk since this was asked last.
    pub(super) fn take_begun(&mut self) -> bool {
        self.progress.take_begun()
    }

    /// Whether [`next_progress`](Self::next_progress) may have something to say.
    pub(super) fn has_progress(&self) -> bool {
        self.progress.is_untold()
    }

    /// When there may be something to do that nothing else wakes us for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let own = self.offer_at.into_iter().chain(self.requests.deadline());
        let questions = self.asks.deadline().into_iter().chain(self.inside.deadline());
        self.paused_until.into_iter().chain(own).chain(questions).min()
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

#[cfg(test)]
mod tests {
    use common::content::{Descriptor, Kind};
    use proptest::prelude::*;

    use super::*;

    fn meta(n: u16) -> FileMeta {
        let mut root = [0; 32];
        root[..2].copy_from_slice(&n.to_be_bytes());
        let descriptor = Descriptor { kind: Kind::File, size: 1, root: Hash::from_bytes(root) };
        FileMeta { descriptor, name: format!("f{n}"), total: 1, chunks: 1 }
    }

    fn id(n: u16) -> ContentId {
        meta(n).descriptor.id()
    }

    #[test]
    fn of_chunks_that_follow_each_other_only_the_first_is_news() {
        let mut desired = Desired::default();
        assert!(!desired.add_chunks(id(1), &[1]), "of nothing that anybody is told of");
        desired.set_partial(id(1), ChunkSet::empty(10));
        while desired.next_progress().is_some() {}
        assert!(desired.add_chunks(id(1), &[1]), "the first of all");
        assert!(!desired.add_chunks(id(1), &[2]), "to be told anyway");
        while desired.next_progress().is_some() {}
        assert!(desired.add_chunks(id(1), &[3, 4]));
        assert!(!desired.add_chunks(id(1), &[5]));
        // Another download begins: that does not wait for the next time.
        desired.set_partial(id(2), ChunkSet::empty(10));
        assert!(desired.add_chunks(id(2), &[5]));
        assert!(!desired.add_chunks(id(2), &[5]));
    }

    /// Sends all there is; `refuse` says what the tracker does not like. What it says yes to is returned.
    fn drain(desired: &mut Desired, refuse: impl Fn(&Request) -> Option<Code>) -> Vec<Request> {
        let mut all = Vec::new();
        let mut now = Instant::now();
        loop {
            now += PAUSES.1;
            let Some(request) = desired.next(now, || None) else { return all };
            assert!(all.len() < 10_000, "no end");
            let code = refuse(&request);
            for q in 0..=desired.requests.ask(Pending::Leave, now) {
                let Some(pending) = desired.requests.answered(q, |_| true) else { continue };
                match (code, pending) {
                    (_, Pending::Leave) => {}
                    (Some(code), pending) => drop(desired.failed(pending, code, 0, now)),
                    (None, Pending::Register { ids, begins }) => {
                        drop(desired.registered(ids, begins));
                    }
                    (None, _) => {}
                }
            }
            if code.is_none() {
                all.push(request);
            }
        }
    }

    fn accepted(desired: &mut Desired) -> Vec<Request> {
        drain(desired, |_| None)
    }

    /// A connection whose catalogue watch is already out.
    fn online(desired: &mut Desired, share_ok: bool) -> Vec<ContentId> {
        desired.hello();
        let known = desired.connected(share_ok);
        assert!(matches!(
            desired.next(Instant::now(), || None),
            Some(Request::Watch { catalogue: true, .. })
        ));
        desired.requests.drain();
        known
    }

    fn flags(sent: &[Request]) -> Vec<(usize, bool, bool)> {
        let flags = |request: &Request| match request {
            Request::Register { files, more, full, .. } => (files.len(), *more, *full),
            other => panic!("{other:?}"),
        };
        sent.iter().map(flags).collect()
    }

    #[test]
    fn a_matching_digest_sends_no_registration() {
        let mut desired = Desired::default();
        (0..5).for_each(|n| desired.set_share(meta(n)));
        assert_eq!(online(&mut desired, true).len(), 5);
        assert!(accepted(&mut desired).is_empty());
    }

    #[test]
    fn what_changes_between_hello_and_welcome_is_not_lost() {
        let mut desired = Desired::default();
        desired.set_share(meta(1));
        desired.set_share(meta(2));
        desired.hello();
        desired.set_share(meta(3));
        desired.remove_share(id(1));
        assert_eq!(desired.connected(true), [id(2)]);
        let sent = accepted(&mut desired);
        assert!(
            matches!(&sent[1], Request::Register { files, full: false, .. } if *files == [meta(3)])
        );
        assert!(matches!(&sent[2], Request::Unregister { ids, .. } if *ids == [id(1)]));
    }

    /// Kinds of what goes out: locate, watch, watch of the catalogue, list.
    fn kinds(sent: &[Request]) -> String {
        let kind = |request: &Request| match request {
            Request::FileLocations { .. } => 'l',
            Request::Watch { catalogue: true, .. } => 'c',
            Request::Watch { .. } => 'w',
            Request::FileList { .. } => 'p',
            _ => '?',
        };
        sent.iter().map(kind).collect()
    }

    #[test]
    fn what_is_asked_with_the_hello_is_not_asked_again_but_after_a_lost_connection() {
        let mut desired = Desired::default();
        desired.set_share(meta(9));
        desired.watch([id(1)].into());
        (2..9).for_each(|n| desired.locate(id(n)));
        for _ in 0..2 {
            desired.hello();
            let early = desired.early(Instant::now(), || Some(Vec::new()));
            assert_eq!(kinds(&early), "llllwcp");
            assert!(desired.requests.has_room());
        }
        // Wished for meanwhile.
        desired.watch([id(2)].into());
        desired.connected(false);
        let sent = accepted(&mut desired);
        assert!(matches!(&sent[0], Request::Unwatch { ids, .. } if *ids == [id(1)]), "{sent:?}");
        assert!(matches!(&sent[1], Request::Register { full: true, .. }));
        assert!(matches!(&sent[2], Request::Watch { ids, .. } if *ids == [id(2)]));
        assert_eq!(kinds(&sent[3..]), "llll", "the other half");
        // A tracker that has forgotten us meanwhile does not answer what came before.
        desired.connected(false);
        assert_eq!(kinds(&accepted(&mut desired)), "c?wl");
    }

    #[test]
    fn with_the_hello_only_little_is_asked() {
        let mut desired = Desired::default();
        desired.watch((0..100).map(id).collect());
        desired.hello();
        assert_eq!(kinds(&desired.early(Instant::now(), || None)), "llllc");
        desired.connected(true);
        assert_eq!(kinds(&accepted(&mut desired))[..2], *"wl");
    }

    #[test]
    fn what_a_download_waits_for_is_asked_with_the_hello_however_many_are_watched() {
        let mut desired = Desired::default();
        desired.watch((0..100).map(id).collect());
        let last = (0..100).map(id).max().unwrap();
        desired.locate(last);
        desired.hello();
        let first = desired.early(Instant::now(), || None).into_iter().next();
        assert!(matches!(first, Some(Request::FileLocations { id, .. }) if id == last));
        desired.connected(true);
        let located = |request: &Request| match request {
            Request::FileLocations { id, .. } => Some(*id),
            _ => None,
        };
        let rest: Vec<ContentId> = accepted(&mut desired).iter().filter_map(located).collect();
        assert_eq!((rest.len(), rest.contains(&last)), (96, false), "each once");
    }

    #[test]
    fn an_unknown_digest_sends_the_full_list_in_batches() {
        let mut desired = Desired::default();
        (0..600).for_each(|n| desired.set_share(meta(n)));
        assert!(online(&mut desired, false).is_empty());
        let sent = accepted(&mut desired);
        assert_eq!(flags(&sent), [(256, true, true), (256, true, false), (88, false, false)]);
    }

    #[test]
    fn an_empty_full_list_is_sent_so_that_old_shares_are_forgotten() {
        let mut desired = Desired::default();
        online(&mut desired, false);
        assert_eq!(flags(&accepted(&mut desired)), [(0, false, true)]);
    }

    #[test]
    fn nothing_is_registered_until_the_beginning_of_the_list_is_acknowledged() {
        let mut desired = Desired::default();
        (0..300).for_each(|n| desired.set_share(meta(n)));
        online(&mut desired, false);
        let now = Instant::now();
        let Some(Request::Register { q, full: true, .. }) = desired.next(now, || None) else {
            panic!("no register");
        };
        assert_eq!(desired.next(now, || None), None);
        let pending = desired.requests.answered(q, |_| true).unwrap();
        desired.failed(pending, Code::Busy, 200, now);
        assert_eq!(desired.next(now, || None), None, "it asked for a pause");
        assert_eq!(desired.deadline(), Some(now + Duration::from_millis(200)));
        assert_eq!(flags(&accepted(&mut desired)), [(256, true, true), (44, false, false)]);
    }

    #[test]
    fn s4_of_several_refusals_the_longest_pause_is_kept() {
        let mut desired = Desired::default();
        (0..3).for_each(|n| desired.locate(id(n)));
        online(&mut desired, true);
        let now = Instant::now();
        let asked: Vec<u32> = std::iter::from_fn(|| match desired.next(now, || None)? {
            Request::FileLocations { q, .. } | Request::Watch { q, .. } => Some(q),
            _ => None,
        })
        .collect();
        assert_eq!(asked.len(), 3);
        for (q, retry_ms) in asked.into_iter().zip([300, 7_000, 1]) {
            let pending = desired.requests.answered(q, |_| true).unwrap();
            desired.failed(pending, Code::Rate, retry_ms, now);
        }
        assert_eq!(desired.deadline(), Some(now + Duration::from_secs(7)));
        assert_eq!(desired.next(now + Duration::from_millis(6_999), || None), None);
        assert!(desired.next(now + Duration::from_secs(7), || None).is_some());
    }

    #[test]
    fn a_list_that_loses_its_last_batch_is_still_ended() {
        let mut desired = Desired::default();
        (0..257).for_each(|n| desired.set_share(meta(n)));
        online(&mut desired, false);
        let first = desired.next(Instant::now(), || None).unwrap();
        let Request::Register { q, files, more: true, .. } = first else { panic!("{first:?}") };
        let named: HashSet<_> = files.iter().map(|file| file.descriptor.id()).collect();
        (0..257).map(id).filter(|id| !named.contains(id)).for_each(|id| desired.remove_share(id));
        desired.requests.answered(q, |_| true);
        desired.registered(Vec::new(), true);
        let sent = accepted(&mut desired);
        assert_eq!(flags(&sent[..1]), [(0, false, false)]);
    }

    #[test]
    fn one_bad_share_does_not_keep_out_the_others() {
        let mut desired = Desired::default();
        (0..300).for_each(|n| desired.set_share(meta(n)));
        online(&mut desired, false);
        let bad = meta(77);
        let is_bad = |request: &Request| match request {
            Request::Register { files, .. } if files.contains(&bad) => Some(Code::BadData),
            _ => None,
        };
        let sent = drain(&mut desired, is_bad);
        let registered: usize = flags(&sent).iter().map(|(files, ..)| files).sum();
        assert_eq!(registered, 299);
        assert_eq!(flags(&sent).iter().filter(|(_, _, full)| *full).count(), 1);
        assert!(flags(&sent)[0].2 && !flags(&sent).last().unwrap().1);
    }

    #[test]
    fn a_tracker_that_takes_nothing_is_not_asked_forever() {
        let mut desired = Desired::default();
        (0..20_000).for_each(|n| desired.set_share(meta(n)));
        online(&mut desired, false);
        let asked = std::cell::Cell::new(0u32);
        let none_but_empty = |request: &Request| match request {
            Request::Register { files, .. } if !files.is_empty() => {
                asked.set(asked.get() + 1);
                Some(Code::Limit)
            }
            _ => None,
        };
        assert_eq!(flags(&drain(&mut desired, none_but_empty)), [(0, false, true)]);
        assert!(asked.get() <= 2 * MAX_SPLITS + 80, "{}", asked.get());
    }

    #[test]
    fn s5_shares_without_room_are_offered_again_and_nothing_waits_for_it() {
        let mut desired = Desired::default();
        online(&mut desired, true);
        let mut now = Instant::now();
        let ask = |desired: &mut Desired, now| match desired.next(now, || None) {
            Some(Request::Register { q, files, .. }) => Some((q, files.len())),
            _ => None,
        };
        let refuse = |desired: &mut Desired, q, retry_ms, now| {
            let pending = desired.requests.answered(q, |_| true).unwrap();
            assert!(matches!(
                desired.failed(pending, Code::Limit, retry_ms, now),
                Failed::Register(_)
            ));
        };
        desired.set_share(meta(1));
        let (q, _) = ask(&mut desired, now).unwrap();
        refuse(&mut desired, q, 600_000, now);
        assert_eq!(desired.deadline(), Some(now + Duration::from_secs(600)));
        // Others go out meanwhile.
        desired.set_share(meta(2));
        let (q, _) = ask(&mut desired, now).unwrap();
        refuse(&mut desired, q, 0, now);
        assert_eq!(desired.next(now, || None), None);
        now += Duration::from_secs(600);
        let (q, offered) = ask(&mut desired, now).expect("it was not offered again");
        assert_eq!(offered, 1, "the other one was refused for good");
        refuse(&mut desired, q, 1, now);
        assert_eq!(desired.next(now + ROOM_PAUSES.0 / 2, || None), None, "not as fast as that");
        desired.remove_share(id(1));
        assert!(ask(&mut desired, now + ROOM_PAUSES.0).is_none(), "not shared any more");
        desired.set_share(meta(3));
        let (q, _) = ask(&mut desired, now).unwrap();
        refuse(&mut desired, q, 600_000, now);
        online(&mut desired, true);
        let (_, offered) = ask(&mut desired, now).expect("a new connection tries at once");
        assert_eq!(offered, 1);
    }

    #[test]
    fn refusals_for_now_are_tried_again() {
        let mut desired = Desired::default();
        online(&mut desired, true);
        desired.set_share(meta(1));
        desired.set_partial(id(3), ChunkSet::full(1));
        desired.clear_partial(id(3));
        desired.watch([id(2)].into());
        desired.locate(id(2));
        let once = std::cell::Cell::new(4);
        let sent = drain(&mut desired, |_| {
            once.set(once.get() - 1);
            (once.get() >= 0).then_some(Code::Rate)
        });
        assert_eq!(sent.len(), 4, "{sent:?}");
    }

    #[test]
    fn locates_and_withdrawals_survive_a_lost_connection() {
        let mut desired = Desired::default();
        online(&mut desired, true);
        desired.set_partial(id(3), ChunkSet::full(1));
        desired.clear_partial(id(3));
        desired.locate(id(2));
        while desired.next(Instant::now(), || None).is_some() {}
        online(&mut desired, true);
        let sent = accepted(&mut desired);
        assert!(matches!(&sent[0], Request::Unregister { ids, .. } if *ids == [id(3)]));
        assert!(matches!(&sent[1], Request::FileLocations { id: at, .. } if *at == id(2)));
    }

    #[test]
    fn a_damaged_share_is_told_after_its_registration() {
        let mut desired = Desired::default();
        online(&mut desired, true);
        desired.set_share(meta(1));
        desired.set_partial(id(1), ChunkSet::empty(1));
        assert_eq!(desired.next_progress(), None, "the registration would undo it");
        assert_eq!(accepted(&mut desired).len(), 1);
        assert!(desired.next_progress().is_some());
        desired.resend(&[id(1)]);
        assert_eq!(desired.next_progress(), None);
        accepted(&mut desired);
        assert!(desired.next_progress().is_some());
        desired.set_share(meta(1));
        accepted(&mut desired);
        assert_eq!(desired.next_progress(), None, "mended");
    }

    #[test]
    fn watches_are_told_as_differences_and_again_after_a_reconnect() {
        let mut desired = Desired::default();
        online(&mut desired, true);
        let (a, b) = (id(1), id(2));
        desired.watch([a].into());
        assert!(
            matches!(accepted(&mut desired).as_slice(), [Request::Watch { ids, .. }] if *ids == [a])
        );
        desired.watch([b].into());
        let sent = accepted(&mut desired);
        assert!(matches!(&sent[0], Request::Unwatch { ids, .. } if *ids == [a]));
        assert!(matches!(&sent[1], Request::Watch { ids, .. } if *ids == [b]));
        assert!(desired.is_watched(&b) && !desired.is_watched(&a));
        online(&mut desired, true);
        let sent = accepted(&mut desired);
        assert!(matches!(&sent[0], Request::Watch { ids, .. } if *ids == [b]));
        assert!(matches!(&sent[1], Request::FileLocations { id, .. } if *id == b));
    }

    #[test]
    fn of_too_many_watches_the_present_ones_stay() {
        let mut desired = Desired::default();
        let many: HashSet<_> = (0..2000).map(id).collect();
        desired.watch(many.clone());
        let first = desired.watched.clone();
        assert_eq!(first.len(), MAX_WATCHES);
        desired.watch(many);
        assert_eq!(desired.watched, first);
    }

    /// What a tracker would make of everything it accepts.
    #[derive(Default)]
    struct Model {
        shares: BTreeSet<ContentId>,
        watched: BTreeSet<ContentId>,
        list: Option<BTreeSet<ContentId>>,
    }

    impl Model {
        fn accept(&mut self, request: &Request) {
            match request {
                Request::Register { files, more, full, .. } => {
                    let ids: Vec<_> = files.iter().map(|file| file.descriptor.id()).collect();
                    if *full {
                        self.list = Some(BTreeSet::new());
                    }
                    self.shares.extend(&ids);
                    if let Some(list) = &mut self.list {
                        list.extend(&ids);
                    }
                    if !more && let Some(list) = self.list.take() {
                        self.shares = list;
                    }
                }
                Request::Unregister { ids, .. } => {
                    for id in ids {
                        self.shares.remove(id);
                    }
                }
                Request::Watch { ids, .. } => self.watched.extend(ids),
                Request::Unwatch { ids, .. } => {
                    for id in ids {
                        self.watched.remove(id);
                    }
                }
                _ => {}
            }
        }
    }

    proptest! {
        /// Whatever happens in whatever order: in the end the tracker knows what it should.
        #[test]
        fn the_tracker_ends_up_knowing_what_is_desired(
            steps in prop::collection::vec((0u8..7, 0u16..8, any::<bool>()), 1..60),
        ) {
            let mut desired = Desired::default();
            let mut model = Model::default();
            let mut shares = BTreeSet::new();
            desired.hello();
            desired.connected(false);
            for (what, n, flag) in steps {
                match what {
                    0 => {
                        desired.set_share(meta(n));
                        shares.insert(id(n));
                    }
                    1 => {
                        desired.remove_share(id(n));
                        shares.remove(&id(n));
                    }
                    2 => desired.watch([id(n), id(n / 2)].into()),
                    3 => {
                        // One message gets through, and its answer or a refusal.
                        let now = Instant::now() + PAUSES.1 * 2;
                        if let Some(request) = desired.next(now, || None) {
                            let last = desired.requests.ask(Pending::Ping, now);
                            desired.requests.answered(last, |_| true);
                            let pending = desired.requests.answered(last.wrapping_sub(1), |_| true);
                            match pending {
                                Some(pending) if flag => drop(desired.failed(pending, Code::Rate, 0, Instant::now())),
                                Some(Pending::Register { ids, begins }) => {
                                    model.accept(&request);
                                    desired.registered(ids, begins);
                                }
                                _ => model.accept(&request),
                            }
                        }
                    }
                    4 => {
                        // A new connection; watches ended with the old one.
                        desired.hello();
                        let share_ok = model.list.is_none() && model.shares == shares;
                        model.list = None;
                        model.watched.clear();
                        if flag {
                            let early = desired.early(Instant::now(), || None);
                            early.iter().for_each(|request| model.accept(request));
                            let last = desired.requests.ask(Pending::Ping, Instant::now());
                            (0..=last).for_each(|q| _ = desired.requests.answered(q, |_| true));
                        }
                        desired.connected(share_ok);
                    }
                    _ => {}
                }
            }
            for request in drain(&mut desired, |_| None) {
                model.accept(&request);
            }
            prop_assert_eq!(&model.shares, &shares);
            let watched: BTreeSet<_> = desired.watched.iter().copied().collect();
            prop_assert_eq!(&model.watched, &watched);
        }
    }
}
