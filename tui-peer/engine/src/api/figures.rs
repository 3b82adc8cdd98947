//! Numbers for those who watch from outside, beside what a snapshot says: answered by the session itself, so that
//! an answer also tells that it works.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::serde_with;

/// Answer to [`super::command::Command::Figures`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Since the start of the engine.
    pub uptime: Duration,
    /// Bytes that came in over connections with peers in this run: payload, messages and TLS.
    pub received: u64,
    /// Bytes that went out over them.
    pub sent: u64,
    /// Connections with members of the network.
    pub connections: usize,
    /// Volumes to which downloads go.
    pub volumes: Vec<Volume>,
    /// Chunks that arrived and wait to be verified and written.
    pub writes_waiting: usize,
    /// What went wrong in this run.
    pub errors: Errors,
}

/// A volume to which downloads go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// A folder on it to which downloads go; of several the first by name.
    #[serde(with = "serde_with::path")]
    pub dir: PathBuf,
    /// Bytes free, when it was last looked at: up to half a minute ago.
    pub free: u64,
}

/// What went wrong in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Errors {
    /// Chunks from others whose bytes were not what they should be.
    pub hash: u64,
    /// Chunks that could not be written.
    pub write: u64,
    /// Requests of others that could not be read from the disk.
    pub read: u64,
    /// Writes that the disk lost again when they were synced.
    pub sync: u64,
}
