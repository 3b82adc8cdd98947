//! A tracker that never answered is told from one that was lost, and is not remembered.

use std::time::{Duration, Instant};

use crate::program::{PATIENCE, Place, Running};

const FILE: &str = ".local/state/shoal/network.join";

#[test]
fn h7_an_address_that_never_answered_is_said_and_not_remembered() {
    let place = Place::new();
    let join = place.gone_tracker();
    let serve = ["--serve-only", "--json", "--tracker", &join];
    let mut peer = Running::logged(place.command(&serve));
    let line = peer.log("never reached: check the address");
    let address = join.split('@').next_back().unwrap();
    assert!(line.contains(address) && !line.contains("lost"), "{line}");
    let status = place.run(&["status"]).out;
    assert!(status.contains("never reached: check the address"), "{status}");
    assert!(status.contains(address) && !status.contains("lost"), "{status}");
    assert_eq!(peer.stop(), 0);
    assert!(!place.path(FILE).exists(), "the wrong one is remembered");

    let end = place.run(&["get", "x", "--tracker", &join, "--timeout", "2"]);
    assert_eq!(end.code, 1, "{}", end.err);
    assert!(end.err.contains("never reached: check the address"), "{}", end.err);
    assert!(!place.path(FILE).exists(), "the wrong one is remembered by get");
}

#[test]
fn h7_a_network_is_remembered_once_it_let_us_in() {
    let place = Place::new();
    let host = Running::start(place.command(&["--serve-only", "--host", "--json"]));
    let mut peer = Running::logged(place.other("b", &host.ready, &["--serve-only", "--json"]));
    let file = place.path("b/network.join");
    let end = Instant::now() + PATIENCE;
    while !file.exists() {
        assert!(Instant::now() < end, "not remembered");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(host.stop(), 0);
    // It is known by now: it is lost.
    peer.log("tracker lost");
    assert_eq!(peer.stop(), 0);
}
