//! The screen shown while there is no network.

use std::net::SocketAddr;
use std::path::PathBuf;

use common::id::PeerId;
use common::join::{JoinString, Link, parse_any};
use common::near::{Near, NearNetwork};

use crate::field::Field;

/// A line of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stop {
    /// The join string.
    #[default]
    Tracker,
    /// A network near, by its tracker's key.
    Near(PeerId),
    /// The address we listen on.
    Listen,
    /// Where downloads go.
    Downloads,
    /// What to share.
    Share,
    /// How the others see us.
    Nick,
    /// Start a tracker here.
    Host,
    /// Look around in a network of its own.
    Demo,
}

impl Stop {
    /// From top to bottom, without networks near: these follow the first.
    pub const ALL: [Self; 7] = [
        Self::Tracker,
        Self::Listen,
        Self::Downloads,
        Self::Share,
        Self::Nick,
        Self::Host,
        Self::Demo,
    ];

    /// Its label, where it has a value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tracker => "Tracker",
            Self::Listen => "Listen on",
            Self::Downloads => "Downloads",
            Self::Share => "Share",
            Self::Nick => "Your name",
            Self::Near(_) | Self::Host | Self::Demo => "",
        }
    }
}

/// Something looked at: what, and the answer once there is one.
pub type Check<Of, Answer> = Option<(Of, Option<Result<Answer, String>>)>;

/// The screen shown while there is no network.
#[derive(Debug, Clone, Default)]
pub struct Welcome {
    /// Chosen line.
    pub stop: Stop,
    /// Join string being typed.
    pub field: Field,
    /// Networks that announce themselves.
    pub near: Near,
    /// Another address to listen on, if it was changed.
    pub listen: Option<Field>,
    /// Another folder for downloads, if it was changed.
    pub downloads: Option<Field>,
    /// Another name, if it was changed.
    pub nick: Option<Field>,
    /// Whether the tracker answers, in milliseconds.
    pub tracker_check: Check<JoinString, u64>,
    /// Whether the address is free; port 0 was asked for any free port.
    pub listen_check: Check<SocketAddr, SocketAddr>,
    /// Whether downloads can go there: free bytes, and whether the folder is there already.
    pub folder_check: Check<PathBuf, (Option<u64>, bool)>,
    /// What went wrong with the last try.
    pub error: Option<String>,
    /// Whether an answer is awaited.
    pub busy: bool,
}

impl Welcome {
    /// The network near on the chosen line.
    pub fn chosen_near(&self) -> Option<&NearNetwork> {
        let Stop::Near(key) = self.stop else { return None };
        self.near.networks.iter().find(|network| network.key == key)
    }

    /// What the join string means.
    pub fn parsed(&self) -> Option<Result<JoinString, String>> {
        let text = self.field.text().trim();
        let link = (!text.is_empty()).then(|| parse_any(text).map_err(|error| error.to_string()));
        Some(link?.map(|link| match link {
            Link::Join(join) => join,
            Link::File(file) => file.join().clone(),
        }))
    }
}
