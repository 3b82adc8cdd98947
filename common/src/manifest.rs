//! What a folder contains: a canonical MessagePack document, itself content.
//!
//! Canonical means that there is exactly one encoding of a folder: entries sorted by path bytes, no
//! entry twice, the encoder's own bytes. [`Manifest::parse`] refuses everything else, so the root of
//! the manifest identifies the folder. No symbolic links.
//!
//! In memory a manifest is its own bytes, with four bytes an entry to find them again: it comes from
//! strangers, and a million entries of sixty-four names each would take fifty times their length as
//! strings. Reading one takes at most four times its length ([`Manifest::parse`]).

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::content::{Descriptor, Kind};
use crate::hash::sha256;
use crate::id::Hash;
use crate::layout::{Layout, TooManyChunks};
use crate::limits::{MAX_MANIFEST_ENTRIES, MAX_MANIFEST_LEN, MAX_PATH_DEPTH, MAX_PATH_LEN};
use crate::merkle::{block_hashes, chunk_hash};
use crate::names::{
    CollisionError, NameError, PathList, check_component, distinct_paths, safe_component,
};
use crate::numbers::byte_codec;
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

byte_codec!(EntryKind, "entry kind", File Dir);

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

/// A folder that passed every check. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    name: String,
    bytes: Bytes,
    /// Where each entry begins in `bytes`, and where the last one ends.
    offsets: Arc<[u32]>,
    /// Whether entries are files, a bit for each.
    files: Arc<[u64]>,
    layout: Arc<Layout>,
    disk_paths: Arc<PathList>,
    empty_dirs: Arc<PathList>,
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
    /// Names that cannot be told apart on disk.
    #[error(transparent)]
    Collision(#[from] CollisionError),
}

/// The document, as it is encoded.
#[derive(Serialize)]
struct Body<'a> {
    v: u8,
    n: &'a str,
    e: &'a [Entry],
}

/// Fewest bytes an entry takes: with its keys, its root, and a name of one byte.
const MIN_ENTRY_LEN: usize = 54;

impl Manifest {
    /// Makes the manifest of a folder called `name`. Entries may come in any order.
    ///
    /// # Errors
    /// [`ManifestError`] for the first thing a reader would refuse.
    pub fn build(name: &str, mut entries: Vec<Entry>) -> Result<Self, ManifestError> {
        entries.sort_by(|a, b| compare(&a.path, &b.path));
        let bytes = pack::encode(&Body { v: VERSION, n: name, e: &entries });
        drop(entries);
        Self::parse(bytes)
    }

    /// Reads a manifest from the network. Takes at most four times its length in memory, the bytes
    /// themselves included, and keeps less than three times.
    ///
    /// # Errors
    /// [`ManifestError`] for anything but exactly what [`build`](Self::build) makes.
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, ManifestError> {
        let bytes = bytes.into();
        if bytes.len() > MAX_MANIFEST_LEN {
            return Err(ManifestError::TooLong(bytes.len()));
        }
        let (name, count, begin) = read_head(&bytes)?;
        let mut checked = Checked::with_room(count, bytes.len() - begin);
        let mut before: Option<Entry> = None;
        let mut at = begin;
        for index in 0..count {
            let (entry, end) = read_entry(&bytes, at)?;
            checked.add(index, at, &entry, before.as_ref())?;
            if bytes.get(at..end) != Some(pack::encode(&entry).as_slice()) {
                return Err(ManifestError::NotCanonical);
            }
            before = Some(entry);
            at = end;
        }
        if at != bytes.len() {
            return Err(ManifestError::Malformed(WireError::Trailing(DOCUMENT)));
        }
        checked.finish(name, bytes, at)
    }

    /// The canonical bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
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
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        // Every entry was read once when the manifest was; none is missing.
        let offsets = self.offsets.iter().take(self.offsets.len().saturating_sub(1));
        offsets.filter_map(|at| read_entry(&self.bytes, *at as usize).ok()).map(|(entry, _)| entry)
    }

    /// The files, in the order in which their chunks are numbered.
    pub fn files(&self) -> impl Iterator<Item = Entry> {
        self.entries().filter(|entry| entry.kind == EntryKind::File)
    }

    /// The chunks of all files.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// A path for every file (in file order), safe on every system and distinct.
    pub fn disk_paths(&self) -> &Arc<PathList> {
        &self.disk_paths
    }

    /// Safe paths of the folders that hold nothing; none is a path of [`disk_paths`](Self::disk_paths).
    pub fn empty_dirs(&self) -> &Arc<PathList> {
        &self.empty_dirs
    }
}

/// What is known of a manifest while it is read.
struct Checked {
    offsets: Vec<u32>,
    files: Vec<u64>,
    sizes: Vec<u64>,
    total: u64,
    nothing: Hash,
    /// Safe paths of all entries, not yet told apart.
    paths: PathList,
}

impl Checked {
    /// Room for as many entries as are said to follow in `len` bytes, and can.
    fn with_room(entries: usize, len: usize) -> Self {
        let entries = entries.min(len / MIN_ENTRY_LEN);
        // A separator takes no more than the length that stands before a component.
        let text = len.saturating_sub(entries * (MIN_ENTRY_LEN - 2));
        Self {
            offsets: Vec::with_capacity(entries + 1),
            files: vec![0; entries.div_ceil(BITS)],
            sizes: Vec::with_capacity(entries),
            total: 0,
            nothing: sha256(b""),
            paths: PathList::with_capacity(entries, text),
        }
    }

    /// Checks entry `index`, which begins at `at`, against the one before it.
    fn add(
        &mut self,
        index: usize,
        at: usize,
        entry: &Entry,
        before: Option<&Entry>,
    ) -> Result<(), ManifestError> {
        check_path(index, &entry.path)?;
        if let Some(before) = before {
            if compare(&before.path, &entry.path).is_ge() {
                return Err(ManifestError::Order { entry: index });
            }
            // Sorted by component, whatever lies below a file follows it directly.
            if before.kind == EntryKind::File && entry.path.starts_with(&before.path) {
                return Err(ManifestError::BelowFile { entry: index });
            }
        }
        let empty = entry.size == 0 && entry.root == self.nothing;
        let fits = match entry.kind {
            EntryKind::Dir => empty,
            EntryKind::File => entry.size > 0 || empty,
        };
        if !fits {
            return Err(ManifestError::Empty { entry: index });
        }
        let total = self.total.checked_add(entry.size).filter(|total| *total <= MAX_TOTAL);
        self.total = total.ok_or(ManifestError::TooLarge)?;
        if entry.kind == EntryKind::File {
            self.sizes.push(entry.size);
            if let Some(word) = self.files.get_mut(index / BITS) {
                *word |= 1 << (index % BITS);
            }
        }
        self.offsets.push(offset(at)?);
        // Components were checked; `_` is for what cannot happen.
        let safe = |c: &String| safe_component(c).unwrap_or_else(|_| "_".to_owned());
        self.paths.push(entry.path.iter().map(safe)).map_err(CollisionError::from)?;
        Ok(())
    }

    fn finish(mut self, name: String, bytes: Bytes, end: usize) -> Result<Manifest, ManifestError> {
        self.offsets.push(offset(end)?);
        let layout = Arc::new(Layout::for_folder(&self.sizes)?);
        let files: Arc<[u64]> = self.files.into();
        drop(self.sizes);
        let is_dir = |index: usize| !is_file(&files, index);
        let paths = distinct_paths(self.paths, is_dir, bytes.len())?;
        let of_kind = |dirs: bool| {
            let wanted = paths.iter().enumerate().filter(|(index, _)| is_dir(*index) == dirs);
            PathList::collect(wanted.map(|(_, path)| [path])).map_err(CollisionError::from)
        };
        let empty_dirs = of_kind(true)?;
        // All but a few are files, mostly: not a second list of these then.
        let disk_paths = if empty_dirs.is_empty() { paths } else { of_kind(false)? };
        Ok(Manifest {
            name,
            bytes,
            offsets: self.offsets.into(),
            files,
            layout,
            disk_paths: Arc::new(disk_paths),
            empty_dirs: Arc::new(empty_dirs),
        })
    }
}

const BITS: usize = u64::BITS as usize;

fn is_file(files: &[u64], index: usize) -> bool {
    files.get(index / BITS).is_some_and(|word| word >> (index % BITS) & 1 == 1)
}

/// Position in a manifest, which is at most [`MAX_MANIFEST_LEN`] long.
fn offset(at: usize) -> Result<u32, ManifestError> {
    u32::try_from(at).map_err(|_| ManifestError::TooLong(at))
}

/// Name of the document in errors.
const DOCUMENT: &str = "folder manifest";

/// The folder's name, the number of entries, and where the first one begins.
fn read_head(bytes: &[u8]) -> Result<(String, usize, usize), ManifestError> {
    const MAP_V: &[u8] = &[0x83, 0xa1, b'v'];
    const KEY_N: &[u8] = &[0xa1, b'n'];
    const KEY_E: &[u8] = &[0xa1, b'e'];
    // There is one encoding, so whatever is not these bytes is another.
    let other = ManifestError::NotCanonical;
    let rest = bytes.strip_prefix(MAP_V).ok_or(other.clone())?;
    let (v, rest) = rest.split_first().ok_or(other.clone())?;
    match *v {
        VERSION => {}
        // A number in one byte.
        v @ 0..=0x7f => return Err(ManifestError::Version(v)),
        _ => return Err(other),
    }
    let rest = rest.strip_prefix(KEY_N).ok_or(other.clone())?;
    let (name, len) = pack::decode_first::<String>(DOCUMENT, rest)?;
    check_component(&name).map_err(|why| ManifestError::Name { entry: usize::MAX, why })?;
    let (encoded, rest) = rest.split_at_checked(len).ok_or(other.clone())?;
    if pack::encode(&name) != encoded {
        return Err(other);
    }
    let rest = rest.strip_prefix(KEY_E).ok_or(other.clone())?;
    // The shortest form only.
    let (count, header) = match *rest {
        [n @ 0x90..=0x9f, ..] => (usize::from(n & 0x0f), 1),
        [0xdc, a, b, ..] => match u16::from_be_bytes([a, b]) {
            n @ 0x10.. => (usize::from(n), 3),
            _ => return Err(other),
        },
        [0xdd, a, b, c, d, ..] => match u32::from_be_bytes([a, b, c, d]) {
            n @ 0x1_0000.. => (n as usize, 5),
            _ => return Err(other),
        },
        _ => return Err(other),
    };
    if count > MAX_MANIFEST_ENTRIES {
        return Err(ManifestError::TooManyEntries(count));
    }
    Ok((name, count, bytes.len() - rest.len() + header))
}

/// The entry that begins at `at`, and where the next one does. Not checked.
fn read_entry(bytes: &[u8], at: usize) -> Result<(Entry, usize), WireError> {
    let (entry, len) = pack::decode_first::<Entry>(DOCUMENT, bytes.get(at..).unwrap_or_default())?;
    Ok((entry, at + len))
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
        Manifest::parse(pack::encode(&Body { v: VERSION, n: "folder", e: &entries }))
    }

    fn list(paths: &PathList) -> Vec<&str> {
        paths.iter().collect()
    }

    #[test]
    fn a_built_manifest_parses_to_itself() {
        let dir = Entry { kind: EntryKind::Dir, ..file("empty", 0) };
        let built = Manifest::build(
            "folder",
            vec![file("b", 3), file("a/c", 100_000), dir, file("a/b", 0)],
        )
        .unwrap();
        let bytes = built.bytes().clone();
        assert_eq!(Manifest::parse(bytes.clone()).unwrap(), built);
        let names: Vec<_> = built.files().map(|e| e.path.join("/")).collect();
        assert_eq!(names, ["a/b", "a/c", "b"]);
        assert_eq!(built.layout().chunks(), 3);
        assert_eq!(list(built.empty_dirs()), ["empty"]);
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
        assert_eq!(list(manifest.disk_paths()), ["_CON", "a_[2Jb", "x_y"]);
    }

    #[test]
    fn a_file_and_a_folder_never_get_the_same_disk_name() {
        let dir = Entry { kind: EntryKind::Dir, ..file("a|", 0) };
        let manifest = parse(vec![file("a*", 1), file("a?/b", 1), dir]).unwrap();
        assert_eq!(list(manifest.disk_paths()), ["a_", "a_ (2)/b"]);
        assert_eq!(list(manifest.empty_dirs()), ["a_ (2)"]);
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
        let manifest = Manifest::build("f", vec![file("a", 1)]).unwrap();
        let mut bytes = manifest.bytes().to_vec();
        bytes.push(0xc0);
        assert!(matches!(
            Manifest::parse(bytes),
            Err(ManifestError::Malformed(WireError::Trailing(_)))
        ));
        // The version as a two-byte integer instead of one byte.
        let canonical = manifest.bytes().to_vec();
        let at = canonical.windows(2).position(|w| w == [b'v', 1]).unwrap();
        let mut wide = canonical.clone();
        wide.splice(at + 1..at + 2, [0xcc, 1]);
        assert_eq!(Manifest::parse(wide), Err(ManifestError::NotCanonical));
        assert_eq!(
            Manifest::parse(pack::encode(&Body { v: 9, n: "f", e: &[] })),
            Err(ManifestError::Version(9))
        );
    }

    proptest! {
        #[test]
        fn rubbish_and_flipped_bytes_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let manifest =
                Manifest::build("f", vec![file("a/b", 70_000), file("c", 1)]).unwrap();
            let mut bytes = manifest.bytes().to_vec();
            let i = at.index(bytes.len());
            bytes[i] = byte;
            if let Ok(parsed) = Manifest::parse(bytes.clone()) {
                prop_assert_eq!(parsed.bytes(), &bytes);
            }
        }
    }
}
