//! `config`: the settings in force, and what is wrong with a configuration file.

use std::path::PathBuf;

use serde_json::json;

use super::Output;
use crate::args::exit;
use settings::{Item, KeyCheck, SettingsError, Table, load};

/// Prints every setting with its value and where that comes from.
pub fn config(table: &Table, out: &mut Output) -> u8 {
    if let Some(path) = &table.path {
        out.line(&format!("# {}", path.display()));
    }
    for item in Item::ALL {
        let (value, origin) = (table.shown(*item), table.origin(*item));
        let shown = if value.is_empty() { "-" } else { value.as_str() };
        out.line(&format!("{:<20} {shown}   ({})", item.key(), origin.name()));
        out.json(&json!({
            "name": item.key(), "value": value, "origin": origin.name(),
            "default": table.default_text(*item), "env": item.env(),
        }));
    }
    for binding in &table.keys {
        let name = format!("keys.{}", binding.action);
        out.line(&format!("{name:<20} {}   (config.toml)", binding.keys.join(", ")));
        out.json(&json!({"name": name, "value": binding.keys, "origin": "config.toml"}));
    }
    for theme in &table.themes {
        let name = format!("themes.{}", theme.name);
        out.line(&format!("{name:<20} defined   (config.toml)"));
        out.json(&json!({"name": name, "value": "defined", "origin": "config.toml"}));
    }
    exit::OK
}

/// Reports what is wrong with a file, or with the one that is used; the exit code says whether anything
/// is.
pub fn config_check(file: Option<PathBuf>, keys: KeyCheck, out: &mut Output) -> u8 {
    let named = file.is_some();
    let Some(path) = file.or_else(load::default_path) else {
        out.note("tui-peer: no home folder: name the file");
        return exit::USAGE;
    };
    let shown = path.display().to_string();
    let is_missing = |error: &SettingsError| {
        let kind = match error {
            SettingsError::Unreadable { source, .. } => source.kind(),
            _ => return false,
        };
        kind == std::io::ErrorKind::NotFound
    };
    match load::check(&path, keys) {
        // Nobody needs one.
        Err(error) if is_missing(&error) && !named => {
            out.line(&format!(
                "{shown}: there is no such file, so all settings are the usual ones"
            ));
            out.json(&json!({"event": "checked", "path": shown, "exists": false, "problems": 0}));
            exit::OK
        }
        Ok(problems) => {
            for problem in &problems {
                out.line(&format!("{shown}:{}: {}", problem.line, problem.what));
                out.json(&json!({
                    "event": "problem", "path": shown, "line": problem.line, "message": problem.what,
                }));
            }
            if problems.is_empty() {
                out.line(&format!("{shown}: no problems"));
            }
            let count = problems.len();
            out.json(
                &json!({"event": "checked", "path": shown, "exists": true, "problems": count}),
            );
            if problems.is_empty() { exit::OK } else { exit::CONFIG }
        }
        Err(error) => {
            out.note(&format!("tui-peer: {error}"));
            let code = if is_missing(&error) { exit::NOT_FOUND } else { exit::IO };
            out.json(&json!({"event": "error", "code": code, "message": error.to_string()}));
            code
        }
    }
}
