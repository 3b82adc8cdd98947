//! Themes of the user's own: a built-in one with some colours changed.

/// What a colour is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A chunk that is here.
    Have,
    /// A chunk in flight.
    Flight,
    /// A chunk with five sources or more.
    Many,
    /// A chunk with two to four sources.
    Some,
    /// A chunk with one source.
    One,
    /// A chunk that nobody online has.
    Lost,
    /// A chunk of a file that was not chosen.
    Unwanted,
    /// Keys and other things to be noticed.
    Accent,
    /// What needs attention.
    Warn,
    Error,
    /// Less important text.
    Dim,
    /// Lines of boxes.
    Line,
    /// What is behind a dialog.
    Shade,
}

impl Role {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Have,
        Self::Flight,
        Self::Many,
        Self::Some,
        Self::One,
        Self::Lost,
        Self::Unwanted,
        Self::Accent,
        Self::Warn,
        Self::Error,
        Self::Dim,
        Self::Line,
        Self::Shade,
    ];

    /// Its name in the configuration file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Have => "have",
            Self::Flight => "in_flight",
            Self::Many => "many",
            Self::Some => "some",
            Self::One => "one",
            Self::Lost => "none",
            Self::Unwanted => "not_chosen",
            Self::Accent => "accent",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Dim => "dim",
            Self::Line => "line",
            Self::Shade => "shade",
        }
    }
}

/// A colour as the file gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// A place in the 256 palette; the first sixteen are the terminal's own.
    Index(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

impl Paint {
    /// Reads `#rrggbb`, `#rgb`, or a number up to 255.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a colour: write \"#rrggbb\" or a number, 0 to 255");
        let Some(hex) = text.strip_prefix('#') else {
            return text.parse().map(Self::Index).map_err(|_| wrong());
        };
        let digits: Option<Vec<u8>> =
            hex.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
        match digits.as_deref() {
            Some([r, g, b]) => Ok(Self::Rgb(r * 17, g * 17, b * 17)),
            Some([r, s, g, h, b, c]) => Ok(Self::Rgb(r * 16 + s, g * 16 + h, b * 16 + c)),
            _ => Err(wrong()),
        }
    }
}

/// The theme that an own one changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Base {
    /// For dark backgrounds.
    #[default]
    Dark,
    /// For light ones.
    Light,
    /// Strong colours on the background found.
    Contrast,
}

impl Base {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "dark" => Some(Self::Dark),
            "light" => Some(Self::Light),
            "high-contrast" => Some(Self::Contrast),
            _ => None,
        }
    }
}

/// A theme of the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnTheme {
    pub name: String,
    /// What it changes.
    pub base: Base,
    /// Its colours, in the order of [`Role::ALL`].
    pub paints: [Option<Paint>; Role::ALL.len()],
}

impl OwnTheme {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), base: Base::Dark, paints: [None; Role::ALL.len()] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_numbers_or_hexadecimal() {
        assert_eq!(Paint::parse("26"), Ok(Paint::Index(26)));
        assert_eq!(Paint::parse("#fa0"), Ok(Paint::Rgb(255, 170, 0)));
        assert_eq!(Paint::parse("#005fD7"), Ok(Paint::Rgb(0, 95, 215)));
        for bad in ["", "#", "#12345", "256", "-1", "blue", "#gggggg", "#äöü"] {
            assert!(Paint::parse(bad).unwrap_err().contains("#rrggbb"), "{bad}");
        }
    }

    #[test]
    fn roles_stand_at_their_number() {
        for (at, role) in Role::ALL.into_iter().enumerate() {
            assert_eq!(role as usize, at, "{}", role.name());
        }
    }
}
