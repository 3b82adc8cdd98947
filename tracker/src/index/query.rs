//! Search text: words that must all occur in one name, alternatives separated by `|`.

use unicode_normalization::UnicodeNormalization;

/// A name or query as it is compared: composed and in lower case.
pub(super) fn fold(text: &str) -> String {
    text.nfc().collect::<String>().to_lowercase()
}

/// A parsed search text. The wire bounds its length, so the number of words is bounded too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    /// Each alternative is a list of folded words; no alternative at all matches everything.
    alternatives: Vec<Vec<String>>,
}

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let alternatives = fold(text)
            .split('|')
            .map(|part| part.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .filter(|words| !words.is_empty())
            .collect();
        Self { alternatives }
    }

    /// Whether every name matches.
    pub(super) fn is_all(&self) -> bool {
        self.alternatives.is_empty()
    }

    /// Whether one of the folded `names` contains every word of one alternative.
    pub(super) fn matches<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> bool {
        self.alternatives.is_empty()
            || names.any(|name| {
                self.alternatives
                    .iter()
                    .any(|words| words.iter().all(|word| name.contains(&**word)))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(query: &str, names: &[&str]) -> bool {
        let folded: Vec<_> = names.iter().map(|name| fold(name)).collect();
        Query::parse(query).matches(folded.iter().map(String::as_str))
    }

    #[test]
    fn words_are_and_bars_are_or() {
        let names = ["Ubuntu 24.04 Desktop.iso"];
        for query in
            ["", "  ", "|", "ubuntu", "DESKTOP ubu", "fedora|24.04", "fedora | iso ubuntu |"]
        {
            assert!(matches(query, &names), "{query:?}");
        }
        for query in ["fedora", "ubuntu server", "fedora|debian", "fedora | ubuntu server"] {
            assert!(!matches(query, &names), "{query:?}");
        }
    }

    #[test]
    fn all_words_must_be_in_the_same_name() {
        assert!(matches("red car", &["blue bike", "a red car"]));
        assert!(!matches("red bike", &["blue bike", "a red car"]));
    }

    #[test]
    fn composed_and_decomposed_accents_are_the_same() {
        assert!(matches("r\u{e9}sum\u{c9}", &["Re\u{301}sume\u{301}.pdf"]));
    }
}
