//! Where the socket of a state folder is, and which process holds the folder.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use common::control::Place;

/// The socket's names.
pub(super) const SOCKET: Place = Place { inside: "control.sock", outside: "shoal" };
/// The file that says which process holds the state folder.
const PID: &str = "tui-peer.pid";

/// Where the socket of a state folder is.
pub fn socket(state_dir: &Path) -> PathBuf {
    SOCKET.socket(state_dir)
}

/// Says in the state folder which process holds it, for as long as it lives. It is a word for people,
/// not the lock: that is the library's.
#[derive(Debug)]
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes it. That it cannot be written is no reason not to run.
    pub fn write(state_dir: &Path) -> Self {
        let path = state_dir.join(PID);
        let write = || -> io::Result<()> {
            let mut options = fs::OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            // One that an earlier version left.
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            writeln!(file, "{}", std::process::id())
        };
        let _ = write();
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
