//! Waiting for what nobody has yet.

use engine::api::command::Command;
use engine::api::snapshot::TransferState;

use super::net::{Net, is, ok, refused, share, start_again, stop, transfer, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_file_starts_when_somebody_has_it_also_after_a_restart() {
    let net = Net::start().await;
    let path = net.file("a", 300_000);
    let (seed, peer, [id]) = net.offered([&path]).await;
    let why = refused(&peer, Command::Watch { id, on: true }).await;
    assert!(why.contains("somebody has it"), "{why}");
    stop(seed).await;
    until(&peer, "nobody has it", |s| s.catalogue.rows.iter().all(|r| r.sources == 0)).await;
    ok(&peer, Command::Watch { id, on: true }).await;
    let waits = |s: &engine::api::snapshot::Snapshot| {
        transfer(s, id).is_some_and(|t| t.plan.watch && t.state == TransferState::NoSource)
    };
    until(&peer, "it waits", waits).await;
    stop(peer).await;
    let peer = start_again(net.config("peer")).await;
    until(&peer, "it waits still", waits).await;
    let _seed = start_again(net.config("seed")).await;
    until(&peer, "it comes", |s| is(s, id, &TransferState::Sharing)).await;
    let why = refused(&peer, Command::Watch { id, on: true }).await;
    assert!(why.contains("here already"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_there_yet_can_be_waited_for() {
    let net = Net::start().await;
    let peer = net.peer("peer").await;
    until(&peer, "the catalogue", |s| s.catalogue.whole).await;
    ok(&peer, Command::WatchFor { words: "ISO  fedora".into(), on: true }).await;
    until(&peer, "noted", |s| s.watches.iter().any(|w| &**w == "iso fedora")).await;
    stop(peer).await;
    let peer = start_again(net.config("peer")).await;
    until(&peer, "noted still", |s| s.watches.len() == 1).await;
    let seed = net.peer("seed").await;
    share(&seed, &net.file("debian.iso", 1_000)).await;
    let id = share(&seed, &net.file("Fedora-43.iso", 200_000)).await;
    until(&peer, "it comes", |s| is(s, id, &TransferState::Sharing) && s.watches.is_empty()).await;
    assert_eq!(peer.snapshot().transfers.len(), 1, "only what was waited for");
    let there = Command::WatchFor { words: "debian".into(), on: true };
    let why = refused(&peer, there).await;
    assert!(why.contains("there already"), "{why}");
    let gone = Command::WatchFor { words: "nothing".into(), on: false };
    assert!(refused(&peer, gone).await.contains("nothing waits"));
}
