//! Which files of a folder are meant: by exact path, by a folder above them, or by a pattern.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use common::chunk_set::ChunkSet;
use common::layout::Layout;
use common::manifest::Manifest;
use common::names::show;

use crate::api::command::Selection;
use crate::api::pattern::{PathPattern, is_pattern, with_folders};

/// Names proposed for one that is not there.
const MAX_NEAR: usize = 3;
/// Names a wrong one is compared with: a few milliseconds, also for long ones.
const MAX_COMPARED: usize = 10_000;
/// Least likeness (Jaro-Winkler, nought to one) of a name that is proposed.
const LEAST_LIKE: f64 = 0.8;
/// Wrong names told in one message.
const MAX_TOLD: usize = 10;

/// What was chosen and is not in the folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unmatched {
    /// As the user wrote it, with names that are like it.
    wrong: Vec<(String, Vec<String>)>,
    /// What is left of the selection without it.
    pub(super) rest: Vec<String>,
}

impl fmt::Display for Unmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (wrong, near)) in self.wrong.iter().take(MAX_TOLD).enumerate() {
            let comma = if n > 0 { "; " } else { "" };
            let what = if is_pattern(wrong) { "nothing matches" } else { "there is no" };
            write!(f, "{comma}{what} {:?}", show(wrong))?;
            if !near.is_empty() {
                write!(f, " (there is {})", near.join(", "))?;
            }
        }
        match self.wrong.len().saturating_sub(MAX_TOLD) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// What to do about it.
pub(super) const UNMATCHED_HINT: &str =
    "tui-peer ls and the files of the folder in the app (Enter) show what there is";

/// A selection with exact paths only, each of them in the folder. A path that is there is meant itself,
/// whatever signs of patterns are in it.
///
/// # Errors
/// [`Unmatched`] names all that choose nothing.
pub(super) fn settle(manifest: &Manifest, files: &Selection) -> Result<Selection, Unmatched> {
    let Selection::Paths(chosen) = files else { return Ok(Selection::All) };
    if chosen.is_empty() {
        return Ok(Selection::Paths(Vec::new()));
    }
    let paths: Vec<String> = manifest.files().map(|entry| entry.path.join("/")).collect();
    let dirs: Vec<String> = manifest.empty_dirs().iter().map(str::to_owned).collect();
    let mut names: HashSet<&str> = HashSet::with_capacity(paths.len());
    for path in paths.iter().chain(&dirs) {
        names.extend(with_folders(path));
    }
    let (mut settled, mut wrong, mut by_pattern) = (BTreeSet::new(), Vec::new(), false);
    for one in chosen {
        let exact = one.trim_end_matches('/');
        if names.contains(exact) {
            settled.insert(exact.to_owned());
            continue;
        }
        let mut any = false;
        if let Some(pattern) = PathPattern::of(exact) {
            // Of a folder that matches everything below it is meant.
            for name in names.iter().filter(|name| pattern.matches(name)) {
                any = true;
                settled.insert((*name).to_owned());
            }
            by_pattern = true;
        }
        if !any {
            // What is not told needs no names like it, which take a look at thousands.
            let told = wrong.len() < MAX_TOLD;
            wrong.push((one.clone(), if told { near(exact, &paths) } else { Vec::new() }));
        }
    }
    let rest: Vec<String> = settled.into_iter().collect();
    if !wrong.is_empty() {
        return Err(Unmatched { wrong, rest });
    }
    if by_pattern {
        let chosen: HashSet<&str> = rest.iter().map(String::as_str).collect();
        if paths.iter().all(|path| is_chosen(&chosen, path)) {
            return Ok(Selection::All);
        }
    }
    Ok(Selection::Paths(rest))
}

/// Names like a wrong one, the best first.
fn near(wrong: &str, paths: &[String]) -> Vec<String> {
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_lowercase();
    let wanted = (wrong.to_lowercase(), last(wrong));
    let like = |path: &String| {
        let whole = strsim::jaro_winkler(&wanted.0, &path.to_lowercase());
        whole.max(strsim::jaro_winkler(&wanted.1, &last(path)))
    };
    let mut all: Vec<(f64, &String)> = paths
        .iter()
        .take(MAX_COMPARED)
        .map(|path| (like(path), path))
        .filter(|(like, _)| *like >= LEAST_LIKE)
        .collect();
    all.sort_by(|(a, left), (b, right)| b.total_cmp(a).then_with(|| left.cmp(right)));
    all.into_iter().take(MAX_NEAR).map(|(_, path)| show(path)).collect()
}

/// What was wanted and what is wanted besides.
pub(super) fn merged(before: &Selection, more: &Selection) -> Selection {
    match (before, more) {
        (Selection::Paths(before), Selection::Paths(more)) => {
            let all: BTreeSet<&String> = before.iter().chain(more).collect();
            Selection::Paths(all.into_iter().cloned().collect())
        }
        _ => Selection::All,
    }
}

/// Chunks of the files of a folder that a selection names; everything for a single file.
pub(super) fn wanted_chunks(
    manifest: Option<&Manifest>,
    layout: &Layout,
    selection: &Selection,
) -> ChunkSet {
    let (Selection::Paths(paths), Some(manifest)) = (selection, manifest) else {
        return ChunkSet::full(layout.chunks());
    };
    let chosen = Chosen::new(paths);
    let mut wanted = ChunkSet::empty(layout.chunks());
    for (i, entry) in manifest.files().enumerate() {
        if chosen.has(&entry.path.join("/"))
            && let Some(range) = layout.file_chunks(i)
        {
            wanted.insert_run(range.start, range.end - range.start);
        }
    }
    wanted
}

/// Paths that were chosen, each of a file or a folder.
pub(super) struct Chosen<'a>(HashSet<&'a str>);

impl<'a> Chosen<'a> {
    pub(super) fn new(paths: &'a [String]) -> Self {
        Self(paths.iter().map(|path| path.trim_end_matches('/')).collect())
    }

    /// Whether the file at `path` is chosen: itself, or by a folder above it.
    pub(super) fn has(&self, path: &str) -> bool {
        is_chosen(&self.0, path)
    }
}

fn is_chosen(chosen: &HashSet<&str>, path: &str) -> bool {
    with_folders(path).any(|name| chosen.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(paths: &[&str], path: &str) -> bool {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        Chosen::new(&paths).has(path)
    }

    #[test]
    fn a_selection_names_a_file_or_all_below_a_folder() {
        assert!(chosen(&["a/b.txt"], "a/b.txt"));
        assert!(chosen(&["a"], "a/b.txt") && chosen(&["a/"], "a/b/c.txt"));
        assert!(!chosen(&["a/b"], "a/b.txt") && !chosen(&["b.txt"], "a/b.txt"));
    }

    #[test]
    fn h2_names_like_a_wrong_one_are_looked_for_only_where_they_are_told() {
        let all: Vec<(String, Option<Vec<String>>)> = (0..MAX_TOLD + 3)
            .map(|n| (format!("fil{n}.bin"), (n < MAX_TOLD).then(|| vec!["file.bin".to_owned()])))
            .collect();
        let file = common::manifest::Entry {
            path: vec!["file.bin".to_owned()],
            kind: common::manifest::EntryKind::File,
            size: 0,
            root: common::hash::sha256(b""),
            exec: false,
            mtime: 0,
        };
        let manifest = Manifest::build("folder", vec![file]).unwrap();
        let wrong = Selection::Paths(all.iter().map(|(wrong, _)| wrong.clone()).collect());
        let unmatched = settle(&manifest, &wrong).unwrap_err();
        assert_eq!(unmatched.wrong.len(), all.len());
        for (n, (_, near)) in unmatched.wrong.iter().enumerate() {
            assert_eq!(!near.is_empty(), n < MAX_TOLD, "{n}");
        }
    }

    #[test]
    fn h1_files_asked_for_later_are_added_to_those_before() {
        let some = |paths: &[&str]| {
            Selection::Paths(paths.iter().map(|path| (*path).to_owned()).collect())
        };
        assert_eq!(merged(&some(&["b", "a"]), &some(&["c", "a"])), some(&["a", "b", "c"]));
        assert_eq!(merged(&some(&["a"]), &some(&[])), some(&["a"]));
        assert_eq!(merged(&some(&["a"]), &Selection::All), Selection::All);
        assert_eq!(merged(&Selection::All, &some(&["a"])), Selection::All);
    }
}
