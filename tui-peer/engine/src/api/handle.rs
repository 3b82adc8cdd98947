//! The one way for a front end to reach the engine.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{mpsc, oneshot, watch};

use super::command::{Command, CommandError, CommandErrorKind, Reply};
use super::event::{Event, Level, Target, What};
pub use super::event_replay::{EVENT_QUEUE, EventSender, Events};
use super::snapshot::Snapshot;

/// Commands waiting to be carried out: a user cannot type faster than the engine works.
pub const COMMAND_QUEUE: usize = 64;
/// A command and where its answer goes.
pub type Call = (Command, oneshot::Sender<Result<Reply, CommandError>>);

/// Commands in, snapshots and events out. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EngineHandle {
    commands: mpsc::Sender<Call>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    events: EventSender,
    stop: watch::Sender<Stop>,
}

/// How the engine is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    No,
    /// Finish transfers in progress (up to five seconds), unregister, sync, stop.
    Gracefully,
    /// Sync and stop at once.
    Now,
}

/// The engine's side of a handle.
#[derive(Debug)]
pub struct HandleParts {
    /// Commands to carry out.
    pub commands: mpsc::Receiver<Call>,
    /// Where snapshots go.
    pub snapshots: watch::Sender<Arc<Snapshot>>,
    /// Where events go.
    pub events: EventSender,
    /// When to stop.
    pub stop: watch::Receiver<Stop>,
}

/// Makes a handle and the engine's side of it. Front-end tests use this to play the engine.
pub fn channel(first: Snapshot) -> (EngineHandle, HandleParts) {
    let (commands_tx, commands) = mpsc::channel(COMMAND_QUEUE);
    let (snapshots_tx, snapshots) = watch::channel(Arc::new(first));
    let events = EventSender::new();
    let (stop_tx, stop) = watch::channel(Stop::No);
    let handle =
        EngineHandle { commands: commands_tx, snapshots, events: events.clone(), stop: stop_tx };
    (handle, HandleParts { commands, snapshots: snapshots_tx, events, stop })
}

impl EngineHandle {
    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    /// What the engine says; [`CommandErrorKind::Stopped`] when it has stopped.
    pub async fn call(&self, command: Command) -> Result<Reply, CommandError> {
        let (tx, rx) = oneshot::channel();
        self.commands.send((command, tx)).await.map_err(|_| stopped())?;
        rx.await.map_err(|_| stopped())?
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }

    /// A receiver that wakes for every new snapshot (newest wins).
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// Events from now on, after those that nobody has heard yet.
    pub fn events(&self) -> Events {
        self.events.subscribe()
    }

    /// Events from now on; what nobody has heard yet is left to the next caller of [`Self::events`].
    pub fn live_events(&self) -> Events {
        self.events.subscribe_live()
    }

    /// The same for a recorder beside the front ends: it takes nothing away from them.
    pub fn record(&self) -> Events {
        self.events.record()
    }

    /// Says something among the engine's events, for what runs beside it: it reaches the log and every front end.
    /// `text` must be safe to show.
    pub fn say(&self, level: Level, target: Target, text: impl Into<String>) {
        let (at, text) = (SystemTime::now(), text.into());
        self.events.send(Event { at, level, target, text, what: What::Said });
    }

    /// Asks the engine to stop; a later call can only make it more urgent.
    pub fn stop(&self, how: Stop) {
        self.stop.send_if_modified(|now| {
            let more = how > *now;
            if more {
                *now = how;
            }
            more
        });
    }

    /// How it was asked to stop, by whoever has a handle.
    pub fn stop_asked(&self) -> Stop {
        *self.stop.borrow()
    }

    /// Resolves when the engine has stopped.
    pub async fn stopped(&self) {
        self.commands.closed().await;
    }
}

fn stopped() -> CommandError {
    CommandError { kind: CommandErrorKind::Stopped, message: "the engine has stopped".to_owned() }
}
