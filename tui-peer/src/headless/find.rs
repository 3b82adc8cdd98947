//! What `NAME|ID|PATH` means among our own transfers and shares.

use std::path::Path;

use common::id::ContentId;

use crate::engine::snapshot::{Snapshot, Transfer};

/// Fewest letters of an id that stand for it.
const SHORTEST_ID: usize = 6;

/// Whether `what` is this name, the id or its beginning, or this path.
pub(super) fn means(what: &str, name: &str, id: &ContentId, path: &Path) -> bool {
    name == what
        || (what.len() >= SHORTEST_ID && id.to_string().starts_with(what))
        || std::fs::canonicalize(what).is_ok_and(|real| real == path)
        // Gone from the disk, but known by the path it had.
        || Path::new(what) == path
}

/// All our transfers that `what` means.
pub(super) fn transfers<'a>(snapshot: &'a Snapshot, what: &str) -> Vec<&'a Transfer> {
    let fits = |t: &&Transfer| means(what, t.raw_name(), &t.id, &t.path) || &*t.name == what;
    snapshot.transfers.iter().filter(fits).collect()
}

/// The only one, or words.
pub(super) fn one<'a>(snapshot: &'a Snapshot, what: &str) -> Result<&'a Transfer, String> {
    match transfers(snapshot, what).as_slice() {
        [only] => Ok(only),
        [] => Err(format!("nothing shared or downloaded here goes by {what:?}")),
        many => {
            let mut why = format!("{what:?} could be {} things; give the id:", many.len());
            for transfer in many.iter().take(10) {
                why.push_str(&format!("\n  {}  {}", transfer.id, transfer.path.display()));
            }
            Err(why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_the_start_of_an_id_or_a_path() {
        let id = ContentId::from_bytes([9; 32]);
        let text = id.to_string();
        let yes = |what: &str| means(what, "file", &id, Path::new("/gone/file"));
        assert!(yes("file") && yes(&text) && yes(&text[..8]) && yes("/gone/file"));
        assert!(!yes("fil") && !yes(&text[..3]) && !yes("") && !yes("/gone"));
    }
}
