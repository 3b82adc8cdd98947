//! Walking through the folders of this machine and marking what to share, or where to save.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::field::Field;
use super::PathEntry;

/// Most things shared with one key press; each is a command to the engine.
pub const MAX_MARKS: usize = 500;

/// The file picker.
#[derive(Debug, Clone)]
pub struct Picker {
    /// The folder shown.
    pub dir: PathBuf,
    /// Its names once they are read, or why they cannot be.
    pub entries: Option<Result<Vec<PathEntry>, String>>,
    /// Chosen row; row 0 is the folder above.
    pub cursor: usize,
    /// First visible row.
    pub offset: usize,
    /// What is marked, in any folder.
    pub marks: BTreeSet<PathBuf>,
    /// Whether names that begin with a dot are shown.
    pub hidden: bool,
    /// Only names with this.
    pub query: Field,
    /// Whether the query has the keys.
    pub filtering: bool,
    /// Whether a folder to save in is wanted, instead of things to share.
    pub saving: bool,
}

impl Picker {
    /// At a folder that is yet to be read.
    pub fn new(dir: PathBuf, saving: bool) -> Self {
        Self {
            dir,
            entries: None,
            cursor: 0,
            offset: 0,
            marks: BTreeSet::new(),
            hidden: false,
            query: Field::default(),
            filtering: false,
            saving,
        }
    }

    /// Goes to another folder, which is yet to be read.
    pub fn go(&mut self, dir: PathBuf) {
        self.dir = dir;
        self.entries = None;
        self.cursor = 0;
        self.offset = 0;
        self.query.set("");
        self.filtering = false;
    }

    /// The rows after the folder above.
    pub fn rows(&self) -> Vec<&PathEntry> {
        let Some(Ok(entries)) = &self.entries else { return Vec::new() };
        let needle = self.query.text().to_lowercase();
        entries
            .iter()
            .filter(|e| self.hidden || !e.name.starts_with('.'))
            .filter(|e| !self.saving || e.is_dir)
            .filter(|e| needle.is_empty() || e.name.to_lowercase().contains(&needle))
            .collect()
    }

    /// The name under the cursor; `None` on the folder above.
    pub fn under_cursor(&self) -> Option<&PathEntry> {
        self.rows().get(self.cursor.checked_sub(1)?).copied()
    }

    /// Where a name of this folder is.
    pub fn path_of(&self, entry: &PathEntry) -> PathBuf {
        self.dir.join(&entry.raw)
    }

    /// Marks or unmarks; says whether there was room for one more.
    pub fn toggle(&mut self, path: &Path) -> bool {
        if self.marks.remove(path) {
            return true;
        }
        let room = self.marks.len() < MAX_MARKS;
        if room {
            self.marks.insert(path.to_owned());
        }
        room
    }
}
