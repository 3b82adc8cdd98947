//! A one-line text field: tui-input's editing with the keys people expect, and safe pasting.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tui_input::{Input, InputRequest};

/// Most bytes a field takes: longer than any path or link.
pub const MAX_FIELD: usize = 4096;

/// Text being edited.
#[derive(Debug, Clone, Default)]
pub struct Field {
    input: Input,
}

impl Field {
    /// With some text, the cursor at its end.
    pub fn with(text: &str) -> Self {
        Self { input: Input::new(text.to_owned()) }
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.input.value()
    }

    /// Replaces the text; the cursor goes to its end.
    pub fn set(&mut self, text: &str) {
        self.input = Input::new(text.to_owned());
    }

    /// A key for a path: `/` or `~` begins one anew where what stands there was `offered` and not typed.
    pub fn path_key(&mut self, key: KeyEvent, offered: bool) -> bool {
        if offered && begins_path(key) && self.at_end() {
            self.set("");
        }
        self.key(key)
    }

    /// Cursor column, and the first column shown when `width` are visible.
    pub fn cursor(&self, width: usize) -> (usize, usize) {
        (self.input.visual_cursor(), self.input.visual_scroll(width))
    }

    /// Whether the cursor is at the end.
    pub fn at_end(&self) -> bool {
        self.input.cursor() == self.text().chars().count()
    }

    /// Inserts text from the clipboard: line breaks become spaces, control characters go.
    pub fn paste(&mut self, text: &str) {
        for c in text.trim().chars() {
            let c = if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c };
            self.insert(c);
        }
    }

    /// Handles a key; says whether the key was for the field.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        let request = match key.code {
            KeyCode::Char(c) if ctrl => match c.to_ascii_lowercase() {
                'a' => InputRequest::GoToStart,
                'e' => InputRequest::GoToEnd,
                'b' => InputRequest::GoToPrevChar,
                'f' => InputRequest::GoToNextChar,
                'h' => InputRequest::DeletePrevChar,
                'd' => InputRequest::DeleteNextChar,
                'w' => InputRequest::DeletePrevWord,
                'u' => InputRequest::DeleteFromStart,
                'k' => InputRequest::DeleteTillEnd,
                'y' => InputRequest::Yank,
                _ => return false,
            },
            KeyCode::Char('b') if alt => InputRequest::GoToPrevWord,
            KeyCode::Char('f') if alt => InputRequest::GoToNextWord,
            KeyCode::Char('d') if alt => InputRequest::DeleteNextWord,
            KeyCode::Char(c) if !alt => {
                self.insert(c);
                return true;
            }
            KeyCode::Backspace if alt || ctrl => InputRequest::DeletePrevWord,
            KeyCode::Backspace => InputRequest::DeletePrevChar,
            KeyCode::Delete => InputRequest::DeleteNextChar,
            KeyCode::Left if ctrl || alt => InputRequest::GoToPrevWord,
            KeyCode::Right if ctrl || alt => InputRequest::GoToNextWord,
            KeyCode::Left => InputRequest::GoToPrevChar,
            KeyCode::Right => InputRequest::GoToNextChar,
            KeyCode::Home => InputRequest::GoToStart,
            KeyCode::End => InputRequest::GoToEnd,
            _ => return false,
        };
        self.input.handle(request);
        true
    }

    fn insert(&mut self, c: char) {
        if !c.is_control() && self.text().len() + c.len_utf8() <= MAX_FIELD {
            self.input.handle(InputRequest::InsertChar(c));
        }
    }
}

/// Whether a key is the first of a path that says all by itself.
fn begins_path(key: KeyEvent) -> bool {
    let plain = key.modifiers.difference(KeyModifiers::SHIFT).is_empty();
    plain && matches!(key.code, KeyCode::Char('/' | '~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_text_is_one_safe_line() {
        let mut field = Field::with("a");
        field.paste(" b\nc\u{1b}[31m\r\n");
        assert_eq!(field.text(), "ab c[31m");
        field.paste(&"x".repeat(2 * MAX_FIELD));
        assert_eq!(field.text().len(), MAX_FIELD);
    }

    #[test]
    fn usual_keys_edit() {
        let mut field = Field::with("one two");
        let key = |code, modifiers| KeyEvent::new(code, modifiers);
        assert!(field.key(key(KeyCode::Char('w'), KeyModifiers::CONTROL)));
        assert_eq!(field.text(), "one ");
        assert!(field.key(key(KeyCode::Home, KeyModifiers::NONE)));
        assert!(field.key(key(KeyCode::Char('x'), KeyModifiers::NONE)));
        assert_eq!(field.text(), "xone ");
        assert!(!field.key(key(KeyCode::Enter, KeyModifiers::NONE)));
        assert!(!field.key(key(KeyCode::Char('r'), KeyModifiers::CONTROL)));
    }
}
