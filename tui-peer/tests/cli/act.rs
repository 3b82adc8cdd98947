//! Telling a running peer what to do: downloads, limits, peers, the network.

use std::fs;
use std::process::{Child, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::program::{End, PATIENCE, Place, Running, values};

/// A network of a peer that has files and one that fetches them.
struct Net {
    place: Place,
    seeder: Running,
    other: Running,
}

impl Net {
    /// The second peer fetches at most this much in a second.
    fn new(down: &str) -> Self {
        let place = Place::new();
        let args = ["--serve-only", "--host", "--json", "--nick", "ada"];
        let seeder = Running::start(place.command(&args));
        let args = ["--serve-only", "--json", "--down", down];
        let other = Running::start(place.other("b", &seeder.ready, &args));
        Self { place, seeder, other }
    }

    /// Shares a file of the first peer, each byte of it `n`.
    fn share(&self, name: &str, n: u8, size: usize) {
        let path = self.place.write(name, &vec![n; size]);
        let end = self.place.run(&["share", &path, "--wait"]);
        assert_eq!(end.code, 0, "{}", end.err);
    }

    /// A command for the second peer.
    fn ask(&self, args: &[&str]) -> End {
        let mut command = self.place.command(args);
        let end = command.env("SHOAL_STATE", self.place.path("b")).output().unwrap();
        End {
            code: end.status.code().unwrap_or(-1),
            out: String::from_utf8(end.stdout).unwrap(),
            err: String::from_utf8(end.stderr).unwrap(),
        }
    }

    /// The only line of JSON of a command that goes well.
    fn does(&self, args: &[&str]) -> Value {
        let end = self.ask(&[args, &["--json"]].concat());
        assert_eq!(end.code, 0, "{args:?}: {} {}", end.out, end.err);
        let mut all = values(&end.out);
        assert_eq!(all.len(), 1, "{args:?}: {}", end.out);
        all.remove(0)
    }

    fn status(&self) -> Value {
        values(&self.ask(&["status", "--json"]).out).remove(0)
    }

    fn row(&self, name: &str) -> Option<Value> {
        let rows = self.status()["transfers"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["name"] == name)
    }

    fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < end, "never {what}: {}", self.status());
        }
    }

    /// Has the second peer begin to fetch, and comes back once all are in its list.
    fn begin(&self, names: &[&str]) {
        let mut command =
            self.place.other("b", &self.seeder.ready, &[&["get", "--wait"], names].concat());
        let get = Ended(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        self.until("begun", |net| names.iter().all(|name| net.row(name).is_some()));
        drop(get);
    }
}

/// A command that is ended by the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn c1_downloads_are_told_what_to_do_from_the_shell() {
    let net = Net::new("64K");
    for (n, name) in (1..).zip(["one", "two", "three"]) {
        net.share(name, n, 6 << 20);
    }
    net.begin(&["one", "two", "three"]);
    let is = |name: &str, field: &str, value: Value| {
        let row = net.row(name).unwrap();
        assert_eq!(row[field], value, "{row}");
    };

    // Whoever looks after the answer sees it.
    let paused = net.does(&["pause", "one"]);
    assert_eq!((&paused["event"], &paused["name"]), (&json!("paused"), &json!("one")));
    is("one", "state", json!("paused"));
    let id = paused["id"].as_str().unwrap().to_owned();
    assert_eq!(net.does(&["resume", &id[..8]])["event"], "resumed");
    assert_ne!(net.row("one").unwrap()["state"], "paused");

    assert_eq!(net.does(&["priority", "high", "two"])["priority"], "high");
    is("two", "priority", json!("high"));
    assert_eq!(net.does(&["order", "sequential", "two"])["order"], "sequential");
    is("two", "sequential", json!(true));
    let limited = net.does(&["limit", "two", "--down", "1M", "--up", "2M"]);
    assert_eq!((&limited["up"], &limited["down"]), (&json!(2 << 20), &json!(1 << 20)));
    is("two", "down_limit", json!(1 << 20));
    // What is not named stays.
    net.does(&["limit", "two", "--up", "0"]);
    is("two", "down_limit", json!(1 << 20));
    is("two", "up_limit", Value::Null);
    assert_eq!(net.does(&["limit", "--up", "3M"])["up"], 3 << 20);
    let status = net.status();
    let limits = (&status["up_limit"], &status["down_limit"]);
    assert_eq!(limits, (&json!(3 << 20), &json!(64 << 10)), "{status}");

    assert_eq!(net.does(&["move", "top", "three"])["to"], "top");
    let order = |name: &str| net.row(name).unwrap()["order"].as_u64().unwrap();
    assert!(order("two") < order("three") && order("three") < order("one"));
    assert_eq!(net.ask(&["move", "up", "three"]).code, 1);

    // All of them, with one answer each.
    let end = net.ask(&["pause", "all", "--json"]);
    let all = values(&end.out);
    assert_eq!((end.code, all.len()), (0, 3), "{}", end.out);
    assert!(all.iter().all(|value| value["event"] == "paused"), "{all:?}");
    let end = net.ask(&["pause", "all"]);
    assert_eq!((end.code, end.out.as_str()), (0, ""), "{}", end.err);
    is("three", "state", json!("paused"));

    // Some of several.
    let end = net.ask(&["resume", "one", "thre", "--json"]);
    assert_eq!(end.code, 69, "{}", end.out);
    let all = values(&end.out);
    assert_eq!((&all[0]["event"], &all[1]["event"]), (&json!("resumed"), &json!("error")));
    let wanted = (&json!("not-found"), &json!("three"), &json!("thre"));
    assert_eq!((&all[1]["code"], &all[1]["near"], &all[1]["what"]), wanted);
    let end = net.ask(&["pause", "thre"]);
    assert_eq!(end.code, 4);
    assert!(end.err.contains("did you mean \"three\"?"), "{}", end.err);

    // With its data, and without.
    let begun = || fs::read_dir(net.place.path("Downloads")).unwrap().count();
    let before = begun();
    assert_eq!(net.does(&["remove", "one"])["data"], false);
    assert!(net.row("one").is_none());
    assert_eq!(begun(), before);
    assert_eq!(net.does(&["remove", "two", "--data"])["data"], true);
    assert!(net.row("two").is_none());
    net.until("deleted", |_| begun() < before);
    // What is left goes on to its end.
    net.does(&["limit", "--down", "none"]);
    net.does(&["resume", "all"]);
    net.until("done", |net| net.row("three").unwrap()["state"] == "sharing");
    assert_eq!(net.ask(&["pause", "three"]).code, 1);
    assert_eq!((net.other.stop(), net.seeder.stop()), (0, 0));
}

#[test]
fn c1_a_name_of_several_things_is_refused_with_all_of_them() {
    let place = Place::new();
    let peer = Running::start(place.command(&["--serve-only", "--host", "--json"]));
    for (n, dir) in (1..).zip(["a", "b"]) {
        fs::create_dir(place.path(dir)).unwrap();
        let path = place.write(&format!("{dir}/same"), &[n; 1000]);
        assert_eq!(place.run(&["share", &path, "--wait"]).code, 0);
    }
    let end = place.run(&["limit", "same", "--up", "1M", "--json"]);
    assert_eq!(end.code, 4, "{}", end.out);
    let error = values(&end.out).remove(0);
    assert_eq!(error["code"], "ambiguous");
    let candidates = error["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2);
    for candidate in candidates {
        let path = candidate["path"].as_str().unwrap();
        assert!(end.err.contains(path), "{}", end.err);
        // Each of both ways names one.
        for what in [path, candidate["id"].as_str().unwrap()] {
            assert_eq!(place.run(&["limit", what, "--up", "1M"]).code, 0, "{what}");
        }
    }
    // The same for every command that takes names.
    for args in [&["verify", "same"][..], &["unshare", "same"]] {
        let end = place.run(args);
        assert_eq!(end.code, 4, "{args:?}");
        assert!(end.err.contains("could be 2 things"), "{}", end.err);
    }
    assert_eq!(place.run(&["verify", "all"]).code, 0);
    assert_eq!(peer.stop(), 0);
    for args in [&["pause", "all"][..], &["limit", "--up", "1M"], &["leave"]] {
        let end = place.run(&[args, &["--json"]].concat());
        assert_eq!(end.code, 4, "{}", end.err);
        assert_eq!(values(&end.out)[0]["code"], "not-running");
    }
}

#[test]
fn c1_finished_files_are_deleted_only_by_data_and_yes_and_only_if_this_peer_fetched_them() {
    let net = Net::new("0");
    for (n, name) in (1..).zip(["one", "two"]) {
        net.share(name, n, 300_000);
    }
    let folder = net.place.path("tree");
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(folder.join("sub/x"), [9; 5000]).unwrap();
    fs::write(folder.join("y"), [8; 5000]).unwrap();
    assert_eq!(net.place.run(&["share", folder.to_str().unwrap(), "--wait"]).code, 0);
    let to = net.place.path("to");
    let args = ["get", "--wait", "one", "two", "tree", "-o", to.to_str().unwrap()];
    assert!(net.place.other("b", &net.seeder.ready, &args).status().unwrap().success());

    // Without --yes, and what was shared by the user's own word.
    let end = net.ask(&["remove", "one", "--data", "--json"]);
    assert_eq!(end.code, 2, "{}", end.err);
    assert_eq!(values(&end.out)[0]["code"], "needs-yes");
    let end = net.place.run(&["remove", "one", "--data", "--yes", "--json"]);
    assert_eq!(end.code, 77, "{}", end.err);
    assert_eq!(values(&end.out)[0]["code"], "permission");
    assert!(net.place.path("one").exists() && to.join("one").exists());
    // Without --data only the list forgets it.
    assert_eq!(net.does(&["remove", "one"])["data"], false);
    assert!(to.join("one").exists() && net.row("one").is_some());

    let removed = net.does(&["remove", "one", "--data", "--yes"]);
    assert_eq!((&removed["event"], &removed["data"]), (&json!("removed"), &json!(true)));
    assert!(!to.join("one").exists() && net.row("one").is_none());
    assert_eq!(net.ask(&["remove", "one", "--data", "--yes"]).code, 4);

    // What others have put into a folder stays, and so does what they changed.
    fs::write(to.join("tree/mine"), b"mine").unwrap();
    fs::write(to.join("tree/y"), b"other words").unwrap();
    let end = net.ask(&["remove", "tree", "--data", "--yes"]);
    assert_eq!(end.code, 77, "{} {}", end.out, end.err);
    assert!(end.err.contains("tree/y"), "{}", end.err);
    assert!(!to.join("tree/sub").exists());
    assert_eq!(fs::read(to.join("tree/mine")).unwrap(), b"mine");
    assert_eq!(fs::read(to.join("tree/y")).unwrap(), b"other words");

    // Part of what the user shares as well.
    let shared = net.ask(&["share", to.to_str().unwrap(), "--wait"]);
    assert_eq!(shared.code, 0, "{}", shared.err);
    let end = net.ask(&["remove", "two", "--data", "--yes"]);
    assert_eq!(end.code, 77, "{} {}", end.out, end.err);
    assert!(end.err.contains("is shared as well"), "{}", end.err);
    assert!(to.join("two").exists() && net.row("two").is_some());
    assert_eq!(net.ask(&["unshare", to.to_str().unwrap()]).code, 0);
    // A restart knows it all the same.
    assert_eq!(net.other.stop(), 0);
    let args = ["--serve-only", "--json"];
    let other = Running::start(net.place.other("b", &net.seeder.ready, &args));
    let net = Net { other, ..net };
    net.until("served", |net| net.row("two").is_some_and(|row| row["state"] == "sharing"));
    net.does(&["remove", "two", "--data", "--yes"]);
    assert!(!to.join("two").exists());
    assert_eq!((net.other.stop(), net.seeder.stop()), (0, 0));
}

#[test]
fn c1_peers_are_banned_and_the_network_left_from_the_shell() {
    let net = Net::new("64K");
    net.share("file", 1, 6 << 20);
    net.begin(&["file"]);
    let me = |args: &[&str]| {
        let end = net.ask(&[args, &["--json"]].concat());
        (end.code, values(&end.out))
    };
    net.until("known by name", |_| {
        let (code, connected) = me(&["peers", "--wait"]);
        code == 0 && connected[0]["nick"] == "ada"
    });
    let (_, connected) = me(&["peers"]);
    let key = connected[0]["peer"].as_str().unwrap().to_owned();

    assert_eq!(me(&["unban"]), (0, Vec::new()));
    let (code, banned) = me(&["ban", "ada", "--minutes", "10"]);
    assert_eq!((code, &banned[0]["event"], &banned[0]["peer"]), (0, &json!("banned"), &json!(key)));
    let (_, bans) = me(&["unban"]);
    assert_eq!((bans.len(), &bans[0]["peer"], &bans[0]["by_user"]), (1, &json!(key), &json!(true)));
    assert!(bans[0]["left_s"].as_u64().unwrap() > 500, "{bans:?}");
    assert_eq!(me(&["unban", &key[..8]]).0, 0);
    assert_eq!(me(&["unban"]), (0, Vec::new()));
    // For ever, by the key of somebody who is not here.
    let far = common::id::PeerId::from_bytes([7; 32]).to_string();
    assert_eq!(me(&["ban", &far]).1[0]["minutes"], Value::Null);
    assert_eq!(me(&["unban", &far]).0, 0);
    assert_eq!(me(&["unban", &far]).0, 4);
    let (code, missed) = me(&["ban", "nobody"]);
    assert_eq!((code, &missed[0]["code"]), (4, &json!("not-found")));

    assert_eq!(net.does(&["serve", "off"])["on"], false);
    assert_eq!(net.does(&["serve", "on"])["on"], true);
    assert_eq!(net.does(&["announce"])["event"], "announced");
    assert_eq!(net.does(&["leave"])["event"], "left");
    assert_eq!(net.status()["network"], "left");
    assert_eq!(net.ask(&["leave"]).code, 1);
    assert_eq!(net.does(&["rejoin"])["event"], "rejoining");
    net.until("there", |net| net.status()["network"] == "on");
    assert_eq!((net.other.stop(), net.seeder.stop()), (0, 0));
}

#[test]
fn c1_line_by_line_takes_the_same_words() {
    use crate::terminal::Terminal;
    let place = Place::new();
    let file = place.write("my file", &[3; 100_000]);
    let mut peer = Running::start(place.command(&["--serve-only", "--host", "--json", &file]));
    peer.expect("shared");
    // Pictures come a little later than events.
    assert_eq!(place.run(&["status", "--wait"]).code, 0);
    assert_eq!(place.run(&["ls", "my", "--wait"]).code, 0);
    let mut command = place.command(&["attach", "--plain"]);
    command.env("TERM", "dumb");
    let mut plain = Terminal::start(command, 120, 60);
    plain.sees("the peer runs on");
    plain.keys("limit \"my file\" --up 1M\r");
    plain.sees("Limits of my file: up 1024 KiB/s.");
    plain.keys("list\r");
    plain.sees("1. my file");
    plain.keys("limit 1 --up 2M\r");
    plain.sees("Limits of my file: up 2048 KiB/s.");
    plain.keys("pause my-file\r");
    plain.sees("did you mean \"my file\"?");
    plain.keys("help\r");
    plain.sees("announce: Ask the tracker now instead of at the next try.");
    plain.keys("remove 1 --data --yes\r");
    plain.sees("not fetched by this peer");
    plain.keys("quit\r");
    assert!(plain.wait().success());
    assert_eq!(place.run(&["status"]).code, 0);
    assert_eq!(peer.stop(), 0);
}
