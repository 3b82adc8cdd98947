//! The files of a folder, to be chosen. Only visible rows are built.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::format;
use crate::layout::tallest;
use crate::model::{Contents, Model, Node, Tone};
use crate::ui::dialog::{chosen, lines, open, text_width, wrapped};
use crate::ui::{input, paint};

pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>, contents: &Contents) {
    let theme = model.theme;
    let height = tallest(frame.area().height);
    let title = theme.fit(&contents.name, text_width(frame).saturating_sub(4));
    let foot = "Space choose - * all - Left Right fold - / filter - Enter fetches";
    let area = open(model, frame, height, &title, foot);
    if let Some(why) = &contents.error {
        let content = wrapped(&[(Tone::Bad, why.clone())], usize::from(area.width));
        lines(model, frame, area, &content);
        return;
    }
    if !contents.ready {
        lines(model, frame, area, &[(Tone::Dim, "Asking for the list of files.".to_owned())]);
        return;
    }
    head(model, frame, area, contents);
    let rows = Contents::rows_shown(model.size);
    let shown = contents.rows.iter().enumerate().skip(contents.offset).take(rows);
    for (y, (at, node)) in (area.y + 1..area.bottom()).zip(shown) {
        let line = Rect { y, height: 1, ..area };
        row(model, frame, line, contents, *node, at == contents.cursor);
    }
    if contents.rows.is_empty() {
        let text =
            if contents.is_empty() { "It is empty." } else { "No such file. Esc shows all." };
        paint::text(frame.buffer_mut(), area.x, area.y + 1, area.width, text, theme.dim());
    }
    let total = contents.total();
    let text = format!(
        "{} of {} files chosen, {}",
        format::count(total.chosen),
        format::count(contents.len() as u64),
        format::size(total.chosen_bytes, model.units)
    );
    let bottom = area.bottom().saturating_sub(1);
    paint::text(frame.buffer_mut(), area.x, bottom, area.width, &text, theme.bold());
}

fn head(model: &Model, frame: &mut Frame<'_>, area: Rect, contents: &Contents) {
    let theme = model.theme;
    if !contents.filtering && !contents.is_flat() {
        paint::text(frame.buffer_mut(), area.x, area.y, area.width, "     Name", theme.dim());
        paint::right(frame.buffer_mut(), area.x, area.y, area.width, "Size  Done", theme.dim());
        return;
    }
    let x = paint::text(frame.buffer_mut(), area.x, area.y, 2, "/ ", theme.bold());
    let note = format!("{} match", format::count(contents.rows.len() as u64));
    let wide = u16::try_from(note.len()).unwrap_or(0);
    let room = area.width.saturating_sub(wide + 4);
    if contents.filtering {
        input::draw(frame, theme, (x, area.y), room, &contents.query, "");
    } else {
        input::still(frame, (x, area.y), room, contents.query.text());
    }
    paint::right(frame.buffer_mut(), area.x, area.y, area.width, &note, theme.dim());
}

fn row(
    model: &Model,
    frame: &mut Frame<'_>,
    line: Rect,
    contents: &Contents,
    node: Node,
    selected: bool,
) {
    let theme = model.theme;
    let (mark, depth, name, size, done) = match node {
        Node::Dir(at) => {
            let Some(dir) = contents.dir(at) else { return };
            let sum = contents.sum_of(&dir.files);
            let mark = match sum.chosen {
                0 => "[ ]",
                n if n == dir.files.len() as u64 => "[x]",
                _ => "[-]",
            };
            let fold = if dir.open { "-" } else { "+" };
            let n = format::count(dir.files.len() as u64);
            (mark, dir.depth, format!("{fold} {}/  {n}", dir.name), sum.bytes, sum.done)
        }
        Node::File(at) => {
            let Some((entry, chosen)) = contents.file(at) else { return };
            let depth = contents.depth_of(entry);
            // Below its folder its own name is enough.
            let mut name = entry.path.as_str();
            for _ in 0..depth {
                name = name.split_once('/').map_or(name, |(_, rest)| rest);
            }
            let mark = if chosen { "[x]" } else { "[ ]" };
            (mark, depth, name.to_owned(), entry.size, entry.done)
        }
    };
    let indent = (depth * 2).min(usize::from(line.width) / 3);
    let room = usize::from(line.width).saturating_sub(21 + indent);
    let name = theme.fit(&name, room);
    chosen(model, frame, line, &format!(" {mark} {:indent$}{name}", ""), selected);
    let numbers =
        format!("{:>8} {:>5}", format::size(size, model.units), format::percent(done, size));
    let style = if selected { theme.selected() } else { Style::new() };
    paint::right(frame.buffer_mut(), line.x, line.y, line.width, &numbers, style);
}
