//! Reading folders of this machine, for completion and the file picker.

use std::fs::{self, Metadata};
use std::path::Path;

use super::model::PathEntry;

/// Most names read of one folder: more cannot be scrolled through.
const MAX_NAMES: usize = 20_000;

/// Names in a folder, folders first; symbolic links are shown as what they lead to.
///
/// # Errors
/// Why it cannot be read, with its path.
pub(super) fn list(dir: &Path) -> Result<Vec<PathEntry>, String> {
    let names = fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut entries: Vec<PathEntry> = names
        .flatten()
        .take(MAX_NAMES)
        .map(|entry| {
            let path = entry.path();
            let meta = fs::metadata(&path).ok();
            let is_dir = meta.as_ref().is_some_and(Metadata::is_dir);
            let raw = entry.file_name();
            PathEntry {
                name: raw.to_string_lossy().into_owned(),
                is_dir,
                size: meta.map_or(0, |m| m.len()),
                readable: rustix::fs::access(&path, rustix::fs::Access::READ_OK).is_ok(),
                raw,
            }
        })
        .collect();
    entries.sort_by(|a, b| {
        b.is_dir.cmp(&a.is_dir).then_with(|| a.name.to_lowercase().cmp(&b.name.to_lowercase()))
    });
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn folders_come_first_and_names_that_are_no_text_are_there() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.txt"), b"abc").unwrap();
        fs::create_dir(dir.path().join("z")).unwrap();
        fs::write(dir.path().join(OsStr::from_bytes(b"b\xff")), b"").unwrap();
        let entries = list(dir.path()).unwrap();
        assert!(entries[0].is_dir && entries[0].name == "z");
        assert_eq!((entries[1].name.as_str(), entries[1].size), ("a.txt", 3));
        assert!(entries[1].readable && entries[1].typeable());
        assert!(entries[2].raw == OsStr::from_bytes(b"b\xff") && !entries[2].typeable());
        assert!(list(&dir.path().join("nope")).unwrap_err().contains("nope"));
    }
}
