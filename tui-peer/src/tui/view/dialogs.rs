//! Dialogs in front of the panes.

use common::join::Link;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::super::format;
use super::super::layout::centred;
use super::super::model::{Confirm, Contents, Dialog, GetLink, Line, Model, SharePath, Sort, Tone};
use super::super::update;
use super::paint::{self, Piece};

/// Widest dialog.
const WIDE: u16 = 72;
/// Names shown in the share dialog.
const NAMES: usize = 8;

/// Draws the open dialog, if any, over what is there.
pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let Some(dialog) = model.dialogs.last() else { return };
    shade(model, frame);
    match dialog {
        Dialog::Help { scroll, query } => super::help::draw(model, frame, *scroll, query),
        Dialog::Palette { query, cursor } => palette(model, frame, query, *cursor),
        Dialog::Sort { cursor } => sort(model, frame, *cursor),
        Dialog::Why { title, lines } => why(model, frame, title, lines),
        Dialog::Share(share) => self::share(model, frame, share),
        Dialog::Link(link) => self::link(model, frame, link),
        Dialog::Confirm(confirm) => self::confirm(model, frame, confirm),
        Dialog::Contents(contents) => self::contents(model, frame, contents),
        Dialog::Picks(picks) => super::picks::draw(model, frame, picks),
        Dialog::Limit(limit) => super::picks::limit(model, frame, limit),
        Dialog::Settings(panel) => super::settings::draw(model, frame, panel),
    }
}

fn shade(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let style = model.theme.shade();
    let buf = frame.buffer_mut();
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            if let Some(cell) = buf.cell_mut((x, y)) {
                cell.modifier = ratatui::style::Modifier::empty();
                cell.set_style(style);
            }
        }
    }
}

/// An empty box in the middle.
pub(super) fn open(
    model: &Model,
    frame: &mut Frame<'_>,
    height: u16,
    title: &str,
    foot: &str,
) -> Rect {
    let whole = frame.area();
    let area =
        centred(whole, WIDE.min(whole.width.saturating_sub(2).max(10)), height.min(whole.height));
    paint::clear(frame.buffer_mut(), area);
    let border = paint::Frame {
        title: vec![(title.to_owned(), model.theme.bold())],
        foot: vec![(foot.to_owned(), model.theme.dim())],
        ..paint::Frame::default()
    };
    let inner = paint::boxed(frame.buffer_mut(), area, model.theme, true, &border);
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}

pub(super) fn lines(model: &Model, frame: &mut Frame<'_>, area: Rect, content: &[Line]) {
    for (y, (tone, text)) in (area.y..area.bottom()).zip(content) {
        paint::text(
            frame.buffer_mut(),
            area.x,
            y,
            area.width,
            text,
            paint::tone(model.theme, *tone),
        );
    }
}

fn wrapped(content: &[Line], width: usize) -> Vec<Line> {
    content
        .iter()
        .flat_map(|(tone, text)| {
            paint::wrap(text, width).into_iter().map(move |line| (*tone, line))
        })
        .collect()
}

fn text_width(frame: &Frame<'_>) -> usize {
    usize::from(WIDE.min(frame.area().width.saturating_sub(2)).saturating_sub(4))
}

pub(super) fn tall(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

fn why(model: &Model, frame: &mut Frame<'_>, title: &str, content: &[Line]) {
    let width = text_width(frame);
    let content = wrapped(content, width);
    let title = format::middle(title, width.saturating_sub(4), model.theme.ellipsis());
    let area = open(model, frame, tall(content.len().max(1) + 2), &title, "any key closes");
    if content.is_empty() {
        paint::text(
            frame.buffer_mut(),
            area.x,
            area.y,
            area.width,
            "Nothing to explain: no details are known.",
            Style::new(),
        );
    }
    lines(model, frame, area, &content);
}

fn sort(model: &Model, frame: &mut Frame<'_>, cursor: usize) {
    let choices = Sort::choices(model.tab);
    let area = open(
        model,
        frame,
        tall(choices.len() + 2),
        "Sort by",
        "Enter chooses - O reverses - Esc closes",
    );
    for (i, (y, sort)) in (area.y..area.bottom()).zip(choices).enumerate() {
        let bar = if i == cursor { model.theme.bar() } else { " " };
        let now = if *sort == model.list().sort { "  (now)" } else { "" };
        let text = format!("{bar} {}{now}", sort.title(model.tab));
        chosen(model, frame, Rect { y, height: 1, ..area }, &text, i == cursor);
    }
}

pub(super) fn chosen(model: &Model, frame: &mut Frame<'_>, area: Rect, text: &str, selected: bool) {
    let style = if selected { model.theme.selected() } else { Style::new() };
    let padded = format!("{text:<width$}", width = usize::from(area.width));
    paint::text(
        frame.buffer_mut(),
        area.x,
        area.y,
        area.width,
        if selected { &padded } else { text },
        style,
    );
}

fn palette(
    model: &Model,
    frame: &mut Frame<'_>,
    query: &super::super::field::Field,
    cursor: usize,
) {
    let found = update::palette_rows(model, query.text());
    let height = frame.area().height.saturating_sub(4).min(20);
    let area = open(
        model,
        frame,
        height,
        "Commands",
        "Enter runs - Esc closes - matches name, key and other words",
    );
    let x = paint::text(frame.buffer_mut(), area.x, area.y, area.width, "> ", model.theme.bold());
    super::field::draw(frame, model.theme, (x, area.y), area.width.saturating_sub(3), query, "");
    let rows = usize::from(area.height.saturating_sub(2));
    let offset = cursor.saturating_sub(rows.saturating_sub(1));
    for (y, (i, action)) in (area.y + 2..area.bottom()).zip(found.iter().enumerate().skip(offset)) {
        let line = Rect { y, height: 1, ..area };
        let why = update::can(model, *action).err();
        let keys = model.keymap.keys(*action).join(", ");
        let keys = if keys.is_empty() { format!(":{}", action.name()) } else { keys };
        let bar = if i == cursor { model.theme.bar() } else { " " };
        let text = match why {
            Some(why) => format!("{bar} {} ({why})", action.help()),
            None => format!("{bar} {}", action.help()),
        };
        chosen(model, frame, line, &text, i == cursor);
        let style = if i == cursor { model.theme.selected() } else { model.theme.accent() };
        if why.is_some() && i != cursor {
            for x in area.x..area.right() {
                if let Some(cell) = frame.buffer_mut().cell_mut((x, y)) {
                    cell.set_style(model.theme.shade());
                }
            }
        }
        paint::right(frame.buffer_mut(), area.x, y, area.width, &keys, style);
    }
    if found.is_empty() {
        paint::text(
            frame.buffer_mut(),
            area.x,
            area.y + 2,
            area.width,
            "No such command.",
            model.theme.dim(),
        );
    }
}

fn share(model: &Model, frame: &mut Frame<'_>, share: &SharePath) {
    let theme = model.theme;
    let saving = !share.save.is_empty();
    let matching = share.matching();
    let names = NAMES.min(usize::from(frame.area().height.saturating_sub(9)));
    let area = open(
        model,
        frame,
        tall(names + 7),
        if saving { "Download to" } else { "Share a file or folder" },
        if saving {
            "Tab completes - F5 priority - F6 order - Enter downloads - Esc"
        } else {
            "Tab completes - Up Down choose - Enter shares - Esc cancels"
        },
    );
    let x = paint::text(frame.buffer_mut(), area.x, area.y, area.width, "Path ", theme.bold());
    if saving {
        let order = if share.sequential { "in order" } else { "rarest chunks first" };
        let text = format!("priority {} (F5)   {order} (F6)", share.priority.word());
        let y = area.bottom().saturating_sub(2);
        paint::text(frame.buffer_mut(), area.x, y, area.width, &text, Style::new());
    }
    let (_, stem) = share.split();
    let best = share.cursor.and_then(|at| matching.get(at)).or(matching.first());
    let ghost = best
        .filter(|entry| {
            share.field.at_end() && !share.field.text().is_empty() && entry.name.starts_with(stem)
        })
        .and_then(|entry| entry.name.get(stem.len()..))
        .map(common::names::show)
        .unwrap_or_default();
    super::field::draw(
        frame,
        theme,
        (x, area.y),
        area.width.saturating_sub(6),
        &share.field,
        &ghost,
    );
    let offset = share.cursor.map_or(0, |at| at.saturating_sub(names.saturating_sub(1)));
    for (y, (i, entry)) in
        (area.y + 1..area.bottom()).zip(matching.iter().enumerate().skip(offset).take(names))
    {
        let selected = share.cursor == Some(i);
        let slash = if entry.is_dir { "/" } else { "" };
        let name = format!("{}{slash}", common::names::show(&entry.name));
        let name =
            format::middle(&name, usize::from(area.width).saturating_sub(18), theme.ellipsis());
        let bar = if selected { theme.bar() } else { " " };
        let line = Rect { x: area.x + 4, y, width: area.width.saturating_sub(4), height: 1 };
        chosen(model, frame, line, &format!("{bar}{name}"), selected);
        let size =
            if entry.is_dir { "folder".to_owned() } else { format::size(entry.size, model.units) };
        let style = if selected { theme.selected() } else { theme.dim() };
        paint::right(frame.buffer_mut(), line.x, y, line.width, &size, style);
    }
    let below = area.bottom().saturating_sub(3);
    let (tone, text) = match (&share.error, &share.entries) {
        (Some(error), _) => (Tone::Bad, error.clone()),
        (None, Err(why)) => (Tone::Bad, common::names::show(why)),
        (None, Ok(_)) if matching.len() > names => {
            (Tone::Dim, format!("{} names, type to narrow", format::count(matching.len() as u64)))
        }
        (None, Ok(_)) if matching.is_empty() => (
            Tone::Dim,
            if saving {
                String::new()
            } else {
                "No such name; Enter shares the path as typed.".to_owned()
            },
        ),
        (None, Ok(_)) => (Tone::Dim, String::new()),
    };
    paint::text(frame.buffer_mut(), area.x, below, area.width, &text, paint::tone(theme, tone));
    let note =
        "Shared where it is: nothing is copied, and others see only its name, size and hash.";
    let note = if usize::from(area.width) < note.len() {
        "Shared where it is; nothing is copied."
    } else {
        note
    };
    let note = if saving { "A folder that does not exist is made." } else { note };
    paint::text(frame.buffer_mut(), area.x, below + 2, area.width, note, theme.dim());
}

fn link(model: &Model, frame: &mut Frame<'_>, link: &GetLink) {
    let theme = model.theme;
    let title = if link.joining { "Join a network" } else { "Get a link" };
    let area = open(model, frame, 9, title, "Enter goes on - Esc cancels");
    let hint = if link.joining {
        "Paste the line that the tracker printed:"
    } else {
        "Paste a shoal:// link:"
    };
    paint::text(frame.buffer_mut(), area.x, area.y, area.width, hint, theme.dim());
    super::field::draw(frame, theme, (area.x, area.y + 1), area.width, &link.field, "");
    let content: Vec<Line> = match (&link.error, link.parsed()) {
        (Some(error), _) => vec![(Tone::Bad, error.clone())],
        (None, None) => Vec::new(),
        (None, Some(Err(why))) => vec![(Tone::Warn, why)],
        (None, Some(Ok(Link::Join(join)))) => {
            let kind = if join.secret().is_some() { "Closed network" } else { "Open network" };
            let mut content = vec![(Tone::Good, format!("{kind} at {}.", join.address()))];
            content.push(if link.joining {
                (
                    Tone::Plain,
                    "Enter joins it; the present network is left, downloads are kept.".to_owned(),
                )
            } else {
                (
                    Tone::Plain,
                    "This is a network, not a file. Enter goes on to joining it.".to_owned(),
                )
            });
            content
        }
        (None, Some(Ok(Link::File(file)))) => {
            let name = file.name().map_or_else(|| file.id().short(), common::names::show);
            let here = model
                .snap
                .network
                .join
                .as_deref()
                .and_then(|j| j.parse::<common::join::JoinString>().ok());
            let same = here.is_some_and(|here| here.tracker() == file.join().tracker());
            let known = model.catalogue.rows.iter().find(|row| row.id == file.id());
            let mut content = vec![(Tone::Good, format!("Get \"{name}\"?"))];
            if let Some(row) = known {
                content.push((
                    Tone::Plain,
                    format!(
                        "{}, {}.",
                        format::size(row.size, model.units),
                        format::plural(u64::from(row.sources), "source")
                    ),
                ));
            }
            if link.joining {
                content.push((Tone::Plain, "Enter joins its network.".to_owned()));
            } else if same {
                content.push((Tone::Plain, "Enter downloads it.".to_owned()));
            } else {
                let text = format!(
                    "It is in another network, at {}. Enter leaves the present one, joins that and downloads.",
                    file.join().address()
                );
                content.push((Tone::Warn, text));
            }
            content
        }
    };
    let content = wrapped(&content, usize::from(area.width));
    lines(
        model,
        frame,
        Rect { y: area.y + 3, height: area.height.saturating_sub(3), ..area },
        &content,
    );
}

fn confirm(model: &Model, frame: &mut Frame<'_>, confirm: &Confirm) {
    let theme = model.theme;
    let content = wrapped(&confirm.lines, text_width(frame));
    let tick = usize::from(confirm.tick.is_some()) * 2;
    let mut rows: Vec<Vec<Piece>> = vec![Vec::new()];
    let room = text_width(frame);
    let mut used = 0;
    for (i, button) in confirm.buttons.iter().enumerate() {
        let text = if i == confirm.selected {
            format!("[ {} ]", button.label)
        } else {
            format!("  {}  ", button.label)
        };
        if used + text.width() + 1 > room {
            rows.push(Vec::new());
            used = 0;
        }
        used += text.width() + 1;
        let style =
            if i == confirm.selected { theme.selected().patch(theme.bold()) } else { Style::new() };
        if let Some(row) = rows.last_mut() {
            row.push((text, style));
            row.push((" ".to_owned(), Style::new()));
        }
    }
    let foot = if confirm.tick.is_some() {
        "arrows choose - Space ticks - Enter - Esc"
    } else {
        "arrows choose - Enter - Esc is the safe answer"
    };
    let area =
        open(model, frame, tall(content.len() + tick + rows.len() + 3), &confirm.title, foot);
    lines(model, frame, area, &content);
    let y = area.bottom().saturating_sub(tall(rows.len()));
    if let Some((label, ticked)) = confirm.tick {
        let mark = if ticked { "[x]" } else { "[ ]" };
        let style = if ticked { theme.error() } else { Style::new() };
        paint::text(
            frame.buffer_mut(),
            area.x,
            y.saturating_sub(2),
            area.width,
            &format!("{mark} {label}"),
            style,
        );
    }
    for (y, row) in (y..).zip(&rows) {
        paint::pieces(frame.buffer_mut(), area.x, y, area.width, row);
    }
}

/// Rows of files in the contents dialog.
pub fn contents_rows(size: (u16, u16)) -> usize {
    usize::from(size.1.saturating_sub(2).min(30).saturating_sub(5)).max(1)
}

fn contents(model: &Model, frame: &mut Frame<'_>, contents: &Contents) {
    let theme = model.theme;
    let height = frame.area().height.saturating_sub(2).min(30);
    let title =
        format::middle(&contents.name, text_width(frame).saturating_sub(4), theme.ellipsis());
    let area = open(
        model,
        frame,
        height,
        &title,
        "Space chooses - * all - / filter - Enter fetches - Esc",
    );
    let entries = match &contents.entries {
        None => {
            paint::text(
                frame.buffer_mut(),
                area.x,
                area.y,
                area.width,
                "Asking for the list of files.",
                theme.dim(),
            );
            return;
        }
        Some(Err(why)) => {
            let content = wrapped(&[(Tone::Bad, why.clone())], usize::from(area.width));
            lines(model, frame, area, &content);
            return;
        }
        Some(Ok(entries)) => entries,
    };
    if contents.filtering || !contents.query.text().is_empty() {
        let x = paint::text(frame.buffer_mut(), area.x, area.y, 2, "/ ", theme.bold());
        if contents.filtering {
            super::field::draw(
                frame,
                theme,
                (x, area.y),
                area.width.saturating_sub(3),
                &contents.query,
                "",
            );
        } else {
            paint::text(
                frame.buffer_mut(),
                x,
                area.y,
                area.width.saturating_sub(3),
                contents.query.text(),
                Style::new(),
            );
        }
    } else {
        paint::text(frame.buffer_mut(), area.x, area.y, area.width, "     Name", theme.dim());
        paint::right(frame.buffer_mut(), area.x, area.y, area.width, "Size  Done", theme.dim());
    }
    let shown = contents.shown();
    let rows = contents_rows(model.size);
    for (y, (at, i)) in
        (area.y + 1..area.bottom()).zip(shown.iter().enumerate().skip(contents.offset).take(rows))
    {
        let Some(entry) = entries.get(*i) else { break };
        let mark = if contents.wanted.contains(&entry.raw) { "[x]" } else { "[ ]" };
        let name = format::middle(
            &entry.path,
            usize::from(area.width).saturating_sub(21),
            theme.ellipsis(),
        );
        let line = Rect { y, height: 1, ..area };
        let selected = at == contents.cursor;
        chosen(model, frame, line, &format!(" {mark} {name}"), selected);
        let numbers = format!(
            "{:>8} {:>5}",
            format::size(entry.size, model.units),
            format::percent(entry.done, entry.size)
        );
        paint::right(
            frame.buffer_mut(),
            line.x,
            y,
            line.width,
            &numbers,
            if selected { theme.selected() } else { Style::new() },
        );
    }
    let chosen: Vec<_> = entries.iter().filter(|e| contents.wanted.contains(&e.raw)).collect();
    let size = chosen.iter().map(|e| e.size).sum();
    let text = format!(
        "{} of {} files chosen, {}",
        format::count(chosen.len() as u64),
        format::count(entries.len() as u64),
        format::size(size, model.units)
    );
    paint::text(
        frame.buffer_mut(),
        area.x,
        area.bottom().saturating_sub(1),
        area.width,
        &text,
        theme.bold(),
    );
}
