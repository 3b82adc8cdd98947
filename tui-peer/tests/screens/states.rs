//! What the user does and what is asked of the engine; states of the network; dialogs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::join::FileLink;
use common::near::{Announced, Heard, Near, Table};
use common::net::OnLink;
use engine::api::command::{Command, CommandError, CommandErrorKind, Reply, Selection};
use engine::api::event::{Event, Level, Target, What};
use engine::api::snapshot::{Catalogue, FolderEntry, NetState, TrackerAt, TransferState};
use screen::model::{Dialog, Pane, RowKey, Stop, Tab};
use screen::msg::{Asked, Effect, ExitReason, Msg};
use settings::Item;

use super::stage::Stage;
use super::testkit;

fn exits(stage: &Stage) -> Option<ExitReason> {
    stage.effects.iter().find_map(|effect| match effect {
        Effect::Exit(reason) => Some(reason.clone()),
        _ => None,
    })
}

#[test]
fn first_start_welcomes_and_joins() {
    let mut stage = Stage::of(testkit::fresh(Instant::now()), 80, 24);
    insta::assert_snapshot!("welcome", stage.screen());
    stage.send(Msg::Paste("shoal://nonsense".to_owned()));
    assert!(stage.screen().contains("! "), "says what is wrong while typing");
    stage.keys("<Enter>");
    assert!(stage.calls().is_empty());
    stage.keys("<Esc>");
    stage.send(Msg::Paste(format!("{}\n", testkit::join_string())));
    insta::assert_snapshot!("welcome_pasted", stage.screen());
    stage.keys("<Enter>");
    assert!(matches!(stage.calls()[..], [Command::Join { .. }]));
    let error = CommandError {
        kind: CommandErrorKind::Invalid,
        message: "10.0.0.2:7420 does not answer".to_owned(),
    };
    stage.send(Msg::Reply(Asked::Join, Err(error)));
    assert!(stage.screen().contains("does not answer"));
    stage.keys("<Esc>h");
    assert!(matches!(stage.calls()[..], [Command::Host]));
    stage.keys("d");
    assert_eq!(exits(&stage), Some(ExitReason::Demo));
}

/// Networks near, by name and whether they need a secret.
fn near(names: &[(&str, bool)]) -> Near {
    let network = |(n, (name, closed)): (u32, &(&str, bool))| {
        let said = Announced::new(testkit::peer(n), 7420, name, *closed);
        let mut table = Table::default();
        let ips = vec![format!("192.168.1.{}", n + 5).parse().unwrap()];
        table.hear(
            Heard { instance: said.instance(), said, ips },
            &OnLink::default(),
            false,
            Instant::now(),
        );
        table.list().remove(0)
    };
    Near { networks: (0..).zip(names).map(network).collect(), trouble: None }
}

#[test]
fn networks_near_are_shown_and_joined_by_their_keys() {
    let mut stage = Stage::of(testkit::fresh(Instant::now()), 80, 24);
    stage.send(Msg::Near(near(&[("ada-laptop", false), ("lab\u{1b}[31m-server", true)])));
    stage.keys("<Down>");
    insta::assert_snapshot!("welcome_near", stage.screen());
    stage.keys("<Enter>");
    let Some(Command::Join { join }) = stage.calls().pop() else { panic!("not joined") };
    assert_eq!(join.tracker(), testkit::peer(0));
    assert_eq!(join.address(), "192.168.1.5:7420");
    let message = "192.168.1.5:7420 does not answer".to_owned();
    let error = CommandError { kind: CommandErrorKind::Invalid, message };
    stage.send(Msg::Reply(Asked::Join, Err(error)));
    // One that needs a secret is asked for it.
    stage.keys("<Down><Down><Enter>");
    assert!(stage.calls().is_empty());
    assert!(stage.screen().contains("needs its secret"), "{}", stage.screen());
    assert_eq!(stage.model.welcome.stop, Stop::Tracker);
    assert!(
        stage.model.welcome.field.text().is_empty(),
        "nothing of an announcement is mixed with a secret"
    );
    // What is gone is chosen no more, and many leave room for the rest.
    stage.keys("<Down>");
    stage.send(Msg::Near(near(&[])));
    assert_eq!(stage.model.welcome.stop, Stop::Tracker);
    let many: Vec<(String, bool)> = (0..12).map(|n| (format!("room {n}"), false)).collect();
    let many: Vec<(&str, bool)> =
        many.iter().map(|(name, closed)| (name.as_str(), *closed)).collect();
    let mut stage = Stage::of(testkit::fresh(Instant::now()), 60, 20);
    stage.send(Msg::Near(near(&many)));
    stage.keys("<Up><Up><Up><Up><Up><Up><Up>");
    insta::assert_snapshot!("welcome_many_near", stage.screen());
    let trouble = Some("this machine sends no multicast: no device".to_owned());
    stage.send(Msg::Near(Near { trouble, ..Near::default() }));
    assert!(stage.screen().contains("sends no multicast"), "{}", stage.screen());
}

#[test]
fn f11_the_welcome_says_that_the_remembered_network_is_damaged() {
    let mut snap = testkit::fresh(Instant::now());
    snap.network.trouble =
        Some("the remembered network is damaged (x in the state folder); join it again".into());
    let mut stage = Stage::of(snap, 80, 24);
    assert!(stage.screen().contains("! the remembered network is damaged"), "{}", stage.screen());
    stage.send(Msg::Paste(testkit::join_string()));
    assert!(!stage.screen().contains("damaged"));
}

#[test]
fn network_states_are_in_the_header() {
    let now = Instant::now();
    let cases = [
        (
            "lost",
            NetState::Lost {
                since: now - Duration::from_secs(42),
                retry_at: now + Duration::from_secs(8),
                why: "connection refused".into(),
            },
            "lost 0:42",
        ),
        ("left", NetState::Left, "offline"),
        ("connecting", NetState::Connecting, "tracker …"),
        (
            "rejected",
            NetState::Rejected { why: "wrong secret\u{1b}[2J".into() },
            "rejected: wrong secret\\u{1b}",
        ),
    ];
    for (name, state, expected) in cases {
        let mut snap = testkit::rich(now);
        snap.network.state = state;
        let stage = Stage::of(snap, 120, 40);
        let screen = stage.screen();
        assert!(screen.contains(expected), "{name}: {}", screen.lines().next().unwrap());
    }
}

#[test]
fn b1_the_header_says_that_we_are_at_a_standby() {
    let mut snap = testkit::rich(Instant::now());
    let first = || Stage::of(snap.clone(), 160, 40).screen();
    assert!(!first().contains("standby"));
    snap.network.tracker = "b.lab:7420".to_owned();
    let back_to = Some("a.lab:7420".to_owned());
    let at = TrackerAt { address: "b.lab:7420".to_owned(), place: 2, of: 2, back_to, vain: None };
    assert_eq!(
        at.words(),
        "at the standby b.lab:7420 (tracker 2 of 2); goes back to a.lab:7420 when that answers"
    );
    snap.network.at = Some(at);
    for (width, expected) in [(160, "standby tracker b.lab:7420"), (80, "standby tracker")] {
        let screen = Stage::of(snap.clone(), width, 40).screen();
        assert!(screen.lines().next().unwrap().contains(expected), "{screen}");
    }
}

#[test]
fn lost_tracker_counts_once_a_second_and_rest_needs_no_timer() {
    let now = Instant::now();
    let mut snap = testkit::rich(now);
    let stage = Stage::of(snap.clone(), 80, 24);
    assert_eq!(screen::update::deadline(&stage.model), None);
    snap.network.state = NetState::Lost { since: now, retry_at: now, why: String::new() };
    let stage = Stage::of(snap, 80, 24);
    let due = screen::update::deadline(&stage.model).unwrap();
    assert!(due <= stage.model.now.mono + Duration::from_secs(1));
}

#[test]
fn the_cursor_stays_on_its_file() {
    let mut stage = Stage::rich(80, 24);
    stage.keys("oname<Enter>");
    stage.keys("G");
    let before = stage.model.list().key.clone();
    let mut snap = testkit::rich(stage.model.now.mono);
    let mut catalogue = testkit::catalogue(700);
    let more = testkit::catalogue(1204).rows;
    let more = more.iter().filter(|row| Some(RowKey::Content(row.id)) == before).cloned();
    let mut rows: Vec<_> = catalogue.rows.iter().cloned().chain(more).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows.dedup_by_key(|row| row.id);
    catalogue.rows = rows.into();
    snap.catalogue = Arc::new(catalogue);
    stage.send(Msg::Snapshot(Arc::new(snap)));
    assert!(stage.model.stale, "the order holds still while keys are pressed");
    stage.pass(Duration::from_secs(2));
    assert!(!stage.model.stale);
    assert_eq!(stage.model.list().key, before);
    assert_eq!(stage.model.row_key(Tab::Network, stage.model.list().cursor), before);
}

#[test]
fn keys_ask_the_engine() {
    let mut stage = Stage::rich(80, 24);
    stage.keys("jjjjjjjd");
    assert!(matches!(stage.calls()[..], [Command::Download(_)]));
    stage.keys("ggp");
    assert!(matches!(stage.calls()[..], [Command::Pause { .. }]));
    stage.keys("jp");
    assert!(matches!(stage.calls()[..], [Command::Resume { .. }]));
    stage.keys("jjr");
    assert!(matches!(stage.calls()[..], [Command::Resume { .. }]));
    stage.keys("AS");
    assert!(matches!(stage.calls()[..], [Command::Announce, Command::Serve { on: false }]));
    stage.keys("jd");
    assert!(stage.calls().is_empty());
    assert!(stage.screen().contains("it is here already"));
    stage.keys("y");
    let copied = stage.effects.iter().find_map(|e| match e {
        Effect::Copy(text, _) => Some(text.clone()),
        _ => None,
    });
    let link: FileLink = copied.unwrap().parse().unwrap();
    assert_eq!(link.id(), testkit::content(4));
    stage.keys("gg  d");
    assert_eq!(stage.calls().len(), 2, "all marked ones");
}

#[test]
fn a_click_opens_a_tab_and_alt_does_nothing() {
    use crossterm::event::{
        KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
    };
    let mut stage = Stage::rich(80, 24);
    let row = stage.model.areas().files.y;
    let title = stage.screen().lines().nth(usize::from(row)).unwrap().to_owned();
    for (word, tab) in [("Shared", Tab::Shared), ("Peers", Tab::Peers), ("Network", Tab::Network)] {
        let column = title.chars().collect::<String>().split(word).next().unwrap().chars().count();
        stage.send(Msg::Mouse(MouseEvent {
            kind: MouseEventKind::Down(MouseButton::Left),
            column: u16::try_from(column + 1).unwrap(),
            row,
            modifiers: KeyModifiers::NONE,
        }));
        assert_eq!(stage.model.tab, tab);
    }
    stage.send(Msg::Key(KeyEvent::new(KeyCode::Char('q'), KeyModifiers::ALT)));
    assert!(exits(&stage).is_none() && stage.model.dialogs.is_empty());
}

#[test]
fn downloads_can_go_elsewhere() {
    let mut stage = Stage::rich(80, 24);
    stage.keys("/blender<Enter>D");
    assert!(stage.screen().contains("~/Downloads/"));
    stage.keys("big<Enter>");
    match &stage.calls()[..] {
        [Command::Download(d)] => {
            assert_eq!(d.dir.as_deref(), Some(std::path::Path::new("/home/ada/Downloads/big")));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn focus_follows_the_cursor_once_per_file() {
    let mut stage = Stage::rich(80, 24);
    stage.effects.clear();
    stage.keys("j");
    stage.pass(Duration::from_secs(1));
    let focus: Vec<_> =
        stage.effects.iter().filter(|e| matches!(e, Effect::Focus(Some(_), _))).collect();
    assert_eq!(focus.len(), 1);
}

#[test]
fn quitting_asks_only_if_somebody_loses_something() {
    let mut stage = Stage::rich(80, 24);
    stage.keys("q");
    assert_eq!(exits(&stage), None);
    let screen = stage.screen();
    assert!(screen.contains("lecture-07-consensus.mkv") && screen.contains("[Stay]"));
    stage.keys("<Enter>");
    assert!(exits(&stage).is_none() && stage.model.dialogs.is_empty(), "Enter is the safe answer");
    stage.keys("qQ");
    assert_eq!(exits(&stage), None, "a letter only marks");
    stage.keys("QQ<Enter>");
    assert!(stage.model.when_idle.is_some() || exits(&stage) == Some(ExitReason::Quit));

    let mut snap = testkit::rich(Instant::now());
    snap.transfers = vec![testkit::transfer(4, TransferState::Sharing, 100)].into();
    let mut stage = Stage::of(snap, 80, 24);
    stage.keys("<Esc><Esc><Esc>");
    assert_eq!(exits(&stage), None, "Escape never quits");
    stage.keys("q");
    assert_eq!(exits(&stage), Some(ExitReason::Quit));
}

#[test]
fn quit_when_idle_waits_and_can_be_taken_back() {
    let mut stage = Stage::rich(120, 40);
    stage.keys("q<Right><Enter>");
    assert!(stage.screen().contains("quits when idle"));
    stage.keys("<Esc>");
    assert!(stage.model.when_idle.is_none());
    stage.keys("q<Right><Enter>");
    let mut snap = testkit::rich(stage.model.now.mono);
    snap.transfers = vec![testkit::transfer(4, TransferState::Sharing, 100)].into();
    stage.send(Msg::Snapshot(Arc::new(snap)));
    assert_eq!(exits(&stage), Some(ExitReason::Quit));
}

#[test]
fn interrupting_twice_quits_from_anywhere() {
    for keys in ["", "?", "/abc", "q", "s"] {
        let mut stage = Stage::rich(80, 24);
        stage.keys(keys);
        stage.keys("<C-c>");
        assert_eq!(exits(&stage), None, "{keys:?}");
        stage.keys("<C-c>");
        assert_eq!(exits(&stage), Some(ExitReason::QuitNow), "{keys:?}");
    }
    let mut stage = Stage::rich(80, 24);
    stage.keys("<C-c>");
    stage.pass(Duration::from_secs(3));
    stage.keys("<C-c>");
    assert_eq!(exits(&stage), None, "too late");
}

#[test]
fn leaving_names_the_losses_and_removing_keeps_data() {
    let mut stage = Stage::rich(80, 24);
    stage.keys("L");
    assert!(stage.screen().contains("Leave the network?"));
    stage.keys("<Left><Enter>");
    assert!(matches!(stage.calls()[..], [Command::Leave]));
    stage.keys("gd");
    stage.keys("x<Right><Enter>");
    assert!(matches!(stage.calls()[..], [Command::Remove { delete_partial: false, .. }]));
    stage.keys("x <Right><Enter>");
    assert!(matches!(stage.calls()[..], [Command::Remove { delete_partial: true, .. }]));
    stage.keys("gsju");
    assert!(stage.calls().is_empty());
    assert!(stage.screen().contains("only complete source"));
    stage.keys("<Right><Enter>");
    assert!(matches!(stage.calls()[..], [Command::Unshare { .. }]));
}

#[test]
fn pasted_links_open_a_question_and_rubbish_is_left_alone() {
    let mut stage = Stage::rich(80, 24);
    stage.send(Msg::Paste("dddq\nxx".to_owned()));
    assert!(stage.model.dialogs.is_empty() && stage.calls().is_empty());
    assert!(stage.screen().contains("ignored"));
    let join = testkit::join_string().parse().unwrap();
    let link = FileLink::new(&join, testkit::content(7), None, Some("x\u{202e}y.iso"));
    stage.send(Msg::Paste(link.to_string()));
    insta::assert_snapshot!("get_link", stage.screen());
    stage.keys("<Enter>");
    assert!(matches!(stage.calls()[..], [Command::Download(_)]), "the same network: no join");
    let other = format!("shoal://{}@example.org:7420", testkit::peer(1));
    stage.send(Msg::Paste(other));
    assert!(stage.screen().contains("Join a network"));
    stage.keys("<Enter>");
    assert!(matches!(stage.calls()[..], [Command::Join { .. }]));
}

#[test]
fn sharing_completes_paths() {
    use screen::model::PathEntry;
    let entry = |name: &str, is_dir| PathEntry {
        name: name.to_owned(),
        is_dir,
        size: 812 << 20,
        items: is_dir.then_some(41),
        readable: true,
    };
    let mut stage = Stage::rich(80, 24);
    stage.keys("s");
    stage.keys("~/Videos/lec");
    let dirs: Vec<_> = stage
        .effects
        .iter()
        .filter_map(|e| match e {
            Effect::ListDir(d) => Some(d.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(dirs.last().unwrap(), std::path::Path::new("/home/ada/Videos"));
    let entries = vec![
        entry("lectures-old", true),
        entry("lecture-01\u{1b}x.mkv", false),
        entry("lecture-02.mkv", false),
        entry("other", false),
    ];
    stage.send(Msg::Dir(dirs.last().unwrap().clone(), Ok(entries)));
    insta::assert_snapshot!("share_names", stage.screen());
    stage.keys("<Tab>");
    let text = |stage: &Stage| match stage.model.dialogs.last() {
        Some(Dialog::Share(share)) => share.field.text().to_owned(),
        _ => String::new(),
    };
    assert_eq!(text(&stage), "~/Videos/lecture");
    stage.keys("-02<Tab>");
    assert_eq!(text(&stage), "~/Videos/lecture-02.mkv");
    stage.keys("<Enter>");
    match &stage.calls()[..] {
        [Command::Share { path, .. }] => {
            assert_eq!(path, std::path::Path::new("/home/ada/Videos/lecture-02.mkv"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_of_a_folder_can_be_chosen() {
    let mut stage = Stage::rich(80, 24);
    stage.keys("/common-voice<Enter>C");
    let looks = |files: &Selection| matches!(files, Selection::Paths(paths) if paths.is_empty());
    assert!(matches!(&stage.calls()[..], [Command::Download(d)] if looks(&d.files)));
    assert!(stage.screen().contains("Asking for the list of files."));
    let mut snap = testkit::rich(stage.model.now.mono);
    let here = testkit::transfer(10, TransferState::Paused, 0);
    snap.transfers = snap.transfers.iter().cloned().chain([here]).collect();
    stage.send(Msg::Snapshot(Arc::new(snap)));
    assert!(matches!(stage.calls()[..], [Command::ListFiles { .. }]), "once it rests");
    let files = (0..40)
        .map(|i| FolderEntry {
            path: format!("clips/{i:03}.mp3"),
            raw: format!("clips/{i:03}.mp3"),
            size: 40_000,
            done: 0,
            wanted: true,
        })
        .collect();
    let id = stage.model.selected().unwrap();
    stage.send(Msg::Reply(Asked::Files(id), Ok(Reply::Files(files))));
    stage.keys("*j j ");
    insta::assert_snapshot!("contents", stage.screen());
    stage.keys("<Enter>");
    match &stage.calls()[..] {
        [Command::Select { files, .. }] => {
            assert!(matches!(files, Selection::Paths(p) if p.len() == 2));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_that_was_only_looked_into_is_not_kept() {
    let mut stage = Stage::rich(80, 24);
    stage.keys("/common-voice<Enter>C<Esc>");
    assert!(matches!(stage.calls()[..], [Command::Download(_), Command::Remove { .. }]));
    assert!(stage.model.dialogs.is_empty());
}

#[test]
fn empty_lists_say_what_to_do() {
    let mut snap = testkit::rich(Instant::now());
    snap.catalogue = Arc::new(Catalogue { version: 2, rows: [].into(), whole: true });
    snap.transfers = [].into();
    snap.peers = Arc::new([]);
    snap.focus = None;
    let mut stage = Stage::of(snap, 80, 24);
    for expected in [
        "No files on the network yet",
        "No downloads",
        "Nothing shared yet",
        "Asking the tracker who is in the network",
    ] {
        assert!(stage.screen().contains(expected), "{expected}");
        stage.keys("]");
    }
}

#[test]
fn events_reach_the_log_and_failures_the_footer() {
    let mut stage = Stage::rich(60, 20);
    let event = Event {
        at: testkit::wall(),
        level: Level::Error,
        target: Target::Disk,
        text: "write failed\u{1b}[2J".to_owned(),
        what: What::Failed { id: None, code: "io", hint: "r retries".to_owned() },
    };
    stage.send(Msg::Event(event));
    let screen = stage.screen();
    assert!(screen.contains("write failed\\u{1b}[2J") && screen.contains("4 Log ●1"), "{screen}");
    stage.keys("4");
    assert!(stage.screen().contains("ERROR"));
    assert_eq!(stage.model.focus, Pane::Log);
}

#[test]
fn a_long_list_is_ordered_elsewhere() {
    let mut snap = testkit::rich(Instant::now());
    snap.catalogue = Arc::new(testkit::catalogue(30_000));
    let mut stage = Stage::of(snap, 80, 24);
    let job = stage.job();
    assert!(stage.model.list().rows.is_empty());
    let built = screen::model::build(&job);
    stage.send(Msg::Indexed(job.generation, job, built));
    assert_eq!(stage.model.list().rows.len(), 30_000);
    assert!(stage.screen().contains("of 30,000"));
}

/// A screen that looks at a peer which runs in another process.
fn attached(width: u16, height: u16) -> Stage {
    let mut stage = Stage::rich(width, height);
    stage.model.setting.attached = Some(4711);
    stage
}

#[test]
fn h4_an_attached_screen_knows_that_the_peer_runs_on() {
    // Nobody loses anything: nothing is asked, and nothing rests.
    let mut stage = attached(120, 40);
    stage.keys("q");
    assert_eq!(exits(&stage), Some(ExitReason::Quit));
    let mut stage = attached(120, 40);
    stage.keys("<C-z>");
    assert!(stage.model.dialogs.is_empty());
    assert!(stage.effects.iter().any(|effect| matches!(effect, Effect::Suspend)));
    let mut stage = attached(120, 40);
    stage.keys("<C-c>");
    assert!(stage.screen().contains("closes this screen; process 4711 runs on"));
    stage.keys("<C-c>");
    assert_eq!(exits(&stage), Some(ExitReason::QuitNow));

    // The table of actions says so, wherever it is shown.
    let mut stage = attached(120, 50);
    insta::assert_snapshot!("h4_attached", stage.screen());
    stage.keys(":suspend");
    let screen = stage.screen();
    assert!(screen.contains("Suspend (the peer runs on)"), "{screen}");
    assert!(!screen.contains("serving stops"), "{screen}");
    stage.keys("<Esc>?the peer");
    let screen = stage.screen();
    assert!(screen.contains("close (the peer runs on)"), "{screen}");

    let mut stage = attached(80, 24);
    stage.model.prefs.table.set(Item::Quit, "always").unwrap();
    stage.keys("q");
    insta::assert_snapshot!("h4_close", stage.screen());
    stage.keys("<Enter>");
    assert_eq!(exits(&stage), None);
    stage.keys("q<Right><Enter>");
    assert_eq!(exits(&stage), Some(ExitReason::Quit));
}
