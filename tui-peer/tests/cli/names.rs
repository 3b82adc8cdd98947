//! Names and paths in JSON are what they are; searches mean what they say.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;

use serde_json::{Value, json};

use crate::program::{Place, Running, values};

#[test]
fn h9_json_has_the_whole_name_beside_the_one_to_show() {
    let place = Place::new();
    let name = format!("a\u{1b}[31m{}", "x".repeat(240));
    let file = place.write(&name, b"odd");
    let mut peer = Running::start(place.command(&["--serve-only", "--host", "--json", &file]));
    let is_whole = |value: &Value| {
        assert_eq!(value["name"], json!(name), "{value}");
        let shown = value["shown"].as_str().unwrap();
        assert!(shown.starts_with("a\\u{1b}[31mx") && shown.ends_with('…'), "{shown}");
        assert!(value["path"].is_null() || value["path"] == json!(file), "{value}");
    };
    is_whole(&peer.expect("shared"));
    is_whole(&values(&place.run(&["ls", "--wait", "--json"]).out)[0]);
    is_whole(&values(&place.run(&["status", "--json"]).out)[0]["transfers"][0]);
    is_whole(&values(&place.run(&["share", "--wait", "--json", &file]).out)[0]);
    is_whole(&values(&place.run(&["hash", "--json", &file]).out)[0]);
    // What JSON said is a name that commands take.
    is_whole(&values(&place.run(&["verify", "--json", &name]).out)[0]);
    let mut get = Running::start(place.other("b", &peer.ready, &["get", &name, "--json"]));
    let done = get.expect("done");
    assert_eq!(fs::read(done["path"].as_str().unwrap()).unwrap(), b"odd");
    assert_eq!(get.wait(), 0);
    is_whole(&values(&place.run(&["unshare", "--json", &name]).out)[0]);
    assert_eq!(peer.stop(), 0);
    is_whole(&values(&place.run(&["share", "--json", &file]).out)[0]);
    is_whole(&values(&place.run(&["verify", "--json"]).out)[0]);
}

#[cfg(target_os = "linux")]
#[test]
fn h9_no_byte_of_a_path_is_lost() {
    let place = Place::new();
    let path = place.path("d").into_os_string().into_vec();
    let path = OsString::from_vec([path, b"\\\xff".to_vec()].concat());
    fs::write(&path, b"x").unwrap();
    let mut command = place.command(&["hash", "--json"]);
    let end = command.arg(&path).output().unwrap();
    let hashed = values(&String::from_utf8(end.stdout).unwrap()).remove(0);
    assert_eq!(hashed["path_escaped"], true, "{hashed}");
    // As the guide says.
    let escaped = hashed["path"].as_str().unwrap();
    let mut printf = std::process::Command::new("/bin/bash");
    let back = printf.args(["-c", "printf %b \"$1\"", "-", escaped]).output().unwrap();
    assert_eq!(OsString::from_vec(back.stdout), path, "{escaped}");
}

#[test]
fn h9_ls_speaks_the_language_of_the_filter_or_says_what_it_did_not_understand() {
    let place = Place::new();
    let large = place.write("Large.iso", &[1; 300_000]);
    let small = place.write("small.txt", b"s");
    let args = ["--serve-only", "--host", "--json", &large, &small];
    let mut peer = Running::start(place.command(&args));
    peer.expect("shared");
    peer.expect("shared");
    // The catalogue comes a little later.
    for name in ["large", "small"] {
        assert_eq!(place.run(&["ls", "--wait", name]).code, 0);
    }
    let found = |query: &str| -> Vec<String> {
        let end = place.run(&["ls", "--json", query]);
        assert_eq!(end.code, 0, "{query}: {}", end.err);
        values(&end.out).iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(found(""), ["Large.iso", "small.txt"]);
    for query in ["size:>100K", "LARGE", "type:iso", "!small", "~lgiso", "large|zip", "\"Large\""] {
        assert_eq!(found(query), ["Large.iso"], "{query}");
    }
    assert_eq!(found("state:sharing size:<1K"), ["small.txt"]);
    assert_eq!(found("src:>5"), [""; 0]);
    for (query, word) in [
        ("small siez:>1G", "siez:>1G"),
        ("size:big", "size:big"),
        ("age:", "age:"),
        ("peer:", "peer:"),
    ] {
        let end = place.run(&["ls", "--json", query]);
        assert_eq!(end.code, 64, "{query}: {}", end.err);
        assert!(end.err.contains(word), "{query}: {}", end.err);
        assert_eq!(values(&end.out)[0]["code"], "query", "{}", end.out);
    }
    // Also where no peer runs.
    assert_eq!(peer.stop(), 0);
    assert_eq!(place.run(&["ls", "siez:1"]).code, 64);
}
