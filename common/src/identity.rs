//! Who somebody is: an Ed25519 key pair whose public half is the [`PeerId`].
//!
//! Besides [`crate::channel`] the one place of this crate that touches the outside: the key file.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use crate::id::PeerId;

/// Length of an Ed25519 signature, in bytes (RFC 8032).
pub const SIGNATURE_LEN: usize = 64;

/// Length of an Ed25519 seed, in bytes (RFC 8032).
const SEED_LEN: usize = 32;
/// First line of a key file, so that a wrong file is noticed.
const FILE_HEADER: &str = "shoal-identity/1";
/// A key file is 17 + 104 bytes; more than this is some other file and is not read further.
const MAX_FILE_LEN: u64 = 512;
/// Attempts to lock the file in which a key is made: 10 s, which writing 121 bytes takes on no disk that works.
const LOCK_TRIES: u32 = 500;
/// Between two attempts.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random numbers, so no key can be made")]
    NoRandom,
    /// The key file cannot be read or created.
    #[error("cannot use identity key {}: {source}", path.display())]
    Io {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others on this machine may read the key.
    #[error(
        "identity key {} can be read by others (mode {mode:04o}); run: chmod 600 {}",
        path.display(), path.display()
    )]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not a key: half written, damaged or something else.
    #[error(
        "{} is not a Shoal identity key ({what}); restore it from a backup, or move it away to get a new identity",
        path.display()
    )]
    Damaged {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The seed is not usable as a key.
    #[error("not an Ed25519 key")]
    BadKey,
}

/// An Ed25519 key pair. Cheap to clone; never shown, not even by `Debug`.
#[derive(Clone)]
pub struct Identity {
    key: Arc<Ed25519KeyPair>,
    id: PeerId,
}

impl Identity {
    /// A new random identity, kept in memory only.
    ///
    /// # Errors
    /// [`IdentityError::NoRandom`].
    pub fn generate() -> Result<Self, IdentityError> {
        Self::from_seed(&*random_seed()?)
    }

    /// The identity that follows from a seed: for tests and simulations that must repeat.
    ///
    /// # Errors
    /// [`IdentityError::BadKey`], which no 32-byte seed causes today.
    pub fn from_seed(seed: &[u8; SEED_LEN]) -> Result<Self, IdentityError> {
        let key = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| IdentityError::BadKey)?;
        Self::from_pair(key)
    }

    /// Reads the key file, or makes a new identity and writes it there (mode 0600, missing folders
    /// 0700). A file that never held a key (empty, or nothing but zeros: a first start that was killed, or
    /// found no room) counts as none. Whenever the process is killed, the next start works. Blocking.
    ///
    /// # Errors
    /// A file that others may read, that is damaged, or that cannot be read or created. An existing
    /// key is never overwritten.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        match load(path)? {
            Some(identity) => Ok(identity),
            None => create(path),
        }
    }

    /// From the text of a key file: header line, then base32 of seed and public key, which is the check value.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_text(text: &[u8]) -> Result<Self, &'static str> {
        if text.len() as u64 > MAX_FILE_LEN {
            return Err("it is too long");
        }
        let text = std::str::from_utf8(text).map_err(|_| "it is not text")?;
        let mut lines = text.lines();
        if lines.next() != Some(FILE_HEADER) {
            return Err("its first line is not that of a key file");
        }
        let line = lines.next().ok_or("it ends early")?.trim();
        let bytes = Zeroizing::new(
            BASE32_NOPAD.decode(line.as_bytes()).map_err(|_| "it ends early or is damaged")?,
        );
        let (seed, public) = bytes.split_at_checked(SEED_LEN).ok_or("it ends early")?;
        let key = Ed25519KeyPair::from_seed_and_public_key(seed, public)
            .map_err(|_| "it ends early or is damaged")?;
        Self::from_pair(key).map_err(|_| "its key is unusable")
    }

    /// The public key.
    pub fn peer_id(&self) -> PeerId {
        self.id
    }

    /// Ed25519 signature of `message` (RFC 8032).
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        let mut out = [0; SIGNATURE_LEN];
        out.copy_from_slice(self.key.sign(message).as_ref());
        out
    }

    fn from_pair(key: Ed25519KeyPair) -> Result<Self, IdentityError> {
        let id = PeerId::try_from(key.public_key().as_ref()).map_err(|_| IdentityError::BadKey)?;
        Ok(Self { key: Arc::new(key), id })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("id", &self.id).finish_non_exhaustive()
    }
}

/// True if `signature` over `message` was made with the private key of `peer`.
pub fn verify(peer: &PeerId, message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, peer.as_bytes()).verify(message, signature).is_ok()
}

fn random_seed() -> Result<Zeroizing<[u8; SEED_LEN]>, IdentityError> {
    let mut seed = Zeroizing::new([0; SEED_LEN]);
    SystemRandom::new().fill(&mut *seed).map_err(|_| IdentityError::NoRandom)?;
    Ok(seed)
}

/// The key in the file; `None` if there is no file, or one that never held a key.
fn load(path: &Path) -> Result<Option<Identity>, IdentityError> {
    let io_error = |source| IdentityError::Io { path: path.to_owned(), source };
    let damaged = |what| IdentityError::Damaged { path: path.to_owned(), what };

    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(io_error)?,
    };
    let meta = file.metadata().map_err(io_error)?;
    if !meta.is_file() {
        return Err(damaged("not a regular file"));
    }
    // Allocated at once: a buffer that grows leaves copies of the key behind.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE_LEN as usize + 1));
    file.take(MAX_FILE_LEN + 1).read_to_end(&mut text).map_err(io_error)?;
    if text.len() as u64 <= MAX_FILE_LEN && text.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    refuse_exposed(path, &meta)?;
    Identity::from_text(&text).map(Some).map_err(damaged)
}

/// Makes a key and puts it in place: written beside it, synced, and renamed, so that whatever happens the file is
/// there whole or not at all.
fn create(path: &Path) -> Result<Identity, IdentityError> {
    let io_error = |source| IdentityError::Io { path: path.to_owned(), source };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    private_dir().create(parent).map_err(io_error)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = open_beside(&beside).map_err(io_error)?;
    lock(&file).map_err(io_error)?;
    // Somebody else was quicker: theirs counts. Perhaps it is the very file that is locked here.
    if let Some(theirs) = load(path)? {
        return Ok(theirs);
    }
    let seed = random_seed()?;
    let identity = Identity::from_seed(&seed)?;
    let text = key_text(&seed, &identity);
    // Half a key of an earlier attempt may be in it.
    let written = file
        .set_len(0)
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&beside, path))
        .and_then(|()| sync_dir(parent));
    if let Err(error) = written {
        // This key has never been used. If it stays there, the next attempt begins with it.
        let _ = std::fs::remove_file(&beside);
        return Err(io_error(error));
    }
    Ok(identity)
}

fn key_text(seed: &[u8; SEED_LEN], identity: &Identity) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; 2 * SEED_LEN]);
    let (front, back) = bytes.split_at_mut(SEED_LEN);
    front.copy_from_slice(seed);
    back.copy_from_slice(identity.id.as_bytes());
    let encoded = Zeroizing::new(BASE32_NOPAD.encode(&*bytes));
    Zeroizing::new(format!("{FILE_HEADER}\n{}\n", *encoded))
}

/// The file in which a key is made, for its owner alone. One that was left behind is used again; whatever else
/// stands there is not followed.
fn open_beside(beside: &Path) -> io::Result<File> {
    match std::fs::symlink_metadata(beside) {
        Ok(meta) if !meta.is_file() || refuse_exposed(beside, &meta).is_err() => {
            std::fs::remove_file(beside)?;
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(beside)
}

/// Waits for others who make the same key, but not for ever: one of them may stand still on a dead disk.
fn lock(file: &File) -> io::Result<()> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            // A file system without locks: nobody else is likely there.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                return Ok(());
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "another program has been making it for too long"))
}

/// Makes a rename outlive a power cut.
#[cfg(unix)]
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
fn sync_dir(_dir: &Path) -> io::Result<()> {
    Ok(())
}

fn private_dir() -> std::fs::DirBuilder {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, meta: &std::fs::Metadata) -> Result<(), IdentityError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o7777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(IdentityError::Exposed { path: path.to_owned(), mode })
    }
}

#[cfg(not(unix))]
fn refuse_exposed(_path: &Path, _meta: &std::fs::Metadata) -> Result<(), IdentityError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_bind_key_and_message() {
        let (me, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        assert_ne!(me.peer_id(), other.peer_id());
        let signature = me.sign(b"message");
        assert!(verify(&me.peer_id(), b"message", &signature));
        assert!(!verify(&me.peer_id(), b"massage", &signature));
        assert!(!verify(&other.peer_id(), b"message", &signature));
        assert!(!verify(&me.peer_id(), b"message", &signature[1..]));
        assert!(!verify(&me.peer_id(), b"message", b""));
    }

    /// RFC 8032, section 7.1, test 1.
    #[test]
    fn seed_gives_the_key_of_the_standard() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let seed = data_encoding::HEXLOWER.decode(seed.as_bytes()).unwrap();
        let id = Identity::from_seed(&seed.try_into().unwrap()).unwrap().peer_id();
        assert_eq!(id.hex(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    }

    #[test]
    fn file_keeps_the_identity() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/folder/identity.key");
        let first = Identity::load_or_create(&path).unwrap();
        let again = Identity::load_or_create(&path).unwrap();
        assert_eq!(first.peer_id(), again.peer_id());
        assert!(verify(&first.peer_id(), b"x", &again.sign(b"x")));
    }

    #[cfg(unix)]
    #[test]
    fn file_is_private_and_must_stay_so() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        Identity::load_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        for mode in [0o640, 0o604, 0o660, 0o601] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = Identity::load_or_create(&path).unwrap_err();
            assert!(matches!(error, IdentityError::Exposed { mode: got, .. } if got == mode));
            let text = error.to_string();
            assert!(text.contains("chmod 600") && text.contains("identity.key"), "{text}");
        }
    }

    #[test]
    fn damaged_files_are_named_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        Identity::load_or_create(&path).unwrap();
        let good = std::fs::read(&path).unwrap();
        let mut flipped = good.clone();
        flipped[30] = if flipped[30] == b'A' { b'B' } else { b'A' };
        let bad: [&[u8]; 7] = [
            b"hello",
            &[0; 600],
            &good[..good.len() / 2],
            &good[..FILE_HEADER.len() + 1],
            &flipped,
            &[0xff; 80],
            &[b'a'; 5000],
        ];
        for bytes in bad {
            std::fs::write(&path, bytes).unwrap();
            let error = Identity::load_or_create(&path).unwrap_err();
            assert!(matches!(error, IdentityError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains("identity.key"));
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
        let error = Identity::load_or_create(dir.path()).unwrap_err();
        assert!(error.to_string().contains(&dir.path().display().to_string()));
    }

    fn names(dir: &Path) -> Vec<String> {
        let names = std::fs::read_dir(dir).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// What a first start leaves behind that is killed, or finds no room, at whatever moment; the older program's
    /// too, which wrote the file in place.
    #[test]
    fn f6_a_first_start_that_was_cut_short_can_be_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        let beside = dir.path().join("identity.key.new");
        let old = Identity::load_or_create(&path).unwrap().peer_id();
        let whole = std::fs::read(&path).unwrap();
        let zeros = vec![0; whole.len()];
        for (here, there) in [
            (Some(&b""[..]), None),
            (Some(&zeros), None),
            (None, Some(&b""[..])),
            (None, Some(&whole[..60])),
            (None, Some(&whole)),
            (Some(&b""[..]), Some(&whole[..60])),
        ] {
            let _ = std::fs::remove_file(&path);
            here.into_iter().for_each(|bytes| std::fs::write(&path, bytes).unwrap());
            there.into_iter().for_each(|bytes| std::fs::write(&beside, bytes).unwrap());
            let new = Identity::load_or_create(&path).unwrap().peer_id();
            assert_eq!(Identity::load_or_create(&path).unwrap().peer_id(), new);
            assert_ne!(new, old, "a key that was never in its place is not used");
            assert_eq!(names(dir.path()), ["identity.key"]);
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                let mode = std::fs::metadata(&path).unwrap().permissions().mode();
                assert_eq!(mode & 0o7777, 0o600);
            }
        }
    }

    #[test]
    fn f6_who_makes_the_key_at_the_same_time_gets_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        // The place of a first start that was killed.
        std::fs::write(&path, b"").unwrap();
        let start = std::sync::Barrier::new(8);
        let made: Vec<_> = std::thread::scope(|scope| {
            let make = || {
                start.wait();
                Identity::load_or_create(&path).unwrap().peer_id()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let kept = Identity::load_or_create(&path).unwrap().peer_id();
        assert!(made.iter().all(|id| *id == kept), "{made:?}");
    }

    /// Another user's link in a folder that is not ours alone.
    #[cfg(unix)]
    #[test]
    fn f6_what_stands_in_the_place_of_a_new_key_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (dir.path().join("identity.key"), dir.path().join("elsewhere"));
        std::fs::write(&elsewhere, b"keep").unwrap();
        std::os::unix::fs::symlink(&elsewhere, dir.path().join("identity.key.new")).unwrap();
        Identity::load_or_create(&path).unwrap();
        assert_eq!(std::fs::read(&elsewhere).unwrap(), b"keep");
    }

    #[test]
    fn debug_shows_the_public_key_only() {
        let seed = [0x42; 32];
        let me = Identity::from_seed(&seed).unwrap();
        let text = format!("{me:?}");
        assert!(text.contains(&me.peer_id().short()));
        assert_eq!(text, format!("Identity {{ id: {:?}, .. }}", me.peer_id()));
    }
}
