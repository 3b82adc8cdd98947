//! A peer as a service: signals, the service manager, the journal.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::program::{PATIENCE, Place, Running};

const SERVE: [&str; 3] = ["--serve-only", "--host", "--json"];

#[test]
fn signals_reload_report_and_change_the_log() {
    let place = Place::new();
    place.config("up = \"1M\"\n");
    let mut peer = Running::logged(place.command(&SERVE));
    assert_eq!(peer.ready["schema"], 1);
    peer.signal(Signal::USR1);
    let stats = peer.expect("stats");
    assert_ne!(stats["network"], "none");
    assert_eq!(stats["up"], 0);
    assert!(peer.log("stats:").contains("INFO"));
    place.config("up = \"2M\"\nnick = \"new\"\n");
    peer.signal(Signal::HUP);
    peer.log("nick changed: takes effect at the next start");
    peer.log("settings read again: limits 2097152 B/s up");
    place.config("upp = 1\n");
    peer.signal(Signal::HUP);
    assert_eq!(peer.expect("error")["code"], "config");
    for level in ["debug", "error", "warn"] {
        peer.signal(Signal::USR2);
        peer.log(&format!("log level {level}"));
    }
    peer.signal(Signal::PIPE);
    assert_eq!(peer.stop(), 0);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let place = Place::new();
    let file = place.write("file", &vec![3; 4 << 20]);
    let args = ["--serve-only", "--host", "--json", "--up", "64K", &file];
    let mut peer = Running::logged(place.command(&args));
    peer.expect("shared");
    let mut get = Running::start(place.other("b", &peer.ready, &["get", "file", "--json"]));
    get.expect("progress");
    peer.signal(Signal::TERM);
    peer.log("stopping");
    peer.signal(Signal::INT);
    assert_eq!(peer.wait(), 130);
}

/// The engine's front end is stuck in a write that nobody reads: nothing but the signal can end it.
#[cfg(target_os = "linux")]
#[test]
fn f3_the_second_signal_ends_a_program_that_is_stuck() {
    const PIPE: usize = 4096;
    let place = Place::new();
    let mut args = vec!["--serve-only", "--host", "--json"];
    let write = |n| place.write(&format!("f{n}"), format!("bytes of {n}").as_bytes());
    let files: Vec<String> = (0..100).map(write).collect();
    args.extend(files.iter().map(String::as_str));
    let mut command = place.command(&args);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let out = child.stdout.take().unwrap();
    rustix::pipe::fcntl_setpipe_size(&out, PIPE).unwrap();
    let end = Instant::now() + PATIENCE;
    // A line is written as a whole or not at all; none is as long as that. What was said by now, as the log
    // has it, is more than three times what fits.
    let log = place.path(".local/state/shoal/log/shoal.log");
    let said = || std::fs::read_to_string(&log).unwrap_or_default().matches("shared: ").count();
    let full = || rustix::io::ioctl_fionread(&out).unwrap() >= PIPE as u64 - 512;
    while !full() || said() < files.len() {
        assert!(Instant::now() < end, "it does not fill the pipe");
        std::thread::sleep(Duration::from_millis(10));
    }
    // Two that come at once are one; the next is the second.
    let pid = rustix::process::Pid::from_child(&child);
    let began = Instant::now();
    let status = loop {
        let _ = rustix::process::kill_process(pid, Signal::TERM);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let stuck = began.elapsed() > Duration::from_secs(20);
        if stuck {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(!stuck, "it does not end");
        std::thread::sleep(Duration::from_millis(50));
    };
    use std::os::unix::process::ExitStatusExt as _;
    // The handler of the language may find the output locked: then it is killed.
    assert!(status.code() == Some(143) || status.signal() == Some(9), "{status:?}");
}

/// The next datagram that contains `wanted`.
fn hears(socket: &UnixDatagram, wanted: &str) -> String {
    loop {
        let mut buffer = [0; 4096];
        let n = socket.recv(&mut buffer).unwrap_or_else(|_| panic!("never heard {wanted}"));
        let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
        if text.contains(wanted) {
            return text;
        }
    }
}

#[test]
fn the_service_manager_is_told() {
    let place = Place::new();
    let path = place.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let hears = |wanted: &str| hears(&socket, wanted);
    let mut command = place.command(&SERVE);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let peer = Running::start(command);
    let ready = hears("READY=1");
    assert!(ready.contains("STATUS=") && ready.contains("tracker ok"), "{ready}");
    hears("WATCHDOG=1");
    hears("WATCHDOG=1");
    peer.signal(Signal::HUP);
    let reloading = hears("RELOADING=1");
    let at = reloading.split("MONOTONIC_USEC=").nth(1).unwrap().trim();
    assert!(at.parse::<u64>().unwrap() > 0);
    hears("READY=1");
    peer.signal(Signal::TERM);
    hears("STOPPING=1");
    assert_eq!(peer.wait(), 0);
}

#[test]
fn ready_does_not_wait_for_a_tracker_that_is_gone() {
    let place = Place::new();
    let path = place.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let gone = place.gone_tracker();
    let mut command = place.command(&["--serve-only", "--json"]);
    command.env("NOTIFY_SOCKET", &path).env("SHOAL_TRACKER", gone);
    let peer = Running::start(command);
    let text = hears(&socket, "READY=1");
    assert!(text.contains("tracker never reached"), "{text}");
    assert_eq!(peer.stop(), 0);
}

#[test]
fn a_required_tracker_that_is_gone_has_its_own_code() {
    let place = Place::new();
    let args = ["--serve-only", "--require-tracker", "--json"];
    assert_eq!(place.run(&args).code, 3);
    let gone = place.gone_tracker();
    let end = place.run_with(&args, &[("SHOAL_TRACKER", &gone)]);
    assert_eq!(end.code, 3, "{}", end.err);
    assert!(end.out.contains("\"code\":\"tracker\""), "{}", end.out);
}

#[test]
fn the_journal_gets_priorities_and_no_times() {
    let place = Place::new();
    let log = place.path("log");
    let file = fs::File::create(&log).unwrap();
    let meta = file.metadata().unwrap();
    let mut command = place.command(&["--serve-only", "--host", "--json", "/nowhere"]);
    command.env("JOURNAL_STREAM", format!("{}:{}", meta.dev(), meta.ino())).stderr(file);
    let mut peer = Running::start(command);
    peer.expect("error");
    assert_eq!(peer.stop(), 69);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.lines().all(|line| line.starts_with('<') && line[2..].starts_with('>')), "{text}");
    assert!(text.contains("<3>shoal: cannot share /nowhere"), "{text}");

    // Told otherwise.
    let mut command = place.command(&["--serve-only", "--host", "--json", "--log-format", "json"]);
    command.env("JOURNAL_STREAM", "1:1").stderr(fs::File::create(&log).unwrap());
    assert_eq!(Running::start(command).stop(), 0);
    let text = fs::read_to_string(&log).unwrap();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        assert!(value["time"].is_string() && value["message"].is_string(), "{line}");
    }
    assert!(!text.is_empty());
}

/// Most exposure that `systemd-analyze security` may find in a unit of the system, in tenths.
const EXPOSED: &str = "35";

fn unit(name: &str) -> (String, String) {
    let path = format!("{}/../assets/{name}.service", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).unwrap();
    (path, text)
}

#[test]
fn the_unit_files_fit_the_program() {
    for name in ["shoal", "shoal-user"] {
        let (_, unit) = unit(name);
        let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        let place = Place::new();
        let args: Vec<&str> = start.split_whitespace().skip(2).collect();
        // Every option is known: what is missing is only the network.
        let end = place.run_with(&args, &[("SHOAL_REQUIRE_TRACKER", "1")]);
        assert_eq!(end.code, 3, "{start}: {}", end.err);
        // systemd 252 does not know notify-reload.
        for line in ["Type=notify\n", "ExecReload=", "WatchdogSec="] {
            assert!(unit.contains(line), "{name}: {line}");
        }
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "what is not tried here is said")]
fn h11_the_units_of_the_system_are_hardened() {
    for name in ["shoal", "shoal-tracker"] {
        let (path, text) = unit(name);
        // What is at hand is asked of netlink; without it relayed and local peers are judged wrongly.
        assert!(text.contains("AF_NETLINK"), "{name}");
        let mut command = std::process::Command::new("systemd-analyze");
        command.args(["security", "--offline=yes", "--no-pager", "--threshold", EXPOSED, &path]);
        match command.output() {
            Ok(end) => {
                let said = String::from_utf8_lossy(&end.stdout);
                assert!(
                    end.status.success(),
                    "{name}: {}",
                    said.lines().last().unwrap_or_default()
                );
            }
            Err(_) => eprintln!("SKIPPED: systemd-analyze is not installed"),
        }
    }
}

#[test]
fn shells_complete_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let end = place.run(&["completions", shell]);
        assert_eq!(end.code, 0, "{}", end.err);
        for command in ["status", "unshare", "take-over"] {
            assert!(end.out.contains(command), "{shell}: {command}");
        }
    }
    assert_eq!(place.run(&["completions", "word"]).code, 2);
}
