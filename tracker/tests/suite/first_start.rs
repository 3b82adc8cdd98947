//! A first start that is killed, or finds no room, at any of its system calls: the second one works.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::traced::{PATIENCE, Plan, lines, start, whole};

/// Calls that change something on a disk, and the opening of what is changed.
const CALLS: [&str; 13] = [
    "openat",
    "mkdir",
    "write",
    "pwrite64",
    "ftruncate",
    "fsync",
    "fdatasync",
    "rename",
    "unlink",
    "fchmod",
    "chmod",
    "bind",
    "flock",
];

#[test]
fn f6_a_trackers_first_start_that_is_killed_or_finds_no_room_can_be_repeated() {
    let plan = Plan { calls: &CALLS, some: 3, next: |when| 1 + 4 * when };
    plan.carry_out(|broken| {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let made = start(&tracker(&state), &dir.path().join("trace"), broken, |_| true);
        made.then(|| second_start(&state))
    });
}

fn tracker(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracker"));
    command.args(["--listen", "127.0.0.1:0", "--admission", "secret", "--show-secret", "--state"]);
    command.arg(state).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", state);
    command
}

/// Whether it starts as if nothing had been.
fn second_start(state: &Path) -> Result<(), String> {
    let mut command = tracker(state);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let line = lines(&mut child).recv_timeout(PATIENCE).unwrap_or_default();
    // What is not synced by now is not asked for here.
    child.kill().unwrap();
    child.wait().unwrap();
    if !line.contains("secret=") {
        return Err(format!("it says {line:?}"));
    }
    whole(state)
}
