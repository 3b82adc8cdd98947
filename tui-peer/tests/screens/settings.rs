//! The settings screen, driven by keys.

use std::ffi::OsString;
use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use engine::api::command::{Command, CommandError, CommandErrorKind, Reply};
use engine::api::snapshot::NetState;
use screen::action::Action;
use screen::keymap::Keymap;
use screen::model::{Dialog, Panel, Prefs};
use screen::msg::{Asked, Effect, ExitReason, Msg};
use screen::theme::{Depth, Detected, Ground};
use settings::{Binding, Change, Item, Layer, OwnTheme, Page, Paint, Role, Table, Units};

use super::stage::Stage;

/// As on Ada's machine.
fn table() -> Table {
    let mut table = Table::default();
    table.path = Some(PathBuf::from("/home/ada/.config/shoal/config.toml"));
    table.set_default(Item::Downloads, "/home/ada/Downloads");
    table.set_default(Item::State, "/home/ada/.local/state/shoal");
    table.set_default(Item::Nick, "ada-desk");
    table
}

fn with(table: Table, width: u16, height: u16) -> Stage {
    let mut stage = Stage::rich(width, height);
    stage.model.keymap = Keymap::new(&table.keys).unwrap();
    stage.model.set_prefs(Prefs::new(table, Detected::default()));
    stage.effects.clear();
    stage
}

fn opened(width: u16, height: u16) -> Stage {
    let mut stage = with(table(), width, height);
    stage.keys("<F2>");
    stage
}

fn panel(stage: &Stage) -> &Panel {
    match stage.model.dialogs.last() {
        Some(Dialog::Settings(panel)) => panel,
        other => panic!("{other:?}"),
    }
}

fn saves(stage: &mut Stage) -> Vec<Change> {
    std::mem::take(&mut stage.effects)
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Save(change) => Some(change),
            _ => None,
        })
        .collect()
}

fn saved(item: Item, text: &str) -> Change {
    Change::Item(item, Some(text.to_owned()))
}

#[test]
fn every_page() {
    for (width, height) in [(80, 24), (120, 40)] {
        let mut stage = opened(width, height);
        for page in Page::ALL {
            assert_eq!(panel(&stage).page, page);
            let name = format!("settings_{}_{width}x{height}", page.title().to_lowercase());
            insta::assert_snapshot!(name, stage.screen());
            stage.keys("<Tab>");
        }
        assert_eq!(panel(&stage).page, Page::General, "round again");
        stage.keys("<S-Tab>");
        assert_eq!(panel(&stage).page, Page::About);
        stage.keys("<Esc>");
        assert!(stage.model.dialogs.is_empty());
    }
    let mut stage = opened(60, 20);
    stage.keys("<Tab><Tab><Tab>");
    insta::assert_snapshot!("settings_look_60x20", stage.screen());
}

#[test]
fn choices_and_toggles_change_with_enter_and_are_in_force_at_once() {
    let mut stage = opened(80, 24);
    stage.keys("<Tab><Tab><Tab>");
    stage.keys("<Enter><Enter><Enter>");
    assert_eq!(stage.model.theme.ground, Ground::Light);
    let expected = ["auto-ssh", "dark", "light"].map(|name| saved(Item::Theme, name));
    assert_eq!(saves(&mut stage), expected);
    stage.keys("-");
    assert_eq!(stage.model.theme.ground, Ground::Dark);
    stage.keys("j<Enter><Enter><Enter>");
    assert_eq!(stage.model.theme.depth, Depth::Mono);
    stage.keys("<Enter>");
    assert_eq!(stage.model.theme.depth, Depth::Full, "auto again");
    stage.keys("jj<Enter>");
    assert_eq!(stage.model.units, Units::Si);
    assert!(stage.screen().contains("↓ 13.0 MB/s"), "the preview and the header follow");
    stage.keys("jj ");
    assert!(!stage.model.mouse);
    assert!(stage.effects.iter().any(|effect| matches!(effect, Effect::Mouse(false))));
    assert!(saves(&mut stage).contains(&saved(Item::Mouse, "false")));
    stage.keys("r");
    assert!(stage.model.mouse);
    assert_eq!(saves(&mut stage), [Change::Item(Item::Mouse, None)]);
    stage.send(Msg::Saved(Ok(())));
    assert!(stage.screen().contains("Saved."));
}

#[test]
fn a_wrong_value_is_refused_and_the_old_one_stays() {
    let mut stage = opened(80, 24);
    stage.keys("<Tab>jj<Enter><C-u>0.0.0.0:99999<Enter>");
    let screen = stage.screen();
    assert!(screen.contains("Port 99999 — use 1 to 65535"), "{screen}");
    insta::assert_snapshot!("settings_wrong_value", screen);
    assert_eq!(stage.model.prefs.table.text(Item::Listen), "[::]:7421");
    assert!(saves(&mut stage).is_empty());
    stage.keys("<Back><Enter>");
    assert_eq!(stage.model.prefs.table.text(Item::Listen), "0.0.0.0:9999");
    assert_eq!(saves(&mut stage), [saved(Item::Listen, "0.0.0.0:9999")]);
    assert!(stage.screen().contains("Takes effect at the next start"), "{}", stage.screen());
    stage.keys("<Enter>1<Esc>");
    assert_eq!(stage.model.prefs.table.text(Item::Listen), "0.0.0.0:9999", "Esc keeps it");
    assert!(panel(&stage).edit.is_none() && saves(&mut stage).is_empty());
}

#[test]
fn limits_reach_the_engine() {
    let mut stage = opened(80, 24);
    stage.keys("<Tab><Tab><Enter><C-u>2M<Enter>");
    let limits = stage.effects.iter().find_map(|effect| match effect {
        Effect::Call(Command::Limits { up, down }, _) => Some((*up, *down)),
        _ => None,
    });
    assert_eq!(limits, Some((Some(2 << 20), None)));
    assert!(stage.screen().contains("2.00 MiB/s"));
}

#[test]
fn a_limit_typed_where_there_is_none_is_not_added_to_the_word() {
    let mut stage = opened(80, 24);
    stage.keys("<Tab><Tab><Enter>");
    assert!(stage.screen().contains("Upload limit       none"), "shown until something is typed");
    stage.keys("2M<Enter>");
    assert!(stage.screen().contains("2.00 MiB/s"), "{}", stage.screen());
    stage.keys("<Enter><C-u>none<Enter><Enter><Enter>");
    assert!(panel(&stage).edit.is_none(), "empty leaves it as it is");
    assert_eq!(panel(&stage).note, None);
}

#[test]
fn the_download_folder_is_kept_only_if_the_engine_can_use_it() {
    let mut stage = opened(80, 24);
    stage.keys("<Enter><C-u>/mnt/big<Enter>");
    let asked = stage.effects.iter().find_map(|effect| match effect {
        Effect::Call(Command::Downloads { dir }, asked) => Some((dir.clone(), asked.clone())),
        _ => None,
    });
    let (dir, asked) = asked.unwrap();
    assert_eq!(dir, PathBuf::from("/mnt/big"));
    assert_eq!(asked, Asked::Setting(Item::Downloads, Some("/mnt/big".to_owned())));
    let error = CommandError {
        kind: CommandErrorKind::Permission,
        message: "cannot use /mnt/big: permission denied".to_owned(),
    };
    stage.send(Msg::Reply(asked.clone(), Err(error)));
    assert_eq!(stage.model.prefs.table.text(Item::Downloads), "/home/ada/Downloads");
    assert!(saves(&mut stage).is_empty());
    assert!(stage.screen().contains("permission denied"), "{}", stage.screen());
    stage.send(Msg::Reply(asked, Ok(Reply::Accepted)));
    assert_eq!(stage.model.prefs.table.text(Item::Downloads), "/mnt/big");
    assert_eq!(saves(&mut stage), [saved(Item::Downloads, "/mnt/big")]);
}

#[test]
fn what_an_option_or_the_environment_says_is_locked() {
    let mut table = table();
    let (mut flags, mut env) = (Layer::default(), Layer::default());
    flags.set(Item::Theme, OsString::from("mono"));
    env.set(Item::Color, OsString::from("16"));
    table.set_layers(flags, env);
    table.set(Item::Units, "bits").unwrap();
    let mut stage = with(table, 80, 24);
    stage.keys("<F2><Tab><Tab><Tab><Enter>");
    assert!(stage.screen().contains("fixed by an option"), "{}", stage.screen());
    stage.keys("jr");
    assert!(stage.screen().contains("(SHOAL_COLOR)"));
    insta::assert_snapshot!("settings_locked", stage.screen());
    stage.keys("<Esc>T");
    assert!(stage.screen().contains("fixed by an option"));
    assert!(saves(&mut stage).is_empty());
    assert_eq!(stage.model.theme.depth, Depth::Mono);
}

#[test]
fn a_key_is_captured_and_conflicts_name_both_actions() {
    let mut stage = opened(80, 24);
    stage.keys("<Tab><Tab><Tab><Tab>/pause<Enter>");
    assert_eq!(panel(&stage).page, Page::Keys);
    stage.keys("<Enter>");
    insta::assert_snapshot!("settings_capture", stage.screen());
    stage.keys("d");
    let screen = stage.screen();
    assert!(screen.contains("d is bound to both download and pause"), "{screen}");
    insta::assert_snapshot!("settings_key_conflict", screen);
    assert_eq!(stage.model.keymap.keys(Action::Pause), ["p"]);
    assert!(saves(&mut stage).is_empty());
    stage.keys("<Enter><Esc>");
    assert!(panel(&stage).capture.is_none() && panel(&stage).note.is_none());
    stage.keys("<Enter><C-p>");
    assert_eq!(stage.model.keymap.keys(Action::Pause), ["^P"]);
    assert_eq!(
        saves(&mut stage),
        [Change::Keys("pause".to_owned(), Some(vec!["ctrl-p".to_owned()]))]
    );
    stage.keys("ap");
    assert_eq!(stage.model.keymap.keys(Action::Pause), ["^P", "p"]);
    stage.keys("r");
    assert_eq!(stage.model.keymap.keys(Action::Pause), ["p"]);
    assert_eq!(saves(&mut stage).pop(), Some(Change::Keys("pause".to_owned(), None)));
    stage.keys("<Enter><C-p><Enter>p");
    let all = saves(&mut stage);
    assert_eq!(all.last(), Some(&Change::Keys("pause".to_owned(), None)), "the default again");
}

#[test]
fn sequences_can_be_captured_and_impossible_keys_are_refused() {
    let mut stage = opened(80, 24);
    stage.keys("/host<Enter>");
    stage.keys("<Enter>g");
    assert!(stage.screen().contains("g and then?"), "{}", stage.screen());
    stage.keys("h");
    assert_eq!(stage.model.keymap.keys(Action::Host), ["g h"]);
    stage.keys("<Enter>7");
    assert!(stage.screen().contains("begin a count"), "{}", stage.screen());
    stage.keys("<Enter><Insert>");
    assert!(stage.screen().contains("no name"), "{}", stage.screen());
    stage.keys("<Enter>");
    stage.send(Msg::Key(KeyEvent::new(KeyCode::Char('x'), KeyModifiers::ALT)));
    assert!(stage.screen().contains("Alt belongs"), "{}", stage.screen());
    stage.keys("<Esc>");
    assert_eq!(stage.model.keymap.keys(Action::Host), ["g h"]);
    // The new keys work, and the help shows them.
    stage.keys("<Esc><Esc>gh");
    assert!(stage.effects.iter().any(|e| matches!(e, Effect::Call(Command::Host, _))));
}

#[test]
fn settings_are_found_by_any_word() {
    let mut stage = opened(80, 24);
    stage.keys("/");
    stage.send(Msg::Paste("limit".to_owned()));
    insta::assert_snapshot!("settings_find", stage.screen());
    stage.keys("<Down><Enter>");
    assert_eq!((panel(&stage).page, panel(&stage).cursor), (Page::Transfers, 1));
    stage.keys("/xyzzy");
    assert!(stage.screen().contains("No setting matches."));
    stage.keys("<Enter><Esc>");
    assert!(panel(&stage).query.is_none());
}

#[test]
fn a_file_that_cannot_be_written_is_told_and_the_change_holds() {
    let mut stage = opened(80, 24);
    stage.keys("<Tab><Tab><Tab>jjj<Enter>");
    let why = "cannot save to /home/ada/.config/shoal/config.toml: read-only; the change holds";
    stage.send(Msg::Saved(Err(why.to_owned())));
    assert!(stage.screen().contains("cannot save to"), "{}", stage.screen());
    assert_eq!(stage.model.units, Units::Si);
    stage.keys("<Esc>T");
    stage.send(Msg::Saved(Err(why.to_owned())));
    assert!(stage.screen().contains("cannot save"), "as a toast: {}", stage.screen());
}

#[test]
fn the_theme_key_goes_round_and_remembers() {
    let mut own = table();
    let mut sea = OwnTheme::new("sea");
    sea.paints[Role::Have as usize] = Some(Paint::Index(30));
    own.themes.push(sea);
    let mut stage = with(own, 80, 24);
    stage.keys("TTTT");
    let names: Vec<Change> = saves(&mut stage);
    let expected = ["light", "high-contrast", "mono", "sea"];
    assert_eq!(names, expected.map(|name| saved(Item::Theme, name)));
    assert!(stage.screen().contains("theme: sea"));
    assert!(stage.styles().contains("Indexed(30)"));
}

#[test]
fn quitting_asks_as_the_settings_say() {
    let exits = |stage: &Stage| {
        stage.effects.iter().any(|effect| matches!(effect, Effect::Exit(ExitReason::Quit)))
    };
    let mut table = table();
    table.set(Item::Quit, "never").unwrap();
    let mut stage = with(table.clone(), 80, 24);
    stage.keys("q");
    assert!(exits(&stage), "although downloads run");
    table.set(Item::Quit, "always").unwrap();
    let mut stage = with(table, 80, 24);
    let mut snap = (*stage.model.snap).clone();
    snap.transfers = Vec::new().into();
    stage.send(Msg::Snapshot(snap.into()));
    stage.keys("q");
    assert!(!exits(&stage) && stage.screen().contains("nobody loses anything"));
}

#[test]
fn own_keys_are_in_force_from_the_start() {
    let mut own = table();
    own.keys.push(Binding { action: "settings".into(), keys: vec!["ctrl-o".into()], line: 3 });
    let mut stage = with(own, 80, 24);
    stage.keys("<F2>");
    assert!(stage.model.dialogs.is_empty());
    stage.keys("<C-o>");
    assert_eq!(panel(&stage).page, Page::General);
}

#[test]
fn the_mouse_opens_pages_and_changes_values() {
    let mut stage = opened(80, 24);
    let mut at = |column, row, kind| {
        let modifiers = KeyModifiers::NONE;
        stage.send(Msg::Mouse(MouseEvent { kind, column, row, modifiers }));
        stage.screen()
    };
    let left = MouseEventKind::Down(MouseButton::Left);
    // Look, its row Units, and that again.
    assert!(at(5, 4, left).contains("Preview"));
    at(30, 4, left);
    let screen = at(30, 4, left);
    assert!(screen.contains("(•) MB/s"), "{screen}");
    let screen = at(30, 4, MouseEventKind::ScrollDown);
    assert!(screen.contains("▌Reduce motion"), "{screen}");
    at(2, 20, left);
    assert_eq!(stage.model.units, Units::Si);
    assert_eq!(saves(&mut stage), [saved(Item::Units, "si")]);
}

#[test]
fn at_the_start_it_is_asked_once_whether_to_go_on() {
    let mut snap = super::testkit::rich(std::time::Instant::now());
    snap.network.state = NetState::Left;
    snap.network.asking = true;
    let mut stage = Stage::of(snap.clone(), 80, 24);
    insta::assert_snapshot!("settings_ask_start", stage.screen());
    stage.keys("<Esc>");
    stage.send(Msg::Snapshot(snap.clone().into()));
    assert!(stage.model.dialogs.is_empty(), "not again");
    let rejoins = |stage: &Stage| {
        stage.effects.iter().any(|effect| matches!(effect, Effect::Call(Command::Rejoin, _)))
    };
    assert!(!rejoins(&stage));
    let mut stage = Stage::of(snap, 80, 24);
    stage.keys("<Enter>");
    assert!(rejoins(&stage));
}

#[test]
fn room_to_be_kept_reaches_the_engine() {
    let mut stage = opened(80, 24);
    stage.keys("j<Enter><C-u>5G<Enter>");
    let asked = stage.effects.iter().find_map(|effect| match effect {
        Effect::Call(Command::KeepFree { bytes }, _) => Some(*bytes),
        _ => None,
    });
    assert_eq!(asked, Some(Some(5 << 30)));
    assert!(stage.screen().contains("5.00 GiB"), "{}", stage.screen());
}
