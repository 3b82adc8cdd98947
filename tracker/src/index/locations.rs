//! Who has a content: a bounded random subset, never work in proportion to the swarm.

use std::net::{IpAddr, SocketAddr};

use common::chunk_set::ChunkSet;
use common::id::ContentId;
use common::limits::{LOCATIONS_HAVE_BUDGET, MAX_ADDRS, MAX_LOCATIONS};
use common::net::{AddrGroup, Subnet};
use common::wire::tracker::{FileMeta, Source};

use super::entry::{Entry, Have};
use super::peer::{Endpoint, Peer};
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
    /// What it took to write chunk sets, those left out in the end too, in bytes.
    work: usize,
}

/// How often sources are drawn while some of them prove to be just going.
const DRAWS: usize = 4;
/// Bytes of encoded sets that count as one entry.
const COST_BYTES: usize = 1024;

impl Locations {
    /// What the question cost, in entries: one for each source, and one for each KiB of sets.
    pub(crate) fn cost(&self) -> usize {
        1 + self.sources.len() + self.work / COST_BYTES
    }
}

/// What the chunk sets of one answer may take, in bytes.
#[derive(Debug)]
pub(super) struct SetBudget {
    /// For what goes into the answer.
    bytes: usize,
    /// For all that is looked through and written, also what proves too long for the answer and is thrown away:
    /// there may be two hundred such sets.
    work: usize,
}

/// Work for one answer, in bytes written: all that is sent, and as much in vain. 0.5 ms.
const SET_WORK: usize = 2 * LOCATIONS_HAVE_BUDGET;
/// Bytes of a bitmap that are looked through in the time in which one byte is written.
const LOOKED_PER_WRITTEN: usize = 16;
/// Sets that take no more memory than this are written without looking at the work: complete ones above all.
const SMALL_SET: usize = 512;

impl SetBudget {
    pub(super) fn new() -> Self {
        Self { bytes: LOCATIONS_HAVE_BUDGET, work: SET_WORK }
    }

    /// The set as it is sent, if it still fits.
    fn take(&mut self, set: &ChunkSet) -> Option<Vec<u8>> {
        let held = set.heap_bytes();
        let limit = if held <= SMALL_SET { self.bytes } else { self.bytes.min(self.work) };
        if limit == 0 {
            return None;
        }
        let encoded = set.encode_within(limit);
        let written = encoded.as_ref().map_or_else(|in_vain| *in_vain, Vec::len);
        self.work = self.work.saturating_sub(written + held / LOOKED_PER_WRITTEN);
        let set = encoded.ok()?;
        self.bytes = self.bytes.saturating_sub(set.len());
        Some(set)
    }

    /// Work that was done.
    fn spent(&self) -> usize {
        SET_WORK.saturating_sub(self.work)
    }
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
        self.session_peer(session).ok_or_else(replaced)?;
        let Some(file) = self.row_of(&id) else { return Ok(Locations::default()) };
        let want = want.min(MAX_LOCATIONS);
        // One more, in case the asking peer is among them.
        let drawn = self.draw(file, want + usize::from(want > 0), rng);
        let viewer = self.viewer(session).ok_or_else(replaced)?;
        let Some(row) = self.files.get(file) else { return Ok(Locations::default()) };
        let mut budget = SetBudget::new();
        let mut told = Told::new();
        let mut sources = Vec::with_capacity(want);
        for peer in drawn {
            if peer == viewer.session.peer || sources.len() >= want {
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
            work: budget.spent(),
        };
        if let Some(viewer) = self.sessions.get_mut(&session) {
            match viewer.watches.get_mut(&id) {
                Some(watch) => watch.told = told,
                None => viewer.remember(id, told),
            }
        }
        Ok(answer)
    }

    /// Who is told of others over a connection.
    pub(super) fn viewer(&self, session: SessionId) -> Option<Viewer<'_>> {
        let session = self.sessions.get(&session)?;
        let local = self.peers.get(session.peer).map_or(&[][..], |peer| &peer.endpoint.local);
        Some(Viewer { session, local })
    }

    /// A peer and its entry, if it is a source now.
    pub(super) fn member(&self, peer: u32, file: u32) -> Option<(&Peer, &Entry)> {
        let owner = self.peers.get(peer)?;
        let entry = owner.files.get(&file).filter(|entry| owner.counts(entry))?;
        Some((owner, entry))
    }

    /// At most `k` sources of a content, drawn at random. Those drawn that are just going are seen out, and others
    /// drawn instead.
    fn draw(&mut self, file: u32, k: usize, rng: &mut fastrand::Rng) -> Vec<u32> {
        let mut drawn = Vec::new();
        for _ in 0..DRAWS {
            drawn = self.files.get(file).map_or_else(Vec::new, |row| row.swarm.sample(k, rng));
            let is_going = |peer: &u32| self.member(*peer, file).is_none();
            let going: Vec<u32> = drawn.iter().copied().filter(is_going).collect();
            if going.is_empty() {
                break;
            }
            going.iter().for_each(|peer| self.catch_up(*peer, file));
        }
        drawn
    }
}

/// Who is told of others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Viewer<'a> {
    pub(super) session: &'a Session,
    /// Its addresses in its own networks, by its word.
    local: &'a [SocketAddr],
}

/// A source as `viewer` is told of it; takes the bytes of its chunk set from `budget`, or leaves the set out.
pub(super) fn source(
    viewer: Viewer<'_>,
    owner: &Peer,
    entry: &Entry,
    chunks: u32,
    budget: &mut SetBudget,
) -> Source {
    let (have, set) = match &entry.have {
        Have::All => (chunks, budget.take(&ChunkSet::full(chunks))),
        Have::Some(set) => (set.count(), budget.take(set)),
        Have::Nothing => (0, budget.take(&ChunkSet::empty(chunks))),
    };
    Source {
        peer: owner.id,
        nick: owner.nick.clone(),
        addrs: addresses(viewer, &owner.endpoint),
        have,
        set,
    }
}

/// Where `viewer` can reach a peer: the addresses the tracker saw, and for neighbours behind the same router the
/// local ones; for who is in another network of its too, the one there. Nobody can name an address for strangers to dial.
///
/// A peer on the tracker's own machine is seen at a loopback address, which is of no use elsewhere: there
/// it is reached where the viewer reaches the tracker.
pub(super) fn addresses(viewer: Viewer<'_>, endpoint: &Endpoint) -> Vec<SocketAddr> {
    if endpoint.port == 0 {
        return Vec::new();
    }
    let (same_machine, seen) = (endpoint.observed.is_loopback(), viewer.session.observed);
    let host =
        if same_machine && !seen.is_loopback() { viewer.session.via } else { endpoint.observed };
    let port = endpoint.outside.unwrap_or(endpoint.port);
    let other = endpoint.other.filter(|_| !same_machine).map(|ip| (ip, endpoint.port));
    let mut out: Vec<SocketAddr> =
        [Some((host, port)), other].into_iter().flatten().map(SocketAddr::from).collect();
    if are_neighbours(viewer.session, endpoint) && !same_machine {
        // Where it is seen others are let in at a port that was looked at, or at its own.
        let is_let_in = |addr: &SocketAddr| {
            addr.ip().to_canonical() != endpoint.observed || addr.port() == endpoint.port
        };
        let dialable =
            |addr: &SocketAddr| is_dialable(addr) && is_its_own(addr, endpoint) && is_let_in(addr);
        let local = endpoint.local.iter().filter(|addr| dialable(addr) && !out.contains(addr));
        let local: Vec<_> = local.copied().collect();
        out.extend(local);
    } else if is_inside(seen) && is_inside(endpoint.observed) {
        let shared = endpoint.local.iter().filter(|addr| viewer.shares_net_of(addr, endpoint));
        out.extend(shared.take(MAX_SHARED_NETS).copied());
    }
    out.truncate(MAX_ADDRS);
    out
}

/// Networks in which two peers may be told of each other beside the one where the tracker sees both. Machines with more
/// than a network for payload and one for disks are few, and each address may be a third party's.
const MAX_SHARED_NETS: usize = 2;

impl Viewer<'_> {
    /// Whether an address that a peer names is in a network (an IPv4 /24) in which the viewer names one too, and at the
    /// port where that peer listens. That is all that a member can make others dial in private networks: one port of
    /// two machines in networks they are in.
    fn shares_net_of(&self, addr: &SocketAddr, endpoint: &Endpoint) -> bool {
        let ip = addr.ip().to_canonical();
        let mut ours = self.local.iter().map(|own| own.ip().to_canonical());
        is_inside(ip)
            && Subnet::of(ip) != Subnet::of(endpoint.observed)
            && addr.port() == endpoint.port
            && ours.clone().all(|own| own != ip)
            && ours.any(|own| Subnet::of(own) == Subnet::of(ip))
    }
}

/// Whether an address is one of a network of somebody's own (RFC 1918): not one that everybody in an overlay has.
fn is_inside(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.is_private())
}

/// Whether both are seen at one address, or in one IPv6 /64: private addresses mean the same to them.
fn are_neighbours(viewer: &Session, endpoint: &Endpoint) -> bool {
    let groups =
        |observed, other: Option<IpAddr>| [Some(observed), other].map(|ip| ip.map(AddrGroup::of));
    let theirs = groups(endpoint.observed, endpoint.other);
    groups(viewer.observed, viewer.other).iter().any(|ours| ours.is_some() && theirs.contains(ours))
}

/// Whether an announced address can only be one of its own network: a private one, or one where the peer is seen (all of
/// its IPv6 /64). Any other may be a third party's.
fn is_its_own(addr: &SocketAddr, endpoint: &Endpoint) -> bool {
    let ip = addr.ip().to_canonical();
    let seen = [Some(endpoint.observed), endpoint.other];
    is_private(ip) || seen.iter().flatten().any(|seen| AddrGroup::of(*seen) == AddrGroup::of(ip))
}

/// Addresses that mean something else in every network (RFC 1918, 6598, 4193).
pub(super) fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `runs` runs of two chunks, three bytes on the wire each.
    fn scattered(chunks: u32, runs: u32) -> ChunkSet {
        let mut set = ChunkSet::empty(chunks);
        let apart = chunks / runs;
        (0..runs).for_each(|n| _ = set.insert_run(n * apart, 2));
        set
    }

    #[test]
    fn s4_sets_that_are_left_out_cost_no_more_than_those_that_are_sent() {
        // Some 30,000 bytes: two fit, and that the third does not is seen only when it is written in part.
        let large = scattered(1 << 21, 10_400);
        let len = large.encode().len();
        assert!((LOCATIONS_HAVE_BUDGET / 3..LOCATIONS_HAVE_BUDGET / 2).contains(&len), "{len}");
        let mut budget = SetBudget::new();
        let sent: Vec<bool> = (0..200).map(|_| budget.take(&large).is_some()).collect();
        assert_eq!(sent.iter().filter(|sent| **sent).count(), 2);
        assert_eq!(sent[..2], [true, true]);
        assert!(budget.spent() <= SET_WORK);
        assert!(budget.bytes > 0);
        // All work that was paid for is done after a handful, and nothing that large is looked at any more.
        let mut budget = SetBudget { bytes: 1000, work: SET_WORK };
        let looked = (0..200).take_while(|_| {
            let before = budget.work;
            assert_eq!(budget.take(&large), None);
            budget.work < before
        });
        assert!(looked.count() <= 20, "what takes 80 KiB of memory costs 5 KiB to look at");
        assert_eq!(budget.work, 0);
        // A bitmap likewise: there is something to look through.
        let bitmap = scattered(1 << 21, 10_400 * 4);
        assert_eq!(SetBudget { bytes: 1000, work: 0 }.take(&bitmap), None);
        // What costs next to nothing is sent all the same.
        assert_eq!(budget.take(&ChunkSet::full(1 << 21)), Some(vec![0]));
        assert!(budget.take(&scattered(1 << 21, 20)).is_some());
    }

    #[test]
    fn s4_who_asks_for_many_sources_pays_for_them_and_their_sets() {
        let mut found = Locations { work: SET_WORK, ..Locations::default() };
        assert_eq!(found.cost(), 1 + 128);
        found.work = 1000;
        assert_eq!(found.cost(), 1);
    }
}
