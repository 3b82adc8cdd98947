//! What `status` says.

use std::fs;

use crate::program::{Place, Running, values};

#[test]
fn s11_the_own_nick_is_shown_as_all_names_are() {
    let place = Place::new();
    let mut command = place.command(&["--serve-only", "--json"]);
    command.env("SHOAL_NICK", "evil\u{1b}[2J\u{202e}");
    let _peer = Running::start(command);
    let plain = place.run(&["status"]).out;
    assert!(plain.contains("evil\\u{1b}[2J\\u{202e} ("), "{plain}");
    assert!(!plain.contains(['\u{1b}', '\u{202e}']));
    let json = values(&place.run(&["status", "--json"]).out).remove(0);
    assert_eq!(json["nick"], "evil\\u{1b}[2J\\u{202e}");
}

#[test]
fn f11_status_says_that_the_remembered_network_is_damaged() {
    let place = Place::new();
    let state = place.path(".local/state/shoal");
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("network.join"), "shoal://torn").unwrap();
    let _peer = Running::start(place.command(&["--serve-only", "--json"]));
    let plain = place.run(&["status"]).out;
    assert!(plain.contains("the remembered network is damaged"), "{plain}");
    let json = values(&place.run(&["status", "--json"]).out).remove(0);
    assert!(json["network_trouble"].as_str().unwrap().contains("network.join.damaged"), "{json}");
    assert!(json["clock_ahead_s"].is_null());
    assert_eq!(fs::read(state.join("network.join.damaged")).unwrap(), b"shoal://torn");
}
