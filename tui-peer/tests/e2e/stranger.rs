//! A peer that was written from `common/PROTOCOL.md` alone and has nothing of ours: what stands there is enough to
//! fetch from a real network. It is an example of the crate `common`, which `cargo test --workspace` builds.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Net, same};

fn binary() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_tui-peer")).with_file_name("examples");
    let path = folder.join(format!("stranger{}", std::env::consts::EXE_SUFFIX));
    let how = "cargo build -p shoal-common --example stranger";
    assert!(path.exists(), "{} is missing: {how}", path.display());
    path
}

/// What it printed, or why it failed.
fn fetch(net: &Net, name: &str, to: &Path) -> Result<String, String> {
    let output = Command::new(binary()).args([&net.join, name]).arg(to).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn a_peer_written_from_the_page_of_the_protocol_fetches_and_verifies() {
    // A network with a secret, which has to be proven.
    let net = Net::start_with(&["--admission", "secret", "--show-secret"]);
    // Of no chunk, of one, of three whose last is short, and of so many that hashes need uncles.
    let sizes = [("none", 0), ("one", 1000), ("three", 131_077), ("many", 3 * super::MIB + 5)];
    let files = sizes.map(|(name, size)| net.file(name, size, 7));
    let _seeders = files.each_ref().map(|file| {
        let name = file.file_name().unwrap().to_str().unwrap();
        net.seeder(&format!("of-{name}"), file, &[])
    });
    for (file, (name, size)) in files.iter().zip(sizes) {
        let to = net.path(&format!("{name}.got"));
        let said = fetch(&net, name, &to).unwrap();
        assert!(said.contains(&format!("verified {size} of {size} bytes")), "{said}");
        same(file, &to);
    }
    let missing = fetch(&net, "nowhere", &net.path("nowhere")).unwrap_err();
    assert!(missing.contains("there is no \"nowhere\""), "{missing}");
    // It left: nobody is there beside the seeders.
    let (rows, code) = net.peer("ls", &["ls", "three"]).finish();
    assert_eq!((code, &rows[0]["sources"], &rows[0]["complete"]), (0, &1.into(), &1.into()));
}
