//! Shares that change or vanish under our hands.

use tui_peer::engine::command::Command;
use tui_peer::engine::event::What;
use tui_peer::engine::library::{Library, ShareRecord, Stat, restore};
use tui_peer::engine::snapshot::{Snapshot, TransferState};

use super::net::{Net, download, is, ok, refused, share, start_again, stop, transfer, until};

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
    let other = |s: &Snapshot| s.transfers.iter().any(|t| t.id != id && t.path == path);
    until(&seed, "other content", |s| other(s) && transfer(s, id).is_none()).await;
}
