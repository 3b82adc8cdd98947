//! Who is in the network, as the list of peers shows it: the members that the tracker names, and whoever we are
//! connected to, who may have been named earlier or not at all.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::Instant;

use common::id::PeerId;
use common::numbers::saturate;

use crate::filter::Filter;
use crate::model::Sort;
use crate::panes::files::state::peer::{Peer, order};
use crate::panes::files::state::roll::{GAP, MAX_FOUND, MAX_MEMBERS, Roll};
use engine::api::command::CommandError;
use engine::api::snapshot::{MemberRow, Page, PeerRow};

/// What the tracker said, and the rows that come of it.
#[derive(Debug, Default)]
pub struct Crowd {
    /// By nick, as far as they are kept.
    everybody: Roll,
    /// Those that a word of the filter means, where not everybody is kept.
    found: Roll,
    /// Why they are not known.
    pub error: Option<String>,
    /// The question that waits for its answer, and what it is for. One at a time.
    asking: Option<(u64, List)>,
    /// Questions there were.
    asked: u64,
    /// When a word of the filter may be asked for that was typed just now.
    typed: Option<Instant>,
    /// Whether the list is seen.
    pub open: bool,
    /// Where each member stands.
    places: HashMap<PeerId, (List, usize)>,
    /// Everybody once, to be referred to by the rows of the list.
    all: Vec<Somebody>,
}

/// Which of the two lists of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Everybody,
    Found,
}

/// A member, a connected peer, or both: places among those.
#[derive(Debug, Clone, Copy)]
struct Somebody {
    peer: PeerId,
    member: Option<(List, usize)>,
    connected: Option<usize>,
}

/// A page to ask for.
#[derive(Debug, PartialEq, Eq)]
pub struct Ask {
    /// Comes back with the answer.
    pub number: u64,
    /// Part of a nick, or the beginning of a key; empty for all.
    pub query: String,
    /// Where the page before ended.
    pub cursor: Vec<u8>,
}

impl Crowd {
    /// Whether anything is known of members.
    pub fn has_members(&self) -> bool {
        !self.everybody.members.is_empty()
    }

    /// Members kept of how many there are, if that is not all, and whether a search found more than are kept.
    pub fn kept_of(&self) -> Option<(usize, u32, bool)> {
        let full = self.everybody.is_full(MAX_MEMBERS);
        let more = self.found.is_full(MAX_FOUND);
        full.then_some((self.everybody.members.len(), self.everybody.total, more))
    }

    /// People in the list without its filter.
    pub fn total(&self) -> usize {
        let total = saturate::<usize>(self.everybody.total);
        if self.has_members() { self.all.len().max(total) } else { self.all.len() }
    }

    /// The page to ask for now, if one is wanted: of all members, or of those that `word` of the filter means.
    pub fn next(&mut self, now: Instant, word: Option<&str>) -> Option<Ask> {
        if self.asking.is_some() {
            return None;
        }
        let word = word.filter(|_| self.everybody.is_full(MAX_MEMBERS));
        let (list, roll, cursor) = match self.next_found(now, word) {
            Some(cursor) => (List::Found, &self.found, cursor),
            None => {
                let cursor = self.everybody.next(now, MAX_MEMBERS)?;
                (List::Everybody, &self.everybody, cursor)
            }
        };
        self.asked += 1;
        self.asking = Some((self.asked, list));
        Some(Ask { number: self.asked, query: roll.query.clone(), cursor })
    }

    fn next_found(&mut self, now: Instant, word: Option<&str>) -> Option<Vec<u8>> {
        self.typed = None;
        let word = word?;
        // Whose nick has the longer word in it, or whose key begins so, was found by its beginning.
        let known = self.found.whole && !self.found.query.is_empty();
        if word != self.found.query && !(known && word.starts_with(&self.found.query)) {
            let from = self.found.asked_at().map(|at| at + GAP);
            if from.is_some_and(|from| now < from) {
                self.typed = from;
                return None;
            }
            self.found.ask_for(word);
        }
        self.found.next(now, MAX_FOUND)
    }

    /// When a page is to be asked for next.
    pub fn deadline(&self) -> Option<Instant> {
        if self.asking.is_some() {
            return None;
        }
        let stale = [self.everybody.stale_at(), self.found.stale_at()];
        stale.into_iter().chain([self.typed]).flatten().min()
    }

    /// Takes an answer; false if it is not the one that is waited for.
    pub fn told(
        &mut self,
        number: u64,
        now: Instant,
        result: Result<Page<MemberRow>, CommandError>,
    ) -> bool {
        let Some((_, list)) = self.asking.take_if(|(asked, _)| *asked == number) else {
            return false;
        };
        let (roll, most) = match list {
            List::Everybody => (&mut self.everybody, MAX_MEMBERS),
            List::Found => (&mut self.found, MAX_FOUND),
        };
        match result {
            Ok(page) => {
                self.error = None;
                roll.take(page, most);
            }
            Err(error) => {
                self.error = Some(common::names::show(&error.message));
                roll.failed(now);
            }
        }
        self.place();
        true
    }

    /// Another network, or none: whatever is on its way is not of it.
    pub fn forget(&mut self) {
        *self = Self { asked: self.asked, open: self.open, ..Self::default() };
    }

    /// Notes where everybody stands. A tracker that names somebody twice is believed the first time.
    fn place(&mut self) {
        self.places.clear();
        let everybody = self.everybody.members.iter().enumerate();
        let everybody = everybody.map(|(at, member)| (member.row.peer, (List::Everybody, at)));
        let found = self.found.members.iter().enumerate();
        let found = found.map(|(at, member)| (member.row.peer, (List::Found, at)));
        for (peer, place) in everybody.chain(found) {
            self.places.entry(peer).or_insert(place);
        }
    }

    /// Whether an answer is on its way for those that are found.
    fn is_searching(&self) -> bool {
        self.asking.is_some_and(|(_, list)| list == List::Found)
    }

    fn roll(&self, list: List) -> &Roll {
        match list {
            List::Everybody => &self.everybody,
            List::Found => &self.found,
        }
    }

    /// Who stands in a row.
    pub fn get<'a>(&'a self, at: usize, connected: &'a [PeerRow]) -> Option<Peer<'a>> {
        let somebody = self.all.get(at)?;
        let known = somebody.member.and_then(|(list, at)| self.roll(list).members.get(at));
        Some(Peer {
            peer: somebody.peer,
            member: known.map(|known| &known.row),
            connected: somebody.connected.and_then(|at| connected.get(at)),
            known,
        })
    }

    /// Which row somebody stands in, of `rows`.
    pub fn find(&self, rows: &[u32], peer: PeerId) -> Option<usize> {
        rows.iter().position(|at| self.all.get(*at as usize).is_some_and(|row| row.peer == peer))
    }

    /// Puts members and connected peers together: first the connected ones. `word` is what the filter looks for; those
    /// that were found for it go with it.
    pub fn gather(&mut self, connected: &[PeerRow], word: Option<&str>) {
        let searched = word.is_some() && self.everybody.is_full(MAX_MEMBERS);
        if !searched && self.found.asked_at().is_some() && !self.is_searching() {
            self.found = Roll::default();
            self.place();
        }
        let mut used =
            [vec![false; self.everybody.members.len()], vec![false; self.found.members.len()]];
        let mut all = std::mem::take(&mut self.all);
        all.clear();
        for (at, row) in connected.iter().enumerate() {
            let member = self.places.get(&row.peer).copied();
            if let Some((list, at)) = member
                && let Some(used) = used.get_mut(list as usize).and_then(|used| used.get_mut(at))
            {
                *used = true;
            }
            all.push(Somebody { peer: row.peer, member, connected: Some(at) });
        }
        for list in [List::Everybody, List::Found] {
            let used = used.get(list as usize).into_iter().flatten();
            for (at, (member, used)) in self.roll(list).members.iter().zip(used).enumerate() {
                let (peer, place) = (member.row.peer, (list, at));
                if !used && self.places.get(&peer) == Some(&place) {
                    let member = Some(place);
                    all.push(Somebody { peer, member, connected: None });
                }
            }
        }
        self.all = all;
    }

    /// The rows that match, in order.
    pub fn rows(
        &self,
        connected: &[PeerRow],
        filter: &Filter,
        (sort, reverse): (Sort, bool),
        unix: u64,
    ) -> Vec<u32> {
        let get = |at: &u32| self.get(*at as usize, connected);
        let mut out: Vec<u32> = (0..saturate::<u32>(self.all.len()))
            .filter(|at| {
                filter.is_empty() || get(at).is_some_and(|peer| peer.matches(filter, unix))
            })
            .collect();
        out.sort_by(|a, b| match (get(a), get(b)) {
            (Some(a), Some(b)) => order(&a, &b, sort),
            _ => Ordering::Equal,
        });
        if reverse {
            out.reverse();
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::api::command::CommandErrorKind;

    fn key(n: u32) -> PeerId {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&n.to_be_bytes());
        PeerId::from_bytes(key)
    }

    fn member(n: u32, nick: &str) -> MemberRow {
        let addr = ([10, 0, 0, u8::try_from(n % 250).unwrap()], 7421);
        MemberRow { peer: key(n), nick: nick.into(), addrs: vec![addr.into()], shares: n, since: 0 }
    }

    fn connected(n: u32, up_rate: f64) -> PeerRow {
        PeerRow {
            peer: key(n),
            nick: String::new(),
            addr: ([10, 0, 1, u8::try_from(n % 250).unwrap()], 1).into(),
            down_rate: 0.0,
            up_rate,
            down: 0,
            up: 0,
            contents: 1,
            rtt_ms: None,
            since: Instant::now(),
            way: engine::api::snapshot::Way::Dialled,
            upload: engine::api::snapshot::Upload::Idle,
            takes: Vec::new(),
        }
    }

    /// Answers from a network of so many until nothing more is asked; how many questions there were.
    fn serve(crowd: &mut Crowd, now: Instant, word: Option<&str>, network: u32) -> usize {
        let mut asks = 0;
        while let Some(ask) = crowd.next(now, word) {
            asks += 1;
            let from = ask.cursor.try_into().map_or(0, u32::from_be_bytes);
            let nick = |n: &u32| format!("n-{n:05}").contains(&ask.query);
            let mut rows = (from..network).filter(nick);
            let page: Vec<MemberRow> =
                rows.by_ref().take(200).map(|n| member(n, &format!("n-{n:05}"))).collect();
            let last = page.last().map_or(0, |row| row.shares + 1);
            let cursor = rows.next().map_or(Vec::new(), |_| last.to_be_bytes().to_vec());
            let page = Page { rows: page, total: network, cursor };
            assert!(crowd.told(ask.number, now, Ok(page)));
        }
        asks
    }

    #[test]
    fn c4_members_and_connections_are_one_list_in_which_nobody_stands_twice() {
        let rows = vec![member(1, "Ann"), member(2, "bob"), member(2, "bob"), member(3, "cid")];
        let mut crowd = Crowd::default();
        let ask = crowd.next(Instant::now(), None).unwrap();
        let page = Page { rows, total: 3, cursor: Vec::new() };
        assert!(crowd.told(ask.number, Instant::now(), Ok(page)));
        // The tracker does not name the last one (any more).
        let there = [connected(3, 1.0), connected(9, 2.0)];
        crowd.gather(&there, None);
        let shown = |filter: &str, sort, reverse| -> Vec<(u32, bool, bool)> {
            let rows = crowd.rows(&there, &Filter::parse(filter), (sort, reverse), 100);
            let peers = rows.iter().map(|at| crowd.get(*at as usize, &there).unwrap());
            let n =
                |peer: &Peer<'_>| u32::from_be_bytes(*peer.peer.as_bytes().first_chunk().unwrap());
            peers.map(|p| (n(&p), p.member.is_some(), p.connected.is_some())).collect()
        };
        let all = [(9, false, true), (3, true, true), (1, true, false), (2, true, false)];
        assert_eq!(shown("", Sort::Given, false), all);
        assert_eq!(shown("", Sort::Sources, false), all);
        let keys =
            |rows: Vec<(u32, bool, bool)>| rows.into_iter().map(|row| row.0).collect::<Vec<_>>();
        assert_eq!(keys(shown("", Sort::Name, false)), [9, 1, 2, 3]);
        assert_eq!(keys(shown("", Sort::Name, true)), [3, 2, 1, 9]);
        assert_eq!(keys(shown("", Sort::Size, false)), [3, 2, 1, 9], "most shares first");
        assert_eq!(keys(shown("bo", Sort::Given, false)), [2]);
        assert_eq!(keys(shown("cid", Sort::Given, false)), [3]);
        assert_eq!(keys(shown("10.0.1.", Sort::Given, false)), [9, 3], "where it is connected");
        assert_eq!(keys(shown("age:>50", Sort::Given, false)), [3, 1, 2]);
        let one = format!("peer:{}", key(1));
        assert_eq!(keys(shown(&one, Sort::Given, false)), [1]);
    }

    #[test]
    fn c4_fifty_thousand_members_are_read_as_far_as_is_kept_and_the_rest_is_searched() {
        let (mut crowd, mut now) = (Crowd::default(), Instant::now());
        assert_eq!(serve(&mut crowd, now, None, 50_000), MAX_MEMBERS / 200);
        crowd.gather(&[], None);
        assert_eq!((crowd.all.len(), crowd.total()), (MAX_MEMBERS, 50_000));
        assert_eq!(crowd.kept_of(), Some((MAX_MEMBERS, 50_000, false)));
        // Nothing for a while, then all of it once more.
        assert_eq!(serve(&mut crowd, now + GAP, None, 50_000), 0);
        now = crowd.deadline().unwrap();
        assert_eq!(serve(&mut crowd, now, None, 50_000), MAX_MEMBERS / 200);
        let shown = |crowd: &mut Crowd, word: &str| {
            let filter = Filter::parse(word);
            crowd.gather(&[], filter.needed_peer());
            crowd.rows(&[], &filter, (Sort::Given, false), 0).len()
        };
        assert_eq!(shown(&mut crowd, "n-4"), 0);
        assert_eq!(serve(&mut crowd, now, Some("n-4"), 50_000), MAX_FOUND / 200);
        assert_eq!(shown(&mut crowd, "n-4"), MAX_FOUND);
        assert!(crowd.kept_of().unwrap().2, "there are more");
        // What is typed on in a hurry waits, and is then looked for again, since not all were there.
        assert_eq!(serve(&mut crowd, now, Some("n-4999"), 50_000), 0);
        now = crowd.deadline().unwrap();
        assert_eq!(serve(&mut crowd, now, Some("n-4999"), 50_000), 1);
        assert_eq!(shown(&mut crowd, "n-4999"), 10);
        assert_eq!(serve(&mut crowd, now + GAP, Some("n-49999"), 50_000), 0, "is among those");
        assert_eq!(shown(&mut crowd, "n-49999"), 1);
        // A key may begin with what only the middle of another word has.
        assert_eq!(serve(&mut crowd, now + GAP, Some("x-n-4999"), 50_000), 1, "is another word");
        crowd.gather(&[], None);
        assert_eq!(
            (crowd.all.len(), crowd.kept_of().map(|kept| kept.2)),
            (MAX_MEMBERS, Some(false))
        );
        assert_eq!(shown(&mut crowd, "n-4"), 0, "the search is over");
    }

    #[test]
    fn c4_a_refusal_keeps_what_is_known_and_is_tried_again_later() {
        let (mut crowd, now) = (Crowd::default(), Instant::now());
        let refusal = |message: &str| CommandError {
            kind: CommandErrorKind::Invalid,
            message: message.to_owned(),
        };
        let ask = crowd.next(now, None).unwrap();
        assert_eq!(crowd.next(now, None), None, "one at a time");
        assert!(!crowd.told(ask.number + 1, now, Err(refusal("of another"))));
        assert!(crowd.told(ask.number, now, Err(refusal("older\u{1b}"))));
        assert_eq!(crowd.error.as_deref(), Some("older\\u{1b}"));
        assert_eq!(crowd.next(now, None), None);
        let later = crowd.deadline().unwrap();
        assert!(later > now);
        assert_eq!(serve(&mut crowd, later, None, 450), 3);
        crowd.gather(&[], None);
        assert_eq!((crowd.error.as_deref(), crowd.total()), (None, 450));
        // The next time it fails on the second page.
        let later = crowd.deadline().unwrap();
        let ask = crowd.next(later, None).unwrap();
        let page = Page { rows: vec![member(1, "x")], total: 450, cursor: vec![1] };
        assert!(crowd.told(ask.number, later, Ok(page)));
        let ask = crowd.next(later, None).unwrap();
        assert!(crowd.told(ask.number, later, Err(refusal("gone"))));
        crowd.gather(&[], None);
        assert_eq!((crowd.all.len(), crowd.next(later, None)), (450, None));
        // An answer that was on its way when the network was left is of no use.
        let ask = crowd.next(crowd.deadline().unwrap(), None).unwrap();
        crowd.forget();
        let page = Page { rows: vec![member(1, "x")], total: 1, cursor: Vec::new() };
        assert!(!crowd.told(ask.number, now, Ok(page)) && !crowd.has_members());
    }

    #[test]
    fn c4_a_tracker_whose_pages_never_end_is_asked_no_more_than_others() {
        let (mut crowd, now) = (Crowd::default(), Instant::now());
        let mut asks = 0;
        while let Some(ask) = crowd.next(now, None) {
            asks += 1;
            assert!(asks <= 1000, "for ever");
            let page = Page { rows: Vec::new(), total: 7, cursor: vec![u8::from(asks % 2 == 0)] };
            assert!(crowd.told(ask.number, now, Ok(page)));
        }
        assert!(crowd.deadline().unwrap() > now);
    }
}
