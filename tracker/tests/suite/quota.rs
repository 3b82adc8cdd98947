//! S5 over real sockets: each 127.0.0.x is an address of its own, as the tracker is told to count loopback.

use std::time::Duration;

use crate::support::{Client, PATIENCE, Running, Who, file, numbered_identity, quick};
use common::join::JoinString;
use common::wire::Code;
use common::wire::tracker::{FileMeta, Reply, Sort};
use tokio::time::{Instant, sleep};
use tracker::Config;
use tracker::index::{GroupLimits, Limits};

/// The real limits, 1 to 1000.
fn small() -> Config {
    let per_group = Some(GroupLimits { loopback: true, ..GroupLimits::default() });
    let limits = Limits { rows: 2000, files_per_peer: 100, per_group, ..Limits::default() };
    Config { limits, ..quick() }
}

fn who(n: u32) -> Who {
    Who { identity: numbered_identity(n), ..Who::new(1) }
}

async fn come(host: u8, n: u32, join: &JoinString) -> Client {
    match Client::greet_from(host, join, &who(n)).await {
        (client, Reply::Welcome(_)) => client,
        (_, other) => panic!("{n} from 127.0.0.{host} is not welcome: {other:?}"),
    }
}

fn files(of: &str, count: usize) -> Vec<FileMeta> {
    (0..count).map(|n| file(&format!("{of} {n}"), 1)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_twenty_keys_fill_half_of_the_catalogue_and_others_go_on() {
    let tracker = Running::start(small()).await;
    let (mut taken, mut refusal, mut hostile) = (0, String::new(), Vec::new());
    for n in 0..20 {
        let mut peer = come(2, n, &tracker.join).await;
        for part in files(&format!("junk {n}"), 100).chunks(25) {
            match peer.register(part).await {
                Reply::Done { .. } => taken += part.len(),
                Reply::Error { code: Code::Limit, text, .. } => refusal = text,
                other => panic!("{other:?}"),
            }
        }
        hostile.push(peer);
    }
    assert_eq!(taken, 1000);
    assert!(refusal.contains("address 127.0.0.2 has 1000 of 2000 contents"), "{refusal}");
    // The connection stays, and all else goes on for it.
    hostile[19].sync().await;
    let mut honest = come(3, 100, &tracker.join).await;
    honest.must_register(&files("honest", 100)).await;
    assert_eq!(honest.names("honest 99").await, ["honest 99"]);
    tracker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_200_machines_behind_one_router_register_while_others_have_more_than_half() {
    let mut config = small();
    config.limits.rows = 8_000;
    let tracker = Running::start(config).await;
    for n in 0..45 {
        // Nine addresses with five machines each.
        let mut peer = come(10 + u8::try_from(n % 9).unwrap(), 1000 + n, &tracker.join).await;
        peer.must_register(&files(&format!("other {n}"), 100)).await;
    }
    let mut machines = Vec::new();
    for n in 0..200 {
        let mut peer = come(77, n, &tracker.join).await;
        peer.must_register(&files("installed everywhere", 50)).await;
        peer.must_register(&files(&format!("own {n}"), 5)).await;
        machines.push(peer);
    }
    let mut rows = 0;
    for row in machines[0].list("", Sort::Name).await {
        rows += usize::from(!row.meta.name.starts_with("other"));
    }
    assert_eq!(rows, 50 + 200 * 5);
    tracker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_new_keys_of_one_address_stop_at_half_and_known_ones_come_back() {
    let mut config = small();
    config.limits.peers = 40;
    let per_group = config.limits.per_group.take().unwrap();
    config.limits.per_group = Some(GroupLimits { peers: 10, ..per_group });
    let tracker = Running::start(config).await;
    let mut admitted = Vec::new();
    let mut refusal = None;
    for n in 0..60 {
        match Client::greet_from(2, &tracker.join, &who(n)).await {
            (client, Reply::Welcome(_)) => admitted.push(client),
            (mut client, Reply::Error { q: 0, code: Code::Busy, text, retry_ms }) => {
                assert!(retry_ms > 0);
                assert_eq!(client.next().await, None);
                refusal = Some(text);
            }
            (_, other) => panic!("{other:?}"),
        }
    }
    assert_eq!(admitted.len(), 20);
    let refusal = refusal.unwrap();
    assert!(refusal.contains("address 127.0.0.2 has 20 of 40 peers"), "{refusal}");
    assert!(refusal.contains("may have 10"), "{refusal}");
    come(2, 7, &tracker.join).await.sync().await;
    come(3, 100, &tracker.join).await.sync().await;
    tracker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_what_one_address_alone_had_goes_when_it_is_gone() {
    let mut config = small();
    (config.limits.grace_ms, config.limits.lone_ms) = (100, 1_000);
    let tracker = Running::start(config).await;
    let mut stranger = come(2, 1, &tracker.join).await;
    stranger.must_register(&[file("alone", 1), file("both", 1)]).await;
    let mut other = come(3, 2, &tracker.join).await;
    other.must_register(&[file("both", 1)]).await;
    drop(other);
    drop(stranger);
    let mut viewer = come(4, 3, &tracker.join).await;
    let start = Instant::now();
    // Waits for the event: a push would say the same.
    while viewer.names("").await != ["both"] {
        assert!(start.elapsed() < PATIENCE, "{:?}", viewer.names("").await);
        sleep(Duration::from_millis(100)).await;
    }
    tracker.stop().await;
}
