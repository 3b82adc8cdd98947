//! Lines and signs, for what the terminal can show.

use std::borrow::Cow;

use super::Theme;
use crate::format;

/// Which characters the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glyphs {
    /// Box drawing, blocks, arrows.
    Unicode,
    /// What the Linux console's font has.
    Cp437,
    /// Seven bits.
    Ascii,
}

/// Lines of a box: corners from top left clockwise, then horizontal and vertical.
#[derive(Debug, Clone, Copy)]
pub struct Lines {
    /// ┌ ┐ ┘ └
    pub corners: [&'static str; 4],
    /// ─
    pub horizontal: &'static str,
    /// │
    pub vertical: &'static str,
}

const ROUND: Lines =
    Lines { corners: ["╭", "╮", "╯", "╰"], horizontal: "─", vertical: "│" };
const THICK: Lines =
    Lines { corners: ["┏", "┓", "┛", "┗"], horizontal: "━", vertical: "┃" };
const SINGLE: Lines =
    Lines { corners: ["┌", "┐", "┘", "└"], horizontal: "─", vertical: "│" };
const DOUBLE: Lines =
    Lines { corners: ["╔", "╗", "╝", "╚"], horizontal: "═", vertical: "║" };
const PLAIN: Lines = Lines { corners: ["+", "+", "+", "+"], horizontal: "-", vertical: "|" };
const HASHED: Lines = Lines { corners: ["#", "#", "#", "#"], horizontal: "=", vertical: "#" };

impl Theme {
    /// Lines of a box.
    pub fn lines(self, focused: bool) -> Lines {
        match (self.glyphs, focused) {
            (Glyphs::Unicode, false) => ROUND,
            (Glyphs::Unicode, true) => THICK,
            (Glyphs::Cp437, false) => SINGLE,
            (Glyphs::Cp437, true) => DOUBLE,
            (Glyphs::Ascii, false) => PLAIN,
            (Glyphs::Ascii, true) => HASHED,
        }
    }

    /// Levels of a sparkline.
    pub fn levels(self) -> &'static [char] {
        match self.glyphs {
            Glyphs::Unicode => &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
            Glyphs::Cp437 => &['·', '░', '▒', '▓', '█'],
            Glyphs::Ascii => &['.', ':', '-', '=', '+', '*', '#'],
        }
    }

    /// A name as this terminal can show it: with seven bits, other characters are escaped, so that names
    /// stay apart.
    pub fn name(self, name: &str) -> Cow<'_, str> {
        if self.glyphs == Glyphs::Ascii { format::seven_bits(name) } else { Cow::Borrowed(name) }
    }

    /// A name as this terminal can show it, shortened in the middle to `room` columns.
    pub fn fit(self, name: &str, room: usize) -> String {
        format::middle(&self.name(name), room, self.ellipsis())
    }

    pub(super) fn glyph(
        self,
        unicode: &'static str,
        cp437: &'static str,
        ascii: &'static str,
    ) -> &'static str {
        match self.glyphs {
            Glyphs::Unicode => unicode,
            Glyphs::Cp437 => cp437,
            Glyphs::Ascii => ascii,
        }
    }

    /// Left edge of the row under the cursor.
    pub fn bar(self) -> &'static str {
        self.glyph("▌", "▌", ">")
    }
    /// A marked row.
    pub fn mark(self) -> &'static str {
        self.glyph("◆", "+", "+")
    }
    /// Down, getting.
    pub fn down(self) -> &'static str {
        self.glyph("↓", "↓", "v")
    }
    /// Up.
    pub fn up(self) -> &'static str {
        self.glyph("↑", "↑", "^")
    }
    /// Sharing.
    pub fn sharing(self) -> &'static str {
        self.glyph("⇡", "↑", "^")
    }
    /// Have, done.
    pub fn check(self) -> &'static str {
        self.glyph("✓", "√", "*")
    }
    /// Paused.
    pub fn pause(self) -> &'static str {
        self.glyph("‖", "║", "=")
    }
    /// Connected.
    pub fn on(self) -> &'static str {
        self.glyph("●", "•", "*")
    }
    /// Half way there.
    pub fn half(self) -> &'static str {
        self.glyph("◐", "○", "~")
    }
    /// Not connected.
    pub fn off(self) -> &'static str {
        self.glyph("○", "○", "o")
    }
    /// Left out, to come.
    pub fn ellipsis(self) -> &'static str {
        self.glyph("…", "..", "..")
    }
    /// Nothing.
    pub fn dash(self) -> &'static str {
        self.glyph("—", "-", "-")
    }
    /// Nothing of it here.
    pub fn dot_small(self) -> &'static str {
        self.glyph("·", "·", ".")
    }
    /// Points at what stands above.
    pub fn peak(self) -> &'static str {
        self.glyph("▲", "▲", "^")
    }
    /// Between two numbers.
    pub fn range(self) -> &'static str {
        self.glyph("–", "-", "-")
    }
    /// Before the number of repeats, and between a size and how many of it.
    pub fn times(self) -> &'static str {
        self.glyph("×", "x", "x")
    }
    /// Before a line that belongs to the one above.
    pub fn branch(self) -> &'static str {
        self.glyph("└", "└", "`-")
    }
    /// Between two things.
    pub fn dot(self) -> &'static str {
        self.glyph("·", "·", "-")
    }
    /// Between groups.
    pub fn separator(self) -> &'static str {
        self.glyph("│", "│", "|")
    }
    /// The position in a list, in its right border.
    pub fn thumb(self) -> &'static str {
        self.glyph("█", "█", "#")
    }
    /// To the left and to the right.
    pub fn arrows(self) -> (&'static str, &'static str) {
        match self.glyphs {
            Glyphs::Unicode | Glyphs::Cp437 => ("←", "→"),
            Glyphs::Ascii => ("<-", "->"),
        }
    }
    /// Parts of one cell of a progress bar, the first being none of it.
    pub fn bar_eighths(self) -> &'static [&'static str] {
        match self.glyphs {
            Glyphs::Unicode => &["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"],
            Glyphs::Cp437 => &["", "▌"],
            Glyphs::Ascii => &[""],
        }
    }
    /// Full and empty parts of a progress bar.
    pub fn bar_parts(self) -> (&'static str, &'static str) {
        match self.glyphs {
            Glyphs::Ascii => ("#", "."),
            _ => ("█", "░"),
        }
    }
}
