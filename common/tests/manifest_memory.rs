//! S3: what strangers call the list of a folder's files takes at most four times its length in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

use common::hash::sha256;
use common::id::Hash;
use common::manifest::Manifest;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// Beside what is in proportion to the manifest: small lists may cost what they like.
const FREE: usize = 2 * 1024 * 1024;

/// A manifest of these entries, byte by byte: entries are not held in memory, and may be wrong.
struct Writer(Vec<u8>);

impl Writer {
    fn new(entries: u32) -> Self {
        let mut bytes = vec![0x83, 0xa1, b'v', 1, 0xa1, b'n', 0xa1, b'f', 0xa1, b'e', 0xdd];
        bytes.extend(entries.to_be_bytes());
        Self(bytes)
    }

    fn entry<'a>(&mut self, path: impl ExactSizeIterator<Item = &'a str>, root: Hash) {
        self.0.extend([0x86, 0xa1, b'p']);
        match path.len() {
            len @ 0..=15 => self.0.push(0x90 | len as u8),
            len => self.0.extend([0xdc, (len >> 8) as u8, len as u8]),
        }
        for name in path {
            match name.len() {
                len @ 0..=31 => self.0.push(0xa0 | len as u8),
                len => self.0.extend([0xd9, len as u8]),
            }
            self.0.extend(name.as_bytes());
        }
        self.0.extend([0xa1, b'k', 0, 0xa1, b's', 1, 0xa1, b'r', 0xc4, 32]);
        self.0.extend(root.as_bytes());
        self.0.extend([0xa1, b'x', 0xc2, 0xa1, b'm', 0]);
    }
}

/// Reads it, and counts the memory that takes, the bytes themselves included.
fn check(what: &str, mut bytes: Vec<u8>, valid: Option<bool>) {
    bytes.shrink_to_fit();
    let len = bytes.len();
    // What was there before these bytes.
    let before = ALLOCATED.current_usage() - len;
    ALLOCATED.reset_peak_usage();
    let manifest = Manifest::parse(bytes);
    let peak = ALLOCATED.peak_usage() - before;
    if let Some(valid) = valid {
        assert_eq!(manifest.is_ok(), valid, "{what}: {:?}", manifest.err());
    }
    let kept = ALLOCATED.current_usage() - before;
    println!("{what}: {len} bytes, peak {:.2}, kept {:.2}", ratio(peak, len), ratio(kept, len));
    assert!(peak <= 4 * len + FREE, "{what}: {peak} bytes for {len}");
}

fn ratio(bytes: usize, of: usize) -> f64 {
    bytes as f64 / of as f64
}

/// Number `n` in a fixed number of letters, in order.
fn letters(mut n: u32, places: usize, alphabet: &[u8]) -> String {
    let mut name = vec![alphabet[0]; places];
    for place in name.iter_mut().rev() {
        *place = alphabet[n as usize % alphabet.len()];
        n /= alphabet.len() as u32;
    }
    String::from_utf8(name).unwrap()
}

const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const MIXED: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// All in one test: the allocator counts for the whole program.
#[test]
fn s3_a_manifest_takes_at_most_four_times_its_length() {
    let root = sha256(b"x");

    // Twenty megabytes of paths of 64 names of one letter: 1,688 MB once.
    let deep = || {
        let count = 110_000;
        let mut writer = Writer::new(count);
        for n in 0..count {
            let top = letters(n, 4, LOWER);
            let path: Vec<&str> =
                std::iter::once(&*top).chain([top.get(..1).unwrap(); 63]).collect();
            writer.entry(path.into_iter(), root);
        }
        writer.0
    };
    check("deep", deep(), Some(true));
    // With a collision at the top, which would have to be told apart: too much for what it is.
    let mut alike = Writer::new(110_002);
    alike.entry(["AA"].into_iter(), root);
    alike.entry(["Aa"].into_iter(), root);
    alike.0.extend(&deep()[15..]);
    check("deep, alike", alike.0, Some(false));

    // As many entries as there may be, as short as they can be.
    let flat = |alphabet: &[u8], places| {
        let mut writer = Writer::new(1_000_000);
        (0..1_000_000)
            .for_each(|n| writer.entry([&*letters(n, places, alphabet)].into_iter(), root));
        writer.0
    };
    check("flat", flat(LOWER, 5), Some(true));
    // Every second one differs from another only in case: the honest worst case.
    check("flat, case", flat(MIXED, 4), Some(true));

    // Long names that are all alike: each must get a number.
    let mut writer = Writer::new(65_536);
    for n in 0..65_536u32 {
        let name = format!("{}{}", letters(n, 16, b"Qq"), "x".repeat(230));
        writer.entry([&*name].into_iter(), root);
    }
    check("long and alike", writer.0, None);

    // One path that fills the whole manifest; a list that is longer than it can be; nothing but lists.
    let mut bytes = Writer::new(1).0;
    bytes.extend([0x86, 0xa1, b'p', 0x91, 0xdb]);
    bytes.extend(20_000_000u32.to_be_bytes());
    bytes.resize(bytes.len() + 20_000_000, b'a');
    check("one long name", bytes, Some(false));
    let mut bytes = Writer::new(1_000_000).0;
    bytes.extend([0x86, 0xa1, b'p', 0xdd, 0xff, 0xff, 0xff, 0xff]);
    bytes.resize(bytes.len() + 10_000_000, 0xa0);
    check("empty names", bytes, Some(false));
    let mut bytes = Writer::new(1_000_000).0;
    bytes.resize(bytes.len() + 10_000_000, 0x91);
    check("lists in lists", bytes, Some(false));
}
