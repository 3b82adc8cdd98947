//! What `status` says.

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tracker::control::{Answer, Ask, ask};
use tracker::index::Limits;
use tracker::{Config, Tracker};

use crate::program::{PATIENCE, Place, Running, values};

/// A tracker in this process; what its owner says reaches it.
struct Owned {
    runtime: tokio::runtime::Runtime,
    join: Value,
    /// It runs as long as this is there.
    _stop: oneshot::Sender<()>,
}

impl Owned {
    fn start(state: &Path, limits: Limits) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let config = Config { state_dir: Some(state.to_owned()), limits, ..Config::default() };
        let tracker = Tracker::open(config).unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let join = json!({ "join": tracker.join_string("127.0.0.1", port).unwrap().to_string() });
        let (stop, stopped) = oneshot::channel();
        runtime.spawn(tracker.run(listener, async {
            let _ = stopped.await;
        }));
        Self { runtime, join, _stop: stop }
    }
}

/// What `status` says of a peer, once it says what is waited for.
fn status_of(place: &Place, owned: &Owned, done: impl Fn(&Value) -> bool) -> (Value, String) {
    let end = Instant::now() + PATIENCE;
    loop {
        let say = |args: &[&str]| {
            let out = place.other("peer", &owned.join, args).output().unwrap();
            String::from_utf8(out.stdout).unwrap()
        };
        let json = values(&say(&["status", "--json"])).remove(0);
        if done(&json) {
            return (json, say(&["status"]));
        }
        assert!(Instant::now() < end, "{json}");
    }
}

#[test]
fn s5_a_banned_peer_says_so_and_why() {
    let place = Place::new();
    let state = place.path("tracker");
    let owned = Owned::start(&state, Limits::default());
    let command = place.other("peer", &owned.join, &["--serve-only", "--json"]);
    let mut peer = Running::start(command);
    let (status, _) = status_of(&place, &owned, |status| status["network"] == "on");
    assert!(status["network_why"].is_null());
    let who = status["peer_id"].as_str().unwrap().to_owned();
    let ban = Ask::Ban { who, reason: "far too many cats".to_owned() };
    match owned.runtime.block_on(ask(&state, &ban)).unwrap() {
        Answer::Done(done) => assert_eq!(done.closed, 1),
        other => panic!("{other:?}"),
    }
    let error = peer.expect("error");
    assert_eq!(error["code"], "rejected");
    assert!(error["message"].as_str().unwrap().contains("far too many cats"), "{error}");
    let (status, plain) = status_of(&place, &owned, |status| status["network"] == "rejected");
    assert!(status["network_why"].as_str().unwrap().contains("far too many cats"), "{status}");
    assert!(plain.contains("banned by the owner of this tracker: far too many cats"), "{plain}");
}

#[test]
fn s5_what_the_tracker_does_not_take_is_told_with_its_reason() {
    let place = Place::new();
    // Two of four rows are free for everybody, the third is for who has less.
    let owned = Owned::start(&place.path("tracker"), Limits { rows: 4, ..Limits::default() });
    let files: Vec<String> =
        (0..3).map(|n| place.write(&format!("file {n}"), &[n + 1; 100])).collect();
    let mut args = vec!["--serve-only", "--json"];
    args.extend(files.iter().map(String::as_str));
    let mut peer = Running::start(place.other("peer", &owned.join, &args));
    let error = peer.expect("error");
    assert_eq!(error["code"], "register");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("you have 2 of 4 contents"), "{error}");
    let (status, plain) = status_of(&place, &owned, |status| status["refused"] == 1);
    assert!(status["refused_why"].as_str().unwrap().contains("for those who have less"));
    assert!(plain.contains("1 shares that the tracker does not take"), "{plain}");
}

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
