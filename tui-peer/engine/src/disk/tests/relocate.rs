//! H1: a part goes to another folder, by a rename or by a copy, and is killed at every step of it.

use std::path::PathBuf;

use super::*;

fn both(temp: &Path) -> (PathBuf, PathBuf) {
    let (old, new) = (temp.join("old"), temp.join("new"));
    fs::create_dir(&old).unwrap();
    (old, new)
}

/// A download with chunks 0 and 2 on disk, closed.
fn begin(content: &Content, dir: &Path) {
    let Going { partial, .. } = content.open(dir);
    let list = |file: usize| (0..).map_while(|n| content.hashes[file].get(n)).collect::<Vec<_>>();
    for file in 0..content.hashes.len() {
        partial.record_hashes(file as u32, 0, &list(file)).unwrap();
    }
    content.write(&partial, [0, 2]);
    partial.sync().unwrap();
}

fn go(content: &Content, old: &Path, new: &Path) -> Relocated {
    relocate(old, new, "thing", &content.descriptor.id()).unwrap()
}

#[test]
fn h1_a_part_is_renamed_with_its_journal_whenever_it_was_killed() {
    for content in [Content::file(200_000), Content::folder(&[("a/x", 150_000), ("b", 9)])] {
        for step in 0..4 {
            let temp = tempfile::tempdir().unwrap();
            let (old, new) = both(temp.path());
            begin(&content, &old);
            let short = content.descriptor.id().short();
            let [part, state] = ["part", "state"].map(|end| format!(".thing.{short}.{end}"));
            fs::create_dir(&new).unwrap();
            // What is done before the program is killed.
            if step == 1 {
                fs::copy(old.join(&state), new.join(&state).with_extension("state.new")).unwrap();
            }
            if step >= 2 {
                fs::copy(old.join(&state), new.join(&state)).unwrap();
            }
            if step >= 3 {
                fs::rename(old.join(&part), new.join(&part)).unwrap();
            }
            let expected = if step >= 3 { Relocated::Nothing } else { Relocated::Renamed };
            assert_eq!(go(&content, &old, &new), expected, "step {step}");
            let Going { partial, durable, written, .. } = content.open(&new);
            assert_eq!((numbers(&durable), written.count()), (vec![0, 2], 0), "step {step}");
            assert_eq!(partial.note(), None);
            assert!(!old.join(&part).exists());
            assert_eq!(go(&content, &old, &new), Relocated::Nothing);
        }
    }
}

#[test]
fn h1_what_cannot_be_renamed_is_copied_and_goes_only_when_it_is_safe() {
    for content in [Content::file(300_000), Content::folder(&[("a/x", 150_000), ("b", 70_000)])] {
        let temp = tempfile::tempdir().unwrap();
        let (old, new) = both(temp.path());
        begin(&content, &old);
        let chunks = content.layout.chunks();
        // The new folder has a part of its own.
        content.write(&content.open(&new).partial, [1]);
        assert_eq!(go(&content, &old, &new), Relocated::Stays);
        let open = || {
            let places = [Elsewhere::Before(old.clone())];
            going(Partial::open_from(content.spec(&new), &places).unwrap())
        };
        let Going { partial, written, hashes, .. } = open();
        assert!([0, 2].iter().all(|chunk| written.contains(*chunk)));
        assert!(!hashes.is_empty(), "nobody has to be asked for hashes");
        assert!(partial.comes_from_elsewhere());
        let held = relocate(&old, &temp.path().join("third"), "thing", &content.descriptor.id());
        assert!(matches!(held, Err(DiskError::InUse { .. })), "nobody else takes it");
        assert!(partial.check(0, content.hash(0).unwrap()).unwrap());
        partial.leave_donors();
        assert!(partial.comes_from_elsewhere(), "not durable yet, and not all of it");
        partial.sync().unwrap();
        drop(partial);
        // Killed half-way: both are there, and the new one vouches for what it has.
        let Going { partial, durable, .. } = open();
        assert_eq!(numbers(&durable), [0]);
        for chunk in 1..chunks {
            partial.check(chunk, content.hash(chunk).unwrap()).unwrap();
        }
        partial.sync().unwrap();
        partial.leave_donors();
        assert!(!partial.comes_from_elsewhere());
        assert!(names_in(&old).is_empty());
        assert!([0, 1, 2].iter().all(|chunk| partial.written().contains(*chunk)));
        let missing: Vec<u32> = (0..chunks).filter(|c| !partial.written().contains(*c)).collect();
        content.write(&partial, missing);
        partial.finish(&content.plan()).unwrap();
        assert_eq!(names_in(&new), ["thing"]);
    }
}

#[test]
fn h5_a_file_of_the_user_is_read_and_never_written_or_deleted() {
    let temp = tempfile::tempdir().unwrap();
    let content = Content::file(200_000);
    let own = temp.path().join("thing");
    fs::write(&own, &content.files[0]).unwrap();
    flip(&own, 70_000);
    let before = fs::read(&own).unwrap();
    let places = [Elsewhere::Lies(own.clone())];
    let Going { partial, written, .. } =
        going(Partial::open_from(content.spec(temp.path()), &places).unwrap());
    let right = partial.recheck(&written, |chunk| content.hash(chunk));
    assert_eq!(numbers(&right), [0, 2, 3]);
    content.write(&partial, [1]);
    let done = partial.finish(&content.plan()).unwrap();
    assert_eq!(done, temp.path().join("thing (1)"));
    assert!(fs::read(&own).unwrap() == before);
}

#[test]
fn h1_what_lies_on_a_disk_that_is_away_is_not_forgotten() {
    let content = Content::file(300_000);
    let temp = tempfile::tempdir().unwrap();
    let (old, new) = both(temp.path());
    begin(&content, &old);
    let away = temp.path().join("away");
    let open = || {
        let places = [Elsewhere::Before(old.clone())];
        going(Partial::open_from(content.spec(&new), &places).unwrap())
    };
    // Its folder is not there, or another one is where the disk is to be.
    for mounted in [false, true] {
        fs::rename(&old, &away).unwrap();
        if mounted {
            fs::create_dir(&old).unwrap();
        }
        let Going { partial, .. } = open();
        partial.leave_donors();
        assert!(partial.comes_from_elsewhere());
        drop(partial);
        fs::rename(&away, &old).unwrap();
    }
    let Going { partial, written, .. } = open();
    assert!(partial.comes_from_elsewhere());
    assert_eq!(numbers(&partial.recheck(&written, |chunk| content.hash(chunk))), [0, 2]);
}

#[test]
fn h1_a_part_that_cannot_be_read_is_not_taken_to_be_wrong() {
    let content = Content::folder(&[("a/x", 150_000), ("b", 70_000)]);
    let temp = tempfile::tempdir().unwrap();
    let (old, new) = both(temp.path());
    content.write(&content.open(&old).partial, 0..content.layout.chunks());
    let part = old.join(format!(".thing.{}.part", content.descriptor.id().short()));
    fs::rename(part.join("b"), temp.path().join("b")).unwrap();
    let open = || {
        let places = [Elsewhere::Before(old.clone())];
        going(Partial::open_from(content.spec(&new), &places).unwrap())
    };
    let Going { partial, written, .. } = open();
    assert_eq!(numbers(&partial.recheck(&written, |chunk| content.hash(chunk))), [0, 1, 2]);
    partial.sync().unwrap();
    partial.leave_donors();
    assert!(part.exists() && partial.comes_from_elsewhere());
    drop(partial);
    fs::rename(temp.path().join("b"), part.join("b")).unwrap();
    let Going { partial, written, .. } = open();
    assert_eq!(numbers(&partial.recheck(&written, |chunk| content.hash(chunk))), [3, 4]);
    partial.sync().unwrap();
    partial.leave_donors();
    assert!(!part.exists() && !partial.comes_from_elsewhere());
}
