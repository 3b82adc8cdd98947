//! The mouse, between two things it does.

use std::time::Instant;

use ratatui::layout::Position;

/// What the mouse did last.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pointer {
    /// The last click, unless it was the second of two: when, and where.
    pub(crate) clicked: Option<(Instant, Position)>,
    /// The border beside the files is being dragged.
    pub(crate) dragging: bool,
}
