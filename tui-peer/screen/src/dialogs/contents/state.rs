//! The files of a folder as a tree: what is open, what is chosen. Sums are kept so that a hundred
//! thousand files cost nothing to draw.

use std::ops::Range;

use common::id::ContentId;
use common::numbers::saturate;

use crate::field::Field;
use crate::filter::fold;
use crate::layout::tallest;
use engine::api::snapshot::FolderEntry;

/// With at most so many files, all folders are open at first.
const OPEN_ALL: usize = 60;
/// Deepest folder that gets a row of its own; what lies deeper is shown by its path.
const MAX_DEPTH: usize = 32;

/// A row of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// A folder; its place in `dirs`.
    Dir(u32),
    /// A file; its place in the order.
    File(u32),
}

/// A folder in the tree.
#[derive(Debug, Clone)]
pub struct Dir {
    /// Its own name, safe to show.
    pub name: String,
    /// How deep it lies.
    pub depth: usize,
    /// Its files, also those below, as places in the order.
    pub files: Range<usize>,
    /// Its rows, without its own, as places in the tree.
    nodes: Range<usize>,
    /// Whether its rows are shown.
    pub open: bool,
}

/// Sums over the files before a place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Chosen files.
    pub chosen: u64,
    /// Their bytes.
    pub chosen_bytes: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes on our disk.
    pub done: u64,
}

/// The files of a folder.
#[derive(Debug, Clone)]
pub struct Contents {
    /// Which folder.
    pub id: ContentId,
    /// Its name.
    pub name: String,
    /// Why its files are not known; `None` while they are asked for, too.
    pub error: Option<String>,
    /// Whether the files are there.
    pub ready: bool,
    /// A download was begun only to see the files; it goes when none is chosen.
    pub looking: bool,
    /// Whether the list was asked for.
    pub asked: bool,
    /// Cursor among `rows`.
    pub cursor: usize,
    /// First visible row.
    pub offset: usize,
    /// Only paths with this.
    pub query: Field,
    /// Whether the query has the keys.
    pub filtering: bool,
    /// Rows that are shown.
    pub rows: Vec<Node>,
    entries: Vec<FolderEntry>,
    folded: Vec<String>,
    chosen: Vec<bool>,
    dirs: Vec<Dir>,
    tree: Vec<Node>,
    /// One more than files.
    sums: Vec<Sum>,
}

impl Contents {
    /// Rows of files in the dialog, on a terminal of this size.
    pub fn rows_shown(size: (u16, u16)) -> usize {
        usize::from(tallest(size.1).saturating_sub(5)).max(1)
    }

    /// Before the files are known.
    pub fn new(id: ContentId, name: String) -> Self {
        Self {
            id,
            name,
            error: None,
            ready: false,
            looking: false,
            asked: false,
            cursor: 0,
            offset: 0,
            query: Field::default(),
            filtering: false,
            rows: Vec::new(),
            entries: Vec::new(),
            folded: Vec::new(),
            chosen: Vec::new(),
            dirs: Vec::new(),
            tree: Vec::new(),
            sums: vec![Sum::default()],
        }
    }

    /// Takes the files.
    pub fn fill(&mut self, mut entries: Vec<FolderEntry>) {
        // Everything below a folder has its path as a prefix, so after this it stands together.
        entries.sort_unstable_by(|a, b| a.raw.cmp(&b.raw));
        self.chosen = entries.iter().map(|e| e.wanted).collect();
        self.folded = entries.iter().map(|e| fold(&e.path)).collect();
        let open = entries.len() <= OPEN_ALL;
        self.entries = entries;
        self.grow(open);
        self.ready = true;
        self.error = None;
        self.sum();
        self.refresh();
    }

    fn grow(&mut self, open: bool) {
        self.dirs.clear();
        self.tree.clear();
        let mut above: Vec<(String, usize)> = Vec::new();
        for at in 0..self.entries.len() {
            let Some(entry) = self.entries.get(at) else { break };
            let mut parents: Vec<&str> = entry.raw.split('/').collect();
            parents.pop();
            parents.truncate(MAX_DEPTH);
            let shown: Vec<&str> = entry.path.split('/').collect();
            let same = above.iter().zip(&parents).take_while(|((a, _), b)| a == *b).count();
            for (_, dir) in above.drain(same..) {
                close(&mut self.dirs, dir, at, self.tree.len());
            }
            for (depth, name) in parents.iter().enumerate().skip(same) {
                let dir = self.dirs.len();
                self.tree.push(Node::Dir(saturate::<u32>(dir)));
                self.dirs.push(Dir {
                    name: shown.get(depth).copied().unwrap_or(name).to_owned(),
                    depth,
                    files: at..at,
                    nodes: self.tree.len()..self.tree.len(),
                    open,
                });
                above.push(((*name).to_owned(), dir));
            }
            self.tree.push(Node::File(saturate::<u32>(at)));
        }
        for (_, dir) in above {
            close(&mut self.dirs, dir, self.entries.len(), self.tree.len());
        }
    }

    /// Renews the shown rows after the query or an open folder changed.
    pub fn refresh(&mut self) {
        let needle = fold(self.query.text());
        self.rows.clear();
        if needle.is_empty() {
            let mut at = 0;
            while let Some(node) = self.tree.get(at) {
                self.rows.push(*node);
                at += 1;
                if let Node::Dir(dir) = node
                    && let Some(dir) = self.dir(*dir)
                    && !dir.open
                {
                    at = dir.nodes.end.max(at);
                }
            }
        } else {
            let found = self.folded.iter().enumerate().filter(|(_, path)| path.contains(&needle));
            let nodes: Vec<Node> =
                found.filter_map(|(i, _)| u32::try_from(i).ok()).map(Node::File).collect();
            self.rows = nodes;
        }
        self.cursor = self.cursor.min(self.rows.len().saturating_sub(1));
    }

    fn sum(&mut self) {
        let mut sum = Sum::default();
        self.sums = std::iter::once(sum)
            .chain(self.entries.iter().zip(&self.chosen).map(|(entry, chosen)| {
                sum.bytes = sum.bytes.saturating_add(entry.size);
                sum.done = sum.done.saturating_add(entry.done);
                if *chosen {
                    sum.chosen += 1;
                    sum.chosen_bytes = sum.chosen_bytes.saturating_add(entry.size);
                }
                sum
            }))
            .collect();
    }

    /// Whether a query hides the tree.
    pub fn is_flat(&self) -> bool {
        !self.query.text().is_empty()
    }

    /// A folder of the tree.
    pub fn dir(&self, at: u32) -> Option<&Dir> {
        self.dirs.get(usize::try_from(at).ok()?)
    }

    /// A file, and whether it is chosen.
    pub fn file(&self, at: u32) -> Option<(&FolderEntry, bool)> {
        let at = usize::try_from(at).ok()?;
        Some((self.entries.get(at)?, *self.chosen.get(at)?))
    }

    /// How deep a file lies in the tree.
    pub fn depth_of(&self, entry: &FolderEntry) -> usize {
        if self.is_flat() { 0 } else { entry.raw.matches('/').count().min(MAX_DEPTH) }
    }

    /// Files there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sums over some files.
    pub fn sum_of(&self, files: &Range<usize>) -> Sum {
        let at = |i: usize| self.sums.get(i).copied().unwrap_or_default();
        let (low, high) = (at(files.start), at(files.end));
        Sum {
            chosen: high.chosen.saturating_sub(low.chosen),
            chosen_bytes: high.chosen_bytes.saturating_sub(low.chosen_bytes),
            bytes: high.bytes.saturating_sub(low.bytes),
            done: high.done.saturating_sub(low.done),
        }
    }

    /// Sums over all files.
    pub fn total(&self) -> Sum {
        self.sum_of(&(0..self.entries.len()))
    }

    /// The files of a row.
    fn files_of(&self, node: Node) -> Range<usize> {
        match node {
            Node::Dir(dir) => self.dir(dir).map_or(0..0, |dir| dir.files.clone()),
            Node::File(file) => {
                let at = saturate::<usize>(file);
                at..at.saturating_add(1)
            }
        }
    }

    /// Chooses the files of the row under the cursor, or no longer if all of them are chosen.
    pub fn toggle(&mut self) {
        if let Some(node) = self.rows.get(self.cursor).copied() {
            let files = self.files_of(node);
            let on = self.sum_of(&files).chosen < files.len() as u64;
            if let Some(chosen) = self.chosen.get_mut(files) {
                chosen.fill(on);
            }
            self.sum();
        }
    }

    /// Chooses all files (with a query: all that match), or none of them if all are chosen.
    pub fn toggle_all(&mut self) {
        let files: Vec<usize> = if self.is_flat() {
            self.rows.iter().flat_map(|node| self.files_of(*node)).collect()
        } else {
            (0..self.entries.len()).collect()
        };
        let all = files.iter().all(|at| self.chosen.get(*at) == Some(&true));
        for at in files {
            if let Some(chosen) = self.chosen.get_mut(at) {
                *chosen = !all;
            }
        }
        self.sum();
    }

    /// Opens or closes the folder under the cursor; closing a file goes to its folder.
    pub fn unfold(&mut self, open: bool) {
        let Some(node) = self.rows.get(self.cursor).copied() else { return };
        match node {
            Node::Dir(at) if self.dir(at).is_some_and(|dir| dir.open != open) => {
                let at = saturate::<usize>(at);
                if let Some(dir) = self.dirs.get_mut(at) {
                    dir.open = open;
                }
                self.refresh();
            }
            _ if !open && !self.is_flat() => self.climb(node),
            _ => {}
        }
    }

    fn climb(&mut self, node: Node) {
        let inside = self.files_of(node);
        let before = self.rows.get(..self.cursor).unwrap_or_default();
        let parent = before.iter().rposition(|row| match row {
            Node::Dir(dir) => self
                .dir(*dir)
                .is_some_and(|d| d.files.start <= inside.start && d.files.end >= inside.end),
            Node::File(_) => false,
        });
        self.cursor = parent.unwrap_or(self.cursor);
    }

    /// Paths of the chosen files, as the engine takes them.
    pub fn wanted(&self) -> Vec<String> {
        let chosen = self.entries.iter().zip(&self.chosen).filter(|(_, chosen)| **chosen);
        chosen.map(|(entry, _)| entry.raw.clone()).collect()
    }

    /// Makes the cursor visible in `height` rows.
    pub fn settle(&mut self, height: usize) {
        self.cursor = self.cursor.min(self.rows.len().saturating_sub(1));
        if self.cursor < self.offset {
            self.offset = self.cursor;
        } else if self.cursor >= self.offset + height.max(1) {
            self.offset = self.cursor + 1 - height.max(1);
        }
    }
}

fn close(dirs: &mut [Dir], dir: usize, files: usize, nodes: usize) {
    if let Some(dir) = dirs.get_mut(dir) {
        dir.files.end = files;
        dir.nodes.end = nodes;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contents(paths: &[String]) -> Contents {
        let mut contents = Contents::new(ContentId::from_bytes([7; 32]), "x".to_owned());
        contents.fill(
            paths
                .iter()
                .map(|path| FolderEntry {
                    path: path.clone(),
                    raw: path.clone(),
                    size: 10,
                    done: 0,
                    wanted: true,
                })
                .collect(),
        );
        contents
    }

    #[test]
    fn a_folder_is_chosen_with_everything_below() {
        let paths = ["a/b/1", "a/b/2", "a/3", "a-b/4", "5"].map(str::to_owned);
        let mut c = contents(&paths);
        assert_eq!(c.rows.len(), 5 + 3);
        assert_eq!(c.total().chosen, 5);
        let a = c
            .rows
            .iter()
            .position(|n| matches!(n, Node::Dir(d) if c.dir(*d).unwrap().name == "a"))
            .unwrap();
        c.cursor = a;
        c.toggle();
        assert_eq!(c.wanted(), ["5", "a-b/4"]);
        c.unfold(false);
        assert_eq!(c.rows.len(), 4);
        c.toggle();
        assert_eq!(c.total().chosen_bytes, 50);
        c.query.set("b/");
        c.refresh();
        assert_eq!(c.rows.len(), 3);
        c.toggle_all();
        assert_eq!(c.total().chosen, 2);
    }

    #[test]
    fn a_hundred_thousand_files_are_no_work() {
        let paths: Vec<String> =
            (0..100_000).map(|i| format!("d{:03}/s{}/f{i}", i % 100, i % 7)).collect();
        let mut c = contents(&paths);
        assert_eq!(c.rows.len(), 100, "closed at first");
        let begun = std::time::Instant::now();
        for _ in 0..20 {
            c.toggle();
            c.unfold(true);
            c.unfold(false);
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(2));
        assert_eq!(c.total().bytes, 1_000_000);
    }

    proptest! {
        #[test]
        fn rows_and_sums_hold_together(
            paths in prop::collection::hash_set("[ab-]{1,2}(/[ab-]{1,2}){0,3}", 1..30),
            steps in prop::collection::vec((0usize..40, 0u8..4), 0..30),
        ) {
            let all: Vec<String> = paths
                .iter()
                .filter(|p| !paths.iter().any(|o| o.starts_with(&format!("{p}/"))))
                .cloned()
                .collect();
            let mut c = contents(&all);
            for (cursor, step) in steps {
                c.cursor = cursor.min(c.rows.len() - 1);
                match step {
                    0 => c.toggle(),
                    1 => c.unfold(true),
                    2 => c.unfold(false),
                    _ => c.toggle_all(),
                }
                c.settle(5);
                prop_assert!(c.cursor < c.rows.len());
                prop_assert_eq!(c.wanted().len() as u64, c.total().chosen);
            }
            for node in c.rows.clone() {
                if let Node::Dir(d) = node { prop_assert!(!c.dir(d).unwrap().files.is_empty()); }
            }
        }
    }
}
