//! The chunk map, what it means in words, and its legend.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::super::format;
use super::super::heatmap::{Bucket, Counts, Map, Mode, Standing, standing};
use super::super::layout::{Areas, inside};
use super::super::model::{Line, Model, Pane, Tone};
use super::super::theme::{Depth, Theme};
use super::super::verdict;
use super::paint::{self, Piece};

/// Rows of the map that words and legend must leave it.
const MIN_MAP: u16 = 3;

/// Where the map itself is; also decides for how many cells it is built.
pub fn map_area(model: &Model) -> Rect {
    let areas: Areas = model.areas();
    if areas.chunks.is_empty() {
        // The small layout has the map of one line in its summary.
        let line = areas.summary;
        if line.height < 2 {
            return Rect::ZERO;
        }
        return Rect {
            x: line.x + 1,
            y: line.y + 1,
            width: line.width.saturating_sub(2),
            height: 1,
        };
    }
    let inner = inside(areas.chunks);
    let words = u16::try_from(words(model, inner).len()).unwrap_or(0);
    let legend = u16::from(inner.height > MIN_MAP);
    Rect { height: inner.height.saturating_sub(words + legend), ..inner }
}

/// Exact counts of the selected content.
pub(crate) fn counts(model: &Model) -> Counts {
    model.map.counts
}

/// The verdict, wrapped, as many lines as the pane can spare; the cursor's chunk last.
fn words(model: &Model, inner: Rect) -> Vec<Line> {
    let spare = inner.height.saturating_sub(1 + MIN_MAP);
    let most = usize::from(spare.min(if inner.height >= 12 { 5 } else { 2 }));
    let focus = model.focus_data().map(AsRef::as_ref);
    let transfer = model.selected_transfer();
    let mut lines = verdict::verdict(transfer, model.selected_row(), focus, &model.map.counts);
    if most <= 2 && inner.width < 60 {
        lines = verdict::headline(transfer, model.selected_row(), focus, &model.map.counts)
            .into_iter()
            .collect();
    }
    let mut out: Vec<Line> = Vec::new();
    for (tone, text) in lines {
        for line in paint::wrap(&text, usize::from(inner.width)) {
            out.push((tone, line));
        }
    }
    out.truncate(most);
    if model.focus == Pane::Chunks && model.map.mode != Mode::Empty && most > 0 {
        out.truncate(most - 1);
        out.push((Tone::Dim, read_out(model)));
    }
    out
}

/// What is under the map's cursor.
fn read_out(model: &Model) -> String {
    let Some(focus) = model.focus_data() else { return String::new() };
    let cell = model.map.cell_of(model.chunk);
    let Some(chunks) = model.map.chunks_at(cell) else { return String::new() };
    let dot = model.theme.dot();
    if chunks.len() <= 1 {
        let what = match standing(&focus.chunks, &focus.availability, model.chunk) {
            Standing::Have => "here, verified".to_owned(),
            Standing::Flight => "in flight".to_owned(),
            Standing::Bad => "failed verification, fetched again".to_owned(),
            Standing::Unwanted => "not chosen".to_owned(),
            Standing::Lack(0) => "nobody online has it".to_owned(),
            Standing::Lack(n) => format::plural(u64::from(n), "source"),
        };
        return format!("#{} {dot} {what}", format::count(model.chunk as u64));
    }
    let mut counts = [0usize; 3];
    let mut lowest: Option<u16> = None;
    for i in chunks.clone() {
        match standing(&focus.chunks, &focus.availability, i) {
            Standing::Have => counts[0] += 1,
            Standing::Flight => counts[1] += 1,
            Standing::Bad => counts[2] += 1,
            Standing::Lack(n) => lowest = Some(lowest.map_or(n, |l| l.min(n))),
            Standing::Unwanted => {}
        }
    }
    let range = format!(
        "#{}{}{}",
        format::count(chunks.start as u64),
        model.theme.range(),
        format::count(chunks.end as u64 - 1)
    );
    let mut text = format!("{range} {dot} have {} of {}", counts[0], chunks.len());
    if counts[1] > 0 {
        text.push_str(&format!(" {dot} {} in flight", counts[1]));
    }
    if let Some(lowest) = lowest {
        let sources = if lowest == 0 {
            "no source".to_owned()
        } else {
            format::plural(u64::from(lowest), "source")
        };
        text.push_str(&format!(" {dot} rarest missing: {sources}"));
    }
    if counts[2] > 0 {
        text.push_str(&format!(" {dot} {} bad", counts[2]));
    }
    text
}

pub(crate) fn draw(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let theme = model.theme;
    let focused = model.focus == Pane::Chunks;
    let map = &model.map;
    let wanted = map.counts.wanted();
    let done = if wanted > 0 { format::percent(map.counts.have, wanted) } else { String::new() };
    let note = if area.width >= 70 && wanted > 0 {
        format!("{done}  {} / {}", format::count(map.counts.have), format::count(wanted))
    } else {
        done
    };
    let room = usize::from(area.width).saturating_sub(20 + note.len());
    let name = model
        .selected_name()
        .map(|n| format::middle(&n, room, theme.ellipsis()))
        .unwrap_or_default();
    let frame = paint::Frame {
        title: vec![
            ("2 Chunks ".to_owned(), if focused { theme.bold() } else { theme.dim() }),
            (name, Style::new()),
        ],
        note: vec![(note, theme.bold())],
        ..paint::Frame::default()
    };
    let inner = paint::boxed(buf, area, theme, focused, &frame);
    if inner.is_empty() {
        return;
    }
    let lines = words(model, inner);
    let cells = map_area(model);
    if map.mode == Mode::Empty {
        let text = if model.selected().is_some() {
            no_map(model)
        } else {
            "Select a file to see its chunks."
        };
        paint::text(buf, inner.x + 1, inner.y, inner.width.saturating_sub(1), text, theme.dim());
    } else {
        self::cells(model, buf, cells, focused);
    }
    for (y, (tone, line)) in (cells.bottom()..).zip(&lines) {
        paint::text(buf, inner.x, y, inner.width, line, paint::tone(theme, *tone));
    }
    if inner.height > MIN_MAP && map.mode != Mode::Empty {
        let line = legend(model, inner.width);
        paint::pieces(buf, inner.x, inner.bottom() - 1, inner.width, &line);
    }
}

fn no_map(model: &Model) -> &'static str {
    match model.focus_data() {
        Some(_) => "No chunks are known yet.",
        None => "Asking for its chunks.",
    }
}

/// The map in one line, for the small layout.
pub(crate) fn strip(model: &Model, buf: &mut Buffer, area: Rect) {
    cells(model, buf, area, false);
}

fn cells(model: &Model, buf: &mut Buffer, area: Rect, focused: bool) {
    let map = &model.map;
    let here = (focused && map.mode != Mode::Empty).then(|| map.cell_of(model.chunk));
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
            let standing = map.buckets.get(cell / k)?.worst()?;
            Some((theme.chunk_glyph(standing), theme.chunk_style(standing)))
        }
        Mode::Half => {
            let upper = map.buckets.get(cell * 2)?.worst()?;
            let lower = map.buckets.get(cell * 2 + 1).and_then(Bucket::worst).unwrap_or(upper);
            Some(half(upper, lower, theme))
        }
        Mode::Level => {
            let bucket = map.buckets.get(cell)?;
            if theme.backgrounds() {
                level(bucket, theme)
            } else {
                let standing = bucket.worst()?;
                Some((theme.chunk_glyph(standing), theme.chunk_style(standing)))
            }
        }
    }
}

fn half(upper: Standing, lower: Standing, theme: Theme) -> (&'static str, Style) {
    if upper == lower {
        return (theme.chunk_glyph(upper), theme.chunk_style(upper));
    }
    // A chunk that nobody has keeps its sign.
    if upper == Standing::Lack(0) || lower == Standing::Lack(0) {
        return (theme.chunk_glyph(Standing::Lack(0)), theme.chunk_style(Standing::Lack(0)));
    }
    let color = |standing| theme.chunk_color(standing).unwrap_or(Color::Reset);
    ("▀", Style::new().fg(color(upper)).bg(color(lower)))
}

/// Share we have as a level; behind it the rarest chunk we lack.
fn level(bucket: &Bucket, theme: Theme) -> Option<(&'static str, Style)> {
    const LEVELS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
    let worst = bucket.worst()?;
    if matches!(worst, Standing::Bad | Standing::Unwanted) {
        return Some((theme.chunk_glyph(worst), theme.chunk_style(worst)));
    }
    let mut style = Style::new();
    if let Some(lowest) = bucket.lowest {
        style = style.bg(theme.chunk_color(Standing::Lack(lowest)).unwrap_or(Color::Reset));
    }
    if bucket.lowest == Some(0) {
        return Some(("×", style.fg(theme.lost_ink()).add_modifier(Modifier::BOLD)));
    }
    // Nothing of it here or coming: the same sign as in the legend instead of a block of colour.
    if bucket.have == 0 && bucket.flight == 0 {
        return Some((theme.chunk_glyph(worst), theme.chunk_style(worst)));
    }
    let ink = if bucket.flight > 0 { Standing::Flight } else { Standing::Have };
    let eighths = bucket.eighths();
    // In flight shows even where nothing is here yet.
    let glyph = if eighths == 0 && bucket.flight > 0 { 1 } else { eighths };
    Some((
        LEVELS.get(glyph).copied().unwrap_or("█"),
        style.fg(theme.chunk_color(ink).unwrap_or(Color::Reset)),
    ))
}

/// Glyph, word and exact count of every state; words, then counts are left out where it is narrow.
fn legend(model: &Model, width: u16) -> Vec<Piece> {
    let c = &model.map.counts;
    let range = model.theme.range();
    let many = ("5+ sources".to_owned(), "5+".to_owned());
    let some = (format!("2{range}4"), format!("2{range}4"));
    let items: [(Standing, u64, (String, String), bool); 8] = [
        (Standing::Have, c.have, ("have".into(), "have".into()), true),
        (Standing::Flight, c.flight, ("in flight".into(), "now".into()), true),
        (Standing::Lack(5), c.many, many, true),
        (Standing::Lack(2), c.some, some, true),
        (Standing::Lack(1), c.one, ("1 source".into(), "1".into()), true),
        (Standing::Lack(0), c.none, ("none".into(), "none".into()), true),
        (Standing::Bad, c.bad, ("bad".into(), "bad".into()), c.bad > 0),
        (Standing::Unwanted, c.unwanted, ("not chosen".into(), "skip".into()), c.unwanted > 0),
    ];
    let per_cell = match model.map.mode {
        Mode::Level => format!(
            " {} {}/cell",
            model.theme.dot(),
            model.map.chunks().div_ceil(model.map.buckets.len().max(1))
        ),
        _ => String::new(),
    };
    let build = |form: Form| {
        let mut out: Vec<Piece> = Vec::new();
        for (standing, n, (word, short), shown) in &items {
            let alarm = *standing == Standing::Lack(0) && *n > 0;
            if !shown || (form != Form::Long && *n == 0 && *standing == Standing::Lack(0)) {
                continue;
            }
            out.push((
                model.theme.chunk_glyph(*standing).to_owned(),
                model.theme.chunk_style(*standing),
            ));
            let text = match form {
                Form::Long => format!(" {word} {}  ", format::count(*n)),
                Form::Short => format!(" {short} {}  ", format::count(*n)),
                Form::Words if alarm => format!(" {}", format::count(*n)),
                Form::Words => format!(" {short} "),
                Form::Counts => format!("{} ", format::short_count(*n)),
            };
            out.push((text, if alarm { model.theme.error() } else { Style::new() }));
        }
        if form == Form::Long {
            out.push((per_cell.clone(), model.theme.dim()));
        }
        out
    };
    for form in [Form::Long, Form::Short, Form::Words] {
        let line = build(form);
        if paint::width(&line) <= width + 1 {
            return line;
        }
    }
    build(Form::Counts)
}

/// How much of the legend there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Words and counts.
    Long,
    /// Short words and counts.
    Short,
    /// Short words; only lost chunks are counted.
    Words,
    /// Only counts.
    Counts,
}
