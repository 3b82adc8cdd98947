//! The connected sources of one content: who has all of it, who has part of it.
//!
//! Two lists with swap-remove: joining, leaving and drawing `k` members at random cost the same in a
//! swarm of ten and of a hundred thousand. Each member's place is kept with the peer; whoever takes
//! one out must tell the peer that moved into the gap.

use std::collections::HashSet;

use common::numbers::saturate;

/// Which of the two lists a member is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Has every chunk.
    Seeds,
    /// Has some chunks.
    Partials,
}

/// Where a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) part: Part,
    pub(super) at: u32,
}

/// How many are in no swarm, but count in the row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Resting {
    pub(super) seeds: u32,
    pub(super) partials: u32,
}

impl Resting {
    pub(super) fn add(&mut self, part: Part) {
        let count = self.of(part);
        *count = count.saturating_add(1);
    }

    pub(super) fn remove(&mut self, part: Part) {
        let count = self.of(part);
        *count = count.saturating_sub(1);
    }

    fn of(&mut self, part: Part) -> &mut u32 {
        match part {
            Part::Seeds => &mut self.seeds,
            Part::Partials => &mut self.partials,
        }
    }
}

/// Handles of the connected peers that have at least one chunk.
#[derive(Debug, Default)]
pub(super) struct Swarm {
    seeds: Members,
    partials: Members,
}

/// Most contents have one source, or none: no list is kept for that.
#[derive(Debug, Default)]
enum Members {
    #[default]
    None,
    One(u32),
    // Boxed: 16 bytes for each of two million rows, not 24.
    Many(Box<List>),
}

#[derive(Debug)]
struct List(Vec<u32>);

impl Members {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(peer) => std::slice::from_ref(peer),
            Self::Many(list) => &list.0,
        }
    }

    fn push(&mut self, peer: u32) {
        match self {
            Self::None => *self = Self::One(peer),
            Self::One(first) => *self = Self::Many(Box::new(List(vec![*first, peer]))),
            Self::Many(list) => list.0.push(peer),
        }
    }

    /// Takes out who is at a place there is; the last one is there then.
    fn swap_remove(&mut self, at: usize) {
        match self {
            Self::None => {}
            Self::One(_) => *self = Self::None,
            Self::Many(list) => {
                list.0.swap_remove(at);
                if let [left] = list.0[..] {
                    *self = Self::One(left);
                }
            }
        }
    }
}

impl Swarm {
    pub(super) fn seeds(&self) -> u32 {
        saturate::<u32>(self.seeds.as_slice().len())
    }

    pub(super) fn partials(&self) -> u32 {
        saturate::<u32>(self.partials.as_slice().len())
    }

    pub(super) fn len(&self) -> usize {
        self.seeds.as_slice().len() + self.partials.as_slice().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of its members.
    pub(super) fn first(&self) -> Option<u32> {
        let first = |members: &Members| members.as_slice().first().copied();
        first(&self.seeds).or_else(|| first(&self.partials))
    }

    /// Adds a peer that is not in it.
    pub(super) fn add(&mut self, peer: u32, part: Part) -> Place {
        let members = self.part_mut(part);
        let at = saturate::<u32>(members.as_slice().len());
        members.push(peer);
        Place { part, at }
    }

    /// Takes a member out. Returns the peer that now stands at `place`, if one moved there.
    pub(super) fn remove(&mut self, place: Place) -> Option<u32> {
        let members = self.part_mut(place.part);
        let at = place.at as usize;
        if at < members.as_slice().len() {
            members.swap_remove(at);
        }
        members.as_slice().get(at).copied()
    }

    /// At most `k` distinct members, drawn at random: half seeds, half partials, and more of the one
    /// where the other has not enough. O(k).
    pub(super) fn sample(&self, k: usize, rng: &mut fastrand::Rng) -> Vec<u32> {
        let k = k.min(self.len());
        let half = k.div_ceil(2);
        let (all, parts) = (self.seeds.as_slice(), self.partials.as_slice());
        let seeds = half.min(all.len()).max(k.saturating_sub(parts.len()));
        let mut out = draw(all, seeds, rng);
        out.extend(draw(parts, k.saturating_sub(seeds), rng));
        rng.shuffle(&mut out);
        out
    }

    fn part_mut(&mut self, part: Part) -> &mut Members {
        match part {
            Part::Seeds => &mut self.seeds,
            Part::Partials => &mut self.partials,
        }
    }
}

/// `k` distinct elements, every subset equally likely (R. Floyd, Communications of the ACM 30(9), 1987).
fn draw(from: &[u32], k: usize, rng: &mut fastrand::Rng) -> Vec<u32> {
    let k = k.min(from.len());
    if k == from.len() {
        return from.to_vec();
    }
    let mut chosen = HashSet::with_capacity(k);
    for last in from.len() - k..from.len() {
        let pick = rng.usize(..=last);
        if !chosen.insert(pick) {
            chosen.insert(last);
        }
    }
    chosen.into_iter().filter_map(|at| from.get(at).copied()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sample_mixes_seeds_and_partials() {
        let mut swarm = Swarm::default();
        for peer in 0..1010 {
            swarm.add(peer, if peer < 1000 { Part::Seeds } else { Part::Partials });
        }
        let mut rng = fastrand::Rng::with_seed(1);
        let sample = swarm.sample(50, &mut rng);
        assert_eq!(sample.len(), 50);
        assert_eq!(sample.iter().filter(|peer| **peer >= 1000).count(), 10);
        assert_eq!(swarm.sample(10, &mut rng).iter().filter(|peer| **peer >= 1000).count(), 5);
        assert_eq!(swarm.sample(5000, &mut rng).len(), 1010);
        assert!(swarm.sample(0, &mut rng).is_empty());
    }

    #[test]
    fn every_member_is_drawn_as_often() {
        let members: Vec<u32> = (0..20).collect();
        let mut rng = fastrand::Rng::with_seed(7);
        let mut seen = [0u32; 20];
        for _ in 0..4000 {
            draw(&members, 5, &mut rng).into_iter().for_each(|m| seen[m as usize] += 1);
        }
        // 1000 expected each; 5 standard deviations are about 137.
        assert!(seen.iter().all(|n| (850..1150).contains(n)), "{seen:?}");
    }

    proptest! {
        #[test]
        fn members_are_those_added_and_not_removed(ops in proptest::collection::vec((any::<bool>(), 0usize..30), 0..200)) {
            let mut swarm = Swarm::default();
            let mut places: Vec<(u32, Place)> = Vec::new();
            for (next, (add, at)) in (0u32..).zip(ops) {
                if add || places.is_empty() {
                    let part = if at % 2 == 0 { Part::Seeds } else { Part::Partials };
                    places.push((next, swarm.add(next, part)));
                } else {
                    let (_, place) = places.swap_remove(at % places.len());
                    if let Some(moved) = swarm.remove(place) {
                        places.iter_mut().find(|(peer, _)| *peer == moved).unwrap().1 = place;
                    }
                }
            }
            let mut all = swarm.sample(usize::MAX, &mut fastrand::Rng::with_seed(1));
            let mut want: Vec<_> = places.into_iter().map(|(peer, _)| peer).collect();
            all.sort_unstable();
            want.sort_unstable();
            prop_assert_eq!(all, want);
        }
    }
}
