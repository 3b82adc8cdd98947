//! The one task that owns the swarm core and everything the user has: it feeds the core what happened,
//! executes what it says, and carries out commands. Blocking work (hashing, opening, renaming, the
//! library) and every look at a path of the user's run elsewhere and report back as [`Done`]: a disk that
//! hangs must not hold up this task, and each volume has threads of its own for it ([`helpers`]), so that
//! it holds up only what lies on it.

mod again;
mod altered;
mod bans;
mod blocked;
mod clock;
mod commands;
mod content;
mod contents;
mod copies;
mod delete;
mod done;
mod doubts;
mod download;
mod downloads;
mod effects;
mod existing;
mod facts;
mod failing;
mod figures;
mod finishing;
mod folder;
mod folders;
mod hashing;
mod helpers;
mod kept;
mod ledger;
mod lens;
mod moves;
mod network;
mod orphans;
mod paths;
mod peers;
mod queue;
mod recall;
mod recheck;
mod remembered;
mod removed;
mod room;
mod selection;
mod share_paths;
mod shares;
mod start;
mod stop;
mod telling;
mod unreached;
mod uploads;
mod verified;
mod view;
mod volumes;
mod watches;
mod whereabouts;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use common::id::{ContentId, PeerId};
use common::identity::Identity;
use tokio::sync::{mpsc, watch};

use self::bans::Ban;
use self::clock::{Clocks, Gap, GapNews, Jump, system_up};
use self::done::Done;
use self::hashing::HashJobs;
use self::helpers::{Helpers, Place};
use self::kept::Keeping;
use self::network::Net;
use self::peers::Conn;
use self::removed::Removed;
use super::announcer::TrackerEvent;
use super::command::CommandError;
use super::config::EngineConfig;
use super::conn::{ConnEvent, Ours};
use super::disk::{Disk, DiskEvent, Space};
use super::event::{Event, Level, Target, What};
use super::figures::Errors;
use super::handle::{Call, Stop};
use super::library::Library;
use super::replay::EventSender;
use super::snapshot::{Look, Snapshot, who};
use super::why;
use swarm::Node;
use swarm::event::{ConnId, Input, Output};
use swarm::time::Time;

pub(super) use remembered::known;
pub(super) use start::start;

/// Events taken from one queue before the others get their turn.
const BATCH: usize = 256;
/// Results of background work waiting to be taken; each job reports once.
const DONE_QUEUE: usize = 256;
/// Snapshots per second while something moves.
const SNAPSHOT_EVERY: Duration = Duration::from_millis(250);
/// One takes at most this part of the time: with fifty thousand shares it is tens of milliseconds.
const SNAPSHOT_PART: u32 = 10;
/// However busy the machine is, somebody looks at a screen.
const SNAPSHOT_REST: Duration = Duration::from_secs(2);
/// Housekeeping: retries of blocked downloads, rates that fade.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

pub(super) struct Session {
    config: EngineConfig,
    identity: Arc<Identity>,
    me: PeerId,
    listen: SocketAddr,
    began: Instant,
    node: Node,
    /// What the core said and has not been executed yet.
    effects: VecDeque<Output>,
    executing: bool,
    conns: BTreeMap<ConnId, Conn>,
    contents: contents::Contents,
    /// Ids of `contents` in the order in which they were added.
    order: Vec<ContentId>,
    jobs: HashJobs,
    share_paths: share_paths::SharePaths,
    telling: telling::Telling,
    next_job: u64,
    net: Net,
    /// Names peers gave themselves, as the tracker passed them on.
    nicks: HashMap<PeerId, String>,
    disk: Disk,
    ours: Ours,
    library: Arc<Library>,
    done_tx: mpsc::Sender<Done>,
    events: EventSender,
    snapshots: watch::Sender<Arc<Snapshot>>,
    focus: Option<ContentId>,
    look: Look,
    /// Chunks of the content somebody looks at.
    lens: Option<lens::Lens>,
    meters: facts::Meters,
    serving: bool,
    totals: Totals,
    /// What went wrong in this run.
    errors: Errors,
    stopping: Option<stop::Stopping>,
    /// Something changed since the last snapshot.
    dirty: bool,
    published: Instant,
    /// How long after the last snapshot the next may come.
    snapshot_pause: Duration,
    housekept: Instant,
    rooms: room::Rooms,
    orphans: orphans::Orphans,
    moves: moves::Moves,
    copies: copies::Copies,
    /// What is to be shared and not found yet.
    sought: paths::SoughtPaths,
    /// Finished downloads being deleted at the user's word.
    deleting: Vec<delete::Deleting>,
    /// Folders chosen for downloads that are not known to be usable yet, the newest last.
    chosen: Vec<paths::Chosen>,
    probe: Arc<dyn Probe>,
    helpers: Helpers,
    volumes: volumes::Volumes,
    clocks: Clocks,
    /// How far the tracker's clock is from ours.
    gap: Gap,
    /// Downloads that can be taken back.
    removed: VecDeque<Removed>,
    bans: Vec<Ban>,
    keeping: Keeping,
    whereabouts: whereabouts::Whereabouts,
    ledger: ledger::Ledger,
    /// Shares on which somebody waits for a verdict, and what it waits for.
    asked: BTreeMap<ContentId, verified::Waits>,
    /// When shares are looked at.
    looks: altered::Looks,
    /// Shared folders, and what came into them.
    folders: folders::Folders,
    failing: failing::Failing,
    failures: unreached::Failures,
    /// The front end has to ask the user before the network is joined.
    asking: bool,
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
    fn look_every(&self) -> Duration {
        altered::LOOK_EVERY
    }

    /// Bytes that earlier states of folders may leave in the library.
    fn states_leave(&self) -> u64 {
        folders::MAX_LEFT
    }
}

/// Does nothing.
struct NoProbe;

impl Probe for NoProbe {}

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
        if let Some(deadline) = self.node.next_deadline() {
            due = due.min(self.began + Duration::from_micros(deadline.as_micros()));
        }
        if self.dirty {
            due = due.min(self.published + self.snapshot_pause);
        }
        due = due.min(self.orphans.due().unwrap_or(due));
        due = due.min(self.looks.next_due(self.probe.look_every()));
        let others = self.removal_due().into_iter().chain(self.failing.next_due());
        let others = others.chain(self.ledger.due()).chain(self.telling.due(Instant::now()));
        let others = others.chain(self.copies.due()).chain(self.folders.next_due());
        others.chain(self.moves.due()).fold(due, Instant::min)
    }

    /// At rest nothing needs a second's resolution.
    fn housekeeping_interval(&self) -> Duration {
        if self.is_busy() { HOUSEKEEPING } else { HOUSEKEEPING * 30 }
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        self.tell_news(now);
        if self.node.next_deadline().is_some_and(|deadline| deadline <= self.now()) {
            self.feed(Input::Tick);
        }
        if now >= self.housekept + self.housekeeping_interval() {
            self.housekept = now;
            self.look_at_rooms();
            self.rest_hung(now);
            self.retry_blocked(now);
            self.note_stuck(now);
            self.end_bans(now);
            self.count_served(now);
            self.note_sources(now);
            self.dirty |= self.is_busy();
        }
        self.look_at_shares(now);
        self.look_at_folders(now);
        self.search_on(now);
        self.try_failing(now);
        self.end_slow_moves(now);
        self.tell_copies(now);
        self.bury_removed(Some(now));
        self.look_at_clocks(now, SystemTime::now());
        self.look_at_ledger(now);
        self.check_stopping(now);
        if self.dirty && now >= self.published + self.snapshot_pause {
            self.publish();
        }
    }

    fn look_at_clocks(&mut self, now: Instant, wall: SystemTime) {
        if self.clocks.is_due(now)
            && let Some(jump) = self.clocks.look(now, wall, system_up())
        {
            self.on_jump(jump, now);
        }
        if let Some(news) = self.gap.look(now, self.ours.gate.ahead_secs(now, wall)) {
            self.on_gap(news);
        }
    }

    fn on_jump(&mut self, jump: Jump, now: Instant) {
        match jump {
            Jump::Back(by) => {
                let text = format!("the clock was set back by {} s", by.as_secs());
                self.say(Level::Info, Target::Net, text);
            }
            // Whoever we are connected to did not notice; unless we are a virtual machine that stood still,
            // which is told by a tracker that does not answer.
            Jump::Ahead(by) => {
                let text = format!("the clock was set ahead by {} s", by.as_secs());
                self.say(Level::Info, Target::Net, text);
                if let Some(announcer) = &self.net.announcer {
                    announcer.announce_now();
                }
            }
            // Whoever we were connected to is gone or soon will be.
            Jump::Slept(by) => {
                let text = format!("{} s passed at once: reconnecting", by.as_secs());
                self.say(Level::Info, Target::Net, text);
                self.ours.gate.slept(by, now);
                self.feed(Input::Woke);
                if let Some(announcer) = &self.net.announcer {
                    announcer.announce_now();
                }
            }
        }
    }

    /// Our clock and the tracker's differ by more than they should, or do no longer.
    fn on_gap(&mut self, news: GapNews) {
        self.changed();
        match news {
            GapNews::Differ(ahead) => {
                let text = format!("{}; transfers are not affected", why::clocks(ahead));
                let hint = "set whichever of the two is wrong (timedatectl set-ntp true)";
                let what = What::Failed { id: None, code: "clock", hint: hint.to_owned() };
                self.tell(Level::Warn, Target::Track, text, what);
            }
            GapNews::Agree => {
                self.say(Level::Info, Target::Track, "the tracker's clock and ours agree again");
            }
        }
    }

    /// The core's clock.
    fn now(&self) -> Time {
        let micros = self.began.elapsed().as_micros();
        Time::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// Tells the core what happened and does what it says.
    fn feed(&mut self, input: Input) {
        let now = self.now();
        let mut out = Vec::new();
        self.node.handle(now, input, &mut out);
        self.effects.extend(out);
        self.dirty = true;
        if self.executing {
            return;
        }
        self.executing = true;
        while let Some(output) = self.effects.pop_front() {
            self.execute(output);
        }
        self.executing = false;
    }

    /// Tells a piece of work from every other.
    fn new_number(&mut self) -> u64 {
        self.next_job += 1;
        self.next_job
    }

    /// Runs blocking work beside the session that touches nothing but our own state folder; its result
    /// comes back through [`Self::on_done`].
    fn background(&self, work: impl FnOnce() -> Done + Send + 'static) {
        self.help(Place::Own, work);
    }

    /// The same for work on a path of the user's, whose disk may hang.
    fn beside(&mut self, path: PathBuf, work: impl FnOnce(PathBuf) -> Done + Send + 'static) {
        let place = Place::Volume(self.volume_of(&path));
        self.help_at(place, path, work);
    }

    /// The same for work that may read all there is at the path.
    fn read_beside(&mut self, path: PathBuf, work: impl FnOnce(PathBuf) -> Done + Send + 'static) {
        let place = Place::Reading(self.volume_of(&path));
        self.help_at(place, path, work);
    }

    fn help_at(
        &self,
        place: Place,
        path: PathBuf,
        work: impl FnOnce(PathBuf) -> Done + Send + 'static,
    ) {
        let probe = self.probe.clone();
        self.help(place, move || {
            probe.before(&path);
            work(path)
        });
    }

    fn help(&self, place: Place, work: impl FnOnce() -> Done + Send + 'static) {
        let tx = self.done_tx.clone();
        self.helpers.run(place, move || {
            // Nobody left to tell: the engine has stopped.
            let _ = tx.blocking_send(work());
        });
    }

    /// Tells the volume of a path from others, without a look at it.
    fn volume_of(&mut self, path: &Path) -> u64 {
        let given = self.probe.volume(path);
        given.unwrap_or_else(|| self.volumes.of(path, Instant::now()))
    }

    /// Drops what may hold open files elsewhere: closing them may have to write what is left.
    fn let_go(&self, files: impl Send + 'static) {
        self.helpers.run(Place::Closing, move || drop(files));
    }

    /// Says something in the log.
    fn say(&self, level: Level, target: Target, text: impl Into<String>) {
        self.tell(level, target, text, What::Said);
    }

    /// Says something in the log, for programs too.
    fn tell(&self, level: Level, target: Target, text: impl Into<String>, what: What) {
        let event = Event { at: SystemTime::now(), level, target, text: text.into(), what };
        self.events.send(event);
    }

    /// A peer as people know it: its own name, or the start of its key.
    fn who(&self, peer: &PeerId) -> String {
        who(peer, self.nicks.get(peer).map_or("", |nick| nick))
    }

    /// Something that deserves a snapshot soon, even if nothing else moves.
    fn changed(&mut self) {
        self.dirty = true;
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
fn refuse(kind: super::command::CommandErrorKind, message: impl Into<String>) -> CommandError {
    CommandError { kind, message: message.into() }
}

#[cfg(test)]
mod tests;
