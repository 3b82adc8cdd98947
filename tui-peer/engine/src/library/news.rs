//! What came into a shared folder, left it or changed in it since it was hashed: by stat only, and bounded in
//! time, for who looks every half a minute.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::content::Kind;
use common::names::{PathList, components};
use common::numbers::saturate;

use super::check::{Scope, is_elsewhere};
use super::error::ShareError;
use super::hash::prepared::join;
use super::passing::is_passing;
use super::record::ShareRecord;
use super::scan::{Scan, ScanFile, Steps, scan, scan_while};
use super::stat::Stat;

/// Files from which on only the folders of a share are looked at, as long as nothing came into them or left them:
/// a stat of each file for nothing would keep a disk awake. What changed in one of them is noticed when it is read.
pub(crate) const MANY_FILES: usize = 2_000;

/// How long a file may not have moved: somebody who copies files into a folder writes them within moments of each
/// other, and one that is still being written grows within it.
pub(crate) const SETTLED: Duration = Duration::from_secs(2);

/// A file is looked at no later than this after the look at its folder began, as a rule.
const LISTED_IN: Duration = Duration::from_secs(60);

/// A shared folder compared with what was hashed of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct News {
    /// Files that were not there.
    pub new: u32,
    /// Numbers of the files that are not there any more.
    pub gone: Vec<usize>,
    /// Numbers of the files that are something else now.
    pub changed: Vec<usize>,
    /// Tells this difference from others: the same as long as nothing moves. `None` if there is no difference.
    pub picture: Option<u64>,
    /// The same without the files that moved within [`SETTLED`].
    pub settled: Option<u64>,
    /// Whether there are such files.
    pub moving: bool,
    /// Its folders as they are, for the next look; `None` where they do not tell all.
    pub folders: Option<u64>,
}

/// What a look at a shared folder showed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing is there, or nothing is left in it, as where a volume was mounted that is not any more; or the path
    /// leads somewhere else.
    Lost,
    /// Nothing came or left since the look that told these folders.
    Still,
    /// It was compared.
    News(News),
    /// It cannot be looked at, or not within the time; why.
    Unseen(String),
}

/// Looks at a shared folder, step by step. `folders` is what the look before told of them. Of a watched folder the
/// files do not count that programs keep beside what they write.
pub(crate) fn see(
    record: &ShareRecord,
    folders: Option<u64>,
    watched: bool,
    steps: &Steps<'_>,
) -> Seen {
    let Some(rel) = record.rel.as_deref() else { return Seen::Lost };
    if is_elsewhere(record) {
        return Seen::Lost;
    }
    let inner = (record.files.len() > MANY_FILES).then(|| folders_of(rel));
    let at_first =
        inner.as_ref().and_then(|inner| picture_of_folders(&record.path, inner, steps.going));
    if at_first.is_some() && at_first == folders {
        return Seen::Still;
    }
    let found = match scan_while(&record.path, steps) {
        Ok(found) => found,
        Err(ShareError::NotFound(_)) => return Seen::Lost,
        Err(ShareError::Cancelled) => return Seen::Unseen("it takes too long".to_owned()),
        Err(error) => return Seen::Unseen(error.to_string()),
    };
    if found.files.is_empty() && found.empty_dirs.is_empty() && !record.files.is_empty() {
        return Seen::Lost;
    }
    let counts = |file: &ScanFile| !watched || !is_passing(file.name());
    let mut news =
        compare(rel, &record.files, &found.files, &counts, &|file| found.is_settled(file));
    // Of a folder that holds no file of the share it is not known when something comes into it.
    news.folders = at_first.filter(|_| inner.is_some_and(|inner| found.dirs == inner.len()));
    Seen::News(news)
}

/// Tells how a folder differs from what was hashed of it: the same as long as nothing moves; `None` if it does not, or
/// is none.
pub(crate) fn picture(record: &ShareRecord) -> Option<u64> {
    let rel = record.rel.as_deref()?;
    let found = scan(&record.path).ok()?;
    compare(rel, &record.files, &found.files, &|_| true, &|_| true).picture
}

/// The files of a share and those that lie there now: of new ones those that count, and which have settled. Pure.
fn compare(
    rel: &PathList,
    were: &[Stat],
    are: &[ScanFile],
    counts: &dyn Fn(&ScanFile) -> bool,
    is_settled: &dyn Fn(&ScanFile) -> bool,
) -> News {
    let mut news = News::default();
    let (mut picture, mut settled) = (DefaultHasher::new(), DefaultHasher::new());
    let known = rel.iter().zip(were).enumerate();
    let mut left: HashMap<&str, (usize, &Stat)> =
        known.map(|(number, (path, was))| (path, (number, was))).collect();
    let (mut differs, mut some_settled) = (false, false);
    for file in are {
        let was = left.remove(file.rel.join("/").as_str());
        match was {
            Some((_, was)) if was.same_but_for_device(&file.stat) => continue,
            Some((number, _)) => news.changed.push(number),
            None if !counts(file) => continue,
            None => news.new = news.new.saturating_add(1),
        }
        differs = true;
        (&file.rel, file.stat).hash(&mut picture);
        if is_settled(file) {
            some_settled = true;
            (&file.rel, file.stat).hash(&mut settled);
        } else {
            news.moving = true;
        }
    }
    // The order of the map says nothing.
    news.gone = left.into_values().map(|(number, _)| number).collect();
    news.gone.sort_unstable();
    news.changed.sort_unstable();
    news.gone.hash(&mut picture);
    news.gone.hash(&mut settled);
    let gone = !news.gone.is_empty();
    news.picture = (differs || gone).then(|| picture.finish());
    news.settled = (some_settled || gone).then(|| settled.finish());
    news
}

/// The folders that hold files of a share, directly or not, that of the share among them.
fn folders_of(rel: &PathList) -> BTreeSet<&str> {
    let mut folders = BTreeSet::from([""]);
    for path in rel.iter() {
        let mut below = path;
        while let Some((parent, _)) = below.rsplit_once('/') {
            if !folders.insert(parent) {
                break;
            }
            below = parent;
        }
    }
    folders
}

/// Changes whenever an entry comes into one of the folders or leaves it; `None` if one cannot be looked at.
fn picture_of_folders(
    root: &Path,
    folders: &BTreeSet<&str>,
    going: &dyn Fn() -> bool,
) -> Option<u64> {
    let mut picture = DefaultHasher::new();
    for folder in folders {
        let parts = components(folder).filter(|part| !part.is_empty());
        let meta = fs::symlink_metadata(join(root, parts)).ok().filter(|_| going())?;
        let stat = Stat::of(&meta);
        (folder, stat.ino, stat.mtime_ns, stat.ctime_ns).hash(&mut picture);
    }
    Some(picture.finish())
}

/// How the files of a share were, by their paths.
fn files_of(record: &ShareRecord) -> HashMap<&str, &Stat> {
    record.rel.iter().flat_map(|rel| rel.iter()).zip(record.files.iter()).collect()
}

/// Whether a file is as it was hashed.
fn is_same(known: &HashMap<&str, &Stat>, file: &ScanFile) -> bool {
    let was = known.get(file.rel.join("/").as_str());
    was.is_some_and(|was| was.same_but_for_device(&file.stat))
}

impl ScanFile {
    fn name(&self) -> &str {
        self.rel.last().map_or("", String::as_str)
    }
}

impl Scan {
    /// Whether a file had not moved for [`SETTLED`] when it was looked at. A time that is far from come says nothing: a
    /// clock was set back, or is another machine's.
    fn is_settled(&self, file: &ScanFile) -> bool {
        let ms = |time: Duration| saturate::<i64>(time.as_millis());
        let looked = saturate::<i64>(self.looked_at);
        let (from, to) = (looked.saturating_sub(ms(SETTLED)), looked.saturating_add(ms(LISTED_IN)));
        let Stat { mtime_ns, ctime_ns, .. } = file.stat;
        let times = [mtime_ns, ctime_ns].map(|time| time.div_euclid(1_000_000));
        times.into_iter().all(|time| time <= from || time > to)
    }

    /// Leaves out what is still moving and what programs keep beside what they write, unless `record` has it, and makes
    /// the chunks anew.
    /// Refuses what leaves nothing.
    fn only_settled(&mut self, record: &ShareRecord) -> Result<(), ShareError> {
        let known = files_of(record);
        self.keep(|scan, file| {
            // What the user once shared by name stays.
            let stays = known.contains_key(file.rel.join("/").as_str()) || !is_passing(file.name());
            stays && (is_same(&known, file) || scan.is_settled(file))
        })
    }

    /// Keeps some of its files and makes the chunks anew. Refuses what leaves nothing.
    fn keep(&mut self, is_kept: impl Fn(&Self, &ScanFile) -> bool) -> Result<(), ShareError> {
        let mut files = std::mem::take(&mut self.files);
        let had = files.len();
        files.retain(|file| is_kept(self, file));
        self.files = files;
        if self.files.is_empty() && had > 0 {
            return Err(ShareError::Changed { path: self.path.clone() });
        }
        self.lay_out()
    }

    /// Looks once more, [`SETTLED`] later, at what is new or changed, and leaves out what moved meanwhile: the times of
    /// files on a server are those of its clock, and say nothing beside ours. Blocks for so long.
    ///
    /// # Errors
    /// [`ShareError::Cancelled`], [`ShareError::TooLarge`], [`ShareError::Changed`] if nothing is left.
    pub(super) fn leave_out_moving(
        &mut self,
        record: &ShareRecord,
        cancel: &AtomicBool,
    ) -> Result<(), ShareError> {
        let known = files_of(record);
        if record.rel.is_none() || self.files.iter().all(|file| is_same(&known, file)) {
            return Ok(());
        }
        let until = Instant::now() + SETTLED;
        while Instant::now() < until {
            if cancel.load(Ordering::Relaxed) {
                return Err(ShareError::Cancelled);
            }
            std::thread::sleep(SETTLED / 20);
        }
        let is_still = |path: &Path, was: &Stat| {
            fs::symlink_metadata(path).is_ok_and(|meta| Stat::of(&meta) == *was)
        };
        self.keep(|scan, file| is_same(&known, file) || is_still(&scan.file_path(file), &file.stat))
    }

    /// Leaves out of a folder what is not to be shared of it; `empty` are its empty folders that were.
    ///
    /// # Errors
    /// [`ShareError::Elsewhere`], [`ShareError::TooLarge`], [`ShareError::Changed`] if nothing is left.
    pub(crate) fn leave_out(
        &mut self,
        scope: Scope,
        record: &ShareRecord,
        empty: &PathList,
    ) -> Result<(), ShareError> {
        if !record.downloaded && self.path.as_os_str() != record.path.as_os_str() {
            return Err(ShareError::Elsewhere(record.path.clone()));
        }
        if record.rel.is_none() || self.kind != Kind::Folder {
            return Ok(());
        }
        match scope {
            Scope::All => Ok(()),
            Scope::Settled => self.only_settled(record),
            Scope::Known => self.only_known(record, empty),
        }
    }

    /// Leaves out what `record` does not know, and makes the chunks anew.
    fn only_known(&mut self, record: &ShareRecord, empty: &PathList) -> Result<(), ShareError> {
        let Some(rel) = record.rel.as_deref() else { return Ok(()) };
        let files: BTreeSet<&str> = rel.iter().collect();
        let dirs: BTreeSet<&str> = empty.iter().collect();
        self.files.retain(|file| files.contains(file.rel.join("/").as_str()));
        self.empty_dirs.retain(|dir| dirs.contains(dir.join("/").as_str()));
        self.lay_out()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use proptest::prelude::*;

    use super::super::{Progress, Scope, hash_path, refresh};
    use super::*;

    const YES: &Steps<'_> = &Steps { going: &|| true, entered: &|_| {} };

    fn folder(files: &[&str]) -> (tempfile::TempDir, ShareRecord) {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            write(dir.path(), file, file);
        }
        let record = hash_path(dir.path(), 1).unwrap().record(false);
        (dir, record)
    }

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn news(record: &ShareRecord) -> News {
        match see(record, None, false, YES) {
            Seen::News(news) => news,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn c7_what_came_left_and_changed_is_told_and_what_is_ours_is_not() {
        let (dir, record) = folder(&["a", "b", "sub/c"]);
        let (root, same) = (dir.path(), news(&record));
        assert_eq!((same.new, same.picture), (0, None));
        assert!(same.gone.is_empty() && same.changed.is_empty());
        write(root, ".film.mkv.abcdef23.part", "ours");
        fs::create_dir(root.join("empty")).unwrap();
        assert_eq!(news(&record).picture, None);

        write(root, "sub/new", "n");
        write(root, "sub/deep/new", "n");
        let two = news(&record);
        assert_eq!((two.new, two.gone.len(), two.changed.len()), (2, 0, 0));
        write(root, "sub/new", "longer");
        let grown = news(&record);
        assert_eq!(grown.new, 2);
        assert_ne!(two.picture, grown.picture, "it is still written to");
        assert_eq!(grown.picture, news(&record).picture);

        fs::remove_file(root.join("a")).unwrap();
        write(root, "sub/c", "something else");
        let all = news(&record);
        assert_eq!((all.new, all.gone.as_slice(), all.changed.as_slice()), (2, &[0][..], &[2][..]));
    }

    #[test]
    fn c7_a_folder_that_is_gone_or_emptied_is_lost_and_one_that_takes_too_long_is_not_seen() {
        let (dir, record) = folder(&["a", "sub/b"]);
        let left = AtomicUsize::new(1);
        let going = || left.fetch_sub(1, Ordering::Relaxed) > 0;
        let steps = Steps { going: &going, entered: &|_| {} };
        assert!(matches!(see(&record, None, false, &steps), Seen::Unseen(_)));
        fs::remove_file(dir.path().join("a")).unwrap();
        fs::remove_dir_all(dir.path().join("sub")).unwrap();
        assert_eq!(see(&record, None, false, YES), Seen::Lost);
        let path = dir.path().to_path_buf();
        drop(dir);
        assert!(!path.exists());
        assert_eq!(see(&record, None, false, YES), Seen::Lost);
    }

    #[test]
    fn c7_of_many_files_only_the_folders_are_looked_at_until_one_of_them_changes() {
        let names: Vec<String> = (0..=MANY_FILES).map(|n| format!("d{}/{n}", n % 7)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (dir, record) = folder(&names);
        let first = news(&record);
        assert!(first.folders.is_some() && first.picture.is_none());
        let looks = AtomicUsize::new(0);
        let going = || looks.fetch_add(1, Ordering::Relaxed) < usize::MAX;
        let steps = Steps { going: &going, entered: &|_| panic!("it is listed") };
        assert_eq!(see(&record, first.folders, false, &steps), Seen::Still);
        assert_eq!(looks.load(Ordering::Relaxed), 8, "each folder and no file");
        // A folder of its own, which no file of the share tells of.
        fs::create_dir(dir.path().join("new")).unwrap();
        let Seen::News(empty) = see(&record, first.folders, false, YES) else {
            panic!("it is still")
        };
        assert_eq!((empty.new, empty.folders), (0, None));
        write(dir.path(), "new/file", "x");
        let Seen::News(one) = see(&record, empty.folders, false, YES) else {
            panic!("it is still")
        };
        assert_eq!(one.new, 1);
    }

    /// As if a file was written so many seconds ago; how it was changed last is not for programs to say.
    fn aged(record: &ShareRecord, now: Duration, seconds: u64) -> (Scan, ScanFile) {
        let mut scan = scan_while(&record.path, YES).unwrap();
        scan.looked_at = u64::try_from(now.as_millis()).unwrap();
        let then = i64::try_from((now - Duration::from_secs(seconds)).as_nanos()).unwrap();
        let mut file = scan.files[0].clone();
        (file.stat.mtime_ns, file.stat.ctime_ns) = (then, then);
        (scan, file)
    }

    #[test]
    fn c7_what_moved_just_now_is_left_out_and_the_rest_is_taken() {
        let (dir, record) = folder(&["a", "b"]);
        let now = Duration::from_secs(1_800_000_000);
        for (seconds, settled) in [(0, false), (1, false), (2, true), (3, true)] {
            let (scan, file) = aged(&record, now, seconds);
            assert_eq!(scan.is_settled(&file), settled, "{seconds}");
        }
        // While it was being listed.
        let (mut scan, file) = aged(&record, now, 1);
        scan.looked_at -= 10_000;
        assert!(!scan.is_settled(&file));
        // By a clock that was wrong by an hour.
        scan.looked_at -= 3_600_000;
        assert!(scan.is_settled(&file));

        write(dir.path(), "new", "n");
        write(dir.path(), "b", "longer");
        write(dir.path(), "film.mkv.part", "half");
        // However long it takes until they are looked at.
        let soon = std::time::SystemTime::now() + LISTED_IN / 2;
        for file in ["new", "b", "film.mkv.part"] {
            let file = fs::File::options().write(true).open(dir.path().join(file)).unwrap();
            file.set_modified(soon).unwrap();
        }
        let mut scan = scan_while(dir.path(), YES).unwrap();
        let two = see(&record, None, true, YES);
        let Seen::News(two) = two else { panic!("{two:?}") };
        assert_eq!((two.new, two.changed.as_slice(), two.moving), (1, &[1][..], true));
        assert!(two.picture.is_some() && two.settled.is_none(), "only what moves");
        assert_eq!(news(&record).new, 2, "nobody said that it is watched");
        scan.only_settled(&record).unwrap();
        let names: Vec<&str> = scan.files.iter().map(ScanFile::name).collect();
        assert_eq!(names, ["a"]);
        // As if some time had passed.
        let mut scan = scan_while(dir.path(), YES).unwrap();
        scan.looked_at += 3_600_000;
        scan.only_settled(&record).unwrap();
        let names: Vec<&str> = scan.files.iter().map(ScanFile::name).collect();
        assert_eq!(names, ["a", "b", "new"]);
    }

    #[test]
    fn c7_what_moves_by_the_clock_of_a_server_is_left_out_too() {
        let (dir, record) = folder(&["a"]);
        write(dir.path(), "done", "d");
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let log = dir.path().join("log");
        fs::write(&log, "a line\n").unwrap();
        let mut scan = scan_while(dir.path(), YES).unwrap();
        let often = Duration::from_millis(5);
        let writer = std::thread::spawn(move || {
            let mut log = fs::File::options().append(true).open(log).unwrap();
            let wait = || ended.recv_timeout(often);
            while wait() == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                std::io::Write::write_all(&mut log, b"a line\n").unwrap();
            }
        });
        // Its clock is an hour behind.
        scan.looked_at += 3_600_000;
        scan.only_settled(&record).unwrap();
        assert_eq!(scan.files.len(), 3);
        scan.leave_out_moving(&record, &AtomicBool::new(false)).unwrap();
        let names: Vec<&str> = scan.files.iter().map(ScanFile::name).collect();
        assert_eq!(names, ["a", "done"]);
        drop(end);
        writer.join().unwrap();
        let mut scan = scan_while(dir.path(), YES).unwrap();
        let stopped = scan.leave_out_moving(&record, &AtomicBool::new(true));
        assert!(matches!(stopped, Err(ShareError::Cancelled)));
    }

    #[test]
    fn c7_what_the_user_shared_by_name_stays_whatever_it_is_called() {
        let (dir, record) = folder(&["a", "film.mkv.part", "notes~"]);
        write(dir.path(), "new", "n");
        write(dir.path(), "x.tmp", "n");
        let mut scan = scan_while(dir.path(), YES).unwrap();
        scan.looked_at += 3_600_000;
        scan.only_settled(&record).unwrap();
        let names: Vec<&str> = scan.files.iter().map(ScanFile::name).collect();
        assert_eq!(names, ["a", "film.mkv.part", "new", "notes~"]);
    }

    #[test]
    fn c7_a_file_whose_path_leads_somewhere_else_now_is_gone() {
        let temp = tempfile::tempdir().unwrap();
        let temp = temp.path().canonicalize().unwrap();
        write(&temp.join("above"), "file", "mine");
        write(&temp.join("secret"), "file", "not mine");
        let record = hash_path(&temp.join("above/file"), 1).unwrap().record(false);
        assert_ne!(super::super::check(&record), super::super::Check::Gone);
        fs::rename(temp.join("above"), temp.join("moved")).unwrap();
        std::os::unix::fs::symlink(temp.join("secret"), temp.join("above")).unwrap();
        assert_eq!(super::super::check(&record), super::super::Check::Gone);
        let (library, _) = super::super::Library::open(&temp.join("state")).unwrap();
        for scope in [Scope::All, Scope::Settled, Scope::Known] {
            let (progress, cancel) = (Progress::default(), AtomicBool::new(false));
            let again = refresh(&library, &record, scope, 1, &progress, &cancel);
            assert!(matches!(again, Err(ShareError::Elsewhere(_))), "{scope:?}");
        }
    }

    #[test]
    fn c7_a_folder_whose_path_leads_somewhere_else_now_is_lost() {
        let temp = tempfile::tempdir().unwrap();
        let temp = temp.path().canonicalize().unwrap();
        let (above, secret) = (temp.join("above"), temp.join("secret"));
        write(&above.join("shared"), "a", "a");
        write(&secret.join("shared"), "a", "a");
        write(&secret.join("shared"), "key", "k");
        let record = hash_path(&above.join("shared"), 1).unwrap().record(false);
        assert!(matches!(see(&record, None, false, YES), Seen::News(_)));
        fs::rename(&above, temp.join("moved")).unwrap();
        std::os::unix::fs::symlink(&secret, &above).unwrap();
        assert_eq!(see(&record, None, true, YES), Seen::Lost);
        assert_eq!(super::super::check(&record), super::super::Check::Gone);
        let state = temp.join("state");
        let (library, _) = super::super::Library::open(&state).unwrap();
        for scope in [Scope::All, Scope::Settled, Scope::Known] {
            let (progress, cancel) = (Progress::default(), AtomicBool::new(false));
            let again = refresh(&library, &record, scope, 1, &progress, &cancel);
            assert!(matches!(again, Err(ShareError::Elsewhere(_))), "{scope:?}");
        }
    }

    proptest! {
        /// Whatever comes, leaves and changes: each file is counted once, and nothing is counted that stayed.
        #[test]
        fn c7_every_file_is_counted_once(were in prop::collection::btree_map("[a-c]{1,2}(/[a-c])?", 0u64..3, 0..12),
                                         are in prop::collection::btree_map("[a-c]{1,2}(/[a-c])?", 0u64..3, 0..12)) {
            let stat = |size: &u64| Stat { dev: 1, ino: 7, size: *size, mtime_ns: 5, ctime_ns: 5 };
            let rel = PathList::collect(were.keys().map(|path| components(path))).unwrap();
            let stats: Vec<Stat> = were.values().map(stat).collect();
            let split = |path: &String| components(path).map(str::to_owned).collect();
            let found: Vec<ScanFile> = are
                .iter()
                .map(|(path, size)| ScanFile { rel: split(path), stat: stat(size), exec: false })
                .collect();
            let news = compare(&rel, &stats, &found, &|_| true, &|_| true);
            prop_assert_eq!((news.settled, news.moving), (news.picture, false));
            let moving = compare(&rel, &stats, &found, &|_| true, &|_| false);
            prop_assert_eq!(moving.settled.is_some(), !moving.gone.is_empty());
            let new = are.keys().filter(|path| !were.contains_key(*path)).count();
            let count = |which: &dyn Fn(&String, &u64) -> bool| {
                were.iter().enumerate().filter(|(_, (p, s))| which(p, s)).map(|(n, _)| n).collect::<Vec<_>>()
            };
            prop_assert_eq!(news.new as usize, new);
            prop_assert_eq!(&news.gone, &count(&|path, _| !are.contains_key(path)));
            prop_assert_eq!(&news.changed, &count(&|path, size| are.get(path).is_some_and(|is| is != size)));
            prop_assert_eq!(news.picture.is_some(), were != are);
        }
    }
}
