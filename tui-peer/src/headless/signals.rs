//! What signals mean to a command: INT and TERM stop (the second at once, see [`crate::leave`]), HUP reloads, USR1 asks for a
//! line of figures, USR2 changes how much is said. PIPE is ignored by the runtime; TSTP and CONT are
//! left to the system.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::exit;
use crate::leave::Listening;
use engine::api::handle::{EngineHandle, Stop};

/// Signals a command listens for.
pub(super) struct Signals {
    ending: Listening,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
    stops: u32,
    /// The code of one that came before, when nobody listened.
    missed: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Stop; the exit code if this command is not done. `again`: this was not the first.
    Stop {
        code: u8,
        again: bool,
    },
    Reload,
    Stats,
    Level,
}

impl Signals {
    /// # Errors
    /// When the system refuses handlers.
    pub(super) fn new() -> std::io::Result<Self> {
        let signals = Self {
            ending: Listening::new()?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            stops: 0,
            missed: None,
        };
        crate::leave::watch();
        Ok(Self { missed: crate::leave::unheard(), ..signals })
    }

    /// The next signal; one that came while a command began is not lost.
    pub(super) async fn next(&mut self) -> Heard {
        let code = match self.missed.take() {
            Some(code) => code,
            None => tokio::select! {
            code = self.ending.next() => code,
            _ = self.hangup.recv() => return Heard::Reload,
            _ = self.user1.recv() => return Heard::Stats,
            _ = self.user2.recv() => return Heard::Level,
            },
        };
        crate::leave::heard();
        self.stops += 1;
        Heard::Stop { code, again: self.stops > 1 }
    }

    /// For commands that end by themselves: waits for a reason to stop and passes it on to the engine;
    /// the exit code. Their terminal hanging up is one.
    pub(super) async fn stop(&mut self, engine: &EngineHandle) -> u8 {
        loop {
            match self.next().await {
                Heard::Stop { code, again } => {
                    engine.stop(if again { Stop::Now } else { Stop::Gracefully });
                    return code;
                }
                Heard::Reload => {
                    engine.stop(Stop::Gracefully);
                    return exit::HUNG_UP;
                }
                Heard::Stats | Heard::Level => {}
            }
        }
    }
}
