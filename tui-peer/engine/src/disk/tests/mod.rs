//! Downloads from beginning to end, and what may come between.

mod copy;
mod damage;
mod direct;
mod faults;
mod folder;
mod hung;
mod orphans;
mod relocate;
mod room;
mod strangers;
mod threads;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::chunk_set::ChunkSet;
use common::content::{Descriptor, Kind};
use common::hash::sha256;
use common::id::Hash;
use common::layout::Layout;
use common::merkle::{ChunkHashes, file_root};
use common::names::PathList;

pub(crate) use self::room::reserves;
use super::spec::HashRun;
use super::syscalls::{Access, Hook, Step};
use super::verify::hash_of;
use super::*;
use crate::library::Stat;

/// A content with its bytes.
struct Content {
    layout: Arc<Layout>,
    descriptor: Descriptor,
    rel: Option<Arc<PathList>>,
    files: Vec<Vec<u8>>,
    hashes: Vec<ChunkHashes>,
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}

impl Content {
    fn file(len: usize) -> Self {
        let layout = Arc::new(Layout::for_file(len as u64).unwrap());
        let files = vec![noise(len, 1)];
        let hashes = hashes_of(&layout, &files);
        let descriptor = Descriptor { kind: Kind::File, size: len as u64, root: hashes[0].root() };
        Self { layout, descriptor, rel: None, files, hashes }
    }

    fn folder(sizes: &[(&str, usize)]) -> Self {
        let lens: Vec<u64> = sizes.iter().map(|(_, len)| *len as u64).collect();
        let layout = Arc::new(Layout::for_folder(&lens).unwrap());
        let files: Vec<_> = (1..).zip(sizes).map(|(seed, (_, len))| noise(*len, seed)).collect();
        let hashes = hashes_of(&layout, &files);
        let rel = PathList::collect(sizes.iter().map(|(path, _)| [path])).unwrap();
        let rel = Some(Arc::new(rel));
        let descriptor = Descriptor { kind: Kind::Folder, size: 99, root: sha256(b"manifest") };
        Self { layout, descriptor, rel, files, hashes }
    }

    fn chunk(&self, chunk: u32) -> &[u8] {
        let place = self.layout.place(self.layout.chunk(chunk).unwrap());
        let start = place.offset as usize;
        &self.files[place.file][start..start + place.len as usize]
    }

    fn hash(&self, chunk: u32) -> Option<Hash> {
        let place = self.layout.place(self.layout.chunk(chunk)?);
        self.hashes[place.file].get(place.chunk_in_file)
    }

    fn spec(&self, dir: &Path) -> PartialSpec {
        PartialSpec {
            id: self.descriptor.id(),
            descriptor: self.descriptor,
            layout: self.layout.clone(),
            rel: self.rel.clone(),
            name: "thing".into(),
            dir: dir.to_path_buf(),
            keep_free: Some(0),
            owner: None,
        }
    }

    /// A program that another test is about to start has a copy of the lock that was let go here, for
    /// the moment until it runs.
    fn open(&self, dir: &Path) -> Going {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            match Partial::open(self.spec(dir)) {
                Err(DiskError::InUse { .. }) if Instant::now() < until => std::thread::yield_now(),
                opened => return going(opened.unwrap()),
            }
        }
    }

    fn write(&self, partial: &Partial, chunks: impl IntoIterator<Item = u32>) {
        for chunk in chunks {
            partial.write_chunk(chunk, &[self.chunk(chunk)], true).unwrap();
        }
    }

    fn plan(&self) -> FinishPlan {
        FinishPlan::new(None, &self.layout, &ChunkSet::full(self.layout.chunks()))
    }
}

fn hashes_of(layout: &Layout, files: &[Vec<u8>]) -> Vec<ChunkHashes> {
    let level = layout.chunk_level();
    let hash = |file: &Vec<u8>| {
        let spans: Vec<&[u8]> = file.chunks(layout.chunk_len() as usize).collect();
        let hashes: Vec<Hash> =
            spans.iter().map(|span| hash_of(&[span], level, spans.len() == 1)).collect();
        assert_eq!(
            file_root(file.len() as u64, &hashes, level),
            ChunkHashes::complete(file.len() as u64, hashes.clone(), level).root()
        );
        ChunkHashes::complete(file.len() as u64, hashes, level)
    };
    files.iter().map(hash).collect()
}

struct Going {
    partial: Arc<Partial>,
    durable: ChunkSet,
    written: ChunkSet,
    hashes: Vec<HashRun>,
}

fn going(opened: Opened) -> Going {
    match opened {
        Opened::Going { partial, durable, written, hashes } => {
            Going { partial, durable, written, hashes }
        }
        Opened::Finished(path) => panic!("finished at {path:?}"),
    }
}

/// Changes one bit of a file in its place.
fn flip(path: &Path, at: u64) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

fn numbers(set: &ChunkSet) -> Vec<u32> {
    set.iter().collect()
}

fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Every file of a content as it lies there now.
fn stats(content: &Content, tree: &FileTree) -> Vec<Stat> {
    let stat = |file| match tree.open_uncached(file, Access::Read) {
        Ok(file) => Stat::of(&file.metadata().unwrap()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Stat::ABSENT,
        Err(error) => panic!("{error}"),
    };
    (0..content.layout.files()).map(stat).collect()
}

#[test]
fn a_file_arrives_out_of_order_and_is_served_meanwhile() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(300_000);
    let Going { partial, durable, .. } = content.open(temp.path());
    assert!(durable.is_empty());
    content.write(&partial, [4, 0]);
    let mut out = vec![0; 100];
    partial.read(4, 20, &mut out).unwrap();
    assert_eq!(out, content.chunk(4)[20..120]);
    assert!(matches!(partial.read(1, 0, &mut out), Err(ReadError::Gone)), "zeros are not content");
    assert!(matches!(partial.finish(&content.plan()), Err(DiskError::Incomplete { missing: 3 })));
    assert_eq!(numbers(&partial.sync().unwrap()), [0, 4]);
    content.write(&partial, [1, 2, 3]);
    let done = partial.finish(&content.plan()).unwrap();
    assert_eq!(done, temp.path().join("thing"));
    assert_eq!(fs::read(&done).unwrap(), content.files[0]);
    assert_eq!(names_in(temp.path()), ["thing"]);
    let tree = FileTree::new(content.layout.clone(), done, None);
    let stats = stats(&content, &tree);
    assert_eq!(stats.len(), 1);
    SharedFiles::new(tree, Arc::new(stats)).read(2, 0, &mut out).unwrap();
    assert!(partial.write_chunk(0, &[content.chunk(0)], true).is_err(), "it has ended");
}

#[test]
fn an_empty_file_is_finished_at_once() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(0);
    let done = content.open(temp.path()).partial.finish(&content.plan()).unwrap();
    assert_eq!(fs::read(done).unwrap(), b"");
}

#[test]
fn after_a_kill_what_was_synced_is_trusted_and_the_rest_hashed_again() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(10 * 65_536);
    let Going { partial, .. } = content.open(temp.path());
    let hashes: Vec<Hash> = (0..10).map(|chunk| content.hash(chunk).unwrap()).collect();
    partial.record_hashes(0, 0, &hashes).unwrap();
    content.write(&partial, [0, 1, 2]);
    partial.sync().unwrap();
    content.write(&partial, [5, 6, 9]);
    drop(partial);

    // What a power cut does to data that was not synced.
    let part = temp.path().join(format!(".thing.{}.part", content.descriptor.id().short()));
    flip(&part, 6 * 65_536 + 7);

    let again = content.open(temp.path());
    assert_eq!(numbers(&again.durable), [0, 1, 2]);
    assert_eq!(numbers(&again.written), [5, 6, 9]);
    assert_eq!(again.hashes, [(0, 0, hashes)]);
    let mut out = [0];
    assert!(matches!(again.partial.read(5, 0, &mut out), Err(ReadError::Gone)), "not yet sure");
    let mut done = 0;
    let found = again.partial.recheck_with(&again.written, |c| content.hash(c), |n| done = n);
    assert_eq!((numbers(&found), done), (vec![5, 9], 3));
    assert!(again.partial.read(5, 0, &mut out).is_ok());
    assert!(again.partial.read(6, 0, &mut out).is_err());
    assert_eq!(numbers(&again.partial.sync().unwrap()), [5, 9]);
    content.write(&again.partial, [3, 4, 6, 7, 8]);
    let done = again.partial.finish(&content.plan()).unwrap();
    assert_eq!(fs::read(done).unwrap(), content.files[0]);
}

#[test]
fn chunks_of_which_nobody_knows_the_hash_are_fetched_again() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(200_000);
    content.write(&content.open(temp.path()).partial, [1]);
    let again = content.open(temp.path());
    assert_eq!(numbers(&again.written), [1]);
    assert!(again.partial.recheck(&again.written, |_| None).is_empty());
}

#[test]
fn a_journal_torn_anywhere_never_claims_what_is_not_there() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(6 * 65_536);
    let Going { partial, .. } = content.open(temp.path());
    content.write(&partial, [0, 2]);
    partial.sync().unwrap();
    content.write(&partial, [3]);
    drop(partial);
    let state = temp.path().join(format!(".thing.{}.state", content.descriptor.id().short()));
    let whole = fs::read(&state).unwrap();
    for cut in (4096..=whole.len()).rev() {
        fs::write(&state, &whole[..cut]).unwrap();
        let again = content.open(temp.path());
        for chunk in numbers(&again.durable) {
            assert!([0, 2].contains(&chunk));
        }
        // What no record tells any more is seen to be there.
        let mut known = numbers(&again.durable);
        known.extend(numbers(&again.written));
        known.sort_unstable();
        assert_eq!(known, [0, 2, 3], "cut at {cut}");
    }
    // Without a header the bytes are all there is to go by.
    fs::write(&state, &whole[..4000]).unwrap();
    let again = content.open(temp.path());
    assert!(again.durable.is_empty());
    assert_eq!(numbers(&again.written), [0, 2, 3]);
    assert!(again.partial.note().is_some());
}

#[test]
fn a_part_that_was_replaced_is_hashed_again_from_beginning_to_end() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(4 * 65_536);
    let Going { partial, .. } = content.open(temp.path());
    content.write(&partial, [0, 1]);
    partial.sync().unwrap();
    let part = partial.path();
    drop(partial);
    let copy = temp.path().join("copy");
    fs::copy(&part, &copy).unwrap();
    fs::rename(&copy, &part).unwrap();
    for _ in 0..2 {
        let again = content.open(temp.path());
        assert!(again.durable.is_empty());
        // A copy has no holes.
        assert_eq!(numbers(&again.written), [0, 1, 2, 3]);
    }
    let again = content.open(temp.path());
    assert_eq!(again.partial.recheck(&again.written, |c| content.hash(c)).count(), 2);
    again.partial.sync().unwrap();
    drop(again);
    assert_eq!(numbers(&content.open(temp.path()).durable), [0, 1]);
}

#[test]
fn another_content_of_the_same_name_has_a_part_of_its_own() {
    let temp = tempfile::tempdir().unwrap();
    let (one, two) = (Content::file(100), Content::file(200));
    let (a, b) = (one.open(temp.path()), two.open(temp.path()));
    one.write(&a.partial, [0]);
    two.write(&b.partial, [0]);
    fs::write(temp.path().join("thing"), "of the user").unwrap();
    let first = a.partial.finish(&one.plan()).unwrap();
    let second = b.partial.finish(&two.plan()).unwrap();
    assert_eq!(names_in(temp.path()), ["thing", "thing (1)", "thing (2)"]);
    assert_eq!(fs::read(temp.path().join("thing")).unwrap(), b"of the user");
    assert_eq!(fs::read(first).unwrap(), one.files[0]);
    assert_eq!(fs::read(second).unwrap(), two.files[0]);
}

#[test]
fn a_second_program_is_kept_out_and_deleting_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    for content in [Content::file(1000), Content::folder(&[("a/b", 10), ("c", 10)])] {
        let Going { partial, .. } = content.open(temp.path());
        content.write(&partial, [0]);
        let second = Partial::open(content.spec(temp.path()));
        assert!(matches!(second, Err(DiskError::InUse { .. })));
        partial.delete().unwrap();
        assert!(matches!(partial.read(0, 0, &mut [0]), Err(ReadError::Gone)));
        assert_eq!(names_in(temp.path()), [""; 0]);
    }
}

#[test]
fn what_does_not_fit_the_content_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(100_000);
    let Going { partial, .. } = content.open(temp.path());
    assert!(partial.write_chunk(0, &[&[0; 100]], true).is_err());
    assert!(partial.write_chunk(2, &[content.chunk(0)], true).is_err());
    for name in ["..", "a/b", ""] {
        let spec = PartialSpec { name: name.into(), ..content.spec(temp.path()) };
        assert!(matches!(Partial::open(spec), Err(DiskError::BadName(_))));
    }
    let too_large = Content::file(10);
    let descriptor = Descriptor { size: 1 << 60, ..too_large.descriptor };
    let spec = PartialSpec { descriptor, id: descriptor.id(), ..too_large.spec(temp.path()) };
    assert!(matches!(Partial::open(spec), Err(DiskError::Full { .. })), "asked before reserving");
    assert_eq!(names_in(temp.path()).len(), 2, "nothing left of what did not fit");
}

#[test]
fn a_deleted_download_does_not_come_back_with_the_next_sync() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(3 * 65_536);
    let Going { partial, .. } = going(Partial::open(content.spec(temp.path())).unwrap());
    partial.write_chunk(0, &[content.chunk(0)], true).unwrap();
    partial.delete().unwrap();
    assert!(partial.sync().unwrap().is_empty());
    assert!(partial.write_chunk(1, &[content.chunk(1)], true).is_err());
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
}
