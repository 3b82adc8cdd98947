//! `tui-peer config` and `config check`: what scripts and people get to see.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};

fn tui_peer(home: &Path, env: &[(&str, &str)], args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tui-peer"))
        .args(args)
        .env_clear()
        .env("HOME", home)
        .envs(env.iter().copied())
        .output()
        .unwrap()
}

fn home(config: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join(".config/shoal");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("config.toml"), config).unwrap();
    // Whatever the umask: hooks are not taken from a file that others can write.
    for (path, mode) in [(dir.join("config.toml"), 0o600), (dir, 0o700)] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(path, mode).unwrap();
    }
    home
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn config_prints_every_value_with_its_origin() {
    let home = home("nick = \"ada\"\nup = \"1M\"\n[look]\nunits = \"si\"\n[keys]\nquit = \"Q\"\n");
    let env = [("SHOAL_DOWN", "2M"), ("NO_MOTION", "1")];
    let out = tui_peer(home.path(), &env, &["config", "--up", "3M", "--theme", "mono"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let printed = text(&out.stdout);
    for (name, value, origin) in [
        ("nick", "ada", "config.toml"),
        ("up", "3M", "flag"),
        ("down", "2M", "environment"),
        ("active", "5", "default"),
        ("look.units", "si", "config.toml"),
        ("look.theme", "mono", "flag"),
        ("look.reduce_motion", "true", "environment"),
        ("keys.quit", "Q", "config.toml"),
    ] {
        let line = printed.lines().find(|line| line.split(' ').next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {printed}"));
        assert!(line.contains(value) && line.ends_with(&format!("({origin})")), "{line}");
    }
    let out = tui_peer(home.path(), &env, &["config", "--json"]);
    for line in text(&out.stdout).lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(object["name"].is_string() && object["origin"].is_string(), "{line}");
    }
}

#[test]
fn config_check_reports_lines_and_its_exit_code_says_whether_all_is_well() {
    let good = home("nick = \"ada\"\n");
    let out = tui_peer(good.path(), &[], &["config", "check"]);
    assert_eq!(out.status.code(), Some(0));
    assert!(text(&out.stdout).contains("no problems"));

    let bad = home("nick = \"ada\"\nlisen = \"x\"\n[keys]\nquit = \"d\"\n");
    let out = tui_peer(bad.path(), &[], &["config", "check"]);
    assert_eq!(out.status.code(), Some(65));
    let printed = text(&out.stdout);
    assert!(
        printed.contains("config.toml:2: lisen is no setting; did you mean listen?"),
        "{printed}"
    );
    #[cfg(feature = "tui")]
    assert!(
        printed.contains("config.toml:4: keys: d is bound to both download and quit"),
        "{printed}"
    );
    let out = tui_peer(bad.path(), &[], &["config", "check", "--json"]);
    assert_eq!(out.status.code(), Some(65));
    let first = text(&out.stdout).lines().next().map(str::to_owned).unwrap();
    let first: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!(first["line"], 2);

    // A file by name, and one that is not there.
    let other = bad.path().join("other.toml");
    std::fs::write(&other, "up = \"1M\"\n").unwrap();
    let out = tui_peer(bad.path(), &[], &["config", "check", other.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(0));
    let out = tui_peer(bad.path(), &[], &["config", "check", "/nowhere.toml"]);
    assert_eq!(out.status.code(), Some(4));
    assert!(text(&out.stderr).contains("/nowhere.toml"));
}

#[test]
fn a_bad_file_stops_every_command_and_a_bad_option_is_named() {
    let bad = home("up = \"fast\"\n");
    let out = tui_peer(bad.path(), &[], &["config"]);
    assert_eq!(out.status.code(), Some(65));
    assert!(text(&out.stderr).contains("config.toml:1: up: \"fast\" is not a rate"));
    let good = home("");
    let out = tui_peer(good.path(), &[("SHOAL_UP", "fast")], &["config"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("SHOAL_UP: "), "{}", text(&out.stderr));
    let out = tui_peer(good.path(), &[], &["config", "--theme", "lake"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("high-contrast"), "{}", text(&out.stderr));
}

#[test]
fn the_examples_of_the_readme_and_the_guide_are_valid() {
    for page in ["../README.md", "../assets/guide.md"] {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        let page = std::fs::read_to_string(page).unwrap();
        let example = page.split("```toml").nth(1).unwrap().split("```").next().unwrap();
        let home = home(example);
        let out = tui_peer(home.path(), &[], &["config", "check"]);
        assert!(out.status.success(), "{}", text(&out.stdout));
    }
}
