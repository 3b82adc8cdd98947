//! Tables for a terminal: a line of headers, numbers aligned on the right. Pure.

use unicode_width::UnicodeWidthStr as _;

use super::look::{Look, Paint};
use frontend::format;

/// Between columns.
const GAP: usize = 2;
/// Fewest columns of what may be shortened.
const MIN_TEXT: usize = 16;

#[derive(Debug, Clone, Copy)]
pub(in crate::headless) struct Column {
    pub(in crate::headless) title: &'static str,
    /// How it stands, and what becomes of it where there is no room.
    pub(in crate::headless) kind: Kind,
}

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::headless) enum Kind {
    /// Text that may be shortened in its middle.
    Text,
    /// Text of few words.
    Word,
    Number,
}

/// What stands in one place.
#[derive(Debug, Clone, Default)]
pub(in crate::headless) struct Cell {
    /// Safe to show.
    pub(in crate::headless) text: String,
    pub(in crate::headless) paint: Option<Paint>,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), paint: None }
    }
}

impl Cell {
    /// In a colour.
    pub(in crate::headless) fn painted(text: impl Into<String>, paint: Paint) -> Self {
        Self { text: text.into(), paint: Some(paint) }
    }
}

/// The table, headers first. Columns in which nothing stands are left out; of the others the last, as long as lines
/// would be longer than `width` (the first stays).
pub(super) fn table(
    columns: &[Column],
    rows: &[Vec<Cell>],
    width: usize,
    look: &Look,
) -> Vec<String> {
    let rows: Vec<Vec<Cell>> =
        rows.iter().map(|row| row.iter().map(|c| shown(c, look)).collect()).collect();
    let widest =
        |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|c| c.text.width()).max();
    let mut used: Vec<(usize, Column, usize)> = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        if let Some(widest @ 1..) = widest(at) {
            used.push((at, *column, widest.max(column.title.width())));
        }
    }
    let need = |used: &[(usize, Column, usize)]| {
        let columns = used.iter().map(|(_, column, width)| match column.kind {
            Kind::Text => (*width).min(MIN_TEXT),
            Kind::Word | Kind::Number => *width,
        });
        columns.sum::<usize>() + GAP * used.len().saturating_sub(1)
    };
    while used.len() > 1 && need(&used) > width {
        used.pop();
    }
    // What is left over is for the texts, from the first on.
    let mut spare = width.saturating_sub(need(&used));
    for (_, column, wanted) in &mut used {
        if column.kind == Kind::Text {
            let more = wanted.saturating_sub(MIN_TEXT).min(spare);
            spare -= more;
            *wanted = (*wanted).min(MIN_TEXT) + more;
        }
    }
    let header: Vec<Cell> =
        columns.iter().map(|column| Cell::painted(column.title, Paint::Title)).collect();
    std::iter::once(&header).chain(&rows).map(|row| line(row, &used, look)).collect()
}

fn shown(cell: &Cell, look: &Look) -> Cell {
    Cell { text: look.name(&cell.text).into_owned(), paint: cell.paint }
}

fn line(row: &[Cell], used: &[(usize, Column, usize)], look: &Look) -> String {
    let mut out = String::new();
    let mut owed = 0;
    for (at, column, width) in used {
        let Some(cell) = row.get(*at) else { continue };
        let text = format::middle(&cell.text, *width, look.signs.ellipsis);
        let pad = width.saturating_sub(text.width());
        let before = owed + if column.kind == Kind::Number { pad } else { 0 };
        // No spaces behind the last.
        if !text.is_empty() {
            out.push_str(&" ".repeat(before));
            match cell.paint {
                Some(paint) => out.push_str(&look.paint(paint, &text)),
                None => out.push_str(&text),
            }
            owed = if column.kind == Kind::Number { GAP } else { pad + GAP };
        } else {
            owed += width + GAP;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column { title: "NAME", kind: Kind::Text },
        Column { title: "SIZE", kind: Kind::Number },
        Column { title: "HERE", kind: Kind::Word },
        Column { title: "ID", kind: Kind::Word },
    ];

    fn rows() -> Vec<Vec<Cell>> {
        vec![
            vec![
                "a rather long name of something.tar.gz".into(),
                "1.20 GiB".into(),
                "".into(),
                "abcd".into(),
            ],
            vec!["b".into(), "5 B".into(), Cell::painted("yes", Paint::Accent), "efgh".into()],
        ]
    }

    #[test]
    fn p6_columns_are_aligned_and_numbers_stand_on_the_right() {
        let look = Look::default();
        assert_eq!(
            table(&COLUMNS, &rows(), 80, &look),
            [
                "NAME                                        SIZE  HERE  ID",
                "a rather long name of something.tar.gz  1.20 GiB        abcd",
                "b                                            5 B  yes   efgh",
            ]
        );
        assert_eq!(
            table(&COLUMNS, &rows(), 42, &look),
            [
                "NAME                      SIZE  HERE  ID",
                "a rather lo...tar.gz  1.20 GiB        abcd",
                "b                          5 B  yes   efgh",
            ]
        );
    }

    #[test]
    fn p6_a_table_is_never_wider_than_its_terminal_and_empty_columns_are_left_out() {
        let look = Look::default();
        for width in 20..100 {
            for line in table(&COLUMNS, &rows(), width, &look) {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
        let none: Vec<Vec<Cell>> = vec![vec!["x".into(), "".into(), "".into(), "abcd".into()]];
        assert_eq!(table(&COLUMNS, &none, 80, &look), ["NAME  ID", "x     abcd"]);
    }
}
