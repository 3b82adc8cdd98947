//! Hints name the keys in use: with every action on another key, no screen names a default one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use engine::api::cause::Cause;
use engine::api::snapshot::{Catalogue, NetState, Snapshot, TransferState};
use screen::action::Action;
use screen::keymap::Keymap;
use screen::model::Pane;
use screen::msg::{Effect, ExitReason, Msg};
use screen::theme::{Depth, Glyphs, Ground, Theme};
use screen::update;
use settings::Binding;

use super::stage::{self, Stage};
use super::testkit;

/// Hints of keys that cannot be bound: those of fields, lists and the welcome screen.
const FIXED: [&str; 25] = [
    "A folder that",
    // Words cut by borders.
    "MiB/s · t ━",
    "┃ s   Got",
    "┃60 s   Got",
    "program (h)",
    "machine (d)",
    "F1 help",
    "F2 settings",
    "q qu",
    "F3 browse",
    "F3 to browse",
    "F5 priority",
    "F6 order",
    "(F5)",
    "(F6)",
    "/ filter - Enter fetches",
    "* all - ",
    "- s share - Esc back",
    "- d downloads here - ",
    "d downloads to ",
    "hidden off (.)",
    "/ filter   ~ home",
    "- r resets - / finds - ",
    "- a adds one - ",
    "^C again quits",
];

/// A letter that nobody has on a key, one for every action.
fn letter(action: Action) -> Option<char> {
    // What ends the program whatever happens stays on ^C.
    let at = Action::ALL.iter().filter(|a| **a != Action::Interrupt).position(|a| *a == action);
    ('А'..='я').chain('Ա'..='Ֆ').chain('ა'..='ჰ').nth(at?)
}

fn bound(keys: impl Fn(Action) -> Vec<String>) -> Keymap {
    let rebound = Action::ALL.iter().filter(|action| **action != Action::Interrupt);
    let all: Vec<Binding> = rebound
        .map(|action| Binding { action: action.name().into(), keys: keys(*action), line: 1 })
        .collect();
    Keymap::new(&all).unwrap()
}

fn unusual() -> Keymap {
    bound(|action| letter(action).into_iter().map(String::from).collect())
}

/// Default keys that this screen names, each with its line.
fn named(screen: &str, defaults: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for line in screen.lines() {
        let mut line = line.to_owned();
        for fixed in FIXED {
            line = line.replace(fixed, "");
        }
        let words: Vec<&str> = line.split([' ', '│', '─', '┐', '┌']).collect();
        let mut before = "";
        for (at, word) in words.iter().enumerate() {
            let next = words.get(at + 1).copied().unwrap_or_default();
            let bare = word.trim_matches(['(', ')', '.', ',', ':', ';', '"', '[', ']']);
            // A number and its unit.
            let unit = before.trim_start_matches(['<', '>', '-', '(']).parse::<f64>().is_ok();
            let is_hint = match bare {
                "g" => next.len() == 1,
                "1" | "2" | "3" | "4" | "5" => {
                    Pane::ALL.iter().any(|pane| next.starts_with(pane.name()))
                }
                _ => defaults.contains(bare) && !(unit && bare.len() == 1),
            };
            // Between words a sign is a sign.
            let alone = at == 0 || words[at - 1].ends_with(['.', ',', '·', '(']);
            let alone = alone || words[at - 1].is_empty();
            let sign = alone && word.len() == 1 && "/?+=*-.:'<>{}".contains(word);
            if is_hint || sign && next.starts_with(|c: char| c.is_ascii_lowercase()) {
                found.push(format!("{word:?} in {line:?}"));
            }
            if !word.is_empty() {
                before = word;
            }
        }
    }
    found
}

/// How the screen writes the default keys; signs are looked at otherwise, and so are the keys that mean
/// something in every dialog.
fn defaults() -> BTreeSet<String> {
    let standard = Keymap::standard();
    let all = Action::ALL.iter().flat_map(|action| standard.keys(*action));
    all.filter(|key| {
        key.chars().all(|c| c.is_alphanumeric() || c == '^')
            && !key.starts_with(|c: char| c.is_ascii_digit())
            && !["Enter", "Esc", "Tab", "Space", "Up", "Down", "Left", "Right"]
                .contains(&key.as_str())
    })
    .collect()
}

fn press(stage: &mut Stage, action: Action) {
    let c = letter(action).unwrap();
    stage.send(Msg::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)));
}

fn rebound(snap: Snapshot, width: u16, height: u16) -> Stage {
    // Before anything is said.
    let theme = Theme::new(Depth::Full, Glyphs::Unicode, Ground::Dark);
    let mut model = stage::model(snap, width, height, theme);
    model.keymap = unusual();
    model.setting.wanted_port = Some(WANTED_PORT);
    let effects = update::start(&mut model);
    let mut stage = Stage { model, effects };
    for event in testkit::events() {
        stage.send(Msg::Event(event));
    }
    stage
}

/// The usual one, with a short list: it is drawn many hundred times.
fn snapshot(now: Instant) -> Snapshot {
    Snapshot { catalogue: Arc::new(testkit::catalogue(40)), ..testkit::rich(now) }
}

/// Snapshots in which something is wrong or missing.
fn troubles() -> Vec<Snapshot> {
    let now = Instant::now();
    let mut all = vec![snapshot(now)];
    let lost = NetState::Lost {
        since: now - Duration::from_secs(42),
        retry_at: now + Duration::from_secs(8),
        why: "connection refused".into(),
    };
    for state in [
        NetState::On,
        lost,
        NetState::Left,
        NetState::Connecting,
        NetState::Rejected { why: "wrong secret".into() },
        NetState::NoNetwork,
    ] {
        let mut snap = snapshot(now);
        snap.network.state = state;
        all.push(snap.clone());
        snap.catalogue = Arc::new(Catalogue { version: 2, rows: [].into(), whole: true });
        (snap.transfers, snap.peers, snap.focus) = ([].into(), Arc::new([]), None);
        (snap.bans, snap.watches) = (Arc::new([]), Arc::new([]));
        all.push(snap);
    }
    let mut snap = snapshot(now);
    snap.network.asking = true;
    all.push(snap.clone());
    snap.network.asking = false;
    snap.me.serving = false;
    snap.me.listen.set_port(WANTED_PORT);
    snap.transfers = [].into();
    all.push(snap);
    for (state, why, plan) in [
        (TransferState::Failed("no room".into()), None, ""),
        (TransferState::Changed, Some(Cause::Vanished), ""),
        (TransferState::Changed, None, ""),
        (TransferState::Changed, None, "3 chunks are damaged on disk"),
        (TransferState::Paused, Some(Cause::Paused), ""),
        (TransferState::DiskFull, Some(Cause::DiskFull), ""),
        (TransferState::Queued, Some(Cause::Queued(1)), "5 run at once"),
        (TransferState::Getting, Some(Cause::Offline), ""),
        (TransferState::NoSource, Some(Cause::NoSource(3)), ""),
    ] {
        let mut snap = snapshot(now);
        let mut transfers = testkit::transfers();
        (transfers[0].state, transfers[0].plan.why) = (state, plan.to_owned());
        transfers[0].why.clone_from(&why);
        snap.transfers = transfers.into();
        let mut focus = testkit::focus(testkit::content(0), 500, 0.5, 2);
        focus.causes = why.into_iter().collect();
        focus.sources.clear();
        snap.focus = Some(Arc::new(focus));
        all.push(snap);
    }
    let mut snap = snapshot(now);
    let mut catalogue = testkit::catalogue(20);
    let mut rows = catalogue.rows.to_vec();
    rows.iter_mut().for_each(|row| (row.sources, row.complete) = (0, 0));
    catalogue.rows = rows.into();
    (snap.catalogue, snap.transfers) = (Arc::new(catalogue), [].into());
    all.push(snap);
    all
}

/// Another one than that of the snapshots, so that there is something to say about it.
const WANTED_PORT: u16 = 7000;

const SIZES: [(u16, u16); 4] = [(39, 8), (60, 20), (80, 24), (200, 60)];

/// What is looked at in every trouble: panes, tabs, details, dialogs.
const VIEWS: [&[Action]; 21] = [
    &[],
    &[Action::Pane2],
    &[Action::Pane3],
    &[Action::Pane4],
    &[Action::Pane4, Action::Zoom, Action::LogLess, Action::LogLess, Action::LogTarget],
    &[Action::TabDownloads],
    &[Action::TabShared],
    &[Action::TabPeers],
    &[Action::Enter],
    &[Action::TabDownloads, Action::Enter],
    &[Action::TabShared, Action::Down, Action::Enter],
    &[Action::Why],
    &[Action::TabDownloads, Action::Why],
    &[Action::TabDownloads, Action::Remove],
    &[Action::TabShared, Action::Unshare],
    &[Action::TabPeers, Action::Ban],
    &[Action::Bans],
    &[Action::Watches],
    &[Action::CopyJoin],
    &[Action::Sort],
    &[Action::Settings],
];

/// Every screen of every trouble, with the keys of `keymap`.
fn screens(keymap: &Keymap, sizes: &[(u16, u16)]) -> BTreeSet<String> {
    let (defaults, mut found) = (defaults(), BTreeSet::new());
    for snap in troubles() {
        for (width, height) in sizes.iter().copied() {
            for view in VIEWS {
                let mut stage = rebound(snap.clone(), width, height);
                for action in view {
                    press(&mut stage, *action);
                }
                stage.model.keymap = keymap.clone();
                found.extend(named(&stage.screen(), &defaults));
            }
        }
    }
    found
}

#[test]
fn no_screen_names_a_default_key_when_all_are_rebound() {
    let found = screens(&unusual(), &SIZES);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_screen_names_a_key_that_nothing_is_bound_to() {
    let found = screens(&bound(|_| Vec::new()), &[(120, 40)]);
    assert!(found.is_empty(), "{found:#?}");
}

/// That the two above can fail.
#[test]
fn default_keys_are_found_on_the_screens_when_they_are_in_use() {
    let found = screens(&Keymap::standard(), &[(80, 24), (120, 40)]);
    for hint in [
        "d downloads it",
        "1 Files",
        "d fetches it again",
        "i says why, r tries again",
        "p resumes it",
        "u forgets it",
        "v looks again",
        "(n jumps)",
        "A asks the tracker",
        "A now",
        "J rejoins",
        "(L)",
        "(S)",
        "g j joins another",
        "g y  copy the join string",
        "W  watch",
        "then press d",
        "t next part, + shows more",
        "F2 changes it",
        "F2 or Esc closes",
        "O reverses",
        "b on a peer",
        "2 Chunks",
        "3 Sources",
        "4 Log",
    ] {
        assert!(found.iter().any(|text| text.contains(hint)), "{hint}");
    }
}

#[test]
fn nothing_that_an_action_says_names_a_default_key_when_all_are_rebound() {
    // The help lists all keys there are.
    let shows = |action: Action| !matches!(action, Action::Help | Action::Interrupt);
    let (defaults, mut found) = (defaults(), BTreeSet::new());
    // Every fifth: nothing special, no network, refused, something failed, no room.
    for snap in troubles().into_iter().step_by(5) {
        for action in Action::ALL.iter().filter(|action| shows(**action)) {
            let mut stage = rebound(snap.clone(), 120, 40);
            press(&mut stage, *action);
            found.extend(named(&stage.screen(), &defaults));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

fn own(action: Action, keys: &[&str]) -> Binding {
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    Binding { action: action.name().to_owned(), keys, line: 1 }
}

#[test]
fn other_keys_and_missing_ones_read_well() {
    let keymap = Keymap::new(&[
        own(Action::Why, &["f4"]),
        own(Action::Retry, &["g e"]),
        own(Action::Leave, &["ctrl-o"]),
        own(Action::Rejoin, &["ctrl-j"]),
        own(Action::Share, &[]),
        own(Action::Download, &["f5"]),
        own(Action::TabNetwork, &[]),
        own(Action::Help, &["f12", "h"]),
        own(Action::Left, &["left"]),
        own(Action::Pane1, &[]),
        own(Action::Pane2, &["f2"]),
        own(Action::Settings, &["ctrl-s"]),
    ]);
    let keymap = keymap.unwrap();
    let mut snap = testkit::rich(Instant::now());
    snap.network.state = NetState::Left;
    let mut transfers = testkit::transfers();
    transfers[0].state = TransferState::Failed("no room".to_owned());
    transfers.truncate(1);
    snap.transfers = transfers.into();
    let mut stage = Stage::of(snap.clone(), 80, 24);
    stage.model.keymap = keymap.clone();
    insta::assert_snapshot!("rebound_left_and_failed", stage.screen());
    snap.transfers = [].into();
    snap.focus = None;
    let mut stage = Stage::of(snap, 120, 40);
    stage.model.keymap = keymap;
    stage.keys("gd");
    insta::assert_snapshot!("rebound_no_downloads", stage.screen());
    stage.keys("gsh");
    insta::assert_snapshot!("rebound_help", stage.screen());
    // A letter that opens the help is typed there; another key of it closes.
    stage.keys("h");
    assert!(stage.screen().contains("Search: h"));
    stage.send(Msg::Key(KeyEvent::new(KeyCode::F(12), KeyModifiers::NONE)));
    assert!(stage.model.dialogs.is_empty());
}

#[test]
fn the_order_is_reversed_from_the_dialog_that_says_so() {
    let mut stage = Stage::rich(80, 24);
    stage.keys("o");
    assert!(stage.screen().contains("O reverses"));
    stage.keys("O");
    assert!(stage.model.list().reverse && stage.model.dialogs.len() == 1);
    stage.keys("<Esc>");
    stage.model.keymap = Keymap::new(&[own(Action::Reverse, &["g z"])]).unwrap();
    stage.keys("o");
    assert!(!stage.screen().contains("reverses"), "a sequence means nothing there");
}

#[test]
fn another_key_for_quitting_at_once_works_like_the_usual_one() {
    let binding = Binding { action: "quit-now".into(), keys: vec!["Q".into()], line: 1 };
    let mut stage = Stage::rich(80, 24);
    stage.model.keymap = Keymap::new(&[binding]).unwrap();
    let exit = |stage: &Stage| {
        let asked = |effect: &Effect| matches!(effect, Effect::Exit(ExitReason::QuitNow));
        stage.effects.iter().any(asked)
    };
    stage.keys("Q");
    assert!(!exit(&stage) && stage.screen().contains("once more quits at once"));
    stage.keys("Q");
    assert!(exit(&stage));
}
