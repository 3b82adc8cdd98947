//! Networks near: a tracker announces itself in the local network by multicast DNS (RFC 6762, RFC 6763), and a peer
//! without a network lists who does. A hint and no more: anybody near can announce anything, so what is joined is the
//! tracker whose key the announcement names, and TLS holds whoever answers to it.
//!
//! [`Table`] is pure: what was heard goes in, what is near comes out. [`look`] and [`announce`] work the sockets, only
//! while what they return is kept.

mod announced;
mod multicast;
mod place;
mod table;

pub use announced::{Announced, SERVICE};
pub use multicast::{Announcing, Looking, Near, announce, look};
pub use place::Place;
pub use table::{Heard, MAX_NEAR, NearNetwork, Table};

use std::net::IpAddr;

/// When a tracker announces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Discoverable {
    /// Unless a secret is needed to join.
    Auto,
    /// Always; with a secret, that one is needed and not which.
    On,
    /// Never.
    #[default]
    Off,
}

impl Discoverable {
    /// The words for it.
    pub const WORDS: &'static [&'static str] = &["auto", "on", "off"];

    /// Whether a tracker that listens on `ip` announces itself at this place; one that only its own machine reaches does
    /// so on that machine alone.
    pub fn applies(self, closed: bool, ip: IpAddr, place: Place) -> bool {
        let wanted = match self {
            Self::Auto => !closed,
            Self::On => true,
            Self::Off => false,
        };
        wanted && (place.loopback || !ip.to_canonical().is_loopback())
    }
}

impl std::str::FromStr for Discoverable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(format!("use {}", Self::WORDS.join(", "))),
        }
    }
}

impl std::fmt::Display for Discoverable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_network_is_announced_only_if_asked_and_one_of_this_machine_never() {
        let lan = Place::default();
        let (everywhere, own) = ("::".parse().unwrap(), "127.0.0.1".parse().unwrap());
        let of = |word: &str| word.parse::<Discoverable>().unwrap();
        assert!(
            of("auto").applies(false, everywhere, lan)
                && !of("auto").applies(true, everywhere, lan)
        );
        assert!(of("on").applies(true, everywhere, lan) && !of("on").applies(true, own, lan));
        assert!(
            !of("off").applies(false, everywhere, lan) && "yes".parse::<Discoverable>().is_err()
        );
        for word in Discoverable::WORDS {
            assert_eq!(of(word).to_string(), *word);
        }
    }
}
