//! Numbers of the selected file, above its map and sources.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use common::content::Kind;

use crate::action::Action;
use crate::model::Model;
use crate::panes::files::view::cells::{done, progress};
use crate::ui::paint::{self, Piece};
use crate::verdict::{sentence, source_name};
use crate::{format, labels};
use engine::api::snapshot::{Transfer, TransferState};

/// The upper part of the details.
pub(crate) fn info(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let theme = model.theme;
    let name = model.selected_name().unwrap_or_default();
    let (x, width) = (area.x + 1, area.width.saturating_sub(2));
    let room = usize::from(width).saturating_sub(12);
    let shown = theme.fit(&name, room);
    paint::text(buf, x, area.y, width, &shown, theme.bold());
    let back = model.keymap.does(Action::Back, "back").unwrap_or_default();
    paint::right(buf, x, area.y, width, &back, theme.dim());
    let mut lines: Vec<Vec<Piece>> = Vec::new();
    match model.selected_transfer() {
        Some(t) => {
            lines.push(shortened(width, state(model, t)));
            lines.push(vec![(progress(theme, t, usize::from(width)), theme.accent())]);
        }
        None => lines.push(fitting(width, foreign(model))),
    }
    lines.push(fitting(width, identity(model)));
    lines.push(fitting(width, place(model)));
    if let Some(r) = model.selected_row().filter(|r| !r.aliases().is_empty()) {
        let names: Vec<&str> = r.aliases().iter().map(AsRef::as_ref).collect();
        let text = format!("also called {}", names.join(", "));
        lines.push(vec![(format::start(&theme.name(&text), usize::from(width)), Style::new())]);
    }
    for (y, line) in (area.y + 1..area.bottom()).zip(&lines) {
        paint::pieces(buf, x, y, width, line);
    }
}

/// A part of the first line.
struct Part {
    piece: Piece,
    /// Fewer words for the same, if there are.
    short: Option<String>,
    /// How little it is missed; 0 stays whatever happens.
    rank: u8,
}

/// Parts from this rank on are left out before words are shortened.
const IDLE: u8 = 4;

/// What fits of `parts`, two spaces between them; what is missed least is left out first.
fn shortened(width: u16, mut parts: Vec<Part>) -> Vec<Piece> {
    loop {
        let mut line: Vec<Piece> = Vec::new();
        for part in &parts {
            if !line.is_empty() {
                line.push(("  ".to_owned(), Style::new()));
            }
            line.push(part.piece.clone());
        }
        let least = parts.iter().map(|part| part.rank).max().unwrap_or(0);
        let shorten = least < IDLE && parts.iter().any(|part| part.short.is_some());
        if paint::width(&line) <= width || least == 0 && !shorten {
            return line;
        }
        if shorten {
            for part in &mut parts {
                if let Some(short) = part.short.take() {
                    part.piece.0 = short;
                }
            }
        } else {
            parts.retain(|part| part.rank != least);
        }
    }
}

/// As many parts as fit, two spaces between them; the last ones are left out first.
fn fitting(width: u16, parts: Vec<Piece>) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    for part in parts.into_iter().filter(|(text, _)| !text.is_empty()) {
        let mut longer = out.clone();
        if !longer.is_empty() {
            longer.push(("  ".to_owned(), Style::new()));
        }
        longer.push(part);
        if paint::width(&longer) > width && !out.is_empty() {
            break;
        }
        out = longer;
    }
    out
}

/// State, bytes, rate, time to go and where it will stop.
fn state(model: &Model, t: &Transfer) -> Vec<Part> {
    let (theme, units) = (model.theme, model.units);
    let plain = |text: String| (text, Style::new());
    let word = format!("{} {}", labels::state_glyph(t, theme), labels::state_word(&t.state));
    let style = if labels::is_wrong(t) { theme.error() } else { Style::new() };
    let complete = t.state == TransferState::Sharing;
    let bytes = if complete {
        format::size(t.size, units)
    } else {
        let (here, all) = (format::size(t.done, units), format::size(t.size, units));
        // The unit once, if it is the same.
        match (here.split_once(' '), all.split_once(' ')) {
            (Some((here, unit)), Some((_, other))) if unit == other => format!("{here} of {all}"),
            _ => format!("{here} of {all}"),
        }
    };
    let part = |rank: u8, piece: Piece| Part { piece, short: None, rank };
    let mut parts =
        vec![part(0, (word, style)), part(3, plain(bytes)), part(0, (done(t), theme.bold()))];
    if !complete {
        let rate = format::rate(t.down_rate, theme.dash(), units);
        parts.push(part(2, plain(format!("{} {rate}", theme.down()))));
        let outlook = labels::outlook(t);
        if t.state == TransferState::Getting && t.eta_s.is_some() {
            parts.push(part(1, plain(format!("ETA {outlook}"))));
        } else if outlook != labels::state_word(&t.state) {
            parts.push(part(1, (outlook, theme.warn())));
        }
        let counts = model.chunks.map.counts();
        if counts.none > 0 && counts.wanted() > 0 {
            let reach = format::percent(counts.wanted() - counts.none, counts.wanted());
            let piece = (format!("to {reach}, then stuck"), theme.error());
            parts.push(Part { piece, short: Some(format!("stops at {reach}")), rank: 0 });
        }
    }
    let up = format::rate(t.up_rate, theme.dash(), units);
    parts.push(part(IDLE, plain(format!("{} {up}", theme.up()))));
    if t.uploaded > 0 {
        parts.push(part(IDLE + 1, plain(format!("sent {}", format::size(t.uploaded, units)))));
    }
    parts.into_iter().filter(|part| !part.piece.0.is_empty()).collect()
}

/// What the network says of a content that is not ours.
fn foreign(model: &Model) -> Vec<Piece> {
    let Some(r) = model.selected_row() else { return Vec::new() };
    let parts = [
        "not on this machine".to_owned(),
        format::size(r.size, model.units),
        format::plural(u64::from(r.sources), "source"),
        format!("{} complete", r.complete),
    ];
    parts.into_iter().map(|text| (text, Style::new())).collect()
}

/// Id, chunks, copies, sources, age.
fn identity(model: &Model) -> Vec<Piece> {
    let (theme, transfer, row) = (model.theme, model.selected_transfer(), model.selected_row());
    let plain = |text: String| (text, Style::new());
    let mut parts = Vec::new();
    if let Some(id) = model.selected() {
        parts.push(plain(format!("id {}", id.short())));
    }
    let focus = model.focus_data();
    let chunks = focus.map(|f| f.chunks.len() as u64).filter(|n| *n > 0);
    let chunks = chunks.or_else(|| transfer.map(|t| t.chunks.into()));
    let chunks = chunks.or_else(|| row.map(|r| r.chunks.into())).unwrap_or(0);
    let len = focus.map_or(0, |focus| focus.chunk_len);
    let of = if len > 0 {
        format!("{} {} ", format::size(len, model.units), theme.times())
    } else {
        String::new()
    };
    parts.push(plain(format!("{of}{}", format::plural(chunks, "chunk"))));
    if let Some(copies) = transfer.and_then(|t| t.availability) {
        let (text, style) = crate::panes::files::view::cells::availability(model, copies);
        parts.push((format!("avail {text}"), style));
    }
    if let Some(t) = transfer.filter(|t| t.state != TransferState::Sharing) {
        let known = t.sources.max(u32::try_from(model.source_rows().len()).unwrap_or(0));
        parts.push(plain(format!("sources {} active / {known} known", t.active)));
    }
    if let Some(at) = focus.and_then(|focus| focus.added).filter(|at| *at > 0) {
        parts.push(plain(format!("added {}", when(model, at))));
    } else if let Some(r) = row {
        let ago = format::age(model.now.unix().saturating_sub(r.first_seen));
        parts.push(plain(format!("first seen {ago}")));
    }
    if transfer.map(|t| t.kind).or_else(|| row.map(|r| r.kind)) == Some(Kind::Folder) {
        let chooses = model.keymap.and(": ", Action::Contents, "chooses files");
        parts.push(plain(format!("folder{chooses}")));
    }
    parts
}

/// A time of day today, an age before.
fn when(model: &Model, unix: u64) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let ago = model.now.unix().saturating_sub(unix);
    if ago >= DAY {
        return format::age(ago);
    }
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(unix);
    let clock = format::time_of_day(at, &model.setting.zone);
    clock.get(..5).unwrap_or_default().to_owned()
}

/// Where it is, and what holds it back; of what is not ours, who has it.
fn place(model: &Model) -> Vec<Piece> {
    let Some(t) = model.selected_transfer() else { return holders(model) };
    let theme = model.theme;
    let mut parts = vec![(model.show_path(&t.path), theme.dim())];
    if let Some(cause) = t.why.as_ref().filter(|_| t.is_unfinished()) {
        let rate = |bytes: f64| format::rate(bytes, "nothing", model.units);
        parts.push((
            format!("{} {}", theme.dot(), sentence(cause, rate, &model.keymap)),
            Style::new(),
        ));
    }
    parts
}

/// Names of those who have it, as many as matter; the Sources pane has all.
const MAX_NAMED: usize = 4;

/// Who has what is not ours, the tracker's word for those we are not connected to.
fn holders(model: &Model) -> Vec<Piece> {
    let rows = model.source_rows();
    let mut names: Vec<String> = rows
        .iter()
        .take(MAX_NAMED)
        .map(|row| model.theme.name(&source_name(row)).into_owned())
        .collect();
    if names.is_empty() {
        return Vec::new();
    }
    if let Some(more @ 1..) = rows.len().checked_sub(MAX_NAMED) {
        names.push(format!("{more} more"));
    }
    let last = names.pop().unwrap_or_default();
    let text = if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) };
    vec![(format!("shared by {text}"), Style::new())]
}
