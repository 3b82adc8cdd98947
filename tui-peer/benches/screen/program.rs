//! What is measured: the real app in a real network, and the screen alone on a pretended engine.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::api::command::Reply;
use engine::api::handle::channel;
use screen::{Options, run, signals};

use super::testkit;

/// Says to this program that it is to play the app.
const TOY: &str = "SHOAL_BENCH_TOY";

/// The app of a new peer that lives in `home`.
pub(crate) fn app(home: &Path, join: Option<&str>) -> Command {
    let mut command = peer(home, "app");
    if let Some(join) = join {
        command.env("SHOAL_TRACKER", join);
    }
    command
}

fn peer(home: &Path, name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tui-peer"));
    environment(&mut command).env("HOME", home).args(["--listen", "127.0.0.1:0", "--nick", name]);
    command.arg("--state").arg(home.join(format!("{name}.state")));
    command.arg("--downloads").arg(home.join(format!("{name}.d")));
    command
}

fn environment(command: &mut Command) -> &mut Command {
    command.env_clear().env("TERM", "xterm-256color").env("LANG", "C.UTF-8")
}

/// A tracker, and a peer with one file.
pub(crate) struct Network {
    home: tempfile::TempDir,
    pub(crate) join: String,
    seeder: Child,
    /// Kept open: a program that nobody listens to ends.
    _out: std::io::BufReader<std::process::ChildStdout>,
}

impl Network {
    /// The file has `size` bytes, none of them on disk.
    pub(crate) fn start(size: u64) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("payload.bin");
        File::create(&path).unwrap().set_len(size).unwrap();
        let mut command = peer(home.path(), "seeder");
        command.args(["--serve-only", "--host", "--json"]).arg(&path);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut seeder = command.spawn().unwrap();
        let mut out = std::io::BufReader::new(seeder.stdout.take().unwrap());
        let (mut join, mut shared) = (String::new(), false);
        for line in std::io::BufRead::lines(&mut out).map_while(Result::ok) {
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            if let Some(text) = value["join"].as_str() {
                text.clone_into(&mut join);
            }
            shared |= value["event"] == "shared";
            if shared && !join.is_empty() {
                break;
            }
        }
        assert!(shared && !join.is_empty(), "the seeder did not start");
        Self { home, join, seeder, _out: out }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.seeder.kill();
        let _ = self.seeder.wait();
    }
}

/// The app on an engine that is made of numbers.
pub(crate) struct Toy {
    pub(crate) files: u32,
    /// Whether rates change four times a second.
    pub(crate) live: bool,
}

impl Toy {
    /// A process that plays it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        environment(&mut command).env(TOY, format!("{} {}", self.files, self.live));
        command
    }

    /// Whether this process was started to play it.
    pub(crate) fn wanted() -> Option<Self> {
        let request = std::env::var(TOY).ok()?;
        let (files, live) = request.split_once(' ')?;
        Some(Self { files: files.parse().ok()?, live: live.parse().ok()? })
    }

    /// Plays it.
    pub(crate) fn run(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut snap = testkit::rich(Instant::now());
            snap.catalogue = Arc::new(testkit::catalogue(self.files));
            let (handle, mut parts) = channel(snap.clone());
            let live = self.live;
            tokio::spawn(async move {
                let mut tick = tokio::time::interval(Duration::from_millis(250));
                loop {
                    tokio::select! {
                        Some((_, reply)) = parts.commands.recv() => {
                            let _ = reply.send(Ok(Reply::Accepted));
                        }
                        _ = tick.tick(), if live => {
                            snap.seq += 1;
                            snap.at = Instant::now();
                            snap.totals.down_rate = 1e6 * (10.0 + (snap.seq % 7) as f64);
                            let mut transfers = snap.transfers.to_vec();
                            for t in transfers.iter_mut().filter(|t| t.down_rate > 0.0) {
                                t.down_rate = snap.totals.down_rate;
                                t.done = (t.done + 3_000_000).min(t.size);
                            }
                            snap.transfers = transfers.into();
                            parts.snapshots.send_replace(Arc::new(snap.clone()));
                        }
                    }
                }
            });
            run(handle, Options::default(), signals().unwrap()).await.unwrap();
        });
    }
}
