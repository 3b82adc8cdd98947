//! Folders that are shared while something comes into them.

use std::fs;
use std::time::Instant;

use serde_json::{Value, json};

use crate::program::{PATIENCE, Place, Running, values};

struct Net {
    place: Place,
    owner: Running,
    folder: String,
}

impl Net {
    /// A peer that hosts a network.
    fn new() -> Self {
        let place = Place::new();
        let owner = Running::start(place.command(&["--serve-only", "--host", "--json"]));
        fs::create_dir(place.path("photos")).unwrap();
        let folder = place.path("photos").to_str().unwrap().to_owned();
        let net = Self { place, owner, folder };
        net.put("a", b"a file");
        net
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        self.place.write(&format!("photos/{name}"), bytes);
    }

    fn does(&self, args: &[&str]) -> String {
        let end = self.place.run(args);
        assert_eq!(end.code, 0, "{args:?}: {} {}", end.out, end.err);
        end.out
    }

    /// The row of the folder in `status`, once it is as it should be.
    fn row(&self, fits: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = values(&self.does(&["status", "--json"])).remove(0);
            let rows = status["transfers"].as_array().unwrap();
            let row = rows.iter().find(|row| row["path"] == json!(self.folder));
            if let Some(row) = row.filter(|row| fits(row)) {
                return row.clone();
            }
            assert!(Instant::now() < end, "{status}");
        }
    }

    /// What another peer has once it fetched the folder by its name or id.
    fn fetched(&self, what: &str, dir: &str, fits: impl Fn(&[String]) -> bool) {
        let end = Instant::now() + PATIENCE;
        loop {
            let to = self.place.path(&format!("from-{dir}"));
            let args =
                ["get", what, "--wait", "--timeout", "30", "--json", "-o", to.to_str().unwrap()];
            let got = self.place.other(dir, &self.owner.ready, &args).output().unwrap();
            if got.status.success() {
                let done = values(&String::from_utf8(got.stdout).unwrap());
                let done = done.iter().find(|value| value["event"] == "done").unwrap();
                let entries = fs::read_dir(done["path"].as_str().unwrap()).unwrap();
                let mut names: Vec<String> = entries
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .collect();
                names.sort_unstable();
                assert!(fits(&names), "{names:?}");
                return;
            }
            let err = String::from_utf8_lossy(&got.stderr);
            assert!(Instant::now() < end, "{err}");
        }
    }
}

#[test]
fn c7_a_new_file_in_a_shared_folder_is_told_within_the_look_and_shared_when_asked() {
    let net = Net::new();
    net.does(&["share", &net.folder, "--wait"]);
    let first = net.row(|row| row["state"] == "sharing");
    assert_eq!(first["news"], Value::Null);
    let came = Instant::now();
    net.put("b", b"another");
    let row = net.row(|row| row["news"]["new"] == 1);
    assert!(came.elapsed().as_secs() < 35, "{:?}", came.elapsed());
    assert_eq!((&row["id"], &row["news"]["watched"]), (&first["id"], &json!(false)));
    let short = &row["id"].as_str().unwrap()[..8];
    let says = net.does(&["status"]);
    assert!(
        says.contains(&format!("1 new on disk; tui-peer rescan {short} shares it so")),
        "{says}"
    );
    net.fetched("photos", "before", |names| names == ["a"]);

    let said = values(&net.does(&["rescan", "photos", "--json"])).remove(0);
    assert_eq!((&said["event"], &said["name"]), (&json!("rescanning"), &json!("photos")));
    let second = net.row(|row| row["id"] != first["id"] && row["news"] == Value::Null);
    // Whoever fetched the state before calls it so too: the id tells them apart.
    net.fetched(second["id"].as_str().unwrap(), "after", |names| names == ["a", "b"]);
    // The same by its path.
    net.put("c", b"one more");
    let shared = values(&net.does(&["share", &net.folder, "--wait", "--json"])).remove(0);
    net.row(|row| row["id"] == shared["id"] && shared["id"] != first["id"]);
    assert_eq!(net.place.run(&["rescan", "nothing"]).code, 4);
    assert_eq!(net.owner.stop(), 0);
}

#[test]
fn c7_what_comes_into_a_watched_folder_can_be_fetched_by_its_name() {
    let net = Net::new();
    net.does(&["share", &net.folder, "--watch", "--wait"]);
    let first = net.row(|row| row["news"]["watched"] == true);
    net.put("b", b"another");
    let next = net.row(|row| row["id"] != first["id"] && row["state"] == "sharing");
    assert_eq!((&next["news"]["watched"], &next["news"]["new"]), (&json!(true), &json!(0)));
    net.fetched("photos", "peer", |names| names == ["a", "b"]);
    net.does(&["share", &net.folder, "--no-watch"]);
    net.row(|row| row["news"] == Value::Null);
    assert_eq!(net.owner.stop(), 0);
}

#[test]
fn c7_a_folder_is_watched_by_a_setting_and_without_a_running_peer() {
    let place = Place::new();
    fs::create_dir(place.path("photos")).unwrap();
    place.write("photos/a", b"a file");
    let folder = place.path("photos").to_str().unwrap().to_owned();
    let watched = |peer: &Running| {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = values(&place.run(&["status", "--json"]).out).remove(0);
            let row = status["transfers"][0].clone();
            if row["state"] == "sharing" {
                return row["news"]["watched"] == true;
            }
            assert!(Instant::now() < end && peer.pid() > 0, "{status}");
        }
    };
    let end = place.run(&["share", "--watch", &folder]);
    assert_eq!(end.code, 0, "{}", end.err);
    let peer = Running::start(place.command(&["--serve-only", "--host", "--json"]));
    assert!(watched(&peer));
    assert_eq!(peer.stop(), 0);
    assert_eq!(place.run(&["unshare", "photos"]).code, 0);
    let mut peer = Running::start(place.command(&["--serve-only", "--host", "--json", &folder]));
    peer.expect("shared");
    assert!(!watched(&peer), "that ended with the share");
    assert_eq!(peer.stop(), 0);
    assert_eq!(place.run(&["unshare", "photos"]).code, 0);
    place.config("watch = true\n");
    let mut peer = Running::start(place.command(&["--serve-only", "--host", "--json", &folder]));
    peer.expect("shared");
    assert!(watched(&peer));
    assert_eq!(peer.stop(), 0);
}
