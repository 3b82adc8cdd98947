//! Joining, leaving and hosting a network; what the tracker says.

mod heard;
mod mapping;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use common::id::{ContentId, PeerId};
use common::identity::Identity;
use common::join::JoinString;
use common::revoked::Revoked;
use common::tracker_hosts::TrackerHosts;
use common::wire::Code;
use common::wire::tracker::FileMeta;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::clock::Gap;
use super::commands::Answer;
use super::content::Role;
use super::done::Done;
use super::extras::Extras;
use super::remembered::known_hosts;
use super::revoked::here_ms;
use super::unreached::{Calls, Failures};
use super::whereabouts::Whereabouts;
use super::{Session, refuse};
use crate::announcer::{
    self, Announcer, AnnouncerConfig, Looked, OwnAddresses, SourceInfo, TrackerEvent,
};
use crate::api::command::{CommandError, CommandErrorKind, Reply};
use crate::api::event::{Level, Target};
use crate::api::snapshot::{Catalogue, NetState, TrackerAt, display_name};
use crate::host::{self, HostRequest, HostedTracker};
use mapping::Mapping;

/// Networks of which is kept that they let us in: more than anybody changes between in one run.
const MAX_REACHED: usize = 32;

/// Peers that are met at the tracker at a time: as many as are dialled.
const MAX_MEETINGS: usize = 32;

/// Why what we share is not registered where we may only read.
const READ_ONLY: &str =
    "you may read here, not share; ask the network's owner for an invitation to share";

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
    /// Whether others can reach us there, if the tracker has looked.
    pub(super) looked: Option<Looked>,
    /// That place is none of ours.
    pub(super) behind_router: bool,
    /// The connection to the tracker comes from the port we listen on.
    pub(super) punches: Option<bool>,
    /// What the router of this network lets in.
    pub(super) mapping: Mapping,
    pub(super) refused: Option<Refused>,
    /// The tracker's address as connected.
    pub(super) tracker_addr: Option<SocketAddr>,
    /// At which of several trackers we are.
    pub(super) at: Option<TrackerAt>,
    /// Whom it lets in no more, by its signed list.
    pub(super) revoked: Option<Revoked>,
    /// What its clock said last, in milliseconds since 1970.
    pub(super) told_ms: u64,
    /// We may register nothing there but what others have registered.
    pub(super) read_only: bool,
    /// Where it says now that it is.
    pub(super) hosts: Option<TrackerHosts>,
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
    /// Extra connections to peers that are far away.
    pub(super) extras: Extras,
    /// Those that are called while they call us, as long as nothing direct has come of it or of anything else.
    pub(super) calls: Calls,
    /// Places for meeting peers at the tracker.
    pub(super) meetings: Arc<Semaphore>,
    /// Names peers gave themselves, as the tracker passed them on.
    nicks: HashMap<PeerId, String>,
    identity: Arc<Identity>,
    /// Where we listen.
    listen: SocketAddr,
    /// Whether connections can come from there too.
    shared_port: bool,
}

/// Shares that the tracker does not take.
pub(super) struct Refused {
    pub(super) ids: HashSet<ContentId>,
    /// What it said last.
    pub(super) why: String,
}

impl Net {
    /// The join string of the network as others are to have it: it leads to where the tracker is now.
    pub(super) fn join_for_others(&self) -> Option<JoinString> {
        let join = self.join.as_ref()?;
        Some(self.hosts.as_ref().map_or_else(|| join.clone(), |list| list.lead(join)))
    }

    pub(super) fn new(
        identity: Identity,
        (listen, shared_port): (SocketAddr, bool),
        whereabouts: Whereabouts,
    ) -> Self {
        Self {
            announcer: None,
            events: None,
            replaced: false,
            join: None,
            met: Met::Never,
            reached: Vec::new(),
            trouble: None,
            seen_as: None,
            looked: None,
            behind_router: false,
            punches: None,
            mapping: Mapping::new(Instant::now(), listen, &identity),
            refused: None,
            tracker_addr: None,
            at: None,
            revoked: None,
            told_ms: here_ms(),
            read_only: false,
            hosts: None,
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
            extras: Extras::default(),
            calls: Calls::default(),
            meetings: Arc::new(Semaphore::new(MAX_MEETINGS)),
            nicks: HashMap::new(),
            identity: Arc::new(identity),
            listen,
            shared_port,
        }
    }

    pub(super) fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Whether others can reach us, and where they try to.
    pub(super) fn reachable_at(&self) -> Option<(bool, SocketAddr)> {
        let looked = self.looked?;
        let port = looked.port.unwrap_or(self.listen.port());
        Some((looked.reachable, SocketAddr::new(self.seen_as?, port)))
    }

    /// The name that a peer gave itself; empty if it is not known.
    pub(super) fn nick(&self, peer: &PeerId) -> String {
        self.nicks.get(peer).cloned().unwrap_or_default()
    }

    /// A peer as people know it: its own name, or the start of its key.
    pub(super) fn display_name(&self, peer: &PeerId) -> String {
        display_name(peer, self.nicks.get(peer).map_or("", |nick| nick))
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
            hosts: known_hosts(&self.config.state_dir, &join),
            join: join.clone(),
            nick: self.config.nick.clone(),
            listen: self.net.listen,
            shared_port: self.net.shared_port,
            local: self.announced_addrs(),
            agent: self.ours.agent.to_string(),
            names_inside: self.config.names_inside.allows(join.secret().is_some()),
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
        self.recall_revoked(&join);
        self.net.join = Some(join);
        self.net.trouble = None;
        (self.net.at, self.net.hosts) = (None, None);
        self.net.read_only = false;
        (self.net.seen_as, self.net.looked, self.net.punches) = (None, None, None);
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

    /// Addresses of ours beside the one where the tracker sees us. In a network of one link those inside this machine
    /// count too: whoever has the link may come from anywhere.
    fn announced_addrs(&self) -> OwnAddresses {
        let (listen, inner) = (self.net.listen, self.config.host_secret.is_some());
        let own = OwnAddresses::new(move || host::own_addrs(listen, inner));
        own.with_outside(self.net.mapping.told())
    }

    /// Whether we share this of our own, and may not share in this network: it is not registered.
    fn is_withheld(&self, id: &ContentId) -> bool {
        let role = self.contents.get(id).map(|content| &content.role);
        self.net.read_only && matches!(role, Some(Role::Share(share)) if !share.downloaded)
    }

    /// Tells the tracker (again) about a content of ours.
    pub(super) fn announce(&mut self, id: &ContentId) {
        if self.is_withheld(id) {
            return self.withhold(vec![*id]);
        }
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

    fn withhold(&mut self, ids: Vec<ContentId>) {
        let Some(announcer) = &self.net.announcer else { return };
        ids.iter().for_each(|id| announcer.remove_share(*id));
        if !ids.is_empty() {
            self.on_refused_shares(ids, READ_ONLY.to_owned());
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
        self.log(Level::Info, Target::Track, "staying out of the network, as configured");
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
        self.log(Level::Info, Target::Track, "left the network; downloads rest, progress is kept");
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
        let request = HostRequest {
            state_dir: self.config.state_dir.join("tracker"),
            peer_listen: self.net.listen,
            secret: self.config.host_secret.clone(),
            discoverable: self.config.discoverable,
            name: self.config.nick.clone(),
        };
        if self.net.announcer.is_none() {
            self.net.state = NetState::Connecting;
            self.changed();
        }
        self.background.task(async move {
            let result = host::start(request).await;
            Some(Done::new(move |session| session.on_hosted(result, reply)))
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
                self.log(Level::Info, Target::Track, text);
                self.join(join.clone());
                Ok(Reply::Hosting(join))
            }
            Err(why) => {
                if self.net.announcer.is_none() {
                    self.net.state = match self.net.join {
                        Some(_) => NetState::Left,
                        None => NetState::NoNetwork,
                    };
                }
                Err(refuse(CommandErrorKind::Io, why))
            }
        };
        // Whoever asked finds it in the next snapshot it looks at.
        self.publish();
        let _ = reply.send(answer);
    }
}
