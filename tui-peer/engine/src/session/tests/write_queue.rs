//! A library that cannot be written: all goes on, is told, and is remembered once the disk works again.

use rustix::io::Errno;

use super::super::NoProbe;
use super::super::start::start_on;
use super::*;
use crate::api::event::{Event, What};
use crate::api::handle::Events;
use crate::library::faults::Faults;

async fn on_faults(config: EngineConfig, faults: &Arc<Faults>) -> EngineHandle {
    start_on(config, Arc::new(NoProbe), faults.opener()).await.unwrap()
}

/// The next event for which `is`, and all before it.
async fn next(events: &mut Events, is: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut all = Vec::new();
    let wait = async {
        loop {
            all.push(events.recv().await.unwrap());
            if is(all.last().unwrap()) {
                return;
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, wait).await.is_ok();
    assert!(found, "never; but {all:#?}");
    all
}

fn is_trouble(event: &Event) -> bool {
    matches!(event.what, What::Failed { code: "library", .. })
}

fn is_well(event: &Event) -> bool {
    event.text.contains("can be written again")
}

async fn ended(peer: EngineHandle) {
    peer.stop(Stop::Gracefully);
    peer.stopped().await;
    let state = peer.snapshot();
    drop((peer, state));
}

async fn start_again(config: EngineConfig) -> EngineHandle {
    let end = Instant::now() + PATIENCE;
    loop {
        match start_with(config.clone(), Arc::new(NoProbe)).await {
            Ok(peer) => return peer,
            // The last thread of the one before still holds the folder.
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_what_happens_on_a_full_disk_is_told_and_remembered_when_there_is_room() {
    for errno in [Errno::NOSPC, Errno::IO] {
        let temp = tempfile::tempdir().unwrap();
        let (seed, [wanted]) = seed(temp.path(), [300_000]).await;
        let faults = Arc::new(Faults::default());
        let Ok(Reply::Hosting(join)) = seed.call(Command::Host).await else { panic!("no tracker") };
        let mut config = config(temp.path(), "peer");
        config.join = Some(join);
        let peer = on_faults(config.clone(), &faults).await;
        until(&peer, "the catalogue", |s| s.catalogue.rows.len() == 1).await;
        let gone = share(&peer, &file(temp.path(), 1000)).await;
        assert_eq!(peer.snapshot().unkept, None);

        let mut events = peer.events();
        faults.fail(errno, 0);
        let shared = share(&peer, &file(temp.path(), 1001)).await;
        let told = next(&mut events, |e| e.text.starts_with("hashed 1001.bin")).await;
        let What::Hashed { unkept: Some(why), .. } = &told.last().unwrap().what else {
            panic!("{told:#?}")
        };
        assert!(why.contains("not remembered") && why.contains("library.redb"), "{why}");
        assert_eq!(told.iter().filter(|e| is_trouble(e)).count(), 1, "{told:#?}");
        until(&peer, "it is told", |s| s.unkept.is_some()).await;

        ok(&peer, request(wanted, None)).await;
        let told = next(&mut events, |e| matches!(e.what, What::Done { .. })).await;
        assert!(matches!(&told.last().unwrap().what, What::Done { unkept: Some(_), .. }));
        let refused = peer.call(Command::Unshare { id: gone }).await.unwrap_err();
        assert!(refused.message.contains("done, but not remembered"), "{refused}");
        until(&peer, "it is off", |s| state(s, gone).is_none()).await;
        let waiting = |s: &Snapshot| s.unkept.as_ref().is_some_and(|unkept| unkept.waiting >= 4);
        until(&peer, "what waits is counted", waiting).await;
        assert!(!told.iter().any(is_trouble), "once is enough: {told:#?}");

        faults.mend();
        let told = next(&mut events, is_well).await;
        assert!(!told.iter().any(is_trouble), "once is enough: {told:#?}");
        until(&peer, "all is well", |s| s.unkept.is_none()).await;
        let left = || std::fs::read_dir(&config.downloads).unwrap().map(|e| e.unwrap().file_name());
        let end = Instant::now() + PATIENCE;
        let mut told = Vec::new();
        while left().count() > 1 {
            told.extend(std::iter::from_fn(|| events.try_recv().ok()));
            let late = Instant::now() > end;
            assert!(!late, "more is left: {:?}; {told:#?}", left().collect::<Vec<_>>());
            tokio::task::yield_now().await;
        }
        ended(peer).await;

        let peer = start_again(config).await;
        until(&peer, "the share", is_here(shared)).await;
        until(&peer, "the download", is_here(wanted)).await;
        assert_eq!(state(&peer.snapshot(), gone), None);
        ended(peer).await;
    }
}

/// Nothing that was said to be done comes back after a power cut: at the answer it is on disk.
#[tokio::test(flavor = "multi_thread")]
async fn f11_unshare_is_answered_when_it_is_committed() {
    let temp = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let peer = on_faults(config(temp.path(), "peer"), &faults).await;
    for n in 0..10 {
        let path = file(temp.path(), 1000 + n);
        let id = share(&peer, &path).await;
        ok(&peer, Command::Unshare { id }).await;
        // What a power cut now would leave: the file as it is.
        let cut = temp.path().join(format!("cut{n}"));
        std::fs::create_dir(&cut).unwrap();
        let library = temp.path().join("peer/state/library.redb");
        std::fs::copy(library, cut.join("library.redb")).unwrap();
        let (_, loaded) = crate::library::Library::open(&cut).unwrap();
        assert_eq!(loaded.shares.len(), 0, "it came back");
    }
    // A disk that does not answer holds nobody up for ever.
    let id = share(&peer, &file(temp.path(), 2000)).await;
    faults.hang();
    let answer = call(&peer, Command::Unshare { id }).await.unwrap().unwrap_err();
    assert!(answer.message.contains("does not answer"), "{answer}");
    faults.mend();
    ended(peer).await;
}

/// The last words of a run say what is lost.
#[tokio::test(flavor = "multi_thread")]
async fn f1_what_could_not_be_remembered_at_the_end_is_said() {
    let temp = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let peer = on_faults(config(temp.path(), "peer"), &faults).await;
    faults.fail(Errno::NOSPC, 0);
    share(&peer, &file(temp.path(), 1000)).await;
    let mut events = peer.events();
    peer.stop(Stop::Gracefully);
    let told = next(&mut events, |e| e.text.contains("records are not remembered")).await;
    assert!(told.iter().any(is_trouble));
    peer.stopped().await;
}

/// Keeps next to nothing while the library cannot be written.
struct Small;

impl Probe for Small {
    fn library_keeps(&self) -> Option<usize> {
        Some(1)
    }
}

/// What is too much to keep is not said to be remembered, and a download among it is found again by its
/// journal.
#[tokio::test(flavor = "multi_thread")]
async fn b9_a_finished_download_that_is_too_much_to_keep_is_there_after_a_restart() {
    let temp = tempfile::tempdir().unwrap();
    let (seed, [wanted]) = seed(temp.path(), [4_000_000]).await;
    let faults = Arc::new(Faults::default());
    let Ok(Reply::Hosting(join)) = seed.call(Command::Host).await else { panic!("no tracker") };
    let mut config = config(temp.path(), "peer");
    config.join = Some(join);
    let peer = start_on(config.clone(), Arc::new(Small), faults.opener()).await.unwrap();
    until(&peer, "the catalogue", |s| s.catalogue.rows.len() == 1).await;
    ok(&peer, Command::Limits { up: None, down: Some(1 << 20) }).await;
    ok(&peer, request(wanted, None)).await;
    until(&peer, "it is open", |s| state(s, wanted) == Some(TransferState::Getting)).await;

    let mut events = peer.events();
    faults.fail(Errno::NOSPC, 0);
    share(&peer, &file(temp.path(), 1001)).await;
    ok(&peer, Command::Limits { up: None, down: None }).await;
    let told = next(&mut events, |e| matches!(e.what, What::Done { .. })).await;
    assert!(matches!(&told.last().unwrap().what, What::Done { unkept: Some(_), .. }));
    faults.mend();
    let told = next(&mut events, is_well).await;
    let last = told.last().unwrap();
    assert!(last.text.contains("not remembered"), "{last:?}");
    let journals = || {
        let names = std::fs::read_dir(&config.downloads).unwrap().map(|e| e.unwrap().file_name());
        names.filter(|name| name != "4000000.bin").count()
    };
    // What is done next is done after that.
    share(&peer, &file(temp.path(), 1002)).await;
    assert_eq!(journals(), 1);
    ended(peer).await;
    ended(seed).await;

    let peer = start_again(config.clone()).await;
    until(&peer, "the download", is_here(wanted)).await;
    ended(peer).await;
}
