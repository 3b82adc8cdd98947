//! C4: what somebody wants to know who looks.

use common::limits::{MAX_LIST_ROWS, MAX_MEMBERS};
use common::wire::Code;
use common::wire::tracker::{Member, Reply, Request, Welcome};
use tokio::sync::oneshot;

use super::fake::{Fake, row, welcome};
use super::*;
use crate::announcer::Ask;
use crate::api::command::{CommandError, CommandErrorKind, Reply as Answer};

type Waiting = oneshot::Receiver<Result<Answer, CommandError>>;

fn ask(announcer: &Announcer, ask: Ask) -> Waiting {
    let (tx, rx) = oneshot::channel();
    announcer.ask(ask, tx);
    rx
}

fn all() -> Ask {
    Ask::Members { query: String::new(), cursor: Vec::new() }
}

async fn answer(waiting: Waiting) -> Result<Answer, CommandError> {
    timeout(PATIENCE, waiting).await.expect("an answer in time").expect("an answer")
}

#[tokio::test]
async fn c4_members_and_what_one_shares_are_asked_for_only_when_somebody_wants_to_know() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    let mut conn = fake.welcome(1, true).await;
    events.on().await;
    let waiting = ask(&announcer, all());
    let is_about_members =
        |r: &Request| matches!(r, Request::Members { .. } | Request::MemberFiles { .. });
    let (before, asked) = conn.serve_until(is_about_members).await;
    assert!(!before.iter().any(is_about_members));
    let Request::Members { q, limit, .. } = asked else { panic!("{asked:?}") };
    assert_eq!(usize::from(limit), MAX_MEMBERS);
    let member = Member {
        peer: identity(3).peer_id(),
        nick: "x\u{1b}".into(),
        addrs: vec![],
        shares: 2,
        since: 5,
    };
    let members = vec![member];
    conn.send(&Reply::Members { q, members, total: 1, cursor: vec![] }).await;
    let Ok(Answer::Members(page)) = answer(waiting).await else { panic!("no members") };
    assert_eq!((page.rows[0].nick.as_str(), page.rows[0].shares, page.total), ("x\\u{1b}", 2, 1));

    let files = Ask::Files { peer: identity(3).peer_id(), cursor: vec![1] };
    let waiting = ask(&announcer, files.clone());
    let (_, asked) = conn.serve_until(is_about_members).await;
    let Request::MemberFiles { q, cursor, limit, .. } = asked else { panic!("{asked:?}") };
    assert_eq!((cursor, usize::from(limit)), (vec![1], MAX_LIST_ROWS));
    let rows = vec![row(file("a", 1))];
    conn.send(&Reply::Files { q, rows, total: 1, cursor: vec![2] }).await;
    let Ok(Answer::MemberFiles(page)) = answer(waiting).await else { panic!("no files") };
    assert_eq!((&*page.rows[0].name, page.cursor), ("a", vec![2]));

    // One that is not there is no reason to ask again, nor to hold anything else up.
    let waiting = ask(&announcer, files.clone());
    let (_, asked) = conn.serve_until(is_about_members).await;
    let Request::MemberFiles { q, .. } = asked else { panic!("{asked:?}") };
    conn.send(&Reply::Error { q, code: Code::NotMember, text: "gone".into(), retry_ms: 0 }).await;
    assert_eq!(answer(waiting).await.unwrap_err().kind, CommandErrorKind::NotFound);
    // The connection ends while it is asked.
    let waiting = ask(&announcer, files);
    conn.serve_until(is_about_members).await;
    drop(conn);
    assert!(answer(waiting).await.unwrap_err().message.contains("connection"));
    announcer.leave().await;
}

#[tokio::test]
async fn c4_an_older_tracker_is_never_sent_what_it_would_end_the_connection_for() {
    let fake = Fake::new().await;
    let (announcer, mut events) = join(1, &fake.join());
    let mut conn = fake.accept().await;
    let older = Welcome { lists_members: false, ..welcome(1, true) };
    conn.send(&Reply::Welcome(older)).await;
    events.on().await;
    let why = answer(ask(&announcer, all())).await.unwrap_err();
    assert_eq!(why.message, "this tracker is older: it does not list members");
    // All it was sent is what it knows.
    announcer.set_share(file("a", 1));
    let (before, _) = conn.serve_until(|r| matches!(r, Request::Register { .. })).await;
    assert!(!before.iter().any(|r| r.kind() > 0x0a), "{before:?}");
}
