//! Keeps the paths of a folder apart on file systems that fold case or normalise, and files apart
//! from folders of the same disk name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use unicode_normalization::UnicodeNormalization;

use super::split_extension;
use crate::limits::MAX_NAME_LEN;

/// Room kept for a number such as ` (1000000)`, in bytes.
const SUFFIX_ROOM: usize = 12;

/// Makes paths distinct on file systems that fold case or normalise: a path that collides with an
/// earlier one (after NFC and case folding) gets ` (2)`, ` (3)`… before its extension. Paths are
/// lists of safe components; folders are compared component by component, so two folders that
/// collide become one on such a system and their files are told apart. A folder whose name a file
/// has already gets a number as well.
pub fn distinct_paths(paths: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let mut places = Places::default();
    paths.into_iter().map(|path| places.file(path)).collect()
}

/// Number of a folder in [`Places`]; 0 is the top.
type Folder = u32;
/// A name in a folder, as a file system that folds case sees it.
type Place = (Folder, String);

/// What stands where. Holds every name once, however deep its folder lies.
#[derive(Default)]
pub(crate) struct Places {
    /// The folder that stands there, or `None` for a file.
    taken: HashMap<Place, Option<Folder>>,
    /// Where folders went whose place was a file's.
    moved: HashMap<Place, (Folder, String)>,
    /// Next number to try: thousands of colliding names must not search from two again.
    next: HashMap<Place, u32>,
    folders: Folder,
}

impl Places {
    /// A path that nothing else has, for a file.
    pub(crate) fn file(&mut self, mut path: Vec<String>) -> Vec<String> {
        let Some(name) = path.pop() else { return path };
        let (folder, mut path) = self.walk(path);
        let place = (folder, fold(&name));
        let name = match self.taken.entry(place) {
            Entry::Vacant(free) => {
                free.insert(None);
                name
            }
            Entry::Occupied(_) => self.claim(folder, &name, None),
        };
        path.push(name);
        path
    }

    /// A path that no file has, for a folder.
    pub(crate) fn dir(&mut self, path: Vec<String>) -> Vec<String> {
        self.walk(path).1
    }

    fn walk(&mut self, path: Vec<String>) -> (Folder, Vec<String>) {
        let mut at = 0;
        let path = path.into_iter().map(|name| {
            let (folder, name) = self.enter(at, name);
            at = folder;
            name
        });
        let path = path.collect();
        (at, path)
    }

    fn enter(&mut self, parent: Folder, name: String) -> (Folder, String) {
        let place = (parent, fold(&name));
        match self.taken.get(&place) {
            Some(Some(folder)) => (*folder, name),
            Some(None) => {
                if let Some(there) = self.moved.get(&place) {
                    return there.clone();
                }
                let folder = self.new_folder();
                let name = self.claim(parent, &name, Some(folder));
                self.moved.insert(place, (folder, name.clone()));
                (folder, name)
            }
            None => {
                let folder = self.new_folder();
                self.taken.insert(place, Some(folder));
                (folder, name)
            }
        }
    }

    fn new_folder(&mut self) -> Folder {
        // A manifest has at most a million entries of 64 components.
        self.folders = self.folders.saturating_add(1);
        self.folders
    }

    /// Takes the first free numbered form of a name that is taken.
    fn claim(&mut self, parent: Folder, name: &str, what: Option<Folder>) -> String {
        let (stem, extension) = split_extension(name);
        // Cut first, so that names alike in what remains share one counter.
        let room = MAX_NAME_LEN.saturating_sub(SUFFIX_ROOM + extension.len());
        let mut stem = stem.to_owned();
        while stem.len() > room && stem.pop().is_some() {}
        let next = self.next.entry((parent, fold(&format!("{stem}{extension}")))).or_insert(2);
        loop {
            let candidate = format!("{stem} ({next}){extension}");
            *next += 1;
            let place = (parent, fold(&candidate));
            if let Entry::Vacant(free) = self.taken.entry(place) {
                free.insert(what);
                return candidate;
            }
        }
    }
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

    fn path(joined: &str) -> Vec<String> {
        joined.split('/').map(str::to_owned).collect()
    }

    fn distinct(paths: &[&str]) -> Vec<String> {
        let paths = distinct_paths(paths.iter().map(|p| path(p)).collect());
        paths.iter().map(|path| path.join("/")).collect()
    }

    #[test]
    fn many_colliding_names_do_not_take_quadratic_time() {
        // 2^16 spellings, of a short name and of one whose end is cut off to make room for the number.
        for tail in [".txt".to_owned(), "x".repeat(230)] {
            let spelled = (0u32..1 << 16).map(|bits| {
                let case = |i: u32| if bits >> i & 1 == 1 { 'Q' } else { 'q' };
                vec![(0..16).map(case).chain(tail.chars()).collect::<String>()]
            });
            let paths = spelled.collect();
            let start = Instant::now();
            let paths = distinct_paths(paths);
            let took = start.elapsed();
            // Milliseconds in fact; searching from two each time took minutes.
            assert!(took < Duration::from_secs(5), "{took:?}");
            let places: HashSet<String> = paths.iter().map(|path| fold(&path[0])).collect();
            assert_eq!(places.len(), 1 << 16);
            assert!(paths.iter().all(|path| path[0].len() <= MAX_NAME_LEN));
        }
    }

    #[test]
    fn a_file_and_a_folder_never_get_the_same_disk_name() {
        assert_eq!(distinct(&["a_", "a_/b", "a_/c"]), ["a_", "a_ (2)/b", "a_ (2)/c"]);
        assert_eq!(distinct(&["A/b", "a"]), ["A/b", "a (2)"]);
        assert_eq!(distinct(&["x", "X/y/z", "x/Y/Z"]), ["x", "X (2)/y/z", "X (2)/Y/Z (2)"]);
        let mut places = Places::default();
        assert_eq!(places.file(path("a_")), ["a_"]);
        assert_eq!(places.dir(path("a_")), ["a_ (2)"]);
        assert_eq!(places.dir(path("b")), ["b"]);
        assert_eq!(places.file(path("B")), ["B (2)"]);
    }

    #[test]
    fn folding_joins_what_some_file_system_joins() {
        assert_eq!(fold("K-Å"), fold("\u{212a}-\u{212b}"));
        assert_eq!(fold("ὈΔΥΣΣΕΎΣ"), fold("Ὀδυσσεύς"));
        assert_eq!(distinct(&["STRASSE", "straße"]), ["STRASSE", "straße (2)"]);
    }

    proptest! {
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
