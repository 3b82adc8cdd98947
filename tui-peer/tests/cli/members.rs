//! C4: who is in the network, and what one of them shares.

use serde_json::Value;

use crate::program::{Place, Running, values};

/// A host that shares two files, and another peer with one.
fn network(place: &Place) -> (Running, Running) {
    let mut command = place.command(&["--serve-only", "--host", "--json"]);
    command.env("SHOAL_NICK", "Ada");
    let host = Running::start(command);
    for name in ["ada one.txt", "ada two.iso"] {
        let path = place.write(name, name.as_bytes());
        assert_eq!(place.run(&["share", &path, "--wait"]).code, 0);
    }
    let path = place.write("bob one.txt", &[7; 100_000]);
    let mut command = place.other("bob", &host.ready, &["--serve-only", "--json", &path]);
    command.env("SHOAL_NICK", "bob\u{1b}[2J\u{202e}");
    let mut bob = Running::start(command);
    bob.expect("shared");
    // The network's list comes by way of the tracker.
    assert_eq!(place.run(&["ls", "\"bob one\"", "--wait"]).code, 0);
    (host, bob)
}

fn names(text: &str) -> Vec<String> {
    values(text).iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn c4_members_are_listed_through_a_running_peer_and_without_one() {
    let place = Place::new();
    let (host, bob) = network(&place);
    let through = place.run(&["peers", "--all", "--json"]);
    assert_eq!(through.code, 0, "{}", through.err);
    let rows = values(&through.out);
    let told: Vec<(&Value, &Value, &Value)> =
        rows.iter().map(|row| (&row["peer"], &row["shares"], &row["own"])).collect();
    assert_eq!(
        told,
        [
            (&host.ready["peer"], &Value::from(2), &Value::from(true)),
            (&bob.ready["peer"], &Value::from(1), &Value::from(false)),
        ]
    );
    assert_eq!(rows[0]["nick"], "Ada");
    assert_eq!(rows[1]["nick"], "bob\\u{1b}[2J\\u{202e}", "names are shown as all names are");
    assert_eq!(rows[1]["addrs"][0], bob.ready["addr"]);
    assert!(rows[1]["since"].as_u64().unwrap() > 1_700_000_000);
    let plain = place.run(&["peers", "--all"]).out;
    assert!(plain.contains("2 shares") && plain.contains("(this peer)"), "{plain}");
    assert!(!plain.contains(['\u{1b}', '\u{202e}']), "{plain}");
    // Without --all it is what it was: connections.
    let alone = place.run(&["peers", "--json"]);
    assert_eq!((alone.code, alone.out.as_str()), (0, ""));

    // One that only looks joins, asks and leaves.
    let looks = || {
        let end =
            place.other("guest", &host.ready, &["peers", "--all", "--json"]).output().unwrap();
        assert!(end.status.success(), "{}", String::from_utf8_lossy(&end.stderr));
        values(std::str::from_utf8(&end.stdout).unwrap())
    };
    for rows in [looks(), looks()] {
        let nicks: Vec<&str> = rows.iter().map(|row| row["nick"].as_str().unwrap()).collect();
        assert_eq!(nicks, ["Ada", "bob\\u{1b}[2J\\u{202e}", "guest"]);
        assert_eq!(rows[2]["own"], true);
    }
    assert_eq!(values(&place.run(&["peers", "--all", "--json"]).out).len(), 2, "it has left");
    // Nobody else is waited for in vain.
    assert_eq!(place.run(&["peers", "--all", "--wait"]).code, 0);
    assert_eq!((bob.stop(), host.stop()), (0, 0));
}

#[test]
fn c4_files_are_found_by_whose_they_are() {
    let place = Place::new();
    let (host, bob) = network(&place);
    let ls = |query: &str| place.run(&["ls", query, "--json"]);
    assert_eq!(names(&ls("peer:ada").out), ["ada one.txt", "ada two.iso"]);
    assert_eq!(names(&ls("peer:ADA type:iso").out), ["ada two.iso"]);
    assert_eq!(names(&ls("!peer:ada").out), ["bob one.txt"]);
    let key = bob.ready["peer"].as_str().unwrap();
    for query in [format!("peer:{key}"), format!("peer:{}", &key[..8]), "peer:bob".to_owned()] {
        assert_eq!(names(&ls(&query).out), ["bob one.txt"], "{query}");
    }
    assert_eq!(names(&ls("peer:ada|peer:bob").out).len(), 3);
    let nobody = ls("peer:zoe");
    assert_eq!((nobody.code, nobody.out.contains("not-found")), (4, true), "{}", nobody.out);
    assert!(nobody.err.contains("peers --all"), "{}", nobody.err);
    // Also by one that joins for it.
    let end = place.other("guest", &host.ready, &["ls", "peer:ada", "--json"]).output().unwrap();
    assert_eq!(names(std::str::from_utf8(&end.stdout).unwrap()).len(), 2);
    assert_eq!((bob.stop(), host.stop()), (0, 0));
}

#[test]
fn c4_without_a_tracker_it_is_said_what_is_missing() {
    let place = Place::new();
    let end = place.run(&["peers", "--all", "--json"]);
    assert_eq!(values(&end.out)[0]["code"], "no-network");
    assert_ne!(end.code, 0);
}
