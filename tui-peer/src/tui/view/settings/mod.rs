//! The settings screen: pages at the left, rows at the right, below them what is to be said.

mod row;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::settings::{Item, Page};

use super::super::heatmap::Standing;
use super::super::layout::{centred, inside};
use super::super::model::{Line, Model, Panel, Row, Tone};
use super::super::{format, keymap};
use super::paint::{self, Piece};

/// Widest box: longer lines are harder to read than to scroll.
const WIDE: u16 = 100;
/// Tallest box.
const TALL: u16 = 28;
/// Columns of the pages' names.
const PAGES: u16 = 12;
/// Narrower boxes show the open page in the title instead.
const NARROW: u16 = 64;
/// Lines below the rows: preview, explanation (two), message (two).
const BELOW: u16 = 6;

/// Where everything is.
pub(crate) struct Places {
    /// The box.
    area: Rect,
    /// Names of the pages; empty where it is too narrow.
    pub(crate) pages: Rect,
    /// The field to find rows by, if it is open.
    find: Rect,
    /// The rows.
    pub(crate) rows: Rect,
    /// First visible row.
    pub(crate) first: usize,
    /// What is said below.
    below: Rect,
}

impl Places {
    /// For the present size.
    pub(crate) fn new(model: &Model, panel: &Panel) -> Self {
        let whole = Rect::new(0, 0, model.size.0, model.size.1);
        let width = whole.width.saturating_sub(2).clamp(10, WIDE);
        let height = whole.height.min(TALL);
        let height = height.saturating_sub(u16::from(height > 20)).max(6);
        let area = centred(whole, width, height);
        let inner = inside(area);
        let narrow = area.width < NARROW;
        let pages = Rect { width: if narrow { 0 } else { PAGES }, ..inner };
        let right = Rect {
            x: inner.x + 1 + pages.width,
            width: inner.width.saturating_sub(2 + pages.width),
            ..inner
        };
        let below = BELOW.min(right.height / 2);
        let find = u16::from(panel.query.is_some()).min(right.height - below);
        let rows = Rect { y: right.y + find, height: right.height - below - find, ..right };
        let height = usize::from(rows.height);
        // With room to spare, the cursor is not at the very edge.
        let first = panel.cursor.saturating_sub(height.saturating_sub(2).max(1).min(height));
        let first = first.min(panel.rows(model).len().saturating_sub(height));
        Self {
            area,
            pages,
            find: Rect { height: find, ..right },
            rows,
            first,
            below: Rect { y: rows.bottom(), height: below, ..right },
        }
    }
}

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, panel: &Panel) {
    let places = Places::new(model, panel);
    paint::clear(frame.buffer_mut(), places.area);
    let theme = model.theme;
    let narrow = places.pages.width == 0;
    let title =
        if narrow { format!("Settings: {}", panel.page.title()) } else { "Settings".into() };
    let border = paint::Frame {
        title: vec![(title, theme.bold())],
        note: vec![("F2 or Esc closes".to_owned(), theme.dim())],
        foot: vec![(foot(model, panel).to_owned(), theme.dim())],
        ..paint::Frame::default()
    };
    paint::boxed(frame.buffer_mut(), places.area, theme, true, &border);
    if !narrow {
        pages(model, frame, places.pages, panel);
    }
    if panel.query.is_none() && panel.page == Page::About {
        about(model, frame, places.rows);
    } else {
        list(model, frame, &places, panel);
    }
    said(model, frame, places.below, panel);
}

fn foot(model: &Model, panel: &Panel) -> &'static str {
    if panel.capture.is_some() {
        "press the key - Esc cancels"
    } else if panel.edit.is_some() {
        "Enter keeps it - Esc cancels"
    } else if panel.query.is_some() {
        "Enter goes there - Esc cancels"
    } else if let Some(Row::Keys(_)) = panel.row(model) {
        "Enter new key - a adds one - r resets - / finds - Tab page"
    } else {
        "Enter changes - r resets - / finds - Tab next page"
    }
}

fn pages(model: &Model, frame: &mut Frame<'_>, area: Rect, panel: &Panel) {
    for (y, page) in (area.y..area.bottom()).zip(Page::ALL) {
        let open = page == panel.page && panel.query.is_none();
        let bar = if open { model.theme.bar() } else { " " };
        let style = if open { model.theme.bold() } else { Style::new() };
        paint::text(
            frame.buffer_mut(),
            area.x,
            y,
            PAGES,
            &format!("{bar} {}", page.title()),
            style,
        );
    }
}

fn list(model: &Model, frame: &mut Frame<'_>, places: &Places, panel: &Panel) {
    if let Some(query) = &panel.query
        && places.find.height > 0
    {
        let area = places.find;
        let bold = model.theme.bold();
        let x = paint::text(frame.buffer_mut(), area.x, area.y, area.width, "Find ", bold);
        let room = area.right().saturating_sub(x);
        super::field::draw(frame, model.theme, (x, area.y), room, query, "");
    }
    let (area, offset) = (places.rows, places.first);
    let rows = panel.rows(model);
    let height = usize::from(area.height);
    for (y, (i, row)) in (area.y..area.bottom()).zip(rows.iter().enumerate().skip(offset)) {
        let line = Rect { y, height: 1, ..area };
        row::draw(model, frame, line, panel, *row, i == panel.cursor);
    }
    let hidden = rows.len().saturating_sub(offset + height);
    if hidden > 0 {
        let text = format!("{hidden} more below");
        paint::right(
            frame.buffer_mut(),
            area.x,
            area.bottom(),
            area.width,
            &text,
            model.theme.dim(),
        );
    }
    if rows.is_empty() {
        let text = "No setting has these words.";
        paint::text(frame.buffer_mut(), area.x, area.y, area.width, text, model.theme.dim());
    }
}

fn about(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let table = &model.prefs.table;
    let changed = Item::ALL.iter().filter(|item| table.is_set(**item)).count() + table.keys.len();
    let fixed = Item::ALL.iter().filter(|item| table.origin(**item).is_locked()).count();
    let file =
        table.path.as_deref().map_or_else(|| "none".to_owned(), |path| model.show_path(path));
    let me = &model.snap.me;
    for (y, (label, text)) in (area.y..area.bottom()).zip([
        ("Shoal", format!("tui-peer {}", env!("CARGO_PKG_VERSION"))),
        ("Settings file", file),
        (
            "",
            format!("{} in it, {fixed} fixed by options", format::plural(changed as u64, "change")),
        ),
        (
            "State folder",
            table.path_of(Item::State).map_or_else(String::new, |p| model.show_path(&p)),
        ),
        ("Your key", me.peer.short()),
        ("Listening on", me.listen.to_string()),
        ("", String::new()),
        ("In the shell", "tui-peer config".to_owned()),
        ("", "tui-peer config check".to_owned()),
    ]) {
        paint::text(frame.buffer_mut(), area.x, y, row::LABEL, label, model.theme.dim());
        let (x, room) = (area.x + row::LABEL, area.width.saturating_sub(row::LABEL));
        let text = format::middle(&text, usize::from(room), model.theme.ellipsis());
        paint::text(frame.buffer_mut(), x, y, room, &text, Style::new());
    }
}

/// What the look is like, what the row is for, and what became of the last key.
fn said(model: &Model, frame: &mut Frame<'_>, area: Rect, panel: &Panel) {
    if panel.page == Page::Look && panel.query.is_none() && area.height >= BELOW {
        let (map, words) = preview(model);
        let x = paint::text(
            frame.buffer_mut(),
            area.x,
            area.y,
            area.width,
            "Preview  ",
            model.theme.dim(),
        );
        let room = area.right().saturating_sub(x);
        paint::pieces(frame.buffer_mut(), x, area.y, room, &map);
        paint::pieces(frame.buffer_mut(), x, area.y + 1, room, &words);
    }
    let width = usize::from(area.width);
    let mut lines: Vec<Line> = Vec::new();
    let help = match panel.row(model) {
        Some(Row::Item(item)) => item.help().to_owned(),
        Some(Row::Keys(action)) => format!("{:?} in [keys]: {}", action.name(), action.help()),
        None => String::new(),
    };
    lines.extend(paint::wrap(&help, width).into_iter().map(|line| (Tone::Dim, line)));
    let (tone, text) = note(model, panel);
    let text = text.replace('—', model.theme.dash());
    lines.extend(paint::wrap(&text, width).into_iter().map(|line| (tone, line)));
    let top = area.y + area.height.min(2);
    for (y, (tone, text)) in (top..area.bottom()).zip(&lines) {
        let style = paint::tone(model.theme, *tone);
        paint::text(frame.buffer_mut(), area.x, y, area.width, text, style);
    }
}

fn note(model: &Model, panel: &Panel) -> Line {
    if let Some(capture) = &panel.capture
        && panel.note.is_none()
    {
        let text = if capture.pressed.is_empty() {
            format!("Press the key for \"{}\".", capture.action.help())
        } else {
            format!("{} and then? Press the second key.", keymap::show(&capture.pressed))
        };
        return (Tone::Warn, text);
    }
    if let Some(note) = &panel.note {
        return note.clone();
    }
    if let Some(Row::Item(item)) = panel.row(model)
        && model.prefs.restart.contains(&item)
    {
        return (Tone::Warn, "In force from the next start on.".to_owned());
    }
    match &model.prefs.table.path {
        Some(path) => {
            let text =
                format!("Saved to {} as you change it; comments are kept.", model.show_path(path));
            (Tone::Dim, text)
        }
        None => (Tone::Dim, "Changes hold for this run.".to_owned()),
    }
}

/// The look: a map with numbers, and words in every colour.
fn preview(model: &Model) -> (Vec<Piece>, Vec<Piece>) {
    let theme = model.theme;
    let mut map = Vec::new();
    for (standing, times) in [
        (Standing::Have, 5),
        (Standing::Flight, 2),
        (Standing::Lack(6), 2),
        (Standing::Lack(3), 2),
        (Standing::Lack(1), 2),
        (Standing::Lack(0), 1),
        (Standing::Bad, 1),
    ] {
        map.push((theme.chunk_glyph(standing).repeat(times), theme.chunk_style(standing)));
    }
    let rate = format::rate(13_002_342.0, theme.dash(), model.units);
    let text = format!("  {} {rate}  ETA {}", theme.down(), format::eta(108));
    map.push((text, Style::new()));
    let words = vec![
        ("key  ".to_owned(), theme.bold().patch(theme.accent())),
        ("careful  ".to_owned(), theme.warn()),
        ("wrong".to_owned(), theme.error()),
        ("  less important  ".to_owned(), theme.dim()),
        (" chosen ".to_owned(), theme.selected()),
    ];
    (map, words)
}
