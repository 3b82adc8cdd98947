//! A link or a join string.

use common::join::Link;
use ratatui::Frame;
use ratatui::layout::Rect;

use crate::format;
use crate::model::{GetLink, Line, Model, Tone};
use crate::ui::dialog::{lines, open, wrapped};
use crate::ui::{input, paint};

pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>, link: &GetLink) {
    let theme = model.theme;
    let title = if link.joining { "Join a network" } else { "Get a link" };
    let area = open(model, frame, 9, title, "Enter continues - Esc cancels");
    let hint = if link.joining {
        "Paste the line that the tracker printed:"
    } else {
        "Paste a shoal:// link:"
    };
    paint::text(frame.buffer_mut(), area.x, area.y, area.width, hint, theme.dim());
    input::draw(frame, theme, (area.x, area.y + 1), area.width, &link.field, "");
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
                    "Enter joins it: you leave the present network and keep your downloads."
                        .to_owned(),
                )
            } else {
                (
                    Tone::Plain,
                    "This is a network, not a file. Enter continues to join it.".to_owned(),
                )
            });
            content
        }
        (None, Some(Ok(Link::File(file)))) => {
            let name = file.name().map_or_else(|| file.id().short(), common::names::show);
            let here = model.snap.network.joined();
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
