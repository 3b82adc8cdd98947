//! What is done with bytes from strangers, as plain functions of bytes: `common/fuzz` feeds them to a
//! fuzzer, the tests of every run feed them random bytes and damaged examples. Each panics if something
//! that must hold does not.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::channel::FrameReader;
use crate::chunk_set::ChunkSet;
use crate::id::{Hash, ID_LEN, PeerId};
use crate::inside::Names;
use crate::join::parse_any;
use crate::limits::{MAX_FOLDER_CHUNKS, MAX_INSIDE_NAMES, MAX_PEER_FRAME};
use crate::manifest::Manifest;
use crate::membership::Membership;
use crate::merkle::{ChunkHashes, HashRange};
use crate::names::{check_component, components, safe_component, show, top_component};
use crate::wire::peer::PeerMsg;
use crate::wire::tracker::{Reply, Request};

/// Takes any bytes, and panics only for a fault of ours.
pub type Target = fn(&[u8]);

/// All of this crate, by the names of their folders of examples.
pub const TARGETS: &[(&str, Target)] = &[
    ("peer_message", peer_message),
    ("tracker_request", tracker_request),
    ("tracker_reply", tracker_reply),
    ("frames", frames),
    ("manifest", manifest),
    ("chunk_set", chunk_set),
    ("membership", membership),
    ("join", join),
    ("hashes", hashes),
    ("names", names),
    ("inside", inside),
];

/// A message between peers: a byte for its kind, then its body. What is understood means the same
/// after it was written again.
pub fn peer_message(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    if let Ok(Some(message)) = PeerMsg::decode(*kind, body) {
        let again = PeerMsg::decode(message.kind(), &message.body());
        assert_eq!(again, Ok(Some(message)));
    }
}

/// A request to the tracker, in the same form.
pub fn tracker_request(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    if let Ok(Some(message)) = Request::decode(*kind, body) {
        let again = Request::decode(message.kind(), &message.body());
        assert_eq!(again, Ok(Some(message)));
    }
}

/// An answer or a push of the tracker, in the same form.
pub fn tracker_reply(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    if let Ok(Some(message)) = Reply::decode(*kind, body) {
        let again = Reply::decode(message.kind(), &message.body());
        assert_eq!(again, Ok(Some(message)));
    }
}

/// A stream of frames: none is longer than allowed, and together they are no longer than what came.
pub fn frames(bytes: &[u8]) {
    let mut reader = FrameReader::new(bytes);
    let read_all = async {
        let mut sum = 0;
        while let Ok(frame) = reader.read(MAX_PEER_FRAME).await {
            assert!(frame.body.len() < MAX_PEER_FRAME);
            sum += frame.body.len();
        }
        sum
    };
    assert!(at_once(read_all) <= bytes.len());
}

/// The list of a folder's files: what is accepted is canonical, and safe to put on a disk.
pub fn manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::parse(bytes.to_vec()) else { return };
    assert_eq!(manifest.bytes(), bytes);
    let again = Manifest::build(manifest.name(), manifest.entries().collect());
    assert_eq!(again.as_ref(), Ok(&manifest));
    assert_eq!(manifest.files().count(), manifest.layout().files());
    assert_eq!(manifest.disk_paths().len(), manifest.layout().files());
    let mut paths: Vec<&str> =
        manifest.disk_paths().iter().chain(manifest.empty_dirs().iter()).collect();
    for path in &paths {
        assert!(components(path).next().is_some());
        assert!(components(path).all(|name| safe_component(name).as_deref() == Ok(name)));
    }
    let files = manifest.disk_paths().len();
    paths.truncate(files);
    paths.sort_unstable();
    assert!(paths.windows(2).all(|pair| pair.first() != pair.last()), "two files in one place");
}

/// Packed names of files inside a folder: what is unpacked is no longer than it may be, and the same when packed again.
pub fn inside(bytes: &[u8]) {
    let Ok(names) = Names::unpack(bytes) else { return };
    assert!(names.len() <= MAX_INSIDE_NAMES && names.iter().all(|name| !name.contains('\0')));
    assert_eq!(Names::unpack(&names.pack()), Ok(names));
}

/// A set of chunks: four bytes for how many there are, then its encoding.
pub fn chunk_set(bytes: &[u8]) {
    let Some((chunks, encoded)) = bytes.split_first_chunk::<4>() else { return };
    let chunks = u32::from_le_bytes(*chunks) % (MAX_FOLDER_CHUNKS + 1);
    if let Ok(set) = ChunkSet::decode(chunks, encoded) {
        assert!(set.count() <= chunks);
        assert!(set.runs().all(|run| run.start < run.end && run.end <= chunks));
        assert_eq!(ChunkSet::decode(chunks, &set.encode()).as_ref(), Ok(&set));
    }
}

/// A membership: nobody without the tracker's key can make one.
pub fn membership(bytes: &[u8]) {
    let (tracker, subject) = (PeerId::from_bytes([1; ID_LEN]), PeerId::from_bytes([2; ID_LEN]));
    assert!(Membership::check(bytes, &tracker, &subject, 1_700_000_000, 0).is_err());
}

/// A join string or a link as somebody pasted it: what is accepted is written the same way again.
pub fn join(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(link) = parse_any(text) {
        let _ = format!("{link:?}");
    }
}

/// An answer to a request for hashes, of a file of which only the root is known: size of the file and
/// the range, then the hashes. Nothing that does not lead to the root changes anything.
pub fn hashes(bytes: &[u8]) {
    let Some((head, list)) = bytes.split_first_chunk::<8>() else { return };
    let [a, b, c, i, j, k, m, n] = *head;
    let chunks = u32::from_le_bytes([a, b, c, 0]);
    let range = HashRange {
        index: u32::from_le_bytes([i, j, 0, 0]),
        count: u16::from_le_bytes([k, m % 8]),
    };
    let list: Vec<Hash> =
        list.chunks_exact(ID_LEN).filter_map(|hash| Hash::try_from(hash).ok()).collect();
    let (list, uncles) = list.split_at(usize::from(n).min(list.len()));
    let unknown = ChunkHashes::unknown(Hash::from_bytes([7; ID_LEN]), chunks, 3);
    let mut learner = unknown.clone();
    if learner.accept(range, list, uncles).is_ok() {
        // The root is the one hash of a file of one chunk.
        assert_eq!((chunks, list), (1, &[unknown.root()][..]));
    }
    assert_eq!(learner, unknown);
}

/// A name from elsewhere, on its way to a disk and to a terminal.
pub fn names(bytes: &[u8]) {
    let Ok(raw) = std::str::from_utf8(bytes) else { return };
    assert!(!show(raw).chars().any(char::is_control));
    if let Ok(safe) = safe_component(raw) {
        assert_eq!(check_component(&safe), Ok(()));
        let top = top_component(&safe);
        assert_eq!(check_component(&top), Ok(()));
        assert!(!top.starts_with(['.', '-']));
    }
}

/// The outcome of what never has to wait, as reading from memory does not.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut context) {
            return outcome;
        }
    }
}

/// A copy of an example with some of its bytes changed: each edit names a place (modulo the length), what
/// to do there, and a byte.
pub fn damaged(example: &[u8], edits: &[(u32, u8, u8)]) -> Vec<u8> {
    let mut bytes = example.to_vec();
    for (place, edit, byte) in edits {
        let at = *place as usize % (bytes.len() + 1);
        match edit % 5 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, *byte),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => {
                if let Some(slot) = bytes.get_mut(at) {
                    *slot ^= 1 << (byte % 8);
                }
            }
            _ => {
                if let Some(slot) = bytes.get_mut(at) {
                    *slot = *byte;
                }
            }
        }
    }
    bytes
}

/// Runs every target over its examples, whole and damaged, and over rubbish; `rounds` damaged ones of each.
/// Panics for a target without examples in `folder`, and where the target does.
pub fn exercise(targets: &[(&str, Target)], folder: &std::path::Path, rounds: u32, seed: u64) {
    let mut state = seed;
    // SplitMix64: which bytes are tried must be the same in every run.
    let mut random = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    for (name, target) in targets {
        let folder = folder.join(name);
        let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut examples: Vec<_> =
            files.filter_map(|file| std::fs::read(file.path()).ok()).collect();
        examples.sort();
        assert!(!examples.is_empty(), "no examples in {}", folder.display());
        for example in &examples {
            target(example);
            for _ in 0..rounds {
                let mut edit = || {
                    let [a, b, c, d, edit, byte, ..] = random().to_le_bytes();
                    (u32::from_le_bytes([a, b, c, d]), edit, byte)
                };
                let edits = [edit(), edit(), edit()];
                let some = edits.get(..1 + edits[0].0 as usize / 7 % 3).unwrap_or(&edits);
                target(&damaged(example, some));
            }
        }
        for _ in 0..rounds {
            let len = usize::from(random().to_le_bytes()[0]);
            let rubbish: Vec<u8> = (0..len).map(|_| random().to_le_bytes()[0]).collect();
            target(&rubbish);
        }
    }
}
