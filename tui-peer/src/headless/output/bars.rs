//! What sticks to the bottom of a terminal: a line for each thing on its way, and one more.

use std::io::IsTerminal as _;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::termios::tcgetwinsize;

use super::echo;
use super::look::Look;
use super::rows::{Row, lines};

/// Redraws a second, at most: what is shown moves twice a second.
const HERTZ: u8 = 4;
/// Bars shown at once: half of a small terminal. Who shows more says how many there are.
pub(in crate::headless) const MAX_ROWS: usize = 12;
/// Lines of a terminal that are left for other words than bars.
const OTHERS: usize = 4;
/// Of a terminal that does not say how large it is.
const USUAL: (usize, usize) = (80, 24);

/// What sticks to the bottom of a terminal.
pub(super) struct Bars {
    all: MultiProgress,
    /// All of the lines in one: they are taken away and drawn together.
    block: ProgressBar,
    rows: Vec<String>,
    bottom: String,
    shown: bool,
}

impl Bars {
    /// If standard error is a terminal that can take lines back. Elsewhere nothing of the kind is even made.
    pub(super) fn on_terminal() -> Option<Self> {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        (std::io::stderr().is_terminal() && !dumb).then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(HERTZ));
            let block = block(&all);
            Self { all, block, rows: Vec::new(), bottom: String::new(), shown: false }
        })
    }

    /// Writes something above them.
    pub(super) fn above(&self, write: impl FnOnce()) {
        // `indicatif` panics where the terminal has gone, and once more at the end.
        match rustix::termios::tcgetattr(std::io::stderr()) {
            Ok(_) => self.all.suspend(write),
            Err(_) => write(),
        }
    }

    /// The line at the bottom.
    pub(super) fn bottom(&mut self, text: &str) {
        text.clone_into(&mut self.bottom);
        self.draw();
    }

    /// A line for each of these, as many as there is room for, and what they are together if they are several.
    pub(super) fn rows(&mut self, rows: &[Row], what: &str, look: &Look) {
        let (width, height) = size(std::io::stderr());
        let room = MAX_ROWS.min(height.saturating_sub(OTHERS)).max(1);
        let mut shown: Vec<Row> = rows.iter().take(room).cloned().collect();
        let several = rows.len() > 1;
        if several {
            let label = match rows.len() - shown.len() {
                0 => format!("{} {what}", rows.len()),
                more => format!("{} {what}, {more} not shown", rows.len()),
            };
            shown.push(Row::sum(rows, label));
        }
        // A line that fills the last column would be two.
        self.rows = lines(&shown, several, width.saturating_sub(1), look);
        self.draw();
    }

    /// Takes everything away.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            self.block.finish_and_clear();
            self.all.remove(&self.block);
            self.block = block(&self.all);
            echo::back();
        }
        self.rows.clear();
        self.bottom.clear();
    }

    fn draw(&mut self) {
        let mut text = self.rows.join("\n");
        if !self.bottom.is_empty() {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&self.bottom);
        }
        if text.is_empty() {
            return self.clear();
        }
        if !std::mem::replace(&mut self.shown, true) {
            echo::off();
        }
        self.block.set_message(text);
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.clear();
    }
}

fn block(all: &MultiProgress) -> ProgressBar {
    let block = all.add(ProgressBar::new_spinner());
    // Fixed templates cannot fail to parse.
    let style = ProgressStyle::with_template("{msg}");
    block.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    block
}

/// Columns and lines of a terminal.
pub(super) fn size(terminal: impl std::os::fd::AsFd) -> (usize, usize) {
    match tcgetwinsize(terminal) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            (usize::from(size.ws_col), usize::from(size.ws_row))
        }
        _ => USUAL,
    }
}
