//! Downloads that are to go to another folder than they began in. What was fetched moves along: renamed
//! where that can be, else copied chunk by chunk, each compared with its hash.
//!
//! Nothing is touched before it is written down where the download goes and where it comes from. From
//! then on the new folder counts; what the old one holds is taken over each time the download is opened,
//! until all of it is there. So whenever the program ends, the next start finds every verified byte.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::id::ContentId;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::commands::Answer;
use super::content::{Role, bytes_of, disk_name};
use super::done::Done;
use super::download::Phase;
use super::helpers::Place;
use super::path_lookups::usable;
use super::selection::merged;
use super::{Session, refuse};
use crate::api::command::{CommandError, CommandErrorKind, Selection};
use crate::api::event::{Level, Target};
use crate::api::serde_with::RawPath;
use crate::disk::{self, DiskError, Elsewhere, Relocated, discard, holds_part, lack, relocate};
use crate::library::Library;
use swarm::event::Input;

/// Setting of the library that holds where downloads come from, as JSON.
const KEY: &str = "moves";
/// How long a folder may take to answer before the download stays where it is. A disk that was asleep
/// takes some seconds.
const PATIENCE: Duration = Duration::from_secs(15);
/// Downloads remembered that were moved and are not all in one place yet.
const MAX_MOVED: usize = 1000;
/// Folders remembered that one download comes from: nobody moves on more often before it is copied.
const MAX_FROM: usize = 4;
/// The answer of a move whose download is gone.
pub(super) const NO_DOWNLOAD: &str = "it was taken out of the list meanwhile";
/// Moves asked for and not decided at once: more than anybody marks by hand; each waits for a disk.
const MAX_ASKED: usize = 1000;

/// What is written down: of each download, the folders that may hold some of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Noted {
    from: BTreeMap<String, Vec<RawPath>>,
}

/// A move whose folders are being looked at.
struct Asked {
    number: u64,
    old: PathBuf,
    dir: PathBuf,
    /// Files that are wanted too when it goes there.
    files: Selection,
    due: Instant,
    /// What was found there, while the download is still being opened.
    found: Option<Found>,
    reply: oneshot::Sender<Answer>,
}

/// What is asked for when something is to go to another folder.
pub(super) struct Question {
    pub(super) id: ContentId,
    /// Where it is.
    pub(super) old: PathBuf,
    /// Where it is to go.
    pub(super) dir: PathBuf,
    /// Files that are wanted.
    pub(super) files: Selection,
    pub(super) reply: oneshot::Sender<Answer>,
}

/// Everything that moves.
#[derive(Default)]
pub(super) struct Moves {
    noted: Noted,
    asked: BTreeMap<ContentId, Asked>,
}

/// What a look at both folders showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// They are the same folder.
    Same,
    /// Nothing of it is in the old one.
    Nothing,
    /// Something of it is.
    Some,
}

impl Moves {
    /// From the library's settings; a text that cannot be read counts as none.
    pub(super) fn load(settings: &BTreeMap<String, String>) -> Self {
        let text = settings.get(KEY);
        let noted = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Self { noted, asked: BTreeMap::new() }
    }

    /// Folders that may hold some of a download.
    pub(super) fn from(&self, id: &ContentId) -> Vec<PathBuf> {
        let dirs = self.noted.from.get(&id.to_string());
        dirs.into_iter().flatten().map(|dir| dir.0.clone()).collect()
    }

    /// A download goes to `to`, and `from` may hold some of it. `false`: there is no room to note that.
    fn note(&mut self, id: &ContentId, from: Option<&Path>, to: &Path) -> bool {
        let mut dirs = self.from(id);
        dirs.retain(|dir| dir != to);
        if let Some(from) = from
            && !dirs.iter().any(|dir| dir == from)
        {
            dirs.push(from.to_path_buf());
        }
        let key = id.to_string();
        let known = self.noted.from.contains_key(&key);
        if dirs.len() > MAX_FROM || (!known && self.noted.from.len() >= MAX_MOVED) {
            return false;
        }
        if dirs.is_empty() {
            self.noted.from.remove(&key);
        } else {
            self.noted.from.insert(key, dirs.into_iter().map(RawPath).collect());
        }
        true
    }

    /// When the next one has waited enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.asked.values().map(|asked| asked.due).min()
    }
}

impl Session {
    /// Another folder for a download, and these files too; the answer, unless it comes later: when both
    /// folders were looked at, and it is written down where it goes.
    pub(super) fn move_to(
        &mut self,
        id: ContentId,
        dir: PathBuf,
        files: Selection,
        reply: oneshot::Sender<Answer>,
    ) -> Option<(Answer, oneshot::Sender<Answer>)> {
        let (old, name) = match self.may_move(&id) {
            Ok(found) => found,
            Err(error) => return Some((Err(error), reply)),
        };
        let (need, keep_free) = (self.room_for(&id), self.config.keep_free);
        let question = Question { id, old, dir, files, reply };
        self.ask(question, move |old, new| Folders { old, new }.look(&name, &id, need, keep_free))
    }

    /// Has two folders looked at before something of one of them goes to the other.
    pub(super) fn ask(
        &mut self,
        question: Question,
        look: impl FnOnce(&Path, &Path) -> Result<Found, CommandError> + Send + 'static,
    ) -> Option<(Answer, oneshot::Sender<Answer>)> {
        let Question { id, old, dir, files, reply } = question;
        if let Some(asked) = self.storage.moves.asked.get(&id) {
            let to = asked.dir.display();
            let text = format!("it is about to go to {to}; ask again when that is done");
            return Some((Err(refuse(CommandErrorKind::Invalid, text)), reply));
        }
        if self.storage.moves.asked.len() >= MAX_ASKED {
            let text = format!("too many moves at once; it stays in {}", old.display());
            return Some((Err(refuse(CommandErrorKind::Invalid, text)), reply));
        }
        let (number, due) = (self.background.new_number(), Instant::now() + PATIENCE);
        let place = self.place_between(&old, &dir);
        let asked =
            Asked { number, old: old.clone(), dir: dir.clone(), files, due, found: None, reply };
        self.storage.moves.asked.insert(id, asked);
        let probe = self.background.probe().clone();
        self.background.run_at(place, dir, move |dir| {
            probe.before(&old);
            let result = look(&old, &dir);
            Done::new(move |session| session.on_moving(id, number, result))
        });
        None
    }

    /// Where a download is and what it is called there, if it may move now.
    fn may_move(&mut self, id: &ContentId) -> Result<(PathBuf, String), CommandError> {
        let download = self.contents.download_of(id)?;
        let old = download.record.dir.clone();
        let volume = download.partial().map(|partial| partial.volume());
        let name = disk_name(&download.record.name, id);
        if volume.is_some_and(|volume| self.ours.disk.is_hung(volume)) {
            return Err(refuse(CommandErrorKind::Io, silent(&old, &old)));
        }
        Ok((old, name))
    }

    /// Bytes that all of a download takes on another volume, as far as is known.
    fn room_for(&self, id: &ContentId) -> u64 {
        let Some(content) = self.contents.get(id) else { return 0 };
        let Role::Download(download) = &content.role else { return 0 };
        match (&content.layout, content.descriptor) {
            (Some(layout), _) if !download.wanted.is_empty() => bytes_of(layout, &download.wanted),
            (None, Some(descriptor)) if content.manifest.is_none() => match descriptor.kind {
                common::content::Kind::File => descriptor.size,
                common::content::Kind::Folder => 0,
            },
            _ => 0,
        }
    }

    /// Both folders were looked at.
    fn on_moving(&mut self, id: ContentId, number: u64, result: Result<Found, CommandError>) {
        let Some(asked) =
            self.storage.moves.asked.get_mut(&id).filter(|asked| asked.number == number)
        else {
            return;
        };
        match result {
            Ok(found) => {
                asked.found = Some(found);
                self.move_on(&id);
            }
            Err(error) => self.end_move(&id, Err(error)),
        }
    }

    /// Moves a download that waited for its opening, if there is such a request and nothing is in its way.
    pub(super) fn move_on(&mut self, id: &ContentId) {
        let Some(asked) = self.storage.moves.asked.get(id) else { return };
        let Some(found) = asked.found else { return };
        let (dir, files) = (asked.dir.clone(), asked.files.clone());
        let answer = match self.contents.get(id).map(|content| &content.role) {
            None => Err(refuse(CommandErrorKind::Invalid, NO_DOWNLOAD)),
            Some(Role::Share(_)) => self.copy_on(id, dir, files, found),
            Some(Role::Download(download)) if download.files.is_opening() => return,
            Some(Role::Download(download)) if download.phase == Phase::Finishing => {
                let text = "it is just being put in place; ask again when that is done";
                Err(refuse(CommandErrorKind::Invalid, text))
            }
            Some(Role::Download(_)) => self.change_folder(id, dir, files, found),
        };
        self.end_move(id, answer);
    }

    fn change_folder(
        &mut self,
        id: &ContentId,
        dir: PathBuf,
        files: Selection,
        found: Found,
    ) -> Answer {
        let download = self.contents.download_of(id)?;
        let open = download.partial().is_some();
        let (old, before) = (download.record.dir.clone(), download.record.selection.clone());
        // Its list of files may have become known since it was asked for.
        let files = merged(&before, &self.settled(id, files)?);
        let more = files != before;
        if found == Found::Same {
            self.contents.download_of(id)?.asked.named = true;
            if more {
                self.choose(id, files);
            }
            return self.resume(id);
        }
        // It may have been begun there since that was looked at.
        let from = (open || found == Found::Some).then_some(old.as_path());
        if !self.storage.moves.note(id, from, &dir) {
            let text = format!(
                "too many downloads are on their way to another folder; it stays in {}",
                old.display()
            );
            return Err(refuse(CommandErrorKind::Invalid, text));
        }
        self.write_moves();
        let download = self.contents.download_of(id)?;
        download.asked.named = true;
        download.record.dir.clone_from(&dir);
        let open = download.begin_anew();
        let record = download.record.clone();
        self.remember(&record);
        let source = self.contents.get_mut(id).and_then(|content| content.source.take());
        self.background.close((open, source));
        self.feed(Input::ContentRemoved { id: *id });
        if more {
            // Only now: it may go on by that, where it is to be.
            self.choose(id, files);
        }
        let text = format!(
            "{}: goes to {} instead of {}",
            self.shown_name(id),
            dir.display(),
            old.display()
        );
        self.log(Level::Info, Target::Fetch, text);
        let answer = self.resume(id);
        self.start_queued();
        answer
    }

    /// The one answer to whoever asked.
    pub(super) fn end_move(&mut self, id: &ContentId, answer: Answer) {
        if let Some(asked) = self.storage.moves.asked.remove(id) {
            // A caller that no longer waits is fine.
            let _ = asked.reply.send(answer);
            self.changed();
        }
    }

    /// Whoever waited for a disk too long is told that the download stays.
    pub(super) fn end_slow_moves(&mut self, now: Instant) {
        let due = self.storage.moves.asked.iter().filter(|(_, asked)| asked.due <= now);
        let error = |asked: &Asked| match asked.found {
            None => refuse(CommandErrorKind::Io, silent(&asked.dir, &asked.old)),
            Some(_) => {
                let text = format!(
                    "what is in {} is still being read and compared; it stays there, ask again when that is done",
                    asked.old.display()
                );
                refuse(CommandErrorKind::Invalid, text)
            }
        };
        let due: Vec<_> = due.map(|(id, asked)| (*id, error(asked))).collect();
        due.into_iter().for_each(|(id, error)| self.end_move(&id, Err(error)));
    }

    /// A download that was to be moved is here, before that was decided.
    pub(super) fn too_late_to_move(&mut self, id: &ContentId, path: &Path) {
        let text = format!("it is here by now, at {}; ask again, and it is copied", path.display());
        self.end_move(id, Err(refuse(CommandErrorKind::Invalid, text)));
    }

    /// Where to work on a download that may have to look at another disk than that of `dir`: if that one hangs,
    /// only what comes from there to here waits for it.
    pub(super) fn place_of(&mut self, id: &ContentId, dir: &Path) -> Place {
        let from = self.storage.moves.from(id).into_iter().find(|from| from != dir);
        match from {
            Some(from) => self.place_between(&from, dir),
            None => Place::Volume(self.background.volume_of(dir)),
        }
    }

    fn place_between(&mut self, from: &Path, to: &Path) -> Place {
        match (self.background.volume_of(from), self.background.volume_of(to)) {
            (from, to) if from == to => Place::Volume(to),
            (from, to) => Place::Moving(from, to),
        }
    }

    /// All of a download is here: what may be left of it elsewhere, on a disk that was away, goes.
    pub(super) fn end_moves(&mut self, id: &ContentId, name: &str) {
        for dir in self.storage.moves.from(id) {
            let (id, name) = (*id, disk_name(name, id));
            self.background.on_path(dir, move |dir| {
                let result = discard(&dir, &name, &id);
                Done::new(move |session| session.on_journal_closed(result))
            });
        }
        self.forget_moves(id);
    }

    /// All of a download is in one place, or nobody wants it any more.
    pub(super) fn forget_moves(&mut self, id: &ContentId) {
        if self.storage.moves.noted.from.remove(&id.to_string()).is_some() {
            self.write_moves();
        }
    }

    fn write_moves(&mut self) {
        self.write_setting(KEY, serde_json::to_string(&self.storage.moves.noted));
    }
}

/// Where a download is, and where it is to go.
struct Folders<'a> {
    old: &'a Path,
    new: &'a Path,
}

impl Folders<'_> {
    /// Whether the download can go there; blocks.
    fn look(
        &self,
        name: &str,
        id: &ContentId,
        need: u64,
        keep_free: Option<u64>,
    ) -> Result<Found, CommandError> {
        let stays = format!("it stays in {}", self.old.display());
        usable(self.new, &stays)?;
        let volume = |dir: &Path| std::fs::metadata(dir).map(|meta| (meta.dev(), meta.ino())).ok();
        let (old, new) = (volume(self.old), volume(self.new));
        if old.is_some() && old == new {
            return Ok(Found::Same);
        }
        let io = |error: String| refuse(CommandErrorKind::Io, format!("{error}; {stays}"));
        if old.map(|(dev, _)| dev) != new.map(|(dev, _)| dev)
            && let Ok(space) = disk::space(self.new)
        {
            lack(self.new, space, keep_free, need).map_err(|error| io(error.to_string()))?;
        }
        let holds = holds_part(self.old, name, id).map_err(|error| io(error.to_string()))?;
        Ok(if holds { Found::Some } else { Found::Nothing })
    }
}

/// Has what a download left in other folders renamed into its own; where it stays, it is to be copied
/// from, and so where there is nothing just now: its disk may be away. Blocks.
///
/// # Errors
/// [`DiskError::InUse`] while it is still open there.
pub(super) fn bring_along(
    library: &Library,
    from: &[PathBuf],
    dir: &Path,
    name: &str,
    id: &ContentId,
) -> Result<Vec<Elsewhere>, DiskError> {
    let mut places = Vec::new();
    for old in from.iter().filter(|old| *old != dir) {
        // Only what is written down may move: else the next start looks for it where it was.
        let moved = match library.settle() {
            Ok(_) => relocate(old, dir, name, id),
            Err(_) => Ok(Relocated::Stays),
        };
        match moved {
            Ok(Relocated::Renamed) => {}
            Ok(Relocated::Nothing | Relocated::Stays) => {
                places.push(Elsewhere::Before(old.clone()));
            }
            Err(error @ DiskError::InUse { .. }) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "not renamed: copied");
                places.push(Elsewhere::Before(old.clone()));
            }
        }
    }
    Ok(places)
}

/// A folder did not answer.
fn silent(dir: &Path, stays: &Path) -> String {
    format!(
        "{}: the disk does not answer; is it connected? It stays in {}",
        dir.display(),
        stays.display()
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn h1_where_a_download_comes_from_is_noted_once_bounded_and_comes_back() {
        let id = ContentId::from_bytes([1; 32]);
        let mut moves = Moves::default();
        let dir = |n: usize| PathBuf::from(format!("/d{n}"));
        assert!(moves.note(&id, Some(&dir(0)), &dir(1)));
        assert!(moves.note(&id, Some(&dir(1)), &dir(0)), "and back");
        assert_eq!(moves.from(&id), [dir(1)]);
        let odd = PathBuf::from(std::ffi::OsStr::from_bytes(b"/\xff"));
        assert!(moves.note(&id, Some(&odd), &dir(2)));
        let text = serde_json::to_string(&moves.noted).unwrap();
        let settings = BTreeMap::from([(KEY.to_owned(), text)]);
        assert_eq!(Moves::load(&settings).from(&id), [dir(1), odd]);
        let before = (3..20).filter(|n| moves.note(&id, Some(&dir(*n)), &dir(99))).count();
        assert_eq!(before, MAX_FROM - 2);
        let other = |n: usize| ContentId::from_bytes([n as u8; 32]);
        assert!(moves.note(&other(2), None, &dir(1)) && moves.from(&other(2)).is_empty());
    }
}
