//! Where the log goes: the file of `--log`, and standard error.

use std::path::{Path, PathBuf};

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::headless::Output;
use engine::api::event::Level;
use engine::api::handle::EngineHandle;
use frontend::logfile::{LogLayer, Logs, PARTS, parse_level};
use settings::{Item, LogTo, Table};

/// `-vv` shows what the program's parts trace beside the log.
const TRACED: u8 = 2;

/// Traces go to the log, with `-vv` to standard error as well (not while a screen has it): refused
/// strangers, failed accepts.
pub(super) fn trace(table: &Table, verbose: u8, screen: bool) {
    let logs = Logs::shared();
    // Checked when the settings were read.
    logs.set_level(parse_level(&table.text(Item::LogLevel)).unwrap_or(Level::Info));
    let stderr = (verbose >= TRACED && !screen).then(|| {
        let ours = PARTS.map(|name| (name, LevelFilter::DEBUG));
        let filter = Targets::new().with_targets(ours);
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(filter)
    });
    let to = tracing_subscriber::registry().with(LogLayer::new(logs)).with(stderr);
    // Set once per process; a second time would change nothing.
    let _ = to.try_init();
}

/// Writes down what the engine says from now on; the state folder is ours already. Without a log one
/// can work.
pub(super) fn record(engine: &EngineHandle, table: &Table, state: &Path, out: &Output) {
    let path: PathBuf = match table.text(Item::Log).parse().unwrap_or_default() {
        LogTo::State => state.join("log").join("shoal.log"),
        LogTo::File(path) => path,
        LogTo::None => return,
    };
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
