//! What the user can tell the engine, with real engines and a real tracker in one process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "wishes/altered.rs"]
mod altered;
#[path = "wishes/bans.rs"]
mod bans;
#[path = "../../../tracker/tests/clock/mod.rs"]
mod clock;
#[path = "wishes/clocks.rs"]
mod clocks;
#[path = "wishes/folder.rs"]
mod folder;
#[path = "wishes/net.rs"]
mod net;
#[path = "wishes/queue.rs"]
mod queue;
#[path = "wishes/start.rs"]
mod start;
#[path = "wishes/watch.rs"]
mod watch;
