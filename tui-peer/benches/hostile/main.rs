//! Honest peers among hostile members: what an attack costs those who mean well.
//!
//! `cargo bench -p tui-peer --bench hostile [-- s1 s2 s4 s6 s7]`
//!
//! In network namespaces (root, iproute2): a tracker with a large catalogue, a seeder, and a peer that
//! fetches 200 MB at `--down 20M`; first alone, then with all of the named attacks at once (all five if
//! none is named), each from a host of its own at nice 19. Printed: the time of the download beside its
//! time alone (the mark: 1.2), the 99th percentile of pings to the tracker (20 ms), and peak memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "a bench"
)]

mod attack;
mod net;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use attack::Target;
use net::Net;

const ALL: [&str; 5] = ["s1", "s2", "s4", "s6", "s7"];
const SIZE: usize = 200_000_000;
const TRACKER: u8 = 0;
const SEEDER: u8 = 1;
const GETTER: u8 = 2;
const FILLER: u8 = 3;
const PINGER: u8 = 4;
const FIRST_ATTACKER: u8 = 5;
/// When a download is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Keys of the honest members that fill the catalogue: 200,000 rows with [`attack`]'s rows for each.
const FILLERS: u32 = 10;

/// A program that ends with this one.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // The program is `ip netns exec`'s own successor: `exec`, not a child of it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Its memory from now on.
    fn watch(&self) -> Memory {
        let (peak, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (pid, seen, end) = (self.0.id(), peak.clone(), ended.clone());
        std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                seen.fetch_max(memory_of(pid), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Memory { peak, ended }
    }
}

/// Memory of a program, looked at twenty times a second until this is dropped.
struct Memory {
    peak: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Memory {
    /// The most so far, in MiB.
    fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// What a program itself takes, in MiB: pages of its file and of the cache are not counted.
fn memory_of(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn start(mut command: Command) -> (Running, impl Iterator<Item = serde_json::Value>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    (Running(child), lines.filter_map(|line| serde_json::from_str(&line).ok()))
}

/// The tracker's program stands beside the peer's; cargo builds it only on its own account.
fn tracker_program() -> String {
    let peer = Path::new(env!("CARGO_BIN_EXE_tui-peer"));
    let tracker = peer.with_file_name("tracker");
    assert!(tracker.exists(), "first: cargo build --release -p tracker");
    tracker.display().to_string()
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [role, rest @ ..] = args.as_slice()
        && role == "attack"
    {
        return attacker(rest);
    }
    if let [role, what, join] = args.as_slice()
        && role == "member"
    {
        return as_member(what, join);
    }
    let named: Vec<&str> = args.iter().map(String::as_str).collect();
    let attacks = if named.is_empty() { ALL.to_vec() } else { named };
    bench(&attacks);
}

fn write_payload(file: &Path) {
    let mut bytes = vec![0; SIZE];
    fastrand::Rng::with_seed(9).fill(&mut bytes);
    fs::write(file, bytes).unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// This program as an attacker: attack, join string, the peer's address and key, the content, the
/// tracker's address, the host, and the file.
fn attacker(args: &[String]) {
    let [attack, join, peer, key, id, tracker, host, file] = args else { panic!("{args:?}") };
    let target = Target {
        peer: peer.parse().unwrap(),
        key: key.parse().unwrap(),
        tracker: tracker.parse().unwrap(),
        id: id.parse().unwrap(),
        host: host.parse().unwrap(),
    };
    // As many silent sockets as it is allowed then.
    let _ = common::descriptors::raise_limit();
    runtime().block_on(attack::run(attack, &join.parse().unwrap(), &target, Path::new(file)));
}

fn bench(attacks: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("payload.bin");
    write_payload(&file);
    let _net = Net::up(FIRST_ATTACKER + attacks.len() as u8);

    let state = |name: &str| dir.path().join(name).display().to_string();
    let tracker_addr = format!("{}:7420", Net::addr(TRACKER));
    let mut command = Net::on(TRACKER, 0, &tracker_program());
    command.args(["--listen", &tracker_addr, "--state", &state("tracker"), "--json"]);
    let (tracker, mut events) = start(command);
    let ready = events.find(|event| event["event"] == "ready").unwrap();
    let join = ready["join"].as_str().unwrap().to_owned();

    let peer_addr = format!("{}:7421", Net::addr(SEEDER));
    let mut command = Net::on(SEEDER, 0, env!("CARGO_BIN_EXE_tui-peer"));
    command.args(["--serve-only", "--json", "--tracker", &join, "--listen", &peer_addr]);
    command.args(["--state", &state("seeder"), "--downloads", &state("none")]).arg(&file);
    let (seeder, mut events) = start(command);
    let ready = events.find(|event| event["event"] == "ready").unwrap();
    let key = ready["peer"].as_str().unwrap().to_owned();
    let shared = events.find(|event| event["event"] == "shared").unwrap();
    let id = shared["id"].as_str().unwrap().to_owned();
    std::thread::spawn(move || events.for_each(drop));

    let (fill, mut filled) = member("fill", FILLER, &join);
    filled.read_line(&mut String::new()).unwrap();
    let alone = run("alone", &join, &id, &state("get-alone"), &state("state-alone"));
    let attackers: Vec<Running> = attacks
        .iter()
        .zip(FIRST_ATTACKER..)
        .map(|(attack, host)| {
            let program = std::env::current_exe().unwrap().display().to_string();
            let mut command = Net::on(host, 19, &program);
            let host = host.to_string();
            command.args(["attack", attack, &join, &peer_addr, &key, &id, &tracker_addr, &host]);
            command.arg(&file).stdout(Stdio::null());
            Running(command.spawn().unwrap())
        })
        .collect();
    let (of_tracker, of_seeder) = (tracker.watch(), seeder.watch());
    let before = (memory_of(tracker.0.id()), memory_of(seeder.0.id()));
    // The attackers' first blow.
    std::thread::sleep(Duration::from_secs(5));
    let name = format!("with {}", attacks.join(" "));
    let attacked = run(&name, &join, &id, &state("get"), &state("state"));
    println!("download: {:.2} x its time alone", attacked / alone);
    for (name, before, memory) in
        [("tracker", before.0, of_tracker), ("seeder", before.1, of_seeder)]
    {
        println!("{name}: {before} MiB before, {} MiB at most under attack", memory.peak());
    }
    drop((attackers, fill));
}

/// This program as an honest member on a host of its own: `fill` or `ping`. It works for as long as its
/// input is open; a line on its output says that it has begun, or what it measured.
fn member(what: &str, host: u8, join: &str) -> (Running, BufReader<std::process::ChildStdout>) {
    let program = std::env::current_exe().unwrap().display().to_string();
    let mut command = Net::on(host, 0, &program);
    command.args(["member", what, join]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (Running(child), out)
}

fn as_member(what: &str, join: &str) {
    let join = join.parse().unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let end = ended.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_string(&mut String::new());
        end.store(true, Ordering::Relaxed);
    });
    runtime().block_on(async {
        let ended = move || ended.load(Ordering::Relaxed);
        if what == "fill" {
            let _standing = attack::fill(&join, FILLERS).await;
            println!("filled");
            while !ended() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        } else {
            let mut took = attack::pings(&join, ended).await;
            took.sort_unstable();
            let at = |part: usize| took.get(took.len() * part / 100).map_or(f64::NAN, ms);
            println!("{} pings: p50 {:.2} ms, p99 {:.2} ms", took.len(), at(50), at(99));
        }
    });
}

fn ms(time: &Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// One download; its seconds. Prints them, the pings to the tracker meanwhile, and the memory it took.
fn run(name: &str, join: &str, id: &str, downloads: &str, state: &str) -> f64 {
    let (mut pinger, mut pings) = member("ping", PINGER, join);
    let mut command = Net::on(GETTER, 0, env!("CARGO_BIN_EXE_tui-peer"));
    command.args(["get", id, "--json", "--down", "20M", "--tracker", join, "-o", downloads]);
    command.args(["--state", state, "--listen", &format!("{}:0", Net::addr(GETTER))]);
    let began = Instant::now();
    let (getter, events) = start(command);
    let memory = getter.watch();
    let mut seconds = f64::NAN;
    for event in events {
        if event["event"] == "done" {
            seconds = began.elapsed().as_secs_f64();
            break;
        }
        if began.elapsed() > PATIENCE {
            break;
        }
    }
    drop(pinger.0.stdin.take());
    let mut measured = String::new();
    let _ = pings.read_line(&mut measured);
    println!("{name}: {seconds:.2} s, peak {} MiB; {}", memory.peak(), measured.trim());
    seconds
}
