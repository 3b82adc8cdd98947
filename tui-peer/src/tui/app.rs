//! The loop: waits for one thing, takes what else is ready, updates, draws once. Sleeps when nothing
//! happens: there is no tick.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use common::id::ContentId;
use crossterm::event::{Event as Input, KeyEventKind, MouseEventKind};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use ratatui::layout::Rect;
use tokio::sync::{broadcast, watch};

use crate::engine::command::Command;
use crate::engine::event::{Event, What};
use crate::engine::handle::EngineHandle;
use crate::engine::handle::Events;
use crate::engine::snapshot::Snapshot;
use crate::logfile::Logs;
use crate::settings::{Change, Item, write};

use super::HANGUP;
use super::front::{Front, Happened};
use super::heatmap::Map;
use super::model::{Model, Now, build};
use super::msg::{Asked, Effect, ExitReason, Msg};
use super::outside::{Probes, list_dir, open, write_filters};
use super::pace::Pace;
use super::panics::{Notes, in_screen};
use super::signs::{Known, Signs};
use super::update::{deadline, start, update};
use super::view::view;

/// Inputs handled before the next frame: a paste or a held key must not starve the screen.
const MAX_BATCH: usize = 256;
/// Log lines taken at once: ten times a second, this is more than anybody can produce.
const MAX_EVENTS: usize = 2048;
/// Calls to the engine under way; more means that it hangs, and the user is told.
const MAX_CALLS: usize = 2048;
/// Changes of settings that wait to be written; nobody makes more while the disk hangs.
const MAX_SAVES: usize = 64;
/// How long the end waits for settings to be written: a hanging disk must not keep the terminal.
const SAVE_PATIENCE: Duration = Duration::from_secs(1);

struct App<'a, F> {
    model: Model,
    front: &'a mut F,
    handle: EngineHandle,
    snapshots: watch::Receiver<std::sync::Arc<Snapshot>>,
    events: Events,
    logs: Logs,
    work: FuturesUnordered<BoxFuture<'static, Option<Msg>>>,
    probes: Probes,
    /// Wanted focus, and whether a change is under way. Only the last wish counts.
    focus: (Option<ContentId>, bool),
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
    exit: Option<ExitReason>,
}

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
        focus: (None, false),
        dirty: true,
        line: None,
        traces: false,
        rates: false,
        saves: (VecDeque::new(), false),
        exit: None,
    };
    match in_screen(|| start(&mut app.model)) {
        Some(effects) => app.carry_out(effects),
        None => return ExitReason::Panicked,
    }
    let engine = app.handle.clone();
    let mut stopped = std::pin::pin!(engine.stopped());
    loop {
        if let Some(reason) = app.exit.take() {
            return app.end(reason).await;
        }
        if let Err(error) = app.paint() {
            let why = format!("cannot write to the terminal: {error}");
            return app.end(ExitReason::Gone(why)).await;
        }
        if let Some(reason) = app.exit.take() {
            return app.end(reason).await;
        }
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
                None => {
                    let why = "the terminal gives no more input".to_owned();
                    return app.end(ExitReason::Gone(why)).await;
                }
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
            () = sleep_until(wake), if wake.is_some() => app.time(),
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

impl<F: Front> App<'_, F>
where
    io::Error: From<<F::Backend as ratatui::backend::Backend>::Error>,
{
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

    /// One input, and those that are ready behind it.
    async fn inputs(&mut self, first: Happened) {
        let mut next = Some(first);
        for _ in 0..MAX_BATCH {
            match next {
                Some(Happened::Input(input)) => self.input(input),
                Some(Happened::Stop) => self.suspend(),
                Some(Happened::Continued) => {
                    // An error shows at the next frame.
                    let _ = self.front.resume();
                    self.refit();
                }
                Some(Happened::Written(took)) => self.pace.written(took),
                None => {}
            }
            if self.exit.is_some() {
                return;
            }
            // Polled with this task's own waker: crossterm's stream keeps the first one it sees, and a
            // no-op waker would leave the screen one key behind.
            let ready = futures_util::poll!(std::pin::pin!(self.front.event()));
            next = match ready {
                std::task::Poll::Ready(Some(Ok(input))) => Some(input),
                _ => return,
            };
        }
        // Give the others a turn.
        tokio::task::yield_now().await;
    }

    fn input(&mut self, input: Input) {
        let now = Instant::now();
        match input {
            Input::Key(key) if key.kind != KeyEventKind::Release => {
                self.pace.key(now);
                self.message(Msg::Key(key));
            }
            Input::Paste(text) => self.message(Msg::Paste(text)),
            // Moves alone change nothing: they must not cause a frame.
            Input::Mouse(mouse) if mouse.kind != MouseEventKind::Moved => {
                match mouse.kind {
                    MouseEventKind::Down(_) | MouseEventKind::Up(_) => self.pace.key(now),
                    _ => self.pace.scrolled(now),
                }
                self.message(Msg::Mouse(mouse));
            }
            Input::Resize(width, height) => self.pace.resized((width, height), now),
            Input::FocusGained => {
                self.pace.looked_at(now);
                self.message(Msg::Attention(true));
            }
            Input::FocusLost => self.message(Msg::Attention(false)),
            Input::Key(_) | Input::Mouse(_) => {}
        }
    }

    fn resize(&mut self, width: u16, height: u16) {
        // Clears as well; an error shows at the next frame.
        let _ = self.front.terminal().resize(Rect::new(0, 0, width, height));
        self.message(Msg::Resize(width, height));
    }

    /// Something is due: data, a new size, or a change of the screen by itself.
    fn time(&mut self) {
        let now = Instant::now();
        if let Some((width, height)) = self.pace.new_size(now) {
            self.resize(width, height);
        }
        let mut any = false;
        if self.has_lines() && now >= self.pace.data_at() {
            self.lines(now);
            any = true;
        }
        if self.rates && now >= self.pace.rates_at() {
            self.snapshot(now);
            any = true;
        }
        if !any && deadline(&self.model).is_some_and(|at| at <= now) {
            self.message(Msg::Tick);
        }
    }

    /// Whether somebody looks who likes numbers to move.
    fn is_watched(&self) -> bool {
        self.model.attention && !self.model.prefs.table.is_on(Item::ReduceMotion)
    }

    fn has_lines(&self) -> bool {
        self.line.is_some() || self.traces
    }

    /// Takes what was said since the last time.
    fn lines(&mut self, now: Instant) {
        self.pace.took_data(now, self.is_watched());
        let (mut events, mut missed) = (Vec::new(), 0);
        let mut next = self.line.take();
        while let Some(event) = next {
            match event {
                Ok(event) => events.push(event),
                Err(broadcast::error::RecvError::Lagged(n)) => missed += n,
                // The engine's end is noticed elsewhere.
                Err(broadcast::error::RecvError::Closed) => break,
            }
            next = if events.len() < MAX_EVENTS {
                match self.events.try_recv() {
                    Ok(event) => Some(Ok(event)),
                    Err(broadcast::error::TryRecvError::Lagged(n)) => {
                        Some(Err(broadcast::error::RecvError::Lagged(n)))
                    }
                    Err(_) => None,
                }
            } else {
                None
            };
        }
        self.traces = false;
        let (traces, more) = self.logs.take(MAX_EVENTS);
        for event in &events {
            self.signs.event(event, &self.model, now);
        }
        let level = self.model.log.level();
        let seen = events
            .iter()
            .any(|e| e.level <= level || !matches!(e.what, What::Said | What::Peer { .. }))
            || traces.iter().any(|t| t.level <= level);
        let dirty = self.dirty;
        if !traces.is_empty() {
            self.message(Msg::Traces(traces));
        }
        if !events.is_empty() {
            self.message(Msg::Events(events));
        }
        // What the log does not show needs no frame.
        self.dirty = dirty || seen;
        if missed + more > 0 {
            self.message(Msg::Missed(missed + more));
        }
    }

    /// Takes the newest snapshot. One that looks like the last is not worth a frame.
    fn snapshot(&mut self, now: Instant) {
        self.rates = false;
        self.pace.took_rates(now, self.is_watched());
        let snap = self.snapshots.borrow_and_update().clone();
        if !same_picture(&self.model.snap, &snap) {
            self.message(Msg::Snapshot(snap));
        }
    }

    fn wake(&self) -> Option<Instant> {
        let now = Instant::now();
        let lines = self.has_lines().then(|| self.pace.data_at());
        let rates = self.rates.then(|| self.pace.rates_at());
        // A frame on its way wakes us by itself.
        let hold = self.pace.holds(now);
        let signs = self.signs.deadline(&self.model);
        [lines, rates, hold, signs, deadline(&self.model)].into_iter().flatten().min()
    }

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

    fn done(&mut self, msg: Option<Msg>) {
        match msg {
            Some(msg) => {
                let saved = matches!(msg, Msg::Saved(_));
                if matches!(msg, Msg::Reply(..)) && self.snapshots.has_changed().unwrap_or(false) {
                    // What was asked for is shown, and known to the next key, with the answer.
                    self.snapshot(Instant::now());
                }
                self.message(msg);
                if saved {
                    self.saves.1 = false;
                    if let Some(next) = self.saves.0.pop_front() {
                        self.save(next);
                    }
                }
            }
            None => {
                // A change of focus was taken; ask for the newest wish if that is another.
                let wanted = self.focus.0;
                self.focus.1 = false;
                if wanted != self.model.asked_focus {
                    self.ask_focus(self.model.asked_focus);
                }
            }
        }
    }

    fn ask_focus(&mut self, id: Option<ContentId>) {
        if self.focus.1 {
            return;
        }
        self.focus = (id, true);
        let handle = self.handle.clone();
        self.work.push(
            async move {
                // Nothing to say: what cannot be shown is not shown.
                let _ = handle.call(Command::Focus { id }).await;
                None
            }
            .boxed(),
        );
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Call(command, asked) => self.call(command, asked),
                Effect::Focus(id) => self.ask_focus(id),
                Effect::ListDir(dir) => self.work.push(
                    async move {
                        let reading = dir.clone();
                        let listed = tokio::task::spawn_blocking(move || list_dir(&reading)).await;
                        let entries = listed.unwrap_or_else(|error| Err(error.to_string()));
                        Some(Msg::Dir(dir, entries))
                    }
                    .boxed(),
                ),
                Effect::Probe(probe) => {
                    // `None` would mean a change of focus; a probe that was overtaken says nothing.
                    let looking = self.probes.look(probe);
                    self.work.push(
                        async move {
                            Some(match looking.await {
                                Some((probe, found)) => Msg::Probed(probe, found),
                                None => Msg::Nothing,
                            })
                        }
                        .boxed(),
                    );
                }
                Effect::KeepFilters(text) => {
                    let path = self.model.prefs.table.path_of(Item::State);
                    self.work.extend(path.map(|dir| keep_filters(dir, text).boxed()));
                }
                Effect::Open(path) => self.work.push(
                    async move {
                        let shown = path.clone();
                        let opened = tokio::task::spawn_blocking(move || open(&path)).await;
                        Some(Msg::Opened(shown, opened.unwrap_or_else(|e| Err(e.to_string()))))
                    }
                    .boxed(),
                ),
                Effect::Index(job) => self.work.push(
                    async move {
                        let work = job.clone();
                        let built = tokio::task::spawn_blocking(move || build(&work)).await;
                        Some(Msg::Indexed(job.generation, job, built.unwrap_or_default()))
                    }
                    .boxed(),
                ),
                Effect::Map(job) => self.work.push(
                    async move {
                        let work = job.clone();
                        let build = move || Map::build(&work.chunks, work.cells, work.halves);
                        let map = tokio::task::spawn_blocking(build).await;
                        Some(Msg::Mapped(job, map.unwrap_or_else(|_| Map::empty())))
                    }
                    .boxed(),
                ),
                Effect::Copy(text, what) => {
                    let copying = self.front.copy(text);
                    self.work.push(async move { Some(Msg::Copied(what, copying.await)) }.boxed());
                }
                Effect::Mouse(on) => self.front.mouse(on),
                Effect::Suspend => self.suspend(),
                Effect::Redraw => self.repaint(),
                Effect::Save(change) => self.save(change),
                Effect::Exit(reason) => self.exit = Some(reason),
            }
        }
    }

    fn call(&mut self, command: Command, asked: Asked) {
        if self.work.len() >= MAX_CALLS {
            tracing::warn!("the engine does not answer; a command was dropped");
            return;
        }
        let handle = self.handle.clone();
        self.work.push(
            async move {
                let result = handle.call(command).await;
                Some(Msg::Reply(asked, result))
            }
            .boxed(),
        );
    }

    fn save(&mut self, change: Change) {
        let Some(path) = self.model.prefs.table.path.clone() else { return };
        if self.saves.1 {
            if self.saves.0.len() < MAX_SAVES {
                self.saves.0.push_back(change);
            }
            return;
        }
        self.saves.1 = true;
        self.work.push(
            async move {
                let written = tokio::task::spawn_blocking(move || write(&path, &change)).await;
                Some(Msg::Saved(match written {
                    Ok(result) => result.map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                }))
            }
            .boxed(),
        );
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

    /// Writes what was changed just before the end.
    async fn finish_saving(&mut self) {
        let deadline = Instant::now() + SAVE_PATIENCE;
        while self.saves.1 {
            match tokio::time::timeout_at(deadline.into(), self.work.next()).await {
                Ok(Some(msg)) => self.done(msg),
                _ => return,
            }
        }
    }

    fn suspend(&mut self) {
        if let Err(error) = self.front.suspend() {
            tracing::warn!("cannot suspend: {error}");
        }
        self.refit();
    }

    /// After somebody else had the terminal: it may have another size, and shows something else.
    fn refit(&mut self) {
        self.signs.reset();
        if let Some((width, height)) = self.front.size() {
            self.resize(width, height);
        }
        self.repaint();
    }

    fn repaint(&mut self) {
        // Forgets what is on the screen; an error shows at the next frame.
        let _ = self.front.terminal().clear();
        self.dirty = true;
    }
}

/// Writes the filters used before into the state folder. Losing them is no error worth a word.
async fn keep_filters(dir: std::path::PathBuf, text: String) -> Option<Msg> {
    let written = tokio::task::spawn_blocking(move || write_filters(&dir, &text)).await;
    if let Ok(Err(error)) = written {
        tracing::debug!("filters are not kept: {error}");
    }
    Some(Msg::Nothing)
}

/// Whether two snapshots look the same: at rest the engine still makes one now and then.
fn same_picture(a: &Snapshot, b: &Snapshot) -> bool {
    let same_focus = match (&a.focus, &b.focus) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            std::sync::Arc::ptr_eq(a, b)
                || (a.id == b.id
                    && a.chunks == b.chunks
                    && a.sources == b.sources
                    && a.sole == b.sole
                    && a.causes == b.causes)
        }
        _ => false,
    };
    same_focus
        && a.me == b.me
        && a.network == b.network
        && a.totals == b.totals
        && a.catalogue.version == b.catalogue.version
        && a.catalogue.whole == b.catalogue.whole
        && a.transfers == b.transfers
        && a.peers == b.peers
        && a.uploads == b.uploads
        && a.bans == b.bans
        && a.watches == b.watches
}
