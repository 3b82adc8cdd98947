//! H1: copies of what is complete.

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

fn plan(content: &Content, source: &Path, new: &Path, wanted: ChunkSet) -> CopyPlan {
    CopyPlan {
        spec: content.spec(new),
        source: source.to_path_buf(),
        finish: FinishPlan::new(None, &content.layout, &wanted),
        wanted,
        hashes: content.hashes.clone(),
    }
}

fn run(plan: &CopyPlan) -> (Result<Copied, CopyError>, u64) {
    let done = AtomicU64::new(0);
    (plan.run(&done, &AtomicBool::new(false)), done.load(Ordering::Relaxed))
}

/// What is complete, where it lies.
fn lying(content: &Content, temp: &Path) -> std::path::PathBuf {
    let here = temp.join("here");
    fs::create_dir(&here).unwrap();
    let Going { partial, .. } = content.open(&here);
    content.write(&partial, 0..content.layout.chunks());
    partial.finish(&content.plan()).unwrap()
}

fn all(content: &Content) -> ChunkSet {
    ChunkSet::full(content.layout.chunks())
}

#[test]
fn h1_a_copy_has_its_own_bytes_and_is_made_once() {
    for content in [Content::file(200_000), Content::folder(&[("a/x", 150_000), ("b", 9)])] {
        let temp = tempfile::tempdir().unwrap();
        let (source, new) = (lying(&content, temp.path()), temp.path().join("new"));
        let plan = plan(&content, &source, &new, all(&content));
        let (copied, bytes) = run(&plan);
        assert_eq!(copied.unwrap(), Copied { path: new.join("thing"), was_there: false });
        assert_eq!(bytes, content.layout.total());
        assert_eq!(names_in(&new), ["thing"]);
        let files: Vec<&str> = match &content.rel {
            None => vec![""],
            Some(rel) => rel.iter().collect(),
        };
        for (name, bytes) in files.into_iter().zip(&content.files) {
            let at =
                |root: &Path| if name.is_empty() { root.to_path_buf() } else { root.join(name) };
            assert!(fs::read(at(&new.join("thing"))).unwrap() == *bytes);
            let meta = fs::metadata(at(&new.join("thing"))).unwrap();
            assert_eq!(meta.nlink(), 1);
            assert_ne!(meta.ino(), fs::metadata(at(&source)).unwrap().ino());
        }
        assert!(run(&plan).0.unwrap().was_there);
    }
}

#[test]
fn h1_a_copy_takes_the_files_that_are_wanted() {
    let content = Content::folder(&[("a/x", 150_000), ("b", 70_000)]);
    let temp = tempfile::tempdir().unwrap();
    let (source, new) = (lying(&content, temp.path()), temp.path().join("new"));
    let mut wanted = ChunkSet::empty(content.layout.chunks());
    wanted.insert_run(3, 2);
    let plan = plan(&content, &source, &new, wanted);
    assert_eq!(run(&plan).1, 70_000);
    assert_eq!(names_in(&new.join("thing")), ["b"]);
    assert!(run(&plan).0.unwrap().was_there);
    // Not all of it, if more is wanted.
    let more = CopyPlan { wanted: all(&content), ..plan };
    assert!(matches!(run(&more).0, Err(CopyError::Taken(_))));
    assert_eq!(names_in(&new.join("thing")), ["b"]);
}

#[test]
fn h1_a_copy_of_what_is_wrong_leaves_nothing() {
    for (content, name) in
        [(Content::file(200_000), ""), (Content::folder(&[("a/x", 150_000), ("b", 70_000)]), "b")]
    {
        let temp = tempfile::tempdir().unwrap();
        let (source, new) = (lying(&content, temp.path()), temp.path().join("new"));
        let file = if name.is_empty() { source.clone() } else { source.join(name) };
        flip(&file, 69_000);
        let (copied, _) = run(&plan(&content, &source, &new, all(&content)));
        assert!(matches!(copied, Err(CopyError::Wrong { .. })), "{copied:?}");
        assert!(names_in(&new).is_empty(), "{:?}", names_in(&new));
    }
}

#[test]
fn h1_a_copy_that_was_interrupted_goes_on_and_one_that_is_given_up_goes() {
    let content = Content::file(300_000);
    let temp = tempfile::tempdir().unwrap();
    let (source, new) = (lying(&content, temp.path()), temp.path().join("new"));
    let Going { partial, .. } = content.open(&new);
    content.write(&partial, [0, 2]);
    partial.sync().unwrap();
    drop(partial);
    // What is in the journal is not read again: only the rest is looked for.
    flip(&source, 140_000);
    let plan = plan(&content, &source, &new, all(&content));
    let given_up = plan.run(&AtomicU64::new(0), &AtomicBool::new(true));
    assert!(matches!(given_up, Err(CopyError::Cancelled)));
    run(&plan).0.unwrap();
    assert!(fs::read(new.join("thing")).unwrap() == content.files[0]);
    assert_eq!(names_in(&new), ["thing"]);
}
