//! The colours. Those of the map were searched for: far enough apart for normal, protan, deutan and
//! tritan vision, and at least 3:1 on the background.

use ratatui::style::Color;

use settings::Role;

use super::{Depth, Ground};

const ROLES: usize = Role::ALL.len();

/// A colour for every [`Role`]; `None` leaves the terminal's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette([Option<Color>; ROLES]);

impl Palette {
    /// Without colours.
    pub const NONE: Self = Self([None; ROLES]);

    /// The built-in colours for a terminal.
    pub const fn standard(depth: Depth, ground: Ground) -> Self {
        match (depth, ground) {
            (Depth::Mono, _) => Self::NONE,
            (Depth::Sixteen, Ground::Dark) => sixteen(Color::White),
            (Depth::Sixteen, Ground::Light) => SIXTEEN_LIGHT,
            (Depth::Full, Ground::Dark) => DARK,
            (Depth::Full, Ground::Light) => LIGHT,
        }
    }

    /// The built-in colours with more contrast: at least 6.5:1 on black or white, no grey text.
    pub const fn contrast(depth: Depth, ground: Ground) -> Self {
        match (depth, ground) {
            (Depth::Mono, _) => Self::NONE,
            (Depth::Sixteen, Ground::Dark) => without_lines(sixteen(Color::White)),
            (Depth::Sixteen, Ground::Light) => without_lines(SIXTEEN_LIGHT),
            (Depth::Full, Ground::Dark) => CONTRAST_DARK,
            (Depth::Full, Ground::Light) => CONTRAST_LIGHT,
        }
    }

    /// The colour for a role.
    pub fn get(self, role: Role) -> Option<Color> {
        self.0.get(role as usize).copied().flatten()
    }

    /// With another colour for a role.
    #[must_use]
    pub fn with(mut self, role: Role, color: Color) -> Self {
        if let Some(own) = self.0.get_mut(role as usize) {
            *own = Some(color);
        }
        self
    }
}

const fn at(index: u8) -> Option<Color> {
    Some(Color::Indexed(index))
}

// In the order of the roles: have, flight, many, some, one, lost, unwanted; accent, warn, error, dim,
// line, shade.

const DARK: Palette = Palette([
    at(26),
    at(220),
    at(255),
    at(246),
    at(241),
    at(160),
    at(237),
    at(75),
    at(220),
    at(203),
    at(246),
    at(241),
    at(240),
]);

const LIGHT: Palette = Palette([
    at(25),
    at(136),
    at(234),
    at(240),
    at(245),
    at(124),
    at(252),
    at(25),
    at(94),
    at(124),
    at(240),
    at(245),
    at(248),
]);

const CONTRAST_DARK: Palette = Palette([
    at(39),
    at(226),
    at(231),
    at(252),
    at(246),
    at(203),
    at(240),
    at(81),
    at(226),
    at(210),
    None,
    None,
    at(244),
]);

const CONTRAST_LIGHT: Palette = Palette([
    at(19),
    at(58),
    at(16),
    at(238),
    at(240),
    at(124),
    at(250),
    at(19),
    at(58),
    at(88),
    None,
    None,
    at(244),
]);

/// On white: of the sixteen, yellow and the light ones cannot be read there.
const SIXTEEN_LIGHT: Palette = Palette([
    Some(Color::Blue),
    Some(Color::Magenta),
    Some(Color::Black),
    Some(Color::DarkGray),
    Some(Color::DarkGray),
    Some(Color::Red),
    Some(Color::Gray),
    Some(Color::Blue),
    Some(Color::Magenta),
    Some(Color::Red),
    None,
    Some(Color::DarkGray),
    Some(Color::DarkGray),
]);

const fn sixteen(many: Color) -> Palette {
    Palette([
        Some(Color::LightBlue),
        Some(Color::LightYellow),
        Some(many),
        Some(Color::Gray),
        Some(Color::DarkGray),
        Some(Color::LightRed),
        Some(Color::DarkGray),
        Some(Color::LightBlue),
        Some(Color::Yellow),
        Some(Color::LightRed),
        None,
        Some(Color::DarkGray),
        Some(Color::DarkGray),
    ])
}

/// With the terminal's own foreground for all lines.
const fn without_lines(mut palette: Palette) -> Palette {
    palette.0[Role::Line as usize] = None;
    palette
}

/// Black or white, whichever can be read better on a colour of the palette or of a user's own.
pub(super) fn ink(on: Color) -> Color {
    /// Relative luminance at which black and white have the same contrast: sqrt(1.05 * 0.05) - 0.05.
    const MIDDLE: f64 = 0.179;
    let [r, g, b] = match on {
        Color::Rgb(r, g, b) => [r, g, b],
        Color::Indexed(i @ 232..) => [8 + 10 * (i - 232); 3],
        Color::Indexed(i @ 16..=231) => {
            [(i - 16) / 36, (i - 16) / 6 % 6, (i - 16) % 6].map(|s| STEPS[usize::from(s % 6)])
        }
        // The terminal's own colours: what they are is not known.
        _ => return Color::Indexed(231),
    };
    let linear = |v: u8| (f64::from(v) / 255.0).powf(2.2);
    let luminance = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    Color::Indexed(if luminance > MIDDLE { 16 } else { 231 })
}

/// Levels of red, green and blue in the colours 16 to 231.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The nearest of the colours 16 to 255 to a red, green and blue; for terminals that have no others.
pub(super) fn nearest(red: u8, green: u8, blue: u8) -> u8 {
    let off = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
    let step = |v: u8| (0..6u8).min_by_key(|i| off(STEPS[usize::from(*i)], v)).unwrap_or(0);
    let (r, g, b) = (step(red), step(green), step(blue));
    let away = |r: u8, g: u8, b: u8| off(r, red) + off(g, green) + off(b, blue);
    let cube = away(STEPS[usize::from(r)], STEPS[usize::from(g)], STEPS[usize::from(b)]);
    let gray = (0..24u8).min_by_key(|i| away(8 + 10 * i, 8 + 10 * i, 8 + 10 * i)).unwrap_or(0);
    let level = 8 + 10 * gray;
    if away(level, level, level) < cube { 232 + gray } else { 16 + 36 * r + 6 * g + b }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rgb(color: Color) -> [f64; 3] {
        let Color::Indexed(i) = color else { panic!("{color:?}") };
        let parts = if i >= 232 {
            [8 + 10 * (i - 232); 3]
        } else {
            let i = i - 16;
            [i / 36, i / 6 % 6, i % 6].map(|s| STEPS[usize::from(s)])
        };
        parts.map(f64::from)
    }

    /// WCAG 2 relative luminance.
    fn luminance(rgb: [f64; 3]) -> f64 {
        let [r, g, b] = rgb.map(|v| {
            let v = v / 255.0;
            if v <= 0.03928 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    fn contrast(color: Color, ground: Ground) -> f64 {
        let (l, back) = (luminance(rgb(color)), if ground == Ground::Dark { 0.0 } else { 1.0 });
        (f64::max(l, back) + 0.05) / (f64::min(l, back) + 0.05)
    }

    #[test]
    fn the_palette_is_the_one_of_the_specification() {
        use Role as R;
        for (ground, colours) in [
            (Ground::Dark, [26, 220, 255, 246, 241, 160]),
            (Ground::Light, [25, 136, 234, 240, 245, 124]),
        ] {
            let palette = Palette::standard(Depth::Full, ground);
            for (role, index) in
                [R::Have, R::Flight, R::Many, R::Some, R::One, R::Lost].into_iter().zip(colours)
            {
                assert_eq!(palette.get(role), Some(Color::Indexed(index)), "{ground:?} {role:?}");
            }
        }
    }

    #[test]
    fn colours_can_be_read_on_their_ground() {
        for ground in [Ground::Dark, Ground::Light] {
            for role in Role::ALL {
                if matches!(role, Role::Unwanted | Role::Shade) {
                    continue;
                }
                for (palette, least) in [
                    (Palette::standard(Depth::Full, ground), 3.0),
                    (Palette::contrast(Depth::Full, ground), 6.5),
                ] {
                    let Some(color) = palette.get(role) else { continue };
                    let found = contrast(color, ground);
                    assert!(found >= least, "{ground:?} {role:?} {color:?}: {found:.1}");
                }
            }
        }
    }

    #[test]
    fn signs_can_be_read_on_the_colours_of_the_map() {
        for ground in [Ground::Dark, Ground::Light] {
            for palette in
                [Palette::standard(Depth::Full, ground), Palette::contrast(Depth::Full, ground)]
            {
                let on = palette.get(Role::Lost).unwrap();
                let (a, b) = (luminance(rgb(on)) + 0.05, luminance(rgb(ink(on))) + 0.05);
                assert!(f64::max(a, b) / f64::min(a, b) > 4.5, "{ground:?} {on:?}");
            }
        }
        assert_eq!(ink(Color::Rgb(255, 255, 0)), Color::Indexed(16));
        assert_eq!(ink(Color::Rgb(0, 0, 90)), Color::Indexed(231));
    }

    #[test]
    fn any_colour_has_a_nearest_one() {
        assert_eq!(nearest(0, 95, 215), 26);
        assert_eq!(nearest(255, 215, 0), 220);
        assert_eq!(nearest(0x94, 0x94, 0x94), 246);
        assert_eq!(nearest(255, 255, 255), 231);
        assert_eq!(nearest(0, 0, 0), 16);
    }
}
