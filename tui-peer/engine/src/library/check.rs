//! At start: what changed since a share was hashed. By stat only; an unchanged share is not read.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use common::content::Kind;
use common::id::{Hash, ID_LEN};
use common::layout::Layout;
use common::manifest::Manifest;
use common::merkle::{ChunkHashes, coarser};
use common::names::{PathList, components};

use super::error::{LibraryError, ShareError};
use super::hash::prepared::{Prepared, join};
use super::hash::{Progress, prepare};
use super::record::ShareRecord;
use super::scan::scan;
use super::stat::{Stat, now_ms};
use super::store::Library;
use super::verify::verify_files;

/// How a share stands compared with its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Check {
    /// As it was hashed: [`restore`] it.
    Unchanged,
    /// These files (components below the folder; none for a single file) look as they did, but were written so
    /// shortly before they were hashed that a change since would leave no trace: [`refresh`] it.
    Young(Vec<Vec<String>>),
    /// These files were changed, added or removed, or may have been without a trace: [`refresh`] it.
    Changed(Vec<Vec<String>>),
    /// There is nothing at its path, or something else than a file or folder as before; or a folder that
    /// is empty now, as one is where a volume was mounted that is not any more.
    Gone,
}

/// Compares a share with its record, by stat only.
///
/// A folder is listed anew, so that added and removed files are noticed (empty folders are not); of one
/// that was downloaded only the files that belong to it are looked at.
pub(crate) fn check(record: &ShareRecord) -> Check {
    let Ok(meta) = fs::symlink_metadata(&record.path) else { return Check::Gone };
    if is_elsewhere(record) {
        return Check::Gone;
    }
    let mut found = Differences::default();
    match (record.descriptor.kind, &record.rel) {
        (Kind::File, _) if meta.is_file() => match record.files.first() {
            Some(was) => found.note(File::compare(record, was, &Stat::of(&meta)), Vec::new),
            None => found.note(File::Differs, Vec::new),
        },
        (Kind::Folder, Some(rel)) if meta.is_dir() => {
            if is_emptied(record) {
                return Check::Gone;
            } else if record.downloaded {
                found.of_known(record, rel);
            } else {
                found.of_any(record, rel);
            }
        }
        _ => return Check::Gone,
    }
    match found {
        Differences { files, .. } if files.is_empty() => Check::Unchanged,
        Differences { files, differs: false } => Check::Young(files),
        Differences { files, .. } => Check::Changed(files),
    }
}

/// Whether nothing at all is in the folder of a share that had files.
fn is_emptied(record: &ShareRecord) -> bool {
    let had = record.files.iter().any(|was| *was != Stat::ABSENT);
    had && fs::read_dir(&record.path).is_ok_and(|mut entries| entries.next().is_none())
}

/// Whether the path of a share leads somewhere else now: it, or a folder above it, became a link. What lies there was
/// never named to be shared. What was downloaded may lie behind a link of the user's.
pub(super) fn is_elsewhere(record: &ShareRecord) -> bool {
    !record.downloaded
        && fs::canonicalize(&record.path)
            .is_ok_and(|real| real.as_os_str() != record.path.as_os_str())
}

/// A file compared with what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum File {
    Same,
    /// It looks the same, which says nothing.
    Young,
    Differs,
}

impl File {
    fn compare(record: &ShareRecord, was: &Stat, is: &Stat) -> Self {
        if !was.same_but_for_device(is) {
            Self::Differs
        } else if record.is_racy(was) {
            Self::Young
        } else {
            Self::Same
        }
    }
}

/// Files that are not known to be the same.
#[derive(Default)]
struct Differences {
    files: Vec<Vec<String>>,
    /// At least one of them does not even look the same.
    differs: bool,
}

impl Differences {
    fn note(&mut self, file: File, rel: impl FnOnce() -> Vec<String>) {
        if file != File::Same {
            self.files.push(rel());
            self.differs |= file == File::Differs;
        }
    }

    /// Looks at the files that are known.
    fn of_known(&mut self, record: &ShareRecord, rel: &PathList) {
        for (rel, was) in rel.iter().zip(record.files.iter()) {
            if *was == Stat::ABSENT {
                continue;
            }
            let is = stat_file(&join(&record.path, components(rel)));
            let file = is.map_or(File::Differs, |is| File::compare(record, was, &is));
            self.note(file, || parts(rel));
        }
    }

    /// Looks for files that changed, came or went. Both lists are in manifest order.
    fn of_any(&mut self, record: &ShareRecord, rel: &PathList) {
        let Ok(now) = scan(&record.path) else {
            // Not even listable: all of it.
            return self.note(File::Differs, Vec::new);
        };
        let mut were: HashMap<&str, &Stat> = rel.iter().zip(record.files.iter()).collect();
        for file in &now.files {
            let was = were.remove(file.rel.join("/").as_str());
            let how = was.map_or(File::Differs, |was| File::compare(record, was, &file.stat));
            self.note(how, || file.rel.clone());
        }
        // In the order of the list: that of the map says nothing.
        for path in rel.iter().filter(|path| were.contains_key(path)) {
            self.note(File::Differs, || parts(path));
        }
    }
}

/// The components of a joined path.
fn parts(path: &str) -> Vec<String> {
    components(path).map(str::to_owned).collect()
}

/// A share as it was hashed, from what the library holds, without reading any of its files.
///
/// # Errors
/// [`LibraryError::Incomplete`] when hashes or the manifest are missing or do not fit:
/// `refresh` mends it.
pub fn restore(library: &Library, record: &ShareRecord) -> Result<Prepared, LibraryError> {
    let missing = |what| LibraryError::Incomplete { path: record.path.clone(), what };
    let (manifest, layout, files) = match record.descriptor.kind {
        Kind::File => {
            let layout = Layout::for_file(record.descriptor.size).map_err(|_| missing("size"))?;
            (None, Arc::new(layout), vec![record.descriptor.root])
        }
        Kind::Folder => {
            let manifest = manifest_of(library, record)?;
            let files = manifest.files().map(|entry| entry.root).collect();
            let layout = Arc::clone(manifest.layout());
            (Some(Arc::new(manifest)), layout, files)
        }
    };
    let paths = record.rel.as_ref().map_or(1, |rel| rel.len());
    if record.files.len() != files.len() || paths != files.len() {
        return Err(missing("list of files"));
    }
    let hashes = stored_hashes(library, &layout, &files, &record.files)?
        .ok_or_else(|| missing("chunk hashes"))?;
    Ok(Prepared {
        path: record.path.clone(),
        name: record.name.clone(),
        kind: record.descriptor.kind,
        descriptor: record.descriptor,
        id: record.id,
        layout,
        manifest,
        rel: record.rel.clone(),
        stats: with_present_devices(record),
        hashes,
        hashed_at: record.hashed_at,
    })
}

/// Which files of a folder are looked for when it is hashed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All that lie there.
    All,
    /// Those that lie there and have not moved for [`super::SETTLED`], without those that programs keep beside what they
    /// write: what comes into a watched folder.
    Settled,
    /// Those that were shared before: nobody asked to publish what came since.
    Known,
}

/// Looks at a changed share again; only files that changed are read.
///
/// A downloaded folder stays what it is as long as its files hold the right bytes, whatever else lies
/// beside them; once one differs it is taken as it lies, like any other folder.
///
/// # Errors
/// As [`scan`] and [`prepare`]; [`ShareError::Elsewhere`].
pub(crate) fn refresh(
    library: &Library,
    record: &ShareRecord,
    scope: Scope,
    threads: usize,
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<Prepared, ShareError> {
    if record.downloaded
        && record.descriptor.kind == Kind::Folder
        && let Some(same) = still_intact(library, record, threads, progress, cancel)?
    {
        return Ok(same);
    }
    let mut found = scan(&record.path)?;
    let empty = match scope {
        Scope::Known if found.kind == Kind::Folder => manifest_of(library, record).ok(),
        _ => None,
    };
    let empty = empty.map(|manifest| Arc::clone(manifest.empty_dirs())).unwrap_or_default();
    found.leave_out(scope, record, &empty)?;
    if scope == Scope::Settled {
        found.leave_out_moving(record, cancel)?;
    }
    let known = known_files(library, record, found.layout.chunk_level())?;
    let reuse = |rel: &[String], stat: &Stat| {
        let (was, root, hashes) = known.get(rel.join("/").as_str())?;
        (File::compare(record, was, stat) == File::Same).then(|| (*root, hashes.clone()))
    };
    let mut prepared = prepare(&found, &reuse, threads, progress, cancel)?;
    prepared.name.clone_from(&record.name);
    Ok(prepared)
}

/// The recorded stats with the device numbers of today, so that they compare equal to an `fstat`. One
/// file per disk is looked at.
fn with_present_devices(record: &ShareRecord) -> Arc<Vec<Stat>> {
    let mut devices: HashMap<u64, u64> = HashMap::new();
    for (file, was) in record.files.iter().enumerate() {
        if *was != Stat::ABSENT && !devices.contains_key(&was.dev) {
            let path = match &record.rel {
                Some(rel) => rel.get(file).map(|below| join(&record.path, components(below))),
                None => Some(record.path.clone()),
            };
            if let Some(is) = path.and_then(|path| stat_file(&path))
                && was.same_but_for_device(&is)
            {
                devices.insert(was.dev, is.dev);
            }
        }
    }
    if devices.iter().all(|(was, is)| was == is) {
        return Arc::clone(&record.files);
    }
    let present = |was: &Stat| Stat { dev: *devices.get(&was.dev).unwrap_or(&was.dev), ..*was };
    Arc::new(record.files.iter().map(present).collect())
}

/// A downloaded folder with new stats, if the bytes of all its files are still right.
fn still_intact(
    library: &Library,
    record: &ShareRecord,
    threads: usize,
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<Option<Prepared>, ShareError> {
    let hashed_at = now_ms();
    let mut prepared = match restore(library, record) {
        Ok(prepared) => prepared,
        Err(LibraryError::Incomplete { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let stats_now = |prepared: &Prepared| -> Option<Vec<Stat>> {
        let known = record.files.iter().enumerate();
        known
            .map(|(file, was)| match *was {
                Stat::ABSENT => Some(Stat::ABSENT),
                _ => stat_file(&prepared.file_path(file)?),
            })
            .collect()
    };
    let Some(before) = stats_now(&prepared) else { return Ok(None) };
    let pairs = record.files.iter().zip(&before).enumerate();
    let changed: Vec<usize> =
        pairs.filter(|(_, (was, is))| !was.same_but_for_device(is)).map(|(file, _)| file).collect();
    let resized = changed
        .iter()
        .any(|file| before.get(*file).map(|stat| stat.size) != prepared.layout.file_size(*file));
    if resized || !verify_files(&prepared, &changed, threads, progress, cancel)?.is_empty() {
        return Ok(None);
    }
    if stats_now(&prepared).as_ref() != Some(&before) {
        return Err(ShareError::Changed { path: record.path.clone() });
    }
    prepared.stats = Arc::new(before);
    prepared.hashed_at = hashed_at;
    Ok(Some(prepared))
}

/// Whether a share does not lie on disk any more as it was hashed: something vanished, or its stat says
/// that it may have been changed. Cheaper than [`check`], and knows no doubt: what cannot be told from
/// the stat counts as unchanged.
pub(crate) fn is_altered(record: &ShareRecord) -> bool {
    record.files.iter().enumerate().filter(|(_, was)| **was != Stat::ABSENT).any(|(i, was)| {
        let path = match &record.rel {
            None => record.path.clone(),
            Some(rel) => join(&record.path, components(rel.get(i).unwrap_or_default())),
        };
        stat_file(&path).is_none_or(|is| !was.same_but_for_device(&is))
    })
}

/// The files of a share at a moment.
pub(crate) struct Look {
    /// When, milliseconds since 1970.
    pub at: u64,
    /// In manifest order; `None` if one is missing or has another size than it should.
    pub stats: Option<Vec<Stat>>,
}

/// Looks at the files of a share, by stat only.
pub(crate) fn look(prepared: &Prepared) -> Look {
    let at = now_ms();
    let stats = prepared.stats.iter().enumerate().map(|(file, was)| match *was {
        Stat::ABSENT => Some(Stat::ABSENT),
        _ => stat_file(&prepared.file_path(file)?)
            .filter(|is| Some(is.size) == prepared.layout.file_size(file)),
    });
    Look { at, stats: stats.collect() }
}

fn stat_file(path: &Path) -> Option<Stat> {
    let meta = fs::symlink_metadata(path).ok()?;
    meta.is_file().then(|| Stat::of(&meta))
}

type KnownFile = (Stat, Hash, Vec<Hash>);

/// Stat, root and chunk hashes (at `level`) of every file of a share; none if its list is lost.
fn known_files(
    library: &Library,
    record: &ShareRecord,
    level: u8,
) -> Result<HashMap<String, KnownFile>, LibraryError> {
    // Chunks grow with the folder: the hashes of longer ones come from those of shorter ones, without the bytes.
    let (files, stored): (Vec<(String, Hash)>, u8) = match record.descriptor.kind {
        Kind::File => {
            let own = Layout::for_file(record.descriptor.size);
            let own = own.map_or(level, |layout| layout.chunk_level());
            (vec![(String::new(), record.descriptor.root)], own.min(level))
        }
        Kind::Folder => match manifest_of(library, record) {
            Ok(manifest) => {
                let rel = record.rel.iter().flat_map(|rel| rel.iter()).map(str::to_owned);
                let own = manifest.layout().chunk_level().min(level);
                (rel.zip(manifest.files().map(|entry| entry.root)).collect(), own)
            }
            Err(LibraryError::Incomplete { .. }) => (Vec::new(), level),
            Err(error) => return Err(error),
        },
    };
    let trees = library.trees(files.iter().map(|(_, root)| (*root, stored)))?;
    let known = files.into_iter().zip(record.files.iter()).zip(trees);
    Ok(known
        .map(|(((rel, root), stat), tree)| {
            let hashes: Vec<Hash> = tree.map_or_else(Vec::new, |bytes| {
                bytes.chunks_exact(ID_LEN).filter_map(|hash| Hash::try_from(hash).ok()).collect()
            });
            (rel, (*stat, root, coarser(&hashes, stored, level)))
        })
        .collect())
}

fn manifest_of(library: &Library, record: &ShareRecord) -> Result<Manifest, LibraryError> {
    let missing = || LibraryError::Incomplete { path: record.path.clone(), what: "list of files" };
    let bytes = library.manifest(&record.id)?.ok_or_else(missing)?;
    if Manifest::descriptor_of(&bytes) != record.descriptor {
        return Err(missing());
    }
    Manifest::parse(bytes).map_err(|_| missing())
}

/// Chunk hashes of all files, or nothing if those of a file that is here are missing.
fn stored_hashes(
    library: &Library,
    layout: &Layout,
    files: &[Hash],
    stats: &[Stat],
) -> Result<Option<Vec<ChunkHashes>>, LibraryError> {
    let level = layout.chunk_level();
    let chunks = |file: usize| layout.file_chunks(file).map_or(0, |range| range.end - range.start);
    let long = files.iter().enumerate().filter(|(file, _)| chunks(*file) > 1);
    let mut trees = library.trees(long.map(|(_, root)| (*root, level)))?.into_iter();
    let known = files.iter().zip(stats).enumerate();
    let hashes = known.map(|(file, (root, stat))| {
        let count = chunks(file);
        if count <= 1 {
            return Some(ChunkHashes::unknown(*root, count, level));
        }
        match trees.next()? {
            Some(bytes) => ChunkHashes::from_bytes(*root, count, level, &bytes),
            None if *stat == Stat::ABSENT => Some(ChunkHashes::unknown(*root, count, level)),
            None => None,
        }
    });
    Ok(hashes.collect())
}
