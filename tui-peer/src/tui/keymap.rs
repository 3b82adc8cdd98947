//! Keys and what they do. The help screen, the footer and the command palette are made from this
//! table, so they cannot lie.

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::action::{Action, Where};

/// One key with its modifiers, in a form that compares: Shift is part of a letter's case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    code: KeyCode,
    ctrl: bool,
}

/// One key, or a prefix and a key.
pub type Sequence = Vec<Key>;

/// What a key press means at this point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// This.
    Action(Action),
    /// It begins a sequence.
    Prefix,
    /// Nothing.
    Nothing,
}

/// Why a binding is not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeymapError {
    /// No such key.
    #[error("{0:?} is not a key; examples: d, D, ctrl-d, f5, space, g g")]
    Key(String),
    /// No such action.
    #[error("{0:?} is not an action; the command palette (:) lists them")]
    Action(String),
    /// Two actions on one key.
    #[error("{keys} is bound to both {first} and {second}")]
    Conflict {
        /// The key.
        keys: String,
        /// One action.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
}

/// Which keys do what.
#[derive(Debug, Clone)]
pub struct Keymap {
    bindings: Vec<(Sequence, Action)>,
}

impl Key {
    /// Of a key press.
    pub fn of(event: KeyEvent) -> Self {
        let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        let shift = event.modifiers.contains(KeyModifiers::SHIFT);
        let code = match event.code {
            KeyCode::Char(c) if shift && c.is_lowercase() => {
                KeyCode::Char(c.to_uppercase().next().unwrap_or(c))
            }
            KeyCode::Char(c) if ctrl => KeyCode::Char(c.to_ascii_lowercase()),
            KeyCode::Tab if shift => KeyCode::BackTab,
            code => code,
        };
        Self { code, ctrl }
    }

    /// A digit, for counts.
    pub fn digit(self) -> Option<u32> {
        match self.code {
            KeyCode::Char(c) if !self.ctrl => c.to_digit(10),
            _ => None,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (ctrl, name) = text.strip_prefix("ctrl-").map_or((false, text), |rest| (true, rest));
        let mut chars = name.chars();
        let code = match (chars.next(), chars.next()) {
            (Some(c), None) => KeyCode::Char(c),
            _ => match name {
                "space" => KeyCode::Char(' '),
                "up" => KeyCode::Up,
                "down" => KeyCode::Down,
                "left" => KeyCode::Left,
                "right" => KeyCode::Right,
                "pgup" => KeyCode::PageUp,
                "pgdn" => KeyCode::PageDown,
                "home" => KeyCode::Home,
                "end" => KeyCode::End,
                "enter" => KeyCode::Enter,
                "esc" => KeyCode::Esc,
                "tab" => KeyCode::Tab,
                "backtab" => KeyCode::BackTab,
                "del" => KeyCode::Delete,
                _ => KeyCode::F(
                    name.strip_prefix('f')?.parse().ok().filter(|n| (1..=24).contains(n))?,
                ),
            },
        };
        Some(Self { code, ctrl })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ctrl {
            f.write_str("^")?;
        }
        match self.code {
            KeyCode::Char(' ') => f.write_str("Space"),
            KeyCode::Char(c) if self.ctrl => write!(f, "{}", c.to_ascii_uppercase()),
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::Up => f.write_str("Up"),
            KeyCode::Down => f.write_str("Down"),
            KeyCode::Left => f.write_str("Left"),
            KeyCode::Right => f.write_str("Right"),
            KeyCode::PageUp => f.write_str("PgUp"),
            KeyCode::PageDown => f.write_str("PgDn"),
            KeyCode::BackTab => f.write_str("S-Tab"),
            KeyCode::Delete => f.write_str("Del"),
            KeyCode::F(n) => write!(f, "F{n}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// As people write it: `g g`, `^D`, `Enter`.
pub fn show(sequence: &[Key]) -> String {
    sequence.iter().map(Key::to_string).collect::<Vec<_>>().join(" ")
}

fn parse_sequence(text: &str) -> Result<Sequence, KeymapError> {
    let keys: Option<Sequence> = text.split_whitespace().map(Key::parse).collect();
    keys.filter(|keys| !keys.is_empty() && keys.len() <= 2)
        .ok_or_else(|| KeymapError::Key(text.to_owned()))
}

impl Keymap {
    /// The default keys with `changes` on top: pairs of an action's name and its keys, which replace
    /// the default ones.
    ///
    /// # Errors
    /// What cannot be bound; every problem, not only the first.
    pub fn new(changes: &[(String, Vec<String>)]) -> Result<Self, Vec<KeymapError>> {
        let mut errors = Vec::new();
        let mut bindings = Vec::new();
        for (name, _) in changes {
            if !Action::ALL.iter().any(|action| action.name() == name) {
                errors.push(KeymapError::Action(name.clone()));
            }
        }
        for action in Action::ALL {
            let changed = changes.iter().find(|(name, _)| name == action.name());
            let own: Vec<&str> = match changed {
                Some((_, keys)) => keys.iter().map(String::as_str).collect(),
                None => action.default_keys().to_vec(),
            };
            for keys in own {
                match parse_sequence(keys) {
                    Ok(sequence) => bindings.push((sequence, *action)),
                    Err(error) => errors.push(error),
                }
            }
        }
        let map = Self { bindings };
        errors.extend(map.conflicts());
        if errors.is_empty() { Ok(map) } else { Err(errors) }
    }

    /// The default keys.
    pub fn standard() -> Self {
        let bindings = Action::ALL
            .iter()
            .flat_map(|action| action.default_keys().iter().map(move |keys| (keys, *action)))
            .filter_map(|(keys, action)| Some((parse_sequence(keys).ok()?, action)))
            .collect();
        Self { bindings }
    }

    /// What `sequence` means in a pane.
    pub fn find(&self, pane: Where, sequence: &[Key]) -> Found {
        let mut found = Found::Nothing;
        for (keys, action) in &self.bindings {
            if !action.place().covers(pane) {
                continue;
            }
            if keys == sequence {
                return Found::Action(*action);
            }
            if keys.len() > sequence.len() && keys.starts_with(sequence) {
                found = Found::Prefix;
            }
        }
        found
    }

    /// The first binding of an action, to be shown.
    pub fn key(&self, action: Action) -> Option<String> {
        self.bindings.iter().find(|(_, a)| *a == action).map(|(keys, _)| show(keys))
    }

    /// All bindings of an action, to be shown.
    pub fn keys(&self, action: Action) -> Vec<String> {
        self.bindings.iter().filter(|(_, a)| *a == action).map(|(keys, _)| show(keys)).collect()
    }

    /// What can follow a prefix in a pane.
    pub fn continuations(&self, pane: Where, prefix: &[Key]) -> Vec<(String, Action)> {
        self.bindings
            .iter()
            .filter(|(keys, action)| {
                keys.len() > prefix.len() && keys.starts_with(prefix) && action.place().covers(pane)
            })
            .map(|(keys, action)| (show(keys.get(prefix.len()..).unwrap_or_default()), *action))
            .collect()
    }

    fn conflicts(&self) -> Vec<KeymapError> {
        let mut out = Vec::new();
        for (i, (keys, first)) in self.bindings.iter().enumerate() {
            for (other, second) in self.bindings.iter().skip(i + 1) {
                let clash = keys.starts_with(other) || other.starts_with(keys);
                if clash && first.place().overlaps(second.place()) {
                    out.push(KeymapError::Conflict {
                        keys: show(keys),
                        first: first.name(),
                        second: second.name(),
                    });
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_keys_are_valid_and_have_no_conflicts() {
        let map = Keymap::new(&[]).unwrap();
        assert_eq!(map.bindings.len(), Keymap::standard().bindings.len());
    }

    #[test]
    fn every_action_can_be_reached() {
        let map = Keymap::standard();
        for action in Action::ALL {
            assert!(!map.keys(*action).is_empty() || action.palette(), "{}", action.name());
            for (keys, bound) in map.bindings.iter().filter(|(_, a)| a == action) {
                let pane = Where::PANES.into_iter().find(|p| action.place().covers(*p)).unwrap();
                assert_eq!(map.find(pane, keys), Found::Action(*bound));
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = Action::ALL.iter().map(|a| a.name()).collect();
        names.sort_unstable();
        let n = names.len();
        names.dedup();
        assert_eq!(names.len(), n);
    }

    #[test]
    fn keys_can_be_changed_and_conflicts_are_named() {
        let own = |name: &str, keys: &[&str]| {
            (name.to_owned(), keys.iter().map(|k| (*k).to_owned()).collect())
        };
        let map = Keymap::new(&[own("quit", &["ctrl-q"])]).unwrap();
        assert_eq!(map.key(Action::Quit).unwrap(), "^Q");
        let errors =
            Keymap::new(&[own("quit", &["d"]), own("nope", &["x"]), own("share", &["hyper-x"])])
                .unwrap_err();
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(text.iter().any(|t| t.contains("both") && t.contains("quit")), "{text:?}");
        assert!(
            text.iter().any(|t| t.contains("nope")) && text.iter().any(|t| t.contains("hyper-x"))
        );
    }

    #[test]
    fn shift_is_part_of_the_letter() {
        let plain = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::NONE);
        let kitty = KeyEvent::new(KeyCode::Char('g'), KeyModifiers::SHIFT);
        assert_eq!(Key::of(plain), Key::of(kitty));
        assert_eq!(Key::of(KeyEvent::new(KeyCode::Tab, KeyModifiers::SHIFT)).to_string(), "S-Tab");
    }
}
