//! Shared folders while the program runs: what comes into them and leaves them is noticed, told and offered, and
//! taken without asking where the folder is watched.
//!
//! `looks`: looking at the disk; `notices`: the system tells that something moved; `pace`: when a folder is ripe;
//! `states`: from one state to the next, and the states before it; `watched`: which folders are watched.

mod looks;
mod notices;
mod pace;
mod states;
mod watched;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::id::ContentId;

#[cfg(test)]
pub(super) use self::looks::MAX_WITHDRAWN;
use self::looks::{GIVE_UP, REST};
use self::notices::Notices;
use self::pace::Pace;
pub(super) use self::states::MAX_LEFT;
use self::states::Older;
use super::Session;
use crate::api::snapshot::FolderNews;
use crate::library;

/// Everything that is known of shared folders beside what is served of them.
#[derive(Default)]
pub(super) struct Folders {
    all: BTreeMap<PathBuf, Folder>,
    /// When which is looked at; those that are being looked at or wait for their volume are not in it.
    due: BTreeSet<(Instant, PathBuf)>,
    /// Volumes where a look has not come back.
    out: BTreeMap<u64, Out>,
    /// Folders whose new states are taken by themselves.
    watched: BTreeSet<PathBuf>,
    /// When the next state of which folder is taken: also while it is hashed, and off the network.
    paces: BTreeMap<PathBuf, Pace>,
    /// Earlier states that are still served, and where they lie.
    older: BTreeMap<ContentId, PathBuf>,
    /// What the system tells, if it can.
    notices: Option<Arc<Notices>>,
    /// It was told that the system tells of no more folders.
    limited: bool,
    /// Bytes that earlier states may have left in the library.
    left: u64,
}

/// A look that has not come back.
struct Out {
    /// The folder that is being looked at.
    path: PathBuf,
    since: Instant,
    /// The folders of the volume whose turn it is, in the order in which they have waited.
    waiting: VecDeque<PathBuf>,
}

/// What is done about a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nothing until it is due.
    Rests,
    /// It waits for its volume.
    Waits,
    /// It is being looked at.
    Out,
}

/// A folder of the user's that is shared. One that was downloaded is not: whatever lies in it beside its files, it
/// stays what it is.
struct Folder {
    /// What is shared of it.
    id: ContentId,
    turn: Turn,
    /// When it is looked at next, once its turn is over.
    due: Option<Instant>,
    /// It is not looked at before.
    rests: Option<Instant>,
    /// What the last look found.
    found: FolderNews,
    /// What the last look told of the folders in it ([`library::News::folders`]).
    inner: Option<u64>,
    /// Numbers of the files that are not offered, since they are gone or something else by now.
    withdrawn: BTreeSet<usize>,
    /// It was told that it cannot be looked at.
    unseen: bool,
    /// The states before, the newest last.
    older: VecDeque<Older>,
}

impl Folder {
    fn new(id: ContentId) -> Self {
        Self {
            id,
            turn: Turn::Rests,
            due: None,
            rests: None,
            found: FolderNews::default(),
            inner: None,
            withdrawn: BTreeSet::new(),
            unseen: false,
            older: VecDeque::new(),
        }
    }
}

impl Folders {
    /// From the library's settings; of those that are shared: what is no longer shared and is shared again one day is
    /// not watched. Whether there is such: the setting is to be written anew then.
    pub(super) fn load(settings: &BTreeMap<String, String>, shared: &[PathBuf]) -> (Self, bool) {
        let (watched, stale) = library::watched(settings, shared.iter());
        (Self { watched, ..Self::default() }, stale)
    }

    /// When the next folder is to be looked at, or is not waited for any longer.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let late = self.out.values().filter(|out| !out.waiting.is_empty());
        let late = late.map(|out| out.since + GIVE_UP);
        late.chain(self.due.first().map(|(at, _)| *at)).min()
    }

    /// A folder is served from here. It is looked at at `due`.
    pub(super) fn served(&mut self, path: &Path, id: ContentId, due: Instant) {
        let folder = self.all.entry(path.to_path_buf()).or_insert_with(|| Folder::new(id));
        if folder.id != id {
            // What was found was found of another state.
            folder.id = id;
            folder.found = FolderNews::default();
            folder.inner = None;
            folder.withdrawn.clear();
        }
        self.plan(path, due);
    }

    /// The folder is looked at no later than at `due`, once a look that is out has come back and it has rested.
    fn plan(&mut self, path: &Path, due: Instant) {
        let Some(folder) = self.all.get_mut(path) else { return };
        let due = folder.rests.map_or(due, |rests| due.max(rests));
        let at = folder.due.map_or(due, |planned| planned.min(due));
        let before = folder.due.replace(at);
        if folder.turn == Turn::Rests {
            if let Some(before) = before {
                self.due.remove(&(before, path.to_path_buf()));
            }
            self.due.insert((at, path.to_path_buf()));
        }
    }

    /// The folder is not looked at before `until`, whatever was planned.
    fn rest(&mut self, path: &Path, until: Instant) {
        let Some(folder) = self.all.get_mut(path) else { return };
        folder.rests = Some(until);
        if let Some(due) = folder.due.take() {
            self.due.remove(&(due, path.to_path_buf()));
            self.plan(path, due);
        }
    }

    /// The next folder whose turn it is.
    fn take_due(&mut self, now: Instant) -> Option<PathBuf> {
        let (at, _) = self.due.first()?;
        if *at > now {
            return None;
        }
        let (_, path) = self.due.pop_first()?;
        if let Some(folder) = self.all.get_mut(&path) {
            folder.due = None;
        }
        Some(path)
    }

    /// What becomes of a folder now.
    fn turn(&mut self, path: &Path, turn: Turn) {
        if let Some(folder) = self.all.get_mut(path) {
            folder.turn = turn;
        }
    }

    /// A look that took so long has come back. Whether somebody wants another since; `None` if the folder is not
    /// shared any more.
    fn came_back(&mut self, path: &Path, took: Duration, now: Instant) -> Option<bool> {
        let folder = self.all.get_mut(path)?;
        folder.turn = Turn::Rests;
        let again = folder.due.is_some();
        self.rest(path, now + took * REST);
        Some(again)
    }

    /// A new state of a folder was taken, for which the library grew by so many bytes. Whether it is time to remove
    /// what the states before it have left there.
    fn leave_behind(&mut self, bytes: u64, most: u64) -> bool {
        self.left = self.left.saturating_add(bytes);
        let full = self.left >= most;
        if full {
            self.left = 0;
        }
        full
    }

    /// What lies in a folder is its next state from now on.
    pub(super) fn took(&mut self, path: &Path, now: Instant) {
        if self.has(path) {
            self.paces.entry(path.to_path_buf()).or_default().took(now);
        }
    }

    /// What lies in a folder could not be hashed; `moved`: since it was written to meanwhile. Whether that is news.
    pub(super) fn failed(&mut self, path: &Path, moved: bool, now: Instant) -> bool {
        self.paces.get_mut(path).is_none_or(|pace| pace.failed(moved, now))
    }

    /// Whether what is back at the place of a folder is there whole, as far as can be told: `picture` tells how it
    /// differs from what was there, if it does and is a folder of the user's.
    pub(super) fn is_settled(&mut self, path: &Path, picture: Option<u64>, now: Instant) -> bool {
        picture.is_none() || self.paces.entry(path.to_path_buf()).or_default().seen(picture, now)
    }

    /// It is not shared any more: neither as the newest state of folders at these paths nor as an earlier one.
    /// The earlier states that go with it.
    pub(super) fn ended(&mut self, id: &ContentId, paths: &[PathBuf]) -> Vec<ContentId> {
        if let Some(folder) = self.older.remove(id).and_then(|path| self.all.get_mut(&path)) {
            folder.older.retain(|older| older.id != *id);
        }
        let mut with_it = Vec::new();
        for path in paths {
            if !self.is_newest(path, id) {
                continue;
            }
            let Some(folder) = self.all.remove(path) else { continue };
            if let Some(due) = folder.due {
                self.due.remove(&(due, path.clone()));
            }
            if let Some(notices) = &self.notices {
                notices.forget(path);
            }
            with_it.extend(folder.older.into_iter().map(|older| older.id));
        }
        with_it
    }

    /// What the row of a folder says beside its state.
    pub(super) fn news(&self, path: &Path, id: &ContentId) -> Option<FolderNews> {
        let folder = self.all.get(path).filter(|folder| folder.id == *id)?;
        let news = FolderNews { watched: self.is_watched(path), ..folder.found };
        (news != FolderNews::default()).then_some(news)
    }

    /// Whether a folder of the user's is served from here, or was until it was found to be something else.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.all.contains_key(path)
    }

    /// Whether what comes into the folder is shared without asking.
    fn is_watched(&self, path: &Path) -> bool {
        self.watched.contains(path)
    }

    /// Whether it is the newest state of a folder of the user's.
    fn is_newest(&self, path: &Path, id: &ContentId) -> bool {
        self.all.get(path).is_some_and(|folder| folder.id == *id)
    }
}

impl Session {
    /// A folder is served from here.
    pub(super) fn note_folder(&mut self, path: &Path, id: ContentId) {
        self.folders.served(path, id, Instant::now() + self.background.probe().check_every());
    }

    /// A folder is looked at now, file by file. `false`: it is none that is looked at.
    pub(super) fn check_soon(&mut self, id: &ContentId, path: &Path) -> bool {
        if !self.folders.is_newest(path, id) {
            return false;
        }
        if let Some(folder) = self.folders.all.get_mut(path) {
            folder.inner = None;
        }
        self.folders.plan(path, Instant::now());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(paths: &[&str]) -> Folders {
        let mut folders = Folders::default();
        for path in paths {
            let (path, id) = (Path::new(path), ContentId::from_bytes([1; 32]));
            folders.served(path, id, Instant::now());
        }
        folders
    }

    #[test]
    fn c7_what_is_not_shared_any_more_is_not_watched_after_a_restart() {
        let watched = BTreeSet::from([PathBuf::from("/a"), PathBuf::from("/b")]);
        let text = library::watched_text(&watched).unwrap();
        let settings = BTreeMap::from([(library::WATCHED_KEY.to_owned(), text)]);
        let (folders, stale) = Folders::load(&settings, &["/b".into(), "/c".into()]);
        assert!(folders.watched.iter().eq([Path::new("/b")]) && stale);
        let (folders, stale) = Folders::load(&settings, &["/b".into(), "/a".into()]);
        assert!(folders.watched == watched && !stale);
        let (folders, stale) = Folders::load(&settings, &[]);
        assert!(folders.watched.is_empty() && stale);
        assert!(!Folders::load(&BTreeMap::new(), &[]).1);
    }

    #[test]
    fn c7_what_states_leave_in_the_library_is_removed_before_it_is_much() {
        let mut folders = Folders::default();
        let removed = (0..100).filter(|_| folders.leave_behind(3, 10)).count();
        assert_eq!(removed, 25);
        assert!(folders.leave_behind(u64::MAX, 10));
    }

    #[test]
    fn c7_a_folder_that_is_copied_back_after_a_restart_is_hashed_once_it_is_whole() {
        // It was missing at the start: nothing is known of it but its row.
        let (mut folders, path) = (Folders::default(), Path::new("/a"));
        let at = |second: u64| Instant::now() + Duration::from_secs(second);
        assert!(!folders.is_settled(path, Some(1), at(0)), "a part of it");
        assert!(!folders.is_settled(path, Some(2), at(10)), "more of it");
        assert!(folders.is_settled(path, Some(2), at(20)));
        // As it was hashed, or no folder of the user's.
        assert!(folders.is_settled(path, None, at(30)));
    }

    #[test]
    fn c7_a_folder_rests_after_a_look_whoever_wants_another() {
        let (path, now) = (Path::new("/a"), Instant::now());
        let second = Duration::from_secs(1);
        let mut folders = folders(&["/a"]);
        let later = now + 60 * second;
        assert_eq!(folders.take_due(later).as_deref(), Some(path));
        folders.turn(path, Turn::Out);
        folders.plan(path, later);
        assert_eq!(folders.next_due(), None, "it is being looked at");
        assert_eq!(folders.came_back(path, second, later), Some(true));
        assert_eq!(folders.next_due(), Some(later + second * REST));
        folders.plan(path, later);
        assert_eq!(folders.next_due(), Some(later + second * REST));
        assert_eq!(folders.came_back(Path::new("/b"), second, later), None);
    }

    #[test]
    fn c7_folders_do_not_wait_for_ever_for_one_of_their_volume() {
        let (mut folders, now) = (folders(&["/a", "/b"]), Instant::now());
        let later = now + Duration::from_secs(60);
        while folders.take_due(later).is_some() {}
        let out = |waiting: &[&str]| {
            let waiting = waiting.iter().map(PathBuf::from).collect();
            Out { path: "/a".into(), since: now, waiting }
        };
        folders.out.insert(7, out(&[]));
        assert_eq!(folders.next_due(), None, "nobody waits");
        folders.out.insert(7, out(&["/b"]));
        assert_eq!(folders.next_due(), Some(now + GIVE_UP));
    }
}
