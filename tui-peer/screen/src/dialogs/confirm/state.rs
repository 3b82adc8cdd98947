//! A question with buttons.

use common::id::{ContentId, PeerId};

use crate::tone::Line;

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
