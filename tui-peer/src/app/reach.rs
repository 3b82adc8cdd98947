//! Commands for a peer that runs already.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use super::background;
use super::start::{self, in_runtime_as_far, refuse_settings, warn};
use crate::args::{Common, exit};
use crate::control::{self, Attached, ControlError};
use crate::headless::Output;
use engine::api::config::{EngineConfig, OnStart};
use engine::api::handle::EngineHandle;

/// How often a peer that is waited for is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// Reaches the running peer; with `patience` waits for one (so many seconds, or for ever).
pub(super) fn reach<F, Fut>(
    common: &Common,
    what: &str,
    patience: Option<Option<u64>>,
    catalogue: bool,
    then: F,
) -> u8
where
    F: FnOnce(Attached, Output) -> Fut,
    Fut: Future<Output = u8>,
{
    in_runtime_as_far(common, |settings, wrong, mut out| async move {
        warn(wrong.as_ref(), &out);
        let state = &settings.engine.state_dir;
        let began = Instant::now();
        loop {
            let late = match patience {
                None => true,
                Some(None) => false,
                Some(Some(seconds)) => began.elapsed() >= Duration::from_secs(seconds),
            };
            match control::attach(state, what, catalogue).await {
                Ok(peer) => return then(peer, out).await,
                Err(ControlError::NotRunning(_)) if !late => tokio::time::sleep(LOOK).await,
                Err(error) => return cannot(&error, &mut out),
            }
        }
    })
}

/// By the running peer if there is one, else `alone` on the state folder.
pub(super) fn reach_or<F, Fut>(
    common: &Common,
    what: &str,
    alone: impl AsyncFnOnce(&Path, &mut Output) -> u8,
    then: F,
) -> u8
where
    F: FnOnce(Attached, Output) -> Fut,
    Fut: Future<Output = u8>,
{
    in_runtime_as_far(common, |settings, wrong, mut out| async move {
        let state = settings.engine.state_dir;
        match (control::attach_if_running(&state, what, false).await, wrong) {
            (Ok(Some(peer)), wrong) => {
                warn(wrong.as_ref(), &out);
                then(peer, out).await
            }
            // What is wrong may be where the state folder is.
            (Ok(None), Some(wrong)) => refuse_settings(&wrong, &mut out),
            (Ok(None), None) => alone(&state, &mut out).await,
            (Err(error), _) => cannot(&error, &mut out),
        }
    })
}

/// With the running peer's engine if there is one, else with one of its own on any free port.
pub(super) fn beside<F, Fut>(common: &Common, what: &str, command: F) -> u8
where
    F: FnOnce(EngineHandle, Output) -> Fut,
    Fut: Future<Output = u8>,
{
    in_runtime_as_far(common, |settings, wrong, mut out| async move {
        let mut config = settings.engine;
        match (control::attach_if_running(&config.state_dir, what, true).await, wrong) {
            (Ok(Some(peer)), wrong) => {
                warn(wrong.as_ref(), &out);
                match elsewhere(&peer, &config) {
                    None => command(peer.engine, out).await,
                    Some(why) => {
                        let state = background::state_option(&config.state_dir);
                        let hint = format!(
                            "leave --tracker away, or give another folder with --state (tui-peer status{state} shows that peer)"
                        );
                        out.error("network", &format!("{why}; {hint}"), &hint);
                        exit::LOCKED
                    }
                }
            }
            (Ok(None), Some(wrong)) => refuse_settings(&wrong, &mut out),
            (Ok(None), None) => {
                config.listen.set_port(0);
                config.on_start = OnStart::Resume;
                start::private(common, config, Some(&settings.table), out, command).await
            }
            (Err(error), _) => cannot(&error, &mut out),
        }
    })
}

/// The running peer is in one network only: why it is not the one asked for.
fn elsewhere(peer: &Attached, config: &EngineConfig) -> Option<String> {
    let wanted = config.join.as_ref()?;
    let snapshot = peer.engine.snapshot();
    (!snapshot.network.is_of(&wanted.tracker())).then(|| {
        let (pid, theirs) = (peer.peer.pid, &snapshot.network.tracker);
        let theirs = if theirs.is_empty() { "no network" } else { theirs };
        format!("process {pid} on this state folder is in {theirs}, not {}", wanted.address())
    })
}

/// Says why the running peer cannot be reached; the exit code.
fn cannot(error: &ControlError, out: &mut Output) -> u8 {
    let (word, code) = match error {
        ControlError::NotRunning(_) => ("not-running", exit::NOT_FOUND),
        ControlError::Version { .. } => ("version", exit::OTHER),
        ControlError::Io { .. } => ("control", exit::IO),
    };
    out.error(word, &error.to_string(), "tui-peer --serve-only starts one");
    code
}
