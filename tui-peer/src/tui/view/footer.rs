//! Last line: a message, or the keys that make sense now.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::engine::snapshot::NetState;

use super::super::action::Action;
use super::super::model::{Model, Pane, Tab};
use super::super::update;
use super::paint;

pub(crate) fn draw(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    if !model.prefix.is_empty() {
        continuations(model, buf, area);
        return;
    }
    if let Some(toast) = model.toasts.newest() {
        let mut text = toast.text.clone();
        if toast.times > 1 {
            text = format!("{text} (x{})", toast.times);
        }
        if model.toasts.len() > 1 {
            text = format!("{text}  (+{} more in the log)", model.toasts.len() - 1);
        }
        let style = paint::tone(model.theme, toast.tone).patch(model.theme.bold());
        paint::text(buf, area.x + 1, area.y, area.width.saturating_sub(2), &text, style);
        return;
    }
    keys(model, buf, area);
}

/// Keys of the focused pane, those that make sense now first; help is always there.
fn keys(model: &Model, buf: &mut Buffer, area: Rect) {
    let theme = model.theme;
    let always = [(Action::Palette, "commands"), (Action::Help, "help"), (Action::Quit, "quit")];
    let label = |(action, word): &(Action, &str)| {
        model.keymap.key(*action).map(|key| (key, (*word).to_owned()))
    };
    let fixed: Vec<(String, String)> = always.iter().filter_map(label).collect();
    let need = |items: &[(String, String)]| -> usize {
        items.iter().map(|(k, w)| k.width() + w.width() + 3).sum()
    };
    let room = usize::from(area.width).saturating_sub(1 + need(&fixed));
    let mut chosen: Vec<(String, String)> = Vec::new();
    for wish in wishes(model) {
        if update::can(model, wish.0).is_err() {
            continue;
        }
        let Some(item) = label(&wish) else { continue };
        if need(&chosen) + item.0.width() + item.1.width() + 3 > room || chosen.len() >= 10 {
            break;
        }
        chosen.push(item);
    }
    let mut x = area.x + 1;
    for (key, word) in chosen.iter().chain(&fixed) {
        x = paint::text(
            buf,
            x,
            area.y,
            area.right().saturating_sub(x),
            key,
            theme.bold().patch(theme.accent()),
        );
        x = paint::text(
            buf,
            x,
            area.y,
            area.right().saturating_sub(x),
            &format!(" {word}  "),
            Style::new(),
        );
    }
}

fn wishes(model: &Model) -> Vec<(Action, &'static str)> {
    let mut out = Vec::new();
    match model.snap.network.state {
        NetState::Left => out.push((Action::Rejoin, "rejoin")),
        NetState::Lost { .. } => out.push((Action::Announce, "try now")),
        NetState::Rejected { .. } => out.push((Action::JoinOther, "join another")),
        _ => {}
    }
    if model.details {
        out.push((Action::Back, "back"));
    }
    match model.focus {
        Pane::Files if model.tab == Tab::Peers => out.extend([
            (Action::Enter, "what it takes"),
            (Action::Ban, "ban"),
            (Action::Bans, "bans"),
            (Action::Filter, "filter"),
            (Action::Sort, "sort"),
            (Action::NextPane, "pane"),
        ]),
        Pane::Transfers => out.extend([
            (Action::Retry, "retry"),
            (Action::Pause, "pause"),
            (Action::Enter, "details"),
            (Action::Raise, "raise"),
            (Action::Lower, "lower"),
            (Action::QueueUp, "up"),
            (Action::QueueDown, "down"),
            (Action::Remove, "remove"),
            (Action::Clear, "clear finished"),
            (Action::NextPane, "pane"),
        ]),
        Pane::Files if model.tab == Tab::Downloads => out.extend([
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
        ]),
        Pane::Files => out.extend([
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
        ]),
        Pane::Chunks => out.extend([
            (Action::Left, "move"),
            (Action::NextMatch, "next problem"),
            (Action::Why, "why?"),
            (Action::Contents, "choose files"),
            (Action::Pause, "pause"),
            (Action::Download, "download"),
            (Action::Enter, "details"),
            (Action::Zoom, "zoom"),
            (Action::NextPane, "pane"),
        ]),
        Pane::Sources => out.extend([
            (Action::Why, "why?"),
            (Action::Pause, "pause"),
            (Action::Ban, "ban"),
            (Action::Enter, "details"),
            (Action::Zoom, "zoom"),
            (Action::NextPane, "pane"),
        ]),
        Pane::Log => out.extend([
            (Action::LogMore, "more"),
            (Action::LogLess, "less"),
            (Action::Follow, if model.log.paused.is_some() { "follow" } else { "pause" }),
            (Action::Filter, "search"),
            (Action::CopyLine, "copy line"),
            (Action::Zoom, "zoom"),
            (Action::NextPane, "pane"),
        ]),
    }
    out
}

fn continuations(model: &Model, buf: &mut Buffer, area: Rect) {
    let theme = model.theme;
    let prefix = super::super::keymap::show(&model.prefix);
    let mut x =
        paint::text(buf, area.x + 1, area.y, area.width, &format!("{prefix} "), theme.bold());
    x = paint::text(buf, x, area.y, area.right().saturating_sub(x), theme.ellipsis(), Style::new());
    for (key, action) in model.keymap.continuations(model.focus.place(), &model.prefix) {
        x = paint::text(
            buf,
            x + 2,
            area.y,
            area.right().saturating_sub(x + 2),
            &key,
            theme.bold().patch(theme.accent()),
        );
        x = paint::text(
            buf,
            x + 1,
            area.y,
            area.right().saturating_sub(x + 1),
            action.name(),
            Style::new(),
        );
    }
}
