//! The loop: waits for one thing, takes what else is there, updates, draws once. At rest nothing wakes it.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossterm::event::{Event as Input, EventStream, KeyEventKind};
use futures_util::StreamExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::keymap::Keymap;
use super::model::{Model, Now, PathEntry, Setting, build};
use super::msg::{Effect, ExitReason, Msg};
use super::term::{self, Term};
use super::theme::{Look, Theme};
use super::update;
use crate::args::exit;
use crate::engine::command::{Command, Reply};
use crate::engine::handle::{EngineHandle, Stop};
use crate::headless::Output;

/// Data is drawn at most this often; keys at once.
const DATA_EVERY: Duration = Duration::from_millis(100);
/// Messages of background work waiting.
const QUEUE: usize = 64;
/// Entries of a folder shown for completion.
const MAX_ENTRIES: usize = 2000;

/// Runs the app until the user leaves it; stops the engine; returns the exit code.
pub async fn run(engine: EngineHandle, paths: Vec<PathBuf>, host: bool, out: &Output) -> u8 {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        out.note("the app needs a terminal; without one use --serve-only, get or ls");
        engine.stop(Stop::Now);
        engine.stopped().await;
        return exit::USAGE;
    }
    let mut join = None;
    if host {
        match engine.call(Command::Host).await {
            Ok(Reply::Hosting(string)) => join = Some(string.to_string()),
            Ok(_) => {}
            Err(error) => {
                out.note(&error.message);
                return exit::OTHER;
            }
        }
    }
    for path in paths {
        if let Err(error) = engine.call(Command::Share { path, name: None }).await {
            out.note(&error.message);
        }
    }
    let reason = match screen(&engine).await {
        Ok(reason) => reason,
        Err(error) => {
            term::restore();
            out.note(&format!("the terminal failed: {error}"));
            ExitReason::QuitNow
        }
    };
    leave(engine, reason, join, out).await
}

/// After the screen: says goodbye to the network, or goes on serving without it.
async fn leave(engine: EngineHandle, reason: ExitReason, join: Option<String>, out: &Output) -> u8 {
    match reason {
        ExitReason::ServeOn => {
            let mut out = Output::new(false, 0);
            if let Some(join) = join {
                out.line(&format!("join {join}"));
            }
            return crate::headless::serve(engine, Vec::new(), false, &mut out).await;
        }
        ExitReason::QuitNow => engine.stop(Stop::Now),
        _ => engine.stop(Stop::Gracefully),
    }
    let transfers = engine.snapshot().transfers.iter().any(|t| t.wanted_by > 0);
    if transfers && reason == ExitReason::Quit {
        out.note("finishing transfers in progress (at most 5 s) …");
    }
    engine.stopped().await;
    match reason {
        ExitReason::Demo => {
            let demo = crate::args::Demo { headless: false, json: false };
            Box::pin(crate::demo::run(demo)).await
        }
        ExitReason::Signal(number) => u8::try_from(128 + number).unwrap_or(exit::OTHER),
        _ => exit::OK,
    }
}

async fn screen(engine: &EngineHandle) -> std::io::Result<ExitReason> {
    let env = |name: &str| std::env::var(name).ok();
    let theme = Theme::resolve(Look::default(), &env);
    let mut term = Term::take()?;
    let setting = Setting {
        home: env("HOME").map(PathBuf::from),
        cwd: std::env::current_dir().unwrap_or_default(),
        utc_offset: utc_offset(),
        job_control: rustix::process::getpgrp() != rustix::process::getpid()
            || env("SHLVL").is_some(),
        demo: true,
        full_depth: theme.depth,
    };
    let mut snapshots = engine.snapshots();
    let first = snapshots.borrow_and_update().clone();
    let mut model = Model::new(setting, theme, Keymap::standard(), first, term.size(), Now::read());
    let mut shell = Shell::new(engine.clone());
    for effect in update::start(&mut model) {
        shell.perform(effect, &mut term, &mut model)?;
    }
    let mut events = engine.events();
    let mut input = EventStream::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut drawn = Instant::now();
    term.draw(&model)?;
    let (mut dirty, mut urgent) = (false, false);
    loop {
        let due = match (dirty, update::deadline(&model)) {
            (true, _) => Some(drawn + DATA_EVERY),
            (false, deadline) => deadline,
        };
        let mut messages = Vec::new();
        tokio::select! {
            biased;
            event = input.next() => match event {
                Some(Ok(event)) => {
                    urgent = true;
                    messages.extend(message(event));
                }
                Some(Err(error)) => return Err(error),
                None => return Ok(ExitReason::Signal(1)),
            },
            Some(msg) = shell.replies.recv() => {
                urgent = true;
                messages.push(msg);
            }
            changed = snapshots.changed() => {
                if changed.is_err() {
                    return Ok(ExitReason::EngineStopped);
                }
                messages.push(Msg::Snapshot(snapshots.borrow_and_update().clone()));
            }
            event = events.recv() => match event {
                Ok(event) => messages.push(Msg::Event(event)),
                Err(RecvError::Lagged(n)) => messages.push(Msg::Missed(n)),
                Err(RecvError::Closed) => return Ok(ExitReason::EngineStopped),
            },
            _ = terminate.recv() => return Ok(ExitReason::Signal(15)),
            _ = interrupt.recv() => return Ok(ExitReason::Signal(2)),
            _ = hangup.recv() => return Ok(ExitReason::Signal(1)),
            () = sleep_until(due) => messages.push(Msg::Tick),
        }
        while let Ok(event) = events.try_recv() {
            messages.push(Msg::Event(event));
        }
        if let Some((at, text)) = term.panicked() {
            messages.push(Msg::Panicked(at, text));
        }
        model.now = Now::read();
        for msg in messages {
            dirty = true;
            if matches!(msg, Msg::Resize(..)) {
                term.clear()?;
            }
            for effect in update::update(&mut model, msg) {
                if let Some(reason) = shell.perform(effect, &mut term, &mut model)? {
                    return Ok(reason);
                }
            }
        }
        if dirty && (urgent || drawn.elapsed() >= DATA_EVERY) {
            term.draw(&model)?;
            drawn = Instant::now();
            (dirty, urgent) = (false, false);
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn message(event: Input) -> Option<Msg> {
    match event {
        // Terminals with the kitty protocol report releases too.
        Input::Key(key) if key.kind != KeyEventKind::Release => Some(Msg::Key(key)),
        Input::Key(_) => None,
        Input::Paste(text) => Some(Msg::Paste(text)),
        Input::Mouse(mouse) => Some(Msg::Mouse(mouse)),
        Input::Resize(width, height) => Some(Msg::Resize(width, height)),
        Input::FocusGained => Some(Msg::Attention(true)),
        Input::FocusLost => Some(Msg::Attention(false)),
    }
}

/// Carries out effects; what takes time answers as a message.
struct Shell {
    engine: EngineHandle,
    tx: mpsc::Sender<Msg>,
    replies: mpsc::Receiver<Msg>,
}

impl Shell {
    fn new(engine: EngineHandle) -> Self {
        let (tx, replies) = mpsc::channel(QUEUE);
        Self { engine, tx, replies }
    }

    fn perform(
        &self,
        effect: Effect,
        term: &mut Term,
        model: &mut Model,
    ) -> std::io::Result<Option<ExitReason>> {
        match effect {
            Effect::Call(command, asked) => {
                let (engine, tx) = (self.engine.clone(), self.tx.clone());
                tokio::spawn(async move {
                    let result = engine.call(command).await;
                    let _ = tx.send(Msg::Reply(asked, result)).await;
                });
            }
            Effect::Focus(id) => {
                let engine = self.engine.clone();
                tokio::spawn(async move { engine.call(Command::Focus { id }).await });
            }
            Effect::ListDir(dir) => {
                let tx = self.tx.clone();
                tokio::task::spawn_blocking(move || {
                    let entries = list(&dir);
                    let _ = tx.blocking_send(Msg::Dir(dir, entries));
                });
            }
            Effect::Index(job) => {
                let tx = self.tx.clone();
                tokio::task::spawn_blocking(move || {
                    let rows = build(&job);
                    let _ = tx.blocking_send(Msg::Indexed(job.generation, job, rows));
                });
            }
            Effect::Copy(text, what) => {
                let result = copy(&text);
                let tx = self.tx.clone();
                tokio::spawn(async move { tx.send(Msg::Copied(what, result)).await });
            }
            Effect::Mouse(on) => Term::mouse(on)?,
            Effect::Suspend => {
                term.suspend(model.mouse)?;
                model.size = term.size();
            }
            Effect::Redraw => term.clear()?,
            Effect::Exit(reason) => return Ok(Some(reason)),
        }
        Ok(None)
    }
}

/// What is in a folder, folders first.
fn list(dir: &Path) -> Result<Vec<PathEntry>, String> {
    let read = std::fs::read_dir(dir).map_err(|error| error.to_string())?;
    let mut entries: Vec<PathEntry> = read
        .filter_map(Result::ok)
        .take(MAX_ENTRIES)
        .filter_map(|entry| {
            let meta = std::fs::metadata(entry.path()).ok()?;
            let name = entry.file_name().into_string().ok()?;
            Some(PathEntry { name, is_dir: meta.is_dir(), size: meta.len() })
        })
        .collect();
    entries.sort_by(|a, b| b.is_dir.cmp(&a.is_dir).then_with(|| a.name.cmp(&b.name)));
    Ok(entries)
}

/// Longest text handed over by OSC 52; terminals cut more.
const MAX_OSC52: usize = 74_000;

/// Hands text to the terminal's clipboard (OSC 52), which works over ssh too.
fn copy(text: &str) -> Result<&'static str, String> {
    use std::io::Write as _;
    if text.len() > MAX_OSC52 {
        return Err("too long for the terminal's clipboard".to_owned());
    }
    let encoded = data_encoding::BASE64.encode(text.as_bytes());
    let plain = format!("\u{1b}]52;c;{encoded}\u{7}");
    // tmux passes it on only if wrapped.
    let sequence = if std::env::var_os("TMUX").is_some() {
        format!("\u{1b}Ptmux;\u{1b}{plain}\u{1b}\\")
    } else {
        plain
    };
    let mut out = std::io::stdout().lock();
    out.write_all(sequence.as_bytes()).and_then(|()| out.flush()).map_err(|e| e.to_string())?;
    Ok("through the terminal")
}

/// Seconds east of Greenwich, as `date` says; 0 if it does not.
fn utc_offset() -> i32 {
    let output = std::process::Command::new("date").arg("+%z").output();
    let text = output.ok().and_then(|o| String::from_utf8(o.stdout).ok()).unwrap_or_default();
    let text = text.trim();
    let (sign, digits) = match text.split_at_checked(1) {
        Some(("-", digits)) => (-1, digits),
        Some(("+", digits)) => (1, digits),
        _ => return 0,
    };
    let number: i32 = digits.parse().unwrap_or(0);
    sign * (number / 100 * 3600 + number % 100 * 60)
}
