//! The peer without a screen: `--serve-only`, `get`, `ls`, `hash`, `verify`, `config`.
//!
//! Off a terminal everything is plain lines; on one there is a progress line. With `--json` standard
//! output carries one JSON object a line and nothing else; what people should read goes to standard
//! error.

mod config;
mod get;
mod hash;
mod ls;
mod output;
mod serve;
mod signals;
mod verify;

pub use config::{config, config_check};
pub use get::get;
pub use hash::hash;
pub use ls::ls;
pub use output::Output;
pub use serve::serve;
pub use verify::verify;

use crate::args::exit;
use crate::engine::config::StartError;

/// The exit code for an engine that did not start.
pub fn start_code(error: &StartError) -> u8 {
    match error {
        StartError::PortInUse { .. } => exit::PORT,
        StartError::Locked { .. } => exit::LOCKED,
        StartError::Listen { source, .. } | StartError::Folder { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            exit::PERMISSION
        }
        StartError::Folder { .. } => exit::IO,
        StartError::Listen { .. } | StartError::State(_) => exit::OTHER,
    }
}
