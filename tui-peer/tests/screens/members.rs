//! C4: who is in the network, and whose its files are.

use std::sync::Arc;
use std::time::Duration;

use common::id::ContentId;
use engine::api::command::{Command, CommandError, CommandErrorKind, Reply};
use engine::api::handle;
use engine::api::snapshot::{CatalogueRow, MemberRow, NetState, Page};
use frontend::filter::Filter;
use frontend::members::{MAX_OWNERS, Owners};
use screen::model::Tab;
use screen::msg::{Effect, Msg};

use super::stage::Stage;
use super::testkit;

fn member(n: u32, nick: &str) -> MemberRow {
    MemberRow {
        peer: testkit::peer(n),
        nick: nick.to_owned(),
        addrs: vec![([10, 0, 1, u8::try_from(n % 250).unwrap()], 7421).into()],
        shares: n * 7 % 1300,
        since: 0,
    }
}

/// Asks an engine in whose network these are, of whom the first shares this; the others share nothing.
fn ask(
    filter: &Filter,
    members: &[MemberRow],
    shared: &[CatalogueRow],
) -> Result<Owners, (CommandErrorKind, String)> {
    let (engine, mut parts) = handle::channel(testkit::rich(std::time::Instant::now()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let play = async {
            while let Some((command, reply)) = parts.commands.recv().await {
                let answer = match command {
                    Command::Members { query, .. } => {
                        let query = query.to_lowercase();
                        let is_meant = |row: &&MemberRow| {
                            let key = row.peer.to_string();
                            row.nick.to_lowercase().contains(&query) || key.starts_with(&query)
                        };
                        let rows = members.iter().filter(is_meant).cloned().collect();
                        Reply::Members(Page { rows, total: 9, cursor: Vec::new() })
                    }
                    Command::MemberFiles { peer, .. } if peer != members[0].peer => {
                        Reply::MemberFiles(Page { rows: vec![], total: 0, cursor: Vec::new() })
                    }
                    // One row a page.
                    Command::MemberFiles { cursor, .. } => {
                        let at = cursor.first().map_or(0, |at| usize::from(*at));
                        let rows = shared.iter().skip(at).take(1).cloned().collect();
                        let next = u8::try_from(at + 1).unwrap();
                        let cursor = if at + 1 < shared.len() { vec![next] } else { Vec::new() };
                        Reply::MemberFiles(Page { rows, total: 9, cursor })
                    }
                    other => panic!("{other:?}"),
                };
                reply.send(Ok(answer)).unwrap();
            }
        };
        tokio::select! {
            owners = Owners::of(&engine, filter) => owners.map_err(|e| (e.kind, e.message)),
            () = play => unreachable!("the handle is there"),
        }
    })
}

/// Some of the connected peers, others, and we.
fn members() -> Vec<MemberRow> {
    let mut all = vec![member(500, "ada")];
    all.extend((100..160).map(|n| member(n, &format!("desk-{n}"))));
    all.extend((0..37).step_by(3).map(|n| member(n, &format!("node-{n}"))));
    let now = testkit::wall().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (n, row) in all.iter_mut().enumerate() {
        row.since = now - 4_000 * n as u64 - 77;
    }
    all
}

/// The pages the screen asks for: number, search, cursor. Other effects are dropped.
fn wanted(stage: &mut Stage) -> Vec<(u64, String, Vec<u8>)> {
    let wanted = stage.effects.drain(..).filter_map(|effect| match effect {
        Effect::Members { number, query, cursor } => Some((number, query, cursor)),
        _ => None,
    });
    wanted.collect()
}

/// Answers like a tracker that knows these, until nothing more is asked; says how often that was.
fn answer(stage: &mut Stage, members: &[MemberRow]) -> usize {
    let mut questions = 0;
    loop {
        let mut wanted = wanted(stage);
        assert!(wanted.len() <= 1, "one question at a time");
        let Some((number, query, cursor)) = wanted.pop() else { return questions };
        questions += 1;
        let from = cursor.try_into().map_or(0, usize::from_be_bytes);
        let rows = members.iter().filter(|row| row.nick.to_lowercase().contains(&query));
        let page: Vec<MemberRow> = rows.clone().skip(from).take(200).cloned().collect();
        let next = from + page.len();
        let cursor = if next < rows.count() { next.to_be_bytes().to_vec() } else { Vec::new() };
        let total = u32::try_from(members.len()).unwrap();
        stage.send(Msg::Members(number, Ok(Page { rows: page, total, cursor })));
    }
}

fn refusal(message: &str) -> CommandError {
    CommandError { kind: CommandErrorKind::Invalid, message: message.to_owned() }
}

#[test]
fn c4_the_peers_tab_lists_members_and_enter_shows_what_one_shares() {
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let mut stage = Stage::rich(width, height);
        assert!(wanted(&mut stage).is_empty(), "nobody looks");
        stage.keys("gp");
        assert_eq!(answer(&mut stage, &members()), 1);
        insta::assert_snapshot!(format!("peers_members_{width}"), stage.screen());
        stage.keys("G");
        insta::assert_snapshot!(format!("peers_members_end_{width}"), stage.screen());
        assert_eq!(answer(&mut stage, &members()), 0);
        stage.pass(Duration::from_secs(60));
        assert_eq!(answer(&mut stage, &members()), 1, "again while it is looked at");
    }
    let mut stage = Stage::rich(120, 40);
    stage.keys("gp");
    answer(&mut stage, &members());
    stage.keys("/desk-117<Enter>");
    assert_eq!(stage.model.list_of(Tab::Peers).rows.len(), 1);
    stage.keys("i");
    insta::assert_snapshot!("peer_that_is_not_connected", stage.screen());
    stage.keys("<Esc>");
    asked(&mut stage);
    stage.keys("<Enter>");
    assert_eq!(stage.model.tab, Tab::Network);
    let key = testkit::peer(117).to_string();
    assert_eq!(stage.model.list().field.text(), format!("peer:{key}"));
    assert_eq!(asked(&mut stage).iter().map(words).collect::<Vec<_>>(), [[key]]);
    assert!(stage.screen().contains("Asking the tracker what they share"), "{}", stage.screen());
    stage.pass(Duration::from_secs(100));
    assert!(wanted(&mut stage).is_empty(), "another tab is open");
    // And back, where it was.
    stage.keys("gp");
    assert_eq!(answer(&mut stage, &members()), 1);
    assert_eq!(stage.model.peer_row(stage.model.list().cursor).unwrap().peer, testkit::peer(117));
}

#[test]
fn c4_members_are_put_in_order_like_the_rows_of_other_tabs() {
    let mut stage = Stage::rich(120, 40);
    stage.keys("gp");
    answer(&mut stage, &members());
    let first = |stage: &Stage| stage.model.peer_row(0).unwrap().member.cloned().unwrap();
    stage.keys("os<Enter>");
    let most = members().iter().map(|row| row.shares).max().unwrap();
    assert_eq!(first(&stage).shares, most, "{}", stage.screen());
    stage.keys("oj<Enter>");
    let newest = members().iter().map(|row| row.since).max().unwrap();
    assert_eq!(first(&stage).since, newest);
    stage.keys("on<Enter>O");
    assert_eq!(first(&stage).nick, "node-9", "by name, reversed");
}

#[test]
fn c4_connections_stay_in_the_list_whatever_the_tracker_says_of_members() {
    let mut stage = Stage::rich(120, 40);
    stage.keys("gp");
    let (number, ..) = wanted(&mut stage).remove(0);
    let older = "this tracker is older: it does not list members";
    stage.send(Msg::Members(number, Err(refusal(older))));
    let screen = stage.screen();
    assert!(screen.contains("this tracker is older"), "{screen}");
    assert_eq!(stage.model.list_of(Tab::Peers).rows.len(), 37);
    assert!(screen.contains("node-9") && screen.contains("sending"), "{screen}");
    assert!(!screen.contains("Shares"), "nothing is known of that");
    // One that was not asked answers nothing.
    stage.send(Msg::Members(number, Err(refusal("again"))));
    assert!(!stage.screen().contains("again"));
    stage.pass(Duration::from_secs(20));
    let mut twice = members();
    twice.extend(members());
    assert_eq!(answer(&mut stage, &twice), 1);
    assert_eq!(stage.model.list_of(Tab::Peers).rows.len(), 37 + 61);
    assert!(!stage.screen().contains("this tracker is older"));
    // Then the tracker is lost: what it said stays, and that it may be old.
    let mut snap = (*stage.model.snap).clone();
    let since = stage.model.now.mono;
    snap.network.state = NetState::Lost { since, retry_at: since, why: "gone".to_owned() };
    stage.send(Msg::Snapshot(Arc::new(snap.clone())));
    stage.pass(Duration::from_secs(100));
    assert!(wanted(&mut stage).is_empty(), "nobody could answer");
    assert!(
        stage.screen().contains("members as before the tracker was lost"),
        "{}",
        stage.screen()
    );
    snap.network.state = NetState::Left;
    stage.send(Msg::Snapshot(Arc::new(snap)));
    assert_eq!(stage.model.list_of(Tab::Peers).rows.len(), 37, "no members of a network left");
}

#[test]
fn c4_fifty_thousand_members_are_listed_in_part_and_searched_in_whole() {
    let now = testkit::wall().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let member = |n: u32| MemberRow {
        peer: testkit::peer(1000 + n),
        nick: format!("host-{n:05}"),
        addrs: vec![([10, 1, (n >> 8) as u8, n as u8], 7421).into()],
        shares: n % 7,
        since: now - u64::from(n),
    };
    let all: Vec<MemberRow> = (0..50_000).map(member).collect();
    let mut stage = Stage::rich(120, 40);
    stage.keys("gp");
    assert_eq!(answer(&mut stage, &all), 50, "pages of the first ten thousand");
    stage.keys("G");
    assert_eq!(stage.model.list_of(Tab::Peers).rows.len(), 37 + 10_000);
    let screen = stage.screen();
    assert!(screen.contains("the first 10,000 of 50,000 by name"), "{screen}");
    assert!(screen.contains("[Peers 50,000]"), "{screen}");
    insta::assert_snapshot!("peers_50000_members", screen);
    stage.keys("/host-49");
    while answer(&mut stage, &all) > 0 || stage.model.list().rows.len() < 1000 {
        stage.pass(Duration::from_millis(300));
    }
    assert_eq!(stage.model.list().rows.len(), 1000);
    stage.keys("999");
    stage.pass(Duration::from_millis(300));
    answer(&mut stage, &all);
    assert_eq!(stage.model.list().rows.len(), 1, "{}", stage.screen());
    assert_eq!(stage.model.peer_row(0).unwrap().nick(), "host-49999");
}

/// What the screen wants to know now; other effects are dropped.
fn asked(stage: &mut Stage) -> Vec<Filter> {
    let asked = stage.effects.drain(..).filter_map(|effect| match effect {
        Effect::Owners(filter) => Some(filter),
        _ => None,
    });
    asked.collect()
}

fn words(filter: &Filter) -> Vec<String> {
    filter.peers().map(|name| name.typed.to_owned()).collect()
}

fn shown(stage: &Stage) -> Vec<ContentId> {
    let rows = 0..stage.model.list_of(Tab::Network).rows.len();
    rows.map(|at| stage.model.catalogue_row(at).unwrap().id).collect()
}

#[test]
fn c4_the_network_is_filtered_by_whose_files_are() {
    let mut stage = Stage::rich(120, 40);
    stage.keys("gn");
    assert!(asked(&mut stage).is_empty(), "nobody asks");
    let all: Vec<CatalogueRow> = stage.model.catalogue.rows.to_vec();
    let of_ada = [all[2].clone(), all[5].clone()];
    stage.keys("/peer:ad");
    // Few questions: what is typed on in a hurry waits, and the newest takes the place of the one before.
    let first = asked(&mut stage);
    assert_eq!(first.iter().map(words).collect::<Vec<_>>(), [["a"]]);
    assert!(stage.screen().contains("Asking the tracker"), "{}", stage.screen());
    stage.pass(Duration::from_millis(300));
    let second = asked(&mut stage);
    assert_eq!(second.iter().map(words).collect::<Vec<_>>(), [["ad"]]);
    let ada = [member(500, "Ada")];
    stage.send(Msg::Owners(words(&first[0]), Ok(ask(&first[0], &ada, &of_ada).unwrap())));
    assert!(shown(&stage).is_empty(), "of another name");
    stage.send(Msg::Owners(words(&second[0]), Ok(ask(&second[0], &ada, &of_ada).unwrap())));
    assert_eq!(shown(&stage), [of_ada[0].id, of_ada[1].id]);
    stage.keys("<Enter>");
    insta::assert_snapshot!("network_of_one_member", stage.screen());
    assert!(asked(&mut stage).is_empty());

    // It is asked again after a while, but not while another tab is open.
    stage.keys("gd");
    stage.pass(Duration::from_secs(60));
    assert!(asked(&mut stage).is_empty());
    stage.keys("gn");
    let again = asked(&mut stage);
    assert_eq!(again.len(), 1);
    let less = ask(&again[0], &ada, &of_ada[1..]).unwrap();
    stage.send(Msg::Owners(words(&again[0]), Ok(less)));
    assert_eq!(shown(&stage), [of_ada[1].id]);
    // A question that is refused takes nothing away; that she is gone does.
    stage.pass(Duration::from_secs(60));
    assert_eq!(asked(&mut stage).len(), 1);
    stage.send(Msg::Owners(words(&again[0]), Err(refusal("the connection to the tracker ended"))));
    assert_eq!(shown(&stage), [of_ada[1].id]);
    assert!(stage.screen().contains("the connection to the trac"), "{}", stage.screen());
    stage.pass(Duration::from_secs(60));
    let gone = CommandError { kind: CommandErrorKind::NotFound, message: "nobody".to_owned() };
    stage.send(Msg::Owners(words(&again[0]), Err(gone)));
    assert!(shown(&stage).is_empty() && stage.screen().contains("No files: nobody."));
    // Whose the others are is not known before the answer.
    stage.keys("<Esc>/!peer:ad");
    stage.pass(Duration::from_millis(300));
    assert!(shown(&stage).is_empty());
    let others = asked(&mut stage).pop().unwrap();
    stage.send(Msg::Owners(words(&others), Ok(ask(&others, &ada, &of_ada).unwrap())));
    assert_eq!(shown(&stage).len(), all.len() - 2);
    stage.keys("<Esc>");
    stage.pass(Duration::from_secs(60));
    assert_eq!(shown(&stage).len(), all.len());
    assert!(asked(&mut stage).is_empty(), "the filter is gone, and nobody looks");
}

#[test]
fn c4_a_whole_key_means_that_member_whoever_is_called_so() {
    let shared = testkit::rich(std::time::Instant::now())
        .catalogue
        .rows
        .iter()
        .take(2)
        .cloned()
        .collect::<Vec<_>>();
    let ada = member(1, "Ada");
    let filter = Filter::parse(&format!("peer:{}", ada.peer));
    let mut members = vec![ada.clone(), member(2, "bob")];
    members.extend(
        (10..10 + 2 * u32::try_from(MAX_OWNERS).unwrap()).map(|n| member(n, &ada.peer.to_string())),
    );
    let owners = ask(&filter, &members, &shared).unwrap();
    let of =
        |n: usize| owners.of_file(&shared[n].id).iter().map(|o| o.name.clone()).collect::<Vec<_>>();
    assert_eq!((of(0), of(1)), (vec!["Ada".to_owned()], vec!["Ada".to_owned()]));
    // She is gone: those who are called so are not her.
    let (kind, _) = ask(&filter, &members[1..], &shared).unwrap_err();
    assert_eq!(kind, CommandErrorKind::NotFound);
    // A name that nobody has takes nothing from the others.
    let of = |text: &str| ask(&Filter::parse(text), &members[..2], &shared);
    assert!(
        !of("peer:ada|peer:nobody").unwrap().is_empty() && of("!peer:nobody").unwrap().is_empty()
    );
    assert_eq!(of("peer:nobody !peer:ada").unwrap_err().0, CommandErrorKind::NotFound);
}

#[test]
fn c4_why_nothing_is_known_of_owners_stands_in_the_filter_line() {
    let filter = Filter::parse("peer:zoe");
    let adas: Vec<MemberRow> = (0..51).map(|n| member(n, &format!("Ada {n}"))).collect();
    let (kind, nobody) = ask(&filter, &adas, &[]).unwrap_err();
    assert_eq!(kind, CommandErrorKind::NotFound);
    assert!(nobody.contains("zoe"), "{nobody}");
    assert_eq!(adas.len(), MAX_OWNERS + 1);
    let (kind, many) = ask(&Filter::parse("peer:ada"), &adas, &[]).unwrap_err();
    assert_eq!(kind, CommandErrorKind::Invalid);
    assert!(many.contains("more than 50"), "{many}");

    let mut stage = Stage::rich(120, 40);
    stage.keys("gn/peer:z");
    let older = "this tracker is older: it does not list members";
    stage.send(Msg::Owners(vec!["z".to_owned()], Err(refusal(older))));
    let screen = stage.screen();
    assert!(screen.contains(&format!("No files: {older}.")), "{screen}");
    assert!(asked(&mut stage).len() == 1 && shown(&stage).is_empty());
}
