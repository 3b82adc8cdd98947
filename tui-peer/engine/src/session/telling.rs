//! News of many shares at once: they go out as fast as those who listen take them, and nobody holds up the
//! others for long.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use common::id::ContentId;

use super::Session;
use super::hashing::Finished;
use crate::api::event::{Level, Target, What};
use crate::api::handle::EVENT_QUEUE;

/// News go out while fewer events than this wait for the slowest who listens: the rest of the queue is for
/// what cannot wait.
const ROOM: usize = EVENT_QUEUE / 2;
/// News told at once, before others have their turn; each is two events at most.
const AT_ONCE: usize = 256;
/// Somebody who takes nothing for so long is not waited for: what is lost to him then is counted.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often news go out then, [`AT_ONCE`] each time: 5,000 a second, which everybody else can follow.
const STEP: Duration = Duration::from_millis(50);
/// How often it is looked for room meanwhile.
const LOOK: Duration = Duration::from_millis(5);

/// What is to be told.
#[derive(Default)]
pub(super) struct Telling {
    /// What became of something that was hashed.
    hashed: VecDeque<Finished>,
    /// What the tracker has taken. A content is among them once for each time that it was taken.
    registered: VecDeque<ContentId>,
    pace: Pace,
}

impl Telling {
    /// When there may be something to tell.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let waits = !self.hashed.is_empty() || !self.registered.is_empty();
        waits.then(|| if self.pace.stuck.is_some() { now + LOOK } else { now })
    }

    /// Another network: what the last one took is no news any more.
    pub(super) fn forget_registered(&mut self) {
        self.registered.clear();
    }
}

/// Whether somebody who listens is behind.
#[derive(Debug, Default)]
struct Pace {
    /// Since when, and when news went out all the same.
    stuck: Option<(Instant, Instant)>,
}

impl Pace {
    /// Whether [`AT_ONCE`] news may be told, `waiting` being the events that the slowest has not taken.
    fn may_tell(&mut self, waiting: usize, now: Instant) -> bool {
        if waiting < ROOM {
            self.stuck = None;
            return true;
        }
        let (since, told) = self.stuck.get_or_insert((now, now));
        let late = now.saturating_duration_since(*since) >= PATIENCE
            && now.saturating_duration_since(*told) >= STEP;
        if late {
            *told = now;
        }
        late
    }
}

impl Session {
    /// Something was hashed, or could not be; what follows from it is done when it can be told.
    pub(super) fn hashed(&mut self, finished: Finished) {
        self.sharing.telling.hashed.push_back(finished);
    }

    /// The tracker has these: others can find them.
    pub(super) fn on_registered(&mut self, ids: Vec<ContentId>) {
        for id in ids {
            self.not_refused(&id);
            let Some(content) = self.contents.get_mut(&id) else { continue };
            if !std::mem::replace(&mut content.registered, true) {
                self.sharing.telling.registered.push_back(id);
            }
        }
    }

    /// Tells what waits for that, as far as there is room.
    pub(super) fn tell_news(&mut self, now: Instant) {
        if self.sharing.telling.due(now).is_none()
            || !self.sharing.telling.pace.may_tell(self.publisher.waiting(), now)
        {
            return;
        }
        for _ in 0..AT_ONCE {
            // Whoever waits for a share waits for both, in this order.
            if let Some(finished) = self.sharing.telling.hashed.pop_front() {
                self.on_hashed(finished);
            } else if let Some(id) = self.sharing.telling.registered.pop_front() {
                self.tell_shared(&id);
            } else {
                return;
            }
        }
    }

    fn tell_shared(&self, id: &ContentId) {
        let Some(content) = self.contents.get(id).filter(|content| content.registered) else {
            return;
        };
        let Some(meta) = content.meta() else { return };
        let plural = if meta.chunks == 1 { "" } else { "s" };
        let text = format!("shared: {}, {} chunk{plural}", content.shown, meta.chunks);
        let what = What::Shared { id: *id, name: meta.name, size: meta.total, chunks: meta.chunks };
        self.tell(Level::Info, Target::Share, text, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h3_news_wait_for_whoever_is_behind_but_not_for_ever() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert!(pace.may_tell(0, start) && pace.may_tell(ROOM - 1, start));
        assert!(!pace.may_tell(ROOM, start), "there is no room");
        assert!(!pace.may_tell(EVENT_QUEUE, start + PATIENCE / 2));
        assert!(pace.may_tell(0, start + PATIENCE / 2), "it has caught up");
        let again = start + PATIENCE;
        assert!(!pace.may_tell(ROOM, again) && !pace.may_tell(ROOM, again + PATIENCE / 2));
        assert!(pace.may_tell(ROOM, again + PATIENCE), "it takes nothing");
        assert!(!pace.may_tell(ROOM, again + PATIENCE), "not all at once");
        assert!(pace.may_tell(EVENT_QUEUE, again + PATIENCE + STEP));
        let mut telling = Telling::default();
        assert_eq!(telling.due(start), None);
        telling.registered.push_back(ContentId::from_bytes([1; 32]));
        assert_eq!(telling.due(start), Some(start));
        telling.pace.may_tell(ROOM, start);
        assert_eq!(telling.due(start), Some(start + LOOK));
    }
}
