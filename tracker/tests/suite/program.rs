//! The program as people start it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Client, Who};
use common::join::JoinString;
use common::tracker_hosts::{Listed, TrackerHosts};
use common::wire::tracker::Reply;

pub(crate) fn tracker(state: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracker"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SHOAL_")) {
        command.env_remove(name);
    }
    command.args(args).arg("--state").arg(state).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A started program, killed at the end whatever happens.
pub(crate) struct Program(pub(crate) Child, BufReader<ChildStdout>);

impl Program {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self(child, out)
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn failure(mut command: Command, code: i32) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(code), "{stderr}");
    assert!(stdout.is_empty());
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr
}

#[tokio::test]
async fn it_prints_how_to_join_and_leaves_politely() {
    let dir = tempfile::tempdir().unwrap();
    for (signal, args) in [("TERM", vec![]), ("INT", vec!["--public", "tracker.lab"])] {
        let args = [&["--listen", "127.0.0.1:0"], args.as_slice()].concat();
        let mut command = tracker(dir.path(), &args);
        let json = signal == "TERM";
        command.env("SHOAL_JSON", if json { "1" } else { "0" });
        if json {
            command.env("SHOAL_METRICS", "127.0.0.1:0");
        }
        let mut program = Program::start(command);
        let line = program.line();
        let join: JoinString = if json {
            let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(ready["event"], "ready");
            let join: JoinString = ready["join"].as_str().unwrap().parse().unwrap();
            assert_eq!(ready["addr"], join.address());
            let metrics = ready["metrics"].as_str().unwrap();
            assert!(std::net::TcpStream::connect(metrics).is_ok(), "{metrics}");
            join
        } else {
            let join: JoinString = line.strip_prefix("join ").unwrap().parse().unwrap();
            assert_eq!(join.host(), "tracker.lab");
            JoinString::new(join.tracker(), "127.0.0.1", join.port(), None).unwrap()
        };
        let (mut peer, _) = Client::connect(&join, &Who::new(1)).await;
        let start = Instant::now();
        program.signal(signal);
        assert!(matches!(peer.receive().await, Reply::Goaway { .. }));
        assert!(program.0.wait().unwrap().success());
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn what_stands_in_the_way_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Program::start(tracker(&dir.path().join("a"), &["--listen", "127.0.0.1:0"]));
    let line = first.line();
    let join: JoinString = line.strip_prefix("join ").unwrap().parse().unwrap();

    let taken = failure(tracker(&dir.path().join("b"), &["--listen", &join.address()]), 98);
    assert!(taken.contains(&join.address()) && taken.contains("--listen"), "{taken}");
    let locked = failure(tracker(&dir.path().join("a"), &["--listen", "127.0.0.1:0"]), 75);
    assert!(locked.contains("another tracker") && locked.contains("--state"), "{locked}");
    let blocked = dir.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let blocked = failure(tracker(&blocked.join("state"), &["--listen", "127.0.0.1:0"]), 73);
    assert!(blocked.contains("file/state"), "{blocked}");
    let usage = tracker(dir.path(), &["--listen", "nowhere"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn a_secret_is_kept_for_the_next_start_and_can_be_given_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let join_of = |command| {
        let mut program = Program::start(command);
        let line = program.line();
        line.strip_prefix("join ").unwrap().parse::<JoinString>().unwrap()
    };
    let args = ["--listen", "127.0.0.1:0", "--admission", "secret", "--show-secret"];
    let first = join_of(tracker(&state, &args));
    let secret = first.secret().unwrap().clone();
    // The same by way of the environment.
    let mut command = tracker(&state, &["--listen", "127.0.0.1:0"]);
    command.env("SHOAL_ADMISSION", "secret").env("SHOAL_SHOW_SECRET", "1");
    assert_eq!(join_of(command).secret(), Some(&secret));
    assert_eq!(join_of(tracker(&state, &["--listen", "127.0.0.1:0"])).secret(), None);

    let file = dir.path().join("secret");
    std::fs::write(&file, "chosen by the operator\n").unwrap();
    let path = file.to_str().unwrap();
    let args = ["--listen", "127.0.0.1:0", "--show-secret", "--secret-file", path];
    let exposed = failure(tracker(&state, &args), 65);
    assert!(exposed.contains("chmod 600") && !exposed.contains("chosen"), "{exposed}");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, mode).unwrap();
    assert_eq!(
        join_of(tracker(&state, &args)).secret().unwrap().expose(),
        "chosen by the operator"
    );
}

#[test]
fn a_second_signal_does_not_wait() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Program::start(tracker(dir.path(), &["--listen", "127.0.0.1:0", "--json"]));
    program.line();
    program.signal("TERM");
    program.signal("INT");
    // Whichever is seen first: it ends at once, as a success or with the number of the second signal.
    let status = program.0.wait().unwrap();
    assert!(matches!(status.code(), Some(0 | 130 | 143)), "{status}");
    let mut log = String::new();
    program.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("stopping"), "{log}");
}

#[test]
fn s11_the_secret_stands_in_no_log_and_can_be_asked_for() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    // Nothing has started here yet.
    let early = failure(tracker(&state, &["join"]), 74);
    assert!(early.contains("join.txt") && early.contains("start the tracker"), "{early}");
    let secret_of = |line: &str| -> Option<String> {
        let join: JoinString = line.trim().parse().unwrap();
        join.secret().map(|secret| secret.expose().to_owned())
    };
    for json in [false, true] {
        let mut args = vec!["--listen", "127.0.0.1:0", "--admission", "secret"];
        if json {
            args.push("--json");
        }
        let mut program = Program::start(tracker(&state, &args));
        let line = program.line();
        let shown = if json {
            let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
            ready["join"].as_str().unwrap().to_owned()
        } else {
            line.strip_prefix("join ").unwrap().to_owned()
        };
        assert_eq!(secret_of(&shown), None, "standard output is no terminal here");
        // While it runs, and after it.
        let ask = |args: &[&str]| {
            let out = tracker(&state, args).output().unwrap();
            assert!(out.status.success());
            String::from_utf8(out.stdout).unwrap()
        };
        let whole = ask(&["join"]);
        let secret = secret_of(&whole).expect("with the secret");
        assert!(whole.starts_with(shown.trim()), "{shown} {whole}");
        let object: serde_json::Value = serde_json::from_str(&ask(&["join", "--json"])).unwrap();
        assert_eq!(object["join"], whole.trim());
        let kept = state.join("join.txt");
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), whole);
        assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o7777, 0o600);
        program.signal("TERM");
        assert!(program.0.wait().unwrap().success());
        assert_eq!(ask(&["join"]), whole);
        let mut log = String::new();
        program.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(!log.contains(&secret) && log.contains("tracker join --state"), "{log}");
    }
}

/// No room from the start: whatever the limit is, the start with room works. Every file of a first start is cut
/// somewhere by one of them.
#[test]
fn f6_a_first_start_without_room_can_be_repeated() {
    let binary = env!("CARGO_BIN_EXE_tracker");
    let mut failed = 0;
    for blocks in [0, 1, 2, 4, 8, 64, 1024, 2048, 4096] {
        let dir = tempfile::tempdir().unwrap();
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let mut limited = Command::new("sh");
        limited.args(["-c", &script, binary, "--listen", "127.0.0.1:0", "--admission", "secret"]);
        limited.arg("--state").arg(dir.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut first = Program::start(limited);
        // It says how to join, or it ends; then it is killed.
        failed += usize::from(first.line().is_empty());
        drop(first);
        let args = ["--listen", "127.0.0.1:0", "--admission", "secret", "--show-secret"];
        let mut second = Program::start(tracker(dir.path(), &args));
        let line = second.line();
        assert!(line.contains("secret="), "{blocks} blocks: {line}");
    }
    assert!(failed >= 3, "{failed}");
}

/// What a first start leaves that is killed before it has written anything into the file it made; the older
/// program made all of them in place.
#[test]
fn f6_empty_files_of_a_killed_first_start_count_as_absent() {
    for names in [
        &["tracker.key"][..],
        &["network.secret"],
        &["tracker.redb"],
        &["join.txt", "join.txt.new", "tracker.key.new", "network.secret.new"],
        &["tracker.key", "network.secret", "tracker.redb"],
    ] {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join(name);
            std::fs::write(&path, b"").unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&path, mode).unwrap();
        }
        let args = ["--listen", "127.0.0.1:0", "--admission", "secret", "--show-secret"];
        let mut program = Program::start(tracker(dir.path(), &args));
        let line = program.line();
        assert!(line.contains("secret="), "{names:?}: {line}");
        let left = |name: &&str| name.ends_with(".new") && dir.path().join(name).exists();
        assert!(!names.iter().any(left), "{names:?}");
    }
}

#[test]
fn b1_trackers_of_a_network_stand_in_the_join_string_in_their_order() {
    let state = tempfile::tempdir().unwrap();
    let listen = ["--listen", "127.0.0.1:0"];
    let trackers = ["--trackers", "a.lab,b.lab:443"];
    let mut program = Program::start(tracker(state.path(), &[&listen[..], &trackers[..]].concat()));
    let line = program.line();
    assert!(line.trim().ends_with("@a.lab:7420,b.lab:443"), "{line}");
    let signed = std::fs::read(state.path().join("tracker.hosts")).unwrap();
    let join: JoinString = line.trim().strip_prefix("join ").unwrap().parse().unwrap();
    let list = TrackerHosts::verify(&signed, &join.tracker()).unwrap();
    assert_eq!(list.listed(), Listed::Trackers);
    assert_eq!(list.hosts(), [("a.lab".to_owned(), 7420), ("b.lab".to_owned(), 443)]);
    drop(program);
    let both = [&listen[..], &trackers[..], &["--public", "c.lab"]].concat();
    let out = tracker(state.path(), &both).output().unwrap();
    assert_eq!(out.status.code(), Some(2), "{}", String::from_utf8_lossy(&out.stderr));
    let many = [&listen[..], &["--trackers", "a,b,c,d,e,f,g,h,i"]].concat();
    let out = tracker(state.path(), &many).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("--trackers names 9 hosts, the most is 8"), "{said}");
}

#[test]
fn all_hosts_that_are_given_are_in_the_join_string_and_a_wrong_one_is_said() {
    let state = tempfile::tempdir().unwrap();
    let listen = ["--listen", "127.0.0.1:0", "--public"];
    let mut program = Program::start(tracker(
        state.path(),
        &[&listen[..], &["old.lab:7420,new.lab:443"]].concat(),
    ));
    let join = program.line();
    let join: JoinString = join.trim().strip_prefix("join ").unwrap().parse().unwrap();
    assert_eq!(join.addresses().collect::<Vec<_>>(), [("old.lab", 7420), ("new.lab", 443)]);
    assert!(state.path().join("tracker.hosts").exists());
    drop(program);
    for (wrong, code) in [("old.lab,new host", 65), ("a,b,c,d,e,f,g,h,i", 1)] {
        let out = tracker(state.path(), &[&listen[..], &[wrong]].concat()).output().unwrap();
        assert_eq!(out.status.code(), Some(code), "{}", String::from_utf8_lossy(&out.stderr));
    }
}
