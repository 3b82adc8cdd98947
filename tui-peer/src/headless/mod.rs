//! The peer without a screen: `--serve-only` and all one-shot commands.
//!
//! Off a terminal everything is plain lines; on one there are bars and a line at the bottom. With
//! `--json` standard output carries one JSON object a line and nothing else; what people should read
//! goes to standard error.
//!
//! Commands that a running peer can carry out take an engine handle that may be remote
//! ([`crate::control`]), and do not care.

mod act;
mod config;
mod fetch;
mod figures;
mod get;
mod hash;
mod ls;
mod members;
mod near;
mod output;
mod reload;
mod send;
mod serve;
mod share;
mod sharing;
mod signals;
mod status;
mod stop;
mod stream;
mod systemd;
mod torrent;
mod unreached;
mod verify;
mod wait;
mod working;

pub use act::act;
pub use config::{config, config_check};
pub use get::get;
pub use hash::hash;
pub use ls::{ls, search};
pub use members::members;
pub use near::near;
pub use output::{Look, Output, Paint, Signs};
pub use reload::Reload;
pub use send::{Sending, SpoolError, send, spool};
pub use serve::{Service, serve};
pub use share::{share, share_later, unshare, unshare_later};
pub use status::{peers, status};
pub use stop::stop;
pub use stream::{Streaming, stream};
pub use torrent::{torrent, torrent_there};
pub use verify::{verify, verify_there};

use crate::args::exit;
use engine::api::config::StartError;
use engine::api::library::{LibraryError, ShareError};
use frontend::act::Refused;
use frontend::find::Miss;

/// Waits for a signal to stop, before there is an engine; its exit code. Signals are caught from the
/// call on, not from the first time it is waited for.
pub fn stop_signal() -> impl Future<Output = u8> {
    let signals = signals::Signals::new();
    async move {
        let Ok(mut signals) = signals else { return std::future::pending().await };
        loop {
            if let signals::Heard::Stop { code, .. } = signals.next().await {
                return code;
            }
        }
    }
}

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
        StartError::Folder { .. } => exit::CANNOT_CREATE,
        StartError::Listen { .. } | StartError::State(_) => exit::OTHER,
    }
}

/// The same as a word for programs.
pub fn start_word(error: &StartError) -> &'static str {
    match error {
        StartError::PortInUse { .. } => "port",
        StartError::Listen { .. } => "listen",
        StartError::Locked { .. } => "locked",
        StartError::Folder { .. } => "folder",
        StartError::State(_) => "state",
    }
}

/// The exit code of several things of which some failed.
fn together(failed: &[u8], all: usize) -> u8 {
    match failed {
        [] => exit::OK,
        some if some.len() < all => exit::PARTIAL,
        [first, ..] => *first,
    }
}

/// Says that a name means nothing here, or too much; `none` says what there is none of. Returns the exit code.
fn missed(miss: Miss, none: &str, hint: &str, out: &mut Output) -> u8 {
    let refused = Refused::miss(miss, none, hint);
    out.refused(&refused);
    refused.exit
}

/// The exit code for a library that cannot be used.
fn library_code(error: &LibraryError) -> u8 {
    match error {
        LibraryError::Locked(_) => exit::LOCKED,
        _ => exit::IO,
    }
}

/// The exit code for something that cannot be shared.
fn share_code(error: &ShareError) -> u8 {
    match error {
        ShareError::NotFound(_) | ShareError::Elsewhere(_) => exit::NOT_FOUND,
        ShareError::Unreadable { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            exit::PERMISSION
        }
        ShareError::Library(error) => library_code(error),
        ShareError::Damaged { .. } => exit::DAMAGED,
        _ => exit::IO,
    }
}
