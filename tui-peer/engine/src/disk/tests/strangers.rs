//! S8: parts and journals that others have put in our way, or could write to.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use super::*;

const STRANGER: u32 = 12_345;

/// Whether files can be given to somebody else here; says so where not.
fn can_give() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped in part: only root can make files of other users");
    }
    root
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A part and its journal, made by another run in which chunks 0, 1 and 3 of six are durable: chunk 1
/// wrong, the others right.
fn plant(content: &Content, dir: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let Going { partial, .. } = content.open(dir);
    let hashes: Vec<Hash> = (0..6).map(|chunk| content.hash(chunk).unwrap()).collect();
    partial.record_hashes(0, 0, &hashes).unwrap();
    content.write(&partial, [0, 1, 3]);
    partial.sync().unwrap();
    let part = partial.path();
    drop(partial);
    flip(&part, 65_536 + 9);
    (part.clone(), part.with_extension("state"))
}

/// Opens, compares, fetches the rest, finishes; returns which chunks had not to be fetched.
fn get(content: &Content, dir: &Path) -> Vec<u32> {
    let again = content.open(dir);
    assert!(again.durable.is_empty(), "no record of others is believed");
    let here = again.partial.recheck(&again.written, |chunk| content.hash(chunk));
    let missing = (0..6).filter(|chunk| !here.contains(*chunk));
    content.write(&again.partial, missing);
    let done = again.partial.finish(&content.plan()).unwrap();
    assert!(fs::read(&done).unwrap() == content.files[0], "right to the last byte");
    assert_eq!(fs::metadata(&done).unwrap().uid(), rustix::process::geteuid().as_raw());
    assert_ne!(mode(&done), 0o600, "the mode of any new file at the end");
    numbers(&here)
}

#[test]
fn s8_part_and_journal_are_nobody_elses_business_until_the_end() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(6 * 65_536);
    let Going { partial, .. } = content.open(temp.path());
    let part = partial.path();
    content.write(&partial, [0]);
    partial.compact().unwrap();
    assert_eq!((mode(&part), mode(&part.with_extension("state"))), (0o600, 0o600));
    content.write(&partial, 1..6);
    let fresh = temp.path().join("fresh");
    fs::write(&fresh, "").unwrap();
    assert_eq!(mode(&partial.finish(&content.plan()).unwrap()), mode(&fresh));

    let folder = Content::folder(&[("a/b", 10), ("c", 10)]);
    let Going { partial, .. } = folder.open(temp.path());
    assert_eq!(mode(&partial.path()), 0o700);
    folder.write(&partial, 0..2);
    let fresh = temp.path().join("fresh.d");
    fs::create_dir(&fresh).unwrap();
    assert_eq!(mode(&partial.finish(&folder.plan()).unwrap()), mode(&fresh));
}

#[test]
fn s8_what_another_user_planted_is_not_believed_and_not_touched() {
    if !can_give() {
        return;
    }
    let content = Content::file(6 * 65_536);
    for (part_too, state_too) in [(true, true), (true, false), (false, true)] {
        let temp = tempfile::tempdir().unwrap();
        set_mode(temp.path(), 0o777);
        let (part, state) = plant(&content, temp.path());
        let planted = (fs::read(&part).unwrap(), fs::read(&state).unwrap());
        if part_too {
            chown(&part, Some(STRANGER), None).unwrap();
        }
        if state_too {
            chown(&state, Some(STRANGER), None).unwrap();
        }
        assert_eq!(get(&content, temp.path()), [0, 3], "what is right of it is kept");
        if part_too {
            assert!(fs::read(&part).unwrap() == planted.0, "theirs is as it was");
        }
        if state_too {
            assert!(fs::read(&state).unwrap() == planted.1, "theirs is as it was");
        }
        // Nor when it is removed from the list.
        let again = content.open(temp.path());
        drop(again);
        discard(temp.path(), "thing", &content.descriptor.id()).unwrap();
        assert_eq!(part.exists(), part_too);
        assert_eq!(state.exists(), state_too);
    }
}

#[test]
fn s8_a_stranger_who_writes_later_changes_nothing() {
    let content = Content::file(6 * 65_536);
    let temp = tempfile::tempdir().unwrap();
    let (part, state) = plant(&content, temp.path());
    set_mode(&part, 0o666);
    set_mode(&state, 0o666);
    // Somebody who had it open before we came.
    let theirs = fs::File::options().write(true).open(&part).unwrap();
    let again = content.open(temp.path());
    let here = again.partial.recheck(&again.written, |chunk| content.hash(chunk));
    assert_eq!(numbers(&here), [0, 3]);
    std::os::unix::fs::FileExt::write_all_at(&theirs, &[7; 100], 50).unwrap();
    content.write(&again.partial, [1, 2, 4, 5]);
    let done = again.partial.finish(&content.plan()).unwrap();
    assert!(fs::read(&done).unwrap() == content.files[0]);
    // What was ours is gone when it is of no use any more.
    assert_eq!(names_in(temp.path()), ["thing"]);
}

#[test]
fn s8_loose_modes_links_and_second_names_vouch_for_nothing() {
    let content = Content::file(6 * 65_536);
    // A journal that others could write to.
    let temp = tempfile::tempdir().unwrap();
    let (_, state) = plant(&content, temp.path());
    set_mode(&state, 0o664);
    assert_eq!(get(&content, temp.path()), [0, 3]);
    assert_eq!(names_in(temp.path()), ["thing"]);
    // A part that has another name too.
    let temp = tempfile::tempdir().unwrap();
    let (part, _) = plant(&content, temp.path());
    let other = temp.path().join("other");
    fs::hard_link(&part, &other).unwrap();
    let before = fs::read(&other).unwrap();
    assert_eq!(get(&content, temp.path()), [0, 3]);
    assert!(fs::read(&other).unwrap() == before && part.exists());
    // Links.
    let temp = tempfile::tempdir().unwrap();
    let (part, state) = plant(&content, temp.path());
    let victim = temp.path().join("victim");
    for name in [&part, &state] {
        fs::rename(name, &victim).unwrap();
        symlink(&victim, name).unwrap();
        let before = fs::read(&victim).unwrap();
        let again = content.open(temp.path());
        assert!(again.durable.is_empty());
        content.write(&again.partial, 0..6);
        again.partial.delete().unwrap();
        assert!(fs::read(&victim).unwrap() == before);
        assert!(fs::symlink_metadata(name).unwrap().is_symlink());
    }
}

#[test]
fn s8_a_planted_folder_is_copied_from_and_left_alone() {
    if !can_give() {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let content = Content::folder(&[("a/x", 100_000), ("b", 9), ("c", 70_000)]);
    let Going { partial, .. } = content.open(temp.path());
    content.write(&partial, [0, 1, 2, 3]);
    partial.sync().unwrap();
    let root = partial.path();
    drop(partial);
    flip(&root.join("b"), 3);
    chown(&root, Some(STRANGER), None).unwrap();
    symlink("/etc/hostname", root.join("z")).unwrap();
    let again = content.open(temp.path());
    assert!(again.durable.is_empty());
    let here = again.partial.recheck(&again.written, |chunk| content.hash(chunk));
    assert_eq!(numbers(&here), [0, 1, 3]);
    content.write(&again.partial, [2, 4]);
    let done = again.partial.finish(&content.plan()).unwrap();
    assert_eq!(fs::read(done.join("c")).unwrap(), content.files[2]);
    assert_eq!(names_in(&done), ["a", "b", "c"]);
    assert_eq!(names_in(&root), ["a", "b", "c", "z"]);
}

#[test]
fn s8_a_part_of_74ee283_goes_on() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(6 * 65_536);
    let Going { partial, .. } = content.open(temp.path());
    content.write(&partial, [0, 1, 3]);
    partial.sync().unwrap();
    let part = partial.path();
    drop(partial);
    set_mode(&part, 0o644);
    set_mode(&part.with_extension("state"), 0o644);
    let again = content.open(temp.path());
    assert_eq!(numbers(&again.durable), [0, 1, 3]);
    assert!(again.partial.note().is_none());
    assert_eq!(mode(&part), 0o600);
}

#[test]
fn s8_where_all_names_are_taken_it_is_said() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(6 * 65_536);
    for names in
        super::super::part_file::names::Names::all("thing", &content.descriptor.id()).unwrap()
    {
        symlink("nowhere", temp.path().join(&names.state)).unwrap();
    }
    let error = Partial::open(content.spec(temp.path())).unwrap_err();
    assert!(matches!(error, DiskError::Occupied { .. }), "{error}");
    discard(temp.path(), "thing", &content.descriptor.id()).unwrap();
    assert_eq!(names_in(temp.path()).len(), super::super::part_file::names::MAX_SLOTS);
}

#[test]
fn s8_where_modes_and_owners_are_not_kept_the_first_attempt_ends_well() {
    let content = Content::file(6 * 65_536);
    let temp = tempfile::tempdir().unwrap();
    let Going { partial, .. } = content.open(temp.path());
    // What NTFS, FAT and squashed NFS show of the file just made.
    set_mode(&partial.path(), 0o777);
    if can_give() {
        chown(partial.path(), Some(STRANGER), None).unwrap();
    }
    content.write(&partial, 0..6);
    partial.sync().unwrap();
    let done = partial.finish(&content.plan()).unwrap();
    assert!(fs::read(&done).unwrap() == content.files[0]);
    assert_eq!(names_in(temp.path()), ["thing"]);
}

/// Everything that is only kept open for later is closed, as when other files need the descriptors.
fn close_files() {
    super::super::open_files::OpenFiles::shared().give_way();
}

#[test]
fn s8_a_part_deleted_or_replaced_is_never_made_anew_nor_put_in_place() {
    let content = Content::file(6 * 65_536);
    for replaced in [false, true] {
        let temp = tempfile::tempdir().unwrap();
        let Going { partial, .. } = content.open(temp.path());
        content.write(&partial, 0..3);
        partial.sync().unwrap();
        close_files();
        let part = partial.path();
        fs::remove_file(&part).unwrap();
        if replaced {
            // The right owner, mode and length; other bytes.
            fs::write(&part, noise(6 * 65_536, 9)).unwrap();
            set_mode(&part, 0o600);
        }
        for chunk in 3..6 {
            let _ = partial.write_chunk(chunk, &[content.chunk(chunk)], true);
        }
        let error = partial.finish(&content.plan()).unwrap_err();
        assert!(matches!(error, DiskError::Changed { .. }), "{error}");
        assert!(!temp.path().join("thing").exists());
        assert_eq!(part.exists(), replaced);
        drop(partial);
        // What is begun again ends with the right bytes.
        let again = content.open(temp.path());
        assert!(again.durable.is_empty());
        let here = again.partial.recheck(&again.written, |chunk| content.hash(chunk));
        content.write(&again.partial, (0..6).filter(|chunk| !here.contains(*chunk)));
        let done = again.partial.finish(&content.plan()).unwrap();
        assert!(fs::read(&done).unwrap() == content.files[0]);
    }
}

#[test]
fn s8_a_file_of_a_folder_that_was_deleted_is_fetched_again() {
    // Three chunks in one file, of which the last alone would give it its full length.
    let content = Content::folder(&[("a/x", 3 * 65_536), ("b", 9)]);
    for (first, rest) in [(vec![0, 1, 3], vec![2]), (vec![0, 1, 2, 3], vec![])] {
        let temp = tempfile::tempdir().unwrap();
        let Going { partial, .. } = content.open(temp.path());
        content.write(&partial, first);
        partial.sync().unwrap();
        close_files();
        fs::remove_file(partial.path().join("a/x")).unwrap();
        for chunk in &rest {
            let written = partial.write_chunk(*chunk, &[content.chunk(*chunk)], true);
            assert!(matches!(written, Err(DiskError::Changed { .. })));
        }
        let ended = partial.finish(&content.plan());
        assert!(matches!(ended, Err(DiskError::Incomplete { missing: 3 })), "{ended:?}");
        drop(partial);
        let again = content.open(temp.path());
        assert_eq!(numbers(&again.durable), [3]);
        content.write(&again.partial, 0..3);
        let done = again.partial.finish(&content.plan()).unwrap();
        assert!(fs::read(done.join("a/x")).unwrap() == content.files[0]);
    }
}

#[test]
fn s8_a_folder_put_in_the_place_of_the_part_is_not_believed() {
    let content = Content::folder(&[("a", 100_000), ("b", 9)]);
    for synced in [false, true] {
        let temp = tempfile::tempdir().unwrap();
        let Going { partial, .. } = content.open(temp.path());
        content.write(&partial, 0..3);
        if synced {
            partial.sync().unwrap();
        }
        let (part, moved) = (partial.path(), temp.path().join("moved"));
        close_files();
        fs::rename(&part, &moved).unwrap();
        fs::create_dir(&part).unwrap();
        set_mode(&part, 0o700);
        fs::write(part.join("a"), noise(100_000, 9)).unwrap();
        fs::write(part.join("b"), noise(9, 9)).unwrap();
        let error = partial.finish(&content.plan()).unwrap_err();
        assert!(matches!(error, DiskError::Changed { .. }), "{error}");
        assert!(part.exists() && !temp.path().join("thing").exists());
        assert!(fs::read(part.join("b")).unwrap() == noise(9, 9), "theirs is as it was");
    }
}

#[test]
fn s8_a_run_that_ends_before_the_mode_is_set_is_mended_by_the_next() {
    let temp = tempfile::tempdir().unwrap();
    for content in [Content::file(1000), Content::folder(&[("a", 10)])] {
        let Going { partial, .. } = content.open(temp.path());
        content.write(&partial, [0]);
        let done = partial.place(&content.plan()).unwrap();
        let public = mode(&done);
        drop(partial);
        set_mode(&done, public & 0o700);
        assert!(matches!(Partial::open(content.spec(temp.path())).unwrap(), Opened::Finished(_)));
        assert_eq!(mode(&done), public);
    }
}
