//! The compression function of SHA-256 over several messages at once (FIPS 180-4, section 6.2.2).
//!
//! This is the only file of the project that may contain `unsafe`: vector registers are filled from
//! memory through pointers, and a function compiled for instructions that not every processor has may
//! be called only where they are. Both stay inside: what is offered outside is values that exist only
//! on a processor that has the instructions ([`Avx512`], [`Avx2`], [`ShaNi`]), with a safe method each.
#![allow(unsafe_code, reason = "vector loads and calls that depend on the processor; see above")]

use std::arch::x86_64::*;

use super::Block;

/// The eight words of the state of each of `N` messages, word by word.
pub(super) type State<const N: usize> = [[u32; N]; 8];

/// Round constants (FIPS 180-4, section 4.2.2).
const K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// A processor with AVX-512 F and BW: sixteen messages, one in each 32-bit lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512(());

/// A processor with AVX2: eight messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2(());

/// A processor with the SHA extensions: a few messages side by side, so that one computes while another
/// waits for the result of its last instruction.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShaNi(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw"))
            .then_some(Self(()))
    }

    /// Takes the first `count` blocks of every message into its state.
    ///
    /// # Panics
    /// If a message has fewer.
    pub(super) fn compress(self, state: &mut State<16>, lanes: &[&[Block]; 16], count: usize) {
        // SAFETY: `self` exists only where `detect` found what the function is compiled for.
        unsafe { compress_512(state, lanes, count) }
    }
}

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// As [`Avx512::compress`].
    pub(super) fn compress(self, state: &mut State<8>, lanes: &[&[Block]; 8], count: usize) {
        // SAFETY: `self` exists only where `detect` found what the function is compiled for.
        unsafe { compress_256(state, lanes, count) }
    }
}

impl ShaNi {
    pub(super) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1"))
        .then_some(Self(()))
    }

    /// As [`Avx512::compress`].
    pub(super) fn compress<const N: usize>(
        self,
        state: &mut State<N>,
        lanes: &[&[Block]; N],
        count: usize,
    ) {
        // SAFETY: `self` exists only where `detect` found what the function is compiled for.
        unsafe { compress_ni(state, lanes, count) }
    }
}

/// One vector register's worth of the functions of FIPS 180-4, section 4.1.2, in AVX-512: rotation is
/// one instruction, and so is any function of three words.
mod wide512 {
    use super::*;

    pub(super) type V = __m512i;

    macro_rules! functions {
        ($($name:ident($($arg:ident),+) = $body:expr;)+) => {$(
            #[inline]
            #[target_feature(enable = "avx512f,avx512bw")]
            pub(super) fn $name($($arg: V),+) -> V {
                $body
            }
        )+};
    }

    /// Truth tables of three words for `vpternlogd`.
    const XOR3: i32 = 0x96;
    const CH: i32 = 0xca;
    const MAJ: i32 = 0xe8;

    functions! {
        add(x, y) = _mm512_add_epi32(x, y);
        ch(x, y, z) = _mm512_ternarylogic_epi32::<CH>(x, y, z);
        maj(x, y, z) = _mm512_ternarylogic_epi32::<MAJ>(x, y, z);
        big0(x) = _mm512_ternarylogic_epi32::<XOR3>(
            _mm512_ror_epi32::<2>(x), _mm512_ror_epi32::<13>(x), _mm512_ror_epi32::<22>(x));
        big1(x) = _mm512_ternarylogic_epi32::<XOR3>(
            _mm512_ror_epi32::<6>(x), _mm512_ror_epi32::<11>(x), _mm512_ror_epi32::<25>(x));
        small0(x) = _mm512_ternarylogic_epi32::<XOR3>(
            _mm512_ror_epi32::<7>(x), _mm512_ror_epi32::<18>(x), _mm512_srli_epi32::<3>(x));
        small1(x) = _mm512_ternarylogic_epi32::<XOR3>(
            _mm512_ror_epi32::<17>(x), _mm512_ror_epi32::<19>(x), _mm512_srli_epi32::<10>(x));
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn all(word: u32) -> V {
        _mm512_set1_epi32(word.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn load(words: &[u32; 16]) -> V {
        // SAFETY: 64 readable bytes; the instruction asks for no alignment.
        unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn store(words: &mut [u32; 16], v: V) {
        // SAFETY: 64 writable bytes; the instruction asks for no alignment.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), v) }
    }

    /// Block `at` of every message, word by word: register `i` holds word `i` of all.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn words(lanes: &[&[Block]; 16], at: usize) -> [V; 16] {
        let swap = _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
        let mut r = [_mm512_setzero_si512(); 16];
        for (row, lane) in r.iter_mut().zip(lanes) {
            let block: &Block = &lane[at];
            // SAFETY: 64 readable bytes; the instruction asks for no alignment.
            let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
            *row = _mm512_shuffle_epi8(bytes, swap);
        }
        // Four words of four messages within every 128 bits…
        let mut q = [_mm512_setzero_si512(); 16];
        for i in 0..4 {
            let low_a = _mm512_unpacklo_epi32(r[4 * i], r[4 * i + 1]);
            let high_a = _mm512_unpackhi_epi32(r[4 * i], r[4 * i + 1]);
            let low_b = _mm512_unpacklo_epi32(r[4 * i + 2], r[4 * i + 3]);
            let high_b = _mm512_unpackhi_epi32(r[4 * i + 2], r[4 * i + 3]);
            q[4 * i] = _mm512_unpacklo_epi64(low_a, low_b);
            q[4 * i + 1] = _mm512_unpackhi_epi64(low_a, low_b);
            q[4 * i + 2] = _mm512_unpacklo_epi64(high_a, high_b);
            q[4 * i + 3] = _mm512_unpackhi_epi64(high_a, high_b);
        }
        // …then the 128-bit quarters themselves.
        let mut w = [_mm512_setzero_si512(); 16];
        for i in 0..4 {
            let even_a = _mm512_shuffle_i32x4::<0x88>(q[i], q[i + 4]);
            let odd_a = _mm512_shuffle_i32x4::<0xdd>(q[i], q[i + 4]);
            let even_b = _mm512_shuffle_i32x4::<0x88>(q[i + 8], q[i + 12]);
            let odd_b = _mm512_shuffle_i32x4::<0xdd>(q[i + 8], q[i + 12]);
            w[i] = _mm512_shuffle_i32x4::<0x88>(even_a, even_b);
            w[i + 4] = _mm512_shuffle_i32x4::<0x88>(odd_a, odd_b);
            w[i + 8] = _mm512_shuffle_i32x4::<0xdd>(even_a, even_b);
            w[i + 12] = _mm512_shuffle_i32x4::<0xdd>(odd_a, odd_b);
        }
        w
    }
}

/// The same in AVX2, where a rotation takes three instructions.
mod wide256 {
    use super::*;

    pub(super) type V = __m256i;

    macro_rules! functions {
        ($($name:ident($($arg:ident),+) = $body:expr;)+) => {$(
            #[inline]
            #[target_feature(enable = "avx2")]
            pub(super) fn $name($($arg: V),+) -> V {
                $body
            }
        )+};
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn ror<const RIGHT: i32, const LEFT: i32>(x: V) -> V {
        _mm256_or_si256(_mm256_srli_epi32::<RIGHT>(x), _mm256_slli_epi32::<LEFT>(x))
    }

    functions! {
        add(x, y) = _mm256_add_epi32(x, y);
        xor3(x, y, z) = _mm256_xor_si256(_mm256_xor_si256(x, y), z);
        ch(x, y, z) = _mm256_xor_si256(z, _mm256_and_si256(x, _mm256_xor_si256(y, z)));
        maj(x, y, z) = _mm256_or_si256(
            _mm256_and_si256(x, y), _mm256_and_si256(z, _mm256_or_si256(x, y)));
        big0(x) = xor3(ror::<2, 30>(x), ror::<13, 19>(x), ror::<22, 10>(x));
        big1(x) = xor3(ror::<6, 26>(x), ror::<11, 21>(x), ror::<25, 7>(x));
        small0(x) = xor3(ror::<7, 25>(x), ror::<18, 14>(x), _mm256_srli_epi32::<3>(x));
        small1(x) = xor3(ror::<17, 15>(x), ror::<19, 13>(x), _mm256_srli_epi32::<10>(x));
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn all(word: u32) -> V {
        _mm256_set1_epi32(word.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn load(words: &[u32; 8]) -> V {
        // SAFETY: 32 readable bytes; the instruction asks for no alignment.
        unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn store(words: &mut [u32; 8], v: V) {
        // SAFETY: 32 writable bytes; the instruction asks for no alignment.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), v) }
    }

    /// Block `at` of every message, word by word: register `i` holds word `i` of all.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn words(lanes: &[&[Block]; 8], at: usize) -> [V; 16] {
        let swap = _mm256_setr_epi32(
            0x0001_0203,
            0x0405_0607,
            0x0809_0a0b,
            0x0c0d_0e0f,
            0x0001_0203,
            0x0405_0607,
            0x0809_0a0b,
            0x0c0d_0e0f,
        );
        let mut w = [_mm256_setzero_si256(); 16];
        for half in 0..2 {
            let mut r = [_mm256_setzero_si256(); 8];
            for (row, lane) in r.iter_mut().zip(lanes) {
                let (eights, _) = lane[at].as_chunks::<32>();
                // SAFETY: 32 readable bytes; the instruction asks for no alignment.
                let bytes = unsafe { _mm256_loadu_si256(eights[half].as_ptr().cast()) };
                *row = _mm256_shuffle_epi8(bytes, swap);
            }
            let mut q = [_mm256_setzero_si256(); 8];
            for i in 0..2 {
                let low_a = _mm256_unpacklo_epi32(r[4 * i], r[4 * i + 1]);
                let high_a = _mm256_unpackhi_epi32(r[4 * i], r[4 * i + 1]);
                let low_b = _mm256_unpacklo_epi32(r[4 * i + 2], r[4 * i + 3]);
                let high_b = _mm256_unpackhi_epi32(r[4 * i + 2], r[4 * i + 3]);
                q[4 * i] = _mm256_unpacklo_epi64(low_a, low_b);
                q[4 * i + 1] = _mm256_unpackhi_epi64(low_a, low_b);
                q[4 * i + 2] = _mm256_unpacklo_epi64(high_a, high_b);
                q[4 * i + 3] = _mm256_unpackhi_epi64(high_a, high_b);
            }
            for i in 0..4 {
                w[8 * half + i] = _mm256_permute2x128_si256::<0x20>(q[i], q[i + 4]);
                w[8 * half + i + 4] = _mm256_permute2x128_si256::<0x31>(q[i], q[i + 4]);
            }
        }
        w
    }
}

/// One round; the words are named anew in the next instead of moved around.
macro_rules! round {
    ($w:expr, $k:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
        let known = add($h, add($w, all($k)));
        let t = add(add(known, ch($e, $f, $g)), big1($e));
        $d = add($d, t);
        $h = add(add(t, maj($a, $b, $c)), big0($a));
    };
}

/// Rounds `t` to `t + 15`.
macro_rules! sixteen_rounds {
    ($w:ident, $t:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
        sixteen_rounds!($w, $t, 0, $a $b $c $d $e $f $g $h);
        sixteen_rounds!($w, $t, 8, $a $b $c $d $e $f $g $h);
    };
    ($w:ident, $t:expr, $i:literal,
     $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
        round!($w[$i], K[$t + $i], $a $b $c $d $e $f $g $h);
        round!($w[$i + 1], K[$t + $i + 1], $h $a $b $c $d $e $f $g);
        round!($w[$i + 2], K[$t + $i + 2], $g $h $a $b $c $d $e $f);
        round!($w[$i + 3], K[$t + $i + 3], $f $g $h $a $b $c $d $e);
        round!($w[$i + 4], K[$t + $i + 4], $e $f $g $h $a $b $c $d);
        round!($w[$i + 5], K[$t + $i + 5], $d $e $f $g $h $a $b $c);
        round!($w[$i + 6], K[$t + $i + 6], $c $d $e $f $g $h $a $b);
        round!($w[$i + 7], K[$t + $i + 7], $b $c $d $e $f $g $h $a);
    };
}

/// The next sixteen words of the message schedule, each in place of the one sixteen before.
macro_rules! extend {
    ($w:ident, $($i:literal)+) => {$(
        $w[$i] = add(
            add($w[$i], small0($w[($i + 1) % 16])),
            add($w[($i + 9) % 16], small1($w[($i + 14) % 16])),
        );
    )+};
}

/// One function for both widths: they differ in their registers and instructions only.
macro_rules! compress_wide {
    ($name:ident, $width:ident, $lanes:literal, $features:literal) => {
        #[target_feature(enable = $features)]
        fn $name(state: &mut State<$lanes>, lanes: &[&[Block]; $lanes], count: usize) {
            use $width::*;
            let mut s = [all(0); 8];
            for (v, words) in s.iter_mut().zip(state.iter()) {
                *v = load(words);
            }
            for at in 0..count {
                let mut w = words(lanes, at);
                let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = s;
                // Written out, so that everything stays in registers.
                sixteen_rounds!(w, 0, a b c d e f g h);
                for t in [16, 32, 48] {
                    extend!(w, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
                    sixteen_rounds!(w, t, a b c d e f g h);
                }
                for (v, new) in s.iter_mut().zip([a, b, c, d, e, f, g, h]) {
                    *v = add(*v, new);
                }
            }
            for (words, v) in state.iter_mut().zip(s) {
                store(words, v);
            }
        }
    };
}

compress_wide!(compress_512, wide512, 16, "avx512f,avx512bw");
compress_wide!(compress_256, wide256, 8, "avx2");

/// Messages side by side, each in its own registers.
#[target_feature(enable = "sha,ssse3,sse4.1")]
#[allow(clippy::needless_range_loop, reason = "several arrays are walked at once")]
fn compress_ni<const N: usize>(state: &mut State<N>, lanes: &[&[Block]; N], count: usize) {
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let word = |row: usize, lane: usize| state[row][lane].cast_signed();
    let mut abef = [_mm_setzero_si128(); N];
    let mut cdgh = [_mm_setzero_si128(); N];
    for n in 0..N {
        abef[n] = _mm_set_epi32(word(0, n), word(1, n), word(4, n), word(5, n));
        cdgh[n] = _mm_set_epi32(word(2, n), word(3, n), word(6, n), word(7, n));
    }
    for at in 0..count {
        let (abef_was, cdgh_was) = (abef, cdgh);
        let mut m = [[_mm_setzero_si128(); N]; 4];
        for n in 0..N {
            let (quarters, _) = lanes[n][at].as_chunks::<16>();
            for (i, quarter) in quarters.iter().enumerate() {
                // SAFETY: 16 readable bytes; the instruction asks for no alignment.
                let bytes = unsafe { _mm_loadu_si128(quarter.as_ptr().cast()) };
                m[i][n] = _mm_shuffle_epi8(bytes, swap);
            }
        }
        macro_rules! four_rounds {
            ($($t:literal)+) => {$(
                let k = |i: usize| K[4 * $t + i].cast_signed();
                let k = _mm_set_epi32(k(3), k(2), k(1), k(0));
                for n in 0..N {
                    let (m0, m1) = (m[$t % 4][n], m[($t + 1) % 4][n]);
                    let (m2, m3) = (m[($t + 2) % 4][n], m[($t + 3) % 4][n]);
                    let now = if $t < 4 {
                        m0
                    } else {
                        let sum = _mm_add_epi32(_mm_sha256msg1_epu32(m0, m1), _mm_alignr_epi8::<4>(m3, m2));
                        _mm_sha256msg2_epu32(sum, m3)
                    };
                    m[$t % 4][n] = now;
                    let kw = _mm_add_epi32(now, k);
                    cdgh[n] = _mm_sha256rnds2_epu32(cdgh[n], abef[n], kw);
                    let kw = _mm_shuffle_epi32::<0x0e>(kw);
                    abef[n] = _mm_sha256rnds2_epu32(abef[n], cdgh[n], kw);
                }
            )+};
        }
        four_rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        for n in 0..N {
            abef[n] = _mm_add_epi32(abef[n], abef_was[n]);
            cdgh[n] = _mm_add_epi32(cdgh[n], cdgh_was[n]);
        }
    }
    for n in 0..N {
        for (rows, v) in [([5, 4, 1, 0], abef[n]), ([7, 6, 3, 2], cdgh[n])] {
            let words = [
                _mm_extract_epi32::<0>(v),
                _mm_extract_epi32::<1>(v),
                _mm_extract_epi32::<2>(v),
                _mm_extract_epi32::<3>(v),
            ];
            for (row, word) in rows.into_iter().zip(words) {
                state[row][n] = word.cast_unsigned();
            }
        }
    }
}
