//! One key: as the terminal reports it, as the configuration file names it, as people read it.

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// One key with its modifiers, in a form that compares: Shift is part of a letter's case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    code: KeyCode,
    ctrl: bool,
}

/// One key, or a prefix and a key.
pub type Sequence = Vec<Key>;

/// Keys that are no letters, by their names in the configuration file.
const NAMED: [(&str, KeyCode); 15] = [
    ("space", KeyCode::Char(' ')),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("pgup", KeyCode::PageUp),
    ("pgdn", KeyCode::PageDown),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("backtab", KeyCode::BackTab),
    ("backspace", KeyCode::Backspace),
    ("del", KeyCode::Delete),
];

/// Whether Ctrl was held.
pub fn ctrl(event: KeyEvent) -> bool {
    event.modifiers.contains(KeyModifiers::CONTROL)
}

/// Whether this is `^C`.
pub fn is_interrupt(event: KeyEvent) -> bool {
    event.code == KeyCode::Char('c') && ctrl(event)
}

/// Whether this is Esc or `^C`, which end a dialog, or what is typed in one.
pub fn cancels(event: KeyEvent) -> bool {
    event.code == KeyCode::Esc || is_interrupt(event)
}

impl Key {
    /// Of a key press.
    pub fn of(event: KeyEvent) -> Self {
        let ctrl = ctrl(event);
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

    /// Whether it writes a letter or digit.
    pub(super) fn is_alphanumeric(self) -> bool {
        matches!(self.code, KeyCode::Char(c) if !self.ctrl && c.is_alphanumeric())
    }

    /// Reads `d`, `D`, `ctrl-d`, `f5`, `space`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (ctrl, name) = match text.strip_prefix("ctrl-") {
            Some(rest) if !rest.is_empty() => (true, rest),
            _ => (false, text),
        };
        let mut chars = name.chars();
        let code = match (chars.next(), chars.next()) {
            // With Ctrl held, terminals do not tell capitals from small letters.
            (Some(c), None) if ctrl => KeyCode::Char(c.to_ascii_lowercase()),
            (Some(c), None) => KeyCode::Char(c),
            _ => match NAMED.iter().find(|(named, _)| *named == name) {
                Some((_, code)) => *code,
                None => KeyCode::F(
                    name.strip_prefix('f')?.parse().ok().filter(|n| (1..=24).contains(n))?,
                ),
            },
        };
        Some(Self { code, ctrl })
    }

    /// As the configuration file names it; `None` if it has no name there.
    pub fn name(self) -> Option<String> {
        let named = NAMED.iter().find(|(_, code)| *code == self.code).map(|(name, _)| *name);
        let name = match (named, self.code) {
            (Some(name), _) => name.to_owned(),
            (None, KeyCode::Char(c)) if !c.is_control() && !c.is_whitespace() => c.to_string(),
            (None, KeyCode::F(n)) => format!("f{n}"),
            _ => return None,
        };
        Some(if self.ctrl { format!("ctrl-{name}") } else { name })
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

/// As the configuration file has it: `g g`, `ctrl-d`, `enter`; `None` if a key has no name there.
pub fn write(sequence: &[Key]) -> Option<String> {
    let names: Option<Vec<String>> = sequence.iter().map(|key| key.name()).collect();
    Some(names?.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shift_is_part_of_the_letter() {
        let plain = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::NONE);
        let kitty = KeyEvent::new(KeyCode::Char('g'), KeyModifiers::SHIFT);
        assert_eq!(Key::of(plain), Key::of(kitty));
        assert_eq!(Key::of(KeyEvent::new(KeyCode::Tab, KeyModifiers::SHIFT)).to_string(), "S-Tab");
    }

    #[test]
    fn names_are_read_back() {
        for text in
            ["d", "D", "ctrl-d", "space", "ctrl-space", "f12", "backtab", "-", "ctrl--", "ö"]
        {
            let key = Key::parse(text).unwrap();
            assert_eq!(key.name().as_deref(), Some(text));
        }
        assert_eq!(Key::parse("ctrl-D"), Key::parse("ctrl-d"));
        for bad in ["", "hyper-x", "f25", "f0", "ctrl-"] {
            assert_eq!(Key::parse(bad), None, "{bad}");
        }
        assert_eq!(Key::of(KeyEvent::new(KeyCode::Insert, KeyModifiers::NONE)).name(), None);
    }
}
