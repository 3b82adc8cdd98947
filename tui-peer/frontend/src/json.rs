//! Names and paths in JSON: as they are, and as they may be shown.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde_json::Value;

/// Adds a name to an object: `name` as its owner gave it, `shown` as it is safe to print.
pub fn with_name(mut object: Value, raw: &str, shown: &str) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert("name".to_owned(), raw.into());
        fields.insert("shown".to_owned(), shown.into());
    }
    object
}

/// Adds a path to an object as its field `key`. Of one that is not UTF-8 the field `…_escaped` is true beside
/// it: `\xNN` is a byte then, and `\\` a backslash, so that nothing is lost (`printf %b` turns it back).
pub fn with_path(mut object: Value, key: &str, path: &Path) -> Value {
    if let Some(fields) = object.as_object_mut() {
        match path.to_str() {
            Some(text) => {
                fields.insert(key.to_owned(), text.into());
            }
            None => {
                fields.insert(key.to_owned(), escaped(path.as_os_str()).into());
                fields.insert(format!("{key}_escaped"), true.into());
            }
        }
    }
    object
}

fn escaped(text: &OsStr) -> String {
    let mut out = String::new();
    for chunk in text.as_bytes().utf8_chunks() {
        out.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// As a script would.
    fn unescaped(text: &str) -> Vec<u8> {
        let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
        while let Some((first, after)) = rest.split_first() {
            (bytes, rest) = match (first, after) {
                (b'\\', [b'\\', after @ ..]) => ([bytes, vec![b'\\']].concat(), after),
                (b'\\', [b'x', high, low, after @ ..]) => {
                    let digits = String::from_utf8(vec![*high, *low]).unwrap();
                    ([bytes, vec![u8::from_str_radix(&digits, 16).unwrap()]].concat(), after)
                }
                (byte, after) => ([bytes, vec![*byte]].concat(), after),
            };
        }
        bytes
    }

    #[test]
    fn h9_text_is_left_alone_and_what_is_none_is_marked() {
        let plain = with_path(json!({}), "path", Path::new("/d/a\\xff\u{1b}"));
        assert_eq!(plain, json!({"path": "/d/a\\xff\u{1b}"}));
        let odd = OsString::from_vec(b"/d/\\a\xff".to_vec());
        let odd = with_path(json!({}), "path", Path::new(&odd));
        assert_eq!(odd, json!({"path": "/d/\\\\a\\xff", "path_escaped": true}));
        let named = with_name(json!({"id": 1}), "a\u{7}", "a\\u{7}");
        assert_eq!(named, json!({"id": 1, "name": "a\u{7}", "shown": "a\\u{7}"}));
    }

    proptest! {
        #[test]
        fn h9_no_byte_of_a_path_is_lost(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let path = OsString::from_vec(bytes.clone());
            let object = with_path(json!({}), "path", Path::new(&path));
            let text = object["path"].as_str().unwrap();
            let back = match object.get("path_escaped") {
                Some(_) => unescaped(text),
                None => text.as_bytes().to_vec(),
            };
            prop_assert_eq!(back, bytes);
        }
    }
}
