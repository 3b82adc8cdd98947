//! Progress of unfinished downloads.

use common::chunk_set::ChunkSet;
use common::id::ContentId;
use common::wire::Code;
use common::wire::tracker::ChunkUpdate;

use super::peer::Have;
use super::quota::wide;
use super::usage::ENTRY_BYTES;
use super::{Index, Refusal, SessionId};

/// Memory for the chunk sets of one peer: 32 downloads of the largest folder in the worst pattern, or
/// thousands of ordinary ones. Updates beyond it are not taken over.
const MAX_SET_BYTES: usize = 8 * 1024 * 1024;

/// Contents that nobody has registered, remembered per session: downloads that a tracker which lost its
/// records is told of before their seeds are back.
const MAX_ORPHANS: usize = 256;

impl Index {
    /// Takes over what a peer has verified. Returns the contents whose full sets it should send again,
    /// because an update in between was lost. Contents nobody has registered are
    /// asked for again when somebody does.
    ///
    /// # Errors
    /// [`Refusal`] for a malformed set or a replaced session; updates before it are taken over.
    pub fn chunk_register(
        &mut self,
        session: SessionId,
        updates: &[ChunkUpdate],
    ) -> Result<Vec<ContentId>, Refusal> {
        let peer = self.come_back(session)?;
        let mut resend = Vec::new();
        for update in updates {
            let set = ChunkSet::decode(update.chunks, &update.set).map_err(|error| {
                Refusal::new(Code::Protocol, format!("chunk set of {}: {error}", update.id.short()))
            })?;
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
        let Some(file) = self.by_id.get(&update.id).copied() else {
            self.remember_orphan(session, update.id);
            return Verdict::Taken;
        };
        let (Some(row), Some(owner)) = (self.files.get(file), self.peers.get(peer)) else {
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
                for run in new.runs() {
                    sum.insert_run(run.start, run.end.saturating_sub(run.start));
                }
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
