//! Copies of what is here already, in the folder where it is asked for. They are made beside the session, and belong to
//! the user: what is published stays where it was.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::chunk_set::ChunkSet;
use common::id::ContentId;
use common::names::top_component;
use tokio::sync::{mpsc, oneshot};

use super::commands::Answer;
use super::content::{Role, Share, bytes_of, disk_name};
use super::done::Done;
use super::helpers::Place;
use super::moves::{Found, Question};
use super::path_lookups::usable;
use super::selection::wanted_chunks;
use super::verify::EARLIER_STATE;
use super::{Session, refuse};
use crate::api::command::{CommandError, CommandErrorKind, Download, Reply, Selection};
use crate::api::event::{Level, NOT_COPIED, TAKEN, Target, What};
use crate::api::snapshot::Copying;
use crate::disk::{Copied, CopyError, CopyPlan, DiskError, FinishPlan, PartialSpec, may_be};

/// Copies that are made or wait for that: more than anybody marks by hand.
const MAX_COPIES: usize = 1000;
/// The log says how far a copy is this often.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// A download that ends because it is here may still be being opened, or closed, where it was to be: the copy that
/// takes its place waits for that so long at most, …
const OPEN_TIME: Duration = Duration::from_secs(10);
/// … and looks this often whether it is over.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A copy that is being made, or waits for that.
struct Copy {
    /// Where it will be.
    path: PathBuf,
    /// Bytes of it in all.
    size: u64,
    done: Arc<AtomicU64>,
    cancel: Arc<AtomicBool>,
    began: Instant,
    told: Instant,
}

/// All of them.
pub(super) struct Copies {
    all: BTreeMap<ContentId, Copy>,
    /// Those of them that wait until what there was of a download in their place is deleted.
    held: BTreeMap<ContentId, CopyPlan>,
    /// Each that is being made holds one of these until it has ended.
    alive: mpsc::Sender<()>,
    ended: mpsc::Receiver<()>,
}

impl Default for Copies {
    fn default() -> Self {
        let (alive, ended) = mpsc::channel(1);
        Self { all: BTreeMap::new(), held: BTreeMap::new(), alive, ended }
    }
}

impl Copies {
    pub(super) fn has(&self, id: &ContentId) -> bool {
        self.all.contains_key(id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// For the snapshot.
    pub(super) fn rows(&self) -> Arc<[Copying]> {
        let row = |(id, copy): (&ContentId, &Copy)| Copying {
            id: *id,
            path: copy.path.clone(),
            size: copy.size,
            done: copy.done.load(Ordering::Relaxed).min(copy.size),
        };
        self.all.iter().map(row).collect()
    }

    /// When the log is to say how far they are.
    pub(super) fn due(&self) -> Option<Instant> {
        self.all.values().map(|copy| copy.told + TELL_EVERY).min()
    }

    /// Gives up those that are not done, and waits until that has deleted what they began, but not for a disk that
    /// hangs.
    pub(super) async fn end(self, until: Instant) {
        let Self { all, alive, mut ended, .. } = self;
        all.values().for_each(|copy| copy.cancel.store(true, Ordering::Relaxed));
        drop(alive);
        let _ = tokio::time::timeout_at(until.into(), ended.recv()).await;
    }
}

impl Session {
    /// Something that is here is asked for in `dir`; the answer comes when that was looked at.
    pub(super) fn copy_to(
        &mut self,
        request: Download,
        dir: PathBuf,
        reply: oneshot::Sender<Answer>,
    ) -> Option<(Answer, oneshot::Sender<Answer>)> {
        let Download { id, files, .. } = request;
        let asked = self.settled(&id, files).and_then(|files| {
            let (places, name, size) = self.lies(&id)?;
            Ok((files, places, name, size))
        });
        let (files, places, name, size) = match asked {
            Ok(asked) => asked,
            Err(error) => return Some((Err(error), reply)),
        };
        let Some(old) = places.first().cloned() else { return Some((Ok(Reply::Accepted), reply)) };
        let question = Question { id, old, dir, files, reply };
        self.ask(question, move |old, dir| look(&places, old, dir, &name, size))
    }

    /// Folders that something complete lies in, what it is called on disk, and the bytes of it if it is a file.
    fn lies(&self, id: &ContentId) -> Result<(Vec<PathBuf>, String, Option<u64>), CommandError> {
        let content = self.contents.get(id);
        let (content, share) = match content.map(|content| (content, &content.role)) {
            Some((content, Role::Share(share))) => (content, share),
            _ => return Err(refuse(CommandErrorKind::NotFound, "it is not here any more")),
        };
        if share.paths.is_empty() {
            return Err(refuse(CommandErrorKind::Invalid, EARLIER_STATE));
        }
        let parents = share.paths.iter().filter_map(|path| path.parent());
        let size = match content.manifest {
            Some(_) => None,
            None => content.layout.as_ref().map(|layout| layout.total()),
        };
        let name = disk_name(&content.name, id);
        Ok((parents.map(Path::to_path_buf).collect(), name, size))
    }

    /// The folder where a copy is to be was looked at.
    pub(super) fn copy_on(
        &mut self,
        id: &ContentId,
        dir: PathBuf,
        files: Selection,
        found: Found,
    ) -> Answer {
        if found == Found::Same {
            return self.select(id, files);
        }
        let plan = self.copy_plan(id, dir, &files)?;
        self.note_copy(*id, &plan);
        self.run_copy(*id, plan, Duration::ZERO);
        // Who hears the answer sees that it is being made.
        self.publish();
        Ok(Reply::Accepted)
    }

    /// What was being fetched to `dir` turned out to be here: it is copied there once what there was of it in its place
    /// is deleted, and how that ends is told.
    pub(super) fn copy_after_deletion(&mut self, id: ContentId, dir: PathBuf, files: Selection) {
        let plan = self.settled(&id, files).and_then(|files| self.copy_plan(&id, dir, &files));
        match plan {
            Ok(plan) => {
                self.note_copy(id, &plan);
                self.storage.copies.held.insert(id, plan);
            }
            Err(error) => {
                let hint = "name another folder, or copy it from there".to_owned();
                let what = What::Failed { id: Some(id), code: NOT_COPIED, hint };
                self.tell(Level::Error, Target::Fetch, error.message, what);
            }
        }
    }

    /// What there was of a download is deleted, or cannot be.
    pub(super) fn copy_held(&mut self, id: ContentId) {
        if let Some(plan) = self.storage.copies.held.remove(&id) {
            self.run_copy(id, plan, OPEN_TIME);
        }
    }

    /// A copy is seen from here on.
    fn note_copy(&mut self, id: ContentId, plan: &CopyPlan) {
        let (path, now) = (plan.target(), Instant::now());
        let size = bytes_of(&plan.spec.layout, &plan.wanted);
        let text = format!("copying {} ({size} bytes) to {}", self.shown_name(&id), path.display());
        self.log(Level::Info, Target::Fetch, text);
        let (done, cancel) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let copy = Copy { path, size, done, cancel, began: now, told: now };
        self.storage.copies.all.insert(id, copy);
    }

    /// What is open where the copy is to be made is waited for, for `patience` at most.
    fn run_copy(&mut self, id: ContentId, plan: CopyPlan, patience: Duration) {
        let Some(copy) = self.storage.copies.all.get(&id) else { return };
        let (path, done, cancel) = (copy.path.clone(), copy.done.clone(), copy.cancel.clone());
        let (from, to) =
            (self.background.volume_of(&plan.source), self.background.volume_of(&path));
        let (place, alive) = (Place::Copying(from, to), self.storage.copies.alive.clone());
        self.background.run_at(place, path, move |_| {
            let begun = Instant::now();
            let result = loop {
                let result = plan.run(&done, &cancel);
                let open = matches!(result, Err(CopyError::Disk(DiskError::InUse { .. })));
                if !open || begun.elapsed() >= patience {
                    break result;
                }
                std::thread::sleep(LOOK_AGAIN);
            };
            drop(alive);
            Done::new(move |session| session.on_copied(id, result))
        });
    }

    fn may_copy(&self, id: &ContentId) -> Result<(), CommandError> {
        if let Some(copy) = self.storage.copies.all.get(id) {
            let text = format!(
                "it is just being copied to {}; ask again when that is done",
                copy.path.display()
            );
            return Err(refuse(CommandErrorKind::Invalid, text));
        }
        if self.storage.copies.all.len() >= MAX_COPIES {
            let text = "too much is being copied already; ask again when that is done";
            return Err(refuse(CommandErrorKind::Invalid, text));
        }
        Ok(())
    }

    /// # Errors
    /// Why it cannot be copied there.
    fn copy_plan(
        &self,
        id: &ContentId,
        dir: PathBuf,
        files: &Selection,
    ) -> Result<CopyPlan, CommandError> {
        self.may_copy(id)?;
        let invalid = |text: String| refuse(CommandErrorKind::Invalid, text);
        let gone = || invalid("it is not here any more".to_owned());
        let content = self.contents.get(id).ok_or_else(gone)?;
        let Role::Share(share) = &content.role else { return Err(gone()) };
        let source = share.paths.first().cloned();
        let source = source.ok_or_else(|| invalid(EARLIER_STATE.to_owned()))?;
        if !share.state.is_good() {
            let text = format!("what is at {} is not in order: verify it first", source.display());
            return Err(invalid(text));
        }
        let (Some(descriptor), Some(layout)) = (content.descriptor, content.layout.clone()) else {
            return Err(gone());
        };
        let manifest = content.manifest.as_deref();
        let wanted = wanted_chunks(manifest, &layout, files);
        all_here(&content.shown, share, &source, &wanted)?;
        Ok(CopyPlan {
            finish: FinishPlan::new(manifest, &layout, &wanted),
            spec: PartialSpec {
                id: *id,
                descriptor,
                rel: manifest.map(|manifest| Arc::clone(manifest.disk_paths())),
                layout,
                name: disk_name(&content.name, id),
                dir,
                keep_free: self.config.keep_free,
                owner: Some(self.owner()),
            },
            source,
            wanted,
            hashes: self.core.node().hashes(id).map(<[_]>::to_vec).unwrap_or_default(),
        })
    }

    fn on_copied(&mut self, id: ContentId, result: Result<Copied, CopyError>) {
        let Some(copy) = self.storage.copies.all.remove(&id) else { return };
        let (shown, seconds) = (self.shown_name(&id), copy.began.elapsed().as_secs_f64());
        match result {
            Ok(Copied { path, was_there }) => {
                let (bytes, text) = match was_there {
                    false => (copy.size, format!("copied in {seconds:.1} s: {}", path.display())),
                    true => (0, format!("{shown}: all of it was at {} already", path.display())),
                };
                let what = What::Done { id, path, bytes, seconds, unkept: None };
                self.tell(Level::Info, Target::Fetch, text, what);
            }
            Err(error) => {
                let (code, hint) = match &error {
                    CopyError::Taken(_) => (TAKEN, "name another folder, or move that away"),
                    CopyError::Wrong { .. } => {
                        (NOT_COPIED, "verify it, and mend or fetch it again")
                    }
                    CopyError::Cancelled => (NOT_COPIED, "run it again"),
                    CopyError::Disk(_) => (NOT_COPIED, "see to that disk, or name another folder"),
                };
                let text = format!("{shown}: not copied to {}: {error}", copy.path.display());
                let what = What::Failed { id: Some(id), code, hint: hint.to_owned() };
                self.tell(Level::Error, Target::Fetch, text, what);
            }
        }
    }

    /// Says now and then how far copies are that take long.
    pub(super) fn tell_copies(&mut self, now: Instant) {
        let mut said = Vec::new();
        for (id, copy) in &mut self.storage.copies.all {
            if now >= copy.told + TELL_EVERY {
                copy.told = now;
                let done = copy.done.load(Ordering::Relaxed).min(copy.size);
                if done == 0 {
                    // It waits for others, of which there may be many.
                    continue;
                }
                let percent = done.saturating_mul(100) / copy.size.max(1);
                said.push((*id, format!("{percent} % copied to {}", copy.path.display())));
            }
        }
        for (id, text) in said {
            self.log(Level::Info, Target::Fetch, format!("{}: {text}", self.shown_name(&id)));
        }
    }
}

/// Refuses what only some files of a folder are here for: the others are fetched to where these are.
fn all_here(
    shown: &str,
    share: &Share,
    source: &Path,
    wanted: &ChunkSet,
) -> Result<(), CommandError> {
    let Some(part) = &share.part else { return Ok(()) };
    if wanted.iter().all(|chunk| part.contains(chunk)) {
        return Ok(());
    }
    let text = format!(
        "only some files of {shown} are here, at {}: more of them go there, so leave the folder out",
        source.display()
    );
    Err(refuse(CommandErrorKind::Invalid, text))
}

/// Looks at a folder where a copy is to be; blocks.
fn look(
    places: &[PathBuf],
    old: &Path,
    dir: &Path,
    name: &str,
    size: Option<u64>,
) -> Result<Found, CommandError> {
    let which = |dir: &Path| std::fs::metadata(dir).map(|meta| (meta.dev(), meta.ino())).ok();
    let new = which(dir);
    if new.is_some() && places.iter().any(|place| which(place) == new) {
        return Ok(Found::Same);
    }
    usable(dir, &format!("it lies in {}", old.display()))?;
    let path = dir.join(top_component(name));
    if path.symlink_metadata().is_ok() && !may_be(&path, size) {
        let text = format!(
            "{} is there already, and it is something else; what was asked for lies in {}: copy it from there, \
             or name another folder",
            path.display(),
            old.display()
        );
        return Err(refuse(CommandErrorKind::Invalid, text));
    }
    Ok(Found::Some)
}
