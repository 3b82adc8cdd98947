//! What the screen says and writes where it is not the peer itself: attached, and in the demo.

use std::fs;

use serde_json::json;

use crate::program::{Place, Running, values};
use crate::terminal::Terminal;

/// What there is none of with `--glyphs ascii`.
const DRAWN: [char; 6] = ['│', '─', '█', '↓', '✓', '┌'];

fn on_a_terminal(place: &Place, args: &[&str]) -> Terminal {
    let mut command = place.command(args);
    command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
    Terminal::start(command, 120, 40)
}

#[test]
fn h4_closing_an_attached_screen_asks_nothing_and_ends_nothing() {
    let place = Place::new();
    let file = place.write("file", &[5; 100_000]);
    let peer = Running::start(place.command(&["--serve-only", "--host", "--json", &file]));
    let mut screen = on_a_terminal(&place, &["attach"]);
    screen.until("its shares", |text| text.contains("✓ file"));
    screen.sees(&format!("process {}", peer.pid()));
    // Once no news stand over the keys.
    screen.sees("q close");
    // It would be a loss to others if the peer ended; it does not.
    screen.keys("q");
    let end = screen.until("its farewell", |text| text.contains("goes on"));
    assert!(!end.contains("Stay"), "{end}");
    assert!(screen.wait().success());

    place.config("quit = \"always\"\n");
    let mut screen = on_a_terminal(&place, &["attach"]);
    screen.until("its shares", |text| text.contains("✓ file"));
    screen.keys("q");
    let text = screen.sees("Close this screen?");
    assert!(text.contains("it downloads and serves on"), "{text}");
    assert!(!text.contains("Quit when idle") && !text.contains("Serve on"), "{text}");
    screen.keys("\t\r");
    assert!(screen.wait().success());
    let status = values(&place.run(&["status", "--json"]).out).remove(0);
    assert_eq!((&status["pid"], &status["network"]), (&json!(peer.pid()), &json!("on")));
    assert_eq!(peer.stop(), 0);
}

#[test]
fn h11_attach_and_demo_take_the_looks_and_the_demo_writes_no_settings() {
    let place = Place::new();
    place.config("# mine\nquit = \"never\"\n");
    let config = place.path("config/shoal/config.toml");
    let before = fs::read(&config).unwrap();
    let looks = ["--glyphs", "ascii", "--color", "never", "--theme", "light", "--no-mouse"];
    let mut demo = on_a_terminal(&place, &[&["demo"], &looks[..]].concat());
    demo.until("its files", |text| text.contains("debian-netinst"));
    assert!(!demo.text().contains(DRAWN), "{}", demo.text());
    demo.keys("T");
    demo.sees("fixed by an option of this run");
    demo.keys("\x1b[12~");
    demo.sees("Changes last for this run only.");
    demo.keys("\x03\x03");
    assert!(demo.wait().success());
    // A change that nothing fixes.
    let mut demo = on_a_terminal(&place, &["demo"]);
    demo.until("its files", |text| text.contains("debian-netinst"));
    demo.keys("T");
    demo.sees("theme: ");
    demo.keys("/debian\r\x1b");
    demo.keys("\x03\x03");
    assert!(demo.wait().success());
    assert_eq!(fs::read(&config).unwrap(), before);
    // Nor anything into the state folder.
    assert!(!place.path(".local/state/shoal").exists());

    let peer = Running::start(place.command(&["--serve-only", "--host", "--json"]));
    let mut screen = on_a_terminal(&place, &[&["attach"], &looks[..]].concat());
    let text = screen.sees(&format!("process {}", peer.pid()));
    assert!(!text.contains(DRAWN), "{text}");
    screen.keys("q");
    assert!(screen.wait().success());
    assert_eq!(peer.stop(), 0);
}

#[test]
fn h11_hints_carry_the_state_folder_in_use() {
    let place = Place::new();
    let state = place.path("an other");
    let state = state.to_str().unwrap();
    let args = ["--serve-only", "--host", "--json", "--state", state];
    let peer = Running::start(place.command(&args));
    let end = place.run(&["--serve-only", "--json", "--state", state]);
    assert_eq!(end.code, 75, "{}", end.err);
    let hint = format!("tui-peer stop --state '{state}'");
    assert!(end.err.contains(&hint), "{}", end.err);
    assert!(values(&end.out)[0]["hint"].as_str().unwrap().contains(&hint), "{}", end.out);
    // The usual one needs none.
    assert_eq!(peer.stop(), 0);
    let peer = Running::start(place.command(&["--serve-only", "--host", "--json"]));
    let end = place.run(&["--serve-only"]);
    assert!(end.err.contains("tui-peer stop ends it"), "{}", end.err);
    assert_eq!(peer.stop(), 0);
}
