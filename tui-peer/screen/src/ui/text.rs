//! Text with styles, measured and broken into lines, before anybody draws it.

use common::numbers::saturate;

use ratatui::style::Style;
use unicode_width::UnicodeWidthStr as _;

use crate::format;

/// A piece of text with its style.
pub(crate) type Piece = (String, Style);

/// Columns that pieces take.
pub(crate) fn width(pieces: &[Piece]) -> u16 {
    saturate::<u16>(pieces.iter().map(|(s, _)| s.width()).sum::<usize>())
}

/// Breaks text into lines of at most `width` columns, at spaces where possible.
pub(crate) fn wrap(s: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in s.split_inclusive(' ') {
        let mut word = word.to_owned();
        while line.width() + word.trim_end().width() > width {
            if line.trim().is_empty() {
                // Longer than a line: cut it.
                let head = format::start(&word, width.saturating_sub(line.width()).max(1));
                if head.is_empty() {
                    return lines;
                }
                word = word.split_off(head.len());
                lines.push(std::mem::take(&mut line) + &head);
            } else {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
            }
        }
        line.push_str(&word);
    }
    if !line.trim().is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_lines_fit_and_keep_the_words() {
        let lines = wrap("Cannot finish now: 3 chunks have no source", 12);
        assert!(lines.iter().all(|l| l.width() <= 12), "{lines:?}");
        assert_eq!(lines.join(" "), "Cannot finish now: 3 chunks have no source");
        assert!(wrap("abcdefghijklmnopqrstuvwxyz", 5).iter().all(|l| l.width() <= 5));
        assert!(wrap("日本", 1).is_empty() || wrap("日本", 2).len() == 2);
    }
}
