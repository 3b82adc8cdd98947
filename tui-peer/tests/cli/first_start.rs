//! A first start that is killed, or finds no room, at any of its system calls: the second one works.
//!
//! Done by `strace`, which lets the n-th call of a kind fail or kills the program there. By default some of
//! the calls are tried; with `SHOAL_EVERY_CALL=1` in the environment all of them, which takes minutes.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::program::{PATIENCE, Place, Running};

/// Calls that change something on a disk, and the opening of what is changed.
const CALLS: [&str; 16] = [
    "openat",
    "mkdir",
    "write",
    "pwrite64",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "fchmod",
    "chmod",
    "flock",
];
/// One thread makes fewer of each until the program is ready.
const MOST: usize = 400;
/// Of the calls of each kind so many are tried by default.
const SOME: usize = 5;

/// What happens to a call.
const FATES: [&str; 2] = ["error=ENOSPC", "signal=KILL"];

/// How long a program whose wake-up between threads failed is given to end by itself.
const DEAF: Duration = Duration::from_secs(3);

/// Whether programs can be traced here.
fn can_trace() -> bool {
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "-e", "inject=fsync:error=ENOSPC:when=1", "true"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Starts for the first time, with something happening to a call; whether it did, in a run that may have
/// ended there.
fn first_start(place: &Place, call: &str, fate: &str, when: usize) -> bool {
    let trace = place.path("trace");
    let plain = place.command(&["--serve-only", "--json"]);
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-o"]).arg(&trace).arg("-e").arg(format!("trace={call}"));
    command.arg("-e").arg(format!("inject={call}:{fate}:when={when}"));
    command.arg("--").arg(plain.get_program()).args(plain.get_args());
    // Of its own, so that it can be killed with whom it traces.
    command
        .process_group(0)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    for (name, value) in plain.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    run(command.spawn().unwrap(), &trace);
    let killed = |line: &str| line.contains("(INJECTED)") || line.contains("killed by SIGKILL");
    fs::read_to_string(&trace).unwrap_or_default().lines().any(killed)
}

/// Whether a call failed that is no business of a disk: the runtime wakes its threads through descriptors
/// that only a test can make fail, and hangs then.
fn is_deaf(trace: &Path) -> bool {
    let other = ["<anon_inode:", "<pipe:", "<socket:"];
    let trace = fs::read_to_string(trace).unwrap_or_default();
    let mut injected = trace.lines().filter(|line| line.contains("(INJECTED)"));
    injected.any(|line| other.iter().any(|kind| line.contains(kind)))
}

/// Until it is ready or has ended; then it is stopped.
fn run(mut strace: Child, trace: &Path) {
    let (tx, rx) = channel();
    let out = BufReader::new(strace.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            // Nobody listens any more.
            let _ = tx.send(line);
        }
    });
    let (began, end) = (Instant::now(), Instant::now() + PATIENCE);
    let group = Pid::from_child(&strace);
    let gave_up = |strace: &mut Child| {
        let deaf = began.elapsed() > DEAF && is_deaf(trace);
        if deaf {
            kill_process_group(group, Signal::KILL).unwrap();
            strace.wait().unwrap();
        }
        deaf
    };
    let pid = loop {
        match rx.recv_timeout(DEAF) {
            Ok(line) => {
                let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if value["event"] == "ready" {
                    break value["pid"].as_i64();
                }
            }
            Err(RecvTimeoutError::Disconnected) => break None,
            Err(RecvTimeoutError::Timeout) if gave_up(&mut strace) => return,
            Err(RecvTimeoutError::Timeout) => {
                assert!(Instant::now() < end, "neither ready nor ended");
            }
        }
    };
    let pid = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let mut asked: Option<Instant> = None;
    while strace.try_wait().unwrap().is_none() {
        if asked.is_some_and(|at| at.elapsed() > Duration::from_secs(1)) && gave_up(&mut strace) {
            return;
        }
        assert!(Instant::now() < end, "it does not end");
        // Again, should the call that failed have been the one that passes the signal on.
        let due = asked.is_none_or(|at| at.elapsed() > Duration::from_secs(1));
        if let Some(pid) = pid.filter(|_| due) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
            asked = Some(Instant::now());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Which calls of a kind to try: all, or some.
fn next(when: usize, all: bool) -> usize {
    if all { when + 1 } else { when + 1 + when / 2 }
}

#[test]
#[allow(clippy::print_stderr, reason = "what is not tried here is said")]
fn f6_a_first_start_that_is_killed_or_finds_no_room_can_be_repeated() {
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
                let place = Place::new();
                if !first_start(&place, call, fate, when) {
                    break;
                }
                (tried, some) = (tried + 1, some + 1);
                if let Err(why) = second_start(&place) {
                    broken.push(format!("{call} {when} {fate}: {why}"));
                }
                when = next(when, all);
            }
        }
    }
    eprintln!("{tried} first starts broken off");
    assert!(tried > CALLS.len(), "nothing was injected");
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Whether it starts and ends as if nothing had been.
fn second_start(place: &Place) -> Result<(), String> {
    let end = place.run(&["verify", "--json"]);
    if end.code != 0 {
        return Err(format!("{}: {}", end.code, end.err));
    }
    let peer = Running::start(place.command(&["--serve-only", "--json"]));
    match peer.stop() {
        0 => whole(&place.path(".local/state/shoal")),
        code => Err(format!("ended with {code}")),
    }
}

/// No half-made file is left.
fn whole(state: &Path) -> Result<(), String> {
    for entry in fs::read_dir(state).map_err(|error| error.to_string())? {
        let name = entry.map_err(|error| error.to_string())?.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".new") || name.ends_with(".tmp") {
            return Err(format!("{name} is left"));
        }
    }
    Ok(())
}
