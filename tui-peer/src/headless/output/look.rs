//! How words on a terminal look: plain data, made from what the user asked for by whoever knows the screen's
//! themes.

use std::borrow::Cow;

use frontend::format;
use settings::Units;

/// What a colour says; each is one of the screen's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Ours, on its way.
    Accent,
    Warn,
    /// Wrong, lost.
    Error,
    Dim,
    /// Headers.
    Title,
}

/// Signs in what the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signs {
    /// Full and empty cells of a bar.
    pub bar: (&'static str, &'static str),
    /// Parts of a full cell, from nothing on.
    pub eighths: &'static [&'static str],
    /// Something was left out.
    pub ellipsis: &'static str,
    /// Nothing.
    pub dash: &'static str,
    /// Done.
    pub check: &'static str,
    /// Names in seven bits alone.
    pub ascii: bool,
}

/// How words on a terminal look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Of sizes and rates.
    pub units: Units,
    pub signs: Signs,
    /// What begins a colour (parameters of SGR), in the order of [`Paint`]; empty where there is none.
    pub colours: [String; 5],
}

impl Default for Look {
    /// What every terminal can show.
    fn default() -> Self {
        let signs = Signs {
            bar: ("#", "."),
            eighths: &[""],
            ellipsis: "..",
            dash: "-",
            check: "*",
            ascii: true,
        };
        Self { units: Units::Iec, signs, colours: Default::default() }
    }
}

impl Look {
    /// Text in a colour.
    pub(in crate::headless) fn paint<'t>(&self, paint: Paint, text: &'t str) -> Cow<'t, str> {
        match self.colours.get(paint as usize).map(String::as_str) {
            None | Some("") => Cow::Borrowed(text),
            Some(code) => Cow::Owned(format!("\x1b[{code}m{text}\x1b[0m")),
        }
    }

    /// A name in what the terminal can show.
    pub(in crate::headless) fn name<'n>(&self, name: &'n str) -> Cow<'n, str> {
        if self.signs.ascii { format::seven_bits(name) } else { Cow::Borrowed(name) }
    }

    /// A sentence of ours in what the terminal can show.
    pub(in crate::headless) fn signs<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !self.signs.ascii || text.is_ascii() {
            return Cow::Borrowed(text);
        }
        let ours = [("·", "-"), ("…", "..."), ("↑", "^"), ("↓", "v")];
        let text = ours.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        Cow::Owned(format::seven_bits(&text).into_owned())
    }

    /// A progress bar of so many cells; full only when all is done.
    pub(in crate::headless) fn bar(&self, done: u64, total: u64, cells: usize) -> String {
        let ((full, empty), parts) = (self.signs.bar, self.signs.eighths);
        let per_cell = parts.len().max(1);
        let steps = cells * per_cell;
        let share = done.min(total) as f64 / total.max(1) as f64;
        let step = match done >= total {
            true => steps,
            false => ((share * steps as f64) as usize).min(steps.saturating_sub(1)),
        };
        let (whole, rest) = (step / per_cell, step % per_cell);
        let mut out = full.repeat(whole);
        if rest > 0 {
            out.push_str(parts.get(rest).copied().unwrap_or(empty));
        }
        out + &empty.repeat(cells.saturating_sub(whole + usize::from(rest > 0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p6_a_bar_is_full_only_when_all_is_done() {
        let look = Look::default();
        assert_eq!(look.bar(0, 100, 4), "....");
        assert_eq!(look.bar(50, 100, 4), "##..");
        assert_eq!(look.bar(999, 1000, 4), "###.");
        assert_eq!(look.bar(100, 100, 4), "####");
        assert_eq!(look.bar(0, 0, 4), "####");
        let signs = Signs { bar: ("█", "░"), eighths: &["", "▌"], ..look.signs };
        let look = Look { signs, ..look };
        assert_eq!(look.bar(40, 100, 4), "█▌░░");
    }

    #[test]
    fn p6_without_colours_no_escape_is_written() {
        let mut look = Look::default();
        assert_eq!(look.paint(Paint::Error, "x"), "x");
        look.colours[Paint::Error as usize] = "1;31".to_owned();
        assert_eq!(look.paint(Paint::Error, "x"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(look.paint(Paint::Dim, "x"), "x");
        assert_eq!(look.name("ä…"), "\\u{e4}...");
    }
}
