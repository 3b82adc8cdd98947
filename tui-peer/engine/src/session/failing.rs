//! Chunks that the disk cannot read: tried again a few times, and if that does not help withdrawn, those
//! chunks alone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::id::ContentId;

use super::Session;
use super::content::Role;
use super::done::Done;
use crate::api::event::{Level, Target, What};
use crate::disk::ReadError;
use swarm::event::Input;

/// When a chunk that could not be read is tried again, each after the try before: all within 30 s, for
/// a loose cable or a server that restarts. With the first, three tries.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(20)];
/// Chunks watched at once. With more the whole disk is failing, and each has its turn later: whoever
/// asks is told to come back.
const MAX_FAILING: usize = 1024;

/// What is known of a chunk that could not be read.
#[derive(Debug, PartialEq, Eq)]
struct Failed {
    /// How often it was tried again.
    again: usize,
    /// When to try next; `None` while it is being read.
    next: Option<Instant>,
}

/// All chunks that could not be read lately.
#[derive(Debug, Default)]
pub(super) struct Failing {
    chunks: BTreeMap<(ContentId, u32), Failed>,
}

impl Failing {
    /// A chunk could not be read for somebody; whether that is news.
    fn note(&mut self, id: ContentId, chunk: u32, now: Instant) -> bool {
        if self.chunks.len() >= MAX_FAILING || self.chunks.contains_key(&(id, chunk)) {
            return false;
        }
        let next = AGAIN_AFTER.first().map(|wait| now + *wait);
        self.chunks.insert((id, chunk), Failed { again: 0, next });
        true
    }

    /// Those to be tried again now; they count as being read.
    fn due(&mut self, now: Instant) -> Vec<(ContentId, u32)> {
        let due =
            self.chunks.iter_mut().filter(|(_, failed)| failed.next.is_some_and(|at| at <= now));
        due.map(|(key, failed)| {
            failed.next = None;
            *key
        })
        .collect()
    }

    /// It was tried again; whether it is to be given up. `read`: whether it could be read, `None` if that
    /// could not be found out.
    fn end(&mut self, id: ContentId, chunk: u32, read: Option<bool>, now: Instant) -> bool {
        let Some(failed) = self.chunks.get_mut(&(id, chunk)) else { return false };
        if read == Some(false) {
            failed.again += 1;
        }
        failed.next = AGAIN_AFTER.get(failed.again).map(|wait| now + *wait);
        let over = read == Some(true) || failed.next.is_none();
        if over {
            self.chunks.remove(&(id, chunk));
        }
        over && read == Some(false)
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.chunks.values().filter_map(|failed| failed.next).min()
    }
}

impl Session {
    /// A chunk could not be read for a peer. It is told to ask again later: the disk may recover.
    pub(super) fn on_read_error(&mut self, id: ContentId, chunk: u32) {
        if self.checks.failing.note(id, chunk, Instant::now()) {
            let text =
                format!("{}: chunk {chunk} cannot be read; trying again", self.shown_name(&id));
            self.log(Level::Warn, Target::Disk, text);
        }
    }

    /// Tries again what is due.
    pub(super) fn try_failing(&mut self, now: Instant) {
        for (id, chunk) in self.checks.failing.due(now) {
            let content = self.contents.get(&id);
            let known = content.and_then(|c| Some((c.source.clone()?, c.layout.clone()?)));
            let len =
                known.as_ref().and_then(|(_, layout)| Some(layout.len_of(layout.chunk(chunk)?)));
            let (Some((source, _)), Some(len)) = (known, len) else {
                // Not served any more.
                self.checks.failing.chunks.remove(&(id, chunk));
                continue;
            };
            let disk = self.ours.disk.clone();
            self.background.task(async move {
                let read = match disk.read_chunk(source, chunk, len, |_| {}).await {
                    Ok(()) => Some(true),
                    Err(ReadError::Io(_)) => Some(false),
                    // Short of descriptors; or changed, which is noticed by itself.
                    Err(_) => None,
                };
                let then = move |session: &mut Session| session.on_read_again(id, chunk, read);
                Some(Done::new(then))
            });
        }
    }

    /// A chunk that could not be read was tried again: whether it can be, if that is known.
    fn on_read_again(&mut self, id: ContentId, chunk: u32, read: Option<bool>) {
        if !self.checks.failing.end(id, chunk, read, Instant::now()) {
            return;
        }
        let Some(content) = self.contents.get(&id) else { return };
        if matches!(content.role, Role::Download(_)) {
            // Fetched again.
            return self.on_damaged(id, chunk);
        }
        let text = format!(
            "{}: chunk {chunk} cannot be read and is not offered any more; the rest is",
            content.shown
        );
        let hint = "check the disk, then restart to offer it again".to_owned();
        let what = What::Failed { id: Some(id), code: "unreadable", hint };
        self.tell(Level::Error, Target::Disk, text, what);
        self.feed(Input::ChunkDamaged { id, chunk });
        // Nobody takes us for somebody who has all of it.
        self.announce(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn f9_a_chunk_that_cannot_be_read_has_three_tries_within_thirty_seconds() {
        let (mut failing, begin) = (Failing::default(), Instant::now());
        let id = ContentId::from_bytes([1; 32]);
        assert!(failing.note(id, 7, begin) && !failing.note(id, 7, begin));
        let (mut tries, mut gave_up) = (1, None);
        for second in 0..60 {
            let now = begin + SECOND * second;
            for (id, chunk) in failing.due(now) {
                tries += 1;
                assert!(failing.due(now).is_empty(), "it is being read");
                if failing.end(id, chunk, Some(false), now) {
                    gave_up = Some(second);
                }
            }
        }
        assert_eq!((tries, gave_up), (3, Some(25)));
        assert!(failing.chunks.is_empty());
    }

    #[test]
    fn f9_a_chunk_that_can_be_read_again_is_forgotten_and_doubt_counts_for_nothing() {
        let (mut failing, mut now) = (Failing::default(), Instant::now());
        let id = ContentId::from_bytes([1; 32]);
        failing.note(id, 7, now);
        for _ in 0..100 {
            now += SECOND * 5;
            assert_eq!(failing.due(now), [(id, 7)]);
            assert!(!failing.end(id, 7, None, now));
        }
        now += SECOND * 5;
        failing.due(now);
        assert!(!failing.end(id, 7, Some(true), now));
        assert_eq!((failing.next_due(), failing.chunks.len()), (None, 0));
    }

    #[test]
    fn what_is_watched_is_bounded() {
        let (mut failing, now) = (Failing::default(), Instant::now());
        let id = ContentId::from_bytes([1; 32]);
        let news = (0..5000).filter(|chunk| failing.note(id, *chunk, now)).count();
        assert_eq!(news, MAX_FAILING);
    }
}
