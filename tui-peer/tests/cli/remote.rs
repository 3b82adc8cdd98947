//! A running peer and the commands that reach it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::program::{Place, Running, values};

fn host(place: &Place) -> Running {
    Running::start(place.command(&["--serve-only", "--host", "--json"]))
}

#[test]
fn everything_a_running_peer_can_be_asked() {
    let place = Place::new();
    let peer = host(&place);
    let file = place.write("file", &[7; 200_000]);

    let end = place.run(&["share", &file, "--wait", "--json"]);
    assert_eq!(end.code, 0, "{}", end.err);
    let shared = values(&end.out).remove(0);
    assert_eq!((&shared["event"], &shared["name"]), (&json!("shared"), &json!("file")));
    let id = shared["id"].as_str().unwrap().to_owned();
    // Once more: nothing to wait for.
    assert_eq!(place.run(&["share", &file, "--wait"]).code, 0);
    let end = place.run(&["share", "/nowhere", "--json"]);
    assert_eq!(end.code, 4, "{}", end.err);

    let status = values(&place.run(&["status", "--wait", "--json"]).out).remove(0);
    assert_eq!((&status["event"], &status["runs"]), (&json!("status"), &json!("serve-only")));
    assert_eq!(status["pid"], peer.pid());
    assert_eq!(status["transfers"][0]["id"], id);
    assert_eq!((&status["network"], &status["shared"]), (&json!("on"), &json!(1)));
    let plain = place.run(&["status"]).out;
    assert!(plain.contains("file") && plain.contains("sharing"), "{plain}");

    for args in [&["ls", "--wait", "--json"][..], &["list", "--filter", "il", "--json"]] {
        let end = place.run(args);
        assert_eq!(values(&end.out)[0]["id"], id, "{}", end.err);
    }
    assert_eq!(place.run(&["list", "--filter", "other"]).out, "");
    assert_eq!(place.run(&["ls", "other", "--wait", "--timeout", "1"]).code, 1);
    assert_eq!(place.run(&["peers", "--json"]).out, "");

    for what in [&file, "file", &id, &id[..8]] {
        let end = place.run(&["verify", "--json", what]);
        assert_eq!(end.code, 0, "{what}: {}", end.err);
        assert_eq!(values(&end.out)[0]["bad_chunks"], 0);
    }
    assert_eq!(place.run(&["verify", "other"]).code, 4);
    assert_eq!(place.run(&["unshare", "other"]).code, 4);
    assert_eq!(place.run(&["unshare", "file"]).code, 0);
    assert_eq!(place.run(&["verify", "file"]).code, 4);

    let end = place.run(&["stop", "--json"]);
    assert_eq!(end.code, 0, "{}", end.err);
    assert_eq!(values(&end.out)[0]["event"], "stopped");
    assert_eq!(peer.wait(), 0);
    assert_eq!(place.run(&["stop"]).code, 4);
}

#[test]
fn a_running_peer_downloads_for_another_command() {
    let place = Place::new();
    let seeder = host(&place);
    let file = place.write("file", &[9; 300_000]);
    assert_eq!(place.run(&["share", &file, "--wait"]).code, 0);
    let mut other = Running::start(place.other("b", &seeder.ready, &["--serve-only", "--json"]));

    let to = place.path("to");
    let args = ["get", "file", "--json", "-o", to.to_str().unwrap()];
    let end = place.other("b", &seeder.ready, &args).output().unwrap();
    let all = values(std::str::from_utf8(&end.stdout).unwrap());
    assert!(end.status.success(), "{}", String::from_utf8_lossy(&end.stderr));
    let done = all.iter().find(|value| value["event"] == "done").unwrap();
    assert_eq!(done["path"], to.join("file").to_str().unwrap());
    assert_eq!(fs::read(to.join("file")).unwrap(), fs::read(&file).unwrap());
    // It was the other process.
    assert_eq!(other.expect("done")["id"], done["id"]);
    // All of it is there: said at once.
    assert!(place.other("b", &seeder.ready, &["get", "file"]).status().unwrap().success());
    let connected = values(&place.run(&["peers", "--wait", "--json"]).out);
    assert_eq!(connected[0]["peer"], other.ready["peer"]);

    let code = |args: &[&str]| place.other("b", &seeder.ready, args).status().unwrap().code();
    assert_eq!(code(&["get", "nothing"]), Some(4));
    assert_eq!(code(&["get", "nothing", "--wait", "--timeout", "1"]), Some(1));
    // Another network than the one it is in.
    let elsewhere =
        Running::start(place.other("c", &Value::Null, &["--serve-only", "--host", "--json"]));
    let end = place.other("b", &elsewhere.ready, &["ls"]).output().unwrap();
    assert_eq!(end.status.code(), Some(75), "{}", String::from_utf8_lossy(&end.stderr));
    assert_eq!(other.stop(), 0);
    assert_eq!(seeder.stop(), 0);
}

#[test]
fn without_a_running_peer_the_library_is_changed() {
    let place = Place::new();
    let file = place.write("file", b"words");
    for command in ["status", "peers", "stop"] {
        let end = place.run(&[command, "--json"]);
        assert_eq!(end.code, 4, "{}", end.err);
        assert_eq!(values(&end.out)[0]["code"], "not-running");
        assert!(end.err.contains("--serve-only"), "{}", end.err);
    }
    assert_eq!(place.run(&["share", "/nowhere"]).code, 4);
    assert_eq!(place.run(&["share", "/nowhere", &file]).code, 69);
    let mut peer = host(&place);
    assert_eq!(peer.expect("shared")["name"], "file");
    assert_eq!(peer.stop(), 0);
    assert_eq!(place.run(&["unshare", "file"]).code, 0);
    assert_eq!(place.run(&["unshare", "file"]).code, 4);
    let peer = host(&place);
    let status = values(&place.run(&["status", "--json"]).out).remove(0);
    assert_eq!(status["transfers"], json!([]));
    assert_eq!(peer.stop(), 0);
}

#[test]
fn status_can_wait_for_a_peer() {
    let place = Place::new();
    assert_eq!(place.run(&["status", "--wait", "--timeout", "1"]).code, 4);
    let waiting = place.command(&["status", "--wait"]).spawn().unwrap();
    let peer = host(&place);
    assert!(waiting.wait_with_output().unwrap().status.success());
    assert_eq!(peer.stop(), 0);
}

#[test]
fn one_peer_takes_over_from_another() {
    let place = Place::new();
    let first = host(&place);
    let args = ["--serve-only", "--host", "--json", "--take-over"];
    let second = Running::start(place.command(&args));
    assert_eq!(first.wait(), 0);
    let status = values(&place.run(&["status", "--json"]).out).remove(0);
    assert_eq!(status["pid"], second.pid());
    assert_eq!(second.stop(), 0);
}

#[test]
fn what_a_killed_peer_leaves_behind_is_no_obstacle() {
    let place = Place::new();
    let peer = host(&place);
    let socket = place.path(".local/state/shoal/control.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    drop(peer); // SIGKILL
    assert!(socket.exists());
    assert_eq!(place.run(&["status"]).code, 4);
    let peer = host(&place);
    assert_eq!(place.run(&["status"]).code, 0);
    assert_eq!(peer.stop(), 0);
    assert!(!socket.exists());
}

#[test]
fn nonsense_on_the_socket_harms_nobody() {
    let place = Place::new();
    let peer = host(&place);
    let socket = place.path(".local/state/shoal/control.sock");
    for nonsense in [&b"\xff\xff\xff\xff"[..], b"\0\0\0\x03\xc1\xc1\xc1", b"GET / HTTP/1.1\r\n\r\n"]
    {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(nonsense).unwrap();
        // It hangs up.
        assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap_or(0), 0);
    }
    // More than are served at once, all silent.
    let silent: Vec<_> = (0..40).filter_map(|_| UnixStream::connect(&socket).ok()).collect();
    drop(silent);
    assert_eq!(place.run(&["status", "--wait", "--timeout", "30"]).code, 0);
    assert_eq!(peer.stop(), 0);
}
