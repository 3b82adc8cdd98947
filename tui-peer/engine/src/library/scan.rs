//! What there is to share, without reading any of it.

use std::cmp::Ordering;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::content::Kind;
use common::layout::Layout;
use common::limits::{MAX_MANIFEST_ENTRIES, MAX_NAME_LEN, MAX_PATH_DEPTH, MAX_PATH_LEN};
use rustix::fs::{Access, access};

use super::database::FILE_NAME;
use super::error::ShareError;
use super::hash::prepared::join;
use super::skip::{Skip, Skipped};
use super::stat::{Stat, now_ms};

/// A file or folder as it lies on the disk now.
#[derive(Debug, Clone)]
pub(crate) struct Scan {
    /// Absolute path, links resolved.
    pub path: PathBuf,
    /// Its own name.
    pub name: String,
    /// File or folder.
    pub kind: Kind,
    /// Its files, in manifest order; one for a single file.
    pub files: Vec<ScanFile>,
    /// Folders without anything in them, in manifest order.
    pub empty_dirs: Vec<Vec<String>>,
    /// Its chunks.
    pub layout: Arc<Layout>,
    /// What was left out.
    pub skipped: Skipped,
    /// Folders that were looked into, its own among them; none for a single file.
    pub(super) dirs: usize,
    /// When the scan began, milliseconds since 1970.
    pub looked_at: u64,
}

/// One file of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScanFile {
    /// Components below the folder; empty for a single file.
    pub rel: Vec<String>,
    /// Size, times, identity.
    pub stat: Stat,
    /// Whether its owner may execute it.
    pub exec: bool,
}

impl Scan {
    /// Absolute path of one of its files.
    pub(crate) fn file_path(&self, file: &ScanFile) -> PathBuf {
        join(&self.path, &file.rel)
    }

    /// Makes its chunks from its files.
    pub(super) fn lay_out(&mut self) -> Result<(), ShareError> {
        self.layout = layout_of(&self.path, self.kind, &self.files)?;
        Ok(())
    }
}

fn layout_of(path: &Path, kind: Kind, files: &[ScanFile]) -> Result<Arc<Layout>, ShareError> {
    let sizes: Vec<u64> = files.iter().map(|file| file.stat.size).collect();
    let layout = match kind {
        Kind::File => Layout::for_file(sizes.first().copied().unwrap_or(0)),
        Kind::Folder => Layout::for_folder(&sizes),
    };
    let too_large = |source| ShareError::TooLarge { path: path.to_path_buf(), source };
    layout.map(Arc::new).map_err(too_large)
}

/// Looks at a file, or at everything below a folder. Links are not followed, except that `path` itself
/// may be or contain one. Hidden files of a folder belong to it; our own unfinished downloads and state folders do not.
/// Entries that cannot be shared are left out and listed in [`Scan::skipped`].
///
/// # Errors
/// [`ShareError`] when `path` itself cannot be shared, or is beyond the limits of a share.
pub(crate) fn scan(path: &Path) -> Result<Scan, ShareError> {
    scan_while(path, &Steps { going: &|| true, entered: &|_| {} })
}

/// What is asked and told on the way through a folder.
pub(crate) struct Steps<'a> {
    /// Whether to go on; asked for each folder, and every so many entries.
    pub going: &'a dyn Fn() -> bool,
    /// Each folder, before what is in it is listed.
    pub entered: &'a dyn Fn(&Path),
}

/// The same, step by step.
///
/// # Errors
/// As [`scan`]; [`ShareError::Cancelled`] when it is not to go on.
pub(super) fn scan_while(path: &Path, steps: &Steps<'_>) -> Result<Scan, ShareError> {
    let looked_at = now_ms();
    let real = fs::canonicalize(path).map_err(|source| at_root(path, source))?;
    let meta = fs::symlink_metadata(&real).map_err(|source| at_root(&real, source))?;
    let name = own_name(path, &real);
    let (kind, walked) = if meta.is_dir() {
        (Kind::Folder, walk(&real, steps)?)
    } else if meta.is_file() {
        readable(&real).map_err(|source| at_root(&real, source))?;
        (Kind::File, Walked { files: vec![scan_file(Vec::new(), &meta)], ..Walked::default() })
    } else {
        return Err(ShareError::NotShareable(real));
    };
    let Walked { mut files, mut empty_dirs, dirs, skipped } = walked;
    files.sort_unstable_by(|a, b| in_manifest_order(&a.rel, &b.rel));
    empty_dirs.sort_unstable_by(|a, b| in_manifest_order(a, b));
    let layout = layout_of(&real, kind, &files)?;
    Ok(Scan { path: real, name, kind, files, empty_dirs, layout, skipped, dirs, looked_at })
}

/// Order of paths in a manifest: by components, each by its bytes.
fn in_manifest_order(a: &[String], b: &[String]) -> Ordering {
    a.iter().map(String::as_bytes).cmp(b.iter().map(String::as_bytes))
}

/// The name the user wrote, or the real one if that was `.` or the like.
fn own_name(written: &Path, real: &Path) -> String {
    let name = written.file_name().or_else(|| real.file_name());
    name.map_or_else(|| "root".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn at_root(path: &Path, source: io::Error) -> ShareError {
    match source.kind() {
        io::ErrorKind::NotFound => ShareError::NotFound(path.to_path_buf()),
        _ => ShareError::Unreadable { path: path.to_path_buf(), source },
    }
}

/// Whether the file could be opened for reading, without opening it.
fn readable(path: &Path) -> io::Result<()> {
    Ok(access(path, Access::READ_OK)?)
}

fn scan_file(rel: Vec<String>, meta: &Metadata) -> ScanFile {
    ScanFile { rel, stat: Stat::of(meta), exec: meta.permissions().mode() & 0o100 != 0 }
}

#[derive(Default)]
struct Walked {
    files: Vec<ScanFile>,
    empty_dirs: Vec<Vec<String>>,
    dirs: usize,
    skipped: Skipped,
}

/// Entries after which it is asked whether to go on: a stat takes a millisecond on a slow file server.
const ASK_AFTER: usize = 256;

/// Everything below `root`.
fn walk(root: &Path, steps: &Steps<'_>) -> Result<Walked, ShareError> {
    let mut walked = Walked::default();
    let mut pending: Vec<Vec<String>> = vec![Vec::new()];
    let mut entries = 0usize;
    while let Some(rel) = pending.pop() {
        if !(steps.going)() {
            return Err(ShareError::Cancelled);
        }
        walked.dirs += 1;
        let dir = join(root, &rel);
        // Whoever shares a home folder does not mean to give away the keys in it.
        if dir.join(FILE_NAME).exists() {
            if rel.is_empty() {
                return Err(ShareError::State(dir));
            }
            walked.skipped.add(dir, Skip::State);
            continue;
        }
        (steps.entered)(&dir);
        let listing = match fs::read_dir(&dir) {
            Ok(listing) => listing,
            Err(source) if rel.is_empty() => return Err(at_root(root, source)),
            Err(_) => {
                walked.skipped.add(dir, Skip::Unreadable);
                continue;
            }
        };
        let mut empty = true;
        for entry in listing {
            empty = false;
            entries += 1;
            if entries.is_multiple_of(ASK_AFTER) && !(steps.going)() {
                return Err(ShareError::Cancelled);
            }
            if entries > MAX_MANIFEST_ENTRIES {
                let max = MAX_MANIFEST_ENTRIES;
                return Err(ShareError::TooManyEntries { path: root.to_path_buf(), max });
            }
            match entry
                .map_err(|_| (dir.clone(), Skip::Unreadable))
                .and_then(|e| sort_out(&rel, &e))
            {
                Ok(Found::File(file)) => walked.files.push(file),
                Ok(Found::Dir(below)) => pending.push(below),
                Err((path, why)) => walked.skipped.add(path, why),
            }
        }
        if empty && !rel.is_empty() {
            walked.empty_dirs.push(rel);
        }
    }
    Ok(walked)
}

enum Found {
    File(ScanFile),
    Dir(Vec<String>),
}

fn sort_out(parent: &[String], entry: &DirEntry) -> Result<Found, (PathBuf, Skip)> {
    let leave_out = |why| Err((entry.path(), why));
    let name = match entry.file_name().into_string() {
        Ok(name) => name,
        Err(_) => return leave_out(Skip::NotUtf8),
    };
    // Of the entry itself, not of what a link points to.
    let Ok(meta) = entry.metadata() else { return leave_out(Skip::Unreadable) };
    if meta.is_symlink() {
        return leave_out(Skip::Symlink);
    }
    if !meta.is_dir() && !meta.is_file() {
        return leave_out(Skip::Special);
    }
    if is_partial(&name) {
        return leave_out(Skip::Partial);
    }
    let length = parent.iter().map(|part| part.len() + 1).sum::<usize>() + name.len();
    if parent.len() >= MAX_PATH_DEPTH || length > MAX_PATH_LEN || name.len() > MAX_NAME_LEN {
        return leave_out(Skip::TooDeep);
    }
    let mut rel = Vec::with_capacity(parent.len() + 1);
    rel.extend_from_slice(parent);
    rel.push(name);
    if meta.is_dir() {
        return Ok(Found::Dir(rel));
    }
    if readable(&entry.path()).is_err() {
        return leave_out(Skip::Unreadable);
    }
    Ok(Found::File(scan_file(rel, &meta)))
}

/// Whether a name is that of a download in progress or its journal: `.<name>.<id8>.part` or `.state`,
/// `id8` being eight base32 characters.
fn is_partial(name: &str) -> bool {
    let inner = name.strip_prefix('.');
    let stem = inner.and_then(|s| s.strip_suffix(".part").or_else(|| s.strip_suffix(".state")));
    let id = stem.and_then(|s| s.rsplit_once('.')).map(|(_, id)| id);
    id.is_some_and(|id| id.len() == 8 && id.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn own_partial_files_are_told_from_others() {
        for ours in [".film.mkv.abcdef23.part", ".x.abcdefgh.state"] {
            assert!(is_partial(ours), "{ours}");
        }
        for other in
            [".bashrc", "a.abcdefgh.part", ".x.part", ".x.ABCDEFGH.part", ".x.abcdefg1.part"]
        {
            assert!(!is_partial(other), "{other}");
        }
    }

    #[test]
    fn links_and_sockets_are_counted_and_bad_names_listed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("sub/empty")).unwrap();
        fs::write(root.join("sub/file"), "x").unwrap();
        fs::write(root.join(".hidden"), "y").unwrap();
        fs::write(root.join(".z.abcdefgh.part"), "z").unwrap();
        fs::write(root.join(OsStr::from_bytes(b"bad\xff")), "b").unwrap();
        symlink("/etc", root.join("link-to-dir")).unwrap();
        symlink("sub/file", root.join("link-to-file")).unwrap();
        let _socket = UnixListener::bind(root.join("socket")).unwrap();

        let scan = scan(&root).unwrap();
        let names: Vec<String> = scan.files.iter().map(|f| f.rel.join("/")).collect();
        assert_eq!(names, [".hidden", "sub/file"]);
        assert_eq!(scan.empty_dirs, [["sub", "empty"]]);
        assert_eq!((scan.skipped.symlinks, scan.skipped.special, scan.skipped.warned), (2, 1, 1));
        assert_eq!(scan.skipped.named.len(), 1);
        assert_eq!(scan.skipped.named[0].1, Skip::NotUtf8);
        assert_eq!((scan.name.as_str(), scan.kind), ("root", Kind::Folder));
    }

    #[test]
    fn keys_of_this_program_are_never_shared() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join(".local/state/shoal");
        drop(crate::library::Library::open(&state).unwrap());
        fs::write(state.join("identity"), "secret").unwrap();
        fs::write(dir.path().join("file"), "x").unwrap();
        let found = scan(dir.path()).unwrap();
        assert_eq!(found.files.len(), 1);
        assert_eq!(found.skipped.named[0].1, Skip::State);
        assert!(matches!(scan(&state), Err(ShareError::State(_))));
    }

    #[test]
    fn what_cannot_be_shared_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        assert!(matches!(scan(&missing), Err(ShareError::NotFound(path)) if path == missing));
        let socket = dir.path().join("socket");
        let _socket = UnixListener::bind(&socket).unwrap();
        assert!(matches!(scan(&socket), Err(ShareError::NotShareable(_))));
    }

    #[test]
    fn a_link_named_by_the_user_is_followed_and_keeps_its_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("real"), "data").unwrap();
        symlink("real", dir.path().join("alias")).unwrap();
        let scan = scan(&dir.path().join("alias")).unwrap();
        assert_eq!(scan.name, "alias");
        assert!(scan.path.ends_with("real"));
        assert_eq!(scan.layout.total(), 4);
    }

    /// As root everything is readable; as anybody else the file is left out and named.
    #[test]
    fn files_without_permission_are_left_out_with_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let locked = dir.path().join("locked");
        fs::write(&locked, "x").unwrap();
        fs::write(dir.path().join("open"), "x").unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
        let allowed = fs::File::open(&locked).is_ok();
        let scan = scan(dir.path()).unwrap();
        assert_eq!(scan.files.len(), if allowed { 2 } else { 1 });
        assert_eq!(scan.skipped.warned, u64::from(!allowed));
    }
}
