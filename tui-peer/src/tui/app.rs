//! The loop: waits for one thing, takes what else is ready, updates, draws once. Sleeps when nothing
//! happens: there is no tick.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::id::ContentId;
use crossterm::event::{Event as Input, KeyEventKind};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use ratatui::layout::Rect;
use tokio::sync::{broadcast, watch};

use crate::engine::command::Command;
use crate::engine::event::Event;
use crate::engine::handle::EngineHandle;

use super::front::{Front, Happened};
use super::heatmap::Map;
use super::model::{Model, Now, PathEntry, build};
use super::msg::{Asked, Effect, ExitReason, Msg};
use super::term::{self, Notes};
use super::update::{deadline, start, update};
use super::view::view;

/// Data is painted at most ten times a second; what is typed, at once.
const DATA_INTERVAL: Duration = Duration::from_millis(100);
/// ... and once a second while nobody looks.
const UNSEEN_INTERVAL: Duration = Duration::from_secs(1);
/// Inputs handled before the next frame: a paste or a held key must not starve the screen.
const MAX_BATCH: usize = 256;
/// Log events taken at once.
const MAX_EVENTS: usize = 512;
/// Calls to the engine under way; more means that it hangs, and the user is told.
const MAX_CALLS: usize = 2048;
/// Names taken from one folder for completion.
const MAX_NAMES: usize = 5000;
/// A frame that takes longer to write than this came over a slow line.
const SLOW_WRITE: Duration = Duration::from_millis(50);

struct App<'a, F> {
    model: Model,
    front: &'a mut F,
    handle: EngineHandle,
    snapshots: watch::Receiver<std::sync::Arc<crate::engine::snapshot::Snapshot>>,
    events: broadcast::Receiver<Event>,
    work: FuturesUnordered<BoxFuture<'static, Option<Msg>>>,
    /// Wanted focus, and whether a change is under way. Only the last wish counts.
    focus: (Option<ContentId>, bool),
    dirty: bool,
    next_data: Instant,
    data_waits: bool,
    slow: bool,
    exit: Option<ExitReason>,
}

/// Runs the app on a terminal until it ends.
///
/// # Errors
/// If the terminal is gone.
pub async fn drive<F: Front>(
    handle: EngineHandle,
    model: Model,
    front: &mut F,
    mut signal: impl Future<Output = i32> + Unpin,
) -> io::Result<ExitReason>
where
    io::Error: From<<F::Backend as ratatui::backend::Backend>::Error>,
{
    let notes = Notes::shared();
    let mut app = App {
        snapshots: handle.snapshots(),
        events: handle.events(),
        next_data: Instant::now(),
        model,
        front,
        handle,
        work: FuturesUnordered::new(),
        focus: (None, false),
        dirty: true,
        data_waits: false,
        slow: false,
        exit: None,
    };
    let effects = term::in_screen(|| start(&mut app.model));
    app.carry_out(effects);
    let engine = app.handle.clone();
    let mut stopped = std::pin::pin!(engine.stopped());
    loop {
        if let Some(reason) = app.exit {
            return Ok(reason);
        }
        app.paint()?;
        let wake = app.wake();
        let open = !app.data_waits;
        tokio::select! {
            biased;
            number = &mut signal => return Ok(ExitReason::Signal(number)),
            input = app.front.event() => match input {
                Some(Ok(input)) => app.inputs(input).await,
                Some(Err(error)) => return Err(error),
                None => return Ok(ExitReason::Quit),
            },
            () = &mut stopped => return Ok(ExitReason::EngineStopped),
            Some(msg) = app.work.next(), if !app.work.is_empty() => app.done(msg),
            changed = app.snapshots.changed(), if open => match changed {
                Ok(()) => app.data_waits = true,
                Err(_) => return Ok(ExitReason::EngineStopped),
            },
            event = app.events.recv(), if open => {
                app.event(event);
                app.data_waits = true;
            }
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
        self.model.now = Now::read();
        let model = &mut self.model;
        let effects = term::in_screen(|| update(model, msg));
        self.dirty = true;
        self.carry_out(effects);
    }

    /// One input, and those that are ready behind it.
    async fn inputs(&mut self, first: Happened) {
        let mut next = Some(first);
        for _ in 0..MAX_BATCH {
            match next {
                Some(Happened::Input(Input::Key(key))) if key.kind != KeyEventKind::Release => {
                    self.message(Msg::Key(key));
                }
                Some(Happened::Input(Input::Paste(text))) => self.message(Msg::Paste(text)),
                Some(Happened::Input(Input::Mouse(mouse))) => self.mouse(mouse),
                Some(Happened::Input(Input::Resize(width, height))) => self.resize(width, height),
                Some(Happened::Input(Input::FocusGained)) => self.message(Msg::Attention(true)),
                Some(Happened::Input(Input::FocusLost)) => self.message(Msg::Attention(false)),
                Some(Happened::Stop) => self.suspend(),
                _ => {}
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

    /// Moves alone change nothing: they must not cause a frame.
    fn mouse(&mut self, mouse: crossterm::event::MouseEvent) {
        if !matches!(mouse.kind, crossterm::event::MouseEventKind::Moved) {
            self.message(Msg::Mouse(mouse));
        }
    }

    fn resize(&mut self, width: u16, height: u16) {
        // Clears as well; an error shows at the next frame.
        let _ = self.front.terminal().resize(Rect::new(0, 0, width, height));
        self.message(Msg::Resize(width, height));
    }

    fn event(&mut self, event: Result<Event, broadcast::error::RecvError>) {
        match event {
            Ok(event) => self.message(Msg::Event(event)),
            Err(broadcast::error::RecvError::Lagged(n)) => self.message(Msg::Missed(n)),
            // The engine's end is noticed elsewhere.
            Err(broadcast::error::RecvError::Closed) => {}
        }
    }

    /// Something is due: data, or a change of the screen by itself.
    fn time(&mut self) {
        let now = Instant::now();
        if self.data_waits && now >= self.next_data {
            self.data(now);
        } else {
            self.message(Msg::Tick);
        }
    }

    fn data(&mut self, now: Instant) {
        self.data_waits = false;
        let factor = if self.slow { 2 } else { 1 };
        let interval = if self.model.attention { DATA_INTERVAL * factor } else { UNSEEN_INTERVAL };
        self.next_data = now + interval;
        for _ in 0..MAX_EVENTS {
            match self.events.try_recv() {
                Ok(event) => self.event(Ok(event)),
                Err(broadcast::error::TryRecvError::Lagged(n)) => self.message(Msg::Missed(n)),
                Err(_) => break,
            }
        }
        if self.snapshots.has_changed().unwrap_or(false)
            || self.model.snap.seq != self.snapshots.borrow().seq
        {
            let snap = self.snapshots.borrow_and_update().clone();
            self.message(Msg::Snapshot(snap));
        }
    }

    fn wake(&self) -> Option<Instant> {
        let data = self.data_waits.then_some(self.next_data);
        [data, deadline(&self.model)].into_iter().flatten().min()
    }

    fn paint(&mut self) -> io::Result<()> {
        if !self.dirty {
            return Ok(());
        }
        self.dirty = false;
        self.model.now = Now::read();
        let model = &self.model;
        let terminal = self.front.terminal();
        term::in_screen(|| terminal.draw(|frame| view(model, frame)).map(drop))?;
        let before = Instant::now();
        self.front.commit()?;
        self.slow = before.elapsed() > SLOW_WRITE;
        Ok(())
    }

    fn done(&mut self, msg: Option<Msg>) {
        match msg {
            Some(msg) => self.message(msg),
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
                    let result = self.front.copy(&text);
                    self.message(Msg::Copied(what, result));
                }
                Effect::Mouse(on) => self.front.mouse(on),
                Effect::Suspend => self.suspend(),
                Effect::Redraw => self.repaint(),
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

    fn suspend(&mut self) {
        if let Err(error) = self.front.suspend() {
            tracing::warn!("cannot suspend: {error}");
        }
        // The terminal may have another size now.
        if let Ok((width, height)) = crossterm::terminal::size() {
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

/// Names in a folder, folders first; symbolic links are shown as what they lead to.
fn list_dir(dir: &Path) -> Result<Vec<PathEntry>, String> {
    let names = std::fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut entries: Vec<PathEntry> = names
        .flatten()
        .take(MAX_NAMES)
        .filter_map(|entry| {
            // A name that is not text cannot be typed; its folder can be shared.
            let name = entry.file_name().into_string().ok()?;
            let meta = std::fs::metadata(PathBuf::from(dir).join(&name)).ok();
            let is_dir = meta.as_ref().is_some_and(std::fs::Metadata::is_dir);
            Some(PathEntry { name, is_dir, size: meta.map_or(0, |m| m.len()) })
        })
        .collect();
    entries.sort_by(|a, b| {
        b.is_dir.cmp(&a.is_dir).then_with(|| a.name.to_lowercase().cmp(&b.name.to_lowercase()))
    });
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_first() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.txt"), b"abc").unwrap();
        std::fs::create_dir(dir.path().join("z")).unwrap();
        let entries = list_dir(dir.path()).unwrap();
        assert_eq!(entries[0], PathEntry { name: "z".into(), is_dir: true, size: entries[0].size });
        assert_eq!(entries[1], PathEntry { name: "a.txt".into(), is_dir: false, size: 3 });
        assert!(list_dir(&dir.path().join("nope")).unwrap_err().contains("nope"));
    }
}
