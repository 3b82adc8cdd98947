//! A download whose only source cannot be reached says so.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::program::{PATIENCE, Place, Running, values};

#[test]
fn h10_a_source_that_cannot_be_reached_is_named_with_the_cause_once() {
    let place = Place::new();
    let host = Running::start(place.command(&["--serve-only", "--host", "--json"]));
    let file = place.write("file", &[7; 100_000]);
    // The tracker is reached from other addresses than the ones they listen on: nobody listens where others look for
    // either, so that neither can dial the other. A tracker inside a peer relays nothing.
    // Its port is kept free where it is looked for: another test's peer would be given it otherwise, and answer.
    let looked_for = tokio::net::TcpSocket::new_v4().unwrap();
    looked_for.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listen = format!("127.0.0.2:{}", looked_for.local_addr().unwrap().port());
    let args = ["--serve-only", "--json", "--listen", &listen, &file];
    let mut deaf = Running::start(place.other("deaf", &host.ready, &args));
    deaf.expect("shared");

    let args = ["--serve-only", "--json", "--log-level", "debug", "--listen", "127.0.0.3:0"];
    let mut peer = Running::logged(place.other("peer", &host.ready, &args));
    let state = place.path("peer");
    let state = state.to_str().unwrap();
    let mut get = Running::logged(place.command(&["get", "file", "--json", "--state", state]));
    for program in [&mut peer, &mut get] {
        let event = program.expect("unreachable");
        assert_eq!((&event["name"], &event["nick"]), (&json!("file"), &json!("deaf")), "{event}");
        assert_eq!(event["peer"], deaf.ready["peer"]);
        assert!(event["why"].as_str().unwrap().contains("refused"), "{event}");
        let line = program.log("cannot be reached");
        assert!(line.contains("INFO") && line.contains("file: deaf"), "{line}");
    }
    let status = values(&place.run(&["status", "--json", "--state", state]).out).remove(0);
    let source = &status["transfers"][0]["unreached"][0];
    assert_eq!(source["nick"], "deaf", "{status}");
    let plain = place.run(&["status", "--state", state]).out;
    for word in ["cannot reach deaf", "refused"] {
        assert!(plain.contains(word), "{word}: {plain}");
    }

    // Dials go on; the line does not.
    let log = place.path("peer/log/shoal.log");
    let count = |text: &str| fs::read_to_string(&log).unwrap().matches(text).count();
    let end = Instant::now() + PATIENCE;
    while count("could not reach") < 3 {
        assert!(Instant::now() < end, "it is not dialled again");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(count("cannot be reached"), 1);
    assert_eq!((deaf.stop(), peer.stop()), (0, 0));
    assert_eq!(get.wait(), 1, "its peer is gone");
}
