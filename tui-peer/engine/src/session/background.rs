//! Work beside the session: what may have to wait for a disk runs on threads of its volume ([`helpers`]), and its
//! result comes back as [`Done`]. So a disk that hangs holds up only what lies on it.
//!
//! [`helpers`]: super::helpers

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::Probe;
use super::done::Done;
use super::helpers::{Helpers, Place};
use super::volumes::Volumes;

/// See the module.
pub(super) struct Background {
    helpers: Helpers,
    volumes: Volumes,
    probe: Arc<dyn Probe>,
    done: mpsc::Sender<Done>,
    /// The number of the last piece of work that has one.
    last: u64,
}

impl Background {
    pub(super) fn new(probe: Arc<dyn Probe>, done: mpsc::Sender<Done>) -> Self {
        Self { helpers: Helpers::default(), volumes: Volumes::default(), probe, done, last: 0 }
    }

    /// What stands between the session and the user's paths.
    pub(super) fn probe(&self) -> &Arc<dyn Probe> {
        &self.probe
    }

    /// Where a thread of its own reports.
    pub(super) fn done(&self) -> mpsc::Sender<Done> {
        self.done.clone()
    }

    /// Tells a piece of work from every other.
    pub(super) fn new_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Tells the volume of a path from others, without a look at it.
    pub(super) fn volume_of(&mut self, path: &Path) -> u64 {
        let given = self.probe.volume(path);
        given.unwrap_or_else(|| self.volumes.of(path, Instant::now()))
    }

    /// Runs blocking work that touches nothing but our own state folder.
    pub(super) fn own(&self, work: impl FnOnce() -> Done + Send + 'static) {
        self.run(Place::Own, work);
    }

    /// The same for work on a path of the user's, whose disk may hang.
    pub(super) fn on_path(
        &mut self,
        path: PathBuf,
        work: impl FnOnce(PathBuf) -> Done + Send + 'static,
    ) {
        let place = Place::Volume(self.volume_of(&path));
        self.run_at(place, path, work);
    }

    /// The same for work that may read all there is at the path.
    pub(super) fn reading(
        &mut self,
        path: PathBuf,
        work: impl FnOnce(PathBuf) -> Done + Send + 'static,
    ) {
        let place = Place::Reading(self.volume_of(&path));
        self.run_at(place, path, work);
    }

    /// The same for work on a path that may have to wait for what is at `place`.
    pub(super) fn run_at(
        &self,
        place: Place,
        path: PathBuf,
        work: impl FnOnce(PathBuf) -> Done + Send + 'static,
    ) {
        let probe = self.probe.clone();
        self.run(place, move || {
            probe.before(&path);
            work(path)
        });
    }

    /// The same for work that looks at several paths, and says so to the probe itself.
    pub(super) fn run(&self, place: Place, work: impl FnOnce() -> Done + Send + 'static) {
        let done = self.done.clone();
        self.helpers.run(place, move || {
            // Nobody left to tell: the engine has stopped.
            let _ = done.blocking_send(work());
        });
    }

    /// Runs what waits for something else than a thread; nothing follows from `None`.
    pub(super) fn task(&self, work: impl Future<Output = Option<Done>> + Send + 'static) {
        let done = self.done.clone();
        tokio::spawn(async move {
            if let Some(end) = work.await {
                // Nobody left to tell: the engine has stopped.
                let _ = done.send(end).await;
            }
        });
    }

    /// Runs what closes files, of which nothing comes back.
    pub(super) fn closing(&self, work: impl FnOnce() + Send + 'static) {
        self.helpers.run(Place::Closing, work);
    }

    /// Drops what may hold open files: closing them may have to write what is left.
    pub(super) fn close(&self, files: impl Send + 'static) {
        self.closing(move || drop(files));
    }
}
