//! Who has what: one row a peer, its chunks as a strip under the scale of the map, ours on top; below
//! them how many copies there are, and who must not leave.

use common::numbers::saturate;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::action::Action;
use crate::format;
use crate::heatmap::{Mode, Standing, buckets};
use crate::model::{Model, Pane};
use crate::panes::chunks::view::cells::cells;
use crate::panes::holders::geometry::{ABOVE, BELOW, Columns, HAS, own_strip, peer_rows};
use crate::theme::{Glyphs, Theme};
use crate::ui::paint::{self, Piece};
use engine::api::snapshot::{HolderRow, Holders, Only, SEVERAL, SourceRow};

/// Cells of a strip that its buckets take: fewer than there are where chunks are few.
fn used(model: &Model, cells: u16) -> u16 {
    let wide = match model.chunks.map.mode {
        Mode::Brick(k) => k.max(1),
        _ => 1,
    };
    let taken = saturate::<u16>(buckets(model.chunk_count(), usize::from(cells)) * wide);
    // As wide as "chunk 0" and the number of the last one.
    taken.clamp(cells.min(16), cells)
}

pub(crate) fn draw(model: &Model, buf: &mut Buffer, area: Rect) {
    let theme = model.theme;
    let holders = model.holders();
    let all = holders.map_or(0, |holders| holders.all);
    let list = &model.swarm.list;
    let visible = peer_rows(model);
    let frame = paint::Frame {
        title: vec![
            (Pane::Sources.title(&model.keymap), theme.bold()),
            (" who has what".to_owned(), Style::new()),
        ],
        note: vec![(format::plural(u64::from(all), "peer"), Style::new())],
        scroll: Some((list.offset, visible, list.rows.len())),
        ..paint::Frame::default()
    };
    let inner = paint::boxed(buf, area, theme, true, &frame);
    if inner.height < ABOVE + BELOW {
        return;
    }
    let columns = Columns::new(inner.width);
    heads(model, buf, inner, &columns);
    ourselves(model, buf, Rect { y: inner.y + 1, height: 1, ..inner }, &columns);
    let Some(holders) = holders else {
        let text = "Asking who has what (a peer of an older version does not answer).";
        paint::text(buf, inner.x + 1, inner.y + 2, inner.width - 1, text, theme.dim());
        return;
    };
    let room = inner.height - ABOVE - BELOW;
    // What is below the peers stays near them; an empty row between, if there is one.
    let height = saturate::<u16>(all).max(1).saturating_add(1).min(room);
    let peers = Rect { y: inner.y + ABOVE, height, ..inner };
    if all == 0 {
        let text = "No other peer online has any of it.";
        paint::text(buf, peers.x + 1, peers.y, peers.width - 1, text, theme.dim());
    }
    for (y, at) in (peers.top()..peers.bottom()).zip(list.visible(visible)) {
        let line = Rect { y, height: 1, ..peers };
        if let Some(row) = model.swarm.at(holders, at) {
            peer(model, buf, line, &columns, row);
        }
        if at == list.cursor {
            under_cursor(theme, buf, line, &columns);
        }
    }
    let below = Rect { y: peers.bottom(), height: BELOW, ..inner };
    copies(model, buf, below, &columns, holders);
}

fn heads(model: &Model, buf: &mut Buffer, inner: Rect, columns: &Columns) {
    let dim = model.theme.dim();
    let (x, y) = (inner.x, inner.y);
    paint::text(buf, x + 1, y, columns.name, "Peer", dim);
    paint::right(buf, x + 2 + columns.name, y, HAS, "Has", dim);
    let at = x + columns.at();
    let n = model.chunk_count() as u64;
    if columns.strip == 0 {
        let room = inner.right().saturating_sub(at);
        paint::text(buf, at, y, room, "Chunks you lack", dim);
        return;
    }
    let last = format::count(n.saturating_sub(1));
    let strip = used(model, columns.strip);
    let end = paint::text(buf, at, y, strip, "chunk 0 ", dim);
    let stop = (at + strip).saturating_sub(u16::try_from(last.len()).unwrap_or(0) + 1);
    for x in end..stop {
        paint::text(buf, x, y, 1, model.theme.lines(false).horizontal, model.theme.line());
    }
    paint::right(buf, at, y, strip, &last, dim);
    let (down, up) = (model.theme.down(), model.theme.up());
    let rates = [format!("{down} from"), format!("{up} to")];
    let mut at = at + columns.strip + 1;
    for head in rates.iter().take(usize::from(columns.rates)) {
        paint::right(buf, at, y, format::RATE_WIDTH, head, dim);
        at += format::RATE_WIDTH + 1;
    }
}

/// Our own row is the map itself, one line high.
fn ourselves(model: &Model, buf: &mut Buffer, line: Rect, columns: &Columns) {
    let counts = model.chunks.map.counts();
    paint::text(buf, line.x + 1, line.y, columns.name, "you", model.theme.bold());
    let has = format::percent(counts.have, counts.total.max(1));
    paint::right(buf, line.x + 2 + columns.name, line.y, HAS, &has, Style::new());
    if columns.strip > 0 {
        cells(model, buf, own_strip(model), false);
    }
}

fn peer(model: &Model, buf: &mut Buffer, line: Rect, columns: &Columns, row: &HolderRow) {
    let theme = model.theme;
    let n = model.chunk_count() as u64;
    let plain = if row.connected { Style::new() } else { theme.dim() };
    let name = if row.nick.is_empty() { row.peer.short() } else { row.nick.clone() };
    let name = theme.fit(&name, usize::from(columns.name));
    paint::text(buf, line.x + 1, line.y, columns.name, &name, plain);
    let has = if n == 0 { "?".to_owned() } else { format::percent(u64::from(row.have).min(n), n) };
    paint::right(buf, line.x + 2 + columns.name, line.y, HAS, &has, plain);
    let at = line.x + columns.at();
    if columns.strip == 0 {
        let room = line.right().saturating_sub(at);
        let text = format::count(row.useful.into());
        paint::text(buf, at, line.y, room, &text, plain);
        return;
    }
    if row.levels.is_empty() {
        let text = "which chunks is unknown";
        paint::text(buf, at, line.y, columns.strip, text, theme.dim());
    } else {
        strip(model, buf, Rect { x: at, width: columns.strip, ..line }, &row.levels, |level| {
            share(theme, level)
        });
    }
    let source = model.source_rows().iter().find(|source| source.peer == row.peer);
    let rate =
        |of: fn(&SourceRow) -> f64| format::rate(source.map_or(0.0, of), theme.dash(), model.units);
    let rates = [rate(|source| source.down_rate), rate(|source| source.up_rate)];
    let mut at = at + columns.strip + 1;
    for text in rates.iter().take(usize::from(columns.rates)) {
        paint::right(buf, at, line.y, format::RATE_WIDTH, text, plain);
        at += format::RATE_WIDTH + 1;
    }
}

/// One cell for every bucket, or several where chunks are few; a strip for another width is left out.
fn strip(
    model: &Model,
    buf: &mut Buffer,
    line: Rect,
    values: &[u8],
    sign: impl Fn(u8) -> (&'static str, Style),
) {
    if values.len() != buckets(model.chunk_count(), usize::from(line.width)) {
        return;
    }
    let wide = match model.chunks.map.mode {
        Mode::Brick(k) => k.max(1),
        _ => 1,
    };
    for (cell, x) in (line.left()..line.right()).enumerate() {
        let Some(value) = values.get(cell / wide) else { break };
        let (text, style) = sign(*value);
        paint::text(buf, x, line.y, 1, text, style);
    }
}

/// How much a peer has of a bucket: none, a part, all.
fn share(theme: Theme, level: u8) -> (&'static str, Style) {
    const PARTS: [&str; 8] = ["·", "▁", "▂", "▃", "▄", "▅", "▆", "▇"];
    let have = theme.chunk_style(Standing::Have);
    match (level, theme.glyphs) {
        (0, _) => (theme.dot_small(), theme.line()),
        (8.., _) => (theme.chunk_glyph(Standing::Have), have),
        (part, Glyphs::Unicode) => (PARTS.get(usize::from(part)).copied().unwrap_or("▄"), have),
        (_, Glyphs::Cp437) => ("▒", have),
        (_, Glyphs::Ascii) => ("+", have),
    }
}

fn under_cursor(theme: Theme, buf: &mut Buffer, line: Rect, columns: &Columns) {
    paint::text(buf, line.x, line.y, 1, theme.bar(), Style::new());
    // The strip keeps its colours: they are what is looked at.
    let strip = line.x + columns.at();
    for x in (line.left()..line.right()).filter(|x| *x < strip || columns.strip == 0) {
        if let Some(cell) = buf.cell_mut((x, line.y)) {
            cell.set_style(Style::reset().patch(theme.selected()));
        }
    }
}

/// Copies of each column, who must stay, and both in words.
fn copies(model: &Model, buf: &mut Buffer, below: Rect, columns: &Columns, holders: &Holders) {
    let theme = model.theme;
    let x = below.x + 1;
    if columns.strip > 0 {
        let line = Rect { x: below.x + columns.at(), width: columns.strip, height: 1, ..below };
        paint::text(buf, x, below.y, columns.name + HAS, "copies, fewest", theme.dim());
        strip(model, buf, line, &holders.copies, |copies| count(theme, copies));
        paint::text(buf, x, below.y + 1, columns.name + HAS, "must stay", theme.dim());
        let line = Rect { y: below.y + 1, ..line };
        let single = holders.only.len() == 1;
        strip(model, buf, line, &holders.marks, |who| mark(theme, who, single));
    }
    let line = words(model, holders, below.width.saturating_sub(2));
    paint::pieces(buf, x, below.y + 2, below.width.saturating_sub(2), &line);
}

/// Fewest copies of a chunk of a column, ours counted.
fn count(theme: Theme, copies: u8) -> (&'static str, Style) {
    const DIGITS: [&str; 10] = ["x", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    match copies {
        0 => (theme.chunk_glyph(Standing::Lack(0)), theme.error()),
        1 => ("1", theme.warn().add_modifier(Modifier::BOLD)),
        n => (DIGITS.get(usize::from(n)).copied().unwrap_or("+"), Style::new()),
    }
}

/// Who alone has something of a column: a number where there are several who do.
fn mark(theme: Theme, who: u8, single: bool) -> (&'static str, Style) {
    const NUMBERS: [&str; 9] = [" ", "1", "2", "3", "4", "5", "6", "7", "8"];
    let style = theme.warn().add_modifier(Modifier::BOLD);
    match who {
        0 => (" ", Style::new()),
        SEVERAL => ("*", style),
        _ if single => (theme.peak(), style),
        n => (NUMBERS.get(usize::from(n)).copied().unwrap_or("*"), style),
    }
}

/// Who must not leave and why, as far as there is room.
fn words(model: &Model, holders: &Holders, width: u16) -> Vec<Piece> {
    let theme = model.theme;
    let n = model.chunk_count() as u64;
    let lost = model.chunks.map.counts().none;
    let mut out: Vec<Piece> = Vec::new();
    if lost > 0 {
        let text = format!("nobody has {}", format::plural(lost, "chunk"));
        out.push((text, theme.error()));
    }
    for (number, only) in (1..).zip(&holders.only) {
        let number = if holders.only.len() == 1 { String::new() } else { format!("{number} ") };
        let piece = (format!("{number}{}", alone(model, only, n)), theme.warn());
        let gap = u16::from(!out.is_empty()) * 3;
        if paint::width(&out) + gap + paint::width(std::slice::from_ref(&piece)) > width {
            break;
        }
        if gap > 0 {
            out.push((format!(" {} ", theme.dot()), theme.dim()));
        }
        out.push(piece);
    }
    if out.is_empty() && n > 0 {
        out.push(("every chunk has two copies or more".to_owned(), theme.dim()));
    }
    out
}

fn alone(model: &Model, only: &Only, n: u64) -> String {
    let who = match only.peer {
        None => "you".to_owned(),
        Some(peer) if only.nick.is_empty() => peer.short(),
        Some(_) => only.nick.clone(),
    };
    let percent = |chunk: u64| chunk * 100 / n.max(1);
    let (from, to) = (percent(only.first.into()), percent(u64::from(only.last) + 1));
    let range = model.theme.range();
    format!("{who} only: {} ({from}{range}{to} %)", format::plural(only.chunks.into(), "chunk"))
}

/// Keys for the footer while the pane has the keys, the most used ones first.
pub(crate) fn footer() -> Vec<(Action, &'static str)> {
    vec![(Action::Enter, "this peer"), (Action::Ban, "ban"), (Action::Why, "why?")]
}
