//! Messages between a peer and its tracker (decisions.md 1 and 5, tracker.md 3.3).
//!
//! One standing connection per peer. Every request carries `q`, echoed by its answer; one-way messages
//! and pushes have none. All bodies are MessagePack maps with short keys.
//!
//! Flow: HELLO / WELCOME, then REGISTER only when the share digest did not match, CHUNK_REGISTER for
//! every unfinished download, WATCH for what the user looks at, and deltas from then on. Nobody polls.

mod parts;
mod reply;
mod request;

pub use parts::{ChunkUpdate, FileMeta, FileRow, Hello, Sort, Source, Welcome};
pub use reply::Reply;
pub use request::Request;

use serde::{Deserialize, Serialize};

use crate::hash::sha256_concat;
use crate::id::{ContentId, Hash};

/// Digest by which a tracker knows a returning peer's shares: SHA-256 over the (id, name) pairs of all
/// complete shares, sorted by id.
pub fn share_digest<'a>(shares: impl IntoIterator<Item = (ContentId, &'a str)>) -> Hash {
    let mut shares: Vec<_> = shares.into_iter().collect();
    shares.sort_unstable();
    let mut text = Vec::with_capacity(shares.len() * 64);
    for (id, name) in shares {
        text.extend_from_slice(id.as_bytes());
        text.extend_from_slice(&(name.len() as u64).to_be_bytes());
        text.extend_from_slice(name.as_bytes());
    }
    sha256_concat(&[b"shoal shares/1", &text])
}

/// Of messages that say only which request they belong to.
#[derive(Serialize, Deserialize)]
struct OnlyQ {
    q: u32,
}

/// Of messages about a list of contents.
#[derive(Serialize, Deserialize)]
struct IdsBody {
    #[serde(default)]
    q: u32,
    #[serde(default)]
    c: bool,
    #[serde(default)]
    i: Vec<ContentId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_ignores_order_but_not_names() {
        let (a, b) = (ContentId::from_bytes([1; 32]), ContentId::from_bytes([2; 32]));
        assert_eq!(share_digest([(a, "x"), (b, "y")]), share_digest([(b, "y"), (a, "x")]));
        assert_ne!(share_digest([(a, "x"), (b, "y")]), share_digest([(a, "y"), (b, "x")]));
        assert_ne!(share_digest([(a, "x")]), share_digest([]));
    }
}
