//! Why there are no settings.

use std::fmt;

/// Something wrong in the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong and what to write instead.
    pub what: String,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The configuration file makes no sense; all its problems.
    #[error("{}", Listed(.path, .problems))]
    File {
        path: String,
        /// What and where.
        problems: Vec<Problem>,
    },
    /// The configuration file cannot be read.
    #[error("{path}: {source}; check its permissions")]
    Unreadable { path: String, source: std::io::Error },
    /// An option makes no sense.
    #[error("{0}")]
    Option(String),
}

struct Listed<'a>(&'a str, &'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.1.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:{}: {}", self.0, problem.line, problem.what)?;
        }
        Ok(())
    }
}
