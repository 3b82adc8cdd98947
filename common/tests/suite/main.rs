//! All tests of what both programs agree on that need no process of their own: one program is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

#[path = "../exposition/mod.rs"]
mod exposition;

mod bep52_vectors;
mod fuzzing;
mod http;
mod protocol_page;
mod threats;
mod wire_golden;
