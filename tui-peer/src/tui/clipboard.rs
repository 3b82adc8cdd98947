//! Copying through the terminal (OSC 52): works locally and over ssh, without helper programs.

use data_encoding::BASE64;

/// Most bytes of text: terminals cut longer sequences (xterm at 100 kB, others at 74 kB).
const MAX_TEXT: usize = 54_000;

/// The bytes that put `text` into the terminal's clipboard, wrapped for tmux and screen.
///
/// # Errors
/// If the text is too long.
pub(crate) fn osc52(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Vec<u8>, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("{} bytes are more than terminals take ({MAX_TEXT})", text.len()));
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
}
