//! The cells of the chunk map and its legend.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use crate::format;
use crate::heatmap::{Bucket, Map, Mode, Standing};
use crate::model::Model;
use crate::theme::{Depth, Theme};
use crate::ui::paint::{self, Piece};

pub(crate) fn cells(model: &Model, buf: &mut Buffer, area: Rect, focused: bool) {
    if crate::panes::chunks::view::senders::cells(model, buf, area, focused) {
        return;
    }
    let map = &model.chunks.map;
    let here = (focused && map.mode != Mode::Empty).then(|| map.cell_of(model.chunks.cursor));
    let mut cell = 0;
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            if let Some((glyph, style)) = cell_at(map, cell, model.theme)
                && let Some(target) = buf.cell_mut((x, y))
            {
                let style =
                    if here == Some(cell) { style.add_modifier(Modifier::REVERSED) } else { style };
                target.set_symbol(glyph).set_style(style);
                if here == Some(cell) && model.theme.depth == Depth::Mono {
                    target.set_symbol("@");
                }
            }
            cell += 1;
        }
    }
}

/// Glyph and colours of one cell.
fn cell_at(map: &Map, cell: usize, theme: Theme) -> Option<(&'static str, Style)> {
    match map.mode {
        Mode::Empty => None,
        Mode::Brick(k) => {
            let standing = map.worst(cell / k)?;
            Some((theme.chunk_glyph(standing), theme.chunk_style(standing)))
        }
        Mode::Half => {
            // A half without a chunk shows the other half's: every cell has at least one.
            let (upper, lower) = (map.worst(cell * 2), map.worst(cell * 2 + 1));
            Some(half(upper.or(lower)?, lower.or(upper)?, theme))
        }
        Mode::Level => {
            let worst = map.worst(cell)?;
            if theme.backgrounds() {
                Some(level(map.bucket(cell)?, worst, map.lowest(cell), theme))
            } else {
                Some((theme.chunk_glyph(worst), theme.chunk_style(worst)))
            }
        }
    }
}

fn half(upper: Standing, lower: Standing, theme: Theme) -> (&'static str, Style) {
    if upper == lower {
        return (theme.chunk_glyph(upper), theme.chunk_style(upper));
    }
    // A chunk that nobody has, or that was bad, keeps its sign.
    for sign in [Standing::Lack(0), Standing::Bad] {
        if upper == sign || lower == sign {
            return (theme.chunk_glyph(sign), theme.chunk_style(sign));
        }
    }
    let color = |standing| theme.chunk_color(standing).unwrap_or(Color::Reset);
    ("▀", Style::new().fg(color(upper)).bg(color(lower)))
}

/// Share we have as a level; behind it the rarest chunk we lack.
fn level(
    bucket: &Bucket,
    worst: Standing,
    lowest: Option<u16>,
    theme: Theme,
) -> (&'static str, Style) {
    const LEVELS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
    if matches!(worst, Standing::Bad | Standing::Unwanted) {
        return (theme.chunk_glyph(worst), theme.chunk_style(worst));
    }
    let mut style = Style::new();
    if let Some(lowest) = lowest {
        style = style.bg(theme.chunk_color(Standing::Lack(lowest)).unwrap_or(Color::Reset));
    }
    if lowest == Some(0) {
        return (theme.chunk_glyph(worst), style.fg(theme.lost_ink()).add_modifier(Modifier::BOLD));
    }
    // Nothing of it here or coming: the same sign as in the legend instead of a block of colour.
    if bucket.have == 0 && bucket.flight == 0 {
        return (theme.chunk_glyph(worst), theme.chunk_style(worst));
    }
    let ink = if bucket.flight > 0 { Standing::Flight } else { Standing::Have };
    let eighths = bucket.eighths();
    // In flight shows even where nothing is here yet.
    let glyph = if eighths == 0 { 1 } else { eighths };
    (
        LEVELS.get(glyph).copied().unwrap_or("█"),
        style.fg(theme.chunk_color(ink).unwrap_or(Color::Reset)),
    )
}

/// Glyph, word and exact count of every state, in the longest form that fits: the count is the first to
/// go, the words get short, at last only the signs are left. Lost chunks are always counted.
pub(crate) fn legend(model: &Model, width: u16) -> Vec<Piece> {
    let c = model.chunks.map.counts();
    let range = model.theme.range();
    let some = format!("2{range}4");
    let items: [(Standing, u64, String, &str, bool); 9] = [
        (Standing::Have, c.have, "have".into(), "have", true),
        (Standing::Flight, c.flight, "in flight".into(), "now", true),
        (Standing::Lack(5), c.many, "5+ sources".into(), "5+", true),
        (Standing::Lack(2), c.some, format!("{some} sources"), &some, true),
        (Standing::Lack(1), c.one, "1 source".into(), "1", true),
        (Standing::Lack(0), c.none, "none".into(), "none", true),
        (Standing::Bad, c.bad, "bad".into(), "bad", c.bad > 0),
        (Standing::Checking, c.checking, "checking".into(), "check", c.checking > 0),
        (Standing::Unwanted, c.unwanted, "not chosen".into(), "skip", c.unwanted > 0),
    ];
    let per_cell = match model.chunks.map.mode {
        Mode::Level => {
            let n = model.chunks.map.chunks().div_ceil(model.chunks.map.len().max(1));
            format!("{} {}/cell", model.theme.dot(), format::count(n as u64))
        }
        _ => String::new(),
    };
    let build = |(counts, words): (bool, Words)| {
        let mut out: Vec<Piece> = Vec::new();
        for (standing, n, long, short, shown) in &items {
            let alarm = *standing == Standing::Lack(0) && *n > 0;
            if !shown || (words == Words::None && *n == 0) {
                continue;
            }
            let sign = model.theme.chunk_glyph(*standing).to_owned();
            out.push((sign, model.theme.chunk_style(*standing)));
            let count =
                if counts || alarm { format!(" {}", format::count(*n)) } else { String::new() };
            // That the three are numbers of sources is said at the last.
            let sourced = *standing == Standing::Lack(1);
            let text = match words {
                Words::Long => format!(" {long}{count}  "),
                Words::Short if sourced => format!(" {short} src{count} "),
                Words::Tight if sourced => format!("{short} src "),
                Words::Short => format!(" {short}{count} "),
                // The lost ones are counted instead of named.
                Words::Tight if alarm => format!("{} ", format::count(*n)),
                Words::Tight => format!("{short} "),
                Words::None => format!("{} ", count.trim_start()),
            };
            out.push((text, if alarm { model.theme.error() } else { Style::new() }));
        }
        if counts || words == Words::Long {
            out.push((per_cell.clone(), model.theme.dim()));
        }
        // The space after the last one needs no room.
        while out.last().is_some_and(|(text, _)| text.is_empty()) {
            out.pop();
        }
        if let Some((text, _)) = out.last_mut() {
            text.truncate(text.trim_end().len());
        }
        out
    };
    let forms = [
        (true, Words::Long),
        (true, Words::Short),
        (false, Words::Long),
        (false, Words::Short),
        (false, Words::Tight),
    ];
    let fits = |line: &Vec<Piece>| paint::width(line) <= width;
    forms.into_iter().map(build).find(fits).unwrap_or_else(|| build((false, Words::None)))
}

/// How much of the legend's words there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    Long,
    Short,
    Tight,
    None,
}
