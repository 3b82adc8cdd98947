//! From the command line to the front end that runs.

use std::future::Future;

use crate::args::{Cli, Command, Common, Config, ConfigCommand, Run, exit};
use crate::engine::config::{EngineConfig, OnStart};
use crate::engine::handle::EngineHandle;
use crate::headless::{self, Output};
use crate::settings::{KeyCheck, Settings, SettingsError, settings};
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
        start(&common, settings.engine, out, |engine, out| async move {
            crate::screen::show(engine, run.paths, run.host, settings.table, &out).await
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
        start(common, config, out, command)
    })
}

/// Runtime, engine, then the command.
fn start<F, Fut>(common: &Common, config: EngineConfig, out: Output, command: F) -> u8
where
    F: FnOnce(EngineHandle, Output) -> Fut,
    Fut: Future<Output = u8>,
{
    if common.verbose >= TRACED {
        // What no user needs: refused strangers, failed accepts.
        let filter = tracing_subscriber::EnvFilter::new("tui_peer=debug");
        let to = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
        // Set once per process; a second time would change nothing.
        let _ = to.try_init();
    }
    block_on(async move {
        match engine::start(config).await {
            Ok(engine) => command(engine, out).await,
            Err(error) => {
                out.note(&format!("tui-peer: {error}"));
                headless::start_code(&error)
            }
        }
    })
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
