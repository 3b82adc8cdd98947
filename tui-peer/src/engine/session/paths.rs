//! Paths the user names: looked at beside the session, because a disk may hang, and acted on in the
//! user's order all the same.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio::sync::oneshot;

use super::commands::Answer;
use super::content::{Content, Phase, Recall};
use super::shares::Done;
use super::{Session, refuse};
use crate::engine::command::{CommandError, CommandErrorKind, Reply};

/// Paths looked at at once: each look may hang and hold one of the runtime's threads (512). The others
/// wait.
const MAX_LOOKS: usize = 32;
/// Folders for downloads looked at at once; the user waits for the answer before choosing another.
const MAX_CHOSEN: usize = 8;

/// Finds where something to be shared really is; blocks.
type Find = fn(&Path) -> Result<PathBuf, CommandError>;

/// Something to be shared, once it is found.
pub(super) struct Sought {
    number: u64,
    path: PathBuf,
    name: Option<String>,
    find: Find,
    out: bool,
    /// What was unshared after this was asked for: that is the user's later word.
    unshared: Vec<PathBuf>,
    reply: oneshot::Sender<Answer>,
}

/// A folder where downloads are to go, once it turns out to be usable.
pub(super) struct Chosen {
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
        self.seek(path, name, real_path, reply);
    }

    /// The user wants an altered share looked at again.
    pub(super) fn look_again(&mut self, path: PathBuf, reply: oneshot::Sender<Answer>) {
        self.seek(path, None, still_there, reply);
    }

    fn seek(
        &mut self,
        path: PathBuf,
        name: Option<String>,
        find: Find,
        reply: oneshot::Sender<Answer>,
    ) {
        let number = self.new_number();
        let unshared = Vec::new();
        self.sought.push(Sought { number, path, name, find, out: false, unshared, reply });
        self.seek_next();
    }

    /// Looks for as many as may be, and for the same path one after the other.
    fn seek_next(&mut self) {
        let mut out = self.sought.iter().filter(|sought| sought.out).count();
        for at in 0..self.sought.len() {
            let (before, rest) = self.sought.split_at_mut(at);
            let Some(sought) = rest.first_mut().filter(|sought| !sought.out) else { continue };
            if out >= MAX_LOOKS {
                return;
            }
            if before.iter().any(|earlier| earlier.path == sought.path) {
                continue;
            }
            out += 1;
            sought.out = true;
            let (number, path, find) = (sought.number, sought.path.clone(), sought.find);
            self.beside(path, move |path| Done::Found { number, result: find(&path) });
        }
    }

    pub(super) fn on_found(&mut self, number: u64, result: Result<PathBuf, CommandError>) {
        let Some(at) = self.sought.iter().position(|sought| sought.number == number) else {
            return;
        };
        let Sought { name, unshared, reply, .. } = self.sought.remove(at);
        let answer = result.map(|path| {
            if !unshared.contains(&path) {
                self.share_real(path, name);
            }
            Reply::Accepted
        });
        // A caller that no longer waits is fine.
        let _ = reply.send(answer);
        self.seek_next();
    }

    /// What is sought and lies there is not to be shared any more.
    pub(super) fn note_unshared(&mut self, paths: &[PathBuf]) {
        for sought in &mut self.sought {
            sought.unshared.extend_from_slice(paths);
        }
    }

    /// Another folder for downloads, once it turns out to be usable.
    pub(super) fn download_to(&mut self, dir: PathBuf, reply: oneshot::Sender<Answer>) {
        if self.chosen.len() >= MAX_CHOSEN {
            let text = "the folders chosen before do not answer; is their disk connected?";
            let _ = reply.send(Err(refuse(CommandErrorKind::Io, text)));
            return;
        }
        let (number, at) = (self.new_number(), Instant::now());
        self.chosen.push(Chosen { number, dir: dir.clone(), at, late: false, reply });
        self.beside(dir, move |dir| Done::Chosen { number, result: usable(&dir) });
    }

    /// Where a download goes that is asked for now.
    pub(super) fn downloads_folder(&self) -> &Path {
        let chosen = self.chosen.iter().rev().find(|chosen| !chosen.late);
        chosen.map_or(&self.config.downloads, |chosen| &chosen.dir)
    }

    /// Whether it is not known yet if a folder can be used: nothing is begun there.
    pub(super) fn is_unsure_of(&self, dir: &Path) -> bool {
        self.chosen.iter().any(|chosen| chosen.dir == dir)
    }

    pub(super) fn on_chosen(&mut self, number: u64, result: Result<(), CommandError>) {
        let Some(at) = self.chosen.iter().position(|chosen| chosen.number == number) else {
            return;
        };
        let Chosen { dir, at: since, late, reply, .. } = self.chosen.remove(at);
        match &result {
            Ok(()) if late => {}
            Ok(()) => {
                self.chosen.iter_mut().take(at).for_each(|earlier| earlier.late = true);
                self.config.downloads.clone_from(&dir);
                self.look_at_rooms();
            }
            Err(_) => self.redirect(&dir, since),
        }
        let waiting: Vec<_> = self.contents.values_mut().filter_map(unopened).collect();
        waiting.into_iter().for_each(|id| self.open(id));
        // A caller that no longer waits is fine.
        let _ = reply.send(result.map(|()| Reply::Accepted));
    }

    /// Downloads asked for since a folder was chosen that cannot be used go where they would have gone.
    fn redirect(&mut self, dir: &Path, since: Instant) {
        let instead = self.downloads_folder().to_path_buf();
        let mut records = Vec::new();
        for download in self.contents.values_mut().filter_map(Content::as_download) {
            if download.record.dir == dir && download.asked >= since && download.partial.is_none() {
                download.record.dir.clone_from(&instead);
                records.push(download.record.clone());
            }
        }
        records.iter().for_each(|record| self.remember(record));
    }
}

/// A download that would be open if its folder had been known to be usable.
fn unopened(content: &mut Content) -> Option<common::id::ContentId> {
    let id = content.id;
    let download = content.as_download()?;
    let open = download.opening.is_some() || download.partial.is_some();
    let waits = download.phase == Phase::Opening && download.recall != Recall::Asked;
    (waits && !open).then_some(id)
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

/// Makes a folder for downloads if need be, and sees whether it can be written to; blocks.
fn usable(dir: &Path) -> Result<(), CommandError> {
    let refused = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied => CommandErrorKind::Permission,
            _ => CommandErrorKind::Io,
        };
        let text = format!("cannot use {}: {error}; downloads go where they went", dir.display());
        refuse(kind, text)
    };
    std::fs::create_dir_all(dir).map_err(refused)?;
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).map_err(|errno| refused(errno.into()))
}
