//! The terminal: taken once, given back whatever happens, exactly once.
//!
//! `ratatui::init()` is not used: its panic hook leaves the alternate screen when any task panics while
//! the app goes on drawing. Here a panic of the screen's own code restores the terminal and is reported;
//! a panic of another task is shown in the log, and the screen stays.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste,
    EnableFocusChange, EnableMouseCapture, KeyboardEnhancementFlags, PopKeyboardEnhancementFlags,
    PushKeyboardEnhancementFlags,
};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, queue, style};
use tokio::sync::Notify;

/// Panic messages kept for the screen; more are only counted in what is printed at the end.
const MAX_NOTES: usize = 16;

/// Saves, sets and at the end restores the window's title.
const TITLE_PUSH: &str = "\x1b[22;2t\x1b]2;Shoal\x1b\\";
const TITLE_POP: &str = "\x1b[23;2t";
/// Begin and end of a frame that appears at once (DEC private mode 2026).
const FRAME_BEGIN: &[u8] = b"\x1b[?2026h";
const FRAME_END: &[u8] = b"\x1b[?2026l";

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether the kitty keyboard protocol was switched on.
static KITTY: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this thread is in the screen's own code right now.
    static IN_SCREEN: Cell<bool> = const { Cell::new(false) };
}

/// Panics of other tasks, for the screen.
#[derive(Debug, Default)]
pub struct Notes {
    waiting: Mutex<VecDeque<(SystemTime, String)>>,
    /// Rung when there is a new one.
    pub bell: Notify,
}

impl Notes {
    /// The one that the panic hook writes to.
    pub fn shared() -> Arc<Self> {
        static NOTES: OnceLock<Arc<Notes>> = OnceLock::new();
        NOTES.get_or_init(Arc::default).clone()
    }

    /// Takes all.
    pub fn take(&self) -> Vec<(SystemTime, String)> {
        self.lock().drain(..).collect()
    }

    fn push(&self, text: String) {
        let mut waiting = self.lock();
        if waiting.len() < MAX_NOTES {
            waiting.push_back((SystemTime::now(), text));
        }
        drop(waiting);
        self.bell.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(SystemTime, String)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the screen's own code: a panic inside gives the terminal back before it is reported.
pub fn in_screen<T>(code: impl FnOnce() -> T) -> T {
    struct Reset(bool);
    impl Drop for Reset {
        fn drop(&mut self) {
            IN_SCREEN.set(self.0);
        }
    }
    let _reset = Reset(IN_SCREEN.replace(true));
    code()
}

/// Holds the terminal; gives it back when dropped.
#[derive(Debug)]
pub struct Guard {
    mouse: bool,
}

impl Guard {
    /// Takes the terminal: raw mode, alternate screen, mouse, paste and focus reports.
    ///
    /// # Errors
    /// If there is no terminal, or it cannot be set.
    pub fn enter(mouse: bool) -> io::Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "the full-screen app needs a terminal; without one use --serve-only, get, ls or verify",
            ));
        }
        install_hook();
        // NO_COLOR is the theme's business: crossterm would take reverse video away as well.
        style::force_color_output(true);
        let guard = Self { mouse };
        guard.take()?;
        Ok(guard)
    }

    /// Takes the terminal again after [`Guard::release`].
    ///
    /// # Errors
    /// If it cannot be set.
    pub fn take(&self) -> io::Result<()> {
        TAKEN.store(true, Ordering::SeqCst);
        crossterm::terminal::enable_raw_mode()?;
        let kitty = knows_kitty(&|name| std::env::var(name).ok());
        KITTY.store(kitty, Ordering::SeqCst);
        let mut out = io::stdout().lock();
        enter(&mut out, self.mouse, kitty)
    }

    /// Gives the terminal back for a while.
    pub fn release(&self) {
        restore();
    }

    /// Switches mouse reports.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn set_mouse(&mut self, on: bool) -> io::Result<()> {
        self.mouse = on;
        let mut out = io::stdout().lock();
        if on {
            queue!(out, EnableMouseCapture)?;
        } else {
            queue!(out, DisableMouseCapture)?;
        }
        out.flush()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
        // What other tasks said while the screen was up must not be lost.
        for (_, text) in Notes::shared().take() {
            let _ = writeln!(io::stderr(), "internal error: {text}");
        }
    }
}

/// Gives the terminal back if it is ours. Safe to call from anywhere, any number of times.
pub fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // Nothing can be done about errors here: the terminal may be gone.
    let _ = leave(&mut io::stdout(), KITTY.swap(false, Ordering::SeqCst));
    let _ = crossterm::terminal::disable_raw_mode();
}

/// The bytes that take the terminal.
///
/// # Errors
/// If they cannot be written.
pub fn enter(out: &mut impl Write, mouse: bool, kitty: bool) -> io::Result<()> {
    queue!(out, EnterAlternateScreen, cursor::Hide, EnableBracketedPaste, EnableFocusChange)?;
    if mouse {
        queue!(out, EnableMouseCapture)?;
    }
    if kitty {
        queue!(
            out,
            PushKeyboardEnhancementFlags(KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES)
        )?;
    }
    out.write_all(TITLE_PUSH.as_bytes())?;
    out.flush()
}

/// The bytes that give it back: every mode of [`enter`] reset, also if it was not set.
///
/// # Errors
/// If they cannot be written.
pub fn leave(out: &mut impl Write, kitty: bool) -> io::Result<()> {
    out.write_all(FRAME_END)?;
    if kitty {
        queue!(out, PopKeyboardEnhancementFlags)?;
    }
    queue!(out, DisableMouseCapture, DisableFocusChange, DisableBracketedPaste)?;
    queue!(out, style::ResetColor, style::SetAttribute(style::Attribute::Reset))?;
    queue!(out, LeaveAlternateScreen, cursor::Show)?;
    out.write_all(TITLE_POP.as_bytes())?;
    out.flush()
}

/// Terminals known to speak the kitty keyboard protocol; others are not asked, for answers that come
/// late would be typed text.
fn knows_kitty(env: &dyn Fn(&str) -> Option<String>) -> bool {
    let term = env("TERM").unwrap_or_default();
    let program = env("TERM_PROGRAM").unwrap_or_default();
    let multiplexed = env("TMUX").is_some() || env("STY").is_some() || env("ZELLIJ").is_some();
    !multiplexed
        && (["kitty", "foot", "ghostty", "alacritty"].iter().any(|name| term.contains(name))
            || ["WezTerm", "ghostty", "iTerm.app"].contains(&program.as_str()))
}

fn install_hook() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| hook(info, &before)));
    });
}

fn hook(info: &PanicHookInfo<'_>, before: &(dyn Fn(&PanicHookInfo<'_>) + Send + Sync)) {
    if IN_SCREEN.get() {
        restore();
        before(info);
    } else if TAKEN.load(Ordering::SeqCst) {
        Notes::shared().push(info.to_string().replace('\n', " "));
    } else {
        before(info);
    }
}

/// Collects a frame, so that it reaches the terminal in one write.
#[derive(Debug, Clone, Default)]
pub struct FrameBuffer(Arc<Mutex<Vec<u8>>>);

impl FrameBuffer {
    /// Writes what was collected as one frame; nothing if nothing was.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn commit(&self, out: &mut impl Write) -> io::Result<()> {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.is_empty() {
            return Ok(());
        }
        let mut frame = Vec::with_capacity(buffer.len() + FRAME_BEGIN.len() + FRAME_END.len());
        frame.extend_from_slice(FRAME_BEGIN);
        frame.append(&mut buffer);
        frame.extend_from_slice(FRAME_END);
        drop(buffer);
        out.write_all(&frame)?;
        out.flush()
    }
}

impl Write for FrameBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Keeps everything: only [`FrameBuffer::commit`] writes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_resets_every_mode_that_entering_set() {
        let (mut on, mut off) = (Vec::new(), Vec::new());
        enter(&mut on, true, true).unwrap();
        leave(&mut off, true).unwrap();
        let (on, off) = (String::from_utf8(on).unwrap(), String::from_utf8(off).unwrap());
        let modes: Vec<&str> = on
            .split("\x1b[?")
            .skip(1)
            .filter_map(|part| part.split_once('h').map(|(mode, _)| mode))
            .filter(|mode| mode.chars().all(|c| c.is_ascii_digit()))
            .collect();
        assert!(modes.len() >= 6, "{modes:?}");
        for mode in modes {
            assert!(off.contains(&format!("\x1b[?{mode}l")), "mode {mode} stays on");
        }
        assert!(
            off.contains("\x1b[?25h") && off.contains("\x1b[<1u") && off.contains("\x1b[23;2t")
        );
    }

    #[test]
    fn frames_are_one_bracketed_write_and_nothing_is_nothing() {
        let mut buffer = FrameBuffer::default();
        let mut out = Vec::new();
        buffer.commit(&mut out).unwrap();
        assert!(out.is_empty());
        buffer.write_all(b"abc").unwrap();
        buffer.flush().unwrap();
        buffer.commit(&mut out).unwrap();
        assert_eq!(out, b"\x1b[?2026habc\x1b[?2026l");
    }

    #[test]
    fn only_known_terminals_get_the_kitty_protocol() {
        let env = |vars: &'static [(&str, &str)]| {
            move |name: &str| vars.iter().find(|(k, _)| *k == name).map(|(_, v)| (*v).to_owned())
        };
        assert!(knows_kitty(&env(&[("TERM", "xterm-kitty")])));
        assert!(!knows_kitty(&env(&[("TERM", "xterm-256color")])));
        assert!(!knows_kitty(&env(&[("TERM", "foot"), ("TMUX", "/tmp/x")])));
    }

    #[test]
    fn a_panic_elsewhere_is_noted_and_one_in_the_screen_is_known() {
        assert!(!IN_SCREEN.get());
        let caught = std::panic::catch_unwind(|| in_screen(|| assert!(!IN_SCREEN.get(), "inside")));
        assert!(caught.is_err() && !IN_SCREEN.get());
    }
}
