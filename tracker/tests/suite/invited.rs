//! 14 D: networks by invitation, with the real program and in one process.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use common::join::{JoinString, Secret};
use common::revoked::Revoked;
use common::wire::Code;
use common::wire::tracker::{Reply, Request};
use serde_json::Value;
use tracker::index::{Index, Limits, MAX_INVITES};
use tracker::record::{InviteRecord, Saved};

use crate::commands::{must_say, say};
use crate::program::{self, tracker};
use crate::support::{Client, Who, file, identity, progress};

/// A tracker that runs, killed at the end whatever happens.
struct Program {
    join: JoinString,
    _program: program::Program,
}

fn start_with(state: &Path, more: &[&str]) -> Program {
    let args = [&["--listen", "127.0.0.1:0", "--json"], more].concat();
    let mut program = program::Program::start(tracker(state, &args));
    let ready: Value = serde_json::from_str(&program.line()).unwrap();
    Program { join: ready["join"].as_str().unwrap().parse().unwrap(), _program: program }
}

fn start(state: &Path) -> Program {
    start_with(state, &["--admission", "invite"])
}

/// Somebody with the join string of an invitation.
fn invited(n: u8, join: &JoinString) -> Who {
    Who { secret: join.secret().cloned(), ..Who::new(n) }
}

async fn invite(state: &Path, args: &[&str]) -> JoinString {
    must_say(state, &[&["invite"], args].concat()).await.trim().parse().unwrap()
}

fn refused(reply: Reply, word: &str) {
    match reply {
        Reply::Error { q: 0, code: Code::Auth, text, .. } => assert!(text.contains(word), "{text}"),
        other => panic!("{other:?}"),
    }
}

/// The keys on the list that came last.
async fn revoked(client: &mut Client, join: &JoinString) -> Revoked {
    loop {
        if let Reply::Revoked { signed } = client.push().await {
            return Revoked::verify(&signed, &join.tracker()).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_an_invitation_lets_in_one_key_for_good_and_outlives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    let program = start(state);
    // The tracker's join string alone lets in nobody.
    let (_, reply) = Client::greet(&program.join, &Who::new(1)).await;
    refused(reply, "by invitation");
    let join = invite(state, &["--name", "ada"]).await;
    let (_, reply) = Client::greet(&join, &Who::new(1)).await;
    refused(reply, "by invitation");
    let (ada, welcome) = Client::connect(&join, &invited(1, &join)).await;
    assert!(!welcome.read_only);
    let (_, reply) = Client::greet(&join, &invited(2, &join)).await;
    refused(reply, "used up");
    let list = must_say(state, &["members", "--json"]).await;
    let member: Value = serde_json::from_str(&list).unwrap();
    let key = identity(1).peer_id().to_string();
    assert_eq!((&member["key"], &member["name"]), (&key.clone().into(), &"ada".into()));
    assert_eq!((&member["connected"], &member["may_share"]), (&true.into(), &true.into()));
    let secret = join.secret().unwrap().expose();
    for command in ["members", "invites", "bans"] {
        assert!(!must_say(state, &[command]).await.contains(secret), "{command}");
    }
    drop(ada);

    // Killed: who was welcomed is a member, and the invitation stays used up.
    drop(program);
    let program = start(state);
    let again = format!("shoal://{}@{}", program.join.tracker(), program.join.address());
    let again: JoinString = again.parse().unwrap();
    let (_, reply) = Client::greet(&again, &invited(2, &join)).await;
    refused(reply, "used up");
    Client::connect(&again, &Who::new(1)).await;
    // Nor does a member that shows another invitation use it.
    let second = invite(state, &["--uses", "2", "--until", "1d"]).await;
    Client::connect(&again, &invited(1, &second)).await;
    Client::connect(&again, &invited(3, &second)).await;
    let left = must_say(state, &["invites", "--json"]).await;
    let left: Value = serde_json::from_str(&left).unwrap();
    assert_eq!(left["uses"], 1);
    let number = left["number"].to_string();
    must_say(state, &["invites", "--withdraw", &number]).await;
    let (_, reply) = Client::greet(&again, &invited(4, &second)).await;
    refused(reply, "used up");
    assert_eq!(must_say(state, &["members"]).await.lines().count(), 2);
    assert_eq!(say(state, &["invite", "--until", "2001-01-01"]).await.0, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_who_may_only_read_registers_what_others_have_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    let program = start(state);
    let (all, reads) = (invite(state, &[]).await, invite(state, &["--read-only"]).await);
    let (mut owner, _) = Client::connect(&all, &invited(1, &all)).await;
    let (ours, new) = (file("ours", 200_000), file("new", 200_000));
    owner.must_register(std::slice::from_ref(&ours)).await;
    let (mut reader, welcome) = Client::connect(&reads, &invited(2, &reads)).await;
    assert!(welcome.read_only);
    reader.must_register(std::slice::from_ref(&ours)).await;
    for batch in [vec![new.clone()], vec![ours.clone(), new.clone()]] {
        match reader.register(&batch).await {
            Reply::Error { code: Code::NotPermitted, text, .. } => {
                assert!(text.contains("new") && text.contains("invitation"), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
    // Nor by chunks of it that it says to have.
    let files = vec![progress(&new, &[0], 1, true)];
    reader.send(&Request::ChunkRegister { files }).await;
    assert_eq!(reader.names("").await, ["ours"]);
    let members = must_say(state, &["members"]).await;
    assert!(members.contains("  shares  ") && members.contains("  reads  "), "{members}");
    drop(program);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_a_revoked_member_is_cut_and_all_are_told_now_and_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    let program = start(state);
    let join = invite(state, &["--uses", "3"]).await;
    let (mut bad, _) = Client::connect(&join, &invited(1, &join)).await;
    bad.must_register(&[file("theirs", 1)]).await;
    let (mut other, _) = Client::connect(&join, &invited(2, &join)).await;
    assert!(revoked(&mut other, &join).await.keys().is_empty());

    let key = identity(1).peer_id();
    let out = must_say(state, &["revoke", &key.short(), "--reason", "left the team"]).await;
    assert!(out.contains("peers are told: 1 peers and 1 items forgotten"), "{out}");
    let list = tokio::time::timeout(Duration::from_secs(5), revoked(&mut other, &join)).await;
    let first = list.unwrap();
    assert_eq!(first.keys(), [key]);
    loop {
        match bad.next().await {
            Some(Reply::Error { code: Code::Revoked, text, .. }) => {
                assert!(text.contains("left the team"), "{text}");
                break;
            }
            Some(_) => {}
            None => panic!("closed without a word"),
        }
    }
    // The invitation has one use left, and a revoked key no way to it.
    let (_, reply) = Client::greet(&join, &invited(1, &join)).await;
    assert!(matches!(reply, Reply::Error { code: Code::Revoked | Code::Auth, .. }), "{reply:?}");
    assert!(must_say(state, &["bans"]).await.contains("revoked  left the team"));
    assert_eq!(must_say(state, &["members"]).await.lines().count(), 1);

    drop(program);
    let program = start(state);
    let (mut other, _) = Client::connect(&program.join, &Who::new(2)).await;
    let again = revoked(&mut other, &join).await;
    assert_eq!(again.keys(), [key]);
    assert!(again.serial() > first.serial());
    // Taken back: all are told, and a new invitation lets it in.
    must_say(state, &["unban", &key.to_string()]).await;
    assert!(revoked(&mut other, &join).await.keys().is_empty());
    let (_, reply) = Client::greet(&program.join, &Who::new(1)).await;
    refused(reply, "by invitation");
    let new = invite(state, &[]).await;
    Client::connect(&program.join, &invited(1, &new)).await;
    assert_eq!(say(state, &["revoke", "192.0.2.1"]).await.0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_without_invitations_there_are_none_and_a_revocation_counts_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    let program = start_with(state, &[]);
    let both = ["--admission", "invite", "--secret-file", "/nowhere"];
    let output = tracker(state, &both).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(65) && said.contains("no secret of its own"), "{said}");
    let (code, _, err) = say(state, &["invite"]).await;
    assert!(code == 1 && err.contains("--admission invite"), "{err}");
    let (_bad, _) = Client::connect(&program.join, &Who::new(1)).await;
    let (mut other, welcome) = Client::connect(&program.join, &Who::new(2)).await;
    assert!(!welcome.read_only);
    let key = identity(1).peer_id();
    must_say(state, &["revoke", &key.to_string()]).await;
    assert_eq!(revoked(&mut other, &program.join).await.keys(), [key]);
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn record(uses: Option<u32>, until: Option<u64>) -> InviteRecord {
    let secret = Secret::generate().unwrap().expose().to_owned();
    InviteRecord { name: String::new(), secret, uses, until, since: 1, may_share: true }
}

#[test]
fn d_invitations_are_bounded_run_out_and_are_found_again() {
    let mut index = Index::new(Limits::default());
    index.admit_only_invited(true);
    assert!(index.invite(10, record(Some(0), None)).is_err());
    assert!(index.invite(10, record(None, Some(10))).is_err());
    let long = InviteRecord { name: "x".repeat(65), ..record(None, None) };
    assert!(index.invite(10, long).is_err());
    let first = index.invite(10, record(None, Some(20))).unwrap();
    for _ in 1..MAX_INVITES {
        index.invite(10, record(Some(1), None)).unwrap();
    }
    let full = index.invite(10, record(None, None)).unwrap_err();
    assert!(full.text.contains("1000"), "{}", full.text);
    let (one, two) = (identity(1).peer_id(), identity(2).peer_id());
    index.use_invite(19, first, (one, HERE)).unwrap();
    assert!(index.use_invite(20, first, (two, HERE)).is_err(), "it is out of date");
    assert!(index.is_invited(&one) && !index.is_invited(&two));
    // One that is out of date makes room.
    let last = index.invite(20, record(Some(2), None)).unwrap();
    index.use_invite(20, last, (one, HERE)).unwrap();
    index.use_invite(20, last, (two, HERE)).unwrap();
    assert!(!format!("{index:?}").contains(&index.invites(20).next().unwrap().1.secret));

    // What was stored makes the same.
    let members = index.invited().map(|(key, member)| (*key, member.clone())).collect();
    let invites = index.invites(20).map(|(n, invite)| (n, invite.clone())).collect();
    let saved = Saved { members, invites, ..Saved::default() };
    let mut again = Index::restore(Limits::default(), saved, 20_000);
    again.admit_only_invited(true);
    assert!(again.is_invited(&one) && again.is_invited(&two));
    let next = again.invites(20).count();
    assert_eq!(next, MAX_INVITES);
    assert!(again.use_invite(20, last, (identity(3).peer_id(), HERE)).is_ok(), "one use was left");
}
