//! The configuration file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::SettingsError;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ConfigFile {
    pub(super) tracker: Option<String>,
    pub(super) secret_file: Option<PathBuf>,
    pub(super) listen: Option<SocketAddr>,
    pub(super) downloads: Option<PathBuf>,
    pub(super) state: Option<PathBuf>,
    pub(super) nick: Option<String>,
    pub(super) up: Option<String>,
    pub(super) down: Option<String>,
}

pub(super) fn read_config(path: &Path) -> Result<ConfigFile, SettingsError> {
    let wrong = |why: String| SettingsError::File { path: path.display().to_string(), why };
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|error| wrong(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(ConfigFile::default()),
        Err(error) => Err(wrong(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_of_the_config_file_are_named_with_their_line() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("config.toml");
        std::fs::write(&path, "nick = \"a\"\nlisen = \"x\"\n").unwrap();
        let why = read_config(&path).unwrap_err().to_string();
        assert!(why.contains("line 2") && why.contains("lisen"), "{why}");
    }
}
