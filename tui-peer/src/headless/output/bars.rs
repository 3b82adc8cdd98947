//! On a terminal: bars of what is being hashed or checked, and the line at the bottom.

use std::io::IsTerminal as _;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::engine::snapshot::{Snapshot, TransferState};

/// Bars shown at once; more work than this is in the count of the bottom line.
const BARS: usize = 4;
/// Redraws a second, at most: what is shown moves once a second.
const HERTZ: u8 = 4;

/// Bars of transfers shown at once: half of a small terminal. Who shows more says how many there are.
pub(in crate::headless) const MAX_ROWS: usize = 12;

/// One bar: something on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::headless) struct Row {
    /// What or who; safe to show.
    pub(in crate::headless) label: String,
    /// Bytes.
    pub(in crate::headless) done: u64,
    /// Bytes in all.
    pub(in crate::headless) total: u64,
    /// What stands behind it: a rate, a state.
    pub(in crate::headless) tail: String,
}

/// What sticks to the bottom of a terminal.
pub(super) struct Bars {
    all: MultiProgress,
    bottom: ProgressBar,
    work: Vec<ProgressBar>,
    rows: Vec<ProgressBar>,
}

impl Bars {
    /// If standard error is a terminal. Elsewhere nothing of the kind is even made.
    pub(super) fn on_terminal() -> Option<Self> {
        std::io::stderr().is_terminal().then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(HERTZ));
            let bottom = all.add(ProgressBar::new_spinner());
            bottom.set_style(style("{msg}"));
            Self { all, bottom, work: Vec::new(), rows: Vec::new() }
        })
    }

    /// Writes something above the bars.
    pub(super) fn above(&self, write: impl FnOnce()) {
        self.all.suspend(write);
    }

    /// The line at the bottom.
    pub(super) fn bottom(&self, text: &str) {
        self.bottom.set_message(text.to_owned());
    }

    /// One bar for everything that is being hashed or checked.
    pub(super) fn work(&mut self, snapshot: &Snapshot) {
        let working = snapshot.transfers.iter().filter(|transfer| {
            matches!(transfer.state, TransferState::Hashing | TransferState::Checking)
                && transfer.size > 0
        });
        let mut shown = 0;
        for transfer in working.take(BARS) {
            if shown == self.work.len() {
                let bar = self.all.insert_before(&self.bottom, ProgressBar::new(1));
                bar.set_style(
                    style("  hashing {msg} [{bar:30}] {bytes}/{total_bytes}").progress_chars("=> "),
                );
                self.work.push(bar);
            }
            if let Some(bar) = self.work.get(shown) {
                bar.set_length(transfer.size);
                bar.set_message(transfer.name.to_string());
                bar.set_position(transfer.done);
            }
            shown += 1;
        }
        for bar in self.work.drain(shown..) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    /// A bar for each of these, the first [`MAX_ROWS`], in their order.
    pub(super) fn rows(&mut self, rows: &[Row]) {
        let shown = rows.len().min(MAX_ROWS);
        while self.rows.len() < shown {
            let bar = self.all.insert_before(&self.bottom, ProgressBar::new(1));
            let template = "  {prefix} [{bar:30}] {percent:>3}% of {total_bytes} {msg}";
            bar.set_style(style(template).progress_chars("=> "));
            self.rows.push(bar);
        }
        for (bar, row) in self.rows.iter().zip(rows) {
            bar.set_length(row.total);
            bar.set_position(row.done);
            bar.set_prefix(row.label.clone());
            bar.set_message(row.tail.clone());
        }
        for bar in self.rows.drain(shown..) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    /// Takes everything away.
    pub(super) fn clear(&mut self) {
        for bar in self.work.drain(..).chain(self.rows.drain(..)) {
            bar.finish_and_clear();
        }
        self.bottom.finish_and_clear();
    }
}

/// Fixed templates cannot fail to parse; without one the bar is merely plain.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
