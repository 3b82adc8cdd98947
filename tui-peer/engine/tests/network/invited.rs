//! A network by invitation: who may share, and who is let in no more by anybody.

use std::time::Instant;

use tracker::control::{Answer, Ask, ask};

use super::*;

/// A tracker by invitation, with its state folder for its commands.
async fn tracker_in(state: &Path) -> (JoinString, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = tracker::Config {
        state_dir: Some(state.to_owned()),
        admission: tracker::Admission::Invited,
        ..tracker::Config::default()
    };
    let tracker = tracker::Tracker::open(config).unwrap();
    let join = tracker.join_string("127.0.0.1", listener.local_addr().unwrap().port()).unwrap();
    (join, tokio::spawn(tracker.run(listener, std::future::pending())))
}

async fn invite(state: &Path, join: &JoinString, may_share: bool) -> JoinString {
    let (name, uses, until) = (String::new(), Some(1), None);
    let wanted = Ask::Invite { name, uses, until, may_share };
    match ask(state, &wanted).await.unwrap() {
        Answer::Invited { secret, .. } => join.clone().with_secret(Some(secret.parse().unwrap())),
        other => panic!("{other:?}"),
    }
}

async fn share(engine: &EngineHandle, dir: &Path, name: &str, len: usize) {
    let path = dir.join(name);
    std::fs::write(&path, name.repeat(len / name.len())).unwrap();
    engine.call(Command::Share { path, name: None }).await.unwrap();
}

async fn download(engine: &EngineHandle, name: &str) {
    until(engine, "it is listed", |s| sources(s, name).is_some_and(|sources| sources > 0)).await;
    let rows = engine.snapshot().catalogue.rows.clone();
    let id = rows.iter().find(|row| &*row.name == name).unwrap().id;
    let request = Download { id, name: None, dir: None, files: Selection::All };
    engine.call(Command::Download(request)).await.unwrap();
}

fn has_banned(snapshot: &Snapshot, peer: &EngineHandle) -> bool {
    let key = peer.snapshot().me.peer;
    snapshot.bans.iter().any(|ban| ban.peer == key && ban.why.contains("revoked"))
}

#[tokio::test(flavor = "multi_thread")]
async fn d_a_reader_passes_on_what_it_fetched_and_shares_nothing_of_its_own() {
    let temp = tempfile::tempdir().unwrap();
    let (join, _tracker) = tracker_in(&temp.path().join("tracker")).await;
    let state = temp.path().join("tracker");
    let owner = peer(temp.path(), "owner", &invite(&state, &join, true).await).await;
    let reader = peer(temp.path(), "reader", &invite(&state, &join, false).await).await;
    share(&owner, temp.path(), "payload", 300_000).await;
    share(&reader, temp.path(), "mine", 300_000).await;
    let refused = |s: &Snapshot| {
        let why = s.network.refused.as_ref().map(|(count, why)| (*count, why.as_str()));
        why.is_some_and(|(count, why)| count == 1 && why.contains("invitation to share"))
    };
    until(&reader, "what it may not is said", refused).await;
    download(&reader, "payload").await;
    until(&owner, "two sources", |s| sources(s, "payload") == Some(2)).await;
    assert_eq!(sources(&owner.snapshot(), "mine"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn d_a_revoked_peer_is_cut_by_all_within_5_s_also_by_who_was_away_and_after_a_restart() {
    let temp = tempfile::tempdir().unwrap();
    let (join, tracker) = tracker_in(&temp.path().join("tracker")).await;
    let state = temp.path().join("tracker");
    let owners = invite(&state, &join, true).await;
    let slow =
        EngineConfig { up: Some(100_000), remember: true, ..config(temp.path(), "owner", &owners) };
    let owner = start(slow.clone()).await.unwrap();
    let aways = invite(&state, &join, true).await;
    let away = peer(temp.path(), "away", &aways).await;
    until(&away, "it is in", |s| s.network.state == NetState::On).await;
    away.stop(Stop::Gracefully);
    away.stopped().await;
    drop(away);
    let bad = peer(temp.path(), "bad", &invite(&state, &join, true).await).await;
    share(&owner, temp.path(), "payload", 5_000_000).await;
    download(&bad, "payload").await;
    until(&owner, "it is being served", |s| s.totals.up > 0 && s.peers.len() == 1).await;

    let who = bad.snapshot().me.peer.to_string();
    let began = Instant::now();
    let done = ask(&state, &Ask::Revoke { who, reason: String::new() }).await.unwrap();
    assert!(matches!(done, Answer::Done(_)), "{done:?}");
    until(&owner, "it is cut", |s| s.peers.is_empty() && has_banned(s, &bad)).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    until(&bad, "it is told", |s| matches!(s.network.state, NetState::Rejected { .. })).await;
    // Nobody here takes that back.
    let peer_of_bad = bad.snapshot().me.peer;
    let refused = owner.call(Command::Unban { peer: peer_of_bad }).await.unwrap_err();
    assert!(refused.message.contains("owner"), "{}", refused.message);

    // Who was away learns it with the welcome, and keeps it without a tracker.
    let away = peer(temp.path(), "away", &aways).await;
    until(&away, "it knows", |s| has_banned(s, &bad)).await;
    tracker.abort();
    for engine in [away, owner] {
        engine.stop(Stop::Gracefully);
        engine.stopped().await;
    }
    let owner = start(slow).await.unwrap();
    until(&owner, "it knows still", |s| has_banned(s, &bad)).await;
    assert!(owner.snapshot().network.state != NetState::On);
}
