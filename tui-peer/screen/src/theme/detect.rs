//! What the terminal is, as far as the environment says.

use super::{Depth, Glyphs, Ground};

/// A reader of environment variables, so that tests need not set any.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What was found out about the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detected {
    /// Colours.
    pub depth: Depth,
    /// Characters.
    pub glyphs: Glyphs,
    /// Background.
    pub ground: Ground,
    /// Whether it takes any colour, not only those of the palette.
    pub rgb: bool,
}

impl Detected {
    /// Looks at the environment.
    pub fn from(env: Env<'_>) -> Self {
        let rgb = env("COLORTERM").is_some_and(|v| v == "truecolor" || v == "24bit");
        Self { depth: depth(env), glyphs: glyphs(env), ground: ground(env), rgb }
    }
}

impl Default for Detected {
    /// A usual terminal.
    fn default() -> Self {
        Self { depth: Depth::Full, glyphs: Glyphs::Unicode, ground: Ground::Dark, rgb: true }
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

    fn with(vars: &[(&str, &str)]) -> Detected {
        Detected::from(&|name| vars.iter().find(|(k, _)| *k == name).map(|(_, v)| (*v).to_owned()))
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
        assert!(!t.rgb && with(&[("COLORTERM", "truecolor")]).rgb);
    }
}
