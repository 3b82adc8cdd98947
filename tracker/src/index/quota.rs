//! Who may take more. Three things are bounded: peers known, rows, and bytes.
//!
//! A key may take so much and no more. Beyond that nobody is refused while a table is less than half full.
//! From then on an address group, where strangers may join, may have a quarter. Of what is left neither it nor
//! a key gets more than `4 * free^2` of the table, `free` being the part that is free then: a quarter when a
//! quarter is left, a hundredth at a twentieth. So the refusal goes to the one who takes most; a table never
//! becomes quite full; and whoever fills it from `n` addresses in turn leaves one part in `4 n + 4` to those
//! who have less (`free' = -4 free^2`), where a share of what is free would leave one in `2^n`.

use std::collections::HashSet;
use std::fmt;

use common::fold::fold;
use common::id::ContentId;
use common::net::AddrGroup;
use common::numbers::saturate;
use common::wire::Code;
use common::wire::tracker::FileMeta;

use super::peer::Peer;
use super::usage::{ENTRY_BYTES, PEER_BYTES, ROW_BYTES};
use super::{Index, Refusal};

/// What one address group may take of rows and bytes once a table is half full: one part in so many.
pub const GROUP_PART: u64 = 4;
/// When to offer a share again that was refused because a table is more than half full, in milliseconds. The code
/// stays that of a refusal for good: upon one for now peers hold everything else back too, and older ones know no
/// better.
const ROOM_RETRY_MS: u32 = 600_000;
/// While a full list replaces an older one a peer has both.
const LISTS: usize = 2;

/// Bounds by address group, where strangers may join. They count only while a table is more than half
/// full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLimits {
    pub peers: usize,
    /// Rows it brought; `None` is one in [`GROUP_PART`] of all rows.
    pub rows: Option<usize>,
    /// Keys never seen before, in a minute.
    pub new_keys: usize,
    /// Whether loopback addresses count like all others. They should not: several peers of this machine,
    /// and whatever reaches the tracker through a tunnel, come from there.
    pub loopback: bool,
}

impl Default for GroupLimits {
    /// Wide enough for 200 machines behind one router that are all switched on at once.
    fn default() -> Self {
        Self { peers: 256, rows: None, new_keys: 256, loopback: false }
    }
}

/// One of the bounded things, for the texts of refusals.
#[derive(Debug, Clone, Copy)]
enum Thing {
    Peers,
    Rows,
    Bytes,
    /// Bytes for names of files inside folders.
    Names,
}

/// How much somebody wants of something, and how things stand.
#[derive(Debug, Clone, Copy)]
struct Wish {
    thing: Thing,
    limit: u64,
    taken: u64,
    more: u64,
}

/// Who has how much of it already, and may have at most.
#[derive(Debug, Clone, Copy)]
struct Holder {
    who: Who,
    has: u64,
    most: u64,
}

#[derive(Debug, Clone, Copy)]
enum Who {
    Key,
    Group(AddrGroup),
}

impl Wish {
    /// Whether there is room at all.
    fn fits(self) -> Result<(), Refusal> {
        let Self { thing, limit, taken, more } = self;
        if taken.saturating_add(more) <= limit {
            return Ok(());
        }
        Err(thing.refuse(format!("this tracker is full ({limit} {thing}); ask its owner")))
    }

    /// Whether this one may have it.
    fn allows(self, holder: Holder) -> Result<(), Refusal> {
        let Self { thing, limit, taken, more } = self;
        let after = taken.saturating_add(more);
        let mine = holder.has.saturating_add(more);
        let part = part_of(limit, limit.saturating_sub(after));
        if more == 0 || after <= limit / 2 || mine <= part.min(holder.most) {
            return Ok(());
        }
        // A share for which others leave no room has some when they are gone.
        let retry_ms = if matches!(thing, Thing::Peers) { 0 } else { ROOM_RETRY_MS };
        let has = holder.has;
        let had = match holder.who {
            Who::Key => format!("you have {has} of {limit} {thing}"),
            Who::Group(group) => format!("address {group} has {has} of {limit} {thing}"),
        };
        Err(thing
            .refuse(if mine > holder.most {
                format!("{had}, and may have {} while more than half are taken", holder.most)
            } else {
                format!(
                    "{had}, and what is left ({}) is for those who have less",
                    limit.saturating_sub(taken)
                )
            })
            .retry_in(retry_ms))
    }
}

impl Thing {
    fn refuse(self, text: String) -> Refusal {
        let code = match self {
            // It may come back later; a share it may not.
            Self::Peers => Code::Busy,
            Self::Rows | Self::Bytes | Self::Names => Code::Limit,
        };
        Refusal::new(code, text)
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Peers => "peers",
            Self::Rows => "contents",
            Self::Bytes => "bytes",
            Self::Names => "bytes of names inside folders",
        })
    }
}

impl Index {
    /// Whether a key that nobody has seen before may come from this group.
    pub(super) fn check_new_key(&self, now_ms: u64, group: AddrGroup) -> Result<(), Refusal> {
        let wish = Wish {
            thing: Thing::Peers,
            limit: wide(self.limits.peers),
            taken: wide(self.usage.all().peers),
            more: 1,
        };
        wish.fits()?;
        let (limit, taken) = (self.limits.bytes, self.usage.all().bytes);
        Wish { thing: Thing::Bytes, limit, taken, more: PEER_BYTES }.fits()?;
        let Some(limits) = self.group_limits(group) else { return Ok(()) };
        let has = wide(self.usage.of(group).peers);
        wish.allows(Holder { who: Who::Group(group), has, most: wide(limits.peers) })?;
        let fresh = self.usage.fresh_keys(group, minute(now_ms));
        if fresh >= limits.new_keys && wish.taken > wish.limit / 2 {
            let text = format!(
                "address {group} has brought {fresh} new peers in this minute, and may bring {} while more than half of all places are taken",
                limits.new_keys
            );
            return Err(Refusal::new(Code::Busy, text));
        }
        Ok(())
    }

    /// Whether a peer may register these.
    pub(super) fn check_shares(
        &self,
        owner: &Peer,
        files: &[FileMeta],
        ids: &[ContentId],
        full: bool,
    ) -> Result<(), Refusal> {
        let listing = owner.listing.filter(|_| !full).or(full.then_some(0));
        let mut seen = HashSet::with_capacity(ids.len());
        let (mut rows, mut entries, mut bytes) = (0usize, 0usize, 0u64);
        for (meta, id) in files.iter().zip(ids) {
            let file = self.row_of(id);
            let entry = file.and_then(|file| owner.files.get(&file));
            if seen.insert(id) {
                rows += usize::from(file.is_none());
                entries += usize::from(entry.is_none());
                bytes += if entry.is_none() { ENTRY_BYTES } else { 0 };
            }
            let same = entry.and_then(|entry| entry.share.as_ref());
            if same.is_none_or(|share| *share.name != *meta.name) {
                bytes += name_bytes(&meta.name);
            }
        }
        let lists = if listing.is_some() { LISTS } else { 1 };
        let named = listing.map_or(0, |named| named + ids.len());
        if named.max((owner.files.len() + entries).div_ceil(lists)) > self.limits.files_per_peer {
            return Err(Refusal::new(
                Code::Limit,
                format!(
                    "a peer may share {} items; share folders as one item each instead of single files",
                    self.limits.files_per_peer
                ),
            ));
        }
        let most = self.limits.bytes_per_peer;
        if bytes > 0 && (owner.bytes + bytes) / wide(lists) > most {
            let text = format!(
                "what a peer shares may take {most} bytes of this tracker's memory; share folders as one item each, or under shorter names"
            );
            return Err(Refusal::new(Code::Limit, text));
        }
        self.check_rows(owner, rows)?;
        self.check_bytes(owner, bytes + ROW_BYTES * wide(rows))
    }

    fn check_rows(&self, owner: &Peer, more: usize) -> Result<(), Refusal> {
        let limit = wide(self.limits.rows);
        let taken = wide(self.usage.all().rows);
        let wish = Wish { thing: Thing::Rows, limit, taken, more: wide(more) };
        if more == 0 {
            return Ok(());
        }
        wish.fits()?;
        let has = wide(owner.files.len());
        wish.allows(Holder { who: Who::Key, has, most: u64::MAX })?;
        let Some((group, limits)) = self.limited_group_of(owner) else { return Ok(()) };
        let most = limits.rows.map_or(limit / GROUP_PART, wide);
        let has = wide(self.usage.of(group).rows);
        wish.allows(Holder { who: Who::Group(group), has, most })
    }

    /// Whether a peer may take so many bytes more.
    pub(super) fn check_bytes(&self, owner: &Peer, more: u64) -> Result<(), Refusal> {
        let limit = self.limits.bytes;
        let wish = Wish { thing: Thing::Bytes, limit, taken: self.usage.all().bytes, more };
        if more == 0 {
            return Ok(());
        }
        wish.fits()?;
        wish.allows(Holder { who: Who::Key, has: owner.bytes, most: u64::MAX })?;
        let Some((group, _)) = self.limited_group_of(owner) else { return Ok(()) };
        let has = self.usage.of(group).bytes;
        wish.allows(Holder { who: Who::Group(group), has, most: limit / GROUP_PART })
    }

    /// Whether a peer may have so many bytes more for names of files inside folders.
    pub(super) fn check_names(&self, owner: &Peer, more: u64) -> Result<(), Refusal> {
        let (most, has) = (self.limits.names_per_peer, owner.names);
        if has.saturating_add(more) > most {
            let text = format!("you have {has} of {most} bytes of names inside folders");
            return Err(Refusal::new(Code::Limit, text));
        }
        let limit = self.limits.names;
        let wish = Wish { thing: Thing::Names, limit, taken: self.usage.all().names, more };
        wish.fits()?;
        wish.allows(Holder { who: Who::Key, has, most: u64::MAX })?;
        if let Some((group, _)) = self.limited_group_of(owner) {
            let has = self.usage.of(group).names;
            wish.allows(Holder { who: Who::Group(group), has, most: limit / GROUP_PART })?;
        }
        self.check_bytes(owner, more)
    }

    fn limited_group_of(&self, owner: &Peer) -> Option<(AddrGroup, &GroupLimits)> {
        let group = owner.group?;
        Some((group, self.group_limits(group)?))
    }

    fn group_limits(&self, group: AddrGroup) -> Option<&GroupLimits> {
        self.limits.per_group.as_ref().filter(|limits| limits.loopback || !is_loopback(group))
    }
}

/// What one may have of a table of which so much is left.
fn part_of(limit: u64, left: u64) -> u64 {
    let part = 4 * u128::from(left) * u128::from(left) / u128::from(limit.max(1));
    saturate::<u64>(part)
}

/// What a name takes: as the peer gave it, as the row has it, and twice as it is compared.
pub(super) fn name_bytes(name: &str) -> u64 {
    wide(2 * name.len() + 2 * fold(name).len())
}

/// The minute since 1970.
pub(super) fn minute(now_ms: u64) -> u64 {
    now_ms / 60_000
}

pub(super) fn wide(n: usize) -> u64 {
    saturate::<u64>(n)
}

/// `::1` is all of its /64: nothing else there is an address of somebody.
fn is_loopback(group: AddrGroup) -> bool {
    match group {
        AddrGroup::V4(ip) => ip.is_loopback(),
        AddrGroup::V6(upper) => upper == 0,
    }
}
