//! Colours and symbols. Colour only ever carries meaning that a glyph or a word carries too; the
//! terminal's own foreground and background are left alone.

use ratatui::style::{Color, Modifier, Style};

use super::heatmap::{Rarity, Standing};

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

/// Which characters the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glyphs {
    /// Box drawing, blocks, arrows.
    Unicode,
    /// What the Linux console's font has.
    Cp437,
    /// Seven bits.
    Ascii,
}

/// Background the colours are chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// Dark.
    Dark,
    /// Light.
    Light,
}

/// What the user asked for; `None` is to be found out from the environment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// Colours.
    pub depth: Option<Depth>,
    /// Characters.
    pub glyphs: Option<Glyphs>,
    /// Background.
    pub ground: Option<Ground>,
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
}

/// Lines of a box: corners from top left clockwise, then horizontal and vertical.
#[derive(Debug, Clone, Copy)]
pub struct Lines {
    /// ┌ ┐ ┘ └
    pub corners: [&'static str; 4],
    /// ─
    pub horizontal: &'static str,
    /// │
    pub vertical: &'static str,
}

const ROUND: Lines =
    Lines { corners: ["╭", "╮", "╯", "╰"], horizontal: "─", vertical: "│" };
const THICK: Lines =
    Lines { corners: ["┏", "┓", "┛", "┗"], horizontal: "━", vertical: "┃" };
const SINGLE: Lines =
    Lines { corners: ["┌", "┐", "┘", "└"], horizontal: "─", vertical: "│" };
const DOUBLE: Lines =
    Lines { corners: ["╔", "╗", "╝", "╚"], horizontal: "═", vertical: "║" };
const PLAIN: Lines = Lines { corners: ["+", "+", "+", "+"], horizontal: "-", vertical: "|" };
const HASHED: Lines = Lines { corners: ["#", "#", "#", "#"], horizontal: "=", vertical: "#" };

/// A reader of environment variables, so that tests need not set any.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Theme {
    /// From what the user asked for and the environment.
    pub fn resolve(look: Look, env: Env<'_>) -> Self {
        Self {
            depth: look.depth.unwrap_or_else(|| depth(env)),
            glyphs: look.glyphs.unwrap_or_else(|| glyphs(env)),
            ground: look.ground.unwrap_or_else(|| ground(env)),
        }
    }

    /// The next of dark, light, monochrome.
    #[must_use]
    pub fn next(mut self, full: Depth) -> Self {
        (self.depth, self.ground) = match (self.depth, self.ground) {
            (Depth::Mono, _) => {
                (if full == Depth::Mono { Depth::Full } else { full }, Ground::Dark)
            }
            (depth, Ground::Dark) => (depth, Ground::Light),
            (_, Ground::Light) => (Depth::Mono, Ground::Light),
        };
        self
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match (self.depth, self.ground) {
            (Depth::Mono, _) => "monochrome",
            (Depth::Sixteen, Ground::Dark) => "dark, 16 colours",
            (Depth::Sixteen, Ground::Light) => "light, 16 colours",
            (Depth::Full, Ground::Dark) => "dark",
            (Depth::Full, Ground::Light) => "light",
        }
    }

    fn pick(self, dark: u8, light: u8, sixteen: Color) -> Style {
        match (self.depth, self.ground) {
            (Depth::Mono, _) => Style::new(),
            (Depth::Sixteen, _) => Style::new().fg(sixteen),
            (Depth::Full, Ground::Dark) => Style::new().fg(Color::Indexed(dark)),
            (Depth::Full, Ground::Light) => Style::new().fg(Color::Indexed(light)),
        }
    }

    /// Ours, good.
    pub fn have(self) -> Style {
        self.pick(26, 25, Color::LightBlue)
    }

    /// Blue that is readable as text.
    pub fn accent(self) -> Style {
        self.pick(75, 25, Color::LightBlue)
    }

    /// In flight, needs attention.
    pub fn warn(self) -> Style {
        self.pick(220, 94, Color::Yellow)
    }

    /// Wrong, lost.
    pub fn error(self) -> Style {
        self.pick(203, 124, Color::LightRed).add_modifier(Modifier::BOLD)
    }

    /// Less important text; still readable.
    pub fn dim(self) -> Style {
        match self.depth {
            Depth::Mono | Depth::Sixteen => Style::new(),
            Depth::Full => self.pick(246, 240, Color::Gray),
        }
    }

    /// Lines of boxes that have no focus.
    pub fn line(self) -> Style {
        match self.depth {
            Depth::Mono => Style::new(),
            Depth::Sixteen => Style::new().fg(Color::DarkGray),
            Depth::Full => self.pick(241, 245, Color::DarkGray),
        }
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
            Depth::Sixteen => Style::new().fg(Color::DarkGray).bg(Color::Reset),
            Depth::Full => self.pick(240, 248, Color::DarkGray).bg(Color::Reset),
        }
    }

    /// Foreground colour of a chunk's standing; `None` without colours.
    pub fn chunk_color(self, standing: Standing) -> Option<Color> {
        let (dark, light, sixteen) = match standing {
            Standing::Have => (26, 25, Color::LightBlue),
            Standing::Flight => (220, 136, Color::LightYellow),
            Standing::Bad | Standing::Lack(0) => (160, 124, Color::LightRed),
            Standing::Unwanted => (237, 252, Color::DarkGray),
            Standing::Lack(copies) => match Rarity::of(copies) {
                Rarity::Many => (
                    255,
                    234,
                    if self.ground == Ground::Dark { Color::White } else { Color::Black },
                ),
                Rarity::Some => (246, 240, Color::Gray),
                Rarity::One | Rarity::None => (241, 245, Color::DarkGray),
            },
        };
        match (self.depth, self.ground) {
            (Depth::Mono, _) => None,
            (Depth::Sixteen, _) => Some(sixteen),
            (Depth::Full, Ground::Dark) => Some(Color::Indexed(dark)),
            (Depth::Full, Ground::Light) => Some(Color::Indexed(light)),
        }
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

    /// Whether cells may have a background of their own.
    pub fn backgrounds(self) -> bool {
        self.depth == Depth::Full && self.glyphs == Glyphs::Unicode
    }

    /// Lines of a box.
    pub fn lines(self, focused: bool) -> Lines {
        match (self.glyphs, focused) {
            (Glyphs::Unicode, false) => ROUND,
            (Glyphs::Unicode, true) => THICK,
            (Glyphs::Cp437, false) => SINGLE,
            (Glyphs::Cp437, true) => DOUBLE,
            (Glyphs::Ascii, false) => PLAIN,
            (Glyphs::Ascii, true) => HASHED,
        }
    }

    /// Levels of a sparkline.
    pub fn levels(self) -> &'static [char] {
        match self.glyphs {
            Glyphs::Unicode => &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
            Glyphs::Cp437 => &['·', '░', '▒', '▓', '█'],
            Glyphs::Ascii => &['.', ':', '-', '=', '+', '*', '#'],
        }
    }

    fn glyph(
        self,
        unicode: &'static str,
        cp437: &'static str,
        ascii: &'static str,
    ) -> &'static str {
        match self.glyphs {
            Glyphs::Unicode => unicode,
            Glyphs::Cp437 => cp437,
            Glyphs::Ascii => ascii,
        }
    }

    /// Left edge of the row under the cursor.
    pub fn bar(self) -> &'static str {
        self.glyph("▌", "▌", ">")
    }
    /// A marked row.
    pub fn mark(self) -> &'static str {
        self.glyph("◆", "+", "+")
    }
    /// Down, getting.
    pub fn down(self) -> &'static str {
        self.glyph("↓", "↓", "v")
    }
    /// Up.
    pub fn up(self) -> &'static str {
        self.glyph("↑", "↑", "^")
    }
    /// Sharing.
    pub fn sharing(self) -> &'static str {
        self.glyph("⇡", "↑", "^")
    }
    /// Have, done.
    pub fn check(self) -> &'static str {
        self.glyph("✓", "√", "*")
    }
    /// Paused.
    pub fn pause(self) -> &'static str {
        self.glyph("‖", "║", "=")
    }
    /// Connected.
    pub fn on(self) -> &'static str {
        self.glyph("●", "•", "*")
    }
    /// Half way there.
    pub fn half(self) -> &'static str {
        self.glyph("◐", "○", "~")
    }
    /// Not connected.
    pub fn off(self) -> &'static str {
        self.glyph("○", "○", "o")
    }
    /// Left out, to come.
    pub fn ellipsis(self) -> &'static str {
        self.glyph("…", "..", "..")
    }
    /// Nothing.
    pub fn dash(self) -> &'static str {
        self.glyph("—", "-", "-")
    }
    /// Between two numbers.
    pub fn range(self) -> &'static str {
        self.glyph("–", "-", "-")
    }
    /// Between two things.
    pub fn dot(self) -> &'static str {
        self.glyph("·", "·", "-")
    }

    /// Before the number of repeats.
    pub fn times(self) -> &'static str {
        self.glyph("×", "x", "x")
    }

    /// Before a line that belongs to the one above.
    pub fn branch(self) -> &'static str {
        self.glyph("└", "└", "`-")
    }
    /// Between groups.
    pub fn separator(self) -> &'static str {
        self.glyph("│", "│", "|")
    }
    /// The position in a list, in its right border.
    pub fn thumb(self) -> &'static str {
        self.glyph("█", "█", "#")
    }
    /// Full and empty parts of a progress bar.
    pub fn bar_parts(self) -> (&'static str, &'static str) {
        match self.glyphs {
            Glyphs::Ascii => ("#", "."),
            _ => ("█", "░"),
        }
    }
}

/// 256 colours unless the environment says less. COLORTERM is not needed: the palette is 256.
fn depth(env: Env<'_>) -> Depth {
    let term = env("TERM").unwrap_or_default();
    if env("NO_COLOR").is_some_and(|v| !v.is_empty())
        || term == "dumb"
        || term.starts_with("vt1")
        || term.starts_with("vt2")
    {
        Depth::Mono
    } else if term.contains("256color") || env("COLORTERM").is_some() {
        Depth::Full
    } else if term == "linux"
        || term.starts_with("screen")
        || term == "ansi"
        || term.starts_with("rxvt")
        || term.is_empty()
    {
        Depth::Sixteen
    } else {
        // xterm, tmux, alacritty, foot, xterm-kitty, …: all of them know 256.
        Depth::Full
    }
}

fn glyphs(env: Env<'_>) -> Glyphs {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| env(name).filter(|value| !value.is_empty()))
        .unwrap_or_default()
        .to_ascii_lowercase();
    if !locale.contains("utf-8") && !locale.contains("utf8") {
        Glyphs::Ascii
    } else if env("TERM").as_deref() == Some("linux") {
        Glyphs::Cp437
    } else {
        Glyphs::Unicode
    }
}

/// From `COLORFGBG`, whose last number is the background; dark if nobody says.
fn ground(env: Env<'_>) -> Ground {
    let background = env("COLORFGBG")
        .and_then(|value| value.rsplit(';').next().and_then(|last| last.parse::<u8>().ok()));
    match background {
        Some(7 | 9..=15) => Ground::Light,
        _ => Ground::Dark,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(vars: &[(&str, &str)]) -> Theme {
        let vars: Vec<(String, String)> =
            vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let env = move |name: &str| vars.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone());
        Theme::resolve(Look::default(), &env)
    }

    #[test]
    fn the_environment_decides() {
        let t = with(&[("TERM", "xterm-256color"), ("LANG", "de_DE.UTF-8")]);
        assert_eq!((t.depth, t.glyphs, t.ground), (Depth::Full, Glyphs::Unicode, Ground::Dark));
        let t = with(&[("TERM", "linux"), ("LANG", "C.utf8")]);
        assert_eq!((t.depth, t.glyphs), (Depth::Sixteen, Glyphs::Cp437));
        let t = with(&[("TERM", "xterm"), ("LANG", "C"), ("NO_COLOR", "1")]);
        assert_eq!((t.depth, t.glyphs), (Depth::Mono, Glyphs::Ascii));
        let t = with(&[("TERM", "rxvt"), ("COLORFGBG", "0;default;15"), ("NO_COLOR", "")]);
        assert_eq!((t.depth, t.ground), (Depth::Sixteen, Ground::Light));
    }

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
            let theme = Theme { depth: Depth::Mono, glyphs, ground: Ground::Dark };
            let mut seen: Vec<&str> = all.iter().map(|s| theme.chunk_glyph(*s)).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), all.len(), "{glyphs:?}");
            assert!(all.iter().all(|s| theme.chunk_color(*s).is_none()));
        }
    }

    #[test]
    fn cycling_the_theme_comes_back() {
        let theme = with(&[("TERM", "xterm-256color")]);
        assert_eq!(theme.next(Depth::Full).next(Depth::Full).next(Depth::Full), theme);
    }
}
