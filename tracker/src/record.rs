//! What outlives the process, and the changes that keep it up to date. The index makes changes, a
//! store applies them; neither knows the other.

use common::content::Descriptor;
use common::id::{ContentId, PeerId};
use serde::{Deserialize, Serialize};

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
    /// Number of chunks.
    #[serde(rename = "c")]
    pub chunks: u32,
    /// When it was first registered, in seconds since 1970.
    #[serde(rename = "b")]
    pub first_seen: u64,
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
}

/// Everything a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// All contents.
    pub files: Vec<(ContentId, FileRecord)>,
    /// All peers.
    pub peers: Vec<(PeerId, PeerRecord)>,
    /// Who shares what, under which name.
    pub shares: Vec<(PeerId, ContentId, Box<str>)>,
}
