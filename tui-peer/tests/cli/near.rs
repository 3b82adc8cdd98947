//! Networks near, on a port of loopback that nobody else uses.

use std::net::UdpSocket;
use std::process::Command;

use crate::program::{PATIENCE, Place, Running, values};

/// Has a command hear and say what is near on this port only.
fn on(mut command: Command, port: &str) -> Command {
    command.env("SHOAL_NEAR", port);
    command
}

#[test]
fn a_hosted_tracker_is_found_near_unless_told_otherwise() {
    let place = Place::new();
    let free = UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
    let port = free.to_string();
    let host = |name: &str, args: &[&str]| {
        let command = place.other(name, &serde_json::Value::Null, args);
        Running::start(on(command, &port))
    };
    let shy = host("shy", &["--serve-only", "--host", "--json", "--discoverable", "off"]);
    let open = host("open\u{1b}[2J", &["--serve-only", "--host", "--json"]);
    let key = |host: &Running| {
        let join = host.ready["join"].as_str().unwrap().parse::<common::join::JoinString>();
        join.unwrap().tracker().to_string()
    };
    let begun = std::time::Instant::now();
    let found = loop {
        let looks = ["ls", "--near", "--wait", "--json", "--timeout", "10"];
        let end = on(place.command(&looks), &port).output().unwrap();
        let (out, err) =
            (String::from_utf8(end.stdout).unwrap(), String::from_utf8(end.stderr).unwrap());
        if end.status.code() == Some(74) {
            assert!(err.contains("multicast"), "{err}");
            return eprintln!("NOT TESTED: {err}");
        }
        let rows = values(&out);
        if let Some(row) = rows.iter().find(|row| row["key"] == key(&open)) {
            assert!(!rows.iter().any(|row| row["key"] == key(&shy)), "{out}");
            break row.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "not found: {out} {err}");
    };
    assert_eq!((&found["name"], &found["secret"]), (&"open\\u{1b}[2J".into(), &false.into()));
    let join = found["join"].as_str().unwrap();
    let state = place.path("guest");
    let state = state.to_str().unwrap();
    let guest = place.run(&["peers", "--all", "--tracker", join, "--state", state]);
    assert!(guest.code == 0 && guest.out.contains("open"), "{} {}", guest.out, guest.err);
    assert_eq!((open.stop(), shy.stop()), (0, 0));
}

#[test]
fn what_is_near_is_no_search() {
    let place = Place::new();
    assert_eq!(place.run(&["ls", "--near", "words"]).code, 2);
    let end = place.run(&["ls", "--near", "--tracker", "shoal://nonsense"]);
    assert_eq!(end.code, 2, "{}", end.err);
}
