//! What the user can tell the engine, with real engines and a real tracker in one process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "commands/bans.rs"]
mod bans;
#[path = "commands/changed.rs"]
mod changed;
#[path = "../../../tracker/tests/clock/mod.rs"]
mod clock;
#[path = "commands/clocks.rs"]
mod clocks;
#[path = "commands/folder.rs"]
mod folder;
#[path = "commands/net.rs"]
mod net;
#[path = "commands/queue.rs"]
mod queue;
#[path = "commands/start.rs"]
mod start;
#[path = "commands/watch.rs"]
mod watch;
