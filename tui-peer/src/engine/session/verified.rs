//! Verifying on request: everything is read again and compared with what it was.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use common::id::ContentId;
use tokio::sync::oneshot;

use super::commands::Answer;
use super::content::{Role, ShareState};
use super::shares::{Done, threads};
use super::{Session, refuse};
use crate::engine::command::{CommandError, CommandErrorKind, Reply};
use crate::engine::event::{Level, Target, What};
use crate::engine::library::{self, Check, Progress, ShareError};

/// A share after it was read again.
pub(super) struct Verified {
    /// Chunks that are not (or no longer) what they were.
    bad: usize,
    /// Whether the disk says that somebody changed it; if not, bad chunks are damage.
    changed: bool,
}

impl Session {
    /// Reads everything again and compares; the answer, unless it comes later.
    pub(super) fn check(
        &mut self,
        id: &ContentId,
        reply: oneshot::Sender<Answer>,
    ) -> Option<(Answer, oneshot::Sender<Answer>)> {
        match self.read_again(id) {
            Ok(Some(path)) => {
                self.look_again(path, reply);
                None
            }
            Ok(None) => Some((Ok(Reply::Accepted), reply)),
            Err(error) => Some((Err(error), reply)),
        }
    }

    /// Begins to read a share again; of an altered one, says where to look for it first.
    fn read_again(&mut self, id: &ContentId) -> Result<Option<PathBuf>, CommandError> {
        let Some(content) = self.contents.get_mut(id) else {
            return Err(refuse(CommandErrorKind::NotFound, "not shared or downloaded here"));
        };
        let Role::Share(share) = &mut content.role else {
            return Err(refuse(
                CommandErrorKind::Invalid,
                "not finished yet: every chunk is verified before it is written",
            ));
        };
        let Some(path) = share.paths.first().cloned() else {
            return Err(refuse(CommandErrorKind::NotFound, "no path known"));
        };
        if matches!(share.state, ShareState::Gone { .. }) {
            return Ok(Some(path));
        }
        if share.state == ShareState::Doubted {
            // What it is now is just being found out.
            return Ok(None);
        }
        share.state = ShareState::Verifying;
        let (library, id) = (self.library.clone(), *id);
        self.read_beside(path, move |path| {
            let verify = || -> Result<Verified, ShareError> {
                let record = library.share(&path)?.ok_or(ShareError::NotFound(path.clone()))?;
                let prepared = library::restore(&library, &record)?;
                let (progress, cancel) = (Progress::default(), AtomicBool::new(false));
                let bad = library::verify(&prepared, threads(), &progress, &cancel)?;
                let changed = library::check(&record) != Check::Unchanged;
                if !bad.is_empty() && !changed {
                    // Nothing but reading shows it: the next look must not believe the disk.
                    let files = bad.iter().filter_map(|chunk| prepared.layout.chunk(*chunk));
                    let files = files.map(|chunk| prepared.layout.place(chunk).file);
                    library.put_share(&record.doubted(files), &prepared)?;
                }
                Ok(Verified { bad: bad.len(), changed })
            };
            Done::Verified { id, result: verify() }
        });
        self.changed();
        Ok(None)
    }

    pub(super) fn on_verified(&mut self, id: ContentId, result: Result<Verified, ShareError>) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let shown = content.shown.clone();
        if let Role::Share(share) = &mut content.role
            && share.state == ShareState::Verifying
        {
            share.state = ShareState::Serving;
        }
        match result {
            Ok(Verified { bad: 0, .. }) => {
                let text = format!("{shown}: every chunk is right");
                self.tell(Level::Info, Target::Share, text, What::Verified { id, bad: 0 });
            }
            Ok(Verified { bad, changed }) => {
                let text =
                    format!("{shown}: {bad} chunks are damaged on disk: not served any more");
                let count = u32::try_from(bad).unwrap_or(u32::MAX);
                let verified = What::Verified { id, bad: count };
                self.tell(Level::Debug, Target::Disk, text.clone(), verified);
                if changed {
                    return self.on_unreadable(id);
                }
                let hint = "unshare it, then download it again".to_owned();
                let what = What::Failed { id: Some(id), code: "damaged", hint };
                self.tell(Level::Error, Target::Disk, text.clone(), what);
                // It was read just now.
                self.take_off(id, ShareState::Gone { why: text, there: true });
            }
            Err(error) => {
                let hint = "check the file, then verify again".to_owned();
                let what = What::Failed { id: Some(id), code: "verify", hint };
                self.tell(Level::Error, Target::Disk, error.to_string(), what);
            }
        }
    }
}
