//! What values a setting takes, and what is said of wrong ones.

use std::net::SocketAddr;

use super::program::{parse_program, program_text};
use super::rate::{parse_rate, parse_size};
use super::themes::OwnTheme;

/// Most downloads at once that make sense: each needs open files and a share of the requests.
pub(super) const MAX_ACTIVE: u32 = 100;

/// Longest time limit of a hook, in seconds: a day.
pub(super) const MAX_HOOK_S: u32 = 86_400;

pub(super) const STARTS: &[&str] = &["resume", "ask", "off"];
pub(super) const QUITS: &[&str] = &["ask-if-busy", "always", "never"];
pub(super) const HANGUPS: &[&str] = &["quit", "serve"];
pub(super) const THEMES: &[&str] = &["auto", "auto-ssh", "dark", "light", "high-contrast", "mono"];
pub(super) const DISCOVERABLE: &[&str] = common::near::Discoverable::WORDS;
pub(super) const NAMES_INSIDE: &[&str] = &["secret", "always", "never"];
pub(super) const PORTMAPS: &[&str] = &["auto", "off"];
pub(super) const LEVELS: &[&str] = &["error", "warn", "info", "debug"];
pub(super) const COLORS: &[&str] = &["auto", "256", "16", "never"];
pub(super) const GLYPHS: &[&str] = &["auto", "unicode", "cp437", "ascii"];
pub(super) const UNITS: &[&str] = &["iec", "si", "bits"];

/// What values a setting takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Toggle,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One of these words, or the name of a theme of the user's own.
    Theme(&'static [&'static str]),
    /// A whole number in these bounds, both included.
    Number(u32, u32),
    /// A file or folder; `~` is the home folder.
    Path,
    /// Bytes per second.
    Rate,
    /// Bytes, or `auto`.
    Size,
    /// A join string, or `@FILE` holding one.
    Join,
    /// A name for others.
    Nick,
    /// A program with arguments: an array of words, or one word.
    Program,
    /// Text that this function accepts.
    Text(fn(&str) -> Result<(), String>),
}

impl Kind {
    /// The value in the form in which it is kept.
    ///
    /// # Errors
    /// What is wrong with it and what to write instead.
    pub fn check(self, text: &str, own: &[OwnTheme]) -> Result<String, String> {
        let text = text.trim();
        match self {
            Self::Toggle => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Ok("true".to_owned()),
                "false" | "no" | "off" | "0" => Ok("false".to_owned()),
                _ => Err(format!("{text:?} is neither true nor false")),
            },
            Self::Choice(words) => choose(text, words, &[]),
            Self::Theme(words) => {
                let names: Vec<&str> = own.iter().map(|theme| theme.name.as_str()).collect();
                choose(text, words, &names)
            }
            Self::Number(least, most) => match text.parse::<u32>() {
                Ok(n) if (least..=most).contains(&n) => Ok(n.to_string()),
                _ => Err(format!("{text:?} — use {least} to {most}")),
            },
            Self::Path if text.is_empty() => Err("empty; write the path of a folder".to_owned()),
            Self::Path => Ok(text.to_owned()),
            Self::Rate => parse_rate(text).map(|rate| match rate.0 {
                Some(_) => text.to_owned(),
                None => "none".to_owned(),
            }),
            Self::Size if text == "auto" => Ok(text.to_owned()),
            Self::Size => parse_size(text).map(|_| text.to_owned()),
            Self::Join if text.starts_with('@') => Ok(text.to_owned()),
            Self::Join => match text.parse::<common::join::JoinString>() {
                Ok(_) => Ok(text.to_owned()),
                Err(error) => Err(format!("not a join string: {error}")),
            },
            Self::Nick if text.len() > common::limits::MAX_NICK => {
                Err(format!("too long: at most {} bytes", common::limits::MAX_NICK))
            }
            Self::Nick => Ok(text.to_owned()),
            Self::Program => parse_program(text).map(|words| program_text(&words)),
            Self::Text(accept) => accept(text).map(|()| text.to_owned()),
        }
    }

    /// The words to choose from, if these are all.
    pub fn words(self, own: &[OwnTheme]) -> Vec<String> {
        let own = own.iter().map(|theme| theme.name.clone());
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match self {
            Self::Toggle => words(&["true", "false"]),
            Self::Choice(all) => words(all),
            Self::Theme(all) => {
                let mut all: Vec<String> = words(all);
                all.extend(own);
                all
            }
            _ => Vec::new(),
        }
    }
}

fn choose(text: &str, words: &[&str], own: &[&str]) -> Result<String, String> {
    let all = || words.iter().chain(own).copied();
    if all().any(|word| word == text) {
        return Ok(text.to_owned());
    }
    let list: Vec<&str> = all().collect();
    Err(format!("{text:?} — use {}", list.join(", ")))
}

/// An address to listen on.
pub(super) fn expect_address(text: &str) -> Result<(), String> {
    if text.parse::<SocketAddr>().is_ok() {
        return Ok(());
    }
    match text.rsplit_once(':') {
        Some((host, port)) if host.parse::<std::net::IpAddr>().is_ok() => {
            Err(format!("Port {port} — use 1 to 65535, or 0 for any free one"))
        }
        _ => Err(format!("{text:?} — use address:port, such as 0.0.0.0:7421 or [::]:7421")),
    }
}

/// The same, or `none`.
pub(super) fn expect_metrics(text: &str) -> Result<(), String> {
    if text == "none" {
        Ok(())
    } else {
        expect_address(text).map_err(|why| format!("{why}, or none"))
    }
}

/// The word nearest to a misspelt one, if any is near.
pub fn nearest<'a>(wrong: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Similarity from which on a word is probably what was meant; found by trying usual slips.
    const NEAR: f64 = 0.75;
    words
        .map(|word| (strsim::jaro_winkler(wrong, word), word))
        .filter(|(near, _)| *near >= NEAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_values_say_what_to_write_instead() {
        let wrong = |kind: Kind, text: &str| kind.check(text, &[]).unwrap_err();
        assert_eq!(
            wrong(Kind::Text(expect_address), "0.0.0.0:99999"),
            "Port 99999 — use 1 to 65535, or 0 for any free one"
        );
        assert!(wrong(Kind::Text(expect_address), "7421").contains("0.0.0.0:7421"));
        assert!(wrong(Kind::Number(1, 100), "0").contains("1 to 100"));
        assert!(wrong(Kind::Choice(UNITS), "metric").contains("iec, si, bits"));
        assert!(wrong(Kind::Toggle, "maybe").contains("true nor false"));
        assert!(wrong(Kind::Rate, "fast").contains("10M"));
        assert!(wrong(Kind::Join, "shoal://x").contains("join string"));
        assert!(wrong(Kind::Nick, &"x".repeat(1000)).contains("too long"));
        assert!(wrong(Kind::Path, "").contains("path"));
    }

    #[test]
    fn own_themes_can_be_chosen() {
        let own = [OwnTheme::new("sea")];
        assert_eq!(Kind::Theme(THEMES).check("sea", &own).as_deref(), Ok("sea"));
        assert!(Kind::Theme(THEMES).check("lake", &own).unwrap_err().contains("mono, sea"));
        assert!(Kind::Theme(THEMES).words(&own).contains(&"sea".to_owned()));
    }

    #[test]
    fn misspelt_words_find_what_was_meant() {
        let words = || ["downloads", "listen", "nick"].into_iter();
        assert_eq!(nearest("lisen", words()), Some("listen"));
        assert_eq!(nearest("donwloads", words()), Some("downloads"));
        assert_eq!(nearest("xyzzy", words()), None);
    }
}
