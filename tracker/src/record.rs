//! What outlives the process, and the changes that keep it up to date. The index makes changes, a
//! store applies them; neither knows the other.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use common::content::Descriptor;
use common::id::{ContentId, ID_LEN, PeerId};
use common::net::AddrGroup;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A content that some peer has registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Kind, size and root; the id follows.
    #[serde(rename = "d")]
    pub descriptor: Descriptor,
    /// The name shown first.
    #[serde(rename = "n")]
    pub name: String,
    /// Bytes of all files together.
    #[serde(rename = "t")]
    pub total: u64,
    #[serde(rename = "c")]
    pub chunks: u32,
    /// When it was first registered, in seconds since 1970.
    #[serde(rename = "b")]
    pub first_seen: u64,
    /// Set while only peers of this address group have ever had it: such a row is kept for hours when
    /// they are gone, not for weeks. `None` also in the records of older programs.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none", with = "group")]
    pub only: Option<AddrGroup>,
    /// The address group that brought it, once others have had it too: it counts there. `None` while `only` says it,
    /// and in the records of older programs, which pass it over.
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none", with = "group")]
    pub origin: Option<AddrGroup>,
}

impl FileRecord {
    /// The address group that brought it, if that is known.
    pub fn brought_by(&self) -> Option<AddrGroup> {
        self.only.or(self.origin)
    }
}

/// A peer that has registered something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRecord {
    /// What it calls itself.
    #[serde(rename = "n")]
    pub nick: String,
    /// When it was last connected, in seconds since 1970.
    #[serde(rename = "s")]
    pub last_seen: u64,
    /// The address group it was last seen in; `None` in the records of older programs.
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none", with = "group")]
    pub group: Option<AddrGroup>,
}

/// Who may not join: a key, or whoever comes from an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    Key(PeerId),
    /// An IPv4 address, or an IPv6 /64.
    Address(AddrGroup),
}

/// Why and since when somebody may not join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanRecord {
    /// In the operator's words; may be empty.
    #[serde(rename = "w")]
    pub reason: String,
    /// Seconds since 1970.
    #[serde(rename = "s")]
    pub since: u64,
    /// Peers are told to talk to it no more: its membership is revoked, not only ended. Only of keys.
    #[serde(rename = "r", default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
}

/// A peer that was invited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// What its invitation was called; may be empty.
    #[serde(rename = "n")]
    pub name: String,
    /// When it was let in first, in seconds since 1970.
    #[serde(rename = "s")]
    pub since: u64,
    /// Whether it may register what nobody has registered.
    #[serde(rename = "w")]
    pub may_share: bool,
}

/// An invitation that is not used up. Its secret is in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRecord {
    /// What whoever uses it is called in the list of members; may be empty.
    #[serde(rename = "n")]
    pub name: String,
    /// By which it is known.
    #[serde(rename = "x")]
    pub secret: String,
    /// How many more may use it; `None` for any number.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// Until when, in seconds since 1970; `None` for ever.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// When it was made, in seconds since 1970.
    #[serde(rename = "s")]
    pub since: u64,
    /// Whether they may register what nobody has registered.
    #[serde(rename = "w")]
    pub may_share: bool,
}

impl fmt::Debug for InviteRecord {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, uses, until, may_share, .. } = self;
        write!(f, "InviteRecord({name:?}, {uses:?} uses, until {until:?}, shares: {may_share})")
    }
}

/// Names of the files inside a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamesRecord {
    /// Who gave them.
    #[serde(rename = "k")]
    pub by: PeerId,
    /// How many different threes of bytes they have: what they take in memory goes by that.
    #[serde(rename = "g")]
    pub grams: u32,
    /// Bytes of them as text.
    #[serde(rename = "t")]
    pub text: u32,
    /// As [`common::inside::Names::pack`] packs them.
    #[serde(rename = "p", with = "packed")]
    pub packed: Arc<[u8]>,
}

/// One change to what is stored. Every change says the whole new value, so applying one twice does
/// no harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A content is new or its record changed.
    File(ContentId, FileRecord),
    /// A content is gone.
    FileGone(ContentId),
    /// A peer is new or its record changed.
    Peer(PeerId, PeerRecord),
    /// A peer is forgotten. Its shares are taken back one by one before.
    PeerGone(PeerId),
    /// A peer shares a content under this name.
    Share(PeerId, ContentId, Box<str>),
    /// A peer shares a content no longer.
    ShareGone(PeerId, ContentId),
    /// A folder is found by these names of the files inside.
    Names(ContentId, NamesRecord),
    /// It no longer is.
    NamesGone(ContentId),
    /// A peer was invited, or its right is another.
    Member(PeerId, MemberRecord),
    /// It is a member no longer.
    MemberGone(PeerId),
    /// There is an invitation of this number, or it was used.
    Invite(u64, InviteRecord),
    /// It is used up, or withdrawn.
    InviteGone(u64),
    /// Somebody is banned, or the reason is another.
    Ban(Target, BanRecord),
    /// Somebody is banned no longer.
    BanGone(Target),
}

/// Everything a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    pub files: Vec<(ContentId, FileRecord)>,
    pub peers: Vec<(PeerId, PeerRecord)>,
    /// Who shares what, under which name.
    pub shares: Vec<(PeerId, ContentId, Box<str>)>,
    /// Names of the files inside folders.
    pub names: Vec<(ContentId, NamesRecord)>,
    /// Who was invited.
    pub members: Vec<(PeerId, MemberRecord)>,
    /// Invitations by their numbers.
    pub invites: Vec<(u64, InviteRecord)>,
    /// Who may not join.
    pub bans: Vec<(Target, BanRecord)>,
}

impl Target {
    /// As a store keeps it: the 32 bytes of a key, the 4 of an IPv4 address, the upper 8 of an IPv6 one.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Key(key) => key.as_bytes().to_vec(),
            Self::Address(group) => group_to_bytes(group),
        }
    }

    /// The reverse; `None` for any other length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match <[u8; ID_LEN]>::try_from(bytes) {
            Ok(key) => Some(Self::Key(PeerId::from_bytes(key))),
            Err(_) => group_from_bytes(bytes).map(Self::Address),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::Address(group) => group.fmt(f),
        }
    }
}

/// Neither a key nor an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("neither a key (52 characters, a-z and 2-7) nor an IP address")]
pub struct NoTarget;

impl FromStr for Target {
    type Err = NoTarget;

    /// A key in full, an IPv4 address, an IPv6 address or its /64.
    fn from_str(text: &str) -> Result<Self, NoTarget> {
        let text = text.trim();
        if let Ok(key) = text.parse() {
            return Ok(Self::Key(key));
        }
        let address = text.strip_suffix("/64").filter(|rest| rest.contains(':')).unwrap_or(text);
        address.parse().map(|ip: IpAddr| Self::Address(AddrGroup::of(ip))).map_err(|_| NoTarget)
    }
}

fn group_to_bytes(group: AddrGroup) -> Vec<u8> {
    match group {
        AddrGroup::V4(ip) => ip.octets().to_vec(),
        AddrGroup::V6(upper) => upper.to_be_bytes().to_vec(),
    }
}

fn group_from_bytes(bytes: &[u8]) -> Option<AddrGroup> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(AddrGroup::V4(Ipv4Addr::from(octets)));
    }
    let upper = u64::from_be_bytes(bytes.try_into().ok()?);
    Some(AddrGroup::of(Ipv6Addr::from_bits(u128::from(upper) << 64).into()))
}

/// An address group in a record, as bytes.
mod group {
    use super::{AddrGroup, Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        group: &Option<AddrGroup>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        group.map(super::group_to_bytes).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<AddrGroup>, D::Error> {
        let bytes: Option<Vec<u8>> = Option::deserialize(deserializer)?;
        // What a newer program may keep there counts as not known.
        Ok(bytes.and_then(|bytes| super::group_from_bytes(&bytes)))
    }
}

/// Bytes in a record that many may hold.
mod packed {
    use super::{Arc, Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        packed: &Arc<[u8]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(packed)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<[u8]>, D::Error> {
        Ok(serde_bytes::ByteBuf::deserialize(deserializer)?.into_vec().into())
    }
}

impl Saved {
    /// The changes that make an empty store hold the same.
    pub fn into_changes(self) -> Vec<Change> {
        let Self { files, peers, shares, names, members, invites, bans } = self;
        let files = files.into_iter().map(|(id, record)| Change::File(id, record));
        let peers = peers.into_iter().map(|(id, record)| Change::Peer(id, record));
        let shares = shares.into_iter().map(|(peer, id, name)| Change::Share(peer, id, name));
        let names = names.into_iter().map(|(id, record)| Change::Names(id, record));
        let bans = bans.into_iter().map(|(target, ban)| Change::Ban(target, ban));
        let members = members.into_iter().map(|(id, member)| Change::Member(id, member));
        let invites = invites.into_iter().map(|(number, invite)| Change::Invite(number, invite));
        let admitted = members.chain(invites);
        files.chain(peers).chain(shares).chain(names).chain(admitted).chain(bans).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_round_trip_as_text_and_as_bytes() {
        let key = PeerId::from_bytes([7; 32]);
        for (text, shown) in [
            (key.to_string(), key.to_string()),
            ("192.0.2.1".to_owned(), "192.0.2.1".to_owned()),
            ("::ffff:192.0.2.1".to_owned(), "192.0.2.1".to_owned()),
            ("2001:db8::1".to_owned(), "2001:db8::/64".to_owned()),
            ("2001:db8::/64".to_owned(), "2001:db8::/64".to_owned()),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), shown);
            assert_eq!(Target::from_bytes(&target.to_bytes()), Some(target));
        }
        for wrong in ["", "abc", "192.0.2.1/64", "192.0.2.0/24", "2001:db8::/48"] {
            assert_eq!(wrong.parse::<Target>(), Err(NoTarget), "{wrong}");
        }
        assert_eq!(Target::from_bytes(&[1; 5]), None);
    }
}
