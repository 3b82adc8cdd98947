//! Who keeps a place when a table is full: the links of a content, the connections of a node.
//!
//! Keys are free, addresses are not: a crowd of keys at one address must not keep the others away. While
//! there is room nobody looks at addresses. In a full table the address group with the most peers loses
//! its least useful one, so that everybody else finds a place; exempt peers (this machine, its own links)
//! count one by one.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use common::id::{ContentId, PeerId};
use common::net::AddrGroup;

use super::conn::{Asked, Conn, Wanted};
use super::content::Content;
use super::event::ConnId;
use super::link::{Has, Link};
use super::node::Node;
use super::time::Time;

/// Time to show what one is here for, after which a peer that could ask and does not is of no use. Longer
/// than a round of unchoking and several round trips.
const GRACE: Duration = Duration::from_secs(10);
/// A source counts as one that delivers for so long after its last good chunk, and so long it may take for
/// the next one it is asked for. What it did earlier is thanked for: a crowd could hold all places for ever
/// by one chunk each. 4 MiB come in it at 70 KB/s; who is slower keeps its place while there is room.
const PROOF_TIME: Duration = Duration::from_secs(60);
/// A download with fewer sources that deliver looks for others also when its table is full.
pub(super) const STARVING: usize = 4;

/// What a peer is here for, the least useful first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// Wants nothing, has nothing that we lack.
    Idle,
    /// Wants something and may ask for it, and does not.
    Pretends,
    /// Is new, or choked: has had no chance.
    Waits,
    /// Takes, or has asked for something.
    Takes,
    /// Has delivered lately what we still want more of, or is asked to now.
    Serves,
}

/// One who has a place.
#[derive(Debug, Clone, Copy)]
struct Holder {
    at: ConnId,
    who: Origin,
    what: Use,
    /// Bytes exchanged: among equals, who moved least goes.
    moved: u64,
    /// In this state for at least so long.
    since: Time,
}

/// The holders of those tables that are full.
#[derive(Debug)]
pub(super) struct FullTables {
    links: Vec<Holder>,
    conns: Vec<Holder>,
    now: Time,
}

/// Where a peer comes from.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Origin {
    group: Option<AddrGroup>,
    /// A new key from an address with a banned one.
    suspect: bool,
}

/// Who goes for a newcomer; `None` refuses it. Who serves us never has to go for its address: a crowd of
/// strangers could otherwise part a download from its sources.
fn loser(holders: &[Holder], newcomer: Origin, now: Time) -> Option<ConnId> {
    let least = |holders: &mut dyn Iterator<Item = &Holder>| {
        holders.min_by_key(|h| (h.what, h.moved, h.since, h.at)).copied()
    };
    let settled = |h: &&Holder| now.since(h.since) >= GRACE;
    let useless = |most: Use| least(&mut holders.iter().filter(settled).filter(|h| h.what <= most));
    if newcomer.suspect {
        return useless(Use::Idle).map(|h| h.at);
    }
    let mut suspects = holders.iter().filter(|h| h.who.suspect && h.what <= Use::Takes);
    if let Some(suspect) = least(&mut suspects) {
        return Some(suspect.at);
    }
    if let Some(idle) = useless(Use::Idle) {
        return Some(idle.at);
    }
    let mut sizes: BTreeMap<AddrGroup, usize> = BTreeMap::new();
    let groups = holders.iter().map(|h| h.who.group).chain([newcomer.group]);
    groups.flatten().for_each(|group| *sizes.entry(group).or_default() += 1);
    let largest = sizes.values().copied().max().unwrap_or(0);
    let size = |group: Option<AddrGroup>| group.and_then(|group| sizes.get(&group)).copied();
    if largest > 1 {
        // Whose address has most itself takes the place of one of its own, if that has no use for it.
        let own = size(newcomer.group) == Some(largest);
        let (most, settled) =
            if own { (Use::Pretends, GRACE) } else { (Use::Takes, Duration::ZERO) };
        let mut pool = holders.iter().filter(|h| match own {
            true => h.who.group == newcomer.group,
            false => size(h.who.group) == Some(largest),
        });
        let found = least(&mut pool).filter(|h| h.what <= most && now.since(h.since) >= settled);
        if let Some(found) = found {
            return Some(found.at);
        }
    }
    useless(Use::Pretends).map(|h| h.at)
}

impl Node {
    /// A connection that goes for a new one; `None` if the new one has to.
    pub(super) fn crowded_conn(&self, newcomer: Origin, now: Time) -> Option<ConnId> {
        loser(&self.conn_holders(now), newcomer, now)
    }

    fn conn_holders(&self, now: Time) -> Vec<Holder> {
        let greeted = self.conns.values().filter(|conn| conn.greeted);
        greeted.map(|conn| self.holds(conn, now)).collect()
    }

    /// A connection whose peer loses its place in a content for another one.
    pub(super) fn crowded_link(
        &self,
        id: &ContentId,
        newcomer: ConnId,
        now: Time,
    ) -> Option<ConnId> {
        let newcomer = origin(self.conns.get(&newcomer)?, now);
        loser(&self.link_holders(self.contents.get(id)?, id, now), newcomer, now)
    }

    /// The same for a source that we want: whoever delivers stays, and all stay while enough deliver.
    pub(super) fn spare_link(&self, id: &ContentId, source: ConnId, now: Time) -> Option<ConnId> {
        let content = self.contents.get(id).filter(|content| starves(content, now))?;
        let source = origin(self.conns.get(&source)?, now);
        loser(&self.link_holders(content, id, now), source, now)
    }

    /// Who has a place now, if a content has to look for sources though the tables are full: since few
    /// of those that it has deliver.
    pub(super) fn full_tables(&self, id: &ContentId, now: Time) -> Option<FullTables> {
        let content = self.contents.get(id).filter(|content| starves(content, now))?;
        let links = content.links.len() >= self.cfg.max_links;
        let conns = self.places() >= self.cfg.max_conns;
        Some(FullTables {
            links: if links { self.link_holders(content, id, now) } else { Vec::new() },
            conns: if conns { self.conn_holders(now) } else { Vec::new() },
            now,
        })
    }

    /// Whether a source could have a place if it came from here.
    pub(super) fn has_place(&self, full: &FullTables, peer: &PeerId, ip: IpAddr) -> bool {
        let group = self.near.group(ip);
        let origin = Origin { group, suspect: self.conduct.suspect_until(peer, group) > full.now };
        let has = |table: &[Holder]| table.is_empty() || loser(table, origin, full.now).is_some();
        has(&full.links) && has(&full.conns)
    }

    /// A connection: as useful as the most useful of what is open on it.
    fn holds(&self, conn: &Conn, now: Time) -> Holder {
        let open = conn.handles.values().filter_map(|id| {
            let content = self.contents.get(id)?;
            Some(link_use(conn, content, content.links.get(&conn.id)?, id, now))
        });
        let nothing = match conn.opening.is_empty() {
            true => (Use::Idle, conn.idle_since),
            false => (Use::Waits, now),
        };
        let best = open.max_by_key(|(what, since)| (*what, Reverse(*since)));
        let (what, since) = best.unwrap_or(nothing);
        let moved = conn.down.total.saturating_add(conn.up.total);
        Holder { at: conn.id, who: origin(conn, now), what, moved, since }
    }

    fn link_holders(&self, content: &Content, id: &ContentId, now: Time) -> Vec<Holder> {
        let holder = |(at, link): (&ConnId, &Link)| {
            let conn = self.conns.get(at)?;
            let (what, since) = link_use(conn, content, link, id, now);
            let moved = link.down.total.saturating_add(link.up.total);
            Some(Holder { at: *at, who: origin(conn, now), what, moved, since })
        };
        content.links.iter().filter_map(holder).collect()
    }
}

pub(super) fn origin(conn: &Conn, now: Time) -> Origin {
    Origin { group: conn.group, suspect: conn.suspect_until > now }
}

/// What a content's link is good for, and since when it is in a position to show it.
fn link_use(conn: &Conn, content: &Content, link: &Link, id: &ContentId, now: Time) -> (Use, Time) {
    // Who lets us wait for what it is asked is no source; questions have a time-out of their own.
    let slow = conn.snubbed_until.is_some() || now.since(conn.pace.1) >= PROOF_TIME;
    let asked = conn.requests.values().any(|asked| match asked {
        Asked::Hashes { id: of, .. } => of == id,
        Asked::Chunk { id: of, .. } | Asked::Any { id: of, .. } | Asked::Meta { id: of, .. } => {
            of == id && !slow
        }
    });
    let waiting = conn.queue.iter().any(|wanted: &Wanted| wanted.id() == *id);
    let offers = content.body.as_ref().is_some_and(|body| match &link.has {
        Has::All => false,
        Has::Some(set) => body.have.count() > set.count(),
        Has::Unread { .. } => !body.have.is_empty(),
    });
    let what = if content.is_active() && (asked || delivers(link, now)) {
        Use::Serves
    } else if link.up.total > 0 || waiting || conn.pipe_of.values().any(|(of, _)| of == id) {
        Use::Takes
    } else if link.useful > 0 || (link.interesting && (link.choking || !offers)) {
        Use::Waits
    } else if link.interesting {
        Use::Pretends
    } else {
        Use::Idle
    };
    // Whoever has just been let in, or allowed to ask, has not shown yet what it is here for.
    let since = link.since.max(link.may_ask_since);
    let young = now.since(since) < GRACE;
    (if young { what.max(Use::Waits) } else { what }, since)
}

fn starves(content: &Content, now: Time) -> bool {
    let sources = content.links.values().filter(|link| delivers(link, now));
    content.is_active() && sources.count() < STARVING
}

/// Whether it has sent a good chunk lately.
fn delivers(link: &Link, now: Time) -> bool {
    link.delivered.is_some_and(|when| now.since(when) < PROOF_TIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(n: u8) -> Option<AddrGroup> {
        Some(AddrGroup::of([192, 0, 2, n].into()))
    }

    fn holder(at: u64, group: Option<AddrGroup>, what: Use) -> Holder {
        let who = Origin { group, suspect: false };
        Holder { at: ConnId(at), who, what, moved: 0, since: Time::ZERO }
    }

    const NOW: Time = Time::from_micros(60_000_000);

    fn goes(holders: &[Holder], group: Option<AddrGroup>, suspect: bool) -> Option<u64> {
        loser(holders, Origin { group, suspect }, NOW).map(|at| at.0)
    }

    #[test]
    fn s7_the_address_with_the_most_peers_loses_its_least_useful_one() {
        let mut holders: Vec<Holder> = (0..6).map(|n| holder(n, from(1), Use::Takes)).collect();
        holders[4].what = Use::Waits;
        holders.push(holder(6, from(2), Use::Waits));
        holders.push(holder(7, None, Use::Waits));
        assert_eq!(goes(&holders, from(3), false), Some(4));
        assert_eq!(goes(&holders, None, false), Some(4));
        // Not for one more of its own, unless that has no use for its place at all.
        assert_eq!(goes(&holders, from(1), false), None);
        holders[5].what = Use::Pretends;
        assert_eq!(goes(&holders, from(1), false), Some(5));
        holders[5].since = NOW;
        assert_eq!(goes(&holders, from(1), false), None, "it has had no time yet");
    }

    #[test]
    fn s7_exempt_peers_lose_their_place_only_if_they_have_no_use_for_it() {
        let mut holders: Vec<Holder> = (0..9).map(|n| holder(n, None, Use::Waits)).collect();
        assert_eq!(goes(&holders, from(1), false), None);
        assert_eq!(goes(&holders, None, false), None);
        holders[3].what = Use::Pretends;
        assert_eq!(goes(&holders, None, false), Some(3));
        holders[5].what = Use::Idle;
        assert_eq!(goes(&holders, None, false), Some(5));
    }

    #[test]
    fn s7_suspects_go_first_and_come_last() {
        let mut holders: Vec<Holder> = (0..5).map(|n| holder(n, from(1), Use::Waits)).collect();
        holders.push(holder(5, from(2), Use::Serves));
        holders[5].who.suspect = true;
        assert_eq!(goes(&holders, from(3), false), Some(0), "one that delivers stays");
        holders[5].what = Use::Takes;
        assert_eq!(goes(&holders, from(3), false), Some(5));
        assert_eq!(goes(&holders, from(2), true), None);
        holders[0].what = Use::Idle;
        assert_eq!(goes(&holders, from(2), true), Some(0));
    }
}
