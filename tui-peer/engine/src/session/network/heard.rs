//! What the tracker says.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use common::id::{ContentId, PeerId};
use common::inside::pack_manifest;
use common::join::JoinString;
use common::wire::tracker::FileMeta;

use super::{Met, READ_ONLY, Refused};
use crate::announcer::{Looked, SourceInfo, TrackerEvent, Welcomed, is_ours};
use crate::api::cause;
use crate::api::event::{Level, Target, What};
use crate::api::snapshot::{Catalogue, NetState, TrackerAt};
use crate::session::Session;
use crate::session::content::Content;
use crate::session::done::Done;
use crate::session::download::Phase;
use swarm::MAX_KNOWN;
use swarm::event::{Input, SourceHint};

/// Shares that the tracker did not take and that are told one by one: about as many as an event queue has
/// room for beside other things.
const MAX_TOLD: usize = 256;
/// Names of peers remembered for display.
const MAX_NICKS: usize = 10_000;

impl Session {
    pub(in crate::session) fn on_tracker(&mut self, event: TrackerEvent) {
        self.changed();
        match event {
            TrackerEvent::State(state) => self.on_net_state(state),
            TrackerEvent::Welcomed(welcomed) => self.on_welcomed(welcomed),
            TrackerEvent::Revoked(signed) => self.on_revoked(&signed),
            TrackerEvent::At(at) => self.on_place(at),
            TrackerEvent::Hosts { list, newer } => self.on_hosts(list, newer.as_deref()),
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
            TrackerEvent::Reach(looked) => self.on_reach(looked),
            TrackerEvent::Meet { id, nick, meeting } => {
                if self.net.nicks.len() < MAX_NICKS {
                    self.net.nicks.insert(meeting.peer, nick);
                }
                self.on_meeting(id, meeting);
            }
            TrackerEvent::DialAsked { id, who } => {
                self.core.set_links(&self.ours.links.now());
                let SourceInfo { peer, addrs, .. } = who;
                self.feed(Input::DialAsked { id, peer, addrs });
            }
            TrackerEvent::PunchAsked { id, who, at } => {
                self.core.set_links(&self.ours.links.now());
                let SourceInfo { peer, addrs, .. } = who;
                let wait = at.saturating_duration_since(Instant::now());
                self.feed(Input::PunchAsked { id, peer, addrs, wait });
            }
            TrackerEvent::InsideWanted { id } => self.tell_inside(id),
            TrackerEvent::Latency(ms) => self.net.latency_ms = Some(ms),
        }
    }

    fn on_welcomed(&mut self, welcomed: Welcomed) {
        let Welcomed { membership, observed, tracker, time, punches, read_only, .. } = welcomed;
        self.net.punches = Some(punches);
        self.net.behind_router = !is_ours(observed.ip().to_canonical());
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
        let seen_as = Some(observed.ip().to_canonical());
        if std::mem::replace(&mut self.net.seen_as, seen_as) != seen_as {
            self.net.looked = None;
        }
        self.recall_all_sources();
        self.net.told_ms = time.unix_ms;
        self.end_revoked();
        self.note_right(read_only);
    }

    /// Whether we may share in this network. What we may not is withdrawn, and said.
    fn note_right(&mut self, read_only: bool) {
        if std::mem::replace(&mut self.net.read_only, read_only) == read_only {
            return;
        }
        let ids = self.contents.order().to_vec();
        let (withheld, others): (Vec<_>, Vec<_>) =
            ids.into_iter().partition(|id| self.is_withheld(id));
        self.withhold(withheld);
        others.iter().for_each(|id| self.announce(id));
    }

    /// The tracker wants to know what is inside a folder of ours.
    fn tell_inside(&self, id: ContentId) {
        let manifest = self.contents.get(&id).and_then(|content| content.manifest.clone());
        self.background.own(move || {
            // One that is too long is as good as none.
            let packed = manifest.and_then(|manifest| pack_manifest(manifest.bytes()).ok());
            Done::new(move |session| {
                if let Some(announcer) = &session.net.announcer {
                    announcer.tell_inside(id, packed);
                }
            })
        });
    }

    /// At which of several trackers we are. Told when it is another one.
    fn on_place(&mut self, at: Option<TrackerAt>) {
        if let Some(new) = at.as_ref().filter(|new| self.net.at.as_ref() != Some(new)) {
            self.log(Level::Info, Target::Track, new.words());
        }
        self.net.at = at;
    }

    /// Whether others can reach us. Told once for each place where the tracker sees us: everything works without it.
    fn on_reach(&mut self, looked: Looked) {
        if self.net.looked.replace(looked) == Some(looked) {
            return;
        }
        let reach = self.network_view().reach();
        if reach != cause::Reach::Unknown {
            self.log(Level::Info, Target::Net, reach.words());
        }
    }

    /// Shares that the tracker does not take.
    pub(super) fn on_refused_shares(&mut self, ids: Vec<ContentId>, why: String) {
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
        if state == NetState::On {
            self.net.mapping.look_again(Instant::now());
        }
        // One that refuses us is there: what we have runs out.
        self.ours.gate.set_in_touch(!matches!(state, NetState::Lost { .. }));
        let before = std::mem::discriminant(&self.net.state);
        if before != std::mem::discriminant(&state) {
            match &state {
                NetState::On => {
                    // All shares are offered anew, but those that we may not share.
                    self.forget_refused();
                    self.log(Level::Info, Target::Track, "connected to the tracker");
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

    fn forget_refused(&mut self) {
        let refused = self.net.refused.take().map(|refused| refused.ids).unwrap_or_default();
        let ids: HashSet<_> = refused.into_iter().filter(|id| self.is_withheld(id)).collect();
        if !ids.is_empty() {
            self.net.refused = Some(Refused { ids, why: READ_ONLY.to_owned() });
        }
    }

    /// A share is taken, or is one no longer.
    pub(in crate::session) fn not_refused(&mut self, id: &ContentId) {
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
            if let Some(chunk_map) = self.publisher.chunk_map_of(&id) {
                chunk_map.heard(source.peer);
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
