//! First starts of a program that are killed or find no room, at one of their system calls: `strace` lets the n-th
//! call of a kind fail or kills the program there.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// What happens to a call.
const FATES: [&str; 2] = ["error=ENOSPC", "signal=KILL"];
/// A program makes fewer calls of a kind until it is ready.
const MOST: usize = 400;
/// Longest a start and its end may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long a program whose wake-up between threads failed is given to end by itself.
const DEAF: Duration = Duration::from_secs(3);
/// How often a program is asked to end: the call that failed may have been the one that passes the signal on.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// The `when`-th call of a kind, and what happens to it.
pub(crate) struct Broken<'a> {
    call: &'a str,
    fate: &'a str,
    when: usize,
}

/// Which calls are tried: of each of the kinds so many, each number following from the one before. With
/// `SHOAL_EVERY_CALL=1` in the environment all of them, which takes minutes.
pub(crate) struct Plan<'a> {
    pub(crate) calls: &'a [&'a str],
    pub(crate) some: usize,
    pub(crate) next: fn(usize) -> usize,
}

impl Plan<'_> {
    /// Has `attempt` start a program twice, the first time broken. It answers how the second went, or `None` if the
    /// first made no such call. Panics if a second start was not as if nothing had been.
    #[allow(clippy::print_stderr, reason = "what is not tried here is said")]
    pub(crate) fn carry_out(
        &self,
        mut attempt: impl FnMut(&Broken<'_>) -> Option<Result<(), String>>,
    ) {
        if !can_trace() {
            eprintln!("SKIPPED: strace is not installed, or may not trace here");
            return;
        }
        let all = std::env::var_os("SHOAL_EVERY_CALL").is_some();
        let (mut tried, mut wrong) = (0, Vec::new());
        for (call, fate) in self.calls.iter().flat_map(|call| FATES.map(|fate| (*call, fate))) {
            let (mut when, mut some) = (1, 0);
            while when < MOST && (all || some < self.some) {
                let Some(second) = attempt(&Broken { call, fate, when }) else { break };
                (tried, some) = (tried + 1, some + 1);
                if let Err(why) = second {
                    wrong.push(format!("{call} {when} {fate}: {why}"));
                }
                when = if all { when + 1 } else { (self.next)(when) };
            }
        }
        eprintln!("{tried} first starts broken off");
        assert!(tried > self.calls.len(), "nothing was injected");
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

fn can_trace() -> bool {
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "-e", "inject=fsync:error=ENOSPC:when=1", "true"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Starts `plain` broken, until it says a line that shows it is ready or has ended; then it is asked to end. Whether
/// the call was made. `trace` is a file to be written.
pub(crate) fn start(
    plain: &Command,
    trace: &Path,
    broken: &Broken<'_>,
    is_ready: fn(&str) -> bool,
) -> bool {
    let Broken { call, fate, when } = broken;
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-o"]).arg(trace).arg("-e").arg(format!("trace={call}"));
    command.arg("-e").arg(format!("inject={call}:{fate}:when={when}"));
    command.arg("--").arg(plain.get_program()).args(plain.get_args());
    // Of its own, so that it can be killed with whom it traces.
    command.process_group(0).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    run(command.spawn().unwrap(), trace, is_ready);
    let hit = |line: &str| line.contains("(INJECTED)") || line.contains("killed by SIGKILL");
    fs::read_to_string(trace).unwrap_or_default().lines().any(hit)
}

fn run(mut strace: Child, trace: &Path, is_ready: fn(&str) -> bool) {
    let (lines, began) = (lines(&mut strace), Instant::now());
    let gave_up = |strace: &mut Child| {
        let deaf = began.elapsed() > DEAF && is_deaf(trace);
        if deaf {
            let group = format!("-{}", strace.id());
            Command::new("kill").args(["-s", "KILL", "--", &group]).status().unwrap();
            strace.wait().unwrap();
        }
        deaf
    };
    loop {
        match lines.recv_timeout(DEAF) {
            Ok(line) if is_ready(&line) => break,
            Ok(_) => {}
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if gave_up(&mut strace) => return,
            Err(RecvTimeoutError::Timeout) => {
                assert!(began.elapsed() < PATIENCE, "neither ready nor ended");
            }
        }
    }
    let children = format!("/proc/{0}/task/{0}/children", strace.id());
    let mut asked: Option<Instant> = None;
    while strace.try_wait().unwrap().is_none() {
        if asked.is_none_or(|at| at.elapsed() > ASK_EVERY) {
            if asked.is_some() && gave_up(&mut strace) {
                return;
            }
            for pid in fs::read_to_string(&children).unwrap_or_default().split_whitespace() {
                // It may have ended by itself.
                let mut kill = Command::new("kill");
                kill.args(["-s", "TERM", pid]).stderr(Stdio::null()).status().unwrap();
            }
            asked = Some(Instant::now());
        }
        assert!(began.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What a program says, as long as it does.
pub(crate) fn lines(child: &mut Child) -> Receiver<String> {
    let (tx, rx) = channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            // Nobody listens any more.
            let _ = tx.send(line);
        }
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

/// Refuses a state folder in which a half-made file is left.
pub(crate) fn whole(state: &Path) -> Result<(), String> {
    for entry in fs::read_dir(state).map_err(|error| error.to_string())? {
        let name = entry.map_err(|error| error.to_string())?.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".new") || name.ends_with(".tmp") {
            return Err(format!("{name} is left"));
        }
    }
    Ok(())
}
