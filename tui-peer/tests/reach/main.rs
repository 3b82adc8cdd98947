//! Which pairs of machines exchange files: the real programs in network namespaces, behind routers with NAT. Needs root
//! and nftables, so it is not part of every run:
//!
//!     cargo build -p tracker && cargo test -p tui-peer --test reach -- --ignored --nocapture
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod lab;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::{Lab, Place};

/// Longest wait for anything; only ever reached when a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(mut command: Command, log: &Path) -> Program {
    let log = fs::File::create(log).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Program(command.spawn().unwrap())
}

/// What a log says, once it says it.
fn wait_for(log: &Path, words: &str) {
    let began = Instant::now();
    while !fs::read_to_string(log).unwrap().contains(words) {
        assert!(began.elapsed() < PATIENCE, "never {words:?} in {}", log.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A tracker in public, a source and a getter in these places. Returns how long `get` took, and its log.
fn exchange(source: Place, getter: Place) -> (Duration, String) {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let lab = Lab::new(source, getter);
    let peer = Path::new(env!("CARGO_BIN_EXE_tui-peer"));
    let mut tracker = lab.in_public(&peer.with_file_name("tracker"));
    tracker.args(["--public", lab::TRACKER, "--state"]).arg(dir.join("t"));
    let _tracker = start(tracker, &dir.join("t.log"));
    wait_for(&dir.join("t.log"), "join shoal://");
    let said = fs::read_to_string(dir.join("t.log")).unwrap();
    let join = said.split_whitespace().find(|word| word.starts_with("shoal://")).unwrap();
    let file = dir.join("thing");
    fs::write(&file, "thing".repeat(200_000)).unwrap();
    let at = |mut command: Command, name: &str| {
        command.arg("--state").arg(dir.join(name)).arg("--downloads").arg(dir.join(name));
        command.args(["--tracker", join, "-v"]);
        command
    };
    let mut seed = at(lab.at_source(peer), "s");
    seed.arg("--serve-only").arg(&file);
    let _seed = start(seed, &dir.join("s.log"));
    wait_for(&dir.join("s.log"), "shared: thing");
    let mut get = at(lab.at_getter(peer), "g");
    get.args(["get", "thing"]);
    let began = Instant::now();
    let mut get = start(get, &dir.join("g.log"));
    let ended = loop {
        if let Some(status) = get.0.try_wait().unwrap() {
            break status;
        }
        let log = || fs::read_to_string(dir.join("g.log")).unwrap();
        assert!(began.elapsed() < PATIENCE, "{source:?} -> {getter:?}:\n{}", log());
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = began.elapsed();
    let log = fs::read_to_string(dir.join("g.log")).unwrap();
    assert!(ended.success(), "{source:?} -> {getter:?}:\n{log}");
    assert_eq!(fs::read(&file).unwrap(), fs::read(dir.join("g/thing")).unwrap());
    (took, log)
}

#[test]
#[ignore = "needs root and nftables"]
fn every_pair_that_reaches_the_tracker_exchanges_files() {
    println!("source   getter   seconds  way");
    for source in Place::ALL {
        for getter in Place::ALL {
            let (took, log) = exchange(source, getter);
            let relayed = log.contains("connected (through the tracker)");
            let way = if relayed { "through the tracker" } else { "direct" };
            println!("{source:<8?} {getter:<8?} {:>7.2}  {way}", took.as_secs_f64());
            let one_is_public = source == Place::Public || getter == Place::Public;
            assert!(!log.contains("cannot be reached"), "{source:?} -> {getter:?}:\n{log}");
            assert_eq!(relayed, !one_is_public, "{source:?} -> {getter:?}:\n{log}");
        }
    }
}
