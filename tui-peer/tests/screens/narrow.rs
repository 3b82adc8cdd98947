//! What matters is said in whole words where there is little room, and what is said is true.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::api::cause::Cause;
use engine::api::command::Command;
use engine::api::event::{Event, Level, Target, What};
use engine::api::snapshot::{NetState, Snapshot, TransferState};
use screen::model::{Dialog, Prefs};
use screen::msg::{Effect, ExitReason, Msg};
use screen::theme::Detected;
use settings::{Item, Table};

use super::stage::Stage;
use super::testkit;

fn line(stage: &Stage, part: &str) -> String {
    let screen = stage.screen();
    screen.lines().find(|line| line.contains(part)).unwrap_or_default().trim_end().to_owned()
}

#[test]
fn details_say_where_it_stops_at_every_width() {
    for (width, height, expected) in [
        (120, 40, "ETA 1m 50s  to 99.9%, then stuck"),
        (80, 24, "ETA 1m 50s  stops at 99.9%"),
        (60, 20, "ETA 1m 50s  stops at 99.9%"),
        (40, 10, "stops at 99.9%"),
    ] {
        let mut stage = Stage::rich(width, height);
        stage.keys("<Enter>");
        let said = line(&stage, "getting");
        assert!(said.contains(expected), "{width}: {said}");
    }
}

#[test]
fn the_summary_of_the_small_layout_is_never_cut() {
    for width in [45, 50, 60, 66, 79] {
        let stage = Stage::rich(width, 20);
        let screen = stage.screen();
        let said = screen.lines().rev().nth(1).unwrap().trim().to_owned();
        assert!(
            said.ends_with("nobody online has 3 chunks") || said.ends_with("3 chunks lost"),
            "{width}: {said}"
        );
    }
}

#[test]
fn the_banner_leaves_out_whole_parts() {
    let stage = Stage::rich(60, 20);
    assert_eq!(line(&stage, "disk full ~"), " ! disk full ~/Downloads: 1 paused · r retry");
}

#[test]
fn a_long_message_takes_the_rows_above_the_footer() {
    let mut stage = Stage::rich(60, 20);
    let text = "field-recordings-2025.flac.zip vanished from disk: not served any more";
    let hint = "put it back and verify it, download it again, or unshare it".to_owned();
    stage.send(Msg::Event(Event {
        at: testkit::wall(),
        level: Level::Warn,
        target: Target::Share,
        text: text.to_owned(),
        what: What::Failed { id: None, code: "changed", hint },
    }));
    let screen = stage.screen();
    let last: Vec<&str> = screen.lines().rev().take(3).map(str::trim).collect();
    let said = [last[2], last[1], last[0]].join(" ");
    assert!(said.starts_with("field-recordings-2025.flac.zip vanished"), "{said}");
    assert!(said.contains("or unshare it"), "{said}");
}

#[test]
fn the_card_fits_its_lines() {
    for (width, hint) in
        [(39, "make the window larger · q quits"), (30, "larger shows more · q quits")]
    {
        let mut snap = testkit::rich(Instant::now());
        snap.network.state =
            NetState::Lost { since: snap.at, retry_at: snap.at, why: String::new() };
        let stage = Stage::of(snap, width, 5);
        let screen = stage.screen();
        assert!(screen.contains(hint), "{screen}");
        assert!(screen.contains("↑3.10 MiB/s"), "{screen}");
    }
}

#[test]
fn both_rates_are_in_the_header_at_60_columns() {
    let mut snap = testkit::rich(Instant::now());
    snap.network.state = NetState::Lost { since: snap.at, retry_at: snap.at, why: String::new() };
    let header = Stage::of(snap, 60, 20).screen().lines().next().unwrap().to_owned();
    assert!(header.contains("↓ 12.4 MiB/s") && header.contains("↑ 3.10 MiB/s"), "{header}");
}

fn with(change: impl FnOnce(&mut Snapshot)) -> Stage {
    let mut snap = testkit::rich(Instant::now());
    change(&mut snap);
    Stage::of(snap, 80, 24)
}

#[test]
fn sources_of_a_finished_file_are_not_said_to_wait() {
    let mut stage = with(|snap| {
        let mut transfers = snap.transfers.to_vec();
        transfers[0].state = TransferState::Sharing;
        snap.transfers = transfers.into();
        let mut focus = (**snap.focus.as_ref().unwrap()).clone();
        focus.sources.truncate(2);
        for source in &mut focus.sources {
            source.down_rate = 0.0;
            source.state = engine::api::snapshot::SourceState::Waiting;
        }
        focus.sources[0].have = u32::MAX;
        focus.sources[1].have = 1;
        snap.focus = Some(Arc::new(focus));
    });
    stage.keys("/ubuntu-24<Enter>");
    let screen = stage.screen();
    assert!(screen.contains("3 Sources 2 online"), "{screen}");
    assert!(screen.contains("has all") && screen.contains("has part"), "{screen}");
    assert!(!screen.contains("waiting"), "{screen}");
}

#[test]
fn what_vanished_from_disk_is_said_and_can_be_fetched_looked_at_or_forgotten() {
    let mut stage = with(|snap| {
        let mut transfers = snap.transfers.to_vec();
        transfers[0].state = TransferState::Changed;
        transfers[0].why = Some(Cause::Vanished);
        snap.transfers = transfers.into();
    });
    stage.keys("/ubuntu-24<Enter>");
    assert!(line(&stage, "▌").contains("gone"));
    assert!(stage.screen().contains("Gone from disk: d fetches it again"), "{}", stage.screen());
    stage.keys("i");
    assert!(stage.screen().contains("v looks again once it is back"));
    stage.keys("<Esc>");
    stage.effects.clear();
    stage.keys("d");
    stage.keys("r");
    stage.keys("v");
    stage.keys("u");
    let calls = stage.calls();
    assert!(
        matches!(
            calls[..],
            [
                Command::Download(_),
                Command::Verify { .. },
                Command::Verify { .. },
                Command::Unshare { .. }
            ]
        ),
        "{calls:?}"
    );
}

#[test]
fn that_a_download_is_done_is_not_hidden_by_its_being_shared() {
    let mut stage = Stage::rich(120, 40);
    stage.pass(Duration::from_secs(10));
    let id = testkit::transfers()[0].id;
    let event = |text: &str, what| {
        let (at, level, target) = (testkit::wall(), Level::Info, Target::Fetch);
        Msg::Event(Event { at, level, target, text: text.to_owned(), what })
    };
    let path = "/home/ada/Downloads/ubuntu".into();
    let done = What::Done { id, path, bytes: 1, seconds: 2.0, unkept: None };
    stage.send(event("ubuntu: done in 2.0 s", done));
    let shared = What::Shared { id, name: "ubuntu".into(), size: 1, chunks: 1 };
    stage.send(event("ubuntu: shared, 1 chunks", shared));
    let screen = stage.screen();
    assert_eq!(screen.lines().last().unwrap().trim(), "ubuntu: done in 2.0 s · e copies its path");
}

#[test]
fn quit_on_the_welcome_screen_asks_if_the_settings_say_so() {
    let mut stage = Stage::of(testkit::fresh(Instant::now()), 80, 24);
    let mut table = Table::default();
    table.set(Item::Quit, "always").unwrap();
    stage.model.set_prefs(Prefs::new(table, Detected::default()));
    stage.keys("q");
    assert!(matches!(stage.model.dialogs.last(), Some(Dialog::Confirm(_))), "asks");
    stage.keys("<Esc>");
    assert!(!stage.effects.iter().any(|effect| matches!(effect, Effect::Exit(_))));
    let mut stage = Stage::of(testkit::fresh(Instant::now()), 80, 24);
    stage.keys("q");
    assert!(stage.effects.iter().any(|e| matches!(e, Effect::Exit(ExitReason::Quit))));
}

#[test]
fn sources_of_one_name_are_told_apart_by_their_keys() {
    let stage = with(|snap| {
        let mut focus = (**snap.focus.as_ref().unwrap()).clone();
        for source in &mut focus.sources {
            source.nick = "vm".to_owned();
        }
        snap.focus = Some(Arc::new(focus));
    });
    let key = stage.model.source_rows()[0].peer.short();
    let expected = format!("vm {}", &key[..4]);
    assert!(stage.screen().contains(&expected), "{}", stage.screen());
}

#[test]
fn why_says_how_it_is_now_and_not_how_it_was() {
    let mut stage = Stage::rich(120, 40);
    stage.keys("/ubuntu-24<Enter>i");
    assert!(stage.screen().contains("Cannot finish now"), "{}", stage.screen());
    let mut snap = testkit::rich(stage.model.now.mono);
    let mut transfers = snap.transfers.to_vec();
    transfers[0].state = TransferState::Paused;
    snap.transfers = transfers.into();
    stage.send(Msg::Snapshot(Arc::new(snap)));
    assert!(stage.screen().contains("You paused it. p resumes it."), "{}", stage.screen());
}

#[test]
fn what_to_do_where_nothing_matches_is_not_cut() {
    let mut stage = Stage::rich(60, 20);
    stage.keys("/zebra-nobody-has<Enter>");
    let screen = stage.screen();
    let words: Vec<&str> = screen.split_whitespace().collect();
    let said = words.join(" ").replace(" ┃ ┃ ", " ");
    assert!(
        said.contains("W watch: download the first that appears Esc clears the filter"),
        "{said}"
    );
}

#[test]
fn keys_of_the_zoomed_log_are_whole() {
    let mut stage = Stage::rich(60, 20);
    stage.keys("4z");
    let keys = line(&stage, "more/less");
    assert!(keys.trim_end_matches('┃').trim_end().ends_with("n N next"), "{keys}");
}
