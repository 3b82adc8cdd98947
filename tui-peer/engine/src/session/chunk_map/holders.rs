//! Who has what, for the screen that shows it: worked out for the rows and buckets asked for, and only
//! while somebody looks. A pass over all chunks (a few milliseconds for a million) for the copies, and a
//! look at one bit for each chunk of each row.

use std::collections::{HashMap, HashSet};

use common::chunk_set::ChunkSet;
use common::id::PeerId;
use common::numbers::saturate;

use super::{CLAIM, ChunkMap, Known};
use crate::api::chunk_states::first_chunk;
use crate::api::snapshot::{
    HolderRow, Holders, MAX_BUCKETS, MAX_ONLY, MAX_STRIPS, Only, SEVERAL, StripRequest,
};
use swarm::view::{ContentView, Holding, sole_key};

/// Stands for ourselves among those who alone have a chunk: no connection's key and no claim's number.
const US: u32 = 0;
/// Stands for the only peer that has everything.
const WHOLE: u32 = u32::MAX;
/// Peers counted that alone have something; the others make a bucket "several".
const MAX_COUNTED: usize = 64;

/// A peer that has something.
struct Holder<'a> {
    /// Its row, without levels.
    row: HolderRow,
    holding: Holding<'a>,
    key: u32,
}

/// Chunks that somebody alone has.
struct Alone {
    key: u32,
    chunks: u32,
    first: u32,
    last: u32,
}

impl ChunkMap {
    /// The answer to a request, if there is one; [`Self::update`] must have been called.
    pub(in crate::session) fn holders(
        &mut self,
        request: Option<StripRequest>,
        known: &Known<'_>,
        view: Option<&ContentView<'_>>,
    ) -> Option<Holders> {
        let Some(request) = request else {
            self.shown = Vec::new();
            return None;
        };
        let request = StripRequest {
            rows: request.rows.min(MAX_STRIPS),
            buckets: request.buckets.min(MAX_BUCKETS),
            ..request
        };
        let nothing = ChunkSet::empty(known.chunks);
        let ours = view.map(|view| view.have).or(known.found);
        let ours = ours.filter(|set| set.chunks() == known.chunks).unwrap_or(&nothing);
        let mut holders = self.all_holders(known, view, ours);
        self.keep_order(&holders);
        let (copies, marks, alone) = self.scan(view, ours, request.buckets);
        let only = name(&alone, &holders);
        let buckets = usize::from(request.buckets);
        let from = saturate::<usize>(request.first);
        let rows = self.shown.iter().skip(from).take(usize::from(request.rows));
        let rows = rows.filter_map(|peer| {
            let Holder { row, holding, .. } = holders.remove(peer)?;
            Some(HolderRow { levels: levels(holding, known.chunks, buckets), ..row })
        });
        Some(Holders {
            request,
            all: saturate::<u32>(self.shown.len()),
            rows: rows.collect(),
            copies,
            marks: numbered(&marks, &alone, only.len()),
            only,
        })
    }

    /// Everybody who has something, connected or not.
    fn all_holders<'a>(
        &self,
        known: &Known<'a>,
        view: Option<&'a ContentView<'_>>,
        ours: &ChunkSet,
    ) -> HashMap<PeerId, Holder<'a>> {
        let n = known.chunks;
        let mut all = HashMap::new();
        for other in &known.others {
            let claim = self.claims.peers.get(&other.peer);
            let set = other.set.as_ref().filter(|set| set.chunks() == n);
            let holding = match (claim.map(|claim| claim.set.is_none()), set) {
                (Some(true), _) => Holding::All,
                (_, Some(set)) => Holding::Some(set),
                _ => Holding::Unknown,
            };
            let useful = match holding {
                Holding::All => n.saturating_sub(ours.count()),
                Holding::Some(set) => set.count().saturating_sub(set.common_with(ours)),
                Holding::Unknown => 0,
            };
            let (peer, nick) = (other.peer, other.nick.clone());
            let have = other.have.min(n);
            let row = HolderRow { peer, nick, have, useful, connected: false, levels: Vec::new() };
            let key = claim.map_or(0, |claim| claim.number | CLAIM);
            all.insert(peer, Holder { row, holding, key });
        }
        for link in view.into_iter().flat_map(|view| &view.sources) {
            let row = HolderRow {
                peer: link.peer,
                nick: String::new(),
                have: link.have,
                useful: link.useful,
                connected: true,
                levels: Vec::new(),
            };
            let holding = view.map_or(Holding::Unknown, |view| view.holding(link.conn));
            all.insert(link.peer, Holder { row, holding, key: sole_key(link.conn) & !CLAIM });
        }
        all
    }

    /// Who helps most first; whoever comes later goes to the end, so that nothing moves under the eye.
    fn keep_order(&mut self, holders: &HashMap<PeerId, Holder<'_>>) {
        self.shown.retain(|peer| holders.contains_key(peer));
        let there: HashSet<PeerId> = self.shown.iter().copied().collect();
        let mut new: Vec<&HolderRow> =
            holders.values().map(|h| &h.row).filter(|row| !there.contains(&row.peer)).collect();
        new.sort_by_key(|row| {
            (std::cmp::Reverse(row.useful), std::cmp::Reverse(row.have), row.peer)
        });
        self.shown.extend(new.into_iter().map(|row| row.peer));
    }

    /// Fewest copies and the sole holder of each bucket, and what each sole holder alone has.
    fn scan(
        &self,
        view: Option<&ContentView<'_>>,
        ours: &ChunkSet,
        buckets: u16,
    ) -> (Vec<u8>, Vec<Option<u32>>, Vec<Alone>) {
        let (n, of) = (self.chunks.len(), usize::from(buckets));
        let base = self.chunks.base();
        let mut copies = vec![u8::MAX; of];
        let mut marks: Vec<Option<u32>> = vec![None; of];
        let mut alone: Vec<Alone> = Vec::new();
        let mut runs = ours.runs();
        let mut run = runs.next().unwrap_or(u32::MAX..u32::MAX);
        let (mut at, mut end) = (0, first_chunk(1, of, n));
        let all = self.chunks.pages().flat_map(|(_, partial)| partial);
        for (chunk, partial) in (0u32..).zip(all) {
            while chunk as usize >= end && at + 1 < of {
                at += 1;
                end = first_chunk(at + 1, of, n);
            }
            if chunk >= run.end {
                run = runs.next().unwrap_or(u32::MAX..u32::MAX);
            }
            let here = run.contains(&chunk);
            let total = partial.saturating_add(base).saturating_add(u16::from(here));
            if let Some(fewest) = copies.get_mut(at) {
                *fewest = (*fewest).min(saturate::<u8>(total));
            }
            if total != 1 {
                continue;
            }
            let key = match (here, base) {
                (true, _) => US,
                (_, 1) => WHOLE,
                _ => self.copies(view, chunk).1,
            };
            if let Some(mark) = marks.get_mut(at) {
                // More than one: no number of anybody's.
                *mark = Some(mark.map_or(key, |old| if old == key { key } else { CLAIM }));
            }
            if let Some(one) = alone.iter_mut().find(|one| one.key == key) {
                (one.chunks, one.last) = (one.chunks + 1, chunk);
            } else if alone.len() < MAX_COUNTED {
                alone.push(Alone { key, chunks: 1, first: chunk, last: chunk });
            }
        }
        alone.sort_by_key(|one| (std::cmp::Reverse(one.chunks), one.first));
        (copies, marks, alone)
    }
}

/// The peers behind those who alone have something.
fn name(alone: &[Alone], holders: &HashMap<PeerId, Holder<'_>>) -> Vec<Only> {
    let whole = |holder: &Holder<'_>| match holder.holding {
        Holding::All => true,
        Holding::Some(set) => set.is_complete(),
        Holding::Unknown => false,
    };
    let named = alone.iter().take(MAX_ONLY).map(|one| {
        let row = holders.values().find(|holder| match one.key {
            US => false,
            WHOLE => whole(holder),
            key => holder.key == key,
        });
        Only {
            peer: row.map(|holder| holder.row.peer),
            nick: row.map_or_else(String::new, |holder| holder.row.nick.clone()),
            chunks: one.chunks,
            first: one.first,
            last: one.last,
        }
    });
    named.collect()
}

/// Marks as numbers of those who are named.
fn numbered(marks: &[Option<u32>], alone: &[Alone], named: usize) -> Vec<u8> {
    let number = |key: u32| {
        let at = alone.iter().take(named).position(|one| one.key == key);
        at.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(SEVERAL)
    };
    marks.iter().map(|mark| mark.map_or(0, number)).collect()
}

/// The share of each bucket in eighths.
fn levels(holding: Holding<'_>, chunks: u32, buckets: usize) -> Vec<u8> {
    let set = match holding {
        Holding::All => return vec![8; buckets],
        Holding::Unknown => return Vec::new(),
        Holding::Some(set) => set,
    };
    let first = |i| saturate::<u32>(first_chunk(i, buckets, chunks as usize));
    let level = |i: usize| {
        let (from, to) = (first(i), first(i + 1));
        let (have, all) = (set.count_in(from..to), to.saturating_sub(from));
        match have {
            0 => 0,
            have if have >= all => 8,
            have => (u64::from(have) * 8 / u64::from(all)).clamp(1, 7) as u8,
        }
    };
    (0..buckets).map(level).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use common::id::ContentId;
    use proptest::prelude::*;

    use super::super::Doing;
    use super::*;
    use crate::announcer::SourceInfo;
    use swarm::view::Touched;

    const CHUNKS: u32 = 700;

    fn source(n: u8, set: ChunkSet) -> SourceInfo {
        SourceInfo {
            peer: PeerId::from_bytes([n; 32]),
            nick: format!("peer{n}"),
            addrs: Vec::new(),
            have: set.count(),
            set: Some(set),
        }
    }

    fn set(runs: &[(u32, u32)]) -> ChunkSet {
        let mut set = ChunkSet::empty(CHUNKS);
        for (start, len) in runs {
            set.insert_run(*start, *len);
        }
        set
    }

    fn ask(
        chunk_map: &mut ChunkMap,
        others: &[SourceInfo],
        ours: &ChunkSet,
        request: StripRequest,
    ) -> Holders {
        let known = Known {
            chunks: CHUNKS,
            doing: Doing::Ordinary,
            found: Some(ours),
            others: others.iter().collect(),
        };
        chunk_map.update(&known, None, Touched::default(), Instant::now());
        chunk_map.holders(Some(request), &known, None).unwrap()
    }

    proptest! {
        /// Buckets, copies and sole holders are those that counting chunk by chunk gives.
        #[test]
        fn strips_say_what_each_chunk_says(
            sets in prop::collection::vec(prop::collection::vec((0..CHUNKS, 1u32..300), 0..12), 1..6),
            ours in prop::collection::vec((0..CHUNKS, 1u32..300), 0..6),
            full: bool,
            buckets in 1u16..90,
        ) {
            let mut others: Vec<SourceInfo> =
                (1u8..).zip(&sets).map(|(n, runs)| source(n, set(runs))).collect();
            if full {
                others.push(source(200, ChunkSet::full(CHUNKS)));
            }
            others.retain(|other| other.have > 0);
            let ours = set(&ours);
            let mut chunk_map = ChunkMap::new(ContentId::from_bytes([7; 32]));
            let request = StripRequest { first: 0, rows: 9, buckets };
            let holders = ask(&mut chunk_map, &others, &ours, request);
            prop_assert_eq!(holders.all as usize, others.len());
            let sets: Vec<&ChunkSet> = others.iter().filter_map(|o| o.set.as_ref()).collect();
            let range = |at: usize| {
                let first = |i| first_chunk(i, usize::from(buckets), CHUNKS as usize) as u32;
                first(at)..first(at + 1)
            };
            let copies = |chunk: u32| {
                sets.iter().filter(|set| set.contains(chunk)).count()
                    + usize::from(ours.contains(chunk))
            };
            for at in 0..usize::from(buckets) {
                let fewest = range(at).map(copies).min().unwrap();
                prop_assert_eq!(usize::from(holders.copies[at]), fewest);
                let sole = range(at).any(|chunk| copies(chunk) == 1);
                prop_assert_eq!(holders.marks[at] != 0, sole);
                for row in &holders.rows {
                    let own = others.iter().find(|o| o.peer == row.peer).unwrap();
                    let own = own.set.as_ref().unwrap();
                    let have = range(at).filter(|chunk| own.contains(*chunk)).count();
                    prop_assert_eq!(row.levels[at] == 0, have == 0);
                    prop_assert_eq!(row.levels[at] == 8, have == range(at).len());
                }
            }
            for row in &holders.rows {
                let own = others.iter().find(|o| o.peer == row.peer).unwrap().set.as_ref().unwrap();
                let useful = own.iter().filter(|chunk| !ours.contains(*chunk)).count();
                prop_assert_eq!(row.useful as usize, useful);
            }
            for only in &holders.only {
                let mine = |chunk: &u32| match only.peer {
                    None => ours.contains(*chunk),
                    Some(peer) => others
                        .iter()
                        .any(|o| o.peer == peer && o.set.as_ref().unwrap().contains(*chunk)),
                };
                let theirs: Vec<u32> =
                    (0..CHUNKS).filter(|c| copies(*c) == 1).filter(mine).collect();
                prop_assert_eq!(theirs.len(), only.chunks as usize);
                prop_assert_eq!(theirs.first().copied(), Some(only.first));
                prop_assert_eq!(theirs.last().copied(), Some(only.last));
            }
        }
    }

    #[test]
    fn rows_asked_for_are_bounded_and_hold_still_while_somebody_looks() {
        let mut chunk_map = ChunkMap::new(ContentId::from_bytes([7; 32]));
        let ours = ChunkSet::empty(CHUNKS);
        let mut others: Vec<SourceInfo> =
            (1u8..=250).map(|n| source(n, set(&[(0, u32::from(n))]))).collect();
        let request = StripRequest { first: 10, rows: u16::MAX, buckets: u16::MAX };
        let holders = ask(&mut chunk_map, &others, &ours, request);
        assert_eq!((holders.request.rows, holders.request.buckets), (MAX_STRIPS, MAX_BUCKETS));
        assert_eq!((holders.all, holders.rows.len()), (250, 240), "from the tenth on");
        assert_eq!(holders.rows[0].have, 240, "who helps most is first");
        // The last becomes the most useful; it stays where it is. A new one goes to the end.
        others[0] = source(1, set(&[(0, 600)]));
        chunk_map.heard(others[0].peer);
        others.push(source(251, ChunkSet::full(CHUNKS)));
        let request = StripRequest { first: 0, rows: 252, buckets: 10 };
        let holders = ask(&mut chunk_map, &others, &ours, request);
        assert_eq!(holders.rows[249].have, 600);
        assert_eq!(holders.rows[250].have, CHUNKS);
        // Not looked at: nothing is kept.
        let known =
            Known { chunks: CHUNKS, doing: Doing::Ordinary, found: None, others: Vec::new() };
        assert!(chunk_map.holders(None, &known, None).is_none());
        assert!(chunk_map.shown.is_empty());
    }
}
