//! Folders.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::UNIX_EPOCH;

use common::manifest::{Entry, EntryKind, Manifest};

use super::*;

fn manifest_of(content: &Content, empty_dirs: &[&str]) -> Manifest {
    let rel = content.rel.clone().unwrap();
    let mut entries: Vec<Entry> = rel
        .iter()
        .zip(&content.files)
        .zip(&content.hashes)
        .map(|((path, bytes), hashes)| Entry {
            path: path.split('/').map(str::to_owned).collect(),
            kind: EntryKind::File,
            size: bytes.len() as u64,
            root: hashes.root(),
            exec: path.ends_with(".sh"),
            mtime: 1_000_000_000,
        })
        .collect();
    entries.extend(empty_dirs.iter().map(|dir| Entry {
        path: dir.split('/').map(str::to_owned).collect(),
        kind: EntryKind::Dir,
        size: 0,
        root: sha256(b""),
        exec: false,
        mtime: 0,
    }));
    Manifest::build("thing", entries).unwrap()
}

#[test]
fn a_folder_arrives_with_its_empty_files_folders_times_and_modes() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::folder(&[
        ("a/b/deep.bin", 200_000),
        ("a/empty", 0),
        ("run.sh", 10),
        ("z", 70_000),
    ]);
    let manifest = manifest_of(&content, &["hollow/inner"]);
    assert_eq!(manifest.layout(), &content.layout);
    let all = ChunkSet::full(content.layout.chunks());
    let Going { partial, .. } = content.open(temp.path());
    content.write(&partial, all.iter());
    let plan = FinishPlan::new(Some(&manifest), &content.layout, &all);
    let done = partial.finish(&plan).unwrap();
    for (path, bytes) in content.rel.as_ref().unwrap().iter().zip(&content.files) {
        let at = done.join(path);
        assert_eq!(&fs::read(&at).unwrap(), bytes);
        let time = fs::metadata(&at).unwrap().modified().unwrap();
        assert_eq!(time.duration_since(UNIX_EPOCH).unwrap().as_secs(), 1_000_000_000);
    }
    let mode = |name: &str| fs::metadata(done.join(name)).unwrap().permissions().mode();
    assert_eq!(mode("run.sh") & 0o111, 0, "what comes from the network does not run by accident");
    assert_eq!(mode("z") & 0o111, 0);
    assert!(done.join("hollow/inner").is_dir());
    assert_eq!(names_in(temp.path()), ["thing"]);
    let mut out = [0; 10];
    let tree = FileTree::new(content.layout.clone(), done, partial.rel());
    let stats = stats(&content, &tree);
    SharedFiles::new(tree, Arc::new(stats)).read(5, 0, &mut out).unwrap();
}

#[test]
fn of_a_selection_only_whole_files_remain() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::folder(&[
        ("a/__init__", 0),
        ("a/one", 70_000),
        ("b/empty", 0),
        ("b/half", 200_000),
    ]);
    let manifest = manifest_of(&content, &["hollow"]);
    let mut wanted = ChunkSet::empty(content.layout.chunks());
    wanted.insert_run(0, 2);
    let Going { partial, .. } = content.open(temp.path());
    content.write(&partial, [0, 1, 2]);
    let plan = FinishPlan::new(Some(&manifest), &content.layout, &wanted);
    let done = partial.finish(&plan).unwrap();
    assert_eq!(names_in(&done), ["a"]);
    assert_eq!(names_in(&done.join("a")), ["__init__", "one"]);
    let tree = FileTree::new(content.layout.clone(), done, partial.rel());
    let absent: Vec<bool> =
        stats(&content, &tree).iter().map(|stat| *stat == Stat::ABSENT).collect();
    assert_eq!(absent, [false, false, true, true]);
    assert_eq!(numbers(&partial.written()), [0, 1]);
}

#[test]
fn a_link_put_into_the_part_is_never_followed() {
    let temp = tempfile::tempdir().unwrap();
    let outside = temp.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let target = temp.path().join("downloads");
    let content = Content::folder(&[("sub/a", 100), ("sub/b", 100), ("top", 100)]);
    let Going { partial, .. } = content.open(&target);
    symlink(&outside, partial.path().join("sub")).unwrap();
    symlink(outside.join("c"), partial.path().join("top")).unwrap();
    assert!(partial.write_chunk(0, &[content.chunk(0)], true).is_err());
    assert!(partial.write_chunk(2, &[content.chunk(2)], true).is_err());
    assert_eq!(names_in(&outside), [""; 0]);
}

/// Counts syncs.
#[derive(Default)]
struct Syncs(std::sync::atomic::AtomicUsize);

impl Hook for Syncs {
    fn before(&self, step: Step) -> io::Result<()> {
        let syncs =
            matches!(step, Step::SyncData | Step::SyncState | Step::SyncDir | Step::Compact);
        self.0.fetch_add(usize::from(syncs), std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn many_small_files_cost_no_sync_each_and_survive_a_kill() {
    // In memory if there is such a place: creating files is what takes time here, whoever does it.
    let shm = Path::new("/dev/shm");
    let (temp, count) = match tempfile::tempdir_in(shm) {
        Ok(temp) => (temp, 20_000),
        Err(_) => (tempfile::tempdir().unwrap(), 2_000),
    };
    let names: Vec<String> = (0..count).map(|n| format!("d{:03}/f{n:05}", n / 100)).collect();
    let sizes: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 300)).collect();
    let content = Content::folder(&sizes);
    let manifest = manifest_of(&content, &[]);
    let Going { partial, .. } = content.open(temp.path());
    content.write(&partial, 0..count / 2);
    partial.sync().unwrap();
    content.write(&partial, count / 2..count * 3 / 4);
    drop(partial);
    let syncs = Arc::new(Syncs::default());
    let again = going(Partial::open_with(content.spec(temp.path()), syncs.clone()).unwrap());
    assert_eq!((again.durable.count(), again.written.count()), (count / 2, count / 4));
    let found = again.partial.recheck(&again.written, |chunk| content.hash(chunk));
    assert_eq!(found.count(), count / 4);
    content.write(&again.partial, count * 3 / 4..count);
    let all = ChunkSet::full(content.layout.chunks());
    let plan = FinishPlan::new(Some(&manifest), &content.layout, &all);
    let done = again.partial.finish(&plan).unwrap();
    assert!(syncs.0.load(std::sync::atomic::Ordering::Relaxed) < 6);
    let last = content.files.len() - 1;
    assert_eq!(&fs::read(done.join(&names[last])).unwrap(), &content.files[last]);
}
