//! Deleting a finished download, by the user's explicit word: only what this peer fetched, never what is shared
//! by the user's own word as well.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::id::ContentId;
use common::layout::Layout;
use tokio::sync::oneshot;

use super::commands::Answer;
use super::content::{Content, Role};
use super::done::Done;
use super::{Session, refuse};
use crate::api::command::{CommandError, CommandErrorKind, Reply};
use crate::api::event::{Level, Target};
use crate::disk::{Erased, erase};
use crate::library::ShareRecord;

/// Deletions under way; each client of the control socket waits for one at a time, and there are fewer of them.
const MAX_DELETING: usize = 64;

/// A deletion under way.
struct Deleting {
    id: ContentId,
    reply: oneshot::Sender<Answer>,
}

/// Finished downloads being deleted at the user's word.
#[derive(Default)]
pub(super) struct Deletions {
    going: Vec<Deleting>,
}

impl Session {
    /// Deletes a finished download; the answer comes when that is done.
    pub(super) fn delete(&mut self, id: &ContentId, reply: oneshot::Sender<Answer>) {
        match self.may_delete(id) {
            Ok(path) if self.storage.deletions.going.len() < MAX_DELETING => {
                self.storage.deletions.going.push(Deleting { id: *id, reply });
                let (library, id) = (self.write_queue.library().clone(), *id);
                self.background.on_path(path, move |path| {
                    let found = || -> Result<_, CommandError> {
                        let broken = |error: &dyn std::fmt::Display| {
                            let text = format!("{}: not deleted: {error}", path.display());
                            refuse(CommandErrorKind::Io, text)
                        };
                        let record = library.share(&path).map_err(|error| broken(&error))?;
                        let record = record.filter(|record| record.downloaded && record.id == id);
                        let record = record.ok_or_else(|| not_fetched(&path))?;
                        let real = std::fs::canonicalize(&path).map_err(|error| broken(&error))?;
                        Ok((real, record))
                    };
                    let found = found();
                    Done::new(move |session| session.on_found_to_delete(&id, found))
                });
            }
            Ok(_) => {
                let text = "too much is being deleted already; try again when that is done";
                // A caller that no longer waits is fine, here and below.
                let _ = reply.send(Err(refuse(CommandErrorKind::Invalid, text)));
            }
            Err(error) => _ = reply.send(Err(error)),
        }
    }

    /// Where it lies, if its files are ours to delete.
    fn may_delete(&self, id: &ContentId) -> Result<PathBuf, CommandError> {
        let invalid = |text: String| Err(refuse(CommandErrorKind::Invalid, text));
        let content = self.contents.get(id).map(|content| &content.role);
        let share = match content {
            None => return Err(refuse(CommandErrorKind::NotFound, "no such download")),
            Some(Role::Download(_)) => {
                return invalid("it is not finished: remove it, and its data with it".to_owned());
            }
            Some(Role::Share(share)) => share,
        };
        if self.storage.deletions.going.iter().any(|deleting| deleting.id == *id) {
            return invalid("it is being deleted already".to_owned());
        }
        match share.paths.as_slice() {
            [path] if share.downloaded => Ok(path.clone()),
            [path] => Err(not_fetched(path)),
            paths => {
                let mut text =
                    "the same bytes are shared from several places; nothing is deleted:".to_owned();
                for path in paths.iter().take(10) {
                    text.push_str(&format!("\n  {}", path.display()));
                }
                Err(refuse(CommandErrorKind::Permission, text))
            }
        }
    }

    /// Where it really lies, and what is remembered of it.
    fn on_found_to_delete(
        &mut self,
        id: &ContentId,
        found: Result<(PathBuf, ShareRecord), CommandError>,
    ) {
        let begun = found.and_then(|(real, record)| self.begin_deleting(id, &real, record));
        if let Err(error) = begun {
            self.deleted(id, Err(error));
        }
    }

    /// Takes it off the network and out of the library, then deletes its files.
    fn begin_deleting(
        &mut self,
        id: &ContentId,
        real: &Path,
        record: ShareRecord,
    ) -> Result<(), CommandError> {
        // All may have changed meanwhile.
        let path = self.may_delete_now(id)?;
        if let Some(other) = self.shared_with(id, &path, real) {
            let text = format!(
                "{}: not deleted, since {} is shared as well; unshare that first",
                path.display(),
                other.display()
            );
            return Err(refuse(CommandErrorKind::Permission, text));
        }
        let Some(Content { layout, shown, .. }) = self.forget(id) else { return Ok(()) };
        self.sharing.jobs.cancel(&path);
        let paths = [path];
        self.note_unshared(&paths);
        self.unremember(&paths, Some(id));
        let ([path], id) = (paths, *id);
        let layout = layout.map_or_else(|| layout_of(&record), Ok)?;
        self.background.on_path(path, move |path| {
            let erased = erase(&layout, &path, record.rel.as_ref(), &record.files);
            Done::new(move |session| {
                let answer = session.judge_erased(&shown, &erased);
                session.deleted(&id, answer);
            })
        });
        Ok(())
    }

    fn may_delete_now(&mut self, id: &ContentId) -> Result<PathBuf, CommandError> {
        // It is in the list itself by now.
        let at = self.storage.deletions.going.iter().position(|deleting| deleting.id == *id);
        let own = at.map(|at| self.storage.deletions.going.swap_remove(at));
        let path = self.may_delete(id);
        self.storage.deletions.going.extend(own);
        path
    }

    /// Something else that is shared, or is about to be, and holds these files or lies among them.
    fn shared_with(&self, id: &ContentId, path: &Path, real: &Path) -> Option<PathBuf> {
        let meets = |other: &Path| {
            [path, real].iter().any(|own| other.starts_with(own) || own.starts_with(other))
        };
        let shares = self.contents.shares().filter(|content| content.id != *id);
        let paths = shares.flat_map(|content| match &content.role {
            Role::Share(share) => share.paths.as_slice(),
            Role::Download(_) => &[],
        });
        let hashing = self.sharing.jobs.iter().map(|job| &job.path).filter(|other| *other != path);
        paths.chain(hashing).find(|other| meets(other)).cloned()
    }

    /// What is said of it, and whether that is what was asked for.
    fn judge_erased(&self, shown: &str, erased: &Erased) -> Answer {
        let text = format!(
            "{shown}: no longer shared, {} deleted, {} bytes",
            files(erased.files),
            erased.bytes
        );
        self.log(Level::Info, Target::Disk, text);
        if let Some((path, error)) = &erased.failed {
            let kind = match error.kind() {
                std::io::ErrorKind::PermissionDenied => CommandErrorKind::Permission,
                _ => CommandErrorKind::Io,
            };
            let text = format!(
                "{shown}: no longer shared, but not all deleted: {}: {error}",
                path.display()
            );
            return Err(refuse(kind, text));
        }
        if erased.changed > 0 {
            let mut text = format!(
                "{shown}: no longer shared, {} deleted; changed since it was fetched, and kept: {}:",
                files(erased.files),
                files(erased.changed)
            );
            for path in &erased.named {
                text.push_str(&format!("\n  {}", path.display()));
            }
            return Err(refuse(CommandErrorKind::Permission, text));
        }
        Ok(Reply::Accepted)
    }

    /// The final answer.
    fn deleted(&mut self, id: &ContentId, answer: Answer) {
        let at = self.storage.deletions.going.iter().position(|deleting| deleting.id == *id);
        if let Some(at) = at {
            let Deleting { reply, .. } = self.storage.deletions.going.swap_remove(at);
            let _ = reply.send(answer);
        }
    }
}

fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// How the files are cut, which says only how many there are here.
fn layout_of(record: &ShareRecord) -> Result<Arc<Layout>, CommandError> {
    let sizes: Vec<u64> = record.files.iter().map(|stat| stat.size).collect();
    let layout = match &record.rel {
        Some(_) => Layout::for_folder(&sizes),
        None => Layout::for_file(record.descriptor.size),
    };
    layout.map(Arc::new).map_err(|error| refuse(CommandErrorKind::Io, error.to_string()))
}

fn not_fetched(path: &Path) -> CommandError {
    let text = format!(
        "{} was not fetched by this peer, as far as it remembers: its files are never deleted; unshare takes it off the network",
        path.display()
    );
    refuse(CommandErrorKind::Permission, text)
}
