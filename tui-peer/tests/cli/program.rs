//! The program in a home folder of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::lines::{json, lines};

/// Longest any single step may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A home folder.
pub(crate) struct Place(tempfile::TempDir);

/// What a program left.
pub(crate) struct End {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Drop for Place {
    /// A test that failed shows what the first peer wrote down.
    #[allow(clippy::print_stdout, reason = "the harness shows it beside the failure")]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for log in ["log/shoal.log", "serve.log"] {
            let path = self.path(".local/state/shoal").join(log);
            if let Ok(text) = fs::read_to_string(&path) {
                println!("{}:\n{text}", path.display());
            }
        }
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn config(&self, text: &str) {
        let dir = self.path("config/shoal");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("config.toml"), text).unwrap();
        // Whatever the umask: hooks are not taken from a file that others can write.
        for (path, mode) in [(dir.join("config.toml"), 0o600), (dir, 0o700)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }

    /// With nothing of the test's own environment in it.
    pub(crate) fn command_as_is(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tui-peer"));
        command.args(args).env_clear().env("HOME", self.0.path());
        command.env("XDG_CONFIG_HOME", self.path("config")).env("PATH", "/usr/bin:/bin");
        // Nothing is heard of other networks.
        command.env("SHOAL_NEAR", "0");
        command.stdin(Stdio::null());
        command
    }

    /// Listens on a free port.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.command_as_is(args);
        command.env("SHOAL_LISTEN", "127.0.0.1:0");
        command
    }

    /// Another peer, in the network of a hosting one.
    pub(crate) fn other(&self, name: &str, host: &Value, args: &[&str]) -> Command {
        let mut command = self.command(args);
        if let Some(join) = host["join"].as_str() {
            command.env("SHOAL_TRACKER", join);
        }
        command.env("SHOAL_STATE", self.path(name)).env("SHOAL_NICK", name);
        command
    }

    /// The join string of a tracker nobody runs. Its port stays taken, and nobody listens there: another test's tracker
    /// would be given it otherwise, and answer.
    pub(crate) fn gone_tracker(&self) -> String {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        std::mem::forget(socket);
        let key = common::id::PeerId::from_bytes([7; 32]);
        format!("shoal://{key}@{address}")
    }

    pub(crate) fn run(&self, args: &[&str]) -> End {
        self.run_with(args, &[])
    }

    pub(crate) fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> End {
        let mut command = self.command(args);
        let end = command.envs(env.iter().copied()).output().unwrap();
        End {
            code: end.status.code().unwrap_or(-1),
            out: String::from_utf8(end.stdout).unwrap(),
            err: String::from_utf8(end.stderr).unwrap(),
        }
    }
}

pub(crate) fn values(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What stands in a file, once it is there.
pub(crate) fn wait_for(path: &Path) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Ok(text) = fs::read_to_string(path) {
            return text;
        }
        assert!(Instant::now() < end, "no {}", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A program that runs until it is stopped.
pub(crate) struct Running {
    child: Child,
    lines: Option<Receiver<Value>>,
    log: Option<Receiver<String>>,
    pub(crate) ready: Value,
}

impl Running {
    /// Waits until it is ready; its log can be read.
    pub(crate) fn logged(mut command: Command) -> Self {
        command.stderr(Stdio::piped());
        Self::start(command)
    }

    /// Waits until it is ready.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = lines(child.stdout.take().unwrap(), json);
        let log = child.stderr.take().map(|stderr| lines(stderr, |line| line));
        let mut running = Self { child, lines: Some(out), log, ready: Value::Null };
        running.ready = running.expect("ready");
        running
    }

    /// Does not wait for anything.
    pub(crate) fn silent(mut command: Command) -> Self {
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        Self { child, lines: None, log: None, ready: Value::Null }
    }

    /// The next event of this kind.
    pub(crate) fn expect(&mut self, event: &str) -> Value {
        let lines = self.lines.as_ref().unwrap();
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let value = lines.recv_timeout(left).unwrap_or_else(|_| panic!("no {event} in time"));
            if value["event"] == event {
                return value;
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// As SIGTERM; the exit code.
    pub(crate) fn stop(self) -> i32 {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// The next line of its log that contains `text`, if [`Running::logged`].
    pub(crate) fn log(&mut self, text: &str) -> String {
        let log = self.log.as_ref().unwrap();
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = log.recv_timeout(left).unwrap_or_else(|_| panic!("no {text} in time"));
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn wait(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
