//! Colours and symbols. Colour only ever carries meaning that a glyph or a word carries too; the
//! terminal's own foreground and background are left alone.
//!
//! [`detect`] finds out what the terminal is, `palette` holds the colours, [`resolve`](Theme::resolve)
//! puts both together with what the user asked for; `glyphs` and `chunks` are the signs.

mod chunks;
pub mod detect;
mod glyphs;
mod palette;
mod resolve;
mod senders;

use ratatui::style::{Color, Modifier, Style};

use settings::Role;

pub use detect::{Detected, Env};
pub use glyphs::{Glyphs, Lines};
pub use palette::Palette;
pub use resolve::next_theme;

/// How many colours the terminal has, as far as we use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// None (`NO_COLOR`, `TERM=dumb`, monochrome theme): attributes only.
    Mono,
    /// The sixteen of the user's own palette.
    Sixteen,
    /// The 256 palette: what the colours of the map were chosen from.
    Full,
}

/// Background the colours are chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// Dark.
    Dark,
    /// Light.
    Light,
}

/// Resolved look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// Colours.
    pub depth: Depth,
    /// Characters.
    pub glyphs: Glyphs,
    /// Background.
    pub ground: Ground,
    /// The colours themselves.
    pub palette: Palette,
}

impl Theme {
    /// The standard colours for a terminal.
    pub const fn new(depth: Depth, glyphs: Glyphs, ground: Ground) -> Self {
        Self { depth, glyphs, ground, palette: Palette::standard(depth, ground) }
    }

    fn role(self, role: Role) -> Style {
        self.palette.get(role).map_or(Style::new(), |color| Style::new().fg(color))
    }

    /// Ours, good.
    pub fn have(self) -> Style {
        self.role(Role::Have)
    }

    /// Blue that is readable as text.
    pub fn accent(self) -> Style {
        self.role(Role::Accent)
    }

    /// In flight, needs attention.
    pub fn warn(self) -> Style {
        self.role(Role::Warn)
    }

    /// Wrong, lost.
    pub fn error(self) -> Style {
        self.role(Role::Error).add_modifier(Modifier::BOLD)
    }

    /// Less important text; still readable.
    pub fn dim(self) -> Style {
        self.role(Role::Dim)
    }

    /// Lines of boxes that have no focus.
    pub fn line(self) -> Style {
        self.role(Role::Line)
    }

    /// Titles, keys.
    pub fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The row under the cursor in the focused pane.
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// A part of a name that matches the filter.
    pub fn matched(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
    }

    /// What is behind a dialog.
    pub fn shade(self) -> Style {
        match self.depth {
            Depth::Mono => Style::new().add_modifier(Modifier::DIM),
            Depth::Sixteen | Depth::Full => self.role(Role::Shade).bg(Color::Reset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heatmap::Standing;

    #[test]
    fn every_standing_has_its_own_glyph_without_colour() {
        let all = [
            Standing::Have,
            Standing::Flight,
            Standing::Bad,
            Standing::Unwanted,
            Standing::Lack(0),
            Standing::Lack(1),
            Standing::Lack(2),
        ];
        for glyphs in [Glyphs::Unicode, Glyphs::Cp437, Glyphs::Ascii] {
            let theme = Theme::new(Depth::Mono, glyphs, Ground::Dark);
            let mut seen: Vec<&str> = all.iter().map(|s| theme.chunk_glyph(*s)).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), all.len(), "{glyphs:?}");
            assert!(all.iter().all(|s| theme.chunk_color(*s).is_none()));
        }
    }
}
