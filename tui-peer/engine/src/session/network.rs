//! Joining, leaving and hosting a network; what the tracker says.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use common::id::{ContentId, PeerId};
use common::identity::Identity;
use common::join::JoinString;
use common::wire::Code;
use common::wire::tracker::FileMeta;
use tokio::sync::{mpsc, oneshot};

use super::clock::Gap;
use super::commands::Answer;
use super::content::{Content, Role};
use super::done::Done;
use super::download::Phase;
use super::unreached::Failures;
use super::whereabouts::Whereabouts;
use super::{Session, refuse};
use crate::announcer::{self, Announcer, AnnouncerConfig, SourceInfo, TrackerEvent};
use crate::api::command::{CommandError, CommandErrorKind, Reply};
use crate::api::event::{Level, Target, What};
use crate::api::snapshot::{Catalogue, NetState, who};
use crate::host::{self, HostedTracker};
use swarm::MAX_KNOWN;
use swarm::event::{Input, SourceHint};

/// Shares that the tracker did not take and that are told one by one: about as many as an event queue has
/// room for beside other things.
const MAX_TOLD: usize = 256;

/// Networks of which is kept that they let us in: more than anybody changes between in one run.
const MAX_REACHED: usize = 32;

/// Whether a network let us in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Met {
    /// Never: its address may be wrong.
    Never,
    /// Before we joined it this time, in this run or an earlier one.
    Earlier,
    /// Since we joined it.
    Now,
}

/// Our tracker and what it said.
pub(super) struct Net {
    pub(super) announcer: Option<Announcer>,
    pub(super) events: Option<mpsc::Receiver<TrackerEvent>>,
    /// `events` was exchanged while the session waited on the old one.
    pub(super) replaced: bool,
    pub(super) join: Option<JoinString>,
    /// Whether `join` led into the network.
    pub(super) met: Met,
    /// Networks that let us in during this run, the latest last; at most [`MAX_REACHED`].
    reached: Vec<JoinString>,
    /// Why a network that was joined before is not known any more.
    pub(super) trouble: Option<String>,
    /// Where the tracker sees us.
    pub(super) seen_as: Option<IpAddr>,
    pub(super) refused: Option<Refused>,
    /// The tracker's address as connected.
    pub(super) tracker_addr: Option<SocketAddr>,
    pub(super) state: NetState,
    pub(super) latency_ms: Option<u32>,
    pub(super) catalogue: Arc<Catalogue>,
    /// What is known of contents that were listed or located, by the tracker's word, bound to the id. `None` of
    /// those that we share: there may be many thousands, and they know it themselves.
    metas: HashMap<ContentId, Option<Box<FileMeta>>>,
    /// Sources of watched contents, as the tracker names them.
    pub(super) sources: HashMap<ContentId, HashMap<PeerId, SourceInfo>>,
    /// Our own tracker, and the way to it for others.
    pub(super) hosted: Option<(HostedTracker, JoinString)>,
    /// The front end has to ask the user before the network is joined.
    pub(super) asking: bool,
    /// How far the tracker's clock is from ours.
    pub(super) gap: Gap,
    /// Where sources were in an earlier run.
    pub(super) whereabouts: Whereabouts,
    /// Why sources could not be reached.
    pub(super) failures: Failures,
    /// Names peers gave themselves, as the tracker passed them on.
    nicks: HashMap<PeerId, String>,
    identity: Arc<Identity>,
    /// Where we listen.
    listen: SocketAddr,
}

/// Shares that the tracker does not take.
pub(super) struct Refused {
    pub(super) ids: HashSet<ContentId>,
    /// What it said last.
    pub(super) why: String,
}

impl Net {
    pub(super) fn new(identity: Identity, listen: SocketAddr, whereabouts: Whereabouts) -> Self {
        Self {
            announcer: None,
            events: None,
            replaced: false,
            join: None,
            met: Met::Never,
            reached: Vec::new(),
            trouble: None,
            seen_as: None,
            refused: None,
            tracker_addr: None,
            state: NetState::NoNetwork,
            latency_ms: None,
            catalogue: Arc::new(Catalogue::default()),
            metas: HashMap::new(),
            sources: HashMap::new(),
            hosted: None,
            asking: false,
            gap: Gap::default(),
            whereabouts,
            failures: Failures::default(),
            nicks: HashMap::new(),
            identity: Arc::new(identity),
            listen,
        }
    }

    pub(super) fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// The name that a peer gave itself; empty if it is not known.
    pub(super) fn nick(&self, peer: &PeerId) -> String {
        self.nicks.get(peer).cloned().unwrap_or_default()
    }

    /// A peer as people know it: its own name, or the start of its key.
    pub(super) fn who(&self, peer: &PeerId) -> String {
        who(peer, self.nicks.get(peer).map_or("", |nick| nick))
    }

    /// What the tracker said about a content.
    pub(super) fn row(&self, id: &ContentId) -> Option<&FileMeta> {
        self.metas.get(id)?.as_deref()
    }

    /// We share this, and know it from our own disk.
    pub(super) fn know(&mut self, id: &ContentId) {
        if let Some(meta) = self.metas.get_mut(id) {
            *meta = None;
        }
    }

    /// We do not have this any more; what the tracker says of it is known.
    pub(super) fn unknow(&mut self, own: FileMeta) {
        if let Some(meta @ None) = self.metas.get_mut(&own.descriptor.id()) {
            *meta = Some(own.into());
        }
    }

    /// The tracker of this network let us in.
    fn note_reached(&mut self, join: JoinString) {
        self.met = Met::Now;
        self.reached.retain(|known| *known != join);
        if self.reached.len() >= MAX_REACHED {
            self.reached.remove(0);
        }
        self.reached.push(join);
    }
}

impl Session {
    /// Joins a network, leaving the present one.
    pub(super) fn join(&mut self, join: JoinString) {
        self.disconnect_all(Code::ShuttingDown, "joining another network");
        self.net.asking = false;
        self.ours.gate.close();
        if let Some(old) = self.net.announcer.take() {
            tokio::spawn(async move { old.leave().await });
        }
        let config = AnnouncerConfig {
            identity: self.net.identity.clone(),
            join: join.clone(),
            nick: self.config.nick.clone(),
            port: self.net.listen.port(),
            local: self.announced_addrs(),
            agent: self.ours.agent.to_string(),
        };
        let (announcer, events) = announcer::start(config);
        self.net.announcer = Some(announcer);
        self.net.events = Some(events);
        self.net.replaced = true;
        self.net.state = NetState::Connecting;
        self.net.catalogue = Arc::new(Catalogue::default());
        self.net.sources.clear();
        self.net.metas.clear();
        let reached = self.net.reached.contains(&join) || self.remembers(&join);
        self.net.met = if reached { Met::Earlier } else { Met::Never };
        self.net.join = Some(join);
        self.net.trouble = None;
        self.net.seen_as = None;
        self.net.refused = None;
        self.sharing.telling.forget_registered();
        let ids: Vec<ContentId> = self.contents.order().to_vec();
        for id in &ids {
            if let Some(content) = self.contents.get_mut(id) {
                content.registered = false;
            }
            self.announce(id);
        }
        self.watch_sources();
        self.changed();
    }

    /// Addresses of ours beside the one where the tracker sees us. In a network of one link all of them
    /// count: whoever has the link may come from anywhere.
    fn announced_addrs(&self) -> Vec<SocketAddr> {
        match self.config.host_secret {
            Some(_) => host::all_addrs(self.net.listen),
            None => host::local_addrs(self.net.listen),
        }
    }

    /// Tells the tracker (again) about a content of ours.
    pub(super) fn announce(&mut self, id: &ContentId) {
        let Some(announcer) = &self.net.announcer else { return };
        let Some(content) = self.contents.get(id) else { return };
        match &content.role {
            Role::Share(share) if share.state.is_good() => match (&share.part, content.meta()) {
                (None, Some(meta)) => {
                    announcer.set_share(meta);
                    // It is known by us, and had from us in part.
                    if let Some(rest) = self.core.node().offered_rest(id) {
                        announcer.set_partial(*id, rest);
                    }
                }
                (Some(part), _) => announcer.set_partial(*id, part.clone()),
                _ => {}
            },
            Role::Share(_) => {}
            Role::Download(_) => {
                if let Some(have) = self.core.node().have(id) {
                    announcer.set_partial(*id, have.clone());
                }
                announcer.locate(*id);
            }
        }
    }

    /// Watches the sources of everything that is being downloaded or looked at.
    pub(super) fn watch_sources(&mut self) {
        let Some(announcer) = &self.net.announcer else { return };
        let downloads = self.contents.downloads().map(|content| content.id);
        let ids: HashSet<ContentId> = downloads.chain(self.publisher.focus()).collect();
        self.net.sources.retain(|id, _| ids.contains(id));
        announcer.watch(ids);
    }

    /// Knows the network and stays out of it, until told to rejoin; asks for that if `asking`.
    pub(super) fn stay_off(&mut self, join: JoinString, asking: bool) {
        self.net.join = Some(join);
        self.net.state = NetState::Left;
        self.net.asking = asking;
        self.say(Level::Info, Target::Track, "staying out of the network, as configured");
    }

    pub(super) fn leave(&mut self) -> Result<Reply, CommandError> {
        let Some(announcer) = self.net.announcer.take() else {
            return Err(refuse(CommandErrorKind::Invalid, "not in a network"));
        };
        tokio::spawn(async move { announcer.leave().await });
        self.net.events = None;
        self.net.replaced = true;
        self.net.state = NetState::Left;
        self.net.latency_ms = None;
        self.ours.gate.close();
        self.disconnect_all(Code::ShuttingDown, "left the network");
        self.say(Level::Info, Target::Track, "left the network; downloads rest, progress is kept");
        self.changed();
        Ok(Reply::Accepted)
    }

    pub(super) fn rejoin(&mut self) -> Result<Reply, CommandError> {
        match (self.net.announcer.is_some(), self.net.join.clone()) {
            (true, _) => Ok(Reply::Accepted),
            (false, Some(join)) => {
                self.join(join);
                Ok(Reply::Accepted)
            }
            (false, None) => Err(refuse(
                CommandErrorKind::Invalid,
                "no network is known yet; join one with its join string, or host one",
            )),
        }
    }

    pub(super) fn disconnect_all(&mut self, code: Code, text: &str) {
        for conn in self.conns.values_mut() {
            conn.close(code, text.to_owned());
        }
    }

    /// Starts a tracker in this process, then joins it.
    pub(super) fn host(&mut self, reply: oneshot::Sender<Answer>) {
        if let Some((_, join)) = &self.net.hosted {
            let join = join.clone();
            let there = self.net.announcer.is_some() && self.net.join.as_ref() == Some(&join);
            if !there {
                // Another network was joined since, or this one left.
                self.join(join.clone());
            }
            let _ = reply.send(Ok(Reply::Hosting(join)));
            return;
        }
        let (state_dir, listen) = (self.config.state_dir.join("tracker"), self.net.listen);
        let (tx, secret) = (self.background.done(), self.config.host_secret.clone());
        tokio::spawn(async move {
            let result = host::start(state_dir, listen, secret).await;
            // Nobody left to tell: the engine has stopped.
            let _ = tx.send(Done::new(move |session| session.on_hosted(result, reply))).await;
        });
    }

    /// A tracker runs in this process, with the join string for others; or why not.
    fn on_hosted(
        &mut self,
        result: Result<(HostedTracker, JoinString), String>,
        reply: oneshot::Sender<Answer>,
    ) {
        let answer = match result {
            Ok((tracker, join)) => {
                self.net.hosted = Some((tracker, join.clone()));
                let text = format!("tracker running here, at {}", join.address());
                self.say(Level::Info, Target::Track, text);
                self.join(join.clone());
                Ok(Reply::Hosting(join))
            }
            Err(why) => Err(refuse(CommandErrorKind::Io, why)),
        };
        // Whoever asked finds it in the next snapshot it looks at.
        self.publish();
        let _ = reply.send(answer);
    }

    pub(super) fn on_tracker(&mut self, event: TrackerEvent) {
        self.changed();
        match event {
            TrackerEvent::State(state) => self.on_net_state(state),
            TrackerEvent::Welcomed { membership, observed, tracker, time, .. } => {
                if let Some(join) = self.net.join.clone() {
                    let now = (Instant::now(), SystemTime::now());
                    self.ours.gate.welcome(join.tracker(), membership, time, now);
                    // Now it is known to be right. A renewed membership says nothing new.
                    if self.net.met != Met::Now {
                        if self.config.remember && !self.remembers(&join) {
                            self.remember_network(&join);
                        }
                        self.net.note_reached(join);
                    }
                }
                self.net.tracker_addr = Some(tracker);
                self.net.seen_as = Some(observed.ip().to_canonical());
                self.recall_all_sources();
            }
            TrackerEvent::Registered { ids } => self.on_registered(ids),
            TrackerEvent::RegisterFailed { ids, why } => self.on_refused_shares(ids, why),
            TrackerEvent::Catalogue { catalogue, metas, gone } => {
                self.on_catalogue(catalogue, metas, gone);
            }
            TrackerEvent::Sources { id, meta, sources, complete, partial, whole } => {
                if let Some(meta) = meta {
                    self.note_meta(meta.clone());
                    self.on_located(id, &meta);
                }
                self.on_sources(id, sources, whole);
                if self.contents.get(&id).is_some_and(|c| c.phase() == Some(&Phase::Watching)) {
                    self.check_watches();
                }
                if whole && let Some(content) = self.contents.get_mut(&id) {
                    content.note_others(
                        complete,
                        partial,
                        self.core.node().offered_rest(&id).is_none(),
                    );
                }
            }
            TrackerEvent::SourcesLeft { id, peers } => {
                if let Some(peer) = peers.last().filter(|_| self.publisher.focus() == Some(id)) {
                    self.lens_left(*peer);
                }
                if let Some(known) = self.net.sources.get_mut(&id) {
                    peers.iter().for_each(|peer| drop(known.remove(peer)));
                }
                self.feed(Input::SourcesLeft { id, peers });
            }
            TrackerEvent::Latency(ms) => self.net.latency_ms = Some(ms),
        }
    }

    /// Shares that the tracker does not take.
    fn on_refused_shares(&mut self, ids: Vec<ContentId>, why: String) {
        let text = format!("the tracker did not take {} shares: {why}", ids.len());
        let refused = self
            .net
            .refused
            .get_or_insert_with(|| Refused { ids: HashSet::new(), why: why.clone() });
        refused.ids.extend(ids.iter().copied());
        refused.why = why;
        let hint = "others cannot find them until that is fixed".to_owned();
        let what = What::Failed { id: ids.first().copied(), code: "register", hint };
        self.tell(Level::Error, Target::Track, text.clone(), what);
        // For whoever waits for one of the others.
        for id in ids.into_iter().skip(1).take(MAX_TOLD) {
            let what = What::Failed { id: Some(id), code: "register", hint: String::new() };
            self.tell(Level::Debug, Target::Track, text.clone(), what);
        }
    }

    fn on_catalogue(
        &mut self,
        catalogue: Arc<Catalogue>,
        metas: Vec<FileMeta>,
        gone: Vec<ContentId>,
    ) {
        let first = catalogue.whole && !self.net.catalogue.whole;
        self.net.catalogue = catalogue;
        // What is ours is remembered also when nobody offers it any more.
        for id in gone.iter().filter(|id| !self.contents.contains_key(id)) {
            self.net.metas.remove(id);
        }
        for id in &gone {
            if let Some(content) = self.contents.get_mut(id) {
                (content.other_complete, content.other_partial) = (0, 0);
            }
        }
        metas.into_iter().for_each(|meta| self.note_meta(meta));
        self.count_other_copies();
        self.check_watches();
        if first {
            // Somebody may wait for just that, to look up a name.
            self.publish();
        }
    }

    /// The tracker says what a content is.
    fn note_meta(&mut self, meta: FileMeta) {
        let id = meta.descriptor.id();
        let ours = self.contents.get(&id).is_some_and(Content::is_known_share);
        self.net.metas.insert(id, (!ours).then(|| meta.into()));
    }

    fn on_net_state(&mut self, state: NetState) {
        // One that refuses us is there: what we have runs out.
        self.ours.gate.set_in_touch(!matches!(state, NetState::Lost { .. }));
        let before = std::mem::discriminant(&self.net.state);
        if before != std::mem::discriminant(&state) {
            match &state {
                NetState::On => {
                    // All shares are offered anew.
                    self.net.refused = None;
                    self.say(Level::Info, Target::Track, "connected to the tracker");
                }
                NetState::Lost { why, .. } if self.net.met == Met::Never => {
                    let at = self.net.join.as_ref().map_or_else(String::new, JoinString::address);
                    let text = format!("tracker {at} never reached: check the address ({why})");
                    let hint = "check the address in the join string, and that the tracker runs; it is tried again by itself";
                    let what = What::Failed { id: None, code: "tracker", hint: hint.to_owned() };
                    self.tell(Level::Warn, Target::Track, text, what);
                }
                NetState::Lost { why, .. } => {
                    let text = format!("tracker lost: {why}; transfers go on with known peers");
                    let hint = "nothing to do; it is tried again by itself".to_owned();
                    let what = What::Failed { id: None, code: "tracker", hint };
                    self.tell(Level::Warn, Target::Track, text, what);
                }
                NetState::Rejected { why } => {
                    let hint = "ask the tracker's owner, or join another network".to_owned();
                    let what = What::Failed { id: None, code: "rejected", hint };
                    self.tell(Level::Error, Target::Track, why.clone(), what);
                }
                _ => {}
            }
        }
        self.net.state = state;
    }

    /// A share is taken, or is one no longer.
    pub(super) fn not_refused(&mut self, id: &ContentId) {
        if let Some(refused) = &mut self.net.refused {
            refused.ids.remove(id);
            if refused.ids.is_empty() {
                self.net.refused = None;
            }
        }
    }

    fn on_sources(&mut self, id: ContentId, sources: Vec<SourceInfo>, whole: bool) {
        let mut hints = Vec::with_capacity(sources.len());
        let watched = self.contents.get(&id).is_some_and(|c| c.phase().is_some())
            || self.publisher.focus() == Some(id);
        for source in sources {
            if source.peer == self.core.me() {
                continue;
            }
            self.net.nicks.insert(source.peer, source.nick.clone());
            hints.push(SourceHint {
                peer: source.peer,
                addrs: source.addrs.clone(),
                have: source.have,
                set: source.set.clone(),
            });
            if let Some(lens) = self.publisher.lens_of(&id) {
                lens.heard(source.peer);
            }
            if watched {
                let known = self.net.sources.entry(id).or_default();
                if known.len() < MAX_KNOWN || known.contains_key(&source.peer) {
                    known.insert(source.peer, source);
                }
            }
        }
        // Names are kept only for as long as they may be shown.
        if self.net.nicks.len() > MAX_NICKS {
            let conns: HashSet<PeerId> = self.conns.values().map(|conn| conn.peer).collect();
            self.net.nicks.retain(|peer, _| conns.contains(peer));
        }
        if self.contents.contains_key(&id) && (whole || !hints.is_empty()) {
            self.core.set_links(&self.ours.links.now());
            self.feed(Input::SourcesFound { id, sources: hints });
        }
    }

    /// How many others have all of what we have: who must not leave.
    fn count_other_copies(&mut self) {
        for row in &self.net.catalogue.rows {
            if let Some(content) = self.contents.get_mut(&row.id) {
                let partial = row.sources.saturating_sub(row.complete);
                content.note_others(
                    row.complete,
                    partial,
                    self.core.node().offered_rest(&row.id).is_none(),
                );
            }
        }
    }
}

/// Names of peers remembered for display.
const MAX_NICKS: usize = 10_000;
