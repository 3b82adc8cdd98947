//! How many sources rows have, for a reader that has the rows: some 10 bytes each, where a row is some 113.

use serde::{Deserialize, Deserializer, Serializer};

use crate::chunk_set::{put_varint, take_varint};
use crate::id::{ContentId, ID_LEN};

/// Bytes at the beginning of an id by which a row is found among those that the reader has.
const PREFIX: usize = 8;

/// New numbers of a row of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// The beginning of the content's id.
    prefix: [u8; PREFIX],
    /// Connected peers that have at least one chunk.
    pub sources: u32,
    /// Connected peers that have all chunks.
    pub complete: u32,
}

impl Counts {
    /// Bytes of one at most: each number takes 5 at most.
    pub const MAX_LEN: usize = PREFIX + 10;

    /// Of this content.
    pub fn new(id: &ContentId, sources: u32, complete: u32) -> Self {
        let mut prefix = [0; PREFIX];
        prefix.iter_mut().zip(id.as_bytes()).for_each(|(to, from)| *to = *from);
        Self { prefix, sources, complete }
    }

    /// The smallest and the largest id that this may be about.
    pub fn ids(&self) -> (ContentId, ContentId) {
        let filled = |rest: u8| {
            let mut bytes = [rest; ID_LEN];
            bytes.iter_mut().zip(self.prefix).for_each(|(to, from)| *to = from);
            ContentId::from_bytes(bytes)
        };
        (filled(0), filled(0xff))
    }

    fn take(body: &mut &[u8]) -> Option<Self> {
        let (prefix, rest) = body.split_first_chunk()?;
        *body = rest;
        let (sources, complete) = (take_varint(body).ok()?, take_varint(body).ok()?);
        Some(Self { prefix: *prefix, sources, complete })
    }
}

pub(super) fn serialize<S: Serializer>(all: &[Counts], to: S) -> Result<S::Ok, S::Error> {
    let mut out = Vec::with_capacity(all.len() * Counts::MAX_LEN);
    for counts in all {
        out.extend_from_slice(&counts.prefix);
        put_varint(&mut out, counts.sources);
        put_varint(&mut out, counts.complete);
    }
    to.serialize_bytes(&out)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Counts>, D::Error> {
    let bytes = serde_bytes::ByteBuf::deserialize(from)?;
    let (mut rest, mut all) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let counts = Counts::take(&mut rest);
        all.push(counts.ok_or_else(|| serde::de::Error::custom("numbers cut short"))?);
    }
    Ok(all)
}
