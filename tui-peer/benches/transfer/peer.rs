//! The real program as a child process: what it says, what it has cost, and its end.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cost::{Cost, cost};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) struct Peer {
    child: Child,
    lines: Receiver<Value>,
}

pub(crate) fn program() -> &'static str {
    env!("CARGO_BIN_EXE_tui-peer")
}

impl Peer {
    /// Starts one with its own state, which is `dir`/`name`.
    pub(crate) fn start(dir: &Path, name: &str, args: &[&str]) -> Self {
        let state = dir.join(name);
        let mut child = Command::new(program())
            .args(args)
            .args(["--json", "--listen", "127.0.0.1:0", "--state"])
            .arg(&state)
            .arg("--downloads")
            .arg(downloads(dir, name))
            .env("HOME", dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (tx, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = serde_json::from_str(&line).map(|value| tx.send(value));
            }
        });
        Self { child, lines }
    }

    /// The next event of a kind.
    pub(crate) fn wait(&self, event: &str) -> Value {
        loop {
            let value = self.lines.recv_timeout(PATIENCE).expect("the program ended or hangs");
            assert!(value["event"] != "error", "{value}");
            if value["event"] == event {
                return value;
            }
        }
    }

    pub(crate) fn cost(&self) -> Cost {
        cost(self.child.id())
    }

    /// Lets it leave.
    pub(crate) fn stop(self) {
        self.end();
    }

    /// Lets it leave; what it says of itself at the end.
    pub(crate) fn end(mut self) -> Value {
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        let last = self.wait("exit");
        let _ = self.child.wait();
        last
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn downloads(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.d"))
}
