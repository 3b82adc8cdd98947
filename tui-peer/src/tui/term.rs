//! The terminal, and giving it back: after quitting, after a panic of the screen, after a signal. A
//! panic of any other task must not tear the screen, so the hook looks at which thread it is.

use std::io::{self, BufWriter, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::SystemTime;

use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste,
    EnableFocusChange, EnableMouseCapture,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    SetTitle, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use super::model::Model;
use super::view;

/// Bytes of one frame collected before they are written: a full redraw of a large screen.
const FRAME: usize = 256 * 1024;

/// Whether the terminal is ours at the moment.
static OURS: AtomicBool = AtomicBool::new(false);

/// The terminal in our hands; given back on drop.
pub(super) struct Term {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    panics: Receiver<(SystemTime, String)>,
}

impl Term {
    /// Takes the terminal.
    pub(super) fn take() -> io::Result<Self> {
        // NO_COLOR is the theme's business: crossterm would drop reverse video with the colours.
        crossterm::style::force_color_output(true);
        let (tx, panics) = channel();
        hook(tx);
        enter(true)?;
        let out = BufWriter::with_capacity(FRAME, io::stdout());
        let terminal = Terminal::new(CrosstermBackend::new(out))?;
        Ok(Self { terminal, panics })
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (u16, u16) {
        crossterm::terminal::size().unwrap_or((80, 24))
    }

    /// Draws the model: one synchronized frame, one write.
    pub(super) fn draw(&mut self, model: &Model) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| view::view(model, frame))?;
        queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        self.terminal.backend_mut().flush()
    }

    /// Draws everything anew with the next frame.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }

    /// A panic of another task, if there was one.
    pub(super) fn panicked(&self) -> Option<(SystemTime, String)> {
        self.panics.try_recv().ok()
    }

    /// Mouse reports on or off.
    pub(super) fn mouse(on: bool) -> io::Result<()> {
        if on {
            execute!(io::stdout(), EnableMouseCapture)
        } else {
            execute!(io::stdout(), DisableMouseCapture)
        }
    }

    /// Gives the terminal back and stops this process until it is continued.
    pub(super) fn suspend(&mut self, mouse: bool) -> io::Result<()> {
        restore();
        // SIGSTOP, because a SIGTSTP to an orphaned process group is dropped.
        let stopped =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
        enter(mouse)?;
        stopped?;
        self.terminal.clear()
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        restore();
    }
}

fn enter(mouse: bool) -> io::Result<()> {
    enable_raw_mode()?;
    OURS.store(true, Ordering::SeqCst);
    execute!(
        io::stdout(),
        EnterAlternateScreen,
        EnableBracketedPaste,
        EnableFocusChange,
        SetTitle("tui-peer"),
        cursor::Hide
    )?;
    Term::mouse(mouse)
}

/// Gives the terminal back, once.
pub(super) fn restore() {
    if OURS.swap(false, Ordering::SeqCst) {
        // Nothing can be done about a terminal that is gone.
        let _ = execute!(
            io::stdout(),
            EndSynchronizedUpdate,
            DisableMouseCapture,
            DisableFocusChange,
            DisableBracketedPaste,
            LeaveAlternateScreen,
            cursor::Show
        );
        let _ = disable_raw_mode();
    }
}

/// A panic of the screen's thread gives the terminal back and is reported as usual; one of another
/// thread goes to the log.
fn hook(tx: Sender<(SystemTime, String)>) {
    let before = std::panic::take_hook();
    let screen = std::thread::current().id();
    let tx = std::sync::Mutex::new(tx);
    std::panic::set_hook(Box::new(move |info| {
        let here = std::thread::current().id() == screen;
        if here || !OURS.load(Ordering::SeqCst) {
            restore();
            before(info);
        } else if let Ok(tx) = tx.lock() {
            let _ = tx.send((SystemTime::now(), info.to_string()));
        }
    }));
}
