//! An encrypted file: what a tracker takes along, readable with the passphrase only.
//!
//! ```text
//! "shoal tracker export\n"  version (1)  rounds (4, big-endian)  salt (16)
//! tag (16) of nothing: whether the passphrase is right
//! segments of 64 KiB, the last may be shorter, each with its tag (16)
//! ```
//!
//! The key is PBKDF2-HMAC-SHA256 of the passphrase with that salt, new for each file. Everything is sealed with AES-256-GCM, with all
//! before the first tag as additional data. Nonces are counted (8 bytes, big-endian, after 3 of zero), and end in 1 for the last segment, else 0:
//! segments that are exchanged, missing or cut off at the end are noticed.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::num::NonZeroU32;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::pbkdf2;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::{MoveError, Passphrase};

const MAGIC: &[u8; 21] = b"shoal tracker export\n";
/// The newest version this program reads, and the one it writes.
const VERSION: u8 = 1;
/// What is advised for this function (OWASP, 2023): half a second for who knows the passphrase.
const ROUNDS: u32 = 600_000;
/// Most rounds that are done for a file by somebody else: some ten seconds.
const MAX_ROUNDS: u32 = 10_000_000;
const SALT_LEN: usize = 16;
const HEADER_LEN: usize = MAGIC.len() + 1 + 4 + SALT_LEN;
const TAG_LEN: usize = 16;
/// Plain bytes of a segment.
const SEGMENT: usize = 64 * 1024;

/// Writes such a file.
pub(super) struct Sealer<W> {
    to: W,
    seal: Seal,
    /// At most [`SEGMENT`] bytes, which are not written yet.
    waiting: Zeroizing<Vec<u8>>,
}

/// Reads such a file. What it gives is what was written, in order; that it is all is known at the end only.
pub(super) struct Opener<R> {
    from: BufReader<R>,
    seal: Seal,
    opened: Zeroizing<Vec<u8>>,
    /// How much of that was taken.
    taken: usize,
    was_last: bool,
}

/// Key, header and the number of the next segment.
struct Seal {
    key: LessSafeKey,
    header: [u8; HEADER_LEN],
    next: u64,
}

impl Seal {
    fn new(
        header: [u8; HEADER_LEN],
        rounds: u32,
        passphrase: &Passphrase,
    ) -> Result<Self, MoveError> {
        let mut key = Zeroizing::new([0; 32]);
        let (_, salt) = header.split_at(HEADER_LEN - SALT_LEN);
        let rounds = NonZeroU32::new(rounds).unwrap_or(NonZeroU32::MIN);
        let secret = passphrase.expose().as_bytes();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, secret, &mut *key);
        let key = UnboundKey::new(&AES_256_GCM, &*key).map_err(|_| MoveError::NoRandom)?;
        Ok(Self { key: LessSafeKey::new(key), header, next: 0 })
    }

    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        let (_, number) = nonce.split_at_mut(NONCE_LEN - 9);
        if let Some((last, number)) = number.split_last_mut() {
            *last = u8::from(is_last);
            number.copy_from_slice(&self.next.to_be_bytes());
        }
        self.next = self.next.saturating_add(1);
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&mut self, bytes: &mut Vec<u8>, is_last: bool) -> io::Result<()> {
        let nonce = self.nonce(is_last);
        let sealed = self.key.seal_in_place_append_tag(nonce, Aad::from(self.header), bytes);
        sealed.map_err(|_| io::ErrorKind::InvalidInput.into())
    }

    /// Opens in place; `None` if it is not what was sealed.
    fn open(&mut self, bytes: &mut Vec<u8>, is_last: bool) -> Option<()> {
        let nonce = self.nonce(is_last);
        let plain = self.key.open_in_place(nonce, Aad::from(self.header), bytes).ok()?.len();
        bytes.truncate(plain);
        Some(())
    }
}

impl<W: Write> Sealer<W> {
    /// Writes the head.
    pub(super) fn new(mut to: W, passphrase: &Passphrase) -> Result<Self, MoveError> {
        let mut salt = [0; SALT_LEN];
        SystemRandom::new().fill(&mut salt).map_err(|_| MoveError::NoRandom)?;
        let head = [&MAGIC[..], &[VERSION], &ROUNDS.to_be_bytes(), &salt].concat();
        let mut header = [0; HEADER_LEN];
        header.copy_from_slice(&head);
        let mut seal = Seal::new(header, ROUNDS, passphrase)?;
        let mut check = Vec::new();
        let written = seal.seal(&mut check, false);
        written.and_then(|()| to.write_all(&head)).and_then(|()| to.write_all(&check))?;
        let waiting = Zeroizing::new(Vec::with_capacity(SEGMENT + TAG_LEN));
        Ok(Self { to, seal, waiting })
    }

    /// Writes the end, without which the file is not whole.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.segment(true)?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn segment(&mut self, is_last: bool) -> io::Result<()> {
        self.seal.seal(&mut self.waiting, is_last)?;
        self.to.write_all(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.waiting.len() >= SEGMENT {
            self.segment(false)?;
        }
        let room = SEGMENT.saturating_sub(self.waiting.len());
        let (now, _) = bytes.split_at(room.min(bytes.len()));
        self.waiting.extend_from_slice(now);
        Ok(now.len())
    }

    /// What waits is written when its segment is full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<R: Read> Opener<R> {
    /// Reads the head.
    pub(super) fn new(from: R, passphrase: &Passphrase) -> Result<Self, MoveError> {
        let mut from = BufReader::with_capacity(SEGMENT, from);
        let mut header = [0; HEADER_LEN];
        from.read_exact(&mut header).map_err(|error| early(error, MoveError::NotAnExport))?;
        let rest = header.strip_prefix(MAGIC).ok_or(MoveError::NotAnExport)?;
        let (version, rest) = rest.split_first().ok_or(MoveError::NotAnExport)?;
        if *version > VERSION {
            return Err(MoveError::TooNew { found: *version, known: VERSION });
        }
        let rounds = rest.first_chunk().map_or(0, |rounds| u32::from_be_bytes(*rounds));
        if *version < VERSION || !(1..=MAX_ROUNDS).contains(&rounds) {
            return Err(MoveError::Damaged);
        }
        let mut seal = Seal::new(header, rounds, passphrase)?;
        let mut check = vec![0; TAG_LEN];
        from.read_exact(&mut check).map_err(|error| early(error, MoveError::Damaged))?;
        seal.open(&mut check, false).ok_or(MoveError::WrongPassphrase)?;
        Ok(Self { from, seal, opened: Zeroizing::default(), taken: 0, was_last: false })
    }

    /// The next segment; none after the last.
    fn more(&mut self) -> io::Result<()> {
        let most = (SEGMENT + TAG_LEN) as u64;
        self.opened = Zeroizing::new(Vec::with_capacity(SEGMENT + TAG_LEN));
        self.taken = 0;
        (&mut self.from).take(most).read_to_end(&mut self.opened)?;
        self.was_last = self.from.fill_buf()?.is_empty();
        let opened = self.seal.open(&mut self.opened, self.was_last);
        opened.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }
}

impl<R: Read> Read for Opener<R> {
    /// [`io::ErrorKind::InvalidData`] for what is not as it was written.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.taken >= self.opened.len() && !self.was_last {
            self.more()?;
        }
        let (_, left) = self.opened.split_at(self.taken.min(self.opened.len()));
        let now = left.len().min(into.len());
        let (from, _) = left.split_at(now);
        let (to, _) = into.split_at_mut(now);
        to.copy_from_slice(from);
        self.taken += now;
        Ok(now)
    }
}

fn early(error: io::Error, short: MoveError) -> MoveError {
    if error.kind() == io::ErrorKind::UnexpectedEof { short } else { error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        text.parse().unwrap()
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut sealer = Sealer::new(Vec::new(), &passphrase("correct horse battery")).unwrap();
        sealer.write_all(plain).unwrap();
        sealer.finish().unwrap()
    }

    fn opened(bytes: &[u8], with: &str) -> Result<Vec<u8>, MoveError> {
        let mut plain = Vec::new();
        Opener::new(bytes, &passphrase(with))?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn b2_what_was_sealed_is_read_with_its_passphrase_only() {
        for len in [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1] {
            let plain: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let bytes = sealed(&plain);
            assert!(opened(&bytes, "correct horse battery").unwrap() == plain, "{len}");
        }
        let bytes = sealed(b"the key of the network");
        assert!(!bytes.windows(7).any(|part| part == b"network"));
        assert_ne!(bytes, sealed(b"the key of the network"), "another salt");
        let wrong = opened(&bytes, "correct horse batterz");
        assert!(matches!(wrong, Err(MoveError::WrongPassphrase)), "{wrong:?}");
    }

    #[test]
    fn b2_whatever_is_changed_cut_or_added_is_noticed() {
        let plain = vec![7; 2 * SEGMENT + 9];
        let bytes = sealed(&plain);
        let open = |bytes: &[u8]| opened(bytes, "correct horse battery").unwrap_err();
        let head = HEADER_LEN + TAG_LEN;
        let step = SEGMENT + TAG_LEN;
        for cut in [0, 5, HEADER_LEN, head, head + 1, head + step, head + 2 * step, bytes.len() - 1]
        {
            let error = open(&bytes[..cut]);
            let is_short = matches!(error, MoveError::NotAnExport | MoveError::Damaged);
            assert!(is_short, "{cut}: {error:?}");
        }
        let changed = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            open(&bytes)
        };
        assert!(matches!(changed(0), MoveError::NotAnExport));
        for at in [HEADER_LEN - 1, HEADER_LEN] {
            assert!(matches!(changed(at), MoveError::WrongPassphrase), "{at}");
        }
        for at in [head, head + step - 1, head + step, bytes.len() - 1] {
            assert!(matches!(changed(at), MoveError::Damaged), "{at}");
        }
        // Segments in another order, one twice, one more byte.
        let (first, second) = (&bytes[head..head + step], &bytes[head + step..head + 2 * step]);
        let rest = &bytes[head + 2 * step..];
        for parts in [[second, first, rest], [first, first, rest]] {
            let mixed = [&bytes[..head], &parts.concat()].concat();
            assert!(matches!(open(&mixed), MoveError::Damaged));
        }
        assert!(matches!(open(&[&bytes[..], &[0]].concat()), MoveError::Damaged));
    }

    #[test]
    fn b2_a_newer_format_and_too_much_work_are_refused() {
        let mut bytes = sealed(b"x");
        bytes[MAGIC.len()] = 2;
        let error = opened(&bytes, "correct horse battery").unwrap_err();
        assert!(matches!(error, MoveError::TooNew { found: 2, known: 1 }), "{error:?}");
        let mut bytes = sealed(b"x");
        bytes[MAGIC.len() + 1] = 0xff;
        let error = opened(&bytes, "correct horse battery").unwrap_err();
        assert!(matches!(error, MoveError::Damaged), "{error:?}");
    }
}
