//! Which files of a folder a path or a pattern means: a file, all files below a folder, or what a pattern matches.

use glob::{MatchOptions, Pattern};

/// How a pattern is read: `*` and `?` stay within one component, `**` does not; hidden files are files.
const PATTERNS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// A pattern for paths within a folder.
#[derive(Debug, Clone)]
pub struct PathPattern(Pattern);

impl PathPattern {
    /// `text` as a pattern; `None` if it is a plain path, or no pattern that can be read.
    pub fn of(text: &str) -> Option<Self> {
        if is_pattern(text) { Pattern::new(text).ok().map(Self) } else { None }
    }

    /// Whether it matches the whole of a path.
    pub fn matches(&self, path: &str) -> bool {
        self.0.matches_with(path, PATTERNS)
    }
}

/// Whether a text has signs of a pattern in it.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// A path and the folders above it, the uppermost first.
pub fn with_folders(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at);
    ends.chain([path.len()]).filter_map(|end| path.get(..end))
}
