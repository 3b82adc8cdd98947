//! The panes, and the tabs of the first.

use super::super::action::Where;

/// A pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pane {
    /// Lists.
    Files,
    /// Chunk map.
    Chunks,
    /// Sources.
    Sources,
    /// Log.
    Log,
    /// Downloads, in the largest layout.
    Transfers,
}

impl Pane {
    /// In the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::Files, Self::Chunks, Self::Sources, Self::Log, Self::Transfers];

    /// For key look-up.
    pub fn place(self) -> Where {
        match self {
            Self::Files => Where::FILES,
            Self::Chunks => Where::CHUNKS,
            Self::Sources => Where::SOURCES,
            Self::Log => Where::LOG,
            Self::Transfers => Where::TRANSFERS,
        }
    }

    /// Its number and name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Files => "1 Files",
            Self::Chunks => "2 Chunks",
            Self::Sources => "3 Sources",
            Self::Log => "4 Log",
            Self::Transfers => "5 Transfers",
        }
    }
}

/// A tab of the files pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tab {
    /// The catalogue.
    Network,
    /// What we fetch or fetched.
    Downloads,
    /// What we share.
    Shared,
    /// Who we are connected to.
    Peers,
}

impl Tab {
    /// From left to right.
    pub const ALL: [Self; 4] = [Self::Network, Self::Downloads, Self::Shared, Self::Peers];

    /// Its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Network => "Network",
            Self::Downloads => "Downloads",
            Self::Shared => "Shared",
            Self::Peers => "Peers",
        }
    }
}
