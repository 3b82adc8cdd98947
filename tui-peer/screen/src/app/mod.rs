//! The loop: waits for one thing, takes what else is ready, updates, draws once. Sleeps when nothing
//! happens: there is no tick.

mod data;
mod effects;
mod input;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use common::id::ContentId;
use common::near::{Looking, Near, look};
use futures_util::StreamExt;
use futures_util::future::AbortHandle;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{broadcast, watch};

use settings::Change;

use super::HANGUP;
use super::model::{Model, Now};
use super::msg::{ExitReason, Msg};
use super::notifications::{Known, Signs};
use super::pace::Pace;
use super::panics::{Notes, in_screen};
use super::probes::Probes;
use super::terminal::Front;
use super::update::{start, update};
use super::view::view;
use engine::api::event::Event;
use engine::api::handle::{EngineHandle, Events};
use engine::api::snapshot::{Look, Snapshot};
use frontend::logfile::Logs;

struct App<'a, F> {
    model: Model,
    front: &'a mut F,
    handle: EngineHandle,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    events: Events,
    logs: Logs,
    work: FuturesUnordered<BoxFuture<'static, Option<Msg>>>,
    probes: Probes,
    /// Wanted focus, and whether a change is under way. Only the last request counts.
    focus: ((Option<ContentId>, Look), bool),
    dirty: bool,
    pace: Pace,
    signs: Signs,
    /// A log line that came; it and what follows wait for their time.
    line: Option<Result<Event, broadcast::error::RecvError>>,
    /// Traces wait for their time.
    traces: bool,
    /// A snapshot waits for its time.
    rates: bool,
    /// Changes of the configuration file that wait, and whether one is under way: one at a time, in order.
    saves: (VecDeque<Change>, bool),
    /// Ends the question whose the network's files are.
    owners: Option<AbortHandle>,
    /// Looks for networks near, while there is none.
    near: Option<Looking>,
    exit: Option<ExitReason>,
}

/// Why the app ends when the terminal is read to its end.
const NO_INPUT: &str = "the terminal gives no more input";

/// Runs the app on a terminal until it ends. A terminal that is gone counts as hung up.
pub async fn drive<F: Front>(
    handle: EngineHandle,
    model: Model,
    front: &mut F,
    known: Known,
    mut signal: impl Future<Output = i32> + Unpin,
) -> ExitReason
where
    io::Error: From<<F::Backend as ratatui::backend::Backend>::Error>,
{
    let notes = Notes::shared();
    let logs = Logs::shared();
    let mut app = App {
        snapshots: handle.snapshots(),
        events: handle.events(),
        pace: Pace::new(Instant::now()),
        signs: Signs::new(known),
        model,
        front,
        handle,
        logs: logs.clone(),
        work: FuturesUnordered::new(),
        probes: Probes::default(),
        focus: ((None, Look::default()), false),
        dirty: true,
        line: None,
        traces: false,
        rates: false,
        saves: (VecDeque::new(), false),
        owners: None,
        near: None,
        exit: None,
    };
    match in_screen(|| start(&mut app.model)) {
        Some(effects) => app.carry_out(effects),
        None => return ExitReason::Panicked,
    }
    let engine = app.handle.clone();
    let mut stopped = std::pin::pin!(engine.stopped());
    loop {
        if let Some(reason) = app.exit.clone() {
            return app.end(reason).await;
        }
        if let Err(error) = app.paint() {
            let why = format!("cannot write to the terminal: {error}");
            return app.end(ExitReason::Gone(why)).await;
        }
        if let Some(reason) = app.exit.clone() {
            return app.end(reason).await;
        }
        app.look_near();
        let wake = app.wake();
        tokio::select! {
            biased;
            number = &mut signal => return app.end(ExitReason::Signal(number)).await,
            input = app.front.event() => match input {
                Some(Ok(input)) => app.inputs(input).await,
                Some(Err(error)) => {
                    let why = format!("cannot read from the terminal: {error}");
                    return app.end(ExitReason::Gone(why)).await;
                }
                None => return app.end(ExitReason::Gone(NO_INPUT.to_owned())).await,
            },
            () = &mut stopped => return ExitReason::EngineStopped,
            Some(msg) = app.work.next(), if !app.work.is_empty() => app.done(msg),
            changed = app.snapshots.changed(), if !app.rates => match changed {
                Ok(()) => app.rates = true,
                Err(_) => return ExitReason::EngineStopped,
            },
            event = app.events.recv(), if app.line.is_none() => app.line = Some(event),
            () = logs.bell().notified(), if !app.traces => app.traces = true,
            () = notes.bell.notified() => {
                for (at, text) in notes.take() {
                    app.message(Msg::Panicked(at, text));
                }
            }
            near = near(&mut app.near) => app.message(Msg::Near(near)),
            () = sleep_until(wake), if wake.is_some() => app.time(),
        }
    }
}

/// What is near, once that changes.
async fn near(looking: &mut Option<Looking>) -> Near {
    match looking {
        Some(looking) => {
            looking.changed().await;
            looking.now()
        }
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

impl<F: Front> App<'_, F> {
    fn message(&mut self, msg: Msg) {
        if self.exit.is_some() {
            return;
        }
        self.model.now = Now::read();
        let model = &mut self.model;
        let effects = in_screen(|| update(model, msg));
        self.dirty = true;
        match effects {
            Some(effects) => self.carry_out(effects),
            None => self.exit = Some(ExitReason::Panicked),
        }
    }

    /// Networks near are looked for as long as somebody may want to join one.
    fn look_near(&mut self) {
        let place = self.model.setting.near.filter(|_| self.model.is_welcome());
        if place.is_some() != self.near.is_some() {
            self.near = place.map(look);
        }
    }

    /// The last things to do. A terminal that went away ends the app or only its screen, as the settings
    /// say.
    async fn end(&mut self, end: ExitReason) -> ExitReason {
        self.finish_saving().await;
        if let ExitReason::Gone(why) = &end {
            tracing::warn!("{why}");
        }
        let gone = matches!(end, ExitReason::Signal(HANGUP) | ExitReason::Gone(_));
        if gone && self.model.prefs.table.serves_after_hangup() {
            return ExitReason::ServeOn;
        }
        end
    }
}

impl<F: Front> App<'_, F>
where
    io::Error: From<<F::Backend as ratatui::backend::Backend>::Error>,
{
    fn paint(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if self.front.is_ready() {
            let signs = self.signs.due(&self.model, now);
            if !signs.is_empty() {
                self.front.aside(&signs);
            }
        }
        if !self.dirty || self.pace.holds(now).is_some() || !self.front.is_ready() {
            return Ok(());
        }
        self.dirty = false;
        self.model.now = Now::read();
        let model = &self.model;
        let terminal = self.front.terminal();
        match in_screen(|| terminal.draw(|frame| view(model, frame)).map(drop)) {
            Some(drawn) => drawn?,
            None => {
                self.exit = Some(ExitReason::Panicked);
                return Ok(());
            }
        }
        self.front.commit()
    }
}
