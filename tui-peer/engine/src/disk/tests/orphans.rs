//! F11: parts and journals that belong to no download any more.

use std::os::unix::fs::{PermissionsExt, chown};
use std::sync::atomic::AtomicBool;

use common::id::PeerId;

use super::*;

const ME: PeerId = PeerId::from_bytes([7; 32]);

/// A download of this peer that nobody goes on with; returns its journal.
fn leave(content: &Content, dir: &Path, owner: Option<PeerId>) -> std::path::PathBuf {
    let spec = PartialSpec { owner, ..content.spec(dir) };
    let Going { partial, .. } = going(Partial::open(spec).unwrap());
    content.write(&partial, [0]);
    partial.sync().unwrap();
    let part = partial.path();
    drop(partial);
    part.with_extension("state")
}

fn find(dir: &Path) -> Vec<Leftover> {
    let (found, more) = Search::open(dir).unwrap().go_on(&ME).unwrap();
    assert!(more.is_none());
    found
}

fn delete_one(dir: &Path, one: &Leftover, wanted: bool) -> Option<u64> {
    delete_leftover(dir, one, &ME, &AtomicBool::new(wanted)).unwrap()
}

#[test]
fn f11_an_old_part_is_found_and_deleted_and_what_is_open_written_or_wanted_is_not() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    for content in [Content::file(200_000), Content::folder(&[("a/x", 100_000), ("b", 9)])] {
        fs::write(dir.join("thing"), "of the user").unwrap();
        let journal = leave(&content, dir, Some(ME));
        let found = find(dir);
        assert_eq!((found.len(), &found[0].journal), (1, &journal));
        let one = &found[0];
        assert_eq!((one.id, one.name.as_str()), (content.descriptor.id(), "thing"));
        assert!(one.part.as_ref().unwrap().exists());

        assert_eq!(delete_one(dir, one, true), None, "wanted at the last moment");
        let Going { partial, .. } = content.open(dir);
        assert_eq!(delete_one(dir, one, false), None, "open");
        content.write(&partial, [1]);
        partial.sync().unwrap();
        drop(partial);
        assert_eq!(delete_one(dir, one, false), None, "written to since");
        assert_eq!(numbers(&content.open(dir).durable), [0, 1], "nothing of it is lost");

        let found = find(dir);
        let bytes = delete_one(dir, &found[0], false).unwrap();
        assert!(bytes >= 100_000, "{bytes}");
        assert_eq!(names_in(dir), ["thing"]);
        assert_eq!(delete_one(dir, &found[0], false), None, "it is gone");
    }
}

#[test]
fn f11_s8_only_what_is_ours_alone_and_says_so_is_found() {
    let spoil: [&dyn Fn(&Path); 8] = [
        &|journal| fs::set_permissions(journal, fs::Permissions::from_mode(0o666)).unwrap(),
        &|journal| fs::hard_link(journal, journal.with_extension("link")).unwrap(),
        &|journal| {
            let moved = journal.with_extension("moved");
            fs::rename(journal, &moved).unwrap();
            std::os::unix::fs::symlink(moved, journal).unwrap();
        },
        // Of another name: what stands beside it is not what it is about.
        &|journal| {
            let part = journal.with_extension("part");
            fs::rename(&part, part.with_file_name(".other.abcdefgh.part")).unwrap();
            fs::rename(journal, journal.with_file_name(".other.abcdefgh.state")).unwrap();
        },
        // Somebody put another part there.
        &|journal| {
            let part = journal.with_extension("part");
            fs::rename(&part, part.with_extension("away")).unwrap();
            fs::write(&part, "precious").unwrap();
        },
        &|journal| flip(journal, 50),
        &|journal| _ = chown(journal, Some(12_345), None),
        &|journal| _ = chown(journal.with_extension("part"), Some(12_345), None),
    ];
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped in part: only root can make files of other users");
    }
    let content = Content::file(200_000);
    for (n, spoil) in spoil.iter().enumerate().take(if root { 8 } else { 6 }) {
        let temp = tempfile::tempdir().unwrap();
        let journal = leave(&content, temp.path(), Some(ME));
        let found = find(temp.path());
        assert_eq!(found.len(), 1);
        spoil(&journal);
        let before = names_in(temp.path());
        assert!(find(temp.path()).is_empty(), "case {n}");
        // Nor is it touched where it was right when it was found.
        assert!(!matches!(
            delete_leftover(temp.path(), &found[0], &ME, &AtomicBool::new(false)),
            Ok(Some(_))
        ));
        assert_eq!(names_in(temp.path()), before, "case {n}");
    }
    for owner in [None, Some(PeerId::from_bytes([8; 32]))] {
        let temp = tempfile::tempdir().unwrap();
        leave(&content, temp.path(), owner);
        assert!(find(temp.path()).is_empty(), "of {owner:?}");
    }
}

#[test]
fn f11_a_search_goes_in_bounded_steps() {
    let temp = tempfile::tempdir().unwrap();
    leave(&Content::file(100), temp.path(), Some(ME));
    for n in 0..600 {
        fs::write(temp.path().join(format!(".{n}.abcdefgh.state")), [0; 5000]).unwrap();
    }
    let (mut search, mut steps, mut found) = (Some(Search::open(temp.path()).unwrap()), 0, 0);
    while let Some(going) = search {
        let (some, next) = going.go_on(&ME).unwrap();
        (search, steps, found) = (next, steps + 1, found + some.len());
    }
    assert_eq!((steps, found), (3, 1));
}
