//! What is asked in front of the panes.

use common::id::ContentId;

use super::confirm::state::Confirm;
use super::contents::state::Contents;
use super::link::state::GetLink;
use super::picker::state::Picker;
use super::picks::state::{LimitOne, Picks};
use super::share::state::SharePath;
use crate::field::Field;
use crate::screens::settings::state::Panel;
use crate::tone::Line;

/// Something in front of the panes.
#[derive(Debug, Clone)]
pub enum Dialog {
    /// Keys.
    Help {
        /// First visible row.
        scroll: usize,
        /// Only rows with this.
        query: Field,
    },
    /// All commands.
    Palette {
        /// Only commands with this.
        query: Field,
        /// Chosen row.
        cursor: usize,
    },
    /// Order of the list.
    Sort {
        /// Chosen row.
        cursor: usize,
    },
    /// Why something is slow or stuck.
    Why {
        /// Title.
        title: String,
        /// The answer.
        lines: Vec<Line>,
        /// What it is about: as long as it is selected, the answer is that of now.
        about: Option<ContentId>,
    },
    /// Share a path.
    Share(SharePath),
    /// Choose files of this machine.
    Picker(Picker),
    /// Get a link, or join a network.
    Link(GetLink),
    /// A question.
    Confirm(Confirm),
    /// Files of a folder.
    Contents(Contents),
    /// Bans, or names you wait for.
    Picks(Picks),
    /// Limits of one content.
    Limit(LimitOne),
    /// Settings.
    Settings(Panel),
}
