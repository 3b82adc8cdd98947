//! What the service manager is told, if there is one (`sd_notify(3)`, `Type=notify-reload`).
//!
//! READY comes once we listen and the tracker was tried, and before anything is verified: hours of
//! hashing are no reason to be killed for starting slowly.

use std::time::{Duration, Instant};

use common::numbers::saturate;

use sd_notify::NotifyState;

use engine::api::snapshot::{NetState, Snapshot, TransferState};

/// The status goes out this often at most, and only when it changed.
const STATUS: Duration = Duration::from_secs(10);
/// How much longer than now a start, reload or stop may take while files are hashed.
const EXTEND: Duration = Duration::from_secs(30);
/// A tracker that has not answered by then was tried.
const TRIED: Duration = Duration::from_secs(10);

/// Talks to the service manager.
pub(super) struct Manager {
    began: Instant,
    ready: bool,
    status: String,
    told: Option<Instant>,
    watchdog: Option<Duration>,
}

impl Manager {
    pub(super) fn new() -> Self {
        let watchdog = sd_notify::watchdog_enabled();
        Self { began: Instant::now(), ready: false, status: String::new(), told: None, watchdog }
    }

    /// How often [`Self::alive`] is due: twice within the watchdog's time.
    pub(super) fn beat(&self) -> Option<Duration> {
        self.watchdog.map(|time| (time / 2).max(Duration::from_millis(1)))
    }

    /// The main loop still turns.
    pub(super) fn alive(&self) {
        tell(&[NotifyState::Watchdog]);
    }

    /// Looks at a snapshot: READY when it is time, the status when it changed.
    pub(super) fn look(&mut self, snapshot: &Snapshot, status: &str, now: Instant) {
        let connecting = matches!(snapshot.network.state, NetState::Connecting);
        if !self.ready && (!connecting || now.duration_since(self.began) >= TRIED) {
            self.ready = true;
            tell(&[NotifyState::Ready, NotifyState::Status(status)]);
            (self.status, self.told) = (status.to_owned(), Some(now));
        }
        if self.told.is_some_and(|told| now.duration_since(told) < STATUS) {
            return;
        }
        self.told = Some(now);
        if self.status != status {
            status.clone_into(&mut self.status);
            tell(&[NotifyState::Status(status)]);
        }
        let working = |state: &TransferState| {
            matches!(state, TransferState::Hashing | TransferState::Checking)
        };
        if snapshot.transfers.iter().any(|transfer| working(&transfer.state)) {
            extend();
        }
    }

    /// Settings are being read again; [`Self::reloaded`] follows.
    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    /// They are in force.
    pub(super) fn reloaded(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// Leaving in good order.
    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("finishing transfers in progress")]);
        extend();
    }
}

fn extend() {
    let micros = saturate::<u32>(EXTEND.as_micros());
    tell(&[NotifyState::ExtendTimeoutUsec(micros)]);
}

/// Without a service manager this does nothing; one that does not listen is its own problem.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "sd_notify");
    }
}
