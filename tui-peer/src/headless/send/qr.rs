//! The link as a picture that a camera reads.

use std::io::IsTerminal as _;

use qrcode::{Color, EcLevel, QrCode};

/// Light modules around it, on each side. The standard asks for four; two are read too, and take less of a
/// small terminal.
const MARGIN: usize = 2;
/// Black on white whatever the terminal's colours are: some cameras read nothing else.
const INK: &str = "\x1b[30;107m";
const PLAIN: &str = "\x1b[0m";
/// Lines of the terminal that should stay free for the words around it.
const WORDS: usize = 4;

/// The picture, if standard output is a terminal that can show all of it at once.
pub(super) fn picture(link: &str) -> Option<String> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() || !is_unicode() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&stdout).ok()?;
    let lines = draw(link)?;
    let width = lines.first()?.chars().count();
    let fits = width <= usize::from(size.ws_col) && lines.len() + WORDS <= usize::from(size.ws_row);
    fits.then(|| lines.iter().map(|line| format!("{INK}{line}{PLAIN}\n")).collect())
}

/// Lines of half blocks: two rows of modules each, dark ones as ink.
fn draw(link: &str) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(link, EcLevel::L).ok()?;
    let (width, colors) = (code.width(), code.to_colors());
    let dark = |x: usize, y: usize| {
        let (x, y) = (x.checked_sub(MARGIN), y.checked_sub(MARGIN));
        let (Some(x), Some(y)) = (x, y) else { return false };
        x < width && colors.get(y * width + x) == Some(&Color::Dark)
    };
    let side = width + 2 * MARGIN;
    let line = |y: usize| -> String {
        (0..side)
            .map(|x| match (dark(x, y), dark(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            })
            .collect()
    };
    Some((0..side).step_by(2).map(line).collect())
}

/// Whether the terminal is told to be one of Unicode.
fn is_unicode() -> bool {
    let said = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = said("LC_ALL").or_else(|| said("LC_CTYPE")).or_else(|| said("LANG"));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c2_a_link_becomes_a_square_with_three_corners() {
        let lines =
            draw(&format!("shoal://{}@192.168.1.5:7420/x?secret=y", "a".repeat(52))).unwrap();
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width));
        assert_eq!(lines.len(), width.div_ceil(2));
        // The finder pattern stands behind the margin, in three corners.
        let corner: String = lines[1].chars().skip(MARGIN).take(7).collect();
        assert_eq!(corner, "█▀▀▀▀▀█");
        let right: String = lines[1].chars().skip(width - MARGIN - 7).take(7).collect();
        assert_eq!(right, "█▀▀▀▀▀█");
        assert!(draw(&"x".repeat(5000)).is_none());
    }
}
