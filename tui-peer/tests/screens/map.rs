//! The chunk map in every mode and on every kind of terminal; its cursor.

use std::sync::Arc;
use std::time::Instant;

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use engine::api::chunk_states::Chunks;
use engine::api::snapshot::{ChunkState, Focus};
use screen::heatmap::{Map, Mode};
use screen::msg::{Effect, Msg};
use screen::theme::{Depth, Glyphs, Ground, Theme};

use super::stage::Stage;
use super::testkit;

/// Every standing there is, in a pattern.
fn focus(n: usize) -> Focus {
    let mut focus = testkit::focus(testkit::content(0), n, 0.5, 2);
    let mut set = |i: usize, state| {
        focus.chunks.set(i.min(n - 1), state, 1);
    };
    set(n - 1, ChunkState::Unwanted);
    set(n / 5, ChunkState::Bad);
    focus
}

/// Builds what is to be built elsewhere.
fn finish(stage: &mut Stage) {
    while let Some(at) = stage.effects.iter().position(|e| matches!(e, Effect::Map(_))) {
        let Effect::Map(job) = stage.effects.remove(at) else { unreachable!() };
        let map = Map::build(&job.chunks, job.cells, job.halves);
        stage.send(Msg::Mapped(job, map));
    }
}

fn stage(n: usize, theme: Theme) -> Stage {
    let mut snap = testkit::rich(Instant::now());
    snap.focus = Some(Arc::new(focus(n)));
    let mut stage = Stage::new(snap, 60, 20, theme);
    stage.keys("<Enter>");
    finish(&mut stage);
    stage
}

#[test]
fn every_mode_on_every_terminal() {
    let looks = [
        ("dark", Depth::Full, Glyphs::Unicode, Ground::Dark),
        ("light", Depth::Full, Glyphs::Unicode, Ground::Light),
        ("16", Depth::Sixteen, Glyphs::Unicode, Ground::Dark),
        ("console", Depth::Sixteen, Glyphs::Cp437, Ground::Dark),
        ("mono", Depth::Mono, Glyphs::Unicode, Ground::Dark),
        ("ascii", Depth::Mono, Glyphs::Ascii, Ground::Dark),
    ];
    for (look, depth, glyphs, ground) in looks {
        let mut all = String::new();
        for n in [10, 100, 200, 300, 23_593, 1_000_000] {
            let stage = stage(n, Theme::new(depth, glyphs, ground));
            let screen = stage.screen();
            let lines: Vec<&str> = screen.lines().collect();
            let top = lines.iter().position(|l| l.contains("2 Chunks")).unwrap();
            let end = lines.iter().position(|l| l.contains("3 Sources")).unwrap_or(lines.len());
            all += &format!(
                "{n} chunks, {:?}\n{}\n",
                stage.model.chunks.map.mode,
                lines[top..end].join("\n")
            );
        }
        insta::assert_snapshot!(format!("map_{look}"), all);
    }
}

#[test]
fn colours_of_half_blocks_and_levels() {
    for ground in [Ground::Dark, Ground::Light] {
        for n in [300, 23_593] {
            let stage = stage(n, Theme::new(Depth::Full, Glyphs::Unicode, ground));
            let name = format!("map_styles_{n}_{ground:?}").to_lowercase();
            insta::assert_snapshot!(name, stage.styles());
        }
    }
}

#[test]
fn the_cursor_follows_the_newest_chunk_until_it_is_moved() {
    let mut stage = stage(23_593, Theme::new(Depth::Full, Glyphs::Unicode, Ground::Dark));
    stage.keys("f");
    assert!(stage.model.chunks.follows);
    let newest = |stage: &mut Stage, chunk: usize| {
        let mut snap = (*stage.model.snap).clone();
        let mut focus = (**snap.focus.as_ref().unwrap()).clone();
        focus.chunks.set(chunk, ChunkState::Have, 3);
        focus.newest = u32::try_from(chunk).ok();
        snap.focus = Some(Arc::new(focus));
        stage.send(Msg::Snapshot(Arc::new(snap)));
    };
    newest(&mut stage, 20_000);
    assert_eq!(stage.model.chunks.cursor, 20_000);
    stage.keys("l");
    assert!(!stage.model.chunks.follows, "moving ends it");
    newest(&mut stage, 5);
    assert_ne!(stage.model.chunks.cursor, 5);
    assert_eq!(stage.model.chunks.map.counts().total, 23_593);
}

#[test]
fn a_click_and_keys_move_the_cursor_and_n_finds_what_is_wrong() {
    let mut stage = stage(1_000_000, Theme::new(Depth::Full, Glyphs::Unicode, Ground::Dark));
    assert_eq!(stage.model.chunks.map.mode, Mode::Level);
    let area = screen::panes::chunks::geometry::map_area(&stage.model);
    stage.send(Msg::Mouse(MouseEvent {
        kind: MouseEventKind::Down(MouseButton::Left),
        column: area.x + 3,
        row: area.y + 1,
        modifiers: KeyModifiers::NONE,
    }));
    let cell = usize::from(area.width) + 3;
    assert_eq!(stage.model.chunks.map.cell_of(stage.model.chunks.cursor), cell);
    stage.keys("lkhj");
    assert_eq!(stage.model.chunks.map.cell_of(stage.model.chunks.cursor), cell);
    let focus = stage.model.snap.focus.clone().unwrap();
    let wrong: Vec<usize> = (0..focus.chunks.len())
        .filter(|i| match focus.chunks.state(*i) {
            Some(ChunkState::Missing) => focus.chunks.copies(*i) == 0,
            state => state == Some(ChunkState::Bad),
        })
        .collect();
    stage.keys("gg");
    for _ in 0..2 {
        for chunk in &wrong {
            stage.keys("n");
            assert_eq!(stage.model.chunks.cursor, *chunk);
        }
    }
    for chunk in wrong.iter().rev().skip(1) {
        stage.keys("N");
        assert_eq!(stage.model.chunks.cursor, *chunk);
    }
}

#[test]
fn an_old_map_stays_while_a_new_one_is_built_and_changes_meanwhile_are_not_lost() {
    let theme = Theme::new(Depth::Full, Glyphs::Unicode, Ground::Dark);
    let mut stage = stage(200_000, theme);
    let before = stage.model.chunks.map.cells;
    stage.send(Msg::Resize(80, 24));
    assert_eq!(stage.model.chunks.map.cells, before, "the old one stays");
    let mut snap = (*stage.model.snap).clone();
    let mut focus = (**snap.focus.as_ref().unwrap()).clone();
    focus.chunks.set(199_000, ChunkState::Have, 3);
    snap.focus = Some(Arc::new(focus.clone()));
    stage.send(Msg::Snapshot(Arc::new(snap)));
    finish(&mut stage);
    let map = &stage.model.chunks.map;
    assert_ne!(map.cells, before);
    assert_eq!(*map, Map::build(&focus.chunks, map.cells, map.halves));
    // Another file: nothing of the old one under its name.
    let mut snap = (*stage.model.snap).clone();
    let mut other = focus;
    other.chunks = Chunks::new(150_000);
    snap.focus = Some(Arc::new(other));
    stage.send(Msg::Snapshot(Arc::new(snap)));
    assert_eq!(stage.model.chunks.map.mode, Mode::Empty);
    finish(&mut stage);
    assert_eq!(stage.model.chunks.map.chunks(), 150_000);
}
