//! The state folder: identity, secret and records of one tracker.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use common::identity::{Identity, IdentityError};
use common::join::{JoinString, MAX_LINK_LEN, Secret, SecretError};
use common::limits::MAX_TRACKER_HOSTS;
use common::numbers::saturate;
use common::tracker_hosts::{Listed, TrackerHosts};

use crate::config::{Admission, Config};
use crate::store::{MemoryStore, MetaStore, RedbStore, StoreError};

/// Not the name of a peer's key, so that one folder for both cannot make them one identity.
pub(crate) const IDENTITY_FILE: &str = "tracker.key";
pub(crate) const SECRET_FILE: &str = "network.secret";
/// The signed list of its hosts that peers were told last.
pub(crate) const HOSTS_FILE: &str = "tracker.hosts";
pub(crate) const STORE_FILE: &str = "tracker.redb";
/// There from the first change of an import to its last: what is in the folder does not fit together then.
pub(crate) const IMPORTING_FILE: &str = "import.unfinished";
/// The whole join string, for [`read_join`] and for peers (`--tracker @FILE`).
pub(crate) const JOIN_FILE: &str = "join.txt";
/// A secret has at most 256 bytes; a longer file is some other file.
const MAX_SECRET_FILE: u64 = 1024;

/// Why a tracker does not start: what, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder cannot be made or written.
    #[error("cannot use the state folder {}: {source}; check its permissions or choose another with --state", path.display())]
    Folder { path: PathBuf, source: io::Error },
    /// An import was cut short, or is under way.
    #[error("an import into {} is not finished: run `tracker import FILE --force` there again; until then its records may be those of another tracker", .0.display())]
    Importing(PathBuf),
    /// The key cannot be read or made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The secret cannot be read or made.
    #[error("cannot use the secret file {}: {why}", path.display())]
    Secret { path: PathBuf, why: String },
    /// The join string cannot be read: no tracker has started here yet, or the file is another's.
    #[error("no join string in {}: {why}; start the tracker once with this state folder", path.display())]
    Join {
        /// Where it should be.
        path: PathBuf,
        why: String,
    },
    /// No secret could be made.
    #[error(transparent)]
    NoSecret(SecretError),
    /// The records cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The TLS library or the system refused something that always works.
    #[error("cannot start: {0}")]
    System(String),
}

impl StartError {
    /// Exit code of a program that ends because of this.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Store(StoreError::Locked { .. }) => 75,
            Self::Identity(IdentityError::Exposed { .. }) => 77,
            Self::Store(StoreError::Io { kind, .. }) if is_permission(*kind) => 77,
            Self::Folder { source, .. } | Self::Identity(IdentityError::Io { source, .. })
                if is_permission(source.kind()) =>
            {
                77
            }
            Self::Folder { .. } => 73,
            Self::Store(_) | Self::Identity(_) | Self::Join { .. } | Self::Importing(_) => 74,
            Self::Secret { .. } => 65,
            Self::NoSecret(_) | Self::System(_) => 1,
        }
    }
}

/// What a tracker starts with.
pub(crate) struct State {
    pub(crate) identity: Identity,
    pub(crate) secret: Option<Secret>,
    pub(crate) store: Box<dyn MetaStore>,
}

impl State {
    /// Opens or makes what the configuration asks for. Blocking.
    pub(crate) fn open(config: &Config) -> Result<Self, StartError> {
        let Some(dir) = &config.state_dir else {
            let secret = match &config.admission {
                Admission::Open | Admission::Invited => None,
                Admission::Kept => Some(Secret::generate().map_err(StartError::NoSecret)?),
                Admission::Secret(secret) => Some(secret.clone()),
            };
            let store = Box::new(MemoryStore::default());
            return Ok(Self { identity: Identity::generate()?, secret, store });
        };
        make_private(dir).map_err(|source| StartError::Folder { path: dir.clone(), source })?;
        // First the store: its lock keeps a second tracker from touching anything else.
        let store = Box::new(RedbStore::open(&dir.join(STORE_FILE))?);
        refuse_unfinished(dir)?;
        let identity = Identity::load_or_create(&dir.join(IDENTITY_FILE))?;
        let secret = match &config.admission {
            Admission::Open | Admission::Invited => None,
            Admission::Kept => Some(kept_secret(&dir.join(SECRET_FILE))?),
            Admission::Secret(secret) => Some(secret.clone()),
        };
        Ok(Self { identity, secret, store })
    }
}

/// Refuses a folder into which an import is not finished. To be asked while the store is open: an import that begins later
/// finds it locked.
///
/// # Errors
/// [`StartError::Importing`].
pub(crate) fn refuse_unfinished(dir: &Path) -> Result<(), StartError> {
    match fs::symlink_metadata(dir.join(IMPORTING_FILE)) {
        Ok(_) => Err(StartError::Importing(dir.to_owned())),
        Err(_) => Ok(()),
    }
}

/// The signed list of the tracker's hosts: the one of the last start with this folder if it says the same, else a new
/// one that counts as newer, whatever the clock says; and whether it could be kept. Blocking.
pub(crate) fn hosts(
    dir: Option<&Path>,
    identity: &Identity,
    (listed, hosts): (Listed, &[(String, u16)]),
    now_unix: u64,
) -> (Vec<u8>, io::Result<()>) {
    let path = dir.map(|dir| dir.join(HOSTS_FILE));
    let known = path.as_deref().and_then(|path| {
        let mut bytes = Vec::new();
        let most = saturate::<u64>(MAX_TRACKER_HOSTS).saturating_add(1);
        File::open(path).ok()?.take(most).read_to_end(&mut bytes).ok()?;
        let list = TrackerHosts::verify(&bytes, &identity.peer_id()).ok()?;
        Some((bytes, list.serial()))
    });
    if let Some((bytes, serial)) = &known
        && TrackerHosts::issue(identity, *serial, listed, hosts) == *bytes
    {
        return (bytes.clone(), Ok(()));
    }
    let serial = known.map_or(now_unix, |(_, serial)| now_unix.max(serial.saturating_add(1)));
    let signed = TrackerHosts::issue(identity, serial, listed, hosts);
    let kept = path.map_or(Ok(()), |path| put_private(&path, &signed));
    (signed, kept)
}

/// Reads a secret that an operator keeps in a file; others must not be able to read it.
///
/// # Errors
/// [`StartError::Secret`], which never repeats the text.
pub fn read_secret(path: &Path) -> Result<Secret, StartError> {
    let bad = |why: String| StartError::Secret { path: path.to_owned(), why };
    let file = fs::File::open(path).map_err(|error| bad(error.to_string()))?;
    refuse_readable(&file, path).map_err(bad)?;
    let mut text = String::new();
    file.take(MAX_SECRET_FILE).read_to_string(&mut text).map_err(|error| bad(error.to_string()))?;
    text.parse().map_err(|error: SecretError| bad(error.to_string()))
}

/// Refuses a file that others can read; says what to do. A pipe is read by who it was given to.
#[cfg(unix)]
pub(crate) fn refuse_readable(file: &File, path: &Path) -> Result<(), String> {
    let meta = file.metadata().map_err(|error| error.to_string())?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o7777;
    if meta.is_file() && mode & 0o077 != 0 {
        let path = path.display();
        return Err(format!("others can read it (mode {mode:04o}); run: chmod 600 {path}"));
    }
    Ok(())
}

/// Refuses a file that others can read, where that can be known.
#[cfg(not(unix))]
pub(crate) fn refuse_readable(_file: &File, _path: &Path) -> Result<(), String> {
    Ok(())
}

/// Writes the whole join string into the state folder, for its owner alone; returns where. Blocking.
///
/// # Errors
/// What the system says.
pub fn keep_join(dir: &Path, join: &JoinString) -> io::Result<PathBuf> {
    let path = dir.join(JOIN_FILE);
    put_private(&path, format!("{join}\n").as_bytes())?;
    Ok(path)
}

/// The join string that the last start with this state folder wrote there. Blocking.
///
/// # Errors
/// [`StartError::Join`].
pub fn read_join(dir: &Path) -> Result<JoinString, StartError> {
    let path = dir.join(JOIN_FILE);
    let bad = |why: String| StartError::Join { path: path.clone(), why };
    let file = File::open(&path).map_err(|error| bad(error.to_string()))?;
    let mut text = String::new();
    let most = saturate::<u64>(MAX_LINK_LEN).saturating_add(1);
    file.take(most).read_to_string(&mut text).map_err(|error| bad(error.to_string()))?;
    text.parse().map_err(|error: common::join::JoinError| bad(error.to_string()))
}

/// The secret of the state folder, made at the first start. A file that holds nothing is of a first start that
/// was cut short.
fn kept_secret(path: &Path) -> Result<Secret, StartError> {
    if !is_blank(path) {
        return read_secret(path);
    }
    let secret = Secret::generate().map_err(StartError::NoSecret)?;
    put_private(path, format!("{}\n", secret.expose()).as_bytes())
        .map_err(|error| StartError::Secret { path: path.to_owned(), why: error.to_string() })?;
    Ok(secret)
}

/// Whether there is no such file, or nothing in it.
fn is_blank(path: &Path) -> bool {
    match File::open(path) {
        Err(error) => error.kind() == io::ErrorKind::NotFound,
        Ok(file) => {
            let mut bytes = Vec::new();
            let read = file.take(MAX_SECRET_FILE).read_to_end(&mut bytes);
            read.is_ok() && bytes.iter().all(|byte| *byte == 0)
        }
    }
}

/// Puts a file in place whole or not at all, for its owner alone. The store's lock keeps other trackers away.
pub(crate) fn put_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // Left behind by an earlier attempt.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, path))
        .and_then(|()| crate::store::sync_folder(path));
    if written.is_err() {
        // It is of no use to anybody.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn is_permission(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

pub(crate) fn make_private(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}
