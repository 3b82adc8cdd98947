//! Hashing what is to be shared: beside the session, all that is ready meanwhile remembered in one commit, and
//! told as fast as it is heard.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use common::content::Kind;
use common::names::PathList;

use super::done::Done;
use super::helpers::threads;
use super::write_queue::{hint, unkept_words};
use super::{Session, refuse};
use crate::api::command::{CommandError, CommandErrorKind};
use crate::api::event::{Level, Target, What, speaks_of};
use crate::api::snapshot::raw_of;
use crate::library::{
    self, Check, Library, LibraryError, Prepared, Progress, Scope, ShareError, ShareRecord,
    ShareRows,
};

/// Bytes of a chunk's hash in the library.
const HASH_BYTES: u64 = common::id::ID_LEN as u64;

/// A share being hashed, or about to be remembered.
pub(super) struct HashJob {
    number: u64,
    pub(super) path: PathBuf,
    pub(super) shown: Arc<str>,
    /// The name, where it is shown otherwise.
    pub(super) raw: Option<Arc<str>>,
    pub(super) progress: Arc<Progress>,
    pub(super) cancel: Arc<AtomicBool>,
    began: Instant,
    /// Whether the folder is watched from then on, if that was said.
    watched: Option<bool>,
    scope: Scope,
    /// The user shared it as it is while it was being hashed: what came in meanwhile may be missing.
    named: bool,
    /// It is hashed, and being written down.
    hashed: bool,
    /// It was stopped because the folder is not watched any more.
    unwatched: bool,
    /// What was remembered of a folder that is hashed again.
    before: Option<ShareRecord>,
}

impl HashJob {
    /// As it is listed, not as it is shown.
    fn name(&self) -> &str {
        self.raw.as_deref().unwrap_or(&self.shown)
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

/// Everything that is being hashed, in the order in which it was asked for.
#[derive(Default)]
pub(super) struct HashJobs {
    all: BTreeMap<u64, HashJob>,
    by_path: HashMap<PathBuf, Vec<u64>>,
}

impl HashJobs {
    fn add(&mut self, job: HashJob) {
        self.by_path.entry(job.path.clone()).or_default().push(job.number);
        self.all.insert(job.number, job);
    }

    fn take(&mut self, number: u64) -> Option<HashJob> {
        let job = self.all.remove(&number)?;
        if let Some(same) = self.by_path.get_mut(&job.path) {
            same.retain(|other| *other != number);
            if same.is_empty() {
                self.by_path.remove(&job.path);
            }
        }
        Some(job)
    }

    /// Those of one path.
    pub(super) fn at(&self, path: &Path) -> impl Iterator<Item = &HashJob> {
        let numbers = self.by_path.get(path).map_or(&[][..], Vec::as_slice);
        numbers.iter().filter_map(|number| self.all.get(number))
    }

    /// Says of what is being hashed at a path whether it is watched then. `false`: nothing is.
    pub(super) fn watch(&mut self, path: &Path, on: bool) -> bool {
        self.each_at(path, |job| !job.is_cancelled(), |job| job.watched = Some(on))
    }

    /// Says of what is being hashed at a path that the user wants all that lies there now. `false`: nothing is.
    pub(super) fn name(&mut self, path: &Path) -> bool {
        self.each_at(path, |job| !job.is_cancelled(), |job| job.named = true)
    }

    /// Stops everything at a path: it is not shared any more.
    pub(super) fn cancel(&mut self, path: &Path) {
        self.each_at(
            path,
            |_| true,
            |job| {
                job.cancel.store(true, Ordering::Relaxed);
                job.unwatched = false;
            },
        );
    }

    /// Stops what takes what came into a watched folder, unless it is hashed already. Whether there is some.
    pub(super) fn unwatch(&mut self, path: &Path) -> bool {
        let is_meant =
            |job: &HashJob| job.scope == Scope::Settled && !job.hashed && !job.is_cancelled();
        self.each_at(path, is_meant, |job| {
            job.cancel.store(true, Ordering::Relaxed);
            job.unwatched = true;
        })
    }

    /// Changes those at a path that are meant. Whether there is some.
    fn each_at(
        &mut self,
        path: &Path,
        is_meant: impl Fn(&HashJob) -> bool,
        change: impl Fn(&mut HashJob),
    ) -> bool {
        let mut any = false;
        for number in self.by_path.get(path).into_iter().flatten() {
            if let Some(job) = self.all.get_mut(number).filter(|job| is_meant(job)) {
                change(job);
                any = true;
            }
        }
        any
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &HashJob> {
        self.all.values()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// How something is to be hashed.
pub(super) struct Order {
    /// Its name, if it is not to be its own.
    pub(super) name: Option<String>,
    /// What was remembered of it, so that unchanged files of a folder are not read again; looked up if `None`.
    pub(super) known: Option<ShareRecord>,
    /// Which files of a folder that was shared before. All of them at the user's word, who shares it as it is, also
    /// where it was found damaged; whatever else is found damaged stays off the network.
    pub(super) scope: Scope,
}

/// A share that was hashed, and what the library is to write down of it.
struct Hashed {
    prepared: Box<Prepared>,
    rows: Result<ShareRows, LibraryError>,
    /// What was remembered before.
    before: Option<ShareRecord>,
}

/// What became of something that was to be shared.
pub(super) struct Finished {
    job: u64,
    result: Result<Ready, ShareError>,
}

/// A share that is hashed, and remembered if that could be.
struct Ready {
    prepared: Box<Prepared>,
    /// Why a restart would forget it, and what to do.
    unkept: Option<String>,
}

impl Finished {
    fn ready(job: u64, prepared: Box<Prepared>, unkept: Option<String>) -> Self {
        Self { job, result: Ok(Ready { prepared, unkept }) }
    }
}

impl Session {
    /// Under what name it is shared, or being hashed, which only unsharing it ends.
    fn name_at(&self, path: &Path) -> Option<&str> {
        let hashed = self.sharing.jobs.at(path).find(|job| !job.is_cancelled());
        let mut listed = self.contents.shares_at(path);
        let listed = listed.find(|(_, share)| hashed.is_some() || share.state.is_good());
        let listed = listed.and_then(|(id, _)| self.contents.get(&id));
        listed.map(|content| content.name.as_str()).or_else(|| hashed.map(HashJob::name))
    }

    /// Refuses another name for what is shared, or being hashed, under its name.
    pub(super) fn check_name(&self, path: &Path, wanted: &str) -> Result<(), CommandError> {
        match self.name_at(path).filter(|name| *name != wanted) {
            None => Ok(()),
            Some(name) => {
                let (path, name) = (path.display(), common::names::show(name));
                let text = format!(
                    "{path} is shared as {name}; unshare that first, then share it under the other name"
                );
                Err(refuse(CommandErrorKind::Invalid, &text))
            }
        }
    }

    /// Whether it is hashed just now, to be shared.
    pub(super) fn is_being_hashed(&self, path: &Path) -> bool {
        self.sharing.jobs.at(path).any(|job| !job.is_cancelled())
    }

    /// Shares again what is remembered of `path`.
    pub(super) fn share_again(&mut self, path: PathBuf) {
        self.hash(path, Order { name: None, known: None, scope: Scope::Known });
    }

    /// Hashes `path` in the background.
    pub(super) fn hash(&mut self, path: PathBuf, order: Order) {
        let number = self.background.new_number();
        let progress = Arc::new(Progress::default());
        let cancel = Arc::new(AtomicBool::new(false));
        let raw = order.name.clone().unwrap_or_else(|| {
            path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
        });
        let shown = common::names::show(&raw);
        self.sharing.jobs.add(HashJob {
            number,
            path: path.clone(),
            raw: raw_of(&raw, &shown),
            shown: shown.into(),
            progress: progress.clone(),
            cancel: cancel.clone(),
            began: Instant::now(),
            watched: None,
            scope: order.scope,
            named: false,
            hashed: false,
            unwatched: false,
            before: None,
        });
        let (library, probe) =
            (self.write_queue.library().clone(), self.background.probe().clone());
        self.background.reading(path, move |path| {
            probe.hashing(&path);
            let result = prepare(&library, &path, order, &progress, &cancel);
            Done::new(move |session| session.on_prepared(number, result))
        });
        self.changed();
    }

    /// It was hashed: it is written down together with all that is ready meanwhile, and shared after that.
    fn on_prepared(&mut self, number: u64, result: Result<Hashed, ShareError>) {
        let Hashed { prepared, rows, before } = match result {
            Ok(hashed) => hashed,
            Err(error) => return self.hashed(Finished { job: number, result: Err(error) }),
        };
        match self.sharing.jobs.all.get_mut(&number).filter(|job| !job.is_cancelled()) {
            Some(job) => (job.before, job.hashed) = (before, true),
            None => return self.hashed(Finished::ready(number, prepared, None)),
        }
        match rows.map(|rows| self.write_queue.library().note_share(rows)) {
            Ok(Ok(change)) => self.when_kept(change, move |session, unkept| {
                session.hashed(Finished::ready(number, prepared, unkept));
            }),
            // More waits than is kept: with the next commit, or not at all.
            Ok(Err(rows)) => {
                let library = self.write_queue.library().clone();
                self.background.own(move || {
                    let result = library.put_rows(rows);
                    Done::new(move |session| session.on_remembered(number, prepared, result))
                });
            }
            Err(error) => self.on_remembered(number, prepared, Err(error)),
        }
    }

    /// It was written into the library by itself, or could not be.
    fn on_remembered(
        &mut self,
        number: u64,
        prepared: Box<Prepared>,
        result: Result<(), LibraryError>,
    ) {
        let error = result.as_ref().err();
        let unkept = error.map(|error| unkept_words(&error.to_string(), hint(error)));
        self.note_written(result.as_ref().map(drop));
        self.hashed(Finished::ready(number, prepared, unkept));
    }

    /// The last word on something that was to be shared; it is served from here on.
    pub(super) fn on_hashed(&mut self, finished: Finished) {
        let Finished { job: number, result } = finished;
        let Some(mut job) = self.sharing.jobs.take(number) else { return };
        self.look_for_more();
        self.changed();
        if job.is_cancelled() {
            return self.on_cancelled(&job, result);
        }
        match result {
            Ok(Ready { prepared, unkept }) => {
                // All that lies in a folder comes next: whoever waits for that waits on.
                let more = job.named && prepared.kind == Kind::Folder;
                self.judge_hashed(&job.path, &Ok(prepared.id));
                self.tell_hashed(&job, &prepared, unkept, !more);
                let before = job.before.take();
                let is_next = before.as_ref().is_some_and(|before| before.id != prepared.id);
                self.replace_altered(&prepared);
                self.follow(&prepared, before);
                let (id, path) = (prepared.id, prepared.path.clone());
                let layout = prepared.layout.clone();
                let list = prepared.manifest.as_ref().map_or(0, |list| list.bytes().len() as u64);
                self.serve_prepared(*prepared, false);
                if is_next {
                    self.folders.took(&path, Instant::now());
                    let chunk = u64::from(layout.chunk_len()).max(1);
                    let hashes = job.progress.done.load(Ordering::Relaxed) / chunk * HASH_BYTES;
                    self.leave_behind(list + hashes);
                }
                self.check_soon(&id, &path);
                if let Some(on) = job.watched {
                    self.watch_hashed(&path, on);
                }
                if more {
                    self.share_all(&path);
                }
            }
            Err(error) => {
                let moved = matches!(error, ShareError::Changed { .. });
                let is_new = self.folders.failed(&job.path, moved, Instant::now());
                if job.named {
                    self.share_all(&job.path);
                    job.watched
                        .into_iter()
                        .for_each(|on| _ = self.sharing.jobs.watch(&job.path, on));
                    return;
                }
                self.judge_hashed(&job.path, &Err(error.to_string()));
                self.tell_unshareable(&job, &error, is_new);
            }
        }
    }

    /// The user shares all that lies at a path, whatever is hashed of it just now.
    pub(super) fn share_all(&mut self, path: &Path) {
        if !self.sharing.jobs.name(path) {
            let order = Order { name: None, known: None, scope: Scope::All };
            self.hash(path.to_path_buf(), order);
        }
    }

    /// Something that was to be shared is not wanted any more.
    fn on_cancelled(&mut self, job: &HashJob, result: Result<Ready, ShareError>) {
        if job.unwatched && self.is_listed(&job.path) {
            // Whoever waits for it hears how it is without what came into it.
            return match job.named {
                true => self.share_all(&job.path),
                false => self.share_real(job.path.clone(), None),
            };
        }
        let why = format!("{} is no longer shared", job.path.display());
        self.judge_hashed(&job.path, &Err(why));
        self.not_shared(&job.path);
        if let Ok(Ready { prepared, .. }) = result {
            // Unshared when it was all but done: it may be remembered already.
            let path = prepared.path;
            if !self.is_being_hashed(&path) && self.shared_at(&path).is_none() {
                self.unremember(&[path], None);
            }
        }
    }

    /// `last`: nothing more comes for whoever waits.
    fn tell_hashed(&self, job: &HashJob, prepared: &Prepared, unkept: Option<String>, last: bool) {
        let mut text = format!(
            "hashed {}: {} chunks in {:.1} s",
            common::names::show(&prepared.name),
            prepared.layout.chunks(),
            job.began.elapsed().as_secs_f64()
        );
        if let Some(unkept) = &unkept {
            text.push_str(": ");
            text.push_str(unkept);
        }
        // Once: a folder that is hashed again by itself leaves out what it left out before.
        let left_out = job.progress.left_out().filter(|_| job.scope == Scope::All);
        if let Some(left_out) = &left_out {
            text.push_str("; not shared with it: ");
            text.push_str(left_out);
        }
        let all_well = unkept.is_none() && left_out.is_none();
        let level = if all_well { Level::Info } else { Level::Warn };
        let (id, path) = (prepared.id, prepared.path.clone());
        let what = if last { What::Hashed { id, path, unkept, left_out } } else { What::Said };
        self.tell(level, Target::Share, text, what);
    }

    /// What is not new is told to whoever waits for it, and to nobody else.
    fn tell_unshareable(&self, job: &HashJob, error: &ShareError, is_new: bool) {
        let level = if is_new { Level::Error } else { Level::Debug };
        let hint = "share it again once that is mended".to_owned();
        let what = What::Failed { id: None, code: "share", hint };
        // Whoever waits for it knows it by its path; the error may be of something in it.
        let mut text = error.to_string();
        if !speaks_of(&text, &job.path) {
            text = format!("{}: {text}", job.path.display());
        }
        self.tell(level, Target::Share, text, what);
    }
}

/// Hashes what lies at a path, as far as it is not known already; blocks.
fn prepare(
    library: &Library,
    path: &Path,
    order: Order,
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<Hashed, ShareError> {
    // Thousands may wait behind each other when they are no longer wanted.
    if cancel.load(Ordering::Relaxed) {
        return Err(ShareError::Cancelled);
    }
    // Shared before (then unshared and shared again, or the program was restarted with the same path):
    // whatever did not change is not read again. A library that cannot be read saves no work, and is no
    // reason not to share what the user names; it is one where only it tells what was shared before.
    let Order { name, known, scope } = order;
    let known = match known {
        Some(record) => Some(record),
        None => match library.share(path) {
            Ok(record) => record,
            Err(_) if scope == Scope::All => None,
            Err(error) => return Err(error.into()),
        },
    };
    let anew = || {
        let mut found = library::scan(path)?;
        if let Some(record) = &known {
            found.leave_out(scope, record, &PathList::default())?;
        }
        library::prepare(&found, &library::hash::reuse_nothing, threads(), progress, cancel)
    };
    if scope != Scope::All && known.as_ref().is_some_and(ShareRecord::is_doubted) {
        return Err(ShareError::Damaged { path: path.to_path_buf() });
    }
    let mut prepared = match &known {
        Some(record) => match (library::check(record), library::restore(library, record)) {
            (Check::Unchanged, Ok(prepared)) => prepared,
            _ => match library::refresh(library, record, scope, threads(), progress, cancel) {
                Err(ShareError::Library(_)) => anew()?,
                other => other?,
            },
        },
        None => anew()?,
    };
    if let Some(name) = name {
        prepared.name = name;
    }
    let rows = library.rows_of(&prepared.record(false), &prepared);
    let before = known.filter(|record| record.rel.is_some() && !record.downloaded);
    Ok(Hashed { prepared: Box::new(prepared), rows, before })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder whose record cannot be read is not known to have been shared as it is: what came into it since would be
    /// published with it.
    #[test]
    fn c7_of_a_record_that_cannot_be_read_only_the_users_word_says_what_is_shared() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().canonicalize().unwrap().join("photos");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("a"), "shared").unwrap();
        let (library, _) = Library::open(&temp.path().join("state")).unwrap();
        let hash = |scope| {
            let order = Order { name: None, known: None, scope };
            prepare(&library, &folder, order, &Progress::default(), &AtomicBool::new(false))
        };
        // Never shared: all of it, whoever says so.
        for scope in [Scope::All, Scope::Settled, Scope::Known] {
            assert_eq!(hash(scope).unwrap().prepared.layout.files(), 1);
        }
        library.spoil(&folder);
        std::fs::write(folder.join("secret"), "came since").unwrap();
        for scope in [Scope::Settled, Scope::Known] {
            assert!(matches!(hash(scope), Err(ShareError::Library(_))), "{scope:?}");
        }
        assert_eq!(hash(Scope::All).unwrap().prepared.layout.files(), 2);
    }

    #[test]
    fn c7_what_takes_what_came_in_stops_with_the_watching_and_what_is_written_down_does_not() {
        let (mut jobs, path) = (HashJobs::default(), Path::new("/a"));
        let job = |number, scope, hashed| HashJob {
            number,
            path: path.into(),
            shown: "a".into(),
            raw: None,
            progress: Arc::default(),
            cancel: Arc::default(),
            began: Instant::now(),
            watched: None,
            scope,
            named: false,
            hashed,
            unwatched: false,
            before: None,
        };
        let all = [(Scope::All, false), (Scope::Settled, false), (Scope::Known, false)];
        for (number, (scope, hashed)) in all.into_iter().chain([(Scope::Settled, true)]).enumerate()
        {
            jobs.add(job(number as u64, scope, hashed));
        }
        assert!(jobs.unwatch(path) && !jobs.unwatch(path) && !jobs.unwatch(Path::new("/b")));
        let stopped: Vec<u64> =
            jobs.iter().filter(|job| job.is_cancelled()).map(|job| job.number).collect();
        assert_eq!(stopped, [1]);
        assert!(jobs.iter().all(|job| job.unwatched == job.is_cancelled()));
        // Also of one that takes all: what came into the folder since it was looked through may be missing.
        assert!(jobs.name(path) && !jobs.name(Path::new("/b")));
        assert!(jobs.iter().all(|job| job.named != job.is_cancelled()));
        // What is unshared after that does not come back.
        jobs.cancel(path);
        assert!(jobs.iter().all(|job| job.is_cancelled() && !job.unwatched));
    }
}
