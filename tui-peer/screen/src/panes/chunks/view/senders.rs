//! Who sent it: the map's cells in the colours of the senders, their names below, and the same sign before
//! their rows among the sources.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::format;
use crate::heatmap::{Mode, Standing, buckets};
use crate::model::Model;
use crate::theme::{Depth, Theme};
use crate::ui::paint::{self, Piece};
use engine::api::snapshot::{Sent, SourceRow};

/// Letters of the senders that are told apart.
const LETTERS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// Who sent what of the selected content, if the map shows it and the engine has said it.
pub(crate) fn shown(model: &Model) -> Option<&Sent> {
    model.focus_data()?.sent.as_ref().filter(|_| model.chunks.senders && !model.swarm.open)
}

/// The map's cells; false if the engine's answer is for another map.
pub(crate) fn cells(model: &Model, buf: &mut Buffer, area: Rect, focused: bool) -> bool {
    let count = usize::from(area.width) * usize::from(area.height);
    let Some(sent) = shown(model) else { return false };
    if sent.buckets.len() != buckets(model.chunk_count(), count) {
        return false;
    }
    let map = &model.chunks.map;
    let here = focused.then(|| map.cell_of(model.chunks.cursor));
    let wide = match map.mode {
        Mode::Brick(k) => k.max(1),
        _ => 1,
    };
    let positions = (area.top()..area.bottom())
        .flat_map(|y| (area.left()..area.right()).map(move |x| (x, y)))
        .enumerate();
    for (cell, at) in positions {
        let Some(number) = sent.buckets.get(cell / wide).copied() else { break };
        let worst = match map.mode {
            Mode::Half => map.worst(cell * 2).or_else(|| map.worst(cell * 2 + 1)),
            Mode::Brick(_) => map.worst(cell / wide),
            _ => map.worst(cell),
        };
        let (sign, style) = match worst {
            // What is wrong is never hidden.
            Some(worst @ (Standing::Lack(0) | Standing::Bad)) => {
                (model.theme.chunk_glyph(worst), model.theme.chunk_style(worst))
            }
            _ => sign(model.theme, number),
        };
        if let Some(target) = buf.cell_mut(at) {
            let on = here == Some(cell);
            let style = if on { style.add_modifier(Modifier::REVERSED) } else { style };
            target.set_symbol(sign).set_style(style);
            if on && model.theme.depth == Depth::Mono {
                target.set_symbol("@");
            }
        }
    }
    true
}

/// A sender's sign in the map: a letter, or a block of its colour where there are enough colours.
fn sign(theme: Theme, number: u8) -> (&'static str, Style) {
    match number {
        Sent::NOTHING => (theme.dot_small(), theme.line()),
        Sent::BEFORE => (theme.before(), theme.line()),
        Sent::OTHERS => (theme.others(), theme.dim()),
        number => match theme.sender(number) {
            Some(color) if theme.depth == Depth::Full => ("█", Style::new().fg(color)),
            color => {
                let style = color.map_or(Style::new(), |color| Style::new().fg(color));
                (letter(number), style.add_modifier(Modifier::BOLD))
            }
        },
    }
}

fn letter(number: u8) -> &'static str {
    let at = usize::from(number).checked_sub(1);
    at.and_then(|at| LETTERS.get(at)).copied().unwrap_or("*")
}

/// A sender's letter in its colour.
fn swatch(theme: Theme, number: u8) -> Piece {
    let color = theme.sender(number);
    let style = color.map_or(Style::new(), |color| Style::new().fg(color));
    let style = style.add_modifier(Modifier::BOLD | Modifier::REVERSED);
    match number {
        Sent::OTHERS => (theme.others().to_owned(), theme.dim()),
        number => (letter(number).to_owned(), style),
    }
}

/// What stands before a source's name, if the map shows who sent it: its letter, or room for one.
pub(crate) fn before_name(model: &Model, source: &SourceRow) -> Option<Piece> {
    let sent = shown(model)?;
    Some(match sent.number(&source.peer) {
        Some(number) => swatch(model.theme, number),
        None if source.got > 0 && sent.others > 0 => swatch(model.theme, Sent::OTHERS),
        None => (" ".to_owned(), Style::new()),
    })
}

/// Who sent how much, as many as fit; those who sent most come first to be named.
pub(crate) fn legend(model: &Model, width: u16) -> Option<Vec<Piece>> {
    let sent = shown(model)?;
    let theme = model.theme;
    let known: u32 = sent.peers.iter().map(|(_, n)| n).sum::<u32>();
    let all = u64::from(known) + u64::from(sent.others) + u64::from(sent.before);
    let mut items: Vec<(u32, Piece, String)> = (1u8..)
        .zip(&sent.peers)
        .map(|(number, (peer, n))| (*n, swatch(theme, number), name(model, peer)))
        .collect();
    items.sort_by_key(|(n, ..)| std::cmp::Reverse(*n));
    let signs = [(sent.others, Sent::OTHERS, "others"), (sent.before, Sent::BEFORE, "before")];
    for (n, number, word) in signs.into_iter().filter(|(n, ..)| *n > 0) {
        let (text, style) = sign(theme, number);
        items.push((n, (text.to_owned(), style), word.to_owned()));
    }
    let mut out: Vec<Piece> = Vec::new();
    for (n, sign, word) in items {
        let percent = format::percent(u64::from(n), all.max(1));
        let next = [sign, (format!(" {word} {percent}  "), Style::new())];
        if paint::width(&out) + paint::width(&next) > width + 2 {
            break;
        }
        out.extend(next);
    }
    if out.is_empty() {
        out.push(("nothing was sent to us in this run".to_owned(), theme.dim()));
    }
    Some(out)
}

fn name(model: &Model, peer: &common::id::PeerId) -> String {
    const WIDTH: usize = 16;
    let source = model.source_rows().iter().find(|source| source.peer == *peer);
    let nick = source.map(|source| source.nick.clone()).filter(|nick| !nick.is_empty());
    let name = nick.unwrap_or_else(|| peer.short());
    model.theme.fit(&name, WIDTH)
}
