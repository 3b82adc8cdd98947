//! Events for front ends. What happens while nobody listens is kept (a bounded number, the newest) and
//! handed to the next who does: so the log of a screen begins with the start of the engine.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use common::lock::Unpoisoned as _;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::event::Event;

/// Events kept for a slow reader before the oldest are dropped.
pub const EVENT_QUEUE: usize = 4096;
/// Events kept while nobody listens: a start with many shares says one line for each.
const KEPT: usize = 1024;

/// The engine's end.
#[derive(Debug, Clone)]
pub struct EventSender {
    live: broadcast::Sender<Event>,
    kept: Arc<Mutex<Kept>>,
}

/// What the next front end gets.
#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Event>,
    /// A front end has listened: what comes while one does is not kept any more.
    claimed: bool,
}

/// A front end's end.
#[derive(Debug)]
pub struct Events {
    earlier: VecDeque<Event>,
    live: broadcast::Receiver<Event>,
}

impl EventSender {
    pub(super) fn new() -> Self {
        let (live, _) = broadcast::channel(EVENT_QUEUE);
        Self { live, kept: Arc::default() }
    }

    /// Tells everybody who listens; keeps it for the next if nobody does.
    pub fn send(&self, event: Event) {
        // Held while sending, so that a listener that comes now gets it exactly once.
        let mut kept = self.kept();
        let heard = self.live.receiver_count() > 0;
        if !heard || !kept.claimed {
            if kept.events.len() >= KEPT {
                kept.events.pop_front();
            }
            kept.events.push_back(event.clone());
        }
        // The last one may have gone just now; then nobody misses it.
        let _ = self.live.send(event);
    }

    /// Events that the slowest of those who listen has not taken yet, of at most [`EVENT_QUEUE`].
    pub(crate) fn waiting(&self) -> usize {
        self.live.len()
    }

    pub(super) fn subscribe(&self) -> Events {
        let mut kept = self.kept();
        kept.claimed = true;
        Events { earlier: std::mem::take(&mut kept.events), live: self.live.subscribe() }
    }

    /// As [`Self::subscribe`] for somebody who only writes down: what was kept stays for a front end.
    pub(super) fn record(&self) -> Events {
        let kept = self.kept();
        Events { earlier: kept.events.clone(), live: self.live.subscribe() }
    }

    /// Events from now on only: for a listener beside the one that has the log.
    pub(super) fn subscribe_live(&self) -> Events {
        Events { earlier: VecDeque::new(), live: self.live.subscribe() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unpoisoned()
    }
}

impl Events {
    /// The next event. Can be dropped and asked again.
    ///
    /// # Errors
    /// [`RecvError::Lagged`] with the number of events lost for slowness, [`RecvError::Closed`] when
    /// the engine has stopped.
    pub async fn recv(&mut self) -> Result<Event, RecvError> {
        match self.earlier.pop_front() {
            Some(event) => Ok(event),
            None => self.live.recv().await,
        }
    }

    /// The next event, if there is one.
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<Event, TryRecvError> {
        match self.earlier.pop_front() {
            Some(event) => Ok(event),
            None => self.live.try_recv(),
        }
    }

    /// Whether everything told so far has been received.
    pub fn is_caught_up(&self) -> bool {
        self.earlier.is_empty() && self.live.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::api::event::{Level, Target, What};

    fn event(text: &str) -> Event {
        let (level, target) = (Level::Info, Target::Net);
        Event { at: SystemTime::now(), level, target, text: text.to_owned(), what: What::Said }
    }

    fn texts(events: &mut Events) -> Vec<String> {
        std::iter::from_fn(|| events.try_recv().ok()).map(|event| event.text).collect()
    }

    #[test]
    fn what_happens_before_anybody_listens_is_not_lost_and_comes_once() {
        let sender = EventSender::new();
        (0..KEPT + 2).for_each(|n| sender.send(event(&n.to_string())));
        let mut first = sender.subscribe();
        let mut second = sender.subscribe();
        sender.send(event("live"));
        let all = texts(&mut first);
        assert_eq!((all.len(), all[0].as_str()), (KEPT + 1, "2"), "the oldest go");
        assert_eq!(texts(&mut second), ["live"]);
        drop((first, second));
        sender.send(event("between"));
        assert_eq!(texts(&mut sender.subscribe()), ["between"], "for whoever comes next");
    }
}
