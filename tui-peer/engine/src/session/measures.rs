//! What is measured for those who look: rates, times to go, and what everything waits for.

use std::collections::HashMap;
use std::time::Duration;

use common::id::{ContentId, PeerId};
use common::numbers::saturate;

use super::Session;
use super::content::Content;
use super::download::{Download, Phase};
use super::helpers::threads;
use crate::announcer::SourceInfo;
use crate::api::cause::{self, Cause, Facts, SourceFacts, Stage};
use crate::api::snapshot::{Departed, NetState};
use crate::disk::Spent;
use crate::meter::{Eta, Meter, PEER, TOTAL};
use swarm::event::{ConnId, Notice};
use swarm::time::Time;
use swarm::view::{ContentView, DialState, SourceView, SourceWord};

/// Shortest time over which shares of time mean something.
const GAUGE: Duration = Duration::from_millis(200);

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    Down,
    Up,
}

/// What a rate is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Of {
    All(Direction),
    Conn(ConnId, Direction),
    Content(ContentId, Direction),
    Link(ContentId, ConnId, Direction),
}

/// Everything that is measured.
#[derive(Default)]
pub(super) struct Meters {
    rates: HashMap<Of, (Meter, u64)>,
    etas: HashMap<ContentId, (Eta, u64)>,
    round: u64,
    pub(super) gauges: Gauges,
}

/// Shares of the time since the last look.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Gauges {
    at: Time,
    spent: Spent,
    limit: Duration,
    pool: Duration,
    /// Results, as in [`Facts`].
    writing: f32,
    hashing: f32,
    limited: f32,
    behind: f32,
}

impl Meters {
    /// Begins a round of readings; what is not read in it is forgotten at its end.
    pub(super) fn begin(&mut self) {
        self.round += 1;
    }

    /// The rate of a counter that stands at `total`.
    pub(super) fn rate(&mut self, of: Of, now: Time, total: u64) -> f64 {
        // Most of many thousands of shares never move: they need no meter.
        if total == 0 {
            return 0.0;
        }
        let half_life = match of {
            Of::All(_) | Of::Content(..) => TOTAL,
            Of::Conn(..) | Of::Link(..) => PEER,
        };
        let round = self.round;
        let fresh = || (Meter::new(half_life, now, total), round);
        let (meter, seen) = self.rates.entry(of).or_insert_with(fresh);
        *seen = round;
        meter.read(now, total);
        meter.get()
    }

    /// Time to go of a download whose counter stands at `total`.
    fn eta(&mut self, id: ContentId, now: Time, total: u64, left: u64) -> Option<u64> {
        let round = self.round;
        let (eta, seen) = self.etas.entry(id).or_insert_with(|| (Eta::new(now, total), round));
        *seen = round;
        eta.read(now, total, left);
        eta.get()
    }

    /// Ends a round; whether anything still moves.
    pub(super) fn end(&mut self) -> bool {
        let round = self.round;
        self.rates.retain(|_, (_, seen)| *seen == round);
        self.etas.retain(|_, (_, seen)| *seen == round);
        self.rates.values().any(|(meter, _)| meter.get() > 0.0)
    }
}

impl Gauges {
    fn read(&mut self, now: Time, spent: Spent, threads: usize, limit: Duration, pool: Duration) {
        let passed = now.since(self.at);
        if passed < GAUGE {
            return;
        }
        let share = |new: Duration, old: Duration, by: f32| {
            new.saturating_sub(old).as_secs_f32() / passed.as_secs_f32() / by
        };
        let threads = threads.max(1) as f32;
        self.writing = share(spent.writing, self.spent.writing, threads);
        self.hashing = share(spent.hashing, self.spent.hashing, threads);
        self.limited = share(limit, self.limit, 1.0);
        self.behind = share(pool, self.pool, 1.0);
        (self.at, self.spent, self.limit, self.pool) = (now, spent, limit, pool);
    }
}

impl Session {
    /// Reads what the disk, the buffers and our own limit were busy with.
    pub(super) fn read_gauges(&self, meters: &mut Meters, now: Time) {
        let (spent, threads) = (self.ours.disk.spent(), threads());
        let (limit, pool) = (self.ours.down.waited(), self.ours.pool.waited());
        meters.gauges.read(now, spent, threads, limit, pool);
    }

    /// The tracker's sources of a content that are not connected with it.
    pub(super) fn others<'a>(
        &'a self,
        id: &ContentId,
        view: Option<&ContentView<'_>>,
    ) -> Vec<&'a SourceInfo> {
        let connected = |peer: &PeerId| {
            view.is_some_and(|view| view.sources.iter().any(|source| source.peer == *peer))
        };
        let known = self.net.sources.get(id).into_iter().flat_map(HashMap::values);
        known.filter(|source| !connected(&source.peer)).collect()
    }

    /// Time to go and causes of a download.
    pub(super) fn outlook(
        &self,
        meters: &mut Meters,
        content: &Content,
        download: &Download,
        view: Option<&ContentView<'_>>,
        (rate, left): (f64, u64),
    ) -> (Option<u64>, Vec<Cause>) {
        let now = self.core.now();
        let stage = Self::stage(download);
        let moving = matches!(download.phase, Phase::Getting);
        let total = view.map_or(0, |view| view.downloaded);
        let eta = if moving { meters.eta(content.id, now, total, left) } else { None };
        let all = self.meters_all(meters);
        let gauges = meters.gauges;
        let mut facts = Facts {
            stage,
            missing: view.map_or(0, |view| view.wanted.count() - view.wanted_here),
            lost: view.map_or(0, |view| view.unavailable),
            hashless: view.is_some_and(ContentView::hashless),
            limit: self.ours.down.rate(),
            limited: gauges.limited,
            writing: gauges.writing,
            hashing: gauges.hashing,
            behind: gauges.behind,
            rate,
            others: (all - rate).max(0.0),
            ..Facts::default()
        };
        match &self.net.state {
            NetState::Lost { since, .. } => facts.tracker_lost = Some(since.elapsed()),
            NetState::NoNetwork | NetState::Left => facts.offline = true,
            _ => {}
        }
        for source in view.into_iter().flat_map(|view| &view.sources) {
            match source.word {
                SourceWord::Open | SourceWord::Slow => {
                    facts.sending += 1;
                    facts.full += u32::from(source.pipe.0 >= source.pipe.1);
                }
                SourceWord::Choked => facts.choked += 1,
                SourceWord::Snubbed => facts.snubbed += 1,
                SourceWord::NoData | SourceWord::Waiting | SourceWord::Fetching => {}
            }
        }
        for other in self.others(&content.id, view) {
            match self.core.node().dial_state(&other.peer, now) {
                DialState::Dialing => facts.dialing += 1,
                DialState::Waiting { .. } => facts.unreachable += 1,
                DialState::Free | DialState::Banned { .. } => {}
            }
        }
        (eta, cause::causes(&facts))
    }

    fn meters_all(&self, meters: &mut Meters) -> f64 {
        meters.rate(Of::All(Direction::Down), self.core.now(), self.counters.totals.down)
    }

    fn stage(download: &Download) -> Stage {
        match &download.phase {
            // The place is known when all are looked at: see `queue_place`.
            Phase::Queued => Stage::Queued(1),
            Phase::Watching => Stage::Watching,
            Phase::Resolving => Stage::Resolving,
            Phase::Opening => Stage::Checking,
            Phase::Getting => Stage::Getting,
            Phase::Finishing => Stage::Finishing,
            Phase::Paused => Stage::Paused,
            Phase::Blocked { full: true, .. } => Stage::DiskFull,
            Phase::Blocked { why, .. } | Phase::Failed(why) => Stage::Failed(why.clone()),
        }
    }

    /// Its number among the downloads that wait for others.
    pub(super) fn queue_place(&self, id: &ContentId) -> u32 {
        let queued = |other: &ContentId| {
            self.contents.get(other).is_some_and(|c| c.phase() == Some(&Phase::Queued))
        };
        let place = self.line().into_iter().filter(queued).position(|other| other == *id);
        saturate::<u32>(place.map_or(1, |at| at + 1))
    }

    /// Why a connected source sends little or nothing.
    pub(super) fn source_why(
        &self,
        source: &SourceView,
        rate: f64,
        best: (f64, Option<u32>),
        wanting: bool,
    ) -> String {
        cause::source(&SourceFacts {
            connected: true,
            choked: source.choked_by,
            snubbed: (source.word == SourceWord::Snubbed).then_some(source.quiet_s),
            useful: source.useful > 0,
            fetching: source.interesting,
            wanting,
            pipe: source.pipe,
            rtt: (source.rtt_ms, best.1),
            rate: (rate, best.0),
            slow: source.word == SourceWord::Slow,
            ..SourceFacts::default()
        })
    }

    /// Why a source that we are not connected to does not send.
    pub(super) fn other_why(&self, peer: &PeerId, wanting: bool) -> String {
        let mut facts = SourceFacts { wanting, ..SourceFacts::default() };
        match self.core.node().dial_state(peer, self.core.now()) {
            DialState::Free => {}
            DialState::Dialing => facts.dialing = true,
            DialState::Waiting { fails, left } => facts.failed = Some((fails, left.as_secs())),
            DialState::Banned { left } => facts.banned = Some(left.as_secs()),
        }
        cause::source(&facts)
    }

    /// What a notice says about the content somebody looks at.
    pub(super) fn lens_notice(&mut self, notice: &Notice) {
        let Some(chunk_map) = self.publisher.chunk_map_mut() else { return };
        match notice {
            Notice::BadChunk { id, chunk, .. } if *id == chunk_map.id => {
                chunk_map.was_bad(*chunk, std::time::Instant::now());
            }
            Notice::SourceLeft { id, peer, .. } if *id == chunk_map.id => {
                self.lens_left(*peer);
            }
            _ => {}
        }
    }

    /// A source of the content somebody looks at is gone.
    pub(super) fn lens_left(&mut self, peer: PeerId) {
        let Some(chunk_map) = self.publisher.chunk_map_mut() else { return };
        let known = self.net.sources.get(&chunk_map.id).and_then(|sources| sources.get(&peer));
        chunk_map.left = Some(Departed {
            peer,
            nick: self.net.nick(&peer),
            at: std::time::Instant::now(),
            have: known.map_or(0, |source| source.have),
        });
    }
}
