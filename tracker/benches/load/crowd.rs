//! Many peers at once.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::channel::SecureWriter;
use common::join::JoinString;
use common::wire::tracker::Request;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::peer::{Peer, digest};

/// Handshakes at a time: this program's own part of them takes as long as the tracker's.
const AT_ONCE: usize = 64;

pub(crate) type Writers = Vec<SecureWriter<TcpStream>>;

/// Connects all of them; who does not get in is left out.
pub(crate) async fn gather(join: &JoinString, range: Range<u32>) -> Vec<Peer> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = Vec::new();
    for n in range {
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let join = join.clone();
        tasks.push(tokio::spawn(async move {
            let peer = Peer::connect(&join, n, digest(&[])).await;
            drop(place);
            peer
        }));
    }
    let mut peers = Vec::new();
    for task in tasks {
        peers.extend(task.await.unwrap());
    }
    peers
}

/// Lets time pass; everybody says something once in `every`, evenly spread.
pub(crate) async fn hold(
    writers: &mut Writers,
    time: Duration,
    every: Duration,
    mut say: impl FnMut(usize) -> Request,
) {
    let began = Instant::now();
    let (mut at, mut sent) = (0, 0);
    while began.elapsed() < time {
        let due =
            (began.elapsed().as_secs_f64() / every.as_secs_f64() * writers.len() as f64) as u64;
        while sent < due {
            let request = say(at);
            let writer = &mut writers[at];
            let _ = writer.write(request.kind(), &request.body()).await;
            let _ = writer.flush().await;
            at = (at + 1) % writers.len();
            sent += 1;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// So much of all is at most this.
pub(crate) fn percentile(times: &mut [Duration], part: f64) -> f64 {
    times.sort_unstable();
    let at = (times.len().saturating_sub(1) as f64 * part) as usize;
    times.get(at).map_or(f64::NAN, Duration::as_secs_f64)
}
