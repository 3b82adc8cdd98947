//! Scan, hash, remember, start again.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use common::content::Kind;
use common::hash::sha256;
use common::limits::BLOCK_LEN;
use common::manifest::{Manifest, root_of};
use common::merkle::{block_hashes, chunk_hash, file_root};
use proptest::prelude::*;

use super::hash::prepared::FolderParts;
use super::hash::reuse_nothing;
use super::verify::verify;
use super::*;

/// For what is not to be stopped.
static NO: AtomicBool = AtomicBool::new(false);

/// Bytes that differ everywhere.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}

/// Writes a file that was last changed a minute ago, so that it is not racy.
fn write_old(path: &Path, data: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, data).unwrap();
    age(path);
}

fn age(path: &Path) {
    let minute_ago = SystemTime::now() - Duration::from_secs(60);
    File::options().write(true).open(path).unwrap().set_modified(minute_ago).unwrap();
}

/// A folder of `files` small files, some empty, some of several chunks.
fn make_folder(root: &Path, files: usize) {
    for i in 0..files {
        let len = if i % 50 == 7 { 150_000 } else { i % 23 * 100 };
        write_old(&root.join(format!("d{}/f{i}", i % 11)), &noise(len, i as u64));
    }
}

/// A library in its own folder with one share in it.
struct Home {
    _dir: tempfile::TempDir,
    share: PathBuf,
    state: PathBuf,
}

impl Home {
    fn new(make: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        let (share, state) = (real.join("share"), real.join("state"));
        make(&share);
        Self { _dir: dir, share, state }
    }

    /// Shares and remembers; the library is closed again.
    fn share(&self) -> Prepared {
        let (library, _) = Library::open(&self.state).unwrap();
        let prepared = hash_path(&self.share, 0).unwrap();
        library.put_share(&prepared.record(false), &prepared).unwrap();
        prepared
    }

    fn reopen(&self) -> (Library, ShareRecord) {
        let (library, mut loaded) = Library::open(&self.state).unwrap();
        assert_eq!(loaded.shares.len(), 1);
        (library, loaded.shares.remove(0))
    }

    /// What `check` says, and how many bytes `refresh` then reads.
    fn recheck(&self) -> (Check, u64, Prepared) {
        let (library, record) = self.reopen();
        let checked = check(&record);
        let progress = Progress::default();
        let prepared = refresh(&library, &record, Scope::All, 2, &progress, &NO).unwrap();
        let done = progress.done.load(Ordering::Relaxed);
        assert_eq!(done, progress.total.load(Ordering::Relaxed));
        (checked, done, prepared)
    }
}

fn changed(paths: &[&str]) -> Check {
    let split = |p: &&str| p.split('/').filter(|c| !c.is_empty()).map(str::to_owned).collect();
    Check::Changed(paths.iter().map(split).collect())
}

#[test]
fn empty_file_and_empty_folder_are_content_too() {
    let file = Home::new(|path| write_old(path, b""));
    let prepared = file.share();
    assert_eq!(prepared.descriptor.root, sha256(b""));
    assert_eq!((prepared.layout.chunks(), prepared.hashes.len()), (0, 1));
    let (library, record) = file.reopen();
    assert_eq!(check(&record), Check::Unchanged);
    assert_eq!(restore(&library, &record).unwrap(), prepared);

    let folder = Home::new(|path| fs::create_dir(path).unwrap());
    let prepared = folder.share();
    assert_eq!((prepared.kind, prepared.layout.chunks()), (Kind::Folder, 0));
    let (library, record) = folder.reopen();
    assert_eq!(check(&record), Check::Unchanged);
    assert_eq!(restore(&library, &record).unwrap(), prepared);
}

#[test]
fn a_large_folder_has_the_same_id_twice_and_under_any_name() {
    let home = Home::new(|path| make_folder(path, 2000));
    let first = hash_path(&home.share, 1).unwrap();
    let again = hash_path(&home.share, 0).unwrap();
    assert_eq!(first.hashes, again.hashes);
    assert_eq!((first.id, first.stats.len()), (again.id, 2000));
    let manifest = first.manifest.as_ref().unwrap();
    assert_eq!(manifest.files().count(), 2000);
    for (entry, hashes) in manifest.files().zip(&first.hashes) {
        let data = fs::read(home.share.join(entry.path.join("/"))).unwrap();
        assert_eq!(entry.root, root_of(&data));
        assert_eq!(hashes.root(), entry.root);
        assert!(hashes.is_complete());
    }
    let bytes = manifest.bytes();
    assert_eq!(Manifest::parse(bytes.clone()).unwrap(), **manifest);
    assert_eq!(Manifest::descriptor_of(bytes), first.descriptor);

    let renamed = home.share.with_file_name("other name");
    fs::rename(&home.share, &renamed).unwrap();
    let other = hash_path(&renamed, 0).unwrap();
    assert_eq!(other.id, first.id);
    assert_eq!(other.name, "other name");
}

#[test]
fn an_unchanged_restart_reads_nothing() {
    let home = Home::new(|path| make_folder(path, 300));
    let prepared = home.share();
    let (library, record) = home.reopen();
    // Unreadable contents would not matter: nothing is opened.
    assert_eq!(check(&record), Check::Unchanged);
    assert_eq!(restore(&library, &record).unwrap(), prepared);
    drop(library);
    let (checked, read, again) = home.recheck();
    assert_eq!((checked, read), (Check::Unchanged, 0));
    assert_eq!(again.id, prepared.id);
    assert_eq!(again.hashes, prepared.hashes);
}

#[test]
fn only_changed_files_are_read_again() {
    let home = Home::new(|path| make_folder(path, 200));
    let before = home.share();
    write_old(&home.share.join("d0/f22"), &noise(777, 1));
    write_old(&home.share.join("new"), &noise(1000, 2));
    fs::remove_file(home.share.join("d1/f1")).unwrap();
    let (checked, read, after) = home.recheck();
    assert_eq!(checked, changed(&["d0/f22", "new", "d1/f1"]));
    assert_eq!(read, 1777);
    assert_ne!(after.id, before.id);
    assert_eq!(after.id, hash_path(&home.share, 0).unwrap().id);
    assert_eq!(after.hashes, hash_path(&home.share, 0).unwrap().hashes);
}

#[test]
fn mtime_size_and_a_hidden_rewrite_are_noticed() {
    let home = Home::new(|path| write_old(path, &noise(200_000, 1)));
    let before = home.share();
    let (checked, read, _) = home.recheck();
    assert_eq!((checked, read), (Check::Unchanged, 0));

    // Touched only: read again, same id.
    let file = File::options().write(true).open(&home.share).unwrap();
    let old = file.metadata().unwrap().modified().unwrap();
    file.set_modified(old - Duration::from_secs(5)).unwrap();
    let (checked, read, after) = home.recheck();
    assert_eq!((checked, read), (changed(&[""]), 200_000));
    assert_eq!(after.id, before.id);

    // Same size, same mtime, other bytes: the ctime tells.
    home.share();
    let stat = Stat::of(&file.metadata().unwrap());
    file.write_all_at(b"other", 100_000).unwrap();
    file.set_modified(old - Duration::from_secs(5)).unwrap();
    let now = Stat::of(&file.metadata().unwrap());
    assert_eq!((now.size, now.mtime_ns), (stat.size, stat.mtime_ns));
    let (checked, _, after) = home.recheck();
    assert_eq!(checked, changed(&[""]));
    assert_ne!(after.id, before.id);

    home.share();
    file.set_len(200_001).unwrap();
    age(&home.share);
    assert_eq!(home.recheck().0, changed(&[""]));
    fs::remove_file(&home.share).unwrap();
    assert_eq!(check(&home.reopen().1), Check::Gone);
    fs::create_dir(&home.share).unwrap();
    assert_eq!(check(&home.reopen().1), Check::Gone);
}

#[test]
fn a_disk_with_another_number_after_a_reboot_is_no_change() {
    let home = Home::new(|path| make_folder(path, 20));
    let prepared = home.share();
    let (library, mut record) = home.reopen();
    let moved = |stat: &Stat| Stat { dev: stat.dev + 1, ..*stat };
    record.files = Arc::new(record.files.iter().map(moved).collect());
    assert_eq!(check(&record), Check::Unchanged);
    assert_eq!(restore(&library, &record).unwrap().stats, prepared.stats);
    let progress = Progress::default();
    assert_eq!(
        refresh(&library, &record, Scope::All, 1, &progress, &NO).unwrap().stats,
        prepared.stats
    );
    assert_eq!(progress.done.load(Ordering::Relaxed), 0);
}

#[test]
fn a_file_changed_just_before_it_was_hashed_is_read_again_at_the_next_start() {
    let home = Home::new(|path| fs::write(path, b"just written").unwrap());
    let prepared = home.share();
    let (checked, read, again) = home.recheck();
    assert_eq!((checked, read), (Check::Young(vec![Vec::new()]), 12));
    assert_eq!(again.id, prepared.id);
    let mut record = prepared.record(true);
    assert_eq!(check(&record), Check::Unchanged, "we wrote it ourselves");
    record.downloaded = false;
    record.hashed_at += 2_000;
    assert_eq!(check(&record), Check::Unchanged, "two seconds later it was settled");
}

#[test]
fn what_changes_between_scan_and_hash_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    write_old(&a, &noise(100_000, 1));
    write_old(&b, b"");
    let found = scan(dir.path()).unwrap();
    let hash = || prepare(&found, &reuse_nothing, 2, &Progress::default(), &NO);
    assert!(hash().is_ok());
    fs::write(&b, "grown").unwrap();
    assert!(matches!(hash(), Err(ShareError::Changed { path }) if path.ends_with("b")));
    fs::remove_file(&b).unwrap();
    assert!(matches!(hash(), Err(ShareError::Changed { path }) if path.ends_with("b")));
    std::os::unix::fs::symlink("a", &b).unwrap();
    assert!(matches!(hash(), Err(ShareError::Changed { path }) if path.ends_with("b")));
}

#[test]
fn hashing_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "x").unwrap();
    let found = scan(dir.path()).unwrap();
    let stop = AtomicBool::new(true);
    let outcome = prepare(&found, &reuse_nothing, 2, &Progress::default(), &stop);
    assert!(matches!(outcome, Err(ShareError::Cancelled)));
}

#[test]
fn wrong_hashes_are_not_reused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(&path, noise(200_000, 1)).unwrap();
    let right = hash_path(&path, 1).unwrap();
    let found = scan(&path).unwrap();
    let root = right.descriptor.root;
    let lies = [vec![], vec![root], vec![root; 4]];
    for lie in lies {
        let reuse = |_: &[String], _: &Stat| Some((root, lie.clone()));
        let progress = Progress::default();
        let prepared = prepare(&found, &reuse, 1, &progress, &NO).unwrap();
        assert_eq!(prepared.hashes, right.hashes);
        assert_eq!(progress.done.load(Ordering::Relaxed), 200_000);
    }
}

/// A folder as a download leaves it: names made safe, one file not chosen, something else beside it.
#[test]
fn a_downloaded_folder_keeps_its_identity() {
    let origin = Home::new(|path| {
        write_old(&path.join("a:b"), &noise(150_000, 1));
        write_old(&path.join("c"), &noise(90_000, 2));
        write_old(&path.join("skipped"), &noise(200_000, 3));
    });
    let theirs = hash_path(&origin.share, 0).unwrap();
    let home = Home::new(|path| {
        write_old(&path.join("a_b"), &noise(150_000, 1));
        write_old(&path.join("c"), &noise(90_000, 2));
        write_old(&path.join("notes"), b"mine");
    });
    let manifest = Arc::clone(theirs.manifest.as_ref().unwrap());
    let folder = FolderParts { rel: Arc::clone(manifest.disk_paths()), manifest };
    let name = "theirs".to_owned();
    let mine = Prepared::downloaded(
        home.share.clone(),
        name,
        theirs.descriptor,
        Some(folder),
        theirs.hashes.clone(),
    );
    let mine = mine.unwrap();
    assert_eq!(mine.id, theirs.id);
    let chunks: Vec<u32> = mine.have().iter().collect();
    assert_eq!(chunks, (0..5).collect::<Vec<_>>(), "all but the four of the file not chosen");
    {
        let (library, _) = Library::open(&home.state).unwrap();
        library.put_share(&mine.record(true), &mine).unwrap();
    }
    let (library, record) = home.reopen();
    assert_eq!(check(&record), Check::Unchanged);
    assert_eq!(restore(&library, &record).unwrap(), mine);
    assert_eq!(verify(&mine, 2, &Progress::default(), &NO).unwrap(), [0u32; 0]);

    // Touched: one file is read, the identity stays.
    let a = File::options().write(true).open(home.share.join("a_b")).unwrap();
    a.set_modified(SystemTime::now()).unwrap();
    assert_eq!(check(&record), changed(&["a_b"]));
    let progress = Progress::default();
    let same = refresh(&library, &record, Scope::All, 2, &progress, &NO).unwrap();
    assert_eq!((same.id, progress.done.load(Ordering::Relaxed)), (mine.id, 150_000));

    // Other bytes: it is another folder now.
    a.write_all_at(b"!", 9).unwrap();
    let other = refresh(&library, &record, Scope::All, 2, &Progress::default(), &NO).unwrap();
    assert_ne!(other.id, mine.id);
    assert_eq!(other.stats.len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn hashes_are_those_of_the_tree(len in 0usize..700_000, threads in 1usize..4, seed: u64) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let data = noise(len, seed);
        fs::write(&path, &data).unwrap();
        let prepared = hash_path(&path, threads).unwrap();
        let layout = &prepared.layout;
        let (chunk_len, level) = (layout.chunk_len() as usize, layout.chunk_level());
        prop_assert!(chunk_len >= BLOCK_LEN as usize);
        let list: Vec<_> = data
            .chunks(chunk_len)
            .map(|chunk| chunk_hash(&block_hashes(chunk), level, len <= chunk_len))
            .collect();
        prop_assert_eq!(prepared.descriptor.root, file_root(len as u64, &list, level));
        prop_assert_eq!(prepared.descriptor.root, root_of(&data));
        for (i, hash) in list.iter().enumerate() {
            prop_assert_eq!(prepared.hashes[0].get(i as u32), Some(*hash));
        }
    }
}

/// `cargo test --release -p engine library_speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, for release builds"]
fn library_speed() {
    let dir = tempfile::tempdir().unwrap();
    let big = dir.path().join("big");
    let block = noise(1 << 20, 1);
    let file = File::create(&big).unwrap();
    for i in 0..2048u64 {
        file.write_all_at(&block, i << 20).unwrap();
    }
    let small = dir.path().join("small");
    for i in 0..20_000u64 {
        write_old(&small.join(format!("{}/{i}", i % 100)), &noise(8_000, i));
    }
    for (path, threads) in [(&big, 1), (&big, 0), (&small, 1), (&small, 0)] {
        let start = std::time::Instant::now();
        let prepared = hash_path(path, threads).unwrap();
        let seconds = start.elapsed().as_secs_f64();
        let total = prepared.layout.total();
        println!(
            "{} files, {total} bytes, threads {threads}: {seconds:.3} s, {:.2} GB/s",
            prepared.stats.len(),
            total as f64 / seconds / 1e9
        );
    }
}

/// The figure to hold: a restart with 100,000 files takes seconds, not minutes.
#[test]
#[ignore = "a measurement, for release builds"]
fn library_speed_of_restart() {
    let home = Home::new(|path| {
        for i in 0..100_000u64 {
            write_old(&path.join(format!("{}/{i}", i % 300)), &i.to_le_bytes());
        }
    });
    let timed = |what: &str, start: std::time::Instant| {
        println!("{what}: {:.3} s", start.elapsed().as_secs_f64());
    };
    let start = std::time::Instant::now();
    home.share();
    timed("first share of one folder of 100,000 files", start);
    let start = std::time::Instant::now();
    let (library, record) = home.reopen();
    timed("open", start);
    let start = std::time::Instant::now();
    assert_eq!(check(&record), Check::Unchanged);
    timed("check", start);
    let start = std::time::Instant::now();
    restore(&library, &record).unwrap();
    timed("restore", start);
    library.remove_share(&record.path).unwrap();

    let files = scan(&home.share).unwrap();
    let paths: Vec<PathBuf> = files.files.iter().map(|file| files.file_path(file)).collect();
    let start = std::time::Instant::now();
    let prepared: Vec<Prepared> = paths.iter().map(|path| hash_path(path, 1).unwrap()).collect();
    timed("hash 100,000 single files", start);
    let records: Vec<ShareRecord> = prepared.iter().map(|p| p.record(false)).collect();
    let start = std::time::Instant::now();
    library.put_shares(&records.iter().zip(&prepared).collect::<Vec<_>>()).unwrap();
    timed("put 100,000 shares", start);
    drop(library);
    let start = std::time::Instant::now();
    let (library, loaded) = Library::open(&home.state).unwrap();
    timed("open with 100,000 shares", start);
    let start = std::time::Instant::now();
    for record in &loaded.shares {
        assert_eq!(check(record), Check::Unchanged);
        restore(&library, record).unwrap();
    }
    timed("check and restore 100,000 shares", start);
}

#[test]
fn h11_a_file_written_just_before_it_was_shared_is_not_called_changed() {
    let home = Home::new(|path| fs::write(path, b"young").unwrap());
    home.share();
    let (_, record) = home.reopen();
    assert_eq!(check(&record), Check::Young(vec![Vec::new()]), "it is hashed again all the same");
    fs::write(&home.share, b"other!").unwrap();
    assert_eq!(check(&record), changed(&[""]));
}

/// What `refresh` of a folder reads after files were added to it: how many bytes, and what it finds.
fn after_adding(home: &Home, scope: Scope, files: &[(&str, usize)]) -> (u64, Prepared) {
    for (name, len) in files {
        write_old(&home.share.join(name), &vec![b'n'; *len]);
    }
    let (library, record) = home.reopen();
    let progress = Progress::default();
    let prepared = refresh(&library, &record, scope, 2, &progress, &NO).unwrap();
    (progress.done.load(Ordering::Relaxed), prepared)
}

#[test]
fn c7_only_new_bytes_are_hashed_even_where_the_chunks_grow() {
    let home = Home::new(|path| {
        write_old(&path.join("a"), &vec![b'a'; 100 << 20]);
        write_old(&path.join("b"), &noise(5 << 20, 2));
        write_old(&path.join("c"), b"small");
    });
    let before = home.share();
    let (read, after) = after_adding(&home, Scope::All, &[("new", 40 << 20)]);
    assert_eq!(read, 40 << 20);
    assert!(after.layout.chunk_len() > before.layout.chunk_len(), "the point of it");
    assert_eq!(
        after,
        Prepared { hashed_at: after.hashed_at, ..hash_path(&home.share, 0).unwrap() }
    );
}

#[test]
fn c7_what_came_since_is_hashed_only_if_that_is_asked_for() {
    let home = Home::new(|path| make_folder(path, 20));
    let before = home.share();
    let new = [("d1/new", 9_000), ("sub/new", 10_000)];
    let (read, known) = after_adding(&home, Scope::Known, &new);
    assert_eq!((read, known.id), (0, before.id));
    assert_eq!(known, Prepared { hashed_at: known.hashed_at, ..before });
    fs::remove_file(home.share.join("d1/f1")).unwrap();
    let (read, less) = after_adding(&home, Scope::Known, &[]);
    assert_eq!((read, less.stats.len()), (0, 19));
    let (read, all) = after_adding(&home, Scope::All, &[]);
    assert_eq!((read, all.stats.len()), (19_000, 21));
}
