//! A thousand pairs that meet at the tracker: what that costs it, and everybody else. Takes a minute and 6,000 descriptors
//! of each of two processes, so it is not part of every run:
//!
//!     cargo test -p tracker --test suite relayed:: -- --ignored --nocapture

use std::net::Ipv4Addr;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::join::JoinString;
use common::relay::Token;
use common::wire::tracker::{FileMeta, Reply, Request, Sort};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::program::Program;
use crate::support::{Client, PATIENCE, Who, address, file, id, numbered_identity};

const PAIRS: u32 = 1000;
/// Pairs that come up at a time.
const AT_A_TIME: u32 = 50;
/// Each measurement.
const LENGTH: Duration = Duration::from_secs(15);
/// Of a hundred requests 99 are answered within that.
const MOST_WAIT: Duration = Duration::from_millis(20);
/// Between two questions of each kind: a tracker answers 20 lists of one peer a second, and keeps the others waiting.
const BETWEEN: Duration = Duration::from_millis(60);
/// What a pair may take at most while bytes move: two buffers of 16 KiB, and what the tasks need.
const BYTES_OF_A_PAIR: u64 = 40 * 1024;

/// An address of loopback for each peer: the tracker counts keys by address.
fn host(n: u32) -> Ipv4Addr {
    let [.., high, low] = (n + 1).to_be_bytes();
    Ipv4Addr::new(127, 7, high, low)
}

/// What the tracker's process has in memory, in bytes.
fn resident(tracker: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", tracker.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

async fn peer(join: &JoinString, n: u32) -> Client {
    let who = Who { identity: numbered_identity(n), ..Who::new(1) };
    let (client, reply) = Client::greet_at(host(n), join, &who).await;
    assert!(matches!(reply, Reply::Welcome(_)), "{reply:?}");
    client
}

/// A connection from the address of a peer that comes with a token.
async fn come(join: &JoinString, n: u32, token: Token) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((host(n), 0).into()).unwrap();
    let mut stream = socket.connect(address(join)).await.unwrap();
    stream.write_all(&token.preamble()).await.unwrap();
    stream
}

/// Two peers, and their connection.
struct Pair {
    peers: [Client; 2],
    ends: [TcpStream; 2],
}

async fn pair(join: &JoinString, n: u32, thing: &FileMeta) -> Pair {
    let (mut seed, mut getter) = (peer(join, 2 * n).await, peer(join, 2 * n + 1).await);
    seed.must_register(std::slice::from_ref(thing)).await;
    getter.locations(id(thing), 1).await;
    getter.send(&Request::Relay { id: id(thing), peer: seed.me }).await;
    let mut ends = Vec::new();
    for (n, client) in [(2 * n + 1, &mut getter), (2 * n, &mut seed)] {
        let Reply::Relay { token, .. } = client.push().await else { panic!("no token") };
        ends.push(come(join, n, token).await);
    }
    let mut ends: [TcpStream; 2] = ends.try_into().unwrap();
    // They have met.
    let [one, other] = &mut ends;
    one.write_all(b"x").await.unwrap();
    let mut byte = [0];
    tokio::time::timeout(PATIENCE, other.read_exact(&mut byte)).await.unwrap().unwrap();
    Pair { peers: [seed, getter], ends }
}

/// Sends all it can over a pair, and counts what arrives.
async fn pump([mut one, mut other]: [TcpStream; 2], sent: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    let write = async {
        let piece = vec![7; 16 * 1024];
        while one.write_all(&piece).await.is_ok() {}
    };
    let read = async {
        let mut buffer = vec![0; 64 * 1024];
        while !stop.load(Ordering::Relaxed) {
            let read = tokio::time::timeout(Duration::from_secs(1), other.read(&mut buffer)).await;
            match read {
                Ok(Ok(0) | Err(_)) => return,
                Ok(Ok(len)) => _ = sent.fetch_add(len as u64, Ordering::Relaxed),
                Err(_) => {}
            }
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
}

/// Half of an honest peer's answers came in that time, and 99 of 100.
async fn waits(client: &mut Client, thing: &FileMeta) -> [Duration; 2] {
    let (mut times, began) = (Vec::new(), Instant::now());
    while began.elapsed() < LENGTH {
        for list in [true, false] {
            let at = Instant::now();
            match list {
                true => _ = client.list("", Sort::Name).await,
                false => _ = client.locations(id(thing), 50).await,
            }
            times.push(at.elapsed());
        }
        tokio::time::sleep(BETWEEN).await;
    }
    times.sort_unstable();
    [50, 99].map(|part| times[times.len() * part / 100])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute and 6,000 descriptors"]
async fn a_thousand_relayed_pairs_cost_a_bounded_memory_and_no_request_waits_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut program =
        Program::start(crate::program::tracker(dir.path(), &["--listen", "127.0.0.1:0"]));
    let join: JoinString = program.line().split_whitespace().last().unwrap().parse().unwrap();
    let thing = file("thing", 1 << 30);
    let mut honest = peer(&join, 2 * PAIRS).await;
    let (mut pairs, mut coming) = (Vec::new(), JoinSet::new());
    for n in 0..PAIRS {
        let (join, thing) = (join.clone(), thing.clone());
        coming.spawn(async move { pair(&join, n, &thing).await });
        while coming.len() >= AT_A_TIME as usize {
            pairs.push(coming.join_next().await.unwrap().unwrap());
        }
    }
    pairs.extend(coming.join_all().await);
    let report = |what: &str, memory: u64, [half, most]: [Duration; 2]| {
        println!("{what:<12} {:>5.1} MB, p50 {half:?}, p99 {most:?}", memory as f64 / 1e6);
    };
    let alone = waits(&mut honest, &thing).await;
    let still = resident(&program.0);
    report("still", still, alone);
    let stop = Arc::new(AtomicBool::new(false));
    let sent: Vec<Arc<AtomicU64>> = pairs.iter().map(|_| Arc::default()).collect();
    let (mut peers, mut pumps, began) = (Vec::new(), JoinSet::new(), Instant::now());
    for (pair, sent) in pairs.into_iter().zip(&sent) {
        peers.push(pair.peers);
        pumps.spawn(pump(pair.ends, Arc::clone(sent), Arc::clone(&stop)));
    }
    // At first this process fills the system's buffers of a thousand connections, which says nothing of the tracker.
    let flows = |sent: &Arc<AtomicU64>| sent.load(Ordering::Relaxed) > 0;
    while !sent.iter().all(flows) {
        honest.sync().await;
        tokio::time::sleep(BETWEEN).await;
    }
    let mut rounds = Vec::new();
    for round in ["busy", "busy still"] {
        let waits = waits(&mut honest, &thing).await;
        rounds.push((resident(&program.0), waits));
        report(round, rounds.last().unwrap().0, waits);
    }
    stop.store(true, Ordering::Relaxed);
    pumps.join_all().await;
    let length = began.elapsed();
    let mut sent: Vec<u64> = sent.iter().map(|sent| sent.load(Ordering::Relaxed)).collect();
    sent.sort_unstable();
    let (least, most, sum) = (sent[0], sent[sent.len() - 1], sent.iter().sum::<u64>());
    let rate = sum as f64 / length.as_secs_f64();
    println!("{:.1} MB/s in all, {least} to {most} bytes a pair", rate / 1e6);
    for (memory, [_, p99]) in &rounds {
        assert!(*memory < still + u64::from(PAIRS) * BYTES_OF_A_PAIR, "{memory}, {still} before");
        // On a machine that is busy with something else that says nothing.
        assert!(*p99 < MOST_WAIT || alone[1] > MOST_WAIT / 2, "{p99:?}, {:?} alone", alone[1]);
    }
    assert!(rounds[1].0 < rounds[0].0 + (4 << 20), "it grows");
    assert!(most < least * 8, "{least} to {most}: not fair");
}
