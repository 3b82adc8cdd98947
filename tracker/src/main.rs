//! The tracker's program: arguments, socket, signals, exit code.

mod args;
mod command;
mod public;
mod until;

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use common::join::MAX_HOSTS;
use common::tracker_hosts::Listed;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;
use tracker::control::ControlError;
use tracker::moving::MoveError;
use tracker::store::StoreError;
use tracker::{StartError, Tracker};

use args::Args;
use public::Told;

/// The exit code of a failure without one of its own.
const EXIT_OTHER: u8 = 1;
/// No tracker runs where a command is for it.
const EXIT_NOT_RUNNING: u8 = 4;
const EXIT_CONFIG: u8 = 65;
const EXIT_IO: u8 = 74;
const EXIT_PERMISSION: u8 = 77;
const EXIT_PORT: u8 = 98;

fn main() -> ExitCode {
    let args = Args::parse();
    log_to_stderr(args.verbose);
    let done = match &args.command {
        None => start(&args),
        Some(command) => command::run(&args, command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("tracker: {error:#}"));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn start(args: &Args) -> anyhow::Result<()> {
    // Every connection is a descriptor.
    if let Err(error) = common::descriptors::raise_limit() {
        tracing::warn!("cannot raise the limit of open files: {error}");
    }
    let config = args.config()?;
    let state_dir = args.state_dir()?;
    // What is not a peer's: accepting, ticks, commands, metrics. Peers have threads of their own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before anything is announced: a signal from here on is never lost.
        let (interrupt, terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        common::file_limit::survive()?;
        let mut tracker = Tracker::open(config)?;
        let listener = bind(args.listen, "--listen")?;
        let mut bound = Bound { peers: listener.local_addr()?, metrics: None };
        if let Some(addr) = args.metrics {
            let listener = bind(addr, "--metrics")?;
            bound.metrics = Some(listener.local_addr()?);
            tracker = tracker.with_metrics(listener);
        }
        announce(args, &tracker, &bound, &state_dir)?;
        tracker.run(listener, until_signal(interrupt, terminate)).await;
        Ok(())
    })
}

/// Resolves at the first signal; a second one ends the process at once.
async fn until_signal(mut interrupt: Signal, mut terminate: Signal) {
    next_signal(&mut interrupt, &mut terminate).await;
    tracing::info!("stopping; once more to stop at once");
    tokio::spawn(async move {
        std::process::exit(next_signal(&mut interrupt, &mut terminate).await);
    });
}

/// The exit code that stands for the next signal: 128 and its number.
async fn next_signal(interrupt: &mut Signal, terminate: &mut Signal) -> i32 {
    tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    }
}

fn bind(addr: SocketAddr, option: &str) -> Result<TcpListener, BindError> {
    let option = option.to_owned();
    common::net::listen(addr).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { addr, option },
        _ => BindError::Other { addr, source },
    })
}

#[derive(Debug, thiserror::Error)]
enum BindError {
    #[error(
        "{addr} is in use by another program; choose another address with {option}, or port 0 for any free one"
    )]
    InUse { addr: SocketAddr, option: String },
    #[error("cannot listen on {addr}: {source}")]
    Other { addr: SocketAddr, source: io::Error },
}

struct Bound {
    peers: SocketAddr,
    metrics: Option<SocketAddr>,
}

/// Tells how to join: all of it in the state folder, and on standard output what may be seen there. Where that is
/// no terminal it ends in a log or a journal, which others read.
fn announce(args: &Args, tracker: &Tracker, bound: &Bound, state_dir: &Path) -> anyhow::Result<()> {
    let Told { listed, hosts, is_given } = Told::new(&args.public, &args.trackers, bound.peers);
    let Some(((host, port), others)) = hosts.split_first() else {
        anyhow::bail!("no host for the join string")
    };
    // A host that cannot be one would be missed only by peers that look for it.
    for (host, port) in &hosts {
        tracker.join_string(host, *port)?;
    }
    if hosts.len() > MAX_HOSTS {
        let option = if listed == Listed::Trackers { "--trackers" } else { "--public" };
        anyhow::bail!("{option} names {} hosts, the most is {MAX_HOSTS}", hosts.len());
    }
    let others = others.iter().map(|(host, port)| (host.as_str(), *port));
    let whole = tracker.join_string(host, *port)?;
    let whole = match listed {
        Listed::Addresses => whole.with_more(others),
        Listed::Trackers => whole.with_standbys(others),
    };
    // What the operator says is worth remembering; an address found here may be another's tomorrow.
    if is_given {
        let named: Vec<String> =
            hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        match tracker.tell_hosts(listed, &hosts) {
            Ok(()) => tracing::info!("peers are told to look for it at {}", named.join(", ")),
            Err(error) => {
                tracing::warn!("cannot keep the list of hosts in {}: {error}", state_dir.display())
            }
        }
    }
    match tracker::keep_join(state_dir, &whole) {
        Ok(_) => {}
        // The tracker is of use all the same.
        Err(error) => tracing::warn!(
            "cannot keep the join string in {}: {error}; `tracker join` will not know it",
            state_dir.display()
        ),
    }
    let shown = args.show_secret || io::stdout().is_terminal();
    if !shown && whole.secret().is_some() {
        tracing::info!(
            "the join string on standard output is without the secret; `tracker join --state {}` prints the whole one",
            state_dir.display()
        );
    }
    if tracker.is_by_invitation() {
        tracing::info!(
            "this network is by invitation: `tracker invite --state {}` prints a join string for somebody",
            state_dir.display()
        );
    }
    let join = if shown { whole } else { whole.with_secret(None) };
    let line = if args.json {
        let addr = bound.peers.to_string();
        let mut ready =
            serde_json::json!({ "event": "ready", "addr": addr, "join": join.to_string() });
        if let (Some(metrics), Some(object)) = (bound.metrics, ready.as_object_mut()) {
            object.insert("metrics".to_owned(), metrics.to_string().into());
        }
        ready.to_string()
    } else {
        format!("join {join}")
    };
    // If nobody reads it, the tracker is of use all the same.
    Ok(print(&line)?)
}

/// One line or more on standard output; whoever stops reading has read enough.
fn print(lines: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{lines}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}

fn complain(line: &str) {
    // There is nobody left to tell.
    let _ = writeln!(io::stderr(), "{line}");
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(error) = error.downcast_ref::<StartError>() {
        return error.exit_code();
    }
    if let Some(error) = error.downcast_ref::<MoveError>() {
        return move_code(error);
    }
    match error.downcast_ref::<BindError>() {
        Some(BindError::InUse { .. }) => EXIT_PORT,
        Some(BindError::Other { source, .. })
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            EXIT_PERMISSION
        }
        Some(BindError::Other { .. }) => EXIT_IO,
        None if error.is::<common::join::JoinError>() => EXIT_CONFIG,
        None if matches!(error.downcast_ref(), Some(ControlError::NotRunning(_))) => {
            EXIT_NOT_RUNNING
        }
        None if error.is::<ControlError>() => EXIT_IO,
        None => EXIT_OTHER,
    }
}

fn move_code(error: &MoveError) -> u8 {
    match error {
        MoveError::State(error) => error.exit_code(),
        MoveError::Store(StoreError::Locked { .. }) => 75,
        MoveError::Control(_) | MoveError::Store(_) | MoveError::File { .. } | MoveError::Io(_) => {
            EXIT_IO
        }
        MoveError::NotAnExport
        | MoveError::WrongPassphrase
        | MoveError::Damaged
        | MoveError::TooNew { .. } => EXIT_CONFIG,
        MoveError::NoTracker(_)
        | MoveError::Exists(_)
        | MoveError::OtherKey { .. }
        | MoveError::Refused(_)
        | MoveError::NoRandom => EXIT_OTHER,
    }
}
