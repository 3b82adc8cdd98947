//! The file picker.

use common::numbers::saturate;

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::dialogs::share::view::note;
use crate::format;
use crate::layout::tallest;
use crate::model::{Line, Model, PathEntry, Picker, Tone};
use crate::ui::dialog::{chosen, lines, open, text_width, wrapped};
use crate::ui::{input, paint};

pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>, picker: &Picker) {
    let theme = model.theme;
    let room = text_width(frame).saturating_sub(12);
    let title = theme.fit(&model.show_path(&picker.dir), room);
    let foot = if picker.save.is_empty() {
        "Space mark - * all - Enter open/add - s share - Esc back"
    } else {
        "Enter opens - d downloads here - Backspace up - Esc back"
    };
    let height = tallest(model.size.1);
    let area = open(model, frame, height, &format!("Browse {title}"), foot);
    let hidden = if picker.hidden { "hidden on (.)" } else { "hidden off (.)" };
    let x = paint::text(frame.buffer_mut(), area.x, area.y, area.width, "/ ", theme.bold());
    let width = area.width.saturating_sub(18);
    if picker.filtering {
        input::draw(frame, theme, (x, area.y), width, &picker.query, "");
    } else if picker.query.text().is_empty() {
        paint::text(frame.buffer_mut(), x, area.y, width, "filter   ~ home", theme.dim());
    } else {
        input::still(frame, (x, area.y), width, picker.query.text());
    }
    paint::right(frame.buffer_mut(), area.x, area.y, area.width, hidden, theme.dim());
    let body =
        Rect { y: area.y + 1, height: saturate::<u16>(Picker::rows_shown(model.size)), ..area };
    match &picker.entries {
        None => lines(model, frame, body, &[(Tone::Dim, "Reading the folder.".to_owned())]),
        Some(Err(why)) => {
            let content: Vec<Line> = vec![
                (Tone::Bad, common::names::show(why)),
                (Tone::Dim, "Backspace goes up.".to_owned()),
            ];
            lines(model, frame, body, &wrapped(&content, usize::from(area.width)));
        }
        Some(Ok(_)) => names(model, frame, body, picker),
    }
    let bottom = area.bottom().saturating_sub(1);
    let text = marked(model, picker);
    paint::text(frame.buffer_mut(), area.x, bottom, area.width, &text, theme.bold());
}

fn names(model: &Model, frame: &mut Frame<'_>, area: Rect, picker: &Picker) {
    let theme = model.theme;
    let shown = picker.shown();
    let up = usize::from(picker.has_up());
    if shown.is_empty() {
        let text = if picker.query.text().is_empty() {
            "Nothing to show here. (. shows hidden names)"
        } else {
            "No such name. Esc shows all."
        };
        let y = area.y + u16::from(picker.has_up());
        paint::text(frame.buffer_mut(), area.x + 2, y, area.width, text, theme.dim());
    }
    let last = picker.offset + usize::from(area.height);
    for (y, at) in (area.y..area.bottom()).zip(picker.offset..last) {
        let line = Rect { y, height: 1, ..area };
        let selected = at == picker.cursor;
        let bar = if selected { theme.bar() } else { " " };
        let Some(at) = at.checked_sub(up) else {
            chosen(model, frame, line, &format!("{bar}  ../"), selected);
            continue;
        };
        let Some(entry) = shown.get(at) else { break };
        row(model, frame, line, picker, entry, selected);
    }
}

fn row(
    model: &Model,
    frame: &mut Frame<'_>,
    line: Rect,
    picker: &Picker,
    entry: &PathEntry,
    selected: bool,
) {
    let theme = model.theme;
    let path = picker.path_of(entry);
    let shared = model.snap.transfers.iter().any(|t| t.path == path);
    let sign = match () {
        () if picker.marked.contains_key(&path) => theme.check(),
        () if !entry.readable => "×",
        () if shared => theme.sharing(),
        () => " ",
    };
    let sign = if sign == "×" && theme.ellipsis() == ".." { "x" } else { sign };
    let slash = if entry.is_dir { "/" } else { "" };
    let name = format!("{}{slash}", common::names::show(&entry.name));
    let end = match (shared, entry.readable) {
        (true, true) => format!("shared {}", note(model, entry)),
        _ => note(model, entry),
    };
    let room = usize::from(line.width).saturating_sub(4 + end.chars().count() + 1);
    let name = theme.fit(&name, room);
    let bar = if selected { theme.bar() } else { " " };
    chosen(model, frame, line, &format!("{bar}{sign} {name}"), selected);
    let style = if selected { theme.selected() } else { theme.dim() };
    paint::right(frame.buffer_mut(), line.x, line.y, line.width, &end, style);
}

fn marked(model: &Model, picker: &Picker) -> String {
    if !picker.save.is_empty() {
        return format!("d downloads to {}", model.show_path(&picker.dir));
    }
    if picker.marked.is_empty() {
        return format!("{} here", format::plural(picker.shown().len() as u64, "name"));
    }
    let bytes = picker.marked.values().filter(|(_, dir)| !dir).map(|(size, _)| size).sum();
    let folders = picker.marked.values().filter(|(_, dir)| *dir).count() as u64;
    let dot = model.theme.dot();
    let mut text =
        format!("{} marked {dot} {}", picker.marked.len(), format::size(bytes, model.units));
    if folders > 0 {
        text.push_str(&format!(" and {}", format::plural(folders, "folder")));
    }
    text
}
