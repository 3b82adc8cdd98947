//! The filter language: words AND, `!` not, `"exact"`, `a|b` or, `~fuzzy`, and fields such as
//! `size:>1G`. Pure. A field that does not exist is reported and matches everything: a typing error
//! never empties the list silently.

use std::ops::{Bound, Range, RangeBounds as _};
use std::sync::Arc;

use common::content::Kind;
pub use common::fold::fold;
use common::id::ContentId;
use nucleo_matcher::{Config, Matcher, Utf32Str};

/// Most terms looked at: nobody types more, and a paste must not slow every row down.
const MAX_TERMS: usize = 32;

/// Stands between the names of one row; cannot be typed into a filter.
pub const ALIAS: char = '\u{1}';

/// What a row offers to a filter.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// As shown.
    pub name: &'a str,
    /// Its other names.
    pub aliases: &'a [Box<str>],
    /// [`fold`] of the names, [`ALIAS`] between them.
    pub folded: &'a str,
    /// Bytes.
    pub size: u64,
    /// Sources.
    pub sources: u32,
    /// Copies of the rarest chunk.
    pub availability: f32,
    /// File or folder.
    pub kind: Kind,
    /// [`engine::api::snapshot::TransferState::word`], `none` if it is not ours.
    pub state: &'a str,
    /// Its id.
    pub id: Option<ContentId>,
    /// Seconds since it appeared.
    pub age: u64,
    /// Peer and address, for rows of peers.
    pub peer: &'a str,
    /// Who shares it, for files and as far as the filter asks for that ([`crate::members::Owners`]). Where it is not
    /// known, `peer:` and `!peer:` match neither.
    pub owners: Option<&'a [Arc<Owner>]>,
}

/// A member of the network, as a filter means it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its name, safe to show: its nick, or how its key begins.
    pub name: String,
    /// The names in the filter that mean it, folded.
    pub words: Vec<String>,
}

/// A name by which a filter asks for peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Folded.
    pub folded: &'a str,
    /// As it was typed.
    pub typed: &'a str,
    /// Its peers are not wanted.
    pub not: bool,
}

/// A parsed filter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    terms: Vec<Term>,
    /// Parts of the text that mean nothing, with a hint for each.
    pub problems: Vec<(Range<usize>, String)>,
}

/// A word of a filter that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word}: {hint}")]
pub struct Misread {
    /// The word.
    pub word: String,
    /// What could stand there.
    pub hint: String,
}

#[derive(Debug, Clone, PartialEq)]
struct Term {
    not: bool,
    any: Vec<Test>,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Has(String),
    Exact(String),
    Fuzzy(String),
    Size(Span),
    Sources(Span),
    Availability(Span),
    Age(Span),
    Type(String),
    State(String),
    Hash(String),
    /// Folded, and as it was typed.
    Peer(String, String),
}

/// From, to.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    low: Bound<f64>,
    high: Bound<f64>,
}

/// The fields there are.
pub const FIELDS: [&str; 8] = ["size", "src", "avail", "type", "peer", "state", "hash", "age"];

impl Filter {
    /// Reads what the user typed; never fails.
    pub fn parse(text: &str) -> Self {
        Self::read(text).0
    }

    /// The same, and parts that say nothing yet, as `size:`.
    fn read(text: &str) -> (Self, Vec<Range<usize>>) {
        let (mut filter, mut unfinished) = (Self::default(), Vec::new());
        for range in words(text).into_iter().take(MAX_TERMS) {
            let Some(word) = text.get(range.clone()) else { continue };
            let (not, body) = word.strip_prefix('!').map_or((false, word), |rest| (true, rest));
            if body.is_empty() {
                continue;
            }
            let mut any = Vec::new();
            let mut hint = None;
            for part in alternatives(body) {
                match test(part) {
                    Ok(None) if !part.is_empty() => unfinished.push(range.clone()),
                    Ok(test) => any.extend(test),
                    Err(problem) => hint = Some(problem),
                }
            }
            if let Some(hint) = hint {
                filter.problems.push((range, hint));
            } else if !any.is_empty() {
                filter.terms.push(Term { not, any });
            }
        }
        (filter, unfinished)
    }

    /// Reads what was typed once and for all: where nobody watches the list while typing, a word that means
    /// nothing must not be passed over.
    ///
    /// # Errors
    /// [`Misread`]: the first such word.
    pub fn checked(text: &str) -> Result<Self, Misread> {
        let (filter, unfinished) = Self::read(text);
        let all = words(text);
        let misread = |range: &Range<usize>, hint: &str| Misread {
            word: text.get(range.clone()).unwrap_or_default().to_owned(),
            hint: hint.to_owned(),
        };
        if let Some((range, hint)) = filter.problems.first() {
            return Err(misread(range, hint));
        }
        if let Some(range) = unfinished.first() {
            return Err(misread(range, "something has to follow; quote it to search for it"));
        }
        match all.get(MAX_TERMS) {
            Some(range) => Err(misread(range, &format!("more than {MAX_TERMS} words"))),
            None => Ok(filter),
        }
    }

    /// Whether it asks for peers, or for what some of them have.
    pub fn needs_peers(&self) -> bool {
        self.terms.iter().any(Term::asks_for_peers)
    }

    /// The names, or parts of them, by which it asks for peers.
    pub fn peers(&self) -> impl Iterator<Item = Asked<'_>> {
        self.terms.iter().flat_map(|term| {
            term.any.iter().filter_map(|test| match test {
                Test::Peer(folded, typed) => Some(Asked { folded, typed, not: term.not }),
                _ => None,
            })
        })
    }

    /// Whether everything matches.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether a row matches.
    pub fn matches(&self, row: &Subject<'_>) -> bool {
        self.terms.iter().all(|term| {
            let is_unknown = row.owners.is_none() && term.not && term.asks_for_peers();
            !is_unknown && term.any.iter().any(|test| test.matches(row)) != term.not
        })
    }

    /// Whether its result can only be a part of what `old` gave: every old term is still there, or has
    /// become a longer word. Only for old filters about names, which do not change meanwhile.
    pub fn narrows(&self, old: &Self) -> bool {
        let kept = |old: &Term| {
            self.terms.iter().any(|new| match (old.any.as_slice(), new.any.as_slice()) {
                ([Test::Has(old_word)], [Test::Has(word)]) if !old.not && !new.not => {
                    word.contains(old_word.as_str())
                }
                _ => new == old,
            })
        };
        let about_names = |test: &Test| matches!(test, Test::Has(_) | Test::Exact(_));
        old.terms.iter().all(|term| term.any.iter().all(about_names) && kept(term))
    }

    /// The longest word that every matching name must contain, if there is one.
    pub fn needed_word(&self) -> Option<&str> {
        let words = self.terms.iter().filter(|term| !term.not).filter_map(|term| {
            match term.any.as_slice() {
                [Test::Has(word)] => Some(word.as_str()),
                _ => None,
            }
        });
        words.max_by_key(|word| word.len())
    }

    /// Words that a name must have: of each entry at least one.
    pub fn words(&self) -> impl Iterator<Item = Vec<&str>> {
        self.terms.iter().filter_map(Term::words)
    }

    /// Whether it asks for such words alone.
    pub fn is_words(&self) -> bool {
        self.terms.iter().all(|term| term.words().is_some())
    }

    /// The longest part of a nick or of a key that every matching peer has, if one has to be there.
    pub fn needed_peer(&self) -> Option<&str> {
        let words = self.terms.iter().filter(|term| !term.not).filter_map(|term| {
            match term.any.as_slice() {
                [Test::Has(word) | Test::Peer(word, _)] => Some(word.as_str()),
                _ => None,
            }
        });
        words.max_by_key(|word| word.len())
    }

    /// Whether it asks for what only our own transfers have.
    pub fn needs_own(&self) -> bool {
        let own = |test: &Test| matches!(test, Test::State(_) | Test::Availability(_));
        self.terms.iter().any(|term| term.any.iter().any(own))
    }

    /// Whether matches are better and worse ones.
    pub fn ranks(&self) -> bool {
        self.fuzzy().next().is_some()
    }

    fn fuzzy(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().filter(|term| !term.not).flat_map(|term| &term.any).filter_map(|test| {
            match test {
                Test::Fuzzy(word) => Some(word.as_str()),
                _ => None,
            }
        })
    }

    /// A measure of how well each of some folded names matches, higher is better.
    pub fn scores<'a>(&self, names: impl Iterator<Item = &'a str>) -> Vec<u32> {
        let mut matcher = Matcher::new(Config::DEFAULT);
        let (mut needle, mut hay) = (Vec::new(), Vec::new());
        let mut scores = Vec::new();
        for name in names {
            let mut score = 0;
            for word in self.fuzzy() {
                let word = Utf32Str::new(word, &mut needle);
                let name = Utf32Str::new(name, &mut hay);
                score += u32::from(matcher.fuzzy_match(name, word).unwrap_or(0));
            }
            scores.push(score);
        }
        scores
    }

    /// Parts of a name that words of the filter matched, as byte ranges. Only for names that folding
    /// does not change in length (all ASCII ones).
    pub fn highlights(&self, name: &str) -> Vec<Range<usize>> {
        if !name.is_ascii() {
            return Vec::new();
        }
        let folded = name.to_ascii_lowercase();
        let mut out = Vec::new();
        for test in self.terms.iter().filter(|term| !term.not).flat_map(|term| &term.any) {
            let found = match test {
                Test::Has(word) => folded.find(word.as_str()).map(|at| at..at + word.len()),
                Test::Exact(word) => name.find(word.as_str()).map(|at| at..at + word.len()),
                _ => None,
            };
            out.extend(found);
        }
        out.sort_by_key(|range: &Range<usize>| range.start);
        out
    }
}

impl Term {
    /// If it is one of some words that is wanted: these.
    fn words(&self) -> Option<Vec<&str>> {
        fn word(test: &Test) -> Option<&str> {
            match test {
                Test::Has(word) => Some(word.as_str()),
                _ => None,
            }
        }
        if self.not {
            return None;
        }
        self.any.iter().map(word).collect()
    }

    fn asks_for_peers(&self) -> bool {
        self.any.iter().any(|test| matches!(test, Test::Peer(..)))
    }
}

impl Test {
    fn matches(&self, row: &Subject<'_>) -> bool {
        match self {
            Self::Has(word) => row.folded.contains(word.as_str()),
            Self::Exact(word) => {
                row.name.contains(word.as_str())
                    || row.aliases.iter().any(|alias| alias.contains(word.as_str()))
            }
            Self::Fuzzy(word) => subsequence(word, row.folded),
            Self::Size(span) => span.holds(row.size as f64),
            Self::Sources(span) => span.holds(f64::from(row.sources)),
            Self::Availability(span) => span.holds(f64::from(row.availability)),
            Self::Age(span) => span.holds(row.age as f64),
            Self::Type(wanted) => match wanted.as_str() {
                "folder" | "dir" => row.kind == Kind::Folder,
                "file" => row.kind == Kind::File,
                extension => row.folded.split(ALIAS).any(|name| {
                    let last = name.rsplit_once('.').map(|(_, last)| last);
                    row.kind == Kind::File && last == Some(extension)
                }),
            },
            Self::State(wanted) => match wanted.as_str() {
                "mine" => row.state != "none",
                wanted => row.state.replace(' ', "-").starts_with(wanted),
            },
            Self::Hash(prefix) => {
                row.id.is_some_and(|id| id.to_string().starts_with(prefix.as_str()))
            }
            Self::Peer(wanted, _) => {
                row.peer.contains(wanted.as_str())
                    || row
                        .owners
                        .unwrap_or_default()
                        .iter()
                        .any(|owner| owner.words.contains(wanted))
            }
        }
    }
}

impl Span {
    fn holds(self, value: f64) -> bool {
        (self.low, self.high).contains(&value)
    }
}

/// Words, separated by spaces outside quotes.
fn words(text: &str) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut start = None;
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        if c == '"' {
            quoted = !quoted;
        }
        if c.is_whitespace() && !quoted {
            if let Some(from) = start.take() {
                out.push(from..at);
            }
        } else if start.is_none() {
            start = Some(at);
        }
    }
    out.extend(start.map(|from| from..text.len()));
    out
}

fn alternatives(body: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut from = 0;
    let mut quoted = false;
    for (at, c) in body.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '|' if !quoted => {
                out.extend(body.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
    }
    out.extend(body.get(from..));
    out
}

/// One test; `None` while it is still being typed (`size:`), an error if it can mean nothing.
fn test(part: &str) -> Result<Option<Test>, String> {
    if let Some(exact) = part.strip_prefix('"') {
        let exact = exact.strip_suffix('"').unwrap_or(exact);
        return Ok((!exact.is_empty()).then(|| Test::Exact(exact.to_owned())));
    }
    if let Some(fuzzy) = part.strip_prefix('~') {
        return Ok((!fuzzy.is_empty()).then(|| Test::Fuzzy(fold(fuzzy))));
    }
    let Some((field, value)) = part.split_once(':') else {
        return Ok((!part.is_empty()).then(|| Test::Has(fold(part))));
    };
    let folded = fold(value);
    let text = |make: fn(String) -> Test| Ok((!folded.is_empty()).then(|| make(folded.clone())));
    match field {
        "type" => text(Test::Type),
        "state" => text(Test::State),
        "hash" | "id" => text(Test::Hash),
        "peer" => {
            let typed = value.trim_matches('"');
            Ok((!typed.is_empty()).then(|| Test::Peer(fold(typed), typed.to_owned())))
        }
        "size" => span(value, bytes, Test::Size, "size: takes bytes: >1G, <500M, 1M..2G"),
        "src" => span(value, plain, Test::Sources, "src: takes a number: >5, 0, 2..4"),
        "avail" => span(value, plain, Test::Availability, "avail: takes a number: <1, >=2"),
        "age" => span(value, seconds, Test::Age, "age: takes a time: <2d, >1h"),
        _ => Err(format!("no field {field:?}: {}; quote it to search for it", FIELDS.join(": "))),
    }
}

fn span(
    value: &str,
    number: fn(&str) -> Option<f64>,
    make: fn(Span) -> Test,
    hint: &str,
) -> Result<Option<Test>, String> {
    if matches!(value, "" | "<" | ">" | "<=" | ">=" | "=") {
        return Ok(None);
    }
    let ends =
        |low: Option<Bound<f64>>, high: Option<Bound<f64>>| Some(Span { low: low?, high: high? });
    let (with, without) = (Bound::Included, Bound::Excluded);
    let least = Some(with(f64::NEG_INFINITY));
    let most = Some(with(f64::INFINITY));
    let span = if let Some(n) = value.strip_prefix("<=") {
        ends(least, number(n).map(with))
    } else if let Some(n) = value.strip_prefix(">=") {
        ends(number(n).map(with), most)
    } else if let Some(n) = value.strip_prefix('<') {
        ends(least, number(n).map(without))
    } else if let Some(n) = value.strip_prefix('>') {
        ends(number(n).map(without), most)
    } else if let Some((low, high)) = value.split_once("..") {
        let low = if low.is_empty() { least } else { number(low).map(with) };
        let high = if high.is_empty() { most } else { number(high).map(with) };
        ends(low, high)
    } else {
        let n = number(value.strip_prefix('=').unwrap_or(value)).map(with);
        ends(n, n)
    };
    span.map(|span| Some(make(span))).ok_or_else(|| hint.to_owned())
}

fn plain(text: &str) -> Option<f64> {
    text.parse().ok().filter(|n: &f64| n.is_finite())
}

fn bytes(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    let stem = lower.strip_suffix("ib").or_else(|| lower.strip_suffix('b')).unwrap_or(&lower);
    scaled(
        stem,
        &[('k', 1024.0), ('m', 1_048_576.0), ('g', 1_073_741_824.0), ('t', 1_099_511_627_776.0)],
    )
}

fn seconds(text: &str) -> Option<f64> {
    scaled(text, &[('s', 1.0), ('m', 60.0), ('h', 3600.0), ('d', 86_400.0), ('w', 604_800.0)])
}

fn scaled(text: &str, units: &[(char, f64)]) -> Option<f64> {
    for (unit, factor) in units {
        if let Some(number) = text.strip_suffix(*unit) {
            return plain(number).map(|n| n * factor);
        }
    }
    plain(text)
}

/// Whether the letters of `needle` occur in `hay` in this order.
fn subsequence(needle: &str, hay: &str) -> bool {
    let mut hay = hay.chars();
    needle.chars().all(|c| hay.any(|h| h == c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(name: &str, size: u64) -> (String, String, u64) {
        (name.to_owned(), fold(name), size)
    }

    fn hit(filter: &str, name: &str, size: u64) -> bool {
        let (name, folded, size) = row(name, size);
        Filter::parse(filter).matches(&Subject {
            name: &name,
            aliases: &[],
            folded: &folded,
            size,
            sources: 3,
            availability: 0.99,
            kind: Kind::File,
            state: "disk full",
            id: Some(ContentId::from_bytes([0; 32])),
            age: 7200,
            peer: "",
            owners: Some(&[Arc::new(Owner { name: "Ada".into(), words: vec!["ada".into()] })]),
        })
    }

    #[test]
    fn h9_a_word_that_means_nothing_is_named() {
        let word = |text: &str| Filter::checked(text).unwrap_err().word;
        assert_eq!(word("deb siez:>1G"), "siez:>1G");
        assert_eq!(word("size:big"), "size:big");
        assert_eq!(word("deb size:"), "size:");
        assert_eq!(word("a|type: deb"), "a|type:");
        assert_eq!(word(&"w ".repeat(MAX_TERMS + 1)), "w");
        for text in ["", "deb iso", "!x \"a: b\" size:>1G|~dbn type:iso", "state:mine src:>=2"] {
            assert_eq!(Filter::checked(text).as_ref(), Ok(&Filter::parse(text)), "{text}");
        }
        let names = Filter::parse("peer:Zoë|peer:\"a b\" !peer:x y:z peer:");
        let names: Vec<_> = names.peers().map(|name| (name.folded, name.typed, name.not)).collect();
        assert_eq!(names, [("zoe", "Zoë", false), ("a b", "a b", false), ("x", "x", true)]);
        assert!(Filter::parse("x peer:ada").needs_peers() && !Filter::parse("ada").needs_peers());
    }

    #[test]
    fn words_are_all_needed() {
        assert!(hit("deb iso", "Debian-12.iso", 1));
        assert!(!hit("deb zip", "Debian-12.iso", 1));
        assert!(!hit("deb !12", "Debian-12.iso", 1));
        assert!(hit("zip|iso", "Debian-12.iso", 1));
        assert!(hit("", "anything", 1));
        assert!(hit("! |", "anything", 1));
        assert!(hit("cafe", "Café.txt", 1) && hit("CAFÉ", "cafe.txt", 1));
        assert!(hit("\"an-12\"", "Debian-12.iso", 1) && !hit("\"debian\"", "Debian-12.iso", 1));
        assert!(hit("\"a b\"", "xa by", 1) && !hit("\"a b\"", "ab", 1));
        assert!(hit("~dbiso", "Debian-12.iso", 1) && !hit("~isodb", "Debian-12.iso", 1));
    }

    #[test]
    fn fields_compare() {
        let gib = 1 << 30;
        assert!(hit("size:<2G", "x", gib) && !hit("size:>2GiB", "x", gib));
        assert!(
            hit("size:500M..2G", "x", gib)
                && hit("size:..1G", "x", gib)
                && hit("size:1g", "x", gib)
        );
        assert!(hit("src:>2 src:<=3 avail:<1", "x", 1) && !hit("src:0", "x", 1));
        assert!(hit("age:>1h age:<1d type:iso", "x.iso", 1) && !hit("type:folder", "x.iso", 1));
        assert!(
            hit("state:disk", "x", 1) && hit("state:mine", "x", 1) && !hit("state:none", "x", 1)
        );
        assert!(hit("hash:aaaa", "x", 1) && !hit("hash:b", "x", 1));
        assert!(hit("!size:>2G|src:9", "x", gib));
    }

    #[test]
    fn c4_files_match_by_the_names_that_mean_their_owners() {
        assert!(hit("peer:Ada", "x", 1) && hit("peer:bob|peer:ada x", "x", 1));
        assert!(!hit("peer:bob", "x", 1) && !hit("!peer:ada", "x", 1) && hit("!peer:bob", "x", 1));
        let unknown = Subject {
            name: "x",
            aliases: &[],
            folded: "x",
            size: 0,
            sources: 0,
            availability: 0.0,
            kind: Kind::File,
            state: "none",
            id: None,
            age: 0,
            peer: "",
            owners: None,
        };
        let hits = |text: &str| Filter::parse(text).matches(&unknown);
        assert!(!hits("peer:ada") && !hits("!peer:ada") && hits("!ada") && hits("peer:ada|src:0"));
        // Exactly these, and a word alone is looked for in names only.
        assert!(!hit("peer:ad", "x", 1) && !hit("ada", "x", 1));
    }

    #[test]
    fn a_longer_filter_narrows_a_shorter_one() {
        let narrows = |new: &str, old: &str| Filter::parse(new).narrows(&Filter::parse(old));
        assert!(
            narrows("debi", "deb") && narrows("iso deb", "deb") && narrows("xdeb size:>1G", "deb")
        );
        assert!(narrows("deb", "") && narrows("deb !x iso", "deb !x"));
        assert!(!narrows("de", "deb") && !narrows("deb !xy", "deb !x") && !narrows("iso", "deb"));
        assert!(!narrows("deb|iso", "deb") && !narrows("state:mine x", "state:mine"));
    }

    #[test]
    fn better_fuzzy_matches_score_higher() {
        let filter = Filter::parse("~deb");
        assert!(filter.ranks() && !Filter::parse("deb").ranks());
        let scores = filter.scores(["debian.iso", "d-x-e-x-b", "nothing"].into_iter());
        assert!(scores[0] > scores[1] && scores[1] > scores[2]);
    }

    #[test]
    fn unknown_fields_are_reported_and_hide_nothing() {
        let filter = Filter::parse("deb colour:red size:abc");
        assert_eq!(filter.problems.len(), 2);
        assert_eq!(filter.problems[0].0, 4..14);
        assert!(hit("deb colour:red size:abc", "debian", 1));
        assert!(Filter::parse("size: src:>").problems.is_empty());
    }

    #[test]
    fn matched_parts_are_found() {
        assert_eq!(Filter::parse("iso deb !x").highlights("Debian.iso"), [0..3, 7..10]);
    }

    proptest! {
        #[test]
        fn anything_can_be_typed(text in "\\PC{0,60}", name in "\\PC{0,30}") {
            let filter = Filter::parse(&text);
            hit(&text, &name, 7);
            for range in filter.highlights(&name) {
                prop_assert!(name.get(range).is_some());
            }
            for (range, _) in &filter.problems {
                prop_assert!(text.get(range.clone()).is_some());
            }
        }

        #[test]
        fn a_word_finds_its_own_name(name in "[a-z0-9éäß.-]{1,20}") {
            prop_assert!(hit(&name, &name, 1));
            let negated = format!("!{name}");
            prop_assert!(!hit(&negated, &name, 1));
        }
    }
}
