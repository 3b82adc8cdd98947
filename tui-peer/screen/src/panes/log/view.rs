//! The log pane.

use common::numbers::saturate;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::action::Action;
use crate::filter::fold;
use crate::layout::inside;
use crate::model::{LogLine, Model, Pane};
use crate::panes::log::geometry::{Shape, WITH_TARGET, list_area};
use crate::ui::paint::{self, Piece};
use crate::{format, labels};
use engine::api::event::Level;

/// Keys of the zoomed log, the most used ones first: as many as fit.
const KEYS: [(&[Action], &str); 8] = [
    (&[Action::LogMore, Action::LogLess], "more/less detail"),
    (&[Action::LogTarget], "target"),
    (&[Action::Filter], "search"),
    (&[Action::LogNext, Action::LogPrev], "next"),
    (&[Action::Follow], "follow"),
    (&[Action::Wrap], "wrap"),
    (&[Action::CopyLine], "copy"),
    (&[Action::CopyLog], "all"),
];
pub(crate) fn draw(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let theme = model.theme;
    let log = &model.log;
    let focused = model.focus == Pane::Log;
    let roomy = list_area(model, area) != inside(area);
    let mut title =
        vec![(Pane::Log.title(&model.keymap), if focused { theme.bold() } else { theme.dim() })];
    if roomy {
        title.push((" zoomed".to_owned(), Style::new()));
    } else if !log.field.text().is_empty() {
        title.push((format!(" / {}", log.field.text()), Style::new()));
    }
    let mut note = format!("{}+", labels::level_word(log.level()));
    if let Some(target) = log.target() {
        note.push_str(&format!("  {target} only"));
    }
    note.push_str("  ");
    note.push_str(&standing(model));
    let frame = paint::Frame {
        title,
        note: vec![(note, if log.paused.is_some() { theme.warn() } else { theme.dim() })],
        scroll: focused.then(|| (log.offset, usize::from(inside(area).height), log.count())),
        ..paint::Frame::default()
    };
    let inner = paint::boxed(buf, area, theme, focused, &frame);
    if inner.is_empty() {
        return;
    }
    if roomy {
        around(model, buf, inner);
    }
    let inner = list_area(model, area);
    let cursor = log.position();
    let shape = Shape::of(model, inner);
    let needle = log.needle();
    let mut y = inner.y;
    for (at, line) in log.shown_from(log.offset).enumerate() {
        if y >= inner.bottom() {
            break;
        }
        let selected = focused && at + log.offset == cursor && log.paused.is_some();
        let row = Rect { y, height: inner.bottom() - y, ..inner };
        y = entry(model, buf, row, line, (shape, selected, needle.as_deref()));
    }
    if y == inner.y {
        let text = nothing(model);
        paint::text(buf, inner.x + 1, inner.y, inner.width.saturating_sub(1), &text, theme.dim());
    }
}

/// Following, or since when not.
fn standing(model: &Model) -> String {
    let log = &model.log;
    if log.paused.is_none() {
        return "following".to_owned();
    }
    let at = log.paused_at.map_or_else(String::new, |at| {
        format!(" at {}", format::time_of_day(at, &model.setting.zone))
    });
    match log.newer() {
        0 => format!("[PAUSED{at}]"),
        n => format!("[PAUSED{at}, {} newer]", format::count(n as u64)),
    }
}

fn nothing(model: &Model) -> String {
    let (log, keymap) = (&model.log, &model.keymap);
    let level = labels::level_word(log.level());
    let more = keymap.does(Action::LogMore, "shows more");
    match log.target() {
        _ if log.is_empty() => "Nothing has happened yet.".to_owned(),
        Some(target) => {
            let next = keymap.does(Action::LogTarget, "next part");
            let hints: Vec<String> = next.into_iter().chain(more).collect();
            let hints = if hints.is_empty() { String::new() } else { hints.join(", ") + "." };
            format!("Nothing from {target} at {level}. {hints}")
        }
        None => {
            format!("Log is empty at {level}. {}", more.map_or_else(String::new, |more| more + "."))
        }
    }
}

/// What is filtered above the lines, how many there are and the keys below.
fn around(model: &Model, buf: &mut Buffer, inner: Rect) {
    let theme = model.theme;
    let log = &model.log;
    let (x, width) = (inner.x + 1, inner.width.saturating_sub(2));
    let mut top: Vec<Piece> = vec![("level ".to_owned(), theme.dim())];
    for level in [Level::Error, Level::Warn, Level::Info, Level::Debug] {
        let word = labels::level_word(level).trim_end();
        top.push(if level == log.level() {
            (format!("[{word}] "), theme.bold())
        } else {
            (format!("{word}  "), if level < log.level() { Style::new() } else { theme.dim() })
        });
    }
    top.push(("  target ".to_owned(), theme.dim()));
    top.push((log.target().unwrap_or("all").to_owned(), theme.bold()));
    if model.typing != Some(Pane::Log) && !log.field.text().is_empty() {
        top.push((format!("   / {}", log.field.text()), theme.bold()));
    }
    paint::pieces(buf, x, inner.y, width, &top);
    let y = inner.bottom().saturating_sub(2);
    let counts = format!(
        "{} of {} {} {}",
        format::count(log.count() as u64),
        format::plural(log.len() as u64, "line"),
        theme.dot(),
        standing(model)
    );
    paint::text(buf, x, y, width, &counts, theme.dim());
    let mut keys = String::new();
    for (actions, word) in KEYS {
        let own: Vec<String> =
            actions.iter().filter_map(|action| model.keymap.key(*action)).collect();
        if own.is_empty() {
            continue;
        }
        let gap = if keys.is_empty() { "" } else { "  " };
        let part = format!("{gap}{} {word}", own.join(" "));
        if keys.width() + part.width() > usize::from(width) {
            break;
        }
        keys.push_str(&part);
    }
    paint::text(buf, x, y + 1, width, &keys, theme.dim());
}

/// One line, or more when wrapped or with details; returns the row below.
fn entry(
    model: &Model,
    buf: &mut Buffer,
    area: Rect,
    line: &LogLine,
    (shape, selected, needle): (Shape, bool, Option<&str>),
) -> u16 {
    let theme = model.theme;
    let style = match line.level {
        Level::Error => theme.error(),
        Level::Warn => theme.warn(),
        Level::Info => Style::new(),
        Level::Debug => theme.dim(),
    };
    let room = |x: u16| area.right().saturating_sub(x);
    let mut x = area.x + 1;
    let time = format::time_of_day(line.at, &model.setting.zone);
    x = paint::text(buf, x, area.y, room(x), &time, theme.dim()) + 1;
    let level = format!("{:<5}", labels::level_word(line.level));
    x = paint::text(buf, x, area.y, room(x), &level, style) + 1;
    if area.width >= WITH_TARGET {
        x = paint::text(buf, x, area.y, room(x), &format!("{:<5}", line.target), theme.dim()) + 1;
    }
    let width = saturate::<u16>(shape.room);
    let plain = if line.level == Level::Error { style } else { Style::new() };
    let times = match line.times {
        1 => String::new(),
        n => format!(" {}{}", theme.times(), format::count(u64::from(n))),
    };
    let mut y = area.y;
    if shape.wrap {
        for part in paint::wrap(&format!("{}{times}", theme.name(&line.text)), shape.room) {
            if y >= area.bottom() {
                break;
            }
            paint::text(buf, x, y, width, &part, plain);
            mark(buf, (x, y), &part, needle, theme.matched());
            y += 1;
        }
        y = y.max(area.y + 1);
    } else {
        let shown = cut(
            &theme.name(&line.text),
            shape.room.saturating_sub(times.chars().count()),
            theme.ellipsis(),
        );
        let end = paint::text(buf, x, y, width, &shown, plain);
        mark(buf, (x, y), &shown, needle, theme.matched());
        paint::text(buf, end, y, room(end), &times, theme.bold());
        y += 1;
    }
    if shape.details {
        for detail in &line.details {
            if y >= area.bottom() {
                break;
            }
            let shown = cut(
                &format!("{} {}", theme.branch(), theme.name(detail)),
                shape.room,
                theme.ellipsis(),
            );
            paint::text(buf, x, y, width, &shown, theme.dim());
            mark(buf, (x, y), &shown, needle, theme.matched());
            y += 1;
        }
    }
    if selected {
        for x in area.x..area.right() {
            if let Some(cell) = buf.cell_mut((x, area.y)) {
                cell.set_style(Style::reset().patch(theme.selected()));
            }
        }
        paint::text(buf, area.x, area.y, 1, theme.bar(), Style::new());
    }
    y
}

fn cut(text: &str, room: usize, ellipsis: &str) -> String {
    let shown = format::start(text, room);
    if shown.len() == text.len() {
        return shown;
    }
    format!("{}{ellipsis}", format::start(text, room.saturating_sub(ellipsis.chars().count())))
}

/// Marks where the search is found, if folding kept the number of characters.
fn mark(buf: &mut Buffer, (x, y): (u16, u16), text: &str, needle: Option<&str>, style: Style) {
    let Some(needle) = needle else { return };
    let folded = fold(text);
    if folded.chars().count() != text.chars().count() {
        return;
    }
    let columns = |part: &str| u16::try_from(part.width()).unwrap_or(0);
    for (at, found) in folded.match_indices(needle) {
        let Some(before) = folded.get(..at) else { continue };
        let area = Rect { x: x + columns(before), y, width: columns(found), height: 1 };
        buf.set_style(area.intersection(buf.area), style);
    }
}

/// The search field, in the bottom border.
pub(crate) fn cursor(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    if area.is_empty() || model.typing != Some(Pane::Log) || area.height < 2 {
        return;
    }
    let y = area.bottom() - 1;
    let x = paint::text(frame.buffer_mut(), area.x + 2, y, area.width, " / ", model.theme.bold());
    let width = area.width.saturating_sub(8).min(40);
    paint::text(frame.buffer_mut(), x, y, width, &" ".repeat(usize::from(width)), Style::new());
    crate::ui::input::draw(frame, model.theme, (x, y), width, &model.log.field, "");
}

/// Keys for the footer while the pane has the keys, the most used ones first.
pub(crate) fn footer(model: &Model) -> Vec<(Action, &'static str)> {
    vec![
        (Action::LogMore, "more"),
        (Action::LogLess, "less"),
        (Action::Follow, if model.log.paused.is_some() { "follow" } else { "pause" }),
        (Action::Filter, "search"),
        (Action::CopyLine, "copy line"),
        (Action::Zoom, "zoom"),
        (Action::NextPane, "pane"),
    ]
}
