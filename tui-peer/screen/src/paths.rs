//! Names of files of this machine, and how they are typed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A name in a folder of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathEntry {
    /// As it is typed: bytes that are no text, and control characters, as `\xHH` (see [`typed`]).
    pub name: String,
    /// Folder or file.
    pub is_dir: bool,
    /// Bytes, of a file.
    pub size: u64,
    /// Names in it, of a folder, if they were counted.
    pub items: Option<u32>,
    /// Whether we may read it.
    pub readable: bool,
}

/// How a name of the disk is typed: as it is, except bytes that are no text, control characters and
/// what would be mistaken for them, which become `\xHH`.
pub fn typed(name: &OsStr) -> String {
    let mut out = String::new();
    for part in name.as_bytes().utf8_chunks() {
        let text = part.valid();
        for (at, c) in text.char_indices() {
            let mistaken = c == '\\' && code(&text.as_bytes()[at..]).is_some();
            if c.is_control() || mistaken {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    out.push_str(&format!("\\x{byte:02X}"));
                }
            } else {
                out.push(c);
            }
        }
        for byte in part.invalid() {
            out.push_str(&format!("\\x{byte:02X}"));
        }
    }
    out
}

/// The name that was typed: the other direction of [`typed`].
pub fn untyped(text: &str) -> OsString {
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let [first, tail @ ..] = rest {
        match code(rest) {
            Some(byte) => {
                out.push(byte);
                rest = rest.get(4..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(out)
}

/// The byte that `\xHH` at the beginning stands for.
fn code(bytes: &[u8]) -> Option<u8> {
    let [b'\\', b'x', high, low, ..] = bytes else { return None };
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(*high)? * 16 + digit(*low)?)
}

/// What sharing a path would mean.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measure {
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Chunks they make.
    pub chunks: u64,
    /// What cannot be read, or is neither file nor folder.
    pub unreadable: u64,
    /// Whether there was too much to look at all of it.
    pub partly: bool,
    /// Bytes hashed per second, measured on the beginning of it; 0 if there was nothing to measure.
    pub rate: f64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_name_can_be_typed(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let name = OsString::from_vec(bytes);
            let text = typed(&name);
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert_eq!(untyped(&text), name);
        }

        #[test]
        fn names_with_backslashes_can_be_typed(name in r"[\\xX0-9a-f ]{0,12}") {
            prop_assert_eq!(untyped(&typed(OsStr::new(&name))), OsString::from(name));
        }
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        assert_eq!(typed(OsStr::new("日本 a\\b.txt")), "日本 a\\b.txt");
        assert_eq!(typed(OsStr::from_bytes(b"caf\xe9\n")), "caf\\xE9\\x0A");
    }
}
