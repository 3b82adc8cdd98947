//! A first start that is killed, or finds no room, at any of its system calls: the second one works.

use super::program::{Place, Running};
use super::traced::{Plan, start, whole};

/// Calls that change something on a disk, and the opening of what is changed.
const CALLS: [&str; 16] = [
    "openat",
    "mkdir",
    "write",
    "pwrite64",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "fchmod",
    "chmod",
    "flock",
];

fn is_ready(line: &str) -> bool {
    let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    value["event"] == "ready"
}

#[test]
fn f6_a_first_start_that_is_killed_or_finds_no_room_can_be_repeated() {
    let plan = Plan { calls: &CALLS, some: 5, next: |when| when + 1 + when / 2 };
    plan.carry_out(|broken| {
        let place = Place::new();
        let plain = place.command(&["--serve-only", "--json"]);
        let made = start(&plain, &place.path("trace"), broken, is_ready);
        made.then(|| second_start(&place))
    });
}

/// Whether it starts and ends as if nothing had been.
fn second_start(place: &Place) -> Result<(), String> {
    let end = place.run(&["verify", "--json"]);
    if end.code != 0 {
        return Err(format!("{}: {}", end.code, end.err));
    }
    let peer = Running::start(place.command(&["--serve-only", "--json"]));
    match peer.stop() {
        0 => whole(&place.path(".local/state/shoal")),
        code => Err(format!("ended with {code}")),
    }
}
