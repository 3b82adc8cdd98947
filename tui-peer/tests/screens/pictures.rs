//! Pictures over chunks and time: who has what, who sent what.

use std::sync::Arc;
use std::time::Instant;

use engine::api::snapshot::Look;
use screen::msg::{Effect, Msg};
use screen::theme::{Depth, Glyphs, Ground, Theme};

use super::stage::Stage;
use super::testkit;

/// What the screen asked for last.
fn asked(stage: &mut Stage) -> Option<Look> {
    let asked = stage.effects.iter().rev().find_map(|effect| match effect {
        Effect::Focus(_, look) => Some(*look),
        _ => None,
    });
    stage.effects.clear();
    asked
}

/// Answers until nothing more is asked.
fn tell(stage: &mut Stage, peers: u32) {
    while let Some(request) = asked(stage).and_then(|look| look.holders) {
        let mut snap = (*stage.model.snap).clone();
        let mut focus = (**snap.focus.as_ref().unwrap()).clone();
        focus.holders = Some(testkit::holders(focus.chunks.len(), request, peers));
        snap.focus = Some(Arc::new(focus));
        stage.send(Msg::Snapshot(Arc::new(snap)));
    }
}

fn stage(width: u16, height: u16, n: usize, theme: Theme) -> Stage {
    let mut snap = testkit::rich(Instant::now());
    snap.focus = Some(Arc::new(testkit::focus(testkit::content(0), n, 0.5, 2)));
    Stage::new(snap, width, height, theme)
}

fn dark() -> Theme {
    Theme::new(Depth::Full, Glyphs::Unicode, Ground::Dark)
}

#[test]
fn who_has_what_at_every_size() {
    for (width, height) in [(60, 20), (80, 24), (120, 40), (200, 60)] {
        let mut stage = stage(width, height, 1536, dark());
        stage.keys("w");
        tell(&mut stage, 9);
        insta::assert_snapshot!(format!("swarm_{width}x{height}"), stage.screen());
    }
    for (name, glyphs) in [("ascii", Glyphs::Ascii), ("console", Glyphs::Cp437)] {
        let mut stage = stage(80, 24, 1536, Theme::new(Depth::Mono, glyphs, Ground::Dark));
        stage.keys("w");
        tell(&mut stage, 9);
        insta::assert_snapshot!(format!("swarm_{name}"), stage.screen());
    }
}

#[test]
fn few_chunks_are_as_wide_in_a_strip_as_in_our_own() {
    let mut stage = stage(100, 30, 20, dark());
    stage.keys("w");
    tell(&mut stage, 4);
    insta::assert_snapshot!("swarm_20_chunks", stage.screen());
}

#[test]
fn of_a_thousand_peers_only_those_in_sight_are_asked_for() {
    let mut stage = stage(120, 40, 100_000, dark());
    stage.keys("<Enter>");
    asked(&mut stage);
    stage.keys("w");
    assert!(stage.model.swarm.open);
    tell(&mut stage, 1000);
    let look = stage.model.asked_focus.1.holders.unwrap();
    assert!(look.rows <= 120 && look.buckets <= 120, "{look:?}");
    assert_eq!(stage.model.swarm.list.rows.len(), 1000);
    assert!(stage.screen().contains("1,000 peers"), "{}", stage.screen());
    stage.keys("j");
    assert_eq!(asked(&mut stage), None, "a step asks nothing new");
    stage.keys("G");
    tell(&mut stage, 1000);
    assert!(stage.screen().contains("rack-999"), "{}", stage.screen());
    stage.keys("<Enter>");
    assert!(stage.screen().contains("Not connected") || stage.screen().contains("connected"));
    stage.keys("<Esc><Esc>");
    assert!(!stage.model.swarm.open && stage.model.details, "back to the details");
    assert_eq!(asked(&mut stage), Some(Look::default()), "nothing is worked out any more");
    stage.keys("w<Esc><Esc>");
    assert!(!stage.model.details);
}

#[test]
fn without_an_answer_or_peers_it_says_so() {
    let mut stage = stage(80, 24, 1536, dark());
    stage.keys("w");
    assert!(stage.screen().contains("Asking who has what"), "{}", stage.screen());
    tell(&mut stage, 0);
    assert!(stage.screen().contains("No other peer online has any of it"), "{}", stage.screen());
}

/// A wave of rates, snapshot by snapshot, four a second.
fn wave(stage: &mut Stage, seconds: u32) {
    let start = stage.model.now.mono;
    for quarter in 0..seconds * 4 {
        let at = start + std::time::Duration::from_millis(u64::from(quarter) * 250);
        let mut snap = (*stage.model.snap).clone();
        let x = f64::from(quarter) / 4.0;
        let mib = f64::from(1 << 20);
        snap.at = at;
        snap.uploads.down_limit = Some(30 << 20);
        snap.totals.down_rate = if x < 20.0 { 0.0 } else { (14.0 + 12.0 * (x / 25.0).sin()) * mib };
        snap.totals.up_rate = (4.0 + 3.0 * (x / 11.0).cos()) * mib;
        stage.model.now.mono = at;
        stage.send(Msg::Snapshot(Arc::new(snap)));
    }
}

#[test]
fn rates_over_time_where_there_is_room() {
    for (width, height, keys) in
        [(80, 24, "3z"), (120, 40, "<Enter>"), (200, 60, ""), (200, 60, "<Enter>")]
    {
        let mut stage = stage(width, height, 1536, dark());
        stage.keys(keys);
        wave(&mut stage, 200);
        let name =
            format!("graph_{width}x{height}{}", if keys == "<Enter>" { "_details" } else { "" });
        insta::assert_snapshot!(name, stage.screen());
    }
    for (name, glyphs) in [("ascii", Glyphs::Ascii), ("console", Glyphs::Cp437)] {
        let mut stage = stage(120, 40, 1536, Theme::new(Depth::Mono, glyphs, Ground::Dark));
        stage.keys("<Enter>t");
        wave(&mut stage, 200);
        insta::assert_snapshot!(format!("graph_{name}"), stage.screen());
    }
}

#[test]
fn the_window_turns_and_nothing_wakes_us_for_the_graph() {
    let mut large = stage(200, 60, 1536, dark());
    wave(&mut large, 70);
    for minutes in [5, 15, 60, 1, 5] {
        assert!(large.screen().contains(&format!("{minutes} min ago")), "{minutes}");
        large.keys("t");
    }
    large.model.toasts.clear();
    assert_eq!(screen::update::deadline(&large.model), None, "no timer at rest");
    // No room: it says so instead of nothing.
    let mut small = stage(80, 24, 1536, dark());
    small.keys("t");
    assert!(small.screen().contains("where there is room"), "{}", small.screen());
}

/// Answers who sent what: parts of the map of nine senders in turn, and the beginning of nobody.
fn tell_senders(stage: &mut Stage) {
    while let Some(buckets) = asked(stage).and_then(|look| look.senders) {
        let mut snap = (*stage.model.snap).clone();
        let mut focus = (**snap.focus.as_ref().unwrap()).clone();
        focus.sent = Some(testkit::sent(buckets));
        snap.focus = Some(Arc::new(focus));
        stage.send(Msg::Snapshot(Arc::new(snap)));
    }
}

#[test]
fn who_sent_it_on_every_terminal() {
    let looks = [
        ("dark", Depth::Full, Glyphs::Unicode, Ground::Dark),
        ("light", Depth::Full, Glyphs::Unicode, Ground::Light),
        ("16", Depth::Sixteen, Glyphs::Unicode, Ground::Dark),
        ("ascii", Depth::Mono, Glyphs::Ascii, Ground::Dark),
    ];
    for (look, depth, glyphs, ground) in looks {
        let mut stage = stage(80, 24, 23_593, Theme::new(depth, glyphs, ground));
        stage.keys("<Enter>M");
        tell_senders(&mut stage);
        stage.pass(std::time::Duration::from_secs(10));
        insta::assert_snapshot!(format!("senders_{look}"), stage.screen());
        if depth == Depth::Full {
            insta::assert_snapshot!(format!("senders_styles_{look}"), stage.styles());
        }
    }
}

#[test]
fn who_sent_it_is_asked_for_only_while_it_is_shown() {
    let mut stage = stage(120, 40, 23_593, dark());
    stage.keys("<Enter>");
    asked(&mut stage);
    stage.keys("M");
    let wanted = asked(&mut stage).and_then(|look| look.senders).unwrap();
    let area = screen::panes::chunks::geometry::map_area(&stage.model);
    assert_eq!(wanted, u32::from(area.width) * u32::from(area.height));
    stage.keys("M");
    assert_eq!(asked(&mut stage), Some(Look::default()));
    assert_eq!(stage.model.asked_focus.1, Look::default());
}
