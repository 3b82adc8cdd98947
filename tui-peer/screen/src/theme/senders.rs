//! Colours of who sent what: searched for among the 256 like those of the map, so that any two are apart
//! (CIEDE2000) for normal, protan and deutan vision, by at least 16 on dark and 14 on light ground, and at
//! least 3:1 on the ground. Fewer colours have letters instead.

use ratatui::style::Color;

use super::{Depth, Ground, Theme};

const DARK: [u8; 8] = [33, 192, 219, 50, 136, 25, 144, 58];
const LIGHT: [u8; 8] = [27, 160, 58, 135, 24, 202, 17, 103];

impl Theme {
    /// The colour of a sender, by its number from 1; `None` where letters tell them apart.
    pub fn sender(self, number: u8) -> Option<Color> {
        let colors = match (self.depth, self.ground) {
            (Depth::Full, Ground::Dark) => DARK,
            (Depth::Full, Ground::Light) => LIGHT,
            (Depth::Sixteen | Depth::Mono, _) => return None,
        };
        colors.get(usize::from(number).checked_sub(1)?).copied().map(Color::Indexed)
    }

    /// A chunk that was here before.
    pub fn before(self) -> &'static str {
        self.glyph("▓", "▓", "#")
    }

    /// A chunk sent by one of those who share a sign.
    pub fn others(self) -> &'static str {
        self.glyph("▒", "▒", "*")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::Glyphs;

    #[test]
    fn eight_senders_have_eight_colours_or_none() {
        for (depth, ground) in [
            (Depth::Full, Ground::Dark),
            (Depth::Full, Ground::Light),
            (Depth::Sixteen, Ground::Dark),
            (Depth::Mono, Ground::Light),
        ] {
            let theme = Theme::new(depth, Glyphs::Unicode, ground);
            let mut all: Vec<Option<Color>> = (1..=8).map(|n| theme.sender(n)).collect();
            all.sort_by_key(|color| format!("{color:?}"));
            all.dedup();
            assert_eq!(all.len(), if depth == Depth::Full { 8 } else { 1 });
            assert_eq!((theme.sender(0), theme.sender(9)), (None, None));
        }
    }
}
