//! A table that takes everybody, and when it is full drops at random one of the group that has most.

use std::collections::BTreeMap;

use super::AddrGroup;

/// A place in a [`FairTable`]; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u64);

/// At most so many values, each of an address group or exempt.
///
/// Putting one in always works; into a full table it costs one value of the largest group its place, the
/// new one counted and included. Groups of the same size, and the values of one group, are chosen among
/// at random: against one flooder's addresses everybody else is safe, and a flood from everywhere must
/// outnumber the table within the time that an honest handshake takes. All operations cost a logarithm.
#[derive(Debug)]
pub struct FairTable<T> {
    most: usize,
    next: u64,
    entries: BTreeMap<Slot, Entry<T>>,
    groups: BTreeMap<Owner, Group>,
    /// Groups by their number of values: the last ones have most.
    by_size: BTreeMap<usize, Vec<Owner>>,
}

#[derive(Debug)]
struct Entry<T> {
    value: T,
    owner: Owner,
    /// Its place among the slots of its group.
    at: usize,
}

/// Whom a value counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Group(AddrGroup),
    /// Exempt: for itself.
    Alone(Slot),
}

#[derive(Debug, Default)]
struct Group {
    slots: Vec<Slot>,
    /// Its place among the groups of its size.
    rank: usize,
}

impl<T> FairTable<T> {
    /// A table for `most` values, at least one.
    pub fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            next: 0,
            entries: BTreeMap::new(),
            groups: BTreeMap::new(),
            by_size: BTreeMap::new(),
        }
    }

    /// How many values are in it.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts a value in; without a group it is exempt and stands for itself. Returns its place and, if the
    /// table was full, what had to go: it may be this very value. `random` is any random number.
    pub fn insert(
        &mut self,
        group: Option<AddrGroup>,
        value: T,
        random: u64,
    ) -> (Slot, Option<(Slot, T)>) {
        let slot = Slot(self.next);
        self.next += 1;
        let owner = group.map_or(Owner::Alone(slot), Owner::Group);
        self.unrank(owner);
        let slots = &mut self.groups.entry(owner).or_default().slots;
        let at = slots.len();
        slots.push(slot);
        self.rank(owner);
        self.entries.insert(slot, Entry { value, owner, at });
        let dropped = if self.len() > self.most { self.drop_one(random) } else { None };
        (slot, dropped)
    }

    /// Takes a value out.
    pub fn remove(&mut self, slot: Slot) -> Option<T> {
        let Entry { value, owner, at } = self.entries.remove(&slot)?;
        self.unrank(owner);
        if let Some(group) = self.groups.get_mut(&owner) {
            if at < group.slots.len() {
                group.slots.swap_remove(at);
            }
            let moved = group.slots.get(at).copied();
            if group.slots.is_empty() {
                self.groups.remove(&owner);
            }
            if let Some(moved) = moved.and_then(|moved| self.entries.get_mut(&moved)) {
                moved.at = at;
            }
        }
        self.rank(owner);
        Some(value)
    }

    /// Drops a value at random from a group that has most, also if there is room (not of descriptors, say).
    pub fn drop_one(&mut self, random: u64) -> Option<(Slot, T)> {
        let (_, largest) = self.by_size.last_key_value()?;
        let (which, who) = (random >> 32, random & u64::from(u32::MAX));
        let owner = pick(largest, which)?;
        let slot = pick(&self.groups.get(owner)?.slots, who).copied()?;
        Some((slot, self.remove(slot)?))
    }

    /// Takes a group out of its place in the order of sizes, before it changes.
    fn unrank(&mut self, owner: Owner) {
        let Some(group) = self.groups.get(&owner) else { return };
        let (size, rank) = (group.slots.len(), group.rank);
        let Some(equals) = self.by_size.get_mut(&size) else { return };
        if rank < equals.len() {
            equals.swap_remove(rank);
        }
        let moved = equals.get(rank).copied();
        if equals.is_empty() {
            self.by_size.remove(&size);
        }
        if let Some(moved) = moved.and_then(|moved| self.groups.get_mut(&moved)) {
            moved.rank = rank;
        }
    }

    /// Puts a group where it belongs, after it changed.
    fn rank(&mut self, owner: Owner) {
        let Some(group) = self.groups.get_mut(&owner) else { return };
        let equals = self.by_size.entry(group.slots.len()).or_default();
        group.rank = equals.len();
        equals.push(owner);
    }
}

/// One of them, by a random number of 32 bits.
fn pick<T>(from: &[T], random: u64) -> Option<&T> {
    let len = u64::try_from(from.len()).ok().filter(|len| *len > 0)?;
    from.get(usize::try_from(random % len).ok()?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::super::{MOST_HALF_OPEN, MOST_HALF_OPEN_AT_PEER};
    use super::*;

    fn group(n: u32) -> AddrGroup {
        AddrGroup::V4(Ipv4Addr::from_bits(n))
    }

    /// Random numbers for simulations (xorshift64*).
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
        }
    }

    #[test]
    fn s6_one_address_takes_nobody_elses_place() {
        let (mut table, mut random) = (FairTable::new(32), Random(1));
        let honest: Vec<Slot> = (0..10)
            .map(|n| table.insert(Some(group(1000 + n)), "honest", random.next()).0)
            .collect();
        for _ in 0..10_000 {
            let (_, dropped) = table.insert(Some(group(7)), "flood", random.next());
            assert!(dropped.is_none_or(|(_, who)| who == "flood"));
        }
        assert_eq!(table.len(), 32);
        assert!(honest.into_iter().all(|slot| table.remove(slot) == Some("honest")));
        assert_eq!(table.len(), 22);
    }

    #[test]
    fn s6_exempt_ones_are_never_one_group() {
        let (mut table, mut random) = (FairTable::new(100), Random(1));
        for _ in 0..90 {
            table.insert(None, "near", random.next());
        }
        for _ in 0..1000 {
            let (_, dropped) = table.insert(Some(group(7)), "flood", random.next());
            assert!(dropped.is_none_or(|(_, who)| who == "flood"));
        }
        // And among themselves it is chance: the newcomer mostly stays.
        let mut table = FairTable::new(100);
        let stays = (0..2000).filter(|_| {
            let (slot, dropped) = table.insert(None, (), random.next());
            dropped.is_none_or(|(gone, ())| gone != slot)
        });
        assert!(stays.count() > 1900);
    }

    /// Honest handshakes that are through, of `honest`, while `rate` half-open connections a second come,
    /// each from an address of its own, and stay until `deadline` (all in milliseconds). The acceptor's part
    /// of a handshake in TLS 1.3 takes one round trip; HELLO comes with its end.
    fn through(most: usize, rate: u64, deadline: u64, rtt: u64) -> (u32, u32) {
        let (mut table, mut random) = (FairTable::new(most), Random(9));
        let mut ends: BTreeMap<u64, Vec<(Slot, bool)>> = BTreeMap::new();
        let mut addresses = 0;
        let (mut honest, mut done) = (0, 0);
        for ms in 0..20_000 {
            for (slot, is_honest) in ends.remove(&ms).unwrap_or_default() {
                let there = table.remove(slot).is_some();
                done += u32::from(there && is_honest);
            }
            let mut come = |is_honest, stays| {
                addresses += 1;
                let (slot, _) = table.insert(Some(group(addresses)), (), random.next());
                ends.entry(ms + stays).or_default().push((slot, is_honest));
            };
            (0..rate / 1000).for_each(|_| come(false, deadline));
            // From the moment on in which the table is as full as it gets.
            if (6_000..19_000).contains(&ms) && ms % 10 == 0 {
                honest += 1;
                come(true, rtt);
            }
        }
        (done, honest)
    }

    #[test]
    fn s6_a_flood_of_3000_a_second_leaves_19_of_20_in() {
        let (done, honest) = through(MOST_HALF_OPEN, 3_000, 4_000, 100);
        assert_eq!(done, honest, "at a tracker");
        let (done, honest) = through(MOST_HALF_OPEN_AT_PEER, 3_000, 4_000, 100);
        assert!(done * 20 >= honest * 19, "{done} of {honest}: at a peer");
        let (done, honest) = through(256, 3_000, 4_000, 100);
        assert!(done * 3 < honest * 2, "{done} of {honest}: what it was at a tracker");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(Option<u32>),
        Remove(usize),
        Drop,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => proptest::option::weighted(0.8, 0u32..6).prop_map(Step::Insert),
            2 => (0usize..64).prop_map(Step::Remove),
            1 => Just(Step::Drop),
        ]
    }

    proptest! {
        #[test]
        fn what_goes_is_of_a_largest_group(
            most in 1usize..20,
            steps in proptest::collection::vec((step(), any::<u64>()), 0..200),
        ) {
            let mut table = FairTable::new(most);
            let mut model: HashMap<Slot, Option<u32>> = HashMap::new();
            for (step, random) in steps {
                let gone = match step {
                    Step::Insert(of) => {
                        let (slot, gone) = table.insert(of.map(group), of, random);
                        model.insert(slot, of);
                        prop_assert_eq!(gone.is_some(), model.len() > most);
                        gone
                    }
                    Step::Remove(n) => {
                        let mut slots: Vec<Slot> = model.keys().copied().collect();
                        slots.sort_unstable();
                        if let Some(slot) = slots.get(n).copied() {
                            prop_assert_eq!(table.remove(slot), model.remove(&slot));
                            prop_assert_eq!(table.remove(slot), None);
                        }
                        None
                    }
                    Step::Drop => {
                        let gone = table.drop_one(random);
                        prop_assert_eq!(gone.is_none(), model.is_empty());
                        gone
                    }
                };
                if let Some((slot, of)) = gone {
                    let size = |of: Option<u32>| match of {
                        None => 1,
                        of => model.values().filter(|other| **other == of).count(),
                    };
                    let largest = model.values().map(|of| size(*of)).max();
                    prop_assert_eq!(Some(size(of)), largest);
                    prop_assert_eq!(model.remove(&slot), Some(of));
                }
                prop_assert_eq!(table.len(), model.len());
                prop_assert!(table.len() <= most);
                let counted: usize = table.groups.values().map(|g| g.slots.len()).sum();
                let ranked: usize = table.by_size.values().map(Vec::len).sum();
                prop_assert_eq!((counted, ranked), (model.len(), table.groups.len()));
            }
        }
    }
}
