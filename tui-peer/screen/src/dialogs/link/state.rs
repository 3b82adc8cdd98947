//! A link or a join string that is typed.

use common::join::{Link, parse_any};

use crate::field::Field;

/// The dialog for links and join strings.
#[derive(Debug, Clone, Default)]
pub struct GetLink {
    /// Text being typed.
    pub field: Field,
    /// Whether a join string is what is wanted.
    pub joining: bool,
    /// What went wrong.
    pub error: Option<String>,
}

impl GetLink {
    /// What the text means.
    pub fn parsed(&self) -> Option<Result<Link, String>> {
        let text = self.field.text().trim();
        (!text.is_empty()).then(|| parse_any(text).map_err(|error| error.to_string()))
    }
}
