//! Rates over time: what comes in grows up from the axis, what goes out grows down, on one scale.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::action::Action;
use crate::format;
use crate::model::Model;
use crate::theme::Glyphs;
use crate::ui::paint::{self, Piece};

/// Columns of the rates beside the graph.
const LABEL: u16 = format::RATE_WIDTH;
/// Dots of a braille sign, left and right, the lowest first.
const DOTS: [[u32; 4]; 2] = [[0x40, 0x04, 0x02, 0x01], [0x80, 0x20, 0x10, 0x08]];
/// The first of the braille signs.
const BRAILLE: u32 = 0x2800;

/// One half of the graph.
#[derive(Clone, Copy)]
struct Half<'a> {
    values: &'a [f32],
    /// It grows down.
    down: bool,
    /// Limit in force in bytes a second.
    limit: Option<u64>,
    style: Style,
}

pub(crate) fn draw(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let theme = model.theme;
    let (graph, now) = (&model.graph, model.now.mono);
    let minutes = format!("{} min", graph.window.minutes());
    let note = model.keymap.does(Action::Window, &minutes).unwrap_or(minutes);
    let note = vec![(note, theme.dim())];
    // Corners, blanks and some border stay.
    let room = area.width.saturating_sub(paint::width(&note) + 10);
    let frame = paint::Frame { title: title(model, room), note, ..paint::Frame::default() };
    let inner = paint::boxed(buf, area, theme, false, &frame);
    if inner.width <= LABEL + 2 || inner.height < 3 {
        return;
    }
    let plot = Rect { x: inner.x + LABEL + 1, width: inner.width - LABEL - 1, ..inner };
    let below = graph.scale.below.min(inner.height - 2);
    let above = inner.height - 1 - below;
    // Two columns of dots to a braille sign.
    let wide = if theme.glyphs == Glyphs::Unicode { 2 } else { 1 };
    let drawn = graph.drawn(usize::from(plot.width) * wide, now);
    let limits = model.snap.uploads;
    let upper =
        Half { values: &drawn.down, down: false, limit: limits.down_limit, style: theme.accent() };
    let lower = Half { values: &drawn.up, down: true, limit: limits.up_limit, style: theme.have() };
    for row in 0..above {
        let line = Rect { y: plot.y + above - 1 - row, height: 1, ..plot };
        half(model, buf, line, row, upper);
    }
    for row in 0..below {
        let line = Rect { y: plot.y + above + 1 + row, height: 1, ..plot };
        half(model, buf, line, row, lower);
    }
    axis(model, buf, inner, above, below);
}

/// What is drawn, in numbers: as many as there is room for.
fn title(model: &Model, room: u16) -> Vec<Piece> {
    let (theme, now) = (model.theme, model.now.mono);
    let rate = |bytes: f64| format::rate(bytes, theme.dash(), model.units);
    let (limits, totals) = (model.snap.uploads, &model.snap.totals);
    let (most_down, most_up) = model.graph.peaks(now);
    let down = (totals.down_rate, most_down, limits.down_limit);
    let up = (totals.up_rate, most_up, limits.up_limit);
    let half = |(now, most, limit): (f64, f64, Option<u64>), peak: bool, limited: bool| {
        let mut text = format!(" {}", rate(now).trim());
        if peak {
            // The second that is not over yet is in no peak.
            text += &format!(" peak {}", rate(most.max(now)).trim());
        }
        if let Some(limit) = limit.filter(|_| limited) {
            text += &format!(", limit {}", rate(limit as f64).trim());
        }
        (text, Style::new())
    };
    let whole = |peak, limited| {
        vec![
            ("All traffic  ".to_owned(), theme.dim()),
            (theme.down().to_owned(), theme.accent()),
            half(down, peak, limited),
            (format!("  {}", theme.up()), theme.have()),
            half(up, peak, limited),
        ]
    };
    let titles =
        [(true, true), (true, false), (false, false)].map(|(peaks, limited)| whole(peaks, limited));
    let fits = titles.iter().position(|title| paint::width(title) <= room);
    titles.into_iter().nth(fits.unwrap_or(2)).unwrap_or_default()
}

/// One row of one half, the first beside the axis.
fn half(model: &Model, buf: &mut Buffer, line: Rect, row: u16, half: Half<'_>) {
    let theme = model.theme;
    let step = model.graph.scale.step;
    let parts: u16 = match theme.glyphs {
        Glyphs::Unicode => 4,
        Glyphs::Cp437 => 2,
        Glyphs::Ascii => 1,
    };
    // What of a value lies in this row, in parts of it; something is never nothing.
    let filled = |value: f32| {
        let value = f64::from(value);
        if !value.is_finite() || value < 1.0 {
            return 0;
        }
        let all = (value / step * f64::from(parts)).round().max(1.0);
        (all - f64::from(row * parts)).clamp(0.0, f64::from(parts)) as usize
    };
    // The part that the limit's line is in.
    let limit = half.limit.map(|limit| limit as f64 / step * f64::from(parts) - 0.5);
    let limit = limit.filter(|at| (at / f64::from(parts)).floor() == f64::from(row));
    let limit = limit.map(|at| (at - f64::from(row * parts)).max(0.0) as usize);
    let wide = if theme.glyphs == Glyphs::Unicode { 2 } else { 1 };
    for (cell, x) in (line.left()..line.right()).enumerate() {
        let value = |i: usize| half.values.get(cell * wide + i).copied().unwrap_or(f32::NAN);
        let (left, right) = (filled(value(0)), if wide == 2 { filled(value(1)) } else { 0 });
        let (sign, style) = match (left.max(right), limit) {
            (0, None) => continue,
            (0, Some(at)) => (dotted(theme.glyphs, at, half.down), theme.warn()),
            _ => (solid(theme.glyphs, left, right, half.down), half.style),
        };
        let mut bytes = [0; 4];
        paint::text(buf, x, line.y, 1, sign.encode_utf8(&mut bytes), style);
    }
}

/// A cell that is filled so far.
fn solid(glyphs: Glyphs, left: usize, right: usize, down: bool) -> char {
    match glyphs {
        Glyphs::Unicode => braille([left, right], down),
        Glyphs::Cp437 if left >= 2 => '█',
        Glyphs::Cp437 if down => '▀',
        Glyphs::Cp437 => '▄',
        Glyphs::Ascii => '#',
    }
}

/// A cell of a dotted line.
fn dotted(glyphs: Glyphs, at: usize, down: bool) -> char {
    match glyphs {
        Glyphs::Unicode => {
            let at = if down { 3_usize.saturating_sub(at) } else { at.min(3) };
            let dot = DOTS.first().and_then(|dots| dots.get(at)).copied().unwrap_or(0);
            char::from_u32(BRAILLE | dot).unwrap_or('.')
        }
        Glyphs::Cp437 => '·',
        Glyphs::Ascii => '.',
    }
}

/// A braille sign with so many dots left and right, from below, or from above where it grows down.
fn braille(filled: [usize; 2], down: bool) -> char {
    let bits = DOTS.iter().zip(filled).fold(0, |bits, (dots, n)| {
        let skip = if down { 4_usize.saturating_sub(n) } else { 0 };
        bits | dots.iter().skip(skip).take(n.min(4)).sum::<u32>()
    });
    char::from_u32(BRAILLE | bits).unwrap_or('#')
}

/// The axis with its times, and the rates of the outermost rows and of the middle one.
fn axis(model: &Model, buf: &mut Buffer, inner: Rect, above: u16, below: u16) {
    let theme = model.theme;
    let step = model.graph.scale.step;
    let lines = theme.lines(false);
    let label = |buf: &mut Buffer, y: u16, rows: u16| {
        let text = format::rate(step * f64::from(rows), "0", model.units);
        paint::right(buf, inner.x, y, LABEL, &text, theme.dim());
    };
    label(buf, inner.y, above);
    if above >= 4 && above.is_multiple_of(2) {
        label(buf, inner.y + above / 2, above / 2);
    }
    let zero = inner.y + above;
    label(buf, zero, 0);
    label(buf, zero + below, below);
    let x = inner.x + LABEL + 1;
    for x in x..inner.right() {
        paint::text(buf, x, zero, 1, lines.horizontal, theme.line());
    }
    let ago = format!("{} min ago ", model.graph.window.minutes());
    paint::text(buf, x, zero, inner.right().saturating_sub(x), &ago, theme.dim());
    paint::right(buf, x, zero, inner.right().saturating_sub(x), " now", theme.dim());
}
