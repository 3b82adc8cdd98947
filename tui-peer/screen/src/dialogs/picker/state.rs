//! A folder of this machine, to choose from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::id::ContentId;

use crate::field::Field;
use crate::filter::fold;
use crate::layout::tallest;
use crate::paths::{PathEntry, untyped};

/// What is marked in the picker.
pub type Marked = BTreeMap<PathBuf, (u64, bool)>;

/// Most names marked at once: every one becomes a share of its own.
pub const MAX_MARKED: usize = 1000;

/// The file picker.
#[derive(Debug, Clone)]
pub struct Picker {
    /// The folder shown.
    pub dir: PathBuf,
    /// Its names once they are known, or why it cannot be read.
    pub entries: Option<Result<Vec<PathEntry>, String>>,
    /// Cursor among the shown rows.
    pub cursor: usize,
    /// First visible row.
    pub offset: usize,
    /// Whether names with a dot are shown.
    pub hidden: bool,
    /// Only names with this.
    pub query: Field,
    /// Whether the query has the keys.
    pub filtering: bool,
    /// Marked names: size, and whether it is a folder.
    pub marked: Marked,
    /// Where the cursor goes once the names are there.
    pub seek: Option<String>,
    /// If not empty, a folder to download these to is looked for.
    pub save: Vec<ContentId>,
}

impl Picker {
    /// Rows of names in the picker, on a terminal of this size.
    pub fn rows_shown(size: (u16, u16)) -> usize {
        usize::from(tallest(size.1).saturating_sub(6)).max(1)
    }

    /// Begins in a folder.
    pub fn new(dir: PathBuf, save: Vec<ContentId>) -> Self {
        Self {
            dir,
            entries: None,
            cursor: 0,
            offset: 0,
            hidden: false,
            query: Field::default(),
            filtering: false,
            marked: Marked::new(),
            seek: None,
            save,
        }
    }

    /// Names that are shown, below the row that leads up.
    pub fn shown(&self) -> Vec<&PathEntry> {
        let Some(Ok(entries)) = &self.entries else { return Vec::new() };
        let needle = fold(self.query.text());
        entries
            .iter()
            .filter(|e| self.hidden || !e.name.starts_with('.'))
            .filter(|e| self.save.is_empty() || e.is_dir)
            .filter(|e| needle.is_empty() || fold(&e.name).contains(&needle))
            .collect()
    }

    /// Rows there are: the one that leads up is the first, unless this is the root or names are
    /// searched.
    pub fn rows(&self) -> usize {
        self.shown().len() + usize::from(self.has_up())
    }

    /// Whether the first row leads up.
    pub fn has_up(&self) -> bool {
        self.dir.parent().is_some() && self.query.text().is_empty()
    }

    /// The name under the cursor; `None` on the row that leads up.
    pub fn under_cursor(&self) -> Option<&PathEntry> {
        let at = self.cursor.checked_sub(usize::from(self.has_up()))?;
        self.shown().get(at).copied()
    }

    /// The path of a name in the folder.
    pub fn path_of(&self, entry: &PathEntry) -> PathBuf {
        self.dir.join(untyped(&entry.name))
    }

    /// Takes the names of the folder.
    pub fn fill(&mut self, entries: &Result<Vec<PathEntry>, String>) {
        self.entries = Some(entries.clone());
        let up = usize::from(self.has_up());
        let seek = self.seek.take();
        let found = seek.and_then(|name| self.shown().iter().position(|e| e.name == name));
        // Else on the first name, not on the way back.
        self.cursor = found.map_or(up, |at| at + up).min(self.rows().saturating_sub(1));
    }

    /// Another folder is to be shown; the cursor will be on `seek`.
    pub fn go(&mut self, dir: &Path, seek: Option<String>) {
        dir.clone_into(&mut self.dir);
        self.entries = None;
        self.cursor = 0;
        self.offset = 0;
        self.query.set("");
        self.filtering = false;
        self.seek = seek;
    }
}
