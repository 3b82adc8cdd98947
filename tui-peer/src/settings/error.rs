//! Why there are no settings.

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The configuration file makes no sense.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: String,
        /// What and where.
        why: String,
    },
    /// An option makes no sense.
    #[error("{0}")]
    Option(String),
}
