//! `get` of what was asked for before: other files, another folder.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{Place, Running, values};

/// A peer that shares a folder of four files, and one in its network.
fn network(place: &Place) -> (Running, Running) {
    let seeder = Running::start(place.command(&["--serve-only", "--host", "--json"]));
    fs::create_dir_all(place.path("folder/sub")).unwrap();
    for (name, size) in [("a", 100_000), ("b", 100_001), ("sub/c.bin", 1000), ("sub/d.txt", 10)] {
        place.write(&format!("folder/{name}"), &vec![7; size]);
    }
    let folder = place.path("folder");
    assert_eq!(place.run(&["share", folder.to_str().unwrap(), "--wait"]).code, 0);
    let other = Running::start(place.other("b", &seeder.ready, &["--serve-only", "--json"]));
    (seeder, other)
}

/// Exit code, and what was said as JSON.
fn get(place: &Place, seeder: &Running, args: &[&str]) -> (i32, Vec<Value>) {
    let all = [&["get", "--json"], args].concat();
    let end = place.other("b", &seeder.ready, &all).output().unwrap();
    (end.status.code().unwrap(), values(std::str::from_utf8(&end.stdout).unwrap()))
}

fn error(said: &[Value]) -> &Value {
    said.iter().find(|value| value["event"] == "error").expect("no error was said")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn h2_a_file_that_is_not_there_is_named_and_patterns_choose() {
    let place = Place::new();
    let (seeder, peer) = network(&place);
    let to = place.path("to");
    let dir = to.to_str().unwrap();
    let (code, said) = get(&place, &seeder, &["folder", "--files", "sub/c.bim", "-o", dir]);
    assert_eq!(code, 4, "{said:?}");
    let why = error(&said);
    assert_eq!(why["code"], "no-such-file");
    let text = why["message"].as_str().unwrap();
    assert!(text.contains("sub/c.bim") && text.contains("there is sub/c.bin"), "{text}");
    assert!(!to.join("folder").exists());

    let (code, said) = get(&place, &seeder, &["folder", "--files", "sub/*.bin", "-o", dir]);
    assert_eq!(code, 0, "{said:?}");
    assert_eq!(names(&to.join("folder")), ["sub"]);
    assert_eq!(names(&to.join("folder/sub")), ["c.bin"]);
    // More of it, and nothing of the kind.
    let (code, said) = get(&place, &seeder, &["folder", "--files", "a", "-o", dir]);
    assert_eq!(code, 0, "{said:?}");
    assert_eq!(names(&to.join("folder")), ["a", "sub"]);
    let (code, said) = get(&place, &seeder, &["folder", "--files", "*.iso"]);
    assert_eq!((code, &error(&said)["code"]), (4, &Value::from("not-found")));
    assert_eq!(peer.stop(), 0);
    assert_eq!(seeder.stop(), 0);
}

#[test]
fn h1_a_folder_that_cannot_be_used_spoils_no_later_get() {
    let place = Place::new();
    let (seeder, peer) = network(&place);
    let bad = place.write("file", b"no folder");
    let (code, said) = get(&place, &seeder, &["folder", "-o", &bad]);
    assert_eq!(code, 74, "{said:?}");
    let good = place.path("good");
    let dir = good.to_str().unwrap();
    let (code, said) = get(&place, &seeder, &["folder", "-o", dir]);
    assert_eq!(code, 0, "{said:?}");
    assert_eq!(names(&good), ["folder"]);
    // The same folder by another name: there is nothing to do.
    let link = place.path("link");
    std::os::unix::fs::symlink(&good, &link).unwrap();
    assert_eq!(get(&place, &seeder, &["folder", "-o", link.to_str().unwrap()]).0, 0);
    assert_eq!(names(&good), ["folder"]);
    assert_eq!(get(&place, &seeder, &["folder", "-o", dir]).0, 0);
    assert_eq!(peer.stop(), 0);
    assert_eq!(seeder.stop(), 0);
}

#[test]
fn h1_a_copy_of_what_is_complete_is_made_where_it_is_asked_for() {
    let place = Place::new();
    let (seeder, peer) = network(&place);
    assert_eq!(get(&place, &seeder, &["folder"]).0, 0);
    let copy = |name: &str, more: &[&str]| {
        let to = place.path(name);
        let all = [&["folder", "-o", to.to_str().unwrap()], more].concat();
        (to.clone(), get(&place, &seeder, &all))
    };
    let (to, (code, said)) = copy("to", &[]);
    assert_eq!(code, 0, "{said:?}");
    let done = said.iter().find(|value| value["event"] == "done").unwrap();
    assert_eq!(done["path"], to.join("folder").to_str().unwrap());
    assert_eq!(names(&to), ["folder"]);
    for name in ["a", "b", "sub/c.bin", "sub/d.txt"] {
        let own = fs::read(place.path("folder").join(name)).unwrap();
        assert!(fs::read(to.join("folder").join(name)).unwrap() == own, "{name}");
    }
    // It is there: the same again is fine.
    assert_eq!(copy("to", &[]).1.0, 0);
    let (some, (code, said)) = copy("some", &["--files", "sub/*.bin"]);
    assert_eq!(code, 0, "{said:?}");
    assert_eq!(
        (names(&some.join("folder")), names(&some.join("folder/sub"))),
        (vec!["sub".to_owned()], vec!["c.bin".to_owned()])
    );
    // What the user has there stays, and is told.
    let taken = place.path("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("folder"), "my own").unwrap();
    let (_, (code, said)) = copy("taken", &[]);
    assert_eq!(code, 1, "{said:?}");
    let text = error(&said)["message"].as_str().unwrap();
    assert!(text.contains("taken/folder is there already"), "{text}");
    assert_eq!(fs::read(taken.join("folder")).unwrap(), b"my own");
    fs::remove_file(taken.join("folder")).unwrap();
    fs::create_dir_all(taken.join("folder")).unwrap();
    fs::write(taken.join("folder/a"), "my own").unwrap();
    let (_, (code, said)) = copy("taken", &[]);
    assert_eq!((code, &error(&said)["code"]), (1, &Value::from("taken")), "{said:?}");
    assert_eq!(names(&taken.join("folder")), ["a"]);
    assert_eq!(peer.stop(), 0);
    assert_eq!(seeder.stop(), 0);
}
