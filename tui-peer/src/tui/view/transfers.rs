//! Downloads in progress, where there is room for them all the time.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::engine::snapshot::{Transfer, TransferState};

use super::super::format;
use super::super::model::{Model, Tab};
use super::super::words;
use super::cells::{progress, transfer_cell};
use super::columns::Column;
use super::paint::{self};

/// Transfers that are not finished, all the time.
pub(crate) fn transfers(model: &Model, buf: &mut Buffer, area: Rect, tab: Tab) {
    let theme = model.theme;
    let open: Vec<&Transfer> =
        model.snap.transfers.iter().filter(|t| words::is_unfinished(t)).collect();
    let count = |state: fn(&TransferState) -> bool| open.iter().filter(|t| state(&t.state)).count();
    let mut parts = Vec::new();
    for (n, word) in [
        (count(|s| matches!(s, TransferState::Getting)), "active"),
        (count(|s| matches!(s, TransferState::Paused)), "paused"),
        (count(|s| matches!(s, TransferState::Queued)), "queued"),
        (open.iter().filter(|t| words::is_wrong(t)).count(), "wrong"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {word}"));
        }
    }
    let dot = format!(" {} ", theme.dot());
    let frame = paint::Frame {
        title: vec![
            (format!("{} in progress  ", tab.title()), theme.dim()),
            (parts.join(&dot), theme.dim()),
        ],
        ..paint::Frame::default()
    };
    let inner = paint::boxed(buf, area, theme, false, &frame);
    if open.is_empty() {
        paint::text(
            buf,
            inner.x + 2,
            inner.y,
            inner.width,
            "No downloads. Pick a file, press d.",
            theme.dim(),
        );
    }
    let columns = [(25u16, 0u8), (5, 1), (10, 2), (10, 3)];
    let taken: u16 = columns.iter().map(|(w, _)| w + 2).sum();
    let name = inner.width.saturating_sub(taken + 4);
    for (y, t) in (inner.y..inner.bottom()).zip(&open) {
        let style = if words::is_wrong(t) { theme.error() } else { Style::new() };
        paint::text(buf, inner.x + 1, y, 1, words::state_glyph(t, theme), style);
        paint::text(
            buf,
            inner.x + 3,
            y,
            name,
            &format::middle(&t.name, usize::from(name), theme.ellipsis()),
            Style::new(),
        );
        let mut x = inner.x + 3 + name;
        for (width, which) in columns {
            let (text, style) = match which {
                0 => (progress(theme, t, 25), theme.accent()),
                1 => transfer_cell(model, t, Column::Done),
                2 => transfer_cell(model, t, Column::Rate),
                _ => transfer_cell(model, t, Column::Outlook),
            };
            paint::right(buf, x + 2, y, width, &text, style);
            x += width + 2;
        }
    }
}
