//! All tests of the tracker that need no process of their own: one program is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

#[path = "../clock/mod.rs"]
mod clock;
#[path = "../../../common/tests/exposition/mod.rs"]
mod exposition;
#[path = "../support/mod.rs"]
mod support;
#[cfg(target_os = "linux")]
#[path = "../../../common/tests/traced/mod.rs"]
mod traced;
mod world;

mod clocks;
mod commands;
mod cost;
mod crowd;
mod durability;
#[cfg(target_os = "linux")]
mod first_start;
mod fuzzing;
mod hostile;
mod index_model;
mod index_quota;
mod index_rules;
mod inside;
mod invited;
mod members;
mod metrics;
mod moving;
mod network;
mod program;
mod quota;
mod reach;
mod relay;
#[cfg(target_os = "linux")]
mod relayed;
mod search;
mod store;
mod tidy;
mod watch;
