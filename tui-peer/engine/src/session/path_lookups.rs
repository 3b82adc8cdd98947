//! Paths the user names: looked at beside the session, because a disk may hang, and acted on in the
//! user's order all the same.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use common::id::ContentId;
use tokio::sync::oneshot;

use super::commands::Answer;
use super::content::Content;
use super::done::Done;
use super::download::{Phase, Recall};
use super::opened::Files;
use super::{Session, refuse};
use crate::api::command::{CommandError, CommandErrorKind, Reply};

/// Paths that are to be shared and wait to be looked at or hashed, at most: more than there are shares in
/// the largest library, each some hundred bytes.
const MAX_SOUGHT: usize = 200_000;
/// What is hashed or waits for that, from which on nothing more that a command line names is looked for: enough
/// for every disk, while each costs a row of every snapshot.
const MAX_AHEAD: usize = 2_000;
/// Folders for downloads looked at at once; the user waits for the answer before choosing another.
const MAX_CHOSEN: usize = 8;

/// Finds where something to be shared really is; blocks.
type Find = fn(&Path) -> Result<PathBuf, CommandError>;

/// Why something is looked for.
#[derive(Debug, Clone)]
enum Aim {
    /// The user wants it shared, under this name if it is not to be its own.
    Share(Option<String>),
    /// It is to be shared unless it was found damaged.
    Offer,
    /// It is shared, and to be watched or not.
    Watched(bool),
    /// The user wants to know what became of an altered share.
    Verify(ContentId),
}

/// Something to be shared, once it is found.
struct Sought {
    path: PathBuf,
    aim: Aim,
    /// What was unshared after this was asked for: that is the user's later word.
    unshared: Vec<PathBuf>,
    reply: oneshot::Sender<Answer>,
}

/// Everything that is to be shared and not found yet.
#[derive(Default)]
pub(super) struct PathLookups {
    all: BTreeMap<u64, Sought>,
    /// Of each path the one being looked at and those that wait for it: in the user's order.
    by_path: HashMap<PathBuf, VecDeque<u64>>,
    /// Those that wait until less is being hashed.
    later: VecDeque<u64>,
}

impl PathLookups {
    /// Adds one; whether it is to be looked at now.
    fn add(&mut self, number: u64, sought: Sought) -> bool {
        let same = self.by_path.entry(sought.path.clone()).or_default();
        same.push_back(number);
        let first = same.len() == 1;
        self.all.insert(number, sought);
        first
    }

    /// Takes out one that was looked at, and says which is next of the same path.
    fn take(&mut self, number: u64) -> Option<(Sought, Option<u64>)> {
        let sought = self.all.remove(&number)?;
        let same = self.by_path.get_mut(&sought.path)?;
        same.retain(|other| *other != number);
        let next = same.front().copied();
        if next.is_none() {
            self.by_path.remove(&sought.path);
        }
        Some((sought, next))
    }
}

/// Folders chosen for downloads that are not known to be usable yet, the newest last.
#[derive(Default)]
pub(super) struct ChosenFolders {
    all: Vec<Chosen>,
}

/// A folder where downloads are to go, once it turns out to be usable.
struct Chosen {
    number: u64,
    dir: PathBuf,
    at: Instant,
    /// A folder chosen after this is used already.
    late: bool,
    reply: oneshot::Sender<Answer>,
}

impl Session {
    /// Begins to share a file or folder; the answer comes once it is found, the rest shows in the
    /// snapshot.
    pub(super) fn share(
        &mut self,
        path: PathBuf,
        name: Option<String>,
        reply: oneshot::Sender<Answer>,
    ) {
        self.seek(path, Aim::Share(name), reply);
    }

    /// The same, unless it was found damaged.
    pub(super) fn offer(&mut self, path: PathBuf, reply: oneshot::Sender<Answer>) {
        self.seek(path, Aim::Offer, reply);
    }

    /// What comes into a folder that is shared is shared without asking from now on, or no longer.
    pub(super) fn watched(&mut self, path: PathBuf, on: bool, reply: oneshot::Sender<Answer>) {
        self.seek(path, Aim::Watched(on), reply);
    }

    /// The user wants an altered share looked at again.
    pub(super) fn look_again(
        &mut self,
        id: ContentId,
        path: PathBuf,
        reply: oneshot::Sender<Answer>,
    ) {
        self.seek(path, Aim::Verify(id), reply);
    }

    fn seek(&mut self, path: PathBuf, aim: Aim, reply: oneshot::Sender<Answer>) {
        if self.sharing.sought.all.len() + self.sharing.jobs.len() >= MAX_SOUGHT {
            let text = "too much waits to be shared already; share it again when that is done";
            let _ = reply.send(Err(refuse(CommandErrorKind::Io, text)));
            return;
        }
        let number = self.background.new_number();
        let sought = Sought { path, aim, unshared: Vec::new(), reply };
        if self.sharing.sought.add(number, sought) {
            self.look_for(number);
        }
    }

    /// Looks for it beside the session: many at once on all volumes, few on each.
    fn look_for(&mut self, number: u64) {
        let Some(sought) = self.sharing.sought.all.get(&number) else { return };
        if matches!(sought.aim, Aim::Offer) && self.sharing.jobs.len() >= MAX_AHEAD {
            return self.sharing.sought.later.push_back(number);
        }
        let find: Find = match sought.aim {
            Aim::Share(_) | Aim::Offer | Aim::Watched(_) => real_path,
            Aim::Verify(_) => still_there,
        };
        let path = sought.path.clone();
        // A program that is told its paths at each start says nothing new about them.
        let asks = self.config.watch && matches!(sought.aim, Aim::Offer);
        let library = asks.then(|| self.write_queue.library().clone());
        self.background.on_path(path, move |path| {
            let result = find(&path);
            let known = match (&library, &result) {
                (Some(library), Ok(path)) => library.is_shared(path).unwrap_or(true),
                _ => false,
            };
            Done::new(move |session| session.on_found(number, result, known))
        });
    }

    /// Less is being hashed: looks for what waits for that.
    pub(super) fn look_for_more(&mut self) {
        if self.sharing.jobs.len() < MAX_AHEAD
            && let Some(number) = self.sharing.sought.later.pop_front()
        {
            self.look_for(number);
        }
    }

    /// What is to be shared was found, or not: where it really is, and whether it is `known` to have been shared before,
    /// where somebody wants to know that.
    fn on_found(&mut self, number: u64, result: Result<PathBuf, CommandError>, known: bool) {
        let Some((sought, next)) = self.sharing.sought.take(number) else { return };
        let Sought { aim, unshared, reply, .. } = sought;
        let answer = result.and_then(|path| self.found(aim, path, known, &unshared));
        // A caller that no longer waits is fine.
        let _ = reply.send(answer);
        if let Some(next) = next {
            self.look_for(next);
        }
        // What was not there is not hashed either.
        self.look_for_more();
    }

    fn found(&mut self, aim: Aim, path: PathBuf, known: bool, unshared: &[PathBuf]) -> Answer {
        let later = unshared.contains(&path);
        match aim {
            Aim::Verify(id) => return self.found_again(id, path),
            _ if later => self.not_shared(&path),
            Aim::Share(name) => {
                name.iter().try_for_each(|name| self.check_name(&path, name))?;
                self.share_as_it_is(path.clone(), name);
                self.watch_as_set(&path);
            }
            Aim::Offer => {
                let known = known || self.is_listed(&path);
                self.share_real(path.clone(), None);
                if !known {
                    self.watch_as_set(&path);
                }
            }
            Aim::Watched(on) => return self.watch_folder(&path, on),
        }
        Ok(Reply::Accepted)
    }

    /// What is sought and lies there is not to be shared any more.
    pub(super) fn note_unshared(&mut self, paths: &[PathBuf]) {
        for sought in self.sharing.sought.all.values_mut() {
            sought.unshared.extend_from_slice(paths);
        }
    }

    /// Another folder for downloads, once it turns out to be usable.
    pub(super) fn download_to(&mut self, dir: PathBuf, reply: oneshot::Sender<Answer>) {
        if self.storage.chosen.all.len() >= MAX_CHOSEN {
            let text = "the folders chosen before do not answer; is their disk connected?";
            let _ = reply.send(Err(refuse(CommandErrorKind::Io, text)));
            return;
        }
        let (number, at) = (self.background.new_number(), Instant::now());
        self.storage.chosen.all.push(Chosen { number, dir: dir.clone(), at, late: false, reply });
        self.background.on_path(dir, move |dir| {
            let result = usable(&dir, "downloads go where they went");
            Done::new(move |session| session.on_chosen(number, result))
        });
    }

    /// Where a download goes that is asked for now.
    pub(super) fn downloads_folder(&self) -> &Path {
        let chosen = self.storage.chosen.all.iter().rev().find(|chosen| !chosen.late);
        chosen.map_or(&self.config.downloads, |chosen| &chosen.dir)
    }

    /// Whether it is not known yet if a folder can be used: nothing is begun there.
    pub(super) fn is_unsure_of(&self, dir: &Path) -> bool {
        self.storage.chosen.all.iter().any(|chosen| chosen.dir == dir)
    }

    fn on_chosen(&mut self, number: u64, result: Result<(), CommandError>) {
        let Some(at) = self.storage.chosen.all.iter().position(|chosen| chosen.number == number)
        else {
            return;
        };
        let Chosen { dir, at: since, late, reply, .. } = self.storage.chosen.all.remove(at);
        match &result {
            Ok(()) if late => {}
            Ok(()) => {
                self.storage.chosen.all.iter_mut().take(at).for_each(|earlier| earlier.late = true);
                self.config.downloads.clone_from(&dir);
                self.check_free_space();
            }
            Err(_) => self.redirect(&dir, since),
        }
        let waiting: Vec<_> = self.contents.downloads_mut().filter_map(unopened).collect();
        waiting.into_iter().for_each(|id| self.open(id));
        // A caller that no longer waits is fine.
        let _ = reply.send(result.map(|()| Reply::Accepted));
    }

    /// Downloads asked for since a folder was chosen that cannot be used go where they would have gone.
    fn redirect(&mut self, dir: &Path, since: Instant) {
        let instead = self.downloads_folder().to_path_buf();
        let mut records = Vec::new();
        for download in self.contents.downloads_mut().filter_map(Content::as_download) {
            if download.record.dir == dir
                && download.asked.at >= since
                && download.partial().is_none()
            {
                download.record.dir.clone_from(&instead);
                records.push(download.record.clone());
            }
        }
        records.iter().for_each(|record| self.remember(record));
    }
}

/// A download that would be open if its folder had been known to be usable.
fn unopened(content: &mut Content) -> Option<ContentId> {
    let id = content.id;
    let download = content.as_download()?;
    let closed = matches!(download.files, Files::Closed);
    let waits = download.phase == Phase::Opening && download.recall != Recall::Asked;
    (waits && closed).then_some(id)
}

/// Where a file or folder really is, which is how shares are told apart; blocks.
pub(super) fn real_path(path: &Path) -> Result<PathBuf, CommandError> {
    std::fs::canonicalize(path).map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => CommandErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => CommandErrorKind::Permission,
            _ => CommandErrorKind::Io,
        };
        refuse(kind, format!("cannot share {}: {error}", path.display()))
    })
}

fn still_there(path: &Path) -> Result<PathBuf, CommandError> {
    if path.exists() {
        return Ok(path.to_path_buf());
    }
    let text = format!("{} is not there; put it back, or unshare it", path.display());
    Err(refuse(CommandErrorKind::NotFound, text))
}

/// Makes a folder for downloads if need be, and sees whether it can be written to; `otherwise` says what
/// happens if not. Blocks.
pub(super) fn usable(dir: &Path, otherwise: &str) -> Result<(), CommandError> {
    let refused = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied => CommandErrorKind::Permission,
            _ => CommandErrorKind::Io,
        };
        let text = format!("cannot use {}: {error}; {otherwise}", dir.display());
        refuse(kind, text)
    };
    std::fs::create_dir_all(dir).map_err(refused)?;
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).map_err(|errno| refused(errno.into()))
}
