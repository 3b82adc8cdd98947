//! On a terminal: bars of what is being hashed or checked, and the line at the bottom.

use std::io::IsTerminal as _;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::engine::snapshot::{Snapshot, TransferState};

/// Bars shown at once; more work than this is in the count of the bottom line.
const BARS: usize = 4;
/// Redraws a second, at most: what is shown moves once a second.
const HERTZ: u8 = 4;

/// What sticks to the bottom of a terminal.
pub(super) struct Bars {
    all: MultiProgress,
    bottom: ProgressBar,
    work: Vec<ProgressBar>,
}

impl Bars {
    /// If standard error is a terminal. Elsewhere nothing of the kind is even made.
    pub(super) fn on_terminal() -> Option<Self> {
        std::io::stderr().is_terminal().then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(HERTZ));
            let bottom = all.add(ProgressBar::new_spinner());
            bottom.set_style(style("{msg}"));
            Self { all, bottom, work: Vec::new() }
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

    /// Takes everything away.
    pub(super) fn clear(&mut self) {
        for bar in self.work.drain(..) {
            bar.finish_and_clear();
        }
        self.bottom.finish_and_clear();
    }
}

/// Fixed templates cannot fail to parse; without one the bar is merely plain.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
