//! The terminal: taken once, given back whatever happens, exactly once.
//!
//! `ratatui::init()` is not used: its panic hook leaves the alternate screen when any task panics while
//! the app goes on drawing. See `tui::panics`.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange,
    KeyboardEnhancementFlags, PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, queue, style};

use super::output::FRAME_END;

/// Saves and at the end restores the window's title.
const TITLE_PUSH: &str = "\x1b[22;2t";
const TITLE_POP: &str = "\x1b[23;2t";
/// No progress (ConEmu's sequence).
const PROGRESS_CLEAR: &str = "\x1b]9;4;0;\x1b\\";
/// Buttons, wheel and drags, with coordinates beyond 223. Moves alone (mode 1003) would only wake us.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1002h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1002l\x1b[?1000l";
/// How long giving back may take when nobody reads the terminal any more.
const RESTORE: Duration = Duration::from_millis(200);

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// What was set that other terminals would not understand ([`Modes::bits`]).
static SET: AtomicU8 = AtomicU8::new(0);

/// What is set on the terminal beside the alternate screen, paste and focus reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Modes {
    /// Mouse reports.
    pub mouse: bool,
    /// The kitty keyboard protocol.
    pub kitty: bool,
    /// The window's title.
    pub title: bool,
    /// Progress in the task bar or tab.
    pub progress: bool,
}

impl Modes {
    fn bits(self) -> u8 {
        u8::from(self.mouse)
            | u8::from(self.kitty) << 1
            | u8::from(self.title) << 2
            | u8::from(self.progress) << 3
    }

    fn of(bits: u8) -> Self {
        Self {
            mouse: bits & 1 != 0,
            kitty: bits & 2 != 0,
            title: bits & 4 != 0,
            progress: bits & 8 != 0,
        }
    }
}

/// Holds the terminal; gives it back when dropped.
#[derive(Debug)]
pub struct Guard {
    modes: Modes,
}

impl Guard {
    /// Takes the keyboard: raw mode, so that questions to the terminal can be asked.
    ///
    /// # Errors
    /// If there is no terminal, or it cannot be set.
    pub fn enter() -> io::Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "the full-screen app needs a terminal; without one use --serve-only, get, ls or verify",
            ));
        }
        // NO_COLOR is the theme's business: crossterm would take reverse video away as well.
        style::force_color_output(true);
        crossterm::terminal::enable_raw_mode()?;
        Ok(Self { modes: Modes::default() })
    }

    /// Takes the screen.
    ///
    /// # Errors
    /// If it cannot be set.
    pub fn take(&mut self, modes: Modes) -> io::Result<()> {
        self.modes = modes;
        SET.store(modes.bits(), Ordering::SeqCst);
        TAKEN.store(true, Ordering::SeqCst);
        crossterm::terminal::enable_raw_mode()?;
        let mut bytes = Vec::new();
        enter(&mut bytes, modes)?;
        tty()?.write_all(&bytes)
    }

    /// Gives the terminal back for a while.
    pub fn release(&self) {
        restore();
    }

    /// Takes it again after [`Guard::release`], or after somebody else has changed it.
    ///
    /// # Errors
    /// If it cannot be set.
    pub fn retake(&mut self) -> io::Result<()> {
        restore();
        self.take(self.modes)
    }

    /// What is set.
    pub fn modes(&self) -> Modes {
        self.modes
    }

    /// The bytes that switch mouse reports.
    pub fn set_mouse(&mut self, on: bool) -> &'static [u8] {
        self.modes.mouse = on;
        SET.store(self.modes.bits(), Ordering::SeqCst);
        if on { MOUSE_ON.as_bytes() } else { MOUSE_OFF.as_bytes() }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
        // Also if the screen was never taken.
        let _ = crossterm::terminal::disable_raw_mode();
    }
}

/// The terminal without std's buffer and lock, which a stuck write may hold.
///
/// # Errors
/// If standard output is closed.
pub(super) fn tty() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Whether the terminal is ours at the moment.
pub(super) fn is_taken() -> bool {
    TAKEN.load(Ordering::SeqCst)
}

/// Gives the terminal back if it is ours. Never takes longer than 200 ms, even if the terminal is gone.
pub fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let modes = Modes::of(SET.load(Ordering::SeqCst));
    // Nothing can be done about errors: the terminal may be gone.
    let _ = crossterm::terminal::disable_raw_mode();
    let (tx, rx) = sync_channel(1);
    let give_back = move || {
        let mut bytes = Vec::new();
        let _ = leave(&mut bytes, modes);
        let _ = tty().and_then(|mut tty| tty.write_all(&bytes));
        let _ = tx.try_send(());
    };
    if std::thread::Builder::new().spawn(give_back).is_ok() {
        let _ = rx.recv_timeout(RESTORE);
    }
}

/// The bytes that take the terminal.
///
/// # Errors
/// If they cannot be written.
pub fn enter(out: &mut impl Write, modes: Modes) -> io::Result<()> {
    queue!(out, EnterAlternateScreen, cursor::Hide, EnableBracketedPaste, EnableFocusChange)?;
    if modes.mouse {
        out.write_all(MOUSE_ON.as_bytes())?;
    }
    if modes.kitty {
        queue!(
            out,
            PushKeyboardEnhancementFlags(KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES)
        )?;
    }
    if modes.title {
        out.write_all(TITLE_PUSH.as_bytes())?;
    }
    out.flush()
}

/// The bytes that give it back: every mode of [`enter`] reset, the common ones also if they were not set.
///
/// # Errors
/// If they cannot be written.
pub fn leave(out: &mut impl Write, modes: Modes) -> io::Result<()> {
    out.write_all(FRAME_END)?;
    if modes.kitty {
        queue!(out, PopKeyboardEnhancementFlags)?;
    }
    out.write_all(MOUSE_OFF.as_bytes())?;
    queue!(out, DisableFocusChange, DisableBracketedPaste)?;
    queue!(out, style::ResetColor, style::SetAttribute(style::Attribute::Reset))?;
    if modes.progress {
        out.write_all(PROGRESS_CLEAR.as_bytes())?;
    }
    queue!(out, LeaveAlternateScreen, cursor::Show)?;
    if modes.title {
        out.write_all(TITLE_POP.as_bytes())?;
    }
    out.flush()
}

/// Lets go of a terminal that is gone: what is read is empty, what is written vanishes, and whoever goes
/// on serving meets no errors.
pub(super) fn detach_if_gone() {
    if rustix::termios::tcgetattr(io::stdout()).is_ok() {
        return;
    }
    let Ok(null) = File::options().read(true).write(true).open("/dev/null") else { return };
    // Whatever cannot be replaced fails as before.
    let _ = rustix::stdio::dup2_stdin(&null);
    let _ = rustix::stdio::dup2_stdout(&null);
    let _ = rustix::stdio::dup2_stderr(&null);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_resets_every_mode_that_entering_set() {
        let modes = Modes { mouse: true, kitty: true, title: true, progress: true };
        let (mut on, mut off) = (Vec::new(), Vec::new());
        enter(&mut on, modes).unwrap();
        leave(&mut off, modes).unwrap();
        let (on, off) = (String::from_utf8(on).unwrap(), String::from_utf8(off).unwrap());
        let set: Vec<&str> = on
            .split("\x1b[?")
            .skip(1)
            .filter_map(|part| part.split_once('h').map(|(mode, _)| mode))
            .filter(|mode| mode.chars().all(|c| c.is_ascii_digit()))
            .collect();
        assert!(set.len() >= 6, "{set:?}");
        for mode in set {
            assert!(off.contains(&format!("\x1b[?{mode}l")), "mode {mode} stays on");
        }
        for rest in ["\x1b[?25h", "\x1b[<1u", "\x1b[23;2t", "\x1b]9;4;0;"] {
            assert!(off.contains(rest), "{rest:?}");
        }
    }

    #[test]
    fn terminals_get_nothing_they_may_not_understand() {
        let mut off = Vec::new();
        leave(&mut off, Modes::default()).unwrap();
        let off = String::from_utf8(off).unwrap();
        assert!(!off.contains("\x1b[<") && !off.contains("\x1b]9") && !off.contains("23;2t"));
        assert!(Modes::of(Modes { kitty: true, ..Modes::default() }.bits()).kitty);
    }
}
