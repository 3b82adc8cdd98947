//! Last line: a message, or the keys that make sense now.

use common::numbers::saturate;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::action::Action;
use crate::labels;
use crate::model::{Model, Pane};
use crate::panes::{chunks, files, holders, log, sources, transfers};
use crate::queries::can;
use crate::ui::paint;
use engine::api::snapshot::NetState;

pub(crate) fn draw(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    if !model.prefix.is_empty() {
        continuations(model, buf, area);
        return;
    }
    if toast(model, buf, area) {
        return;
    }
    if model.is_filtering() {
        filter_keys(model, buf, area);
        return;
    }
    keys(model, buf, area);
}

/// Rows that a long message takes at most, the footer's own included.
const TALL_TOAST: usize = 3;

/// The newest message, if there is one: in the footer, and over the rows above it as far as it is longer.
pub(crate) fn toast(model: &Model, buf: &mut Buffer, area: Rect) -> bool {
    let Some(toast) = model.toasts.newest() else { return false };
    let mut text = toast.text.clone();
    if toast.times > 1 {
        text = format!("{text} (x{})", toast.times);
    }
    if model.toasts.len() > 1 {
        text = format!("{text}  (+{} more in the log)", model.toasts.len() - 1);
    }
    let style = paint::tone(model.theme, toast.tone).patch(model.theme.bold());
    let width = area.width.saturating_sub(2);
    let mut lines = paint::wrap(&text, usize::from(width));
    if lines.len() > TALL_TOAST {
        lines.truncate(TALL_TOAST);
        let room = usize::from(width).saturating_sub(model.theme.ellipsis().width());
        if let Some(last) = lines.last_mut() {
            *last = format!("{}{}", crate::format::start(last, room), model.theme.ellipsis());
        }
    }
    for (up, line) in lines.iter().rev().enumerate() {
        let y = area.y.saturating_sub(u16::try_from(up).unwrap_or(0));
        paint::clear(buf, Rect { y, height: 1, ..area });
        paint::text(buf, area.x + 1, y, width, line, style);
    }
    true
}

/// Keys of the focused pane, those that make sense now first; help is always there.
fn keys(model: &Model, buf: &mut Buffer, area: Rect) {
    let theme = model.theme;
    let quit = if model.setting.attached.is_some() { "close" } else { "quit" };
    let always = [(Action::Palette, "commands"), (Action::Help, "help"), (Action::Quit, quit)];
    let label = |(action, word): &(Action, &str)| {
        model.keymap.key(*action).map(|key| (key, (*word).to_owned()))
    };
    let fixed: Vec<(String, String)> = always.iter().filter_map(label).collect();
    let need = |items: &[(String, String)]| -> usize {
        items.iter().map(|(k, w)| k.width() + w.width() + 3).sum()
    };
    let room = usize::from(area.width).saturating_sub(1 + need(&fixed));
    let mut chosen: Vec<(String, String)> = Vec::new();
    for request in wishes(model) {
        if can(model, request.0).is_err() || is_done(model, request.0) {
            continue;
        }
        let Some(item) = label(&request) else { continue };
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

/// Whether what a key asks for is so already: it may be pressed, but need not be shown.
fn is_done(model: &Model, action: Action) -> bool {
    match action {
        Action::Download => {
            model.targets().len() == 1 && model.selected_transfer().is_some_and(labels::is_running)
        }
        Action::Enter => model.details && model.focus != Pane::Transfers && !model.swarm.open,
        Action::Window => model.areas().graph.is_empty(),
        _ => false,
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
    out.extend(match model.focus {
        Pane::Files => files::view::footer(model),
        Pane::Transfers => transfers::view::footer(),
        Pane::Chunks => chunks::view::footer(model),
        Pane::Sources if model.swarm.open => holders::view::footer(),
        Pane::Sources => sources::view::footer(),
        Pane::Log => log::view::footer(model),
    });
    out
}

/// Rows of the box with what can follow a key, at most: a small screen keeps its list in sight.
const MAX_FOLLOW: usize = 12;
/// Columns of one of its entries.
const FOLLOW: u16 = 36;

/// What can follow the first key of a sequence, in a box above the footer.
fn continuations(model: &Model, buf: &mut Buffer, area: Rect) {
    let theme = model.theme;
    let prefix = crate::keymap::show(&model.prefix);
    let end = paint::text(buf, area.x + 1, area.y, area.width, &prefix, theme.bold());
    let text = format!(" {} Esc cancels", theme.ellipsis());
    paint::text(buf, end, area.y, area.right().saturating_sub(end), &text, theme.dim());
    let all = model.keymap.continuations(model.focus.place(), &model.prefix);
    let columns = if area.width >= 2 * FOLLOW + 4 { 2 } else { 1 };
    let rows = all.len().div_ceil(usize::from(columns)).min(MAX_FOLLOW);
    let height = u16::try_from(rows).unwrap_or(0) + 2;
    let whole = Rect {
        x: area.x,
        y: area.y.saturating_sub(height),
        width: (columns * FOLLOW + 3).min(area.width),
        height: height.min(area.y),
    };
    paint::clear(buf, whole);
    let border = paint::Frame {
        title: vec![(format!("{prefix} then"), theme.bold())],
        ..paint::Frame::default()
    };
    let inner = paint::boxed(buf, whole, theme, true, &border);
    for (i, (key, action)) in all.iter().enumerate() {
        let (column, row) = (i / rows.max(1), i % rows.max(1));
        let (Ok(column), Ok(row)) = (u16::try_from(column), u16::try_from(row)) else { break };
        if row >= inner.height || column >= columns {
            break;
        }
        let (x, y) = (inner.x + 1 + column * FOLLOW, inner.y + row);
        let room = FOLLOW.min(inner.right().saturating_sub(x + 1));
        let why = can(model, *action).is_err();
        let style = if why { theme.dim() } else { theme.bold().patch(theme.accent()) };
        let end = paint::text(buf, x, y, room, key, style);
        let style = if why { theme.dim() } else { Style::new() };
        let room = (x + room).saturating_sub(end + 1);
        paint::text(buf, end + 1, y, room, model.help(*action), style);
    }
}

/// What helps while a filter is typed.
fn filter_keys(model: &Model, buf: &mut Buffer, area: Rect) {
    let theme = model.theme;
    let mut x = area.x + 1;
    let mut say = |key: &str, word: &str, buf: &mut Buffer| {
        let gap = if word.ends_with(':') { "" } else { " " };
        let need = saturate::<u16>(key.width() + word.width() + 3);
        if need > area.right().saturating_sub(x) {
            return;
        }
        let style = theme.bold().patch(theme.accent());
        x = paint::text(buf, x, area.y, area.right().saturating_sub(x), key, style);
        let space = if key.is_empty() { "" } else { " " };
        let text = format!("{space}{word} {gap}");
        x = paint::text(buf, x, area.y, area.right().saturating_sub(x), &text, Style::new());
    };
    for (key, word) in [("Enter", "keep"), ("Esc", "clear"), ("^R", "history"), ("!", "not")] {
        say(key, word, buf);
    }
    // As many as fit, the most used ones first.
    for (i, field) in crate::filter::FIELDS.iter().enumerate() {
        say(if i == 0 { "fields" } else { "" }, &format!("{field}:"), buf);
    }
}
