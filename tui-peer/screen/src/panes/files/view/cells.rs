//! Cells of the lists.

use ratatui::style::Style;

use crate::model::{Model, Peer, Tab};
use crate::panes::files::columns::Column;
use crate::theme::Theme;
use crate::ui::paint::Piece;
use crate::{format, labels};
use engine::api::command::Priority;
use engine::api::snapshot::{CatalogueRow, PeerRow, Transfer, TransferState, Upload};

/// Columns of the name of whoever shares a file.
const OWNER: usize = 14;

pub(crate) fn plain(text: String) -> Piece {
    (text, Style::new())
}

pub(crate) fn catalogue_cell(
    model: &Model,
    row: &CatalogueRow,
    own: Option<&Transfer>,
    column: Column,
) -> Piece {
    let theme = model.theme;
    match column {
        Column::Size => plain(format::size(row.size, model.units)),
        Column::Sources => {
            // Ourselves not counted: the sources of a download are others.
            let sources = own.filter(|t| t.is_unfinished()).map_or(row.sources, |t| t.sources);
            let style = if sources == 0 { theme.dim() } else { Style::new() };
            (format::short_count(u64::from(sources)), style)
        }
        Column::Avail => match own.and_then(|t| t.availability) {
            Some(copies) => availability(model, copies),
            None if row.sources == 0 => (theme.dash().to_owned(), theme.dim()),
            None => plain(format::short_count(u64::from(row.complete))),
        },
        Column::Owner => {
            match model.owned.owners.as_ref().map_or(&[][..], |o| o.of_file(&row.id)) {
                [] => Piece::default(),
                [one] => plain(theme.fit(&one.name, OWNER)),
                [first, rest @ ..] => {
                    let more = format!(" +{}", rest.len());
                    let room = OWNER.saturating_sub(more.len());
                    plain(theme.fit(&first.name, room) + &more)
                }
            }
        }
        Column::Bar | Column::Rate | Column::Pace if !own.is_some_and(Transfer::is_unfinished) => {
            Piece::default()
        }
        column => own.map_or_else(Piece::default, |t| transfer_cell(model, t, column)),
    }
}

pub(crate) fn availability(model: &Model, copies: f32) -> Piece {
    let text = format::availability(copies);
    if copies < 1.0 { (format!("{text}!"), model.theme.error()) } else { plain(text) }
}

pub(crate) fn transfer_cell(model: &Model, t: &Transfer, column: Column) -> Piece {
    let theme = model.theme;
    match column {
        Column::Size => plain(format::size(t.size, model.units)),
        Column::Sources => plain(format::short_count(u64::from(t.sources))),
        Column::Avail => {
            t.availability.map_or_else(Piece::default, |copies| availability(model, copies))
        }
        Column::Bar => (progress(theme, t, 12), theme.accent()),
        Column::Done if t.state == TransferState::Queued && t.done == 0 => Piece::default(),
        Column::Done => plain(done(t)),
        Column::Rate | Column::Down => plain(format::rate(t.down_rate, theme.dash(), model.units)),
        Column::Pace if t.down_rate >= 1.0 => transfer_cell(model, t, Column::Rate),
        Column::Pace => transfer_cell(model, t, Column::Outlook),
        Column::Up => plain(format::rate(t.up_rate, theme.dash(), model.units)),
        Column::Sent | Column::Got => plain(format::size(t.uploaded, model.units)),
        Column::Others => {
            let style = if t.other_complete == 0 { theme.warn() } else { Style::new() };
            (
                if t.other_complete == 0 {
                    "only me".to_owned()
                } else {
                    t.other_complete.to_string()
                },
                style,
            )
        }
        Column::Outlook => {
            let text = match t.state {
                TransferState::Sharing if t.wanted_by > 0 && model.tab == Tab::Shared => {
                    format!("{} fetch", t.wanted_by)
                }
                TransferState::Getting if t.eta_s.is_none() && t.down_rate >= 1.0 => {
                    theme.dash().to_owned()
                }
                _ => labels::outlook(t),
            };
            let style = match t.differs() {
                _ if labels::is_wrong(t) => theme.error(),
                Some(_) if t.wanted_by == 0 => theme.warn(),
                _ => Style::new(),
            };
            (text, style)
        }
        Column::Priority => match t.plan.priority {
            Priority::Normal => Piece::default(),
            _ if !t.is_unfinished() => Piece::default(),
            Priority::Low => (t.plan.priority.word().to_owned(), theme.dim()),
            Priority::High | Priority::First => (t.plan.priority.word().to_owned(), theme.bold()),
        },
        Column::Address
        | Column::Files
        | Column::Shares
        | Column::Online
        | Column::Owner
        | Column::Rtt
        | Column::Since
        | Column::State => Piece::default(),
    }
}

/// What the tracker says of somebody, and what our connection does if there is one.
pub(crate) fn peer_cell(model: &Model, peer: &Peer<'_>, column: Column) -> Piece {
    let theme = model.theme;
    match (column, peer.member, peer.connected) {
        (Column::Address, ..) => {
            peer.addr().map_or_else(|| (theme.dash().to_owned(), theme.dim()), plain)
        }
        (Column::Shares, Some(member), _) => plain(format::short_count(u64::from(member.shares))),
        (Column::Shares, None, _) => (theme.dash().to_owned(), theme.dim()),
        (Column::Online, Some(member), _) => {
            plain(format::lasting(model.now.unix().saturating_sub(member.since)))
        }
        (Column::Online, None, _) => (theme.dash().to_owned(), theme.dim()),
        (_, _, Some(connected)) => connected_cell(model, connected, column),
        (Column::State, _, None) if peer.peer == model.snap.me.peer => {
            ("this peer".to_owned(), theme.dim())
        }
        (_, _, None) => Piece::default(),
    }
}

fn connected_cell(model: &Model, peer: &PeerRow, column: Column) -> Piece {
    let theme = model.theme;
    match column {
        Column::Down | Column::Rate | Column::Pace => {
            plain(format::rate(peer.down_rate, theme.dash(), model.units))
        }
        Column::Up => plain(format::rate(peer.up_rate, theme.dash(), model.units)),
        Column::Got => plain(format::size(peer.down, model.units)),
        Column::Sent => plain(format::size(peer.up, model.units)),
        Column::Files => plain(format::short_count(u64::from(peer.contents))),
        Column::Rtt => plain(rtt(peer.rtt_ms, theme.dash())),
        Column::Since => plain(labels::age(model.age(peer.since))),
        Column::State => {
            let style = match peer.upload {
                Upload::Sending => theme.accent(),
                Upload::Queued(_) => theme.warn(),
                Upload::Idle => theme.dim(),
            };
            (labels::upload(peer.upload), style)
        }
        _ => Piece::default(),
    }
}

/// A round trip in at most seven columns.
pub(crate) fn rtt(ms: Option<u32>, none: &str) -> String {
    match ms {
        None => none.to_owned(),
        Some(ms @ 0..1000) => format!("{ms} ms"),
        Some(ms) => format!("{:.1} s", (f64::from(ms) / 1000.0).min(9999.0)),
    }
}

/// How much of it is here. All bytes here is not yet all: only verified and in place is.
pub(crate) fn done(t: &Transfer) -> String {
    if !is_whole(t) && t.done >= t.size {
        "99.9%".to_owned()
    } else {
        format::percent(t.done, t.size)
    }
}

fn is_whole(t: &Transfer) -> bool {
    matches!(t.state, TransferState::Sharing | TransferState::Changed) || t.size == 0
}

/// A progress bar, in eighths of a cell where there are signs for them; full only when [`done`] is.
pub(crate) fn progress(theme: Theme, t: &Transfer, cells: usize) -> String {
    let (full, empty) = theme.bar_parts();
    let parts = theme.bar_eighths();
    let steps = cells * parts.len();
    let share = t.done.min(t.size) as f64 / t.size.max(1) as f64;
    let most = if is_whole(t) { steps } else { steps.saturating_sub(1) };
    let step = if t.size == 0 { steps } else { ((share * steps as f64) as usize).min(most) };
    let (whole, rest) = (step / parts.len().max(1), step % parts.len().max(1));
    let mut out = full.repeat(whole);
    if rest > 0 {
        out.push_str(parts.get(rest).copied().unwrap_or(empty));
    }
    let used = whole + usize::from(rest > 0);
    out + &empty.repeat(cells.saturating_sub(used))
}
