//! What is asked in front of the panes.

use common::id::{ContentId, PeerId};
use common::join::{Link, parse_any};

use super::{Contents, LimitOne, Line, Panel, Picker, Picks, SharePath};
use crate::tui::field::Field;

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

/// The dialog for links and join strings.
#[derive(Debug, Clone, Default)]
pub struct GetLink {
    /// Text being typed.
    pub field: Field,
    /// Whether a join string is what is wanted.
    pub joining: bool,
    /// What went wrong.
    pub error: Option<String>,
}

impl GetLink {
    /// What the text means.
    pub fn parsed(&self) -> Option<Result<Link, String>> {
        let text = self.field.text().trim();
        (!text.is_empty()).then(|| parse_any(text).map_err(|error| error.to_string()))
    }
}

/// What pressing a button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Nothing.
    Stay,
    /// Quit as soon as nothing runs.
    QuitWhenIdle,
    /// Quit.
    Quit,
    /// Close the screen, go on serving.
    ServeOn,
    /// Rejoin the network of the last run.
    Rejoin,
    /// Leave as soon as nothing runs.
    LeaveWhenIdle,
    /// Leave.
    Leave,
    /// Forget these downloads.
    Remove,
    /// No longer share these.
    Unshare,
    /// Stop the program and return to the shell.
    Suspend,
    /// Do not talk to this peer, for ever or for a while.
    Ban(PeerId, bool),
}

/// A button.
#[derive(Debug, Clone)]
pub struct Button {
    /// Its label.
    pub label: &'static str,
    /// What it does.
    pub choice: Choice,
}

/// A question with buttons; the first is the safe answer and chosen at the start.
#[derive(Debug, Clone)]
pub struct Confirm {
    /// The question.
    pub title: String,
    /// Who loses what.
    pub lines: Vec<Line>,
    /// Answers.
    pub buttons: Vec<Button>,
    /// The chosen one.
    pub selected: usize,
    /// A box to tick, and whether it is.
    pub tick: Option<(&'static str, bool)>,
    /// What it is about.
    pub ids: Vec<ContentId>,
}

impl Confirm {
    /// The letter of every button: the first of its label that no button before it has.
    pub fn letters(&self) -> Vec<Option<char>> {
        let mut taken: Vec<char> = Vec::new();
        let letter = |button: &Button| {
            let letters = button.label.chars().filter(|c| c.is_alphanumeric());
            let free = letters.map(|c| c.to_ascii_lowercase()).find(|c| !taken.contains(c));
            taken.extend(free);
            free
        };
        self.buttons.iter().map(letter).collect()
    }
}
