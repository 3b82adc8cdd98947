//! Whether costs grow as they should: CPU and memory against chunks, sources and downloads at once.

use std::path::{Path, PathBuf};

use common::layout::Layout;

use crate::{MIB, Network, Run, make};

/// Gets of a file of one byte, to know what a get costs before its first byte.
const TRIVIAL: usize = 8;
/// Bytes moved for every row of small files, in so many gets as that takes: the kernel counts CPU in
/// hundredths of a second.
const ROW: u64 = 512 * MIB;
/// Gets of every other row.
const TURNS: usize = 6;

/// One row: the mean of the cheaper half of its runs, less what a get costs anyway. The other half meets
/// the noise of the machine.
fn row(what: &str, bytes: u64, chunk_len: u64, runs: &[Run], fixed: (f64, f64)) {
    let gb = bytes as f64 / 1e9;
    let half = runs.len().div_ceil(2);
    let net = |cpu: fn(&Run) -> f64, fixed: f64| {
        let mut all: Vec<f64> = runs.iter().map(cpu).collect();
        all.sort_by(f64::total_cmp);
        (all[..half].iter().sum::<f64>() / half as f64 - fixed).max(0.0) / gb
    };
    let peak = |of: fn(&Run) -> f64| runs.iter().map(of).fold(0.0, f64::max);
    println!(
        "  {what:<34}{:>8}{:>10.2}{:>10.2}{:>8.0}{:>8.0}",
        bytes.div_ceil(chunk_len),
        net(|run| run.receiver.cpu, fixed.0),
        net(|run| run.sources.cpu, fixed.1),
        peak(|run| run.receiver.peak),
        peak(|run| run.sources.peak),
    );
}

fn chunk_len(len: u64) -> u64 {
    u64::from(Layout::for_file(len).unwrap().chunk_len())
}

/// Prints the table; files of `len` bytes where the size does not matter.
pub(crate) fn growth(dir: &Path, len: u64) {
    let tiny = dir.join("tiny");
    make(&tiny, 1);
    let mut network = Network::new(&dir.join("nt"), &[&tiny], 1);
    let runs: Vec<Run> = (0..TRIVIAL).map(|_| network.get(&[&tiny])).collect();
    let mean = |cpu: fn(&Run) -> f64| runs.iter().map(cpu).sum::<f64>() / TRIVIAL as f64;
    let fixed = (mean(|run| run.receiver.cpu), mean(|run| run.sources.cpu));
    println!("\nCost against size, beyond the {:.3} s of CPU that any get takes", fixed.0);
    println!("  {:<34}{:>8}{:>20}{:>16}", "", "", "CPU s/GB", "peak MB");
    println!("  {:<34}{:>8}{:>10}{:>10}{:>8}{:>8}", "", "chunks", "get", "serve", "get", "serve");
    // Below 128 MiB chunks stay at 64 KiB: twice the size is twice the chunks.
    for mib in [16, 32, 64, 128] {
        let (file, bytes) = (dir.join(format!("size{mib}")), mib * MIB);
        make(&file, bytes);
        let mut network = Network::new(&dir.join(format!("n{mib}")), &[&file], 1);
        let runs: Vec<Run> = (0..ROW / bytes).map(|_| network.get(&[&file])).collect();
        row(&format!("{mib} MiB"), bytes, chunk_len(bytes), &runs, fixed);
    }
    let file = dir.join("all.bin");
    make(&file, len);
    for sources in [1, 2, 4, 8] {
        let mut network = Network::new(&dir.join(format!("s{sources}")), &[&file], sources);
        let runs: Vec<Run> = (0..TURNS).map(|_| network.get(&[&file])).collect();
        row(&format!("{sources} sources, {} MiB", len / MIB), len, chunk_len(len), &runs, fixed);
    }
    let part = len / 4;
    let parts: Vec<PathBuf> = (0..8).map(|n| dir.join(format!("part{n}.bin"))).collect();
    for path in &parts {
        make(path, part);
    }
    for many in [1, 2, 4, 8] {
        let files: Vec<&Path> = parts[..many].iter().map(PathBuf::as_path).collect();
        let mut network = Network::new(&dir.join(format!("d{many}")), &files, 1);
        let runs: Vec<Run> = (0..TURNS).map(|_| network.get(&files)).collect();
        let what = format!("{many} downloads of {} MiB at once", part / MIB);
        row(&what, part * many as u64, chunk_len(part), &runs, fixed);
    }
}
