use proptest::prelude::*;

use super::*;

fn reference(blocks: &[&[u8]]) -> Vec<Hash> {
    blocks.iter().map(|block| sha256(block)).collect()
}

fn with(way: &Implementation, blocks: &[&[u8]]) -> Vec<Hash> {
    let mut out = vec![Hash::ZERO; blocks.len()];
    way.hash_blocks(blocks, &mut out);
    out
}

/// Bytes without a pattern that a mixed-up word or lane could keep.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            (x >> 32) as u8
        })
        .collect()
}

#[test]
fn known_values() {
    assert_eq!(
        sha256(b"").hex(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_eq!(sha256_concat(&[b"a", b"bc"]), sha256(b"abc"));
    let (a, b) = (sha256(b"a"), sha256(b"b"));
    assert_eq!(node(&a, &b), sha256_concat(&[a.as_bytes(), b.as_bytes()]));
}

/// FIPS 180-4's own examples, through every implementation and not only against `sha2`.
#[test]
fn the_standards_examples() {
    let two = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    let hex = [
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    ];
    for way in Implementation::available() {
        for many in [1, 2, 8, 16, 17] {
            for (message, hex) in [b"abc".as_slice(), two].into_iter().zip(hex) {
                for hash in with(&way, &vec![message; many]) {
                    assert_eq!(hash.hex(), hex, "{}", way.name());
                }
            }
        }
    }
}

#[test]
fn every_length_at_every_lane_count() {
    let around = 16 * 1024 - 70..=16 * 1024 + 70;
    let lens: Vec<usize> = (0..=300).chain(around).collect();
    let data: Vec<Vec<u8>> = lens.iter().map(|len| noise(*len, *len as u64 + 1)).collect();
    let expected: Vec<Hash> = data.iter().map(|bytes| sha256(bytes)).collect();
    for way in Implementation::available() {
        for lanes in 1..=40usize {
            // Long ones are costly: every length alone and in one wide call is enough there.
            let all = lens.len();
            let to = if matches!(lanes, 1 | 2 | 3 | 16 | 40) { all } else { 301 };
            for from in (0..to).step_by(lanes) {
                let end = (from + lanes).min(to);
                let blocks: Vec<&[u8]> = data[from..end].iter().map(Vec::as_slice).collect();
                assert_eq!(with(&way, &blocks), expected[from..end], "{} {lanes}", way.name());
            }
        }
    }
}

#[test]
fn equal_lengths_at_every_lane_count() {
    for way in Implementation::available() {
        for len in [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 16 * 1024] {
            let data: Vec<Vec<u8>> = (0..40).map(|n| noise(len, n * 7 + 3)).collect();
            let blocks: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
            let expected = reference(&blocks);
            for many in 1..=40 {
                assert_eq!(with(&way, &blocks[..many]), expected[..many], "{} {len}", way.name());
            }
        }
    }
}

#[test]
fn no_more_is_written_than_there_is_room_for() {
    for way in Implementation::available() {
        let blocks: Vec<&[u8]> = vec![b"x"; 20];
        let mut out = vec![Hash::ZERO; 18];
        way.hash_blocks(&blocks, &mut out);
        assert_eq!(out, vec![sha256(b"x"); 18]);
        let mut out = vec![Hash::ZERO; 22];
        way.hash_blocks(&blocks, &mut out);
        assert_eq!((out[19], out[20]), (sha256(b"x"), Hash::ZERO));
        way.hash_blocks(&[], &mut out);
    }
}

#[test]
fn pairs_are_nodes() {
    for many in 0..=40u8 {
        let nodes: Vec<Hash> = (0..many).map(|n| sha256(&[n])).collect();
        let pad = sha256(b"pad");
        let expected: Vec<Hash> =
            nodes.chunks(2).map(|pair| node(&pair[0], pair.get(1).unwrap_or(&pad))).collect();
        assert_eq!(hash_pairs(&nodes, &pad), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_mix_is_what_sha2_says(
        lens in proptest::collection::vec(
            prop_oneof![0..300usize, 0..300usize, 16_300..16_500usize, 0..40_000usize], 0..60),
        seed in any::<u64>(),
        misalign in 0..64usize,
    ) {
        let data = noise(lens.iter().sum::<usize>() + misalign, seed);
        let mut rest = &data[misalign..];
        let blocks: Vec<&[u8]> = lens.iter().map(|len| {
            let (block, more) = rest.split_at(*len);
            rest = more;
            block
        }).collect();
        let expected = reference(&blocks);
        for way in Implementation::available() {
            prop_assert_eq!(&with(&way, &blocks), &expected, "{}", way.name());
        }
    }
}
