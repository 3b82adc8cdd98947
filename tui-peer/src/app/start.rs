//! Settings, runtime, engine, control socket, then what was asked for; errors of each become words and
//! an exit code.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::background;
use super::config::{Settings, settings, settings_as_far};
use super::look::look;
use super::{KEYS, log};
use crate::args::{Common, exit};
use crate::control::{self, PidFile};
use crate::hand_over::HandOver;
use crate::headless::{self, Output};
use crate::hooks::{Hooks, PATIENCE_OF_GET, PATIENCE_OF_PEER};
use crate::metrics;
use engine::api::config::{EngineConfig, StartError};
use engine::api::event::{Level, Target};
use engine::api::handle::EngineHandle;
use frontend::logfile::Logs;
use settings::{SettingsError, Table};

/// How long the state folder and port of a peer that is stopping are waited for: its transfers get 5 s,
/// the tracker 2 s, and then everything is synced.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is tried meanwhile.
const TRY: Duration = Duration::from_millis(50);

/// What a plan says that shows the screen.
pub(super) const APP: &str = "app";

/// How to start.
pub(super) struct Plan {
    /// What will run, for people.
    pub(super) what: &'static str,
    /// It runs a tracker of its own.
    pub(super) host: bool,
    /// Stop whoever runs on the state folder.
    pub(super) take_over: bool,
    /// Wait for the state folder to be free.
    pub(super) patient: bool,
    /// What this front end wants otherwise than the settings say.
    pub(super) adjust: fn(&mut EngineConfig),
}

/// Runs a peer that others can reach, and what it leaves behind; returns the exit code.
pub(super) fn run<F, Fut>(common: &Common, plan: &Plan, front: F) -> u8
where
    F: FnOnce(EngineHandle, Output, Settings) -> Fut,
    Fut: Future<Output = (u8, Option<HandOver>)>,
{
    in_runtime(common, plan.what == APP, |settings, mut out| async move {
        let mut config = settings.engine.clone();
        config.will_host = plan.host;
        (plan.adjust)(&mut config);
        let mut patient = plan.patient;
        if plan.take_over {
            match control::attach_if_running(&config.state_dir, "take-over", false).await {
                Ok(None) => {}
                Ok(Some(peer)) => {
                    out.note(&format!("stopping process {} …", peer.peer.pid));
                    peer.stop(false).await;
                    let _ = tokio::time::timeout(PATIENCE, peer.engine.stopped()).await;
                    patient = true;
                }
                Err(error) => out.note(&error.to_string()),
            }
        }
        let watched = match settings.table.metrics() {
            Some(addr) => match bind_metrics(addr, patient).await {
                Ok(bound) => Some(bound),
                Err(error) => return refuse_metrics(addr, &error, &mut out),
            },
            None => None,
        };
        let engine = match engine(&config, patient).await {
            Ok(engine) => engine,
            Err(error) => return refuse(&error, &config, &mut out),
        };
        let watching = watched.map(|listener| {
            let running = metrics::serve(listener, engine.clone());
            if let Some(addr) = running.addr() {
                out.set_metrics(addr);
                let text = format!("metrics at http://{addr}/metrics");
                engine.say(Level::Info, Target::Net, text);
            }
            running
        });
        let pid = PidFile::write(&config.state_dir);
        let control = control::serve(engine.clone(), &config.state_dir, plan.what);
        if let Err(error) = &control {
            let why = "tui-peer status, stop and the like will not reach this peer";
            out.note(&format!("no control socket: {error}; {why}"));
        }
        log::record(&engine, &settings.table, &config.state_dir, &out);
        let hooks = hooks(&engine, &settings.table, common);
        let (code, goes_on) = front(engine, out, settings).await;
        end_hooks(hooks, PATIENCE_OF_PEER).await;
        drop(pid);
        if let Some(watching) = watching
            && let Err(error) = watching.stop().await
        {
            tracing::error!(%error, "the server of the metrics ended badly");
        }
        if let Ok(control) = control {
            control.close().await;
        }
        match goes_on {
            Some(goes_on) => background::start(common, &config, goes_on, code).await,
            None => code,
        }
    })
}

/// An engine for one command, with nobody reaching it. Without a `table` nothing of the user's is to hear of it: no
/// log file, no hooks.
pub(super) async fn private<F, Fut>(
    common: &Common,
    config: EngineConfig,
    table: Option<&Table>,
    mut out: Output,
    command: F,
) -> u8
where
    F: FnOnce(EngineHandle, Output) -> Fut,
    Fut: Future<Output = u8>,
{
    match engine(&config, false).await {
        Ok(engine) => {
            let _pid = PidFile::write(&config.state_dir);
            let hooks = table.map(|table| {
                log::record(&engine, table, &config.state_dir, &out);
                hooks(&engine, table, common)
            });
            let code = command(engine, out).await;
            if let Some(hooks) = hooks {
                end_hooks(hooks, PATIENCE_OF_GET).await;
            }
            code
        }
        Err(error) => refuse(&error, &config, &mut out),
    }
}

/// What the user wants run beside the engine. The settings are read again as they were.
fn hooks(engine: &EngineHandle, table: &Table, common: &Common) -> Hooks {
    let common = common.clone();
    let read = move || {
        let settings = settings(&common, KEYS).map_err(|error| error.to_string())?;
        Ok(settings.table.hooks())
    };
    Hooks::start(engine, table.hooks(), Box::new(read))
}

/// Waits for hooks, until somebody says that it has to end.
async fn end_hooks(hooks: Hooks, patience: Duration) {
    // What was heard before is why it ends.
    crate::leave::heard();
    let stop = headless::stop_signal();
    let said = tokio::select! {
        said = hooks.finish(patience) => said,
        _ = stop => return,
    };
    let out = Output::new(false, 0);
    said.iter().for_each(|line| out.note(line));
}

/// Tries until it works, or ends in another way than being in use, or took [`PATIENCE`].
async fn patiently<T, E>(
    patient: bool,
    in_use: impl Fn(&E) -> bool,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let began = Instant::now();
    loop {
        match attempt().await {
            Err(error) if patient && in_use(&error) && began.elapsed() < PATIENCE => {
                tokio::time::sleep(TRY).await;
            }
            other => return other,
        }
    }
}

async fn engine(config: &EngineConfig, patient: bool) -> Result<EngineHandle, StartError> {
    let in_use = |error: &StartError| {
        matches!(error, StartError::Locked { .. } | StartError::PortInUse { .. })
    };
    patiently(patient, in_use, async || engine::api::start(config.clone()).await).await
}

/// The port of the metrics; waited for like the engine's own.
async fn bind_metrics(addr: SocketAddr, patient: bool) -> io::Result<TcpListener> {
    let in_use = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
    patiently(patient, in_use, async || common::net::listen(addr)).await
}

fn refuse_metrics(addr: SocketAddr, error: &io::Error, out: &mut Output) -> u8 {
    let (code, why) = match error.kind() {
        io::ErrorKind::AddrInUse => (exit::PORT, "it is in use by another program".to_owned()),
        io::ErrorKind::PermissionDenied => (exit::PERMISSION, error.to_string()),
        _ => (exit::OTHER, error.to_string()),
    };
    let hint = "choose another address with --metrics (port 0 for any free one), or none";
    out.error("metrics", &format!("cannot serve metrics on {addr}: {why}; {hint}"), hint);
    code
}

fn refuse(error: &StartError, config: &EngineConfig, out: &mut Output) -> u8 {
    let state = background::state_option(&config.state_dir);
    let hint = format!(
        "tui-peer status{state} shows it, tui-peer attach{state} looks at it, tui-peer stop{state} ends it, --take-over stops it first"
    );
    let message = match (error, control::place::holder(&config.state_dir)) {
        (StartError::Locked { dir }, Some(pid)) => format!(
            "{dir} is in use by another tui-peer, process {pid}: {hint}; or give this one another folder with --state"
        ),
        _ => error.to_string(),
    };
    out.error(headless::start_word(error), &message, &hint_of(error, &state));
    headless::start_code(error)
}

/// What to do; `state` is how the state folder in use is typed.
fn hint_of(error: &StartError, state: &str) -> String {
    match error {
        StartError::PortInUse { .. } | StartError::Listen { .. } => "--listen".to_owned(),
        StartError::Locked { .. } => {
            format!("tui-peer status{state}; tui-peer stop{state}; --take-over; --state")
        }
        StartError::Folder { .. } | StartError::State(_) => "--state; --downloads".to_owned(),
    }
}

/// Settings, then the log and a runtime for `work`; `screen` whether that draws on the terminal.
pub(super) fn in_runtime<F, Fut>(common: &Common, screen: bool, work: F) -> u8
where
    F: FnOnce(Settings, Output) -> Fut,
    Fut: Future<Output = u8>,
{
    with_settings(common, |settings, out| {
        log::trace(&settings.table, common.verbose, screen);
        block_on(work(settings, out))
    })
}

/// As [`in_runtime`] for what may need no settings but to know where the state folder is: a mistake in the
/// configuration file is given to `work`, which says whether it matters ([`refuse_settings`]) or only says it
/// ([`warn`]).
pub(super) fn in_runtime_as_far<F, Fut>(common: &Common, work: F) -> u8
where
    F: FnOnce(Settings, Option<SettingsError>, Output) -> Fut,
    Fut: Future<Output = u8>,
{
    let mut out = Output::with_format(common.json, common.verbose, common.log_format);
    match settings_as_far(common, KEYS) {
        Ok((settings, wrong)) => {
            let out = out.looking(look(&settings.table));
            log::trace(&settings.table, common.verbose, false);
            block_on(work(settings, wrong, out))
        }
        Err(error) => refuse_settings(&error, &mut out),
    }
}

pub(super) fn with_settings(common: &Common, then: impl FnOnce(Settings, Output) -> u8) -> u8 {
    let mut out = Output::with_format(common.json, common.verbose, common.log_format);
    match settings(common, KEYS) {
        Ok(settings) => {
            let out = out.looking(look(&settings.table));
            then(settings, out)
        }
        Err(error) => refuse_settings(&error, &mut out),
    }
}

/// Says what is wrong with the settings; the exit code.
pub(super) fn refuse_settings(error: &SettingsError, out: &mut Output) -> u8 {
    let (word, code, hint) = match error {
        SettingsError::File { .. } => ("config", exit::CONFIG, "mend the file"),
        SettingsError::Unreadable { .. } => ("config", exit::IO, "check its permissions"),
        SettingsError::Option(_) => ("usage", exit::USAGE, "tui-peer --help"),
    };
    out.error(word, &error.to_string(), hint);
    code
}

/// Says what is wrong with the settings where it does not matter.
pub(super) fn warn(wrong: Option<&SettingsError>, out: &Output) {
    let Some(wrong) = wrong else { return };
    for line in wrong.to_string().lines() {
        out.note(&format!("{line} (this command does without it)"));
    }
}

pub(super) fn block_on(future: impl Future<Output = u8>) -> u8 {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(async {
                if let Err(error) = common::file_limit::survive() {
                    tracing::warn!(%error, "a limit of file sizes would end the program");
                }
                future.await
            });
            // Whatever blocks (a share being hashed) is not waited for.
            runtime.shutdown_background();
            Logs::shared().flush();
            code
        }
        Err(error) => {
            Output::new(false, 0).note(&format!("tui-peer: cannot start: {error}"));
            exit::OTHER
        }
    }
}
