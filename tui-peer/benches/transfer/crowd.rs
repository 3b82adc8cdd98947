//! A crowd that fetches one file from one source at once, all with the limits of the program itself.

use std::path::{Path, PathBuf};

use crate::peer::Peer;
use crate::{MIB, make};

/// One source and those who fetch, each with the same limit both ways.
struct Crowd {
    dir: PathBuf,
    join: String,
    rate: String,
    source: Peer,
    getters: Vec<Peer>,
}

impl Crowd {
    fn gather(dir: &Path, len: u64, peers: usize, mib_per_second: u64) -> Self {
        let file = dir.join("data.bin");
        make(&file, len);
        let rate = format!("{mib_per_second}M");
        let path = file.to_str().unwrap();
        let source = Peer::start(dir, "source", &["--serve-only", "--host", "--up", &rate, path]);
        let join = source.wait("ready")["join"].as_str().unwrap().to_owned();
        source.wait("shared");
        let mut crowd = Self { dir: dir.to_owned(), join, rate, source, getters: Vec::new() };
        crowd.getters = (0..peers).map(|n| crowd.getter(&format!("getter{n}"))).collect();
        crowd
    }

    fn getter(&self, name: &str) -> Peer {
        let (join, rate) = (&self.join, &self.rate);
        let limits = ["--up", rate, "--down", rate, "data.bin"];
        Peer::start(&self.dir, name, &[&["get", "--seed", "--tracker", join][..], &limits].concat())
    }
}

fn seconds(getter: &Peer) -> f64 {
    getter.wait("done")["seconds"].as_f64().unwrap()
}

/// Seconds that one copy takes over one link.
fn one_copy(len: u64, mib_per_second: u64) -> f64 {
    len as f64 / (mib_per_second * MIB) as f64
}

/// Prints how far the last and the mean of `peers` are from the least time possible, which is that of
/// one copy over one uplink (Kumar and Ross 2006, with all links alike), and what the source sends.
pub(crate) fn crowd(dir: &Path, len: u64, peers: usize, mib_per_second: u64) {
    let crowd = Crowd::gather(dir, len, peers, mib_per_second);
    let seconds: Vec<f64> = crowd.getters.iter().map(seconds).collect();
    let sent = crowd.source.end()["up"].as_f64().unwrap();
    let least = one_copy(len, mib_per_second);
    let last = seconds.iter().copied().fold(0.0, f64::max);
    let mean = seconds.iter().sum::<f64>() / peers as f64;
    println!(
        "  {peers:>2} peers at {mib_per_second} MiB/s each way: last {last:.1} s, x {:.3} of the least \
         possible; mean x {:.3}; the source sends {:.3} copies",
        last / least,
        mean / least,
        sent / len as f64
    );
}

/// Prints how far somebody is from what his own downlink takes who comes when the others have half.
pub(crate) fn late(dir: &Path, len: u64, peers: usize, mib_per_second: u64) {
    let crowd = Crowd::gather(dir, len, peers, mib_per_second);
    loop {
        let progress = crowd.getters[0].wait("progress");
        if progress["have"].as_u64().unwrap() * 2 >= progress["chunks"].as_u64().unwrap() {
            break;
        }
    }
    let seconds = seconds(&crowd.getter("late"));
    println!(
        "  one more who comes when {peers} have half: {seconds:.1} s, x {:.3} of what his downlink takes",
        seconds / one_copy(len, mib_per_second)
    );
}
