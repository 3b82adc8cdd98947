//! What is asked for again: more files, another folder.

use std::fs;

use super::*;
use crate::api::command::CommandErrorKind;
use crate::api::event::What;
use crate::api::handle::Events;

/// Files of the folder that is shared, and the bytes of each: two chunks.
const FILES: [&str; 4] = ["a.bin", "b.bin", "sub/c.bin", "sub/d.txt"];
const EACH: usize = 100_000;

/// One that shares a folder, the folder, and a peer that wants it.
async fn beside_a_folder(temp: &Path) -> (EngineHandle, ContentId, EngineHandle) {
    let (seed, []) = seed(temp, []).await;
    let id = share_folder(temp, &seed).await;
    let peer = joined(temp, &seed, &Hang::new()).await;
    (seed, id, peer)
}

async fn share_folder(temp: &Path, seed: &EngineHandle) -> ContentId {
    let folder = temp.canonicalize().unwrap().join("folder");
    fs::create_dir_all(folder.join("sub")).unwrap();
    for (n, name) in FILES.iter().enumerate() {
        fs::rename(file(temp, EACH + n), folder.join(name)).unwrap();
    }
    share(seed, &folder).await
}

fn some(id: ContentId, dir: Option<&Path>, files: &[&str]) -> Command {
    let files = Selection::Paths(files.iter().map(|file| (*file).to_owned()).collect());
    Command::Download(Download { id, name: None, dir: dir.map(Path::to_path_buf), files })
}

async fn refused(engine: &EngineHandle, command: Command) -> CommandError {
    let answer = tokio::time::timeout(PATIENCE, engine.call(command)).await;
    answer.expect("no answer").expect_err("it was not refused")
}

async fn limit(engine: &EngineHandle, down: Option<u64>) {
    ok(engine, Command::Limits { up: None, down }).await;
}

fn have(snapshot: &Snapshot, id: ContentId) -> u32 {
    snapshot.transfers.iter().find(|t| t.id == id).map_or(0, |t| t.have)
}

/// Waits for the event of this code.
async fn failure(events: &mut Events, code: &str) -> String {
    loop {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await;
        let event = event.unwrap_or_else(|_| panic!("never: {code}")).unwrap();
        if matches!(&event.what, What::Failed { code: said, .. } if *said == code) {
            return event.text;
        }
    }
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_files_asked_for_later_come_too_before_and_after_the_first_are_here() {
    let temp = tempfile::tempdir().unwrap();
    let (_seed, id, peer) = beside_a_folder(temp.path()).await;
    ok(&peer, some(id, None, &["a.bin"])).await;
    ok(&peer, some(id, None, &["b.bin"])).await;
    let dir = temp.path().join("peer/d/folder");
    // The first may be complete before the second is asked for.
    until(&peer, "both", |s| is_here(id)(s) && dir.join("b.bin").exists()).await;
    assert_eq!(names(&dir), ["a.bin", "b.bin"]);
    ok(&peer, some(id, None, &["sub/*.bin"])).await;
    let third = dir.join("sub/c.bin");
    until(&peer, "one more", |s| is_here(id)(s) && third.exists()).await;
    assert_eq!(names(&dir.join("sub")), ["c.bin"]);
    ok(&peer, request(id, None)).await;
    until(&peer, "all", |s| is_here(id)(s) && dir.join("sub/d.txt").exists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h3_a_folder_of_which_more_is_wanted_rests_and_goes_on_like_any_download() {
    let temp = tempfile::tempdir().unwrap();
    let (_seed, id, peer) = beside_a_folder(temp.path()).await;
    ok(&peer, some(id, None, &["a.bin"])).await;
    until(&peer, "the first", is_here(id)).await;
    limit(&peer, Some(1_000)).await;
    ok(&peer, request(id, None)).await;
    until(&peer, "more of it", |s| state(s, id) == Some(TransferState::Getting)).await;
    ok(&peer, Command::Pause { id }).await;
    until(&peer, "it rests", |s| state(s, id) == Some(TransferState::Paused)).await;
    limit(&peer, None).await;
    ok(&peer, Command::Resume { id }).await;
    let last = temp.path().join("peer/d/folder/sub/d.txt");
    until(&peer, "all", |s| is_here(id)(s) && last.exists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h2_what_is_not_in_a_folder_is_refused_with_its_name_and_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let (_seed, id, peer) = beside_a_folder(temp.path()).await;
    let mut events = peer.events();
    // Its list of files is not known yet.
    ok(&peer, some(id, None, &["a.bin", "sub/c.bim"])).await;
    let why = failure(&mut events, "no-such-file").await;
    assert!(why.contains("\"sub/c.bim\"") && why.contains("sub/c.bin"), "{why}");
    until(&peer, "it is gone", |s| state(s, id).is_none()).await;
    assert!(names(&temp.path().join("peer/d")).is_empty());
    ok(&peer, some(id, None, &["*.bin"])).await;
    until(&peer, "the right ones", is_here(id)).await;
    assert_eq!(names(&temp.path().join("peer/d/folder")), ["a.bin", "b.bin"]);
    // It is known now: refused at once, and what is here stays what it is.
    let error = refused(&peer, some(id, None, &["nothing/*"])).await;
    assert_eq!(error.kind, CommandErrorKind::NotFound);
    assert!(error.message.contains("nothing matches \"nothing/*\""), "{}", error.message);
    assert_eq!(state(&peer.snapshot(), id), Some(TransferState::Sharing));
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_a_folder_that_cannot_be_used_spoils_no_later_download() {
    let temp = tempfile::tempdir().unwrap();
    let (seed, [id]) = seed(temp.path(), [300_000]).await;
    let peer = joined(temp.path(), &seed, &Hang::new()).await;
    let mut events = peer.events();
    let bad = temp.path().join("300000.bin/below");
    ok(&peer, request(id, Some(&bad))).await;
    failure(&mut events, "io").await;
    // Neither can this one, and the answer says where it stays.
    let error = refused(&peer, request(id, Some(&bad.join("deeper")))).await;
    assert!(error.message.contains(&format!("it stays in {}", bad.display())), "{error:?}");
    let good = temp.path().join("good");
    ok(&peer, request(id, Some(&good))).await;
    until(&peer, "all of it", is_here(id)).await;
    assert_eq!(names(&good), ["300000.bin"]);
    ok(&peer, request(id, Some(&good))).await;
    assert_eq!(names(&good), ["300000.bin"]);
}

/// Waits for the end of a download or a copy; where it is.
async fn done(events: &mut Events) -> PathBuf {
    loop {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await;
        let event = event.expect("it never ended").unwrap();
        match event.what {
            What::Done { path, .. } => return path,
            What::Failed { code, hint, .. } => panic!("{code}: {}: {hint}", event.text),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_a_copy_of_what_is_complete_is_made_where_it_is_asked_for() {
    use std::os::unix::fs::MetadataExt as _;
    let temp = tempfile::tempdir().unwrap();
    let (seed, [id]) = seed(temp.path(), [300_000]).await;
    let mut events = seed.events();
    let (own, new) = (temp.path().join("300000.bin"), temp.path().join("new"));
    ok(&seed, request(id, Some(&new))).await;
    assert_eq!(done(&mut events).await, new.join("300000.bin"));
    assert!(fs::read(new.join("300000.bin")).unwrap() == fs::read(&own).unwrap());
    let links = |path: &Path| fs::metadata(path).unwrap().nlink();
    assert_eq!((links(&own), links(&new.join("300000.bin"))), (1, 1));
    until(&seed, "it has ended", |s| s.copies.is_empty()).await;
    // Only where it was it is shared.
    assert_eq!(seed.snapshot().transfers.iter().filter(|t| t.id == id).count(), 1);
    // It is there: nothing is copied again.
    ok(&seed, request(id, Some(&new))).await;
    done(&mut events).await;
    assert_eq!(names(&new), ["300000.bin"]);
    until(&seed, "that has ended too", |s| s.copies.is_empty()).await;
    // The same folder by another name.
    let link = temp.path().join("link");
    std::os::unix::fs::symlink(temp.path(), &link).unwrap();
    let before = names(temp.path());
    ok(&seed, request(id, Some(&link))).await;
    assert!(seed.snapshot().copies.is_empty());
    assert_eq!(names(temp.path()), before);
}

/// `get -o` of something whose share was still being looked at when it was asked for: nothing was copied, and `get`
/// waited a second for an end that nobody told.
#[tokio::test(flavor = "multi_thread")]
async fn what_turns_out_to_be_here_goes_where_it_was_asked_for_and_that_is_told() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().canonicalize().unwrap();
    let (seed, ids) = seed(&root, [300_000, 200_000]).await;
    let peer = joined(&root, &seed, &Hang::new()).await;
    // Slow enough to be overtaken.
    limit(&peer, Some(1000)).await;
    let mut events = peer.events();
    let (own, new) = (root.join("own"), root.join("new"));
    fs::create_dir(&own).unwrap();
    for (id, name, dir) in [(ids[0], "300000.bin", Some(&new)), (ids[1], "200000.bin", None)] {
        fs::copy(root.join(name), own.join(name)).unwrap();
        ok(&peer, request(id, dir.map(PathBuf::as_path))).await;
        ok(&peer, Command::Share { path: own.join(name), name: None }).await;
        // Without a folder of its own it is fine where it is.
        let end = dir.unwrap_or(&own).join(name);
        assert_eq!(done(&mut events).await, end);
        assert!(fs::read(&end).unwrap() == fs::read(root.join(name)).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_a_copy_that_would_be_wrong_or_in_the_way_is_not_made() {
    let temp = tempfile::tempdir().unwrap();
    let (seed, [id]) = seed(temp.path(), [300_000]).await;
    let mut events = seed.events();
    let new = temp.path().join("new");
    fs::create_dir(&new).unwrap();
    let there = new.join("300000.bin");
    // Another length is seen at once, other bytes when they were compared.
    fs::write(&there, "the user's own").unwrap();
    let error = refused(&seed, request(id, Some(&new))).await;
    assert!(error.message.contains("is there already"), "{error:?}");
    fs::write(&there, vec![7; 300_000]).unwrap();
    ok(&seed, request(id, Some(&new))).await;
    failure(&mut events, "taken").await;
    assert!(fs::read(&there).unwrap() == vec![7; 300_000]);
    fs::remove_file(&there).unwrap();
    // The original is not what it was.
    let own = temp.path().join("300000.bin");
    let mut bytes = fs::read(&own).unwrap();
    bytes[200_000] ^= 1;
    fs::write(&own, bytes).unwrap();
    ok(&seed, request(id, Some(&new))).await;
    let why = failure(&mut events, "copy").await;
    assert!(why.contains("chunk 3 of"), "{why}");
    assert!(names(&new).is_empty(), "{:?}", names(&new));
    until(&seed, "it has ended", |s| s.copies.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_a_copy_for_which_there_is_no_room_is_refused_before_it_begins() {
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("skipped: no second volume here, on which blocks cannot be shared");
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let (seed, [id]) = seed(temp.path(), [300_000]).await;
    let mut events = seed.events();
    ok(&seed, Command::KeepFree { bytes: Some(1 << 60) }).await;
    ok(&seed, request(id, Some(other.path()))).await;
    let why = failure(&mut events, "copy").await;
    assert!(why.contains("no room in"), "{why}");
    assert!(names(other.path()).is_empty(), "{:?}", names(other.path()));
}

/// A download of which some is in `old` goes on in `new`, and nothing of that is fetched again.
async fn moves(temp: &Path, old: &Path, new: &Path, stop: bool) {
    const SIZE: usize = 4_000_000;
    let (seed, [id]) = seed(temp, [SIZE]).await;
    let peer = joined(temp, &seed, &Hang::new()).await;
    limit(&peer, Some(400_000)).await;
    ok(&peer, request(id, Some(old))).await;
    until(&peer, "some of it", |s| have(s, id) >= 8).await;
    ok(&peer, request(id, Some(new))).await;
    let peer = if stop {
        peer.stop(Stop::Now);
        peer.stopped().await;
        joined(temp, &seed, &Hang::new()).await
    } else {
        peer
    };
    limit(&peer, None).await;
    until(&peer, "all of it", is_here(id)).await;
    let name = format!("{SIZE}.bin");
    let same = fs::read(new.join(&name)).unwrap() == fs::read(temp.join(&name)).unwrap();
    assert!(same, "other bytes");
    assert_eq!(names(new), [name]);
    assert!(names(old).is_empty(), "{:?}", names(old));
    let down = peer.snapshot().totals.down;
    // What was on its way when it moved comes twice at most.
    assert!(down < (SIZE + SIZE / 4) as u64, "{down} bytes for {SIZE}");
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_what_was_fetched_moves_along_within_a_volume() {
    let temp = tempfile::tempdir().unwrap();
    let (old, new) = (temp.path().join("old"), temp.path().join("new"));
    moves(temp.path(), &old, &new, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_a_move_that_is_interrupted_goes_on_at_the_next_start() {
    let temp = tempfile::tempdir().unwrap();
    let (old, new) = (temp.path().join("old"), temp.path().join("new"));
    moves(temp.path(), &old, &new, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_what_was_fetched_moves_along_to_another_volume() {
    let temp = tempfile::tempdir().unwrap();
    // Where there is one that is certainly another.
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("skipped: no second volume here");
        return;
    };
    use std::os::unix::fs::MetadataExt as _;
    let dev = |path: &Path| fs::metadata(path).unwrap().dev();
    if dev(temp.path()) == dev(other.path()) {
        eprintln!("skipped: /dev/shm is the same volume");
        return;
    }
    let (old, new) = (temp.path().join("old"), other.path().join("new"));
    moves(temp.path(), &old, &new, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_a_move_to_a_disk_that_hangs_is_refused_and_the_download_goes_on() {
    let temp = tempfile::tempdir().unwrap();
    let (seed, [id]) = seed(temp.path(), [2_000_000]).await;
    let hang = Hang::new();
    let _free = Free(hang.clone());
    let peer = joined(temp.path(), &seed, &hang).await;
    // It must not be here before the answer is.
    limit(&peer, Some(60_000)).await;
    let old = temp.path().join("old");
    ok(&peer, request(id, Some(&old))).await;
    until(&peer, "some of it", |s| have(s, id) > 0).await;
    let slow = temp.path().join("slow");
    hang.hang(&slow);
    let first = call(&peer, request(id, Some(&slow)));
    hang.until_held(1).await;
    let error = refused(&peer, request(id, Some(&temp.path().join("other")))).await;
    assert!(error.message.contains("about to go to"), "{error:?}");
    let error = first.await.unwrap().unwrap_err();
    assert!(error.message.contains(&format!("It stays in {}", old.display())), "{error:?}");
    limit(&peer, None).await;
    until(&peer, "all of it", is_here(id)).await;
    assert_eq!(names(&old), ["2000000.bin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn h5_what_was_unshared_is_compared_where_it_lies_and_shared_again() {
    const SIZE: usize = 3_000_000;
    let temp = tempfile::tempdir().unwrap();
    let (seed, [file]) = seed(temp.path(), [SIZE]).await;
    let folder = share_folder(temp.path(), &seed).await;
    let peer = joined(temp.path(), &seed, &Hang::new()).await;
    let dir = temp.path().join("peer/d");
    for id in [file, folder] {
        ok(&peer, request(id, None)).await;
        until(&peer, "all of it", is_here(id)).await;
    }
    let before = names(&dir);
    let got = peer.snapshot().totals.down;
    for id in [file, folder] {
        ok(&peer, Command::Unshare { id }).await;
        until(&peer, "it is unshared", |s| state(s, id).is_none()).await;
        ok(&peer, request(id, None)).await;
        until(&peer, "it is shared again", is_here(id)).await;
    }
    assert_eq!(names(&dir), before, "nothing beside it");
    let more = peer.snapshot().totals.down - got;
    assert!(more < 10_000, "at most the list of files was fetched: {more}");
}

#[tokio::test(flavor = "multi_thread")]
async fn h5_a_file_that_differs_stays_and_what_is_right_of_it_is_not_fetched() {
    const SIZE: usize = 3_000_000;
    let temp = tempfile::tempdir().unwrap();
    let (seed, [id]) = seed(temp.path(), [SIZE]).await;
    let peer = joined(temp.path(), &seed, &Hang::new()).await;
    let dir = temp.path().join("peer/d");
    fs::create_dir_all(&dir).unwrap();
    let mut bytes = fs::read(temp.path().join("3000000.bin")).unwrap();
    let right = bytes.clone();
    bytes[1_000_000] ^= 1;
    fs::write(dir.join("3000000.bin"), &bytes).unwrap();
    ok(&peer, request(id, None)).await;
    until(&peer, "all of it", is_here(id)).await;
    assert_eq!(names(&dir), ["3000000 (1).bin", "3000000.bin"]);
    assert!(fs::read(dir.join("3000000.bin")).unwrap() == bytes, "the user's own was changed");
    assert!(fs::read(dir.join("3000000 (1).bin")).unwrap() == right);
    let down = peer.snapshot().totals.down;
    assert!(down < 300_000, "{down} bytes were fetched for one wrong chunk");
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_a_folder_that_moves_while_its_list_of_files_comes_bans_nobody() {
    let temp = tempfile::tempdir().unwrap();
    let (seed, []) = seed(temp.path(), []).await;
    let folder = temp.path().canonicalize().unwrap().join("folder");
    fs::create_dir(&folder).unwrap();
    // Its list is longer than what is asked for at once (256 KiB).
    let name = |n: usize| format!("{n:0200}");
    (0..3000).for_each(|n| fs::write(folder.join(name(n)), [n as u8]).unwrap());
    let id = share(&seed, &folder).await;
    let peer = joined(temp.path(), &seed, &Hang::new()).await;
    limit(&peer, Some(100_000)).await;
    let (old, new) = (temp.path().join("old"), temp.path().join("new"));
    ok(&peer, some(id, Some(&old), &[&name(7)])).await;
    until(&peer, "the first part of it", |s| s.totals.down > 300_000).await;
    assert_eq!(state(&peer.snapshot(), id), Some(TransferState::Resolving));
    ok(&peer, some(id, Some(&new), &[&name(8)])).await;
    limit(&peer, None).await;
    until(&peer, "the files", is_here(id)).await;
    assert_eq!(names(&new.join("folder")), [name(7), name(8)]);
    assert!(peer.snapshot().bans.is_empty(), "{:?}", peer.snapshot().bans);
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_a_move_that_is_refused_chooses_no_files_either() {
    let temp = tempfile::tempdir().unwrap();
    let (_seed, id, peer) = beside_a_folder(temp.path()).await;
    limit(&peer, Some(20_000)).await;
    let old = temp.path().join("old");
    ok(&peer, some(id, Some(&old), &["a.bin"])).await;
    until(&peer, "it goes on", |s| state(s, id) == Some(TransferState::Getting)).await;
    let bad = temp.path().join("folder/a.bin/below");
    refused(&peer, some(id, Some(&bad), &["b.bin"])).await;
    // Its list is known: a wrong name is told although the rest goes on.
    let error = refused(&peer, some(id, Some(&temp.path().join("new")), &["b.bim"])).await;
    assert_eq!(error.kind, CommandErrorKind::NotFound);
    limit(&peer, None).await;
    until(&peer, "the file", is_here(id)).await;
    assert_eq!(names(&old.join("folder")), ["a.bin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn h2_a_wrong_name_is_told_while_the_whole_folder_is_on_its_way() {
    let temp = tempfile::tempdir().unwrap();
    let (_seed, id, peer) = beside_a_folder(temp.path()).await;
    limit(&peer, Some(20_000)).await;
    ok(&peer, request(id, None)).await;
    until(&peer, "it goes on", |s| state(s, id) == Some(TransferState::Getting)).await;
    let error = refused(&peer, some(id, None, &["sub/c.bim"])).await;
    assert_eq!(error.kind, CommandErrorKind::NotFound);
    assert!(error.message.contains("there is sub/c.bin"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_a_move_ends_with_its_download() {
    let temp = tempfile::tempdir().unwrap();
    let (seed, [id]) = seed(temp.path(), [2_000_000]).await;
    let hang = Hang::new();
    let _free = Free(hang.clone());
    let peer = joined(temp.path(), &seed, &hang).await;
    limit(&peer, Some(20_000)).await;
    ok(&peer, request(id, Some(&temp.path().join("old")))).await;
    let slow = temp.path().join("slow");
    hang.hang(&slow);
    let answer = call(&peer, request(id, Some(&slow)));
    hang.until_held(1).await;
    ok(&peer, Command::Remove { id, delete_partial: true }).await;
    let error = answer.await.unwrap().unwrap_err();
    assert!(error.message.contains("taken out of the list"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_an_old_disk_that_hangs_holds_up_moves_from_it_and_not_the_new_one() {
    let temp = tempfile::tempdir().unwrap();
    // More than there are threads for a volume.
    let (seed, ids) = seed(temp.path(), std::array::from_fn::<_, 9, _>(|n| 900_000 + n)).await;
    let hang = Hang::new();
    let _free = Free(hang.clone());
    let peer = joined(temp.path(), &seed, &hang).await;
    limit(&peer, Some(1000)).await;
    let (old, new) = (temp.path().join("old"), temp.path().join("new"));
    for id in ids {
        ok(&peer, request(id, Some(&old))).await;
    }
    hang.hang(&old);
    let _moves = ids.map(|id| call(&peer, request(id, Some(&new))));
    hang.until_held(2).await;
    ok(&peer, Command::Downloads { dir: new.join("other") }).await;
}
