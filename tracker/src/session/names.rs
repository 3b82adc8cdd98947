//! Names of the files inside folders: who tells them, and who looks for folders by them.

use common::id::ContentId;
use common::wire::Code;
use common::wire::tracker::Reply;

use super::rate::Work;
use super::requests::DISK_RETRY_MS;
use super::{End, Session};

/// Bytes of a list of files that take as long to check as an entry takes to be gone through.
const BYTES_PER_ENTRY: usize = 64;

impl Session<'_> {
    /// A peer may tell names, or no longer.
    pub(super) async fn offer_names(
        &mut self,
        q: u32,
        ids: &[ContentId],
        withdraw: bool,
    ) -> Result<(), End> {
        self.charge(Work::Touched, ids.len());
        let id = self.id;
        let outcome = self.shared.change_soft(|index| index.offer_names(id, ids, withdraw)).await;
        match outcome.map_err(|error| self.refuse(Code::LocalIo, &error.to_string()))? {
            Ok(ids) => {
                self.outbox.push(&Reply::NamesWanted { q, ids });
                Ok(())
            }
            Err(refusal) => self.answer(q, Err(refusal)),
        }
    }

    /// A peer tells the names of the files inside a folder.
    pub(super) async fn give_names(
        &mut self,
        q: u32,
        folder: ContentId,
        manifest: Vec<u8>,
    ) -> Result<(), End> {
        if self.shared.is_full() {
            let text = "the tracker's disk is full or failing; names are not taken";
            self.fail(q, Code::LocalIo, text, DISK_RETRY_MS);
            return Ok(());
        }
        // Also for what is refused.
        self.charge(Work::Touched, 1 + manifest.len() / BYTES_PER_ENTRY);
        let id = self.id;
        let descriptor = match self.shared.with_index(|index| index.names_wanted(id, &folder)) {
            Ok(Some(descriptor)) => descriptor,
            Ok(None) => return self.answer(q, Ok(())),
            Err(refusal) => return self.answer(q, Err(refusal)),
        };
        let told = match self.shared.read_names(manifest, descriptor).await {
            Ok(told) => told,
            Err(refusal) => return self.answer(q, Err(refusal)),
        };
        let outcome = self.shared.change(|index| index.give_names(id, &folder, told)).await;
        self.await_commit(q, outcome, |touched| *touched)
    }

    /// Looks for folders by the files inside.
    pub(super) async fn find(&mut self, q: u32, query: &str, limit: usize) -> Result<(), End> {
        let begun = self.shared.with_index(|index| index.find(query, limit));
        let mut find = match begun {
            Ok(find) => find,
            Err(refusal) => return self.answer(q, Err(refusal)),
        };
        let control = &self.control;
        let found = self.shared.find(&mut find, || control.closing().is_some()).await;
        self.looked(find.looked());
        if let Some(found) = found {
            self.outbox.push(&Reply::Found { q, rows: found.rows, more: found.more });
        }
        Ok(())
    }
}
