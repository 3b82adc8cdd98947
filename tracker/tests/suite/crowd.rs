//! Many peers at once that come, register, progress, look and go: nobody is stuck, and what is left is the truth.

use std::time::Duration;

use crate::support::{Client, Running, Who, file, id, progress, quick};
use common::wire::tracker::{Reply, Request, Sort};
use tokio::sync::Barrier;

const PEERS: u8 = 60;
const ROUNDS: u32 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_leaves_a_true_index() {
    let tracker = Running::start(quick()).await;
    let shared = file("everybody's", 40 * 65536);
    let rounds_over = std::sync::Arc::new(Barrier::new(usize::from(PEERS) + 1));
    let mut tasks = Vec::new();
    for n in 0..PEERS {
        let (join, shared) = (tracker.join.clone(), shared.clone());
        let rounds_over = std::sync::Arc::clone(&rounds_over);
        tasks.push(tokio::spawn(async move {
            let mut rng = fastrand::Rng::with_seed(n.into());
            for round in 0..ROUNDS {
                let (mut peer, _) = Client::connect(&join, &Who::new(n + 1)).await;
                peer.watch(true, &[id(&shared)]).await;
                let q = peer.q();
                let own = file(&format!("own {n} {round}"), u64::from(n));
                let files = vec![own.clone()];
                peer.ask(q, &Request::Register { q, files, more: false, full: true }).await;
                for have in 1..=rng.u32(1..10) {
                    peer.chunks(vec![progress(&shared, &[have], have, have == 1)]).await;
                }
                assert!(peer.names("own").await.contains(&own.name));
                assert!(peer.locations(id(&shared), 20).await.sources.len() <= 20);
                match rng.u8(..3) {
                    0 => drop(peer),
                    1 => {
                        let q = peer.q();
                        assert_eq!(peer.ask(q, &Request::Leave { q }).await, Reply::Done { q });
                    }
                    // Stays, until the next round replaces it.
                    _ => peer.sync().await,
                }
            }
            // In the end everybody is there, with the shared file and nothing else.
            let (mut peer, _) = Client::connect(&join, &Who::new(n + 1)).await;
            let q = peer.q();
            let files = vec![shared.clone()];
            peer.ask(q, &Request::Register { q, files, more: false, full: true }).await;
            rounds_over.wait().await;
            peer
        }));
    }
    tokio::time::timeout(Duration::from_secs(60), rounds_over.wait()).await.expect("stuck");
    let (mut viewer, _) = Client::connect(&tracker.join, &Who::new(250)).await;
    let rows = viewer.list("", Sort::Name).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((rows[0].sources, rows[0].complete), (PEERS.into(), PEERS.into()));
    assert_eq!(viewer.locations(id(&shared), 50).await.sources.len(), 50);
    drop(tasks);
    tracker.stop().await;
}
