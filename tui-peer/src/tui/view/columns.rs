//! Columns of the lists, and which of them fit.

use super::super::format;
use super::super::model::Tab;

/// Narrowest name column before a column is dropped.
const MIN_NAME: u16 = 24;

/// The same for peers, whose names are mostly the start of a key.
const MIN_PEER: u16 = 16;

/// A column right of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Size,
    Sources,
    Avail,
    Bar,
    Done,
    Rate,
    Up,
    Sent,
    Others,
    Outlook,
    Address,
    Down,
    Got,
    Files,
    Rtt,
    Priority,
    Since,
    State,
}

impl Column {
    pub(super) fn head(self) -> &'static str {
        match self {
            Self::Size => "Size",
            Self::Sources => "Src",
            Self::Avail => "Avail",
            Self::Bar => "",
            Self::Done => "Done",
            Self::Rate => "Rate",
            Self::Up => "Up",
            Self::Sent => "Sent",
            Self::Others => "Others",
            Self::Outlook => "ETA",
            Self::Address => "Address",
            Self::Down => "Down",
            Self::Got => "Got",
            Self::Files => "Files",
            Self::Rtt => "RTT",
            Self::Priority => "Prio",
            Self::Since => "Since",
            Self::State => "State",
        }
    }

    pub(super) fn width(self) -> u16 {
        match self {
            Self::Size | Self::Sent | Self::Got => format::SIZE_WIDTH,
            Self::Sources | Self::Avail | Self::Done | Self::Files => 5,
            Self::Bar => 12,
            Self::Rate | Self::Up | Self::Down => format::RATE_WIDTH,
            Self::Outlook | Self::State => 10,
            Self::Priority => 5,
            Self::Others => 7,
            Self::Address => 21,
            Self::Rtt | Self::Since => 7,
        }
    }

    /// Columns of a tab from left to right, and in which order they go when it gets narrow.
    pub(super) fn of(tab: Tab) -> (&'static [Self], &'static [Self]) {
        match tab {
            Tab::Network => (
                &[Self::Size, Self::Sources, Self::Avail, Self::Done, Self::Outlook],
                &[Self::Avail, Self::Outlook, Self::Sources],
            ),
            Tab::Downloads => (
                &[Self::Size, Self::Priority, Self::Bar, Self::Done, Self::Rate, Self::Outlook],
                &[Self::Bar, Self::Priority, Self::Rate, Self::Outlook],
            ),
            Tab::Shared => (
                &[Self::Size, Self::Others, Self::Up, Self::Sent, Self::Outlook],
                &[Self::Others, Self::Sent, Self::Outlook, Self::Up],
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

/// Columns that fit, and the width left for the name.
pub(super) fn fit(tab: Tab, width: u16) -> (Vec<Column>, u16) {
    let (all, drops) = Column::of(tab);
    let mut columns = all.to_vec();
    let mut drops = drops.iter();
    loop {
        let taken: u16 = columns.iter().map(|c| c.width() + 1).sum();
        // Cursor bar, glyph and a space stand before the name.
        let name = width.saturating_sub(taken + 4);
        let least = if tab == Tab::Peers { MIN_PEER } else { MIN_NAME };
        if name >= least {
            return (columns, name);
        }
        match drops.next() {
            Some(drop) => columns.retain(|c| c != drop),
            None => return (columns, name),
        }
    }
}
