//! Searches against one that looks at every row and knows no shortcut, and pages of them while the catalogue changes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::support::{digest, file, id};
use common::id::{ContentId, PeerId};
use common::wire::tracker::{FileMeta, FileRow, Sort};
use proptest::prelude::*;
use tracker::index::{Arrival, Index, Limits, Page, SessionId};

const NOW: u64 = 1_700_000_000_000;
const CONTENTS: usize = 150;
const SORTS: [Sort; 4] = [Sort::Name, Sort::Size, Sort::Sources, Sort::Newest];

/// What a peer does to the catalogue.
#[derive(Debug, Clone)]
enum Change {
    Share { peer: usize, content: usize, name: String },
    Unshare { peer: usize, content: usize },
}

struct World {
    index: Index,
    peers: Vec<SessionId>,
    now: u64,
}

fn change() -> impl Strategy<Value = Change> {
    let (peer, content) = (0usize..3, 0..CONTENTS);
    prop_oneof![
        4 => (peer.clone(), content.clone(), "[abAB\u{e9}]{1,5}")
            .prop_map(|(peer, content, name)| Change::Share { peer, content, name }),
        1 => (peer, content).prop_map(|(peer, content)| Change::Unshare { peer, content }),
    ]
}

fn query() -> impl Strategy<Value = String> {
    "([ab\u{e9}]{1,4}( [abB\u{e9}]{1,4}){0,2})?(\\|[ab\u{e9}]{1,4})?"
}

fn content(n: usize) -> FileMeta {
    file(&format!("content {n}"), n as u64 % 5)
}

impl World {
    fn new(limits: Limits) -> Self {
        let mut index = Index::new(limits);
        let peers = (1..=3u8).map(|n| {
            let ip = IpAddr::from([10, 0, 0, n]);
            let (peer, nick) = (PeerId::from_bytes([n; 32]), String::new());
            let digest = digest(&[]);
            let arrival =
                Arrival { peer, nick, observed: ip, via: ip, port: 7, local: vec![], digest };
            index.arrive(NOW, arrival).unwrap().session
        });
        let peers = peers.collect();
        Self { index, peers, now: NOW }
    }

    /// Makes a change; a content that is no longer shared by all who were its owners.
    fn make(&mut self, change: &Change) {
        self.now += 700;
        match change {
            Change::Share { peer, content: n, name } => {
                let meta = FileMeta { name: name.clone(), ..content(*n) };
                let peer = self.peers[*peer];
                self.index.register(self.now, peer, &[meta], false, false).unwrap();
            }
            Change::Unshare { peer, content: n } => {
                self.index.unregister(self.peers[*peer], &[id(&content(*n))]).unwrap();
            }
        }
    }

    fn pages(&self, query: &str, limit: usize, sort: Sort) -> Vec<Page> {
        let (mut pages, mut cursor) = (Vec::new(), Vec::new());
        loop {
            let page = self.index.list(query, &cursor, limit, sort).unwrap();
            cursor.clone_from(&page.cursor);
            pages.push(page);
            if cursor.is_empty() {
                return pages;
            }
        }
    }
}

/// As the page of the protocol has it: all words of one alternative in one name.
fn matches(row: &FileRow, query: &str) -> bool {
    let query = query.to_lowercase();
    let alternatives: Vec<Vec<&str>> =
        query.split('|').map(|words| words.split_whitespace().collect()).collect();
    let mut names = row.aliases.iter().chain([&row.meta.name]).map(|name| name.to_lowercase());
    alternatives.iter().all(Vec::is_empty)
        || names.any(|name| {
            alternatives
                .iter()
                .any(|words| !words.is_empty() && words.iter().all(|word| name.contains(word)))
        })
}

fn id_of(row: &FileRow) -> ContentId {
    row.meta.descriptor.id()
}

fn linear(world: &World, query: &str, sort: Sort) -> Vec<FileRow> {
    let mut rows: Vec<FileRow> =
        world.pages("", 7, Sort::Name).into_iter().flat_map(|page| page.rows).collect();
    rows.retain(|row| matches(row, query));
    let number = |row: &FileRow| match sort {
        Sort::Name => 0,
        Sort::Size => !row.meta.total,
        Sort::Sources => !u64::from(row.sources),
        Sort::Newest => !row.first_seen,
    };
    rows.sort_by_key(|row| (number(row), row.meta.name.to_lowercase(), id_of(row)));
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_what_one_that_looks_at_every_row_finds(
        changes in proptest::collection::vec(change(), 0..200),
        queries in proptest::collection::vec(query(), 1..4),
        limit in 1usize..30,
        looks in 1usize..40,
        counted in prop_oneof![Just(0usize), Just(5), Just(1000)],
    ) {
        let mut world = World::new(Limits { looks, counted, ..Limits::default() });
        changes.iter().for_each(|change| world.make(change));
        for query in &queries {
            for sort in SORTS {
                let want = linear(&world, query, sort);
                let pages = world.pages(query, limit, sort);
                let total = pages[0].total as usize;
                prop_assert!(pages.iter().all(|page| page.total as usize == total));
                prop_assert!(total >= want.len() && (counted < total || total == want.len()), "{query:?}: {total}");
                // A page may be shorter, if what seemed to match did not, but not empty.
                prop_assert!(pages.iter().rev().skip(1).all(|page| !page.rows.is_empty()));
                let rows: Vec<FileRow> = pages.into_iter().flat_map(|page| page.rows).collect();
                prop_assert_eq!(rows, want, "{:?} by {:?}", query, sort);
            }
        }
    }

    #[test]
    fn what_is_there_all_the_time_is_found_once_whatever_changes_between_two_steps(
        start in proptest::collection::vec(change(), 100..200),
        meanwhile in proptest::collection::vec(change(), 0..40),
        query in query(),
        by in 0usize..4,
        limit in 1usize..20,
        looks in 1usize..8,
        counted in prop_oneof![Just(0usize), Just(1000)],
    ) {
        // By the number of sources rows change their places, and may be passed.
        let sort = [Sort::Name, Sort::Size, Sort::Newest, Sort::Size][by];
        let mut world = World::new(Limits { looks, counted, ..Limits::default() });
        start.iter().for_each(|change| world.make(change));
        let before: BTreeMap<ContentId, FileRow> =
            linear(&world, &query, sort).into_iter().map(|row| (id_of(&row), row)).collect();
        let mut kept = before.clone();
        let mut seen: BTreeMap<ContentId, usize> = BTreeMap::new();
        let mut meanwhile = meanwhile.iter();
        let mut cursor = Vec::new();
        loop {
            let mut search = world.index.search(&query, &cursor, limit, sort).unwrap();
            let page = loop {
                if let Some(page) = world.index.advance(&mut search) {
                    break page;
                }
                if let Some(change) = meanwhile.next() {
                    world.make(change);
                    let rows = world.pages("", 500, Sort::Name).into_iter().flat_map(|page| page.rows);
                    let now: BTreeMap<ContentId, FileRow> = rows.map(|row| (id_of(&row), row)).collect();
                    // One that got another name stands elsewhere.
                    kept.retain(|id, row| now.get(id).is_some_and(|now| {
                        now.meta == row.meta && now.aliases == row.aliases && now.first_seen == row.first_seen
                    }));
                }
            };
            page.rows.iter().for_each(|row| *seen.entry(id_of(row)).or_default() += 1);
            cursor = page.cursor;
            if cursor.is_empty() {
                break;
            }
        }
        for id in kept.keys() {
            prop_assert_eq!(seen.get(id), Some(&1));
        }
    }
}
