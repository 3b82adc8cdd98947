//! What the screen says is so, once, and can be read everywhere.

use std::time::{Duration, Instant};

use engine::api::command::Command;
use engine::api::event::{Event, Level, Target, What};
use engine::api::snapshot::{NetState, TransferState};
use ratatui::style::Color;
use screen::model::{Pane, Stop};
use screen::msg::Msg;
use screen::theme::{Depth, Glyphs, Ground};

use super::stage::Stage;
use super::testkit;

fn failed(code: &'static str, text: &str) -> Msg {
    Msg::Event(Event {
        at: testkit::wall(),
        level: Level::Warn,
        target: Target::Track,
        text: text.to_owned(),
        what: What::Failed { id: None, code, hint: "do something".to_owned() },
    })
}

#[test]
fn h7_a_tracker_that_was_never_reached_is_not_lost() {
    let now = Instant::now();
    let mut snap = testkit::rich(now);
    snap.network.met = false;
    snap.network.state = NetState::Lost {
        since: now,
        retry_at: now + Duration::from_secs(4),
        why: "cannot reach 10.0.0.9:7420: refused".into(),
    };
    snap.catalogue = Default::default();
    // Nothing worse is on the banner.
    let others = snap.transfers.iter().filter(|t| t.state != TransferState::DiskFull);
    snap.transfers = others.cloned().collect();
    for (width, height) in [(80, 24), (120, 40)] {
        let screen = Stage::of(snap.clone(), width, height).screen();
        let header = screen.lines().next().unwrap();
        assert!(header.contains("never reached") && !header.contains("lost"), "{header}");
        let tracker = &snap.network.tracker;
        let said = format!("{tracker} never reached: check the address");
        assert!(screen.contains(&said), "{screen}");
        assert!(screen.contains("g j joins another"), "{screen}");
        assert!(!screen.contains("on its way"), "{screen}");
    }
}

#[test]
fn h6_the_welcome_says_what_others_see_and_takes_a_name() {
    for (width, height) in [(80, 24), (60, 20)] {
        let mut stage = Stage::of(testkit::fresh(Instant::now()), width, height);
        let screen = stage.screen();
        assert!(screen.contains("see your name") && !screen.contains("Nothing else"), "{screen}");
        stage.keys("<Up><Up><Up>");
        assert_eq!(stage.model.welcome.stop, Stop::Nick);
        stage.keys("<C-u>bo q<Enter>");
        let nicks = stage.calls();
        assert!(matches!(&nicks[..], [Command::Nick { nick }] if nick == "bo q"), "{nicks:?}");
        assert_eq!(stage.model.welcome.stop, Stop::Host);
    }
}

#[test]
fn h6_connections_are_not_called_all_peers() {
    let mut snap = testkit::rich(Instant::now());
    snap.peers = Default::default();
    let header = Stage::of(snap, 80, 24).screen();
    let header = header.lines().next().unwrap();
    assert!(header.contains("0 connected") && !header.contains("peers"), "{header}");
}

#[test]
fn h11_who_left_sees_nobody_online() {
    let mut snap = testkit::rich(Instant::now());
    snap.network.state = NetState::Left;
    let mut stage = Stage::of(snap, 120, 40);
    stage.keys("/kernel<Enter>");
    let screen = stage.screen();
    assert!(!screen.contains("27 online") && !screen.contains("sources online"), "{screen}");
    assert!(screen.contains("You left the network: no sources."), "{screen}");
}

#[test]
fn h11_what_the_banner_says_is_no_toast() {
    let text = "the tracker is gone for now";
    for (width, height, toasts) in [(80, 24, 0), (80, 18, 1)] {
        let mut stage = Stage::rich(width, height);
        stage.send(failed("tracker", text));
        let footer = stage.screen().lines().last().unwrap().to_owned();
        let told = usize::from(footer.contains("the tracker is gone"));
        assert_eq!(told, toasts, "{width}x{height}: {footer}");
        stage.keys("4z");
        assert_eq!(stage.model.focus, Pane::Log);
        assert!(stage.screen().contains(text), "the log has it");
    }
    let mut stage = Stage::rich(80, 24);
    stage.send(failed("read", "something else"));
    assert!(stage.screen().lines().last().unwrap().contains("something else"));
}

/// The rich snapshot without the full disk and the ban of Mallory, who is banned when the event says so.
fn calm(width: u16, height: u16) -> Stage {
    let mut snap = testkit::rich(Instant::now());
    let others = snap.transfers.iter().filter(|t| t.state != TransferState::DiskFull);
    snap.transfers = others.cloned().collect();
    Stage::of(snap, width, height)
}

fn banned(stage: &mut Stage) {
    stage.send(Msg::Event(Event {
        at: testkit::wall(),
        level: Level::Error,
        target: Target::Net,
        text: "mallory is banned for 10 min".to_owned(),
        what: What::Banned { peer: testkit::peer(44) },
    }));
}

#[test]
fn what_the_banner_only_counts_is_a_toast() {
    let footer = |stage: &Stage| stage.screen().lines().last().unwrap().to_owned();
    let mut stage = calm(120, 40);
    banned(&mut stage);
    assert!(stage.screen().contains("! mallory banned for 9 min"), "{}", stage.screen());
    assert!(!footer(&stage).contains("mallory"), "said twice");
    // A full disk stands before it: the banner only counts the ban.
    let mut stage = Stage::rich(120, 40);
    banned(&mut stage);
    assert!(!stage.screen().contains("! mallory"), "{}", stage.screen());
    assert!(footer(&stage).contains("mallory is banned"), "{}", footer(&stage));

    let full = |stage: &mut Stage, n: u32| {
        let Msg::Event(mut event) = failed("disk-full", "no room there") else { return };
        let id = Some(testkit::content(n));
        event.what = What::Failed { id, code: "disk-full", hint: String::new() };
        stage.send(Msg::Event(event));
    };
    let mut stage = calm(120, 40);
    full(&mut stage, 3);
    assert!(!footer(&stage).contains("no room"), "the banner will say it");
    // Another folder than the one the banner names.
    let mut snap = testkit::rich(Instant::now());
    let mut transfers: Vec<_> = snap.transfers.to_vec();
    transfers[0].path = "/srv/big/elsewhere".into();
    let id = transfers[0].id;
    snap.transfers = transfers.into();
    let mut stage = Stage::of(snap, 120, 40);
    stage.send(Msg::Event(Event {
        what: What::Failed { id: Some(id), code: "disk-full", hint: String::new() },
        text: "/srv/big is full".to_owned(),
        at: testkit::wall(),
        level: Level::Warn,
        target: Target::Track,
    }));
    assert!(footer(&stage).contains("/srv/big is full"), "{}", footer(&stage));
}

#[test]
fn h11_names_are_escaped_where_only_seven_bits_show() {
    let mut snap = testkit::rich(Instant::now());
    let mut transfers = snap.transfers.to_vec();
    transfers[0].name = "f\u{fc}r-\u{65e5}.iso".into();
    snap.transfers = transfers.into();
    let mut stage = Stage::new(
        snap,
        120,
        40,
        screen::theme::Theme::new(Depth::Mono, Glyphs::Ascii, Ground::Dark),
    );
    stage.keys("gd");
    let screen = stage.screen();
    assert!(screen.is_ascii() && screen.contains("f\\u{fc}r-\\u{65e5}.iso"), "{screen}");
}

#[test]
fn h11_warnings_on_white_are_neither_yellow_nor_light() {
    let light = [
        Color::Yellow,
        Color::LightYellow,
        Color::White,
        Color::LightRed,
        Color::LightBlue,
        Color::LightGreen,
        Color::LightCyan,
    ];
    let stage = Stage::with_look(80, 24, Depth::Sixteen, Glyphs::Unicode, Ground::Light);
    let terminal = stage.terminal();
    for cell in terminal.backend().buffer().content() {
        assert!(!light.contains(&cell.fg), "{:?} {:?}", cell.symbol(), cell.fg);
    }
}

#[test]
fn p1_a_typed_root_or_home_starts_afresh() {
    for (typed, dir) in
        [("/srv/x", "/srv/x"), ("~/y", "/home/ada/y"), ("sub", "/home/ada/Downloads/sub")]
    {
        let mut stage = Stage::rich(80, 24);
        stage.keys("/blender<Enter>D");
        stage.calls();
        stage.keys(typed);
        stage.keys("<Enter>");
        match &stage.calls()[..] {
            [Command::Download(request)] => {
                assert_eq!(request.dir.as_deref(), Some(std::path::Path::new(dir)));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn p1_buttons_stand_on_one_line_and_have_letters() {
    for (width, height) in [(60, 20), (80, 24), (120, 40)] {
        let mut stage = Stage::rich(width, height);
        stage.keys("q");
        let screen = stage.screen();
        let line = screen.lines().find(|line| line.contains("[Stay]")).unwrap();
        for button in ["Quit when idle", "Serve on", "Quit now"] {
            assert!(line.contains(button), "{button}: {line}");
        }
        stage.keys("u");
        assert!(stage.screen().contains("[Quit now]"), "{}", stage.screen());
    }
}

#[test]
fn p1_help_cuts_no_word_and_begins_with_what_is_used_most() {
    for (width, height) in [(60, 20), (80, 24), (120, 40)] {
        let mut stage = Stage::rich(width, height);
        stage.keys("?");
        let screen = stage.screen();
        assert!(screen.contains("MOST USED"), "{screen}");
        stage.keys("folder");
        let screen = stage.screen();
        let flat: String =
            screen.split_whitespace().filter(|w| *w != "┃").collect::<Vec<_>>().join(" ");
        assert!(flat.contains("open its folder (over ssh:"), "{screen}");
        assert!(screen.contains("its path)"), "{screen}");
    }
}

#[test]
fn p2_rate_and_bar_show_where_there_is_room() {
    let head = |width, height| {
        let screen = Stage::rich(width, height).screen();
        screen.lines().find(|line| line.contains("  Name ")).unwrap().to_owned()
    };
    let head80 = head(80, 24);
    let (rate, eta) = (head80.find("Rate").unwrap(), head80.find("ETA").unwrap());
    assert!(rate < eta, "{head80}");
    let mut stage = Stage::rich(200, 60);
    let screen = stage.screen();
    let row = screen.lines().find(|line| line.contains("↓ ubuntu-24.04.1")).unwrap();
    assert!(row.contains("12.4 MiB/s") && row.contains('█'), "{row}");
    // With nothing of ours under way its columns leave their room to the names.
    let mut snap = (*stage.model.snap).clone();
    snap.transfers = snap
        .transfers
        .iter()
        .filter(|transfer| transfer.state == TransferState::Sharing)
        .cloned()
        .collect();
    stage.send(Msg::Snapshot(snap.into()));
    let screen = stage.screen();
    let head = screen.lines().find(|line| line.contains("  Name ")).unwrap();
    assert!(!head.contains("Rate") && !head.contains("ETA"), "{head}");
}

#[test]
fn p2_the_reason_stays_in_the_row_where_the_rate_takes_its_place() {
    let screen = Stage::rich(120, 40).screen();
    for (name, said) in
        [("ubuntu-24", "12.4 MiB/s"), ("field-rec", "disk full"), ("imagenet", "paused")]
    {
        let row = screen.lines().find(|line| line.starts_with('┃') && line.contains(name)).unwrap();
        assert!(row.contains(said), "{row}");
    }
}

#[test]
fn p5_sources_say_what_they_do() {
    let screen = Stage::rich(120, 40).screen();
    for (peer, word) in [("lab-3", "sending"), ("rack-12", "busy"), ("linus", "silent")] {
        let row = |line: &&str| line.contains(&format!("│ {peer} "));
        let row = screen.lines().find(row).unwrap();
        assert!(row.contains(word), "{row}");
    }
    let narrow = Stage::rich(80, 24).screen();
    assert!(narrow.contains("1 src"), "{narrow}");
}
