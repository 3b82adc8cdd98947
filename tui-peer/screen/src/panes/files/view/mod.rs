//! The files pane with its tabs, and the transfers pane of the largest layout.

pub(crate) mod cells;
pub(crate) mod vacant;

use std::ops::Range;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr as _;

use common::content::Kind;
use common::numbers::saturate;

use crate::action::Action;
use crate::model::{Model, Pane, Tab};
use crate::panes::files::columns::{Column, fit};
use crate::panes::files::geometry::{Title, has_filter_row, height, reach_lines, titles};
use crate::panes::files::view::cells::{catalogue_cell, peer_cell, transfer_cell};
use crate::theme::Theme;
use crate::ui::paint::{self, Piece};
use crate::{format, labels};
use engine::api::cause::Reach;
use engine::api::snapshot::{FoundInside, NetState, Transfer};

/// Columns of a folder's name that say something of it.
const LEAST_FOLDER: usize = 6;

pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    if area.is_empty() {
        return;
    }
    let theme = model.theme;
    let focused = model.focus == Pane::Files;
    let list = model.list_of(model.tab);
    let rows = height(model, area, model.tab);
    let visible = list.visible(rows);
    let ranked = model.tab == Tab::Network && list.filter.ranks();
    let order = if ranked { "relevance" } else { list.sort.title(model.tab) };
    let arrow = if list.reverse { " (reversed)" } else { "" };
    let foot = if list.rows.is_empty() {
        Vec::new()
    } else {
        let range = format!(
            "{}{}{} of {}",
            visible.start + 1,
            theme.range(),
            visible.end,
            format::count(list.rows.len() as u64)
        );
        let mut foot = vec![(range, theme.dim())];
        if model.tab == Tab::Peers {
            foot.extend(unknown(model));
            foot.push((uploads(model), theme.dim()));
        }
        foot
    };
    let marks = if model.marks.is_empty() {
        String::new()
    } else {
        format!("{} marked {} ", model.marks.len(), theme.dot())
    };
    let title = tabs(model, area.width, focused);
    let border = paint::Frame {
        title,
        note: vec![(format!("{marks}{order}{arrow}"), theme.dim())],
        foot,
        scroll: Some((list.offset, rows, list.rows.len())),
    };
    let mut inner = paint::boxed(frame.buffer_mut(), area, theme, focused, &border);
    if inner.is_empty() {
        return;
    }
    if has_filter_row(model, model.tab) {
        filter_line(model, frame, Rect { height: 1, ..inner });
        inner.y += 1;
        inner.height = inner.height.saturating_sub(1);
    }
    let buf = frame.buffer_mut();
    for line in reach_lines(model, model.tab, inner.width) {
        let is_behind = matches!(model.snap.network.reach(), Reach::BehindNat(_));
        let style = if is_behind { theme.warn() } else { theme.dim() };
        paint::text(buf, inner.x + 1, inner.y, inner.width.saturating_sub(1), &line, style);
        inner.y += 1;
        inner.height = inner.height.saturating_sub(1);
    }
    let (columns, name) = fit(model, inner.width);
    heads(model, buf, inner, &columns, name);
    let first = inner.y + 1;
    for (y, at) in (first..inner.bottom()).zip(visible) {
        row(model, buf, Rect { y, height: 1, ..inner }, at, &columns, name);
    }
    if list.rows.is_empty() {
        vacant::draw(
            model,
            buf,
            Rect { y: first, height: inner.height.saturating_sub(1), ..inner },
        );
    }
}

/// What the list of peers does not show, and why, for its foot.
fn unknown(model: &Model) -> Option<Piece> {
    let (theme, crowd) = (model.theme, &model.crowd);
    let dot = theme.dot();
    if let Some(why) = &crowd.error {
        return Some((format!(" {dot} {why}"), theme.error()));
    }
    if crowd.has_members() && model.snap.network.state != NetState::On {
        return Some((format!(" {dot} members as before the tracker was lost"), theme.error()));
    }
    let text = match crowd.kept_of()? {
        (_, _, true) => "more match: type more of the name".to_owned(),
        (kept, total, false) => {
            let (kept, total) = (format::count(kept as u64), format::count(total.into()));
            let filter = &model.list_of(Tab::Peers).filter;
            match model.keymap.does(Action::Filter, "finds others by nick or key") {
                // Only part of a nick and the beginning of a key are looked up by the tracker.
                _ if !filter.is_empty() && filter.needed_peer().is_none() => {
                    format!("only the first {kept} of {total} are searched")
                }
                Some(finds) if filter.is_empty() => {
                    format!("the first {kept} of {total} by name, {finds}")
                }
                _ => format!("the first {kept} of {total} by name"),
            }
        }
    };
    Some((format!(" {dot} {text}"), theme.warn()))
}

/// Slots, limit and what was served today, for the foot of the list of peers.
fn uploads(model: &Model) -> String {
    let uploads = &model.snap.uploads;
    let dot = model.theme.dot();
    let rate = |rate: u64| format::rate(rate as f64, "", model.units).trim().to_owned();
    let slots = format!("{} of {} upload slots", uploads.used, uploads.slots);
    let said = match (uploads.up_held, uploads.up_limit) {
        // It comes first: it is news, and the foot is often too short for all.
        (Some(held), _) => {
            format!("held at {} so that the line stays free {dot} {slots}", rate(held))
        }
        (None, Some(limit)) => format!("{slots} {dot} limit {}", rate(limit)),
        (None, None) => format!("{slots} {dot} no limit"),
    };
    format!(" {dot} {said} {dot} today {}", format::size(uploads.today, model.units).trim())
}

fn tabs(model: &Model, width: u16, focused: bool) -> Vec<Piece> {
    let theme = model.theme;
    let styled = |(text, title)| match title {
        Title::Gap => (text, theme.line()),
        Title::Pane if focused => (text, theme.bold()),
        Title::Tab(tab) if tab == model.tab => (text, theme.bold()),
        Title::Pane | Title::Tab(_) => (text, theme.dim()),
    };
    titles(model, width).into_iter().map(styled).collect()
}

fn filter_line(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let theme = model.theme;
    let list = model.list_of(model.tab);
    let unowned = model.tab == Tab::Network && model.owned.error.is_some() && !list.rows.is_empty();
    let note = match list.filter.problems.first() {
        Some((_, hint)) => hint.clone(),
        // Without rows it stands in their place.
        None if unowned => model.owned.error.clone().unwrap_or_default(),
        None if model.job.1 && model.tab == Tab::Network => "searching".to_owned(),
        None if model.is_filtering() => format!("{} match", format::count(list.rows.len() as u64)),
        None => model.keymap.does(Action::Back, "clears").unwrap_or_default(),
    };
    let style =
        if unowned || !list.filter.problems.is_empty() { theme.error() } else { theme.dim() };
    let x = paint::text(frame.buffer_mut(), area.x + 1, area.y, 2, "/ ", theme.bold());
    let note_width = u16::try_from(note.chars().count()).unwrap_or(0).min(area.width / 2);
    let width = area.width.saturating_sub(note_width + 5);
    if model.is_filtering() {
        crate::ui::input::draw(frame, theme, (x, area.y), width, &list.field, "");
    } else {
        paint::text(frame.buffer_mut(), x, area.y, width, list.field.text(), Style::new());
    }
    let buf = frame.buffer_mut();
    // What means nothing is underlined where it stands.
    for (range, _) in &list.filter.problems {
        let before = list.field.text().get(..range.start).unwrap_or_default().chars().count();
        let long = list.field.text().get(range.clone()).unwrap_or_default().chars().count();
        for i in before..before + long {
            let x = x + saturate::<u16>(i).min(width);
            if x < area.right()
                && let Some(cell) = buf.cell_mut((x, area.y))
            {
                cell.set_style(theme.error().add_modifier(ratatui::style::Modifier::UNDERLINED));
            }
        }
    }
    paint::right(
        buf,
        area.right().saturating_sub(note_width + 1),
        area.y,
        note_width,
        &note,
        style,
    );
}

fn heads(model: &Model, buf: &mut Buffer, area: Rect, columns: &[Column], name: u16) {
    let dim = model.theme.dim();
    let title = if model.tab == Tab::Peers { "Peer" } else { "Name" };
    paint::text(buf, area.x + 3, area.y, name, title, dim);
    let mut x = area.x + 3 + name;
    for column in columns {
        let head = match (column, model.tab) {
            (Column::Outlook, Tab::Shared) => "State",
            (column, _) => column.head(),
        };
        if column.is_left() {
            paint::text(buf, x + 1, area.y, column.width(), head, dim);
        } else {
            paint::right(buf, x + 1, area.y, column.width(), head, dim);
        }
        x += column.width() + 1;
    }
}

fn row(model: &Model, buf: &mut Buffer, area: Rect, at: usize, columns: &[Column], name: u16) {
    match model.tab {
        Tab::Network => {
            let Some(entry) = model.catalogue_row(at) else { return };
            let own = model.transfer(&entry.id);
            let marked = model.marks.contains(&entry.id);
            let glyph = own.map_or(" ", |t| labels::state_glyph(t, model.theme));
            let (inside, kind) = match model.found_inside(at) {
                Some(found) => {
                    (Some(inside_name(model.theme, found, usize::from(name))), Kind::File)
                }
                None => (None, entry.kind),
            };
            let shown = inside.as_deref().unwrap_or(&entry.name);
            base(
                model,
                buf,
                area,
                at,
                &Base { name: shown, kind, glyph, marked, width: name, own },
            );
            let cell = |column| catalogue_cell(model, entry, own, column);
            cells(buf, area, name, columns, cell);
        }
        Tab::Downloads | Tab::Shared => {
            let Some(t) = model.transfer_row(model.tab, at) else { return };
            let glyph = labels::state_glyph(t, model.theme);
            let marked = model.marks.contains(&t.id);
            base(
                model,
                buf,
                area,
                at,
                &Base { name: &t.name, kind: t.kind, glyph, marked, width: name, own: Some(t) },
            );
            cells(buf, area, name, columns, |column| transfer_cell(model, t, column));
        }
        Tab::Peers => {
            let Some(peer) = model.peer_row(at) else { return };
            let glyph = match peer.connected {
                Some(row) if row.up_rate >= 1.0 => model.theme.up(),
                Some(row) if row.down_rate >= 1.0 => model.theme.down(),
                Some(_) => model.theme.dot(),
                None => " ",
            };
            let shown = if peer.nick().is_empty() {
                peer.peer.short()
            } else {
                format!("{} ({})", peer.nick(), peer.peer.short())
            };
            base(
                model,
                buf,
                area,
                at,
                &Base {
                    name: &shown,
                    kind: Kind::File,
                    glyph,
                    marked: false,
                    width: name,
                    own: None,
                },
            );
            cells(buf, area, name, columns, |column| peer_cell(model, &peer, column));
        }
    }
    let list = model.list_of(model.tab);
    if at == list.cursor {
        let focused = model.focus == Pane::Files;
        let style = if focused { model.theme.selected() } else { model.theme.bold() };
        for x in area.x..area.right() {
            if let Some(cell) = buf.cell_mut((x, area.y)) {
                // One colour under the cursor: the words say it as well.
                if focused {
                    cell.set_style(Style::reset());
                }
                cell.set_style(style);
            }
        }
    }
}

/// A folder, the first of the files by which it was found, and how many more these are. Where that does not fit into
/// `width` the file's name is what stays.
fn inside_name(theme: Theme, found: &FoundInside, width: usize) -> String {
    let path = theme.name(found.paths.first().map_or("", |path| path)).into_owned();
    let folder = theme.name(&found.row.name);
    let more = match found.files.saturating_sub(1) {
        0 => String::new(),
        more => format!(" +{}", format::short_count(more.into())),
    };
    let whole = format!("{folder}/{path}{more}");
    if whole.width() <= width {
        return whole;
    }
    let file = match path.rsplit_once('/') {
        Some((_, file)) => format!("/{}/{file}", theme.ellipsis()),
        None => format!("/{path}"),
    };
    let with_more = format!("{file}{more}");
    let room = |file: &str| width.checked_sub(file.width()).filter(|room| *room >= LEAST_FOLDER);
    match (room(&with_more), room(&file)) {
        (Some(room), _) => theme.fit(&folder, room) + &with_more,
        (None, Some(room)) => theme.fit(&folder, room) + &file,
        (None, None) => theme.fit(&format!("{}{file}", theme.ellipsis()), width),
    }
}

struct Base<'a> {
    name: &'a str,
    kind: Kind,
    glyph: &'a str,
    marked: bool,
    width: u16,
    own: Option<&'a Transfer>,
}

fn base(model: &Model, buf: &mut Buffer, area: Rect, at: usize, base: &Base<'_>) {
    let theme = model.theme;
    let list = model.list_of(model.tab);
    let edge = if at == list.cursor {
        theme.bar()
    } else if base.marked {
        theme.mark()
    } else {
        " "
    };
    paint::text(buf, area.x, area.y, 1, edge, Style::new());
    let glyph_style = match base.own {
        Some(t) if labels::is_wrong(t) => theme.error(),
        Some(t) if labels::is_running(t) => theme.warn(),
        Some(_) => theme.accent(),
        None => Style::new(),
    };
    let glyph = if base.marked && at == list.cursor { theme.mark() } else { base.glyph };
    paint::text(buf, area.x + 1, area.y, 1, glyph, glyph_style);
    let width = usize::from(base.width);
    let suffix = if base.kind == Kind::Folder { "/" } else { "" };
    let full = theme.name(base.name).into_owned() + suffix;
    let shown = theme.fit(&full, width);
    let whole = shown.len() == full.len();
    paint::text(buf, area.x + 3, area.y, base.width, &shown, Style::new());
    if whole && !list.filter.is_empty() {
        highlight(buf, area.x + 3, area.y, &list.filter.highlights(base.name), theme.matched());
    }
}

/// Byte ranges are columns here: only ASCII names have highlights.
fn highlight(buf: &mut Buffer, x: u16, y: u16, ranges: &[Range<usize>], style: Style) {
    for column in ranges.iter().flat_map(Clone::clone) {
        let x = x.saturating_add(saturate::<u16>(column));
        if let Some(cell) = buf.cell_mut((x, y)) {
            cell.set_style(style);
        }
    }
}

fn cells(
    buf: &mut Buffer,
    area: Rect,
    name: u16,
    columns: &[Column],
    cell: impl Fn(Column) -> Piece,
) {
    let mut x = area.x + 3 + name;
    for column in columns {
        let (text, style) = cell(*column);
        if column.is_left() {
            paint::text(buf, x + 1, area.y, column.width(), &text, style);
        } else {
            paint::right(buf, x + 1, area.y, column.width(), &text, style);
        }
        x += column.width() + 1;
    }
}

/// Keys for the footer while the pane has the keys, the most used ones first.
pub(crate) fn footer(model: &Model) -> Vec<(Action, &'static str)> {
    match model.tab {
        Tab::Peers => vec![
            (Action::Enter, "what it shares"),
            (Action::Why, "about it"),
            (Action::Ban, "ban"),
            (Action::Bans, "bans"),
            (Action::Filter, "filter"),
            (Action::Sort, "sort"),
            (Action::NextPane, "pane"),
        ],
        Tab::Downloads => vec![
            (Action::Retry, "retry"),
            (Action::Pause, "pause"),
            (Action::Enter, "details"),
            (Action::Raise, "raise"),
            (Action::QueueUp, "up"),
            (Action::Remove, "remove"),
            (Action::Clear, "clear finished"),
            (Action::Filter, "filter"),
            (Action::Sort, "sort"),
            (Action::Why, "why?"),
            (Action::NextPane, "pane"),
            (Action::Zoom, "zoom"),
        ],
        Tab::Network | Tab::Shared => vec![
            (Action::Retry, "retry"),
            (Action::Download, "download"),
            (Action::Watch, "watch"),
            (Action::Pause, "pause"),
            (Action::Enter, "details"),
            (Action::Filter, "filter"),
            (Action::Share, "share"),
            (Action::Sort, "sort"),
            (Action::Contents, "choose files"),
            (Action::Unshare, "unshare"),
            (Action::CopyLink, "copy link"),
            (Action::Why, "why?"),
            (Action::NextPane, "pane"),
            (Action::Zoom, "zoom"),
            (Action::Leave, "leave"),
        ],
    }
}
