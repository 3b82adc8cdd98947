//! Sharing: what the user offers, and restoring what was shared before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::content::Kind;
use common::id::ContentId;

use super::Session;
use super::content::{Content, Role, Share, ShareState};
use super::done::Done;
use super::download::Phase;
use super::hashing::Order;
use super::helpers::Place;
use super::moves::NO_DOWNLOAD;
use super::undo::Superseded;
use super::write_queue::unkept_words;
use crate::api::command::{CommandError, CommandErrorKind, Reply};
use crate::api::event::{Level, Target, What};
use crate::disk::{FileTree, SharedFiles};
use crate::library::{
    self, Check, DownloadOptions, Library, LibraryError, Prepared, Scope, ShareRecord,
};
use swarm::event::{Input, Ready};

/// Remembered shares looked at by one thread before it reports. As many for each place in the queue of results may
/// wait for the session, some hundred bytes each.
const RESTORED_AT_ONCE: usize = 16;

/// A remembered share after a look at the disk.
pub(super) enum Restored {
    Unchanged {
        prepared: Box<Prepared>,
        downloaded: bool,
    },
    /// It was found damaged in an earlier run.
    Damaged(ShareRecord),
    Changed(ShareRecord),
    /// It looks unchanged, but was written so shortly before it was hashed that it may not be.
    Young(ShareRecord),
    Gone(ShareRecord),
    /// The library could be read at the start and cannot any more.
    Unread(PathBuf, LibraryError),
}

impl Session {
    /// Shares what really lies at `path`, unless that is done or under way: of a folder that was shared before the
    /// files that were. What is known to be damaged stays off the network.
    pub(super) fn share_real(&mut self, path: PathBuf, name: Option<String>) {
        self.share_unless_shared(path, Order { name, known: None, scope: Scope::Known });
    }

    /// The same as the user's word: whatever lies there now is what is meant.
    pub(super) fn share_as_it_is(&mut self, path: PathBuf, name: Option<String>) {
        let order = Order { name, known: None, scope: Scope::All };
        if self.sharing.jobs.name(&path) {
            return;
        }
        // A folder of the user's is looked at again.
        if self.folders.has(&path) {
            return self.hash(path, order);
        }
        self.share_unless_shared(path, order);
    }

    fn share_unless_shared(&mut self, path: PathBuf, order: Order) {
        if self.is_being_hashed(&path) {
            return;
        }
        let Some(id) = self.shared_at(&path) else { return self.hash(path, order) };
        // Whoever waits for it has waited enough.
        let text = format!("shared already: {}", self.shown_name(&id));
        let unkept = self.unkept().map(|unkept| unkept_words(&unkept.why, &unkept.hint));
        self.tell(
            Level::Debug,
            Target::Share,
            text,
            What::Hashed { id, path, unkept, left_out: None },
        );
    }

    /// Whether something is listed as shared from a path, in order or not.
    pub(super) fn is_listed(&self, path: &Path) -> bool {
        self.contents.shares_at(path).next().is_some()
    }

    /// What is shared from a path, and in order as far as is known.
    pub(super) fn shared_at(&self, path: &Path) -> Option<ContentId> {
        self.contents.shares_at(path).find(|(_, share)| share.state.is_good()).map(|(id, _)| id)
    }

    /// Looks at everything that was shared before. What is remembered of it is read by whoever looks.
    pub(super) fn restore_shares(&mut self, paths: Vec<PathBuf>) {
        let mut by_volume: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
        for path in paths {
            by_volume.entry(self.background.volume_of(&path)).or_default().push(path);
        }
        for (volume, paths) in by_volume {
            for some in in_parts(paths, RESTORED_AT_ONCE) {
                let (library, probe) =
                    (self.write_queue.library().clone(), self.background.probe().clone());
                self.background.run(Place::Volume(volume), move || {
                    let look = |path: PathBuf| match library.share(&path) {
                        Ok(record) => {
                            probe.before(&path);
                            record.map(|record| look(&library, record))
                        }
                        Err(error) => Some(Restored::Unread(path, error)),
                    };
                    let all: Vec<Restored> = some.into_iter().filter_map(look).collect();
                    Done::new(move |session| {
                        all.into_iter().for_each(|one| session.on_restored(one));
                    })
                });
            }
        }
    }

    fn on_restored(&mut self, restored: Restored) {
        match restored {
            Restored::Unchanged { prepared, downloaded } => {
                self.serve_prepared(*prepared, downloaded)
            }
            Restored::Changed(record) => {
                let shown = common::names::show(&record.name);
                let text = format!("changed since it was hashed; hashed again: {shown}");
                self.log(Level::Info, Target::Share, text);
                self.hash_restored(record);
            }
            Restored::Young(record) => {
                let shown = common::names::show(&record.name);
                let text = format!(
                    "hashed again to be sure (it was written just before it was shared): {shown}"
                );
                self.log(Level::Info, Target::Share, text);
                self.hash_restored(record);
            }
            Restored::Damaged(record) => {
                let why = self.tell_damaged(&record);
                // The same bytes may be served from elsewhere.
                if !self.contents.contains_key(&record.id) {
                    self.insert_off(record, ShareState::Damaged { why });
                }
            }
            Restored::Unread(path, error) => {
                let text = format!("{}: not served: {error}", path.display());
                let hint = "see to the disk of the state folder, then start this peer again";
                let what = What::Failed { id: None, code: "library", hint: hint.to_owned() };
                self.tell(Level::Error, Target::Share, text, what);
            }
            Restored::Gone(record) => {
                let why = format!("{} is gone", record.path.display());
                let what = What::Failed {
                    id: Some(record.id),
                    code: "gone",
                    hint: "put it back and it is served again, download it again, or unshare it"
                        .to_owned(),
                };
                self.tell(Level::Warn, Target::Share, why.clone(), what);
                if self.contents.contains_key(&record.id) {
                    // It is a download again (more files of a folder were wanted).
                    return self.unremember(&[record.path], None);
                }
                self.insert_off(record, ShareState::Gone { why, there: false });
            }
        }
    }

    /// Hashes again what was remembered and is not, or may not be, as it was.
    fn hash_restored(&mut self, record: ShareRecord) {
        if self.is_being_hashed(&record.path) {
            // At the user's word, who may want more than what is remembered.
            return;
        }
        let (path, name) = (record.path.clone(), Some(record.name.clone()));
        self.hash(path, Order { name, known: Some(record), scope: Scope::Known });
    }

    /// A share that had vanished is there again, and was found damaged before that.
    pub(super) fn on_damaged_back(&mut self, record: ShareRecord) {
        let why = self.tell_damaged(&record);
        self.take_off(record.id, ShareState::Damaged { why });
    }

    /// Says that a remembered share is not served because it is damaged, and returns the words.
    fn tell_damaged(&self, record: &ShareRecord) -> String {
        let why = format!("{} was found damaged: not served", record.path.display());
        let what = What::Failed {
            id: Some(record.id),
            code: "damaged",
            hint: "verify it once it is mended, or share it again as it is".to_owned(),
        };
        self.tell(Level::Warn, Target::Share, why.clone(), what);
        why
    }

    /// A remembered share that is not served, for the list.
    fn insert_off(&mut self, record: ShareRecord, state: ShareState) {
        let mut content = Content::download(crate::library::DownloadRecord {
            id: record.id,
            name: record.name.clone(),
            dir: PathBuf::new(),
            descriptor: Some(record.descriptor),
            selection: crate::api::command::Selection::All,
            paused: true,
            added_ms: 0,
            finished: None,
            options: DownloadOptions::default(),
        });
        content.role = Role::Share(Share {
            paths: vec![record.path],
            state,
            downloaded: record.downloaded,
            finished_ms: record.hashed_at,
            part: None,
        });
        self.insert(content);
    }

    /// What was to be shared is not to be any more: the last word to whoever waits for it.
    pub(super) fn not_shared(&self, path: &Path) {
        let text = format!("{}: unshared before it was shared", path.display());
        let what = What::Failed { id: None, code: "share", hint: String::new() };
        self.tell(Level::Info, Target::Share, text, what);
    }

    /// Serves content that lies complete on our disk.
    pub(super) fn serve_prepared(&mut self, prepared: Prepared, downloaded: bool) {
        let id = prepared.id;
        let Some((prepared, superseded)) = self.serve_in_background(prepared, downloaded) else {
            return;
        };
        let have = prepared.have();
        let tree =
            FileTree::new(prepared.layout.clone(), prepared.path.clone(), prepared.rel.clone());
        let source = SharedFiles::new(tree, prepared.stats.clone());
        let folder = prepared.kind == Kind::Folder && !downloaded;
        let folder = folder.then(|| prepared.path.clone());
        let content = Content {
            id,
            name: prepared.name.clone(),
            shown: common::names::show(&prepared.name).into(),
            kind: prepared.kind,
            descriptor: Some(prepared.descriptor),
            layout: Some(prepared.layout.clone()),
            manifest: prepared.manifest.clone(),
            source: Some(Arc::new(source)),
            role: Role::Share(Share {
                paths: vec![prepared.path],
                state: ShareState::Serving,
                downloaded,
                finished_ms: prepared.hashed_at,
                part: (!have.is_complete()).then(|| have.clone()),
            }),
            other_complete: 0,
            other_partial: 0,
            registered: false,
            limit: None,
            row: None,
        };
        let doubted = common::chunk_set::ChunkSet::empty(prepared.layout.chunks());
        let ready = Ready {
            descriptor: prepared.descriptor,
            layout: prepared.layout,
            have: have.clone(),
            wanted: have,
            hashes: prepared.hashes,
            doubted,
        };
        self.insert(content);
        self.feed(Input::ContentAdded { id, ready: Some(ready) });
        self.recall_limit(&id);
        self.announce(&id);
        if let Some(path) = folder {
            self.note_folder(&path, id);
        }
        if let Some(superseded) = superseded {
            self.superseded(superseded);
        }
    }

    /// The same bytes may be here already: as a share, or as a download that is done by this, which is given back
    /// too. `None`: it is served as, or with, what was here.
    fn serve_in_background(
        &mut self,
        prepared: Prepared,
        downloaded: bool,
    ) -> Option<(Prepared, Option<Superseded>)> {
        let id = prepared.id;
        let Some(existing) = self.contents.get(&id) else {
            return Some((prepared, None));
        };
        let superseded = match &existing.role {
            // The same bytes under another path: one content.
            Role::Share(share) if share.state.is_good() && share.part.is_none() => {
                let (path, source) = (&prepared.path, existing.source.as_ref());
                let first = share.paths.first() == Some(path);
                // What is read is elsewhere, or was touched since.
                if first && source.is_some_and(|s| !s.is_of(path, &prepared.stats)) {
                    self.serve_anew(prepared, downloaded);
                } else {
                    self.contents.add_path(id, &prepared.path);
                    if prepared.kind == Kind::Folder && !downloaded {
                        self.note_folder(&prepared.path, id);
                    }
                }
                return None;
            }
            // It is about to be a share by itself.
            Role::Download(download) if download.phase == Phase::Finishing => {
                return None;
            }
            Role::Download(_) if prepared.have().is_complete() => self.supersede(&prepared),
            _ => {
                self.forget(&id);
                None
            }
        };
        Some((prepared, superseded))
    }

    pub(super) fn insert(&mut self, content: Content) {
        let id = content.id;
        if matches!(content.role, Role::Download(_)) {
            self.storage.orphans.claim(&id);
        } else if content.is_known_share() {
            self.net.know(&id);
        }
        self.contents.insert(content);
        self.changed();
    }

    /// Takes a content out of the core, the tracker and the lists; touches no file.
    pub(super) fn forget(&mut self, id: &ContentId) -> Option<Content> {
        self.judge(*id, Err(format!("{} is no longer shared here", self.shown_name(id))));
        self.end_move(id, Err(super::refuse(CommandErrorKind::Invalid, NO_DOWNLOAD)));
        let mut content = self.contents.remove(id)?;
        if let Some(meta) = content.meta() {
            self.net.unknow(meta);
        }
        self.background.close(content.source.take());
        if let Role::Share(share) = &content.role {
            // The earlier states of a folder go with the newest.
            for older in self.folders.ended(id, &share.paths) {
                self.forget(&older);
            }
        }
        self.not_refused(id);
        self.feed(Input::ContentRemoved { id: *id });
        if let Some(announcer) = &self.net.announcer {
            announcer.remove_share(*id);
            announcer.clear_partial(*id);
        }
        // Of the others, but for what has just been fetched, no sources are watched.
        if matches!(content.role, Role::Download(_)) || self.net.sources.contains_key(id) {
            self.watch_sources();
        }
        self.changed();
        Some(content)
    }

    pub(super) fn unshare(&mut self, id: &ContentId) -> Result<Reply, CommandError> {
        match self.contents.get(id).map(|content| &content.role) {
            Some(Role::Share(_)) => {}
            Some(Role::Download(_)) => {
                return Err(super::refuse(
                    CommandErrorKind::Invalid,
                    "that is a download; remove it instead",
                ));
            }
            None => return Err(super::refuse(CommandErrorKind::NotFound, "not shared here")),
        }
        if let Some(Content { role: Role::Share(share), shown, .. }) = self.forget(id) {
            self.log(Level::Info, Target::Share, format!("no longer sharing {shown}"));
            // One that is just looked at again must not come back.
            share.paths.iter().for_each(|path| self.sharing.jobs.cancel(path));
            self.note_unshared(&share.paths);
            self.unremember(&share.paths, Some(id));
        }
        Ok(Reply::Accepted)
    }
}

/// How a remembered share stands; blocks.
pub(super) fn look(library: &Library, record: ShareRecord) -> Restored {
    match library::check(&record) {
        Check::Gone => Restored::Gone(record),
        _ if record.is_doubted() => Restored::Damaged(record),
        Check::Young(_) => Restored::Young(record),
        Check::Changed(_) => Restored::Changed(record),
        Check::Unchanged => match library::restore(library, &record) {
            Ok(prepared) => {
                Restored::Unchanged { prepared: Box::new(prepared), downloaded: record.downloaded }
            }
            Err(_) => Restored::Changed(record),
        },
    }
}

/// Everything in its order, in parts of at most `most` (never 0). Each part has room for itself alone: what is split
/// off a long list keeps that list's room.
fn in_parts<T>(all: Vec<T>, most: usize) -> impl Iterator<Item = Vec<T>> {
    let mut all = all.into_iter();
    std::iter::from_fn(move || {
        let part: Vec<T> = all.by_ref().take(most).collect();
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h3_a_restart_with_many_shares_holds_each_record_once() {
        let parts: Vec<Vec<u32>> = in_parts((0..50_000).collect(), RESTORED_AT_ONCE).collect();
        assert!(parts.iter().all(|part| part.len() <= RESTORED_AT_ONCE));
        let room: usize = parts.iter().map(Vec::capacity).sum();
        assert!(room < 2 * 50_000, "room for {room}");
        assert!(parts.into_iter().flatten().eq(0..50_000));
    }
}
