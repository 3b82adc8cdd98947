//! What the session writes into the library: beside itself, all that waits in one commit, and again after a
//! failure until the disk takes it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::id::ContentId;
use common::numbers::saturate;
use tokio::sync::oneshot;

use super::commands::Answer;
use super::content::{Role, disk_name};
use super::done::Done;
use super::helpers::when_free;
use super::{Session, refuse};
use crate::api::command::CommandErrorKind;
use crate::api::event::{Level, Target, What};
use crate::api::snapshot::Unkept;
use crate::disk::{DiskError, discard};
use crate::library::{Library, LibraryError};

/// How long after a first failure it is tried again; twice as long after each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest wait: whoever has made room sees within that time that it was enough.
const LAST_RETRY: Duration = Duration::from_secs(30);
/// How long a caller waits for the disk before it is told that nothing is on it yet: far longer than a
/// commit takes on a busy disk, and short enough for somebody who looks at a screen.
const PATIENCE: Duration = Duration::from_secs(5);
/// Journals of finished downloads that are left until those are remembered. Further ones stay on disk.
const MAX_UNCLOSED: usize = 1000;

/// The library, and how it stands between the session and that.
pub(super) struct WriteQueue {
    library: Arc<Library>,
    /// A write is under way.
    settling: bool,
    trouble: Option<Trouble>,
    /// What is done when what it needs is on disk.
    owed: VecDeque<Owed>,
    /// Finished downloads that are not remembered yet: should the program end before they are, their
    /// journals say that they are finished.
    unclosed: Vec<Unclosed>,
}

/// The library cannot be written.
struct Trouble {
    why: String,
    hint: &'static str,
    /// How long to wait before the next try.
    wait: Duration,
    retry_at: Instant,
    /// More came than is kept, and was dropped.
    dropped: bool,
}

struct Owed {
    /// Of the last change that it is about.
    number: u64,
    deadline: Instant,
    due: Due,
}

/// Goes on, told why something is not on disk if it is not.
type Then = Box<dyn FnOnce(&mut Session, Option<String>) + Send>;

/// What follows once something is on disk, or turns out not to be.
enum Due {
    Answer(Answer, oneshot::Sender<Answer>),
    Then(Then),
}

/// A finished download whose journal is still there.
pub(super) struct Unclosed {
    pub(super) id: ContentId,
    pub(super) dir: PathBuf,
    pub(super) name: String,
}

impl WriteQueue {
    pub(super) fn new(library: Library) -> Self {
        let library = Arc::new(library);
        Self {
            library,
            settling: false,
            trouble: None,
            owed: VecDeque::new(),
            unclosed: Vec::new(),
        }
    }

    pub(super) fn library(&self) -> &Arc<Library> {
        &self.library
    }

    /// When there is something to do even if nothing happens.
    pub(super) fn due(&self) -> Option<Instant> {
        let retry = self.trouble.as_ref().filter(|_| !self.settling).map(|t| t.retry_at);
        let owed = self.owed.front().map(|owed| owed.deadline);
        retry.into_iter().chain(owed).min()
    }
}

/// What to do about it.
pub(super) fn hint(error: &LibraryError) -> &'static str {
    match error {
        LibraryError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            "make room on the disk of the state folder; it is written by itself then"
        }
        LibraryError::Io { .. } | LibraryError::Behind { .. } => {
            "see to the disk of the state folder; it is written by itself when that works again"
        }
        _ => "stop this peer, move the file away and start again; files are not touched",
    }
}

/// What a caller is told of something that is done and would be forgotten.
pub(super) fn unkept_words(why: &str, hint: &str) -> String {
    format!("done, but not remembered: {why}; until then a restart forgets it: {hint}")
}

impl Session {
    /// Writes what was noted in the library, beside the session.
    pub(super) fn write_down(&mut self, noted: Result<u64, LibraryError>) {
        match noted {
            // While it fails there is a time for the next try.
            Ok(_) if self.write_queue.trouble.is_some() => {}
            Ok(_) => self.settle(),
            Err(error) => self.note_trouble(&error),
        }
    }

    /// The same for a setting, as JSON.
    pub(super) fn write_setting(&mut self, key: &str, text: serde_json::Result<String>) {
        match text {
            Ok(text) => {
                let noted = self.write_queue.library().note_setting(key, Some(&text));
                self.write_down(noted);
            }
            Err(error) => self.log(Level::Error, Target::Disk, error.to_string()),
        }
    }

    fn settle(&mut self) {
        if std::mem::replace(&mut self.write_queue.settling, true) {
            return;
        }
        let library = self.write_queue.library.clone();
        self.background.own(move || {
            let result = library.settle();
            Done::new(move |session| session.on_settled(result))
        });
    }

    /// Everything that waited was written, or could not be.
    fn on_settled(&mut self, result: Result<u64, LibraryError>) {
        self.write_queue.settling = false;
        match result {
            Ok(number) => {
                self.note_well();
                let owed = std::mem::take(&mut self.write_queue.owed);
                let (paid, owed) = owed.into_iter().partition(|owed| owed.number <= number);
                self.write_queue.owed = owed;
                let paid: VecDeque<Owed> = paid;
                paid.into_iter().for_each(|owed| self.pay(owed.due, None));
                if !self.write_queue.library.is_settled() {
                    self.settle();
                }
            }
            Err(error) => {
                self.note_trouble(&error);
                self.disappoint(None, &error.to_string(), hint(&error));
            }
        }
    }

    /// Background work could write, or could not; it goes on being tried then.
    pub(super) fn note_written(&mut self, result: Result<(), &LibraryError>) {
        match result {
            Err(error) => self.note_trouble(error),
            Ok(()) if self.write_queue.library.is_settled() => self.note_well(),
            Ok(()) => {}
        }
    }

    fn note_trouble(&mut self, error: &LibraryError) {
        let now = Instant::now();
        let (why, hint) = (error.to_string(), hint(error));
        let last = self.write_queue.trouble.take();
        let wait = last.as_ref().map_or(FIRST_RETRY, |last| (last.wait * 2).min(LAST_RETRY));
        // A failure in between does not put the next try off.
        let retry_at = last.as_ref().map(|last| last.retry_at).filter(|at| *at > now);
        let (retry_at, wait) = match (retry_at, &last) {
            (Some(at), Some(last)) => (at, last.wait),
            _ => (now + wait, wait),
        };
        if last.is_none() {
            let text = format!(
                "the library cannot be written: {why}; what changes from now on is forgotten at a restart unless it can be written before"
            );
            let what = What::Failed { id: None, code: "library", hint: hint.to_owned() };
            self.tell(Level::Error, Target::Disk, text, what);
        }
        let dropped = error.is_behind() || last.is_some_and(|last| last.dropped);
        self.write_queue.trouble = Some(Trouble { why, hint, wait, retry_at, dropped });
        self.changed();
    }

    fn note_well(&mut self) {
        let Some(trouble) = self.write_queue.trouble.take() else { return };
        self.changed();
        if trouble.dropped {
            let text = "the library can be written again; what was done after more waited than is kept is not remembered";
            let what = What::Failed {
                id: None,
                code: "forgotten",
                hint: "share it again, or unshare it again, before the next start".to_owned(),
            };
            self.tell(Level::Warn, Target::Disk, text.to_owned(), what);
        } else {
            let text = "the library can be written again; all is remembered";
            self.log(Level::Info, Target::Disk, text);
        }
        for Unclosed { id, dir, name } in std::mem::take(&mut self.write_queue.unclosed) {
            let content = self.contents.get(&id).map(|content| &content.role);
            if matches!(content, Some(Role::Download(_))) {
                // Its journal is that of a new download.
                continue;
            }
            self.background.on_path(dir, move |dir| {
                let result = when_free(|| discard(&dir, &disk_name(&name, &id), &id));
                Done::new(move |session| session.on_journal_closed(result))
            });
        }
    }

    /// The journal of a finished download is deleted, or could not be.
    pub(super) fn on_journal_closed(&self, result: Result<(), DiskError>) {
        if let Err(error) = result {
            self.log(Level::Warn, Target::Disk, error.to_string());
        }
    }

    /// A finished download could not be remembered: its journal stays until it is.
    pub(super) fn leave_journal(&mut self, unclosed: Unclosed) {
        if self.write_queue.unclosed.len() < MAX_UNCLOSED {
            self.write_queue.unclosed.push(unclosed);
        }
    }

    /// Answers when everything noted so far is on disk, or once it turns out that it cannot be.
    pub(super) fn answer_when_kept(
        &mut self,
        number: u64,
        answer: Answer,
        reply: oneshot::Sender<Answer>,
    ) {
        self.owe(number, Due::Answer(answer, reply));
    }

    /// Goes on when everything noted so far is on disk, or once it turns out that it cannot be: with the reason then.
    pub(super) fn when_kept(
        &mut self,
        number: u64,
        then: impl FnOnce(&mut Self, Option<String>) + Send + 'static,
    ) {
        self.owe(number, Due::Then(Box::new(then)));
    }

    fn owe(&mut self, number: u64, due: Due) {
        let deadline = Instant::now() + PATIENCE;
        self.write_queue.owed.push_back(Owed { number, deadline, due });
        // Also while it fails: whoever waits wants to know how it is now.
        self.settle();
    }

    /// Does what is due; `unkept` says why it is not on disk.
    fn pay(&mut self, due: Due, unkept: Option<&str>) {
        match (due, unkept) {
            (Due::Answer(answer, reply), None) => {
                // A caller that no longer waits is fine.
                let _ = reply.send(answer);
            }
            (Due::Answer(answer, reply), Some(text)) => {
                let answer = answer.and_then(|_| Err(refuse(CommandErrorKind::Io, text)));
                let _ = reply.send(answer);
            }
            (Due::Then(then), unkept) => then(self, unkept.map(str::to_owned)),
        }
    }

    /// Tries again what could not be written, and lets nobody wait too long.
    pub(super) fn check_write_queue(&mut self, now: Instant) {
        let due = |trouble: &Trouble| trouble.retry_at <= now;
        if self.write_queue.trouble.as_ref().is_some_and(due) {
            self.settle();
        }
        if self.write_queue.owed.front().is_some_and(|owed| owed.deadline <= now) {
            let why = format!("{} does not answer", self.config.state_dir.display());
            self.disappoint(Some(now), &why, "see to its disk; it is written by itself then");
        }
    }

    /// Tells those who wait (until `late`, or all of them) that what they wanted is done and not on disk.
    fn disappoint(&mut self, late: Option<Instant>, why: &str, hint: &str) {
        let is_late = |owed: &Owed| late.is_none_or(|now| owed.deadline <= now);
        while self.write_queue.owed.front().is_some_and(is_late) {
            let Some(Owed { due, .. }) = self.write_queue.owed.pop_front() else { return };
            self.pay(due, Some(&unkept_words(why, hint)));
        }
    }

    /// The last write of this run: whoever waits is answered, and what is lost is said.
    pub(super) fn last_settled(&mut self, result: Result<u64, LibraryError>) {
        if let Err(error) = &result {
            let (waiting, hint) = (self.write_queue.library.waiting(), hint(error));
            let text = format!("{waiting} records are not remembered: {error}");
            let what = What::Failed { id: None, code: "library", hint: hint.to_owned() };
            self.tell(Level::Error, Target::Disk, text, what);
        }
        self.on_settled(result);
    }

    /// What is not on disk, for those who look.
    pub(super) fn unkept(&self) -> Option<Unkept> {
        let trouble = self.write_queue.trouble.as_ref()?;
        let waiting = saturate::<u32>(self.write_queue.library.waiting());
        let (why, hint) = (trouble.why.clone(), trouble.hint.to_owned());
        Some(Unkept { why, hint, waiting })
    }
}
