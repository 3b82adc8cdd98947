//! What looking outside has found.

use std::path::Path;

use crate::dialogs::share;
use crate::model::{Model, Tone};
use crate::probes::{Found, Probe};

pub(super) fn found(model: &mut Model, probe: &Probe, found: &Found) {
    match (probe, found) {
        (Probe::Measure(path), Found::Measure(result)) => {
            share::update::measured(model, path, result)
        }
        _ => crate::screens::welcome::update::checked(model, probe, found),
    }
}

/// A folder was shown by the desktop, or not: then its path is said.
pub(super) fn opened(model: &mut Model, path: &Path, result: Result<(), String>) {
    let shown = model.show_path(path);
    let (tone, text) = match result {
        Ok(()) => (Tone::Good, format!("opened {shown}")),
        Err(why) => (Tone::Bad, format!("cannot open {shown}: {why}")),
    };
    model.toast(tone, common::names::show(&text));
}
