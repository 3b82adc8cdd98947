//! A disk that others fill: who rests, and who goes on when.

use super::*;

/// Bytes that are to stay free.
const KEPT: u64 = 1 << 20;

/// Files of a folder: of two chunks each, so that each has its room reserved when its first one comes.
const FILES: u64 = 40;

/// A folder, shared.
async fn share_folder(temp: &Path, seed: &EngineHandle) -> ContentId {
    let folder = temp.canonicalize().unwrap().join("folder");
    std::fs::create_dir(&folder).unwrap();
    for n in 0..FILES {
        std::fs::rename(file(temp, 100_000), folder.join(format!("{n}"))).unwrap();
    }
    share(seed, &folder).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_others_who_fill_the_disk_stop_only_what_has_no_room_of_its_own_until_it_fits() {
    let temp = tempfile::tempdir().unwrap();
    if !crate::disk::tests::reserves(temp.path()) {
        eprintln!("skipped: this file system does not reserve room");
        return;
    }
    let (seed, [reserved]) = seed(temp.path(), [3_000_000]).await;
    let folder = share_folder(temp.path(), &seed).await;
    let hang = Hang::new();
    let mut config = config(temp.path(), "peer");
    let Ok(Reply::Hosting(join)) = seed.call(Command::Host).await else { panic!("no tracker") };
    (config.join, config.keep_free, config.down) = (Some(join), Some(KEPT), Some(150_000));
    let peer = peer(config, &hang).await;
    until(&peer, "the catalogue", |s| s.catalogue.rows.len() == 2).await;
    ok(&peer, request(reserved, None)).await;
    ok(&peer, request(folder, None)).await;
    let getting = |s: &Snapshot| {
        [reserved, folder].iter().all(|id| state(s, *id) == Some(TransferState::Getting))
    };
    until(&peer, "both come", getting).await;
    *hang.space.lock().unwrap() = Some(0);
    until(&peer, "the folder rests", |s| state(s, folder) == Some(TransferState::DiskFull)).await;
    ok(&peer, Command::Limits { up: None, down: None }).await;
    // No bit of it is in anybody's way.
    let mut rested = false;
    until(&peer, "the file is here", |s| {
        rested |= state(s, reserved) == Some(TransferState::DiskFull);
        is_here(reserved)(s)
    })
    .await;
    assert!(!rested);
    assert_eq!(state(&peer.snapshot(), folder), Some(TransferState::DiskFull));
    // What is to be kept, and what its files and its journal take in whole blocks at most.
    *hang.space.lock().unwrap() = Some(KEPT + FILES * 102_400 + 16_384);
    until(&peer, "the folder is here", is_here(folder)).await;
}
