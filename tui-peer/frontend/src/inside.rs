//! Folders that fit a filter by the files inside: what to ask the tracker for, and what of its answer fits. Pure.
//!
//! The tracker knows words and alternatives, and of paths only what their owners let it know; all else of the filter
//! language is asked of what comes back.

use common::limits::{MAX_QUERY, MAX_QUERY_ALTERNATIVES, MAX_QUERY_WORDS};
use engine::api::snapshot::{CatalogueRow, Found, FoundInside};

use crate::filter::{ALIAS, Filter, fold};

/// Shortest word that the tracker finds folders by, in bytes.
const MIN_WORD: usize = 3;

/// What to ask the tracker for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Words, and alternatives with `|` between them.
    pub query: String,
    /// Whether the filter asks for nothing else.
    exact: bool,
}

impl Question {
    /// For a filter; `None` if it asks for no word by which a file could be found.
    pub fn of(filter: &Filter) -> Option<Self> {
        let mut needed = Vec::new();
        let mut choices: Option<Vec<&str>> = None;
        let mut exact = filter.is_words();
        for words in filter.words() {
            match words.as_slice() {
                [word] => needed.push(*word),
                _ if choices.is_none() => choices = Some(words),
                _ => exact = false,
            }
        }
        // Those that leave out most.
        needed.sort_by_key(|word| std::cmp::Reverse(word.len()));
        let fits = |words: &[&str]| words.iter().any(|word| word.len() >= MIN_WORD);
        let alternatives: Option<Vec<Vec<&str>>> = choices.map(|choices| {
            choices.into_iter().map(|choice| [needed.as_slice(), &[choice]].concat()).collect()
        });
        let too_many = |all: &Vec<Vec<&str>>| {
            all.len() > MAX_QUERY_ALTERNATIVES
                || all.iter().map(Vec::len).sum::<usize>() > MAX_QUERY_WORDS
                || !all.iter().all(|words| fits(words))
        };
        let alternatives = match alternatives {
            Some(all) if !too_many(&all) => all,
            left_out => {
                exact &= left_out.is_none() && needed.len() <= MAX_QUERY_WORDS;
                needed.truncate(MAX_QUERY_WORDS);
                vec![needed]
            }
        };
        let of_one = |words: &Vec<&str>| words.join(" ");
        let query = alternatives.iter().map(of_one).collect::<Vec<_>>().join("|");
        let asks = alternatives.iter().all(|words| fits(words)) && query.len() <= MAX_QUERY;
        asks.then_some(Self { query, exact })
    }

    /// What of an answer fits. `fits` says whether a folder would, under this name and these [folded](fold) names.
    pub fn keep(
        &self,
        found: Found,
        mut fits: impl FnMut(&CatalogueRow, &str, &str) -> bool,
    ) -> Vec<FoundInside> {
        let kept = found.rows.into_iter().filter_map(|mut found| {
            let row = &found.row;
            found.paths.retain(|path| {
                let name = format!("{}/{path}", row.name);
                let folded = folded(&name, row.aliases());
                fits(row, &name, &folded)
            });
            if !self.exact {
                found.files = u32::try_from(found.paths.len()).unwrap_or(u32::MAX);
            }
            (!found.paths.is_empty()).then_some(found)
        });
        kept.collect()
    }
}

/// Names as a filter compares them.
pub fn folded(name: &str, aliases: &[Box<str>]) -> String {
    let mut folded = fold(name);
    for alias in aliases {
        folded.push(ALIAS);
        folded.push_str(&fold(alias));
    }
    folded
}

/// The last of the lines about a folder: how many files were found in it that are not named.
pub fn and_more(found: &FoundInside) -> Option<String> {
    let named = u32::try_from(found.paths.len()).unwrap_or(u32::MAX);
    let more = found.files.checked_sub(named).filter(|more| *more > 0)?;
    Some(format!("and {} in it", crate::format::plural(u64::from(more), "more file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(text: &str) -> Option<(String, bool)> {
        Question::of(&Filter::parse(text)).map(|question| (question.query, question.exact))
    }

    #[test]
    fn a5_the_tracker_is_asked_for_the_words_of_a_filter_that_a_file_can_have() {
        for (text, query, exact) in [
            ("Caf\u{e9}", "cafe", true),
            ("a jpg sunset", "sunset jpg a", true),
            ("sunset jpg|png", "sunset jpg|sunset png", true),
            ("sunset !old", "sunset", false),
            ("sunset size:>1G", "sunset", false),
            ("sunset jpg|png a|b", "sunset jpg|sunset png", false),
            (
                "one two three four five six seven eight nine",
                "three seven eight four five nine one two",
                false,
            ),
            ("sunset a|b|c|d|e|f", "sunset", false),
            ("\"Sun set\" jpg", "jpg", false),
        ] {
            assert_eq!(question(text), Some((query.to_owned(), exact)), "{text:?}");
        }
        let long = "x".repeat(MAX_QUERY + 1);
        for text in ["", "ab", "a|sunset", "!sunset", "size:>1G", "peer:ada", "~sunset", &long] {
            assert_eq!(question(text), None, "{text:?}");
        }
    }

    #[test]
    fn a5_what_comes_back_is_held_to_all_of_the_filter() {
        use common::content::Kind;
        use common::id::ContentId;
        let row = CatalogueRow {
            id: ContentId::from_bytes([1; 32]),
            name: "Holiday".into(),
            others: None,
            kind: Kind::Folder,
            size: 1,
            chunks: 1,
            sources: 1,
            complete: 1,
            first_seen: 0,
        };
        let found = |paths: &[&str], files| {
            let paths = paths.iter().map(|path| (*path).to_owned()).collect();
            Found { rows: vec![FoundInside { row: row.clone(), paths, files }], more: false }
        };
        let filter = Filter::parse("sunset !raw");
        let question = Question::of(&filter).unwrap();
        let keep = |answer: Found| {
            let kept = question
                .keep(answer, |_, _, folded| folded.contains("sunset") && !folded.contains("raw"));
            kept.into_iter().map(|found| (found.paths, found.files)).collect::<Vec<_>>()
        };
        let kept = keep(found(&["RAW/Sunset.dng", "Sunset.jpg"], 7));
        assert_eq!(kept, [(vec!["Sunset.jpg".to_owned()], 1)]);
        assert_eq!(keep(found(&["RAW/Sunset.dng"], 7)), []);
        let plain = Question::of(&Filter::parse("sunset")).unwrap();
        let kept = plain.keep(found(&["Sunset.jpg"], 7), |_, name, _| name == "Holiday/Sunset.jpg");
        assert_eq!(and_more(&kept[0]).unwrap(), "and 6 more files in it");
        assert_eq!(and_more(&FoundInside { files: 1, ..kept[0].clone() }), None);
    }
}
