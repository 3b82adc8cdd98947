//! `torrent`: what BitTorrent programs are given.

use std::fs;

use serde_json::json;

use super::program::{Place, Running, values};

/// A folder with a file of several chunks.
fn folder(place: &Place) -> String {
    let folder = place.path("models");
    fs::create_dir_all(folder.join("a")).unwrap();
    fs::write(folder.join("a/large"), vec![7; 300_000]).unwrap();
    fs::write(folder.join("small"), "small").unwrap();
    folder.to_str().unwrap().to_owned()
}

#[test]
fn a_torrent_is_the_same_by_the_running_peer_by_its_library_and_from_the_disk() {
    let place = Place::new();
    let folder = folder(&place);
    let to = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let end = place.run(&["torrent", "--json", &folder, "-o", &to("disk.torrent")]);
    assert_eq!(end.code, 0, "{}", end.err);
    assert!(!place.path(".local/state/shoal").exists(), "nothing is made where there was no peer");
    let told = &values(&end.out)[0];
    assert_eq!((&told["event"], &told["path"]), (&json!("torrent"), &json!(to("disk.torrent"))));
    let magnet = told["magnet"].as_str().unwrap();
    assert!(magnet.starts_with("magnet:?xt=urn:btmh:1220") && magnet.ends_with("&xl=300005"));

    let mut peer = Running::start(place.command(&["--serve-only", "--host", "--json", &folder]));
    peer.expect("shared");
    let end = place.run(&["torrent", "models", "-o", &to("peer.torrent"), "--magnet"]);
    assert_eq!((end.code, end.out.trim()), (0, magnet), "{}", end.err);
    // By its path as well, without reading it again.
    let end = place.run(&["torrent", &folder, "-o", &to("path.torrent")]);
    assert_eq!((end.code, end.out.trim()), (0, to("path.torrent").as_str()), "{}", end.err);
    let end = place.run(&["torrent", "models", "-o", &to("peer.torrent")]);
    assert_eq!(end.code, 74, "{}", end.err);
    assert!(end.err.contains("is there already"), "{}", end.err);
    let end = place.run(&["torrent", "nothing like it"]);
    assert_eq!(end.code, 4, "{}", end.err);
    assert_eq!(peer.stop(), 0);

    let end = place.run(&["torrent", "models", "-o", &to("library.torrent")]);
    assert_eq!(end.code, 0, "{}", end.err);
    let bytes = fs::read(place.path("disk.torrent")).unwrap();
    for other in ["peer.torrent", "path.torrent", "library.torrent"] {
        assert!(fs::read(place.path(other)).unwrap() == bytes, "{other}");
    }
    let trackers = ["--announce", "http://a.lab/announce", "--announce", "udp://b.lab:1"];
    let asked = to("asked.torrent");
    let args = [&["torrent", "models", "-o", &asked][..], &trackers].concat();
    assert_eq!(place.run(&args).code, 0);
    let bytes = fs::read(place.path("asked.torrent")).unwrap();
    assert!(bytes.starts_with(b"d8:announce21:http://a.lab/announce13:announce-list"));
}

#[test]
fn of_a_folder_that_is_here_in_part_there_is_no_torrent() {
    let place = Place::new();
    let folder = folder(&place);
    let mut seed = Running::start(place.command(&["--serve-only", "--host", "--json", &folder]));
    seed.expect("shared");
    let args = ["--serve-only", "--json"];
    let other = Running::start(place.other("other", &seed.ready, &args));
    let state = place.path("other").to_str().unwrap().to_owned();
    let dir = place.path("got").to_str().unwrap().to_owned();
    let env = [("SHOAL_STATE", state.as_str())];
    let end = place.run_with(&["get", "models", "--files", "small", "-o", &dir], &env);
    assert_eq!(end.code, 0, "{}", end.err);
    let to = place.path("part.torrent");
    let end = place.run_with(&["torrent", "models", "-o", to.to_str().unwrap()], &env);
    assert_ne!(end.code, 0);
    assert!(end.err.contains("fetch the whole folder first"), "{}", end.err);
    assert!(!to.exists());
    drop((seed, other));
}
