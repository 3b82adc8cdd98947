//! Asks the terminal, before anything is read from it: its background colour (OSC 11), whether it speaks
//! the kitty keyboard protocol, and, as a sentinel that every terminal answers, what it is (DA1).
//!
//! All three go in one write, and reading ends with the sentinel's answer. `terminal-colorsaurus` does the
//! first part only, with reads of its own; a second batch would cost another round trip.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::theme::{Env, Ground};

/// The longest wait for answers: a local terminal needs a millisecond.
const PATIENCE: Duration = Duration::from_millis(100);
/// Bytes of answers read at most; more is not an answer.
const MAX_ANSWER: usize = 1024;
/// Background colour, kitty flags, device attributes.
const QUESTION: &[u8] = b"\x1b]11;?\x1b\\\x1b[?u\x1b[c";
/// Keys of a late answer thrown away at most: `11;rgb:ffff/ffff/ffff` and some more.
const MAX_LATE: u8 = 48;

/// What the terminal said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answers {
    /// Its background, as the app needs it.
    pub background: Option<Ground>,
    /// Whether it speaks the kitty keyboard protocol.
    pub kitty: bool,
    /// Whether the sentinel came back: nothing more will.
    pub complete: bool,
}

/// Whether the terminal may be asked. Not over ssh, where an answer may come late and be taken for typed
/// text, unless the user wants it (`over_ssh`); and not where nobody answers.
pub fn may_ask(env: Env<'_>, over_ssh: bool) -> bool {
    let has = |name: &str| env(name).is_some_and(|value| !value.is_empty());
    let term = env("TERM").unwrap_or_default();
    let ssh = has("SSH_CONNECTION") || has("SSH_TTY");
    !term.is_empty() && term != "dumb" && term != "linux" && (over_ssh || !ssh)
}

/// Asks. The terminal must be in raw mode and nobody else may read from it.
///
/// # Errors
/// If the terminal is gone.
pub fn ask(out: &mut File) -> io::Result<Answers> {
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    out.write_all(QUESTION)?;
    let until = Instant::now() + PATIENCE;
    let mut got = Vec::new();
    let mut answers = Answers::default();
    while !answers.complete && got.len() < MAX_ANSWER {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || !readable(&input, left)? {
            break;
        }
        let mut part = [0; 256];
        let n = input.read(&mut part)?;
        if n == 0 {
            break;
        }
        got.extend_from_slice(part.get(..n).unwrap_or(&[]));
        answers = parse(&got);
    }
    Ok(answers)
}

fn readable(file: &File, patience: Duration) -> io::Result<bool> {
    let fd = file.as_fd();
    let mut ask = [PollFd::new(&fd, PollFlags::IN)];
    let wait = Timespec::try_from(patience).map_err(io::Error::other)?;
    match poll(&mut ask, Some(&wait)) {
        Ok(n) => Ok(n > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Finds the answers among what was read; anything else is passed over.
fn parse(bytes: &[u8]) -> Answers {
    let text = String::from_utf8_lossy(bytes);
    let mut answers = Answers::default();
    for part in text.split('\x1b') {
        if let Some(color) = part.strip_prefix("]11;") {
            answers.background =
                color.trim_end_matches('\x07').strip_prefix("rgb").and_then(ground);
        } else if let Some(report) = part.strip_prefix("[?") {
            let body = report.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
            answers.kitty |= body.starts_with('u');
            answers.complete |= body.starts_with('c');
        }
    }
    answers
}

/// `:ffff/ffff/ffff` or `a:ff/ff/ff/ff`: light if nearer to white by how bright it looks (ITU-R BT.601).
fn ground(color: &str) -> Option<Ground> {
    let (_, parts) = color.split_once(':')?;
    let mut values = parts.split('/').map(|part| {
        let digits = part.get(..part.len().min(4))?;
        let most = 16u32.checked_pow(u32::try_from(digits.len()).ok()?)?.checked_sub(1)?;
        let value = u32::from_str_radix(digits, 16).ok()?;
        (most > 0).then(|| f64::from(value) / f64::from(most))
    });
    let (r, g, b) = (values.next()??, values.next()??, values.next()??);
    let luma = 0.299 * r + 0.587 * g + 0.114 * b;
    Some(if luma > 0.5 { Ground::Light } else { Ground::Dark })
}

/// Throws away an answer that comes after we stopped waiting and is read as keys: `Alt-]`, then text up to
/// its end (`Alt-\` or `^G`). Alt-] is never a command of ours.
#[derive(Debug, Default)]
pub struct Late {
    /// Keys that may still belong to it.
    left: u8,
}

impl Late {
    /// Whether this key is part of a late answer.
    pub fn swallows(&mut self, key: &KeyEvent) -> bool {
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        if alt && key.code == KeyCode::Char(']') {
            self.left = MAX_LATE;
            return true;
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let end =
            (alt && key.code == KeyCode::Char('\\')) || (control && key.code == KeyCode::Char('g'));
        let inside =
            matches!(key.code, KeyCode::Char(c) if c.is_ascii_hexdigit() || ";:/rgba".contains(c));
        if end || !inside || alt || control {
            self.left = 0;
        }
        end || inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_among_other_bytes() {
        let dark = b"x\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\\x1b[?1u\x1b[?62;22c";
        let all = Answers { background: Some(Ground::Dark), kitty: true, complete: true };
        assert_eq!(parse(dark), all);
        let light = parse(b"\x1b]11;rgb:ff/ff/e0\x07\x1b[?6c");
        assert_eq!(
            light,
            Answers { background: Some(Ground::Light), kitty: false, complete: true }
        );
        assert_eq!(parse(b"\x1b[?1;2c"), Answers { complete: true, ..Answers::default() });
        assert!(!parse(b"\x1b]11;rgb:1e1e/1e").complete);
        for bad in ["", ":", ":x/y/z", ":/1/1", ":ffff/ffff", ":é/é/é"] {
            assert_eq!(ground(bad), None, "{bad}");
        }
    }

    #[test]
    fn ssh_and_simple_terminals_are_not_asked() {
        let env = |vars: &'static [(&str, &str)]| {
            move |name: &str| vars.iter().find(|(k, _)| *k == name).map(|(_, v)| (*v).to_owned())
        };
        assert!(may_ask(&env(&[("TERM", "xterm")]), false));
        assert!(!may_ask(&env(&[("TERM", "xterm"), ("SSH_TTY", "/dev/pts/1")]), false));
        assert!(may_ask(&env(&[("TERM", "xterm"), ("SSH_TTY", "/dev/pts/1")]), true));
        assert!(!may_ask(&env(&[("TERM", "dumb")]), false) && !may_ask(&env(&[]), true));
    }

    #[test]
    fn a_late_answer_is_not_typed_text() {
        let key = |c: char, modifiers| KeyEvent::new(KeyCode::Char(c), modifiers);
        let mut late = Late::default();
        assert!(!late.swallows(&key('1', KeyModifiers::NONE)));
        assert!(late.swallows(&key(']', KeyModifiers::ALT)));
        for c in "11;rgb:1e1e/ffff/0000".chars() {
            assert!(late.swallows(&key(c, KeyModifiers::NONE)), "{c}");
        }
        assert!(late.swallows(&key('\\', KeyModifiers::ALT)));
        assert!(!late.swallows(&key('d', KeyModifiers::NONE)));
        // Somebody who presses Alt-] loses no other key.
        assert!(late.swallows(&key(']', KeyModifiers::ALT)));
        assert!(!late.swallows(&key('q', KeyModifiers::NONE)));
        assert!(!late.swallows(&key('1', KeyModifiers::NONE)));
    }
}
