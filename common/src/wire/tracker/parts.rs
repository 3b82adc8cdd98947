//! What messages are made of, and the checks on what others say.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::super::{WireError, bounded, pack};
use crate::content::Descriptor;
use crate::id::{ContentId, Hash, PeerId};
use crate::limits::{
    MAX_ADDRS, MAX_AGENT, MAX_ALIASES, MAX_FIND_PATHS, MAX_FOLDER_CHUNKS, MAX_NAME_LEN, MAX_NICK,
    MAX_PATH_LEN, MAX_TRACKER_HOSTS,
};
use crate::numbers::byte_codec;

/// First message of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Lowest and highest protocol version spoken.
    #[serde(rename = "v")]
    pub versions: (u8, u8),
    /// Program and version.
    #[serde(rename = "a")]
    pub agent: String,
    /// What the peer's owner calls it (often the host name); shown to others, may be empty.
    #[serde(rename = "n", default)]
    pub nick: String,
    /// Port the peer listens on; 0 if it does not.
    #[serde(rename = "p")]
    pub port: u16,
    /// Local addresses, offered only to peers behind the same public address.
    #[serde(rename = "d", default)]
    pub local: Vec<SocketAddr>,
    /// Proof of the network secret (see [`crate::join::Secret`]).
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Hash>,
    /// [`share_digest`](super::share_digest) of the peer's complete shares.
    #[serde(rename = "g")]
    pub digest: Hash,
    /// This connection comes from the port that the peer listens on, and it understands
    /// [`Reply::Punch`](super::Reply::Punch).
    #[serde(rename = "u", default, skip_serializing_if = "std::ops::Not::not")]
    pub punches: bool,
    /// It understands [`Counts`](super::Counts) in a
    /// [`Reply::CatalogueDelta`](super::Reply::CatalogueDelta).
    #[serde(rename = "c", default, skip_serializing_if = "std::ops::Not::not")]
    pub counts: bool,
}

/// Answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Version both will speak.
    #[serde(rename = "v")]
    pub version: u8,
    /// Signed membership, to be shown to other peers.
    #[serde(rename = "m", with = "serde_bytes")]
    pub membership: Vec<u8>,
    /// The peer's address as the tracker sees it.
    #[serde(rename = "y")]
    pub observed: SocketAddr,
    /// Changes whenever the tracker lost its soft state.
    #[serde(rename = "e")]
    pub epoch: u64,
    /// The tracker's clock: milliseconds since 1970; 0 from a tracker that does not say. Memberships are
    /// judged by it, whatever the clocks of the peers.
    #[serde(rename = "w", default)]
    pub now_ms: u64,
    /// Seconds of silence after which the peer should ping.
    #[serde(rename = "b")]
    pub heartbeat_s: u16,
    /// Milliseconds between two CHUNK_REGISTER of this peer.
    #[serde(rename = "hi")]
    pub have_interval_ms: u32,
    /// Whether the digest matched: nothing to register again.
    #[serde(rename = "ok")]
    pub share_ok: bool,
    /// Milliseconds over which peers that lose their connection should spread when they come back, so that
    /// the tracker can greet them all. `None`: an older tracker, which does not say.
    #[serde(rename = "sp", default, skip_serializing_if = "Option::is_none")]
    pub spread_ms: Option<u32>,
    /// Whether [`Request::Members`](super::Request::Members) and
    /// [`Request::MemberFiles`](super::Request::MemberFiles) are understood: an older tracker, which does not say
    /// so, would end the connection over them.
    #[serde(rename = "lm", default, skip_serializing_if = "std::ops::Not::not")]
    pub lists_members: bool,
    /// Addresses of the tracker in the other of IPv4 and IPv6, as far as it knows; at most
    /// [`MAX_ADDRS`]. `None`: an older tracker, which does not understand
    /// [`Request::Also`](super::Request::Also).
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub other_family: Option<Vec<SocketAddr>>,
    /// Whether [`Request::Relay`](super::Request::Relay) is understood and done.
    #[serde(rename = "rl", default, skip_serializing_if = "std::ops::Not::not")]
    pub relays: bool,
    /// Where the tracker is by its signed word ([`crate::tracker_hosts`]), if its operator said; to be remembered.
    #[serde(rename = "th", default, skip_serializing_if = "Option::is_none", with = "serde_bytes")]
    pub hosts: Option<Vec<u8>>,
    /// Whether [`Request::OfferNames`](super::Request::OfferNames),
    /// [`Request::GiveNames`](super::Request::GiveNames) and [`Request::Find`](super::Request::Find) are understood.
    #[serde(rename = "fi", default, skip_serializing_if = "std::ops::Not::not")]
    pub looks_inside: bool,
    /// Whether the peer may register nothing but what others have registered: it has no right to share.
    #[serde(rename = "ro", default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// What is registered about a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMeta {
    /// Kind, size and root; the id follows.
    #[serde(rename = "d")]
    pub descriptor: Descriptor,
    /// Name given by this peer.
    #[serde(rename = "n")]
    pub name: String,
    /// Bytes of all files together (for a file: its size). A hint until verified.
    #[serde(rename = "t")]
    pub total: u64,
    /// Number of chunks. A hint until verified.
    #[serde(rename = "c")]
    pub chunks: u32,
}

/// A row of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRow {
    /// The content.
    #[serde(rename = "f")]
    pub meta: FileMeta,
    /// Other names it is shared under.
    #[serde(rename = "o", default)]
    pub aliases: Vec<String>,
    /// Connected peers that have at least one chunk.
    #[serde(rename = "s")]
    pub sources: u32,
    /// Connected peers that have all chunks.
    #[serde(rename = "k")]
    pub complete: u32,
    /// When it was first registered, in seconds since 1970.
    #[serde(rename = "b", default)]
    pub first_seen: u64,
}

/// A folder in which files were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundRow {
    /// The folder.
    #[serde(rename = "r")]
    pub row: FileRow,
    /// Paths of the first of those files, below the folder, with `/` between the components; at most
    /// [`MAX_FIND_PATHS`].
    #[serde(rename = "w")]
    pub paths: Vec<String>,
    /// How many of its files were found.
    #[serde(rename = "k")]
    pub files: u32,
}

/// One peer that has (part of) a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The peer's key.
    #[serde(rename = "k")]
    pub peer: PeerId,
    /// Its name for itself.
    #[serde(rename = "n", default)]
    pub nick: String,
    /// Where to reach it: the observed address with the declared port first.
    #[serde(rename = "a")]
    pub addrs: Vec<SocketAddr>,
    /// Chunks it has.
    #[serde(rename = "h")]
    pub have: u32,
    /// Which, as [`crate::chunk_set::ChunkSet`] encodes them; left out when the answer grows too long.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none", with = "serde_bytes")]
    pub set: Option<Vec<u8>>,
}

/// One peer that is in the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The peer's key.
    #[serde(rename = "k")]
    pub peer: PeerId,
    /// Its name for itself.
    #[serde(rename = "n", default)]
    pub nick: String,
    /// Where to reach it, as of a [`Source`]; none if it does not listen.
    #[serde(rename = "a")]
    pub addrs: Vec<SocketAddr>,
    /// Contents it has registered.
    #[serde(rename = "r")]
    pub shares: u32,
    /// When it came, in seconds since 1970.
    #[serde(rename = "b")]
    pub since: u64,
}

/// Progress of one content in a [`Request::ChunkRegister`](super::Request::ChunkRegister).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkUpdate {
    /// The content.
    #[serde(rename = "i")]
    pub id: ContentId,
    /// Encoded chunk set: the new chunks, or all of them when `full`.
    #[serde(rename = "r", with = "serde_bytes")]
    pub set: Vec<u8>,
    /// Chunks the set is about (its encoding does not say).
    #[serde(rename = "c")]
    pub chunks: u32,
    /// Chunks held after this update; lets the tracker notice a lost one.
    #[serde(rename = "t")]
    pub total: u32,
    /// Replaces what was known instead of adding to it.
    #[serde(rename = "x", default)]
    pub full: bool,
}

/// Order of a [`Request::FileList`](super::Request::FileList).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Sort {
    /// By name, case-folded.
    Name,
    /// Largest first.
    Size,
    /// Most sources first.
    Sources,
    /// Newest first.
    Newest,
}

byte_codec!(Sort, "sort order", Name Size Sources Newest);

pub(super) fn decode_hello(body: &[u8]) -> Result<Hello, WireError> {
    let hello: Hello = pack::decode("Hello", body)?;
    bounded(hello.versions.0 <= hello.versions.1, "Hello", "versions")?;
    bounded(hello.agent.len() <= MAX_AGENT, "Hello", "agent")?;
    bounded(hello.nick.len() <= MAX_NICK, "Hello", "nick")?;
    bounded(hello.local.len() <= MAX_ADDRS, "Hello", "number of addresses")?;
    Ok(hello)
}

pub(super) fn decode_welcome(body: &[u8]) -> Result<Welcome, WireError> {
    let mut welcome: Welcome = pack::decode("Welcome", body)?;
    let addrs = welcome.other_family.as_ref().map_or(0, Vec::len);
    bounded(addrs <= MAX_ADDRS, "Welcome", "number of addresses")?;
    // One of a later version, which may be longer, is no reason to stay away.
    welcome.hosts = welcome.hosts.filter(|hosts| hosts.len() <= MAX_TRACKER_HOSTS);
    Ok(welcome)
}

pub(super) fn check_meta(meta: &FileMeta) -> Result<(), WireError> {
    bounded(meta.descriptor.is_sane(), "file", "size")?;
    bounded((1..=MAX_NAME_LEN).contains(&meta.name.len()), "file", "name")?;
    bounded(meta.chunks <= MAX_FOLDER_CHUNKS, "file", "chunk count")
}

pub(super) fn check_row(row: &FileRow) -> Result<(), WireError> {
    check_meta(&row.meta)?;
    bounded(row.aliases.len() <= MAX_ALIASES, "file", "number of names")?;
    bounded(row.aliases.iter().all(|name| name.len() <= MAX_NAME_LEN), "file", "name")
}

pub(super) fn check_found(found: &FoundRow) -> Result<(), WireError> {
    check_row(&found.row)?;
    bounded(found.paths.len() <= MAX_FIND_PATHS, "found", "number of paths")?;
    bounded(found.paths.iter().all(|path| path.len() <= MAX_PATH_LEN), "found", "path")
}

pub(super) fn check_member(member: &Member) -> Result<(), WireError> {
    bounded(member.addrs.len() <= MAX_ADDRS, "member", "number of addresses")?;
    bounded(member.nick.len() <= MAX_NICK, "member", "nick")
}

pub(super) fn check_source(source: &Source) -> Result<(), WireError> {
    bounded(source.addrs.len() <= MAX_ADDRS, "source", "number of addresses")?;
    bounded(source.nick.len() <= MAX_NICK, "source", "nick")?;
    bounded(source.have <= MAX_FOLDER_CHUNKS, "source", "chunk count")
}
