//! Which commands the palette lists.

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use crate::action::Action;
use crate::model::Model;

/// Longest query looked at; a matcher's work grows with it.
const MAX_QUERY: usize = 80;

/// A match is listed if its score is at least this part of the best one (two of three).
const NEAR: (u32, u32) = (2, 3);
/// What is shown counts more than what is only known.
const HELP_BONUS: u32 = 20;

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
