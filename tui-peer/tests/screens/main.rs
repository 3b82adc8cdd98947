//! The screen as users see it: keys in, text out; no terminal and no clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "tests"
)]

mod bytes;
mod dialogs;
mod inside;
mod map;
mod members;
mod narrow;
mod pictures;
mod polish;
#[cfg(target_os = "linux")]
mod pty;
mod random;
mod reach;
mod rebound;
mod settings;
mod stage;
mod states;
mod terminal;
#[allow(dead_code)]
mod testkit;
mod wishes;

use screen::theme::{Depth, Glyphs, Ground};
use stage::Stage;

const SIZES: [(u16, u16); 5] = [(60, 20), (80, 24), (120, 40), (200, 60), (170, 26)];

#[test]
fn main_view_at_every_size() {
    for (width, height) in SIZES {
        let stage = Stage::rich(width, height);
        insta::assert_snapshot!(format!("main_{width}x{height}"), stage.screen());
        let stage = Stage::with_look(width, height, Depth::Mono, Glyphs::Ascii, Ground::Dark);
        let screen = stage.screen();
        assert!(screen.is_ascii(), "names are escaped: {screen}");
        insta::assert_snapshot!(format!("main_{width}x{height}_ascii"), screen);
    }
}

#[test]
fn colours_of_the_map() {
    for (name, depth, ground) in [
        ("dark", Depth::Full, Ground::Dark),
        ("light", Depth::Full, Ground::Light),
        ("16", Depth::Sixteen, Ground::Dark),
        ("mono", Depth::Mono, Ground::Dark),
    ] {
        let stage = Stage::with_look(80, 24, depth, Glyphs::Unicode, ground);
        insta::assert_snapshot!(format!("styles_80x24_{name}"), stage.styles());
    }
}

#[test]
fn other_screens() {
    for (name, keys) in [
        ("help", "?"),
        ("palette", ":ver"),
        ("filter", "/deb iso size:<2G !live"),
        ("filter_problem", "/deb colour:red"),
        ("no_match", "/debain"),
        ("sort", "o"),
        ("why", "i"),
        ("quit", "q"),
        ("leave", "L"),
        ("details", "<Enter>"),
        ("downloads", "]"),
        ("shared", "]]"),
        ("peers", "["),
        ("prefix", "g"),
        ("chunks_zoomed", "2z"),
        ("chunk_cursor", "2nn"),
        ("log_debug", "4+z"),
        ("remove", "]x"),
        ("share", "s"),
    ] {
        let mut stage = Stage::rich(80, 24);
        stage.keys(keys);
        insta::assert_snapshot!(name, stage.screen());
    }
}
