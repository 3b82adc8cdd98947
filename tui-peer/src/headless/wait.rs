//! Waiting for a snapshot that is as wished, for a signal, or for the time to be over.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::signals::Signals;
use crate::args::exit;
use engine::api::handle::EngineHandle;
use engine::api::snapshot::{NetState, Snapshot};

/// How long an unreachable tracker is waited for.
pub(super) const TRACKER_WAIT: Duration = Duration::from_secs(20);

/// Why there is no network, and will not be unless something is done, after having waited so long for it.
pub(super) fn no_way(snapshot: &Snapshot, waited: Duration) -> Option<String> {
    match &snapshot.network.state {
        NetState::Rejected { why } => Some(why.clone()),
        NetState::Lost { why, .. } if waited > TRACKER_WAIT => {
            Some(format!("the tracker cannot be reached: {why}"))
        }
        _ => None,
    }
}

/// Years: for "no limit".
const LONG: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// When `seconds` from now are over; far away for `None`.
pub(super) fn deadline(seconds: Option<u64>) -> Instant {
    Instant::now() + seconds.map_or(LONG, |seconds| Duration::from_secs(seconds).min(LONG))
}

/// Why it did not come to what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The time is over.
    TooLate,
    Stopped,
    /// A signal, with its exit code.
    Signal(u8),
}

impl Ended {
    /// For people, and the exit code.
    pub(super) fn words(self) -> (&'static str, u8) {
        match self {
            Self::TooLate => ("not within the time given", exit::OTHER),
            Self::Stopped => ("the running peer stopped", exit::OTHER),
            Self::Signal(code) => ("interrupted", code),
        }
    }
}

/// The first snapshot for which `holds`.
pub(super) async fn until(
    engine: &EngineHandle,
    end: Instant,
    mut holds: impl FnMut(&Snapshot) -> bool,
) -> Result<Arc<Snapshot>, Ended> {
    let mut snapshots = engine.snapshots();
    let mut signals = Signals::new().map_err(|_| Ended::Stopped)?;
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        if holds(&snapshot) {
            return Ok(snapshot);
        }
        let changed = within(engine, end, &mut signals, snapshots.changed()).await?;
        changed.map_err(|_| Ended::Stopped)?;
    }
}

/// What `work` comes to, unless the peer stops, the time is over or a signal comes before that.
pub(super) async fn within<T>(
    engine: &EngineHandle,
    end: Instant,
    signals: &mut Signals,
    work: impl Future<Output = T>,
) -> Result<T, Ended> {
    tokio::select! {
        done = work => Ok(done),
        () = engine.stopped() => Err(Ended::Stopped),
        () = sleep_until(end) => Err(Ended::TooLate),
        code = signals.stop(engine) => Err(Ended::Signal(code)),
    }
}
