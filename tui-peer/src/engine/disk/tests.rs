//! Downloads from beginning to end, and what may come between.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::chunk_set::ChunkSet;
use common::content::{Descriptor, Kind};
use common::hash::sha256;
use common::id::Hash;
use common::layout::Layout;
use common::merkle::{ChunkHashes, file_root};

use super::sys::{Hook, Step};
use super::verify::hash_of;
use super::*;

/// A content with its bytes.
struct Content {
    layout: Arc<Layout>,
    descriptor: Descriptor,
    rel: Option<Arc<Vec<Vec<String>>>>,
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
        let parts = |path: &str| path.split('/').map(str::to_owned).collect();
        let rel = Some(Arc::new(sizes.iter().map(|(path, _)| parts(path)).collect()));
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
        }
    }

    fn open(&self, dir: &Path) -> Going {
        going(Partial::open(self.spec(dir)).unwrap())
    }

    fn write(&self, partial: &Partial, chunks: impl IntoIterator<Item = u32>) {
        for chunk in chunks {
            partial.write_chunk(chunk, &[self.chunk(chunk)]).unwrap();
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
    hashes: Vec<(u32, u32, Vec<Hash>)>,
}

fn going(opened: Opened) -> Going {
    match opened {
        Opened::Going { partial, durable, written, hashes } => {
            Going { partial, durable, written, hashes }
        }
        Opened::Finished(path) => panic!("finished at {path:?}"),
    }
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
    assert_eq!(done.path, temp.path().join("thing"));
    assert_eq!(fs::read(&done.path).unwrap(), content.files[0]);
    assert_eq!(names_in(temp.path()), ["thing"]);
    assert_eq!(done.stats.len(), 1);
    let tree = FileTree::new(content.layout.clone(), done.path, None);
    SharedFiles::new(tree, Arc::new(done.stats)).read(2, 0, &mut out).unwrap();
    assert!(partial.write_chunk(0, &[content.chunk(0)]).is_err(), "it has ended");
}
