//! Names of the files inside a folder, by which the tracker finds the folder.
//!
//! What is sent is the folder's manifest, deflated (RFC 1951): the folder's id says which one it is, so that nobody can
//! put names there that are not in it. What the tracker keeps are the paths of the files alone.

use std::fmt;

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};

use crate::content::{Descriptor, Kind};
use crate::limits::{MAX_INSIDE_MANIFEST, MAX_INSIDE_NAMES, MAX_INSIDE_PACKED};
use crate::manifest::{Manifest, ManifestError};

/// How hard to pack: beyond this lists of names get hardly any smaller.
const LEVEL: u8 = 6;
/// Behind each path: no name has it.
const END: char = '\0';
/// Between the components of a path: no name has it either.
const SEPARATOR: &str = "/";

/// Paths of a folder's files, in the order of its manifest.
#[derive(Clone, PartialEq, Eq)]
pub struct Names {
    /// Each path with [`END`] behind it.
    text: String,
}

/// Why a folder's list of files is of no use for searches.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InsideError {
    /// Too long to be told, or to be kept.
    #[error("this folder's list of files is too long to search in")]
    TooLong,
    /// It cannot be unpacked, or becomes longer than it may.
    #[error("this folder's list of files cannot be unpacked")]
    Damaged,
    /// It is the list of another folder, or of none.
    #[error("that is not this folder's list of files")]
    Other,
    /// It has no files.
    #[error("this folder has no files")]
    Empty,
    /// It is no list of files.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// A folder's manifest as it is told to the tracker.
///
/// # Errors
/// [`InsideError::TooLong`].
pub fn pack_manifest(manifest: &[u8]) -> Result<Vec<u8>, InsideError> {
    if manifest.len() > MAX_INSIDE_MANIFEST {
        return Err(InsideError::TooLong);
    }
    let packed = compress_to_vec(manifest, LEVEL);
    if packed.len() > MAX_INSIDE_PACKED { Err(InsideError::TooLong) } else { Ok(packed) }
}

/// Whether the manifest of this content may be told at all.
pub fn may_be_told(descriptor: &Descriptor) -> bool {
    descriptor.kind == Kind::Folder && descriptor.size <= MAX_INSIDE_MANIFEST as u64
}

impl Names {
    /// Reads the manifest of `descriptor` as somebody told it. Takes some 20 ms at most, and a few times
    /// [`MAX_INSIDE_MANIFEST`] of memory.
    ///
    /// # Errors
    /// [`InsideError`] for anything but the manifest of that folder.
    pub fn read_manifest(packed: &[u8], descriptor: &Descriptor) -> Result<Self, InsideError> {
        if !may_be_told(descriptor) {
            return Err(InsideError::TooLong);
        }
        let bytes = unpack(packed, MAX_INSIDE_MANIFEST)?;
        if Manifest::descriptor_of(&bytes) != *descriptor {
            return Err(InsideError::Other);
        }
        Self::of(&Manifest::parse(bytes)?)
    }

    /// Of a folder.
    ///
    /// # Errors
    /// [`InsideError`] if it has no files, or names that are too long together.
    pub fn of(manifest: &Manifest) -> Result<Self, InsideError> {
        let mut text = String::new();
        for file in manifest.files() {
            text.push_str(&file.path.join(SEPARATOR));
            text.push(END);
            if text.len() > MAX_INSIDE_NAMES {
                return Err(InsideError::TooLong);
            }
        }
        if text.is_empty() { Err(InsideError::Empty) } else { Ok(Self { text }) }
    }

    /// As they are kept.
    pub fn pack(&self) -> Vec<u8> {
        compress_to_vec(self.text.as_bytes(), LEVEL)
    }

    /// The reverse of [`pack`](Self::pack).
    ///
    /// # Errors
    /// [`InsideError::Damaged`].
    pub fn unpack(packed: &[u8]) -> Result<Self, InsideError> {
        let bytes = unpack(packed, MAX_INSIDE_NAMES)?;
        let text = String::from_utf8(bytes).map_err(|_| InsideError::Damaged)?;
        if text.ends_with(END) { Ok(Self { text }) } else { Err(InsideError::Damaged) }
    }

    /// Each path, its components with `/` between them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.text.split_terminator(END)
    }

    /// Bytes of all paths.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether there is none; there always is.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Unpacks what takes no more than `most` bytes then; more is never held.
fn unpack(packed: &[u8], most: usize) -> Result<Vec<u8>, InsideError> {
    decompress_to_vec_with_limit(packed, most).map_err(|error| match error.status {
        TINFLStatus::HasMoreOutput => InsideError::TooLong,
        _ => InsideError::Damaged,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;
    use crate::manifest::{Entry, EntryKind};

    fn file(path: &str) -> Entry {
        Entry {
            path: path.split('/').map(str::to_owned).collect(),
            kind: EntryKind::File,
            size: 1,
            root: sha256(path.as_bytes()),
            exec: false,
            mtime: 0,
        }
    }

    fn folder(paths: &[&str]) -> Manifest {
        Manifest::build("notes", paths.iter().map(|path| file(path)).collect()).unwrap()
    }

    fn descriptor(manifest: &Manifest) -> Descriptor {
        Manifest::descriptor_of(manifest.bytes())
    }

    #[test]
    fn a_manifest_is_told_and_its_names_are_kept() {
        let manifest = folder(&["a.txt", "sub/b c.txt", "sub/x\ny"]);
        let packed = pack_manifest(manifest.bytes()).unwrap();
        let names = Names::read_manifest(&packed, &descriptor(&manifest)).unwrap();
        assert_eq!(names.iter().collect::<Vec<_>>(), ["a.txt", "sub/b c.txt", "sub/x\ny"]);
        assert_eq!(Names::unpack(&names.pack()), Ok(names));
    }

    #[test]
    fn nobody_gives_a_folder_names_that_it_does_not_have() {
        let (ours, theirs) = (folder(&["a.txt"]), folder(&["free money.exe"]));
        let packed = pack_manifest(theirs.bytes()).unwrap();
        let read = |packed: &[u8], of: &Descriptor| Names::read_manifest(packed, of);
        assert_eq!(read(&packed, &descriptor(&ours)), Err(InsideError::Other));
        // What has the right hash but is no manifest.
        let bytes = b"not a manifest".to_vec();
        let made_up = Manifest::descriptor_of(&bytes);
        let packed = pack_manifest(&bytes).unwrap();
        assert!(matches!(read(&packed, &made_up), Err(InsideError::Manifest(_))));
        let as_file = Descriptor { kind: Kind::File, ..descriptor(&ours) };
        let packed = pack_manifest(ours.bytes()).unwrap();
        assert_eq!(read(&packed, &as_file), Err(InsideError::TooLong));
    }

    #[test]
    fn a_bomb_is_refused_when_it_is_too_long_and_rubbish_at_once() {
        let bomb = compress_to_vec(&vec![0; 64 << 20], 9);
        assert!(bomb.len() < MAX_INSIDE_PACKED, "{}", bomb.len());
        let manifest = folder(&["a"]);
        let of = descriptor(&manifest);
        assert_eq!(Names::read_manifest(&bomb, &of), Err(InsideError::TooLong));
        assert_eq!(Names::unpack(&bomb), Err(InsideError::TooLong));
        for rubbish in [&b""[..], b"\xff\xff\xff", &bomb[..bomb.len() / 2]] {
            assert!(Names::read_manifest(rubbish, &of).is_err());
            assert!(Names::unpack(rubbish).is_err());
        }
        assert_eq!(Names::unpack(&compress_to_vec(b"no end", LEVEL)), Err(InsideError::Damaged));
    }

    #[test]
    fn a_folder_without_files_or_with_too_many_names_is_not_searched() {
        let empty = Entry { kind: EntryKind::Dir, size: 0, root: sha256(b""), ..file("empty") };
        let manifest = Manifest::build("x", vec![empty]).unwrap();
        assert_eq!(Names::of(&manifest), Err(InsideError::Empty));
        let long: Vec<String> = (0..600).map(|n| format!("{n:0250}")).collect();
        let long = folder(&long.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(Names::of(&long), Err(InsideError::TooLong));
    }
}
