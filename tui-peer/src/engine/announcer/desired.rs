//! What the tracker should know of us, and the messages that get it there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use common::chunk_set::ChunkSet;
use common::id::{ContentId, Hash};
use common::limits::{DEFAULT_LOCATIONS, MAX_CHUNK_REGISTER, MAX_REGISTER, MAX_WATCHES};
use common::wire::tracker::{ChunkUpdate, FileMeta, Request, share_digest};

/// Requests without an answer; more wait.
const IN_FLIGHT: usize = 8;

/// Desired state and what of it the tracker has been told on this connection.
#[derive(Debug, Default)]
pub(super) struct Desired {
    shares: BTreeMap<ContentId, FileMeta>,
    partials: HashMap<ContentId, Partial>,
    watched: HashSet<ContentId>,

    /// Not told yet.
    register: BTreeSet<ContentId>,
    unregister: BTreeSet<ContentId>,
    watch: BTreeSet<ContentId>,
    unwatch: BTreeSet<ContentId>,
    locate: VecDeque<ContentId>,
    /// Shares that were in the last digest, and so in what the tracker says it knows.
    in_digest: BTreeSet<ContentId>,
    /// The next REGISTER starts a full list.
    full: bool,
    next_q: u32,
    pending: HashMap<u32, Pending>,
}

#[derive(Debug)]
struct Partial {
    set: ChunkSet,
    /// New since the last CHUNK_REGISTER.
    news: Vec<u32>,
    /// The tracker must be told all of it.
    full: bool,
}

/// A request that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pending {
    Register(Vec<ContentId>),
    Unregister,
    Locate(ContentId),
    Watch,
    List,
    Ping,
    Leave,
}

impl Desired {
    pub(super) fn set_share(&mut self, meta: FileMeta) {
        let id = meta.descriptor.id();
        self.unregister.remove(&id);
        self.register.insert(id);
        self.shares.insert(id, meta);
    }

    pub(super) fn remove_share(&mut self, id: ContentId) {
        if self.shares.remove(&id).is_some() {
            self.register.remove(&id);
            self.unregister.insert(id);
        }
    }

    pub(super) fn set_partial(&mut self, id: ContentId, set: ChunkSet) {
        self.partials.insert(id, Partial { set, news: Vec::new(), full: true });
    }

    pub(super) fn add_chunks(&mut self, id: ContentId, chunks: &[u32]) {
        if let Some(partial) = self.partials.get_mut(&id) {
            let news = chunks.iter().copied().filter(|chunk| partial.set.insert(*chunk));
            let news: Vec<u32> = news.collect();
            partial.news.extend(news);
        }
    }

    pub(super) fn clear_partial(&mut self, id: ContentId) {
        if self.partials.remove(&id).is_some() && !self.shares.contains_key(&id) {
            // The tracker forgets the chunks with the registration.
            self.unregister.insert(id);
        }
    }

    pub(super) fn locate(&mut self, id: ContentId) {
        if !self.locate.contains(&id) {
            self.locate.push_back(id);
        }
    }

    pub(super) fn watch(&mut self, ids: HashSet<ContentId>) {
        let ids: HashSet<ContentId> = ids.into_iter().take(MAX_WATCHES).collect();
        for id in ids.difference(&self.watched) {
            self.unwatch.remove(id);
            self.watch.insert(*id);
        }
        for id in self.watched.difference(&ids) {
            self.watch.remove(id);
            self.unwatch.insert(*id);
        }
        self.watched = ids;
    }

    /// What the tracker compares with what it remembers of us. Shares that come later are not in it.
    pub(super) fn digest(&mut self) -> Hash {
        self.in_digest = self.shares.keys().copied().collect();
        self.register.clear();
        share_digest(self.shares.iter().map(|(id, meta)| (*id, meta.name.as_str())))
    }

    /// A new connection: everything is to be told again, shares only if the digest did not match.
    /// Returns shares that the tracker knows already.
    pub(super) fn connected(&mut self, share_ok: bool) -> Vec<ContentId> {
        self.pending.clear();
        self.unregister.clear();
        self.unwatch.clear();
        let (known, new): (BTreeSet<ContentId>, BTreeSet<ContentId>) = self
            .shares
            .keys()
            .partition(|id| share_ok && self.in_digest.contains(id) && !self.register.contains(id));
        self.register = new;
        self.full = !share_ok;
        self.watch = self.watched.iter().copied().collect();
        for id in &self.watched {
            if !self.locate.contains(id) {
                self.locate.push_back(*id);
            }
        }
        for partial in self.partials.values_mut() {
            partial.full = true;
        }
        known.into_iter().collect()
    }

    /// Shares named here are to be registered again, partial ones told in full.
    pub(super) fn resend(&mut self, ids: &[ContentId]) {
        for id in ids {
            if self.shares.contains_key(id) {
                self.register.insert(*id);
            }
            if let Some(partial) = self.partials.get_mut(id) {
                partial.full = true;
            }
        }
    }

    /// A request that needs an answer, numbered.
    pub(super) fn ask(&mut self, pending: Pending) -> u32 {
        self.next_q = self.next_q.wrapping_add(1).max(1);
        self.pending.insert(self.next_q, pending);
        self.next_q
    }

    /// The request an answer belongs to.
    pub(super) fn answered(&mut self, q: u32) -> Option<Pending> {
        self.pending.remove(&q)
    }

    /// A registration failed for now: it is tried again with the next message.
    pub(super) fn retry(&mut self, pending: Pending) {
        match pending {
            Pending::Register(ids) => {
                self.register.extend(ids.iter().filter(|id| self.shares.contains_key(id)));
            }
            Pending::Locate(id) => self.locate(id),
            _ => {}
        }
    }

    /// The next message to send at once, if any and if not too much waits for answers.
    pub(super) fn next(&mut self) -> Option<Request> {
        if self.pending.len() >= IN_FLIGHT {
            return None;
        }
        // Registrations of a full list go out before anything that depends on it.
        if self.full || !self.register.is_empty() {
            let ids: Vec<ContentId> = self.register.iter().copied().take(MAX_REGISTER).collect();
            let files = ids.iter().filter_map(|id| self.shares.get(id)).cloned().collect();
            for id in &ids {
                self.register.remove(id);
            }
            let (full, more) = (std::mem::take(&mut self.full), !self.register.is_empty());
            let q = self.ask(Pending::Register(ids));
            return Some(Request::Register { q, files, more, full });
        }
        if !self.unregister.is_empty() {
            let ids: Vec<ContentId> = self.unregister.iter().copied().take(MAX_REGISTER).collect();
            for id in &ids {
                self.unregister.remove(id);
            }
            let q = self.ask(Pending::Unregister);
            return Some(Request::Unregister { q, ids });
        }
        if !self.unwatch.is_empty() {
            let ids = std::mem::take(&mut self.unwatch).into_iter().collect();
            return Some(Request::Unwatch { catalogue: false, ids });
        }
        if !self.watch.is_empty() {
            let ids = std::mem::take(&mut self.watch).into_iter().collect();
            let q = self.ask(Pending::Watch);
            return Some(Request::Watch { q, catalogue: false, ids });
        }
        let id = self.locate.pop_front()?;
        let q = self.ask(Pending::Locate(id));
        let want = u16::try_from(DEFAULT_LOCATIONS).unwrap_or(u16::MAX);
        Some(Request::FileLocations { q, id, want })
    }

    /// Whether [`progress`](Self::progress) has something to say.
    pub(super) fn has_progress(&self) -> bool {
        self.partials.values().any(|partial| partial.full || !partial.news.is_empty())
    }

    /// Progress since the last time, if there is any.
    pub(super) fn progress(&mut self) -> Option<Request> {
        let mut files = Vec::new();
        for (id, partial) in &mut self.partials {
            if files.len() >= MAX_CHUNK_REGISTER {
                break;
            }
            let news = std::mem::take(&mut partial.news);
            let full = std::mem::take(&mut partial.full);
            if !full && news.is_empty() {
                continue;
            }
            let (chunks, total) = (partial.set.chunks(), partial.set.count());
            let set = if full {
                partial.set.encode()
            } else {
                let mut delta = ChunkSet::empty(chunks);
                for chunk in news {
                    delta.insert(chunk);
                }
                delta.encode()
            };
            files.push(ChunkUpdate { id: *id, set, chunks, total, full });
        }
        (!files.is_empty()).then_some(Request::ChunkRegister { files })
    }
}

#[cfg(test)]
mod tests {
    use common::content::{Descriptor, Kind};

    use super::*;

    fn meta(n: u8) -> FileMeta {
        let descriptor = Descriptor { kind: Kind::File, size: 1, root: Hash::from_bytes([n; 32]) };
        FileMeta { descriptor, name: format!("f{n}"), total: 1, chunks: 1 }
    }

    fn drain(desired: &mut Desired) -> Vec<Request> {
        let mut all = Vec::new();
        while let Some(request) = desired.next() {
            for q in desired.pending.keys().copied().collect::<Vec<_>>() {
                desired.answered(q);
            }
            all.push(request);
        }
        all
    }

    #[test]
    fn a_matching_digest_sends_no_registration() {
        let mut desired = Desired::default();
        (0..5).for_each(|n| desired.set_share(meta(n)));
        desired.digest();
        assert_eq!(desired.connected(true).len(), 5);
        assert!(drain(&mut desired).is_empty());
    }

    #[test]
    fn a_share_made_while_the_tracker_looked_at_the_digest_is_registered() {
        let mut desired = Desired::default();
        desired.set_share(meta(1));
        desired.digest();
        desired.set_share(meta(2));
        assert_eq!(desired.connected(true), [meta(1).descriptor.id()]);
        assert!(matches!(
            drain(&mut desired).as_slice(),
            [Request::Register { files, full: false, .. }] if *files == [meta(2)]
        ));
    }

    #[test]
    fn an_unknown_digest_sends_the_full_list_in_batches() {
        let mut desired = Desired::default();
        for n in 0..=255u8 {
            desired.set_share(meta(n));
            let mut other = meta(n);
            other.descriptor.size = 2;
            desired.set_share(other);
        }
        desired.connected(false);
        let sent = drain(&mut desired);
        let flags: Vec<_> = sent
            .iter()
            .map(|r| match r {
                Request::Register { files, more, full, .. } => (files.len(), *more, *full),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(flags, [(256, true, true), (256, false, false)]);
    }

    #[test]
    fn an_empty_full_list_is_sent_so_that_old_shares_are_forgotten() {
        let mut desired = Desired::default();
        desired.connected(false);
        assert!(matches!(
            drain(&mut desired).as_slice(),
            [Request::Register { files, more: false, full: true, .. }] if files.is_empty()
        ));
    }

    #[test]
    fn progress_is_a_delta_after_the_first_full_set() {
        let mut desired = Desired::default();
        let id = meta(1).descriptor.id();
        desired.set_partial(id, ChunkSet::empty(10));
        let total = |request: Option<Request>| match request {
            Some(Request::ChunkRegister { files }) => {
                let set = ChunkSet::decode(10, &files[0].set).unwrap();
                (files[0].full, files[0].total, set.count())
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(total(desired.progress()), (true, 0, 0));
        assert_eq!(desired.progress(), None);
        desired.add_chunks(id, &[1, 2]);
        desired.add_chunks(id, &[2, 3]);
        assert_eq!(total(desired.progress()), (false, 3, 3));
        desired.resend(&[id]);
        assert_eq!(total(desired.progress()), (true, 3, 3));
    }

    #[test]
    fn watches_are_told_as_differences_and_again_after_a_reconnect() {
        let mut desired = Desired::default();
        let (a, b) = (meta(1).descriptor.id(), meta(2).descriptor.id());
        desired.watch([a].into());
        assert!(
            matches!(drain(&mut desired).as_slice(), [Request::Watch { ids, .. }] if *ids == [a])
        );
        desired.watch([b].into());
        assert_eq!(drain(&mut desired).len(), 2);
        desired.connected(true);
        let sent = drain(&mut desired);
        assert!(matches!(&sent[0], Request::Watch { ids, .. } if *ids == [b]));
        assert!(matches!(&sent[1], Request::FileLocations { id, .. } if *id == b));
    }
}
