//! Messages between a peer and its tracker.
//!
//! One standing connection per peer. Every request carries `q`, echoed by its answer; one-way messages
//! and pushes have none. All bodies are MessagePack maps with short keys.
//!
//! Flow: HELLO / WELCOME, then REGISTER only when the share digest did not match, CHUNK_REGISTER for
//! every unfinished download, WATCH for what the user looks at, and deltas from then on. Nobody polls. Questions may
//! come right behind HELLO; they are answered after WELCOME, by every version.

mod counts;
mod parts;
mod reply;
mod request;

pub use counts::Counts;
pub use parts::{ChunkUpdate, FileMeta, FileRow, FoundRow, Hello, Member, Sort, Source, Welcome};
pub use reply::Reply;
pub use request::Request;

use serde::{Deserialize, Serialize};

use crate::hash::Stream;
use crate::id::{ContentId, Hash};

/// Digest by which a tracker knows a returning peer's shares: SHA-256 over the (id, name) pairs of all
/// complete shares, sorted by id.
pub fn share_digest<'a>(shares: impl IntoIterator<Item = (ContentId, &'a str)>) -> Hash {
    let mut shares: Vec<_> = shares.into_iter().collect();
    shares.sort_unstable();
    let mut digest = ShareDigest::default();
    shares.into_iter().for_each(|(id, name)| digest.add(id, name));
    digest.finish()
}

/// [`share_digest`] made bit by bit.
#[derive(Debug, Clone)]
pub struct ShareDigest(Stream);

impl Default for ShareDigest {
    fn default() -> Self {
        let mut stream = Stream::default();
        stream.update(b"shoal shares/1");
        Self(stream)
    }
}

impl ShareDigest {
    /// Takes in the next share, in the order of ids.
    pub fn add(&mut self, id: ContentId, name: &str) {
        self.0.update(id.as_bytes());
        self.0.update(&(name.len() as u64).to_be_bytes());
        self.0.update(name.as_bytes());
    }

    /// The digest of all that were added.
    pub fn finish(self) -> Hash {
        self.0.finish()
    }
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
