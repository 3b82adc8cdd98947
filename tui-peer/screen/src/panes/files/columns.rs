//! Columns of the lists, and which of them fit.

use crate::format;
use crate::model::{Model, Tab};

/// Narrowest name column before a column is dropped.
const MIN_NAME: u16 = 24;

/// The same for peers, whose names are mostly the start of a key.
const MIN_PEER: u16 = 16;

/// A column right of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Size,
    Sources,
    Avail,
    Bar,
    Done,
    Rate,
    /// The rate, or why there is none, where there is no room for both.
    Pace,
    Up,
    Sent,
    Others,
    Outlook,
    Address,
    Down,
    Got,
    Files,
    /// Contents a member shares.
    Shares,
    /// How long it has been in the network.
    Online,
    /// Members who share a file.
    Owner,
    Rtt,
    Priority,
    Since,
    State,
}

impl Column {
    pub(crate) fn head(self) -> &'static str {
        match self {
            Self::Size => "Size",
            Self::Sources => "Src",
            Self::Avail => "Avail",
            Self::Bar => "",
            Self::Done => "Done",
            Self::Rate | Self::Pace => "Rate",
            Self::Up => "Up",
            Self::Sent => "Sent",
            Self::Others => "Others",
            Self::Outlook => "ETA",
            Self::Address => "Address",
            Self::Down => "Down",
            Self::Got => "Got",
            Self::Files => "Files",
            Self::Shares => "Shares",
            Self::Online => "Online",
            Self::Owner => "Owner",
            Self::Rtt => "RTT",
            Self::Priority => "Prio",
            Self::Since => "Since",
            Self::State => "State",
        }
    }

    /// Whether it holds words, which begin where its heading does.
    pub(crate) fn is_left(self) -> bool {
        matches!(self, Self::Address | Self::State | Self::Owner)
    }

    pub(crate) fn width(self) -> u16 {
        match self {
            Self::Size | Self::Sent | Self::Got => format::SIZE_WIDTH,
            Self::Sources | Self::Avail | Self::Done | Self::Files => 5,
            Self::Shares => 6,
            Self::Bar => 12,
            Self::Rate | Self::Pace | Self::Up | Self::Down => format::RATE_WIDTH,
            Self::Outlook | Self::State => 10,
            Self::Priority => 5,
            Self::Others => 7,
            Self::Address => 21,
            Self::Rtt | Self::Since | Self::Online => 7,
            Self::Owner => 14,
        }
    }

    /// Columns of a tab from left to right, and in which order they go when it gets narrow. `members`: the tracker
    /// has said who is in the network.
    fn of(tab: Tab, members: bool) -> (&'static [Self], &'static [Self]) {
        match tab {
            Tab::Network => (
                &[
                    Self::Owner,
                    Self::Size,
                    Self::Sources,
                    Self::Avail,
                    Self::Bar,
                    Self::Done,
                    Self::Rate,
                    Self::Outlook,
                ],
                &[Self::Bar, Self::Outlook, Self::Avail, Self::Rate, Self::Owner, Self::Sources],
            ),
            Tab::Downloads => (
                &[Self::Size, Self::Priority, Self::Bar, Self::Done, Self::Rate, Self::Outlook],
                &[Self::Bar, Self::Priority, Self::Outlook, Self::Rate],
            ),
            Tab::Shared => (
                &[Self::Size, Self::Others, Self::Up, Self::Sent, Self::Outlook],
                &[Self::Others, Self::Sent, Self::Outlook, Self::Up],
            ),
            Tab::Peers if members => (
                &[
                    Self::Address,
                    Self::Shares,
                    Self::Online,
                    Self::Up,
                    Self::Sent,
                    Self::Down,
                    Self::Got,
                    Self::Files,
                    Self::Rtt,
                    Self::Since,
                    Self::State,
                ],
                &[
                    Self::Got,
                    Self::Rtt,
                    Self::Since,
                    Self::Files,
                    Self::Sent,
                    Self::Address,
                    Self::Down,
                    Self::Online,
                ],
            ),
            Tab::Peers => (
                &[
                    Self::Address,
                    Self::Up,
                    Self::Sent,
                    Self::Down,
                    Self::Got,
                    Self::Files,
                    Self::Rtt,
                    Self::Since,
                    Self::State,
                ],
                &[
                    Self::Got,
                    Self::Rtt,
                    Self::Down,
                    Self::Address,
                    Self::Files,
                    Self::Since,
                    Self::Sent,
                ],
            ),
        }
    }
}

/// Whether some row of the tab has something in a column. What is empty in all of them leaves its room to
/// the names. Looks at all transfers, not at the visible ones, so that nothing jumps while one scrolls.
fn is_used(model: &Model, column: Column) -> bool {
    let held = model.held;
    match (model.tab, column) {
        (_, Column::Owner) => model.owned.owners.as_ref().is_some_and(|owners| !owners.is_empty()),
        // Connected to nobody: who is in the network has an address.
        (
            Tab::Peers,
            Column::Up
            | Column::Sent
            | Column::Down
            | Column::Got
            | Column::Files
            | Column::Rtt
            | Column::Since,
        ) => !model.snap.peers.is_empty(),
        (Tab::Network, Column::Bar | Column::Rate) => held.unfinished,
        (Tab::Network, Column::Done) => held.any,
        (Tab::Network, Column::Outlook) => held.unfinished || held.wrong,
        (Tab::Downloads, Column::Bar | Column::Rate | Column::Outlook) => held.unfinished,
        (Tab::Downloads, Column::Priority) => held.weighed,
        _ => true,
    }
}

/// Columns of the open tab that fit, and the width left for the name.
pub(crate) fn fit(model: &Model, width: u16) -> (Vec<Column>, u16) {
    let tab = model.tab;
    let (all, drops) = Column::of(tab, model.crowd.has_members());
    let mut columns: Vec<Column> =
        all.iter().copied().filter(|column| is_used(model, *column)).collect();
    let mut drops = drops.iter();
    loop {
        let taken: u16 = columns.iter().map(|c| c.width() + 1).sum();
        // Cursor bar, glyph and a space stand before the name.
        let name = width.saturating_sub(taken + 4);
        let least = if tab == Tab::Peers { MIN_PEER } else { MIN_NAME };
        if name >= least {
            return (with_reason(columns), name);
        }
        match drops.next() {
            Some(drop) => columns.retain(|c| c != drop),
            None => return (with_reason(columns), name),
        }
    }
}

/// The reason stands in the row: if its own column had to go, where the rate would be.
fn with_reason(mut columns: Vec<Column>) -> Vec<Column> {
    if !columns.contains(&Column::Outlook) {
        for column in columns.iter_mut().filter(|column| **column == Column::Rate) {
            *column = Column::Pace;
        }
    }
    columns
}
