//! How others reach the task of a session, and when it is to be looked at: one sweep for all, no timer for each.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use common::lock::Unpoisoned as _;
use common::wire::Code;
use tokio::sync::Notify;

use crate::index::SessionId;

/// Parts of the table: a sweep goes through one at a time (of 50,000 sessions, in some 0.3 ms).
pub(crate) const PARTS: usize = 8;

/// The sessions of a tracker.
#[derive(Debug, Default)]
pub(crate) struct Controls {
    parts: [Mutex<HashMap<SessionId, Arc<Control>>>; PARTS],
    /// The part that is swept next, counted on and on.
    turn: AtomicUsize,
}

/// How others reach a session's task.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// There is something to push, a reason to close, or it is time to be looked at.
    pub(crate) wake: Notify,
    closing: OnceLock<Closing>,
    /// When silence, a stall or the age of its membership is to be looked at, by the tracker's clock.
    due_ms: AtomicU64,
}

/// Why a session should end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The same peer connected again.
    Replaced,
    /// There are too many peers, most of them at its address.
    Crowded,
    /// The tracker ends; come back after so many milliseconds.
    Goaway(u32),
    /// The operator wants this peer no more; what it is told.
    Banned(Arc<str>),
}

impl Controls {
    pub(crate) fn add(&self, session: SessionId, control: Arc<Control>) {
        self.part(session).insert(session, control);
    }

    pub(crate) fn remove(&self, session: SessionId) {
        self.part(session).remove(&session);
    }

    /// Wakes the tasks of these sessions.
    pub(crate) fn wake(&self, sessions: &[SessionId]) {
        for session in sessions {
            if let Some(control) = self.part(*session).get(session) {
                control.wake.notify_one();
            }
        }
    }

    pub(crate) fn wake_all(&self) {
        self.each(|control| control.wake.notify_one());
    }

    /// Wakes who is to be looked at by now, in one part of the table; the next call takes the next part.
    pub(crate) fn sweep(&self, now_ms: u64) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        if let Some(part) = self.parts.get(turn % PARTS) {
            for control in part.lock().unpoisoned().values() {
                if control.due_ms.load(Ordering::Relaxed) <= now_ms {
                    control.wake.notify_one();
                }
            }
        }
    }

    /// Asks one session to end.
    pub(crate) fn close(&self, session: SessionId, why: Closing) {
        if let Some(control) = self.part(session).get(&session) {
            control.close(why);
        }
    }

    /// Asks all sessions to end, each with a reason of its own.
    pub(crate) fn close_all(&self, mut why: impl FnMut() -> Closing) {
        self.each(|control| control.close(why()));
    }

    fn each(&self, mut work: impl FnMut(&Control)) {
        for part in &self.parts {
            part.lock().unpoisoned().values().for_each(|control| work(control));
        }
    }

    fn part(&self, session: SessionId) -> MutexGuard<'_, HashMap<SessionId, Arc<Control>>> {
        let [first, rest @ ..] = &self.parts;
        let part = session.part(PARTS).checked_sub(1).and_then(|at| rest.get(at));
        part.unwrap_or(first).lock().unpoisoned()
    }
}

impl Control {
    pub(crate) fn closing(&self) -> Option<Closing> {
        self.closing.get().cloned()
    }

    /// Says when the session is to be woken at the latest.
    pub(crate) fn look_at(&self, due_ms: u64) {
        self.due_ms.store(due_ms, Ordering::Relaxed);
    }

    fn close(&self, why: Closing) {
        // The first reason counts.
        let _ = self.closing.set(why);
        self.wake.notify_one();
    }
}

impl Closing {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Replaced => Code::Duplicate,
            Self::Crowded => Code::Busy,
            Self::Goaway(_) => Code::ShuttingDown,
            Self::Banned(_) => Code::Revoked,
        }
    }
}
