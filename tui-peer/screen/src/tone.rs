//! Words that are good or bad news.

/// Good, bad or neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Only said.
    Plain,
    /// Less important.
    Dim,
    /// Be careful.
    Warn,
    /// Wrong.
    Bad,
}

/// A line of text with a tone.
pub type Line = (Tone, String);
