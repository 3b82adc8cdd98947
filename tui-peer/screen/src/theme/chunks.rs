//! Colours and signs of chunks in the map.

use ratatui::style::{Color, Modifier, Style};

use settings::Role;

use super::palette::ink;
use super::{Depth, Glyphs, Theme};
use crate::heatmap::{Rarity, Standing};

impl Theme {
    /// Foreground colour of a chunk's standing; `None` without colours.
    pub fn chunk_color(self, standing: Standing) -> Option<Color> {
        self.palette.get(match standing {
            Standing::Have => Role::Have,
            Standing::Flight => Role::Flight,
            Standing::Bad | Standing::Lack(0) => Role::Lost,
            Standing::Unwanted => Role::Unwanted,
            Standing::Checking => Role::Some,
            Standing::Lack(copies) => match Rarity::of(copies) {
                Rarity::Many => Role::Many,
                Rarity::Some => Role::Some,
                Rarity::One | Rarity::None => Role::One,
            },
        })
    }

    /// Glyph of a chunk's standing.
    pub fn chunk_glyph(self, standing: Standing) -> &'static str {
        const DIGITS: [&str; 10] = ["x", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        let ascii = self.glyphs == Glyphs::Ascii;
        match standing {
            Standing::Have => {
                if ascii {
                    "#"
                } else {
                    "█"
                }
            }
            Standing::Flight => {
                if ascii {
                    ">"
                } else {
                    "▓"
                }
            }
            Standing::Bad => "!",
            Standing::Checking => "?",
            Standing::Unwanted => {
                if ascii {
                    "."
                } else {
                    "·"
                }
            }
            Standing::Lack(0) => match self.glyphs {
                Glyphs::Unicode => "×",
                Glyphs::Cp437 | Glyphs::Ascii => "x",
            },
            Standing::Lack(copies) if ascii => {
                DIGITS.get(usize::from(copies)).copied().unwrap_or("9")
            }
            Standing::Lack(copies) => match Rarity::of(copies) {
                Rarity::Many | Rarity::Some => "▒",
                Rarity::One | Rarity::None => "░",
            },
        }
    }

    /// Style of a chunk's standing on the terminal's own background.
    pub fn chunk_style(self, standing: Standing) -> Style {
        let mut style = Style::new();
        if let Some(color) = self.chunk_color(standing) {
            style = style.fg(color);
        }
        match standing {
            Standing::Bad => style.add_modifier(Modifier::REVERSED),
            Standing::Lack(0) => style.add_modifier(Modifier::BOLD),
            Standing::Lack(copies) if Rarity::of(copies) == Rarity::Many => {
                style.add_modifier(Modifier::BOLD)
            }
            _ => style,
        }
    }

    /// Colour of a sign on the background of chunks that nobody has.
    pub fn lost_ink(self) -> Color {
        ink(self.palette.get(Role::Lost).unwrap_or(Color::Reset))
    }

    /// Whether cells may have a background of their own.
    pub fn backgrounds(self) -> bool {
        self.depth == Depth::Full && self.glyphs == Glyphs::Unicode
    }
}
