//! The settings screen.

use settings::{Item, Page};

use crate::action::Action;
use crate::field::Field;
use crate::keymap::Sequence;
use crate::tone::Line;

/// A row of the settings screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// A setting.
    Item(Item),
    /// The keys of an action.
    Keys(Action),
}

/// A value being typed.
#[derive(Debug, Clone)]
pub struct Edit {
    /// Of which setting.
    pub item: Item,
    /// The text.
    pub field: Field,
}

/// A key being waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// For which action.
    pub action: Action,
    /// Whether it is to be added to those that the action has.
    pub add: bool,
    /// Pressed so far.
    pub pressed: Sequence,
}

/// State of the settings screen.
#[derive(Debug, Clone)]
pub struct Panel {
    /// Open page.
    pub page: Page,
    /// Row under the cursor.
    pub cursor: usize,
    /// Text to find rows by, on all pages.
    pub query: Option<Field>,
    /// A value being typed.
    pub edit: Option<Edit>,
    /// A key being waited for.
    pub capture: Option<Capture>,
    /// What became of the last key.
    pub note: Option<Line>,
}

impl Default for Panel {
    fn default() -> Self {
        Self { page: Page::General, cursor: 0, query: None, edit: None, capture: None, note: None }
    }
}
