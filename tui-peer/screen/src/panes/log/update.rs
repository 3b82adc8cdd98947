//! Looking through the log.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;

use crate::action::Action;
use crate::keymap::cancels;
use crate::model::{LogLine, Model, Tone};
use crate::msg::Effect;
use crate::panes::log::geometry::{Shape, list_area};
use crate::{format, labels};
use engine::api::event::Level;
use frontend::logfile::Entry;

/// Keeps the cursor in sight.
pub(crate) fn settle(model: &mut Model, area: Rect) {
    let area = list_area(model, area);
    let shape = Shape::of(model, area);
    model.log.settle(usize::from(area.height), |line| shape.rows(line));
    if area.height > 0 {
        model.log.unread = 0;
    }
}

/// What the program's parts traced; an error of theirs is told like one of the engine's.
pub(crate) fn traces(model: &mut Model, entries: Vec<Entry>) {
    for entry in entries {
        if entry.level == Level::Error {
            model.toast(Tone::Bad, common::names::show(&entry.text));
        }
        model.log.add(entry);
    }
}

/// A key while the search is typed.
pub(crate) fn search_key(model: &mut Model, key: KeyEvent) {
    match key.code {
        _ if cancels(key) => {
            model.log.field.set("");
            model.typing = None;
        }
        KeyCode::Enter => {
            model.typing = None;
            if model.log.needle().is_some() && !model.log.search(true, true) {
                missing(model);
            }
        }
        KeyCode::Down => model.log.step(1),
        KeyCode::Up => model.log.step(-1),
        _ => {
            model.log.field.key(key);
            // The first match at once; what is not there is told on Enter.
            model.log.search(true, true);
        }
    }
}

pub(crate) fn search_paste(model: &mut Model, text: &str) {
    model.log.field.paste(text);
    model.log.search(true, true);
}

/// The next match, or the one before.
pub(crate) fn search(model: &mut Model, older: bool) {
    if model.log.needle().is_none() {
        let searches = model.keymap.and(": ", Action::Filter, "searches");
        let text = format!("nothing is searched for{searches}");
        model.toast(Tone::Plain, text);
    } else if !model.log.search(older, false) {
        missing(model);
    }
}

fn missing(model: &mut Model) {
    let text = format!("no line shown here has \"{}\"", model.log.field.text());
    model.toast(Tone::Plain, text);
}

pub(crate) fn copy_line(model: &mut Model, out: &mut Vec<Effect>) {
    if let Some(line) = model.log.current() {
        out.push(Effect::Copy(written(model, line), "line"));
    }
}

/// All lines shown, the oldest first, as a file would have them.
pub(crate) fn copy_all(model: &mut Model, out: &mut Vec<Effect>) {
    let mut lines: Vec<String> = model.log.shown().map(|line| written(model, line)).collect();
    lines.reverse();
    if !lines.is_empty() {
        out.push(Effect::Copy(lines.join("\n"), "log"));
    }
}

fn written(model: &Model, line: &LogLine) -> String {
    let time = format::time_of_day(line.at, &model.setting.zone);
    let times = if line.times > 1 { format!(" x{}", line.times) } else { String::new() };
    let level = labels::level_word(line.level);
    let mut text = format!("{time} {level:<5} {:<5} {}{times}", line.target, line.text);
    for detail in &line.details {
        text.push_str("\n    ");
        text.push_str(detail);
    }
    text
}

/// Stops what comes in from moving the lines, or lets it again.
pub(crate) fn toggle_paused(model: &mut Model) {
    let pause = model.log.paused.is_none();
    model.log.set_paused(pause);
}
