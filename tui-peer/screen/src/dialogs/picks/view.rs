//! Bans, names you wait for, and the limits of one content.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::action::Action;
use crate::field::Field;
use crate::model::{LimitOne, Line, Model, PickKind, Picks, Tone};
use crate::ui::dialog::{chosen, lines, open, tall};
use crate::ui::paint;

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
            "Names you wait for",
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
        let room = usize::from(area.width.saturating_sub(1));
        let text = format!("{bar}{}", model.theme.fit(text, room));
        chosen(model, frame, Rect { y, height: 1, ..area }, &text, selected);
    }
}

fn ban_row(model: &Model, ban: &engine::api::snapshot::BanRow) -> String {
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
    const LABEL: u16 = 10;
    let rows: &[(&str, &Field, bool)] =
        &[("Download", &limit.down, !limit.at_up), ("Upload", &limit.up, limit.at_up)];
    // What is here already only goes out.
    let rows = if limit.downloading { rows } else { rows.get(1..).unwrap_or_default() };
    let foot = if limit.downloading {
        "Tab next - Enter sets - Esc cancels"
    } else {
        "Enter sets - Esc cancels"
    };
    let area = open(model, frame, tall(rows.len() + 6), "Limit the speed of", foot);
    let theme = model.theme;
    let name = theme.fit(&limit.name, usize::from(area.width));
    paint::text(frame.buffer_mut(), area.x, area.y, area.width, &name, Style::new());
    let mut y = area.y + 2;
    for (label, field, active) in rows {
        paint::text(
            frame.buffer_mut(),
            area.x,
            y,
            LABEL,
            label,
            if *active { theme.bold() } else { Style::new() },
        );
        let (at, room) = ((area.x + LABEL, y), area.width.saturating_sub(LABEL));
        if *active {
            let ghost = if field.text().is_empty() { "no limit" } else { "" };
            crate::ui::input::draw(frame, theme, at, room, field, ghost);
        } else if field.text().is_empty() {
            paint::text(frame.buffer_mut(), at.0, y, room, "no limit", theme.dim());
        } else {
            crate::ui::input::still(frame, at, room, field.text());
        }
        y += 1;
    }
    let line: Line = match &limit.error {
        Some(why) => (Tone::Bad, why.clone()),
        None => (
            Tone::Dim,
            "Per second, for example 1M or 500K; leave a field empty for no limit.".to_owned(),
        ),
    };
    lines(model, frame, Rect { y: y + 1, height: 1, ..area }, &[line]);
}
