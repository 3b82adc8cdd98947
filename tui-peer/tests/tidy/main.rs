//! What the compiler does not hold: which part may know which.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod circles;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    assert!(root.exists(), "{} is gone: mend this test", root.display());
    let (mut files, mut dirs) = (Vec::new(), vec![root]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                // Comments may name what code may not.
                let code: Vec<&str> =
                    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
                files.push((path, code.join("\n")));
            }
        }
    }
    files
}

fn forbid(dir: &str, words: &[&str]) {
    for (path, code) in sources(dir) {
        for word in words {
            assert!(!code.contains(word), "{} mentions {word}", path.display());
        }
    }
}

#[test]
fn the_swarm_core_is_pure() {
    forbid(
        "swarm/src",
        &[
            "tokio",
            "std::net::Tcp",
            "std::fs",
            "Instant::now",
            "SystemTime::now",
            "std::thread",
            "getrandom",
        ],
    );
}

#[test]
fn texts_of_the_engine_name_no_keys() {
    // " (d)", "+ raises it", "r tries again": keys are bound in the terminal front end.
    let verbs = ["raises", "tries", "lists", "resumes", "looks again", "fetches it", "rejoins"];
    let own = |path: &Path| !path.components().any(|part| part.as_os_str() == "tests");
    for (path, code) in sources("engine/src").into_iter().filter(|(path, _)| own(path)) {
        for line in code.lines().filter(|line| line.contains('"')) {
            let words: Vec<&str> = line.split(' ').collect();
            for pair in words.windows(2) {
                let bare = pair[1].trim_end_matches(['"', ',', ';', '.', ')']);
                let aside = bare.len() == 2 && bare.starts_with('(') && pair[1].contains(')');
                let aside = aside && !bare.ends_with(|c: char| c.is_ascii_digit());
                let rest = line.split_once(pair[0]).map_or("", |(_, rest)| rest.trim_start());
                let key = pair[0].trim_matches(['(', '"']).len() == 1;
                let hint = key && verbs.iter().any(|verb| rest.starts_with(verb));
                assert!(!aside && !hint, "{}: {line}", path.display());
            }
        }
    }
}

/// Crates of ours with those they may know, and what only the screen draws with. Cargo itself refuses circles only.
const FLOORS: &[(&str, &[&str])] = &[
    ("../common", &[]),
    ("swarm", &["common"]),
    ("settings", &["common"]),
    ("engine", &["common", "swarm", "tracker"]),
    ("../tracker", &["common"]),
    ("frontend", &["common", "engine", "settings"]),
    ("screen", &["common", "engine", "frontend", "settings"]),
    (".", &["common", "engine", "frontend", "screen", "settings", "tracker"]),
];
const OURS: [&str; 8] =
    ["common", "engine", "frontend", "screen", "settings", "swarm", "tracker", "tui-peer"];
const DRAWING: [&str; 3] = ["crossterm", "ratatui", "tui-input"];

#[test]
fn crates_know_only_those_below_them() {
    for (dir, below) in FLOORS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir).join("Cargo.toml");
        let manifest = fs::read_to_string(&path).unwrap();
        let (_, dependencies) = manifest.split_once("\n[dependencies]\n").unwrap();
        let dependencies = dependencies.split("\n[").next().unwrap();
        for name in dependencies.lines().filter_map(|line| line.split([' ', '.', '=']).next()) {
            let ours = OURS.contains(&name) && !below.contains(&name);
            assert!(!ours, "{} knows {name}", path.display());
            assert!(
                matches!(*dir, "." | "screen") || !DRAWING.contains(&name),
                "{} draws",
                path.display()
            );
        }
    }
}

#[test]
fn front_ends_know_only_the_engines_api() {
    // What its own tests and fuzz targets need is public, but not for them.
    let all = ["src", "screen/src", "frontend/src"].into_iter().flat_map(sources);
    for (path, code) in all {
        for word in ["engine::testing", "engine::fuzzing", "use engine::{", "use ::engine::{"] {
            assert!(!code.contains(word), "{} mentions {word}", path.display());
        }
    }
}

#[test]
fn front_ends_do_not_know_the_tracker() {
    // The demo runs one, so the crate is there for all of the program.
    for dir in ["src/headless", "src/control", "src/hooks", "src/line_mode", "src/metrics"] {
        forbid(dir, &["tracker::"]);
    }
}

#[test]
fn the_trackers_index_is_pure() {
    forbid(
        "../tracker/src/index",
        &["tokio", "std::net::Tcp", "std::fs", "Instant::now", "SystemTime::now", "std::thread"],
    );
}

#[test]
fn files_use_each_other_in_no_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let crates = [
        "common/src",
        "tracker/src",
        "tui-peer/engine/src",
        "tui-peer/frontend/src",
        "tui-peer/screen/src",
        "tui-peer/settings/src",
        "tui-peer/swarm/src",
        "tui-peer/src",
    ];
    let arrows: Vec<_> = crates.iter().flat_map(|src| circles::arrows(root, src)).collect();
    assert!(arrows.len() > 1000, "{} arrows: the sources are not understood", arrows.len());
    if let Some(circle) = circles::circles(&arrows).first() {
        let inside =
            |arrow: &&circles::Arrow| circle.contains(&arrow.from) && circle.contains(&arrow.to);
        let mut parts: Vec<_> = arrows
            .iter()
            .filter(inside)
            .map(|a| format!("{}:{} -> {}", a.from, a.line, a.to))
            .collect();
        parts.dedup();
        panic!(
            "a circle; move what both need into a file below both, or turn an arrow round:\n{}",
            parts.join("\n")
        );
    }
}

/// What a file of the screen is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// What the screen knows, and what can be asked of it or measured.
    Model,
    Update,
    View,
}

/// By the name of the file, or of a folder it is in.
fn part(file: &str) -> Option<Part> {
    let path = file.strip_prefix("tui-peer/screen/src/")?.trim_end_matches(".rs");
    path.split('/').find_map(|name| match name {
        "model" | "state" | "geometry" | "queries" => Some(Part::Model),
        "update" => Some(Part::Update),
        "view" => Some(Part::View),
        _ => None,
    })
}

#[test]
fn update_and_view_of_the_screen_know_the_model_and_never_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let arrows = circles::arrows(root, "tui-peer/screen/src");
    let (mut updates, mut views) = (0, 0);
    for arrow in &arrows {
        let (from, to) = (part(&arrow.from), part(&arrow.to));
        match (from, to) {
            (Some(Part::Update), Some(Part::Model)) => updates += 1,
            (Some(Part::View), Some(Part::Model)) => views += 1,
            (Some(Part::Update), Some(Part::View))
            | (Some(Part::View), Some(Part::Update))
            | (Some(Part::Model), Some(Part::Update | Part::View)) => panic!(
                "{}:{} uses {}; what both need belongs in state, geometry or queries",
                arrow.from, arrow.line, arrow.to
            ),
            _ => {}
        }
    }
    assert!(updates > 30 && views > 30, "{updates} and {views}: the files have other names now");
}

#[test]
fn circles_are_found_through_reexports_and_written_out_paths() {
    let temp = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("lib.rs", "mod a; mod b; mod c; pub use b::Thing;"),
        (
            "a.rs",
            "use super::{Thing, c::{self, C as D}}; #[cfg(test)] mod tests { use crate::b::x; }",
        ),
        (
            "b.rs",
            "// crate::c::C\npub struct Thing(char); fn f<'a>() { g('\\'', \"}\", crate::a::A) }",
        ),
        ("c.rs", "mod below { use super::super::a::A; }"),
    ] {
        fs::write(temp.path().join(name), text).unwrap();
    }
    let arrows = circles::arrows(temp.path(), "");
    let found: BTreeSet<_> = arrows.iter().map(|a| (&*a.from, &*a.to, a.line)).collect();
    let wanted =
        [("a.rs", "b.rs", 1), ("a.rs", "c.rs", 1), ("b.rs", "a.rs", 2), ("c.rs", "a.rs", 1)];
    assert_eq!(found, BTreeSet::from(wanted));
    let circle = ["a.rs", "b.rs", "c.rs"].map(str::to_owned);
    assert_eq!(circles::circles(&arrows), [BTreeSet::from(circle)]);
    assert!(circles::circles(&arrows[..2]).is_empty());
}
