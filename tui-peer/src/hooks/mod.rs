//! Programs of the user's that run when a download is done or something failed.
//!
//! Beside the front ends: it listens to the engine's events and holds nothing up. At most `MAX_RUNNING` run
//! at once and `MAX_WAITING` wait; each has a time limit. Settings are read again before a hook is run, so
//! that a changed file counts at once.
//!
//! - `facts`: what a hook is told of an event, in its environment.
//! - `process`: one run, from start to its end or its time limit.

mod facts;
mod process;

use std::collections::VecDeque;
use std::time::Duration;

use common::names::show;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use self::facts::{Call, call, program};
use self::process::{Outcome, run};
use engine::api::event::{Event, Level, Target, What};
use engine::api::handle::{EngineHandle, Events};
use settings::Hooks as Settings;

/// Hooks that run at once: enough for short ones to keep up, too few to be a load.
const MAX_RUNNING: usize = 4;
/// Hooks that wait for their turn. More are passed over: something fails over and over.
const MAX_WAITING: usize = 64;
/// How long the end of a one-shot command waits for its hooks: a notification or a move takes moments, and whoever
/// waits for the command should not wait for a long copy.
pub const PATIENCE_OF_GET: Duration = Duration::from_secs(30);
/// The same of a peer that was told to end: long enough to begin what is due.
pub const PATIENCE_OF_PEER: Duration = Duration::from_millis(500);

/// Reads the settings as they are now; what is wrong with them otherwise. Blocks.
pub type Read = Box<dyn FnMut() -> Result<Settings, String> + Send>;

/// The hooks of a running engine.
pub struct Hooks {
    finish: oneshot::Sender<()>,
    task: JoinHandle<Vec<String>>,
}

impl Hooks {
    /// Listens from now on, and to what has happened since the engine began.
    pub fn start(engine: &EngineHandle, now: Settings, read: Read) -> Self {
        let (finish, finishing) = oneshot::channel();
        let mut runner = Runner {
            events: engine.record(),
            engine: engine.clone(),
            settings: now,
            read: Some(read),
            running: JoinSet::new(),
            waiting: VecDeque::new(),
            full: false,
            missed: 0,
            warned: None,
            ending: false,
            last: Vec::new(),
        };
        let task = tokio::spawn(async move {
            runner.work(finishing).await;
            runner.last
        });
        Self { finish, task }
    }

    /// To be called when the engine has stopped: what has happened until then is still dealt with, for `patience`
    /// at most. What runs then goes on by itself; what waits is passed over. Returns what went wrong meanwhile, in
    /// words: nobody reads the engine's events any more.
    pub async fn finish(self, patience: Duration) -> Vec<String> {
        drop(self.finish);
        let mut task = self.task;
        match timeout(patience, &mut task).await {
            // Only a panic ends it without an answer.
            Ok(said) => said.unwrap_or_default(),
            Err(_) => {
                task.abort();
                vec![
                    "hooks that still run go on by themselves; those that waited are dropped"
                        .to_owned(),
                ]
            }
        }
    }
}

struct Runner {
    engine: EngineHandle,
    events: Events,
    settings: Settings,
    /// Away while it reads.
    read: Option<Read>,
    running: JoinSet<Outcome>,
    waiting: VecDeque<Call>,
    /// Some were passed over, and that was said.
    full: bool,
    /// Events that went by too fast, and that was not said yet.
    missed: u64,
    /// Why hooks are not run, as it was said last.
    warned: Option<String>,
    /// The engine has stopped.
    ending: bool,
    /// What went wrong since then.
    last: Vec<String>,
}

impl Runner {
    async fn work(&mut self, mut finishing: oneshot::Receiver<()>) {
        self.warn();
        loop {
            tokio::select! {
                biased;
                _ = &mut finishing => break,
                event = self.events.recv() => match event {
                    Ok(event) => self.on_event(&event).await,
                    Err(RecvError::Lagged(n)) => self.missed += n,
                    Err(RecvError::Closed) => break,
                },
                Some(ended) = self.running.join_next() => self.on_end(ended.ok()).await,
            }
        }
        self.ending = true;
        loop {
            match self.events.try_recv() {
                Ok(event) => self.on_event(&event).await,
                Err(TryRecvError::Lagged(n)) => self.missed += n,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        while let Some(ended) = self.running.join_next().await {
            self.on_end(ended.ok()).await;
        }
    }

    async fn on_event(&mut self, event: &Event) {
        self.tell_missed();
        if !matches!(event.what, What::Done { .. } | What::Failed { .. }) {
            return;
        }
        self.look().await;
        let Some(call) = call(event, &self.settings, &self.engine.snapshot()) else { return };
        if self.running.len() < MAX_RUNNING {
            self.begin(call);
        } else if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(call);
        } else if !std::mem::replace(&mut self.full, true) {
            let text = format!(
                "{MAX_RUNNING} hooks run and {MAX_WAITING} wait: more are passed over until there is room again"
            );
            self.say(Level::Warn, text);
        }
    }

    /// Reads the settings again. What is wrong with them leaves the old ones in force.
    async fn look(&mut self) {
        let Some(mut read) = self.read.take() else { return };
        let reading = tokio::task::spawn_blocking(move || (read(), read));
        // Only a panic of the reader ends it otherwise: then it stays away, and the settings as they are.
        let Ok((settings, read)) = reading.await else { return };
        self.read = Some(read);
        match settings {
            Ok(settings) => {
                self.settings = settings;
                self.warn();
            }
            Err(why) => {
                let text = format!("settings for hooks stay as they were: {}", show(&why));
                self.say(Level::Warn, text);
            }
        }
    }

    /// Says why hooks of the file are not run, once.
    fn warn(&mut self) {
        if self.warned == self.settings.refused {
            return;
        }
        self.warned = self.settings.refused.clone();
        if let Some(why) = &self.warned {
            let text = format!("on_done and on_error of the file are not run: {why}");
            self.say(Level::Error, text);
        }
    }

    fn begin(&mut self, call: Call) {
        self.running.spawn(run(call, self.settings.limit));
    }

    async fn on_end(&mut self, outcome: Option<Outcome>) {
        if let Some(outcome) = outcome {
            self.say(outcome.level, outcome.text);
        }
        while let Some(next) = self.waiting.pop_front() {
            self.look().await;
            // As it is now; the settings may name none any more.
            if let Some(argv) = program(next.hook, &self.settings) {
                self.begin(Call { argv, ..next });
                break;
            }
        }
        self.full &= self.waiting.len() >= MAX_WAITING;
    }

    /// Says what went by. That is an event too: said before the others are received it would push out one more, and
    /// so on for ever.
    fn tell_missed(&mut self) {
        if self.missed == 0 || !self.events.is_caught_up() {
            return;
        }
        let missed = std::mem::take(&mut self.missed);
        let has_hooks = self.settings.done.is_some() || self.settings.error.is_some();
        if has_hooks {
            self.say(Level::Warn, format!("{missed} events went by too fast for their hooks"));
        }
    }

    fn say(&mut self, level: Level, text: String) {
        if !self.ending {
            return self.engine.say(level, Target::Fetch, text);
        }
        // Events are not read to their end any more; traces reach the log at once.
        if level <= Level::Warn {
            tracing::warn!("{text}");
            self.last.push(text);
        } else {
            tracing::info!("{text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use engine::api::handle::{EVENT_QUEUE, HandleParts, channel};
    use engine::api::snapshot::{Me, Snapshot};

    fn settings(done: Option<&str>) -> Settings {
        let done = done.map(|program| vec![program.to_owned()]);
        Settings { done, error: None, limit: Duration::from_secs(1), refused: None }
    }

    /// What is said of more events than can be heard.
    async fn warnings(done: Option<&'static str>) -> Vec<String> {
        let (engine, HandleParts { events, .. }) = channel(Snapshot::first(Me::example()));
        let read = move || Ok(settings(done));
        let hooks = Hooks::start(&engine, settings(done), Box::new(read));
        let (level, target) = (Level::Info, Target::Net);
        for _ in 0..2 * EVENT_QUEUE {
            let (at, text) = (SystemTime::now(), String::new());
            events.send(Event { at, level, target, text, what: What::Said });
        }
        let mut heard = engine.live_events();
        let mut warnings = Vec::new();
        // The hooks get their turn each time; what they say is one more event for them.
        for _ in 0..3 * EVENT_QUEUE {
            tokio::task::yield_now().await;
            while let Ok(event) = heard.try_recv() {
                warnings.extend((event.level == Level::Warn).then_some(event.text));
            }
        }
        hooks.finish(Duration::from_secs(10)).await;
        warnings
    }

    #[tokio::test]
    async fn h3_more_events_than_hooks_can_hear_are_said_once_and_only_where_there_are_hooks() {
        let said = warnings(Some("true")).await;
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said.iter().all(|text| text.ends_with("too fast for their hooks")), "{said:?}");
        assert!(warnings(None).await.is_empty());
    }
}
