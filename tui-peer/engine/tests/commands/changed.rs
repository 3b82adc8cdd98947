//! Shares that change or vanish under our hands.

use std::os::unix::fs::FileExt as _;

use engine::api::command::Command;
use engine::api::event::What;
use engine::api::library::{Library, ShareRecord};
use engine::api::snapshot::{ChunkState, Look, NetState, Snapshot, TransferState};
use engine::testing::{Stat, restore};

use super::net::{Net, download, is, ok, refused, share, start_again, stop, transfer, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_vanished_share_is_off_the_network_at_once_and_comes_back_when_verified() {
    let net = Net::start().await;
    let path = net.file("a", 300_000);
    let (seed, peer, [id]) = net.offered([&path]).await;
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
async fn a_chunk_of_a_download_that_is_damaged_on_disk_is_fetched_again() {
    let net = Net::start().await;
    let (seed, first, [id]) = net.offered([&net.file("a", 6_000_000)]).await;
    ok(&seed, Command::Limits { up: Some(1 << 20), down: None }).await;
    download(&first, id).await;
    ok(&first, Command::Focus { id: Some(id), look: Look::default() }).await;
    until(&first, "some of it", |s| transfer(s, id).is_some_and(|t| t.done > 2_000_000)).await;
    ok(&first, Command::Pause { id }).await;
    ok(&seed, Command::Leave).await;
    until(&first, "the seed is gone", |s| s.peers.is_empty()).await;
    let have = |s: &Snapshot| transfer(s, id).map_or(0, |t| t.have);
    let before = have(&first.snapshot());
    let here = |s: &Snapshot| {
        s.focus.as_ref().and_then(|focus| {
            (0..focus.chunks.len())
                .find(|chunk| focus.chunks.state(*chunk) == Some(ChunkState::Have))
        })
    };
    let chunk = here(&first.snapshot()).unwrap();
    let part = std::fs::read_dir(net.temp.path().join("peer/d")).unwrap();
    let part = part.map(|e| e.unwrap().path()).find(|p| p.to_string_lossy().ends_with(".part"));
    let file = std::fs::File::options().write(true).open(part.unwrap()).unwrap();
    file.write_all_at(&[0; 100], chunk as u64 * 65_536).unwrap();
    let second = net.peer("second").await;
    download(&second, id).await;
    until(&first, "it is noticed", |s| have(s) == before - 1).await;
    ok(&seed, Command::Rejoin).await;
    ok(&seed, Command::Limits { up: None, down: None }).await;
    ok(&first, Command::Resume { id }).await;
    until(&first, "all of it", |s| is(s, id, &TransferState::Sharing)).await;
    let bytes = std::fs::read(transfer(&first.snapshot(), id).unwrap().path.clone()).unwrap();
    assert_eq!(bytes, std::fs::read(net.temp.path().join("files/a")).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_found_damaged_is_not_served_again_by_itself() {
    let net = Net::start().await;
    let path = net.file("a", 300_000);
    let config = net.config("seed");
    let seed = net.peer("seed").await;
    let id = share(&seed, &path).await;
    stop(seed).await;
    // A disk that lost bits without a word: the record says what the disk says now.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let library = loop {
        if let Ok((library, _)) = Library::open(&config.state_dir) {
            break library;
        }
        tokio::task::yield_now().await;
    };
    let record = library.share(&path).unwrap().unwrap();
    let prepared = restore(&library, &record).unwrap();
    let stat = Stat::of(&std::fs::metadata(&path).unwrap());
    let hashed_at = record.hashed_at + 60_000;
    let record = ShareRecord { files: vec![stat].into(), hashed_at, ..record };
    library.put_share(&record, &prepared).unwrap();
    drop(library);

    let seed = start_again(config).await;
    until(&seed, "it is believed", |s| is(s, id, &TransferState::Sharing)).await;
    let mut events = seed.events();
    ok(&seed, Command::Verify { id }).await;
    until(&seed, "the damage is seen", |s| is(s, id, &TransferState::Changed)).await;
    assert!(transfer(&seed.snapshot(), id).unwrap().plan.why.contains("1 chunks are damaged"));
    while !matches!(events.recv().await.unwrap().what, What::Failed { code: "damaged", .. }) {}
    // It stays so until the user says otherwise; then it is what lies there now.
    assert!(seed.snapshot().transfers.iter().all(|t| t.state != TransferState::Hashing));
    ok(&seed, Command::Verify { id }).await;
    let again = |what: &What| matches!(what, What::Verified { id: of, bad: 1 } if *of == id);
    while !again(&events.recv().await.unwrap().what) {}
    until(&seed, "it is still off", |s| is(s, id, &TransferState::Changed)).await;
    ok(&seed, Command::Share { path: path.clone(), name: None }).await;
    let other = |s: &Snapshot| s.transfers.iter().any(|t| t.id != id && t.path == path);
    until(&seed, "other content", |s| other(s) && transfer(s, id).is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unshared_while_it_is_hashed_again_does_not_come_back() {
    let net = Net::start().await;
    let path = net.file("a", 300_000);
    let seed = net.peer("seed").await;
    let id = share(&seed, &path).await;
    // Hashing so much takes longer than the test needs to unshare it.
    std::fs::File::options().write(true).open(&path).unwrap().set_len(2 << 30).unwrap();
    ok(&seed, Command::Verify { id }).await;
    until(&seed, "it is hashed again", |s| {
        is(s, id, &TransferState::Changed)
            && s.transfers.iter().any(|t| t.state == TransferState::Hashing)
    })
    .await;
    ok(&seed, Command::Unshare { id }).await;
    until(&seed, "the hashing ends", |s| s.transfers.is_empty()).await;
    stop(seed).await;
    let seed = start_again(net.config("seed")).await;
    until(&seed, "joined", |s| s.network.state == NetState::On).await;
    assert!(seed.snapshot().transfers.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_is_verified_while_a_network_is_joined_is_found_there() {
    let net = Net::start().await;
    let path = net.file("a", 300_000);
    std::fs::File::options().write(true).open(&path).unwrap().set_len(400 << 20).unwrap();
    let seed = net.peer("seed").await;
    let id = share(&seed, &path).await;
    ok(&seed, Command::Verify { id }).await;
    ok(&seed, Command::Leave).await;
    ok(&seed, Command::Rejoin).await;
    until(&seed, "verified", |s| is(s, id, &TransferState::Sharing)).await;
    let peer = net.peer("peer").await;
    until(&peer, "it is offered", |s| s.catalogue.rows.iter().any(|r| r.sources == 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_download_that_vanished_from_disk_can_be_fetched_again() {
    let net = Net::start().await;
    let path = net.file("a", 300_000);
    let (_seed, peer, [id]) = net.offered([&path]).await;
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
