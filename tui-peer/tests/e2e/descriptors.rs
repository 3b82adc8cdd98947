//! Programs that may not open one file more, for a while.
#![cfg(target_os = "linux")]

use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;

use super::MIB;
use super::harness::{Net, Program, same};

/// No new descriptor is below it.
const NONE: u64 = 3;

/// Sets the limit of open files of a running program, and returns the old one.
fn limit(program: &Program, files: u64) -> u64 {
    let pid = Pid::from_raw(i32::try_from(program.pid()).unwrap());
    // Only the soft limit: anybody may raise it again.
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum;
    let old = prlimit(pid, Resource::Nofile, Rlimit { current: Some(files), maximum: hard });
    old.unwrap().current.unwrap_or(u64::MAX)
}

fn getting(line: &Value) -> bool {
    line["event"] == "progress" && line["have"].as_u64() > Some(0)
}

#[test]
fn f9_a_seeder_short_of_descriptors_is_not_banned() {
    let net = Net::start();
    // Each to be opened by itself, and more than are kept open.
    for n in 0..400 {
        net.file(&format!("many/{n}"), 70_000, n);
    }
    let seeder = net.seeder("s", &net.path("many"), &["--up", "4M"]);
    let mut getter = net.peer("l", &["get", "many"]);
    getter.expect(getting);
    let before = limit(&seeder, NONE);
    // That long it serves nothing.
    std::thread::sleep(Duration::from_secs(4));
    limit(&seeder, before);
    let (lines, code) = getter.finish();
    let banned = |v: &&Value| v.to_string().contains("banned");
    assert_eq!(lines.iter().find(banned), None);
    assert_eq!(code, 0, "{lines:?}");
    for n in 0..400 {
        same(&net.path(&format!("many/{n}")), &net.downloaded("l", &format!("many/{n}")));
    }
}

#[test]
fn f9_a_download_that_cannot_open_its_file_waits_until_it_can() {
    let net = Net::start();
    let first = net.file("first.bin", 8 * MIB, 1);
    let _seeder = net.seeder("s", &first, &["--up", "1M"]);
    let mut getter = net.peer("l", &["get", "first.bin", "later.bin", "--wait"]);
    getter.expect(getting);
    let before = limit(&getter, NONE);
    let later = net.file("later.bin", 300_000, 2);
    let share = Command::new(env!("CARGO_BIN_EXE_tui-peer"))
        .args(["share", later.to_str().unwrap(), "--state"])
        .arg(net.path("s.state"))
        .env("HOME", net.temp.path())
        .output()
        .unwrap();
    assert!(share.status.success(), "{share:?}");
    let error = getter.expect(|v| v["event"] == "error");
    assert_eq!(error["code"], "disk-blocked", "{error}");
    assert!(error["message"].as_str().unwrap().contains("too many files are open"), "{error}");
    limit(&getter, before);
    let (lines, code) = getter.finish();
    assert_eq!(code, 0, "{lines:?}");
    same(&first, &net.downloaded("l", "first.bin"));
    same(&later, &net.downloaded("l", "later.bin"));
}
