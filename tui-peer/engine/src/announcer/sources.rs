//! What the tracker says about who has what, on its way to the session: names made safe, addresses
//! filtered, ourselves left out, chunk sets read.

use std::collections::HashMap;

use common::chunk_set::ChunkSet;
use common::id::{ContentId, PeerId};
use common::wire::tracker::{FileMeta, Source};

use super::SourceInfo;
use super::addrs::Place;

/// Contents whose number of chunks is remembered; the watched ones are far fewer.
const MAX_KNOWN: usize = 10_000;

/// How to read what the tracker says about sources.
#[derive(Debug)]
pub(super) struct Sources {
    me: PeerId,
    /// Chunks of contents that were located, by the tracker's word: what encoded sets are about.
    chunks: HashMap<ContentId, u32>,
}

impl Sources {
    pub(super) fn new(me: PeerId) -> Self {
        Self { me, chunks: HashMap::new() }
    }

    /// Remembers what the content consists of; drops a description that is not of this content.
    pub(super) fn described(&mut self, id: ContentId, meta: Option<FileMeta>) -> Option<FileMeta> {
        let meta = meta.filter(|meta| meta.descriptor.id() == id)?;
        if self.chunks.len() >= MAX_KNOWN && !self.chunks.contains_key(&id) {
            self.chunks.clear();
        }
        self.chunks.insert(id, meta.chunks);
        Some(meta)
    }

    /// `chunks`: how many there are, if we know that for certain.
    pub(super) fn read(
        &self,
        id: ContentId,
        sources: Vec<Source>,
        chunks: Option<u32>,
        place: &Place,
    ) -> Vec<SourceInfo> {
        let chunks = chunks.or_else(|| self.chunks.get(&id).copied());
        let others = sources.into_iter().filter(|source| source.peer != self.me);
        others.map(|source| info(&source, chunks, place)).collect()
    }
}

/// A set that does not fit the number of chunks is left out: the peer itself will say what it has.
fn info(source: &Source, chunks: Option<u32>, place: &Place) -> SourceInfo {
    let set = chunks.and_then(|chunks| ChunkSet::decode(chunks, source.set.as_deref()?).ok());
    SourceInfo {
        peer: source.peer,
        nick: common::names::show(&source.nick),
        addrs: place.filter(&source.addrs),
        have: chunks.map_or(source.have, |chunks| source.have.min(chunks)),
        set,
    }
}

#[cfg(test)]
mod tests {
    use common::content::{Descriptor, Kind};
    use common::id::Hash;

    use super::*;

    #[test]
    fn sources_are_made_safe_and_we_are_not_among_them() {
        let me = PeerId::from_bytes([1; 32]);
        let mut sources = Sources::new(me);
        let descriptor = Descriptor { kind: Kind::File, size: 1, root: Hash::ZERO };
        let id = descriptor.id();
        let meta = FileMeta { descriptor, name: "f".into(), total: 1, chunks: 1000 };
        let other = ContentId::from_bytes([9; 32]);
        assert_eq!(sources.described(other, Some(meta.clone())), None, "of another content");
        assert_eq!(sources.described(id, Some(meta.clone())), Some(meta));

        let place = Place {
            tracker: "203.0.113.9:7420".parse().unwrap(),
            observed: "198.51.100.4:1".parse().unwrap(),
            also: None,
        };
        let mut set = ChunkSet::empty(1000);
        set.insert(3);
        let source = |n: u8, set: Option<Vec<u8>>| Source {
            peer: PeerId::from_bytes([n; 32]),
            nick: "a\u{202e}b".into(),
            addrs: vec!["203.0.113.7:1".parse().unwrap(), "127.0.0.1:22".parse().unwrap()],
            have: 9999,
            set,
        };
        let told = vec![source(1, None), source(2, Some(set.encode())), source(3, Some(vec![7]))];
        let read = sources.read(id, told.clone(), None, &place);
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].nick, "a\\u{202e}b");
        assert_eq!(read[0].addrs, ["203.0.113.7:1".parse().unwrap()]);
        assert_eq!((read[0].have, read[0].set.as_ref()), (1000, Some(&set)));
        assert_eq!(read[1].set, None, "rubbish is left out");
        // What we know ourselves counts more than what the tracker says; unknown sets stay unread.
        assert_eq!(
            sources.read(id, told.clone(), Some(2000), &place)[0]
                .set
                .as_ref()
                .map(ChunkSet::chunks),
            Some(2000)
        );
        assert_eq!(sources.read(other, told, None, &place)[0].set, None);
    }
}
