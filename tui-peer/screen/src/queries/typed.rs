//! Paths as people type them.

use std::path::{Path, PathBuf};

use crate::model::{Model, typed, untyped};

/// A path as typed, absolute.
pub(crate) fn expand(model: &Model, text: &str) -> PathBuf {
    let path = match (text.strip_prefix('~'), &model.setting.home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            home.join(untyped(rest.trim_start_matches('/')))
        }
        _ => PathBuf::from(untyped(text)),
    };
    model.setting.cwd.join(path)
}

/// The other way: how a path is typed.
pub(crate) fn written(model: &Model, path: &Path) -> String {
    let home = model.setting.home.as_deref();
    match home.and_then(|home| path.strip_prefix(home).ok()) {
        Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
        Some(rest) => format!("~/{}", typed(rest.as_os_str())),
        None => typed(path.as_os_str()),
    }
}
