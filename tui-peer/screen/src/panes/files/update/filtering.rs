//! The filter field: its keys, filters used before, and a word that was probably meant.

use crossterm::event::{KeyCode, KeyEvent};

use crate::filter::{Filter, fold};
use crate::keymap::ctrl;
use crate::model::{Model, Tab};
use crate::msg::Effect;
use crate::panes::files::geometry::height;
use crate::panes::files::update::{inside, lists};

/// Rows whose words are compared; more would be felt while typing.
const MAX_ROWS: usize = 20_000;
/// Letters that may be wrong.
const MAX_WRONG: usize = 2;
/// Shorter words resemble everything.
const MIN_WORD: usize = 3;

/// A key while the filter field is open.
pub(crate) fn filter_key(model: &mut Model, key: KeyEvent, out: &mut Vec<Effect>) {
    let ctrl = ctrl(key);
    let tab = model.tab;
    let page = isize::try_from(height(model, model.areas().files, tab)).unwrap_or(1);
    match key.code {
        KeyCode::Esc => {
            model.typing = None;
            clear(model, out);
        }
        KeyCode::Enter => {
            model.typing = None;
            keep(model, out);
        }
        KeyCode::Tab => take_meant(model, out),
        KeyCode::Char('r') if ctrl => recall(model, out),
        KeyCode::Down => model.list_mut(tab).step(1),
        KeyCode::Up => model.list_mut(tab).step(-1),
        KeyCode::PageDown => model.list_mut(tab).step(page),
        KeyCode::PageUp => model.list_mut(tab).step(-page),
        KeyCode::Backspace if model.list().field.text().is_empty() => model.typing = None,
        KeyCode::Char('c') if ctrl => {
            model.typing = None;
            clear(model, out);
        }
        _ => {
            let list = model.list_mut(tab);
            if list.field.key(key) {
                model.recall.rewind();
                changed(model, out);
            }
        }
    }
}

pub(crate) fn paste(model: &mut Model, text: &str, out: &mut Vec<Effect>) {
    let tab = model.at();
    model.list_mut(tab).field.paste(text);
    changed(model, out);
}

/// Shows everything again.
pub(crate) fn clear(model: &mut Model, out: &mut Vec<Effect>) {
    let tab = model.at();
    model.list_mut(tab).field.set("");
    changed(model, out);
}

pub(crate) fn changed(model: &mut Model, out: &mut Vec<Effect>) {
    let tab = model.at();
    let list = model.list_mut(tab);
    let filter = Filter::parse(list.field.text());
    if filter != list.filter {
        list.filter = filter;
        if tab == Tab::Network {
            inside::filtered(model);
        }
        lists::renew(model, out);
    }
}

/// `^R`: the filter used before.
pub(crate) fn recall(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(text) = model.recall.older().map(str::to_owned) else { return };
    let tab = model.tab;
    model.list_mut(tab).field.set(&text);
    changed(model, out);
}

/// The filter is kept: it is remembered as well.
pub(crate) fn keep(model: &mut Model, out: &mut Vec<Effect>) {
    let text = model.list().field.text().to_owned();
    if model.recall.add(&text) {
        out.push(Effect::KeepFilters(model.recall.text()));
    }
}

/// Tab: takes the word that was probably meant.
pub(crate) fn take_meant(model: &mut Model, out: &mut Vec<Effect>) {
    let Some((_, word, meant)) = model.meant.take() else { return };
    if word.is_empty() {
        return;
    }
    let text = model.list().field.text().replacen(&word, &meant, 1);
    let tab = model.tab;
    model.list_mut(tab).field.set(&text);
    changed(model, out);
}

/// After every message: looks for what was meant, once for each text without any match.
pub(crate) fn settle(model: &mut Model) {
    let list = model.list();
    if !list.rows.is_empty() || list.filter.is_empty() {
        model.meant = None;
        return;
    }
    let text = list.field.text();
    if model.meant.as_ref().is_none_or(|(of, ..)| of != text) {
        let text = text.to_owned();
        let (word, near) = meant(model).unwrap_or_default();
        model.meant = Some((text, word, near));
    }
}

/// For a filter without any match: the word of it that no name has, and the nearest one that some
/// name has.
fn meant(model: &Model) -> Option<(String, String)> {
    let list = model.list();
    if !list.rows.is_empty() || list.filter.is_empty() || list.field.text().len() > 80 {
        return None;
    }
    let names: Vec<String> = match model.tab {
        Tab::Network => {
            model.catalogue.rows.iter().take(MAX_ROWS).map(|row| fold(&row.name)).collect()
        }
        Tab::Downloads | Tab::Shared => {
            model.snap.transfers.iter().take(MAX_ROWS).map(|t| fold(&t.name)).collect()
        }
        Tab::Peers => return None,
    };
    let plain =
        |word: &&str| word.chars().count() >= MIN_WORD && word.chars().all(char::is_alphanumeric);
    list.field.text().split_whitespace().filter(plain).find_map(|word| {
        let folded = fold(word);
        if names.iter().any(|name| name.contains(&folded)) {
            return None;
        }
        nearest(&folded, &names).map(|meant| (word.to_owned(), meant))
    })
}

fn nearest(word: &str, names: &[String]) -> Option<String> {
    let length = word.chars().count();
    let mut best: Option<(usize, &str)> = None;
    for other in names.iter().flat_map(|name| name.split(|c: char| !c.is_alphanumeric())) {
        let long = other.chars().count();
        if long < MIN_WORD || long.abs_diff(length) > MAX_WRONG {
            continue;
        }
        let wrong = strsim::osa_distance(word, other);
        if wrong <= MAX_WRONG.min(length / 3) && best.is_none_or(|(least, _)| wrong < least) {
            best = Some((wrong, other));
        }
    }
    best.map(|(_, word)| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found() {
        let names = ["debian-12.iso", "ubuntu-24.04.iso"].map(str::to_owned);
        assert_eq!(nearest("debain", &names).as_deref(), Some("debian"));
        assert_eq!(nearest("ubunut", &names).as_deref(), Some("ubuntu"));
        assert_eq!(nearest("zebra", &names), None);
    }
}
