//! Keeps a connection to the tracker up: connect, talk, and when it ends say so, wait, start again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::limits::MAX_TRACKER_FRAME;
use common::wire::tracker::{Reply, Request};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::backoff::{Backoff, Why};
use super::connect::{Ended, Link, find, greet};
use super::mirror::Mirror;
use super::order::{How, Next, Order};
use super::own::are_same;
use super::patience::Patience;
use super::requests::Pending;
use super::sources::Sources;
use super::{AnnouncerConfig, Shared, TrackerEvent};
use crate::api::snapshot::NetState;

/// Time for LEAVE to be acknowledged; less than the session gives us in all.
const FAREWELL: Duration = Duration::from_millis(1500);
/// Time for the connection to be closed in good order after that.
const CLOSE: Duration = Duration::from_millis(200);

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Run,
    /// Take leave of the tracker, then end.
    Leave,
    /// End.
    Close,
}

pub(super) struct Client {
    pub(super) config: AnnouncerConfig,
    pub(super) shared: Arc<Shared>,
    stop: watch::Receiver<Phase>,
    events: mpsc::Sender<TrackerEvent>,
    pub(super) rng: fastrand::Rng,
    pub(super) patience: Patience,
    pub(super) backoff: Backoff,
    /// The trackers of the network, and at which one we are.
    pub(super) order: Order,
    /// Where it was tried last, for people.
    tried: String,
    /// The connection to a tracker that goes before the one we were at, and has let us in.
    back: Option<Box<Link>>,
    /// Where a tracker that the join string names was found last.
    pub(super) named_at: Vec<SocketAddr>,
    pub(super) mirror: Mirror,
    pub(super) sources: Sources,
    /// Of the last welcome.
    pub(super) epoch: Option<u64>,
    /// Since when we have no connection.
    lost: Option<Instant>,
    /// The last hello was not answered by a welcome. The next goes alone: who closes a connection without having
    /// read all of it may lose its own last words, and they say why we are not let in.
    alone: bool,
    /// The connection was, or will be, made anew in order to come from the port we listen on.
    pub(super) made_anew: bool,
    /// When the tracker could not be shown where we are in the other family.
    pub(super) not_shown: Option<Instant>,
    /// The open connection; kept here so that it survives when talking is interrupted.
    pub(super) link: Option<Link>,
}

impl Client {
    pub(super) fn new(
        config: AnnouncerConfig,
        shared: Arc<Shared>,
        stop: watch::Receiver<Phase>,
        events: mpsc::Sender<TrackerEvent>,
        (rng, patience): (fastrand::Rng, Patience),
    ) -> Self {
        Self {
            sources: Sources::new(config.identity.peer_id()),
            order: Order::new(&config.join, config.hosts.as_ref(), patience.trackers),
            tried: String::new(),
            back: None,
            named_at: Vec::new(),
            config,
            shared,
            stop,
            events,
            rng,
            patience,
            backoff: Backoff::default(),
            mirror: Mirror::default(),
            epoch: None,
            lost: None,
            alone: false,
            made_anew: false,
            not_shown: None,
            link: None,
        }
    }

    pub(super) async fn run(mut self) {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            // An error is a session that is gone.
            _ = stop.wait_for(|phase| *phase != Phase::Run) => {}
            () = self.keep_up() => {}
        }
        let phase = *stop.borrow();
        if let (Phase::Leave, Some(link)) = (phase, self.link.take()) {
            self.farewell(link).await;
        }
    }

    async fn keep_up(&mut self) {
        self.tell(TrackerEvent::State(NetState::Connecting)).await;
        loop {
            let (ended, how, lived) = self.once().await;
            self.shared.desired().asks.lost();
            self.link = None;
            let ended = match ended {
                Ended::Moved => {
                    self.tell(TrackerEvent::State(NetState::Connecting)).await;
                    continue;
                }
                // Nothing is lost: what was left for it is still there.
                Ended::Back(earlier, link) => {
                    self.order.went_back_to(earlier);
                    self.back = Some(link);
                    continue;
                }
                ended => ended,
            };
            let known = self.config.local.of_machine();
            let (why, rejected) = self.judged(&ended, how);
            let broken = why == Why::Broken;
            let next = self.order.ended(Instant::now(), how, self.backoff.spread(), &mut self.rng);
            let pause = match next {
                Next::Now => Duration::ZERO,
                Next::Pause(most) => {
                    let pause = self.backoff.wait(why, lived, &mut self.rng);
                    most.map_or(pause, |most| pause.min(most))
                }
            };
            let state = self.state_after(&ended, rejected, pause);
            self.tell(TrackerEvent::State(state)).await;
            tokio::select! {
                () = tokio::time::sleep((self.patience.pause)(pause)) => {}
                () = self.shared.hurry.notified() => self.backoff.reset(),
                // On another network it may be within reach.
                () = self.moved(&known), if broken => self.backoff.reset(),
            }
        }
    }

    /// Returns when the addresses of this machine are others than those.
    async fn moved(&self, known: &[SocketAddr]) {
        while are_same(&self.config.local.of_machine(), known) {
            tokio::time::sleep(self.patience.look).await;
        }
    }

    /// One connection, from the first attempt to its end; and how long it was up.
    async fn once(&mut self) -> (Ended, How, Duration) {
        let began = Instant::now();
        let link = match self.back.take() {
            Some(link) => self.gone_back(*link),
            None => match self.attempt(began).await {
                Ok(link) => link,
                Err(ended) => {
                    let how = ended.how(Some(began));
                    return (ended, how, Duration::ZERO);
                }
            },
        };
        if self.order.host().is_named() {
            self.named_at.clone_from(&link.addrs);
        }
        self.link = Some(link);
        (self.lost, self.alone) = (None, false);
        self.order.welcomed();
        let up = Instant::now();
        match self.talk().await {
            Ok(never) => match never {},
            Err(ended) => {
                let how = ended.how(None);
                (ended, how, up.elapsed())
            }
        }
    }

    async fn attempt(&mut self, began: Instant) -> Result<Link, Ended> {
        let (host, limit) = (self.order.host(), self.order.limit(began));
        self.tried = host.address();
        let Self { config, shared, mirror, alone, named_at, .. } = self;
        let opening = || {
            let mut desired = shared.desired();
            mirror.connected();
            let digest = desired.hello();
            let early = match std::mem::replace(alone, true) {
                true => Vec::new(),
                false => desired.early(Instant::now(), || mirror.ask_page()),
            };
            (digest, early)
        };
        let attempt = async {
            let reached = find(config, &host, named_at).await?;
            greet(config, &host, reached, opening).await
        };
        match limit {
            // Others would wait for it.
            Some(limit) => {
                timeout(limit, attempt).await.unwrap_or_else(|_| Err(Ended::Silent(host.address())))
            }
            None => attempt.await,
        }
    }

    /// Begins to talk over a connection that was opened beside another one.
    fn gone_back(&mut self, mut link: Link) -> Link {
        self.tried = self.order.host().address();
        self.mirror.connected();
        // Our shares may have changed since it was greeted.
        let digest = self.shared.desired().hello();
        link.welcome.share_ok &= link.digest == digest;
        link
    }

    /// How long to wait then, and whether we are rejected: what the first tracker says counts, or the only one. Whoever
    /// else is in the place of one is no more than out of reach.
    fn judged(&self, ended: &Ended, how: How) -> (Why, bool) {
        let decides = self.order.is_first() && how == How::Refused || self.order.is_alone();
        match ended.why() {
            Why::Refused if !decides => (Why::Broken, false),
            why => (why, ended.rejected("").is_some()),
        }
    }

    fn state_after(&mut self, ended: &Ended, is_rejected: bool, pause: Duration) -> NetState {
        let rejected = ended.rejected(&self.tried);
        if let (true, Some(why)) = (is_rejected, &rejected) {
            self.lost = None;
            return NetState::Rejected { why: why.clone() };
        }
        let now = Instant::now();
        let since = *self.lost.get_or_insert(now);
        let why = rejected.unwrap_or_else(|| ended.to_string());
        NetState::Lost { since, retry_at: now + pause, why }
    }

    /// Says goodbye and waits for the answer. Progress not told yet does not matter any more.
    async fn farewell(&mut self, mut link: Link) {
        let goodbye = async {
            let q = {
                let mut desired = self.shared.desired();
                desired.requests.ask(Pending::Leave, Instant::now())
            };
            let leave = Request::Leave { q };
            link.writer.write(leave.kind(), &leave.body()).await?;
            link.writer.flush().await?;
            loop {
                let frame = link.reader.read(MAX_TRACKER_FRAME).await?;
                match Reply::decode(frame.kind, &frame.body)? {
                    Some(Reply::Done { q: answered }) if answered == q => return Ok(()),
                    Some(Reply::Error { q: answered, .. }) if answered == q => return Ok(()),
                    _ => {}
                }
            }
        };
        // A tracker that does not answer is not waited for.
        let _: Result<Result<(), Ended>, _> = timeout(FAREWELL, goodbye).await;
        let _ = timeout(CLOSE, link.writer.shutdown()).await;
    }

    /// Tells the session. One that is gone shows in `stop`.
    pub(super) async fn tell(&self, event: TrackerEvent) {
        let _ = self.events.send(event).await;
    }
}
