//! SIGINT and SIGTERM: the first asks the engine to leave in good order, the second to stop now.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::engine::handle::{EngineHandle, Stop};

/// Signals that end a command.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    count: u32,
}

impl Signals {
    /// # Errors
    /// When the system refuses handlers.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            count: 0,
        })
    }

    /// Waits for one and passes it on; says whether it was the second.
    pub(super) async fn next(&mut self, engine: &EngineHandle) -> bool {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
        self.count += 1;
        engine.stop(if self.count == 1 { Stop::Gracefully } else { Stop::Now });
        self.count > 1
    }
}
