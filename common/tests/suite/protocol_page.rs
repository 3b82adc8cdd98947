//! `PROTOCOL.md` is written for strangers, who have nothing else: what stands there in bytes and numbers is what
//! the program has.

use std::collections::BTreeMap;

use common::content::{Descriptor, Kind};
use common::hash::sha256;
use common::id::Hash;
use common::identity::Identity;
use common::join::Secret;
use common::limits::*;
use common::manifest::Manifest;
use common::membership::Membership;
use common::merkle::{ChunkHashes, HashRange, block_hashes, chunk_hash, pad_hash};
use common::wire::Code;
use common::wire::tracker::share_digest;

const PAGE: &str = include_str!("../../PROTOCOL.md");
const GOLDEN: [&str; 3] = [
    include_str!("../golden/peer.txt"),
    include_str!("../golden/requests.txt"),
    include_str!("../golden/replies.txt"),
];

fn has(text: &str) {
    assert!(PAGE.contains(text), "the page does not have {text}");
}

/// A type, and what may be a body.
fn is_message(kind: &str, body: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    kind.len() == 2 && hex(kind) && body.len() > 2 && body.len().is_multiple_of(2) && hex(body)
}

#[test]
fn messages_on_the_page_are_recorded_ones() {
    let recorded: Vec<&str> = GOLDEN.iter().flat_map(|file| file.lines()).collect();
    let quoted = PAGE.split('`').filter(|part| !part.contains('\n')).chain(PAGE.lines());
    let mut seen = 0;
    for (kind, body) in quoted.filter_map(|text| text.split_once(' ')) {
        if is_message(kind, body) {
            let line = format!("{kind} {body}");
            let known = recorded.iter().any(|known| match body.len() {
                // Two of them are given without their hashes.
                n if n < 20 => known.starts_with(&line),
                _ => *known == line,
            });
            assert!(known, "{line} is not recorded");
            seen += 1;
        }
    }
    assert!(seen >= 30, "{seen}");
}

#[test]
fn every_type_has_a_row() {
    let sections = [("## 11.", 0), ("## 9.", 1), ("## 9.", 2)];
    for (begin, file) in sections {
        let begin = PAGE.find(begin).unwrap();
        let rest = PAGE.get(begin + 3..).unwrap();
        let section = rest.split("\n## ").next().unwrap();
        for line in GOLDEN[file].lines() {
            let row = format!("\n| 0x{} |", &line[..2]);
            assert!(section.contains(&row), "no row for {row}");
        }
    }
}

#[test]
fn limits_and_codes_are_those_of_the_program() {
    let mut there = BTreeMap::new();
    for row in PAGE.lines().filter(|line| line.starts_with("| `M") || line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        for pair in cells.windows(2) {
            if let Ok(value) = pair[1].parse::<u64>() {
                there.insert(pair[0].trim_matches('`'), value);
            }
        }
    }
    macro_rules! same {
        ($($name:ident)*) => { $(assert_eq!(
            there.remove(stringify!($name)),
            Some(u64::try_from($name).unwrap()),
            stringify!($name)
        );)* };
    }
    same! {
        BLOCK_LEN MIN_CHUNK_LEN TYPICAL_MAX_CHUNK_LEN MAX_CHUNK_LEN MAX_CHUNKS MAX_FOLDER_CHUNKS
        MAX_MANIFEST_LEN MAX_MANIFEST_ENTRIES MAX_PATH_DEPTH MAX_NAME_LEN MAX_PATH_LEN
        MAX_FRAME_BEFORE_HELLO MAX_DATA_LEN MIN_DATA_LEN MAX_PEER_FRAME MAX_TRACKER_FRAME
        MAX_MSGPACK_DEPTH REQUEST_ALIGN MAX_REQ_ANY MAX_HAVE_RUNS MAX_PROOF MAX_AGENT MAX_REGISTER
        MAX_LIST_ROWS MAX_LOCATIONS MAX_CHUNK_REGISTER MAX_WATCHES MAX_FILES_PER_PEER MAX_ALIASES
        MAX_ADDRS MAX_QUERY MAX_QUERY_ALTERNATIVES MAX_QUERY_WORDS MAX_MEMBERS MAX_MEMBER_CURSOR
        MAX_NICK MAX_DELTA MAX_COUNTS MAX_OPEN_PER_PEER MAX_LIVE_REQUESTS MAX_QUEUED_BYTES
        MAX_REQ_ANY_EXCLUDES MAX_HASHES MAX_TEXT MAX_MEMBERSHIP MAX_FIND_ROWS MAX_FIND_PATHS
        MAX_INSIDE_MANIFEST MAX_INSIDE_PACKED MAX_INSIDE_NAMES
    }
    assert!(there.keys().all(|name| !name.starts_with("M")), "not of the program: {there:?}");
    // One more would be a code that the page does not have.
    has("| 20 | cancelled |");
    assert_eq!((Code::from(20), Code::from(21)), (Code::Cancelled, Code::Other));
}

#[test]
fn trees_ids_and_digests_are_computed_as_the_page_says() {
    (1..=2).for_each(|level| has(&pad_hash(level).hex()));
    let bytes: Vec<u8> =
        (0..131_077).map(|i| ((i * 131 + (i >> 8) * 17 + 7) % 251) as u8).collect();
    let hash = |chunk: &[u8]| chunk_hash(&block_hashes(chunk), 2, false);
    let list: Vec<Hash> = bytes.chunks(65_536).map(hash).collect();
    let full = ChunkHashes::complete(131_077, list.clone(), 2);
    let descriptor = Descriptor { kind: Kind::File, size: 131_077, root: full.root() };
    list.iter().chain([&full.root()]).for_each(|hash| has(&hash.hex()));
    has(&descriptor.id().to_string());
    let last = full.prove(HashRange { index: 2, count: 1 }).unwrap();
    assert_eq!((last.hashes, last.uncles[0]), (vec![list[2]], pad_hash(2)));
    has(&last.uncles[1].hex());
    let hello = Descriptor { kind: Kind::File, size: 6, root: sha256(b"hello\n") };
    [hello.root.hex(), hello.id().hex(), hello.id().to_string()].iter().for_each(|text| has(text));
    has(&share_digest([]).hex());
}

#[test]
fn the_folder_of_the_page_is_one() {
    let begin = PAGE.find("83 a1 76 01").unwrap();
    let lines = PAGE[begin..].split("```").next().unwrap().lines();
    // Bytes end where the comment begins.
    let hex: String =
        lines.map(|line| line.trim().split("  ").next().unwrap().replace(' ', "")).collect();
    let manifest = Manifest::parse(bytes(&hex)).unwrap();
    assert_eq!((manifest.name(), manifest.bytes().len()), ("notes", 139));
    has(&Manifest::descriptor_of(manifest.bytes()).id().to_string());
}

#[test]
fn keys_memberships_and_proofs_are_those_of_the_page() {
    let [tracker, peer] = [1, 2].map(|seed| Identity::from_seed(&[seed; 32]).unwrap());
    has(&tracker.peer_id().hex());
    has(&tracker.peer_id().to_string());
    let (from, until) = (1_800_000_000, 1_800_086_400);
    let member = Membership::issue(&tracker, &peer.peer_id(), 7, from, until);
    let hex: String = member.iter().map(|byte| format!("{byte:02x}")).collect();
    has(&format!("{}\n{}\n", &hex[..212], &hex[212..]));
    let secret: Secret = "0123456789abcdef".parse().unwrap();
    let proof: String = secret.proof("peer", &[9; 32]).iter().map(|b| format!("{b:02x}")).collect();
    has(&proof);
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
