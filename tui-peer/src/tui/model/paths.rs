//! Names of files of this machine: the share dialog and the file picker.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use common::id::ContentId;

use crate::engine::command::Priority;
use crate::tui::field::Field;
use crate::tui::filter::fold;

/// A name in a folder of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathEntry {
    /// As it is typed: bytes that are no text, and control characters, as `\xHH` (see [`typed`]).
    pub name: String,
    /// Folder or file.
    pub is_dir: bool,
    /// Bytes, of a file.
    pub size: u64,
    /// Names in it, of a folder, if they were counted.
    pub items: Option<u32>,
    /// Whether we may read it.
    pub readable: bool,
}

/// How a name of the disk is typed: as it is, except bytes that are no text, control characters and
/// what would be mistaken for them, which become `\xHH`.
pub fn typed(name: &OsStr) -> String {
    let mut out = String::new();
    for part in name.as_bytes().utf8_chunks() {
        let text = part.valid();
        for (at, c) in text.char_indices() {
            let mistaken = c == '\\' && code(&text.as_bytes()[at..]).is_some();
            if c.is_control() || mistaken {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    out.push_str(&format!("\\x{byte:02X}"));
                }
            } else {
                out.push(c);
            }
        }
        for byte in part.invalid() {
            out.push_str(&format!("\\x{byte:02X}"));
        }
    }
    out
}

/// The name that was typed: the other direction of [`typed`].
pub fn untyped(text: &str) -> OsString {
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let [first, tail @ ..] = rest {
        match code(rest) {
            Some(byte) => {
                out.push(byte);
                rest = rest.get(4..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(out)
}

/// The byte that `\xHH` at the beginning stands for.
fn code(bytes: &[u8]) -> Option<u8> {
    let [b'\\', b'x', high, low, ..] = bytes else { return None };
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(*high)? * 16 + digit(*low)?)
}

/// What sharing a path would mean.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measure {
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Chunks they make.
    pub chunks: u64,
    /// What cannot be read, or is neither file nor folder.
    pub unreadable: u64,
    /// Whether there was too much to look at all of it.
    pub partly: bool,
    /// Bytes hashed per second, measured on the beginning of it; 0 if there was nothing to measure.
    pub rate: f64,
}

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
        usize::from(size.1.saturating_sub(2).min(30).saturating_sub(6)).max(1)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_name_can_be_typed(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let name = OsString::from_vec(bytes);
            let text = typed(&name);
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert_eq!(untyped(&text), name);
        }

        #[test]
        fn names_with_backslashes_can_be_typed(name in r"[\\xX0-9a-f ]{0,12}") {
            prop_assert_eq!(untyped(&typed(OsStr::new(&name))), OsString::from(name));
        }
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        assert_eq!(typed(OsStr::new("日本 a\\b.txt")), "日本 a\\b.txt");
        assert_eq!(typed(OsStr::from_bytes(b"caf\xe9\n")), "caf\\xE9\\x0A");
    }
}
