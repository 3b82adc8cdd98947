//! The look that follows from what the user asked for and what the terminal is.

use ratatui::style::Color;

use settings::{Base, Item, OwnTheme, Paint, Role, Table};

use super::detect::Detected;
use super::palette::{Palette, nearest};
use super::{Depth, Glyphs, Ground, Theme};

/// Colours below this place in the palette are the terminal's own.
const OWN_COLOURS: u8 = 16;

impl Theme {
    /// From what the user asked for and what was found out.
    pub fn resolve(table: &Table, detected: &Detected) -> Self {
        let name = table.text(Item::Theme);
        let own = table.themes.iter().find(|theme| theme.name == *name);
        let mut depth = match table.text(Item::Color).as_ref() {
            "256" => Depth::Full,
            "16" => Depth::Sixteen,
            "never" => Depth::Mono,
            _ => detected.depth,
        };
        if name == "mono" {
            depth = Depth::Mono;
        }
        let glyphs = match table.text(Item::Glyphs).as_ref() {
            "unicode" => Glyphs::Unicode,
            "cp437" => Glyphs::Cp437,
            "ascii" => Glyphs::Ascii,
            _ => detected.glyphs,
        };
        let ground = match (name.as_ref(), own.map(|theme| theme.base)) {
            ("dark", _) | (_, Some(Base::Dark)) => Ground::Dark,
            ("light", _) | (_, Some(Base::Light)) => Ground::Light,
            _ => detected.ground,
        };
        let contrast = name == "high-contrast" || own.is_some_and(|t| t.base == Base::Contrast);
        let mut palette = if contrast {
            Palette::contrast(depth, ground)
        } else {
            Palette::standard(depth, ground)
        };
        if let Some(own) = own {
            palette = paint(palette, own, depth, detected.rgb);
        }
        Self { depth, glyphs, ground, palette }
    }
}

/// The colours of a user's own theme, as far as the terminal has them.
fn paint(mut palette: Palette, own: &OwnTheme, depth: Depth, rgb: bool) -> Palette {
    for (role, paint) in Role::ALL.into_iter().zip(own.paints) {
        let color = match (paint, depth) {
            (None, _) | (_, Depth::Mono) => continue,
            (Some(Paint::Index(index)), Depth::Sixteen) if index >= OWN_COLOURS => continue,
            (Some(Paint::Index(index)), _) => Color::Indexed(index),
            (Some(Paint::Rgb(..)), Depth::Sixteen) => continue,
            (Some(Paint::Rgb(r, g, b)), Depth::Full) if rgb => Color::Rgb(r, g, b),
            (Some(Paint::Rgb(r, g, b)), Depth::Full) => Color::Indexed(nearest(r, g, b)),
        };
        palette = palette.with(role, color);
    }
    palette
}

/// The theme after this one, for the key that changes it: what is found out by itself is left out, as it
/// would look like one of the others.
pub fn next_theme(table: &Table, shown: Theme) -> String {
    let found = |name: &str| matches!(name, "auto" | "auto-ssh");
    let names: Vec<String> =
        Item::Theme.kind().words(&table.themes).into_iter().filter(|name| !found(name)).collect();
    let now = match table.text(Item::Theme).into_owned() {
        auto if found(&auto) => match (shown.depth, shown.ground) {
            (Depth::Mono, _) => "mono".to_owned(),
            (_, Ground::Dark) => "dark".to_owned(),
            (_, Ground::Light) => "light".to_owned(),
        },
        name => name,
    };
    let at = names.iter().position(|name| *name == now).map_or(0, |at| at + 1);
    names.get(at % names.len().max(1)).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(changes: &[(Item, &str)], detected: Detected) -> Theme {
        Theme::resolve(&table(changes), &detected)
    }

    fn table(changes: &[(Item, &str)]) -> Table {
        let mut sea = OwnTheme::new("sea");
        sea.base = Base::Light;
        sea.paints[Role::Have as usize] = Some(Paint::Rgb(0, 95, 175));
        sea.paints[Role::Warn as usize] = Some(Paint::Index(3));
        let mut table = Table::default();
        table.themes.push(sea);
        for (item, value) in changes {
            table.set(*item, value).unwrap();
        }
        table
    }

    const PLAIN: Detected =
        Detected { depth: Depth::Full, glyphs: Glyphs::Unicode, ground: Ground::Dark, rgb: false };

    #[test]
    fn auto_is_what_was_found_and_the_setting_wins() {
        let light = Detected { ground: Ground::Light, ..PLAIN };
        assert_eq!(look(&[], PLAIN), Theme::new(Depth::Full, Glyphs::Unicode, Ground::Dark));
        assert_eq!(look(&[], light), Theme::new(Depth::Full, Glyphs::Unicode, Ground::Light));
        let theme = look(&[(Item::Theme, "dark"), (Item::Glyphs, "ascii")], light);
        assert_eq!(theme, Theme::new(Depth::Full, Glyphs::Ascii, Ground::Dark));
        let theme = look(&[(Item::Color, "16")], PLAIN);
        assert_eq!(theme, Theme::new(Depth::Sixteen, Glyphs::Unicode, Ground::Dark));
        let mono = Detected { depth: Depth::Mono, ..PLAIN };
        assert_eq!(look(&[(Item::Color, "256")], mono).depth, Depth::Full, "said beats NO_COLOR");
        assert_eq!(look(&[(Item::Theme, "dark")], mono).palette, Palette::NONE);
        assert_eq!(look(&[(Item::Theme, "mono")], PLAIN).palette, Palette::NONE);
        assert_eq!(look(&[(Item::Color, "never")], PLAIN).depth, Depth::Mono);
        let strong = look(&[(Item::Theme, "high-contrast")], light);
        assert_eq!(strong.palette, Palette::contrast(Depth::Full, Ground::Light));
    }

    #[test]
    fn own_themes_fit_the_terminal() {
        let sea = [(Item::Theme, "sea")];
        let rgb = look(&sea, Detected { rgb: true, ..PLAIN });
        assert_eq!(rgb.ground, Ground::Light);
        assert_eq!(rgb.palette.get(Role::Have), Some(Color::Rgb(0, 95, 175)));
        let full = look(&sea, PLAIN);
        assert_eq!(full.palette.get(Role::Have), Some(Color::Indexed(25)));
        assert_eq!(full.palette.get(Role::Warn), Some(Color::Indexed(3)));
        assert_eq!(full.palette.get(Role::Lost), Some(Color::Indexed(124)), "of its base");
        let few = look(&sea, Detected { depth: Depth::Sixteen, ..PLAIN });
        assert_eq!(few.palette.get(Role::Have), Some(Color::Blue));
        assert_eq!(few.palette.get(Role::Warn), Some(Color::Indexed(3)));
    }

    #[test]
    fn the_key_goes_round_all_themes() {
        let mut table = table(&[]);
        let mut seen = Vec::new();
        for _ in 0..5 {
            let name = next_theme(&table, Theme::resolve(&table, &PLAIN));
            table.set(Item::Theme, &name).unwrap();
            seen.push(name);
        }
        assert_eq!(seen, ["light", "high-contrast", "mono", "sea", "dark"]);
    }
}
