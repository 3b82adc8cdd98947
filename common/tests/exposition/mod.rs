//! A strict reader of the text format 0.0.4, for tests of what the programs say to Prometheus.

use std::collections::{BTreeMap, BTreeSet};

/// Every sample, as `name{labels}`, with its value. Panics on whatever a scraper would refuse or misread.
pub(crate) fn parse(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n'), "the last line ends too");
    let (mut samples, mut kinds, mut helped) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help says something");
            assert!(is_name(name) && !help.is_empty(), "{line}");
            assert!(helped.insert(name.to_owned()), "a second help: {line}");
            current = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, current, "the type follows its help");
            assert!(["counter", "gauge"].contains(&kind), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
        } else {
            let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
            let (name, rest) = line.split_at(end);
            assert_eq!(name, current, "a family stands together, below its type: {line}");
            let rest = labels(rest);
            let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
            assert!(!value.contains(' '), "no time of its own: {line}");
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(kinds[name] == "gauge" || value >= 0.0, "{line}");
            let key = line.rsplit_once(' ').unwrap().0.to_owned();
            assert!(samples.insert(key, value).is_none(), "twice: {line}");
        }
    }
    for name in kinds.keys() {
        let mut named = samples.keys().filter_map(|key| key.split('{').next());
        assert!(named.any(|sample| sample == name), "{name} is empty");
    }
    samples
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars().all(fits) && !text.starts_with(|c: char| c.is_ascii_digit()) && !text.is_empty()
}

/// What stands behind the labels.
fn labels(text: &str) -> &str {
    let Some(mut rest) = text.strip_prefix('{') else { return text };
    loop {
        let (name, value) = rest.split_once("=\"").expect("a label has a value");
        assert!(is_name(name), "{text}");
        let mut chars = value.char_indices();
        let end = loop {
            match chars.next().expect("a value ends") {
                (_, '\\') => {
                    let (_, escaped) = chars.next().unwrap();
                    assert!(['\\', '"', 'n'].contains(&escaped), "{text}");
                }
                (at, '"') => break at,
                _ => {}
            }
        };
        rest = &value[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return rest.strip_prefix('}').expect("labels end"),
        }
    }
}
