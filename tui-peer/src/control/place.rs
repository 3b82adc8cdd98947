//! Where the socket of a state folder is, and which process holds the folder.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The socket's name in the state folder.
const SOCKET: &str = "control.sock";
/// The file that says which process holds the state folder.
const PID: &str = "tui-peer.pid";
/// Longest path of a socket in bytes: `sun_path` is 104 on BSD and macOS, 108 on Linux, with the zero.
const MAX_SOCKET_PATH: usize = 103;

/// Where the socket of a state folder is: in it, or, where that path is too long for a socket, in the
/// user's runtime folder under a name made of it.
pub fn socket(state_dir: &Path) -> PathBuf {
    let state = fs::canonicalize(state_dir).unwrap_or_else(|_| state_dir.to_path_buf());
    let inside = state.join(SOCKET);
    if inside.as_os_str().len() <= MAX_SOCKET_PATH {
        return inside;
    }
    let hash = common::hash::sha256(state.as_os_str().as_encoded_bytes()).hex();
    let name = format!("shoal-{}.sock", hash.get(..16).unwrap_or_default());
    runtime_dir().join(name)
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
///
/// # Errors
/// When it cannot be made, or belongs to somebody else.
pub(super) fn make_folder(socket: &Path) -> io::Result<()> {
    let Some(dir) = socket.parent() else { return Ok(()) };
    if socket.ends_with(SOCKET) {
        return Ok(());
    }
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

/// Says in the state folder which process holds it, for as long as it lives. It is a word for people,
/// not the lock: that is the library's.
#[derive(Debug)]
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes it. That it cannot be written is no reason not to run.
    pub fn write(state_dir: &Path) -> Self {
        let path = state_dir.join(PID);
        let _ = fs::write(&path, format!("{}\n", std::process::id()));
        Self(path)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let own = std::process::id().to_string();
        if fs::read_to_string(&self.0).is_ok_and(|text| text.trim() == own) {
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// The process that says it holds the state folder, if it is alive.
pub fn holder(state_dir: &Path) -> Option<u32> {
    let text = fs::read_to_string(state_dir.join(PID)).ok()?;
    let number: i32 = text.trim().parse().ok()?;
    let pid = rustix::process::Pid::from_raw(number)?;
    // Somebody else's process is alive too.
    let gone = rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH);
    if gone { None } else { u32::try_from(number).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_lies_in_the_folder_unless_its_path_is_too_long() {
        let temp = tempfile::tempdir().unwrap();
        let state = fs::canonicalize(temp.path()).unwrap();
        assert_eq!(socket(&state), state.join("control.sock"));
        let deep = state.join("a".repeat(60)).join("b".repeat(60));
        let elsewhere = socket(&deep);
        assert!(elsewhere.as_os_str().len() <= MAX_SOCKET_PATH, "{}", elsewhere.display());
        assert_eq!(elsewhere, socket(&deep));
        assert_ne!(elsewhere, socket(&deep.join("c")));
    }

    #[test]
    fn a_folder_names_its_holder_while_it_lives() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(holder(temp.path()), None);
        let file = PidFile::write(temp.path());
        assert_eq!(holder(temp.path()), Some(std::process::id()));
        drop(file);
        assert_eq!(holder(temp.path()), None);
        // A process that has ended and left its file.
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        fs::write(temp.path().join(PID), child.id().to_string()).unwrap();
        assert_eq!(holder(temp.path()), None);
    }
}
