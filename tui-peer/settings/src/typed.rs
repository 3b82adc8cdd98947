//! Settings as the program uses them. What is in force has been checked, so a text that is none of the
//! known words cannot occur; it would count as the default.

use std::net::SocketAddr;

use super::item::Item;
use super::rate::{parse_rate, parse_size};
use super::table::Table;
use super::units::Units;

/// When `q` asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AskQuit {
    /// If somebody would lose something.
    #[default]
    IfBusy,
    Always,
    Never,
}

/// What to tell the user about while nobody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notify {
    /// Downloads have finished.
    pub done: bool,
    /// Something failed.
    pub error: bool,
    /// Another peer connected.
    pub peer: bool,
}

impl Table {
    /// Whether a toggle is on.
    pub fn is_on(&self, item: Item) -> bool {
        self.text(item) == "true"
    }

    /// Where to serve metrics, if at all.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.text(Item::Metrics).parse().ok()
    }

    pub fn ask_quit(&self) -> AskQuit {
        match self.text(Item::Quit).as_ref() {
            "always" => AskQuit::Always,
            "never" => AskQuit::Never,
            _ => AskQuit::IfBusy,
        }
    }

    /// Whether the peer goes on serving when the terminal of the app goes away.
    pub fn serves_after_hangup(&self) -> bool {
        self.text(Item::Hangup) == "serve"
    }

    pub fn units(&self) -> Units {
        match self.text(Item::Units).as_ref() {
            "si" => Units::Si,
            "bits" => Units::Bits,
            _ => Units::Iec,
        }
    }

    pub fn notify(&self) -> Notify {
        Notify {
            done: self.is_on(Item::NotifyDone),
            error: self.is_on(Item::NotifyError),
            peer: self.is_on(Item::NotifyPeer),
        }
    }

    /// Bytes per second of [`Item::Up`] or [`Item::Down`]; `None` is no limit.
    pub fn rate(&self, item: Item) -> Option<u64> {
        parse_rate(&self.text(item)).ok().and_then(|rate| rate.0)
    }

    /// Bytes to be left free on the disk of a download; `None` leaves it to the engine.
    pub fn keep_free(&self) -> Option<u64> {
        parse_size(&self.text(Item::KeepFree)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_values() {
        let mut table = Table::default();
        assert_eq!(table.ask_quit(), AskQuit::IfBusy);
        assert_eq!((table.units(), table.keep_free()), (Units::Iec, None));
        assert_eq!(table.rate(Item::Up), None);
        assert_eq!(table.notify(), Notify { done: true, error: true, peer: false });
        assert!(!table.serves_after_hangup());
        for (item, text) in [
            (Item::Quit, "never"),
            (Item::Hangup, "serve"),
            (Item::Units, "bits"),
            (Item::Up, "2M"),
            (Item::KeepFree, "5G"),
            (Item::NotifyDone, "off"),
        ] {
            table.set(item, text).unwrap();
        }
        assert_eq!(table.ask_quit(), AskQuit::Never);
        assert_eq!((table.units(), table.keep_free()), (Units::Bits, Some(5 << 30)));
        assert_eq!(table.rate(Item::Up), Some(2 << 20));
        assert!(!table.notify().done && table.serves_after_hangup());
    }
}
