//! Files of a folder.

use engine::api::command::{Command, Reply, Selection};
use engine::api::snapshot::TransferState;

use super::net::{Net, is, pick, start_again, stop, transfer, until};

#[tokio::test(flavor = "multi_thread")]
async fn more_files_of_a_finished_folder_are_fetched_and_nothing_twice() {
    let net = Net::start().await;
    let folder = net.folder(&[("a", 400_000), ("b", 500_000), ("sub/c", 300_000), ("d", 200_000)]);
    let (_seed, peer, [id]) = net.offered([&folder]).await;
    let paths = |names: &[&str]| Selection::Paths(names.iter().map(|n| (*n).to_owned()).collect());
    pick(&peer, id, paths(&["a"])).await;
    until(&peer, "the first file", |s| is(s, id, &TransferState::Sharing)).await;
    assert_eq!(transfer(&peer.snapshot(), id).unwrap().size, 400_000);
    let got = peer.snapshot().totals.down;

    // Not naming what is here already does not take it away.
    let more = Command::Select { id, files: paths(&["sub"]) };
    assert!(matches!(peer.call(more).await, Ok(Reply::Accepted)));
    until(&peer, "two files", |s| {
        transfer(s, id).is_some_and(|t| t.state == TransferState::Sharing && t.size == 700_000)
    })
    .await;
    let down = peer.snapshot().totals.down - got;
    assert!(down < 400_000, "only what was missing: {down}");

    // A restart, then the rest by an ordinary download.
    stop(peer).await;
    let peer = start_again(net.config("peer")).await;
    until(&peer, "shared again", |s| is(s, id, &TransferState::Sharing)).await;
    until(&peer, "the catalogue", |s| s.catalogue.rows.len() == 1).await;
    pick(&peer, id, Selection::All).await;
    until(&peer, "all", |s| {
        transfer(s, id).is_some_and(|t| t.state == TransferState::Sharing && t.size == 1_400_000)
    })
    .await;
    let place = transfer(&peer.snapshot(), id).unwrap().path.clone();
    assert_eq!(place, net.temp.path().join("peer/d/folder"), "where it was");
    for name in ["a", "b", "sub/c", "d"] {
        let original = net.temp.path().join("files/folder").join(name);
        assert!(std::fs::read(place.join(name)).unwrap() == std::fs::read(original).unwrap());
    }
    let left = std::fs::read_dir(net.temp.path().join("peer/d")).unwrap().count();
    assert_eq!(left, 1, "no part, no journal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_changed_stays_what_it_is() {
    let net = Net::start().await;
    let folder = net.folder(&[("a", 400_000), ("b", 500_000)]);
    let (_seed, peer, [id]) = net.offered([&folder]).await;
    pick(&peer, id, Selection::Paths(vec!["a".into()])).await;
    until(&peer, "the first file", |s| is(s, id, &TransferState::Sharing)).await;
    let file = net.temp.path().join("peer/d/folder/a");
    std::fs::write(&file, "mine now").unwrap();
    peer.call(Command::Select { id, files: Selection::All }).await.unwrap();
    until(&peer, "it is refused", |s| transfer(s, id).is_none()).await;
    assert_eq!(std::fs::read(&file).unwrap(), b"mine now", "nobody's work is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_listed_before_anything_is_fetched_and_then_chosen() {
    let net = Net::start().await;
    let folder = net.folder(&[("a", 400_000), ("sub/c", 300_000)]);
    let (_seed, peer, [id]) = net.offered([&folder]).await;
    let downloads = net.temp.path().join("peer/d");
    let on_disk = || std::fs::read_dir(&downloads).map_or(0, Iterator::count);

    pick(&peer, id, Selection::Paths(Vec::new())).await;
    until(&peer, "it rests", |s| is(s, id, &TransferState::Paused)).await;
    let Ok(Reply::Files(files)) = peer.call(Command::ListFiles { id }).await else { panic!() };
    let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["a", "sub/c"]);
    assert!(files.iter().all(|file| file.wanted && file.done == 0));
    assert_eq!(on_disk(), 0, "only looked");
    let forget = Command::Remove { id, delete_partial: true };
    assert!(peer.call(forget).await.is_ok());
    until(&peer, "it is gone", |s| transfer(s, id).is_none()).await;

    pick(&peer, id, Selection::Paths(Vec::new())).await;
    until(&peer, "it rests again", |s| is(s, id, &TransferState::Paused)).await;
    let files = Selection::Paths(vec!["sub/c".to_owned()]);
    assert!(peer.call(Command::Select { id, files }).await.is_ok());
    until(&peer, "the chosen file", |s| is(s, id, &TransferState::Sharing)).await;
    assert_eq!(transfer(&peer.snapshot(), id).unwrap().size, 300_000);
    assert!(!downloads.join("folder/a").exists());
}
