//! Parts in the folders for downloads that no download knows of any more: what a library that was lost, or
//! a program that was killed again and again, left behind. They are told, used when the same thing is
//! wanted again, and deleted when nobody wanted it for long. Of this only the deletion locks or changes
//! anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::id::ContentId;
use common::names::show;
use serde::{Deserialize, Serialize};

use super::Session;
use super::clock::unix_ms;
use super::content::Role;
use super::done::Done;
use crate::api::event::{Level, Target};
use crate::api::serde_with::{RawPath, by_path};
use crate::disk::{DiskError, Leftover, Search, delete_leftover};

/// Setting of the library that holds what is known, as JSON.
const KEY: &str = "orphans";
/// Days before a part that nobody wants is deleted: time to notice a library that was lost.
const WAIT_DAYS: u32 = 14;
/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// A folder is looked at this often: a little more than a day, so that each look can count one.
const CHECK_EVERY: Duration = Duration::from_secs(25 * 60 * 60);
/// Nothing is looked at before the program has run so long: what was asked for at its start is known then.
pub(super) const FIRST_AFTER: Duration = Duration::from_secs(60);
/// Between two steps of a search, each of which is bounded.
const STEP_EVERY: Duration = Duration::from_secs(1);
/// Folders searched at once; one that hangs holds one thread of its volume.
const MAX_SEARCHES: usize = 4;
/// Parts known at once; others have their turn when these are gone.
const MAX_KNOWN: usize = 256;
/// Parts told one by one in a search, so that they do not fill the log.
const MAX_TOLD: usize = 16;
/// Parts remembered that the user took out of the list and did not delete; the oldest are forgotten.
const MAX_SPARED: usize = 1000;

/// A part that nobody wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Unwanted {
    /// Of which content.
    id: String,
    /// How its journal looked.
    mark: String,
    /// Days that it has waited.
    days: u32,
    /// When the last of them was counted; milliseconds since 1970.
    counted_ms: u64,
}

/// What is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Noted {
    /// By the path of the journal.
    #[serde(rename = "waiting", with = "by_path")]
    unwanted: BTreeMap<PathBuf, Unwanted>,
    /// Taken out of the list by the user, who did not want them deleted: content and folder.
    spared: Vec<(String, RawPath)>,
}

/// A search that has steps to go.
struct Going {
    /// `None` while a step is being taken.
    next: Option<(Search, Instant)>,
    /// Journals of ours seen so far.
    seen: BTreeMap<PathBuf, ContentId>,
    told: usize,
}

/// What is known, and where is just being looked.
pub(super) struct Orphans {
    noted: Noted,
    dirty: bool,
    began: Instant,
    looked: BTreeMap<PathBuf, Instant>,
    going: BTreeMap<PathBuf, Going>,
    told: BTreeSet<PathBuf>,
    /// Those being deleted, and whether somebody wants them after all.
    buried: BTreeMap<PathBuf, (ContentId, Arc<AtomicBool>)>,
}

impl Unwanted {
    fn new(found: &Leftover, now_ms: u64) -> Self {
        let (id, mark) = (found.id.to_string(), found.mark.clone());
        Self { id, mark, days: 0, counted_ms: now_ms }
    }

    /// It was seen once more. The clock may be wrong: however far it has gone a look counts one day at
    /// most, and where it has gone back the wait begins anew.
    fn look(&mut self, found: &Leftover, now_ms: u64) {
        if self.mark != found.mark || now_ms < self.counted_ms {
            *self = Self::new(found, now_ms);
        } else if now_ms - self.counted_ms >= DAY_MS {
            self.days = self.days.saturating_add(1);
            self.counted_ms = now_ms;
        }
    }
}

impl Orphans {
    /// From the library's settings; a text that cannot be read counts as none.
    pub(super) fn load(settings: &BTreeMap<String, String>, now: Instant) -> Self {
        let text = settings.get(KEY);
        let noted = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Self {
            noted,
            dirty: false,
            began: now,
            looked: BTreeMap::new(),
            going: BTreeMap::new(),
            told: BTreeSet::new(),
            buried: BTreeMap::new(),
        }
    }

    /// When the next step of a search is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.going.values().filter_map(|going| going.next.as_ref().map(|(_, at)| *at)).min()
    }

    /// A content is a download (again): what there is of it is its own.
    pub(super) fn claim(&mut self, id: &ContentId) {
        for (_, wanted) in self.buried.values().filter(|(other, _)| other == id) {
            wanted.store(true, Ordering::SeqCst);
        }
        let text = id.to_string();
        let before = (self.noted.unwanted.len(), self.noted.spared.len());
        self.noted.unwanted.retain(|_, unwanted| unwanted.id != text);
        self.noted.spared.retain(|(spared, _)| *spared != text);
        self.dirty |= before != (self.noted.unwanted.len(), self.noted.spared.len());
    }

    /// The user took a download out of the list, and what there is of it stays.
    pub(super) fn spare(&mut self, id: &ContentId, dir: &Path) {
        if self.noted.spared.len() >= MAX_SPARED {
            self.noted.spared.remove(0);
        }
        self.noted.spared.push((id.to_string(), RawPath(dir.to_path_buf())));
        self.dirty = true;
    }

    fn is_spared(&self, id: &ContentId) -> bool {
        let text = id.to_string();
        self.noted.spared.iter().any(|(spared, _)| *spared == text)
    }

    /// Whether a folder is to be searched now; it counts as being searched then.
    fn begin(&mut self, dir: &Path, now: Instant, first: Duration) -> bool {
        let fresh = |at: &Instant| now.saturating_duration_since(*at) < CHECK_EVERY;
        if now.saturating_duration_since(self.began) < first
            || self.going.len() >= MAX_SEARCHES
            || self.going.contains_key(dir)
            || self.looked.get(dir).is_some_and(fresh)
        {
            return false;
        }
        self.looked.retain(|_, at| fresh(at));
        self.looked.insert(dir.to_path_buf(), now);
        let going = Going { next: None, seen: BTreeMap::new(), told: 0 };
        self.going.insert(dir.to_path_buf(), going);
        true
    }

    /// Notes one that nobody wants; the days it has waited, if there is room to note it.
    fn note(&mut self, found: &Leftover, now_ms: u64) -> Option<u32> {
        let known = self.noted.unwanted.len();
        let unwanted = match self.noted.unwanted.get_mut(&found.journal) {
            Some(unwanted) => {
                unwanted.look(found, now_ms);
                unwanted
            }
            None if known >= MAX_KNOWN => return None,
            None => {
                let unwanted = Unwanted::new(found, now_ms);
                self.noted.unwanted.entry(found.journal.clone()).or_insert(unwanted)
            }
        };
        self.dirty = true;
        Some(unwanted.days)
    }

    /// A folder was searched to its end: what was not seen there is gone.
    fn end(&mut self, dir: &Path, seen: &BTreeMap<PathBuf, ContentId>) {
        let here = |path: &Path| path.parent() == Some(dir);
        let ids: BTreeSet<String> = seen.values().map(ContentId::to_string).collect();
        let before = (self.noted.unwanted.len(), self.noted.spared.len());
        self.noted.unwanted.retain(|path, _| !here(path) || seen.contains_key(path));
        self.noted.spared.retain(|(id, of)| of.0 != dir || ids.contains(id));
        self.dirty |= before != (self.noted.unwanted.len(), self.noted.spared.len());
        self.told.retain(|path| self.noted.unwanted.contains_key(path));
    }

    /// Searches whose next step is due.
    fn take_due(&mut self, now: Instant) -> Vec<(PathBuf, Search)> {
        let due = |going: &Going| going.next.as_ref().is_some_and(|(_, at)| *at <= now);
        let due = self.going.iter_mut().filter(|(_, going)| due(going));
        due.filter_map(|(dir, going)| Some((dir.clone(), going.next.take()?.0))).collect()
    }
}

/// A step of a search: what was found, and how to go on.
type Step = std::io::Result<(Vec<Leftover>, Option<Search>)>;

impl Session {
    /// A folder for downloads just told how much is free: it does not hang, and may be searched.
    pub(super) fn find_orphans(&mut self, dir: &Path, now: Instant) {
        let first = self.background.probe().orphans_after();
        if self.stopping.is_some() || !self.storage.orphans.begin(dir, now, first) {
            return;
        }
        let me = self.core.me();
        self.background.on_path(dir.to_path_buf(), move |dir| {
            let step = Search::open(&dir).and_then(|search| search.go_on(&me));
            Done::new(move |session| session.on_searched(dir, step))
        });
    }

    /// Goes on with searches, so many steps a second.
    pub(super) fn search_on(&mut self, now: Instant) {
        for (dir, search) in self.storage.orphans.take_due(now) {
            let me = self.core.me();
            self.background.on_path(dir, move |dir| {
                let step = search.go_on(&me);
                Done::new(move |session| session.on_searched(dir, step))
            });
        }
    }

    fn on_searched(&mut self, dir: PathBuf, step: Step) {
        let Some(mut going) = self.storage.orphans.going.remove(&dir) else { return };
        let (found, next) = match step {
            Ok(step) => step,
            Err(error) => {
                let text = format!("{}: not searched for old parts: {error}", dir.display());
                return self.log(Level::Debug, Target::Disk, text);
            }
        };
        for one in found {
            going.seen.insert(one.journal.clone(), one.id);
            going.told += usize::from(self.on_leftover(&dir, one, going.told < MAX_TOLD));
        }
        if let Some(search) = next {
            going.next = Some((search, Instant::now() + STEP_EVERY));
            self.storage.orphans.going.insert(dir, going);
            return;
        }
        self.storage.orphans.end(&dir, &going.seen);
        if let Some(more @ 1..) = going.told.checked_sub(MAX_TOLD) {
            let text = format!("{}: {more} more old parts like these", dir.display());
            self.log(Level::Warn, Target::Disk, text);
        }
        self.write_orphans();
    }

    /// Something of ours lies there. Whose it is now is looked at now: there was time for wishes while it
    /// was searched for. Says whether it is news.
    fn on_leftover(&mut self, dir: &Path, found: Leftover, tell: bool) -> bool {
        let known = self.contents.get(&found.id).map(|content| &content.role);
        let claimed = match known {
            Some(Role::Download(_)) => true,
            // Its journal may be all that remembers it.
            Some(Role::Share(_)) => found.part.is_none() || self.storage.copies.has(&found.id),
            None => self.storage.removals.has(&found.id),
        };
        if claimed || self.storage.orphans.is_spared(&found.id) {
            self.storage.orphans.dirty |=
                self.storage.orphans.noted.unwanted.remove(&found.journal).is_some();
            return false;
        }
        let Some(days) = self.storage.orphans.note(&found, unix_ms()) else { return false };
        if days >= WAIT_DAYS {
            self.delete_orphan(dir, found);
            return false;
        }
        let Some(part) = &found.part else { return false };
        let news = self.storage.orphans.told.insert(found.journal.clone());
        if news && tell {
            let (id, left) = (found.id, WAIT_DAYS - days);
            let size =
                if found.bytes > 0 { format!(", {} bytes", found.bytes) } else { String::new() };
            let text = format!(
                "{}: begun by an earlier run and in no list any more{size}: get {} again to go on with it \
                 (tui-peer get {id}); otherwise it is deleted after {left} days",
                part.display(),
                show(&found.name)
            );
            self.log(Level::Warn, Target::Disk, text);
        }
        news
    }

    /// Deletes it beside the session; should somebody want it before that is done, it stays.
    fn delete_orphan(&mut self, dir: &Path, found: Leftover) {
        if self.storage.orphans.buried.contains_key(&found.journal) {
            return;
        }
        let (me, wanted) = (self.core.me(), Arc::new(AtomicBool::new(false)));
        self.storage.orphans.buried.insert(found.journal.clone(), (found.id, wanted.clone()));
        self.background.on_path(dir.to_path_buf(), move |dir| {
            let result = delete_leftover(&dir, &found, &me, &wanted);
            Done::new(move |session| session.on_buried(&found, result))
        });
    }

    fn on_buried(&mut self, found: &Leftover, result: Result<Option<u64>, DiskError>) {
        self.storage.orphans.buried.remove(&found.journal);
        match result {
            Ok(bytes) => {
                self.storage.orphans.noted.unwanted.remove(&found.journal);
                self.storage.orphans.dirty = true;
                if let Some(bytes) = bytes {
                    let path = found.part.as_ref().unwrap_or(&found.journal);
                    let text = format!(
                        "{}: deleted, {bytes} bytes: nobody wanted it for {WAIT_DAYS} days",
                        path.display()
                    );
                    self.log(Level::Info, Target::Disk, text);
                }
                self.write_orphans();
            }
            // Tried again at the next look.
            Err(error) => self.log(Level::Warn, Target::Disk, error.to_string()),
        }
    }

    /// Writes down what is known, if that changed.
    pub(super) fn write_orphans(&mut self) {
        if !std::mem::take(&mut self.storage.orphans.dirty) {
            return;
        }
        self.write_setting(KEY, serde_json::to_string(&self.storage.orphans.noted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_800_000_000_000;

    fn found(mark: &str) -> Leftover {
        Leftover::example("/d/.a.state", mark)
    }

    fn orphans() -> (Orphans, Instant) {
        let now = Instant::now();
        (Orphans::load(&BTreeMap::new(), now), now)
    }

    #[test]
    fn f11_a_part_waits_fourteen_days_whatever_the_clock_does() {
        let (mut orphans, _) = orphans();
        let mut look = |days: u64, mark: &str| orphans.note(&found(mark), T + days * DAY_MS);
        for day in 0..=13 {
            assert_eq!(look(day, "a"), Some(day as u32));
            assert_eq!(look(day, "a"), Some(day as u32), "a program that starts again and again");
        }
        // Forty days ahead is one look; back, and nothing that was counted can be believed.
        assert_eq!(look(13 + 40, "a"), Some(14));
        assert_eq!(look(14, "a"), Some(0));
        assert_eq!(look(14 + 40, "a"), Some(1), "a jump of forty days deletes nothing");
        assert_eq!(look(14 + 41, "b"), Some(0), "somebody wrote to it");
    }

    #[test]
    fn f11_who_wants_it_again_or_wanted_it_kept_is_heard_also_while_it_is_deleted() {
        let (mut orphans, _) = orphans();
        let one = found("a");
        let wanted = Arc::new(AtomicBool::new(false));
        orphans.note(&one, T);
        orphans.buried.insert(one.journal.clone(), (one.id, wanted.clone()));
        orphans.spare(&one.id, Path::new("/d"));
        assert!(orphans.is_spared(&one.id));
        orphans.claim(&one.id);
        assert!(wanted.load(Ordering::SeqCst) && !orphans.is_spared(&one.id));
        assert_eq!(orphans.noted, Noted::default());
        for n in 0..MAX_SPARED + 5 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&n.to_le_bytes());
            orphans.spare(&ContentId::from_bytes(id), Path::new("/d"));
        }
        assert_eq!(orphans.noted.spared.len(), MAX_SPARED);
        orphans.end(Path::new("/other"), &BTreeMap::new());
        assert_eq!(orphans.noted.spared.len(), MAX_SPARED);
        orphans.end(Path::new("/d"), &BTreeMap::new());
        assert!(orphans.noted.spared.is_empty(), "what is gone is forgotten");
    }

    #[test]
    fn f11_searches_are_few_and_rare() {
        let (mut orphans, now) = orphans();
        let dir = |n: usize| PathBuf::from(format!("/{n}"));
        assert!(!orphans.begin(&dir(0), now, FIRST_AFTER), "not at once");
        let now = now + FIRST_AFTER;
        let begun = (0..9).filter(|n| orphans.begin(&dir(*n), now, FIRST_AFTER)).count();
        assert_eq!(begun, MAX_SEARCHES);
        orphans.going.clear();
        assert!(!orphans.begin(&dir(0), now + CHECK_EVERY / 2, FIRST_AFTER));
        assert!(orphans.begin(&dir(0), now + CHECK_EVERY, FIRST_AFTER));
    }

    #[test]
    fn f11_what_is_noted_is_bounded_and_comes_back() {
        let (mut orphans, now) = orphans();
        let one = |n: usize| Leftover::example(&format!("/d/.{n}.state"), "a");
        assert_eq!((0..1000).filter_map(|n| orphans.note(&one(n), T)).count(), MAX_KNOWN);
        let text = serde_json::to_string(&orphans.noted).unwrap();
        let settings = |text: &str| BTreeMap::from([(KEY.to_owned(), text.to_owned())]);
        let again = Orphans::load(&settings(&text), now);
        assert_eq!(again.noted, orphans.noted);
        assert_eq!(Orphans::load(&settings("{nonsense"), now).noted, Noted::default());
    }

    #[test]
    fn f11_one_path_that_is_no_text_spoils_no_other() {
        use std::os::unix::ffi::OsStrExt as _;
        let (mut orphans, now) = orphans();
        let odd = PathBuf::from(std::ffi::OsStr::from_bytes(b"/\xff/.a.state"));
        let mut one = found("a");
        one.journal.clone_from(&odd);
        orphans.note(&one, T);
        orphans.note(&found("a"), T);
        orphans.spare(&found("a").id, odd.parent().unwrap());
        let text = serde_json::to_string(&orphans.noted).unwrap();
        let load = |text: &str| {
            let settings = BTreeMap::from([(KEY.to_owned(), text.to_owned())]);
            Orphans::load(&settings, now).noted
        };
        assert_eq!(load(&text), orphans.noted);
        assert_eq!(orphans.noted.unwanted.len(), 2);
        // As it was written at first: what the user wants to be kept is kept.
        let id = found("a").id;
        let before = format!(r#"{{"unwanted":{{"/d/.a.state":{{}}}},"spared":[["{id}","/d"]]}}"#);
        assert_eq!(load(&before).spared, [(id.to_string(), RawPath("/d".into()))]);
    }
}
