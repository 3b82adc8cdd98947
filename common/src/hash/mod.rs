//! SHA-256. The only module of the project that names the crate behind it.
//!
//! One message goes through `sha2`. Many independent ones, as the 16 KiB blocks of a chunk and the
//! nodes of a tree are, go through [`hash_blocks`], which computes as many side by side as the
//! processor has lanes for.

mod choice;
#[cfg(target_arch = "x86_64")]
mod lanes;
#[cfg(not(target_arch = "x86_64"))]
mod no_lanes;
mod schedule;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use lanes::{Avx2, Avx512, ShaNi};
#[cfg(not(target_arch = "x86_64"))]
use no_lanes::{Avx2, Avx512, ShaNi};
use schedule::Jobs;
use sha2::{Digest, Sha256};

use crate::id::{Hash, ID_LEN};

/// What SHA-256 takes in at a time.
type Block = [u8; 64];

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Hash {
    Hash::from_bytes(Sha256::digest(bytes).into())
}

/// SHA-256 of the two child hashes of a tree node, left first.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    Hash::from_bytes(hasher.finalize().into())
}

/// SHA-256 of several byte strings as if they stood in one.
pub fn sha256_concat(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    Hash::from_bytes(hasher.finalize().into())
}

/// SHA-256 of what comes bit by bit.
#[derive(Debug, Clone, Default)]
pub struct Stream(Sha256);

impl Stream {
    /// Takes in what comes next.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all that came.
    pub fn finish(self) -> Hash {
        Hash::from_bytes(self.0.finalize().into())
    }
}

/// Hashes every block on its own, in order, on all lanes of the processor. Blocks may be of any
/// lengths; it is fastest with many of them (16 or more) of about the same length.
///
/// Writes `min(blocks.len(), out.len())` hashes.
pub fn hash_blocks(blocks: &[&[u8]], out: &mut [Hash]) {
    Implementation::best().hash_blocks(blocks, out);
}

/// [`node`] of every pair of neighbours, in order; a last one without a right neighbour gets `pad`.
pub fn hash_pairs(nodes: &[Hash], pad: &Hash) -> Vec<Hash> {
    let pairs: Vec<[u8; 2 * ID_LEN]> = nodes
        .chunks(2)
        .map(|pair| {
            let mut bytes = [0; 2 * ID_LEN];
            let (left, right) = bytes.split_at_mut(ID_LEN);
            let [first, second] = [pair.first().unwrap_or(pad), pair.get(1).unwrap_or(pad)];
            left.copy_from_slice(first.as_bytes());
            right.copy_from_slice(second.as_bytes());
            bytes
        })
        .collect();
    let messages: Vec<&[u8]> = pairs.iter().map(<[u8; 2 * ID_LEN]>::as_slice).collect();
    let mut out = vec![Hash::ZERO; messages.len()];
    hash_blocks(&messages, &mut out);
    out
}

/// Lanes, and how many of them must have a message to make them worth while: they cost the same
/// however many are used. The numbers are where the measured rates cross (`benches/hash.rs`; on a
/// Zen 5 with `sha2` at 1: AVX-512 2.5, SHA-NI x4 1.7 and x2 1.4, AVX2 0.8, `sha2` without the SHA
/// instructions about 0.25).
#[derive(Debug, Clone, Copy)]
struct Stage {
    lanes: Lanes,
    least: usize,
}

#[derive(Debug, Clone, Copy)]
enum Lanes {
    Avx512(Avx512),
    Avx2(Avx2),
    FourShaNi(ShaNi),
    TwoShaNi(ShaNi),
}

/// A way to hash many messages on this processor: for benchmarks and tests; everybody else calls
/// [`hash_blocks`], which takes the best.
#[derive(Debug, Clone)]
pub struct Implementation {
    name: &'static str,
    /// Widest first; what they leave goes one by one.
    stages: Vec<Stage>,
}

impl Implementation {
    /// All that this processor can do, what is mostly the best first. The last is `sha2` alone: reference and fallback.
    pub fn available() -> Vec<Self> {
        let (avx512, avx2, ni) = (Avx512::detect(), Avx2::detect(), ShaNi::detect());
        let wide = |least| avx512.map(|cpu| Stage { lanes: Lanes::Avx512(cpu), least });
        let sha_ni = ni.map(|cpu| {
            let four = Stage { lanes: Lanes::FourShaNi(cpu), least: 3 };
            [four, Stage { lanes: Lanes::TwoShaNi(cpu), least: 2 }]
        });
        let mut ways = Vec::new();
        let mut add = |name, stages: &[Stage]| ways.push(Self { name, stages: stages.to_vec() });
        if let (Some(wide), Some([four, two])) = (wide(12), sha_ni) {
            add("AVX-512, SHA-NI", &[wide, four, two]);
        }
        if let Some(stages) = sha_ni {
            add("SHA-NI", &stages);
        }
        if let Some(wide) = wide(3) {
            add("AVX-512", &[wide]);
        }
        if let Some(cpu) = avx2 {
            add("AVX2", &[Stage { lanes: Lanes::Avx2(cpu), least: 3 }]);
        }
        add("sha2", &[]);
        ways
    }

    /// The one [`hash_blocks`] uses: the fastest here, measured when it is first asked for.
    pub fn best() -> &'static Self {
        static BEST: OnceLock<Implementation> = OnceLock::new();
        BEST.get_or_init(|| {
            choice::fastest(Self::available()).unwrap_or(Self { name: "sha2", stages: Vec::new() })
        })
    }

    /// For people.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// As [`hash_blocks`].
    pub fn hash_blocks(&self, blocks: &[&[u8]], out: &mut [Hash]) {
        let many = blocks.len().min(out.len());
        let mut jobs = Jobs::new(blocks.get(..many).unwrap_or_default());
        for Stage { least, lanes } in &self.stages {
            match lanes {
                Lanes::Avx512(avx) => jobs.run::<16>(*least, out, |s, l, n| avx.compress(s, l, n)),
                Lanes::Avx2(avx) => jobs.run::<8>(*least, out, |s, l, n| avx.compress(s, l, n)),
                Lanes::FourShaNi(ni) => jobs.run::<4>(*least, out, |s, l, n| ni.compress(s, l, n)),
                Lanes::TwoShaNi(ni) => jobs.run::<2>(*least, out, |s, l, n| ni.compress(s, l, n)),
            }
        }
        jobs.run(1, out, |states: &mut [[u32; 1]; 8], [blocks]: &[&[Block]; 1], count| {
            let mut state = states.map(|[word]| word);
            sha2::block_api::compress256(&mut state, blocks.get(..count).unwrap_or_default());
            *states = state.map(|word| [word]);
        });
    }
}
