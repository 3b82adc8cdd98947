//! The one task that owns the swarm core and everything the user has: it feeds the core what happened,
//! executes what it says, and carries out commands. Blocking work (hashing, opening, renaming, the
//! library) and every look at a path of the user's run elsewhere and report back as [`Done`]: a disk that
//! hangs must not hold up this task, and each volume has threads of its own for it ([`helpers`]), so that
//! it holds up only what lies on it.

mod again;
mod background;
mod bans;
mod blocked;
mod changed;
mod checks;
mod chunk_map;
mod clock;
mod commands;
mod content;
mod contents;
mod copies;
mod core;
mod delete;
mod describing;
mod done;
mod doubts;
mod download;
mod downloads;
mod existing;
mod extras;
mod failing;
mod figures;
mod finishing;
mod focus;
mod folder;
mod folders;
mod free_space;
mod hashing;
mod helpers;
mod inputs;
mod manifest_cache;
mod measures;
mod moves;
mod network;
mod opened;
mod orphans;
mod outputs;
mod path_lookups;
mod preferences;
mod publisher;
mod queue;
mod recheck;
mod remembered;
mod revoked;
mod selection;
mod share_paths;
mod shares;
mod sharing;
mod start;
mod stop;
mod storage;
mod telling;
mod undo;
mod unreached;
mod uploads;
mod verify;
mod view;
mod volumes;
mod watches;
mod whereabouts;
mod write_queue;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use common::id::ContentId;
use tokio::sync::{mpsc, watch};

use self::background::Background;
use self::checks::Checks;
use self::clock::Clocks;
use self::contents::Contents;
use self::core::Core;
use self::done::Done;
use self::folders::Folders;
use self::inputs::Conn;
use self::network::Net;
use self::preferences::Preferences;
use self::publisher::Publisher;
use self::sharing::Sharing;
use self::stop::Stopping;
use self::storage::Storage;
use self::write_queue::WriteQueue;
use super::announcer::TrackerEvent;
use super::conn::{ConnEvent, Ours};
use super::disk::{DiskEvent, Space};
use crate::api::command::CommandError;
use crate::api::config::EngineConfig;
use crate::api::event::{Event, Level, Target, What};
use crate::api::figures::Errors;
use crate::api::handle::{Call, Stop};
use swarm::event::{ConnId, Input};

pub(super) use remembered::known;
pub(super) use start::start;

/// Events taken from one queue before the others get their turn.
const BATCH: usize = 256;
/// Results of background work waiting to be taken; each job reports once.
const DONE_QUEUE: usize = 256;
/// Housekeeping: retries of blocked downloads, rates that fade.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// The task, as parts that know nothing of each other: each is told what it needs, and what it is made of is private to
/// its file, but for what stands in [`Net`], in a [`download::Download`] and in the user's preferences. What concerns
/// several parts is done by the methods of the session, which stand by the part they change.
pub(super) struct Session {
    config: EngineConfig,
    core: Core,
    background: Background,
    write_queue: WriteQueue,
    net: Net,
    /// What all connections share.
    ours: Ours,
    conns: BTreeMap<ConnId, Conn>,
    contents: Contents,
    folders: Folders,
    sharing: Sharing,
    checks: Checks,
    storage: Storage,
    preferences: Preferences,
    counters: Counters,
    clocks: Clocks,
    /// When the last round of housekeeping was.
    housekept: Instant,
    stopping: Option<Stopping>,
    /// Dropped last: who sees the end of the snapshots may open what was open.
    publisher: Publisher,
}

/// Stands between the session and the user's paths. Only tests do something there.
pub(super) trait Probe: Send + Sync {
    /// Called before a look at a path, where it may block.
    fn before(&self, _: &Path) {}

    /// Bytes of what is to be remembered that are kept while the library cannot be written, if not as many
    /// as usual.
    fn library_keeps(&self) -> Option<usize> {
        None
    }

    /// Called before something is hashed to be shared.
    fn hashing(&self, _: &Path) {}

    /// Called when a share was read again, before what was found is written down.
    fn compared(&self, _: &Path) {}

    /// The volume of a path, if it is not to be found out.
    fn volume(&self, _: &Path) -> Option<u64> {
        None
    }

    /// What is free where a path lies, if it is not to be found out.
    fn space(&self, _: &Path) -> Option<Space> {
        None
    }

    /// How long the program has run before old parts are looked for.
    fn orphans_after(&self) -> Duration {
        orphans::FIRST_AFTER
    }

    /// How often shares are looked at.
    fn check_every(&self) -> Duration {
        changed::CHECK_EVERY
    }

    /// Bytes that earlier states of folders may leave in the library.
    fn states_leave(&self) -> u64 {
        folders::MAX_LEFT
    }
}

/// Does nothing.
struct NoProbe;

impl Probe for NoProbe {}

/// What is counted in this run.
#[derive(Debug, Default)]
struct Counters {
    totals: Totals,
    /// What went wrong.
    errors: Errors,
}

/// Payload moved in this run.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    down: u64,
    up: u64,
    wasted: u64,
}

/// The queues a session reads.
pub(super) struct Queues {
    commands: mpsc::Receiver<Call>,
    stop: watch::Receiver<Stop>,
    conns: mpsc::Receiver<ConnEvent>,
    disk: mpsc::Receiver<DiskEvent>,
    done: mpsc::Receiver<Done>,
}

impl Session {
    /// Runs until stopped.
    async fn run(mut self, mut queues: Queues) {
        while !self.is_stopped() {
            let due = self.next_due();
            // Receiving from the tracker's channel needs it outside of `self`.
            self.net.replaced = false;
            let mut tracker = self.net.events.take();
            tokio::select! {
                biased;
                changed = queues.stop.changed() => {
                    let how = if changed.is_err() { Stop::Now } else { *queues.stop.borrow() };
                    self.stop(how);
                }
                Some(event) = queues.conns.recv() => self.on_conn(event),
                Some(event) = queues.disk.recv() => self.on_disk(event),
                Some(call) = queues.commands.recv() => self.on_call(call),
                Some(done) = queues.done.recv() => self.on_done(done),
                Some(event) = recv(&mut tracker) => self.on_tracker(event),
                () = tokio::time::sleep_until(due.into()) => {}
            }
            if !self.net.replaced {
                self.net.events = tracker;
            }
            self.drain(&mut queues);
            self.on_time();
        }
        self.finish(&mut queues.conns).await;
    }

    /// Takes what else is waiting, a bounded number from each queue, so that none starves.
    fn drain(&mut self, queues: &mut Queues) {
        for _ in 0..BATCH {
            let Ok(event) = queues.conns.try_recv() else { break };
            self.on_conn(event);
        }
        for _ in 0..BATCH {
            let Ok(event) = queues.disk.try_recv() else { break };
            self.on_disk(event);
        }
        // The user is heard also while there is never a moment without an event of a connection.
        for _ in 0..BATCH {
            let Ok(call) = queues.commands.try_recv() else { break };
            self.on_call(call);
        }
        for _ in 0..BATCH {
            let Ok(done) = queues.done.try_recv() else { break };
            self.on_done(done);
        }
        for _ in 0..BATCH {
            let received = self.net.events.as_mut().and_then(|events| events.try_recv().ok());
            let Some(event) = received else { break };
            self.on_tracker(event);
        }
    }

    /// When there is something to do even if nothing happens.
    fn next_due(&self) -> Instant {
        let mut due = self.housekept + self.housekeeping_interval();
        due = due.min(self.checks.looks.next_due(self.background.probe().check_every()));
        let others = self.core.due().into_iter().chain(self.publisher.due());
        let others = others.chain(self.checks.failing.next_due()).chain(self.write_queue.due());
        let others = others.chain(self.sharing.telling.due(Instant::now()));
        let others = others.chain(self.net.mapping.due());
        let others = others.chain(self.folders.next_due()).chain(self.storage.due());
        others.fold(due, Instant::min)
    }

    /// At rest nothing needs a second's resolution.
    fn housekeeping_interval(&self) -> Duration {
        if self.is_busy() { HOUSEKEEPING } else { HOUSEKEEPING * 30 }
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        self.tell_news(now);
        if self.core.is_due() {
            self.feed(Input::Tick);
        }
        if now >= self.housekept + self.housekeeping_interval() {
            self.housekept = now;
            self.check_free_space();
            self.rest_hung(now);
            self.retry_blocked(now);
            self.note_stuck(now);
            self.end_bans(now);
            self.count_served(now);
            self.note_sources(now);
            self.check_extras(now);
            if self.is_busy() {
                self.changed();
            }
        }
        self.check_shares(now);
        self.check_folders(now);
        self.search_on(now);
        self.try_failing(now);
        self.end_slow_moves(now);
        self.tell_copies(now);
        self.delete_removed(Some(now));
        self.check_clocks(now, SystemTime::now());
        self.check_write_queue(now);
        self.check_mapping(now);
        self.check_stopping(now);
        if self.publisher.due().is_some_and(|due| due <= now) {
            self.publish();
        }
    }

    /// Tells the core what happened and does what it says.
    fn feed(&mut self, input: Input) {
        self.changed();
        if self.core.tell(input) {
            while let Some(output) = self.core.next() {
                self.execute(output);
            }
        }
    }

    /// Says something in the log.
    fn log(&self, level: Level, target: Target, text: impl Into<String>) {
        self.tell(level, target, text, What::Said);
    }

    /// Says something in the log, for programs too.
    fn tell(&self, level: Level, target: Target, text: impl Into<String>, what: What) {
        let event = Event { at: SystemTime::now(), level, target, text: text.into(), what };
        self.publisher.tell(event);
    }

    /// Something that deserves a snapshot soon, even if nothing else moves.
    fn changed(&mut self) {
        self.publisher.changed();
    }

    fn shown_name(&self, id: &ContentId) -> String {
        self.contents.get(id).map_or_else(|| id.short(), |content| content.shown.to_string())
    }
}

/// Waits for the tracker's next event; for ever if there is no tracker.
async fn recv(events: &mut Option<mpsc::Receiver<TrackerEvent>>) -> Option<TrackerEvent> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

/// An error for the user.
pub use describing::{describe_prepared, describe_share};

fn refuse(kind: crate::api::command::CommandErrorKind, message: impl Into<String>) -> CommandError {
    CommandError { kind, message: message.into() }
}

#[cfg(test)]
mod tests;
