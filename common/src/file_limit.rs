//! A file that may not grow any further is an error like any other, and not the end of the program.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// From now on a write beyond the limit of this process (`ulimit -f`) fails with `EFBIG`. Without this
/// the system ends the program (SIGXFSZ), whatever else it was doing. Call it within a Tokio runtime.
///
/// # Errors
/// If the system does not let us listen for the signal.
pub fn survive() -> io::Result<()> {
    // Nobody listens: that there is a handler is enough, and one that was set once stays.
    signal(SignalKind::from_raw(nix::libc::SIGXFSZ)).map(drop)
}
