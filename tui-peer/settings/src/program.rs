//! A program of the user's own, as text and as it stands in the file.

use toml_edit::{Array, Value};

/// Arguments of a program at most; whoever needs more writes a script.
const MAX_ARGS: usize = 64;

/// A program and its arguments from their text: an array as in TOML, or a program without arguments. Empty for
/// `none`.
///
/// # Errors
/// What is wrong and what to write instead.
pub(super) fn parse_program(text: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("{text:?} — use \"program\", or [\"program\", \"argument\"], or none");
    let words = if text == "none" {
        Vec::new()
    } else if text.starts_with('[') {
        let value: Value = text.parse().map_err(|_| wrong())?;
        words(value.as_array().ok_or_else(wrong)?).ok_or_else(wrong)?
    } else {
        vec![text.to_owned()]
    };
    match words.first() {
        Some(program) if program.trim().is_empty() => Err(wrong()),
        _ if words.len() > MAX_ARGS => Err(format!("at most {MAX_ARGS} words")),
        _ if words.iter().any(|word| word.contains('\0')) => Err(wrong()),
        _ => Ok(words),
    }
}

/// The strings of an array, if it holds nothing else.
pub(super) fn words(list: &Array) -> Option<Vec<String>> {
    list.iter().map(|word| word.as_str().map(str::to_owned)).collect()
}

/// The text of a program and its arguments; [`parse_program`] is the way back.
pub(super) fn program_text(words: &[String]) -> String {
    match words {
        [] => "none".to_owned(),
        [only] if !only.starts_with('[') && only != "none" && only.trim() == only => only.clone(),
        words => program_value(words).to_string(),
    }
}

/// The same as it stands in the file.
pub(super) fn program_value(words: &[String]) -> Value {
    Value::Array(words.iter().map(String::as_str).collect::<Array>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c5_programs_are_written_as_arrays_or_words() {
        let words = |text: &str| parse_program(text).unwrap();
        assert_eq!(words("notify-send"), ["notify-send"]);
        assert_eq!(words("/a b/c"), ["/a b/c"], "no shell, no words cut at blanks");
        assert_eq!(words("[\"a\", 'b \"c\"']"), ["a", "b \"c\""]);
        assert!(words("none").is_empty() && words("[]").is_empty());
        for wrong in ["[1]", "[\"a\"", "[\"\"]", "[\" \", \"x\"]"] {
            assert!(parse_program(wrong).unwrap_err().contains("argument"), "{wrong}");
        }
        let many = program_text(&vec!["x".to_owned(); MAX_ARGS + 1]);
        assert!(parse_program(&many).unwrap_err().contains("at most"));
        for list in [vec![], vec!["a"], vec!["[x"], vec!["none"], vec!["a", "\" \\ \n"]] {
            let list: Vec<String> = list.into_iter().map(str::to_owned).collect();
            assert_eq!(words(&program_text(&list)), list);
        }
    }
}
