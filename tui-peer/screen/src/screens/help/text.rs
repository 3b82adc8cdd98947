//! What the help says, made from the key map in use.

use ratatui::style::Style;
use unicode_width::UnicodeWidthStr as _;

use crate::action::{Action, Group};
use crate::heatmap::Standing;
use crate::model::Model;
use crate::ui::text::{Piece, wrap};

/// Columns of one help column.
pub(crate) const COLUMN: u16 = 38;

/// Columns of the keys.
const KEYS: usize = 11;
/// What one does most, first; all of them are below once more, among their like.
const OFTEN: [Action; 12] = [
    Action::Filter,
    Action::Download,
    Action::Pause,
    Action::Enter,
    Action::Why,
    Action::Remove,
    Action::Share,
    Action::Unshare,
    Action::CopyLink,
    Action::NextPane,
    Action::Palette,
    Action::Quit,
];

/// An action: its keys, and what it does on as many rows as that needs.
fn entry(model: &Model, action: Action) -> Vec<Vec<Piece>> {
    let keys = model.keymap.keys(action);
    // Without one, the palette has it.
    let keys = if keys.is_empty() {
        model.keymap.key(Action::Palette).unwrap_or_default()
    } else {
        keys.join(", ")
    };
    let style = model.theme.bold().patch(model.theme.accent());
    let wide = keys.width().max(KEYS - 1) + 1;
    let room = usize::from(COLUMN).saturating_sub(wide + 1);
    let mut lines = wrap(model.help(action), room.max(1)).into_iter();
    let first = lines.next().unwrap_or_default();
    let pad = " ".repeat(wide - keys.width());
    let mut out = vec![vec![(keys, style), (format!("{pad}{first}"), Style::new())]];
    out.extend(lines.map(|line| vec![(format!("{:wide$}{line}", ""), Style::new())]));
    out
}

/// Rows of the help for a query: heading or keys and what they do.
pub(crate) fn rows(model: &Model, query: &str) -> Vec<Vec<Piece>> {
    let theme = model.theme;
    let needle = query.to_lowercase();
    let mut out: Vec<Vec<Piece>> = Vec::new();
    if query.is_empty() {
        out.push(vec![("MOST USED".to_owned(), theme.bold())]);
        out.extend(OFTEN.into_iter().flat_map(|action| entry(model, action)));
    }
    for group in Group::ALL {
        let mut lines: Vec<Vec<Piece>> = Vec::new();
        for action in Action::ALL.iter().filter(|a| a.group() == group) {
            let keys = model.keymap.keys(*action).join(", ");
            let text =
                format!("{keys} {} {} {}", model.help(*action), action.name(), action.words())
                    .to_lowercase();
            if text.contains(&needle) {
                lines.extend(entry(model, *action));
            }
        }
        if !lines.is_empty() {
            if !out.is_empty() {
                out.push(Vec::new());
            }
            out.push(vec![(group.title().to_owned(), theme.bold())]);
            out.extend(lines);
        }
    }
    if query.is_empty() {
        out.extend(signs(model));
    }
    out
}

fn signs(model: &Model) -> Vec<Vec<Piece>> {
    let theme = model.theme;
    let mut out = vec![Vec::new(), vec![("GLYPHS".to_owned(), theme.bold())]];
    let wait = if theme.ellipsis().len() > 2 { theme.ellipsis() } else { "." };
    for (a, a_text, b, b_text) in [
        (theme.down(), "getting", theme.check(), "have"),
        (theme.sharing(), "sending", theme.pause(), "paused"),
        (wait, "queued", "!", "needs attention"),
    ] {
        out.push(vec![(format!("{a} {a_text:<12}{b} {b_text}"), Style::new())]);
    }
    out.push(Vec::new());
    out.push(vec![("COLOURS of chunks".to_owned(), theme.bold())]);
    for (standing, text) in [
        (Standing::Have, "have, verified"),
        (Standing::Flight, "in flight"),
        (Standing::Lack(5), "missing, 5 or more sources"),
        (Standing::Lack(2), "missing, 2 to 4 sources"),
        (Standing::Lack(1), "missing, 1 source"),
        (Standing::Lack(0), "missing, nobody online has it"),
        (Standing::Bad, "failed verification just now"),
        (Standing::Unwanted, "not chosen"),
    ] {
        out.push(vec![
            (theme.chunk_glyph(standing).to_owned(), theme.chunk_style(standing)),
            (format!(" {text}"), Style::new()),
        ]);
    }
    let key = model.keymap.key(Action::Filter);
    let key = key.map_or_else(String::new, |key| format!(" ( {key} )"));
    out.push(Vec::new());
    out.push(vec![(format!("FILTER{key}"), theme.bold())]);
    for text in [
        "deb iso     both words",
        "!nightly    without",
        "\"a b\"       exactly",
        "a|b         either",
        "size:>1G    src: avail: age:",
        "type:iso    state: hash: peer:",
    ] {
        out.push(vec![(text.to_owned(), Style::new())]);
    }
    out.push(Vec::new());
    out.push(vec![("Esc slow in tmux? set -sg escape-time 10".to_owned(), theme.dim())]);
    out
}
