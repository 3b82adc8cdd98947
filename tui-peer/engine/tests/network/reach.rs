//! Two of which only one can reach the other.

use super::*;
use engine::api::event::What;

/// Two of whom nobody else can reach the second and whom the first, if so, as behind routers: they listen at other
/// addresses than the one where the tracker sees them.
async fn fetch_from_behind(hosts: [u8; 2], join: &JoinString, look: impl Fn(&Snapshot) -> bool) {
    let temp = tempfile::tempdir().unwrap();
    let at = |name, host| {
        let mut config = config(temp.path(), name, join);
        config.listen = ([127, 0, 0, host], 0).into();
        config
    };
    let source = start(at("source", hosts[0])).await.unwrap();
    let path = temp.path().join("thing");
    std::fs::write(&path, "thing".repeat(100_000)).unwrap();
    source.call(Command::Share { path, name: None }).await.unwrap();
    let fetcher = start(at("fetcher", hosts[1])).await.unwrap();
    until(&fetcher, "the file", |s| sources(s, "thing") == Some(1)).await;
    let mut events = fetcher.events();
    let id = fetcher.snapshot().catalogue.rows.first().map(|row| row.id).unwrap();
    let request = Download { id, name: None, dir: None, files: Selection::All };
    fetcher.call(Command::Download(request)).await.unwrap();
    let done = |s: &Snapshot| s.transfers.iter().any(|t| t.state == TransferState::Sharing);
    until(&fetcher, "it is here", done).await;
    until(&fetcher, "how it came", look).await;
    // A dial is refused at once: nobody is told so before another way had its time.
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event.what, What::Unreached { .. }), "{}", event.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_cannot_be_reached_dials_who_wants_its_file() {
    let join = tracker().await;
    fetch_from_behind([2, 1], &join, |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_cannot_reach_each_other_meet_at_the_tracker() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config =
        tracker::Config { relay: Some(tracker::RelayLimits::default()), ..Default::default() };
    let tracker = tracker::Tracker::open(config).unwrap();
    let join = tracker.join_string("127.0.0.1", port).unwrap();
    tokio::spawn(tracker.run(listener, std::future::pending()));
    fetch_from_behind([2, 3], &join, |_| true).await;
}
