//! What keys do, in the words of hints: with the keys in use. An action without a key gives no hint, or
//! the way through the command palette where the screen says nothing else.

use super::{Key, Keymap};
use crate::action::Action;

impl Keymap {
    /// `d downloads it`; `None` if the action has no key.
    pub fn does(&self, action: Action, what: &str) -> Option<String> {
        Some(format!("{} {what}", self.key(action)?))
    }

    /// The same as a further part of a text, after `gap`; empty if the action has no key.
    pub fn and(&self, gap: &str, action: Action, what: &str) -> String {
        self.does(action, what).map_or_else(String::new, |text| format!("{gap}{text}"))
    }

    /// The same in brackets, after a space: ` (u unshares)`; empty if the action has no key.
    pub fn aside(&self, action: Action, what: &str) -> String {
        let text = self.does(action, what);
        text.map_or_else(String::new, |text| format!(" ({})", text.trim_end()))
    }

    /// Its key; without one, the key of the palette and the name to type there: `: share`.
    pub fn way(&self, action: Action) -> Option<String> {
        let palette = || self.does(Action::Palette, action.name());
        self.key(action).or_else(|| palette().filter(|_| action.palette()))
    }

    /// Its keys that are no sequences.
    fn singles(&self, action: Action) -> impl Iterator<Item = Key> {
        self.bindings.iter().filter(move |(_, bound)| *bound == action).filter_map(|(keys, _)| {
            match keys.as_slice() {
                [key] => Some(*key),
                _ => None,
            }
        })
    }

    /// Its first key that is no sequence, to be shown.
    pub fn single(&self, action: Action) -> Option<String> {
        self.singles(action).next().map(|key| key.to_string())
    }

    /// Whether `key` alone means this action.
    pub fn is(&self, action: Action, key: Key) -> bool {
        self.singles(action).any(|own| own == key)
    }

    /// Whether `key` closes the dialog that this action opens. Letters and digits do not: they mean
    /// something else there.
    pub fn is_closing(&self, action: Action, key: Key) -> bool {
        !key.is_alphanumeric() && self.is(action, key)
    }

    /// What closes that dialog, in words.
    pub fn closes(&self, action: Action) -> String {
        let key = self.singles(action).find(|key| self.is_closing(action, *key));
        key.map_or_else(|| "Esc closes".to_owned(), |key| format!("{key} or Esc closes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use settings::Binding;

    fn own(action: Action, keys: &[&str]) -> Binding {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        Binding { action: action.name().to_owned(), keys, line: 1 }
    }

    #[test]
    fn hints_name_the_keys_in_use_and_nothing_without_one() {
        let map = Keymap::new(&[
            own(Action::Download, &["g ö"]),
            own(Action::Share, &[]),
            own(Action::Undo, &[]),
        ]);
        let map = map.unwrap();
        assert_eq!(map.does(Action::Download, "downloads it").unwrap(), "g ö downloads it");
        assert_eq!(map.and(" - ", Action::Download, "gets it"), " - g ö gets it");
        assert_eq!(map.aside(Action::Serving, ""), " (S)");
        assert_eq!(map.does(Action::Share, "shares"), None);
        assert_eq!(map.and(" - ", Action::Share, "shares") + &map.aside(Action::Share, ""), "");
        assert_eq!(map.way(Action::Serving).unwrap(), "S");
        assert_eq!(map.way(Action::Share).unwrap(), ": share");
        assert_eq!(Keymap { bindings: Vec::new() }.way(Action::Share), None);
        let bare = Keymap::new(&[own(Action::Undo, &[]), own(Action::Palette, &[])]).unwrap();
        assert_eq!(bare.way(Action::Undo), None);
    }

    #[test]
    fn a_letter_does_not_close_the_dialog_it_opened() {
        let map = Keymap::new(&[own(Action::Help, &["g h", "ö", "f9"])]).unwrap();
        assert_eq!(map.closes(Action::Help), "F9 or Esc closes");
        assert_eq!(map.single(Action::Help).unwrap(), "ö");
        assert_eq!(map.closes(Action::Settings), "F2 or Esc closes");
        let map = Keymap::new(&[own(Action::Settings, &["e"]), own(Action::OpenFolder, &[])]);
        assert_eq!(map.unwrap().closes(Action::Settings), "Esc closes");
    }
}
