//! Around the full-screen app: what the command line asked for before it, and what becomes of the
//! engine after it.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use crate::args::{Demo, exit};
use crate::engine::command::{Command, Reply};
use crate::engine::handle::{EngineHandle, Stop};
use crate::headless::{self, Output};
use crate::settings::Table;
use crate::tui::{self, ExitReason, Options};

/// Shares `paths`, hosts a tracker if asked, shows the app, and stops the engine as the user left it;
/// returns the exit code.
pub(crate) async fn show(
    engine: EngineHandle,
    paths: Vec<PathBuf>,
    host: bool,
    (wanted_port, plain): (u16, bool),
    table: Table,
    out: &Output,
) -> u8 {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        out.note("the app needs a terminal; without one use --serve-only, get or ls");
        return stop(engine, Stop::Now, exit::USAGE).await;
    }
    let mut join = None;
    if host {
        match engine.call(Command::Host).await {
            Ok(Reply::Hosting(string)) => join = Some(string.to_string()),
            Ok(_) => {}
            Err(error) => {
                out.note(&error.message);
                return stop(engine, Stop::Now, exit::OTHER).await;
            }
        }
    }
    for path in paths {
        // A refusal shows again in the app's log; here it would be lost behind the screen.
        if let Err(error) = engine.call(Command::Share { path, name: None }).await {
            out.note(&error.message);
        }
    }
    let options = Options { table, demo: true, wanted_port: Some(wanted_port) };
    let ended = if plain || wants_plain(&|name| std::env::var(name).ok(), out) {
        tui::run_plain(engine.clone(), options).await
    } else {
        tui::run(engine.clone(), options).await
    };
    match ended {
        Ok(reason) => leave(engine, reason, join, out).await,
        Err(error) => {
            out.note(&format!("tui-peer: {error:#}"));
            stop(engine, Stop::Gracefully, exit::OTHER).await
        }
    }
}

/// Whether the environment asks for lines instead of a screen, or the terminal can show nothing else.
fn wants_plain(env: &dyn Fn(&str) -> Option<String>, out: &Output) -> bool {
    if env("ACCESSIBLE").is_some_and(|value| !value.is_empty() && value != "0") {
        return true;
    }
    let dumb = env("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    if dumb {
        out.note("this terminal (TERM) has no screen to draw on: line by line, as with --plain");
    }
    dumb
}

/// After the screen: says goodbye to the network, or goes on serving without it.
async fn leave(engine: EngineHandle, reason: ExitReason, join: Option<String>, out: &Output) -> u8 {
    match reason {
        ExitReason::ServeOn => {
            let mut out = Output::new(false, 0);
            if let Some(join) = join {
                out.line(&format!("join {join}"));
            }
            headless::serve(engine, Vec::new(), false, &mut out).await
        }
        ExitReason::QuitNow => stop(engine, Stop::Now, exit::OK).await,
        ExitReason::Panicked => stop(engine, Stop::Gracefully, exit::OTHER).await,
        ExitReason::Demo => {
            stop(engine, Stop::Gracefully, exit::OK).await;
            Box::pin(crate::demo::run(Demo { headless: false, json: false })).await
        }
        ExitReason::Signal(number) => {
            let code = u8::try_from(128 + number).unwrap_or(exit::OTHER);
            stop(engine, Stop::Gracefully, code).await
        }
        ExitReason::Quit | ExitReason::EngineStopped => {
            if engine.snapshot().transfers.iter().any(|transfer| transfer.wanted_by > 0) {
                out.note("finishing transfers in progress (at most 5 s) …");
            }
            stop(engine, Stop::Gracefully, exit::OK).await
        }
    }
}

async fn stop(engine: EngineHandle, how: Stop, code: u8) -> u8 {
    engine.stop(how);
    engine.stopped().await;
    code
}
