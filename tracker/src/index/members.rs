//! Who is in the network, and what one of them shares: pages in orders that are kept, so that each costs what it
//! holds.
//!
//! The roll has all who are here by folded nick, then key. A cursor is the place of the last one, not a position:
//! whoever comes and goes in between shifts nothing. What one member shares is told in the order of its entries, in
//! which they are gone through everywhere else.

use std::ops::Bound;
use std::sync::Arc;

use common::fold::fold;
use common::id::{ID_LEN, PeerId};
use common::limits::{MAX_LIST_ROWS, MAX_MEMBERS};
use common::numbers::saturate;
use common::wire::Code;
use common::wire::tracker::Member;

use super::bans::begins_with;
use super::entry::Entry;
use super::locations::{Viewer, addresses};
use super::page::{MAX_PAGE_BYTES, ROW_COST};
use super::peer::Peer;
use super::rules::Fate;
use super::work::WORK_SLICE;
use super::{Index, Page, Refusal, SessionId, replaced};

/// Place among all members: folded nick, then key.
pub(super) type Place = (Arc<str>, PeerId);

/// A page of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// By nick.
    pub members: Vec<Member>,
    /// Members there are in all.
    pub total: u32,
    /// For the next page; empty at the end.
    pub cursor: Vec<u8>,
}

/// A question after members under way. It holds no reference into the index, which may change between two slices.
#[derive(Debug)]
pub struct MemberSearch {
    asker: SessionId,
    /// Folded; part of a nick or the beginning of a key.
    query: String,
    limit: usize,
    /// The last one that was looked at.
    after: Option<Place>,
    /// The last one of the page.
    last: Option<Place>,
    members: Vec<Member>,
    looked: usize,
}

impl MemberSearch {
    /// Whether it is through after one slice: a page of all.
    pub fn is_short(&self) -> bool {
        self.query.is_empty()
    }

    /// Members looked at and told of so far, in comparisons: what the asking side is charged.
    pub fn looked(&self) -> usize {
        self.looked
    }

    fn page(&mut self, total: usize, more: bool) -> Members {
        let last = self.last.take().filter(|_| more);
        Members {
            members: std::mem::take(&mut self.members),
            total: saturate::<u32>(total),
            cursor: last.map(|place| encode(&place)).unwrap_or_default(),
        }
    }
}

/// What one member shares, as far as one page goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPage {
    /// Its rows, and what it shares in all.
    pub page: Page,
    /// What it cost, in comparisons.
    pub looked: usize,
}

impl Index {
    /// Begins to look for at most `limit` members that match `query`, after `cursor`.
    ///
    /// # Errors
    /// [`Refusal`] for a cursor that was not given for members.
    pub fn search_members(
        &self,
        asker: SessionId,
        query: &str,
        cursor: &[u8],
        limit: usize,
    ) -> Result<MemberSearch, Refusal> {
        let after = if cursor.is_empty() { None } else { Some(decode(cursor)?) };
        let (query, limit) = (fold(query.trim()), limit.clamp(1, MAX_MEMBERS));
        Ok(MemberSearch { asker, query, limit, after, last: None, members: vec![], looked: 0 })
    }

    /// Goes on for one slice; the page, when it is full or nobody is left.
    ///
    /// # Errors
    /// If the asking session was replaced.
    pub fn advance_members(&self, search: &mut MemberSearch) -> Option<Result<Members, Refusal>> {
        let Some(viewer) = self.viewer(search.asker) else { return Some(Err(replaced())) };
        let start = search.after.take().map_or(Bound::Unbounded, Bound::Excluded);
        let total = self.roll.len();
        let mut seen: Option<&Place> = None;
        for (n, (place, peer)) in self.roll.range((start, Bound::Unbounded)).enumerate() {
            if n >= WORK_SLICE {
                search.after = seen.cloned();
                return None;
            }
            seen = Some(place);
            search.looked = search.looked.saturating_add(1);
            let Some(owner) = self.peers.get(*peer) else { continue };
            if !fits(&search.query, place) {
                continue;
            }
            if search.members.len() >= search.limit {
                return Some(Ok(search.page(total, true)));
            }
            search.looked = search.looked.saturating_add(ROW_COST);
            search.members.push(member(viewer, owner));
            search.last = Some(place.clone());
        }
        Some(Ok(search.page(total, false)))
    }

    /// A page of what a member has registered: at most `limit` rows, and no more entries than one slice has.
    ///
    /// # Errors
    /// [`Refusal`] if it is not here, and for a cursor that was not given for this.
    pub fn member_files(
        &self,
        key: PeerId,
        cursor: &[u8],
        limit: usize,
    ) -> Result<MemberPage, Refusal> {
        let owner = self.by_key.get(&key).and_then(|peer| self.peers.get(*peer));
        let owner = owner.filter(|owner| owner.is_here()).ok_or_else(|| {
            Refusal::new(Code::NotMember, "nobody with this key is in the network now")
        })?;
        let after = match cursor {
            [] => None,
            _ => Some(u32::from_be_bytes(cursor.try_into().map_err(|_| bad_cursor())?)),
        };
        let most = limit.clamp(1, MAX_LIST_ROWS.min(WORK_SLICE));
        let files = owner.files_behind(after, most);
        let (mut rows, mut bytes, mut last) = (Vec::new(), 0, None);
        let mut more = files.len() == most;
        for file in &files {
            let shared = owner.files.get(file).is_some_and(|entry| owner.shares_it(entry));
            if let Some(row) = self.files.get(*file).filter(|_| shared) {
                bytes += row.encoded_len();
                if bytes > MAX_PAGE_BYTES && !rows.is_empty() {
                    more = true;
                    break;
                }
                rows.push(row.row());
            }
            last = Some(*file);
        }
        let looked = files.len().saturating_add(rows.len().saturating_mul(ROW_COST)).max(1);
        let cursor = last.filter(|_| more).map(|file| file.to_be_bytes().to_vec());
        let total = saturate::<u32>(owner.shares);
        Ok(MemberPage { page: Page { rows, total, cursor: cursor.unwrap_or_default() }, looked })
    }

    /// Puts a peer on the roll where its nick belongs, or takes it off: after every change of its presence or nick.
    pub(super) fn enroll(&mut self, peer: u32) {
        let Some(owner) = self.peers.get_mut(peer) else { return };
        let nick = owner.is_here().then(|| fold(&owner.nick));
        if owner.on_roll_as.as_deref() == nick.as_deref() {
            return;
        }
        let (id, nick) = (owner.id, nick.map(Arc::<str>::from));
        let before = std::mem::replace(&mut owner.on_roll_as, nick.clone());
        if let Some(before) = before {
            self.roll.remove(&(before, id));
        }
        if let Some(nick) = nick {
            self.roll.insert((nick, id), peer);
        }
    }
}

impl Peer {
    /// Whether an entry is a share, with all that happened to the peer's entries since it was last touched.
    fn shares_it(&self, entry: &Entry) -> bool {
        entry.share.is_some() && !matches!(self.rules.fate(entry), Fate::Gone)
    }
}

fn fits(query: &str, (nick, key): &Place) -> bool {
    query.is_empty() || nick.contains(query) || begins_with(key, query)
}

/// A member as `viewer` is told of it: with the addresses it is told where the member is a source.
fn member(viewer: Viewer<'_>, owner: &Peer) -> Member {
    Member {
        peer: owner.id,
        nick: owner.nick.clone(),
        addrs: addresses(viewer, &owner.endpoint),
        shares: saturate::<u32>(owner.shares),
        since: owner.since,
    }
}

fn encode((nick, key): &Place) -> Vec<u8> {
    [&key.as_bytes()[..], nick.as_bytes()].concat()
}

/// Whoever makes a cursor up deceives nobody else.
fn decode(cursor: &[u8]) -> Result<Place, Refusal> {
    let parse = || {
        let (key, nick) = cursor.split_first_chunk::<ID_LEN>()?;
        Some((std::str::from_utf8(nick).ok()?.into(), PeerId::from_bytes(*key)))
    };
    parse().ok_or_else(bad_cursor)
}

fn bad_cursor() -> Refusal {
    Refusal::new(Code::BadData, "this cursor is not of this list; start at the first page")
}
