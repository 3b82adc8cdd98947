//! A crowd that fetches one file from one source at once, all with the limits of the program itself.

use std::path::Path;

use crate::peer::Peer;
use crate::{MIB, make};

/// Prints how far the last and the mean of `peers` are from the least time possible, which is that of
/// one copy over one uplink (Kumar and Ross 2006, with all links alike), and what the source sends.
pub(crate) fn crowd(dir: &Path, len: u64, peers: usize, mib_per_second: u64) {
    let file = dir.join("data.bin");
    make(&file, len);
    let path = file.to_str().unwrap();
    let rate = format!("{mib_per_second}M");
    let source = Peer::start(dir, "source", &["--serve-only", "--host", "--up", &rate, path]);
    let join = source.wait("ready")["join"].as_str().unwrap().to_owned();
    source.wait("shared");
    let args = ["get", "--seed", "--tracker", &join, "--up", &rate, "--down", &rate, "data.bin"];
    let getters: Vec<Peer> =
        (0..peers).map(|n| Peer::start(dir, &format!("getter{n}"), &args)).collect();
    let seconds: Vec<f64> =
        getters.iter().map(|getter| getter.wait("done")["seconds"].as_f64().unwrap()).collect();
    let sent = source.end()["up"].as_f64().unwrap();
    let least = len as f64 / (mib_per_second * MIB) as f64;
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
