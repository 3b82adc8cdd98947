//! Disks that fail, programs that die, power that goes, at every step.

use rustix::io::Errno;

use super::*;

/// Lets steps happen until one is to fail, and remembers what a power cut would undo.
struct Faults {
    fails: Box<dyn Fn(usize, Step) -> Option<Errno> + Send + Sync>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    steps: usize,
    last: Option<Step>,
    /// Chunks handed to the kernel since the last sync.
    volatile: Vec<u32>,
    /// Length of the journal as it was last synced.
    state_len: u64,
    state: std::path::PathBuf,
    renamed: bool,
    failed: bool,
}

impl Faults {
    fn new(fails: impl Fn(usize, Step) -> Option<Errno> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { fails: Box::new(fails), seen: Mutex::default() })
    }

    /// Nothing happens any more from step `n` on.
    fn crash_at(n: usize) -> Arc<Self> {
        Self::new(move |step, _| (step >= n).then_some(Errno::IO))
    }
}

impl Hook for Faults {
    fn before(&self, step: Step) -> io::Result<()> {
        let mut seen = self.seen.lock().unwrap();
        if seen.failed {
            // After the crash: the step before the first failure was the last.
            return (self.fails)(seen.steps, step).map_or(Ok(()), |errno| Err(errno.into()));
        }
        match seen.last {
            Some(Step::SyncData) => seen.volatile.clear(),
            Some(Step::SyncState | Step::Compact | Step::Create) => {
                seen.state_len = fs::metadata(&seen.state).map_or(0, |meta| meta.len());
            }
            Some(Step::Write { chunk }) => seen.volatile.push(chunk),
            Some(Step::Rename) => seen.renamed = true,
            Some(Step::SyncDir) => seen.renamed = false,
            _ => {}
        }
        let n = seen.steps;
        seen.steps += 1;
        if let Some(errno) = (self.fails)(n, step) {
            seen.failed = true;
            return Err(errno.into());
        }
        seen.last = Some(step);
        Ok(())
    }
}

/// Fetches everything, syncing after every second chunk; returns the chunks that count as written.
fn fetch(content: &Content, dir: &Path, hook: &Arc<Faults>) -> (Vec<u32>, bool) {
    let state = dir.join(format!(".thing.{}.state", content.descriptor.id().short()));
    hook.seen.lock().unwrap().state = state;
    let mut stored = Vec::new();
    let Ok(opened) = Partial::open_with(content.spec(dir), hook.clone()) else {
        return (stored, false);
    };
    let Going { partial, .. } = going(opened);
    for chunk in 0..content.layout.chunks() {
        if partial.write_chunk(chunk, &[content.chunk(chunk)], true).is_err() {
            return (stored, false);
        }
        stored.push(chunk);
        if chunk % 2 == 1 && partial.sync().is_err() {
            return (stored, false);
        }
        if chunk == 3 && partial.compact().is_err() {
            return (stored, false);
        }
    }
    (stored, partial.finish(&content.plan()).is_ok())
}

/// Starts again after a crash, fetches the rest, compares; returns the chunks that were still there.
fn recover(content: &Content, dir: &Path) -> Option<Vec<u32>> {
    let check = |path: &Path| match &content.rel {
        None => assert_eq!(fs::read(path).unwrap(), content.files[0]),
        Some(rel) => {
            for (rel, bytes) in rel.iter().zip(&content.files) {
                assert_eq!(&fs::read(path.join(rel)).unwrap(), bytes);
            }
        }
    };
    let opened = match Partial::open(content.spec(dir)).unwrap() {
        Opened::Finished(path) => {
            check(&path);
            return None;
        }
        opened => going(opened),
    };
    let mut here = opened.partial.recheck(&opened.written, |chunk| content.hash(chunk));
    for chunk in opened.durable.iter() {
        let mut bytes = vec![0; content.chunk(chunk).len()];
        opened.partial.read(chunk, 0, &mut bytes).unwrap();
        assert_eq!(bytes, content.chunk(chunk), "durable chunk {chunk} is wrong");
        here.insert(chunk);
    }
    let missing = (0..content.layout.chunks()).filter(|chunk| !here.contains(*chunk));
    content.write(&opened.partial, missing);
    check(&opened.partial.finish(&content.plan()).unwrap());
    Some(numbers(&here))
}

fn contents() -> [Content; 2] {
    [
        Content::file(7 * 65_536 - 5),
        Content::folder(&[("a/x", 200_000), ("b", 9), ("c/d/e", 70_000)]),
    ]
}

#[test]
fn killed_before_any_step_nothing_written_is_fetched_again() {
    for content in contents() {
        for n in 0.. {
            let temp = tempfile::tempdir().unwrap();
            let (stored, whole) = fetch(&content, temp.path(), &Faults::crash_at(n));
            if whole {
                assert!(n > 30, "only {n} steps");
                break;
            }
            if let Some(here) = recover(&content, temp.path()) {
                let lost: Vec<_> = stored.iter().filter(|c| !here.contains(c)).collect();
                assert!(lost.is_empty(), "step {n}: {lost:?} were written and are gone");
            }
            assert_eq!(names_in(temp.path()), ["thing"], "step {n}");
        }
    }
}

#[test]
fn after_a_power_cut_at_any_step_no_wrong_byte_passes_for_a_right_one() {
    let content = Content::file(7 * 65_536 - 5);
    for (n, cut_journal) in (0..).flat_map(|n| [(n, false), (n, true)]) {
        let temp = tempfile::tempdir().unwrap();
        let hook = Faults::crash_at(n);
        let (_, whole) = fetch(&content, temp.path(), &hook);
        if whole {
            assert!(n > 30, "only {n} steps");
            break;
        }
        let seen = hook.seen.lock().unwrap();
        let part = seen.state.with_extension("part");
        if seen.renamed && cut_journal {
            fs::rename(temp.path().join("thing"), &part).unwrap();
        }
        if let Ok(file) = fs::File::options().write(true).open(&part) {
            for chunk in &seen.volatile {
                let at = u64::from(*chunk) * 65_536;
                let zeros = vec![0; content.chunk(*chunk).len()];
                std::os::unix::fs::FileExt::write_all_at(&file, &zeros, at).unwrap();
            }
        }
        if cut_journal && let Ok(file) = fs::File::options().write(true).open(&seen.state) {
            file.set_len(seen.state_len).unwrap();
        }
        let all_but_volatile = recover(&content, temp.path());
        if let Some(here) = all_but_volatile {
            assert!(seen.volatile.iter().all(|lost| !here.contains(lost)), "step {n}");
        }
        assert_eq!(names_in(temp.path()), ["thing"], "step {n}");
    }
}

#[test]
fn a_full_or_read_only_disk_keeps_everything_and_goes_on_when_mended() {
    for (errno, code) in [(Errno::NOSPC, "disk-full"), (Errno::ROFS, "read-only")] {
        let content = Content::file(7 * 65_536);
        for n in 0.. {
            let temp = tempfile::tempdir().unwrap();
            // Only one step fails: the one at which the disk was full.
            let hook = Faults::new(move |step, _| (step == n).then_some(errno));
            let mut errors = 0;
            let partial = match Partial::open_with(content.spec(temp.path()), hook.clone()) {
                Ok(opened) => going(opened).partial,
                Err(error) => {
                    assert_eq!((error.code(), error.is_temporary()), (code, true), "step {n}");
                    errors += 1;
                    content.open(temp.path()).partial
                }
            };
            for chunk in 0..7 {
                while let Err(error) = partial.write_chunk(chunk, &[content.chunk(chunk)], true) {
                    assert_eq!(error.code(), code, "step {n}");
                    errors += 1;
                }
                if chunk == 3
                    && let Err(error) = partial.sync()
                {
                    assert_eq!(error.error.code(), code, "step {n}");
                    errors += 1;
                    content.write(&partial, error.lost.iter());
                }
            }
            let done = loop {
                match partial.finish(&content.plan()) {
                    Ok(done) => break done,
                    Err(error) => {
                        errors += 1;
                        assert!(
                            matches!(&error, DiskError::Incomplete { .. }) || error.code() == code
                        );
                        let here = partial.written();
                        content.write(&partial, (0..7).filter(|chunk| !here.contains(*chunk)));
                    }
                }
            };
            assert_eq!(fs::read(done).unwrap(), content.files[0]);
            assert_eq!(names_in(temp.path()), ["thing"], "step {n}");
            if errors == 0 {
                assert!(n > 15, "only {n} steps");
                break;
            }
        }
    }
}

#[test]
fn after_a_failed_sync_everything_since_the_last_good_one_is_missing() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(6 * 65_536);
    let syncs = Mutex::new(0);
    let hook = Faults::new(move |_, step| {
        let mut syncs = syncs.lock().unwrap();
        *syncs += u32::from(step == Step::SyncData);
        (step == Step::SyncData && *syncs == 2).then_some(Errno::IO)
    });
    let opened = Partial::open_with(content.spec(temp.path()), hook).unwrap();
    let Going { partial, .. } = going(opened);
    content.write(&partial, [0, 1]);
    partial.sync().unwrap();
    content.write(&partial, [2, 4]);
    assert_eq!(partial.unsynced(), 2 * 65_536);
    let error = partial.sync().unwrap_err();
    assert_eq!(numbers(&error.lost), [2, 4]);
    assert_eq!((partial.unsynced(), numbers(&partial.written())), (0, vec![0, 1]));
    assert!(matches!(partial.read(2, 0, &mut [0]), Err(ReadError::Gone)));
    assert!(partial.sync().unwrap().is_empty(), "a second try proves nothing about the first");
    content.write(&partial, [4]);
    assert_eq!(numbers(&partial.sync().unwrap()), [4]);
    drop(partial);
    assert_eq!(numbers(&content.open(temp.path()).durable), [0, 1, 4]);
}

#[test]
fn a_part_deleted_while_it_is_written_is_noticed() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(3 * 65_536);
    let Going { partial, .. } = content.open(temp.path());
    content.write(&partial, [0]);
    partial.sync().unwrap();
    content.write(&partial, [1]);
    fs::remove_file(partial.path()).unwrap();
    let error = partial.sync().unwrap_err();
    assert!(matches!(error.error, DiskError::Changed { .. }));
    assert_eq!(numbers(&error.lost), [0, 1]);
    // Nothing is written to nowhere, and the old records do not count for the next one.
    let error = partial.write_chunk(2, &[content.chunk(2)], true).unwrap_err();
    assert!(matches!(error, DiskError::Changed { .. }));
    drop(partial);
    let Going { partial, durable, written, .. } = content.open(temp.path());
    assert_eq!((durable.count(), written.count()), (0, 0));
    content.write(&partial, [2]);
    partial.sync().unwrap();
    drop(partial);
    let again = content.open(temp.path());
    assert_eq!((numbers(&again.durable), again.written.count()), (vec![2], 0));
}

#[test]
fn a_long_journal_is_rewritten_short_and_says_the_same() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(300_000);
    let Going { partial, .. } = content.open(temp.path());
    partial.record_hashes(0, 2, &[content.hash(2).unwrap()]).unwrap();
    content.write(&partial, [0, 3]);
    partial.sync().unwrap();
    content.write(&partial, std::iter::repeat_n(2, 66_000 / 20));
    let state = temp.path().join(format!(".thing.{}.state", content.descriptor.id().short()));
    let before = fs::metadata(&state).unwrap().len();
    partial.compact().unwrap();
    assert!(fs::metadata(&state).unwrap().len() < before / 10);
    drop(partial);
    let again = content.open(temp.path());
    assert_eq!((numbers(&again.durable), numbers(&again.written)), (vec![0, 3], vec![2]));
    assert_eq!(again.hashes, [(0, 2, vec![content.hash(2).unwrap()])]);

    again.partial.recheck(&again.written, |chunk| content.hash(chunk));
    let mut bad = ChunkSet::empty(5);
    bad.insert(3);
    again.partial.distrust(&bad).unwrap();
    drop(again);
    let again = content.open(temp.path());
    // Its bytes are still there, and believed only if they are right.
    assert_eq!((numbers(&again.durable), numbers(&again.written)), (vec![0], vec![2, 3]));
}

/// A sync that fails while a chunk is being written.
#[derive(Default)]
struct SyncFailsMeanwhile {
    partial: std::sync::OnceLock<std::sync::Weak<Partial>>,
}

impl Hook for SyncFailsMeanwhile {
    fn before(&self, step: Step) -> io::Result<()> {
        match step {
            Step::Write { chunk: 1 } => {
                let partial = self.partial.get().and_then(std::sync::Weak::upgrade).unwrap();
                assert!(partial.sync().unwrap_err().error.is_full());
                Ok(())
            }
            Step::SyncData => Err(Errno::NOSPC.into()),
            _ => Ok(()),
        }
    }
}

#[test]
fn a_write_beside_a_failed_sync_does_not_turn_a_full_disk_into_a_failed_download() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(3 * 65_536);
    let hook = Arc::new(SyncFailsMeanwhile::default());
    let opened = Partial::open_with(content.spec(temp.path()), hook.clone()).unwrap();
    let Going { partial, .. } = going(opened);
    hook.partial.set(Arc::downgrade(&partial)).unwrap();
    partial.write_chunk(0, &[content.chunk(0)], true).unwrap();
    let error = partial.write_chunk(1, &[content.chunk(1)], true).unwrap_err();
    assert!(matches!(error, DiskError::Unsure { .. }), "{error}");
}

#[test]
fn h3_an_error_while_blocks_are_shared_leaves_no_part_without_a_journal() {
    let content = Content::file(200_000);
    let temp = tempfile::tempdir().unwrap();
    let (whole, new) = (temp.path().join("whole"), temp.path().join("new"));
    fs::write(&whole, &content.files[0]).unwrap();
    fs::create_dir(&new).unwrap();
    let hook = Faults::new(|_, step| (step == Step::ShareBlocks).then_some(Errno::IO));
    let places = [Elsewhere::Whole(whole)];
    assert!(Partial::open_all(content.spec(&new), hook, &places).is_err());
    assert!(names_in(&new).is_empty(), "{:?}", names_in(&new));
    // The next try begins as if there had been none.
    let Going { durable, .. } = going(Partial::open_from(content.spec(&new), &places).unwrap());
    assert!(durable.is_empty());
}
