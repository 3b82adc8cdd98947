//! Registering complete contents, and taking registrations back.

use common::content::Kind;
use common::id::ContentId;
use common::layout::Layout;
use common::limits::MAX_CONTENT_SIZE;
use common::names::{check_component, show};
use common::net::AddrGroup;
use common::wire::Code;
use common::wire::tracker::FileMeta;

use super::entry::Have;
use super::file::File;
use super::{Index, Refusal, SessionId, replaced};
use crate::record::{Change, FileRecord};

/// Sources of a folder that are seen out, one after the other, when somebody claims something else of it; if there are
/// more of them just going, the old claim counts until the next one comes.
const CLAIMANTS: usize = 16;

impl Index {
    /// A peer has these completely. With `full` a list begins that replaces all it had registered; the
    /// list goes on while `more` is set. Returns how many entries were touched.
    ///
    /// # Errors
    /// [`Refusal`] for impossible claims, too many files, what the peer has no right to share, or a replaced session.
    pub fn register(
        &mut self,
        now_ms: u64,
        session: SessionId,
        files: &[FileMeta],
        more: bool,
        full: bool,
    ) -> Result<usize, Refusal> {
        files.iter().try_for_each(check_claim)?;
        let ids: Vec<ContentId> = files.iter().map(|meta| meta.descriptor.id()).collect();
        let peer = self.session_peer(session).ok_or_else(replaced)?;
        self.check_right(peer, files, &ids)?;
        self.check_shares(self.peers.get(peer).ok_or_else(replaced)?, files, &ids, full)?;
        self.come_back(session)?;
        let owner = self.peers.get_mut(peer).ok_or_else(replaced)?;
        if full {
            owner.generation = owner.generation.wrapping_add(1);
            owner.listing = Some(0);
        }
        if let Some(named) = &mut owner.listing {
            *named += files.len();
        }
        let (generation, group) = (owner.generation, owner.group);
        for (meta, id) in files.iter().zip(ids) {
            // What the peer had to do with it may just be over, and the row with that.
            if let Some(file) = self.row_of(&id) {
                self.catch_up(peer, file);
            }
            let file = self.file_or_new(id, || record_of(meta, now_ms, group));
            self.set_share(peer, file, &meta.name, generation);
            // Now that the row is held: seeing others out could be its end.
            self.adopt_claim(file, meta);
            self.set_have(peer, file, Have::All);
        }
        let looked = if more { 0 } else { self.finish_list(peer) };
        Ok(files.len().saturating_add(looked))
    }

    /// Who may only read registers what others have registered.
    fn check_right(&self, peer: u32, files: &[FileMeta], ids: &[ContentId]) -> Result<(), Refusal> {
        let owner = self.peers.get(peer).ok_or_else(replaced)?;
        if !self.reads_only(&owner.id) {
            return Ok(());
        }
        let new = files.iter().zip(ids).find(|(_, id)| self.row_of(id).is_none());
        new.map_or(Ok(()), |(meta, _)| {
            let text = format!(
                "{}: you may read here, not share; ask the network's owner for an invitation to share",
                short(&meta.name)
            );
            Err(Refusal::new(Code::NotPermitted, text))
        })
    }

    /// A peer no longer has these: neither as shares nor in part.
    ///
    /// # Errors
    /// If the session was replaced.
    pub fn unregister(&mut self, session: SessionId, ids: &[ContentId]) -> Result<(), Refusal> {
        let peer = self.session_peer(session).ok_or_else(replaced)?;
        self.judge_unheard(peer);
        for id in ids {
            if let Some(file) = self.row_of(id) {
                self.drop_entry(peer, file);
            }
        }
        Ok(())
    }

    /// What a folder's numbers are said to be: the first claim counts while the folder has sources.
    fn adopt_claim(&mut self, file: u32, meta: &FileMeta) {
        let says = |row: &File| (row.total, row.chunks) == (meta.total, meta.chunks);
        if self.files.get(file).is_none_or(says) {
            return;
        }
        // Those that are sources no more, and are just going, keep no claim alive.
        for _ in 0..CLAIMANTS {
            let first = self.files.get(file).and_then(|row| row.swarm.first());
            let Some(peer) = first.filter(|peer| self.member(*peer, file).is_none()) else { break };
            self.catch_up(peer, file);
        }
        let Some(row) = self.files.get_mut(file) else { return };
        if row.swarm.is_empty() {
            (row.total, row.chunks) = (meta.total, meta.chunks);
            self.catalogue.note(file, row);
            let id = row.id;
            self.changes.push(Change::File(id, row.record()));
            self.touch_row(id);
        }
    }

    /// The last part of a full list has come: whatever it did not name is registered no longer. Returns how
    /// many entries are looked at.
    fn finish_list(&mut self, peer: u32) -> usize {
        let Some(owner) = self.peers.get_mut(peer) else { return 0 };
        if owner.listing.take().is_none() {
            return 0;
        }
        let looked = owner.files.len();
        owner.rules.end_list(owner.generation);
        self.go_through(peer);
        if self.peers.get(peer).is_some_and(|owner| owner.pass.is_some()) {
            // It may be of shares that are just going.
            self.forget_digest(peer);
        }
        looked
    }
}

fn record_of(meta: &FileMeta, now_ms: u64, only: Option<AddrGroup>) -> FileRecord {
    FileRecord {
        descriptor: meta.descriptor,
        name: meta.name.clone(),
        total: meta.total,
        chunks: meta.chunks,
        first_seen: now_ms / 1000,
        only,
        origin: None,
    }
}

/// Refuses what cannot be true whoever says it.
fn check_claim(meta: &FileMeta) -> Result<(), Refusal> {
    let bad = |why: String| Refusal::new(Code::BadData, format!("{}: {why}", short(&meta.name)));
    check_component(&meta.name).map_err(|error| bad(error.to_string()))?;
    if !meta.descriptor.is_sane() {
        return Err(bad("its size is not possible".to_owned()));
    }
    match meta.descriptor.kind {
        Kind::File => {
            let layout =
                Layout::for_file(meta.descriptor.size).map_err(|error| bad(error.to_string()))?;
            if (meta.total, meta.chunks) != (meta.descriptor.size, layout.chunks()) {
                return Err(bad(format!(
                    "a file of {} bytes has {} chunks, not {}",
                    meta.descriptor.size,
                    layout.chunks(),
                    meta.chunks
                )));
            }
        }
        Kind::Folder if meta.total > MAX_CONTENT_SIZE => {
            return Err(bad(format!("a folder cannot have {} bytes", meta.total)));
        }
        Kind::Folder => {}
    }
    Ok(())
}

/// Enough of a name to recognise it, within the length of an error text.
fn short(name: &str) -> String {
    show(&name.chars().take(40).collect::<String>())
}
