//! What the loop needs from a terminal, and the real one.

use std::future::Future;
use std::io;
use std::time::Duration;

use crossterm::event::{Event, EventStream};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use rustix::process::{getpid, kill_process};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::clipboard;
use super::notifications::Known;
use super::output::{FrameBuffer, Writer};
use super::term::{self, Guard, Modes};
use super::terminal_query::{self, Answers, Late};
use super::theme::Ground;
use super::woken::Woken;

/// How long the last frame may take at the end.
const LAST_FRAME: Duration = Duration::from_millis(100);

/// What a terminal tells us.
#[derive(Debug)]
pub enum Happened {
    /// Keys, mouse, paste, size, focus.
    Input(Event),
    /// Somebody wants the program to stop for a while (SIGTSTP from outside).
    Stop,
    /// Somebody stopped and continued the program; the terminal may look different.
    Continued,
    /// A frame has reached the terminal; how long it took.
    Written(Duration),
}

/// How a text was copied, or why it was not.
pub type Copied = Result<&'static str, String>;

/// A terminal with its input; tests play one.
pub trait Front {
    /// What frames are drawn to.
    type Backend: Backend;

    /// Where frames are drawn.
    fn terminal(&mut self) -> &mut Terminal<Self::Backend>;

    /// Whether a frame may be drawn: none is on its way.
    fn is_ready(&self) -> bool;

    /// Sends the frame that was drawn.
    ///
    /// # Errors
    /// If the terminal is gone.
    fn commit(&mut self) -> io::Result<()>;

    /// Sends something that is no frame: title, progress, notification.
    fn aside(&mut self, bytes: &[u8]);

    /// The next input; `None` when there will be none. Can be dropped and asked again.
    fn event(&mut self) -> impl Future<Output = Option<io::Result<Happened>>> + Send;

    /// Switches mouse reports.
    fn mouse(&mut self, on: bool);

    /// Puts text into the clipboard; says by which way.
    fn copy(&mut self, text: String) -> BoxFuture<'static, Copied>;

    /// Gives the terminal to the shell until it comes back.
    ///
    /// # Errors
    /// If that is not possible.
    fn suspend(&mut self) -> io::Result<()>;

    /// Sets the terminal again, as [`Happened::Continued`] asks for.
    ///
    /// # Errors
    /// If the terminal is gone.
    fn resume(&mut self) -> io::Result<()>;

    /// The terminal's size now, if it can be asked.
    fn size(&self) -> Option<(u16, u16)>;
}

/// The user's terminal.
#[derive(Debug)]
pub struct Tty {
    guard: Guard,
    terminal: Terminal<CrosstermBackend<FrameBuffer>>,
    buffer: FrameBuffer,
    writer: Writer,
    events: Option<Woken<EventStream>>,
    late: Late,
    stop: Signal,
    cont: Signal,
    /// The next SIGCONT ends our own suspension, which has set everything already.
    expected: bool,
    resized: Signal,
    answers: Answers,
    known: Known,
}

impl Tty {
    /// Takes the terminal; `ask` whether it may be asked for its colours.
    ///
    /// # Errors
    /// If there is none.
    pub fn open(mouse: bool, ask: bool) -> io::Result<Self> {
        let listen = |of: rustix::process::Signal| signal(SignalKind::from_raw(of.as_raw()));
        let stop = listen(rustix::process::Signal::TSTP)?;
        let cont = listen(rustix::process::Signal::CONT)?;
        let resized = signal(SignalKind::window_change())?;
        let known = Known::by(&|name| std::env::var(name).ok());
        let mut guard = Guard::enter()?;
        let mut out = term::tty()?;
        let answers = if ask { terminal_query::ask(&mut out)? } else { Answers::default() };
        let modes =
            Modes { mouse, kitty: answers.kitty, title: known.title, progress: known.progress };
        guard.take(modes)?;
        let (width, height) = crossterm::terminal::size()?;
        let buffer = FrameBuffer::default();
        Ok(Self {
            guard,
            terminal: terminal(&buffer, width, height)?,
            buffer,
            writer: Writer::new(out)?,
            // Only now: it would take the answers.
            events: Some(Woken::new(EventStream::new())),
            late: Late::default(),
            stop,
            cont,
            expected: false,
            resized,
            answers,
            known,
        })
    }

    /// The terminal's background, if it said.
    pub fn background(&self) -> Option<Ground> {
        self.answers.background
    }

    /// What may be shown outside the window.
    pub fn known(&self) -> Known {
        self.known
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        self.writer.drain(LAST_FRAME);
        self.writer.close();
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

    fn is_ready(&self) -> bool {
        self.writer.is_idle()
    }

    fn commit(&mut self) -> io::Result<()> {
        self.writer.frame(self.buffer.take())
    }

    fn aside(&mut self, bytes: &[u8]) {
        // One that finds no room is not worth waiting for.
        self.writer.aside(bytes);
    }

    async fn event(&mut self) -> Option<io::Result<Happened>> {
        loop {
            let Some(events) = &mut self.events else { return std::future::pending().await };
            tokio::select! {
                biased;
                // crossterm 0.29 forgets a resize that comes together with a key (it returns from the middle
                // of a batch of edge-triggered events), so sizes are not taken from its stream.
                Some(()) = self.resized.recv() => {
                    let size = crossterm::terminal::size();
                    return Some(size.map(|(width, height)| Happened::Input(Event::Resize(width, height))));
                }
                input = events.next() => match input {
                    Some(Ok(Event::Key(key))) if self.late.swallows(&key) => {}
                    Some(Ok(Event::Resize(..))) => {}
                    other => return other.map(|input| input.map(Happened::Input)),
                },
                took = self.writer.written() => return Some(Ok(Happened::Written(took))),
                Some(()) = self.stop.recv() => return Some(Ok(Happened::Stop)),
                Some(()) = self.cont.recv() => {
                    if !std::mem::take(&mut self.expected) {
                        return Some(Ok(Happened::Continued));
                    }
                }
            }
        }
    }

    fn mouse(&mut self, on: bool) {
        let bytes = self.guard.set_mouse(on);
        self.writer.aside(bytes);
    }

    fn copy(&mut self, text: String) -> BoxFuture<'static, Copied> {
        let writer = self.writer.clone();
        async move {
            let env = |name: &str| std::env::var(name).ok();
            let mut why = None;
            if let Some(helper) = clipboard::helper(&env, &clipboard::installed) {
                let given = text.clone();
                let work = tokio::task::spawn_blocking(move || clipboard::give(helper, &given));
                match work.await {
                    Ok(Ok(())) => return Ok(helper.program),
                    Ok(Err(error)) => why = Some(error),
                    Err(error) => why = Some(error.to_string()),
                }
            }
            let because = |error: String| match &why {
                Some(why) => format!("{why}; {error}"),
                None => error,
            };
            let bytes = clipboard::osc52(&text, &env).map_err(because)?;
            if writer.aside(&bytes) {
                Ok("by the terminal, OSC 52")
            } else {
                Err("the terminal does not keep up; try again".to_owned())
            }
        }
        .boxed()
    }

    fn suspend(&mut self) -> io::Result<()> {
        // The stream's thread must not eat what is typed into the shell.
        self.events = None;
        self.writer.drain(LAST_FRAME);
        self.guard.release();
        // Only ourselves: others of our process group may be a test or a supervisor.
        let stopped = kill_process(getpid(), rustix::process::Signal::STOP);
        // Here again after `fg`.
        self.expected = stopped.is_ok();
        self.guard.take(self.guard.modes())?;
        self.events = Some(Woken::new(EventStream::new()));
        stopped.map_err(io::Error::from)
    }

    fn resume(&mut self) -> io::Result<()> {
        self.guard.retake()
    }

    fn size(&self) -> Option<(u16, u16)> {
        crossterm::terminal::size().ok()
    }
}

/// Whether a shell would take over if this process stopped.
pub fn job_control() -> bool {
    // Not rustix's `getsid` and `getpgrp`: they promise a number above 0, but a leader in another PID
    // namespace, as a container's usually is, has number 0 here.
    use nix::unistd::{getpgrp, getpid, getppid, getsid};
    getpgrp() == getpid() && shell_waits(getpid(), getsid(None).ok(), getsid(Some(getppid())).ok())
}

/// Whether the leader of a process group is a shell's job. A shell with job control makes every command
/// the leader of a group; the leader of the session as well was started by a terminal or a multiplexer,
/// and nobody would continue it. Nor would a parent in another session: the shell has gone.
fn shell_waits<T: PartialEq>(me: T, session: Option<T>, parents_session: Option<T>) -> bool {
    session.is_some_and(|session| session != me && parents_session == Some(session))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_shell_with_job_control_takes_over() {
        // A job of a shell; of one whose leader is outside this PID namespace.
        assert!(shell_waits(20, Some(10), Some(10)));
        assert!(shell_waits(20, Some(0), Some(0)));
        // The session's leader; left behind by the shell.
        assert!(!shell_waits(10, Some(10), Some(1)));
        assert!(!shell_waits(20, Some(10), Some(1)));
        assert!(!shell_waits(20, Some(10), None));
        assert!(!shell_waits(20, None, None));
    }
}
