//! Whether others can reach this machine, in the header and above the list of peers.

use std::sync::Arc;
use std::time::Instant;

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use engine::api::snapshot::{NetState, Snapshot, Way};
use screen::model::Tab;
use screen::msg::Msg;

use super::stage::Stage;
use super::testkit;

fn seen(reachable: Option<bool>) -> Snapshot {
    let mut snap = testkit::rich(Instant::now());
    snap.network.reachable = reachable.map(|can| (can, ([203, 0, 113, 9], 7421).into()));
    snap
}

#[test]
fn the_header_and_the_peers_tab_say_whether_others_can_reach_us() {
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        for (name, reachable) in
            [("reachable", Some(true)), ("behind", Some(false)), ("unknown", None)]
        {
            let mut stage = Stage::of(seen(reachable), width, height);
            stage.keys("gp");
            let screen = stage.screen();
            let word = if name == "behind" { "behind NAT:" } else { name };
            assert!(screen.contains(word), "{screen}");
            if name != "unknown" {
                insta::assert_snapshot!(format!("reach_{name}_{width}"), screen);
            }
        }
    }
}

#[test]
fn who_is_in_no_network_is_not_told_whether_others_could_reach_it() {
    let mut snap = seen(Some(false));
    snap.network.state = NetState::Left;
    let mut stage = Stage::of(snap, 120, 40);
    stage.keys("gp");
    assert!(!stage.screen().contains("NAT"));
}

#[test]
fn a_click_on_a_peer_below_the_words_on_reach_takes_that_one() {
    let mut stage = Stage::of(seen(Some(false)), 80, 24);
    stage.keys("gp");
    let screen = stage.screen();
    let rows: Vec<&str> = screen.lines().collect();
    let heads = rows.iter().position(|row| row.contains("Peer ")).unwrap();
    let second = u16::try_from(heads + 2).unwrap();
    stage.send(Msg::Mouse(MouseEvent {
        kind: MouseEventKind::Down(MouseButton::Left),
        column: 5,
        row: second,
        modifiers: KeyModifiers::NONE,
    }));
    assert_eq!(stage.model.list_of(Tab::Peers).cursor, 1, "{}", stage.screen());
}

/// The usual transfer, with sources that are reached in all ways.
fn of_all_ways() -> Snapshot {
    let mut snap = testkit::rich(Instant::now());
    let mut focus = snap.focus.as_deref().unwrap().clone();
    let ways = [Way::Dialled, Way::Came, Way::Punched, Way::Relayed];
    for (source, way) in focus.sources.iter_mut().zip(ways) {
        source.way = way;
    }
    snap.focus = Some(Arc::new(focus));
    snap
}

#[test]
fn the_sources_pane_and_why_say_how_each_source_is_reached() {
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let mut stage = Stage::of(of_all_ways(), width, height);
        // The sources, zoomed.
        stage.keys("3z");
        let screen = stage.screen();
        for words in ["they dialled", "punched", "via tracker"] {
            // Where it is narrow, `i` says it.
            assert_eq!(screen.contains(words), width > 80, "{words}: {screen}");
        }
        insta::assert_snapshot!(format!("sources_ways_{width}"), screen);
    }
    // Where all are dialled there is nothing to say.
    let mut stage = Stage::rich(120, 40);
    stage.keys("3z");
    assert!(!stage.screen().contains("Reached"), "{}", stage.screen());
    let mut stage = Stage::of(of_all_ways(), 120, 40);
    stage.keys("i");
    let screen = stage.screen();
    assert!(
        screen.contains("through the tracker") && screen.contains("both sides at once"),
        "{screen}"
    );
}
