//! The queue: which downloads run, and what the user wishes for each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::id::ContentId;

use super::clock::unix_ms;
use super::content::{Content, Role};
use super::download::Phase;
use super::{Session, refuse};
use crate::api::command::{CommandError, CommandErrorKind, Priority, Reorder, Reply, Selection};
use crate::api::event::{Level, Target};
use crate::library::DownloadRecord;
use crate::limiter::Limiter;
use swarm::event::Input;
use swarm::policy::Policy;

/// A running download for which nobody has had anything for so long lets another run beside it. Longer
/// than finding and dialling sources takes.
const NO_SOURCE_PATIENCE: Duration = Duration::from_secs(30);

impl Session {
    /// Puts remembered downloads back into the queue.
    pub(super) fn restore_downloads(&mut self, records: Vec<DownloadRecord>) {
        for record in records {
            if record.finished.is_none() {
                self.insert(Content::download(record));
            }
        }
        self.start_queued();
    }

    /// Unfinished downloads, the next to run first.
    pub(super) fn line(&self) -> Vec<ContentId> {
        let mut line: Vec<_> = self
            .contents
            .downloads()
            .filter_map(|content| match &content.role {
                Role::Download(download) => {
                    let options = &download.record.options;
                    let priority = std::cmp::Reverse(options.priority);
                    Some((priority, options.rank, download.record.added_ms, content.id))
                }
                Role::Share(_) => None,
            })
            .collect();
        line.sort_unstable();
        line.into_iter().map(|(.., id)| id).collect()
    }

    /// A place behind everything in the queue.
    pub(super) fn last_rank(&self) -> i64 {
        let ranks = self.contents.downloads().filter_map(|content| match &content.role {
            Role::Download(download) => Some(download.record.options.rank),
            Role::Share(_) => None,
        });
        let now = i64::try_from(unix_ms()).unwrap_or(0);
        ranks.max().map_or(now, |last| now.max(last.saturating_add(1)))
    }

    /// Makes the first ones of the line run, as many as may, and the others wait. Those that cannot go
    /// on anyway (no source, no room) take no place from others.
    pub(super) fn start_queued(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        let mut places = self.config.max_active.max(1);
        let now = Instant::now();
        for id in self.line() {
            let Some(download) = self.contents.download_mut(&id) else {
                continue;
            };
            match download.phase {
                Phase::Paused | Phase::Failed(_) | Phase::Watching | Phase::Blocked { .. } => {}
                Phase::Queued if places > 0 => {
                    places -= 1;
                    self.begin(id);
                }
                Phase::Queued => {}
                Phase::Getting if places == 0 => self.park(id),
                _ => {
                    let since = download.stuck_since;
                    let hopeless = since.is_some_and(|since| now >= since + NO_SOURCE_PATIENCE);
                    if !hopeless {
                        places = places.saturating_sub(1);
                    }
                }
            }
        }
        self.watch_sources();
    }

    /// A running download waits again.
    fn park(&mut self, id: ContentId) {
        self.set_phase(&id, Phase::Queued);
        self.feed(Input::PausedChanged { id, paused: true });
    }

    /// Notes which running downloads nobody has anything for, or whose folder does not answer.
    pub(super) fn note_stuck(&mut self, now: Instant) {
        let mut changed = false;
        for content in self.contents.downloads_mut() {
            let id = content.id;
            let Some(download) = content.as_download() else { continue };
            let stuck = match download.phase {
                Phase::Getting | Phase::Resolving => self.core.node().is_stuck(&id),
                Phase::Opening => true,
                _ => false,
            };
            if stuck {
                let since = *download.stuck_since.get_or_insert(now);
                changed |= now >= since + NO_SOURCE_PATIENCE;
            } else {
                changed |= download.stuck_since.take().is_some();
            }
        }
        if changed {
            self.start_queued();
        }
    }

    pub(super) fn pause(&mut self, id: &ContentId) -> Result<Reply, CommandError> {
        let download = self.contents.download_of(id)?;
        if matches!(download.phase, Phase::Finishing) {
            let text = "all of it is here and just being put in place";
            return Err(refuse(CommandErrorKind::Invalid, text));
        }
        download.phase = Phase::Paused;
        download.record.paused = true;
        download.record.options.watch = false;
        let record = download.record.clone();
        self.remember(&record);
        self.feed(Input::PausedChanged { id: *id, paused: true });
        self.start_queued();
        Ok(Reply::Accepted)
    }

    pub(super) fn resume(&mut self, id: &ContentId) -> Result<Reply, CommandError> {
        let download = self.contents.download_of(id)?;
        download.trouble.told = false;
        if download.only_looks() {
            download.record.selection = Selection::All;
        }
        self.try_again(id);
        Ok(Reply::Accepted)
    }

    /// Goes on after a pause or an error, or without waiting for a source: when its turn comes.
    pub(super) fn try_again(&mut self, id: &ContentId) {
        let Ok(download) = self.contents.download_of(id) else { return };
        match download.phase {
            Phase::Paused | Phase::Failed(_) | Phase::Blocked { .. } | Phase::Watching => {}
            _ => return,
        }
        download.phase = Phase::Queued;
        // One that rests for want of room is tried every few seconds, and nothing else changes.
        let record = &mut download.record;
        let other = std::mem::take(&mut record.paused) | std::mem::take(&mut record.options.watch);
        if other {
            let record = record.clone();
            self.remember(&record);
        }
        self.start_queued();
    }

    pub(super) fn prioritize(
        &mut self,
        id: &ContentId,
        priority: Priority,
    ) -> Result<Reply, CommandError> {
        let download = self.contents.download_of(id)?;
        if download.record.options.priority != priority {
            download.record.options.priority = priority;
            self.options_changed(id);
        }
        Ok(Reply::Accepted)
    }

    pub(super) fn reorder(&mut self, id: &ContentId, to: Reorder) -> Result<Reply, CommandError> {
        let priority = self.contents.download_of(id)?.record.options.priority;
        let mut order = self.line();
        let alike = |session: &mut Self, other: &ContentId| {
            session.contents.download_of(other).is_ok_and(|d| d.record.options.priority == priority)
        };
        // Those of a priority stand together.
        let first = order.iter().position(|other| alike(self, other)).unwrap_or(0);
        let last = order.iter().rposition(|other| alike(self, other)).unwrap_or(0);
        let at = order.iter().position(|other| other == id).unwrap_or(first);
        let there = match to {
            Reorder::Up => at.checked_sub(1).filter(|there| *there >= first),
            Reorder::Down => Some(at + 1).filter(|there| *there <= last),
            Reorder::Top => Some(first),
            Reorder::Bottom => Some(last),
        };
        let Some(there) = there.filter(|there| *there < order.len()) else {
            let text = match to {
                Reorder::Up | Reorder::Top => "it is the first of its priority; raise the priority",
                Reorder::Down | Reorder::Bottom => {
                    "it is the last of its priority; lower the priority"
                }
            };
            return Err(refuse(CommandErrorKind::Invalid, text));
        };
        // Places are handed out anew: two that were added together may share one.
        let moved = order.remove(at);
        order.insert(there, moved);
        for (rank, id) in (0i64..).zip(&order) {
            if let Ok(download) = self.contents.download_of(id)
                && download.record.options.rank != rank
            {
                download.record.options.rank = rank;
                let record = download.record.clone();
                self.remember(&record);
            }
        }
        self.start_queued();
        self.changed();
        Ok(Reply::Accepted)
    }

    pub(super) fn sequential(&mut self, id: &ContentId, on: bool) -> Result<Reply, CommandError> {
        let download = self.contents.download_of(id)?;
        if download.record.options.sequential != on {
            download.record.options.sequential = on;
            self.options_changed(id);
        }
        Ok(Reply::Accepted)
    }

    pub(super) fn limit_one(
        &mut self,
        id: &ContentId,
        up: Option<u64>,
        down: Option<u64>,
    ) -> Result<Reply, CommandError> {
        if up == Some(0) || down == Some(0) {
            let text = "a limit of nothing would never end; pause it instead";
            return Err(refuse(CommandErrorKind::Invalid, text));
        }
        let content = self.contents.get_mut(id).ok_or_else(|| {
            refuse(CommandErrorKind::NotFound, "neither shared nor downloaded here")
        })?;
        match &mut content.role {
            Role::Download(download) => {
                (download.record.options.up, download.record.options.down) = (up, down);
                self.options_changed(id);
            }
            Role::Share(_) => self.keep_limit(id, up),
        }
        self.limit_up(id, up);
        Ok(Reply::Accepted)
    }

    /// The limit for uploads of one content; uploads under way notice.
    pub(super) fn limit_up(&mut self, id: &ContentId, up: Option<u64>) {
        let Some(content) = self.contents.get_mut(id) else { return };
        match (&content.limit, up) {
            (Some(limit), up) => limit.set(up),
            (None, Some(_)) => content.limit = Some(Arc::new(Limiter::new(up))),
            (None, None) => return,
        }
        self.feed(Input::UpLimited { id: *id, limited: up.is_some() });
        self.changed();
    }

    /// Remembers what the user wishes for a download now, and acts on it.
    fn options_changed(&mut self, id: &ContentId) {
        let Ok(download) = self.contents.download_of(id) else { return };
        let record = download.record.clone();
        self.remember(&record);
        self.tell_policy(id);
        self.start_queued();
        self.changed();
    }

    /// Tells the core what the user wishes for a content it knows.
    pub(super) fn tell_policy(&mut self, id: &ContentId) {
        let Ok(download) = self.contents.download_of(id) else { return };
        let options = download.record.options;
        let policy = Policy {
            weight: options.priority.weight(),
            sequential: options.sequential,
            down: options.down,
        };
        self.feed(Input::PolicyChanged { id: *id, policy });
        self.limit_up(id, options.up);
    }

    /// Limits for all transfers together.
    pub(super) fn limits(
        &mut self,
        up: Option<u64>,
        down: Option<u64>,
    ) -> Result<Reply, CommandError> {
        self.ours.up.set(up);
        self.ours.down.set(down);
        self.feed(Input::UpLimit(up));
        self.feed(Input::DownLimit(down));
        let show = |rate: Option<u64>| {
            rate.map_or_else(|| "no limit".to_owned(), |rate| format!("{} KiB/s", rate / 1024))
        };
        let text = format!("limits: up {}, down {}", show(up), show(down));
        self.log(Level::Info, Target::Net, text);
        Ok(Reply::Accepted)
    }
}
