//! `tracker export` and `tracker import`: key, secret and records in one encrypted file, for a tracker that stands by on
//! another machine, or that moves there.
//!
//! - `sealed`: the encrypted file; `items`: what is in it. `passphrase`: asks for that.

mod items;
mod passphrase;
mod sealed;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use common::id::PeerId;
use common::identity::Identity;
use common::numbers::saturate;
use zeroize::Zeroizing;

use crate::control::{self, ControlError};
use crate::record::Saved;
use crate::state::{
    HOSTS_FILE, IDENTITY_FILE, IMPORTING_FILE, JOIN_FILE, SECRET_FILE, STORE_FILE, StartError,
    make_private, put_private, read_join, refuse_unfinished,
};
use crate::store::{MetaStore as _, RedbStore, StoreError, sync_folder};
use items::Luggage;
pub(crate) use items::records;
pub use passphrase::{Passphrase, PassphraseError, ask, read_passphrase};
use sealed::{Opener, Sealer};

/// Longest of the small files of a state folder.
const MAX_FILE: u64 = 4096;
/// Records that are written at a time.
const BATCH: usize = 1000;
/// Files put aside under one name.
const MAX_ASIDE: u32 = 99;

/// Why nothing was moved: what, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    #[error(
        "no tracker has run with the state folder {}; give the folder of the one to export with --state",
        .0.display()
    )]
    NoTracker(PathBuf),
    #[error("{} exists; give another name, or remove it", .0.display())]
    Exists(PathBuf),
    #[error("this is no file of `tracker export`; give the file that was written there")]
    NotAnExport,
    #[error("the passphrase is wrong: give the one that the file was written with")]
    WrongPassphrase,
    #[error("the file is damaged or not whole: copy it again, or export again")]
    Damaged,
    #[error(
        "the file has format {found}, this tracker knows up to {known}: import it with the newer program that wrote it"
    )]
    TooNew {
        found: u8,
        /// The newest this program reads.
        known: u8,
    },
    #[error(
        "{} has a tracker with another key ({}, the file is of {}); give an empty folder with --state, or put that tracker aside with --force",
        path.display(), here.short(), theirs.short()
    )]
    OtherKey {
        path: PathBuf,
        here: PeerId,
        /// Of the file.
        theirs: PeerId,
    },
    /// The store refuses, or is in use.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] StartError),
    /// The running tracker cannot be asked.
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("the tracker that runs there does not give its records: {0}")]
    Refused(String),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// Reading or writing failed.
    #[error("cannot read or write: {0}")]
    Io(io::Error),
    #[error("the operating system gives no random numbers")]
    NoRandom,
}

impl From<io::Error> for MoveError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::InvalidData { Self::Damaged } else { Self::Io(error) }
    }
}

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The tracker's key.
    pub key: PeerId,
    /// Whether there is the secret of a closed network.
    pub has_secret: bool,
    /// Peers, contents, shares and bans.
    pub records: u64,
    /// Bans that only the folder had, and that are kept.
    pub kept_bans: usize,
    /// Whether it may be a network by invitation: there are members, or invitations.
    pub has_members: bool,
    /// Files of another tracker that were put aside, under these names.
    pub aside: Vec<PathBuf>,
}

/// Writes key, secret and records of the tracker with this state folder into a new file (mode 0600). A tracker that runs
/// there is asked for its records, as they are on its disk; it goes on meanwhile. Needs a tokio runtime with I/O and time.
///
/// # Errors
/// [`MoveError`]; there is no file then.
pub async fn export(state_dir: &Path, file: &Path, with: &Passphrase) -> Result<Moved, MoveError> {
    refuse_unfinished(state_dir)?;
    let key_file = state_dir.join(IDENTITY_FILE);
    let no_tracker = || MoveError::NoTracker(state_dir.to_owned());
    let key = small(&key_file)?.ok_or_else(no_tracker)?;
    let identity = Identity::load_or_create(&key_file).map_err(StartError::from)?;
    let luggage = Luggage {
        key,
        secret: secret_in_force(state_dir)?,
        hosts: small(&state_dir.join(HOSTS_FILE))?.map(|hosts| hosts.to_vec()),
        saved: Saved::default(),
    };
    let in_file = |source| MoveError::File { path: file.to_owned(), source };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let to = match options.open(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(MoveError::Exists(file.to_owned()));
        }
        opened => opened.map_err(in_file)?,
    };
    let written = write(state_dir, &luggage, to, with).await;
    if written.is_err() {
        // Half of it is of no use to anybody.
        let _ = fs::remove_file(file);
    }
    let records = written.map_err(|error| match error {
        MoveError::Io(source) => in_file(source),
        other => other,
    })?;
    sync_folder(file).map_err(in_file)?;
    let (key, has_secret) = (identity.peer_id(), luggage.secret.is_some());
    Ok(Moved { key, has_secret, has_members: false, records, kept_bans: 0, aside: Vec::new() })
}

/// The secret that was needed to join when a tracker started here last: it may have come from elsewhere (`--secret-file`, a
/// peer that hosts), and one that is kept from earlier may not be in force. The join string says it.
fn secret_in_force(state_dir: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, MoveError> {
    match read_join(state_dir) {
        Ok(join) => Ok(join
            .secret()
            .map(|secret| Zeroizing::new(format!("{}\n", secret.expose()).into_bytes()))),
        Err(_) => small(&state_dir.join(SECRET_FILE)),
    }
}

async fn write(
    state_dir: &Path,
    luggage: &Luggage,
    to: File,
    with: &Passphrase,
) -> Result<u64, MoveError> {
    let mut sealer = Sealer::new(BufWriter::new(to), with)?;
    let mut count = 0;
    let mut put = |bytes: &[u8]| -> io::Result<u64> {
        let items = items::count(bytes).ok_or(io::ErrorKind::InvalidData)?;
        sealer.write_all(bytes)?;
        count += items;
        Ok(items)
    };
    put(&items::files(luggage))?;
    let mut records = 0;
    let mut put_records = |bytes: &[u8]| {
        records += put(bytes)?;
        Ok(())
    };
    match control::records(state_dir, &mut put_records).await {
        Ok(None) => {}
        Ok(Some(why)) => return Err(MoveError::Refused(why)),
        Err(ControlError::NotRunning(_)) => {
            let saved = RedbStore::open(&state_dir.join(STORE_FILE))?.load()?;
            for batch in saved.into_changes().chunks(BATCH) {
                put_records(&items::records(batch))?;
            }
        }
        Err(error) => return Err(error.into()),
    }
    sealer.write_all(&items::end(count))?;
    let file = sealer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(records)
}

/// Makes a state folder hold what is in the file, after a look at all of it. Bans that only the folder has are kept. The
/// tracker of another key that is there is put aside if `force`. Blocking.
///
/// # Errors
/// [`MoveError`]; unless the disk failed in between nothing is changed then.
pub fn import(
    state_dir: &Path,
    file: &Path,
    with: &Passphrase,
    force: bool,
) -> Result<Moved, MoveError> {
    let opened = File::open(file);
    let opened = opened.map_err(|source| MoveError::File { path: file.to_owned(), source })?;
    let mut luggage = items::read(&mut Opener::new(opened, with)?)?;
    let folder = |source| StartError::Folder { path: state_dir.to_owned(), source };
    make_private(state_dir).map_err(folder)?;
    let store_file = state_dir.join(STORE_FILE);
    // First the store: nobody else changes the folder while it is locked.
    let mut present = RedbStore::open(&store_file)?;
    let brought = Identity::from_text(&luggage.key).map_err(|_| MoveError::Damaged)?.peer_id();
    let key_file = state_dir.join(IDENTITY_FILE);
    let here = match small(&key_file)? {
        Some(_) => Some(Identity::load_or_create(&key_file).map_err(StartError::from)?.peer_id()),
        None => None,
    };
    if let Some(here) = here.filter(|here| *here != brought && !force) {
        return Err(MoveError::OtherKey { path: state_dir.to_owned(), here, theirs: brought });
    }
    let put = |name: &str, bytes: &[u8]| put_private(&state_dir.join(name), bytes).map_err(folder);
    // From here to the end no tracker starts there, whatever happens.
    put(IMPORTING_FILE, b"an import is under way, or was cut short\n")?;
    let (mut aside, mut kept_bans) = (Vec::new(), 0);
    match here {
        Some(here) if here != brought => {
            for name in [JOIN_FILE, HOSTS_FILE, SECRET_FILE, STORE_FILE, IDENTITY_FILE] {
                aside.extend(put_aside(&state_dir.join(name)).map_err(folder)?);
            }
        }
        _ => {
            let known: std::collections::BTreeSet<_> =
                luggage.saved.bans.iter().map(|(target, _)| *target).collect();
            let bans = present.load()?.bans.into_iter();
            let only_here: Vec<_> = bans.filter(|(target, _)| !known.contains(target)).collect();
            kept_bans = only_here.len();
            luggage.saved.bans.extend(only_here);
        }
    }
    let has_members = !luggage.saved.members.is_empty() || !luggage.saved.invites.is_empty();
    let records = replace(&store_file, std::mem::take(&mut luggage.saved))?;
    drop(present);
    if let Some(secret) = &luggage.secret {
        put(SECRET_FILE, secret)?;
    }
    if let Some(hosts) = &luggage.hosts {
        put(HOSTS_FILE, hosts)?;
    }
    put(IDENTITY_FILE, &luggage.key)?;
    give_to_owner(state_dir).map_err(folder)?;
    let unfinished = state_dir.join(IMPORTING_FILE);
    fs::remove_file(&unfinished).and_then(|()| sync_folder(&unfinished)).map_err(folder)?;
    let has_secret = luggage.secret.is_some();
    Ok(Moved { key: brought, has_secret, has_members, records, kept_bans, aside })
}

/// Whoever imports as root into the folder of a service leaves files that the service can read.
fn give_to_owner(state_dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let owner = fs::metadata(state_dir)?;
    for name in [STORE_FILE, SECRET_FILE, HOSTS_FILE, IDENTITY_FILE] {
        let path = state_dir.join(name);
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.uid() != owner.uid() && rustix::process::geteuid().is_root() {
            chown(&path, Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    Ok(())
}

/// Puts a store with these records in the place of the one that is there.
fn replace(path: &Path, saved: Saved) -> Result<u64, MoveError> {
    let beside = path.with_extension("redb.import");
    let at = |source| MoveError::File { path: beside.clone(), source };
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(error)),
        _ => {}
    }
    let changes = saved.into_changes();
    let mut store = RedbStore::open(&beside)?;
    changes.chunks(BATCH * 100).try_for_each(|batch| store.apply(batch))?;
    drop(store);
    fs::rename(&beside, path).and_then(|()| sync_folder(path)).map_err(at)?;
    Ok(saturate::<u64>(changes.len()))
}

/// A small file of the state folder, if it is there and holds something.
fn small(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, MoveError> {
    let at = |source| MoveError::File { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(at)?,
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_FILE).unwrap_or(0)));
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(at)?;
    Ok((!bytes.iter().all(|byte| *byte == 0)).then_some(bytes))
}

/// Gives a file another name; says which, if there was one.
fn put_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    let name = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".replaced-{n}"));
        PathBuf::from(name)
    };
    let free = (1..=MAX_ASIDE).map(name).find(|aside| fs::symlink_metadata(aside).is_err());
    let aside = free.ok_or(io::ErrorKind::AlreadyExists)?;
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        renamed => renamed.map(|()| Some(aside)),
    }
}
