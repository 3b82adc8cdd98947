//! Keeps the paths of a folder apart on file systems that fold case or normalise, and files apart
//! from folders of the same disk name.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use unicode_normalization::UnicodeNormalization;

use super::path_list::{PathList, TooMuchText, components};
use super::split_extension;
use crate::limits::MAX_NAME_LEN;

/// Room kept for a number such as ` (1000000)`, in bytes.
const SUFFIX_ROOM: usize = 12;
/// Length of such a number as a rule, in bytes.
const TYPICAL_SUFFIX: usize = 8;
/// Between components of a folded path: less than every byte of a name, so that a folder comes directly
/// before what lies in it, and in no name.
const FOLDED_SEPARATOR: &str = "\0";
/// Memory for names that collide, beside what is in proportion to the list of paths: small folders may
/// have as many collisions as they like.
const FREE_MEMORY: usize = 1024 * 1024;
/// What a moved or numbered name costs beside its text, in bytes: entries of two maps with a string each.
const CLAIM_COST: usize = 256;

/// Paths could not be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CollisionError {
    /// To tell them apart would take far more memory than the folder has names.
    #[error("too many names that differ only in case to tell them apart")]
    TooMany,
    /// Longer than a list can be.
    #[error(transparent)]
    TooMuchText(#[from] TooMuchText),
}

/// Makes paths distinct on file systems that fold case or normalise: a path that collides with an
/// earlier one (after NFC and case folding) gets ` (2)`, ` (3)`… before its extension. Paths are
/// made of safe components; folders are compared component by component, so two folders that
/// collide become one on such a system and their files are told apart. A folder whose name a file
/// has already gets a number as well. `is_dir` says of every path whether it is a folder's.
///
/// # Errors
/// [`CollisionError`] when paths collide and telling them apart takes more than about `memory` bytes.
pub(crate) fn distinct_paths(
    paths: PathList,
    is_dir: impl Fn(usize) -> bool,
    memory: usize,
) -> Result<PathList, CollisionError> {
    // As a rule none collide, and then nothing has to be kept of any folder.
    if !any_collide(&paths, &is_dir)? {
        return Ok(paths);
    }
    let mut places = Places::within(memory.saturating_add(FREE_MEMORY), &paths);
    // Room for the numbers, so that it does not stand twice while it grows.
    let text = paths.text_len() + paths.len() * TYPICAL_SUFFIX;
    let mut distinct = PathList::with_capacity(paths.len(), text);
    for (index, path) in paths.iter().enumerate() {
        let path = components(path).map(str::to_owned).collect();
        let path = if is_dir(index) { places.dir(path)? } else { places.file(path)? };
        distinct.push(path)?;
    }
    Ok(distinct)
}

/// Whether a file has the place of another file or of a folder.
fn any_collide(paths: &PathList, is_dir: &impl Fn(usize) -> bool) -> Result<bool, TooMuchText> {
    let mut folded = PathList::with_capacity(paths.len(), paths.text_len());
    for path in paths.iter() {
        let mut text = String::with_capacity(path.len());
        for (i, component) in components(path).enumerate() {
            if i > 0 {
                text.push_str(FOLDED_SEPARATOR);
            }
            text.push_str(&fold(component));
        }
        folded.push([text])?;
    }
    // Positions, in the order of the folded paths: what collides stands side by side.
    let mut order: Vec<u32> = (0..u32::try_from(folded.len()).map_err(|_| TooMuchText)?).collect();
    let folded = |index: &u32| folded.get(*index as usize).unwrap_or_default();
    if !order.is_sorted_by_key(folded) {
        order.sort_unstable_by(|a, b| folded(a).cmp(folded(b)));
    }
    // The last file: whatever has its place, or lies in it, comes before any other path.
    let mut last_file: Option<&str> = None;
    let mut before: Option<&str> = None;
    for index in &order {
        let (path, dir) = (folded(index), is_dir(*index as usize));
        let in_file = last_file.is_some_and(|file| {
            let rest = path.strip_prefix(file);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(FOLDED_SEPARATOR))
        });
        // Of equal paths the folder may come first.
        if in_file || (!dir && before == Some(path)) {
            return Ok(true);
        }
        if !dir {
            last_file = Some(path);
        }
        before = Some(path);
    }
    Ok(false)
}

/// Bytes of the table for a place that it has room for: one slot in eight stays empty, and each has a
/// byte of its own.
const SLOT: usize = (size_of::<Taken>() + 1) * 8 / 7;

/// Number of a folder in [`Places`]; 0 is the top.
type Folder = u32;
/// A name in a folder, as a file system that folds case sees it.
type Place = (Folder, String);

/// A place that is taken.
#[derive(Clone, Copy)]
struct Taken {
    parent: Folder,
    /// The folded name: from where in [`Places::names`], and how many bytes.
    name: (u32, u16),
    /// The folder that stands there; 0, which is nobody's child, for a file.
    folder: Folder,
    /// Next number to try for names like this one: thousands of colliding names must not search from
    /// two again.
    next: u32,
}

/// What stands where. Holds every name once, however deep its folder lies.
struct Places {
    taken: HashTable<Taken>,
    names: String,
    hasher: RandomState,
    /// Where folders went whose place was a file's.
    moved: HashMap<Place, (Folder, String)>,
    /// [`Taken::next`] of names that are alike once they are cut to make room for a number.
    next: HashMap<Place, u32>,
    folders: Folder,
    /// Bytes of memory to be used at most, about.
    memory: usize,
}

impl Places {
    /// Empty, with room for one name of each of `paths`; grows to `memory` bytes at most.
    fn within(memory: usize, paths: &PathList) -> Self {
        Self {
            taken: HashTable::with_capacity(paths.len().min(memory / SLOT / 2)),
            names: String::with_capacity(paths.text_len().min(memory / 4)),
            hasher: RandomState::new(),
            moved: HashMap::new(),
            next: HashMap::new(),
            folders: 0,
            memory,
        }
    }

    /// A path that nothing else has, for a file.
    fn file(&mut self, mut path: Vec<String>) -> Result<Vec<String>, CollisionError> {
        let Some(name) = path.pop() else { return Ok(path) };
        let folder = self.walk(&mut path)?;
        let name =
            if self.take(folder, &fold(&name), 0)? { name } else { self.claim(folder, &name, 0)? };
        path.push(name);
        Ok(path)
    }

    /// A path that no file has, for a folder.
    fn dir(&mut self, mut path: Vec<String>) -> Result<Vec<String>, CollisionError> {
        self.walk(&mut path)?;
        Ok(path)
    }

    /// Goes down the folders of a path, and renames those whose place is a file's.
    fn walk(&mut self, path: &mut [String]) -> Result<Folder, CollisionError> {
        let mut at = 0;
        for name in path {
            let (folder, renamed) = self.enter(at, name)?;
            at = folder;
            if let Some(renamed) = renamed {
                *name = renamed;
            }
        }
        Ok(at)
    }

    fn enter(
        &mut self,
        parent: Folder,
        name: &str,
    ) -> Result<(Folder, Option<String>), CollisionError> {
        let folded = fold(name);
        match self.find(parent, &folded).map(|taken| taken.folder) {
            Some(0) => {
                let place = (parent, folded);
                if let Some((folder, name)) = self.moved.get(&place) {
                    return Ok((*folder, Some(name.clone())));
                }
                let folder = self.new_folder();
                let name = self.claim(parent, name, folder)?;
                self.moved.insert(place, (folder, name.clone()));
                Ok((folder, Some(name)))
            }
            Some(folder) => Ok((folder, None)),
            None => {
                let folder = self.new_folder();
                self.take(parent, &folded, folder)?;
                Ok((folder, None))
            }
        }
    }

    fn new_folder(&mut self) -> Folder {
        // A manifest has at most a million entries of 64 components.
        self.folders = self.folders.saturating_add(1);
        self.folders
    }

    fn find(&mut self, parent: Folder, folded: &str) -> Option<&mut Taken> {
        let hash = self.hasher.hash_one((parent, folded));
        let names = &self.names;
        self.taken.find_mut(hash, |taken| taken.parent == parent && text(names, taken) == folded)
    }

    /// Takes a place if it is free; whether it was.
    fn take(
        &mut self,
        parent: Folder,
        folded: &str,
        folder: Folder,
    ) -> Result<bool, CollisionError> {
        if self.find(parent, folded).is_some() {
            return Ok(false);
        }
        let full = CollisionError::TooMany;
        let at = u32::try_from(self.names.len()).map_err(|_| full)?;
        let len = u16::try_from(folded.len()).map_err(|_| full)?;
        // What is full doubles, and stands twice while it does.
        let table = self.taken.capacity();
        let table = if self.taken.len() == table { table * 3 } else { table };
        let names = self.names.capacity();
        let grows = self.names.len() + folded.len() > names;
        let names = if grows { names * 3 + folded.len() } else { names };
        let claims = (self.moved.len() + self.next.len()) * CLAIM_COST;
        if table * SLOT + claims + names > self.memory {
            return Err(full);
        }
        self.names.push_str(folded);
        let (names, hasher) = (&self.names, &self.hasher);
        let hash = hasher.hash_one((parent, folded));
        self.taken.insert_unique(
            hash,
            Taken { parent, name: (at, len), folder, next: 2 },
            |taken| hasher.hash_one((taken.parent, text(names, taken))),
        );
        Ok(true)
    }

    /// Takes the first free numbered form of a name that is taken.
    fn claim(
        &mut self,
        parent: Folder,
        name: &str,
        folder: Folder,
    ) -> Result<String, CollisionError> {
        let (stem, extension) = split_extension(name);
        // Cut first, so that names alike in what remains share one counter.
        let room = MAX_NAME_LEN.saturating_sub(SUFFIX_ROOM + extension.len());
        let mut stem = stem.to_owned();
        while stem.len() > room && stem.pop().is_some() {}
        let alike = fold(&format!("{stem}{extension}"));
        let mut next = match self.find(parent, &alike) {
            Some(taken) => taken.next,
            None => self.next.get(&(parent, alike.clone())).copied().unwrap_or(2),
        };
        loop {
            let candidate = format!("{stem} ({next}){extension}");
            next += 1;
            if self.take(parent, &fold(&candidate), folder)? {
                match self.find(parent, &alike) {
                    Some(taken) => taken.next = next,
                    None => drop(self.next.insert((parent, alike), next)),
                }
                return Ok(candidate);
            }
        }
    }
}

fn text<'a>(names: &'a str, taken: &Taken) -> &'a str {
    let (at, len) = (taken.name.0 as usize, usize::from(taken.name.1));
    names.get(at..at + len).unwrap_or_default()
}

/// Equal for names that some file system would not tell apart. Upper case first, as that joins more
/// (`ß` and `ss`, the two small sigmas).
fn fold(name: &str) -> String {
    if name.is_ascii() {
        // The same result, sooner: a folder may have a million names.
        return name.to_ascii_lowercase();
    }
    name.nfc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn list(paths: impl IntoIterator<Item = impl AsRef<str>>) -> PathList {
        let mut list = PathList::default();
        paths.into_iter().for_each(|path| list.push([path]).unwrap());
        list
    }

    /// Paths that end with a slash are folders'.
    fn distinct(paths: &[&str]) -> Vec<String> {
        let bare = list(paths.iter().map(|path| path.trim_end_matches('/')));
        let is_dir = |index: usize| paths[index].ends_with('/');
        let distinct = distinct_paths(bare, is_dir, 0).unwrap();
        distinct.iter().map(str::to_owned).collect()
    }

    #[test]
    fn many_colliding_names_do_not_take_quadratic_time() {
        // 2^16 spellings, of a short name and of one whose end is cut off to make room for the number.
        for tail in [".txt".to_owned(), "x".repeat(230)] {
            let spelled = (0u32..1 << 16).map(|bits| {
                let case = |i: u32| if bits >> i & 1 == 1 { 'Q' } else { 'q' };
                (0..16).map(case).chain(tail.chars()).collect::<String>()
            });
            let paths = list(spelled);
            let start = Instant::now();
            let paths = distinct_paths(paths, |_| false, 1 << 26).unwrap();
            let took = start.elapsed();
            // Milliseconds in fact; searching from two each time took minutes.
            assert!(took < Duration::from_secs(5), "{took:?}");
            let places: HashSet<String> = paths.iter().map(fold).collect();
            assert_eq!(places.len(), 1 << 16);
            assert!(paths.iter().all(|path| path.len() <= MAX_NAME_LEN));
        }
    }

    #[test]
    fn a_file_and_a_folder_never_get_the_same_disk_name() {
        assert_eq!(distinct(&["a_", "a_/b", "a_/c"]), ["a_", "a_ (2)/b", "a_ (2)/c"]);
        assert_eq!(distinct(&["A/b", "a"]), ["A/b", "a (2)"]);
        assert_eq!(distinct(&["x", "X/y/z", "x/Y/Z"]), ["x", "X (2)/y/z", "X (2)/Y/Z (2)"]);
        assert_eq!(distinct(&["a_", "a_/", "b/", "B"]), ["a_", "a_ (2)", "b", "B (2)"]);
    }

    #[test]
    fn colliding_paths_are_told_apart() {
        let given =
            ["a/Read.me", "a/read.ME", "a/read (2).ME", "b/e\u{301}", "b/\u{e9}", "c", "c.d/e"];
        let got = distinct(&given);
        assert_eq!(got[1], "a/read (2).ME");
        assert_eq!(got[2], "a/read (2) (2).ME");
        assert_eq!(got[4], "b/\u{e9} (2)");
        assert_eq!((got[5].as_str(), got[6].as_str()), ("c", "c.d/e"));
    }

    #[test]
    fn s3_collisions_that_only_cost_memory_are_refused() {
        // Two names that collide at the top, and 60 folders of their own for each of many files.
        let deep = |file: u32| format!("{file}{}", "/a".repeat(60));
        let mut paths = list((0..20_000).map(deep));
        assert_eq!(distinct_paths(paths.clone(), |_| false, 0).unwrap(), paths);
        paths.push(["q"]).unwrap();
        paths.push(["Q"]).unwrap();
        let outcome = distinct_paths(paths, |_| false, 20_000 * 180);
        assert_eq!(outcome, Err(CollisionError::TooMany));
    }

    #[test]
    fn folding_joins_what_some_file_system_joins() {
        assert_eq!(fold("K-Å"), fold("\u{212a}-\u{212b}"));
        assert_eq!(fold("ὈΔΥΣΣΕΎΣ"), fold("Ὀδυσσεύς"));
        assert_eq!(distinct(&["STRASSE", "straße"]), ["STRASSE", "straße (2)"]);
    }

    proptest! {
        #[test]
        fn looking_for_collisions_misses_none(
            paths in proptest::collection::vec("[aA_]{1,2}(/[aAb]{1,2}){0,2}/?", 1..12)
        ) {
            let bare = list(paths.iter().map(|path| path.trim_end_matches('/')));
            let is_dir = |index: usize| paths[index].ends_with('/');
            let mut places = Places::within(FREE_MEMORY, &bare);
            let mut told_apart = PathList::default();
            for (index, path) in bare.iter().enumerate() {
                let path = components(path).map(str::to_owned).collect();
                let path = if is_dir(index) { places.dir(path) } else { places.file(path) };
                told_apart.push(path.unwrap()).unwrap();
            }
            prop_assert_eq!(any_collide(&bare, &is_dir).unwrap(), told_apart != bare);
        }

        #[test]
        fn no_two_files_share_a_place_nor_a_file_and_a_folder(
            paths in proptest::collection::vec("[aA_ß ]{1,2}( \\([23]\\))?(/[aAbB]{1,2}){0,2}", 1..40)
        ) {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let disk = distinct(&paths);
            let places: HashSet<String> = disk.iter().map(|path| fold(path)).collect();
            prop_assert_eq!(places.len(), paths.len());
            for path in &disk {
                for (at, _) in path.match_indices('/') {
                    prop_assert!(!places.contains(&fold(&path[..at])), "{path} in a file");
                }
            }
        }
    }
}
