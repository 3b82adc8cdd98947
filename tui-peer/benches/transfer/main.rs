//! The data path of the real program, beside what the machine can do at best in the same run.
//!
//! `cargo bench -p tui-peer --bench transfer [-- one four crowd share small restart memory growth]`
//!
//! - `one`: one source, one peer. `four`: four sources, and one in turn with them. `memory`: peak of both
//!   while moving twenty times as much.
//! - `crowd`: 8 and 16 peers at once, with limits of 100 and 50 Mbit/s; and one who comes later.
//! - `share`: a large file. `small`: 20,000 small ones. `restart`: with 1,000 shares.
//! - `growth`: CPU per GB and memory against size (to `SHOAL_BENCH_GROWTH_MIB`, 2048), sources, receivers
//!   at once and downloads at once; each doubling beside the one before.
//!
//! `SHOAL_BENCH_MIB` (512) is the size of a transfer, `SHOAL_BENCH_TURNS` (3) how often each is tried:
//! all take turns, and the best counts. Uses `curl` with `nginx`, `openssl`, and `mktorrent`, where they
//! are installed. Needs some five times the size of a transfer in the temporary folder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench")]

mod cost;
mod crowd;
mod growth;
mod limits;
mod peer;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use cost::{Cost, Spent, here, spent};
use peer::{Peer, downloads};

const MIB: u64 = 1 << 20;
const SMALL_FILES: usize = 20_000;
const SHARES: usize = 1_000;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A file of bytes that cannot be compressed, in the cache; no two are alike.
fn make(path: &Path, len: u64) {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let mut rng = fastrand::Rng::with_seed(MADE.fetch_add(1, Ordering::Relaxed));
    let mut out = File::create(path).unwrap();
    let mut buffer = vec![0; len.min(MIB) as usize];
    let mut left = len;
    while left > 0 {
        let now = left.min(MIB);
        rng.fill(&mut buffer[..now as usize]);
        out.write_all(&buffer[..now as usize]).unwrap();
        left -= now;
    }
}

/// One transfer: seconds as the program counts them, cost of the receiver, and of the sources (CPU of
/// all, peak of the largest).
struct Run {
    seconds: f64,
    receiver: Cost,
    sources: Cost,
}

impl Run {
    /// By the receiver.
    fn spent(&self) -> Spent {
        Spent { seconds: self.seconds, cpu: self.receiver.cpu }
    }
}

/// Peers that have all of some files.
struct Network {
    dir: PathBuf,
    join: String,
    sources: Vec<Peer>,
    getters: usize,
}

impl Network {
    fn new(dir: &Path, files: &[&Path], sources: usize) -> Self {
        let paths: Vec<&str> = files.iter().map(|path| path.to_str().unwrap()).collect();
        let mut network =
            Self { dir: dir.to_path_buf(), join: String::new(), sources: Vec::new(), getters: 0 };
        for n in 0..sources {
            let mut args = vec!["--serve-only"];
            if n == 0 {
                args.push("--host");
            } else {
                args.extend(["--tracker", network.join.as_str()]);
            }
            args.extend(&paths);
            let source = Peer::start(dir, &format!("source{n}"), &args);
            if n == 0 {
                network.join = source.wait("ready")["join"].as_str().unwrap().to_owned();
            }
            for _ in files {
                source.wait("shared");
            }
            network.sources.push(source);
        }
        network
    }

    /// Fetches files at once on a fresh peer.
    fn get(&mut self, files: &[&Path]) -> Run {
        self.getters += 1;
        let name = format!("getter{}", self.getters);
        let mut args = vec!["get", "--seed", "--tracker", self.join.as_str()];
        args.extend(files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()));
        let cpu = |sources: &[Peer]| sources.iter().map(|peer| peer.cost().cpu).sum::<f64>();
        let before = cpu(&self.sources);
        let begun = Instant::now();
        let getter = Peer::start(&self.dir, &name, &args);
        let mut seconds: f64 = 0.0;
        for _ in files {
            seconds = seconds.max(getter.wait("done")["seconds"].as_f64().unwrap());
        }
        if files.len() > 1 {
            seconds = begun.elapsed().as_secs_f64();
        }
        let receiver = getter.cost();
        let peak = self.sources.iter().map(|peer| peer.cost().peak).fold(0.0, f64::max);
        let sources = Cost { cpu: cpu(&self.sources) - before, peak };
        getter.stop();
        for file in files {
            let got = downloads(&self.dir, &name).join(file.file_name().unwrap());
            assert!(same(file, &got), "{} arrived damaged", got.display());
        }
        fs::remove_dir_all(downloads(&self.dir, &name)).unwrap();
        Run { seconds, receiver, sources }
    }

    /// Fetches one file on so many fresh peers at once, which then give chunks to each other too. The
    /// receiver's CPU is that of all of them, its peak that of the largest.
    fn get_by_many(&mut self, file: &Path, receivers: usize) -> Run {
        let name = file.file_name().unwrap().to_str().unwrap();
        let source = self.sources[0].cost().cpu;
        let getters: Vec<(String, Peer)> = (0..receivers)
            .map(|_| {
                self.getters += 1;
                let getter = format!("getter{}", self.getters);
                let args = ["get", "--seed", "--tracker", self.join.as_str(), name];
                let peer = Peer::start(&self.dir, &getter, &args);
                (getter, peer)
            })
            .collect();
        let seconds =
            getters.iter().map(|(_, peer)| peer.wait("done")["seconds"].as_f64().unwrap());
        let seconds = seconds.fold(0.0, f64::max);
        let costs: Vec<Cost> = getters.iter().map(|(_, peer)| peer.cost()).collect();
        let receiver = Cost {
            cpu: costs.iter().map(|cost| cost.cpu).sum(),
            peak: costs.iter().map(|cost| cost.peak).fold(0.0, f64::max),
        };
        let now = self.sources[0].cost();
        let sources = Cost { cpu: now.cpu - source, peak: now.peak };
        for (getter, peer) in getters {
            peer.stop();
            let got = downloads(&self.dir, &getter);
            assert!(same(file, &got.join(name)), "{} arrived damaged", got.display());
            fs::remove_dir_all(got).unwrap();
        }
        Run { seconds, receiver, sources }
    }
}

fn same(a: &Path, b: &Path) -> bool {
    fs::metadata(a).unwrap().len() == fs::metadata(b).unwrap().len()
        && spent("cmp", &["-s", a.to_str().unwrap(), b.to_str().unwrap()]).is_some()
}

/// Something that takes time and CPU, if it can be done here.
type Thing<'a> = (&'a str, Box<dyn FnMut() -> Option<Spent> + 'a>);

/// The best of each of several things that take turns, seconds and CPU each for itself; those that
/// cannot be measured are left out.
fn best_of<'a>(turns: u64, things: &mut [Thing<'a>]) -> Vec<(&'a str, Spent)> {
    let mut best = vec![None::<Spent>; things.len()];
    // Another order every turn: whoever comes after a large file was removed may meet memory that the
    // machine has to find again.
    let mut order: Vec<usize> = (0..things.len()).collect();
    for _ in 0..turns {
        fastrand::shuffle(&mut order);
        for &n in &order {
            let Some(now) = (things[n].1)() else { continue };
            let best = &mut best[n];
            let so_far = best.unwrap_or(now);
            *best = Some(Spent {
                seconds: now.seconds.min(so_far.seconds),
                cpu: now.cpu.min(so_far.cpu),
            });
        }
    }
    let named = things.iter().map(|(name, _)| *name).zip(best);
    named.filter_map(|(name, best)| Some((name, best?))).collect()
}

/// Rates, how the first compares with each of the others, and the CPU seconds per GB: of the receiver,
/// or of all that one process does.
fn show(title: &str, bytes: u64, rows: &[(&str, Spent)]) {
    println!("\n{title} (x: our rate over theirs)");
    let ours = rows.first().map_or(f64::NAN, |row| row.1.seconds);
    let gb = bytes as f64 / 1e9;
    for (n, (what, Spent { seconds, cpu })) in rows.iter().enumerate() {
        let ratio = if n == 0 { String::new() } else { format!("x {:.2}", seconds / ours) };
        println!(
            "  {what:<46}{:>8.0} MB/s {seconds:>8.2} s  {ratio:<8}{:>6.2} CPU s/GB",
            gb * 1e3 / seconds,
            cpu / gb
        );
    }
}

fn transfers(dir: &Path, len: u64, turns: u64, sources: usize) {
    let file = dir.join("data.bin");
    make(&file, len);
    let mut network = Network::new(&dir.join("network"), &[&file], sources);
    let mut single = (sources > 1).then(|| Network::new(&dir.join("single"), &[&file], 1));
    let gb = len as f64 / 1e9;
    let nginx = limits::Nginx::start(dir, dir);
    let url = nginx.as_ref().map(|nginx| format!("http://127.0.0.1:{}/data.bin", nginx.port));
    let curl = |then: &[&str]| {
        let copy = dir.join("copy.bin");
        let mut took = spent("curl", &["-s", "-o", copy.to_str()?, url.as_deref()?])?;
        if let Some((program, args)) = then.split_first() {
            took = took + spent(program, &[args, &[copy.to_str()?]].concat())?;
        }
        // Not in anybody's time.
        fs::remove_file(copy).unwrap();
        Some(took)
    };
    let mut send = f64::INFINITY;
    let mut peak = (0.0, 0.0);
    let rows = best_of(
        turns,
        &mut [
            (
                "Shoal: encrypted, verified, synced",
                Box::new(|| {
                    let run = network.get(&[&file]);
                    send = send.min(run.sources.cpu / gb);
                    peak = (run.receiver.peak, run.sources.peak);
                    Some(run.spent())
                }),
            ),
            ("the same from one source", Box::new(|| Some(single.as_mut()?.get(&[&file]).spent()))),
            ("curl from nginx, plain HTTP, no check", Box::new(|| curl(&[]))),
            ("curl, then openssl dgst -sha256", Box::new(|| curl(&["openssl", "dgst", "-sha256"]))),
            ("raw TCP over loopback, dropped", Box::new(|| Some(here(|| limits::raw_tcp(&file))))),
            (
                "read + sha2 + write + sync, all cores, no network",
                Box::new(|| {
                    let to = dir.join("written.bin");
                    let took = here(|| limits::read_hash_write(&file, &to));
                    fs::remove_file(&to).unwrap();
                    Some(took)
                }),
            ),
        ],
    );
    let title = if sources == 1 { "One source, one peer" } else { "Four sources, one peer" };
    show(&format!("{title}, {} MiB, both ends on this machine", len / MIB), len, &rows);
    println!(
        "  sending took {send:.2} CPU s/GB; peak MB: receiving {:.0}, sending {:.0}",
        peak.0, peak.1
    );
}

fn share(dir: &Path, len: u64, turns: u64) {
    let file = dir.join("data.bin");
    make(&file, len);
    let path = file.to_str().unwrap();
    let rows = best_of(
        turns,
        &mut [
            ("Shoal: hash", Box::new(|| spent(peer::program(), &["hash", path]))),
            (
                "mktorrent on all cores (SHA-1)",
                Box::new(|| limits::mktorrent(path, "20", &dir.join("out.torrent"))),
            ),
            ("sha2 on all cores", Box::new(|| Some(here(|| limits::read_hash(&file))))),
        ],
    );
    show(&format!("Hashing a cached file of {} MiB", len / MIB), len, &rows);
}

fn small(dir: &Path, turns: u64) {
    let folder = dir.join("small");
    let mut rng = fastrand::Rng::with_seed(2);
    let mut bytes = 0;
    for n in 0..SMALL_FILES {
        let sub = folder.join(format!("d{:02}", n % 100));
        if n < 100 {
            fs::create_dir_all(&sub).unwrap();
        }
        // As many between 1 and 2 KiB as between 32 and 64.
        let len = (rng.f64() * 16.0).exp2() as u64;
        make(&sub.join(format!("f{n:05}")), len);
        bytes += len;
    }
    let path = folder.to_str().unwrap();
    let rows = best_of(
        turns,
        &mut [
            ("Shoal: hash", Box::new(|| spent(peer::program(), &["hash", path]))),
            (
                "mktorrent on all cores (SHA-1)",
                Box::new(|| limits::mktorrent(path, "18", &dir.join("out.torrent"))),
            ),
        ],
    );
    show(&format!("Hashing {SMALL_FILES} cached files of 1 B to 64 KiB"), bytes, &rows);
}

fn restart(dir: &Path) {
    let mut paths = Vec::new();
    for n in 0..SHARES {
        let path = dir.join(format!("share{n:04}"));
        make(&path, 64 * 1024);
        paths.push(path);
    }
    // The library hashes files again that changed in the last seconds before it looked.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let args: Vec<&str> = ["--serve-only", "--host"]
        .into_iter()
        .chain(paths.iter().map(|p| p.to_str().unwrap()))
        .collect();
    let until_shared = |args: &[&str]| {
        let begun = Instant::now();
        let peer = Peer::start(dir, "sharer", args);
        for _ in 0..SHARES {
            peer.wait("shared");
        }
        let (took, cost) = (begun.elapsed().as_secs_f64(), peer.cost());
        peer.stop();
        (took, cost)
    };
    println!("\n{SHARES} shares, until all are registered");
    for (what, args) in
        [("first time", args.as_slice()), ("after a restart", &["--serve-only", "--host"])]
    {
        let (took, cost) = until_shared(args);
        println!("  {what:<20}{took:>8.2} s, {:.2} s of CPU, {:.0} MB", cost.cpu, cost.peak);
    }
}

fn main() {
    let len = setting("SHOAL_BENCH_MIB", 512) * MIB;
    let turns = setting("SHOAL_BENCH_TURNS", 3);
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let wants = |what: &str| wanted.is_empty() || wanted.iter().any(|w| w == what);
    let temp = |_: ()| tempfile::tempdir().unwrap();
    if wants("one") {
        transfers(temp(()).path(), len, turns, 1);
    }
    if wants("four") {
        transfers(temp(()).path(), len, turns, 4);
    }
    if wants("crowd") {
        println!("\nOne source and a crowd, {} MiB", len / 2 / MIB);
        crowd::crowd(temp(()).path(), len / 2, 8, 12);
        crowd::crowd(temp(()).path(), len / 2, 16, 6);
        crowd::late(temp(()).path(), len / 2, 8, 12);
    }
    if wants("share") {
        share(temp(()).path(), len, turns);
    }
    if wants("small") {
        small(temp(()).path(), turns);
    }
    if wants("restart") {
        restart(temp(()).path());
    }
    if wants("growth") {
        growth::growth(temp(()).path(), len);
    }
    if wants("memory") {
        transfers(temp(()).path(), len * 20, 1, 1);
    }
}
