//! Texts as they are compared in searches: by the tracker, and by whoever filters what the tracker said.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Lower case without accents, so that `cafe` finds `Café`, however it is composed.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_composition_do_not_count() {
        for (text, folded) in [
            ("Caf\u{e9}", "cafe"),
            ("CAFE\u{301}", "cafe"),
            ("\u{130}", "i"),
            ("Stra\u{df}e", "stra\u{df}e"),
            ("\u{416}", "\u{436}"),
            ("\u{65e5}\u{672c}", "\u{65e5}\u{672c}"),
        ] {
            assert_eq!(fold(text), folded, "{text:?}");
        }
    }
}
