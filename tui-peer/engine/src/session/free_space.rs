//! Room on the volumes that downloads go to. It is looked at beside the session, because a volume may
//! hang; what was seen last counts.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Session;
use super::content::Role;
use super::done::Done;
use crate::disk::{Space, space};

/// What was seen longer ago does not stop a download any more: its volume hangs, or nobody looked while
/// everything rested. Some rounds of housekeeping.
const FRESH: Duration = Duration::from_secs(5);
/// Folders looked at at once: each look may hang and hold one of the runtime's threads (512).
const MAX_LOOKS: usize = 16;

/// What there is on the volume of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) space: Space,
    /// Tells the volume from others.
    volume: u64,
}

impl Room {
    /// Looks; blocks.
    ///
    /// # Errors
    /// If there is no such folder.
    pub(super) fn look(dir: &Path) -> io::Result<Self> {
        let volume = std::fs::metadata(dir)?.dev();
        Ok(Self { space: space(dir)?, volume })
    }

    /// Tells the volume from others.
    pub(super) fn volume(self) -> u64 {
        self.volume
    }
}

/// What was seen of every folder that matters just now.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    folders: HashMap<PathBuf, Folder>,
}

#[derive(Debug, Default)]
struct Folder {
    /// What was seen last, and when.
    seen: Option<(Room, Instant)>,
    /// When it was looked at last by itself, not by way of another folder of its volume.
    looked: Option<Instant>,
    /// It is being looked at.
    out: bool,
}

impl Folder {
    fn volume(&self) -> Option<u64> {
        self.seen.map(|(room, _)| room.volume)
    }
}

impl Rooms {
    /// Which of the folders that matter are to be looked at now: one per volume, and none of a volume
    /// where a look is still out. Everything else is forgotten.
    fn begin(&mut self, wanted: HashSet<PathBuf>, now: Instant) -> Vec<PathBuf> {
        self.folders.retain(|dir, folder| folder.out || wanted.contains(dir));
        for dir in wanted {
            self.folders.entry(dir).or_default();
        }
        let out = self.folders.values().filter(|folder| folder.out);
        let mut taken: HashSet<u64> = out.clone().filter_map(Folder::volume).collect();
        let free = MAX_LOOKS.saturating_sub(out.count());
        let mut idle: Vec<_> = self.folders.iter_mut().filter(|(_, folder)| !folder.out).collect();
        // Each has its turn, in case it is on another volume by now.
        idle.sort_unstable_by_key(|(_, folder)| folder.looked);
        idle.retain(|(_, folder)| folder.volume().is_none_or(|volume| taken.insert(volume)));
        idle.truncate(free);
        let look = |(dir, folder): (&PathBuf, &mut Folder)| {
            (folder.out, folder.looked) = (true, Some(now));
            dir.clone()
        };
        idle.into_iter().map(look).collect()
    }

    /// A look ended, and tells about all folders of that volume. Says whether nothing was known before.
    fn end(&mut self, dir: &Path, room: Option<Room>, now: Instant) -> bool {
        let Some(folder) = self.folders.get_mut(dir) else { return false };
        let news = folder.seen.is_none() && room.is_some();
        folder.out = false;
        folder.seen = room.map(|room| (room, now));
        let Some(room) = room else { return false };
        for other in self.folders.values_mut() {
            if other.volume() == Some(room.volume) {
                other.seen = Some((room, now));
            }
        }
        news
    }

    /// What was seen last, however long ago.
    pub(super) fn last(&self, dir: &Path) -> Option<Room> {
        self.folders.get(dir)?.seen.map(|(room, _)| room)
    }

    /// Folders with what was seen of them last.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Path, Room)> {
        self.folders.iter().filter_map(|(dir, folder)| Some((dir.as_path(), folder.seen?.0)))
    }

    /// What was seen just now.
    pub(super) fn fresh(&self, dir: &Path, now: Instant) -> Option<Room> {
        let (room, at) = self.folders.get(dir)?.seen?;
        (now.saturating_duration_since(at) <= FRESH).then_some(room)
    }
}

impl Session {
    /// Looks at the folders that matter, beside the session.
    pub(super) fn check_free_space(&mut self) {
        let active = self.contents.downloads().filter_map(|content| match &content.role {
            Role::Download(download) if download.phase.is_active() => Some(&download.record.dir),
            _ => None,
        });
        let wanted = active.chain([&self.config.downloads]).cloned().collect();
        for dir in self.storage.rooms.begin(wanted, Instant::now()) {
            let probe = self.background.probe().clone();
            self.background.on_path(dir, move |dir| {
                let mut room = Room::look(&dir).ok();
                if let (Some(room), Some(space)) = (&mut room, probe.space(&dir)) {
                    room.space = space;
                }
                Done::looked(move |session| session.on_room(&dir, room))
            });
        }
    }

    fn on_room(&mut self, dir: &Path, room: Option<Room>) {
        let now = Instant::now();
        if self.storage.rooms.end(dir, room, now) {
            self.changed();
        }
        if room.is_some() {
            self.find_orphans(dir, now);
        }
        self.leave_room();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(dirs: &[&str]) -> HashSet<PathBuf> {
        dirs.iter().map(PathBuf::from).collect()
    }

    fn room(free: u64, volume: u64) -> Option<Room> {
        Some(Room { space: Space { free, size: 100 }, volume })
    }

    #[test]
    fn a_volume_that_hangs_has_one_look_out_and_holds_up_no_other() {
        let (mut rooms, now) = (Rooms::default(), Instant::now());
        let all = set(&["/a/1", "/a/2", "/b"]);
        assert_eq!(rooms.begin(all.clone(), now).len(), 3, "volumes are not known yet");
        assert!(rooms.begin(all.clone(), now).is_empty(), "all are out");
        assert!(rooms.end(Path::new("/a/1"), room(1, 1), now));
        assert!(rooms.end(Path::new("/a/2"), room(2, 1), now));
        assert!(rooms.end(Path::new("/b"), room(3, 2), now));
        assert_eq!(rooms.last(Path::new("/a/1")), room(2, 1), "one look is for the whole volume");
        let second = rooms.begin(all.clone(), now);
        assert_eq!(second.len(), 2, "{second:?}");
        // That of /a hangs.
        assert!(!rooms.end(Path::new("/b"), room(4, 2), now));
        for n in 1..100 {
            let later = now + Duration::from_secs(n);
            assert_eq!(rooms.begin(all.clone(), later), [PathBuf::from("/b")]);
            rooms.end(Path::new("/b"), room(4, 2), later);
        }
        let later = now + Duration::from_secs(99);
        assert_eq!(rooms.fresh(Path::new("/b"), later), room(4, 2));
        assert_eq!(rooms.fresh(Path::new("/a/1"), later), None);
        assert_eq!(rooms.last(Path::new("/a/1")), room(2, 1));
    }

    #[test]
    fn folders_of_a_volume_take_turns() {
        let (mut rooms, mut now) = (Rooms::default(), Instant::now());
        let all = set(&["/1", "/2", "/3"]);
        for dir in rooms.begin(all.clone(), now) {
            rooms.end(&dir, room(1, 1), now);
        }
        let mut seen = HashSet::new();
        for _ in 0..3 {
            now += Duration::from_secs(1);
            for dir in rooms.begin(all.clone(), now) {
                rooms.end(&dir, room(1, 1), now);
                assert!(seen.insert(dir));
            }
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn looks_that_hang_are_few_and_a_folder_nobody_wants_is_forgotten() {
        let (mut rooms, now) = (Rooms::default(), Instant::now());
        let many = (0..100).map(|n| PathBuf::from(format!("/{n}"))).collect();
        let out = rooms.begin(many, now);
        assert_eq!(out.len(), MAX_LOOKS);
        assert!(rooms.begin(set(&["/x"]), now).is_empty());
        for dir in &out {
            rooms.end(dir, None, now);
        }
        assert_eq!(rooms.begin(set(&["/x"]), now), [PathBuf::from("/x")]);
        assert_eq!(rooms.folders.len(), 1);
        assert!(!rooms.end(Path::new("/gone"), room(1, 1), now));
    }
}
