//! What the app costs its user, measured on a real pseudo-terminal of 200x60:
//! `cargo bench -p tui-peer --bench screen`. Targets are those of the design; run it on a quiet machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a bench"
)]

mod process;
mod program;
#[path = "../../tests/walk/terminal.rs"]
#[allow(dead_code)]
mod terminal;
#[path = "../../tests/screens/testkit.rs"]
#[allow(dead_code)]
mod testkit;

use std::time::Duration;

use process::Cost;
use program::{Network, Toy};
use terminal::Terminal;

const SIZE: (u16, u16) = (200, 60);
/// How long something is watched at rest and at work.
const WATCH: Duration = Duration::from_secs(15);
const STARTS: usize = 9;
const KEYS: usize = 150;
/// So few that they are pressed before the download ends.
const KEYS_BUSY: usize = 40;
/// A frame is more than answers to key presses of the line discipline, less than a screen.
const FIRST: u64 = 500;

fn main() {
    if let Some(toy) = Toy::wanted() {
        toy.run();
        return;
    }
    println!("{:<58}{:>16}{:>16}", "200x60, release build", "measured", "target");
    first_frame();
    at_rest();
    toy_at_rest();
    toy_at_work();
    keys_during_a_download();
}

fn row(what: &str, measured: &str, target: &str) {
    println!("{what:<58}{measured:>16}{target:>16}");
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn first_frame() {
    let mut times: Vec<Duration> = (0..STARTS)
        .map(|_| {
            let home = tempfile::tempdir().unwrap();
            let begun = std::time::Instant::now();
            let app = Terminal::start(program::app(home.path(), None), SIZE.0, SIZE.1);
            app.past(FIRST) - begun
        })
        .collect();
    times.sort();
    row("start to first frame, no tracker (median)", &ms(times[STARTS / 2]), "20 ms");
}

/// The whole program: engine, network and screen.
fn at_rest() {
    let network = Network::start(1 << 20);
    let app = Terminal::start(program::app(network.home(), Some(&network.join)), SIZE.0, SIZE.1);
    app.sees("payload.bin");
    process::settle(&app);
    let cost = Cost::of(&app, WATCH);
    row("at rest in a network: output", &format!("{} B", cost.bytes), "0 B");
    row("at rest in a network: CPU, whole program", &cost.cpu(), "0.05 %");
    row("at rest in a network: wake-ups, whole program", &cost.wakeups(), "-");
}

fn toy_at_rest() {
    let app = Terminal::start(Toy { files: 100_000, live: false }.command(), SIZE.0, SIZE.1);
    app.sees("100,000");
    process::settle(&app);
    let cost = Cost::of(&app, WATCH);
    row("at rest, 100,000 files: output", &format!("{} B", cost.bytes), "0 B");
    row("at rest, 100,000 files: CPU of the screen", &cost.cpu(), "0.05 %");
    row("at rest, 100,000 files: wake-ups of the screen", &cost.wakeups(), "0.2/s");
    let rss = process::rss(&app) as f64 / f64::from(1 << 20);
    row("memory, 100,000 files", &format!("{rss:.1} MiB"), "25 MiB");
    keys("key to painted, at rest, 100,000 files", &app, KEYS, "2 / 8 ms");
}

fn toy_at_work() {
    let app = Terminal::start(Toy { files: 1204, live: true }.command(), SIZE.0, SIZE.1);
    app.sees("1,204");
    let cost = Cost::of(&app, WATCH);
    row("rates change 4 times a second: CPU of the screen", &cost.cpu(), "0.6 %");
    row("rates change 4 times a second: output", &cost.rate(), "2 kB/s");
}

fn keys_during_a_download() {
    let network = Network::start(6 << 30);
    let app = Terminal::start(program::app(network.home(), Some(&network.join)), SIZE.0, SIZE.1);
    app.sees("payload.bin");
    app.keys("d");
    app.until("progress", |text| text.contains("1%") || text.contains("2%"));
    keys("key to painted, downloading at full speed", &app, KEYS_BUSY, "- / 16 ms");
}

/// Presses keys one at a time and waits for what they paint.
fn keys(what: &str, app: &Terminal, count: usize, target: &str) {
    let mut times: Vec<Duration> = (0..count)
        .map(|i| {
            // Moves the focus: something changes whatever the list holds.
            process::settle(app);
            let before = app.seen().bytes;
            let begun = std::time::Instant::now();
            app.keys(if i % 2 == 0 { "2" } else { "1" });
            app.past(before) - begun
        })
        .collect();
    times.sort();
    let text = format!("{} / {}", ms(times[count / 2]), ms(times[count * 95 / 100]));
    row(&format!("{what} (p50 / p95)"), &text, target);
}
