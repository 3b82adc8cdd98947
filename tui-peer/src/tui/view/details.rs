//! Numbers of the selected file, above its map and sources.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use common::content::Kind;

use super::super::format;
use super::super::model::Model;
use super::super::words;
use super::paint;

/// The upper part of the details.
pub(crate) fn info(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let theme = model.theme;
    let dot = format!(" {} ", theme.dot());
    let name = model.selected_name().unwrap_or_default();
    let (x, width) = (area.x + 1, area.width.saturating_sub(2));
    paint::text(
        buf,
        x,
        area.y,
        width,
        &format::middle(&name, usize::from(width).saturating_sub(12), theme.ellipsis()),
        theme.bold(),
    );
    paint::right(buf, x, area.y, width, "Esc back", theme.dim());
    let mut lines: Vec<String> = Vec::new();
    let transfer = model.selected_transfer();
    let row = model.selected_row();
    if let Some(t) = transfer {
        let outlook = words::outlook(t);
        let mut parts = vec![
            words::state_word(&t.state).to_owned(),
            format!(
                "{} of {}",
                format::size(t.done, model.units),
                format::size(t.size, model.units)
            ),
            format::percent(t.done, t.size),
        ];
        let mut rates = vec![
            format!("{} {}", theme.down(), format::rate(t.down_rate, theme.dash(), model.units)),
            format!("{} {}", theme.up(), format::rate(t.up_rate, theme.dash(), model.units)),
        ];
        if !outlook.is_empty() && outlook != words::state_word(&t.state) {
            let stop = (t.unavailable > 0).then(|| {
                let wanted = u64::from(t.chunks);
                format!(
                    " to {}, then stuck",
                    format::percent(wanted.saturating_sub(u64::from(t.unavailable)), wanted)
                )
            });
            parts.push(format!("ETA {outlook}{}", stop.unwrap_or_default()));
        }
        if t.uploaded > 0 {
            rates.push(format!("sent {}", format::size(t.uploaded, model.units)));
        }
        rates.push(format!("{} of {} sources send", t.active, t.sources));
        if let Some(copies) = t.availability {
            let mark = if copies < 1.0 { "!" } else { "" };
            rates.push(format!("availability {}{mark}", format::availability(copies)));
        }
        lines.push(parts.join(&dot));
        lines.push(rates.join(&dot));
    } else if let Some(r) = row {
        lines.push(
            [
                "not on this machine".to_owned(),
                format::size(r.size, model.units),
                format::plural(u64::from(r.sources), "source"),
                format!("{} complete", r.complete),
            ]
            .join(&dot),
        );
    }
    let chunks = transfer.map(|t| t.chunks).or_else(|| row.map(|r| r.chunks)).unwrap_or(0);
    let kind = transfer.map(|t| t.kind).or_else(|| row.map(|r| r.kind));
    let mut parts = Vec::new();
    if let Some(id) = model.selected() {
        parts.push(format!("id {}", if width >= 100 { id.to_string() } else { id.short() }));
    }
    parts.push(format::plural(u64::from(chunks), "chunk"));
    if let Some(r) = row {
        parts.push(format!(
            "first seen {}",
            format::age(model.now.unix().saturating_sub(r.first_seen))
        ));
    }
    if kind == Some(Kind::Folder) {
        parts.push("folder: c chooses files".to_owned());
    }
    lines.push(parts.join(&dot));
    if let Some(t) = transfer {
        lines.push(model.show_path(&t.path));
    }
    if let Some(r) = row.filter(|r| !r.aliases.is_empty()) {
        let names: Vec<&str> = r.aliases.iter().map(AsRef::as_ref).collect();
        lines.push(format!("also called {}", names.join(", ")));
    }
    for (y, line) in (area.y + 1..area.bottom()).zip(&lines) {
        let shown = format::middle(line, usize::from(width), theme.ellipsis());
        paint::text(buf, x, y, width, &shown, Style::new());
    }
}
