//! Around the full-screen app: what the command line asked for before it, and what becomes of the
//! engine after it.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::pin::pin;

use anyhow::Context as _;

use crate::args::exit;
use crate::control::Attached;
use crate::hand_over::HandOver;
use crate::headless::Output;
use crate::line_mode;
use engine::api::command::Command;
use engine::api::handle::{EngineHandle, Stop};
use engine::api::snapshot::TransferState;
use frontend::logfile::Logs;
use screen::{ExitReason, Options};
use settings::Table;

/// What comes after the screen.
#[derive(Debug)]
pub(crate) enum After {
    /// The program ends with this exit code.
    End(u8),
    /// The same, and this goes on in the background.
    ServeOn(u8, HandOver),
    /// The user wants to see a demo.
    Demo,
}

/// Whether there is a terminal to show the app on; otherwise what to do instead.
pub(crate) fn terminal() -> Result<(), &'static str> {
    if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        Ok(())
    } else {
        Err("the app needs a terminal; without one use --serve-only, get or ls")
    }
}

/// Shares `paths`, hosts a tracker if asked, shows the app, and stops the engine as the user left it.
pub(crate) async fn show(
    engine: EngineHandle,
    paths: Vec<PathBuf>,
    host: bool,
    (wanted_port, plain): (u16, bool),
    table: Table,
    out: &Output,
) -> After {
    if let Err(why) = terminal() {
        out.note(why);
        return After::End(stop(engine, Stop::Now, exit::USAGE).await);
    }
    if host && let Err(error) = engine.call(Command::Host).await {
        out.note(&error.message);
        return After::End(stop(engine, Stop::Now, exit::OTHER).await);
    }
    for path in paths {
        // A refusal shows again in the app's log; here it would be lost behind the screen.
        if let Err(error) = engine.call(Command::Offer { path }).await {
            out.note(&error.message);
        }
    }
    let options = Options { table, demo: true, wanted_port: Some(wanted_port), attached: None };
    match run(engine.clone(), plain, options, out).await {
        Ok(reason) => leave(engine, reason, out).await,
        Err(error) => {
            out.note(&format!("tui-peer: {error:#}"));
            After::End(stop(engine, Stop::Gracefully, exit::OTHER).await)
        }
    }
}

/// The app, as a screen or line by line.
async fn run(
    engine: EngineHandle,
    plain: bool,
    options: Options,
    out: &Output,
) -> anyhow::Result<ExitReason> {
    if plain || wants_plain(&|name| std::env::var(name).ok(), out) {
        let units = options.table.units();
        let attached = options.attached.is_some();
        let signals = screen::signals()?;
        crate::leave::watch();
        let reason = line_mode::run(engine, units, attached, pin!(signals)).await;
        reason.context("cannot read what is typed")
    } else {
        // Before the terminal is taken: a signal in between must find somebody.
        let signals = screen::signals()?;
        crate::leave::before(screen::term::restore);
        crate::leave::watch();
        screen::run(engine, options, signals).await
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

/// Shows the app on a peer that runs elsewhere; that one runs on afterwards. Returns the exit code.
pub(crate) async fn attach(peer: Attached, plain: bool, table: Table, out: &mut Output) -> u8 {
    if let Err(why) = terminal() {
        out.error("usage", why, "tui-peer status");
        return exit::USAGE;
    }
    let pid = peer.peer.pid;
    let options = Options { table, demo: false, wanted_port: None, attached: Some(pid) };
    match run(peer.engine.clone(), plain, options, out).await {
        Ok(ExitReason::EngineStopped) => {
            out.note(&format!("process {pid} has stopped"));
            exit::OK
        }
        Ok(reason) => {
            peer.engine.stop(Stop::Now);
            out.note(&format!("process {pid} goes on; tui-peer stop ends it"));
            match reason {
                ExitReason::Signal(number) => u8::try_from(128 + number).unwrap_or(exit::OTHER),
                ExitReason::Gone(why) => {
                    out.note(&why);
                    exit::HUNG_UP
                }
                _ => exit::OK,
            }
        }
        Err(error) => {
            out.error("screen", &format!("{error:#}"), "tui-peer status");
            exit::OTHER
        }
    }
}

/// After the screen: says goodbye to the network, or lets a peer in the background go on.
async fn leave(engine: EngineHandle, reason: ExitReason, out: &Output) -> After {
    let code = match reason {
        ExitReason::ServeOn => {
            let snapshot = engine.snapshot();
            let network = &snapshot.network;
            let hashing = |state: &TransferState| *state == TransferState::Hashing;
            let unfinished = snapshot.transfers.iter().filter(|t| hashing(&t.state));
            let goes_on = HandOver {
                paths: unfinished.map(|transfer| transfer.path.clone()).collect(),
                hosting: snapshot.network.join.clone().filter(|_| snapshot.network.hosting),
                network: network.join.clone().filter(|_| !network.met && !network.hosting),
                listen: snapshot.me.listen,
            };
            return After::ServeOn(stop(engine, Stop::Gracefully, exit::OK).await, goes_on);
        }
        ExitReason::QuitNow => stop(engine, Stop::Now, exit::OK).await,
        ExitReason::Panicked => stop(engine, Stop::Gracefully, exit::OTHER).await,
        ExitReason::Demo => {
            stop(engine, Stop::Gracefully, exit::OK).await;
            return After::Demo;
        }
        ExitReason::Signal(number) => {
            let code = u8::try_from(128 + number).unwrap_or(exit::OTHER);
            stop(engine, Stop::Gracefully, code).await
        }
        ExitReason::Gone(why) => {
            // Seen only where the terminal is still there after all.
            out.note(&why);
            stop(engine, Stop::Gracefully, exit::HUNG_UP).await
        }
        ExitReason::EngineStopped if engine.stop_asked() == Stop::No => {
            out.note(
                "serving and downloading ended by themselves, which is an error of this program",
            );
            if let Some(dir) = Logs::shared().dir() {
                out.note(&format!("the log says more: {}", dir.display()));
            }
            exit::OTHER
        }
        ExitReason::Quit | ExitReason::EngineStopped => {
            if engine.snapshot().transfers.iter().any(|transfer| transfer.wanted_by > 0) {
                out.note("finishing transfers in progress (at most 5 s) …");
            }
            stop(engine, Stop::Gracefully, exit::OK).await
        }
    };
    After::End(code)
}

async fn stop(engine: EngineHandle, how: Stop, code: u8) -> u8 {
    engine.stop(how);
    engine.stopped().await;
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::api::handle::{HandleParts, channel};
    use engine::api::snapshot::{Me, Snapshot};

    fn engine() -> (EngineHandle, HandleParts) {
        channel(Snapshot::first(Me::example()))
    }

    #[tokio::test]
    async fn an_engine_that_ends_by_itself_is_an_error_and_a_stopped_one_is_not() {
        for (asked, wanted) in [(Stop::No, exit::OTHER), (Stop::Gracefully, exit::OK)] {
            let (engine, parts) = engine();
            engine.stop(asked);
            drop(parts);
            let after = leave(engine, ExitReason::EngineStopped, &Output::new(false, 0)).await;
            assert!(matches!(after, After::End(code) if code == wanted), "{asked:?}: {after:?}");
        }
    }

    #[tokio::test]
    async fn a_terminal_that_is_gone_ends_as_hung_up() {
        let (engine, parts) = engine();
        drop(parts);
        let why = "the terminal gives no more input".to_owned();
        let after = leave(engine, ExitReason::Gone(why), &Output::new(false, 0)).await;
        assert!(matches!(after, After::End(exit::HUNG_UP)), "{after:?}");
    }
}
