//! What a folder contains: a canonical MessagePack document, itself content.
//!
//! Canonical means that there is exactly one encoding of a folder: entries sorted by path bytes, no
//! entry twice, the encoder's own bytes. [`Manifest::parse`] refuses everything else, so the root of
//! the manifest identifies the folder. No symbolic links.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::content::{Descriptor, Kind};
use crate::hash::sha256;
use crate::id::Hash;
use crate::layout::{Layout, TooManyChunks};
use crate::limits::{MAX_MANIFEST_ENTRIES, MAX_MANIFEST_LEN, MAX_PATH_DEPTH, MAX_PATH_LEN};
use crate::merkle::{block_hashes, chunk_hash};
use crate::names::{NameError, Places, check_component, safe_component};
use crate::wire::{WireError, pack};

/// Version of the manifest format.
const VERSION: u8 = 1;
/// Most bytes all files of a folder may have together: sums stay far from overflow.
const MAX_TOTAL: u64 = 1 << 56;

/// File or folder within a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder; listed only so that empty ones exist at the other end.
    Dir,
}

impl From<EntryKind> for u8 {
    fn from(kind: EntryKind) -> Self {
        kind as Self
    }
}

impl TryFrom<u8> for EntryKind {
    type Error = String;

    fn try_from(byte: u8) -> Result<Self, Self::Error> {
        match byte {
            0 => Ok(Self::File),
            1 => Ok(Self::Dir),
            other => Err(format!("unknown entry kind {other}")),
        }
    }
}

/// One file or folder of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Path below the folder, component by component.
    #[serde(rename = "p", deserialize_with = "bounded_path")]
    pub path: Vec<String>,
    /// File or folder.
    #[serde(rename = "k")]
    pub kind: EntryKind,
    /// Length in bytes; 0 for a folder.
    #[serde(rename = "s")]
    pub size: u64,
    /// BEP 52 root; of a folder and of an empty file: SHA-256 of nothing.
    #[serde(rename = "r")]
    pub root: Hash,
    /// Whether the file is executable.
    #[serde(rename = "x")]
    pub exec: bool,
    /// Time of the last change, in seconds since 1970.
    #[serde(rename = "m")]
    pub mtime: i64,
}

/// A folder that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    name: String,
    entries: Vec<Entry>,
    /// Index into `entries` of every file, in order.
    files: Vec<u32>,
    layout: Arc<Layout>,
}

/// Why a manifest is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Longer than 256 MiB.
    #[error("manifest is {0} bytes long, the most is {MAX_MANIFEST_LEN}")]
    TooLong(usize),
    /// Not the MessagePack document it should be.
    #[error(transparent)]
    Malformed(#[from] WireError),
    /// Made by a newer version.
    #[error("manifest version {0} is not known; a newer version of this program made it")]
    Version(u8),
    /// Too many files and folders.
    #[error("folder has {0} entries, the most is {MAX_MANIFEST_ENTRIES}")]
    TooManyEntries(usize),
    /// A name that could do harm, or that no disk can hold.
    #[error("entry {entry}: {why}")]
    Name {
        /// Which entry, counted from zero (the folder's own name: `usize::MAX`).
        entry: usize,
        /// What is wrong.
        why: NameError,
    },
    /// A path with too many components, or too long, or of no component.
    #[error("entry {entry}: path is empty, too deep or too long")]
    Path {
        /// Which entry.
        entry: usize,
    },
    /// Entries are not sorted, or one stands twice.
    #[error("entry {entry}: not in order, or twice")]
    Order {
        /// Which entry.
        entry: usize,
    },
    /// An entry lies below a file.
    #[error("entry {entry}: lies below a file")]
    BelowFile {
        /// Which entry.
        entry: usize,
    },
    /// A folder or an empty file with a size or a root of its own.
    #[error("entry {entry}: size and root do not fit its kind")]
    Empty {
        /// Which entry.
        entry: usize,
    },
    /// Files together are too large.
    #[error("folder is too large")]
    TooLarge,
    /// More chunks than a folder may have.
    #[error(transparent)]
    Chunks(#[from] TooManyChunks),
    /// The same folder in other bytes than the canonical ones.
    #[error("manifest is not in canonical form")]
    NotCanonical,
}

#[derive(Serialize, Deserialize)]
struct Body {
    v: u8,
    n: String,
    e: Vec<Entry>,
}

impl Manifest {
    /// Makes the manifest of a folder called `name`. Entries may come in any order.
    ///
    /// # Errors
    /// [`ManifestError`] for the first thing a reader would refuse.
    pub fn build(name: String, mut entries: Vec<Entry>) -> Result<Self, ManifestError> {
        entries.sort_by(|a, b| compare(&a.path, &b.path));
        Self::check(name, entries)
    }

    /// Reads a manifest from the network.
    ///
    /// # Errors
    /// [`ManifestError`] for anything but exactly what [`encode`](Self::encode) writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_LEN {
            return Err(ManifestError::TooLong(bytes.len()));
        }
        let Body { v, n, e } = pack::decode("folder manifest", bytes)?;
        if v != VERSION {
            return Err(ManifestError::Version(v));
        }
        let manifest = Self::check(n, e)?;
        if manifest.encode() != bytes {
            return Err(ManifestError::NotCanonical);
        }
        Ok(manifest)
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        pack::encode(&Body { v: VERSION, n: self.name.clone(), e: self.entries.clone() })
    }

    /// Kind, length and root of the manifest's bytes, from which the folder's id follows.
    pub fn descriptor_of(bytes: &[u8]) -> Descriptor {
        let size = bytes.len() as u64;
        Descriptor { kind: Kind::Folder, size, root: root_of(bytes) }
    }

    /// The folder's name as its owner gave it; not safe to show or to use on disk.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Everything in the folder, sorted by path.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The files, in the order in which their chunks are numbered.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Entry> {
        // `files` was made from `entries` and neither changes.
        self.files.iter().map(|i| self.entries.get(*i as usize).unwrap_or_else(|| unreachable!()))
    }

    /// The chunks of all files.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// A path for every file (in file order), safe on every system and distinct.
    pub fn disk_paths(&self) -> Vec<Vec<String>> {
        self.safe_paths(EntryKind::File)
    }

    /// Safe paths of the folders that hold nothing; none is a path of [`disk_paths`](Self::disk_paths).
    pub fn empty_dirs(&self) -> Vec<Vec<String>> {
        self.safe_paths(EntryKind::Dir)
    }

    fn safe_paths(&self, wanted: EntryKind) -> Vec<Vec<String>> {
        let mut places = Places::default();
        let paths = self.entries.iter().map(|entry| {
            // Components were checked; `_` is for what cannot happen.
            let safe = |c: &String| safe_component(c).unwrap_or_else(|_| "_".to_owned());
            let path = entry.path.iter().map(safe).collect();
            let path = match entry.kind {
                EntryKind::File => places.file(path),
                EntryKind::Dir => places.dir(path),
            };
            (entry.kind == wanted).then_some(path)
        });
        paths.flatten().collect()
    }

    fn check(name: String, entries: Vec<Entry>) -> Result<Self, ManifestError> {
        check_component(&name).map_err(|why| ManifestError::Name { entry: usize::MAX, why })?;
        if entries.len() > MAX_MANIFEST_ENTRIES {
            return Err(ManifestError::TooManyEntries(entries.len()));
        }
        let nothing = sha256(b"");
        let mut files = Vec::new();
        let mut total = 0u64;
        for (i, entry) in entries.iter().enumerate() {
            check_path(i, &entry.path)?;
            if let Some(before) = i.checked_sub(1).and_then(|b| entries.get(b)) {
                if compare(&before.path, &entry.path).is_ge() {
                    return Err(ManifestError::Order { entry: i });
                }
                // Sorted by component, whatever lies below a file follows it directly.
                if before.kind == EntryKind::File && entry.path.starts_with(&before.path) {
                    return Err(ManifestError::BelowFile { entry: i });
                }
            }
            let empty = entry.size == 0 && entry.root == nothing;
            let fits = match entry.kind {
                EntryKind::Dir => empty,
                EntryKind::File => entry.size > 0 || empty,
            };
            if !fits {
                return Err(ManifestError::Empty { entry: i });
            }
            total = total
                .checked_add(entry.size)
                .filter(|t| *t <= MAX_TOTAL)
                .ok_or(ManifestError::TooLarge)?;
            if entry.kind == EntryKind::File {
                files.push(u32::try_from(i).map_err(|_| ManifestError::TooManyEntries(i))?);
            }
        }
        let sizes: Vec<u64> =
            entries.iter().filter(|e| e.kind == EntryKind::File).map(|e| e.size).collect();
        let layout = Arc::new(Layout::for_folder(&sizes)?);
        Ok(Self { name, entries, files, layout })
    }
}

/// Root of bytes held in memory.
pub fn root_of(bytes: &[u8]) -> Hash {
    if bytes.is_empty() { sha256(b"") } else { chunk_hash(&block_hashes(bytes), 0, true) }
}

/// Reads a path without keeping more components than a path may have: a long list of empty strings
/// would otherwise take many times its own size in memory.
fn bounded_path<'de, D: serde::Deserializer<'de>>(decoder: D) -> Result<Vec<String>, D::Error> {
    struct Components;
    impl<'de> serde::de::Visitor<'de> for Components {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "a path of at most {MAX_PATH_DEPTH} components")
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(
            self,
            mut seq: A,
        ) -> Result<Vec<String>, A::Error> {
            let mut path = Vec::new();
            while let Some(component) = seq.next_element::<String>()? {
                if path.len() >= MAX_PATH_DEPTH {
                    return Err(serde::de::Error::custom("path is too deep"));
                }
                path.push(component);
            }
            Ok(path)
        }
    }
    decoder.deserialize_seq(Components)
}

/// Order of paths: by components, each by its bytes.
fn compare(a: &[String], b: &[String]) -> std::cmp::Ordering {
    a.iter().map(String::as_bytes).cmp(b.iter().map(String::as_bytes))
}

fn check_path(entry: usize, path: &[String]) -> Result<(), ManifestError> {
    let len = path.iter().map(|c| c.len() + 1).sum::<usize>();
    if path.is_empty() || path.len() > MAX_PATH_DEPTH || len > MAX_PATH_LEN {
        return Err(ManifestError::Path { entry });
    }
    path.iter()
        .try_for_each(|c| check_component(c))
        .map_err(|why| ManifestError::Name { entry, why })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(path: &str, size: u64) -> Entry {
        let root = if size == 0 { sha256(b"") } else { sha256(path.as_bytes()) };
        Entry {
            path: path.split('/').map(str::to_owned).collect(),
            kind: EntryKind::File,
            size,
            root,
            exec: false,
            mtime: 0,
        }
    }

    fn parse(entries: Vec<Entry>) -> Result<Manifest, ManifestError> {
        Manifest::parse(&pack::encode(&Body { v: VERSION, n: "folder".into(), e: entries }))
    }

    #[test]
    fn a_built_manifest_parses_to_itself() {
        let dir = Entry { kind: EntryKind::Dir, ..file("empty", 0) };
        let built = Manifest::build(
            "folder".into(),
            vec![file("b", 3), file("a/c", 100_000), dir, file("a/b", 0)],
        )
        .unwrap();
        let bytes = built.encode();
        assert_eq!(Manifest::parse(&bytes).unwrap(), built);
        let names: Vec<_> = built.files().map(|e| e.path.join("/")).collect();
        assert_eq!(names, ["a/b", "a/c", "b"]);
        assert_eq!(built.layout().chunks(), 3);
        assert_eq!(built.empty_dirs(), [["empty"]]);
        assert_eq!(Manifest::descriptor_of(&bytes).size, bytes.len() as u64);
    }

    #[test]
    fn hostile_paths_are_refused() {
        for bad in ["..", "a/../b", ".", "", "/etc/passwd", "a//b", "a\0b"] {
            assert!(
                matches!(parse(vec![file(bad, 1)]), Err(ManifestError::Name { entry: 0, .. })),
                "{bad:?}"
            );
        }
        let long = "x".repeat(256);
        assert!(parse(vec![file(&long, 1)]).is_err());
        let deep = vec!["d"; 65].join("/");
        assert!(matches!(parse(vec![file(&deep, 1)]), Err(ManifestError::Malformed(_))));
        let mut nowhere = file("x", 1);
        nowhere.path.clear();
        assert_eq!(parse(vec![nowhere]), Err(ManifestError::Path { entry: 0 }));
    }

    #[test]
    fn names_that_only_annoy_are_mended_on_disk() {
        let manifest =
            parse(vec![file("CON", 1), file("a\u{1b}[2Jb", 1), file("x\u{202e}y", 1)]).unwrap();
        assert_eq!(manifest.disk_paths(), [["_CON"], ["a_[2Jb"], ["x_y"]]);
    }

    #[test]
    fn a_file_and_a_folder_never_get_the_same_disk_name() {
        let dir = Entry { kind: EntryKind::Dir, ..file("a|", 0) };
        let manifest = parse(vec![file("a*", 1), file("a?/b", 1), dir]).unwrap();
        assert_eq!(manifest.disk_paths(), [vec!["a_"], vec!["a_ (2)", "b"]]);
        assert_eq!(manifest.empty_dirs(), [["a_ (2)"]]);
    }

    #[test]
    fn disorder_repeats_and_files_as_folders_are_refused() {
        let two = |a: &str, b: &str| parse(vec![file(a, 1), file(b, 1)]).unwrap_err();
        assert_eq!(two("b", "a"), ManifestError::Order { entry: 1 });
        assert_eq!(two("a", "a"), ManifestError::Order { entry: 1 });
        assert_eq!(two("a", "a/b"), ManifestError::BelowFile { entry: 1 });
        assert!(parse(vec![file("a", 1), file("a.b", 1)]).is_ok());
        let mut liar = file("a", 0);
        liar.root = Hash::ZERO;
        assert_eq!(parse(vec![liar]), Err(ManifestError::Empty { entry: 0 }));
        let huge = vec![file("a", u64::MAX), file("b", u64::MAX)];
        assert_eq!(parse(huge), Err(ManifestError::TooLarge));
    }

    #[test]
    fn other_encodings_of_the_same_folder_are_refused() {
        let manifest = Manifest::build("f".into(), vec![file("a", 1)]).unwrap();
        let mut bytes = manifest.encode();
        bytes.push(0xc0);
        assert!(matches!(
            Manifest::parse(&bytes),
            Err(ManifestError::Malformed(WireError::Trailing(_)))
        ));
        // The version as a two-byte integer instead of one byte.
        let canonical = manifest.encode();
        let at = canonical.windows(2).position(|w| w == [b'v', 1]).unwrap();
        let mut wide = canonical.clone();
        wide.splice(at + 1..at + 2, [0xcc, 1]);
        assert_eq!(Manifest::parse(&wide), Err(ManifestError::NotCanonical));
        assert_eq!(
            Manifest::parse(&pack::encode(&Body { v: 9, n: "f".into(), e: vec![] })),
            Err(ManifestError::Version(9))
        );
    }

    proptest! {
        #[test]
        fn rubbish_and_flipped_bytes_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let manifest =
                Manifest::build("f".into(), vec![file("a/b", 70_000), file("c", 1)]).unwrap();
            let mut bytes = manifest.encode();
            let i = at.index(bytes.len());
            bytes[i] = byte;
            if let Ok(parsed) = Manifest::parse(&bytes) {
                prop_assert_eq!(parsed.encode(), bytes);
            }
        }
    }
}
