//! Which shared folders are watched: a setting of the library, so that records of shares stay as every version
//! writes and reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

/// Setting of the library that holds the paths, as a JSON list of their bytes in hexadecimal: a path need not be
/// text.
pub const WATCHED_KEY: &str = "watched_folders";
/// Watched folders at most: all of them are written whenever one is added, some hundred bytes each.
pub const MAX_WATCHED: usize = 2_000;

/// What is said when there are so many.
pub fn too_many_watched() -> String {
    format!("{MAX_WATCHED} folders are watched already; watch one above them all")
}

/// The watched folders among those that are shared, and whether the setting names others: one that is shared again one
/// day must not be watched by a word of long ago. A text that cannot be read is none.
pub fn watched<'a>(
    settings: &BTreeMap<String, String>,
    shared: impl Iterator<Item = &'a PathBuf>,
) -> (BTreeSet<PathBuf>, bool) {
    let text = settings.get(WATCHED_KEY);
    let list: Vec<String> =
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let all: BTreeSet<PathBuf> =
        list.iter().take(MAX_WATCHED).filter_map(|hex| from_hex(hex)).collect();
    if all.is_empty() {
        return (all, false);
    }
    let watched: BTreeSet<PathBuf> = shared.filter(|path| all.contains(*path)).cloned().collect();
    let stale = watched.len() < all.len();
    (watched, stale)
}

/// The same as the setting has it; `None` takes the setting away.
pub fn watched_text(folders: &BTreeSet<PathBuf>) -> Option<String> {
    let hex = |path: &PathBuf| -> String {
        path.as_os_str().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let list: Vec<String> = folders.iter().map(hex).collect();
    if list.is_empty() { None } else { serde_json::to_string(&list).ok() }
}

fn from_hex(hex: &str) -> Option<PathBuf> {
    let digits = hex.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
    let bytes = bytes.filter(|bytes| !bytes.is_empty() && digits.len().is_multiple_of(2))?;
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c7_watched_folders_come_back_and_what_is_unreadable_is_none() {
        let odd = PathBuf::from(OsString::from_vec(b"/d/\xff\n".to_vec()));
        let folders = BTreeSet::from([PathBuf::from("/home/me/photos"), odd]);
        let settings = |text: &str| BTreeMap::from([(WATCHED_KEY.to_owned(), text.to_owned())]);
        let text = settings(&watched_text(&folders).unwrap());
        assert_eq!(watched(&text, folders.iter()), (folders.clone(), false));
        assert_eq!(watched(&text, folders.iter().take(1)).0.len(), 1);
        assert!(watched(&text, folders.iter().take(1)).1, "one is shared no more");
        assert_eq!(watched_text(&BTreeSet::new()), None);
        assert_eq!(watched(&BTreeMap::new(), folders.iter()), (BTreeSet::new(), false));
        for bad in ["", "{}", "[1]", r#"["2f6", "zz", ""]"#] {
            assert!(watched(&settings(bad), folders.iter()).0.is_empty(), "{bad}");
        }
    }
}
