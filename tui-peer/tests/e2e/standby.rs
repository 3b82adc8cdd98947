//! Two trackers with one key, the first of which is killed.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{Net, Program, same, tracker_binary};

/// A peer is at the next tracker within this time (PROTOCOL 9.6).
const SWITCH: Duration = Duration::from_secs(10);
/// And back at the first: one and a half of the 30 s after which it is looked for at the latest, and its own start.
const RETURN: Duration = Duration::from_secs(50);

/// Ports that nobody has now. The list of trackers names them before they listen.
fn free_ports() -> [u16; 2] {
    let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn tracker(net: &Net, state: &str, port: u16, trackers: &str) -> (Program, String) {
    let mut command = Command::new(tracker_binary());
    command.args(["--listen", &format!("127.0.0.1:{port}"), "--json", "--trackers", trackers]);
    command.arg("--state").arg(net.path(state)).env("HOME", net.temp.path());
    let mut program = Program::spawn(command);
    let ready = program.expect(|v| v["event"] == "ready");
    (program, ready["join"].as_str().unwrap().to_owned())
}

/// `status --json` of that peer, once `wanted` holds; and how long that took.
fn status(
    net: &Net,
    peer: &str,
    within: Duration,
    wanted: impl Fn(&serde_json::Value) -> bool,
) -> Duration {
    let began = Instant::now();
    loop {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tui-peer"));
        command.args(["status", "--json", "--state"]).arg(net.path(&format!("{peer}.state")));
        let output = command.env("HOME", net.temp.path()).output().unwrap();
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if wanted(&status) {
            return began.elapsed();
        }
        assert!(began.elapsed() < within, "{peer} after {:?}: {status}", began.elapsed());
    }
}

/// `cargo test -p tui-peer --test e2e standby -- --ignored --nocapture` (a minute)
#[test]
#[ignore = "waits as long as in earnest: a minute"]
fn b4_the_first_tracker_is_killed_all_are_at_the_second_and_return() {
    let mut net = Net::start();
    net.kill_tracker();
    let ports = free_ports();
    let list = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
    let (first, join) = tracker(&net, "tracker", ports[0], &list);
    // The second has the key, as `export` and `import` bring it.
    std::fs::create_dir_all(net.path("second")).unwrap();
    std::fs::copy(net.path("tracker/tracker.key"), net.path("second/tracker.key")).unwrap();
    let (_second, _) = tracker(&net, "second", ports[1], &list);
    assert!(join.contains(&list), "{join}");
    net.join = join;

    let file = net.file("big.bin", 64 << 20, 4);
    let other = net.file("other.bin", 1000, 5);
    // A `get` cannot be asked; it is listed as a source below.
    let names = ["s", "t"];
    let _seeder = net.seeder(names[0], &file, &["--up", "3M"]);
    let _member = net.seeder(names[1], &other, &[]);
    let mut getter = net.peer("l", &["get", "--seed", "big.bin"]);
    getter.expect(|v| v["event"] == "progress" && v["have"].as_u64() > Some(0));

    first.kill();
    let killed = Instant::now();
    for name in names {
        let left = SWITCH.saturating_sub(killed.elapsed());
        status(&net, name, left, |v| v["tracker_place"] == 2 && v["tracker_back_why"].is_null());
        println!("{name} at the second {:.1} s after the kill", killed.elapsed().as_secs_f64());
    }
    // All are there with what they share.
    for (name, sources) in [("big.bin", 2), ("other.bin", 1)] {
        let (rows, code) = net.peer("ls", &["ls", name]).finish();
        assert_eq!((code, &rows[0]["sources"]), (0, &sources.into()), "{rows:?}");
    }
    // It is said that the first is looked for in vain.
    status(&net, names[0], RETURN, |v| v["tracker_back_why"].is_string());
    let (_first, _) = tracker(&net, "tracker", ports[0], &list);
    let back = Instant::now();
    for name in names {
        let left = RETURN.saturating_sub(back.elapsed());
        status(&net, name, left, |v| v["tracker_place"] == 1);
        println!("{name} at the first {:.1} s after its start", back.elapsed().as_secs_f64());
    }
    getter.expect(|v| v["event"] == "done");
    same(&file, &net.downloaded("l", "big.bin"));
}
