//! A mistake in the configuration file: what needs no settings does without them and says so.

use crate::program::{Place, Running, values};

#[test]
fn h8_a_mistake_in_the_settings_does_not_keep_anybody_from_a_running_peer() {
    let place = Place::new();
    let file = place.write("file", b"x");
    let mut peer = Running::start(place.command(&["--serve-only", "--host", "--json", &file]));
    peer.expect("shared");
    for text in ["upp = \"1M\"\n", "nick = = 3\n", "tracker = \"@/nowhere\"\n"] {
        place.config(text);
        for args in [
            &["status", "--json"][..],
            &["peers"],
            &["ls", "--json"],
            &["share", &file],
            &["verify", "file"],
            &["get", "file", "--wait"],
        ] {
            let end = place.run(args);
            assert_eq!(end.code, 0, "{text}{args:?}: {}", end.err);
            let named = end.err.contains("config.toml:1") || end.err.contains("/nowhere");
            assert!(named && end.err.contains("does without it"), "{args:?}: {}", end.err);
        }
        assert_eq!(values(&place.run(&["status", "--json"]).out)[0]["pid"], peer.pid());
    }
    // What was typed is to make sense.
    let end = place.run(&["status", "--up", "fast"]);
    assert_eq!(end.code, 2, "{}", end.err);
    place.config("upp = \"1M\"\n");
    let end = place.run(&["stop"]);
    assert_eq!(end.code, 0, "{}", end.err);
    assert_eq!(peer.wait(), 0);
    for args in [&["ls"][..], &["share", &file], &["verify"], &["get", "x"], &["--serve-only"]] {
        let end = place.run(args);
        assert_eq!(end.code, 65, "{args:?}: {}", end.err);
        assert!(end.err.contains("config.toml:1"), "{args:?}: {}", end.err);
    }
    // There is nobody to ask, which is not the file's fault.
    assert_eq!(place.run(&["status"]).code, 4);
}

#[test]
fn h8_the_state_folder_of_a_wrong_file_is_still_found() {
    let place = Place::new();
    let state = place.path("elsewhere");
    let text = format!("state = {:?}\n", state.to_str().unwrap());
    place.config(&text);
    let peer = Running::start(place.command(&["--serve-only", "--host", "--json"]));
    place.config(&format!("{text}lisen = 3\n"));
    let status = place.run(&["status", "--json"]);
    assert_eq!(status.code, 0, "{}", status.err);
    assert!(status.err.contains("config.toml:2: lisen"), "{}", status.err);
    assert_eq!(values(&status.out)[0]["pid"], peer.pid());
    assert_eq!(peer.stop(), 0);
}

#[test]
fn h8_without_a_file_there_is_nothing_wrong() {
    let place = Place::new();
    let end = place.run(&["config", "check"]);
    assert_eq!(end.code, 0, "{}", end.err);
    assert!(end.out.contains("config.toml: there is no such file"), "{}", end.out);
    let end = place.run(&["config", "check", "--json"]);
    assert_eq!(end.code, 0, "{}", end.err);
    let checked = values(&end.out).remove(0);
    assert_eq!((&checked["exists"], &checked["problems"]), (&false.into(), &0.into()));
    // One that was named is missed.
    assert_eq!(place.run(&["config", "check", "/nowhere.toml"]).code, 4);
}
