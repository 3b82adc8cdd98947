//! Whole screens on a pretended engine: their text at several sizes, and that no sequence of keys and
//! sizes breaks them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[allow(dead_code, reason = "shared with the example")]
mod testkit;

use std::sync::Arc;
use std::time::Instant;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tui_peer::engine::snapshot::Snapshot;
use tui_peer::tui::keymap::Keymap;
use tui_peer::tui::model::{Model, Now, Setting};
use tui_peer::tui::msg::{Effect, Msg};
use tui_peer::tui::theme::{Depth, Glyphs, Ground, Theme};
use tui_peer::tui::update::{start, update};
use tui_peer::tui::view::view;

const UNICODE: Theme = Theme { depth: Depth::Full, glyphs: Glyphs::Unicode, ground: Ground::Dark };
const ASCII: Theme = Theme { depth: Depth::Mono, glyphs: Glyphs::Ascii, ground: Ground::Dark };

fn model(snap: Snapshot, theme: Theme, size: (u16, u16), at: Instant) -> Model {
    let setting = Setting {
        home: Some("/home/me".into()),
        cwd: "/home/me".into(),
        utc_offset: 0,
        job_control: true,
        demo: true,
        full_depth: Depth::Full,
    };
    let now = Now { mono: at, wall: testkit::wall() };
    let mut model = Model::new(setting, theme, Keymap::standard(), Arc::new(snap), size, now);
    start(&mut model);
    for event in testkit::events() {
        update(&mut model, Msg::Event(event));
    }
    model.toasts.clear();
    model
}

fn screen(model: &Model) -> String {
    let mut terminal = Terminal::new(TestBackend::new(model.size.0, model.size.1)).unwrap();
    terminal.draw(|frame| view(model, frame)).unwrap();
    terminal.backend().to_string()
}

fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for c in keys.chars() {
        let code = match c {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\u{1b}' => KeyCode::Esc,
            c => KeyCode::Char(c),
        };
        effects.extend(update(model, Msg::Key(KeyEvent::new(code, KeyModifiers::NONE))));
    }
    effects
}

#[test]
fn the_main_view_at_every_class_of_size() {
    let at = Instant::now();
    for (theme, name) in [(UNICODE, "unicode"), (ASCII, "ascii")] {
        for size in [(38, 9), (60, 20), (80, 24), (120, 40), (165, 28), (200, 60)] {
            let model = model(testkit::rich(at), theme, size, at);
            insta::assert_snapshot!(format!("main_{name}_{}x{}", size.0, size.1), screen(&model));
        }
    }
}

#[test]
fn other_screens_at_the_smallest_usual_size() {
    let at = Instant::now();
    let after = |keys: &str| {
        let mut model = model(testkit::rich(at), UNICODE, (80, 24), at);
        press(&mut model, keys);
        screen(&model)
    };
    insta::assert_snapshot!("help", after("?"));
    insta::assert_snapshot!("palette", after(":ver"));
    insta::assert_snapshot!("filter", after("/deb"));
    insta::assert_snapshot!("details", after("\n"));
    insta::assert_snapshot!("share", after("s"));
    insta::assert_snapshot!("leave", after("L"));
    insta::assert_snapshot!("quit", after("q"));
    insta::assert_snapshot!("why", after("i"));
    let fresh = model(testkit::fresh(at), UNICODE, (80, 24), at);
    insta::assert_snapshot!("welcome", screen(&fresh));
}

#[test]
fn escape_never_quits_and_two_interrupts_do() {
    let at = Instant::now();
    let mut model = model(testkit::rich(at), UNICODE, (80, 24), at);
    let exits = |effects: &[Effect]| effects.iter().any(|e| matches!(e, Effect::Exit(_)));
    assert!(!exits(&press(&mut model, "\u{1b}\u{1b}\u{1b}\u{1b}")));
    let interrupt = || Msg::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert!(!exits(&update(&mut model, interrupt())));
    assert!(exits(&update(&mut model, interrupt())));
}

#[test]
fn rubbish_pasted_outside_a_field_does_nothing() {
    let at = Instant::now();
    let mut model = model(testkit::rich(at), UNICODE, (80, 24), at);
    let effects = update(&mut model, Msg::Paste("qqx\ndL\u{1b}[2J".into()));
    assert!(effects.is_empty(), "{effects:?}");
    assert!(!screen(&model).contains('\u{1b}'));
}

fn key() -> impl Strategy<Value = KeyEvent> {
    let code = prop_oneof![
        8 => proptest::sample::select("jkhlgGdpxsuLJ/zi?q:oOnN123456789 []<>+-*yYvVcrPSATmwf'eb".chars().collect::<Vec<_>>())
            .prop_map(KeyCode::Char),
        2 => proptest::sample::select(vec![
            KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::BackTab, KeyCode::Up, KeyCode::Down,
            KeyCode::PageUp, KeyCode::PageDown, KeyCode::Home, KeyCode::End, KeyCode::Backspace, KeyCode::F(1),
        ]),
        1 => any::<char>().prop_map(KeyCode::Char),
    ];
    let modifiers = prop_oneof![
        9 => Just(KeyModifiers::NONE),
        1 => Just(KeyModifiers::CONTROL),
        1 => Just(KeyModifiers::SHIFT),
    ];
    (code, modifiers).prop_map(|(code, modifiers)| KeyEvent::new(code, modifiers))
}

#[derive(Debug, Clone)]
enum Step {
    Key(KeyEvent),
    Size(u16, u16),
    Paste(String),
    Snapshot,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_sequence_of_keys_and_sizes_breaks_the_screen(
        steps in proptest::collection::vec(prop_oneof![
            12 => key().prop_map(Step::Key),
            2 => (1u16..220, 1u16..70).prop_map(|(w, h)| Step::Size(w, h)),
            1 => "\\PC{0,30}".prop_map(Step::Paste),
            1 => Just(Step::Snapshot),
        ], 0..60),
    ) {
        let at = Instant::now();
        let mut model = model(testkit::rich(at), UNICODE, (80, 24), at);
        for step in steps {
            let msg = match step {
                Step::Key(key) => Msg::Key(key),
                Step::Size(w, h) => Msg::Resize(w, h),
                Step::Paste(text) => Msg::Paste(text),
                Step::Snapshot => Msg::Snapshot(Arc::new(testkit::rich(at))),
            };
            update(&mut model, msg);
            let text = screen(&model);
            let clean = !text.contains(['\u{1b}', '\u{202e}']);
            prop_assert!(clean);
            let list = model.list();
            prop_assert!(list.rows.is_empty() || list.cursor < list.rows.len());
        }
    }
}
