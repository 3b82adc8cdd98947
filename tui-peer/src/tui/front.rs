//! What the loop needs from a terminal, and the real one.

use std::future::Future;
use std::io::{self, Write};

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::clipboard;
use super::term::{FrameBuffer, Guard};

/// What a terminal tells us.
#[derive(Debug)]
pub enum Happened {
    /// Keys, mouse, paste, size, focus.
    Input(Event),
    /// Somebody wants the program to stop for a while (SIGTSTP from outside).
    Stop,
}

/// A terminal with its input; tests play one.
pub trait Front {
    /// What frames are drawn to.
    type Backend: Backend;

    /// Where frames are drawn.
    fn terminal(&mut self) -> &mut Terminal<Self::Backend>;

    /// Sends the frame that was drawn.
    ///
    /// # Errors
    /// If the terminal is gone.
    fn commit(&mut self) -> io::Result<()>;

    /// The next input; `None` when there will be none. Can be dropped and asked again.
    fn event(&mut self) -> impl Future<Output = Option<io::Result<Happened>>> + Send;

    /// Switches mouse reports.
    fn mouse(&mut self, on: bool);

    /// Puts text into the clipboard; says by which way.
    ///
    /// # Errors
    /// Why not, in words.
    fn copy(&mut self, text: &str) -> Result<&'static str, String>;

    /// Gives the terminal to the shell until it comes back.
    ///
    /// # Errors
    /// If that is not possible.
    fn suspend(&mut self) -> io::Result<()>;
}

/// The user's terminal.
#[derive(Debug)]
pub struct Tty {
    guard: Guard,
    terminal: Terminal<CrosstermBackend<FrameBuffer>>,
    buffer: FrameBuffer,
    events: Option<EventStream>,
    stop: Signal,
    resized: Signal,
}

impl Tty {
    /// Takes the terminal.
    ///
    /// # Errors
    /// If there is none.
    pub fn open(mouse: bool) -> io::Result<Self> {
        let stop = signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?;
        let resized = signal(SignalKind::window_change())?;
        let guard = Guard::enter(mouse)?;
        let (width, height) = crossterm::terminal::size()?;
        let buffer = FrameBuffer::default();
        Ok(Self {
            guard,
            terminal: terminal(&buffer, width, height)?,
            buffer,
            events: Some(EventStream::new()),
            stop,
            resized,
        })
    }
}

/// A terminal of a fixed size that writes frames into `buffer`. Fixed, so that drawing asks nobody for
/// the size: resizes come as events.
///
/// # Errors
/// None in practice: the buffer is memory.
pub fn terminal(
    buffer: &FrameBuffer,
    width: u16,
    height: u16,
) -> io::Result<Terminal<CrosstermBackend<FrameBuffer>>> {
    let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
    Terminal::with_options(CrosstermBackend::new(buffer.clone()), TerminalOptions { viewport })
}

impl Front for Tty {
    type Backend = CrosstermBackend<FrameBuffer>;

    fn terminal(&mut self) -> &mut Terminal<Self::Backend> {
        &mut self.terminal
    }

    fn commit(&mut self) -> io::Result<()> {
        self.buffer.commit(&mut io::stdout().lock())
    }

    async fn event(&mut self) -> Option<io::Result<Happened>> {
        let Some(events) = &mut self.events else { return std::future::pending().await };
        loop {
            tokio::select! {
                biased;
                // crossterm 0.29 forgets a resize that comes together with a key (it returns from the middle
                // of a batch of edge-triggered events), so sizes are not taken from its stream.
                Some(()) = self.resized.recv() => {
                    let size = crossterm::terminal::size();
                    return Some(size.map(|(width, height)| Happened::Input(Event::Resize(width, height))));
                }
                input = events.next() => match input {
                    Some(Ok(Event::Resize(..))) => {}
                    input => return input.map(|input| input.map(Happened::Input)),
                },
                Some(()) = self.stop.recv() => return Some(Ok(Happened::Stop)),
            }
        }
    }

    fn mouse(&mut self, on: bool) {
        // A terminal without a mouse needs no error.
        let _ = self.guard.set_mouse(on);
    }

    fn copy(&mut self, text: &str) -> Result<&'static str, String> {
        let env = |name: &str| std::env::var(name).ok();
        let bytes = clipboard::osc52(text, &env)?;
        let mut out = io::stdout().lock();
        out.write_all(&bytes).and_then(|()| out.flush()).map_err(|error| error.to_string())?;
        Ok("by the terminal, OSC 52")
    }

    fn suspend(&mut self) -> io::Result<()> {
        // The stream's thread must not eat what is typed into the shell.
        self.events = None;
        self.guard.release();
        let stopped =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
        // Here again after `fg`.
        self.guard.take()?;
        self.events = Some(EventStream::new());
        stopped.map_err(io::Error::from)
    }
}

/// Whether a shell would take over if this process stopped: we are in the foreground of the terminal,
/// and not the session's leader.
pub fn job_control() -> bool {
    let me = rustix::process::getpid();
    let leader = rustix::process::getsid(None).is_ok_and(|session| session == me);
    !leader
        && rustix::process::getppid().is_some_and(|parent| {
            rustix::process::getsid(Some(parent))
                .is_ok_and(|s| Some(s) == rustix::process::getsid(None).ok())
        })
}
