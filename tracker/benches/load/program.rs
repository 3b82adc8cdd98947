//! The tracker that is measured: a child process, and what the system and its own metrics say of it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::join::JoinString;
use tempfile::TempDir;

/// How to start it.
pub(crate) struct Setup {
    bin: PathBuf,
}

/// A running tracker; killed when dropped.
pub(crate) struct Program {
    child: Child,
    bin: PathBuf,
    state: TempDir,
    port: u16,
    metrics: SocketAddr,
    pub(crate) join: JoinString,
}

/// What it has used up to a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    at: Instant,
    /// User and system time of all threads that live.
    cpu: Duration,
    pub(crate) rss: f64,
}

impl Sample {
    /// Seconds of CPU since `before`.
    pub(crate) fn cpu(&self, before: &Self) -> f64 {
        self.cpu.saturating_sub(before.cpu).as_secs_f64()
    }

    /// The same in per cent of one core.
    pub(crate) fn percent(&self, before: &Self) -> f64 {
        self.cpu(before) / self.seconds(before) * 100.0
    }

    pub(crate) fn seconds(&self, before: &Self) -> f64 {
        self.at.duration_since(before.at).as_secs_f64()
    }
}

impl Setup {
    pub(crate) fn new(bin: PathBuf) -> Self {
        Self { bin }
    }

    /// Starts it with nothing in its folder.
    pub(crate) fn start(&self) -> Program {
        Program::start(&self.bin, tempfile::tempdir().unwrap(), free_port())
    }
}

impl Program {
    fn start(bin: &Path, state: TempDir, port: u16) -> Self {
        let metrics = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut child = Command::new(bin)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--public", &format!("127.0.0.1:{port}")])
            .args(["--metrics", &metrics.to_string(), "--relay", "off"])
            .arg("--state")
            .arg(state.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the tracker starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let join = line.trim().strip_prefix("join ").expect("a join string").parse().unwrap();
        Self { child, bin: bin.to_owned(), state, port, metrics, join }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same again on the same folder and port, once it is dead.
    pub(crate) fn again(mut self) -> Self {
        let state = std::mem::replace(&mut self.state, tempfile::tempdir().unwrap());
        Self::start(&self.bin, state, self.port)
    }

    pub(crate) fn sample(&self) -> Sample {
        let proc = Path::new("/proc").join(self.child.id().to_string());
        let mut nanos = 0;
        for task in std::fs::read_dir(proc.join("task")).unwrap().flatten() {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            nanos += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
        let status = std::fs::read_to_string(proc.join("status")).unwrap_or_default();
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = rss.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        let (at, cpu) = (Instant::now(), Duration::from_nanos(nanos));
        Sample { at, cpu, rss: kib.unwrap_or(0.0) * 1024.0 }
    }

    /// One of its metrics.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let mut stream = TcpStream::connect(self.metrics).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let name = format!("shoal_tracker_{name} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&name));
        value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    }

    /// Bytes that its system has not got rid of yet.
    pub(crate) fn unsent_in_kernel(&self) -> f64 {
        let text = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        let ours = format!("0100007F:{:04X}", self.port);
        let queues = text.lines().filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let queue = (fields.next()? == ours).then(|| fields.nth(2))??;
            u64::from_str_radix(queue.split(':').next()?, 16).ok()
        });
        queues.sum::<u64>() as f64
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
