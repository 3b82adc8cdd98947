//! Two trackers with one key, and engines that download while one of them dies.

use std::time::Instant;

use common::identity::Identity;
use common::tracker_hosts::Listed;

use super::*;

/// A tracker that says where both are.
async fn tracker_of(
    dir: &Path,
    listener: TcpListener,
    ports: [u16; 2],
) -> (JoinString, tokio::task::JoinHandle<()>) {
    let config = tracker::Config { state_dir: Some(dir.to_owned()), ..tracker::Config::default() };
    let tracker = tracker::Tracker::open(config).unwrap();
    tracker
        .tell_hosts(Listed::Trackers, &ports.map(|port| ("127.0.0.1".to_owned(), port)))
        .unwrap();
    let join = tracker.join_string("127.0.0.1", listener.local_addr().unwrap().port()).unwrap();
    (join, tokio::spawn(tracker.run(listener, std::future::pending())))
}

#[tokio::test(flavor = "multi_thread")]
async fn b4_a_download_goes_on_untouched_while_its_peers_go_to_the_standby() {
    let temp = tempfile::tempdir().unwrap();
    let dirs = [temp.path().join("first"), temp.path().join("second")];
    dirs.iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
    drop(Identity::load_or_create(&dirs[0].join("tracker.key")).unwrap());
    std::fs::copy(dirs[0].join("tracker.key"), dirs[1].join("tracker.key")).unwrap();
    let listeners = [
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    ];
    let ports = [0, 1].map(|at: usize| listeners[at].local_addr().unwrap().port());
    let [first, second] = listeners;
    let (join, first) = tracker_of(&dirs[0], first, ports).await;
    let (_, _second) = tracker_of(&dirs[1], second, ports).await;

    // Ten seconds of it at least.
    let seed = start(EngineConfig { up: Some(400_000), ..config(temp.path(), "seed", &join) });
    let (seed, peer) = (seed.await.unwrap(), peer(temp.path(), "peer", &join).await);
    let path = temp.path().join("payload");
    std::fs::write(&path, "shoal".repeat(1_000_000)).unwrap();
    seed.call(Command::Share { path, name: None }).await.unwrap();
    until(&peer, "the file", |s| sources(s, "payload") == Some(1)).await;
    let id = peer.snapshot().catalogue.rows.first().unwrap().id;
    let download = Download { id, name: None, dir: None, files: Selection::All };
    peer.call(Command::Download(download)).await.unwrap();
    until(&peer, "bytes", |s| s.totals.down > 0 && s.peers.len() == 1).await;

    let both = format!("@127.0.0.1:{},127.0.0.1:{}", ports[0], ports[1]);
    let named = |s: &Snapshot| s.network.join.as_deref().is_some_and(|join| join.contains(&both));
    until(&peer, "links that name both, though its own join string names one", named).await;

    let before = peer.snapshot();
    first.abort();
    let killed = Instant::now();
    for engine in [&peer, &seed] {
        until(engine, "at the standby", |s| {
            s.network.state == NetState::On && s.network.is_at_standby()
        })
        .await;
    }
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    let after = peer.snapshot();
    assert_eq!(after.network.tracker, format!("127.0.0.1:{}", ports[1]));
    assert_eq!(after.peers[0].since, before.peers[0].since, "the same connection");
    assert!(after.peers[0].down > before.peers[0].down, "it went on");
    assert!(after.totals.down < 5_000_000, "it was under way all the time");
    until(&peer, "the end", |s| s.transfers.iter().any(|t| t.state == TransferState::Sharing))
        .await;
    assert_eq!(peer.snapshot().totals.wasted, 0);
    // Both are known to the second tracker.
    until(&peer, "both at the second", |s| sources(s, "payload") == Some(2)).await;
}
