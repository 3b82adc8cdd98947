//! Which folders are watched: what comes into them is shared without asking.

use std::path::{Path, PathBuf};

use common::content::Kind;
use common::id::ContentId;

use crate::api::command::{CommandError, CommandErrorKind, Reply};
use crate::api::event::{Level, Target};
use crate::library::{MAX_WATCHED, WATCHED_KEY, too_many_watched, watched_text};
use crate::session::{Session, refuse};

impl Session {
    /// A folder that is shared or being hashed is watched from now on, or no longer.
    pub(in crate::session) fn watch_folder(
        &mut self,
        path: &Path,
        on: bool,
    ) -> Result<Reply, CommandError> {
        if self.folders.has(path) {
            self.set_watched(path, on)?;
            // Nothing that is hashed just now has an earlier word.
            self.sharing.jobs.watch(path, on);
            return Ok(Reply::Accepted);
        }
        if on {
            self.has_room_to_watch(path)?;
        }
        if self.sharing.jobs.watch(path, on) || self.is_file(path) {
            return Ok(Reply::Accepted);
        }
        let text = match self.is_listed(path) {
            true => "only folders of your own are watched",
            false => "it is not shared: share it first",
        };
        let text = format!("{}: {text}", path.display());
        Err(refuse(CommandErrorKind::Invalid, text))
    }

    /// Whether a single file is shared from there: it cannot be watched, and needs not.
    fn is_file(&self, path: &Path) -> bool {
        let listed = self.contents.shares_at(path).filter_map(|(id, _)| self.contents.get(&id));
        listed.map(|content| content.kind).any(|kind| kind == Kind::File)
    }

    fn has_room_to_watch(&self, path: &Path) -> Result<(), CommandError> {
        if self.folders.watched.len() >= MAX_WATCHED && !self.folders.is_watched(path) {
            return Err(refuse(CommandErrorKind::Invalid, too_many_watched()));
        }
        Ok(())
    }

    /// What the user has just shared is watched if the settings say so of every folder.
    pub(in crate::session) fn watch_as_set(&mut self, path: &Path) {
        if self.config.watch {
            // Of a single file there is nothing to watch.
            let _ = self.watch_folder(path, true);
        }
    }

    /// The same of a folder that has just been hashed; a file cannot be watched, and needs not.
    pub(in crate::session) fn watch_hashed(&mut self, path: &Path, on: bool) {
        if self.folders.has(path)
            && let Err(error) = self.set_watched(path, on)
        {
            self.log(Level::Error, Target::Share, error.message);
        }
    }

    /// Nothing is remembered as shared at these paths any more, nor of the download that it was, if it was one.
    pub(in crate::session) fn unremember(
        &mut self,
        paths: &[PathBuf],
        download: Option<&ContentId>,
    ) {
        self.unwatch(paths);
        let noted = self.write_queue.library().note_unshared(paths, download);
        self.write_down(noted);
    }

    fn unwatch(&mut self, paths: &[PathBuf]) {
        let mut watched = false;
        for path in paths {
            watched |= self.folders.watched.remove(path);
            self.folders.paces.remove(path);
        }
        if watched {
            self.write_watched();
        }
    }

    fn set_watched(&mut self, path: &Path, on: bool) -> Result<(), CommandError> {
        if self.folders.is_watched(path) == on {
            return Ok(());
        }
        let text = if on {
            self.has_room_to_watch(path)?;
            self.folders.watched.insert(path.to_path_buf());
            "watched: what comes into it is shared"
        } else {
            self.folders.watched.remove(path);
            match self.sharing.jobs.unwatch(path) {
                true => "no longer watched: what came into it and was being hashed is not shared",
                false => "no longer watched",
            }
        };
        self.log(Level::Info, Target::Share, format!("{}: {text}", path.display()));
        self.write_watched();
        self.folders.plan(path, std::time::Instant::now());
        self.changed();
        Ok(())
    }

    pub(in crate::session) fn write_watched(&mut self) {
        let text = watched_text(&self.folders.watched);
        let noted = self.write_queue.library().note_setting(WATCHED_KEY, text.as_deref());
        self.write_down(noted);
    }
}
