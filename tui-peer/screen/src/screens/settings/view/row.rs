//! One row of the settings screen: a setting with its value, or an action with its keys.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use settings::{Item, Kind, Origin};

use crate::action::Action;
use crate::format;
use crate::model::{Model, Panel, Row};
use crate::theme::{Depth, Glyphs, Ground};
use crate::ui::{input, paint};

/// Columns of a label.
pub(crate) const LABEL: u16 = 20;
/// Columns of an action's keys.
const KEYS: u16 = 16;
/// Columns of the mark at the right, if there is one: `[flag]`, `changed`.
const MARK: u16 = 8;

pub(crate) fn draw(
    model: &Model,
    frame: &mut Frame<'_>,
    area: Rect,
    panel: &Panel,
    row: Row,
    selected: bool,
) {
    let theme = model.theme;
    let typing = panel.edit.as_ref().filter(|_| selected);
    let (label, wide, value, mark) = match row {
        Row::Item(item) => {
            let mark = mark(model, item);
            let room = area.width.saturating_sub(LABEL + room_of(mark));
            (item.label().to_owned(), LABEL, value(model, item, room), mark)
        }
        Row::Keys(action) => {
            let waiting = panel.capture.as_ref().filter(|_| selected);
            let keys = match waiting {
                Some(_) => "...".to_owned(),
                None => keys(model, action),
            };
            let own = model.prefs.table.keys.iter().any(|b| b.action == action.name());
            (keys, KEYS, action.help().to_owned(), if own { "changed" } else { "" })
        }
    };
    let bar = if selected { theme.bar() } else { " " };
    let room = usize::from(wide.saturating_sub(2));
    let label = format::start(&label, room);
    let pad = " ".repeat(usize::from(wide).saturating_sub(1 + label.width()));
    let value = format::middle(
        &value,
        usize::from(area.width.saturating_sub(wide + room_of(mark))),
        theme.ellipsis(),
    );
    let mut text = format!("{bar}{label}{pad}{value}");
    let style = if selected && typing.is_none() { theme.selected() } else { Style::new() };
    if selected && typing.is_none() {
        text.push_str(&" ".repeat(usize::from(area.width).saturating_sub(text.width())));
    }
    paint::text(frame.buffer_mut(), area.x, area.y, area.width, &text, style);
    let dim = if selected { style } else { theme.dim() };
    paint::right(frame.buffer_mut(), area.x, area.y, area.width, mark, dim);
    if let Some(edit) = typing {
        let (x, room) = (area.x + wide, area.width.saturating_sub(wide));
        paint::clear(frame.buffer_mut(), Rect { x, width: room, ..area });
        let ghost = model.prefs.table.shown(edit.item);
        let ghost = if edit.field.text().is_empty() { ghost.as_ref() } else { "" };
        input::draw(frame, theme, (x, area.y), room, &edit.field, ghost);
    }
}

fn room_of(mark: &str) -> u16 {
    if mark.is_empty() { 0 } else { MARK }
}

fn keys(model: &Model, action: Action) -> String {
    let keys = model.keymap.keys(action);
    if keys.is_empty() { format!(":{}", action.name()) } else { keys.join(", ") }
}

fn mark(model: &Model, item: Item) -> &'static str {
    match model.prefs.table.origin(item) {
        Origin::Flag => "[flag]",
        Origin::Env => "[env]",
        Origin::File => "changed",
        Origin::Default => "",
    }
}

/// The value as it is shown in so many columns.
fn value(model: &Model, item: Item, room: u16) -> String {
    let table = &model.prefs.table;
    let now = table.shown(item);
    match item.kind() {
        Kind::Toggle => (if now == "true" { "[x]" } else { "[ ]" }).to_owned(),
        Kind::Choice(_) | Kind::Theme(_) => {
            let words = item.kind().words(&table.themes);
            choice(model, item, &words, &now, usize::from(room))
        }
        Kind::Path => {
            let path = table.path_of(item);
            let path = path.map_or_else(|| "none".to_owned(), |path| model.show_path(&path));
            match model.snap.me.disk_free {
                Some(free) if item == Item::Downloads => {
                    format!("{path}   {} free", format::size(free, model.units))
                }
                _ => path,
            }
        }
        Kind::Join if now.is_empty() => "the one joined last".to_owned(),
        Kind::Rate => match table.rate(item) {
            Some(rate) => format::rate(rate as f64, "none", model.units),
            None => "none".to_owned(),
        },
        Kind::Size => match table.keep_free() {
            Some(bytes) => format::size(bytes, model.units),
            None => now,
        },
        Kind::Number(..) | Kind::Join | Kind::Nick | Kind::Program | Kind::Text(_) => {
            common::names::show(&now)
        }
    }
}

/// All words with the one in force marked, or that one and how many there are.
fn choice(model: &Model, item: Item, words: &[String], now: &str, room: usize) -> String {
    let round = if model.theme.glyphs == Glyphs::Unicode { "(•)" } else { "(*)" };
    let all: Vec<String> = words
        .iter()
        .map(|word| {
            let mark = if word == now { round } else { "( )" };
            format!("{mark} {}", spelt(model, item, word))
        })
        .collect();
    let all = all.join("  ");
    if all.width() <= room {
        return all;
    }
    let at = words.iter().position(|word| word == now).map_or(0, |at| at + 1);
    format!("{}   {at} of {}", spelt(model, item, now), words.len())
}

/// A word of a choice, with what it stands for.
fn spelt(model: &Model, item: Item, word: &str) -> String {
    let found = &model.prefs.detected;
    let meant = match (item, word) {
        (Item::Theme, "auto" | "auto-ssh") => match found.ground {
            Ground::Dark => "dark",
            Ground::Light => "light",
        },
        (Item::Color, "auto") => match found.depth {
            Depth::Full => "256",
            Depth::Sixteen => "16",
            Depth::Mono => "never",
        },
        (Item::Glyphs, "auto") => match found.glyphs {
            Glyphs::Unicode => "unicode",
            Glyphs::Cp437 => "cp437",
            Glyphs::Ascii => "ascii",
        },
        (Item::Units, "iec") => return "MiB/s".to_owned(),
        (Item::Units, "si") => return "MB/s".to_owned(),
        (Item::Units, "bits") => return "Mbit/s".to_owned(),
        (Item::OnStart, "off") => return "stay off".to_owned(),
        (Item::Quit, "ask-if-busy") => return "ask if busy".to_owned(),
        (Item::Quit, "always") => return "always ask".to_owned(),
        (Item::Quit, "never") => return "never".to_owned(),
        (Item::Hangup, "serve") => return "serve on".to_owned(),
        (_, word) => return word.to_owned(),
    };
    format!("{word} ({meant})")
}
