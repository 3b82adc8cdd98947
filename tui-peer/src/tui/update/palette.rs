//! The command palette: keys, and which commands match.

use crossterm::event::{KeyCode, KeyEvent};
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::super::action::Action;
use super::super::field::Field;
use super::super::model::Model;

/// Longest query looked at; a matcher's work grows with it.
const MAX_QUERY: usize = 80;

/// `Err` is the action to run.
pub(super) fn palette_key(
    model: &Model,
    query: &mut Field,
    cursor: &mut usize,
    key: KeyEvent,
) -> Result<bool, Action> {
    match key.code {
        KeyCode::Enter => {
            let found = palette_rows(model, query.text());
            return found.get(*cursor).copied().map_or(Ok(true), Err);
        }
        KeyCode::Down | KeyCode::Tab => *cursor += 1,
        KeyCode::Up | KeyCode::BackTab => *cursor = cursor.saturating_sub(1),
        KeyCode::PageDown => *cursor += 10,
        KeyCode::PageUp => *cursor = cursor.saturating_sub(10),
        KeyCode::Backspace if query.text().is_empty() => return Ok(false),
        _ => {
            query.key(key);
            *cursor = 0;
        }
    }
    *cursor = (*cursor).min(palette_rows(model, query.text()).len().saturating_sub(1));
    Ok(true)
}

/// Commands that match, best first: by key, name, what it does and other words for it.
pub(crate) fn palette_rows(model: &Model, query: &str) -> Vec<Action> {
    let query: String = query.trim().trim_start_matches(':').chars().take(MAX_QUERY).collect();
    let all = Action::ALL.iter().copied().filter(|action| action.palette());
    if query.is_empty() {
        return all.collect();
    }
    let pattern = Pattern::parse(&query, CaseMatching::Ignore, Normalization::Smart);
    let mut matcher = Matcher::new(Config::DEFAULT);
    let mut buffer = Vec::new();
    let mut score = |text: &str| pattern.score(Utf32Str::new(text, &mut buffer), &mut matcher);
    let mut found: Vec<(u32, Action)> = all
        .filter_map(|action| {
            if action.name() == query || model.keymap.keys(action).contains(&query) {
                return Some((u32::MAX, action));
            }
            let help = score(model.help(action)).map(|s| s + HELP_BONUS);
            let name = score(action.name()).map(|s| s + HELP_BONUS);
            let best = help.max(name).max(score(action.words()));
            // Words from several of them together.
            let best = best.or_else(|| {
                score(&format!("{} {} {}", model.help(action), action.name(), action.words()))
                    .filter(|_| query.contains(' '))
            });
            Some((best?, action))
        })
        .collect();
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    // Letters scattered over a sentence are no match beside a word that begins with them.
    let best = found.iter().map(|(score, _)| *score).find(|score| *score != u32::MAX);
    found.retain(|(score, _)| {
        score.saturating_mul(NEAR.1) >= best.unwrap_or(0).saturating_mul(NEAR.0)
    });
    found.into_iter().map(|(_, action)| action).collect()
}

/// A match is listed if its score is at least this part of the best one (two of three).
const NEAR: (u32, u32) = (2, 3);
/// What is shown counts more than what is only known.
const HELP_BONUS: u32 = 20;
