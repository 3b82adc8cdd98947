//! The announcer and the real tracker.

use std::path::Path;

use common::tracker_hosts::{Listed, TrackerHosts};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracker::store::StoreError;
use tracker::{Config, StartError, Timing, Tracker};

use super::*;

pub(super) struct Running {
    pub(super) join: JoinString,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// With its state in `dir`; on the port of `again`, if it is the same tracker as before.
    pub(super) async fn start(dir: &Path, again: Option<&JoinString>) -> Self {
        Self::start_with(dir, again.map_or(0, JoinString::port), |_| ()).await
    }

    /// On this port, after `before`.
    pub(super) async fn start_with(dir: &Path, port: u16, before: impl FnOnce(&Tracker)) -> Self {
        let timing = Timing { tick: Duration::from_millis(20), ..Timing::default() };
        let config = Config { timing, state_dir: Some(dir.to_owned()), ..Config::default() };
        // The store of one that was killed closes on a thread of its own.
        let open = async {
            loop {
                match Tracker::open(config.clone()) {
                    Err(StartError::Store(StoreError::Locked { .. })) => {
                        tokio::task::yield_now().await;
                    }
                    opened => break opened.unwrap(),
                }
            }
        };
        let tracker = timeout(PATIENCE, open).await.unwrap();
        before(&tracker);
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let join = tracker.join_string("127.0.0.1", port).unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(tracker.run(listener, async {
            let _ = stopped.await;
        }));
        Self { join, stop, task }
    }

    /// As by `kill -9`: says goodbye to nobody.
    pub(super) async fn kill(self) -> JoinString {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
        self.join
    }

    pub(super) async fn stop(self) -> JoinString {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
        self.join
    }
}

/// Sources and complete copies of the only row.
pub(super) fn counts(catalogue: &Catalogue) -> Option<(u32, u32)> {
    let row = catalogue.rows.first().filter(|_| catalogue.whole && catalogue.rows.len() == 1)?;
    Some((row.sources, row.complete))
}

#[tokio::test]
async fn shares_are_found_and_progress_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let tracker = Running::start(dir.path(), None).await;
    let (one, mut events_one) = join(1, &tracker.join);
    let (two, mut events_two) = join(2, &tracker.join);
    let meta = file("Film.mkv", 1_000_000);
    one.set_share(meta.clone());
    assert_eq!(events_one.registered().await, [id(&meta)].into());
    let seen = events_two.catalogue(|c| counts(c) == Some((1, 1))).await;
    assert_eq!(names(&seen), ["Film.mkv"]);

    two.locate(id(&meta));
    let (sources, complete) = events_two
        .until(|event| match event {
            TrackerEvent::Sources { sources, complete, whole: true, .. } => {
                Some((sources, complete))
            }
            _ => None,
        })
        .await;
    assert_eq!((sources[0].peer, complete), (identity(1).peer_id(), 1));
    assert_eq!(sources[0].addrs, ["127.0.0.1:7001".parse().unwrap()]);

    // The seed watches; the other one's progress reaches it.
    one.watch([id(&meta)].into());
    two.set_partial(id(&meta), some_of(&meta, &[0]));
    two.add_chunks(id(&meta), &[3]);
    let set = events_one
        .until(|event| match event {
            TrackerEvent::Sources { sources, .. } => {
                sources.into_iter().find(|source| source.have == 2).map(|source| source.set)
            }
            _ => None,
        })
        .await;
    assert_eq!(set, Some(some_of(&meta, &[0, 3])));
    // Done: a second complete copy.
    two.set_share(meta.clone());
    events_two.catalogue(|c| counts(c) == Some((2, 2))).await;
    one.leave().await;
    events_two.catalogue(|c| counts(c) == Some((1, 1))).await;
    tracker.stop().await;
}

#[tokio::test]
async fn a_tracker_that_moved_is_found_where_it_said_that_it_is() {
    let dir = tempfile::tempdir().unwrap();
    // Its next place, which nobody else is given meanwhile.
    let next = tokio::net::TcpSocket::new_v4().unwrap();
    next.set_reuseaddr(true).unwrap();
    next.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let port = next.local_addr().unwrap().port();
    let tell = |tracker: &Tracker, ports: &[u16]| {
        let hosts: Vec<_> = ports.iter().map(|port| ("127.0.0.1".to_owned(), *port)).collect();
        tracker.tell_hosts(Listed::Addresses, &hosts).unwrap();
    };
    let first = Running::start_with(dir.path(), 0, |tracker| tell(tracker, &[port])).await;
    let (one, mut events) = join_with(1, &first.join, soon());
    let told = |event| match event {
        TrackerEvent::Hosts { newer, .. } => newer,
        _ => None,
    };
    let signed = events.until(told).await;
    let list = TrackerHosts::verify(&signed, &first.join.tracker()).unwrap();
    assert_eq!(list.hosts(), [("127.0.0.1".to_owned(), port)]);
    first.stop().await;
    events.lost().await;
    drop(next);
    // In its new place it says the same, and that is no news; then something else, which is.
    let moved = Running::start_with(dir.path(), port, |tracker| tell(tracker, &[port])).await;
    events.on().await;
    moved.stop().await;
    events.lost().await;
    let moved = Running::start_with(dir.path(), port, |tracker| tell(tracker, &[port, 1])).await;
    let newer = events.until(told).await;
    let newer = TrackerHosts::verify(&newer, &moved.join.tracker()).unwrap();
    assert!(newer.serial() > list.serial() && newer.hosts().len() == 2);
    one.leave().await;
    moved.stop().await;
}

#[tokio::test]
async fn everything_is_back_after_a_restart_of_the_tracker() {
    let dir = tempfile::tempdir().unwrap();
    let mut tracker = Running::start(dir.path(), None).await;
    let (one, mut events_one) = join(1, &tracker.join);
    let (two, mut events_two) = join(2, &tracker.join);
    let meta = file("a", 1_000_000);
    one.set_share(meta.clone());
    two.set_partial(id(&meta), some_of(&meta, &[1]));
    two.watch([id(&meta)].into());
    events_one.registered().await;
    events_two.catalogue(|c| counts(c) == Some((2, 1))).await;
    for keeps_its_records in [true, false] {
        let join = tracker.stop().await;
        events_two.lost().await;
        if !keeps_its_records {
            // As after a crash without a disk: only the identity is left.
            for entry in std::fs::read_dir(dir.path()).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "redb") {
                    std::fs::remove_file(path).unwrap();
                }
            }
        }
        tracker = Running::start(dir.path(), Some(&join)).await;
        assert_eq!(tracker.join, join, "the same tracker");
        events_two.on().await;
        assert_eq!(events_one.registered().await, [id(&meta)].into());
        // In whatever order they come.
        let (mut counted, mut found) = (false, false);
        events_two
            .until(|event| {
                match event {
                    TrackerEvent::Catalogue { catalogue, .. } => {
                        counted = counts(&catalogue) == Some((2, 1));
                    }
                    TrackerEvent::Sources { sources, .. } => {
                        found |= sources.iter().any(|s| s.peer == identity(1).peer_id());
                    }
                    _ => {}
                }
                (counted && found).then_some(())
            })
            .await;
    }
    drop((one, two));
    tracker.stop().await;
}
