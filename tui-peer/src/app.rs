//! From the command line to the front end that runs.

use std::future::Future;
use std::path::PathBuf;

use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::{Cli, Command, Common, Config, ConfigCommand, Run, exit};
use crate::engine::config::{EngineConfig, OnStart};
use crate::engine::event::Level;
use crate::engine::handle::EngineHandle;
use crate::headless::{self, Output};
use crate::logfile::{LogLayer, LogTo, Logs, parse_level};
use crate::settings::{Item, KeyCheck, Settings, SettingsError, Table, settings};
use crate::{demo, engine};

/// Runs what the command line says; returns the exit code.
pub fn run(cli: Cli) -> u8 {
    match cli.command {
        None => app(cli.run),
        Some(Command::Get(get)) => one_shot(
            &get.common.clone(),
            |config| {
                // `get` may run beside another peer of this machine.
                config.listen.set_port(0);
                config.on_start = OnStart::Resume;
            },
            |engine, mut out| async move { headless::get(engine, get, &mut out).await },
        ),
        Some(Command::Ls(ls)) => one_shot(
            &ls.common.clone(),
            |config| {
                config.listen.set_port(0);
                config.on_start = OnStart::Resume;
            },
            |engine, mut out| async move { headless::ls(engine, ls.query.as_deref(), &mut out).await },
        ),
        Some(Command::Hash(hash)) => headless::hash(&hash.paths, &mut Output::new(hash.json, 0)),
        Some(Command::Verify(verify)) => with_settings(&verify.common, |settings, mut out| {
            headless::verify(&settings.engine.state_dir, &verify.what, &mut out)
        }),
        Some(Command::Demo(wish)) => block_on(demo::run(wish)),
        Some(Command::Config(wish)) => config(wish),
    }
}

fn app(run: Run) -> u8 {
    let mut common = run.common.clone();
    common.look = run.look.clone();
    if run.serve_only {
        return one_shot(
            &common,
            |config| config.on_start = OnStart::Resume,
            |engine, mut out| async move {
                headless::serve(engine, run.paths, run.host, &mut out).await
            },
        );
    }
    screen(run)
}

#[cfg(not(feature = "tui"))]
fn screen(_: Run) -> u8 {
    Output::new(false, 0).note("built without the full-screen app; use --serve-only, get or ls");
    exit::USAGE
}

#[cfg(feature = "tui")]
fn screen(run: Run) -> u8 {
    let mut common = run.common;
    common.look = run.look;
    with_settings(&common, |mut settings, out| {
        // Somebody looks at the screen and is told; a server that others reach by its port is not.
        settings.engine.port_fallback.get_or_insert(true);
        let port = settings.engine.listen.port();
        let logging = Logging::new(&settings.table, 0);
        start(logging, settings.engine, out, |engine, out| async move {
            let plain = run.plain;
            crate::screen::show(engine, run.paths, run.host, (port, plain), settings.table, &out)
                .await
        })
    })
}

fn config(wish: Config) -> u8 {
    if let Some(ConfigCommand::Check { file, json }) = wish.what {
        return headless::config_check(file, KEYS, &mut Output::new(json, 0));
    }
    let mut common = wish.common;
    common.look = wish.look;
    with_settings(&common, |settings, mut out| headless::config(&settings.table, &mut out))
}

/// Only the app knows its actions; without it, any are taken.
#[cfg(feature = "tui")]
const KEYS: KeyCheck = crate::tui::keymap::check;
#[cfg(not(feature = "tui"))]
const KEYS: KeyCheck = |_| Vec::new();

/// `-vv` shows what the program's parts trace beside the log.
const TRACED: u8 = 2;

/// Settings, runtime, engine, then the command; errors of each become words and a code.
fn one_shot<F, Fut>(common: &Common, adjust: impl FnOnce(&mut EngineConfig), command: F) -> u8
where
    F: FnOnce(EngineHandle, Output) -> Fut,
    Fut: Future<Output = u8>,
{
    with_settings(common, |settings, out| {
        let mut config = settings.engine;
        adjust(&mut config);
        start(Logging::new(&settings.table, common.verbose), config, out, command)
    })
}

/// Where the log goes.
struct Logging {
    to: LogTo,
    level: Level,
    /// Traces go to standard error as well; not while the screen has it.
    traced: bool,
}

impl Logging {
    fn new(table: &Table, verbose: u8) -> Self {
        Self {
            // Checked when the settings were read.
            to: table.text(Item::Log).parse().unwrap_or_default(),
            level: parse_level(&table.text(Item::LogLevel)).unwrap_or(Level::Info),
            traced: verbose >= TRACED,
        }
    }
}

/// Runtime, engine, then the command.
fn start<F, Fut>(logging: Logging, config: EngineConfig, out: Output, command: F) -> u8
where
    F: FnOnce(EngineHandle, Output) -> Fut,
    Fut: Future<Output = u8>,
{
    let logs = Logs::shared();
    logs.set_level(logging.level);
    trace(&logs, logging.traced);
    let path = match logging.to {
        LogTo::State => Some(config.state_dir.join("log").join("shoal.log")),
        LogTo::File(path) => Some(path),
        LogTo::None => None,
    };
    let code = block_on(async move {
        match engine::start(config).await {
            Ok(engine) => {
                // Only now is the state folder ours.
                if let Some(path) = path {
                    record(&engine, path, &out);
                }
                command(engine, out).await
            }
            Err(error) => {
                out.note(&format!("tui-peer: {error}"));
                headless::start_code(&error)
            }
        }
    });
    logs.flush();
    code
}

/// Traces go to the log, with `-vv` to standard error as well: refused strangers, failed accepts.
fn trace(logs: &Logs, traced: bool) {
    let stderr = traced.then(|| {
        let filter = tracing_subscriber::EnvFilter::new("tui_peer=debug");
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(filter)
    });
    let to = tracing_subscriber::registry().with(LogLayer::new(logs.clone())).with(stderr);
    // Set once per process; a second time would change nothing.
    let _ = to.try_init();
}

/// Writes down what the engine says from now on. Without a log one can work.
fn record(engine: &EngineHandle, path: PathBuf, out: &Output) {
    let logs = Logs::shared();
    match logs.open(path.clone()) {
        Ok(()) => {
            tokio::spawn(logs.follow(engine.record()));
        }
        Err(error) => out.note(&format!(
            "no log is written: {}: {error}; choose another file with --log",
            path.display()
        )),
    }
}

fn with_settings(common: &Common, then: impl FnOnce(Settings, Output) -> u8) -> u8 {
    let out = Output::new(common.json, common.verbose);
    match settings(common, KEYS) {
        Ok(settings) => then(settings, out),
        Err(error) => {
            out.note(&format!("tui-peer: {error}"));
            match error {
                SettingsError::File { .. } => exit::CONFIG,
                SettingsError::Unreadable { .. } => exit::IO,
                SettingsError::Option(_) => exit::USAGE,
            }
        }
    }
}

fn block_on(future: impl Future<Output = u8>) -> u8 {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(future);
            // Whatever blocks (a share being hashed) is not waited for.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            Output::new(false, 0).note(&format!("tui-peer: cannot start: {error}"));
            exit::OTHER
        }
    }
}
