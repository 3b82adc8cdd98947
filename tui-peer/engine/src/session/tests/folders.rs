//! Shared folders into which something comes, and out of which something goes.

use std::fs;

use super::*;
use crate::api::event::What;
use crate::api::snapshot::FolderNews;

/// How often folders are looked at here.
const OFTEN: Duration = Duration::from_millis(50);
/// Bytes of a file: two chunks.
const EACH: usize = 100_000;

fn often() -> Arc<Hang> {
    Hang::looking_every(OFTEN)
}

/// A folder with these files, each of other bytes.
fn folder(temp: &Path, name: &str, files: &[&str]) -> PathBuf {
    let folder = temp.canonicalize().unwrap().join(name);
    fs::create_dir_all(&folder).unwrap();
    files.iter().for_each(|file| put(&folder, file));
    folder
}

/// Puts a file into a folder, all of it at once.
fn put(folder: &Path, name: &str) {
    let mut bytes = vec![0; EACH];
    fastrand::Rng::with_seed(name.len() as u64 * 256 + u64::from(name.as_bytes()[0]))
        .fill(&mut bytes);
    let aside = folder.with_extension("aside");
    fs::write(&aside, bytes).unwrap();
    fs::rename(aside, folder.join(name)).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// A peer that hosts a network, and shares a folder in it.
async fn owner(temp: &Path, folder: &Path, hang: &Arc<Hang>) -> (EngineHandle, ContentId) {
    let owner = peer(config(temp, "owner"), hang).await;
    owner.call(Command::Host).await.unwrap();
    let id = share(&owner, folder).await;
    (owner, id)
}

fn news(snapshot: &Snapshot, id: ContentId) -> FolderNews {
    let row = snapshot.transfers.iter().find(|t| t.id == id);
    row.and_then(|row| row.news).unwrap_or_default()
}

/// What is shared from a folder now, other than `before`; earlier states have no path.
async fn next_state(engine: &EngineHandle, folder: &Path, before: ContentId) -> ContentId {
    let newest =
        |t: &&Transfer| t.path == folder && t.id != before && t.state == TransferState::Sharing;
    until(engine, "another state", |s| s.transfers.iter().any(|t| newest(&t))).await;
    engine.snapshot().transfers.iter().find(newest).unwrap().id
}

/// Whether the network knows so many sources of a content, and so many of them with all of it.
fn has(id: ContentId, sources: u32, complete: u32) -> impl Fn(&Snapshot) -> bool {
    move |s| {
        let row = s.catalogue.rows.iter().find(|row| row.id == id);
        row.is_some_and(|row| (row.sources, row.complete) == (sources, complete))
    }
}

/// Hears what is told until it is a text with these words.
async fn hears(engine_events: &mut crate::api::handle::Events, text: &str) -> Vec<What> {
    let mut heard = Vec::new();
    loop {
        let event = tokio::time::timeout(PATIENCE, engine_events.recv()).await;
        let event = event.expect(text).unwrap();
        heard.push(event.what);
        if event.text.contains(text) {
            return heard;
        }
    }
}

/// Names under which the network knows contents.
fn listed(snapshot: &Snapshot) -> Vec<(String, ContentId)> {
    let mut rows: Vec<_> =
        snapshot.catalogue.rows.iter().map(|row| (row.name.to_string(), row.id)).collect();
    rows.sort_unstable();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_what_comes_into_a_folder_is_told_and_shared_only_when_that_is_said() {
    let temp = tempfile::tempdir().unwrap();
    let folder = folder(temp.path(), "photos", &["a", "b"]);
    let (owner, first) = owner(temp.path(), &folder, &often()).await;
    assert_eq!(news(&owner.snapshot(), first), FolderNews::default());
    put(&folder, "new");
    fs::write(folder.join(".film.mkv.abcdef23.part"), "a download of ours").unwrap();
    let one = FolderNews { new: 1, ..FolderNews::default() };
    until(&owner, "it is told", |s| news(s, first) == one).await;
    assert_eq!(one.words(), "1 new");
    until(&owner, "it is registered", |s| !s.catalogue.rows.is_empty()).await;
    assert_eq!(listed(&owner.snapshot()), [("photos".to_owned(), first)]);

    ok(&owner, Command::Rescan { id: first }).await;
    let second = next_state(&owner, &folder, first).await;
    until(&owner, "nothing is new", |s| news(s, second) == FolderNews::default()).await;
    // The name points to the newest, and the state before it is served on.
    let older = format!("photos (before, {})", first.short());
    let both = [("photos".to_owned(), second), (older, first)];
    until(&owner, "both are listed", |s| listed(s) == both).await;
    let peer = joined(temp.path(), &owner, &Hang::new()).await;
    for (id, dir, files) in [(second, "one", 3), (first, "two", 2)] {
        ok(&peer, request(id, Some(&temp.path().join(dir)))).await;
        until(&peer, "it comes", is_here(id)).await;
        let got = peer.snapshot().transfers.iter().find(|t| t.id == id).unwrap().path.clone();
        assert_eq!(names(&got).len(), files, "{got:?}");
    }
    ok(&owner, Command::Unshare { id: second }).await;
    until(&owner, "the earlier state goes with it", |s| s.transfers.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_what_goes_out_of_a_folder_is_told_and_the_rest_is_served_on() {
    let temp = tempfile::tempdir().unwrap();
    let folder = folder(temp.path(), "photos", &["a", "ccc"]);
    fs::create_dir(folder.join("sub")).unwrap();
    put(&folder.join("sub"), "bb");
    let (owner, first) = owner(temp.path(), &folder, &often()).await;
    let peer = joined(temp.path(), &owner, &Hang::new()).await;
    // With the folder it lies in: the file itself is as it was when it is back.
    let aside = temp.path().join("elsewhere");
    fs::rename(folder.join("sub"), &aside).unwrap();
    let gone = FolderNews { gone: 1, ..FolderNews::default() };
    until(&owner, "it is told", |s| news(s, first) == gone).await;
    assert_eq!(state(&owner.snapshot(), first), Some(TransferState::Sharing));
    // Nobody takes us for somebody who has all of it.
    until(&peer, "in part", has(first, 1, 0)).await;
    ok(&peer, request(first, None)).await;
    let rest = |s: &Snapshot| s.transfers.iter().any(|t| t.id == first && t.have == 4);
    until(&peer, "what is left of it", rest).await;
    fs::rename(&aside, folder.join("sub")).unwrap();
    until(&owner, "it is back", |s| news(s, first) == FolderNews::default()).await;
    until(&peer, "the rest", is_here(first)).await;
    until(&peer, "both have it", has(first, 2, 2)).await;

    fs::remove_file(folder.join("a")).unwrap();
    until(&owner, "it is told", |s| news(s, first) == gone).await;
    ok(&owner, Command::Share { path: folder.clone(), name: None }).await;
    let second = next_state(&owner, &folder, first).await;
    // Its files are not there any more.
    until(&owner, "the one before ends", |s| state(s, first).is_none()).await;
    until(&owner, "the name", |s| listed(s).contains(&("photos".to_owned(), second))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_what_comes_into_a_watched_folder_is_shared_without_asking() {
    let temp = tempfile::tempdir().unwrap();
    let folder = folder(temp.path(), "photos", &["a", "bb"]);
    let (owner, first) = owner(temp.path(), &folder, &often()).await;
    ok(&owner, Command::Watched { path: folder.clone(), on: true }).await;
    until(&owner, "that is told", |s| news(s, first).watched).await;
    let peer = joined(temp.path(), &owner, &Hang::new()).await;
    put(&folder, "ccc");
    fs::write(folder.join("a"), "something else").unwrap();
    let second = next_state(&owner, &folder, first).await;
    until(&peer, "by its name", |s| listed(s).contains(&("photos".to_owned(), second))).await;
    ok(&peer, request(second, None)).await;
    until(&peer, "it comes", is_here(second)).await;
    let got = peer.snapshot().transfers.iter().find(|t| t.id == second).unwrap().path.clone();
    assert_eq!(names(&got), ["a", "bb", "ccc"]);
    assert_eq!(fs::read(got.join("a")).unwrap(), b"something else");
    // Of the state before a file is something else now.
    until(&owner, "it ends", |s| state(s, first).is_none()).await;

    owner.stop(Stop::Now);
    owner.stopped().await;
    put(&folder, "dddd");
    let config = config(temp.path(), "owner");
    let again = restarted(config.clone(), &often()).await;
    let third = next_state(&again, &folder, second).await;
    until(&again, "still watched", |s| news(s, third).watched).await;
    ok(&again, Command::Unshare { id: third }).await;
    until(&again, "not shared", |s| state(s, third).is_none()).await;
    ok(&again, Command::Share { path: folder.clone(), name: None }).await;
    until(&again, "shared", |s| state(s, third) == Some(TransferState::Sharing)).await;
    assert!(!news(&again.snapshot(), third).watched, "that ended with the share");
}

async fn restarted(config: EngineConfig, hang: &Arc<Hang>) -> EngineHandle {
    loop {
        // The last thread of the one before may still hold the folder.
        if let Ok(engine) = start_with(config.clone(), hang.clone()).await {
            return engine;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_a_restart_and_a_changed_file_publish_nothing_that_is_new() {
    let temp = tempfile::tempdir().unwrap();
    let folder = folder(temp.path(), "photos", &["a", "bb"]);
    let (owner, first) = owner(temp.path(), &folder, &often()).await;
    owner.stop(Stop::Now);
    owner.stopped().await;
    put(&folder, "ccc");
    let config = config(temp.path(), "owner");
    let owner = restarted(config, &often()).await;
    let one = FolderNews { new: 1, ..FolderNews::default() };
    until(&owner, "the same as before", |s| news(s, first) == one).await;
    // What is shared already is hashed again when it changes, by itself.
    fs::write(folder.join("a"), "something else").unwrap();
    let second = next_state(&owner, &folder, first).await;
    until(&owner, "it is still new", |s| news(s, second) == one).await;
    let files = owner.call(Command::ListFiles { id: second }).await;
    let Ok(Reply::Files(files)) = files else { panic!("{files:?}") };
    let files: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(files, ["a", "bb"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_a_folder_that_hangs_holds_up_no_other() {
    let temp = tempfile::tempdir().unwrap();
    let slow = folder(temp.path(), "slow", &["a"]);
    let fast = folder(temp.path(), "fast", &["bb"]);
    let hang = often();
    let _free = Free(hang.clone());
    *hang.volume.lock().unwrap() = Some(slow.clone());
    let (owner, on_slow) = owner(temp.path(), &slow, &hang).await;
    let on_fast = share(&owner, &fast).await;
    hang.hang(&slow);
    hang.until_held(1).await;
    put(&slow, "ccc");
    put(&fast, "dddd");
    until(&owner, "the other is told", |s| news(s, on_fast).new == 1).await;
    assert_eq!(*hang.held.borrow(), 1, "nobody looks again while a look is out");
    hang.free();
    until(&owner, "this too", |s| news(s, on_slow).new == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_what_cannot_be_shared_anew_or_watched_says_why() {
    let temp = tempfile::tempdir().unwrap();
    let folder = folder(temp.path(), "photos", &["a"]);
    let (owner, id) = owner(temp.path(), &folder, &often()).await;
    let single = file(temp.path(), 300_000);
    let other = share(&owner, &single).await;
    let refused = async |command| owner.call(command).await.unwrap_err().message;
    let path = |path: &Path| Command::Watched { path: path.to_path_buf(), on: true };
    assert!(refused(Command::Rescan { id: other }).await.contains("hashed again by itself"));
    assert!(
        refused(Command::Rescan { id: ContentId::from_bytes([9; 32]) })
            .await
            .contains("not shared")
    );
    // There is nothing to watch in a file, and nothing wrong with saying so.
    ok(&owner, path(&single)).await;
    assert!(refused(path(temp.path())).await.contains("share it first"));
    ok(&owner, path(&folder)).await;
    let peer = joined(temp.path(), &owner, &Hang::new()).await;
    ok(&peer, request(id, None)).await;
    until(&peer, "it comes", is_here(id)).await;
    let why = peer.call(Command::Rescan { id }).await.unwrap_err().message;
    assert!(why.contains("stays what it is"), "{why}");
    let got = peer.snapshot().transfers.iter().find(|t| t.id == id).unwrap().path.clone();
    let why = peer.call(path(&got)).await.unwrap_err().message;
    assert!(why.contains("only folders of your own"), "{why}");
    // An earlier state lies nowhere.
    put(&folder, "bb");
    ok(&owner, Command::Rescan { id }).await;
    next_state(&owner, &folder, id).await;
    for command in [Command::Verify { id }, request(id, Some(&temp.path().join("copy")))] {
        let why = refused(command).await;
        assert!(why.contains("an earlier state of a folder"), "{why}");
    }
}

/// Files of a share, as the user sees them.
async fn files(engine: &EngineHandle, id: ContentId) -> Vec<String> {
    let files = engine.call(Command::ListFiles { id }).await;
    let Ok(Reply::Files(files)) = files else { panic!("{files:?}") };
    files.iter().map(|file| file.path.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_a_file_that_is_written_all_the_time_keeps_no_other_back() {
    let temp = tempfile::tempdir().unwrap();
    let folder = folder(temp.path(), "photos", &["a"]);
    let (owner, first) = owner(temp.path(), &folder, &often()).await;
    ok(&owner, Command::Watched { path: folder.clone(), on: true }).await;
    let log = folder.join("log");
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        let mut log = fs::File::create(log).unwrap();
        while ended.recv_timeout(OFTEN) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            std::io::Write::write_all(&mut log, b"a line\n").unwrap();
        }
    });
    put(&folder, "bb");
    fs::write(folder.join("film.mkv.part"), "half of it").unwrap();
    let second = next_state(&owner, &folder, first).await;
    assert_eq!(files(&owner, second).await, ["a", "bb"]);
    drop(end);
    writer.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_a_thousand_files_changed_at_once_settle_as_one_does() {
    let temp = tempfile::tempdir().unwrap();
    let folder = folder(temp.path(), "photos", &[]);
    let all = super::super::folders::MAX_WITHDRAWN + 1;
    let write =
        |text: &str| (0..all).for_each(|n| fs::write(folder.join(n.to_string()), text).unwrap());
    write("a");
    let (owner, first) = owner(temp.path(), &folder, &often()).await;
    ok(&owner, Command::Watched { path: folder.clone(), on: true }).await;
    let mut events = owner.live_events();
    write("bb");
    let second = next_state(&owner, &folder, first).await;
    let heard = hears(&mut events, "hashed photos").await;
    let doubted = |what: &What| matches!(what, What::Failed { code: "changed", .. });
    assert!(!heard.iter().any(doubted), "{heard:?}");
    assert_eq!(files(&owner, second).await.len(), all);
    assert!(news(&owner.snapshot(), second).watched);
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_of_two_folders_with_the_same_bytes_each_is_looked_at() {
    let temp = tempfile::tempdir().unwrap();
    let one = folder(temp.path(), "one", &["a"]);
    let two = folder(temp.path(), "two", &["a"]);
    let (owner, first) = owner(temp.path(), &one, &often()).await;
    let mut events = owner.live_events();
    ok(&owner, Command::Share { path: two.clone(), name: None }).await;
    hears(&mut events, "hashed two").await;
    put(&two, "new");
    let new = FolderNews { new: 1, ..FolderNews::default() };
    until(&owner, "the other is looked at", |s| news(s, first) == new).await;
    ok(&owner, Command::LimitOne { id: first, up: Some(10_000_000), down: None }).await;
    // The one that is read from moves on: the other is read from.
    fs::write(one.join("a"), "something else").unwrap();
    let second = next_state(&owner, &one, first).await;
    let from_two = |s: &Snapshot| {
        // With its limit, which the next state of the other has none of.
        let up = |t: &Transfer| (t.id == first).then_some(10_000_000);
        let read = |t: &Transfer| t.id == first && t.path == two;
        s.transfers.iter().all(|t| t.plan.up == up(t))
            && s.transfers.len() == 2
            && is_here(first)(s)
            && s.transfers.iter().any(read)
    };
    until(&owner, "from there", from_two).await;
    let peer = joined(temp.path(), &owner, &Hang::new()).await;
    for id in [first, second] {
        ok(&peer, request(id, Some(&temp.path().join(id.short())))).await;
        until(&peer, "it comes", is_here(id)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_a_folder_whose_files_were_only_touched_is_served_as_it_is_now() {
    let temp = tempfile::tempdir().unwrap();
    let folder = folder(temp.path(), "photos", &["a", "bb"]);
    let (owner, first) = owner(temp.path(), &folder, &often()).await;
    ok(&owner, Command::LimitOne { id: first, up: Some(10_000_000), down: None }).await;
    fs::File::options()
        .write(true)
        .open(folder.join("a"))
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    until(&owner, "it is told", |s| news(s, first).changed == 1).await;
    until(&owner, "it is what it was", |s| news(s, first) == FolderNews::default()).await;
    let peer = joined(temp.path(), &owner, &Hang::new()).await;
    ok(&peer, request(first, None)).await;
    until(&peer, "all of it", is_here(first)).await;
    // What takes its place has its limit.
    put(&folder, "ccc");
    until(&owner, "it is told", |s| news(s, first).new == 1).await;
    ok(&owner, Command::Rescan { id: first }).await;
    let second = next_state(&owner, &folder, first).await;
    let limited =
        |s: &Snapshot| s.transfers.iter().any(|t| t.id == second && t.plan.up == Some(10_000_000));
    until(&owner, "it is limited", limited).await;
}

/// What waits for a path to be hashed hears.
async fn ends(events: &mut crate::api::handle::Events, path: &Path) -> Result<ContentId, String> {
    loop {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await;
        let event = event.expect("nothing ends").unwrap();
        match event.what {
            What::Hashed { id, path: of, .. } if of == path => return Ok(id),
            What::Failed { id: None, code: "share", .. } => return Err(event.text),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_shared_with_a_folder_is_told_and_told_once() {
    let temp = tempfile::tempdir().unwrap();
    let folder = folder(temp.path(), "photos", &["a"]);
    std::os::unix::fs::symlink("a", folder.join("link")).unwrap();
    let hang = often();
    let _free = Free(hang.clone());
    let owner = peer(config(temp.path(), "owner"), &hang).await;
    let mut events = owner.live_events();
    ok(&owner, Command::Share { path: folder.clone(), name: None }).await;
    let told = async |events: &mut crate::api::handle::Events| loop {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
        if let What::Hashed { left_out, .. } = event.what {
            return (left_out, event.text.contains("not shared with it: 1 symbolic link"));
        }
    };
    assert_eq!(told(&mut events).await, (Some("1 symbolic link".to_owned()), true));
    // What is shared already is hashed again by itself.
    fs::write(folder.join("a"), "something else").unwrap();
    assert_eq!(told(&mut events).await, (None, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_what_the_user_shares_while_less_is_hashed_comes_next_and_is_what_is_waited_for() {
    let temp = tempfile::tempdir().unwrap();
    let folder = folder(temp.path(), "photos", &["a"]);
    let hang = often();
    let _free = Free(hang.clone());
    let (owner, first) = owner(temp.path(), &folder, &hang).await;
    hang.hold();
    // What is shared already is hashed again by itself.
    fs::write(folder.join("a"), "something else").unwrap();
    hang.until_waiting(1).await;
    put(&folder, "bb");
    let mut events = owner.live_events();
    ok(&owner, Command::Rescan { id: first }).await;
    hang.free();
    let second = ends(&mut events, &folder).await.unwrap();
    until(&owner, "it is shared", is_here(second)).await;
    assert_eq!(files(&owner, second).await, ["a", "bb"]);
}

/// The name was dropped, and nobody told.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_shared_again_while_it_is_hashed_has_one_last_word_and_no_other_name() {
    let temp = tempfile::tempdir().unwrap();
    let folder = folder(temp.path(), "photos", &["a"]);
    let hang = often();
    let _free = Free(hang.clone());
    let (owner, first) = owner(temp.path(), &folder, &hang).await;
    hang.hold();
    put(&folder, "bb");
    let mut events = owner.live_events();
    ok(&owner, Command::Rescan { id: first }).await;
    hang.until_waiting(1).await;
    ok(&owner, Command::Rescan { id: first }).await;
    let share = |name: &str| Command::Share { path: folder.clone(), name: Some(name.to_owned()) };
    let why = owner.call(share("other")).await.unwrap_err().message;
    assert!(why.contains("is shared as photos") && why.contains("unshare"), "{why}");
    ok(&owner, share("photos")).await;
    hang.free();
    let second = ends(&mut events, &folder).await.unwrap();
    assert_eq!(files(&owner, second).await, ["a", "bb"]);
    let why = owner.call(share("other")).await.unwrap_err().message;
    assert!(why.contains("is shared as photos"), "{why}");
    ok(&owner, Command::Unshare { id: second }).await;
    let heard = hears(&mut events, "no longer sharing").await;
    let ends = |what: &What| matches!(what, What::Hashed { .. } | What::Failed { .. });
    assert!(!heard.iter().any(ends), "{heard:?}");
    ok(&owner, share("other")).await;
    let named = |s: &Snapshot| s.transfers.iter().any(|t| &*t.name == "other");
    until(&owner, "it has the other name", named).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_what_the_user_shares_is_shared_though_what_was_hashed_before_it_could_not_be() {
    let temp = tempfile::tempdir().unwrap();
    let folder = folder(temp.path(), "photos", &["a"]);
    let config = config(temp.path(), "owner");
    {
        let prepared = crate::library::hash_path(&folder, 1).unwrap();
        let (library, _) = crate::library::Library::open(&config.state_dir).unwrap();
        library.put_share(&prepared.record(false).doubted(0..1), &prepared).unwrap();
    }
    let hang = often();
    let _free = Free(hang.clone());
    hang.hold();
    let owner = restarted(config, &hang).await;
    // It was found damaged, and stays off unless somebody says otherwise.
    ok(&owner, Command::Offer { path: folder.clone() }).await;
    hang.until_waiting(1).await;
    let mut events = owner.live_events();
    ok(&owner, Command::Share { path: folder.clone(), name: None }).await;
    hang.free();
    let id = ends(&mut events, &folder).await.unwrap();
    until(&owner, "it is shared", is_here(id)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_what_is_hashed_when_its_folder_is_watched_no_longer_is_not_shared() {
    let temp = tempfile::tempdir().unwrap();
    let folder = folder(temp.path(), "photos", &["a"]);
    let hang = often();
    let _free = Free(hang.clone());
    let (owner, first) = owner(temp.path(), &folder, &hang).await;
    ok(&owner, Command::Watched { path: folder.clone(), on: true }).await;
    hang.hold();
    put(&folder, "secret");
    hang.until_waiting(1).await;
    let mut events = owner.live_events();
    ok(&owner, Command::Watched { path: folder.clone(), on: false }).await;
    hears(&mut events, "was being hashed is not shared").await;
    hang.free();
    // Whoever waits for it hears of it as it was.
    assert_eq!(ends(&mut events, &folder).await, Ok(first));
    let one = FolderNews { new: 1, ..FolderNews::default() };
    until(&owner, "it is new, and no more", |s| news(s, first) == one).await;
    assert_eq!(files(&owner, first).await, ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_what_states_leave_in_the_library_goes_while_the_program_runs() {
    use crate::library::Library;
    let temp = tempfile::tempdir().unwrap();
    let folder = folder(temp.path(), "photos", &["a"]);
    let (owner, first) = owner(temp.path(), &folder, &often()).await;
    put(&folder, "bb");
    ok(&owner, Command::Rescan { id: first }).await;
    let second = next_state(&owner, &folder, first).await;
    let library = temp.path().join("owner/state/library.redb");
    let gone = tokio::task::spawn_blocking(move || {
        let end = Instant::now() + PATIENCE;
        loop {
            let copy = tempfile::tempdir().unwrap();
            fs::copy(&library, copy.path().join("library.redb")).unwrap();
            // While it is being written the copy may be torn.
            if let Ok((library, _)) = Library::open(copy.path()) {
                let lists = [first, second].map(|id| library.manifest(&id));
                if let [Ok(None), Ok(Some(_))] = lists {
                    return;
                }
            }
            assert!(Instant::now() < end, "it is there still");
            std::thread::yield_now();
        }
    });
    gone.await.unwrap();
    assert!(is_here(first)(&owner.snapshot()), "it is served on");
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_a_setting_watches_what_is_new_and_not_what_was_taken_out() {
    let temp = tempfile::tempdir().unwrap();
    let folder = folder(temp.path(), "photos", &["a"]);
    let mut config = config(temp.path(), "owner");
    config.watch = true;
    let offer = Command::Offer { path: folder.clone() };
    let owner = restarted(config.clone(), &often()).await;
    let mut events = owner.live_events();
    ok(&owner, offer.clone()).await;
    let id = ends(&mut events, &folder).await.unwrap();
    until(&owner, "watched", |s| news(s, id).watched).await;
    ok(&owner, Command::Watched { path: folder.clone(), on: false }).await;
    owner.stop(Stop::Now);
    owner.stopped().await;
    drop(owner);

    put(&folder, "secret");
    let owner = restarted(config, &often()).await;
    ok(&owner, offer).await;
    let one = FolderNews { new: 1, ..FolderNews::default() };
    until(&owner, "not watched", |s| news(s, id) == one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_a_folder_that_is_watched_and_not_shared_is_forgotten_at_the_start() {
    use crate::library::{Library, WATCHED_KEY, watched_text};
    let temp = tempfile::tempdir().unwrap();
    let folder = folder(temp.path(), "photos", &["a"]);
    let config = config(temp.path(), "owner");
    {
        let (library, _) = Library::open(&config.state_dir).unwrap();
        let text = watched_text(&[folder.clone()].into());
        library.set_setting(WATCHED_KEY, text.as_deref()).unwrap();
    }
    let owner = restarted(config.clone(), &often()).await;
    let id = share(&owner, &folder).await;
    owner.stop(Stop::Now);
    owner.stopped().await;
    drop(owner);
    put(&folder, "secret");
    let owner = restarted(config, &often()).await;
    let one = FolderNews { new: 1, ..FolderNews::default() };
    until(&owner, "not watched", |s| news(s, id) == one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_whoever_has_a_folder_verified_gets_the_verdict_though_its_files_are_touched() {
    let temp = tempfile::tempdir().unwrap();
    let folder = folder(temp.path(), "photos", &["a", "bb"]);
    let hang = often();
    let _free = Free(hang.clone());
    let (owner, first) = owner(temp.path(), &folder, &hang).await;
    hang.hold();
    let mut events = owner.live_events();
    ok(&owner, Command::Verify { id: first }).await;
    hang.until_waiting(1).await;
    let file = fs::File::options().write(true).open(folder.join("a")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    // It is read again for that.
    hang.until_waiting(2).await;
    hang.free();
    loop {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await;
        match event.expect("no verdict").unwrap().what {
            What::Verified { id, bad } => break assert_eq!((id, bad), (first, 0)),
            What::Failed { code: "verify", .. } => panic!("it is shared still"),
            _ => {}
        }
    }
}

/// Bytes that are wrong though nobody touched the file, as the disk says.
#[tokio::test(flavor = "multi_thread")]
async fn c7_whose_disk_fails_is_not_counted_among_those_who_have_all_of_it() {
    use crate::library::{Library, Stat, hash_path};
    let temp = tempfile::tempdir().unwrap();
    let path = file(temp.path(), 300_000);
    let config = config(temp.path(), "owner");
    let mut prepared = hash_path(&path, 1).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[0] ^= 1;
    fs::write(&path, bytes).unwrap();
    prepared.stats = Arc::new(vec![Stat::of(&fs::symlink_metadata(&path).unwrap())]);
    // As if it had lain there for long.
    prepared.hashed_at += 60_000;
    {
        let (library, _) = Library::open(&config.state_dir).unwrap();
        library.put_share(&prepared.record(false), &prepared).unwrap();
    }
    let owner = restarted(config, &Hang::new()).await;
    owner.call(Command::Host).await.unwrap();
    let id = prepared.id;
    until(&owner, "it is served", is_here(id)).await;
    let peer = joined(temp.path(), &owner, &Hang::new()).await;
    let complete =
        |s: &Snapshot| s.catalogue.rows.iter().find(|row| row.id == id).map(|row| row.complete);
    until(&peer, "all of it is there", |s| complete(s) == Some(1)).await;
    ok(&peer, request(id, None)).await;
    until(&peer, "it is not", |s| complete(s) == Some(0)).await;
    let others = |s: &Snapshot| s.transfers.iter().any(|t| t.id == id && t.other_complete == 0);
    until(&owner, "no other has it", others).await;
}
