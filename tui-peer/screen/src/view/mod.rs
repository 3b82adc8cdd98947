//! PURE: the model on the screen. Only what is visible is built.

pub(crate) mod banner;
pub(crate) mod footer;
mod header;

use ratatui::Frame;
use ratatui::buffer::Buffer;

use super::layout::Class;
use super::model::Model;
use super::theme::Glyphs;
use crate::dialogs;
use crate::panes::{chunks, details, files, graph, holders, log, sources, transfers};
use crate::screens::welcome;

/// Draws everything.
pub fn view(model: &Model, frame: &mut Frame<'_>) {
    let areas = model.areas();
    // The terminal may have shrunk before the resize arrived.
    if frame.area() != areas.whole {
        return;
    }
    if areas.class == Class::Card {
        header::card(model, frame.buffer_mut(), areas.whole);
        return;
    }
    if model.is_welcome() {
        welcome::view::draw(model, frame);
    } else {
        let buf = frame.buffer_mut();
        header::draw(model, buf, areas.header);
        banner::draw(model, buf, areas.banner);
        header::strip(model, buf, areas.strip);
        details::view::info(model, buf, areas.info);
        chunks::view::draw(model, buf, areas.chunks);
        if model.swarm.open {
            holders::view::draw(model, buf, areas.sources);
        } else {
            sources::view::draw(model, buf, areas.sources);
        }
        graph::view::draw(model, buf, areas.graph);
        log::view::draw(model, buf, areas.log);
        header::summary(model, buf, areas.summary);
        if !areas.transfers.is_empty() {
            transfers::view::draw(model, buf, areas.transfers);
        }
        files::view::draw(model, frame, areas.files);
        log::view::cursor(model, frame, areas.log);
        footer::draw(model, frame.buffer_mut(), areas.footer);
    }
    dialogs::view::draw(model, frame);
    if model.theme.glyphs == Glyphs::Ascii {
        seven_bits(frame.buffer_mut());
    }
}

/// A terminal that shows seven bits gets no others, whatever stands in a text; names were escaped before.
fn seven_bits(buf: &mut Buffer) {
    for cell in &mut buf.content {
        let plain = match cell.symbol() {
            own if own.is_ascii() => continue,
            "·" | "–" | "—" => "-",
            "…" => ".",
            "×" => "x",
            _ => "?",
        };
        cell.set_symbol(plain);
    }
}
