//! What comes from the engine, taken when it is due: log lines, traces, snapshots.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::broadcast;

use settings::Item;

use super::App;
use crate::msg::Msg;
use crate::terminal::Front;
use crate::update::deadline;
use engine::api::event::What;
use engine::api::snapshot::Snapshot;

/// Log lines taken at once: ten times a second, this is more than anybody can produce.
const MAX_EVENTS: usize = 2048;

impl<F: Front> App<'_, F> {
    /// Something is due: data, a new size, or a change of the screen by itself.
    pub(super) fn time(&mut self) {
        let now = Instant::now();
        if let Some((width, height)) = self.pace.new_size(now) {
            self.resize(width, height);
        }
        let mut any = false;
        if self.has_lines() && now >= self.pace.data_at() {
            self.lines(now);
            any = true;
        }
        if self.rates && now >= self.pace.rates_at() {
            self.snapshot(now);
            any = true;
        }
        if !any && deadline(&self.model).is_some_and(|at| at <= now) {
            self.message(Msg::Tick);
        }
    }

    /// Whether somebody looks who likes numbers to move.
    fn is_watched(&self) -> bool {
        self.model.attention && !self.model.prefs.table.is_on(Item::ReduceMotion)
    }

    fn has_lines(&self) -> bool {
        self.line.is_some() || self.traces
    }

    /// Takes what was said since the last time.
    fn lines(&mut self, now: Instant) {
        self.pace.took_data(now, self.is_watched());
        let (mut events, mut missed) = (Vec::new(), 0);
        let mut next = self.line.take();
        while let Some(event) = next {
            match event {
                Ok(event) => events.push(event),
                Err(broadcast::error::RecvError::Lagged(n)) => missed += n,
                // The engine's end is noticed elsewhere.
                Err(broadcast::error::RecvError::Closed) => break,
            }
            next = if events.len() < MAX_EVENTS {
                match self.events.try_recv() {
                    Ok(event) => Some(Ok(event)),
                    Err(broadcast::error::TryRecvError::Lagged(n)) => {
                        Some(Err(broadcast::error::RecvError::Lagged(n)))
                    }
                    Err(_) => None,
                }
            } else {
                None
            };
        }
        self.traces = false;
        let (traces, more) = self.logs.take(MAX_EVENTS);
        for event in &events {
            self.signs.event(event, &self.model, now);
        }
        let level = self.model.log.level();
        let seen = events
            .iter()
            .any(|e| e.level <= level || !matches!(e.what, What::Said | What::Peer { .. }))
            || traces.iter().any(|t| t.level <= level);
        let dirty = self.dirty;
        if !traces.is_empty() {
            self.message(Msg::Traces(traces));
        }
        if !events.is_empty() {
            self.message(Msg::Events(events));
        }
        // What the log does not show needs no frame.
        self.dirty = dirty || seen;
        if missed + more > 0 {
            self.message(Msg::Missed(missed + more));
        }
    }

    /// Takes the newest snapshot. One that looks like the last is not worth a frame.
    pub(super) fn snapshot(&mut self, now: Instant) {
        self.rates = false;
        self.pace.took_rates(now, self.is_watched());
        let snap = self.snapshots.borrow_and_update().clone();
        if !same_picture(&self.model.snap, &snap) {
            self.message(Msg::Snapshot(snap));
        }
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        let now = Instant::now();
        let lines = self.has_lines().then(|| self.pace.data_at());
        let rates = self.rates.then(|| self.pace.rates_at());
        // A frame on its way wakes us by itself.
        let hold = self.pace.holds(now);
        let signs = self.signs.deadline(&self.model);
        [lines, rates, hold, signs, deadline(&self.model)].into_iter().flatten().min()
    }
}

/// Whether two snapshots look the same: at rest the engine still makes one now and then.
fn same_picture(a: &Snapshot, b: &Snapshot) -> bool {
    let same_focus = match (&a.focus, &b.focus) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            Arc::ptr_eq(a, b)
                || (a.id == b.id
                    && a.chunks == b.chunks
                    && a.sources == b.sources
                    && a.sole == b.sole
                    && a.causes == b.causes
                    && a.holders == b.holders
                    && a.sent == b.sent)
        }
        _ => false,
    };
    same_focus
        && a.me == b.me
        && a.network == b.network
        && a.totals == b.totals
        && a.catalogue.version == b.catalogue.version
        && a.catalogue.whole == b.catalogue.whole
        && a.transfers == b.transfers
        && a.peers == b.peers
        && a.uploads == b.uploads
        && a.bans == b.bans
        && a.watches == b.watches
}
