//! Every test that THREATS.md names is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Names of all functions in the sources below a folder.
fn functions(dir: PathBuf, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        let hidden = path.file_name().is_some_and(|n| n == "target" || n == "corpus");
        if path.is_dir() && !hidden {
            functions(path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
            into.extend(names.map(str::to_owned));
        }
    }
}

#[test]
fn every_defence_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut there = BTreeSet::new();
    for part in ["../common", "../tracker", "../tui-peer"] {
        functions(root.join(part), &mut there);
    }
    let text = fs::read_to_string(root.join("THREATS.md")).unwrap();
    // Other tables are sums.
    let tables = text.split("\n\n").filter(|table| table.starts_with("| attack"));
    let mut rows = 0;
    for row in tables.flat_map(|table| table.lines().skip(2)) {
        let tests = row.trim_end_matches(['|', ' ']).rsplit(" | ").next().unwrap();
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test: {row}");
        for name in named {
            assert!(there.contains(name), "THREATS.md names {name}, which is gone");
        }
        rows += 1;
    }
    assert!(rows > 30, "{rows} rows");
}
