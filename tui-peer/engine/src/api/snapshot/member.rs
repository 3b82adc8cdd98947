//! Who is in the network, page by page: asked for while somebody looks, and kept nowhere.

use std::net::SocketAddr;

use common::id::PeerId;
use serde::{Deserialize, Serialize};

/// One peer that is in the network, by the tracker's word. We are one too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRow {
    /// Its key.
    pub peer: PeerId,
    /// Its name for itself.
    pub nick: String,
    /// Where it may be dialled; none if it does not listen.
    pub addrs: Vec<SocketAddr>,
    /// Contents it shares.
    pub shares: u32,
    /// When it came, in seconds since 1970, by the tracker's clock.
    pub since: u64,
}

/// Part of a list that is read page by page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// In the order in which the tracker keeps them.
    pub rows: Vec<T>,
    /// How many there are in all.
    pub total: u32,
    /// For the next page; empty at the end.
    pub cursor: Vec<u8>,
}
