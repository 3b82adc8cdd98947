//! The log, the banner, the mouse, and the app line by line.

use std::time::Duration;

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use engine::api::command::Command;
use engine::api::event::{Event, Level, Target, What};
use engine::api::snapshot::{NetState, TransferState};
use frontend::act::Verb;
use screen::model::Sort;
use screen::msg::{Effect, Msg};
use settings::Units;
use tui_peer::line_mode::{Out, Plain};

use super::stage::Stage;
use super::testkit;

fn mouse(stage: &mut Stage, kind: MouseEventKind, column: u16, row: u16) {
    let event = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
    stage.send(Msg::Mouse(event));
}

fn click(stage: &mut Stage, column: u16, row: u16) {
    mouse(stage, MouseEventKind::Down(MouseButton::Left), column, row);
    mouse(stage, MouseEventKind::Up(MouseButton::Left), column, row);
}

/// Where a text stands on the screen.
fn find(stage: &Stage, text: &str) -> (u16, u16) {
    for (y, line) in stage.screen().lines().enumerate() {
        if let Some(at) = line.find(text) {
            let x = line[..at].chars().count();
            return (u16::try_from(x).unwrap(), u16::try_from(y).unwrap());
        }
    }
    panic!("{text:?} is not in\n{}", stage.screen());
}

#[test]
fn headings_sort_and_a_second_click_opens() {
    let mut stage = Stage::rich(120, 40);
    let (x, y) = find(&stage, "Size");
    click(&mut stage, x, y);
    assert_eq!(stage.model.list().sort, Sort::Size);
    stage.pass(Duration::from_secs(1));
    click(&mut stage, x, y);
    assert!(stage.model.list().reverse);
    let (x, y) = find(&stage, "empty.txt  ");
    click(&mut stage, x, y);
    assert!(!stage.model.details);
    click(&mut stage, x, y);
    assert!(stage.model.details, "the second click within 400 ms is Enter");
    stage.keys("<Esc>");
    stage.pass(Duration::from_secs(1));
    click(&mut stage, x, y);
    stage.pass(Duration::from_secs(1));
    click(&mut stage, x, y);
    assert!(!stage.model.details, "two slow clicks are two clicks");
}

/// The row was one too high: the pane was thought to have a row for the text that is typed for the log.
#[test]
fn a_click_in_the_list_while_the_log_is_searched_takes_the_row_that_is_seen() {
    let mut stage = Stage::rich(120, 40);
    stage.keys("4/snub");
    let (x, y) = find(&stage, "empty.txt  ");
    click(&mut stage, x, y);
    assert_eq!(stage.model.selected_name().unwrap().to_string(), "empty.txt");
    // What is typed now is not for the log, nor for a filter that nobody opened.
    stage.keys("j");
    assert_eq!((stage.model.log.field.text(), stage.model.list().field.text()), ("snub", ""));
    stage.keys("k");
    assert_eq!(stage.model.selected_name().unwrap().to_string(), "empty.txt");
    // The other way round: the filter stays, and its row.
    stage.keys("/iso");
    let (x, y) = find(&stage, "registered: 1,204 files");
    click(&mut stage, x, y);
    stage.keys("j");
    assert_eq!((stage.model.log.field.text(), stage.model.list().field.text()), ("snub", "iso"));
    let (x, y) = find(&stage, "fedora-42-silverblue.iso");
    click(&mut stage, x, y);
    assert_eq!(stage.model.selected_name().unwrap().to_string(), "fedora-42-silverblue.iso");
}

/// It scrolled a row less under a filter that was kept: the list was thought to be a row higher.
#[test]
fn the_wheel_scrolls_as_far_under_a_filter_as_without() {
    let mut stage = Stage::rich(120, 40);
    for keys in ["G", "/sample<Enter>G"] {
        stage.keys(keys);
        let before = stage.model.list().offset;
        let files = stage.model.areas().files;
        mouse(&mut stage, MouseEventKind::ScrollUp, files.x + 5, files.y + 5);
        assert_eq!(stage.model.list().offset, before - 3, "after {keys}");
    }
}

/// It went into the filter of the list, which nobody saw.
#[test]
fn what_is_pasted_into_the_search_of_the_log_is_searched_for() {
    let mut stage = Stage::rich(100, 30);
    stage.keys("4z/");
    stage.send(Msg::Paste("bad hash".to_owned()));
    assert_eq!((stage.model.log.field.text(), stage.model.list().field.text()), ("bad hash", ""));
    assert!(stage.model.log.current().unwrap().text.contains("bad hash"));
    stage.keys("<C-c>");
    assert_eq!(stage.model.log.field.text(), "", "^C leaves what is typed");
    assert!(stage.screen().contains("^C again"));
}

#[test]
fn the_border_between_panes_can_be_dragged() {
    let mut stage = Stage::rich(120, 40);
    let files = stage.model.areas().files;
    let (x, y) = (files.right() - 1, files.y + 5);
    mouse(&mut stage, MouseEventKind::Down(MouseButton::Left), x, y);
    mouse(&mut stage, MouseEventKind::Drag(MouseButton::Left), x - 12, y);
    assert!(stage.model.areas().files.right().abs_diff(x - 11) <= 1);
    mouse(&mut stage, MouseEventKind::Up(MouseButton::Left), x - 12, y);
    mouse(&mut stage, MouseEventKind::Drag(MouseButton::Left), x + 9, y);
    assert!(stage.model.areas().files.right() < x, "let go of");
}

fn said(text: &str, hint: &str) -> Event {
    Event {
        at: testkit::wall(),
        level: Level::Error,
        target: Target::Disk,
        text: text.to_owned(),
        what: What::Failed { id: None, code: "io", hint: hint.to_owned() },
    }
}

#[test]
fn the_zoomed_log_shows_details_filters_and_keys() {
    let mut stage = Stage::rich(100, 30);
    stage.send(Msg::Event(said("write failed: no space left", "paused, r retries")));
    stage.keys("4z");
    let screen = stage.screen();
    assert!(screen.contains("└ paused, r retries"), "{screen}");
    assert!(screen.contains("[INFO]") && screen.contains("target all"), "{screen}");
    stage.keys("t");
    assert_eq!(stage.model.log.target(), Some("track"));
    stage.keys("ttttt");
    assert_eq!(stage.model.log.target(), Some("disk"));
    assert!(stage.model.log.shown().all(|line| line.target == "disk"));
    stage.keys("ttt/no space<Enter>");
    assert!(stage.model.log.current().unwrap().text.contains("no space"));
    stage.send(Msg::Event(said("later", "")));
    let screen = stage.screen();
    assert!(screen.contains("[PAUSED at ") && screen.contains("1 newer]"), "{screen}");
    stage.effects.clear();
    stage.keys("yY");
    let copied: Vec<&String> = stage
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Copy(text, _) => Some(text),
            _ => None,
        })
        .collect();
    assert!(copied[0].contains("ERROR disk  write failed") && copied[0].contains("r retries"));
    assert!(copied[1].lines().count() > copied[0].lines().count());
}

#[test]
fn ten_thousand_lines_cost_no_more_than_a_few() {
    let mut stage = Stage::rich(100, 30);
    stage.send(Msg::Events((0..20_000).map(|i| said(&i.to_string(), "")).collect()));
    assert!(stage.model.log.len() < 10_000);
    assert!(stage.screen().contains("19999"));
}

#[test]
fn the_banner_says_what_is_wrong_and_goes_by_itself() {
    let mut stage = Stage::rich(100, 30);
    let now = stage.model.now.mono;
    let change = |stage: &mut Stage, change: &dyn Fn(&mut engine::api::snapshot::Snapshot)| {
        let mut snap = (*stage.model.snap).clone();
        snap.seq += 1;
        change(&mut snap);
        stage.send(Msg::Snapshot(std::sync::Arc::new(snap)));
    };
    change(&mut stage, &|snap| {
        snap.transfers = snap
            .transfers
            .iter()
            .cloned()
            .map(|mut t| {
                if t.state == TransferState::DiskFull {
                    t.state = TransferState::Getting;
                }
                t
            })
            .collect();
        snap.network.state = NetState::On;
    });
    let height = stage.model.areas().files.height;
    assert!(stage.model.areas().banner.is_empty());
    change(&mut stage, &|snap| {
        snap.network.state = NetState::Lost {
            since: now,
            retry_at: now + Duration::from_secs(8),
            why: "connection refused".to_owned(),
        };
    });
    assert!(!stage.model.areas().banner.is_empty());
    let screen = stage.screen();
    assert!(screen.contains("retry in 8 s") && screen.contains("still usable"), "{screen}");
    change(&mut stage, &|snap| snap.me.serving = false);
    assert!(stage.screen().contains("(+1)"));
    change(&mut stage, &|snap| {
        snap.me.serving = true;
        snap.network.state = NetState::On;
    });
    assert_eq!(stage.model.areas().files.height, height);
}

#[test]
fn f4_the_banner_says_that_the_clocks_differ() {
    let mut snap = testkit::rich(std::time::Instant::now());
    snap.transfers =
        snap.transfers.iter().filter(|t| t.state != TransferState::DiskFull).cloned().collect();
    snap.network.clock_ahead_s = Some(-900);
    let lines = Plain::new(None, Units::Iec).greeting(&snap);
    let warns =
        |out: &Out| matches!(out, Out::Say(text) if text.contains("15 min behind ours; set"));
    assert!(lines.iter().any(warns), "{lines:?}");
    let screen = Stage::of(snap, 100, 30).screen();
    assert!(screen.contains("! the tracker's clock is 15 min behind ours"), "{screen}");
}

#[test]
fn line_by_line_one_can_find_download_share_and_quit() {
    let snap = testkit::rich(std::time::Instant::now());
    let mut plain = Plain::new(Some("/home/ada".into()), Units::Iec);
    let texts = |out: Vec<Out>| -> Vec<String> {
        out.into_iter()
            .map(|out| match out {
                Out::Say(text) => text,
                Out::Call(command, text) => format!("{command:?} {text}"),
                Out::Quit => "QUIT".to_owned(),
            })
            .collect()
    };
    let greeting = texts(plain.greeting(&snap)).join("\n");
    assert!(greeting.contains("Connected, 37 peers"), "{greeting}");
    let list = texts(plain.answer(&snap, "1\n"));
    assert_eq!(list.len(), 21, "twenty and a summary");
    assert!(list[20].starts_with("20 of 1204"), "{}", list[20]);
    assert!(plain.answer(&snap, "2").is_empty() && plain.prompt().contains("Words"));
    let list = texts(plain.answer(&snap, "UBUNTU desktop"));
    assert!(list[0].starts_with("1. ubuntu-24.04.1-desktop-amd64.iso, 5.76 GiB, 12 sources"));
    assert!(plain.answer(&snap, "3").is_empty());
    assert!(texts(plain.answer(&snap, "7"))[0].contains("not in the list"));
    let out = plain.answer(&snap, "download 1");
    assert!(
        matches!(&out[..], [Out::Call(Command::Download(d), text)]
            if d.id == testkit::content(0) && text.contains("ubuntu")),
        "{out:?}"
    );
    let out = plain.answer(&snap, "share ~/notes");
    assert!(
        matches!(&out[..], [Out::Call(Command::Share { path, .. }, _)]
            if path.as_os_str() == "/home/ada/notes"),
        "{out:?}"
    );
    assert!(texts(plain.answer(&snap, "dance"))[0].contains("none of"));
    assert!(matches!(plain.answer(&snap, "0")[..], [Out::Quit]));
    let all = texts(plain.answer(&snap, "5")).join("");
    assert!(!all.chars().any(char::is_control));
}

#[test]
fn c1_line_by_line_every_verb_of_the_shell_is_a_word() {
    let snap = testkit::rich(std::time::Instant::now());
    let mut plain = Plain::new(None, Units::Iec);
    let help = plain.answer(&snap, "help");
    for verb in Verb::ALL {
        let listed = |out: &Out| matches!(out, Out::Say(text) if text.starts_with(verb.name()));
        assert!(help.iter().any(listed), "{verb:?}: {help:?}");
        let out = plain.answer(&snap, verb.name());
        let unknown = |out: &Out| matches!(out, Out::Say(text) if text.contains("is none of"));
        assert!(!out.is_empty() && !out.iter().any(unknown), "{verb:?}: {out:?}");
    }
    plain.answer(&snap, "filter ubuntu desktop");
    let out = plain.answer(&snap, "pause 1");
    assert!(
        matches!(&out[..], [Out::Call(Command::Pause { id }, text)]
            if *id == testkit::content(0) && text == "Paused: ubuntu-24.04.1-desktop-amd64.iso."),
        "{out:?}"
    );
    let out = plain.answer(&snap, "pause all");
    assert!(out.len() > 1 && out.iter().all(|o| matches!(o, Out::Call(Command::Pause { .. }, _))));
    let out = plain.answer(&snap, "priority urgent 1");
    assert!(matches!(&out[0], Out::Say(text) if text.contains("urgent")), "{out:?}");
    let out = plain.answer(&snap, "resume \"no such file\"");
    assert!(matches!(&out[..], [Out::Say(text)] if text.starts_with("Not done: nothing shared")));
    let out = plain.answer(&snap, "unshare lecture-07-consensus.mkv");
    assert!(matches!(&out[..], [Out::Call(Command::Unshare { .. }, _)]), "{out:?}");
}
