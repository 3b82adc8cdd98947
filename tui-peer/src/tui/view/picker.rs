//! The file picker.

use std::collections::HashSet;
use std::path::Path;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::super::format;
use super::super::model::{Model, PathEntry, Picker};
use super::dialogs::{chosen, open};
use super::paint;

/// Rows beside the names: borders, filter, a blank and the sum.
const AROUND: u16 = 6;
/// Tallest list of names.
const TALL: u16 = 24;

/// Visible rows of names on a screen of this size.
pub(crate) fn rows((_, height): (u16, u16)) -> usize {
    usize::from(height.saturating_sub(AROUND).clamp(1, TALL))
}

/// Draws it.
pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>, picker: &Picker) {
    let theme = model.theme;
    let room = rows((frame.area().width, frame.area().height));
    let title = format!("Browse {}", model.show_path(&picker.dir));
    let title = format::middle(&title, 60, theme.ellipsis());
    let foot = if picker.saving {
        "Enter opens - s saves here - Backspace up - ~ home - / filter - Esc back"
    } else {
        "Space marks - * all - . hidden - ~ home - / filter - s shares - Esc back"
    };
    let height = u16::try_from(room).unwrap_or(TALL) + AROUND - 1;
    let area = open(model, frame, height, &title, foot);
    let x = paint::text(frame.buffer_mut(), area.x, area.y, area.width, "filter ", theme.dim());
    if picker.filtering {
        super::field::draw(frame, theme, (x, area.y), area.width / 2, &picker.query, "");
    } else {
        let text = if picker.query.text().is_empty() { "/" } else { picker.query.text() };
        paint::text(frame.buffer_mut(), x, area.y, area.width / 2, text, theme.dim());
    }
    let hidden = if picker.hidden { "hidden on (.)" } else { "hidden off (.)" };
    paint::right(frame.buffer_mut(), area.x, area.y, area.width, hidden, theme.dim());
    let names = Rect { y: area.y + 1, height: area.height.saturating_sub(3), ..area };
    match &picker.entries {
        None => {
            paint::text(frame.buffer_mut(), names.x + 2, names.y, names.width, "reading", theme.dim());
        }
        Some(Err(why)) => {
            let why = common::names::show(why);
            let lines = paint::wrap(&why, usize::from(names.width).max(1));
            for (y, line) in (names.y..names.bottom()).zip(lines) {
                paint::text(frame.buffer_mut(), names.x, y, names.width, &line, theme.bad());
            }
        }
        Some(Ok(_)) => list(model, frame, names, picker),
    }
    let sum = sum(model, picker);
    let bottom = area.bottom().saturating_sub(1);
    paint::text(frame.buffer_mut(), area.x, bottom, area.width, &sum, theme.dim());
}

fn list(model: &Model, frame: &mut Frame<'_>, area: Rect, picker: &Picker) {
    let theme = model.theme;
    let shared: HashSet<&Path> =
        model.snap.transfers.iter().map(|transfer| transfer.path.as_path()).collect();
    let entries = picker.rows();
    let rows = std::iter::once(None).chain(entries.iter().map(|entry| Some(*entry)));
    for (y, (i, entry)) in
        (area.y..area.bottom()).zip(rows.enumerate().skip(picker.offset))
    {
        let selected = i == picker.cursor;
        let bar = if selected { theme.bar() } else { " " };
        let path = entry.map(|entry| picker.path_of(entry));
        let is_shared = path.as_deref().is_some_and(|path| shared.contains(path));
        let sign = match (&path, entry) {
            (Some(path), _) if picker.marks.contains(path) => theme.sign("✓", "v"),
            (Some(_), Some(entry)) if !entry.readable => theme.sign("×", "x"),
            _ if is_shared => theme.sign("⇡", "^"),
            _ => " ",
        };
        let slash = if entry.is_some_and(|entry| entry.is_dir) { "/" } else { "" };
        let name = entry.map_or("..", |entry| entry.name.as_str());
        let name = format!("{}{slash}", common::names::show(name));
        let room = usize::from(area.width).saturating_sub(24);
        let name = format::middle(&name, room, theme.ellipsis());
        let line = Rect { y, height: 1, ..area };
        chosen(model, frame, line, &format!("{bar}{sign} {name}"), selected);
        let what = entry.map_or_else(String::new, |entry| what(model, entry, is_shared));
        let style = if selected { theme.selected() } else { theme.dim() };
        paint::right(frame.buffer_mut(), area.x, y, area.width, &what, style);
    }
    if entries.is_empty() {
        let text = if picker.query.text().is_empty() { "nothing here" } else { "no such name" };
        let y = area.y + 1;
        if y < area.bottom() {
            paint::text(frame.buffer_mut(), area.x + 3, y, area.width, text, theme.dim());
        }
    }
}

fn what(model: &Model, entry: &PathEntry, shared: bool) -> String {
    if !entry.readable {
        return "not readable".to_owned();
    }
    let size =
        if entry.is_dir { "folder".to_owned() } else { format::size(entry.size, model.units) };
    if shared { format!("shared {size}") } else { size }
}

fn sum(model: &Model, picker: &Picker) -> String {
    if picker.saving {
        let dir = picker.under_cursor().map_or_else(|| picker.dir.clone(), |e| picker.path_of(e));
        return format!("s saves in {}", model.show_path(&dir));
    }
    match picker.marks.len() {
        0 => "nothing marked: s shares the line under the cursor".to_owned(),
        n => format!("{} marked", format::plural(n as u64, "name")),
    }
}
