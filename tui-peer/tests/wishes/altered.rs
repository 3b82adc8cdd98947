//! Shares that change or vanish under our hands.

use tui_peer::engine::command::Command;
use tui_peer::engine::snapshot::TransferState;

use super::net::{Net, download, is, ok, refused, share, transfer, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_vanished_share_is_off_the_network_at_once_and_comes_back_when_verified() {
    let net = Net::start().await;
    let path = net.file("a", 300_000);
    let seed = net.peer("seed").await;
    let id = share(&seed, &path).await;
    let peer = net.peer("peer").await;
    until(&peer, "the catalogue", |s| s.catalogue.rows.iter().any(|r| r.sources == 1)).await;
    let aside = net.temp.path().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    download(&peer, id).await;
    until(&seed, "it is noticed", |s| is(s, id, &TransferState::Changed)).await;
    assert!(transfer(&seed.snapshot(), id).unwrap().plan.why.contains("vanished"));
    until(&peer, "nobody has it", |s| s.catalogue.rows.iter().all(|r| r.sources == 0)).await;
    let why = refused(&seed, Command::Verify { id }).await;
    assert!(why.contains("not there"), "{why}");
    std::fs::rename(&aside, &path).unwrap();
    ok(&seed, Command::Verify { id }).await;
    until(&seed, "shared again", |s| is(s, id, &TransferState::Sharing)).await;
    until(&peer, "it comes", |s| is(s, id, &TransferState::Sharing)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_download_that_vanished_from_disk_can_be_fetched_again() {
    let net = Net::start().await;
    let path = net.file("a", 300_000);
    let seed = net.peer("seed").await;
    let id = share(&seed, &path).await;
    let peer = net.peer("peer").await;
    until(&peer, "the catalogue", |s| s.catalogue.rows.iter().any(|r| r.sources == 1)).await;
    download(&peer, id).await;
    until(&peer, "it comes", |s| is(s, id, &TransferState::Sharing)).await;
    let there = transfer(&peer.snapshot(), id).unwrap().path.clone();
    std::fs::remove_file(&there).unwrap();
    ok(&peer, Command::Verify { id }).await;
    until(&peer, "it is noticed", |s| is(s, id, &TransferState::Changed)).await;
    download(&peer, id).await;
    until(&peer, "it comes again", |s| is(s, id, &TransferState::Sharing)).await;
    assert_eq!(std::fs::read(&there).unwrap(), std::fs::read(&path).unwrap());
}
