//! S5: `tracker ban`, `unban`, `bans`, `forget` and `peers`, with the real program.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::support::{Client, Who, file, identity};
use common::join::JoinString;
use common::wire::Code;
use common::wire::tracker::Reply;

fn tracker(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracker"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SHOAL_")) {
        command.env_remove(name);
    }
    command.arg("--state").arg(state);
    command
}

/// A tracker that runs, killed at the end whatever happens.
struct Program(Child, JoinString);

impl Program {
    fn start(state: &Path) -> Self {
        let mut command = tracker(state);
        command.args(["--listen", "127.0.0.1:0", "--json"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        Self(child, ready["join"].as_str().unwrap().parse().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGKILL: nothing is said or stored any more.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a command says, and how it ends.
pub(crate) async fn say(state: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = tracker(state);
    command.args(args).stdin(Stdio::null());
    let run = tokio::task::spawn_blocking(move || command.output().unwrap());
    let Output { status, stdout, stderr } = run.await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

pub(crate) async fn must_say(state: &Path, args: &[&str]) -> String {
    let (code, out, err) = say(state, args).await;
    assert_eq!(code, 0, "{args:?}: {err}");
    out
}

/// The tracker says that this peer is banned, why, and hangs up.
async fn is_banned(client: &mut Client, first: Reply, reason: &str) {
    match first {
        Reply::Error { q: 0, code: Code::Revoked, text, .. } => {
            assert!(text.contains("banned") && text.contains(reason), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(client.next().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_a_ban_ends_a_session_with_the_reason_and_outlives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    let program = Program::start(state);
    assert_eq!(std::fs::metadata(state.join("tracker.sock")).unwrap().mode() & 0o777, 0o600);
    let key = identity(1).peer_id();
    let (mut spammer, _) = Client::connect(&program.1, &Who::new(1)).await;
    spammer.must_register(&[file("spam", 1), file("more spam", 1)]).await;
    let (mut other, _) = Client::greet_from(2, &program.1, &Who::new(2)).await;
    other.must_register(&[file("fine", 1)]).await;
    assert!(must_say(state, &["bans"]).await.contains("nobody"));
    let peers = must_say(state, &["peers", "-n", "1"]).await;
    assert!(peers.starts_with(&key.to_string()) && peers.contains("2 items"), "{peers}");
    assert_eq!(peers.lines().count(), 1);

    let out = must_say(state, &["ban", &key.short(), "--reason", "only spam"]).await;
    assert!(out.contains(&key.to_string()), "{out}");
    assert!(out.contains("2 items forgotten, 1 connections closed"), "{out}");
    let last = spammer.receive().await;
    is_banned(&mut spammer, last, "only spam").await;
    assert_eq!(other.names("").await, ["fine"]);
    let out = must_say(state, &["ban", "127.0.0.2", "--json"]).await;
    let done: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&done["event"], &done["closed"]), (&"banned".into(), &1.into()), "{out}");
    drop(program);

    let program = Program::start(state);
    let (mut again, reply) = Client::greet(&program.1, &Who::new(1)).await;
    is_banned(&mut again, reply, "only spam").await;
    let (mut again, reply) = Client::greet_from(2, &program.1, &Who::new(3)).await;
    is_banned(&mut again, reply, "").await;
    let bans = must_say(state, &["bans"]).await;
    assert_eq!(bans.lines().count(), 2, "{bans}");
    assert!(bans.contains("127.0.0.2") && bans.contains("only spam"), "{bans}");
    // The same address from elsewhere, and the same key again.
    Client::connect(&program.1, &Who::new(2)).await;
    must_say(state, &["unban", &key.to_string()]).await;
    Client::connect(&program.1, &Who::new(1)).await;
    must_say(state, &["unban", "127.0.0.2"]).await;
    assert!(must_say(state, &["bans", "--json"]).await.is_empty());
    let (code, _, err) = say(state, &["unban", "127.0.0.2"]).await;
    assert!(code == 1 && err.contains("not banned"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_who_is_forgotten_comes_back_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    let program = Program::start(state);
    let shares: Vec<_> = (0..2500).map(|n| file(&format!("f{n}"), 1)).collect();
    let (mut peer, _) = Client::connect(&program.1, &Who::new(1)).await;
    for part in shares.chunks(250) {
        peer.must_register(part).await;
    }
    let out = must_say(state, &["forget", &identity(1).peer_id().to_string()]).await;
    assert!(out.contains("2500 items forgotten") && out.contains("comes back"), "{out}");
    assert!(matches!(peer.receive().await, Reply::Goaway { .. }));
    assert_eq!(peer.next().await, None);
    let (mut back, welcome) = Client::connect(&program.1, &Who::sharing(1, &shares)).await;
    assert!(!welcome.share_ok);
    assert!(back.names("").await.is_empty());
    back.must_register(&shares[..250]).await;
    drop(program);
    // That is what is on disk, too.
    let program = Program::start(state);
    let (_, welcome) = Client::connect(&program.1, &Who::sharing(1, &shares[..250])).await;
    assert!(welcome.share_ok);
}

#[tokio::test]
async fn s5_commands_say_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    let (code, _, err) = say(state, &["bans"]).await;
    assert!(code == 4 && err.contains("no tracker runs") && err.contains("--state"), "{err}");
    let _program = Program::start(state);
    for (args, part) in [
        (["ban", "nobody"], "neither a key"),
        (["ban", "10.0.0.0/8"], "neither a key"),
        (["forget", "10.0.0.1"], "nothing is known"),
        (["ban", "aaaaaaaa"], "no key that is known"),
    ] {
        let (code, out, err) = say(state, &args).await;
        assert!(code == 1 && out.is_empty() && err.contains(part), "{args:?}: {err}");
    }
    let long = "x".repeat(200);
    let (code, _, err) = say(state, &["ban", "10.0.0.1", "--reason", &long]).await;
    assert!(code == 1 && err.contains("120 bytes"), "{err}");
}
