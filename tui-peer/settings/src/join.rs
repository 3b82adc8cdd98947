//! Join strings and secrets, also from files.

use std::path::Path;

use common::join::{JoinString, Secret};

use super::SettingsError;

/// A join string, or `@FILE` holding one.
///
/// # Errors
/// What is wrong with it, and where.
pub fn parse_join(text: &str) -> Result<JoinString, SettingsError> {
    let content;
    let (text, place) = match text.strip_prefix('@') {
        Some(path) => {
            content = std::fs::read_to_string(path)
                .map_err(|error| SettingsError::Option(format!("--tracker: {path}: {error}")))?;
            (content.trim().trim_start_matches("join "), path)
        }
        None => (text.trim(), "--tracker"),
    };
    text.parse().map_err(|error| SettingsError::Option(format!("{place}: {error}")))
}

/// The secret that a file holds.
///
/// # Errors
/// What is wrong with it, and where.
pub fn read_secret(path: &Path) -> Result<Secret, SettingsError> {
    let wrong = |why: String| SettingsError::Option(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    text.parse().map_err(|error: common::join::SecretError| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_string_may_stand_in_a_file() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("net");
        let key = common::id::PeerId::from_bytes([7; 32]);
        std::fs::write(&path, format!("join shoal://{key}@host:1\n")).unwrap();
        let join = parse_join(&format!("@{}", path.display())).unwrap();
        assert_eq!((join.host(), join.port()), ("host", 1));
        assert!(parse_join("@/nowhere").unwrap_err().to_string().contains("/nowhere"));
        assert!(parse_join("shoal://x").is_err());
    }
}
