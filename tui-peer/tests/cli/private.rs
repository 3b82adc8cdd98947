//! What a peer makes is its owner's alone, whoever makes it first and however open the user's mask is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::program::{Place, Running};

/// The program with a mask that takes nothing away.
fn unmasked(place: &Place, args: &[&str]) -> Command {
    let plain = place.command(args);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(args);
    command.env_clear().stdin(std::process::Stdio::null());
    for (name, value) in plain.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command
}

/// Everything in a folder that others may read, write or enter.
fn open_to_others(dir: &Path) -> Vec<String> {
    let mut open = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        let meta = fs::symlink_metadata(&dir).unwrap();
        if meta.permissions().mode() & 0o077 != 0 {
            open.push(format!("{} {:o}", dir.display(), meta.permissions().mode() & 0o7777));
        }
        if meta.is_dir() {
            dirs.extend(fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    open
}

#[test]
fn s11_what_a_service_makes_is_for_its_owner_alone() {
    let place = Place::new();
    let file = place.write("file", &[7; 1000]);
    let mut peer = Running::start(unmasked(&place, &["--serve-only", "--host", "--json", &file]));
    peer.expect("shared");
    let state = place.path(".local/state/shoal");
    for name in ["library.redb", "identity.key", "tui-peer.pid", "control.sock", "log/shoal.log"] {
        assert!(state.join(name).exists(), "{name}");
    }
    assert_eq!(open_to_others(&state), [""; 0]);
    // The log too when it is put aside, and after it was moved away.
    fs::rename(state.join("log/shoal.log"), state.join("log/moved")).unwrap();
    assert_eq!(peer.stop(), 0);
    assert_eq!(open_to_others(&state), [""; 0]);
}

#[test]
fn s11_what_a_command_without_a_peer_makes_is_for_its_owner_alone() {
    for args in [&["share", "file"][..], &["verify"], &["ls"], &["get", "x"]] {
        let place = Place::new();
        place.write("file", &[7; 1000]);
        unmasked(&place, args).current_dir(place.path("")).output().unwrap();
        assert_eq!(open_to_others(&place.path(".local/state/shoal")), [""; 0], "{args:?}");
    }
    // A log somewhere else, in a folder that is made for it.
    let place = Place::new();
    let log = place.path("logs/deep/peer.log");
    let args = ["--serve-only", "--json", "--log", log.to_str().unwrap()];
    let peer = Running::start(unmasked(&place, &args));
    assert_eq!(peer.stop(), 0);
    assert_eq!(open_to_others(&place.path("logs")), [""; 0]);
}
