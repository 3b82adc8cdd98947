//! Verifying on request: everything is read again and compared with what it was.
//!
//! Whoever asks is refused at once, or gets exactly one verdict as an event, whatever becomes of the share
//! meanwhile: [`What::Verified`], or [`What::Failed`] with the code `verify`. Several who ask while it is
//! being read share a verdict.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::id::ContentId;
use common::numbers::saturate;
use tokio::sync::oneshot;

use super::commands::Answer;
use super::content::{Role, ShareState};
use super::done::Done;
use super::helpers::threads;
use super::{Session, refuse};
use crate::api::command::{CommandError, CommandErrorKind, Reply};
use crate::api::event::{Level, Target, What};
use crate::library::{self, Compared, ShareError};

/// Why something that is shared lies nowhere by itself.
pub(super) const EARLIER_STATE: &str =
    "that is an earlier state of a folder, which has no place of its own; name the newest one";

/// What a verdict waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// Work of this number, which reads the share.
    Reading(u64),
    /// That the share is found and hashed again.
    Hashing,
}

/// Shares on which somebody waits for a verdict, and what it waits for.
#[derive(Default)]
pub(super) struct Verdicts {
    asked: BTreeMap<ContentId, Waits>,
}

impl Verdicts {
    /// Takes along what somebody waits for of a share that is served anew: whoever has it read again gets the verdict of
    /// that.
    pub(super) fn hold(&mut self, id: &ContentId) -> Held {
        Held(self.asked.remove_entry(id))
    }

    pub(super) fn put_back(&mut self, held: Held) {
        self.asked.extend(held.0);
    }
}

/// What somebody waits for, if somebody does.
pub(super) struct Held(Option<(ContentId, Waits)>);

impl Session {
    /// Reads everything again and compares; the answer, unless it comes later.
    pub(super) fn check(
        &mut self,
        id: &ContentId,
        reply: oneshot::Sender<Answer>,
    ) -> Option<(Answer, oneshot::Sender<Answer>)> {
        match self.read_again(id) {
            Ok(Some(path)) => {
                self.look_again(*id, path, reply);
                None
            }
            Ok(None) => Some((Ok(Reply::Accepted), reply)),
            Err(error) => Some((Err(error), reply)),
        }
    }

    /// Sees to it that there is a verdict; of an altered share, says where to look for it first.
    fn read_again(&mut self, id: &ContentId) -> Result<Option<PathBuf>, CommandError> {
        let Some(content) = self.contents.get(id) else {
            return Err(refuse(CommandErrorKind::NotFound, "not shared or downloaded here"));
        };
        let Role::Share(share) = &content.role else {
            return Err(refuse(
                CommandErrorKind::Invalid,
                "not finished yet: every chunk is verified before it is written",
            ));
        };
        let Some(path) = share.paths.first().cloned() else {
            return Err(refuse(CommandErrorKind::Invalid, EARLIER_STATE));
        };
        match &share.state {
            ShareState::Serving | ShareState::Damaged { .. }
                if self.checks.verdicts.asked.contains_key(id) => {}
            ShareState::Serving | ShareState::Damaged { .. } => self.read_share(*id, path),
            // It is being read, and whoever asked for that gets the verdict.
            ShareState::Verifying => {}
            // What it is now is just being found out.
            ShareState::Doubted => {
                self.checks.verdicts.asked.entry(*id).or_insert(Waits::Hashing);
            }
            ShareState::Gone { .. } if share.paths.iter().any(|p| self.is_being_hashed(p)) => {
                self.checks.verdicts.asked.entry(*id).or_insert(Waits::Hashing);
            }
            ShareState::Gone { .. } => return Ok(Some(path)),
        }
        Ok(None)
    }

    /// Begins to read a share again.
    fn read_share(&mut self, id: ContentId, path: PathBuf) {
        let number = self.background.new_number();
        if let Some(share) = self.contents.share_mut(&id)
            && share.state == ShareState::Serving
        {
            share.state = ShareState::Verifying;
        }
        self.checks.verdicts.asked.insert(id, Waits::Reading(number));
        let (library, probe) =
            (self.write_queue.library().clone(), self.background.probe().clone());
        self.background.reading(path, move |path| {
            let read = || probe.compared(&path);
            let result = library::compare_then(&library, &path, threads(), read);
            Done::new(move |session| session.on_verified(id, number, path, result))
        });
        self.changed();
    }

    /// An altered share was looked for: it is there. The answer to whoever asked.
    pub(super) fn found_again(&mut self, id: ContentId, path: PathBuf) -> Answer {
        if self.contents.share_mut(&id).is_none() {
            let text = "it is no longer shared here";
            return Err(refuse(CommandErrorKind::NotFound, text));
        }
        self.share_real(path.clone(), None);
        if self.is_being_hashed(&path) {
            self.checks.verdicts.asked.entry(id).or_insert(Waits::Hashing);
            return Ok(Reply::Accepted);
        }
        match self.contents.share_mut(&id).map(|share| share.state.clone()) {
            // Something else is shared from there by now.
            Some(ShareState::Gone { why, .. }) => Err(refuse(CommandErrorKind::NotFound, why)),
            // It came back meanwhile.
            _ => self.read_again(&id).map(|_| Reply::Accepted),
        }
    }

    fn on_verified(
        &mut self,
        id: ContentId,
        number: u64,
        path: PathBuf,
        result: Result<Compared, ShareError>,
    ) {
        // Unshared, and perhaps shared again since: whoever asked knows.
        if self.checks.verdicts.asked.get(&id) != Some(&Waits::Reading(number)) {
            // What was found may have been written down after the removal.
            if !self.is_being_hashed(&path) && !self.is_listed(&path) {
                self.unremember(&[path], None);
            }
            return;
        }
        let shown = self.shown_name(&id);
        let Some(share) = self.contents.share_mut(&id) else { return };
        let downloaded = share.downloaded;
        let was_damaged = matches!(share.state, ShareState::Damaged { .. });
        if share.state == ShareState::Verifying {
            share.state = ShareState::Serving;
        }
        let Compared { bad, changed, mended, remembered } = match result {
            Ok(verified) => verified,
            Err(error) => return self.judge(id, Err(error.to_string())),
        };
        self.note_written(remembered.as_ref().map(drop));
        self.judge(id, Ok(bad));
        if let Some(prepared) = mended {
            self.serve_prepared(*prepared, downloaded);
        } else if bad > 0 && changed {
            self.on_unreadable(id);
        } else if bad > 0 && !was_damaged {
            let why = damaged(&shown, bad);
            let hint = "download it again after unsharing it, or share it again as it is";
            let what = What::Failed { id: Some(id), code: "damaged", hint: hint.to_owned() };
            self.tell(Level::Error, Target::Disk, why.clone(), what);
            self.take_off(id, ShareState::Damaged { why });
        }
    }

    /// Something was hashed: the verdict on all altered shares that lay there. `found` is what lies there
    /// now.
    pub(super) fn judge_hashed(&mut self, path: &Path, found: &Result<ContentId, String>) {
        let lies = |id: &ContentId| match self.contents.get(id).map(|content| &content.role) {
            Some(Role::Share(share)) => {
                !share.state.is_good() && share.paths.iter().any(|p| p == path)
            }
            _ => false,
        };
        let judged: Vec<ContentId> =
            self.checks.verdicts.asked.keys().copied().filter(lies).collect();
        for id in judged {
            let outcome = match found {
                Ok(new) if *new == id => Ok(0),
                Ok(new) => {
                    let shown = self.shown_name(&id);
                    Err(format!("{shown} was changed: what lies there now is {new}"))
                }
                Err(why) => Err(why.clone()),
            };
            self.judge(id, outcome);
        }
    }

    /// A share that could not be read was looked at: a verdict, unless it is being hashed again.
    pub(super) fn judge_missed(&mut self, id: ContentId, why: &str) {
        let paths =
            self.contents.share_mut(&id).map(|share| share.paths.clone()).unwrap_or_default();
        if !paths.iter().any(|path| self.is_being_hashed(path)) {
            self.judge(id, Err(why.to_owned()));
        }
    }

    /// Gives the verdict, if somebody waits for one: how many chunks are wrong, or why that cannot be said.
    pub(super) fn judge(&mut self, id: ContentId, outcome: Result<usize, String>) {
        if self.checks.verdicts.asked.remove(&id).is_none() {
            return;
        }
        self.changed();
        let shown = self.shown_name(&id);
        match outcome {
            Ok(0) => {
                let text = format!("{shown}: every chunk is right");
                self.tell(Level::Info, Target::Share, text, What::Verified { id, bad: 0 });
            }
            Ok(bad) => {
                let count = saturate::<u32>(bad);
                let what = What::Verified { id, bad: count };
                self.tell(Level::Debug, Target::Disk, damaged(&shown, bad), what);
            }
            Err(why) => {
                let hint = "see to it, then verify again".to_owned();
                let what = What::Failed { id: Some(id), code: "verify", hint };
                self.tell(Level::Error, Target::Disk, why, what);
            }
        }
    }

    /// Whether it is being read just now.
    pub(super) fn is_read_again(&self, id: &ContentId) -> bool {
        matches!(self.checks.verdicts.asked.get(id), Some(Waits::Reading(_)))
    }
}

fn damaged(shown: &str, bad: usize) -> String {
    format!("{shown}: {bad} chunks are damaged on disk: not served any more")
}
