//! Sharing a path, or choosing where to download to.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::format;
use crate::model::{Line, Measure, Model, PathEntry, ShareField, SharePath, Tone};
use crate::probes::{MAX_ITEMS, MAX_NAMES};
use crate::ui::dialog::{chosen, lines, open, tall};
use crate::ui::{input, paint};

/// Names shown.
const NAMES: usize = 8;

pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>, share: &SharePath) {
    let theme = model.theme;
    let saving = !share.save.is_empty();
    let matching = share.matching();
    let names = NAMES.min(usize::from(frame.area().height.saturating_sub(10)));
    let area = open(
        model,
        frame,
        tall(names + 8),
        if saving { "Download to" } else { "Share a file or folder" },
        if saving {
            "Tab completes - F3 browse - F5 priority - F6 order - Enter - Esc"
        } else {
            "Tab completes - F3 browse - Enter shares - Esc cancels"
        },
    );
    let x = paint::text(frame.buffer_mut(), area.x, area.y, area.width, "Path ", theme.bold());
    let room = area.width.saturating_sub(6);
    if share.active == ShareField::Path {
        input::draw(frame, theme, (x, area.y), room, &share.field, &ghost(share, &matching));
    } else {
        input::still(frame, (x, area.y), room, share.field.text());
    }
    candidates(model, frame, Rect { y: area.y + 1, ..area }, share, &matching, names);
    let below = Rect { y: area.y + 1 + tall(names), ..area };
    if saving {
        let says = said(share, &matching, names);
        lines(model, frame, Rect { height: 1, ..below }, &says);
        let note = "A folder that does not exist is created.";
        paint::text(frame.buffer_mut(), area.x, below.y + 1, area.width, note, theme.dim());
        let order = if share.sequential { "in order" } else { "rarest chunks first" };
        let text = format!("priority {} (F5)   {order} (F6)", share.priority.word());
        paint::text(frame.buffer_mut(), area.x, below.y + 2, area.width, &text, Style::new());
        return;
    }
    name(model, frame, below, share);
    let mut content = said(share, &matching, names);
    content.extend(summary(model, share));
    let room = Rect { y: below.y + 1, height: area.bottom().saturating_sub(below.y + 1), ..area };
    if content.len() < 4 {
        content.push((
            Tone::Dim,
            "Shared in place, also after a restart; nothing is copied".to_owned(),
        ));
    }
    lines(model, frame, room, &content);
}

/// What completion would add.
fn ghost(share: &SharePath, matching: &[&PathEntry]) -> String {
    let (_, stem) = share.split();
    let best = share.cursor.and_then(|at| matching.get(at)).or(matching.first());
    best.filter(|entry| {
        share.field.at_end() && !share.field.text().is_empty() && entry.name.starts_with(stem)
    })
    .and_then(|entry| entry.name.get(stem.len()..))
    .map(common::names::show)
    .unwrap_or_default()
}

fn candidates(
    model: &Model,
    frame: &mut Frame<'_>,
    area: Rect,
    share: &SharePath,
    matching: &[&PathEntry],
    names: usize,
) {
    let theme = model.theme;
    let offset = share.cursor.map_or(0, |at| at.saturating_sub(names.saturating_sub(1)));
    let ascii = !theme.ellipsis().starts_with('…');
    let last = (offset + names).min(matching.len());
    for (y, (i, entry)) in (area.y..).zip(matching.iter().enumerate().take(last).skip(offset)) {
        let selected = share.cursor == Some(i);
        let branch = match (ascii, i + 1 == matching.len()) {
            (true, _) => "|",
            (false, true) => "└",
            (false, false) => "├",
        };
        let slash = if entry.is_dir { "/" } else { "" };
        let name = format!("{}{slash}", common::names::show(&entry.name));
        let name = theme.fit(&name, usize::from(area.width).saturating_sub(22));
        let bar = if selected { theme.bar() } else { " " };
        let line = Rect { x: area.x + 3, y, width: area.width.saturating_sub(3), height: 1 };
        chosen(model, frame, line, &format!("{bar}{branch} {name}"), selected);
        let style = if selected { theme.selected() } else { theme.dim() };
        paint::right(frame.buffer_mut(), line.x, y, line.width, &note(model, entry), style);
    }
}

/// Size of a file, number of names in a folder, or that it cannot be read.
pub(crate) fn note(model: &Model, entry: &PathEntry) -> String {
    if !entry.readable {
        return "not readable".to_owned();
    }
    match entry.items {
        _ if !entry.is_dir => format::size(entry.size, model.units),
        Some(n) if usize::try_from(n).is_ok_and(|n| n >= MAX_ITEMS) => {
            format!("{}+ items", format::count(u64::from(n)))
        }
        Some(n) => format::plural(u64::from(n), "item"),
        None => "folder".to_owned(),
    }
}

fn name(model: &Model, frame: &mut Frame<'_>, area: Rect, share: &SharePath) {
    let theme = model.theme;
    let x = paint::text(frame.buffer_mut(), area.x, area.y, area.width, "Name ", theme.bold());
    let room = area.width.saturating_sub(6);
    let meant = share.meant();
    let own = meant.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let own = if own == "~" { "" } else { own };
    let ghost = if share.name.text().is_empty() { common::names::show(own) } else { String::new() };
    if share.active == ShareField::Name {
        input::draw(frame, theme, (x, area.y), room, &share.name, &ghost);
    } else if share.name.text().is_empty() {
        let note =
            if ghost.is_empty() { String::new() } else { format!("{ghost}  (S-Tab changes it)") };
        let note = theme.fit(&note, usize::from(room));
        paint::text(frame.buffer_mut(), x, area.y, room, &note, theme.dim());
    } else {
        input::still(frame, (x, area.y), room, share.name.text());
    }
}

/// What is wrong with the path, or with the list.
fn said(share: &SharePath, matching: &[&PathEntry], names: usize) -> Vec<Line> {
    let line = match (&share.error, &share.entries) {
        (Some(error), _) => (Tone::Bad, error.clone()),
        (None, Err(why)) => (Tone::Bad, common::names::show(why)),
        (None, Ok(all)) if all.len() >= MAX_NAMES => {
            let text =
                format!("Only the first {} names are listed.", format::count(MAX_NAMES as u64));
            (Tone::Warn, text)
        }
        (None, Ok(_)) if matching.len() > names => {
            (Tone::Dim, format!("{} names, type to narrow", format::count(matching.len() as u64)))
        }
        (None, Ok(_)) => return Vec::new(),
    };
    vec![line]
}

/// What sharing the path would mean.
fn summary(model: &Model, share: &SharePath) -> Vec<Line> {
    let Some((path, answer)) = &share.measured else {
        return vec![(Tone::Dim, "Type a path, or F3 to browse.".to_owned())];
    };
    let dot = model.theme.dot();
    let measure = match answer {
        None => return vec![(Tone::Dim, "Checking it.".to_owned())],
        Some(Err(why)) => return vec![(Tone::Warn, common::names::show(why))],
        Some(Ok(measure)) => measure,
    };
    let mut content = vec![(Tone::Plain, facts(model, measure))];
    if measure.unreadable > 0 {
        let text = format!("{} not readable: left out", format::count(measure.unreadable));
        content.push((Tone::Warn, text));
    }
    let below =
        model.snap.transfers.iter().filter(|t| t.path == *path || t.path.starts_with(path)).count()
            as u64;
    let name = path.file_name().map(|n| common::names::show(&n.to_string_lossy()));
    let same = model
        .catalogue
        .rows
        .iter()
        .filter(|row| row.size == measure.bytes && name.as_deref() == Some(&*row.name))
        .count() as u64;
    let mut text = format!("Already shared: {}", format::count(below));
    if same > 0 {
        text.push_str(&format!(
            " {dot} on the network: {} of this name and size (joins if the bytes are the same)",
            format::count(same)
        ));
    } else {
        text.push_str(&format!(" {dot} on the network: none of this name and size"));
    }
    let width = usize::from(model.size.0.min(72)).saturating_sub(6);
    for line in paint::wrap(&text, width) {
        content.push((Tone::Dim, line));
    }
    content
}

fn facts(model: &Model, measure: &Measure) -> String {
    let dot = model.theme.dot();
    let about = if model.theme.ellipsis().starts_with('…') { "≈" } else { "~" };
    let more = if measure.partly { "more than " } else { "" };
    let mut text = format!(
        "{more}{} {dot} {} {dot} {}",
        format::plural(measure.files, "file"),
        format::size(measure.bytes, model.units),
        format::plural(measure.chunks, "chunk"),
    );
    if measure.rate > 0.0 && !measure.partly {
        let seconds = (measure.bytes as f64 / measure.rate).ceil();
        // Clamped: no share takes a year to hash.
        let seconds = seconds.clamp(1.0, 31_536_000.0) as u64;
        text.push_str(&format!(" {dot} hash {about} {}", format::eta(seconds)));
    }
    text
}
