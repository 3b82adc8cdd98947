//! What goes on in the background when the app is left.

use std::net::SocketAddr;
use std::path::PathBuf;

/// What a peer without a terminal, on the same state folder, has to be told.
#[derive(Debug)]
pub(crate) struct HandOver {
    /// Shares that were still being hashed.
    pub(crate) paths: Vec<PathBuf>,
    /// A tracker ran here: its join string.
    pub(crate) hosting: Option<String>,
    /// The network it is to go on trying, if that is remembered nowhere: its tracker was never reached.
    pub(crate) network: Option<String>,
    /// Where we listened, so that others find it again.
    pub(crate) listen: SocketAddr,
}
