//! The program in a home folder of its own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longest any single step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A home folder.
pub(crate) struct Place(tempfile::TempDir);

/// What a program left.
pub(crate) struct End {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
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
        fs::create_dir_all(self.path("config/shoal")).unwrap();
        fs::write(self.path("config/shoal/config.toml"), text).unwrap();
    }

    /// With nothing of the test's own environment in it.
    pub(crate) fn command_as_is(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tui-peer"));
        command.args(args).env_clear().env("HOME", self.0.path());
        command.env("XDG_CONFIG_HOME", self.path("config")).env("PATH", "/usr/bin:/bin");
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
        command.env("SHOAL_TRACKER", host["join"].as_str().unwrap());
        command.env("SHOAL_STATE", self.path(name)).env("SHOAL_NICK", name);
        command
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

/// A program that runs until it is stopped.
pub(crate) struct Running {
    child: Child,
    lines: Option<Receiver<Value>>,
    close: Option<std::sync::mpsc::Sender<()>>,
    pub(crate) ready: Value,
}

impl Running {
    /// Waits until it is ready.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (tx, lines) = channel();
        let (close, closed) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line)
                    .unwrap_or_else(|error| panic!("not JSON ({error}): {line}"));
                if closed.try_recv().is_ok() || tx.send(value).is_err() {
                    break;
                }
            }
        });
        let (lines, close) = (Some(lines), Some(close));
        let mut running = Self { child, lines, close, ready: Value::Null };
        running.ready = running.expect("ready");
        running
    }

    /// Does not wait for anything.
    pub(crate) fn silent(mut command: Command) -> Self {
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        Self { child, lines: None, close: None, ready: Value::Null }
    }

    /// The next event of this kind.
    pub(crate) fn expect(&mut self, event: &str) -> Value {
        let lines = self.lines.as_ref().unwrap();
        loop {
            let value =
                lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {event} in time"));
            if value["event"] == event {
                return value;
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Nobody reads any more; the reader's end of the pipe is closed with the next line.
    pub(crate) fn close_output(&mut self) {
        self.lines = None;
        self.close = None;
    }

    /// As SIGTERM; the exit code.
    pub(crate) fn stop(mut self) -> i32 {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        self.child.wait().unwrap().code().unwrap_or(-1)
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
