//! Shares whose files were changed or vanished: taken from the network at once, and looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::id::ContentId;

use super::Session;
use super::content::{Content, Role, ShareState};
use super::done::Done;
use super::helpers::Place;
use super::shares::{Restored, look};
use crate::api::command::{CommandError, Download, Reply};
use crate::api::event::{Level, Target, What};
use crate::library::{self, Check, Library, Prepared};
use swarm::event::Input;

/// How often shares are looked at beside being looked at whenever they are read.
pub(super) const CHECK_EVERY: Duration = Duration::from_secs(30);
/// Files looked at in one go, over all shares: the others have their turn next time. A stat takes
/// microseconds on a disk and a millisecond on a file server.
const LOOK_FILES: usize = 2_000;

/// When shares are looked at.
pub(super) struct Looks {
    /// When that was done last.
    last: Instant,
    /// Volumes where a look has not come back: nobody looks there again meanwhile.
    out: BTreeSet<u64>,
    /// Where in the order of contents the next look begins.
    from: usize,
}

impl Looks {
    pub(super) fn new(now: Instant) -> Self {
        Self { last: now, out: BTreeSet::new(), from: 0 }
    }

    /// When the next look is due.
    pub(super) fn next_due(&self, every: Duration) -> Instant {
        self.last + every
    }
}

/// What lies at the place of something that had vanished: how it stands, or where something lies of which nothing is
/// remembered.
struct Back {
    found: Result<Restored, PathBuf>,
    /// Of a folder that is not what it was: tells this difference from others.
    picture: Option<u64>,
}

/// What is to be looked at on one volume.
#[derive(Default)]
struct Chosen {
    serving: Vec<(ContentId, PathBuf)>,
    missed: Vec<(ContentId, Vec<PathBuf>)>,
}

/// Whether something lies at a path that is (or was) shared; blocks. What the library cannot tell of is not there: it
/// might be anything.
fn is_there(library: &Library, path: &Path) -> bool {
    match library.share(path) {
        Ok(Some(record)) => library::check(&record) != Check::Gone,
        Ok(None) => path.exists(),
        Err(_) => false,
    }
}

impl Session {
    /// A chunk could not be read for serving: the file changed or vanished. Of a folder it is looked at what is
    /// left.
    pub(super) fn on_unreadable(&mut self, id: ContentId) {
        if self.is_lost_older(&id) {
            return;
        }
        let path = self.contents.share_mut(&id).and_then(|share| share.paths.first().cloned());
        if path.is_some_and(|path| self.check_soon(&id, &path)) {
            // Until it is known what is left, what could not be read is had elsewhere.
            self.announce(&id);
        } else {
            self.doubt(id);
        }
    }

    /// It is not what was hashed any more: taken off until it is known what it is.
    pub(super) fn doubt(&mut self, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let shown = content.shown.clone();
        let Role::Share(share) = &mut content.role else {
            let text = format!("a chunk could not be read back from disk: {shown}");
            return self.log(Level::Error, Target::Disk, text);
        };
        if share.state != ShareState::Serving {
            return;
        }
        let paths = share.paths.clone();
        self.take_off(id, ShareState::Doubted);
        let library = self.write_queue.library().clone();
        self.background.on_path(paths.first().cloned().unwrap_or_default(), move |_| {
            let there: Vec<PathBuf> =
                paths.into_iter().filter(|path| is_there(&library, path)).collect();
            Done::new(move |session| session.on_missed(id, &there))
        });
    }

    /// Where something still lies of a share that could not be read.
    fn on_missed(&mut self, id: ContentId, there: &[PathBuf]) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Role::Share(share) = &mut content.role else { return };
        if share.state != ShareState::Doubted {
            // Unshared meanwhile, and shared again.
            return;
        }
        // A folder that was lost and is there again may be on its way there.
        let there: Vec<&PathBuf> = there.iter().filter(|path| !self.folders.has(path)).collect();
        let (why, hint) = if there.is_empty() {
            (
                "vanished from disk: not served any more",
                "put it back and it is served again, download it again, or unshare it",
            )
        } else {
            ("changed on disk: not served any more, hashing it again", "others get the new version")
        };
        let text = format!("{} {why}", content.shown);
        share.state = ShareState::Gone { why: text.clone(), there: !there.is_empty() };
        let what = What::Failed { id: Some(id), code: "changed", hint: hint.to_owned() };
        let text_of_verdict = text.clone();
        self.tell(Level::Warn, Target::Share, text, what);
        there.into_iter().for_each(|path| self.share_real(path.clone(), None));
        self.judge_missed(id, &text_of_verdict);
    }

    /// Takes a share from the network that does not hold what it should; it stays in the list.
    pub(super) fn take_off(&mut self, id: ContentId, state: ShareState) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Role::Share(share) = &mut content.role else { return };
        share.state = state;
        let source = content.source.take();
        content.registered = false;
        self.background.close(source);
        self.not_refused(&id);
        self.feed(Input::ContentRemoved { id });
        if let Some(announcer) = &self.net.announcer {
            announcer.remove_share(id);
            announcer.clear_partial(id);
        }
        self.changed();
    }

    /// Fetches from others what the user had and no longer has on disk.
    pub(super) fn fetch_again(&mut self, request: Download) -> Result<Reply, CommandError> {
        if let Some(Content { role: Role::Share(share), .. }) = self.forget(&request.id) {
            // The record of the download is written anew: only that of the share is in the way.
            self.unremember(&share.paths, None);
        }
        self.download_new(request)
    }

    /// What lies at a path now takes the place of what lay there before.
    pub(super) fn replace_altered(&mut self, prepared: &Prepared) {
        let old =
            self.contents.shares_at(&prepared.path).filter(|(_, share)| !share.state.is_good());
        let old: Vec<ContentId> = old.map(|(id, _)| id).collect();
        for id in old {
            if id != prepared.id {
                self.hand_on_limit(&id, &prepared.id);
            }
            self.forget(&id);
        }
    }

    /// Looks at shares, some thousand files at a time, each volume by itself.
    pub(super) fn check_shares(&mut self, now: Instant) {
        if now < self.checks.looks.next_due(self.background.probe().check_every()) {
            return;
        }
        self.checks.looks.last = now;
        for (volume, chosen) in self.choose_shares() {
            self.checks.looks.out.insert(volume);
            let (library, probe) =
                (self.write_queue.library().clone(), self.background.probe().clone());
            self.background.run(Place::Volume(volume), move || {
                let altered = |path: &PathBuf| {
                    probe.before(path);
                    let record = library.share(path).ok().flatten();
                    record.is_some_and(|record| library::is_altered(&record))
                };
                let found = chosen.serving.into_iter().filter(|(_, path)| altered(path));
                let altered: Vec<ContentId> = found.map(|(id, _)| id).collect();
                let mut back = Vec::new();
                for (id, paths) in chosen.missed {
                    for path in paths {
                        probe.before(&path);
                        back.extend(check_back(&library, path).map(|found| (id, found)));
                    }
                }
                Done::new(move |session| session.on_looked(volume, altered, back))
            });
        }
    }

    /// The shares whose turn it is, by volume; none where a look is still out.
    fn choose_shares(&mut self) -> BTreeMap<u64, Chosen> {
        let mut by_volume: BTreeMap<u64, Chosen> = BTreeMap::new();
        let mut files = 0;
        let n = self.contents.order().len();
        for step in 0..n {
            let at = (self.checks.looks.from + step) % n.max(1);
            let Some(content) = self.contents.order().get(at).and_then(|id| self.contents.get(id))
            else {
                continue;
            };
            let Role::Share(share) = &content.role else { continue };
            let Some(path) = share.paths.first() else { continue };
            let count = content.layout.as_ref().map_or(1, |layout| layout.files());
            // Folders of the user's are looked at by themselves. Large ones that were downloaded are looked at
            // where they are read: a stat of each file for nothing would keep a disk awake.
            let serves = share.state == ShareState::Serving
                && count <= LOOK_FILES
                && !self.folders.has(path);
            if !serves && !share.is_missed() {
                continue;
            }
            let volume = self.background.volume_of(path);
            if self.checks.looks.out.contains(&volume) {
                continue;
            }
            let count = if serves { count } else { 1 };
            if files + count > LOOK_FILES {
                self.checks.looks.from = at;
                break;
            }
            files += count;
            let chosen = by_volume.entry(volume).or_default();
            if serves {
                chosen.serving.push((content.id, path.clone()));
            } else {
                chosen.missed.push((content.id, share.paths.clone()));
            }
        }
        by_volume
    }

    /// Shares of a volume were looked at: those in `altered` do not lie there as they were hashed, and those in `back`
    /// were not there before.
    fn on_looked(&mut self, volume: u64, altered: Vec<ContentId>, back: Vec<(ContentId, Back)>) {
        self.checks.looks.out.remove(&volume);
        for (id, back) in back {
            self.on_back(id, back);
        }
        for id in altered {
            self.on_unreadable(id);
        }
    }

    /// A share that had vanished is there again.
    fn on_back(&mut self, id: ContentId, back: Back) {
        let Back { found, picture } = back;
        let Some(content) = self.contents.get_mut(&id) else { return };
        let shown = content.shown.clone();
        let Role::Share(share) = &mut content.role else { return };
        let missed = share.is_missed();
        let paths = share.paths.clone();
        match found {
            // Also a second copy of it, after the first is served.
            Ok(Restored::Unchanged { prepared, downloaded }) if missed || share.state.is_good() => {
                self.serve_prepared(*prepared, downloaded);
                // The other copies may come back too.
                paths.iter().for_each(|path| self.contents.add_path(id, path));
                if missed {
                    let text = format!("back and unchanged, served again: {shown}");
                    self.log(Level::Info, Target::Share, text);
                }
            }
            Ok(Restored::Damaged(record)) if missed => self.on_damaged_back(record),
            // It may be on its way there: what is half of it is not shared.
            Ok(Restored::Changed(record) | Restored::Young(record))
                if missed && self.folders.is_settled(&record.path, picture, Instant::now()) =>
            {
                self.on_missed_changed(id, record.path)
            }
            Err(path) if missed => self.on_missed_changed(id, path),
            _ => {}
        }
    }

    /// What is back at the place of a share is not what it was, as far as the disk can tell.
    fn on_missed_changed(&mut self, id: ContentId, path: PathBuf) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let text = format!("{} is back, but changed: hashing it again", content.shown);
        if let Role::Share(share) = &mut content.role {
            share.state = ShareState::Gone { why: text.clone(), there: true };
        }
        let hint = "others get the new version".to_owned();
        let what = What::Failed { id: Some(id), code: "changed", hint };
        self.tell(Level::Warn, Target::Share, text, what);
        self.share_real(path, None);
    }
}

/// How something stands that had vanished; nothing if it is not back, or the library cannot tell what it was. Blocks.
fn check_back(library: &Library, path: PathBuf) -> Option<Back> {
    let Some(record) = library.share(&path).ok()? else {
        return path.exists().then_some(Back { found: Err(path), picture: None });
    };
    let found = look(library, record);
    let picture = match &found {
        Restored::Gone(_) => return None,
        Restored::Changed(record) if !record.downloaded => library::picture(record),
        _ => None,
    };
    Some(Back { found: Ok(found), picture })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c7_what_the_library_cannot_tell_of_is_not_back() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().canonicalize().unwrap().join("photos");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("a"), "shared").unwrap();
        let (library, _) = Library::open(&temp.path().join("state")).unwrap();
        assert!(is_there(&library, &folder) && check_back(&library, folder.clone()).is_some());
        let prepared = library::hash_path(&folder, 1).unwrap();
        library.put_share(&prepared.record(false), &prepared).unwrap();
        assert!(is_there(&library, &folder) && check_back(&library, folder.clone()).is_some());
        library.spoil(&folder);
        assert!(!is_there(&library, &folder) && check_back(&library, folder).is_none());
    }
}
