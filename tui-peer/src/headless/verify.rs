//! `verify`: shared and downloaded files are read again and compared with what was hashed.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde_json::json;

use super::output::Output;
use crate::args::exit;
use crate::engine::library::{
    Library, LibraryError, Progress, ShareRecord, restore, verify as check,
};

/// Checks everything the library at `state` knows that `what` names; returns the exit code.
pub fn verify(state: &Path, what: &[String], out: &mut Output) -> u8 {
    let (library, loaded) = match Library::open(state) {
        Ok(opened) => opened,
        Err(error) => {
            out.note(&error.to_string());
            return match error {
                LibraryError::Locked(_) => exit::LOCKED,
                _ => exit::IO,
            };
        }
    };
    let chosen: Vec<&ShareRecord> = loaded
        .shares
        .iter()
        .filter(|r| what.is_empty() || what.iter().any(|w| names(w, r)))
        .collect();
    if chosen.is_empty() && !what.is_empty() {
        out.note("nothing shared or downloaded here goes by that name, id or path");
        return exit::NOT_FOUND;
    }
    let mut code = exit::OK;
    for record in chosen {
        let (progress, cancel) = (Progress::default(), AtomicBool::new(false));
        let result =
            restore(&library, record).map_err(|error| error.to_string()).and_then(|prepared| {
                check(&prepared, 0, &progress, &cancel).map_err(|error| error.to_string())
            });
        let shown = common::names::show(&record.name);
        let (bad, why) = match result {
            Ok(bad) => (bad.len(), None),
            Err(why) => (0, Some(why)),
        };
        if bad > 0 || why.is_some() {
            code = exit::DAMAGED;
        }
        out.json(&json!({
            "event": "verified", "id": record.id.to_string(), "name": shown,
            "path": record.path.to_string_lossy(), "bad_chunks": bad, "error": why,
        }));
        out.line(&match (&why, bad) {
            (Some(why), _) => format!("FAILED   {shown}: {why}"),
            (None, 0) => format!("ok       {shown}"),
            (None, bad) => format!("DAMAGED  {shown}: {bad} of {} chunks", record.chunks),
        });
    }
    code
}

fn names(what: &str, record: &ShareRecord) -> bool {
    record.name == what
        || record.id.to_string() == what
        || std::fs::canonicalize(what).is_ok_and(|path| path == record.path)
}
