//! Programs of the user's that run when something is done or fails.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::program::{PATIENCE, Place, Running, wait_for};

/// A program that does what a script says.
fn script(place: &Place, name: &str, text: &str) -> String {
    let path = place.write(name, format!("#!/bin/sh\n{text}\n").as_bytes());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// One that writes its arguments and what it is told to a file, all at once.
fn teller(place: &Place, name: &str) -> (String, PathBuf) {
    let told = place.path(&format!("{name}.told"));
    let text = format!(
        "{{ echo \"ARGS=$*\"; env | grep ^SHOAL_; }} > {0}.new; mv {0}.new {0}",
        told.display()
    );
    (script(place, name, &text), told)
}

fn facts(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once('=')).collect()
}

fn host(place: &Place, files: &[&str]) -> Running {
    let mut peer =
        Running::start(place.command(&[&["--serve-only", "--host", "--json"], files].concat()));
    for _ in files {
        peer.expect("shared");
    }
    peer
}

/// A peer that downloads to a folder of its own.
fn other(place: &Place, name: &str, host: &Running, args: &[&str]) -> std::process::Command {
    let mut command = place.other(name, &host.ready, args);
    command.env("SHOAL_DOWNLOADS", place.path(&format!("{name}-downloads")));
    command
}

#[test]
fn c5_get_waits_for_its_hook_and_tells_it_all_but_the_join_string() {
    let place = Place::new();
    let file = place.write("a file", &[5; 100_000]);
    let host = host(&place, &[&file]);
    let (program, told) = teller(&place, "hook");
    place.config(&format!("on_done = [\"{program}\", \"one two\", \"$HOME\"]\n"));
    let end = other(&place, "b", &host, &["get", "a file", "--json"]).output().unwrap();
    assert!(end.status.success());
    // Over before `get` was.
    let text = fs::read_to_string(told).unwrap();
    let facts = facts(&text);
    let path = place.path("b-downloads/a file");
    for (name, value) in [
        ("ARGS", "one two $HOME"),
        ("SHOAL_EVENT", "done"),
        ("SHOAL_NAME", "a file"),
        ("SHOAL_PATH", path.to_str().unwrap()),
        ("SHOAL_BYTES", "100000"),
    ] {
        assert_eq!(facts[name], value, "{text}");
    }
    assert!(facts["SHOAL_SECONDS"].parse::<f64>().unwrap() >= 0.0);
    assert_eq!(facts["SHOAL_ID"].len(), 52);
    let names: Vec<_> = facts.keys().filter(|name| name.starts_with("SHOAL_")).collect();
    assert_eq!(names.len(), 6, "nothing of our own settings: {text}");
    assert!(!text.contains("shoal://"));
    assert_eq!(host.stop(), 0);
}

#[test]
fn c5_a_get_that_keeps_nothing_runs_no_hooks() {
    let place = Place::new();
    let file = place.write("a file", &[5; 100_000]);
    let host = host(&place, &[&file]);
    let (program, told) = teller(&place, "hook");
    place.config(&format!("on_done = [\"{program}\"]\non_error = [\"{program}\"]\n"));
    let end = other(&place, "b", &host, &["get", "a file", "-o", "-"]).output().unwrap();
    assert!(end.status.success() && end.stdout == [5; 100_000]);
    // A get that keeps it runs one, and waits for it: the file would be there, had there been another.
    assert!(!told.exists(), "{}", fs::read_to_string(&told).unwrap_or_default());
    let end = other(&place, "c", &host, &["get", "a file"]).output().unwrap();
    assert!(end.status.success() && told.exists());
    assert_eq!(host.stop(), 0);
}

#[test]
fn c5_what_fails_is_told_and_code_and_last_line_are_in_the_log() {
    let place = Place::new();
    let (program, told) = teller(&place, "hook");
    let fails = script(&place, "fails", "echo first >&2; echo 'no such thing' >&2; exit 7");
    let file = place.write("file", &[5; 1000]);
    let host = host(&place, &[&file]);
    let env = format!("[\"{fails}\"]");
    let mut peer = other(&place, "b", &host, &["--serve-only", "--json", "--on-error", &program]);
    peer.env("SHOAL_ON_DONE", env);
    let mut peer = Running::logged(peer);
    let get = other(&place, "b", &host, &["get", "file"]).output().unwrap();
    assert!(get.status.success());
    let line = peer.log("on_done for file: exit 7 after ");
    assert!(line.contains("WARN") && line.ends_with("no such thing"), "{line}");
    // Its tracker goes.
    assert_eq!(host.stop(), 0);
    peer.expect("error");
    let text = wait_for(&told);
    let facts = facts(&text);
    assert_eq!((facts["SHOAL_EVENT"], facts["SHOAL_ERROR_CODE"]), ("error", "tracker"), "{text}");
    assert!(facts["SHOAL_ERROR"].contains("tracker") && !facts["SHOAL_HINT"].is_empty(), "{text}");
    assert!(!facts.contains_key("SHOAL_ID") && facts["ARGS"].is_empty(), "{text}");
    peer.log("on_error for tracker: exit 0");
    assert_eq!(peer.stop(), 0);
}

#[test]
fn c5_slow_hooks_hold_nothing_up_and_few_run_at_once() {
    const FILES: usize = 8;
    let place = Place::new();
    let files: Vec<String> =
        (0..FILES).map(|n| place.write(&format!("f{n}"), &[n as u8 + 1; 1000])).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let host = host(&place, &files);
    let (on, off, go) = (place.path("on"), place.path("off"), place.path("go"));
    fs::create_dir(&on).unwrap();
    fs::create_dir(&off).unwrap();
    let program = script(
        &place,
        "slow",
        &format!(
            "touch {on}/$SHOAL_NAME; while ! test -e {go}; do sleep 0.05; done; mv {on}/$SHOAL_NAME {off}/",
            on = on.display(),
            off = off.display(),
            go = go.display()
        ),
    );
    place.config(&format!("on_done = \"{program}\"\n"));
    let mut peer = Running::start(other(&place, "b", &host, &["--serve-only", "--json"]));
    let names: Vec<String> = (0..FILES).map(|n| format!("f{n}")).collect();
    let mut get = vec!["get"];
    get.extend(names.iter().map(String::as_str));
    assert!(other(&place, "b", &host, &get).output().unwrap().status.success());
    for _ in 0..FILES {
        peer.expect("done");
    }
    let count = |dir: &Path| fs::read_dir(dir).unwrap().count();
    let until = |dir: &Path, wanted: usize| {
        let end = Instant::now() + PATIENCE;
        while count(dir) < wanted {
            assert!(Instant::now() < end, "{} of {wanted}", count(dir));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until(&on, 4);
    assert_eq!((count(&on), count(&off)), (4, 0), "the others wait");
    // The settings are read before each run: those that wait are to run another program now.
    let late = place.path("late");
    fs::create_dir(&late).unwrap();
    let program = script(&place, "later", &format!("touch {}/$SHOAL_NAME", late.display()));
    place.config(&format!("on_done = \"{program}\"\n"));
    fs::write(&go, "").unwrap();
    until(&off, 4);
    until(&late, FILES - 4);
    assert_eq!(peer.stop(), 0);
    assert_eq!(host.stop(), 0);
}

#[test]
fn c5_a_hook_over_its_limit_is_ended_and_a_changed_file_counts_at_once() {
    let place = Place::new();
    let files = [place.write("one", &[1; 1000]), place.write("two", &[2; 1000])];
    let host = host(&place, &[&files[0], &files[1]]);
    let stuck = script(&place, "stuck", "trap '' TERM; while :; do sleep 0.1; done");
    place.config(&format!("on_done = \"{stuck}\"\nhook_timeout = 1\n"));
    let mut peer = Running::logged(other(&place, "b", &host, &["--serve-only", "--json"]));
    let get = |name| other(&place, "b", &host, &["get", name, "--wait"]).output().unwrap();
    assert!(get("one").status.success());
    peer.log("on_done for one: ended after its limit of 1 s");
    let (program, told) = teller(&place, "hook");
    place.config(&format!("on_done = \"{program}\"\n"));
    assert!(get("two").status.success());
    assert_eq!(facts(&wait_for(&told))["SHOAL_NAME"], "two");
    // As it is after a signal too.
    place.config("on_done = [\"/nowhere/program\", \"x\"]\n");
    peer.signal(Signal::HUP);
    peer.log("settings read again");
    let again = place.write("three", &[3; 1000]);
    let mut seed = Running::start(other(&place, "c", &host, &["--serve-only", "--json", &again]));
    seed.expect("shared");
    assert!(get("three").status.success());
    peer.log("on_done for three: cannot run /nowhere/program");
    assert_eq!(seed.stop(), 0);
    assert_eq!(peer.stop(), 0);
    assert_eq!(host.stop(), 0);
}

#[test]
fn c5_a_file_that_others_can_write_names_no_hooks() {
    let place = Place::new();
    let file = place.write("file", &[5; 1000]);
    let host = host(&place, &[&file]);
    let (program, told) = teller(&place, "hook");
    place.config(&format!("on_done = \"{program}\"\n"));
    let config = place.path("config/shoal/config.toml");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o666)).unwrap();
    let mut peer = Running::logged(other(&place, "b", &host, &["--serve-only", "--json"]));
    let line = peer.log("of the file are not run: others can write to ");
    assert!(line.contains("ERROR") && line.contains("chmod go-w"), "{line}");
    let check = place.run(&["config", "check"]);
    assert!(check.code == 65 && check.out.contains("chmod go-w"), "{}{}", check.out, check.err);
    // What is said elsewhere is run: it is the user's own.
    assert_eq!(peer.stop(), 0);
    let mut get = other(&place, "b", &host, &["get", "file"]);
    assert!(get.env("SHOAL_ON_DONE", &program).output().unwrap().status.success());
    assert_eq!(facts(&wait_for(&told))["SHOAL_NAME"], "file");
    assert_eq!(host.stop(), 0);

    place.config("on_done = [1]\nhook_timeout = 0\n");
    let check = place.run(&["config", "check"]);
    for word in [":1: on_done: write [", ":2: hook_timeout: "] {
        assert!(check.out.contains(word) || check.err.contains(word), "{}{}", check.out, check.err);
    }
}
