//! Whether costs grow as they should: CPU and memory against size, sources, downloads at once, and
//! receivers at once. Each table doubles one of them; the last column is how many times the CPU per GB
//! of both ends is that of the row before.

use std::path::{Path, PathBuf};

use common::layout::Layout;

use crate::{MIB, Network, Run, make, setting};

/// Gets of a file of one byte, to know what a get costs before its first byte.
const TRIVIAL: usize = 8;
/// Bytes moved for every row, in so many gets as that takes: the kernel counts CPU in hundredths of a
/// second.
const ROW: u64 = 1024 * MIB;
/// Gets of every row at least; of rows whose files are as large as [`ROW`], or larger, so many.
const LEAST_TURNS: u64 = 3;

/// CPU seconds of a get before its first byte: receiving, and all sources.
#[derive(Debug, Clone, Copy)]
struct Fixed(f64, f64);

/// One table, which knows the row before.
struct Table {
    fixed: Fixed,
    before: Option<f64>,
}

impl Table {
    fn new(title: &str, fixed: Fixed) -> Self {
        println!("  {title:<26}{:>8}{:>20}{:>16}", "", "CPU s/GB", "peak MB");
        println!(
            "  {:<26}{:>8}{:>10}{:>10}{:>8}{:>8}{:>10}",
            "", "chunks", "get", "serve", "get", "serve", "x before"
        );
        Self { fixed, before: None }
    }

    /// One row: the mean of the cheaper half of its runs, less what `gets` gets cost anyway. The other
    /// half meets the noise of the machine. `bytes` are those of one run.
    fn row(&mut self, what: &str, bytes: u64, chunk_len: u64, gets: usize, runs: &[Run]) {
        let gb = bytes as f64 / 1e9;
        let half = runs.len().div_ceil(2);
        let net = |cpu: fn(&Run) -> f64, fixed: f64| {
            let mut all: Vec<f64> = runs.iter().map(cpu).collect();
            all.sort_by(f64::total_cmp);
            (all[..half].iter().sum::<f64>() / half as f64 - fixed * gets as f64).max(0.0) / gb
        };
        let peak = |of: fn(&Run) -> f64| runs.iter().map(of).fold(0.0, f64::max);
        let get = net(|run| run.receiver.cpu, self.fixed.0);
        let serve = net(|run| run.sources.cpu, self.fixed.1);
        let times =
            self.before.map_or(String::new(), |before| format!("{:.2}", (get + serve) / before));
        println!(
            "  {what:<26}{:>8}{get:>10.2}{serve:>10.2}{:>8.0}{:>8.0}{times:>10}",
            bytes.div_ceil(chunk_len),
            peak(|run| run.receiver.peak),
            peak(|run| run.sources.peak),
        );
        self.before = Some(get + serve);
    }
}

fn chunk_len(len: u64) -> u64 {
    u64::from(Layout::for_file(len).unwrap().chunk_len())
}

fn turns(bytes: u64) -> u64 {
    (ROW / bytes).max(LEAST_TURNS)
}

/// Numbers that double, and the last one.
fn doubling(from: u64, to: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(from), move |n| (*n < to).then(|| (n * 2).min(to)))
}

fn sizes(dir: &Path, fixed: Fixed) {
    let largest = setting("SHOAL_BENCH_GROWTH_MIB", 2048);
    let mut table = Table::new("size, MiB", fixed);
    for mib in doubling(16, largest) {
        let (file, bytes) = (dir.join(format!("size{mib}")), mib * MIB);
        make(&file, bytes);
        let mut network = Network::new(&dir.join(format!("n{mib}")), &[&file], 1);
        let runs: Vec<Run> = (0..turns(bytes)).map(|_| network.get(&[&file])).collect();
        table.row(&mib.to_string(), bytes, chunk_len(bytes), 1, &runs);
        std::fs::remove_file(file).unwrap();
    }
}

/// One download of `len` bytes from ever more sources, then ever more receivers of them from one.
fn members(dir: &Path, len: u64, fixed: Fixed) {
    let file = dir.join("all.bin");
    make(&file, len);
    let mut table = Table::new(&format!("sources of {} MiB", len / MIB), fixed);
    for sources in doubling(1, 16) {
        let mut network =
            Network::new(&dir.join(format!("s{sources}")), &[&file], sources as usize);
        let runs: Vec<Run> = (0..turns(len)).map(|_| network.get(&[&file])).collect();
        table.row(&sources.to_string(), len, chunk_len(len), 1, &runs);
    }
    let (file, len) = (dir.join("crowd.bin"), len / 8);
    make(&file, len);
    let mut table = Table::new(&format!("receivers of {} MiB each", len / MIB), fixed);
    for receivers in doubling(1, 50) {
        let mut network = Network::new(&dir.join(format!("r{receivers}")), &[&file], 1);
        let all = receivers * len;
        let runs: Vec<Run> =
            (0..turns(all)).map(|_| network.get_by_many(&file, receivers as usize)).collect();
        table.row(&receivers.to_string(), all, chunk_len(len), receivers as usize, &runs);
    }
}

fn at_once(dir: &Path, len: u64, fixed: Fixed) {
    let part = len / 16;
    let parts: Vec<PathBuf> = (0..50).map(|n| dir.join(format!("part{n}.bin"))).collect();
    for path in &parts {
        make(path, part);
    }
    let mut table = Table::new(&format!("downloads of {} MiB at once", part / MIB), fixed);
    for many in doubling(1, 50) {
        let files: Vec<&Path> = parts[..many as usize].iter().map(PathBuf::as_path).collect();
        let mut network = Network::new(&dir.join(format!("d{many}")), &files, 1);
        let bytes = part * many;
        let runs: Vec<Run> = (0..turns(bytes)).map(|_| network.get(&files)).collect();
        table.row(&many.to_string(), bytes, chunk_len(part), 1, &runs);
    }
}

/// Prints the tables; files of `len` bytes where the size does not matter.
pub(crate) fn growth(dir: &Path, len: u64) {
    let tiny = dir.join("tiny");
    make(&tiny, 1);
    let mut network = Network::new(&dir.join("nt"), &[&tiny], 1);
    let runs: Vec<Run> = (0..TRIVIAL).map(|_| network.get(&[&tiny])).collect();
    let mean = |cpu: fn(&Run) -> f64| runs.iter().map(cpu).sum::<f64>() / TRIVIAL as f64;
    let fixed = Fixed(mean(|run| run.receiver.cpu), mean(|run| run.sources.cpu));
    println!("\nCost against size, beyond the {:.3} s of CPU that any get takes", fixed.0);
    sizes(dir, fixed);
    members(dir, len, fixed);
    at_once(dir, len, fixed);
}
