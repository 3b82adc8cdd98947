//! From one state of a shared folder to the next. The name goes to the newest; the states before it are served on
//! under names of their own, as long as their files are there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::content::Kind;
use common::id::ContentId;
use common::limits::MAX_NAME_LEN;

use crate::api::command::{CommandError, CommandErrorKind, Reply};
use crate::api::event::{Level, Target};
use crate::api::snapshot::before_mark;
use crate::library::{Collected, LibraryError, Prepared, Scope, ShareRecord};
use crate::session::content::Role;
use crate::session::done::Done;
use crate::session::hashing::Order;
use crate::session::{Session, refuse};

/// Earlier states of a folder that are served at most: each costs its list of files and hashes in memory and a row
/// in the network's list, and who fetches one longer than some minutes has most of it.
const MAX_OLDER: usize = 3;
/// How long one is served that nobody fetches: for links that are on their way.
pub(super) const OLDER_KEPT: Duration = Duration::from_secs(60 * 60);
/// Bytes of lists and hashes that states leave in the library, from which on what is not needed is removed while the
/// program runs: a folder that is taken every minute would leave gigabytes a day.
pub(in crate::session) const MAX_LEFT: u64 = 64 * 1024 * 1024;

/// An earlier state of a folder.
pub(super) struct Older {
    pub(super) id: ContentId,
    /// How its files were.
    pub(super) record: Arc<ShareRecord>,
    /// When it was followed by another.
    pub(super) since: Instant,
}

impl Session {
    /// A folder is to be shared as it is now, at the user's word.
    pub(in crate::session) fn rescan(&mut self, id: &ContentId) -> Result<Reply, CommandError> {
        let invalid = |text: &str| Err(refuse(CommandErrorKind::Invalid, text));
        if self.folders.older.contains_key(id) {
            return invalid("that is an earlier state of a folder; rescan the newest one");
        }
        let share = match self.contents.get(id).map(|content| (content.kind, &content.role)) {
            None => return Err(refuse(CommandErrorKind::NotFound, "not shared here")),
            Some((_, Role::Download(_))) => return invalid("it is not finished"),
            Some((Kind::File, _)) => {
                return invalid("a single file is hashed again by itself when it changes");
            }
            Some((Kind::Folder, Role::Share(share))) => share,
        };
        if share.downloaded {
            return invalid(
                "it was downloaded, and stays what it is whatever lies beside its files",
            );
        }
        let paths = share.paths.clone();
        paths.iter().for_each(|path| self.share_all(path));
        Ok(Reply::Accepted)
    }

    /// A new state was taken, for which the library grew by so many bytes.
    pub(in crate::session) fn leave_behind(&mut self, bytes: u64) {
        if self.folders.leave_behind(bytes, self.background.probe().states_leave()) {
            let library = self.write_queue.library().clone();
            self.background.own(move || {
                let result = library.collect_garbage();
                Done::new(move |session| session.on_collected(result))
            });
        }
    }

    fn on_collected(&self, result: Result<Collected, LibraryError>) {
        if let Err(error) = result {
            self.log(Level::Error, Target::Disk, error.to_string());
        }
    }

    /// A folder is hashed as it is now: all of it, or what was shared of it before.
    pub(super) fn take_state(&mut self, path: PathBuf, scope: Scope) {
        if !self.is_being_hashed(&path) {
            self.hash(path, Order { name: None, known: None, scope });
        }
    }

    /// What lies in a folder was hashed and is served next: what becomes of the state before it, of which `before`
    /// is the record.
    pub(in crate::session) fn follow(&mut self, prepared: &Prepared, before: Option<ShareRecord>) {
        if prepared.kind != Kind::Folder {
            return;
        }
        if self.folders.older.contains_key(&prepared.id) {
            // It is again what it was.
            self.forget(&prepared.id);
        }
        let good =
            self.contents.shares_at(&prepared.path).filter(|(_, share)| share.state.is_good());
        let others = good.map(|(id, _)| id).filter(|id| *id != prepared.id);
        let others: Vec<ContentId> = others.collect();
        for id in others {
            let record = before.clone().filter(|before| before.id == id);
            self.outdate(id, prepared, record);
        }
    }

    /// What was the newest state of a folder is not any more.
    fn outdate(&mut self, id: ContentId, next: &Prepared, record: Option<ShareRecord>) {
        let path = next.path.as_path();
        let Some(share) = self.contents.share_mut(&id) else { return };
        share.paths.retain(|other| other != path);
        let (whole, elsewhere) = (share.part.is_none(), share.paths.first().cloned());
        self.contents.forget_path(path, &id);
        if let Some(other) = elsewhere {
            // The same bytes lie in another folder too, and are read from there once it was looked at.
            if !self.is_being_hashed(&other) {
                self.share_again(other);
            }
            return;
        }
        self.hand_on_limit(&id, &next.id);
        let folder = self.folders.all.get_mut(path).filter(|folder| folder.id == id);
        let folder = folder.filter(|folder| whole && folder.withdrawn.is_empty());
        let (Some(folder), Some(record)) = (folder, record) else {
            self.forget(&id);
            return;
        };
        folder.older.push_back(Older { id, record: Arc::new(record), since: Instant::now() });
        let most = folder.older.len().saturating_sub(MAX_OLDER);
        let first: Vec<ContentId> = folder.older.iter().take(most).map(|older| older.id).collect();
        self.folders.older.insert(id, path.to_path_buf());
        self.rename_older(id);
        for id in first {
            self.drop_older(&id, "newer states have taken its place");
        }
    }

    /// What is served already is read from where it lies now, as it is there now.
    pub(in crate::session) fn serve_anew(&mut self, prepared: Prepared, downloaded: bool) {
        let id = prepared.id;
        let paths =
            self.contents.share_mut(&id).map(|share| share.paths.clone()).unwrap_or_default();
        // Otherwise their earlier states would go with them.
        let kept = paths.iter().filter_map(|path| self.folders.all.remove_entry(path));
        let kept: Vec<_> = kept.collect();
        let held = self.checks.verdicts.hold(&id);
        self.forget(&id);
        for (path, mut folder) in kept {
            folder.withdrawn.clear();
            self.folders.all.insert(path, folder);
        }
        let first = prepared.path.clone();
        self.serve_prepared(prepared, downloaded);
        for other in paths.iter().filter(|path| **path != first) {
            self.contents.add_path(id, other);
        }
        self.checks.verdicts.put_back(held);
    }

    /// Its name goes to the newest state.
    fn rename_older(&mut self, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let mark = before_mark(&id);
        let room = MAX_NAME_LEN.saturating_sub(mark.len());
        content.name = format!("{}{mark}", common::names::cut(&content.name, room));
        content.shown = common::names::show(&content.name).into();
        self.announce(&id);
        self.changed();
    }

    /// An earlier state is served no longer.
    pub(super) fn drop_older(&mut self, id: &ContentId, why: &str) {
        if self.folders.older.contains_key(id) {
            let shown = self.shown_name(id);
            self.forget(id);
            self.log(Level::Info, Target::Share, format!("no longer served: {shown}: {why}"));
        }
    }

    /// Whether it was an earlier state of a folder; it is served no longer then.
    pub(in crate::session) fn is_lost_older(&mut self, id: &ContentId) -> bool {
        let older = self.folders.older.contains_key(id);
        self.drop_older(id, "its files have changed");
        older
    }
}
