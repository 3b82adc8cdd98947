//! The passphrase of an exported file: from a terminal, or from a file that nobody else can read. Never from a command line.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::str::FromStr;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::state::refuse_readable;

/// Shortest passphrase: whoever has the file can try as long as they like.
const MIN_LEN: usize = 12;
const MAX_LEN: usize = 256;

/// What a file is encrypted with. Wiped when dropped; not shown.
pub struct Passphrase(Zeroizing<String>);

/// Why there is none. Never holds the text.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    #[error("the passphrase has {0} bytes; {MIN_LEN} to {MAX_LEN} are needed, on one line")]
    Length(usize),
    #[error("the passphrase has a control character in it (a second line?)")]
    Control,
    #[error("the two are not the same; begin again")]
    Differ,
    #[error("no passphrase was given")]
    Given,
    #[error(
        "there is no terminal to ask for the passphrase ({0}); give it with --passphrase-file FILE"
    )]
    NoTerminal(io::Error),
    #[error("cannot use the passphrase file: {0}")]
    File(String),
}

impl Passphrase {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(***)")
    }
}

impl FromStr for Passphrase {
    type Err = PassphraseError;

    /// The end of the line is dropped.
    fn from_str(text: &str) -> Result<Self, PassphraseError> {
        let text = text.trim_end_matches(['\r', '\n']);
        match text.len() {
            len if !(MIN_LEN..=MAX_LEN).contains(&len) => Err(PassphraseError::Length(len)),
            _ if text.chars().any(char::is_control) => Err(PassphraseError::Control),
            _ => Ok(Self(Zeroizing::new(text.to_owned()))),
        }
    }
}

/// Reads it from a file, which others must not be able to read, or from a pipe (`/dev/fd/3`).
///
/// # Errors
/// [`PassphraseError`].
pub fn read_passphrase(path: &Path) -> Result<Passphrase, PassphraseError> {
    let bad = |why: String| PassphraseError::File(format!("{}: {why}", path.display()));
    let file = File::open(path).map_err(|error| bad(error.to_string()))?;
    refuse_readable(&file, path).map_err(bad)?;
    let mut text = Zeroizing::new(String::with_capacity(2 * MAX_LEN));
    let most = u64::try_from(MAX_LEN).unwrap_or(0) + 2;
    file.take(most).read_to_string(&mut text).map_err(|error| bad(error.to_string()))?;
    text.parse()
}

/// Asks at the terminal, without showing what is typed; twice if it is a new one.
///
/// # Errors
/// [`PassphraseError`].
pub fn ask(is_new: bool) -> Result<Passphrase, PassphraseError> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    let terminal = terminal.map_err(PassphraseError::NoTerminal)?;
    let first: Passphrase = question(&terminal, "passphrase of the file: ")?.parse()?;
    if is_new && *question(&terminal, "once more: ")? != *first.0 {
        return Err(PassphraseError::Differ);
    }
    Ok(first)
}

/// The terminal as it was, whatever happens.
struct Quiet<'a>(&'a File, Termios);

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // There is nothing else to try.
        let _ = tcsetattr(self.0, OptionalActions::Now, &self.1);
    }
}

fn question(terminal: &File, text: &str) -> Result<Zeroizing<String>, PassphraseError> {
    let failed = |error: io::Error| PassphraseError::NoTerminal(error);
    let before = tcgetattr(terminal).map_err(|error| failed(error.into()))?;
    let mut quiet = before.clone();
    // Without signals, so that nothing ends the program while nothing is shown: `^C` comes as a byte.
    quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    let restore = Quiet(terminal, before);
    tcsetattr(terminal, OptionalActions::Flush, &quiet).map_err(|error| failed(error.into()))?;
    let mut tty = terminal;
    tty.write_all(text.as_bytes()).map_err(failed)?;
    let typed = line(&mut tty);
    drop(restore);
    tty.write_all(b"\n").map_err(failed)?;
    typed
}

/// One line as it is typed.
fn line(from: &mut impl Read) -> Result<Zeroizing<String>, PassphraseError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * MAX_LEN));
    let mut byte = [0];
    loop {
        let read = from.read(&mut byte).map_err(PassphraseError::NoTerminal)?;
        match byte {
            _ if read == 0 => return Err(PassphraseError::Given),
            [b'\n' | b'\r'] => break,
            // ^C, ^D
            [3 | 4] => return Err(PassphraseError::Given),
            // Backspace takes the last character, ^U all.
            [8 | 127] => while bytes.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            [21] => bytes.clear(),
            [byte] if bytes.len() <= MAX_LEN => bytes.push(byte),
            _ => {}
        }
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| PassphraseError::Control)?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b2_a_line_is_taken_as_it_was_meant() {
        let typed = |bytes: &[u8]| line(&mut &*bytes).map(|line| line.to_string());
        assert_eq!(typed(b"correct horse\n").unwrap(), "correct horse");
        assert_eq!(typed("coru\x7fr\u{e4}\x7fect\r".as_bytes()).unwrap(), "correct");
        assert_eq!(typed(b"wrong\x15right\n").unwrap(), "right");
        for ended in [&b"abc"[..], b"abc\x03", b"abc\x04\n"] {
            assert!(matches!(typed(ended), Err(PassphraseError::Given)));
        }
    }

    #[test]
    fn b2_a_short_one_or_two_lines_are_none() {
        for wrong in ["", "eleven char", "correct horse\nbattery", &"x".repeat(257)] {
            let error = wrong.parse::<Passphrase>().unwrap_err();
            assert!(!error.to_string().contains("horse"));
        }
        let fine: Passphrase = " correct horse \r\n".parse().unwrap();
        assert_eq!(fine.expose(), " correct horse ");
        assert_eq!(format!("{fine:?}"), "Passphrase(***)");
    }
}
