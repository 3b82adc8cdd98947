//! The panes, and the tabs of the first.

use crate::action::{Action, Where};
use crate::keymap::Keymap;

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

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "Files",
            Self::Chunks => "Chunks",
            Self::Sources => "Sources",
            Self::Log => "Log",
            Self::Transfers => "Transfers",
        }
    }

    /// What goes there.
    pub fn action(self) -> Action {
        match self {
            Self::Files => Action::Pane1,
            Self::Chunks => Action::Pane2,
            Self::Sources => Action::Pane3,
            Self::Log => Action::Pane4,
            Self::Transfers => Action::Pane5,
        }
    }

    /// The key that goes there, if there is one, and its name: `1 Files`.
    pub fn title(self, keymap: &Keymap) -> String {
        keymap.does(self.action(), self.name()).unwrap_or_else(|| self.name().to_owned())
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
