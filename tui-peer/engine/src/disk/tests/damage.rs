//! F5: whatever happens to a journal, what is right in the part is not fetched again.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// What befalls a journal.
#[derive(Debug, Clone)]
enum Harm {
    Flip { at: Index, bit: u8 },
    Truncate { at: Index },
    ZeroPage { page: Index },
    CopyPage { from: Index, to: Index },
    Repeat { from: Index, len: Index },
    Delete,
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), 0u8..8).prop_map(|(at, bit)| Harm::Flip { at, bit }),
        2 => at().prop_map(|at| Harm::Truncate { at }),
        1 => at().prop_map(|page| Harm::ZeroPage { page }),
        1 => (at(), at()).prop_map(|(from, to)| Harm::CopyPage { from, to }),
        1 => (at(), at()).prop_map(|(from, len)| Harm::Repeat { from, len }),
        1 => Just(Harm::Delete),
    ]
}

const PAGE: usize = 4096;

impl Harm {
    /// `skip` bytes at the beginning are spared.
    fn befall(&self, state: &Path, skip: usize) {
        let mut bytes = fs::read(state).unwrap_or_default();
        let skip = skip.min(bytes.len());
        let len = bytes.len() - skip;
        if len == 0 {
            return;
        }
        let page_at = |page: &Index, bytes: &[u8]| page.index(bytes.len().div_ceil(PAGE)) * PAGE;
        match self {
            Self::Flip { at, bit } => bytes[skip + at.index(len)] ^= 1 << bit,
            Self::Truncate { at } => bytes.truncate(skip + at.index(len)),
            Self::ZeroPage { page } => {
                let from = page_at(page, &bytes).max(skip);
                let to = (from + PAGE).min(bytes.len());
                bytes[from..to].fill(0);
            }
            Self::CopyPage { from, to } => {
                let (from, to) = (page_at(from, &bytes), page_at(to, &bytes).max(skip));
                let len = PAGE.min(bytes.len() - from).min(bytes.len() - to);
                bytes.copy_within(from..from + len, to);
            }
            Self::Repeat { from, len: more } => {
                let from = skip + from.index(len);
                let piece = bytes[from..from + more.index(bytes.len() - from)].to_vec();
                bytes.splice(from..from, piece);
            }
            Self::Delete => return fs::remove_file(state).unwrap(),
        }
        fs::write(state, bytes).unwrap();
    }
}

/// Opens again as the session does: what is unsure is compared as soon as its hash is known.
fn chunks_kept(content: &Content, dir: &Path) -> (Arc<Partial>, Vec<u32>) {
    let again = content.open(dir);
    let mut here = again.durable;
    for chunk in again.written.iter() {
        if again.partial.check(chunk, content.hash(chunk).unwrap()).unwrap() {
            here.insert(chunk);
        }
    }
    (again.partial, numbers(&here))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn f5_after_any_damage_to_the_journal_only_what_is_wrong_is_fetched_again(
        folder in any::<bool>(),
        spare_header in any::<bool>(),
        harms in proptest::collection::vec(harm(), 1..4),
        synced in proptest::collection::btree_set(0u32..9, 0..6),
        unsynced in proptest::collection::btree_set(0u32..9, 0..6),
        rotten in proptest::option::of(0u32..9),
    ) {
        let temp = tempfile::tempdir().unwrap();
        let content = if folder {
            Content::folder(&[("a/x", 200_000), ("b", 9), ("c/d", 70_000), ("e", 131_072)])
        } else {
            Content::file(9 * 65_536 - 77)
        };
        prop_assert_eq!(content.layout.chunks(), 9);
        let Going { partial, .. } = content.open(temp.path());
        for (file, hashes) in (0..).zip(&content.hashes) {
            let known: Vec<Hash> = (0..hashes.chunks()).map(|n| hashes.get(n).unwrap()).collect();
            partial.record_hashes(file, 0, &known).unwrap();
        }
        content.write(&partial, synced.iter().copied());
        partial.sync().unwrap();
        content.write(&partial, unsynced.iter().copied());
        let root = partial.path();
        drop(partial);
        // What a power cut does to bytes that were not synced.
        let rotten = rotten.filter(|chunk| unsynced.contains(chunk) && !synced.contains(chunk));
        if let Some(chunk) = rotten {
            let place = content.layout.place(content.layout.chunk(chunk).unwrap());
            let path = match &content.rel {
                Some(rel) => root.join(rel.get(place.file).unwrap()),
                None => root,
            };
            flip(&path, place.offset + 3);
        }
        let state = temp.path().join(format!(".thing.{}.state", content.descriptor.id().short()));
        for harm in &harms {
            harm.befall(&state, if spare_header { PAGE } else { 0 });
        }
        let mut right: Vec<u32> = synced.union(&unsynced).copied().collect();
        right.retain(|chunk| Some(*chunk) != rotten);
        let (partial, kept) = chunks_kept(&content, temp.path());
        prop_assert_eq!(&kept, &right);
        // And once more: the mended journal is as good as a whole one.
        drop(partial);
        let (partial, kept) = chunks_kept(&content, temp.path());
        prop_assert_eq!(&kept, &right);
        content.write(&partial, (0..9).filter(|chunk| !right.contains(chunk)));
        let done = partial.finish(&content.plan()).unwrap();
        match &content.rel {
            None => prop_assert!(fs::read(&done).unwrap() == content.files[0]),
            Some(rel) => for (rel, bytes) in rel.iter().zip(&content.files) {
                prop_assert!(&fs::read(done.join(rel)).unwrap() == bytes);
            },
        }
        prop_assert_eq!(names_in(temp.path()), ["thing"]);
    }
}

#[test]
fn f5_chunks_in_doubt_wait_for_their_hashes_and_are_not_lost_meanwhile() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(6 * 65_536);
    let Going { partial, .. } = content.open(temp.path());
    content.write(&partial, [1, 2, 5]);
    partial.sync().unwrap();
    drop(partial);
    let state = temp.path().join(format!(".thing.{}.state", content.descriptor.id().short()));
    fs::remove_file(&state).unwrap();
    // Several starts in which nobody is there to tell the hashes.
    for _ in 0..3 {
        let again = content.open(temp.path());
        assert_eq!(numbers(&again.written), [1, 2, 5]);
        assert!(again.partial.recheck(&again.written, |_| None).is_empty());
        assert!(matches!(again.partial.read(1, 0, &mut [0]), Err(ReadError::Gone)), "not served");
    }
    assert_eq!(chunks_kept(&content, temp.path()).1, [1, 2, 5]);
}
