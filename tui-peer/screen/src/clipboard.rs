//! Copying: with the desktop's own helper where there is one, else through the terminal (OSC 52), which
//! also works over ssh.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use data_encoding::BASE64;

use super::theme::Env;

/// Most bytes of text through the terminal: 72 kB once encoded; terminals cut longer sequences (some at
/// 74 kB, xterm at 100 kB).
const MAX_TEXT: usize = 54_000;
/// How long a helper may take to take the text.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a helper is asked whether it is done; most are at once.
const POLL: Duration = Duration::from_millis(5);

/// A helper of the desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Helper {
    /// Program, and what the user is told.
    pub(crate) program: &'static str,
    args: &'static [&'static str],
}

const WAYLAND: [Helper; 1] = [Helper { program: "wl-copy", args: &[] }];
const X11: [Helper; 2] = [
    Helper { program: "xclip", args: &["-selection", "clipboard", "-in"] },
    Helper { program: "xsel", args: &["--clipboard", "--input"] },
];
const MAC: [Helper; 1] = [Helper { program: "pbcopy", args: &[] }];

/// The helper for this session: there must be a display that is ours, not one at the other end of ssh.
pub(crate) fn helper(env: Env<'_>, installed: &dyn Fn(&str) -> bool) -> Option<Helper> {
    let has = |name: &str| env(name).is_some_and(|value| !value.is_empty());
    if has("SSH_CONNECTION") || has("SSH_TTY") {
        return None;
    }
    let wayland = WAYLAND.iter().filter(|_| has("WAYLAND_DISPLAY"));
    let x11 = X11.iter().filter(|_| has("DISPLAY"));
    let mac = MAC.iter().filter(|_| cfg!(target_os = "macos"));
    wayland.chain(x11).chain(mac).find(|helper| installed(helper.program)).copied()
}

/// Whether a program is in the search path.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.is_absolute() && is_program(&dir.join(program)))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Gives the text to a helper and waits for it; blocks.
///
/// # Errors
/// Why it did not take it.
pub(crate) fn give(helper: Helper, text: &str) -> Result<(), String> {
    let wrong = |why: String| format!("{}: {why}", helper.program);
    let mut child = Command::new(helper.program)
        .args(helper.args)
        .stdin(Stdio::piped())
        // Some go on in the background: they must not hold or write to our terminal.
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| wrong(error.to_string()))?;
    let until = Instant::now() + PATIENCE;
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(text.as_bytes()));
    if let Some(Err(error)) = written {
        // It may have ended by itself; either way it is not left behind.
        let _ = child.kill();
        let _ = child.wait();
        return Err(wrong(error.to_string()));
    }
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(wrong(status.to_string())),
            Ok(None) if Instant::now() < until => std::thread::sleep(POLL),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(wrong("took too long".to_owned()));
            }
            Err(error) => return Err(wrong(error.to_string())),
        }
    }
}

/// The bytes that put `text` into the terminal's clipboard, wrapped for tmux and screen.
///
/// # Errors
/// If the text is too long.
pub(crate) fn osc52(text: &str, env: Env<'_>) -> Result<Vec<u8>, String> {
    if text.len() > MAX_TEXT {
        return Err(format!(
            "{} bytes are more than terminals take ({MAX_TEXT}); select less",
            text.len()
        ));
    }
    let sequence = format!("\x1b]52;c;{}\x07", BASE64.encode(text.as_bytes()));
    let wrapped = if env("TMUX").is_some() {
        format!("\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b"))
    } else if env("STY").is_some() {
        // screen takes at most 768 bytes in one string.
        let parts: Vec<String> = sequence
            .as_bytes()
            .chunks(500)
            .map(|part| format!("\x1bP{}\x1b\\", String::from_utf8_lossy(part)))
            .collect();
        parts.concat()
    } else {
        sequence
    };
    Ok(wrapped.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_encoded_so_that_nothing_in_it_acts() {
        let plain = osc52("a\u{1b}]0;x\u{7}", &|_| None).unwrap();
        assert_eq!(plain, b"\x1b]52;c;YRtdMDt4Bw==\x07");
        let tmux = osc52("a", &|name| (name == "TMUX").then(String::new)).unwrap();
        assert!(tmux.starts_with(b"\x1bPtmux;\x1b\x1b]52"));
        assert!(osc52(&"x".repeat(MAX_TEXT + 1), &|_| None).is_err());
    }

    fn env(
        vars: &'static [(&'static str, &'static str)],
    ) -> impl Fn(&str) -> Option<String> + 'static {
        move |name| vars.iter().find(|(k, _)| *k == name).map(|(_, v)| (*v).to_owned())
    }

    #[test]
    fn the_helper_follows_the_display() {
        let name = |vars, installed: &dyn Fn(&str) -> bool| {
            helper(&env(vars), installed).map(|helper| helper.program)
        };
        let all = |_: &str| true;
        assert_eq!(
            name(&[("WAYLAND_DISPLAY", "wayland-0"), ("DISPLAY", ":0")], &all),
            Some("wl-copy")
        );
        assert_eq!(name(&[("DISPLAY", ":0")], &all), Some("xclip"));
        assert_eq!(name(&[("DISPLAY", ":0")], &|p| p == "xsel"), Some("xsel"));
        let no_wl = |p: &str| p == "xclip";
        assert_eq!(name(&[("WAYLAND_DISPLAY", "w"), ("DISPLAY", ":0")], &no_wl), Some("xclip"));
        if !cfg!(target_os = "macos") {
            assert_eq!(name(&[("DISPLAY", "")], &all), None);
            assert_eq!(name(&[], &all), None);
        }
        assert_eq!(name(&[("DISPLAY", "localhost:10"), ("SSH_CONNECTION", "x")], &all), None);
        assert_eq!(name(&[("DISPLAY", ":0")], &|_| false), None);
    }

    #[test]
    fn a_helper_that_fails_says_so() {
        assert_eq!(give(Helper { program: "true", args: &[] }, ""), Ok(()));
        assert!(give(Helper { program: "false", args: &[] }, "").unwrap_err().contains("false"));
        assert!(give(Helper { program: "/no/such", args: &[] }, "x").is_err());
    }
}
