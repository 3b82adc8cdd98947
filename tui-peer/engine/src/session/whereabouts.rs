//! Where the sources of unfinished downloads are, remembered over restarts. A tracker that has just started
//! knows nobody, and one that cannot be reached by others names nobody; most of them are where they were.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use common::id::{ContentId, PeerId};
use common::join::JoinString;
use common::net::AddrGroup;
use serde::{Deserialize, Serialize};

use super::Session;
use crate::api::event::{Level, Target};
use crate::conn::MAX_TRIES;
use swarm::event::{Input, SourceHint};

/// Setting of the library that holds it, as JSON.
const KEY: &str = "whereabouts";
/// Sources remembered of one download: more than enough to find the others through the tracker later.
const MAX_SOURCES: usize = 16;
/// Downloads whose sources are remembered, the next to run first: with addresses some 300 KiB.
const MAX_DOWNLOADS: usize = 256;
/// What changed is written down this often.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// What is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Noted {
    /// Key of the network's tracker.
    tracker: String,
    /// The address under which the tracker saw us: private addresses mean something else elsewhere.
    seen_as: Option<IpAddr>,
    /// By content, then by peer.
    sources: BTreeMap<String, BTreeMap<String, Vec<SocketAddr>>>,
}

/// What is known, and how it stands with the disk.
#[derive(Debug)]
pub(super) struct Whereabouts {
    noted: Noted,
    /// Of an earlier run, not used yet.
    unused: BTreeMap<String, BTreeMap<String, Vec<SocketAddr>>>,
    written: Instant,
}

impl Whereabouts {
    /// From the library's settings; a text that cannot be read counts as none.
    pub(super) fn load(settings: &BTreeMap<String, String>, now: Instant) -> Self {
        let text = settings.get(KEY);
        let noted: Noted =
            text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Self { unused: noted.sources.clone(), noted, written: now }
    }

    /// The sources of a content in an earlier run, once, if we are in the same place of the same network.
    fn take(&mut self, id: &ContentId, tracker: &PeerId, seen_as: IpAddr) -> Vec<SourceHint> {
        if self.noted.tracker != tracker.to_string()
            || self.noted.seen_as.map(AddrGroup::of) != Some(AddrGroup::of(seen_as))
        {
            return Vec::new();
        }
        let sources = self.unused.remove(&id.to_string()).unwrap_or_default();
        let hint = |(peer, addrs): (String, Vec<SocketAddr>)| {
            // What they have they say themselves.
            Some(SourceHint { peer: peer.parse().ok()?, addrs, have: 0, set: None })
        };
        sources.into_iter().filter_map(hint).take(MAX_SOURCES).collect()
    }
}

impl Session {
    /// Has sources of an earlier run dialled, if they may help and nobody did so yet.
    pub(super) fn recall_sources(&mut self, id: &ContentId) {
        let Some((tracker, seen_as)) = self.network_place() else { return };
        if self.ours.gate.get().is_none() || self.core.node().content(id, self.core.now()).is_none()
        {
            return;
        }
        let sources = self.net.whereabouts.take(id, &tracker, seen_as);
        if !sources.is_empty() {
            let text =
                format!("{}: trying {} sources known before", self.shown_name(id), sources.len());
            self.log(Level::Debug, Target::Fetch, text);
            self.core.set_links(&self.ours.links.now());
            self.feed(Input::SourcesFound { id: *id, sources });
        }
    }

    /// The same for all contents whose sources were not needed yet.
    pub(super) fn recall_all_sources(&mut self) {
        let ids: Vec<ContentId> =
            self.net.whereabouts.unused.keys().filter_map(|id| id.parse().ok()).collect();
        for id in ids {
            self.recall_sources(&id);
        }
    }

    /// Writes down where sources are, now and then.
    pub(super) fn note_sources(&mut self, now: Instant) {
        if now >= self.net.whereabouts.written + WRITE_EVERY {
            self.net.whereabouts.written = now;
            self.write_sources();
        }
    }

    /// Writes down where sources are, if that changed.
    pub(super) fn write_sources(&mut self) {
        let Some((tracker, seen_as)) = self.network_place() else { return };
        let (tracker, before) = (tracker.to_string(), &self.net.whereabouts.noted);
        let same = before.tracker == tracker
            && before.seen_as.map(AddrGroup::of) == Some(AddrGroup::of(seen_as));
        let mut sources = BTreeMap::new();
        for id in self.line().into_iter().take(MAX_DOWNLOADS) {
            let key = id.to_string();
            let mut known = self.sources_of(&id);
            if known.is_empty() && same {
                // Nobody is there now; they may come back.
                known = before.sources.get(&key).cloned().unwrap_or_default();
            }
            if !known.is_empty() {
                sources.insert(key, known);
            }
        }
        let noted = Noted { tracker, seen_as: Some(seen_as), sources };
        if noted == self.net.whereabouts.noted {
            return;
        }
        let text = serde_json::to_string(&noted);
        self.net.whereabouts.noted = noted;
        self.write_setting(KEY, text);
    }

    /// Key of our tracker, and where it sees us.
    fn network_place(&self) -> Option<(PeerId, IpAddr)> {
        Some((self.net.join.as_ref().map(JoinString::tracker)?, self.net.seen_as?))
    }

    /// Sources of a content that may be dialled: those we are connected to first.
    fn sources_of(&self, id: &ContentId) -> BTreeMap<String, Vec<SocketAddr>> {
        let Some(known) = self.net.sources.get(id) else { return BTreeMap::new() };
        let greeted = self.conns.values().filter(|conn| conn.greeted);
        let connected: std::collections::BTreeSet<PeerId> = greeted.map(|conn| conn.peer).collect();
        let mut known: Vec<_> = known.values().filter(|source| !source.addrs.is_empty()).collect();
        known.sort_by_key(|source| (!connected.contains(&source.peer), source.peer));
        let note = |source: &crate::announcer::SourceInfo| {
            (source.peer.to_string(), source.addrs.iter().take(MAX_TRIES).copied().collect())
        };
        known.into_iter().take(MAX_SOURCES).map(note).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f8_sources_are_used_once_and_only_in_the_place_where_they_were_known() {
        let (id, peer) = (ContentId::from_bytes([1; 32]), PeerId::from_bytes([2; 32]));
        let tracker = PeerId::from_bytes([3; 32]);
        let (here, there) = (IpAddr::from([10, 0, 0, 5]), IpAddr::from([192, 0, 2, 5]));
        let addrs = vec![SocketAddr::from(([10, 0, 0, 7], 7421))];
        let sources = BTreeMap::from([
            (peer.to_string(), addrs.clone()),
            ("no key".to_owned(), addrs.clone()),
        ]);
        let noted = Noted {
            tracker: tracker.to_string(),
            seen_as: Some(here),
            sources: BTreeMap::from([(id.to_string(), sources)]),
        };
        let text = serde_json::to_string(&noted).unwrap();
        let load = |text: &str| {
            let settings = BTreeMap::from([(KEY.to_owned(), text.to_owned())]);
            Whereabouts::load(&settings, Instant::now())
        };
        let mut known = load(&text);
        assert!(known.take(&id, &peer, here).is_empty(), "another network");
        assert!(known.take(&id, &tracker, there).is_empty(), "another place");
        let hints = known.take(&id, &tracker, here);
        assert_eq!((hints.len(), hints[0].peer, &hints[0].addrs), (1, peer, &addrs));
        assert!(known.take(&id, &tracker, here).is_empty(), "once");
        assert!(load("{nonsense").take(&id, &tracker, here).is_empty());
    }
}
