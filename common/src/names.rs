//! Names from strangers: one function for disk ([`safe_component`]), one for terminals ([`show`]).
//! Nothing else may join or print a name that came from elsewhere.

mod collisions;
mod path_list;

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

pub use self::collisions::CollisionError;
pub(crate) use self::collisions::distinct_paths;
pub use self::path_list::{PathList, TooMuchText, components};
use crate::limits::MAX_NAME_LEN;

/// Widest name shown, in terminal columns.
pub const MAX_SHOWN_WIDTH: usize = 200;
/// Longest extension that a number goes in front of, in bytes; what is longer is part of the name.
const MAX_EXTENSION: usize = 16;

/// A path component that no file may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("empty name")]
    Empty,
    /// `.` or `..`.
    #[error("name is {0:?}, which would leave the folder")]
    Dots(String),
    /// Contains a slash or a NUL.
    #[error("name contains a slash or a NUL byte")]
    Separator,
    /// Longer than 255 bytes.
    #[error("name is {0} bytes long, the most is 255")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("name is not valid UTF-8")]
    NotUtf8,
}

/// Checks a component as it may stand in a manifest: refuses what could leave the folder or what no
/// file system can hold.
///
/// # Errors
/// [`NameError`].
pub fn check_component(raw: &str) -> Result<(), NameError> {
    if raw.is_empty() {
        Err(NameError::Empty)
    } else if raw == "." || raw == ".." {
        Err(NameError::Dots(raw.to_owned()))
    } else if raw.contains(['/', '\0']) {
        Err(NameError::Separator)
    } else if raw.len() > MAX_NAME_LEN {
        Err(NameError::TooLong(raw.len()))
    } else {
        Ok(())
    }
}

/// Turns a checked component into one that every system can hold and no shell or device trips over:
/// reserved and control characters become `_`, trailing dots and spaces go, Windows device names get
/// an underscore in front, on every system, so that a folder travels.
///
/// # Errors
/// [`NameError`] for what [`check_component`] refuses.
pub fn safe_component(raw: &str) -> Result<String, NameError> {
    check_component(raw)?;
    let mut name: String = raw
        .chars()
        .map(|c| {
            let reserved = matches!(c, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
            if reserved || c.is_control() || is_invisible(c) { '_' } else { c }
        })
        .collect();
    name.truncate(name.trim_end_matches(['.', ' ']).len());
    if name.is_empty() {
        name.push('_');
    }
    if is_device(&name) {
        name.insert(0, '_');
    }
    while name.len() > MAX_NAME_LEN {
        name.pop();
    }
    Ok(name)
}

/// A safe component as the name of a download itself, in a folder of the user's: what begins with a dot
/// would be hidden (or be a file that some program obeys), with a dash an option to whatever command it
/// is handed to by a pattern. Such a name gets an underscore in front, like other awkward ones (croc
/// CVE-2023-43619). Names inside a folder stay what they are.
pub fn top_component(safe: &str) -> String {
    let mut name = safe.to_owned();
    if name.starts_with(['.', '-']) {
        name.insert(0, '_');
    }
    while name.len() > MAX_NAME_LEN {
        name.pop();
    }
    name
}

/// Widest ending kept of a name that is too long, in columns: any usual extension, one of escapes is not.
const MAX_SHOWN_EXTENSION: usize = 24;

/// The extension of a name with its dot (`.gz`, and `.tar.gz` as one), if it looks like one; else nothing.
pub fn extension(name: &str) -> &str {
    let usual =
        |part: &str| part.len() > 1 && part.bytes().skip(1).all(|b| b.is_ascii_alphanumeric());
    let (stem, last) = split_extension(name);
    if !usual(last) {
        return "";
    }
    match stem.strip_suffix(".tar") {
        Some(before) if !before.is_empty() => name.get(before.len()..).unwrap_or(last),
        _ => last,
    }
}

/// The longest beginning of at most `max` bytes.
pub fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// A name fit for a terminal, a log or a window title: control, bidi, zero-width and tag characters
/// become visible escapes, and it is at most 200 columns wide. One that is longer loses its middle: its
/// extension says what it is.
pub fn show(raw: &str) -> String {
    let head = match visible(raw, MAX_SHOWN_WIDTH - 1) {
        Ok(whole) => return whole,
        Err(head) => head,
    };
    let tail = visible(extension(raw), MAX_SHOWN_EXTENSION).unwrap_or_default();
    if tail.is_empty() {
        return format!("{head}…");
    }
    let (Ok(head) | Err(head)) = visible(raw, MAX_SHOWN_WIDTH - 1 - tail.len());
    format!("{head}…{tail}")
}

/// The text with what does not show made visible; as an error what of it is at most `most` columns wide.
fn visible(raw: &str, most: usize) -> Result<String, String> {
    let mut out = String::with_capacity(raw.len().min(4 * MAX_SHOWN_WIDTH));
    let mut width = 0;
    for (i, c) in raw.chars().enumerate() {
        let before = out.len();
        let hidden = c.is_control() || is_invisible(c);
        let w = if hidden {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            out.len() - before
        } else {
            out.push(c);
            c.width().unwrap_or(0)
        };
        // Characters of no width are bounded too.
        if width + w > most || i >= 2 * MAX_SHOWN_WIDTH {
            out.truncate(before);
            return Err(out);
        }
        width += w;
    }
    Ok(out)
}

/// As [`show`], for bytes that may not be UTF-8.
pub fn show_bytes(raw: &[u8]) -> String {
    show(&String::from_utf8_lossy(raw))
}

/// `name (n)` with the number before the extension, within 255 bytes.
pub fn numbered(name: &str, n: u32) -> String {
    let suffix = format!(" ({n})");
    let (stem, extension) = split_extension(name);
    let mut stem = stem.to_owned();
    while stem.len() + suffix.len() + extension.len() > MAX_NAME_LEN && stem.pop().is_some() {}
    format!("{stem}{suffix}{extension}")
}

/// `name` up to the extension, and the extension with its dot, if there is a short one.
fn split_extension(name: &str) -> (&str, &str) {
    let dot = name.rfind('.').filter(|dot| *dot > 0 && name.len() - dot <= MAX_EXTENSION);
    name.split_at(dot.unwrap_or(name.len()))
}

/// Characters that change how others are shown, or do not show at all.
fn is_invisible(c: char) -> bool {
    matches!(u32::from(c),
        0x00AD | 0x061C | 0x180E | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F
        | 0xFE00..=0xFE0F | 0xFEFF | 0xFFF9..=0xFFFB | 0xE0000..=0xE0FFF)
}

/// Windows device names, with superscript digits (CVE-2023-45284) and with any extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$") {
        return true;
    }
    let mut chars = stem.chars();
    let prefix: String = chars.by_ref().take(3).collect();
    let digit = matches!(chars.next(), Some('0'..='9' | '¹' | '²' | '³'));
    matches!(prefix.as_str(), "COM" | "LPT") && digit && chars.next().is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(cut("añb", 2), "a");
        assert_eq!(cut("añb", 3), "añ");
        assert_eq!(cut("", 3), "");
    }

    #[test]
    fn dangerous_components_are_refused() {
        for bad in ["", ".", "..", "a/b", "/", "a\0b", &"x".repeat(256)] {
            assert!(safe_component(bad).is_err(), "{bad:?}");
        }
        assert!(safe_component(&"x".repeat(255)).is_ok());
    }

    #[test]
    fn awkward_components_are_mended() {
        for (raw, safe) in [
            ("plain name.txt", "plain name.txt"),
            (".bashrc", ".bashrc"),
            ("a\\b:c*d?e\"f<g>h|i", "a_b_c_d_e_f_g_h_i"),
            ("tab\there\u{1b}[31m", "tab_here_[31m"),
            ("trailing. . ", "trailing"),
            ("...", "_"),
            ("con", "_con"),
            ("NUL.tar.gz", "_NUL.tar.gz"),
            ("Com1.txt", "_Com1.txt"),
            ("LPT\u{b9}", "_LPT\u{b9}"),
            ("com10", "com10"),
            ("console", "console"),
            ("invoice\u{202e}fdp.exe", "invoice_fdp.exe"),
            ("zero\u{200b}width", "zero_width"),
            ("日本語.txt", "日本語.txt"),
        ] {
            assert_eq!(safe_component(raw).unwrap(), safe, "{raw:?}");
        }
    }

    #[test]
    fn s11_a_download_is_neither_hidden_nor_an_option() {
        for (safe, top) in [
            (".bashrc", "_.bashrc"),
            ("-rf", "_-rf"),
            ("--", "_--"),
            ("a.b-c", "a.b-c"),
            ("_.x", "_.x"),
        ] {
            assert_eq!(top_component(safe), top);
        }
        let long = format!(".{}", "é".repeat(127));
        assert_eq!(top_component(&long).len(), 254);
    }

    #[test]
    fn shown_names_have_no_hidden_characters() {
        assert_eq!(show("a\u{1b}]0;x\u{7}b"), "a\\u{1b}]0;x\\u{7}b");
        assert_eq!(show("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(show("naïve 日本"), "naïve 日本");
        let long = show(&"日".repeat(300));
        assert!(long.ends_with('…') && unicode_width::UnicodeWidthStr::width(long.as_str()) <= 200);
    }

    proptest! {
        #[test]
        fn safe_names_are_safe_and_stable(raw in "\\PC{0,40}|[\\x00-\\x7f]{0,10}") {
            if let Ok(name) = safe_component(&raw) {
                prop_assert!(!name.is_empty() && name.len() <= MAX_NAME_LEN);
                prop_assert!(name != "." && name != ".." && !name.contains(['/', '\0']));
                prop_assert_eq!(safe_component(&name).unwrap(), name);
            }
            prop_assert!(!show(&raw).chars().any(|c| c.is_control() || is_invisible(c)));
        }
    }
}
