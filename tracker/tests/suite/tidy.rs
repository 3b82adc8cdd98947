//! What the compiler cannot see: the index stays pure, and dependencies point one way.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(dir);
    let files: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    assert!(files.len() > 2, "{} moved", dir.display());
    files
}

fn must_not_mention(dir: &str, words: &[&str]) {
    for (path, text) in sources(dir) {
        for word in words {
            assert!(!text.contains(word), "{} mentions {word}", path.display());
        }
    }
}

#[test]
fn the_index_knows_no_clock_socket_file_task_or_shell() {
    let outside = ["tokio", "std::fs", "TcpStream", "UdpSocket", "::now()", "Rng::new", "tracing"];
    must_not_mention("index", &outside);
    must_not_mention("index", &["crate::s", "crate::c", "crate::m"]);
}

#[test]
fn stores_know_records_only() {
    must_not_mention(
        "store",
        &["crate::index", "crate::session", "crate::server", "crate::shared"],
    );
}
