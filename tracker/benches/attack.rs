//! What one member with many questions costs everybody else: an honest peer's answers, in milliseconds, alone and
//! under attack. `cargo bench -p tracker --bench attack [-- ROWS]`.
//!
//! Measured on two cores, load 7, with 200,000 rows: p99 of ping 2.1 ms alone, 4 to 9 ms under searches, 4 to 11 ms with
//! one member of 100,000 shares that comes, goes and settles in a loop, as far as its budget lets it.
//!
//! Everything runs in one process on the loopback, so the attackers' own work is in the figures too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a bench"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::join::JoinString;
use common::limits::MAX_FILES_PER_PEER;
use common::wire::Code;
use common::wire::tracker::{FileMeta, Reply, Request, Sort};
use support::{Client, Running, Who, digest, file};
use tracker::Config;

/// As many as the row of the issue says.
const ATTACKERS: u8 = 8;
/// Requests of each attacker in a second, as far as it is let.
const RATE: u64 = 200;
/// Each measurement.
const LENGTH: Duration = Duration::from_secs(6);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attack {
    None,
    /// Forty-two alternatives and a made-up cursor.
    Alternatives,
    /// What is allowed: eight words that nobody has, in an order that is not kept.
    Words,
    /// The same by name, from a made-up cursor.
    Cursor,
    /// Hello over and over, with the right digest.
    Hello,
    /// Hello over and over, with the right and the wrong digest in turn.
    Digests,
    /// Connects with the right digest and is gone again.
    Coming,
    /// Leaves and comes back on one connection.
    Leaving,
}

impl Attack {
    /// Whether only a member with many shares can do this; it comes in place of the first seed.
    fn takes_shares(self) -> bool {
        matches!(self, Self::Hello | Self::Digests | Self::Coming | Self::Leaving)
    }
}

fn main() {
    let rows: usize = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(200_000);
    // Two for the tracker and two for those who talk to it.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(run(rows));
}

async fn run(rows: usize) {
    let tracker = Running::start(Config::default()).await;
    let mut seeds = Vec::new();
    for (n, from) in (0..rows).step_by(MAX_FILES_PER_PEER).enumerate() {
        let files: Vec<FileMeta> = (from..rows.min(from + MAX_FILES_PER_PEER))
            .map(|n| {
                file(&format!("dataset {:04} shard {n:07} of the train split.tar", n % 997), 9)
            })
            .collect();
        let who = Who::new(200 + u8::try_from(n).unwrap());
        let (mut seed, _) = Client::connect(&tracker.join, &who).await;
        for part in files.chunks(256) {
            while let Reply::Error { code: Code::Rate, retry_ms, .. } = seed.register(part).await {
                tokio::time::sleep(Duration::from_millis(retry_ms.into())).await;
            }
        }
        seeds.push((seed, files));
    }
    println!("{rows} rows, {ATTACKERS} attackers at {RATE}/s each");
    let shares = digest(&seeds[0].1);
    for attack in [
        Attack::None,
        Attack::Alternatives,
        Attack::Words,
        Attack::Cursor,
        Attack::Hello,
        Attack::Digests,
        Attack::Coming,
        Attack::Leaving,
    ] {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let attackers: Vec<Who> = match attack {
            Attack::None => Vec::new(),
            _ if attack.takes_shares() => vec![Who { shares, ..Who::new(200) }],
            _ => (0..ATTACKERS).map(|n| Who::new(n + 1)).collect(),
        };
        let mut tasks = Vec::new();
        for who in attackers {
            let (join, stop, sent) = (tracker.join.clone(), Arc::clone(&stop), Arc::clone(&sent));
            tasks.push(tokio::spawn(flood(join, who, attack, stop, sent)));
        }
        let times = honest(&tracker.join).await;
        stop.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.unwrap();
        }
        println!("{:14} {:7} sent | {times}", format!("{attack:?}"), sent.load(Ordering::Relaxed));
    }
    drop(seeds);
    tracker.stop().await;
}

/// How long an honest peer waits for its answers, for a while.
async fn honest(join: &JoinString) -> String {
    let (mut pings, mut pages, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let (mut honest, _) = Client::connect(join, &Who::new(100)).await;
    let wanted = common::id::ContentId::from_bytes([1; 32]);
    let began = Instant::now();
    while began.elapsed() < LENGTH {
        let at = Instant::now();
        honest.sync().await;
        pings.push(at.elapsed());
        let at = Instant::now();
        honest.locations(wanted, 50).await;
        places.push(at.elapsed());
        let q = honest.q();
        let (query, cursor) = (String::new(), Vec::new());
        let page = Request::FileList { q, query, cursor, limit: 50, sort: Sort::Name };
        let at = Instant::now();
        honest.ask(q, &page).await;
        pages.push(at.elapsed());
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    format!(
        "ping {} | locations {} | page {}",
        spread(&mut pings),
        spread(&mut places),
        spread(&mut pages)
    )
}

/// Asks as often as it may, and reconnects when it is hung up on.
async fn flood(
    join: JoinString,
    who: Who,
    attack: Attack,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
) {
    let made_up = |sort: Sort| [&[u8::from(sort)][..], &[0; 8], &[0; 32], b" "].concat();
    let many = (0..42).map(|n| format!("{n:02}")).collect::<Vec<_>>().join("|");
    let mut turn = 0u32;
    while !stop.load(Ordering::Relaxed) {
        let (mut client, reply) = Client::greet(&join, &who).await;
        if !matches!(reply, Reply::Welcome(_)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        sent.fetch_add(u64::from(attack == Attack::Coming), Ordering::Relaxed);
        let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / RATE));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            ticks.tick().await;
            turn += 1;
            let q = client.q();
            let list = |query: &str, cursor: Vec<u8>, sort| {
                let query = query.to_owned();
                Request::FileList { q, query, cursor, limit: 500, sort }
            };
            let request = match attack {
                Attack::None => return,
                Attack::Coming => break,
                Attack::Leaving if turn.is_multiple_of(2) => Request::Leave { q },
                Attack::Leaving => Request::Hello(client.hello(&who)),
                Attack::Alternatives => list(&many, made_up(Sort::Sources), Sort::Sources),
                Attack::Words => list("zz|zy|zx|zw|zv|zu|zt|zs", Vec::new(), Sort::Sources),
                Attack::Cursor => list("zz|zy|zx|zw|zv|zu|zt|zs", made_up(Sort::Name), Sort::Name),
                Attack::Hello => Request::Hello(client.hello(&who)),
                Attack::Digests => {
                    let mut hello = client.hello(&who);
                    if turn.is_multiple_of(2) {
                        hello.digest = digest(&[]);
                    }
                    Request::Hello(hello)
                }
            };
            client.send(&request).await;
            sent.fetch_add(1, Ordering::Relaxed);
            // Whatever comes is read, so that nothing is held back for that.
            match client.next().await {
                None | Some(Reply::Error { q: 0, .. }) => break,
                Some(_) => {}
            }
        }
    }
}

fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |part: f64| {
        let last = times.len().saturating_sub(1) as f64;
        times.get((last * part) as usize).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    format!("p50 {:.2} p99 {:.2} max {:.2} ms", at(0.5), at(0.99), at(1.0))
}
