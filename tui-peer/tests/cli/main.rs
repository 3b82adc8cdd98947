//! The command line as scripts meet it: the real program, its exit codes, its two outputs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod act;
mod again;
#[path = "../../../common/tests/exposition/mod.rs"]
mod exposition;
mod first_start;
mod folders;
mod handover;
mod hooks;
#[path = "../e2e/lines.rs"]
mod lines;
mod looks;
mod many;
mod members;
mod metrics;
mod mistake;
mod names;
mod near;
mod private;
mod program;
mod remote;
mod send;
mod service;
mod shell;
mod status;
#[path = "../walk/terminal.rs"]
#[allow(dead_code)]
mod terminal;
mod torrent;
#[path = "../../../common/tests/traced/mod.rs"]
#[allow(dead_code)]
mod traced;
mod unmet;
mod unreachable;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use program::{Place, Running, values};
use serde_json::json;

#[test]
fn help_lists_every_exit_code() {
    let place = Place::new();
    let end = place.run(&["--help"]);
    assert_eq!(end.code, 0);
    for code in [
        "0", "1", "2", "3", "4", "5", "64", "65", "69", "73", "74", "75", "77", "98", "129", "141",
        "130/143",
    ] {
        assert!(end.out.split_whitespace().any(|word| word == code), "{code}: {}", end.out);
    }
}

#[test]
fn senseless_command_lines_say_what_is_wrong() {
    let place = Place::new();
    for (args, words) in [
        (&["--up", "fast"][..], &["--up", "800K"][..]),
        (&["--listen", "7421"], &["--listen", "[::]:7421"]),
        (&["get"], &["NAME|ID|LINK"]),
        (&["--tracker", "shoal://x", "--serve-only"], &["--tracker"]),
        (&["--tracker", "@/nowhere", "--serve-only"], &["--tracker", "/nowhere"]),
        (&["--serve-only", "ls"], &["ls is a command", "tui-peer ls"]),
        (&["--no-such-option"], &["--no-such-option"]),
        (&[], &["needs a terminal", "--serve-only"]),
    ] {
        let end = place.run(args);
        assert_eq!(end.code, 2, "{args:?}: {}", end.err);
        for word in words {
            assert!(end.err.contains(word), "{args:?}: {}", end.err);
        }
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let place = Place::new();
    place.config("nick = \"file\"\nup = \"1M\"\ndown = \"2M\"\nlisten = \"127.0.0.1:1\"\n");
    let env = [("SHOAL_UP", "3M"), ("SHOAL_NICK", "env"), ("SHOAL_JSON", "1"), ("SHOAL_DOWN", "")];
    let end = place.run_with(&["config", "--nick", "flag"], &env);
    assert_eq!(end.code, 0, "{}", end.err);
    let values = values(&end.out);
    let of = |name: &str| values.iter().find(|value| value["name"] == name).unwrap().clone();
    let is = |name: &str, value: &str, origin: &str| {
        let found = of(name);
        assert_eq!((&found["value"], &found["origin"]), (&json!(value), &json!(origin)), "{found}");
    };
    is("nick", "flag", "flag");
    is("up", "3M", "environment");
    // Set to nothing is not set.
    is("down", "2M", "config.toml");
    is("listen", "127.0.0.1:0", "environment");
    assert_eq!(of("state")["origin"], "default");
}

#[test]
fn a_wrong_configuration_file_is_named_with_the_line() {
    let place = Place::new();
    place.config("nick = \"a\"\nupp = \"1M\"\n");
    let end = place.run(&["ls", "--json"]);
    assert_eq!(end.code, 65, "{}", end.err);
    for word in ["config.toml:2", "upp"] {
        assert!(end.err.contains(word), "{}", end.err);
    }
    assert_eq!(values(&end.out)[0]["code"], "config");
}

/// Roots made by libtorrent 2.0; the whole set stands in `common/tests/suite/bep52_vectors.rs`.
#[test]
fn hash_prints_the_roots_of_bittorrent() {
    let place = Place::new();
    let vectors = [
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (1, "ca358758f6d27e6cf45272937977a748fd88391db679ceda7dc7bf1f005ee879"),
        (16385, "d0872d04c466cb13c36a39d82bc13cfea174d01b20c1303cd324c516894be989"),
        (1_048_577, "5fe605af341d9ad0e0d6e54857b4716e5d64f378d86e0fc1df59730b0bd1bd04"),
        (5_242_883, "e582b5c19c76410de4252b31bb2c0ccc19be178cfb91f942f89a062217c8b995"),
    ];
    for (size, root) in vectors {
        let bytes: Vec<u8> =
            (0..size).map(|i: usize| ((i * 131 + (i >> 8) * 17 + 7) % 251) as u8).collect();
        let path = place.write(&size.to_string(), &bytes);
        let end = place.run(&["hash", "--json", &path]);
        assert_eq!(end.code, 0, "{}", end.err);
        let value = &values(&end.out)[0];
        assert_eq!((&value["root"], &value["size"]), (&json!(root), &json!(size)));
        assert_eq!((&value["kind"], &value["path"]), (&json!("file"), &json!(path)));
        assert_eq!(value["chunk_size"], 65536);
        assert_eq!(value["chunks"], size.div_ceil(65536), "{value}");
        let plain = place.run(&["hash", &path]).out;
        let fields: Vec<&str> = plain.split_whitespace().collect();
        assert_eq!(fields, [value["id"].as_str().unwrap(), root, &path]);
    }
}

#[test]
fn hash_says_which_of_several_failed() {
    let place = Place::new();
    let good = place.write("good", b"x");
    assert_eq!(place.run(&["hash", "/nowhere"]).code, 4);
    let end = place.run(&["hash", "--json", "/nowhere", &good]);
    assert_eq!(end.code, 69);
    let values = values(&end.out);
    assert_eq!((&values[0]["event"], &values[0]["code"]), (&json!("error"), &json!("not-found")));
    assert_eq!(values[1]["path"], good);
    assert!(end.err.contains("/nowhere"), "{}", end.err);
}

#[test]
fn without_a_network_there_is_nothing_to_look_up() {
    let place = Place::new();
    for args in [&["ls", "--json"][..], &["get", "x", "--json"]] {
        let end = place.run(args);
        assert_eq!(end.code, 3, "{args:?}: {}", end.err);
        let all = values(&end.out);
        let error = all.iter().find(|value| value["event"] == "error").unwrap();
        assert_eq!(error["code"], "no-network");
        assert!(error["hint"].as_str().unwrap().contains("--tracker"));
    }
}

#[test]
fn one_running_peer_for_each_state_folder() {
    let place = Place::new();
    let first = Running::start(place.command(&["--serve-only", "--host", "--json"]));
    assert!(first.ready["join"].as_str().unwrap().starts_with("shoal://"), "{:?}", first.ready);
    let end = place.run(&["--serve-only"]);
    assert_eq!(end.code, 75, "{}", end.err);
    for word in ["--state", "--take-over", "tui-peer stop", &first.pid().to_string()] {
        assert!(end.err.contains(word), "{word}: {}", end.err);
    }
    // Commands go through it, to the network it has joined.
    let end = place.run(&["ls", "--json"]);
    assert_eq!((end.code, end.out.as_str()), (0, ""), "{}", end.err);
    assert_eq!(place.run(&["get", "x"]).code, 4);
    assert_eq!(place.run(&["verify"]).code, 0);
    assert_eq!(first.stop(), 0);
}

#[test]
fn a_port_in_use_has_its_own_code() {
    let place = Place::new();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap().to_string();
    let end = place.run(&["--serve-only", "--json", "--listen", &addr]);
    assert_eq!(end.code, 98, "{}", end.err);
    assert!(end.err.contains(&addr) && end.err.contains("--listen"), "{}", end.err);
    assert_eq!(values(&end.out)[0]["code"], "port");
}

#[test]
fn folders_that_cannot_be_made_are_told() {
    let place = Place::new();
    let file = place.write("file", b"");
    let end = place.run(&["--serve-only", "--state", &format!("{file}/state")]);
    assert_eq!(end.code, 73, "{}", end.err);
    assert!(end.err.contains(&file), "{}", end.err);
    let closed = place.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(closed.join("probe"), b"").is_ok() {
        return; // Nothing is closed to root.
    }
    let inside = closed.join("state");
    let end = place.run(&["--serve-only", "--state", inside.to_str().unwrap()]);
    assert_eq!(end.code, 77, "{}", end.err);
}

#[test]
fn a_share_that_is_not_there_ends_as_partial() {
    let place = Place::new();
    let good = place.write("good", b"x");
    let args = ["--serve-only", "--host", "--json", "/nowhere", &good];
    let mut peer = Running::start(place.command(&args));
    let error = peer.expect("error");
    assert_eq!(error["code"], "share");
    let shared = peer.expect("shared");
    assert_eq!((&shared["name"], &shared["size"]), (&json!("good"), &json!(1)));
    assert_eq!(peer.stop(), 69);
}

#[test]
fn verify_finds_damage() {
    let place = Place::new();
    let file = place.write("file", &[7; 200_000]);
    let mut peer = Running::start(place.command(&["--serve-only", "--host", "--json", &file]));
    let id = peer.expect("shared")["id"].as_str().unwrap().to_owned();
    assert_eq!(peer.stop(), 0);
    for what in [&file, "file", &id, &id[..8]] {
        let end = place.run(&["verify", "--json", what]);
        assert_eq!(end.code, 0, "{what}: {}", end.err);
        assert_eq!(values(&end.out)[0]["bad_chunks"], 0);
    }
    assert_eq!(place.run(&["verify", "other"]).code, 4);
    let before = fs::metadata(&file).unwrap().modified().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[70_000] ^= 1;
    fs::write(&file, bytes).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_modified(before).unwrap();
    let end = place.run(&["verify"]);
    assert_eq!(end.code, 5, "{}", end.out);
    assert!(end.out.contains("file"), "{}", end.out);
}

#[test]
fn standard_output_is_plain_off_a_terminal() {
    let place = Place::new();
    let file = place.write("file", b"x");
    let end = place.run(&["hash", &file]);
    assert!(!end.out.contains(['\x1b', '\r']), "{:?}", end.out);
    let log = place.path("log");
    let mut command = place.command(&["--serve-only", "--host", "--json", &file]);
    command.stderr(fs::File::create(&log).unwrap());
    let mut peer = Running::start(command);
    peer.expect("shared");
    assert_eq!(peer.stop(), 0);
    let log = fs::read_to_string(log).unwrap();
    assert!(!log.contains(['\x1b', '\r']), "{log:?}");
    assert!(log.lines().all(|line| line.starts_with("20") && line.contains('Z')), "{log}");
}

#[test]
fn a_closed_pipe_ends_a_peer_in_good_order() {
    let place = Place::new();
    let mut command = place.command(&["--serve-only", "--host", "--json"]);
    let mut peer = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(peer.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.contains("ready"), "{line}");
    // As `| head -1` does; nothing more has to be written for it to be seen.
    drop(out);
    assert_eq!(peer.wait().unwrap().code(), Some(0));
}

#[test]
fn the_demo_leaves_nothing_behind() {
    let place = Place::new();
    let temp = place.path("tmp");
    fs::create_dir(&temp).unwrap();
    let mut command = place.command_as_is(&["demo", "--json"]);
    command.env("TMPDIR", &temp);
    let mut demo = Running::start(command);
    let progress = demo.expect("progress");
    assert!(progress["chunks"].as_u64().unwrap() > 0, "{progress}");
    assert_eq!(fs::read_dir(&temp).unwrap().count(), 1);
    assert_eq!(demo.stop(), 0);
    assert_eq!(fs::read_dir(&temp).unwrap().count(), 0);

    // Also when it is stopped while it still makes its files.
    let mut command = place.command_as_is(&["demo", "--json"]);
    command.env("TMPDIR", &temp);
    let demo = Running::silent(command);
    while fs::read_dir(&temp).unwrap().count() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(demo.stop(), 143);
    assert_eq!(fs::read_dir(&temp).unwrap().count(), 0);
}

#[test]
fn a_host_that_starts_again_does_not_look_for_its_own_tracker_first() {
    let place = Place::new();
    let start = || {
        Running::logged(place.command(&[
            "--serve-only",
            "--host",
            "--json",
            "--log-format",
            "text",
        ]))
    };
    assert_eq!(start().stop(), 0);
    let mut again = start();
    let first = again.log("track");
    assert!(first.contains("running here"), "{first}");
    assert_eq!(again.stop(), 0);
}
