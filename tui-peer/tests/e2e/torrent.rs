//! What `torrent` writes is read by libtorrent, and fits what was downloaded.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::Net;

/// What libtorrent says of what it finds below `folder`.
fn checked(torrent: &Path, folder: &Path) -> String {
    let python = std::env::var("SHOAL_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/torrent.py");
    let output = Command::new(python).arg(script).args([torrent, folder]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "libtorrent of PyPI is needed (SHOAL_TEST_PYTHON): {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// `cargo test -p tui-peer --test e2e torrent -- --ignored`
#[test]
#[ignore = "needs libtorrent of PyPI"]
fn libtorrent_loads_the_torrent_and_finds_what_was_downloaded_whole() {
    let net = Net::start();
    let single = net.file("single.bin", 5_000_001, 1);
    net.file("folder/sub/one.bin", 3_000_000, 2);
    net.file("folder/exactly", 65_536, 3);
    net.file("folder/empty", 0, 4);
    let _one = net.seeder("one", &single, &[]);
    let _two = net.seeder("two", &net.path("folder"), &[]);
    for (name, files, size) in [("single.bin", 1, 5_000_001), ("folder", 3, 3_065_536)] {
        let (_, code) = net.peer("getter", &["get", name]).finish();
        assert_eq!(code, 0);
        let torrent = net.path(&format!("{name}.torrent"));
        let to = torrent.to_str().unwrap();
        let output = net.command("getter", &["torrent", name, "-o", to]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let said = checked(&torrent, &net.path("getter.d"));
        let rest = said
            .strip_prefix(&format!("{name} {files} {size} True "))
            .unwrap_or_else(|| panic!("{said}"));
        let magnet = told["magnet"].as_str().unwrap();
        assert!(magnet.contains(&format!("btmh:1220{rest}&")), "{magnet} {rest}");
    }
    // One bit is another: it is not taken for whole.
    let there = net.downloaded("getter", "single.bin");
    let mut bytes = fs::read(&there).unwrap();
    bytes[4_000_000] ^= 1;
    fs::write(&there, bytes).unwrap();
    let said = checked(&net.path("single.bin.torrent"), &net.path("getter.d"));
    assert!(said.contains(" False "), "{said}");
}
