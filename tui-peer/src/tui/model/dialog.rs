//! What is asked in front of the panes.

use std::collections::HashSet;
use std::path::PathBuf;

use common::id::{ContentId, PeerId};
use common::join::{Link, parse_any};

use crate::engine::command::Priority;
use crate::engine::snapshot::FolderEntry;

use super::super::field::Field;
use super::super::layout::Class;
use super::Panel;
use super::{LimitOne, Picks};

/// Good, bad or neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Only said.
    Plain,
    /// Less important.
    Dim,
    /// Be careful.
    Warn,
    /// Wrong.
    Bad,
}

/// A line of text with a tone.
pub type Line = (Tone, String);

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
    },
    /// Share a path.
    Share(SharePath),
    /// Get a link, or join a network.
    Link(GetLink),
    /// A question.
    Confirm(Confirm),
    /// Files of a folder.
    Contents(Contents),
    /// Bans, or names waited for.
    Picks(Picks),
    /// Limits of one content.
    Limit(LimitOne),
    /// Settings.
    Settings(Panel),
}

/// A name in a folder of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathEntry {
    /// As the system gives it.
    pub name: String,
    /// Folder or file.
    pub is_dir: bool,
    /// Bytes, of a file.
    pub size: u64,
}

/// The share dialog.
#[derive(Debug, Clone)]
pub struct SharePath {
    /// Path being typed.
    pub field: Field,
    /// The folder that `entries` are of.
    pub dir: Option<PathBuf>,
    /// Its names, or why it cannot be read.
    pub entries: Result<Vec<PathEntry>, String>,
    /// Chosen one of the matching names.
    pub cursor: Option<usize>,
    /// What went wrong.
    pub error: Option<String>,
    /// If not empty, the path is where to download these to.
    pub save: Vec<ContentId>,
    /// How important these are.
    pub priority: Priority,
    /// Whether their chunks come in order.
    pub sequential: bool,
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

/// The files of a folder.
#[derive(Debug, Clone)]
pub struct Contents {
    /// Which folder.
    pub id: ContentId,
    /// Its name.
    pub name: String,
    /// Its files, once known, or why not.
    pub entries: Option<Result<Vec<FolderEntry>, String>>,
    /// Chosen files, by their raw path.
    pub wanted: HashSet<String>,
    /// Cursor.
    pub cursor: usize,
    /// First visible row.
    pub offset: usize,
    /// Only paths with this.
    pub query: Field,
    /// Whether the query has the keys.
    pub filtering: bool,
}

impl Contents {
    /// Files that match the query, as places in the list.
    pub fn shown(&self) -> Vec<usize> {
        let needle = super::super::filter::fold(self.query.text());
        match &self.entries {
            Some(Ok(entries)) => entries
                .iter()
                .enumerate()
                .filter(|(_, e)| {
                    needle.is_empty() || super::super::filter::fold(&e.path).contains(&needle)
                })
                .map(|(i, _)| i)
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The file under the cursor.
    pub fn under_cursor(&self) -> Option<&FolderEntry> {
        let at = *self.shown().get(self.cursor)?;
        self.entries.as_ref()?.as_ref().ok()?.get(at)
    }
}

impl Default for SharePath {
    fn default() -> Self {
        Self {
            field: Field::default(),
            dir: None,
            entries: Ok(Vec::new()),
            cursor: None,
            error: None,
            save: Vec::new(),
            priority: Priority::Normal,
            sequential: false,
        }
    }
}

impl SharePath {
    /// The folder named so far and the beginning of a name in it, as typed.
    pub fn split(&self) -> (&str, &str) {
        let text = self.field.text();
        match text.rfind('/') {
            Some(at) => text.split_at(at + 1),
            None => ("", text),
        }
    }

    /// Names that complete what was typed.
    pub fn matching(&self) -> Vec<&PathEntry> {
        let (_, stem) = self.split();
        let Ok(entries) = &self.entries else { return Vec::new() };
        let hidden = stem.starts_with('.');
        let lower = stem.to_lowercase();
        entries
            .iter()
            .filter(|e| (hidden || !e.name.starts_with('.')) && (self.save.is_empty() || e.is_dir))
            .filter(|e| e.name.starts_with(stem) || e.name.to_lowercase().starts_with(&lower))
            .collect()
    }
}

impl Dialog {
    /// Rows of the list in a dialog that has one, for scrolling by pages.
    pub fn page(&self, class: Class) -> usize {
        if matches!(class, Class::Card | Class::Small) { 6 } else { 12 }
    }
}
