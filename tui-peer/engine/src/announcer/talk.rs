//! One open connection: sends what [`super::desired`] wants, takes in what comes, notices silence.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::id::{ContentId, PeerId};
use common::limits::MAX_TRACKER_FRAME;
use common::names::show;
use common::numbers::saturate;
use common::tracker_hosts::TrackerHosts;
use common::wire::Code;
use common::wire::tracker::{Reply, Request, Welcome};
use tokio::time::timeout;

use super::also::{Showing, shown};
use super::asks::Knows;
use super::client::Client;
use super::connect::{Ended, Found, Link, Looking, check, looked};
use super::desired::{Failed, Helps};
use super::mirror::Changed;
use super::patience::Patience;
use super::requests::Pending;
use super::{Shared, SourceInfo, TrackerEvent, Welcomed};
use crate::api::snapshot::NetState;
use crate::tracker_clock::Reading;

/// Heartbeats that make sense, in seconds: a tracker that wants more is kept to these.
const HEARTBEATS: (u16, u16) = (1, 300);
/// Intervals of CHUNK_REGISTER that make sense, in milliseconds.
const INTERVALS: (u32, u32) = (50, 60_000);
/// Least time between two rounds of progress, also for what others wait for: a queue of small downloads
/// must not flood the tracker.
const PROGRESS_PAUSE: Duration = Duration::from_millis(250);
/// Messages with progress in one interval: those of a thousand downloads, or part of one huge set.
const PROGRESS_MESSAGES: usize = 8;

/// What one connection remembers.
pub(super) struct Talk {
    heartbeat: Duration,
    progress_every: Duration,
    progress_at: Instant,
    /// When progress may be told at the earliest.
    progress_from: Instant,
    catalogue_at: Instant,
    ping_at: Instant,
    /// The ping that waits for its answer, and when it was sent.
    pinged: Option<(u32, Instant)>,
    /// When something came last.
    heard: Instant,
    /// The session was told that the tracker cannot register at present.
    told_failing: bool,
    /// Time for the answer to a ping.
    pong: Duration,
    /// How long a question and its answer take, as measured last.
    round_trip: Duration,
    /// When our own addresses are looked at next.
    pub(super) look_at: Instant,
    /// When the connection is made anew, in the hope that it can come from the port we listen on then.
    pub(super) again_at: Option<Instant>,
    /// While the tracker is shown where we are in the other family.
    pub(super) showing: Option<Showing>,
    /// When a tracker before this one is looked for.
    pub(super) back_at: Option<Instant>,
    /// While it is.
    pub(super) looking: Option<Looking>,
}

impl Talk {
    fn new(link: &Link, now: Instant, patience: Patience) -> Self {
        let welcome = &link.welcome;
        Self {
            heartbeat: heartbeat(welcome),
            progress_every: interval(welcome.have_interval_ms),
            progress_at: now,
            progress_from: now,
            catalogue_at: now,
            ping_at: now,
            pinged: None,
            heard: now,
            told_failing: false,
            pong: patience.pong,
            round_trip: link.took,
            look_at: now + patience.look,
            again_at: None,
            showing: None,
            back_at: None,
            looking: None,
        }
    }

    /// When the unanswered ping means that nobody is there. Whoever still sends something is there.
    fn silent_at(&self) -> Option<Instant> {
        self.pinged.map(|(_, at)| at.max(self.heard) + self.pong)
    }
}

/// Serials of lists of hosts follow the tracker's clock: one so many seconds ahead of it is from a clock that was wrong.
const DAY: u64 = 24 * 3600;

impl Client {
    /// Talks over the open connection until it ends.
    pub(super) async fn talk(&mut self) -> Result<Infallible, Ended> {
        let patience = self.patience;
        let link = self.link()?;
        let (welcome, came) = (link.welcome.clone(), link.came);
        let mut talk = Talk::new(link, Instant::now(), patience);
        self.welcomed(&mut talk, welcome, came, true).await;
        self.show_also(&mut talk);
        self.plan_another(&mut talk);
        self.plan_look(&mut talk);
        let shared = self.shared.clone();
        loop {
            self.send_all(&mut talk).await?;
            if let Some(reply) = self.wait(&mut talk, &shared).await? {
                talk.heard = Instant::now();
                self.take(&mut talk, reply).await?;
            }
        }
    }

    /// A welcome: the first one of a connection, or a renewed one.
    async fn welcomed(&mut self, talk: &mut Talk, welcome: Welcome, came: Instant, first: bool) {
        let Some(link) = &mut self.link else { return };
        let new_epoch = self.epoch.replace(welcome.epoch) != Some(welcome.epoch);
        link.place.observed = welcome.observed;
        let (tracker, punches) = (link.place.tracker, link.punches);
        talk.heartbeat = heartbeat(&welcome);
        talk.progress_every = interval(welcome.have_interval_ms);
        let passes_on_dials = welcome.other_family.is_some();
        let helps = Helps { passes_on_dials, relays: welcome.relays };
        let Welcome {
            membership,
            observed,
            now_ms,
            share_ok,
            spread_ms,
            lists_members,
            looks_inside,
            hosts,
            read_only,
            ..
        } = welcome;
        self.shared.desired().asks.welcomed(Knows { lists_members, looks_inside });
        // Once a connection: it is written down.
        if let Some(signed) = hosts.filter(|_| first) {
            self.note_hosts(signed, (now_ms / 1000, tracker)).await;
        }
        let spread = Duration::from_millis(u64::from(spread_ms.unwrap_or(0)));
        self.backoff.welcomed(new_epoch, spread);
        // Half of the round trip was the way back.
        let at = came.checked_sub(talk.round_trip / 2).unwrap_or(came);
        let time = Reading { at, unix_ms: now_ms };
        let welcomed =
            Welcomed { membership, observed, tracker, new_epoch, time, punches, read_only };
        self.tell(TrackerEvent::Welcomed(welcomed)).await;
        if first {
            self.tell(TrackerEvent::At(self.order.place())).await;
            let took = saturate::<u32>(talk.round_trip.as_millis());
            self.tell(TrackerEvent::Latency(took)).await;
            self.tell(TrackerEvent::State(NetState::On)).await;
        }
        if new_epoch && !first {
            self.mirror.connected();
        }
        if first || new_epoch {
            let known = {
                let mut desired = self.shared.desired();
                let known = desired.connected(share_ok && first);
                desired.helps = helps;
                known
            };
            if !known.is_empty() {
                self.tell(TrackerEvent::Registered { ids: known }).await;
            }
        }
        // Again with each: who told the names of a folder that we have too may be gone.
        self.shared.desired().looks_inside(looks_inside);
    }

    /// Keeps the tracker's list of its hosts, if that is newer than the one we have, or that one is from a time that has
    /// not come yet. `now` is the tracker's.
    async fn note_hosts(&mut self, signed: Vec<u8>, (now, tracker): (u64, SocketAddr)) {
        let list = match TrackerHosts::verify(&signed, &self.config.join.tracker()) {
            Ok(list) => list,
            Err(error) => return tracing::debug!("the tracker sent {error}"),
        };
        let known = self.config.hosts.as_ref();
        let is_newer = known.is_none_or(|known| {
            let (known, told) = (known.serial(), list.serial());
            known < told || (known > told && known > now.saturating_add(DAY))
        });
        let says_the_same = known
            .is_some_and(|known| (known.listed(), known.hosts()) == (list.listed(), list.hosts()));
        if is_newer || says_the_same {
            self.order.relist(&self.config.join, &list, tracker);
        } else {
            tracing::warn!(
                "the tracker names its hosts as of an earlier time than before: an old state folder?"
            );
        }
        if is_newer {
            self.config.hosts = Some(list.clone());
        }
        if is_newer || says_the_same {
            self.tell(TrackerEvent::Hosts { list, newer: is_newer.then_some(signed) }).await;
        }
    }

    /// Everything that is to be sent, or told to the session, by now.
    async fn send_all(&mut self, talk: &mut Talk) -> Result<(), Ended> {
        let now = Instant::now();
        if now >= talk.look_at {
            self.look_around(talk, now).await?;
        }
        self.look_back(talk, now);
        if talk.again_at.is_some_and(|at| now >= at) && self.shared.desired().requests.is_empty() {
            return Err(Ended::Moved);
        }
        if self.shared.desired().is_overdue(now) {
            return Err(Ended::Timeout);
        }
        if now >= talk.ping_at && talk.pinged.is_none() {
            talk.ping_at = now + talk.heartbeat;
            let q = self.shared.desired().requests.ask(Pending::Ping, now);
            talk.pinged = Some((q, now));
            self.write(&Request::Ping { q }).await?;
        }
        loop {
            let next = self.shared.desired().next(now, || self.mirror.ask_page());
            let Some(request) = next else { break };
            self.write(&request).await?;
        }
        let wanted = self.shared.desired().inside.next_to_make();
        if let Some(id) = wanted {
            self.tell(TrackerEvent::InsideWanted { id }).await;
        }
        if self.shared.desired().take_begun() {
            // Peers that begin together would not find each other for a whole interval.
            talk.progress_at = talk.progress_at.min(talk.progress_from);
        }
        if now >= talk.progress_at && self.shared.desired().has_progress() {
            let mut sent = 0;
            while sent < PROGRESS_MESSAGES {
                let next = self.shared.desired().next_progress();
                let Some(request) = next else { break };
                self.write(&request).await?;
                sent += 1;
            }
            // All of it may have to wait for something else: looked at again a little later.
            let pause = if sent > 0 { talk.progress_every } else { PROGRESS_PAUSE };
            talk.progress_at = now + pause;
            talk.progress_from = now + PROGRESS_PAUSE;
        }
        let patience = self.patience.write;
        let link = self.link()?;
        timeout(patience, link.writer.flush()).await.map_err(|_| Ended::Timeout)??;
        if (now >= talk.catalogue_at || self.mirror.is_awaited())
            && let Some(Changed { catalogue, metas, gone }) = self.mirror.take()
        {
            talk.catalogue_at = now + self.mirror.pause();
            self.tell(TrackerEvent::Catalogue { catalogue, metas, gone }).await;
        }
        Ok(())
    }

    /// Until something comes, or there is something to do; nothing wakes us at rest but the heartbeat.
    async fn wait(&mut self, talk: &mut Talk, shared: &Shared) -> Result<Option<Reply>, Ended> {
        let mut due = talk.silent_at().unwrap_or(talk.ping_at).min(talk.look_at);
        {
            let desired = shared.desired();
            if desired.has_progress() {
                due = due.min(talk.progress_at);
            }
            due = desired.deadline().map_or(due, |at| due.min(at));
        }
        if self.mirror.is_dirty() {
            due = due.min(talk.catalogue_at);
        }
        due = talk.back_at.filter(|_| talk.looking.is_none()).map_or(due, |at| due.min(at));
        let not_shown = &mut self.not_shown;
        let Some(link) = &mut self.link else { return Err(Ended::Timeout) };
        tokio::select! {
            // What has come counts, even if it is only read now because the session was busy.
            biased;
            frame = link.reader.read(MAX_TRACKER_FRAME) => {
                let frame = frame?;
                Ok(Reply::decode(frame.kind, &frame.body)?)
            }
            seen = shown(&mut talk.showing) => {
                match seen {
                    Some(observed) => link.place.also = Some(observed.ip()),
                    None => *not_shown = Some(Instant::now()),
                }
                Ok(None)
            }
            found = looked(&mut talk.looking) => match found {
                Ok(Found::Earlier(earlier, link)) => Err(Ended::Back(earlier, link)),
                Ok(Found::Present(at)) => {
                    self.order.is_at(at);
                    self.plan_look(talk);
                    self.tell(TrackerEvent::At(self.order.place())).await;
                    Ok(None)
                }
                Err(why) => {
                    if self.order.looked_in_vain(why) {
                        self.tell(TrackerEvent::At(self.order.place())).await;
                    }
                    Ok(None)
                }
            },
            () = shared.changed.notified() => Ok(None),
            () = shared.hurry.notified() => {
                talk.progress_at = Instant::now();
                talk.ping_at = talk.progress_at;
                Ok(None)
            }
            () = tokio::time::sleep_until(due.into()) => {
                match talk.silent_at() {
                    Some(at) if Instant::now() >= at => Err(Ended::Timeout),
                    _ => Ok(None),
                }
            }
        }
    }

    async fn take(&mut self, talk: &mut Talk, reply: Reply) -> Result<(), Ended> {
        match reply {
            Reply::Done { q } => self.done(q).await,
            Reply::Pong { q } => self.ponged(talk, q).await,
            reply @ (Reply::Files { .. }
            | Reply::Members { .. }
            | Reply::NamesWanted { .. }
            | Reply::Found { .. }) => self.take_list(reply)?,
            Reply::CatalogueDelta { upserts, removes, resync, counts } => {
                upserts.into_iter().for_each(|row| self.mirror.upsert(row));
                removes.iter().for_each(|id| self.mirror.remove(id));
                counts.iter().for_each(|counts| self.mirror.count(counts));
                if resync {
                    self.mirror.resync();
                }
            }
            Reply::Locations { q, id, meta, sources, complete, partial } => {
                let (asked, chunks) = {
                    let mut desired = self.shared.desired();
                    let asked = desired.requests.answered(q, |p| *p == Pending::Locate(id));
                    (asked, desired.chunks(&id))
                };
                if asked.is_some() {
                    let meta = self.sources.described(id, meta);
                    let place = self.link()?.place;
                    let sources = self.sources.read(id, sources, chunks, &place);
                    let event =
                        TrackerEvent::Sources { id, meta, sources, complete, partial, whole: true };
                    self.tell(event).await;
                }
            }
            Reply::SourceDelta { id, joins, leaves } => {
                let (watched, chunks) = {
                    let desired = self.shared.desired();
                    (desired.is_watched(&id), desired.chunks(&id))
                };
                if watched {
                    let place = self.link()?.place;
                    let sources = self.sources.read(id, joins, chunks, &place);
                    self.sources_changed(id, sources, leaves).await;
                }
            }
            reply @ (Reply::Reach { .. }
            | Reply::Dial { .. }
            | Reply::Punch { .. }
            | Reply::Relay { .. }) => {
                // Half of a question and its answer.
                let under_way = talk.round_trip / 2;
                self.take_reach(reply, under_way).await?;
            }
            // Of another connection.
            Reply::Seen { .. } => {}
            Reply::Revoked { signed } => self.tell(TrackerEvent::Revoked(signed)).await,
            Reply::Pace { have_interval_ms } => talk.progress_every = interval(have_interval_ms),
            Reply::Resend { ids } => self.shared.desired().resend(&ids),
            Reply::Welcome(welcome) => {
                check(&welcome)?;
                self.welcomed(talk, welcome, Instant::now(), false).await;
            }
            Reply::Goaway { delay_ms } => return Err(Ended::Goaway(delay_ms)),
            Reply::Error { q: 0, code, text, retry_ms } => {
                return Err(Ended::Refused { code, text, retry_ms });
            }
            Reply::Error { q, code, text, retry_ms } => {
                self.refused(talk, q, code, &text, retry_ms).await;
            }
        }
        Ok(())
    }

    /// Takes in the answer to a question for a list.
    fn take_list(&mut self, reply: Reply) -> Result<(), Ended> {
        match reply {
            Reply::Files { q, rows, total, cursor } => {
                let is_files = |p: &Pending| matches!(p, Pending::List | Pending::MemberFiles);
                let mut desired = self.shared.desired();
                match desired.requests.answered(q, is_files) {
                    Some(Pending::MemberFiles) => desired.asks.files(q, &rows, (total, cursor)),
                    Some(_) => self.mirror.page(rows, cursor),
                    None => {}
                }
            }
            Reply::Members { q, members, total, cursor } => {
                let place = self.link()?.place;
                let mut desired = self.shared.desired();
                if desired.requests.answered(q, |p| *p == Pending::Members).is_some() {
                    desired.asks.members(q, members, (total, cursor), &place);
                }
            }
            Reply::NamesWanted { q, ids } => {
                let mut desired = self.shared.desired();
                let offered = desired.requests.answered(q, |p| matches!(p, Pending::OfferNames(_)));
                if let Some(Pending::OfferNames(offered)) = offered {
                    desired.inside.wanted(ids, &offered, Instant::now());
                }
            }
            Reply::Found { q, rows, more } => {
                let mut desired = self.shared.desired();
                if desired.requests.answered(q, |p| *p == Pending::Find).is_some() {
                    desired.asks.found(q, rows, more);
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn ponged(&mut self, talk: &mut Talk, q: u32) {
        let pong = self.shared.desired().requests.answered(q, |p| *p == Pending::Ping);
        if pong.is_some()
            && let Some((_, at)) = talk.pinged.take()
        {
            let took = at.elapsed();
            // Longer is not the way, but a session of ours that was busy.
            talk.round_trip = took.min(talk.pong);
            let ms = saturate::<u32>(took.as_millis());
            self.tell(TrackerEvent::Latency(ms)).await;
        }
    }

    async fn done(&mut self, q: u32) {
        let registered = {
            let mut desired = self.shared.desired();
            let is_done = |p: &Pending| {
                matches!(
                    p,
                    Pending::Register { .. }
                        | Pending::Unregister(_)
                        | Pending::Watch(_)
                        | Pending::GiveNames(_)
                )
            };
            match desired.requests.answered(q, is_done) {
                Some(Pending::Register { ids, begins }) => desired.registered(ids, begins),
                Some(Pending::GiveNames(_)) => return desired.inside.answered(Instant::now()),
                _ => return,
            }
        };
        if !registered.is_empty() {
            self.tell(TrackerEvent::Registered { ids: registered }).await;
        }
    }

    async fn sources_changed(
        &mut self,
        id: ContentId,
        sources: Vec<SourceInfo>,
        leaves: Vec<PeerId>,
    ) {
        if !leaves.is_empty() {
            self.tell(TrackerEvent::SourcesLeft { id, peers: leaves }).await;
        }
        if !sources.is_empty() {
            let (meta, complete, partial) = (None, 0, 0);
            let event =
                TrackerEvent::Sources { id, meta, sources, complete, partial, whole: false };
            self.tell(event).await;
        }
    }

    /// A request was refused.
    async fn refused(&mut self, talk: &mut Talk, q: u32, code: Code, text: &str, retry_ms: u32) {
        let failed = {
            let mut desired = self.shared.desired();
            let Some(pending) = desired.requests.answered(q, |_| true) else { return };
            if pending == Pending::Ping {
                talk.pinged = None;
            }
            let now = Instant::now();
            desired.asks.refused(q, code, text, retry_ms, now);
            desired.failed(pending, code, retry_ms, now)
        };
        let event = match failed {
            Failed::Register(ids) if !ids.is_empty() => {
                TrackerEvent::RegisterFailed { ids, why: show(text) }
            }
            Failed::RegisterForNow(ids) if !ids.is_empty() && !talk.told_failing => {
                talk.told_failing = true;
                TrackerEvent::RegisterFailed { ids, why: show(text) }
            }
            Failed::Locate(id) => TrackerEvent::Sources {
                id,
                meta: None,
                sources: Vec::new(),
                complete: 0,
                partial: 0,
                whole: true,
            },
            Failed::List { from_start } => return self.mirror.page_failed(from_start),
            Failed::Catalogue => return self.mirror.resync(),
            _ => return,
        };
        self.tell(event).await;
    }

    pub(super) async fn write(&mut self, request: &Request) -> Result<(), Ended> {
        let (body, patience) = (request.body(), self.patience.write);
        let write = self.link()?.writer.write(request.kind(), &body);
        Ok(timeout(patience, write).await.map_err(|_| Ended::Timeout)??)
    }

    pub(super) fn link(&mut self) -> Result<&mut Link, Ended> {
        self.link.as_mut().ok_or(Ended::Timeout)
    }
}

fn heartbeat(welcome: &Welcome) -> Duration {
    Duration::from_secs(u64::from(welcome.heartbeat_s.clamp(HEARTBEATS.0, HEARTBEATS.1)))
}

fn interval(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms.clamp(INTERVALS.0, INTERVALS.1)))
}
