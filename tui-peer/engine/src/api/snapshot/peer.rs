//! Connected peers, and what they take.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use common::id::{ContentId, PeerId};
use serde::{Deserialize, Serialize};

use super::Way;
use crate::api::serde_with;

/// A peer as people know it: its name for itself, if it has one, and the start of its key.
pub fn display_name(peer: &PeerId, nick: &str) -> String {
    if nick.is_empty() { peer.short() } else { format!("{nick} ({})", peer.short()) }
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerRow {
    /// Its key.
    pub peer: PeerId,
    /// Its name for itself.
    pub nick: String,
    /// The other end of the connection.
    pub addr: SocketAddr,
    /// How the connection came about.
    #[serde(default)]
    pub way: Way,
    /// Bytes per second from it.
    pub down_rate: f64,
    /// Bytes per second to it.
    pub up_rate: f64,
    /// Payload received from it in this run.
    pub down: u64,
    /// Payload sent to it in this run.
    pub up: u64,
    /// Contents open between us.
    pub contents: u32,
    /// Round trip in milliseconds, if measured.
    pub rtt_ms: Option<u32>,
    /// When it connected.
    #[serde(with = "serde_with::instant")]
    pub since: Instant,
    /// How it stands with our uploads.
    pub upload: Upload,
    /// What it takes from us.
    pub takes: Vec<Take>,
}

/// How a peer stands with our uploads.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Upload {
    /// It has a slot, and something is on its way.
    Sending,
    /// It wants something and waits; its place in the line, from 1.
    Queued(u32),
    /// It wants nothing.
    #[default]
    Idle,
}

/// Something a peer takes from us.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Take {
    /// Which content.
    pub id: ContentId,
    /// Its name.
    pub name: Arc<str>,
    /// Bytes per second to this peer.
    pub rate: f64,
    /// Payload sent to it since it opened this content.
    pub sent: u64,
    /// Chunks of it that this peer says it has.
    #[serde(default)]
    pub have: u32,
}
