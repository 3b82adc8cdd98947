//! What is being read here: hashed to be shared, or compared with what was hashed. On a terminal with a bar each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::names::show;
use tokio::time::{MissedTickBehavior, interval};

use super::output::{Output, Row};
use super::signals::{Heard, Signals};
use crate::args::exit;
use engine::api::library::Progress;
use engine::api::snapshot::{Snapshot, TransferState};

/// How often bars move.
const LOOK: Duration = Duration::from_millis(250);
/// A rate is told once it was measured for so long.
const MEASURED: Duration = Duration::from_millis(400);

/// How fast something goes, since it was first seen.
#[derive(Debug, Clone, Copy)]
struct Pace {
    since: Instant,
    from: u64,
}

impl Pace {
    fn row(self, label: String, done: u64, total: u64, now: Instant) -> Row {
        let took = now.saturating_duration_since(self.since);
        let read = done.saturating_sub(self.from) as f64;
        let rate = if took >= MEASURED { read / took.as_secs_f64() } else { 0.0 };
        let left = total.saturating_sub(done) as f64;
        let eta_s = (rate >= 1.0 && left > 0.0).then(|| (left / rate).ceil() as u64);
        Row { label, done, total, rate, eta_s, ..Row::default() }
    }
}

/// What a peer reads, with how fast each goes.
#[derive(Debug, Default)]
pub(super) struct Working(HashMap<PathBuf, Pace>);

impl Working {
    pub(super) fn show(&mut self, snapshot: &Snapshot, out: &mut Output) {
        if !out.is_terminal() {
            return;
        }
        let now = Instant::now();
        let busy = snapshot.transfers.iter().filter(|row| {
            matches!(row.state, TransferState::Hashing | TransferState::Checking) && row.size > 0
        });
        let before = std::mem::take(&mut self.0);
        let mut rows = Vec::new();
        for row in busy {
            let new = Pace { since: now, from: row.done };
            let pace = *self
                .0
                .entry(row.path.clone())
                .or_insert_with(|| before.get(&row.path).copied().unwrap_or(new));
            let verb = if row.state == TransferState::Hashing { "hashing" } else { "checking" };
            rows.push(pace.row(format!("{verb} {}", row.name), row.done, row.size, now));
        }
        out.rows(&rows, "being read");
    }
}

/// What a path is called beside its bar.
pub(super) fn label(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    show(&name.to_string_lossy())
}

/// Has something read on a thread of its own, with a bar on a terminal.
///
/// # Errors
/// The exit code, when a signal ends it: what is read is left then.
pub(super) async fn reading<T: Send + 'static>(
    label: String,
    out: &mut Output,
    work: impl FnOnce(&Progress, &AtomicBool) -> T + Send + 'static,
) -> Result<T, u8> {
    let mut signals = Signals::new().map_err(|_| exit::OTHER)?;
    let shared = Arc::new((Progress::default(), AtomicBool::new(false)));
    let theirs = shared.clone();
    let mut work = tokio::task::spawn_blocking(move || work(&theirs.0, &theirs.1));
    let (progress, cancel) = &*shared;
    let pace = Pace { since: Instant::now(), from: 0 };
    let mut ticker = interval(LOOK);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What takes a moment only has none.
    ticker.tick().await;
    let ended = loop {
        tokio::select! {
            ended = &mut work => break ended.map_err(|_| exit::OTHER),
            _ = ticker.tick() => {
                let done = progress.done.load(Ordering::Relaxed);
                let total = progress.total.load(Ordering::Relaxed);
                out.rows(&[pace.row(label.clone(), done, total, Instant::now())], "");
            }
            heard = signals.next() => if let Some(code) = stops(heard) {
                cancel.store(true, Ordering::Relaxed);
                break Err(code);
            },
        }
    };
    out.clear();
    ended
}

/// The exit code of a signal that ends a command.
fn stops(heard: Heard) -> Option<u8> {
    match heard {
        Heard::Stop { code, .. } => Some(code),
        Heard::Reload => Some(exit::HUNG_UP),
        Heard::Stats | Heard::Level => None,
    }
}
