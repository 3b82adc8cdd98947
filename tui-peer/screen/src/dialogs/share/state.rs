//! A path that is typed, to share it or to download to it.

use std::path::PathBuf;

use common::id::ContentId;

use crate::field::Field;
use crate::paths::{Measure, PathEntry};
use engine::api::command::Priority;

/// What is being typed in the share dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShareField {
    /// The path.
    #[default]
    Path,
    /// The name for others.
    Name,
}

/// The share dialog.
#[derive(Debug, Clone)]
pub struct SharePath {
    /// Path being typed.
    pub field: Field,
    /// Name for others; the file's own if empty.
    pub name: Field,
    /// Which of the two has the keys.
    pub active: ShareField,
    /// The folder that `entries` are of.
    pub dir: Option<PathBuf>,
    /// Its names, or why it cannot be read.
    pub entries: Result<Vec<PathEntry>, String>,
    /// Chosen one of the matching names.
    pub cursor: Option<usize>,
    /// What sharing would mean: of which path, and the answer once there is one.
    pub measured: Option<(PathBuf, Option<Result<Measure, String>>)>,
    /// What went wrong.
    pub error: Option<String>,
    /// If not empty, the path is where to download these to.
    pub save: Vec<ContentId>,
    /// How important these are.
    pub priority: Priority,
    /// Whether their chunks come in order.
    pub sequential: bool,
}

impl Default for SharePath {
    fn default() -> Self {
        Self {
            field: Field::default(),
            name: Field::default(),
            active: ShareField::Path,
            dir: None,
            entries: Ok(Vec::new()),
            cursor: None,
            measured: None,
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

    /// The path meant: as typed, or with the chosen name.
    pub fn meant(&self) -> String {
        match self.cursor.and_then(|at| self.matching().get(at).map(|e| e.name.clone())) {
            Some(name) => format!("{}{name}", self.split().0),
            None => self.field.text().trim_start().to_owned(),
        }
    }
}
