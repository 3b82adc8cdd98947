//! Where the socket of a state folder is, and its two ends.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

/// Longest path of a socket in bytes: `sun_path` is 104 on BSD and macOS, 108 on Linux, with the zero.
const MAX_SOCKET_PATH: usize = 103;

/// The names of one program's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// In the state folder.
    pub inside: &'static str,
    /// In the user's runtime folder, before a name made of the state folder's: there where the path in the
    /// state folder is too long for a socket.
    pub outside: &'static str,
}

impl Place {
    /// Where the socket of a state folder is.
    pub fn socket(self, state_dir: &Path) -> PathBuf {
        let state = fs::canonicalize(state_dir).unwrap_or_else(|_| state_dir.to_path_buf());
        let inside = state.join(self.inside);
        if inside.as_os_str().len() <= MAX_SOCKET_PATH {
            return inside;
        }
        let hash = crate::hash::sha256(state.as_os_str().as_encoded_bytes()).hex();
        let name = format!("{}-{}.sock", self.outside, hash.get(..16).unwrap_or_default());
        runtime_dir().join(name)
    }
}

/// A socket's file; removed on drop, unless another lies there by then.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode of the socket we made.
    made: (u64, u64),
}

impl SocketFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let now = fs::symlink_metadata(&self.path).map(|meta| (meta.dev(), meta.ino()));
        if now.is_ok_and(|now| now == self.made) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens (mode 0600) for the state folder `state_dir`, whose lock the caller holds: a socket found there
/// is left over from a process that died. The listener does not block, for `tokio`'s `from_std`.
///
/// # Errors
/// When the socket cannot be made, or its folder belongs to somebody else.
pub fn listen(place: Place, state_dir: &Path) -> io::Result<(StdListener, SocketFile)> {
    let path = place.socket(state_dir);
    if !path.ends_with(place.inside) {
        make_folder(&path)?;
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = StdListener::bind(&path)?;
    listener.set_nonblocking(true)?;
    // Connecting before this is possible for this user and root only, which is checked again for each.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    let meta = fs::symlink_metadata(&path)?;
    Ok((listener, SocketFile { path, made: (meta.dev(), meta.ino()) }))
}

/// Reaches the program that runs on `state_dir`; `None` if there is none.
///
/// # Errors
/// From the socket, or [`io::ErrorKind::PermissionDenied`] for another user's.
pub async fn connect(place: Place, state_dir: &Path) -> io::Result<Option<UnixStream>> {
    let owner = fs::metadata(state_dir).ok().map(|meta| meta.uid());
    match UnixStream::connect(place.socket(state_dir)).await {
        Ok(stream) => trusted(&stream, Side::Server { owner }).map(|()| Some(stream)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
            _ => Err(error),
        },
    }
}

/// Who is at the other end of a control socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Somebody who commands this program.
    Client,
    /// The program that we command, and whose its state folder is, if that can be known.
    Server { owner: Option<u32> },
}

impl Side {
    /// Whether user `theirs` may be there while we are `ours`. The administrator commands everybody's programs,
    /// which is how one that runs as a user of its own is told what to share; nobody else another user's. Nor does it
    /// take for somebody's program what another user put in its place: a socket may lie where everybody can make one.
    fn admits(self, theirs: u32, ours: u32) -> bool {
        const ROOT: u32 = 0;
        let is_admin = match self {
            Self::Client => theirs == ROOT,
            Self::Server { owner } => ours == ROOT && owner == Some(theirs),
        };
        theirs == ours || is_admin
    }
}

/// Whoever commands us must be us or the administrator; the socket's mode says so too, but not on every system.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] for another user.
pub fn admit(client: &UnixStream) -> io::Result<()> {
    trusted(client, Side::Client)
}

fn trusted(stream: &UnixStream, side: Side) -> io::Result<()> {
    let (theirs, ours) = (stream.peer_cred()?.uid(), rustix::process::geteuid().as_raw());
    if side.admits(theirs, ours) {
        return Ok(());
    }
    let why = format!("user {theirs} is at the other end of the control socket, not {ours}");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

fn runtime_dir() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
        Some(dir) if dir.is_absolute() => dir,
        _ => {
            let user = rustix::process::geteuid().as_raw();
            PathBuf::from("/tmp").join(format!("shoal-{user}"))
        }
    }
}

/// Makes the folder for a socket outside of the state folder, for this user alone.
fn make_folder(socket: &Path) -> io::Result<()> {
    let Some(dir) = socket.parent() else { return Ok(()) };
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let owner = fs::symlink_metadata(dir)?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        let why = format!("{} belongs to another user", dir.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { inside: "control.sock", outside: "shoal-test" };

    #[test]
    fn root_commands_everybodys_program_and_nobody_else_commands_anothers() {
        let of = |owner| Side::Server { owner: Some(owner) };
        for (side, theirs, ours, good) in [
            (Side::Client, 1000, 1000, true),
            (Side::Client, 0, 1000, true),
            (Side::Client, 1000, 0, false),
            (Side::Client, 1000, 1001, false),
            (of(1000), 1000, 1000, true),
            (of(1000), 1000, 0, true),
            (of(0), 1000, 0, false),
            (Side::Server { owner: None }, 1000, 0, false),
            (of(0), 0, 1000, false),
            (of(1001), 1001, 1000, false),
        ] {
            assert_eq!(side.admits(theirs, ours), good, "{side:?}: {theirs} there, we are {ours}");
        }
    }

    #[test]
    fn the_socket_lies_in_the_folder_unless_its_path_is_too_long() {
        let temp = tempfile::tempdir().unwrap();
        let state = fs::canonicalize(temp.path()).unwrap();
        assert_eq!(PLACE.socket(&state), state.join("control.sock"));
        let deep = state.join("a".repeat(60)).join("b".repeat(60));
        let elsewhere = PLACE.socket(&deep);
        assert!(elsewhere.as_os_str().len() <= MAX_SOCKET_PATH, "{}", elsewhere.display());
        assert_eq!(elsewhere, PLACE.socket(&deep));
        assert_ne!(elsewhere, PLACE.socket(&deep.join("c")));
        assert_ne!(elsewhere, Place { outside: "shoal-other", ..PLACE }.socket(&deep));
    }

    #[tokio::test]
    async fn a_socket_is_for_its_user_and_goes_with_its_owner() {
        let temp = tempfile::tempdir().unwrap();
        assert!(connect(PLACE, temp.path()).await.unwrap().is_none());
        let (listener, file) = listen(PLACE, temp.path()).unwrap();
        let path = file.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(connect(PLACE, temp.path()).await.unwrap().is_some());
        // One left over by a process that died is replaced, and then it is not the old one's to remove.
        let (_other, newer) = listen(PLACE, temp.path()).unwrap();
        drop((listener, file));
        assert!(path.exists());
        drop(newer);
        assert!(!path.exists());
        assert!(connect(PLACE, temp.path()).await.unwrap().is_none());
    }
}
