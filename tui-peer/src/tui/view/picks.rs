//! Bans, names waited for, and the limits of one content.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::super::action::Action;
use super::super::format;
use super::super::model::{LimitOne, Line, Model, PickKind, Picks, Tone};
use super::dialogs::{chosen, lines, open, tall};
use super::paint;

/// Rows shown at once.
const ROWS: usize = 12;

/// Draws a list of standing wishes.
pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>, picks: &Picks) {
    let rows: Vec<String> = match picks.kind {
        PickKind::Bans => model.snap.bans.iter().map(|ban| ban_row(model, ban)).collect(),
        PickKind::Watches => {
            model.snap.watches.iter().map(|words| format!("\"{words}\"")).collect()
        }
    };
    let keymap = &model.keymap;
    let (title, none, foot) = match picks.kind {
        PickKind::Bans => (
            "Banned peers",
            format!("Nobody is banned.{}", keymap.and(" ", Action::Ban, "on a peer bans it.")),
            "Up Down choose - Enter lifts the ban - Esc closes",
        ),
        PickKind::Watches => (
            "Names waited for",
            match keymap.way(Action::Watch) {
                Some(key) => format!("None. Filter for a name that is not there, then {key}."),
                None => "None.".to_owned(),
            },
            "Up Down choose - Enter ends the watch - Esc closes",
        ),
    };
    let shown = rows.len().clamp(1, ROWS.min(usize::from(frame.area().height.saturating_sub(4))));
    let area = open(model, frame, tall(shown + 2), title, foot);
    if rows.is_empty() {
        let dim = model.theme.dim();
        paint::text(frame.buffer_mut(), area.x, area.y, area.width, &none, dim);
        return;
    }
    let offset = (picks.cursor + 1).saturating_sub(shown);
    for (y, (i, text)) in (area.y..area.bottom()).zip(rows.iter().enumerate().skip(offset)) {
        let selected = i == picks.cursor;
        let bar = if selected { model.theme.bar() } else { " " };
        let text = format::middle(
            &format!("{bar}{text}"),
            usize::from(area.width),
            model.theme.ellipsis(),
        );
        chosen(model, frame, Rect { y, height: 1, ..area }, &text, selected);
    }
}

fn ban_row(model: &Model, ban: &crate::engine::snapshot::BanRow) -> String {
    let name = if ban.nick.is_empty() { String::new() } else { format!("{} ", ban.nick) };
    let time = match ban.until {
        None => "for ever".to_owned(),
        Some(until) => {
            let left = until.saturating_duration_since(model.snap.at);
            let minutes = (left + Duration::from_secs(59)).as_secs() / 60;
            format!("{minutes} min left")
        }
    };
    format!("{}  {name} {}  {time}", ban.peer.short(), ban.why)
}

/// Draws the dialog for the limits of one content.
pub(crate) fn limit(model: &Model, frame: &mut Frame<'_>, limit: &LimitOne) {
    let foot = "Enter sets - Esc cancels";
    let area = open(model, frame, 7, "Limit the speed of", foot);
    let name = format::middle(&limit.name, usize::from(area.width), model.theme.ellipsis());
    paint::text(frame.buffer_mut(), area.x, area.y, area.width, &name, Style::new());
    super::field::draw(frame, model.theme, (area.x, area.y + 2), area.width, &limit.field, "");
    let example = if limit.downloading { "down 1M up 500K" } else { "up 500K" };
    let line: Line = match &limit.error {
        Some(why) => (Tone::Bad, why.clone()),
        None => {
            let text = format!("for example: {example}; none, or nothing, is no limit");
            (Tone::Dim, text)
        }
    };
    lines(model, frame, Rect { y: area.y + 4, height: 1, ..area }, &[line]);
}
