//! Keys and screens for what the user wishes: order, priority, limits, patience, bans.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::api::command::{Command, Priority, Reorder};
use engine::api::snapshot::TransferState;
use screen::model::{Dialog, Pane, Tab};
use screen::msg::Msg;

use super::stage::Stage;
use super::testkit;

#[test]
fn the_queue_is_moved_and_weighed_with_single_keys() {
    let mut stage = Stage::rich(120, 40);
    stage.keys("gdj");
    stage.calls();
    let id = testkit::content(1);
    assert_eq!(stage.model.selected(), Some(id));
    stage.keys("+");
    assert!(matches!(stage.calls()[..],
        [Command::Prioritize { id: of, priority: Priority::High }] if of == id));
    stage.keys("-");
    assert!(matches!(stage.calls()[..], [Command::Prioritize { priority: Priority::Low, .. }]));
    stage.keys("{");
    assert!(matches!(stage.calls()[..], [Command::Reorder { to: Reorder::Up, .. }]));
    stage.keys("}");
    assert!(matches!(stage.calls()[..], [Command::Reorder { to: Reorder::Down, .. }]));
    stage.keys("go");
    assert!(matches!(stage.calls()[..], [Command::Sequential { on: true, .. }]));
    stage.keys("gr");
    insta::assert_snapshot!("limit_one", stage.screen());
    stage.keys("nonsense<Enter>");
    assert!(stage.calls().is_empty() && stage.model.dialogs.len() == 1, "says what is wrong");
    stage.keys("<C-u>1M<Tab>500K<Enter>");
    assert!(matches!(
        stage.calls()[..],
        [Command::LimitOne { up: Some(512_000), down: Some(1_048_576), .. }]
    ));
    // A file that is only in the catalogue has no place in a queue.
    stage.keys("gn/kernel<Enter>+");
    assert!(stage.calls().is_empty());
    assert!(stage.screen().contains("no unfinished download"));
}

#[test]
fn a_removal_is_offered_back_for_eight_seconds() {
    let mut stage = Stage::rich(80, 24);
    stage.keys("gdx<Right><Enter>");
    assert!(matches!(stage.calls()[..], [Command::Remove { delete_partial: false, .. }]));
    let screen = stage.screen();
    assert!(screen.contains("removed: ubuntu") && screen.contains("U takes it back"), "{screen}");
    stage.pass(Duration::from_secs(7));
    assert!(stage.screen().contains("U takes it back"));
    stage.keys("U");
    assert!(matches!(stage.calls()[..], [Command::Restore { .. }]));
    stage.keys("U");
    assert!(stage.calls().is_empty(), "only once");
    stage.keys("x<Right><Enter>");
    stage.calls();
    stage.pass(Duration::from_secs(9));
    stage.keys("U");
    assert!(stage.calls().is_empty(), "too late");
}

#[test]
fn finished_downloads_are_cleared_and_folders_open_with_another_key() {
    let mut stage = Stage::rich(120, 40);
    stage.keys("gd");
    assert!(stage.screen().contains("debian-12.7.0"));
    stage.keys("c");
    assert!(matches!(stage.calls()[..], [Command::ClearFinished]));
    let mut snap = testkit::rich(stage.model.now.mono);
    let mut transfers = testkit::transfers();
    transfers.iter_mut().for_each(|t| t.plan.cleared = t.state == TransferState::Sharing);
    snap.transfers = transfers.into();
    stage.send(Msg::Snapshot(Arc::new(snap)));
    assert_eq!(stage.model.list_of(Tab::Downloads).rows.len(), 4);
    assert_eq!(stage.model.list_of(Tab::Shared).rows.len(), 3, "shared all the same");
    stage.keys("c");
    assert!(stage.calls().is_empty(), "nothing left to clear");
    // This folder is shared by us: its files are known.
    stage.keys("gn/year-2025<Enter>C");
    assert!(matches!(stage.calls()[..], [Command::ListFiles { .. }]));
}

#[test]
fn c7_what_came_into_a_shared_folder_stands_in_its_row_and_a_key_shares_it() {
    use engine::api::snapshot::FolderNews;
    let stage_of = |news: FolderNews| {
        let mut snap = testkit::rich(std::time::Instant::now());
        let mut transfers = testkit::transfers();
        let folder = transfers.iter_mut().find(|t| t.id == testkit::content(22)).unwrap();
        folder.news = Some(news);
        snap.transfers = transfers.into();
        let mut stage = Stage::of(snap, 120, 40);
        stage.keys("gs/year-2025<Enter>");
        stage
    };
    let mut stage = stage_of(FolderNews { new: 3, gone: 1, ..FolderNews::default() });
    let screen = stage.screen();
    for words in ["+3 -1", "3 new, 1 gone", "Others get it as it was; R", "shares it so"] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    stage.keys("R");
    assert!(matches!(stage.calls()[..], [Command::Rescan { id }] if id == testkit::content(22)));
    let watched = stage_of(FolderNews { new: 3, watched: true, ..FolderNews::default() });
    let screen = watched.screen();
    for words in ["3 new", "once nothing moves"] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    assert!(!screen.contains("shares it so"), "{screen}");
    // A file has nothing to be looked for in.
    let mut other = Stage::rich(120, 40);
    other.keys("gn/ubuntu-24<Enter>R");
    assert!(other.calls().is_empty());
}

#[test]
fn uploads_that_are_held_so_that_the_line_stays_free_are_said_to_be() {
    for (width, height) in [(80, 24), (120, 40)] {
        let mut snap = testkit::rich(Instant::now());
        let foot = |snap| {
            let mut stage = Stage::of(snap, width, height);
            stage.keys("gp");
            stage.screen()
        };
        assert!(!foot(snap.clone()).contains("held at"));
        snap.uploads.up_held = Some(1_100_000);
        let screen = foot(snap);
        assert!(screen.contains("held at 1.05 MiB/s so that the line stays free"), "{screen}");
    }
}

#[test]
fn peers_are_banned_after_a_question_and_the_list_lifts_it() {
    let mut stage = Stage::rich(120, 40);
    stage.keys("gp");
    insta::assert_snapshot!("peers_120", stage.screen());
    stage.keys("i");
    insta::assert_snapshot!("peer_takes", stage.screen());
    stage.keys("<Esc>b");
    insta::assert_snapshot!("ban", stage.screen());
    stage.keys("<Enter>");
    assert!(stage.calls().is_empty(), "the safe answer is chosen");
    let first = testkit::peer(9);
    stage.keys("b<Right><Enter>");
    assert!(matches!(stage.calls()[..],
        [Command::Ban { peer, time: Some(_) }] if peer == first));
    stage.keys("b<Right><Right><Enter>");
    assert!(matches!(stage.calls()[..], [Command::Ban { time: None, .. }]));
    stage.keys("B");
    insta::assert_snapshot!("bans", stage.screen());
    stage.keys("j<Enter>");
    assert!(matches!(stage.calls()[..],
        [Command::Unban { peer }] if peer == testkit::peer(45)));
    stage.keys("<Esc>gn3b");
    assert!(matches!(stage.model.dialogs.last(), Some(Dialog::Confirm(_))), "a source, too");
}

#[test]
fn what_nobody_has_is_watched() {
    let mut stage = Stage::rich(80, 24);
    stage.keys("/no such thing<Enter>");
    insta::assert_snapshot!("no_match_watch", stage.screen());
    stage.keys("W");
    assert!(matches!(&stage.calls()[..],
        [Command::WatchFor { words, on: true }] if words == "no such thing"));
    stage.keys("gw");
    assert!(stage.screen().contains("fedora 43 iso"));
    stage.keys("<Enter>");
    assert!(matches!(&stage.calls()[..],
        [Command::WatchFor { words, on: false }] if words == "fedora 43 iso"));
    stage.keys("<Esc><Esc>/size:>1T nothing<Enter>W");
    assert!(stage.calls().is_empty(), "only words can be watched for");

    let mut snap = testkit::rich(Instant::now());
    let mut catalogue = testkit::catalogue(20);
    let mut rows = catalogue.rows.to_vec();
    rows.iter_mut().for_each(|row| (row.sources, row.complete) = (0, 0));
    catalogue.rows = rows.into();
    snap.catalogue = Arc::new(catalogue);
    snap.transfers = [].into();
    let mut stage = Stage::of(snap, 80, 24);
    stage.keys("W");
    assert!(matches!(stage.calls()[..], [Command::Watch { on: true, .. }]));
}

#[test]
fn downloading_to_a_folder_takes_priority_and_order() {
    let mut stage = Stage::rich(80, 24);
    stage.keys("/kernel<Enter>D");
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
    for code in [KeyCode::F(5), KeyCode::F(6)] {
        stage.send(Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }
    insta::assert_snapshot!("download_to", stage.screen());
    stage.effects.clear();
    stage.keys("<Enter>");
    assert!(matches!(
        &stage.calls()[..],
        [
            Command::Download(request),
            Command::Prioritize { priority: Priority::High, .. },
            Command::Sequential { on: true, .. }
        ] if request.dir.is_some()
    ));
}

#[test]
fn the_largest_layout_has_a_pane_of_downloads() {
    let mut stage = Stage::rich(200, 60);
    stage.keys("5");
    assert_eq!(stage.model.focus, Pane::Transfers);
    stage.keys("jj");
    assert_eq!(stage.model.selected(), Some(testkit::content(2)));
    insta::assert_snapshot!("transfers_200x60", stage.screen());
    stage.keys("{");
    assert!(matches!(stage.calls()[..],
        [Command::Reorder { id, to: Reorder::Up }] if id == testkit::content(2)));
    // The selection stays with the pane when the map gets the keys, and goes back with 1.
    stage.keys("2");
    assert_eq!(stage.model.selected(), Some(testkit::content(2)));
    stage.keys("1");
    assert_ne!(stage.model.selected(), Some(testkit::content(2)));
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(stage.model.focus);
        stage.keys("<Tab>");
    }
    assert_eq!(seen, Pane::ALL);
    stage.keys("5");
    stage.send(Msg::Resize(80, 24));
    assert_eq!((stage.model.focus, stage.model.tab), (Pane::Files, Tab::Downloads));
    stage.keys("gn5");
    assert_eq!((stage.model.focus, stage.model.tab), (Pane::Files, Tab::Downloads));
}
