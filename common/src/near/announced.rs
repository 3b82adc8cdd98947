//! What an announcement says: a name for people, the tracker's key and port, and whether a secret is needed.

use std::collections::BTreeMap;

use crate::id::PeerId;
use crate::names;

/// The type of the service, with its domain.
pub const SERVICE: &str = "_shoal._tcp.local.";

/// Longest name of a network, in bytes: what a host name has room for (RFC 1035, 2.3.4).
const MAX_NAME: usize = 63;
/// Longest name in the instance: a label has 63 bytes, of which the key's beginning takes eleven.
const MAX_INSTANCE_NAME: usize = 48;

/// Entries of the TXT record.
const KEY: &str = "key";
const PORT: &str = "port";
const NAME: &str = "name";
const SECRET: &str = "secret";

/// What a tracker says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The tracker's key: what is pinned by whoever joins.
    pub key: PeerId,
    /// Where it listens.
    pub port: u16,
    /// A name for people, fit to be shown; may be empty, and anybody's.
    pub name: String,
    /// Whether a secret is needed to join.
    pub closed: bool,
}

impl Announced {
    /// As it is announced and shown: a name that is too long loses its end.
    pub fn new(key: PeerId, port: u16, name: &str, closed: bool) -> Self {
        Self { key, port, name: names::show(names::cut(name.trim(), MAX_NAME)), closed }
    }

    /// The name of the service's instance: for people who browse, and no other tracker's.
    pub fn instance(&self) -> String {
        let name = names::cut(&self.name, MAX_INSTANCE_NAME);
        format!("{name} ({})", self.key.short()).trim_start().to_owned()
    }

    /// The entries of the TXT record.
    pub fn properties(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![(KEY, self.key.to_string()), (PORT, self.port.to_string())];
        if !self.name.is_empty() {
            all.push((NAME, names::cut(&self.name, MAX_NAME).to_owned()));
        }
        if self.closed {
            all.push((SECRET, "1".to_owned()));
        }
        all
    }

    /// From the entries of a TXT record that came from anywhere; `None` if there is no key and port to join.
    pub fn read(properties: &BTreeMap<String, String>) -> Option<Self> {
        let of = |entry: &str| properties.get(entry).map(String::as_str);
        let key = of(KEY)?.parse().ok()?;
        let port = of(PORT)?.parse().ok().filter(|port| *port != 0)?;
        let closed = of(SECRET).is_some_and(|value| value != "0");
        Some(Self::new(key, port, of(NAME).unwrap_or_default(), closed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_announced_is_what_is_read() {
        for (name, closed) in [("lab", false), ("", true), ("a name with spaces", true)] {
            let said = Announced::new(PeerId::from_bytes([7; 32]), 7420, name, closed);
            let entries = said.properties().into_iter().map(|(key, value)| (key.to_owned(), value));
            assert_eq!(Announced::read(&entries.collect()), Some(said.clone()));
            assert!(said.instance().len() <= 63 && said.instance().contains(&said.key.short()));
        }
    }

    #[test]
    fn what_strangers_announce_is_cut_made_visible_or_not_taken() {
        let key = PeerId::from_bytes([7; 32]).to_string();
        let long = "x".repeat(300);
        let wide = "ü".repeat(60);
        let read = |name, port| Announced::read(&map(&[(KEY, &key), (PORT, port), (NAME, name)]));
        assert_eq!(read(long.as_str(), "1").unwrap().name.len(), MAX_NAME);
        assert!(!read("a\u{1b}[2Jb\u{202e}", "1").unwrap().name.contains(['\u{1b}', '\u{202e}']));
        assert!(read(wide.as_str(), "1").unwrap().instance().len() <= 63);
        for port in ["0", "65536", "-1", "", "x"] {
            assert_eq!(read("lab", port), None, "{port}");
        }
        for wrong in [map(&[]), map(&[(PORT, "1")]), map(&[(KEY, "short"), (PORT, "1")])] {
            assert_eq!(Announced::read(&wrong), None);
        }
    }
}
