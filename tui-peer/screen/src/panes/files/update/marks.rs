//! Marks on rows, one by one or a range of them, and what `.` repeats.

use common::id::ContentId;

use crate::action::{Action, Group};
use crate::model::{Model, Range, RowKey, Tone};
use crate::update::moves::step;

/// Most rows marked at once: more are a mistake, and every one becomes a command.
const MOST: usize = 1000;
/// Most rows marked by one key with a count.
const MAX_TIMES: isize = 1000;

fn mark(model: &mut Model) {
    // By place: with a count, the cursor is ahead of what is known to be selected.
    if let Some(RowKey::Content(id)) = model.row_key(model.tab, model.list().cursor) {
        if !model.marks.remove(&id) {
            model.marks.insert(id);
        }
        step(model, 1);
    }
}

pub(crate) fn mark_all(model: &mut Model) {
    if !model.marks.is_empty() {
        model.marks.clear();
        return;
    }
    let tab = model.tab;
    let n = model.list().rows.len();
    if n > MOST {
        model.toast(Tone::Warn, "too many to mark at once: filter first");
        return;
    }
    let ids: Vec<ContentId> = (0..n)
        .filter_map(|at| match model.row_key(tab, at) {
            Some(RowKey::Content(id)) => Some(id),
            _ => None,
        })
        .collect();
    model.marks.extend(ids);
}

/// Begins a range at the cursor, or ends the one that was begun.
pub(crate) fn range(model: &mut Model) {
    if model.range.take().is_some() {
        return;
    }
    let Some(id) = model.selected() else { return };
    model.range = Some(Range { anchor: id, before: model.marks.clone() });
    model.marks.insert(id);
    let keymap = &model.keymap;
    let ends = keymap.and(", then ", Action::MarkRange, "ends it");
    let text = format!("range: move{ends}{}", keymap.and(", ", Action::Back, "drops it"));
    model.toast(Tone::Plain, text);
}

/// After a key: the range reaches to the cursor.
pub(crate) fn extend(model: &mut Model, action: Action) {
    let Some(range) = model.range.take() else { return };
    let moved = matches!(action.group(), Group::Move) || action == Action::MarkRange;
    if !moved {
        return;
    }
    let tab = model.tab;
    let key = RowKey::Content(range.anchor);
    let rows = model.list().rows.len();
    let Some(anchor) = (0..rows).find(|at| model.row_key(tab, *at).as_ref() == Some(&key)) else {
        return;
    };
    let cursor = model.list().cursor;
    let (low, high) = (anchor.min(cursor), anchor.max(cursor));
    if high - low >= MOST {
        model.toast(Tone::Warn, "too many to mark at once: filter first");
    } else {
        model.marks.clone_from(&range.before);
        for at in low..=high {
            if let Some(RowKey::Content(id)) = model.row_key(tab, at) {
                model.marks.insert(id);
            }
        }
    }
    model.range = Some(range);
}

/// Whether `.` does it again: what is done with files, not what only shows something.
pub(crate) fn repeats(action: Action) -> bool {
    action.group() == Group::File
        && !matches!(
            action,
            Action::Enter | Action::Why | Action::Contents | Action::MarkAll | Action::MarkRange
        )
}

/// Marks as many rows from the cursor on.
pub(crate) fn mark_rows(model: &mut Model, times: isize) {
    // Not twice on the last row: that would take the mark back.
    let below = model.list().rows.len().saturating_sub(model.list().cursor);
    let below = isize::try_from(below).unwrap_or(MAX_TIMES);
    (0..times.min(below).clamp(1, MAX_TIMES)).for_each(|_| mark(model));
}
