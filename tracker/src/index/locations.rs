//! Who has a content: a bounded random subset, never work in proportion to the swarm.

use std::net::{IpAddr, SocketAddr};

use common::chunk_set::ChunkSet;
use common::id::ContentId;
use common::limits::{LOCATIONS_HAVE_BUDGET, MAX_ADDRS, MAX_LOCATIONS};
use common::wire::tracker::{FileMeta, Source};

use super::peer::{Endpoint, Entry, Have, Peer};
use super::session::{Session, Told};
use super::{Index, Refusal, SessionId, replaced};

/// Answer to the question who has a content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Locations {
    /// What is known of it, if anything.
    pub meta: Option<FileMeta>,
    /// A random subset of the sources, without the asking peer.
    pub sources: Vec<Source>,
    /// Connected peers that have all of it.
    pub complete: u32,
    /// Connected peers that have part of it.
    pub partial: u32,
}

impl Index {
    /// At most `want` random sources of a content. The answer replaces what the peer knew of them: if the content is
    /// watched, now or next, deltas go on from here.
    ///
    /// # Errors
    /// If the session was replaced.
    pub fn locations(
        &mut self,
        session: SessionId,
        id: ContentId,
        want: usize,
        rng: &mut fastrand::Rng,
    ) -> Result<Locations, Refusal> {
        let viewer = self.sessions.get(&session).ok_or_else(replaced)?;
        let Some(file) = self.by_id.get(&id).copied() else { return Ok(Locations::default()) };
        let Some(row) = self.files.get(file) else { return Ok(Locations::default()) };
        let want = want.min(MAX_LOCATIONS);
        let mut budget = LOCATIONS_HAVE_BUDGET;
        let mut told = Told::new();
        let mut sources = Vec::with_capacity(want);
        // One more, in case the asking peer is among them.
        for peer in row.swarm.sample(want + usize::from(want > 0), rng) {
            if peer == viewer.peer || sources.len() >= want {
                continue;
            }
            let Some((owner, entry)) = self.member(peer, file) else { continue };
            told.insert(owner.id, entry.stamp);
            sources.push(source(viewer, owner, entry, row.chunks, &mut budget));
        }
        let answer = Locations {
            meta: Some(row.meta()),
            sources,
            complete: row.swarm.seeds(),
            partial: row.swarm.partials(),
        };
        if let Some(viewer) = self.sessions.get_mut(&session) {
            match viewer.watches.get_mut(&id) {
                Some(watch) => watch.told = told,
                None => viewer.remember(id, told),
            }
        }
        Ok(answer)
    }

    /// A peer and its entry, if it is a source now.
    pub(super) fn member(&self, peer: u32, file: u32) -> Option<(&Peer, &Entry)> {
        let owner = self.peers.get(peer)?;
        let entry = owner.files.get(&file).filter(|entry| entry.place.is_some())?;
        Some((owner, entry))
    }
}

/// A source as `viewer` is told of it; takes the bytes of its chunk set from `budget`, or leaves the set out.
pub(super) fn source(
    viewer: &Session,
    owner: &Peer,
    entry: &Entry,
    chunks: u32,
    budget: &mut usize,
) -> Source {
    let (have, set) = match &entry.have {
        Have::All => (chunks, ChunkSet::full(chunks).encode()),
        Have::Some(set) => (set.count(), set.encode()),
        Have::Nothing => (0, ChunkSet::empty(chunks).encode()),
    };
    let set = (set.len() <= *budget).then_some(set);
    *budget = budget.saturating_sub(set.as_ref().map_or(0, Vec::len));
    Source {
        peer: owner.id,
        nick: owner.nick.clone(),
        addrs: addresses(viewer, &owner.endpoint),
        have,
        set,
    }
}

/// Where `viewer` can reach a peer: the address the tracker saw, and for neighbours behind the same
/// public address the local ones. Nobody can name an address for strangers to dial.
///
/// A peer on the tracker's own machine is seen at a loopback address, which is of no use elsewhere: there
/// it is reached where the viewer reaches the tracker.
fn addresses(viewer: &Session, endpoint: &Endpoint) -> Vec<SocketAddr> {
    if endpoint.port == 0 {
        return Vec::new();
    }
    let same_machine = endpoint.observed.is_loopback();
    let host =
        if same_machine && !viewer.observed.is_loopback() { viewer.via } else { endpoint.observed };
    let mut out = vec![SocketAddr::new(host, endpoint.port)];
    if viewer.observed == endpoint.observed && !same_machine {
        let local = endpoint.local.iter().filter(|addr| is_dialable(addr) && !out.contains(addr));
        let local: Vec<_> = local.copied().collect();
        out.extend(local);
    }
    out.truncate(MAX_ADDRS);
    out
}

/// Whether an announced address may be one of a neighbour: nothing that leads back into the dialling machine,
/// to everybody, or to the metadata services of clouds.
fn is_dialable(addr: &SocketAddr) -> bool {
    let link_local = match addr.ip().to_canonical() {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let ip = addr.ip().to_canonical();
    addr.port() != 0
        && !ip.is_loopback()
        && !ip.is_unspecified()
        && !ip.is_multicast()
        && !link_local
}
