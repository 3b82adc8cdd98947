//! Real programs in their own folders, on ports the system chooses; nothing waits by sleeping.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use serde_json::Value;

#[path = "lines.rs"]
mod lines;

use lines::{json, lines};

/// Longest any single step may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A network in a temporary folder.
pub(crate) struct Net {
    pub(crate) temp: tempfile::TempDir,
    pub(crate) join: String,
    tracker: Option<Program>,
    tracker_args: &'static [&'static str],
    addr: String,
}

/// A running program whose standard output is JSON lines.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<Value>,
}

pub(crate) fn tracker_binary() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_tui-peer")).with_file_name("tracker");
    assert!(path.exists(), "{} is missing: cargo build -p tracker", path.display());
    path
}

impl Net {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With a tracker that has more arguments.
    pub(crate) fn start_with(tracker_args: &'static [&'static str]) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let (join, addr) = (String::new(), "127.0.0.1:0".into());
        let mut net = Self { temp, join, tracker: None, tracker_args, addr };
        net.start_tracker();
        net
    }

    /// (Re)starts the tracker on the address it had.
    pub(crate) fn start_tracker(&mut self) {
        let mut command = Command::new(tracker_binary());
        command.args(["--listen", &self.addr, "--json", "--state"]).arg(self.path("tracker"));
        command.args(self.tracker_args).env("HOME", self.temp.path());
        let mut program = Program::spawn(command);
        let ready = program.expect(|v| v["event"] == "ready");
        self.addr = ready["addr"].as_str().unwrap().to_owned();
        self.join = ready["join"].as_str().unwrap().to_owned();
        self.tracker = Some(program);
    }

    pub(crate) fn kill_tracker(&mut self) {
        self.tracker.take().unwrap().kill();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// A file of repeatable bytes.
    pub(crate) fn file(&self, name: &str, size: usize, seed: u64) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut bytes = vec![0; size];
        fastrand::Rng::with_seed(seed).fill(&mut bytes);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A peer called `name` with the network's join string; its state is kept under that name.
    pub(crate) fn peer(&self, name: &str, args: &[&str]) -> Program {
        Program::spawn(self.command(name, args))
    }

    pub(crate) fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tui-peer"));
        command.args(args).args(["--json", "--listen", "127.0.0.1:0", "--nick", name]);
        command.arg("--state").arg(self.path(&format!("{name}.state")));
        command.arg("--downloads").arg(self.path(&format!("{name}.d")));
        command.env("HOME", self.temp.path()).env("SHOAL_TRACKER", &self.join);
        command.env("SHOAL_NEAR", "0");
        command
    }

    /// A seeder of `path`, once others can find it.
    pub(crate) fn seeder(&self, name: &str, path: &Path, args: &[&str]) -> Program {
        let mut all = vec!["--serve-only", path.to_str().unwrap()];
        all.extend(args);
        let mut program = self.peer(name, &all);
        program.expect(|v| v["event"] == "shared");
        program
    }

    pub(crate) fn downloaded(&self, name: &str, file: &str) -> PathBuf {
        self.path(&format!("{name}.d")).join(file)
    }
}

impl Program {
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = lines(child.stdout.take().unwrap(), json);
        Self { child, lines }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line for which `wanted` holds.
    pub(crate) fn expect(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let value = self.lines.recv_timeout(left).expect("the line comes in time");
            if wanted(&value) {
                return value;
            }
        }
    }

    /// The next line, if it comes within `time`; `None` after the last.
    pub(crate) fn next_within(&mut self, time: Duration) -> Option<Value> {
        self.lines.recv_timeout(time).ok()
    }

    /// As SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to leave; its `exit` line.
    pub(crate) fn stop(mut self) -> Value {
        let pid = i32::try_from(self.child.id()).unwrap();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid).unwrap(),
            rustix::process::Signal::TERM,
        )
        .unwrap();
        let exit = self.expect(|v| v["event"] == "exit");
        assert!(self.child.wait().unwrap().success());
        exit
    }

    /// The most memory it has had at once, in bytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Waits for its end; all lines up to it, and the exit code.
    pub(crate) fn finish(mut self) -> (Vec<Value>, i32) {
        let end = Instant::now() + PATIENCE;
        let mut all = Vec::new();
        while let Ok(value) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            all.push(value);
        }
        (all, self.child.wait().unwrap().code().unwrap_or(-1))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn same(a: &Path, b: &Path) {
    assert!(fs::read(a).unwrap() == fs::read(b).unwrap(), "{} differs", b.display());
}

pub(crate) fn last<'a>(lines: &'a [Value], event: &str) -> &'a Value {
    lines
        .iter()
        .rev()
        .find(|v| v["event"] == event)
        .unwrap_or_else(|| panic!("no {event} in {lines:?}"))
}
