//! Several contents on one connection take turns. What a source is asked for at once has a bound, and one
//! content alone fills it; the others stand in line here until there is room. Whose turn it is goes by the
//! bytes each has asked for, by weight (start-time fair queueing), so that a place that becomes free costs
//! one look, however many contents there are.

use std::collections::BTreeSet;

use common::id::ContentId;

/// Contents that a source has not been asked for as much of as they want.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: BTreeSet<(u64, ContentId)>,
    /// How far it has come. Who did not ask for a while has saved nothing up.
    turn: u64,
}

/// What came of asking a source for one thing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Asked,
    /// The source has enough to do.
    Full,
    /// A limit of the content, or the byte budget, stands against it.
    Held,
    /// There is nothing to ask it for.
    Nothing,
}

impl Line {
    /// A content with this turn wants more; its turn now.
    pub(super) fn join(&mut self, id: ContentId, turn: u64) -> u64 {
        // As a rule it is in line already: each chunk that is stored puts its content in line at every source.
        if turn >= self.turn && self.waiting.contains(&(turn, id)) {
            return turn;
        }
        self.waiting.remove(&(turn, id));
        let turn = turn.max(self.turn);
        self.waiting.insert((turn, id));
        turn
    }

    /// A content wants nothing more. Says whether it was in line.
    pub(super) fn leave(&mut self, id: ContentId, turn: u64) -> bool {
        self.waiting.remove(&(turn, id))
    }

    /// A content was asked for at this cost; its turn now. It is not in line any more.
    pub(super) fn asked(&mut self, id: ContentId, turn: u64, cost: u64) -> u64 {
        self.waiting.remove(&(turn, id));
        let from = turn.max(self.turn);
        let next = self.waiting.first().map_or(from, |(next, _)| *next);
        self.turn = self.turn.max(from.min(next));
        from.saturating_add(cost)
    }

    pub(super) fn next(&self) -> Option<ContentId> {
        self.waiting.first().map(|(_, id)| *id)
    }

    /// There is nothing to ask for of the content whose turn it was.
    pub(super) fn pass(&mut self, id: ContentId) {
        match self.waiting.first() {
            Some((_, first)) if *first == id => drop(self.waiting.pop_first()),
            _ => self.waiting.retain(|(_, of)| *of != id),
        }
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> impl Iterator<Item = &(u64, ContentId)> {
        self.waiting.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> ContentId {
        ContentId::from_bytes([n; 32])
    }

    #[test]
    fn turns_go_by_what_was_asked_for_and_rest_saves_nothing_up() {
        let mut line = Line::default();
        let mut turns = [0u64; 3];
        let mut served = [0u64; 3];
        for n in [0, 1] {
            turns[n] = line.join(id(n as u8), turns[n]);
        }
        for round in 0..300 {
            if round == 100 {
                turns[2] = line.join(id(2), 0);
            }
            let next = line.next().unwrap();
            let n = usize::from(next.as_bytes()[0]);
            // The second asks for thrice as much at once.
            let bytes = [100, 300, 100][n];
            served[n] += bytes;
            turns[n] = line.asked(next, turns[n], bytes);
            turns[n] = line.join(next, turns[n]);
        }
        let [first, second, late] = served;
        assert!(first.abs_diff(second) <= 300, "{served:?}");
        assert!(late < first, "it did not wait before: {served:?}");
        assert!(late > first / 2, "{served:?}");
        assert_eq!(line.waiting().count(), 3);
        for (n, turn) in turns.into_iter().enumerate() {
            assert!(line.leave(id(n as u8), turn));
        }
        assert_eq!(line.waiting().count(), 0);
    }
}
