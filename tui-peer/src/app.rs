//! From the command line to the front end that runs.

use std::future::Future;
use std::path::PathBuf;

use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::{Cli, Command, Common, Run, exit};
use crate::engine::config::EngineConfig;
use crate::engine::event::Level;
use crate::engine::handle::EngineHandle;
use crate::headless::{self, Output};
use crate::logfile::{LogLayer, LogTo, Logs};
use crate::settings::{Settings, SettingsError, settings};
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
            },
            |engine, mut out| async move { headless::get(engine, get, &mut out).await },
        ),
        Some(Command::Ls(ls)) => one_shot(
            &ls.common.clone(),
            |config| {
                config.listen.set_port(0);
            },
            |engine, mut out| async move { headless::ls(engine, ls.query.as_deref(), &mut out).await },
        ),
        Some(Command::Hash(hash)) => headless::hash(&hash.paths, &mut Output::new(hash.json, 0)),
        Some(Command::Verify(verify)) => with_settings(&verify.common, |settings, mut out| {
            headless::verify(&settings.engine.state_dir, &verify.what, &mut out)
        }),
        Some(Command::Demo(wish)) => block_on(demo::run(wish)),
        Some(Command::Config(common)) => with_settings(&common, |settings, mut out| {
            for (name, value, origin) in &settings.origins {
                out.line(&format!("{name:<10} {value}   ({origin})"));
                out.json(&serde_json::json!({"name": name, "value": value, "origin": origin}));
            }
            exit::OK
        }),
    }
}

fn app(run: Run) -> u8 {
    let common = run.common.clone();
    if run.serve_only {
        return one_shot(
            &common,
            |_| (),
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
    let common = run.common.clone();
    let port = std::cell::Cell::new(0);
    started(
        &common,
        // The screen has the terminal.
        false,
        |config| port.set(config.listen.port()),
        |engine, out| async {
            let (out, port) = (out, port.get());
            crate::screen::show(engine, run.paths, run.host, port, &out).await
        },
    )
}

/// `-vv` shows what the program's parts trace beside the log.
const TRACED: u8 = 2;

/// Settings, runtime, engine, then the command; errors of each become words and a code.
fn one_shot<F, Fut>(common: &Common, adjust: impl FnOnce(&mut EngineConfig), command: F) -> u8
where
    F: FnOnce(EngineHandle, Output) -> Fut,
    Fut: Future<Output = u8>,
{
    started(common, true, adjust, command)
}

fn started<F, Fut>(
    common: &Common,
    stderr: bool,
    adjust: impl FnOnce(&mut EngineConfig),
    command: F,
) -> u8
where
    F: FnOnce(EngineHandle, Output) -> Fut,
    Fut: Future<Output = u8>,
{
    let traced = stderr && common.verbose >= TRACED;
    let (to, level) = (common.log.clone().unwrap_or_default(), common.log_level);
    with_settings(common, |settings, out| {
        let logs = Logs::shared();
        logs.set_level(level.unwrap_or(Level::Info));
        trace(&logs, traced);
        let mut config = settings.engine;
        adjust(&mut config);
        let path = match to {
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
    })
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
            tokio::spawn(logs.follow(engine.events()));
        }
        Err(error) => out.note(&format!(
            "no log is written: {}: {error}; choose another file with --log",
            path.display()
        )),
    }
}

fn with_settings(common: &Common, then: impl FnOnce(Settings, Output) -> u8) -> u8 {
    let out = Output::new(common.json, common.verbose);
    match settings(common) {
        Ok(settings) => then(settings, out),
        Err(error) => {
            out.note(&format!("tui-peer: {error}"));
            match error {
                SettingsError::File { .. } => exit::CONFIG,
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
