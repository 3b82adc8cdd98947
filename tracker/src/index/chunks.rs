//! Progress of unfinished downloads.

use common::chunk_set::ChunkSet;
use common::id::ContentId;
use common::wire::Code;
use common::wire::tracker::ChunkUpdate;

use super::entry::Have;
use super::quota::wide;
use super::usage::ENTRY_BYTES;
use super::{Index, Refusal, SessionId};

/// Memory for the chunk sets of one peer: 32 downloads of the largest folder in the worst pattern, or
/// thousands of ordinary ones. Updates beyond it are not taken over.
const MAX_SET_BYTES: usize = 8 * 1024 * 1024;

/// Contents that nobody has registered, remembered per session: downloads that a tracker which lost its
/// records is told of before their seeds are back.
const MAX_ORPHANS: usize = 256;

/// What takes one [`Work::Touched`](crate::Work): an entry, or so many bytes of sets that are read, merged and kept.
const COST_BYTES: usize = 1024;

/// Costs of the updates that are taken over while the index is held once, at which no more are added: a peer may
/// name the largest folder 256 times in one message. One such set costs 513, and 2048 are 1 ms.
const MERGE_SLICE: usize = 2048;

/// One update of a peer, read and checked. That takes no index.
#[derive(Debug)]
pub struct Progress<'a> {
    update: &'a ChunkUpdate,
    set: ChunkSet,
}

impl<'a> Progress<'a> {
    /// Reads updates in order.
    ///
    /// # Errors
    /// [`Refusal`] for a malformed set.
    pub fn read(updates: &'a [ChunkUpdate]) -> Result<Vec<Self>, Refusal> {
        let read_one = |update: &'a ChunkUpdate| {
            let set = ChunkSet::decode(update.chunks, &update.set).map_err(|error| {
                Refusal::new(Code::Protocol, format!("chunk set of {}: {error}", update.id.short()))
            })?;
            Ok(Self { update, set })
        };
        updates.iter().map(read_one).collect()
    }
}

/// Splits off what may be taken over in one go, and says what it costs.
pub(crate) fn merge_slice(updates: &[ChunkUpdate]) -> (&[ChunkUpdate], &[ChunkUpdate], usize) {
    let (mut taken, mut cost) = (0, 0usize);
    for update in updates {
        if cost >= MERGE_SLICE {
            break;
        }
        taken += 1;
        cost = cost.saturating_add(cost_of(update));
    }
    let (now, later) = updates.split_at_checked(taken).unwrap_or((updates, &[]));
    (now, later, cost)
}

/// What an update costs at most: no set, old or new, takes more than a bit per chunk, and a list of runs becomes
/// a bitmap before it takes more.
fn cost_of(update: &ChunkUpdate) -> usize {
    let old_and_new = 2 * update.chunks.div_ceil(8) as usize;
    1 + old_and_new.saturating_add(update.set.len()) / COST_BYTES
}

impl Index {
    /// Takes over what a peer has verified, as [`Progress::read`] made it of its words. Returns the contents whose full sets it should send again,
    /// because an update in between was lost. Contents nobody has registered are
    /// asked for again when somebody does.
    ///
    /// # Errors
    /// [`Refusal`] for a replaced session.
    pub fn chunk_register(
        &mut self,
        session: SessionId,
        updates: Vec<Progress<'_>>,
    ) -> Result<Vec<ContentId>, Refusal> {
        let peer = self.come_back(session)?;
        let mut resend = Vec::new();
        for Progress { update, set } in updates {
            if self.merge(session, peer, update, set) == Verdict::Lost {
                resend.push(update.id);
            }
        }
        Ok(resend)
    }

    /// Asks those who had chunks of a content before it was registered to say so again.
    pub(super) fn adopt_orphans(&mut self, id: ContentId) {
        for session in self.orphans.remove(&id).into_iter().flatten() {
            if let Some(viewer) = self.sessions.get_mut(&session)
                && viewer.orphans.remove(&id)
            {
                viewer.resend.push(id);
                self.to_wake.insert(session);
            }
        }
    }

    /// Forgets what a session said about contents that nobody has registered.
    pub(super) fn forget_orphans(&mut self, session: SessionId) {
        let Some(viewer) = self.sessions.get_mut(&session) else { return };
        for id in std::mem::take(&mut viewer.orphans) {
            if let Some(sessions) = self.orphans.get_mut(&id) {
                sessions.retain(|other| *other != session);
                if sessions.is_empty() {
                    self.orphans.remove(&id);
                }
            }
        }
    }

    fn remember_orphan(&mut self, session: SessionId, id: ContentId) {
        let Some(viewer) = self.sessions.get_mut(&session) else { return };
        if viewer.orphans.len() < MAX_ORPHANS && viewer.orphans.insert(id) {
            self.orphans.entry(id).or_default().push(session);
        }
    }

    fn merge(
        &mut self,
        session: SessionId,
        peer: u32,
        update: &ChunkUpdate,
        new: ChunkSet,
    ) -> Verdict {
        let Some(file) = self.row_of(&update.id) else {
            self.remember_orphan(session, update.id);
            return Verdict::Taken;
        };
        self.catch_up(peer, file);
        let (Some(row), Some(owner)) = (self.files.get(file), self.peers.get(peer)) else {
            // It was the last one that had something to do with it, and that is over.
            self.remember_orphan(session, update.id);
            return Verdict::Taken;
        };
        // A set about another number of chunks means nothing here: somebody lies about the folder.
        if row.chunks != update.chunks || row.chunks == 0 {
            return Verdict::Taken;
        }
        let entry = owner.files.get(&file);
        let next = match entry.map(|entry| &entry.have) {
            Some(Have::All) if !update.full => {
                return if update.total == row.chunks { Verdict::Taken } else { Verdict::Lost };
            }
            Some(Have::Some(old)) if !update.full && old.chunks() == new.chunks() => {
                let mut sum = ChunkSet::clone(old);
                sum.union_with(&new);
                sum
            }
            _ => new,
        };
        let lost = !update.full && next.count() != update.total;
        let next = Have::from(next);
        let before = entry.map_or(0, |entry| entry.have.heap_bytes());
        let more = wide(next.heap_bytes().saturating_sub(before))
            + if entry.is_none() { ENTRY_BYTES } else { 0 };
        let fits = owner.set_bytes.saturating_sub(before) + next.heap_bytes() <= MAX_SET_BYTES
            && (entry.is_some() || owner.files.len() < self.limits.files_per_peer)
            && self.check_bytes(owner, more).is_ok();
        let registered = entry.is_some_and(|entry| entry.share.is_some());
        if !registered && matches!(next, Have::Nothing) {
            self.drop_entry(peer, file);
        } else if fits {
            self.set_have(peer, file, next);
        }
        if lost { Verdict::Lost } else { Verdict::Taken }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Taken,
    Lost,
}

#[cfg(test)]
mod tests {
    use common::limits::MAX_FOLDER_CHUNKS;

    use super::*;

    #[test]
    fn s4_the_largest_sets_are_paid_for_and_never_merged_in_one_go() {
        let update = |chunks: u32, len: usize| ChunkUpdate {
            id: ContentId::from_bytes([1; 32]),
            set: vec![0; len],
            chunks,
            total: 0,
            full: false,
        };
        // What a peer says every second of ordinary downloads costs what it did.
        let usual = vec![update(2048, 12); 256];
        let (now, later, cost) = merge_slice(&usual);
        assert_eq!((now.len(), later.len(), cost), (256, 0, 256));
        let largest = vec![update(MAX_FOLDER_CHUNKS, 64); 256];
        let (now, later, cost) = merge_slice(&largest);
        assert_eq!((now.len(), later.len(), cost), (4, 252, 4 * 513));
        let (mut rest, mut all) = (&largest[..], 0);
        while !rest.is_empty() {
            let (_, later, cost) = merge_slice(rest);
            (rest, all) = (later, all + cost);
        }
        assert_eq!(all, 256 * 513);
        assert_eq!(merge_slice(&[update(0, 64 * 1024)]).2, 65);
        assert_eq!(merge_slice(&[]).2, 0);
    }
}
