//! Below the rows: what the look is like, what the chosen row is for, what became of the last key.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use settings::Page;

use crate::heatmap::Standing;
use crate::model::{Line, Model, Panel, Row, Tone};
use crate::screens::settings::geometry::BELOW;
use crate::ui::paint::{self, Piece};
use crate::{format, keymap};

/// Draws all of it.
pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect, panel: &Panel) {
    if panel.page == Page::Look && panel.query.is_none() && area.height >= BELOW {
        let (map, words) = preview(model);
        let x = paint::text(
            frame.buffer_mut(),
            area.x,
            area.y,
            area.width,
            "Preview  ",
            model.theme.dim(),
        );
        let room = area.right().saturating_sub(x);
        paint::pieces(frame.buffer_mut(), x, area.y, room, &map);
        paint::pieces(frame.buffer_mut(), x, area.y + 1, room, &words);
    }
    let width = usize::from(area.width);
    let mut lines: Vec<Line> = Vec::new();
    let help = match panel.row(model) {
        Some(Row::Item(item)) => item.help().to_owned(),
        Some(Row::Keys(action)) => format!("{:?} in [keys]: {}", action.name(), model.help(action)),
        None => String::new(),
    };
    lines.extend(paint::wrap(&help, width).into_iter().map(|line| (Tone::Dim, line)));
    let (tone, text) = note(model, panel);
    let text = text.replace('—', model.theme.dash());
    lines.extend(paint::wrap(&text, width).into_iter().map(|line| (tone, line)));
    let top = area.y + area.height.min(2);
    for (y, (tone, text)) in (top..area.bottom()).zip(&lines) {
        let style = paint::tone(model.theme, *tone);
        paint::text(frame.buffer_mut(), area.x, y, area.width, text, style);
    }
}

fn note(model: &Model, panel: &Panel) -> Line {
    if let Some(capture) = &panel.capture
        && panel.note.is_none()
    {
        let text = if capture.pressed.is_empty() {
            format!("Press the key for \"{}\".", capture.action.help())
        } else {
            format!("{} and then? Press the second key.", keymap::show(&capture.pressed))
        };
        return (Tone::Warn, text);
    }
    let later = match panel.row(model) {
        Some(Row::Item(item)) => model.prefs.restart.contains(&item),
        _ => false,
    };
    match &panel.note {
        // That it is saved goes without saying here.
        Some((Tone::Dim, _)) | None if later => {
            return (Tone::Warn, "Takes effect at the next start.".to_owned());
        }
        Some(note) => return note.clone(),
        None => {}
    }
    match &model.prefs.table.path {
        Some(path) => {
            let text =
                format!("Saved to {} as you change it; comments are kept.", model.show_path(path));
            (Tone::Dim, text)
        }
        None => (Tone::Dim, "Changes last for this run only.".to_owned()),
    }
}

/// The look: a map with numbers, and words in every colour.
fn preview(model: &Model) -> (Vec<Piece>, Vec<Piece>) {
    let theme = model.theme;
    let mut map = Vec::new();
    for (standing, times) in [
        (Standing::Have, 5),
        (Standing::Flight, 2),
        (Standing::Lack(6), 2),
        (Standing::Lack(3), 2),
        (Standing::Lack(1), 2),
        (Standing::Lack(0), 1),
        (Standing::Bad, 1),
    ] {
        map.push((theme.chunk_glyph(standing).repeat(times), theme.chunk_style(standing)));
    }
    let rate = format::rate(13_002_342.0, theme.dash(), model.units);
    let text = format!("  {} {rate}  ETA {}", theme.down(), format::eta(108));
    map.push((text, Style::new()));
    let words = vec![
        ("key  ".to_owned(), theme.bold().patch(theme.accent())),
        ("careful  ".to_owned(), theme.warn()),
        ("wrong".to_owned(), theme.error()),
        ("  less important  ".to_owned(), theme.dim()),
        (" chosen ".to_owned(), theme.selected()),
    ];
    (map, words)
}
