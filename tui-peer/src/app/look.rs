//! How words look in the shell: as on the screen.

use crate::headless::Look;
use settings::Table;

/// From what the user asked for and what the terminal is.
#[cfg(feature = "tui")]
pub(super) fn look(table: &Table) -> Look {
    use crate::headless::{Paint, Signs};
    use screen::theme::{Detected, Glyphs, Theme};
    use settings::Role;

    let theme = Theme::resolve(table, &Detected::from(&|name| std::env::var(name).ok()));
    let signs = Signs {
        bar: theme.bar_parts(),
        eighths: theme.bar_eighths(),
        ellipsis: theme.ellipsis(),
        dash: theme.dash(),
        check: theme.check(),
        ascii: theme.glyphs == Glyphs::Ascii,
    };
    let mut look = Look { units: table.units(), signs, ..Look::default() };
    let role = |role: Role| theme.palette.get(role).and_then(colour);
    // Bold says the same where there are no colours; but who wants none of them wants no escapes.
    let bold = if theme.depth == screen::theme::Depth::Mono { "" } else { "1" };
    for (paint, code) in [
        (Paint::Accent, role(Role::Accent)),
        (Paint::Warn, role(Role::Warn)),
        (Paint::Error, role(Role::Error)),
        (Paint::Dim, role(Role::Dim)),
        (Paint::Title, Some(bold.to_owned())),
    ] {
        if let (Some(own), Some(code)) = (look.colours.get_mut(paint as usize), code) {
            *own = code;
        }
    }
    look
}

/// Without the screen there are no themes: what every terminal can show.
#[cfg(not(feature = "tui"))]
pub(super) fn look(table: &Table) -> Look {
    Look { units: table.units(), ..Look::default() }
}

/// What begins a colour, as SGR (ECMA-48) has it.
#[cfg(feature = "tui")]
fn colour(color: ratatui::style::Color) -> Option<String> {
    use ratatui::style::Color;
    // The terminal's own sixteen, in their order.
    const OWN: [Color; 16] = [
        Color::Black,
        Color::Red,
        Color::Green,
        Color::Yellow,
        Color::Blue,
        Color::Magenta,
        Color::Cyan,
        Color::Gray,
        Color::DarkGray,
        Color::LightRed,
        Color::LightGreen,
        Color::LightYellow,
        Color::LightBlue,
        Color::LightMagenta,
        Color::LightCyan,
        Color::White,
    ];
    match color {
        Color::Indexed(n) => Some(format!("38;5;{n}")),
        Color::Rgb(r, g, b) => Some(format!("38;2;{r};{g};{b}")),
        own => {
            let at = OWN.iter().position(|other| *other == own)?;
            Some(if at < 8 { format!("{}", 30 + at) } else { format!("{}", 82 + at) })
        }
    }
}
