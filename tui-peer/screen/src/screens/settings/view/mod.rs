//! The settings screen: pages at the left, rows at the right, below them what is to be said.

pub(crate) mod row;
pub(crate) mod said;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use settings::{Item, Page};

use crate::action::Action;
use crate::format;
use crate::model::{Model, Panel, Row};
use crate::screens::settings::geometry::{PAGES, Places};
use crate::ui::paint;

pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>, panel: &Panel) {
    let places = Places::new(model, panel);
    paint::clear(frame.buffer_mut(), places.area);
    let theme = model.theme;
    let narrow = places.pages.width == 0;
    let title =
        if narrow { format!("Settings: {}", panel.page.title()) } else { "Settings".into() };
    let border = paint::Frame {
        title: vec![(title, theme.bold())],
        note: vec![(model.keymap.closes(Action::Settings), theme.dim())],
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
    said::draw(model, frame, places.below, panel);
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
        crate::ui::input::draw(frame, model.theme, (x, area.y), room, query, "");
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
        let text = "No setting matches.";
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
