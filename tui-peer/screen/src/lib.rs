//! The full-screen terminal app.
//!
//! Elm shape: a [`model::Model`] is changed only by the pure [`update`](update::update) and drawn by the
//! pure [`view`](view::view); what is to be done outside comes back as [`msg::Effect`]s, which
//! [`app::drive`] carries out. The loop sleeps when nothing happens. Of the engine only its handle,
//! commands, events and snapshots are used.
//!
//! In reading order: [`msg`], [`model`], [`update`], [`view`]; [`action`] and [`keymap`] (what can be done, and by
//! which keys); [`shell`] (the same without a screen); [`panes`], `dialogs` and `screens` (a folder for each, with
//! its state, geometry, update and view); `queries` (what update and view both ask a model); [`heatmap`],
//! [`verdict`], [`filter`], [`mod@format`], [`layout`], [`theme`], `ui` (pure helpers); [`app`], [`terminal`], [`term`],
//! [`output`], [`pace`], [`notifications`], [`terminal_query`] (the shell around it).

pub mod action;
pub mod app;
mod clipboard;
pub(crate) mod dialogs;
pub mod field;
pub mod heatmap;
pub mod keymap;
pub mod labels;
pub mod layout;
pub mod model;
pub mod msg;
pub mod names;
pub mod notifications;
pub mod output;
pub mod pace;
pub mod panes;
mod panics;
pub(crate) mod paths;
pub mod probes;
pub(crate) mod queries;
pub(crate) mod screens;
pub mod shell;
pub mod term;
pub mod terminal;
pub mod terminal_query;
pub mod theme;
pub(crate) mod tone;
pub(crate) mod ui;
pub mod update;
pub mod verdict;
pub mod view;
mod woken;

pub use frontend::{filter, format};

use std::io::Write as _;
use std::path::PathBuf;
use std::pin::pin;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use keymap::Keymap;
use model::{Model, Now, Prefs, Setting};
use settings::{Item, Table};
use terminal::{Front as _, Tty};
use theme::Detected;

use engine::api::handle::EngineHandle;
use frontend::logfile::Logs;

pub use msg::ExitReason;

/// What the app can be told at start; the default finds everything out by itself.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Settings in force.
    pub table: Table,
    /// Offer a demo on the welcome screen ([`ExitReason::Demo`]).
    pub demo: bool,
    /// The port asked for; another one in use is told.
    pub wanted_port: Option<u16>,
    /// The process in which the engine runs on whatever becomes of the app; `None` if that is this one.
    pub attached: Option<u32>,
}

/// Shows the app on the terminal until the user or one of the [`signals`] ends it. The engine runs on: stopping it is
/// the caller's business ([`ExitReason`] says how).
///
/// # Errors
/// If there is no terminal, it goes away, or the key bindings contradict each other.
pub async fn run(
    handle: EngineHandle,
    options: Options,
    signals: impl Future<Output = i32>,
) -> anyhow::Result<ExitReason> {
    let keymap = Keymap::new(&options.table.keys).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("key bindings: {}", all.join("; "))
    })?;
    let env = |name: &str| std::env::var(name).ok();
    let logs = Logs::shared();
    panics::install(logs.dir().unwrap_or_else(std::env::temp_dir));
    let mut prefs = Prefs::new(options.table, Detected::from(&env));
    let request = prefs.table.text(Item::Theme).into_owned();
    let ask = terminal_query::may_ask(&env, request == "auto-ssh");
    let mut tty =
        Tty::open(prefs.table.is_on(Item::Mouse), ask).context("cannot use the terminal")?;
    if let Some(ground) = tty.background() {
        prefs.detected.ground = ground;
    }
    let setting = Setting {
        near: Some(common::near::Place::of_environment()),
        home: std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute()),
        cwd: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        zone: probes::zone(&env),
        job_control: terminal::job_control(),
        desktop: probes::has_desktop(&env),
        demo: options.demo,
        wanted_port: options.wanted_port,
        attached: options.attached,
    };
    let size = tty.terminal().get_frame().area();
    let mut model = Model::new(
        setting,
        prefs.theme(),
        keymap,
        handle.snapshot(),
        (size.width, size.height),
        Now::read(),
    );
    model.set_prefs(prefs);
    if let Some(state) = model.prefs.table.path_of(settings::Item::State) {
        model.recall = model::Recall::parse(&probes::read_filters(&state));
    }
    logs.watch(true);
    let known = tty.known();
    let reason = app::drive(handle, model, &mut tty, known, pin!(signals)).await;
    logs.watch(false);
    drop(tty);
    for (_, text) in panics::Notes::shared().take() {
        // Too late for the screen's log.
        let _ = writeln!(std::io::stderr(), "tui-peer: internal error: {text}");
    }
    term::detach_if_gone();
    Ok(reason)
}

/// SIGHUP: the terminal hung up.
const HANGUP: i32 = 1;

/// The number of the first signal that ends the app. They are listened for from now on: to be called before
/// [`run`].
///
/// # Errors
/// If that is not possible.
pub fn signals() -> anyhow::Result<impl Future<Output = i32>> {
    let mut kinds = Vec::new();
    for (kind, number) in [
        (SignalKind::terminate(), 15),
        (SignalKind::hangup(), HANGUP),
        (SignalKind::interrupt(), 2),
    ] {
        kinds.push((signal(kind).context("cannot listen for signals")?, number));
    }
    Ok(async move {
        let waits = kinds.iter_mut().map(|(kind, number)| {
            Box::pin(async move {
                kind.recv().await;
                *number
            })
        });
        futures_util::future::select_all(waits).await.0
    })
}
