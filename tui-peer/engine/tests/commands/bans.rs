//! Bans.

use std::time::Duration;

use engine::api::command::Command;
use engine::api::snapshot::TransferState;

use super::net::{Net, download, is, ok, refused, start_again, stop, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_peer_gives_and_gets_nothing_until_the_ban_is_lifted() {
    let net = Net::start().await;
    let (seed, peer, [id]) = net.offered([&net.file("a", 3_000_000)]).await;
    ok(&seed, Command::Limits { up: Some(256 << 10), down: None }).await;
    download(&peer, id).await;
    until(&peer, "connected", |s| s.peers.len() == 1).await;
    let who = seed.snapshot().me.peer;
    ok(&peer, Command::Ban { peer: who, time: None }).await;
    until(&peer, "disconnected", |s| s.peers.is_empty() && s.bans.len() == 1).await;
    let ban = peer.snapshot().bans[0].clone();
    assert_eq!((ban.peer, ban.until, ban.by_user), (who, None, true));

    stop(peer).await;
    let peer = start_again(net.config("peer")).await;
    until(&peer, "banned for ever", |s| s.bans.len() == 1).await;
    until(&peer, "no source left", |s| is(s, id, &TransferState::NoSource)).await;
    assert!(peer.snapshot().peers.is_empty());
    ok(&seed, Command::Limits { up: None, down: None }).await;
    ok(&peer, Command::Unban { peer: who }).await;
    until(&peer, "done", |s| is(s, id, &TransferState::Sharing) && s.bans.is_empty()).await;

    let why = refused(&peer, Command::Unban { peer: who }).await;
    assert!(why.contains("not banned"), "{why}");
    let me = peer.snapshot().me.peer;
    let why = refused(&peer, Command::Ban { peer: me, time: None }).await;
    assert!(why.contains("itself"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_for_a_while_ends_by_itself() {
    let net = Net::start().await;
    let peer = net.peer("peer").await;
    let who = common::id::PeerId::from_bytes([9; 32]);
    ok(&peer, Command::Ban { peer: who, time: Some(Duration::from_millis(200)) }).await;
    until(&peer, "banned", |s| s.bans.len() == 1).await;
    until(&peer, "no more", |s| s.bans.is_empty()).await;
}
