//! What the peer does with bytes of its control socket and of its user's files: see
//! `common::fuzzing`.

use common::fuzzing::Target;

use crate::control::wire::{Answer, Request};

/// All of this crate, by the names of their folders of examples.
pub const TARGETS: &[(&str, Target)] =
    &[("control_request", control_request), ("control_answer", control_answer), ("config", config)];

/// A frame to a running peer.
pub fn control_request(bytes: &[u8]) {
    if let Ok(request) = rmp_serde::from_slice::<Request>(bytes) {
        let _ = format!("{request:?}");
    }
}

/// A frame of a running peer.
pub fn control_answer(bytes: &[u8]) {
    if let Ok(answer) = rmp_serde::from_slice::<Answer>(bytes) {
        let _ = format!("{answer:?}");
    }
}

/// A configuration file: whatever it says, the problems in it are named by lines that exist.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines = text.lines().count().max(1) + 1;
    assert!(settings::problems_in(text).iter().all(|problem| problem.line <= lines));
}
