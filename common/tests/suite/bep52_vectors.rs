//! Roots and chunk layers against an independent implementation of BEP 52.
//!
//! The numbers come from the `libtorrent` package of PyPI (2.0): for every size a v2-only torrent with
//! 64 KiB pieces of the bytes below; `pieces root`, the length of the `piece layers` entry and its
//! SHA-256 were printed.

use common::hash::sha256;
use common::merkle::{block_hashes, chunk_hash, file_root};

/// `(size, root, hashes in the 64 KiB layer, SHA-256 of the layer)`; files of one piece have no layer.
const VECTORS: &[(usize, &str, usize, &str)] = &[
    (1, "ca358758f6d27e6cf45272937977a748fd88391db679ceda7dc7bf1f005ee879", 0, ""),
    (16383, "74cd6fc3a099a1e87e110404fe812bf53918020678f8b6e48793e5922d722c9d", 0, ""),
    (16384, "2f316a511aa71e49b416e961bf28a3ebfa35369f746ad1a99a1a160710bdfc9e", 0, ""),
    (16385, "d0872d04c466cb13c36a39d82bc13cfea174d01b20c1303cd324c516894be989", 0, ""),
    (32768, "bdf6f98b69040a6337e022ddf10288952a2d0d0b709ea9b9458ba20017f6eb0c", 0, ""),
    (49152, "d9ee408d436dd6d35e5f59bcc78f87923d2ad9b8d8ab91cd3f52fa22fc156146", 0, ""),
    (65535, "f4229bddc3c578ef2d62662ab0d50d581c44cc8437fb3ba9946787f618cecff8", 0, ""),
    (65536, "e1d1386c10bc8ee5d44a7cdfae50ab77f074a2fa5ea93e6f7b390b7b7ed043e0", 0, ""),
    (
        65537,
        "0ec3c92ca66c342071a08208952688d153a4a567377e51f752f92e03be66c55d",
        2,
        "0ec3c92ca66c342071a08208952688d153a4a567377e51f752f92e03be66c55d",
    ),
    (
        131077,
        "d18eae5f80bf7da435a955f4bcbbdc76dc6db8966848ffc4b2922d5da624391b",
        3,
        "5552bb2a95d8b271239a966b9f69097d17c3845c11181c455829c82ca9d77820",
    ),
    (
        1048575,
        "d2c1f0c4a2d78ed38f8ab04a942a73d9c9af001b094bc22606614e0ff9b50cf7",
        16,
        "93abf023fbb07cd5245fc996c0b251038f56eb987ae39abadd78a64a4baee251",
    ),
    (
        1048576,
        "c533d7eae4e3543ad108845c1ca04f4c6b67011c92846f2acf070d5e5a9f320b",
        16,
        "2648db63caf66d056d311b5dec537b9efae1cb3382529952c99fcf9729c8cbbc",
    ),
    (
        1048577,
        "5fe605af341d9ad0e0d6e54857b4716e5d64f378d86e0fc1df59730b0bd1bd04",
        17,
        "af1e6559bd22db270457a171caa56c34efeb764564f4737acddf0fcf672119b7",
    ),
    (
        4194303,
        "6c4a7788252ea264765eac6f7c4374e1472ff3ccadbf9fba5cf95769ae7dad47",
        64,
        "9eeb6ed5eb030b4fbe6431f4fb891b0061bd7d89e4fecf97719c55429e04bda8",
    ),
    (
        4194304,
        "e1f6ff8283da4ed180fbc40c062bcd356c84b04d6dae0853269ae682af44b5ba",
        64,
        "aac4e3ada165fdf24b02393af3f6f85b2a51ce8ca51d0da1fc21ad3a754b27c3",
    ),
    (
        4194305,
        "5f39cabc0408a57d003240b1159d53330a595f0278a2404b4f8b1f5cbf1ad7a0",
        65,
        "5f6429639480f8ee0dfafeaa405dbe4c881074c4ab351879a4cf062eb9a73780",
    ),
    (
        5242883,
        "e582b5c19c76410de4252b31bb2c0ccc19be178cfb91f942f89a062217c8b995",
        81,
        "5d6bef35b44bff52a17c1241655a176ba8729a198f66855ed4567910dc984ef8",
    ),
];

/// Byte `i` is `(i·131 + ⌊i/256⌋·17 + 7) mod 251`.
fn data(size: usize) -> Vec<u8> {
    (0..size).map(|i| ((i * 131 + (i >> 8) * 17 + 7) % 251) as u8).collect()
}

#[test]
fn roots_and_layers_are_those_of_libtorrent() {
    for &(size, root, layer_len, layer_hash) in VECTORS {
        let bytes = data(size);
        for level in [2u8, 4, 6, 8] {
            let chunk_len = (16 << 10) << level;
            let only = size <= chunk_len;
            let chunks: Vec<_> = bytes
                .chunks(chunk_len)
                .map(|chunk| chunk_hash(&block_hashes(chunk), level, only))
                .collect();
            let got = file_root(size as u64, &chunks, level);
            assert_eq!(got.hex(), root, "size {size}, chunks of {chunk_len}");
            if level == 2 && layer_len > 0 {
                let layer: Vec<u8> = chunks.iter().flat_map(|hash| *hash.as_bytes()).collect();
                assert_eq!(chunks.len(), layer_len, "size {size}");
                assert_eq!(sha256(&layer).hex(), layer_hash, "size {size}");
            }
        }
    }
}

#[test]
fn an_empty_file_has_the_hash_of_nothing() {
    let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(file_root(0, &[], 2).hex(), nothing);
}
