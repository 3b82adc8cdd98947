//! One run of a hook.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use common::names::show_bytes;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::facts::Call;
use engine::api::event::Level;

/// Time between asking a hook that is over its limit to end and ending it.
const GRACE: Duration = Duration::from_secs(2);
/// How long a killed hook is waited for: one that waits for a disk that hangs does not end before that does.
const AFTER_KILL: Duration = Duration::from_secs(5);
/// How long what a hook said last is waited for once it has ended. A program that it left behind may hold its
/// standard error open.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// Longest last line of standard error that is kept, in bytes.
const MAX_LINE: usize = 1024;

/// How a run ended, for the log.
pub(super) struct Outcome {
    pub(super) level: Level,
    pub(super) text: String,
}

/// Runs a program without a shell, its group killed after `limit`.
pub(super) async fn run(call: Call, limit: Duration) -> Outcome {
    let began = Instant::now();
    let program = call.argv.first().cloned().unwrap_or_default();
    let mut line = LastLine::default();
    let ended = match start(&call) {
        Ok(child) => follow(child, limit, &mut line).await,
        Err(error) => Err(error),
    };
    let said = show_bytes(line.get());
    let said = if said.is_empty() { said } else { format!(": {said}") };
    let what = format!("{} for {}", call.hook, call.about);
    let took = began.elapsed().as_secs_f64();
    match ended {
        Ok(Some(status)) if status.success() => {
            Outcome { level: Level::Info, text: format!("{what}: exit 0 after {took:.1} s{said}") }
        }
        Ok(Some(status)) => {
            let how = how(status);
            Outcome { level: Level::Warn, text: format!("{what}: {how} after {took:.1} s{said}") }
        }
        Ok(None) => {
            let limit = limit.as_secs();
            let text = format!("{what}: ended after its limit of {limit} s (hook_timeout){said}");
            Outcome { level: Level::Warn, text }
        }
        Err(error) => {
            let program = common::names::show(&program);
            let text = format!("{what}: cannot run {program}: {error}");
            Outcome { level: Level::Error, text }
        }
    }
}

fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

fn start(call: &Call) -> io::Result<Child> {
    let (program, args) = call.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(args);
    // Settings of ours may hold secrets, and what a service manager told us is not for others.
    for (name, _) in std::env::vars_os() {
        let ours = ["SHOAL_", "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_"];
        if ours.iter().any(|ours| name.to_string_lossy().starts_with(ours)) {
            command.env_remove(name);
        }
    }
    command.envs(call.facts.iter().map(|(name, value)| (name, value)));
    // Standard output may carry our JSON. A group of its own: a Ctrl-C at our terminal is not for it.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    command.spawn()
}

/// Waits for the end; `None` if it had to be made.
async fn follow(
    mut child: Child,
    limit: Duration,
    line: &mut LastLine,
) -> io::Result<Option<ExitStatus>> {
    let mut stderr = child.stderr.take();
    let ended = {
        let mut reading = std::pin::pin!(read(&mut stderr, line));
        let mut waiting = std::pin::pin!(timeout(limit, child.wait()));
        let mut open = true;
        loop {
            tokio::select! {
                biased;
                ended = &mut waiting => break ended,
                () = &mut reading, if open => open = false,
            }
        }
    };
    if ended.is_err() {
        // Not waited for meanwhile: its number stays its own.
        signal_group(&child, Signal::TERM);
        sleep(GRACE).await;
        signal_group(&child, Signal::KILL);
        // In vain if it waits for a disk that hangs.
        let _ = timeout(AFTER_KILL, child.wait()).await;
    }
    let _ = timeout(LAST_WORDS, read(&mut stderr, line)).await;
    ended.ok().transpose()
}

fn signal_group(child: &Child, signal: Signal) {
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(group) = group {
        // All of them may have ended just now.
        let _ = kill_process_group(group, signal);
    }
}

/// Reads to the end, and keeps the last line.
async fn read(from: &mut Option<impl AsyncRead + Unpin>, line: &mut LastLine) {
    let Some(stream) = from else { return };
    let mut part = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut part).await {
        line.add(part.get(..n).unwrap_or_default());
    }
    *from = None;
}

/// The last line with something on it, or its beginning.
#[derive(Debug, Default)]
struct LastLine {
    whole: Vec<u8>,
    begun: Vec<u8>,
}

impl LastLine {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.end();
            } else if self.begun.len() < MAX_LINE {
                self.begun.push(*byte);
            }
        }
    }

    fn end(&mut self) {
        let line = std::mem::take(&mut self.begun);
        if !line.trim_ascii().is_empty() {
            self.whole = line;
        }
    }

    fn get(&mut self) -> &[u8] {
        self.end();
        self.whole.trim_ascii()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Call {
        Call {
            hook: "on_done",
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            facts: vec![("SHOAL_EVENT", "done".into())],
            about: "a file".to_owned(),
        }
    }

    #[tokio::test]
    async fn c5_code_and_last_line_are_told() {
        let limit = Duration::from_secs(60);
        let end = run(sh("echo one >&2; printf 'two\\033[2J \\n\\n' >&2; exit 3"), limit).await;
        assert_eq!(end.level, Level::Warn);
        assert!(end.text.starts_with("on_done for a file: exit 3 after "), "{}", end.text);
        assert!(end.text.ends_with(" s: two\\u{1b}[2J"), "{}", end.text);
        let end = run(sh("test $SHOAL_EVENT = done && ! read line; echo lost"), limit).await;
        assert!(end.level == Level::Info && end.text.contains("exit 0 after"), "{}", end.text);
        let end = run(sh("kill -9 $$"), limit).await;
        assert!(end.text.contains("killed by signal 9"), "{}", end.text);
        let call = Call { argv: vec!["/nowhere/x".into()], ..sh("") };
        let end = run(call, limit).await;
        assert!(end.level == Level::Error && end.text.contains("cannot run /nowhere/x"));
        // Who stays behind and holds standard error open is not waited for.
        let began = Instant::now();
        let end = run(sh("sleep 30 & echo $! >&2"), limit).await;
        assert!(began.elapsed() < Duration::from_secs(20), "{}", end.text);
        let left = end.text.rsplit(' ').next().unwrap().parse().unwrap();
        let _ = rustix::process::kill_process(Pid::from_raw(left).unwrap(), Signal::KILL);
    }

    #[tokio::test]
    async fn c5_the_whole_group_of_a_hook_over_its_limit_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        // It and its child shrug off a friendly word.
        let script = format!(
            "trap '' TERM; sh -c \"trap '' TERM; while :; do sleep 0.1; done\" & echo $! > {}; echo hi >&2; wait; wait",
            pid.display()
        );
        let end = run(sh(&script), Duration::from_millis(500)).await;
        assert!(end.text.contains("hook_timeout") && end.text.ends_with(": hi"), "{}", end.text);
        let child: i32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
        let gone = || rustix::process::test_kill_process(Pid::from_raw(child).unwrap()).is_err();
        let is_zombie = || {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            stat.contains(") Z ")
        };
        let end = Instant::now() + Duration::from_secs(30);
        while !gone() && !is_zombie() {
            assert!(Instant::now() < end, "it lives on");
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_line_without_end_takes_little_memory() {
        let mut line = LastLine::default();
        line.add(b"first\n\n  \n");
        assert_eq!(line.get(), b"first");
        (0..1000).for_each(|_| line.add(&[b'x'; 100]));
        assert_eq!(line.get().len(), MAX_LINE);
    }
}
