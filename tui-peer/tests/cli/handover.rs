//! Quitting the app and serving on; starting it on a profile that is served.

use std::process::Command;

use serde_json::json;

use crate::program::{Place, values};
use crate::terminal::Terminal;

/// Leaves no process behind, whatever the test says.
struct Stop<'a>(&'a Place);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.run(&["stop", "--now"]);
    }
}

fn app(place: &Place, args: &[&str]) -> Command {
    let mut command = place.command(args);
    command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
    command
}

#[test]
fn quitting_the_app_can_leave_a_seeder_in_the_background() {
    let place = Place::new();
    let _end = Stop(&place);
    place.config("quit = \"always\"\n");
    let file = place.write("file", &[5; 100_000]);
    let mut me = Terminal::start(app(&place, &["--host", &file]), 120, 30);
    me.until("the share", |text| text.contains("✓ file"));
    me.keys("q");
    me.sees("Serve on: the screen closes");
    me.keys("\t\t\r");
    let end = me.until("its farewell", |text| text.contains("tui-peer stop"));
    assert!(end.contains("in the background as process"), "{end}");
    assert!(me.wait().success());

    // The shell has its prompt back, and the same profile is served by another process.
    let status = values(&place.run(&["status", "--wait", "--json"]).out).remove(0);
    assert_eq!((&status["runs"], &status["network"]), (&json!("serve-only"), &json!("on")));
    assert!(end.contains(&status["pid"].to_string()), "{end}");
    assert_eq!(status["transfers"][0]["name"], "file");

    // The app says what runs there, looks at it, and takes over.
    let mut again = Terminal::start(app(&place, &[]), 120, 30);
    again.sees("tui-peer stop");
    assert_eq!(again.wait().code(), Some(75));
    let mut looking = Terminal::start(app(&place, &["attach"]), 120, 30);
    looking.until("its shares", |text| text.contains("✓ file"));
    looking.keys("\x03\x03");
    assert!(looking.wait().success());
    assert_eq!(place.run(&["status"]).code, 0);
    let mut me = Terminal::start(app(&place, &["--host", "--take-over"]), 120, 30);
    me.until("the share", |text| text.contains("✓ file"));
    let status = values(&place.run(&["status", "--json"]).out).remove(0);
    assert_eq!(status["runs"], "app");
    me.keys("\x03\x03");
    assert!(me.wait().success());
    assert_eq!(place.run(&["status"]).code, 4);
}
