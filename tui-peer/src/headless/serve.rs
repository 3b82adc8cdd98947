//! `--serve-only`: shares and serves until told to stop.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::id::ContentId;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::figures;
use super::output::Output;
use super::reload::Reload;
use super::signals::{Heard, Signals};
use super::systemd::Manager;
use super::unreached::Told;
use super::working::Working;
use crate::args::exit;
use engine::api::command::{Command, CommandError, CommandErrorKind, Reply};
use engine::api::handle::{EngineHandle, Events, Stop};
use engine::api::snapshot::{NetState, Snapshot, TransferState};
use frontend::logfile::Logs;

/// How often the bottom line of a terminal changes, and the service manager's status is looked at.
const STATUS: Duration = Duration::from_secs(1);
/// How often figures go into a log, and to programs.
const STATS: Duration = Duration::from_secs(60);
/// With `--require-tracker`: how long it is waited for.
const TRACKER: Duration = Duration::from_secs(20);
/// Paths handed over at once: a disk answers several questions as fast as one, and the engine takes as many
/// commands at a time.
const OFFERED_AT_ONCE: usize = 256;
/// Paths that cannot be shared and are not told yet.
const NOT_SHARED: usize = 64;

/// What a service does beside serving what it remembers.
#[derive(Default)]
pub struct Service {
    pub paths: Vec<PathBuf>,
    /// Run a tracker too.
    pub host: bool,
    /// End if the tracker cannot be reached at the start.
    pub require_tracker: bool,
    /// For SIGHUP.
    pub reload: Option<Reload>,
}

/// Runs until a signal; returns the exit code.
pub async fn serve(engine: EngineHandle, service: Service, out: &mut Output) -> u8 {
    out.service();
    let Ok(signals) = Signals::new() else { return exit::OTHER };
    // Nothing of what comes while we begin is lost.
    let events = engine.events();
    if let Err(code) = begin(&engine, &service, out).await {
        engine.stop(Stop::Now);
        engine.stopped().await;
        return code;
    }
    let Service { paths, require_tracker, reload, .. } = service;
    let serving = Serving {
        engine: engine.clone(),
        events,
        signals,
        manager: Manager::new(),
        reload,
        not_shared: offer(&engine, paths),
        deadline: require_tracker.then(|| Instant::now() + TRACKER),
        code: exit::OK,
        seen: None,
        line: String::new(),
        reported: HashMap::new(),
        told: Told::default(),
        working: Working::default(),
    };
    let code = serving.run(out).await;
    out.clear();
    out.exit(&engine.snapshot());
    code
}

/// Hosts, and says where we are; the exit code if that is all.
async fn begin(engine: &EngineHandle, service: &Service, out: &mut Output) -> Result<(), u8> {
    let join = if service.host {
        match engine.call(Command::Host).await {
            Ok(Reply::Hosting(join)) => Some(join.to_string()),
            Ok(_) => None,
            Err(error) => {
                let hint = "free the port or the state folder, then start again";
                out.error("host", &error.message, hint);
                return Err(exit::OTHER);
            }
        }
    } else {
        None
    };
    let first = engine.snapshot();
    out.ready(&first, join.as_deref());
    if let Some(join) = &join {
        out.line(&format!("join {join}"));
    }
    let stops = if out.is_terminal() { " · ^C stops" } else { "" };
    out.line(&format!(
        "listening on {}, peer {} · {} remembered{stops}",
        first.me.listen,
        first.me.peer.short(),
        first.transfers.len()
    ));
    if matches!(first.network.state, NetState::NoNetwork) && join.is_none() {
        if service.require_tracker {
            out.error("no-network", NO_NETWORK, NO_NETWORK_HINT);
            return Err(exit::TRACKER);
        }
        out.note(&format!("{NO_NETWORK}: {NO_NETWORK_HINT}"));
    }
    Ok(())
}

/// Hands paths over beside everything else, some at a time; says which cannot be shared.
fn offer(engine: &EngineHandle, paths: Vec<PathBuf>) -> mpsc::Receiver<CommandError> {
    let (told, not_shared) = mpsc::channel(NOT_SHARED);
    let engine = engine.clone();
    tokio::spawn(async move {
        let mut offers = JoinSet::new();
        for path in paths {
            if offers.len() >= OFFERED_AT_ONCE {
                offers.join_next().await;
            }
            let (engine, told) = (engine.clone(), told.clone());
            offers.spawn(async move {
                if let Err(error) = engine.call(Command::Offer { path }).await {
                    // Nobody listens any more when we stop.
                    let _ = told.send(error).await;
                }
            });
        }
        while offers.join_next().await.is_some() {}
    });
    not_shared
}

/// What is said when there is no network, and what to do about it.
pub(super) const NO_NETWORK: &str = "no network";
pub(super) const NO_NETWORK_HINT: &str = "give a join string with --tracker, or use --host";

/// A service at work.
struct Serving {
    engine: EngineHandle,
    events: Events,
    signals: Signals,
    manager: Manager,
    reload: Option<Reload>,
    /// What was to be shared and cannot be.
    not_shared: mpsc::Receiver<CommandError>,
    /// The tracker is to be reached by then.
    deadline: Option<Instant>,
    code: u8,
    /// The number of the snapshot that was looked at last, and what it says in one line.
    seen: Option<u64>,
    line: String,
    /// Chunks of each download as last told to programs.
    reported: HashMap<ContentId, u32>,
    /// Sources that cannot be reached, as told to programs.
    told: Told,
    /// What is being hashed or checked.
    working: Working,
}

impl Serving {
    async fn run(mut self, out: &mut Output) -> u8 {
        let mut status = every(STATUS);
        let mut stats = every(STATS);
        stats.reset();
        let mut beat = self.manager.beat().map(every);
        let engine = self.engine.clone();
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Ok(event) => out.event(&event),
                    Err(RecvError::Lagged(n)) => out.dropped(n),
                    Err(RecvError::Closed) => break,
                },
                Some(error) = self.not_shared.recv() => self.on_not_shared(&error, out),
                heard = self.signals.next() => self.on_signal(heard, out).await,
                _ = status.tick() => self.look(&engine.snapshot(), out),
                _ = stats.tick() => report(&engine.snapshot(), out),
                () = tick(&mut beat) => self.manager.alive(),
                () = engine.stopped() => break,
            }
            if out.broken {
                // Nobody reads any more.
                self.engine.stop(Stop::Gracefully);
            }
        }
        while let Ok(error) = self.not_shared.try_recv() {
            self.on_not_shared(&error, out);
        }
        loop {
            match self.events.try_recv() {
                Ok(event) => out.event(&event),
                Err(TryRecvError::Lagged(n)) => out.dropped(n),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        self.code
    }

    /// Something on the command line cannot be shared. When we are stopping that is no news.
    fn on_not_shared(&mut self, error: &CommandError, out: &mut Output) {
        if error.kind != CommandErrorKind::Stopped {
            out.error("share", &error.message, "check the path");
            self.code = exit::PARTIAL;
        }
    }

    /// Once a second.
    fn look(&mut self, snapshot: &Snapshot, out: &mut Output) {
        // At rest tens of thousands of rows are not gone through every second.
        if self.seen.replace(snapshot.seq) != Some(snapshot.seq) {
            self.line = figures::line(snapshot);
            self.report_downloads(snapshot, out);
        }
        out.status(&self.line);
        self.working.show(snapshot, out);
        out.look();
        self.manager.look(snapshot, &self.line, Instant::now());
        self.look_at_network(snapshot, out);
    }

    /// Tells programs how far downloads are.
    fn report_downloads(&mut self, snapshot: &Snapshot, out: &mut Output) {
        for transfer in snapshot.transfers.iter().filter(|t| t.state == TransferState::Getting) {
            if self.reported.insert(transfer.id, transfer.have) != Some(transfer.have) {
                out.progress(&transfer.id, transfer);
            }
        }
        for transfer in snapshot.transfers.iter().filter(|t| !t.unreached.is_empty()) {
            self.told.programs(transfer, out);
        }
        self.told.retain(&snapshot.transfers);
        self.reported.retain(|id, _| snapshot.transfers.iter().any(|t| t.id == *id));
    }

    /// Whether the tracker is reached in time.
    fn look_at_network(&mut self, snapshot: &Snapshot, out: &mut Output) {
        if snapshot.network.state == NetState::On {
            self.deadline = None;
        }
        let refused = matches!(snapshot.network.state, NetState::Rejected { .. });
        if self.deadline.is_some_and(|deadline| refused || Instant::now() >= deadline) {
            self.deadline = None;
            let why = match &snapshot.network.state {
                NetState::Lost { why, .. } | NetState::Rejected { why } => why,
                _ => "it does not answer",
            };
            let message = format!("{}: {why}", snapshot.network.tracker);
            let hint = "check the join string and that the tracker runs";
            out.error("tracker", &message, hint);
            self.code = exit::TRACKER;
            self.engine.stop(Stop::Gracefully);
        }
    }

    async fn on_signal(&mut self, heard: Heard, out: &mut Output) {
        match heard {
            Heard::Stop { code, again } => {
                self.manager.stopping();
                self.engine.stop(if again { Stop::Now } else { Stop::Gracefully });
                if again {
                    self.code = code;
                }
            }
            Heard::Reload => {
                self.manager.reloading();
                if let Some(reload) = &mut self.reload {
                    reload.reload(&self.engine, out).await;
                }
                self.manager.reloaded();
            }
            Heard::Stats => {
                let snapshot = self.engine.snapshot();
                out.json(&figures::object("stats", &snapshot));
                out.say(&format!("stats: {}", figures::line(&snapshot)));
            }
            Heard::Level => {
                let (level, word) = out.cycle_level();
                Logs::shared().set_level(level);
                out.always(&format!("log level {word}"));
            }
        }
    }
}

/// Figures for a log (a terminal has them at its bottom) and for programs.
fn report(snapshot: &Snapshot, out: &mut Output) {
    out.json(&figures::object("stats", snapshot));
    if !out.is_terminal() {
        out.say(&format!("stats: {}", figures::line(snapshot)));
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    // After a suspended laptop once is enough.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}
