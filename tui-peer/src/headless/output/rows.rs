//! One line for each thing on its way: name, bar, percent, bytes of bytes, rate, time to go, sources. Pure; every
//! line fits the width it is made for, and columns stand below each other.

use unicode_width::UnicodeWidthStr as _;

use super::look::{Look, Paint};
use frontend::format;

/// Widest name, in columns: more of a long one says little, and the bar is to be seen.
const MAX_NAME: usize = 44;
/// Fewest columns of a name.
const MIN_NAME: usize = 12;
/// Widest bar, in cells: eighths of a cell are fine enough.
const MAX_BAR: usize = 40;
/// A bar of fewer cells says less than the percent beside it.
const MIN_BAR: usize = 6;

/// Something on its way.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::headless) struct Row {
    /// What or who; safe to show.
    pub(in crate::headless) label: String,
    /// Bytes that have come.
    pub(in crate::headless) done: u64,
    /// Bytes in all.
    pub(in crate::headless) total: u64,
    /// All of it is there: not yet so while it is checked or put in place.
    pub(in crate::headless) ended: bool,
    /// Bytes per second.
    pub(in crate::headless) rate: f64,
    /// Seconds to its end, if that can be said.
    pub(in crate::headless) eta_s: Option<u64>,
    /// Who sends it, if that means anything.
    pub(in crate::headless) sources: Option<u32>,
    /// What is to be said instead of rate, time and sources; safe to show.
    pub(in crate::headless) note: Option<String>,
}

impl Row {
    /// All of these together; `label` is theirs.
    pub(in crate::headless) fn sum(rows: &[Self], label: String) -> Self {
        let add = |of: fn(&Self) -> u64| rows.iter().map(of).fold(0, u64::saturating_add);
        let rate: f64 = rows.iter().map(|row| row.rate).sum();
        let (done, total) = (add(|row| row.done.min(row.total)), add(|row| row.total));
        let left = total.saturating_sub(done);
        let eta_s = (rate >= 1.0 && left > 0).then(|| (left as f64 / rate).ceil() as u64);
        let ended = rows.iter().all(|row| row.ended);
        Self { label, done, total, ended, rate, eta_s, sources: None, note: None }
    }
}

/// The pieces of a line, before they are put below each other.
struct Pieces {
    name: String,
    percent: String,
    bytes: String,
    rate: String,
    eta: String,
    sources: String,
}

/// These as lines of at most `width` columns; the last of them is a sum, if `sum`.
pub(super) fn lines(rows: &[Row], sum: bool, width: usize, look: &Look) -> Vec<String> {
    let pieces: Vec<Pieces> = rows.iter().map(|row| pieces(row, look)).collect();
    let widest = |of: fn(&Pieces) -> &String| {
        pieces.iter().map(|pieces| of(pieces).width()).max().unwrap_or(0)
    };
    let (percent, mut bytes) = (widest(|p| &p.percent), widest(|p| &p.bytes));
    let (mut rate, mut eta) = (widest(|p| &p.rate), widest(|p| &p.eta));
    let (names, mut sources) = (widest(|p| &p.name), widest(|p| &p.sources));
    let gap = |column: usize| if column > 0 { column + 1 } else { 0 };
    let right = |others: [usize; 4]| gap(percent) + others.into_iter().map(gap).sum::<usize>();
    // What is left out where there is no room, the least important first.
    if right([bytes, rate, eta, sources]) + MIN_NAME > width {
        sources = 0;
    }
    if right([bytes, rate, eta, sources]) + MIN_NAME > width {
        bytes = 0;
    }
    if right([bytes, rate, eta, sources]) + MIN_NAME > width {
        eta = 0;
    }
    if right([bytes, rate, eta, sources]) + MIN_NAME > width {
        rate = 0;
    }
    let rest = width.saturating_sub(right([bytes, rate, eta, sources]));
    let with_bar = rest >= MIN_NAME + 1 + MIN_BAR;
    // A third of what is left is the bar's, if names want more than the others.
    let for_name = if with_bar { rest - 1 - (rest / 3).clamp(MIN_BAR, MAX_BAR) } else { rest };
    let name = names.min(MAX_NAME).min(for_name);
    let cells = if with_bar { (rest - 1 - name).min(MAX_BAR) } else { 0 };
    let line = |(row, pieces): (&Row, &Pieces)| {
        let shown = format::middle(&pieces.name, name, look.signs.ellipsis);
        let mut out = shown.clone() + &" ".repeat(name.saturating_sub(shown.width()));
        if cells > 0 {
            // Of what has not been measured yet nothing is done.
            let total = if row.ended { row.total } else { row.total.max(1) };
            let bar = look.bar(row.done, total, cells);
            out.push(' ');
            out.push_str(&look.paint(Paint::Accent, &bar));
        }
        let mut add = |text: &str, width: usize| {
            if width > 0 {
                out.push(' ');
                out.push_str(&" ".repeat(width.saturating_sub(text.width())));
                out.push_str(text);
            }
        };
        add(&pieces.percent, percent);
        add(&pieces.bytes, bytes);
        if let Some(note) = &row.note {
            let bar = if cells > 0 { cells + 1 } else { 0 };
            let room = width.saturating_sub(name + bar + gap(percent) + gap(bytes) + 1);
            let note = look.name(note);
            let note = match note.width() <= room {
                true => note.into_owned(),
                false => match room.checked_sub(look.signs.ellipsis.width()) {
                    None => String::new(),
                    Some(room) => {
                        format::start(&note, room).trim_end().to_owned() + look.signs.ellipsis
                    }
                },
            };
            out.push(' ');
            out.push_str(&look.paint(Paint::Warn, &note));
            return out.trim_end().to_owned();
        }
        add(&pieces.rate, rate);
        add(&pieces.eta, eta);
        add(&pieces.sources, sources);
        out.trim_end().to_owned()
    };
    let mut lines: Vec<String> = rows.iter().zip(&pieces).map(line).collect();
    if sum && let Some(last) = lines.last_mut() {
        *last = look.paint(Paint::Title, last).into_owned();
    }
    lines
}

fn pieces(row: &Row, look: &Look) -> Pieces {
    let percent = match (row.ended, row.done >= row.total) {
        (false, true) if row.total > 0 => "99.9%".to_owned(),
        (false, true) => String::new(),
        _ => format::percent(row.done, row.total),
    };
    let bytes = match row.total {
        0 => String::new(),
        total => format::part(row.done, total, look.units),
    };
    let quiet = row.note.is_some();
    let rate = if quiet { String::new() } else { format::rate(row.rate, "", look.units) };
    let eta = row.eta_s.filter(|_| !quiet).map_or_else(String::new, format::eta);
    let sources = match row.sources.filter(|_| !quiet) {
        None => String::new(),
        Some(1) => "1 source".to_owned(),
        Some(n) => format!("{} sources", format::short_count(u64::from(n))),
    };
    Pieces { name: look.name(&row.label).into_owned(), percent, bytes, rate, eta, sources }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<Row> {
        let row = |label: &str, done, total, rate, eta_s| Row {
            label: label.to_owned(),
            done,
            total,
            rate,
            eta_s,
            sources: Some(3),
            ..Row::default()
        };
        vec![
            row("debian-12.5.0-amd64-netinst.iso", 512 << 20, 629 << 20, 12e6, Some(11)),
            row("x", 3 << 20, 12 << 30, 900e3, Some(14_000)),
            Row {
                note: Some("nobody online has what is missing".to_owned()),
                ..row("papers", 0, 5000, 0.0, None)
            },
            Row { ended: true, ..row("all", 5000, 5000, 0.0, None) },
        ]
    }

    #[test]
    fn p6_bars_fit_and_stand_below_each_other() {
        let look = Look::default();
        let mut rows = some();
        rows.push(Row::sum(&rows, "4 downloads".to_owned()));
        assert_eq!(
            lines(&rows, true, 79, &look),
            [
                "debian-12.5...st.iso ########..  81%   512/629 MiB 11.4 MiB/s     11s 3 sources",
                "x                    ..........   0%  0.0/12.0 GiB  879 KiB/s  3h 53m 3 sources",
                "papers               ..........   0% 0.00/4.88 KiB nobody online has what is..",
                "all                  ########## 100% 4.88/4.88 KiB                    3 sources",
                "4 downloads          ..........   3%  0.5/12.6 GiB 12.3 MiB/s 16m 50s",
            ]
        );
        for width in 20..200 {
            for line in lines(&rows, true, width, &look) {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn p6_nothing_is_said_to_be_whole_before_its_end() {
        let look = Look::default();
        let row = Row { label: "x".to_owned(), done: 10, total: 10, ..Row::default() };
        let of = |row: &Row| lines(std::slice::from_ref(row), false, 60, &look).remove(0);
        assert!(of(&row).contains("99.9%"));
        assert!(of(&Row { ended: true, ..row }).contains("100%"));
    }

    proptest::proptest! {
        #[test]
        fn p6_any_name_fits(name in "\\PC{0,60}", width in 24usize..120, done in 0u64.., total in 0u64..) {
            let row = Row { label: name, done, total, rate: done as f64, ..Row::default() };
            for line in lines(&[row], false, width, &Look::default()) {
                proptest::prop_assert!(line.width() <= width, "{}", line);
            }
        }
    }
}
