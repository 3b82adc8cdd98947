//! Marking a range of rows, and what `.` repeats.

use super::super::action::{Action, Group};
use super::super::model::{Model, Range, RowKey, Tone};
use super::actions::toast;

/// Most rows of a range: every one becomes a command.
const MOST: usize = 1000;

/// Begins a range at the cursor, or ends the one that was begun.
pub(super) fn range(model: &mut Model) {
    if model.range.take().is_some() {
        return;
    }
    let Some(id) = model.selected() else { return };
    model.range = Some(Range { anchor: id, before: model.marks.clone() });
    model.marks.insert(id);
    let keymap = &model.keymap;
    let ends = keymap.and(", then ", Action::MarkRange, "ends it");
    let text = format!("range: move{ends}{}", keymap.and(", ", Action::Back, "drops it"));
    toast(model, Tone::Plain, &text);
}

/// After a key: the range reaches to the cursor.
pub(super) fn extend(model: &mut Model, action: Action) {
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
        toast(model, Tone::Warn, "too many to mark at once: filter first");
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
pub(super) fn repeats(action: Action) -> bool {
    action.group() == Group::File
        && !matches!(
            action,
            Action::Enter | Action::Why | Action::Contents | Action::MarkAll | Action::MarkRange
        )
}
