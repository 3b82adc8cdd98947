//! Which pairs of machines exchange files: the real programs in network namespaces, behind routers with NAT. Needs root
//! and nftables, so it is not part of every run:
//!
//!     cargo build -p tracker && cargo test -p tui-peer --test reach -- --ignored --nocapture
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod lab;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::{Lab, Place};
use tempfile::TempDir;

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
        assert!(
            began.elapsed() < PATIENCE,
            "never {words:?} in:\n{}",
            fs::read_to_string(log).unwrap()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A tracker in public, and a source of one file.
struct Network {
    lab: Lab,
    dir: TempDir,
    join: String,
    /// End with the test; the source is the last.
    programs: Vec<Program>,
}

impl Network {
    /// The source sends so many bytes a second at most, if that is said.
    fn new(lab: Lab, content: &str, up: Option<&str>) -> Self {
        Self::with(lab, content, up, |_, _| None)
    }

    /// The same with a program that runs before the source begins.
    fn with(
        lab: Lab,
        content: &str,
        up: Option<&str>,
        before: impl FnOnce(&Lab, &Path) -> Option<Program>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut tracker = lab.in_public(&peer().with_file_name("tracker"));
        tracker.args(["--public", lab.tracker, "--state"]).arg(dir.path().join("t"));
        let log = dir.path().join("t.log");
        let tracker = start(tracker, &log);
        wait_for(&log, "join shoal://");
        let said = fs::read_to_string(&log).unwrap();
        let join = said.split_whitespace().find(|word| word.starts_with("shoal://")).unwrap();
        let join = join.to_owned();
        let programs = std::iter::once(tracker).chain(before(&lab, dir.path())).collect();
        let mut network = Self { join, lab, dir, programs };
        let file = network.path("thing");
        fs::write(&file, content).unwrap();
        let mut seed = network.command(network.lab.at_source(peer()), "s");
        seed.arg("--serve-only").arg(&file).args(up.iter().flat_map(|up| ["--up", up]));
        let seed = start(seed, &network.path("s.log"));
        wait_for(&network.path("s.log"), "shared: thing");
        network.programs.push(seed);
        network
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, mut command: Command, name: &str) -> Command {
        command.arg("--state").arg(self.path(name)).arg("--downloads").arg(self.path(name));
        command.args(["--tracker", &self.join, "-v"]);
        command
    }

    /// Begins to fetch the file.
    fn get(&self) -> Fetch<'_> {
        let mut get = self.command(self.lab.at_getter(peer()), "g");
        get.args(["get", "thing"]);
        let began = Instant::now();
        Fetch { network: self, get: start(get, &self.path("g.log")), began }
    }
}

/// A download that runs.
struct Fetch<'a> {
    network: &'a Network,
    get: Program,
    began: Instant,
}

impl Fetch<'_> {
    fn log(&self) -> String {
        fs::read_to_string(self.network.path("g.log")).unwrap()
    }

    /// Until the source is reached in this way: what was asked for is on its way then.
    fn until_connected(&self, way: &str) {
        wait_for(&self.network.path("g.log"), &format!("connected ({way}"));
    }

    /// Until all of it is here: how long that took, and the log.
    fn finish(mut self) -> (Duration, String) {
        let ended = loop {
            if let Some(status) = self.get.0.try_wait().unwrap() {
                break status;
            }
            assert!(self.began.elapsed() < PATIENCE, "{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        };
        let (took, log) = (self.began.elapsed(), self.log());
        assert!(ended.success(), "{log}");
        let [there, here] = ["thing", "g/thing"].map(|name| fs::read(self.network.path(name)));
        assert_eq!(there.unwrap(), here.unwrap());
        (took, log)
    }
}

fn peer() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tui-peer"))
}

/// A source and a getter in these places. Returns how long `get` took, and its log.
fn exchange(source: Place, getter: Place) -> (Duration, String) {
    Network::new(Lab::new(source, getter), &"thing".repeat(200_000), None).get().finish()
}

#[test]
#[ignore = "needs root and nftables"]
fn every_pair_that_reaches_the_tracker_exchanges_files() {
    println!("source   getter   seconds  way");
    for source in Place::ALL {
        for getter in Place::ALL {
            let (took, log) = exchange(source, getter);
            let relayed = log.contains("connected (through the tracker)");
            let punched = log.contains("both called at once");
            let way = match (relayed, punched) {
                (true, _) => "through the tracker",
                (false, true) => "both called at once",
                (false, false) => "direct",
            };
            println!("{source:<8?} {getter:<8?} {:>7.2}  {way}", took.as_secs_f64());
            let one_is_public = source == Place::Public || getter == Place::Public;
            assert!(!log.contains("cannot be reached"), "{source:?} -> {getter:?}:\n{log}");
            // A router that gives each connection another port cannot be called.
            let both_easy = source == Place::Easy && getter == Place::Easy;
            assert_eq!(relayed, !one_is_public && !both_easy, "{source:?} -> {getter:?}:\n{log}");
            assert_eq!(punched, both_easy, "{source:?} -> {getter:?}:\n{log}");
            assert!(relayed || took < Duration::from_secs(2), "{source:?} -> {getter:?}: {took:?}");
        }
    }
}

/// 30 MB, of which a few are here when something happens.
fn long() -> String {
    "a long thing ".repeat(2_400_000)
}

#[test]
#[ignore = "needs root and nftables"]
fn a_path_that_is_cut_is_replaced_by_another_within_ten_seconds() {
    for dual in [true, false] {
        let mut lab = Lab::new(Place::Public, Place::Public);
        if dual {
            lab.add_ipv6();
        }
        let network = Network::new(lab, &long(), Some("6M"));
        let fetch = network.get();
        fetch.until_connected("203.0.113.20:7421");
        network.lab.cut_ipv4();
        let cut = fetch.began.elapsed();
        let (took, log) = fetch.finish();
        let (way, left) = match dual {
            true => ("connected ([2a00:1450", 5),
            // What is left comes at the rate of a relay.
            false => ("connected (through the tracker)", 15),
        };
        println!(
            "cut at {:.1} s, all there at {:.1} s: {way}",
            cut.as_secs_f64(),
            took.as_secs_f64()
        );
        assert!(log.contains(way), "{log}");
        assert!(took < cut + Duration::from_secs(10 + left), "{took:?}, cut at {cut:?}:\n{log}");
    }
}

#[test]
#[ignore = "needs root and nftables"]
fn a_direct_way_takes_over_from_the_tracker_without_loss() {
    let network = Network::new(Lab::new(Place::Hard, Place::Hard), &long(), None);
    let fetch = network.get();
    fetch.until_connected("through the tracker");
    network.lab.let_in_at_source();
    let (took, log) = fetch.finish();
    let relayed = log
        .find("connected (through the tracker)")
        .unwrap_or_else(|| panic!("not relayed at first:\n{log}"));
    let direct = log
        .find("connected (203.0.113.20:7421")
        .unwrap_or_else(|| panic!("not direct after that:\n{log}"));
    println!("all there at {:.1} s", took.as_secs_f64());
    assert!(relayed < direct, "{log}");
}

#[test]
#[ignore = "needs root, nftables and Python"]
fn a_router_that_is_asked_lets_others_in_and_gets_it_back() {
    let lab = Lab::new(Place::Easy, Place::Hard);
    lab.set_tracker_apart();
    let mut network = Network::with(lab, &"thing".repeat(200_000), None, |lab, dir| {
        let log = dir.join("r.log");
        let router = start(lab.asked_router_of_source(), &log);
        wait_for(&log, "router is ready");
        Some(router)
    });
    wait_for(&network.path("s.log"), "mapped by the router: 203.0.113.20:4711");
    wait_for(
        &network.path("s.log"),
        "reachable: others can dial this machine, mapped by the router",
    );
    let (took, log) = network.get().finish();
    println!("{:.2} s", took.as_secs_f64());
    assert!(log.contains("connected (203.0.113.20:4711"), "{log}");
    assert!(took < Duration::from_secs(2), "{took:?}: not through the tracker");
    let source = network.programs.pop().unwrap();
    let stop = Command::new("kill").args(["-TERM", &source.0.id().to_string()]).status();
    assert!(stop.unwrap().success());
    wait_for(&network.path("r.log"), "given back 7421");
}

/// The tracker sees both behind a slow router.
#[test]
#[ignore = "needs root"]
fn of_two_networks_the_one_that_both_are_in_is_used() {
    let network = Network::new(Lab::with_two_networks(), &long(), None);
    let (took, log) = network.get().finish();
    println!("30 MB in {:.2} s", took.as_secs_f64());
    assert!(log.contains("connected (10.2.0.20:7421"), "{log}");
    // Through the router they take 30 s.
    assert!(took < Duration::from_secs(8), "{took:?}");
}
