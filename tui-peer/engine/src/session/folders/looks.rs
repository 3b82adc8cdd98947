//! Looks at shared folders: beside the session, one at a time on each volume, and none for long.

use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::id::ContentId;
use common::numbers::saturate;

use super::pace::SETTLE;
use super::states::OLDER_KEPT;
use super::{Out, Turn};
use crate::api::event::{Level, Target};
use crate::api::snapshot::FolderNews;
use crate::library::{self, Library, MANY_FILES, News, Prepared, Scope, Seen, ShareRecord, Steps};
use crate::session::Session;
use crate::session::content::{Role, Share};
use crate::session::done::Done;
use crate::session::helpers::Place;
use swarm::event::Input;

/// Longest look at a folder: a million files on a disk, or twenty thousand on a file server.
const LOOK_FOR: Duration = Duration::from_secs(20);
/// A folder rests at least so many times as long as the last look took: a twentieth of one thread at most.
pub(super) const REST: u32 = 20;
/// After this the folders of a volume do not wait any longer for one of them: what is mounted in it hangs.
pub(super) const GIVE_UP: Duration = Duration::from_secs(2 * LOOK_FOR.as_secs());
/// Rest of a folder that cannot be looked at: it may be larger than can be shared, which a look does not change.
const UNSEEN_REST: Duration = Duration::from_secs(600);
/// Files of a folder that do not follow each other withdrawn one by one, each with a message to everybody connected; if
/// more are gone, nothing of it is offered until its next state.
pub(in crate::session) const MAX_WITHDRAWN: usize = 1_000;

/// What a look at a folder showed.
struct LookedAt {
    path: PathBuf,
    volume: u64,
    /// What it was compared with.
    id: Option<ContentId>,
    seen: Seen,
    /// All of it again, if files are back that had been withdrawn.
    mended: Option<Box<Prepared>>,
    /// Earlier states of which something is gone.
    lost: Vec<ContentId>,
    took: Duration,
    /// The system tells of no more folders.
    limited: bool,
}

impl Session {
    /// Looks at the folders whose turn it is.
    pub(in crate::session) fn check_folders(&mut self, now: Instant) {
        let late = |out: &Out| !out.waiting.is_empty() && now >= out.since + GIVE_UP;
        let late = self.folders.out.iter().filter(|(_, out)| late(out)).map(|(volume, _)| *volume);
        for volume in late.collect::<Vec<u64>>() {
            self.check_next(volume, now);
        }
        while let Some(path) = self.folders.take_due(now) {
            if !self.is_served_from(&path) || self.is_being_hashed(&path) {
                self.folders.plan(&path, now + self.background.probe().check_every());
                continue;
            }
            let volume = self.background.volume_of(&path);
            if let Some(out) = self.folders.out.get_mut(&volume) {
                out.waiting.push_back(path.clone());
                self.folders.turn(&path, Turn::Waits);
            } else {
                self.check_folder(path, volume, VecDeque::new(), now);
            }
        }
    }

    /// Whether what is served of a folder is read from here.
    fn is_served_from(&self, path: &Path) -> bool {
        let Some(folder) = self.folders.all.get(path) else { return false };
        match self.contents.get(&folder.id).map(|content| &content.role) {
            Some(Role::Share(Share { state, .. })) => {
                state.is_good() && self.contents.has_path(path, &folder.id)
            }
            _ => false,
        }
    }

    /// Whether the chunks of its state are read from this folder; the same bytes may lie in others too.
    fn is_read_from(&self, path: &Path, id: &ContentId) -> bool {
        match self.contents.get(id).map(|content| &content.role) {
            Some(Role::Share(share)) => share.paths.first().is_some_and(|first| first == path),
            _ => false,
        }
    }

    fn check_folder(
        &mut self,
        path: PathBuf,
        volume: u64,
        waiting: VecDeque<PathBuf>,
        since: Instant,
    ) {
        let watched = self.folders.is_watched(&path);
        let Some(folder) = self.folders.all.get_mut(&path) else { return };
        folder.turn = Turn::Out;
        if let Some(due) = folder.due.take() {
            self.folders.due.remove(&(due, path.clone()));
        }
        self.folders.out.insert(volume, Out { path: path.clone(), since, waiting });
        let (inner, withdrawn) = (folder.inner, folder.withdrawn.clone());
        let older: Vec<_> =
            folder.older.iter().map(|older| (older.id, older.record.clone())).collect();
        let (library, notices) = (self.write_queue.library().clone(), self.folders.notices.clone());
        self.background.run_at(Place::Volume(volume), path, move |path| {
            let (begun, root, limited) =
                (Instant::now(), Arc::from(path.as_path()), Cell::new(false));
            let entered = |dir: &Path| {
                if let Some(notices) = notices.as_ref().filter(|_| !limited.get()) {
                    limited.set(!notices.add(&root, dir));
                }
            };
            let (record, why) = match library.share(&path) {
                Ok(record) => (record, "it is not remembered".to_owned()),
                Err(error) => (None, error.to_string()),
            };
            let seen = match &record {
                Some(record) => {
                    let steps = Steps { going: &|| begun.elapsed() < LOOK_FOR, entered: &entered };
                    library::see(record, inner, watched, &steps)
                }
                None => Seen::Unseen(why),
            };
            let mended =
                record.as_ref().and_then(|record| mended(&library, record, &seen, &withdrawn));
            // Of many files, what was changed is noticed when it is read.
            let lost = |record: &ShareRecord| {
                record.files.len() <= MANY_FILES && library::is_altered(record)
            };
            let lost =
                older.into_iter().filter(|(_, record)| lost(record)).map(|(id, _)| id).collect();
            let (id, took) = (record.map(|record| record.id), begun.elapsed());
            let limited = limited.get();
            let looked = LookedAt { path, volume, id, seen, mended, lost, took, limited };
            Done::looked(move |session| session.on_folder(looked))
        });
    }

    fn on_folder(&mut self, looked: LookedAt) {
        let LookedAt { path, volume, id, seen, mended, lost, took, limited } = looked;
        let now = Instant::now();
        if limited {
            self.note_limited();
        }
        let again = self.folders.came_back(&path, took, now);
        if self.folders.out.get(&volume).is_some_and(|out| out.path == path) {
            self.check_next(volume, now);
        }
        for id in lost {
            self.drop_older(&id, "its files have changed");
        }
        self.end_older(&path, now);
        let (Some(again), Some(folder)) = (again, self.folders.all.get(&path)) else {
            // It was unshared meanwhile, and may have asked the system to be told since.
            if let Some(notices) = &self.folders.notices {
                notices.forget(&path);
            }
            return;
        };
        let newest = folder.id;
        self.folders.plan(&path, now + self.background.probe().check_every());
        if !matches!(seen, Seen::Unseen(_)) && id != Some(newest) || !self.is_served_from(&path) {
            return;
        }
        match seen {
            Seen::Still => {}
            // Where others read the same bytes, it does not matter to them.
            Seen::Lost if self.is_read_from(&path, &newest) => self.doubt(newest),
            Seen::Lost => {}
            Seen::Unseen(why) => self.on_unseen(&path, &why, now),
            Seen::News(mut news) => {
                // Somebody wants it looked at again, file by file.
                news.folders = news.folders.filter(|_| !again);
                self.on_news(&path, newest, news, mended, now);
            }
        }
    }

    /// The next folder that waits for a volume is looked at, if there is one.
    fn check_next(&mut self, volume: u64, now: Instant) {
        let out = self.folders.out.remove(&volume);
        let mut waiting = out.map(|out| out.waiting).unwrap_or_default();
        while let Some(next) = waiting.pop_front() {
            self.folders.turn(&next, Turn::Rests);
            if self.is_served_from(&next) && !self.is_being_hashed(&next) {
                return self.check_folder(next, volume, waiting, now);
            }
            self.folders.plan(&next, now + self.background.probe().check_every());
        }
    }

    /// A folder cannot be looked at: told once, and tried seldom.
    fn on_unseen(&mut self, path: &Path, why: &str, now: Instant) {
        self.folders.rest(path, now + UNSEEN_REST);
        let Some(folder) = self.folders.all.get_mut(path) else { return };
        if !std::mem::replace(&mut folder.unseen, true) {
            let text = format!("{}: new files are not noticed: {why}", path.display());
            self.log(Level::Warn, Target::Share, text);
        }
    }

    /// A folder was compared with what is shared of it.
    fn on_news(
        &mut self,
        path: &Path,
        id: ContentId,
        news: News,
        mended: Option<Box<Prepared>>,
        now: Instant,
    ) {
        let watched = self.folders.is_watched(path);
        let moving = watched && news.moving;
        if self.is_read_from(path, &id) {
            if let Some(prepared) = mended {
                self.serve_anew(*prepared, false);
            }
            let missing = news.gone.iter().chain(&news.changed).copied();
            self.withdraw(path, id, missing.collect());
        }
        let count = |files: &[usize]| saturate::<u32>(files.len());
        let found = FolderNews {
            new: news.new,
            gone: count(&news.gone),
            changed: count(&news.changed),
            watched: false,
        };
        let Some(folder) = self.folders.all.get_mut(path) else { return };
        folder.unseen = false;
        let before = std::mem::replace(&mut folder.found, found);
        // What is shared already and changes is hashed again by itself; what is new only where that was said.
        // One file that moves all the time does not keep the others back: it is left out where the next state is another
        // list of files, and waited for a minute where it is the same.
        let (scope, picture) = match (watched, news.changed.is_empty()) {
            (true, _) => (Scope::Settled, news.settled),
            (false, false) => (Scope::Known, news.picture),
            (false, true) => (Scope::Known, None),
        };
        let (ripe, due) = match picture {
            None => {
                if let Some(pace) = self.folders.paces.get_mut(path) {
                    match moving {
                        true => _ = pace.seen(None, now),
                        false => pace.nothing(),
                    }
                }
                (false, None)
            }
            Some(_) => {
                let pace = self.folders.paces.entry(path.to_path_buf()).or_default();
                (pace.seen(picture, now), pace.due())
            }
        };
        // What is to be taken is looked at file by file until it is.
        folder.inner = news.folders.filter(|_| picture.is_none() && !moving);
        if before != found {
            self.changed();
        }
        if ripe {
            self.take_state(path.to_path_buf(), scope);
        } else if before.is_nothing() && !found.is_nothing() {
            self.tell_found(&id, found, watched);
        }
        for due in due.into_iter().chain(moving.then_some(now + SETTLE)) {
            self.folders.plan(path, due);
        }
    }

    fn tell_found(&self, id: &ContentId, found: FolderNews, watched: bool) {
        let (shown, words) = (self.shown_name(id), found.words());
        let then = if watched {
            "shared so once nothing moves any more"
        } else if (found.new, found.gone) == (0, 0) {
            "hashed again once nothing moves any more"
        } else {
            "not shared so until you say it (tui-peer rescan)"
        };
        self.log(Level::Info, Target::Share, format!("{shown}: {words} on disk; {then}"));
    }

    /// Files of a folder are gone: nobody is offered them any more.
    fn withdraw(&mut self, path: &Path, id: ContentId, missing: BTreeSet<usize>) {
        let Some(folder) = self.folders.all.get_mut(path) else { return };
        let new: Vec<usize> = missing.difference(&folder.withdrawn).copied().collect();
        if new.is_empty() {
            return;
        }
        folder.withdrawn.extend(missing);
        let Some(layout) = self.contents.get(&id).and_then(|content| content.layout.clone()) else {
            return;
        };
        let chunks = new.into_iter().filter_map(|file| layout.file_chunks(file));
        for chunks in runs_of(chunks, layout.chunks()) {
            self.feed(Input::ChunksGone { id, chunks });
        }
        // Others look for what is gone elsewhere.
        self.announce(&id);
    }

    /// Ends earlier states that nobody fetches after their time.
    fn end_older(&mut self, path: &Path, now: Instant) {
        let Some(folder) = self.folders.all.get(path) else { return };
        let old = folder.older.iter().filter(|older| now >= older.since + OLDER_KEPT);
        let old: Vec<ContentId> = old.map(|older| older.id).collect();
        let at = self.core.now();
        for id in old {
            if self.core.node().content(&id, at).is_none_or(|view| view.fetchers == 0) {
                self.drop_older(&id, "nobody fetches it any more");
            }
        }
    }
}

/// These chunks, in order, in as few runs as there are; of more than [`MAX_WITHDRAWN`] one of all `count` chunks. Pure.
fn runs_of(chunks: impl Iterator<Item = Range<u32>>, count: u32) -> Vec<Range<u32>> {
    let mut runs: Vec<Range<u32>> = Vec::new();
    for next in chunks.filter(|next| !next.is_empty()) {
        match runs.last_mut() {
            Some(last) if last.end >= next.start => last.end = last.end.max(next.end),
            _ => runs.push(next),
        }
    }
    if runs.len() > MAX_WITHDRAWN {
        runs.clear();
        runs.push(0..count);
    }
    runs
}

/// All of a folder, if some of the files are there again that had been withdrawn; blocks.
fn mended(
    library: &Library,
    record: &ShareRecord,
    seen: &Seen,
    withdrawn: &BTreeSet<usize>,
) -> Option<Box<Prepared>> {
    let Seen::News(news) = seen else { return None };
    // Both are sorted, and there may be many thousands.
    let is_in = |files: &[usize], file: &usize| files.binary_search(file).is_ok();
    let missing = |file: &usize| is_in(&news.gone, file) || is_in(&news.changed, file);
    let back = withdrawn.iter().any(|file| !missing(file));
    back.then(|| library::restore(library, record).ok().map(Box::new)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c7_files_that_follow_each_other_are_withdrawn_together_and_too_many_holes_withdraw_all() {
        assert_eq!(runs_of([0..2, 2..2, 2..5, 7..8].into_iter(), 9), [0..5, 7..8]);
        let holes = |count: u32| runs_of((0..count).map(|n| 2 * n..2 * n + 1), 2 * count);
        let most = u32::try_from(MAX_WITHDRAWN).unwrap();
        assert_eq!(holes(most).len(), MAX_WITHDRAWN);
        let [all] = holes(most + 1).try_into().unwrap();
        assert_eq!(all, 0..2 * (most + 1));
    }
}
