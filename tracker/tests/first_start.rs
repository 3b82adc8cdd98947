//! A first start that is killed, or finds no room, at any of its system calls: the second one works. The same for the
//! peer is in `tui-peer/tests/cli/first_start.rs`.
//!
//! Done by `strace`, which lets the n-th call of a kind fail or kills the program there. By default some of the calls
//! are tried; with `SHOAL_EVERY_CALL=1` in the environment all of them, which takes minutes.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

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
/// What happens to a call.
const FATES: [&str; 2] = ["error=ENOSPC", "signal=KILL"];
/// One thread makes fewer of each until the program is ready.
const MOST: usize = 400;
/// Of the calls of each kind so many are tried by default.
const SOME: usize = 3;
/// How long a program whose wake-up between threads failed is given to end by itself.
const DEAF: Duration = Duration::from_secs(3);
/// Longest any single step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn can_trace() -> bool {
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "-e", "inject=fsync:error=ENOSPC:when=1", "true"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

fn arguments(command: &mut Command, state: &Path) {
    command.args(["--listen", "127.0.0.1:0", "--admission", "secret", "--show-secret", "--state"]);
    command.arg(state).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", state);
}

/// What a started program says first, when it does; nothing if it ended instead.
fn first_line(child: &mut Child) -> Receiver<String> {
    let (tx, rx) = channel();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        let mut line = String::new();
        // Killed, it says nothing.
        let _ = out.read_line(&mut line);
        // The test may have failed meanwhile.
        let _ = tx.send(line);
    });
    rx
}

/// Whether a call failed that is no business of a disk: the runtime wakes its threads through descriptors that only a
/// test can make fail, and hangs then.
fn is_deaf(trace: &Path) -> bool {
    let other = ["<anon_inode:", "<pipe:", "<socket:"];
    let trace = fs::read_to_string(trace).unwrap_or_default();
    let mut injected = trace.lines().filter(|line| line.contains("(INJECTED)"));
    injected.any(|line| other.iter().any(|kind| line.contains(kind)))
}

/// Kills it with whom it traces.
fn kill_group(strace: &mut Child) {
    let group = format!("-{}", strace.id());
    Command::new("kill").args(["-s", "KILL", "--", &group]).status().unwrap();
    strace.wait().unwrap();
}

/// Asks the only child of a process to end, until the process has.
fn end(parent: &mut Child, trace: &Path) {
    let began = Instant::now();
    let children = format!("/proc/{0}/task/{0}/children", parent.id());
    let mut asked: Option<Instant> = None;
    while parent.try_wait().unwrap().is_none() {
        if began.elapsed() > DEAF && is_deaf(trace) {
            return kill_group(parent);
        }
        assert!(began.elapsed() < PATIENCE, "it does not end");
        // Again, should the call that failed have been the one that passes the signal on.
        if asked.is_none_or(|at| at.elapsed() > Duration::from_secs(1)) {
            for pid in fs::read_to_string(&children).unwrap_or_default().split_whitespace() {
                // It may have ended by itself.
                let mut kill = Command::new("kill");
                kill.args(["-s", "TERM", pid]).stderr(Stdio::null()).status().unwrap();
            }
            asked = Some(Instant::now());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Starts for the first time, with something happening to a call; whether it did, in a run that may have ended there.
fn first_start(dir: &Path, call: &str, fate: &str, when: usize) -> bool {
    let trace = dir.join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-o"]).arg(&trace).arg("-e").arg(format!("trace={call}"));
    command.arg("-e").arg(format!("inject={call}:{fate}:when={when}"));
    command.arg("--").arg(env!("CARGO_BIN_EXE_tracker"));
    arguments(&mut command, &dir.join("state"));
    let mut strace = command.process_group(0).spawn().unwrap();
    let said = first_line(&mut strace);
    if said.recv_timeout(DEAF).is_err() {
        if is_deaf(&trace) {
            kill_group(&mut strace);
            return true;
        }
        said.recv_timeout(PATIENCE).expect("neither ready nor ended");
    }
    end(&mut strace, &trace);
    let hit = |line: &str| line.contains("(INJECTED)") || line.contains("killed by SIGKILL");
    fs::read_to_string(&trace).unwrap_or_default().lines().any(hit)
}

/// Whether it starts as if nothing had been, and leaves no half-made file.
fn second_start(state: &Path) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracker"));
    arguments(&mut command, state);
    let mut child = command.spawn().unwrap();
    let line = first_line(&mut child).recv_timeout(PATIENCE).expect("it does not start");
    // What is not synced by now is not asked for here.
    child.kill().unwrap();
    child.wait().unwrap();
    if !line.contains("secret=") {
        return Err(format!("it says {line:?}"));
    }
    for entry in fs::read_dir(state).map_err(|error| error.to_string())? {
        let name = entry.map_err(|error| error.to_string())?.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".new") || name.ends_with(".tmp") {
            return Err(format!("{name} is left"));
        }
    }
    Ok(())
}

#[test]
#[allow(clippy::print_stderr, reason = "what is not tried here is said")]
fn f6_a_trackers_first_start_that_is_killed_or_finds_no_room_can_be_repeated() {
    if !can_trace() {
        eprintln!("SKIPPED: strace is not installed, or may not trace here");
        return;
    }
    let all = std::env::var_os("SHOAL_EVERY_CALL").is_some();
    let (mut tried, mut broken) = (0, Vec::new());
    for call in CALLS {
        for fate in FATES {
            let (mut when, mut some) = (1, 0);
            while when < MOST && (all || some < SOME) {
                let dir = tempfile::tempdir().unwrap();
                if !first_start(dir.path(), call, fate, when) {
                    break;
                }
                (tried, some) = (tried + 1, some + 1);
                if let Err(why) = second_start(&dir.path().join("state")) {
                    broken.push(format!("{call} {when} {fate}: {why}"));
                }
                when += if all { 1 } else { 1 + 3 * when };
            }
        }
    }
    eprintln!("{tried} first starts broken off");
    assert!(tried > CALLS.len(), "nothing was injected");
    assert!(broken.is_empty(), "{broken:#?}");
}
