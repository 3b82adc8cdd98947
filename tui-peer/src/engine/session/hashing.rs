//! Hashing what is to be shared: beside the session, all that is ready meanwhile remembered in one commit, and
//! told as fast as it is heard.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::Session;
use super::ledger::{hint, unkept_words};
use super::shares::{Done, threads};
use crate::engine::event::{Level, Target, What, speaks_of};
use crate::engine::library::{
    self, Check, Library, LibraryError, Prepared, Progress, ShareError, ShareRecord, ShareRows,
};
use crate::engine::snapshot::raw_of;

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
}

impl HashJob {
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

/// Whose word counts about a share that was found damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// What is remembered of it: it stays off the network.
    Record,
    /// The user's, who shares it as it is.
    Disk,
}

/// What is known before something is hashed.
struct Known {
    record: Option<ShareRecord>,
    trust: Trust,
}

/// A share that was hashed, and what the library is to write down of it.
pub(super) struct Hashed {
    prepared: Box<Prepared>,
    rows: Result<ShareRows, LibraryError>,
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
    pub(super) fn ready(job: u64, prepared: Box<Prepared>, unkept: Option<String>) -> Self {
        Self { job, result: Ok(Ready { prepared, unkept }) }
    }
}

impl Session {
    /// Whether it is hashed just now, to be shared.
    pub(super) fn is_being_hashed(&self, path: &Path) -> bool {
        self.jobs.at(path).any(|job| !job.is_cancelled())
    }

    /// Shares again what is remembered of `path`.
    pub(super) fn share_again(&mut self, path: PathBuf) {
        self.hash(path, None, None, Trust::Record);
    }

    /// Hashes `path` in the background; `known` is what was remembered of it, so that unchanged files
    /// of a folder are not read again.
    pub(super) fn hash(
        &mut self,
        path: PathBuf,
        name: Option<String>,
        known: Option<ShareRecord>,
        trust: Trust,
    ) {
        let number = self.new_number();
        let progress = Arc::new(Progress::default());
        let cancel = Arc::new(AtomicBool::new(false));
        let raw = name.clone().unwrap_or_else(|| {
            path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
        });
        let shown = common::names::show(&raw);
        self.jobs.add(HashJob {
            number,
            path: path.clone(),
            raw: raw_of(&raw, &shown),
            shown: shown.into(),
            progress: progress.clone(),
            cancel: cancel.clone(),
            began: Instant::now(),
        });
        let library = self.library.clone();
        self.read_beside(path, move |path| {
            let known = Known { record: known, trust };
            let result = prepare(&library, &path, name, known, &progress, &cancel);
            Done::Prepared { job: number, result }
        });
        self.changed();
    }

    /// It was hashed: it is written down together with all that is ready meanwhile, and shared after that.
    pub(super) fn on_prepared(&mut self, number: u64, result: Result<Hashed, ShareError>) {
        let Hashed { prepared, rows } = match result {
            Ok(hashed) => hashed,
            Err(error) => return self.hashed(Finished { job: number, result: Err(error) }),
        };
        if self.jobs.all.get(&number).is_none_or(HashJob::is_cancelled) {
            return self.hashed(Finished::ready(number, prepared, None));
        }
        match rows.map(|rows| self.library.note_share(rows)) {
            Ok(Ok(change)) => self.share_when_kept(change, number, prepared),
            // More waits than is kept: with the next commit, or not at all.
            Ok(Err(rows)) => {
                let library = self.library.clone();
                self.background(move || {
                    let result = library.put_rows(rows);
                    Done::Remembered { job: number, prepared, result }
                });
            }
            Err(error) => self.on_remembered(number, prepared, Err(error)),
        }
    }

    /// It was written into the library by itself, or could not be.
    pub(super) fn on_remembered(
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
        let Some(job) = self.jobs.take(number) else { return };
        self.look_for_more();
        self.changed();
        let cancelled = job.is_cancelled();
        let found = match &result {
            _ if cancelled => Err(format!("{} is no longer shared", job.path.display())),
            Ok(ready) => Ok(ready.prepared.id),
            Err(error) => Err(error.to_string()),
        };
        self.judge_hashed(&job.path, &found);
        if cancelled {
            self.not_shared(&job.path);
        }
        match result {
            Ok(Ready { prepared, .. }) if cancelled => {
                // Unshared when it was all but done: it may be remembered already.
                let path = prepared.path;
                if !self.is_being_hashed(&path) && self.shared_at(&path).is_none() {
                    let noted = self.library.note_unshared(&[path], None);
                    self.write_down(noted);
                }
            }
            Ok(Ready { prepared, unkept }) => {
                self.tell_hashed(&job, &prepared, unkept);
                self.replace_altered(&prepared);
                self.serve_prepared(*prepared, false);
            }
            Err(_) if cancelled => {}
            Err(error) => self.tell_unshareable(&job, &error),
        }
    }

    fn tell_hashed(&self, job: &HashJob, prepared: &Prepared, unkept: Option<String>) {
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
        let level = if unkept.is_none() { Level::Info } else { Level::Warn };
        let what = What::Hashed { id: prepared.id, path: prepared.path.clone(), unkept };
        self.tell(level, Target::Share, text, what);
    }

    fn tell_unshareable(&self, job: &HashJob, error: &ShareError) {
        let hint = "share it again once that is mended".to_owned();
        let what = What::Failed { id: None, code: "share", hint };
        // Whoever waits for it knows it by its path; the error may be of something in it.
        let mut text = error.to_string();
        if !speaks_of(&text, &job.path) {
            text = format!("{}: {text}", job.path.display());
        }
        self.tell(Level::Error, Target::Share, text, what);
    }
}

/// Hashes what lies at a path, as far as it is not known already; blocks.
fn prepare(
    library: &Library,
    path: &Path,
    name: Option<String>,
    known: Known,
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<Hashed, ShareError> {
    // Thousands may wait behind each other when they are no longer wanted.
    if cancel.load(Ordering::Relaxed) {
        return Err(ShareError::Cancelled);
    }
    let anew = || {
        let found = library::scan(path)?;
        library::prepare(&found, &library::hasher::reuse_nothing, threads(), progress, cancel)
    };
    // Shared before (then unshared and shared again, or the program was restarted with the same path):
    // whatever did not change is not read again. A library that cannot be read saves no work, and is no
    // reason not to share.
    let Known { record, trust } = known;
    let known = record.or_else(|| library.share(path).ok().flatten());
    if trust == Trust::Record && known.as_ref().is_some_and(ShareRecord::is_doubted) {
        return Err(ShareError::Damaged { path: path.to_path_buf() });
    }
    let mut prepared = match &known {
        Some(record) => match (library::check(record), library::restore(library, record)) {
            (Check::Unchanged, Ok(prepared)) => prepared,
            _ => match library::refresh(library, record, threads(), progress, cancel) {
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
    Ok(Hashed { prepared: Box::new(prepared), rows })
}
