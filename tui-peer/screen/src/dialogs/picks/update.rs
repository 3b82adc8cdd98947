//! Keys in the lists of bans and of names waited for, and in the limits of one content.

use crossterm::event::{KeyCode, KeyEvent};
use settings::parse_rate;

use super::state::{LimitOne, PickKind, Picks};
use crate::field::Field;
use crate::model::{Dialog, Model};
use crate::msg::{Asked, Effect};
use engine::api::command::Command;

/// Says whether the dialog stays open.
pub(crate) fn limit_key(limit: &mut LimitOne, key: KeyEvent, out: &mut Vec<Effect>) -> bool {
    match key.code {
        KeyCode::Tab | KeyCode::BackTab | KeyCode::Up | KeyCode::Down => {
            limit.at_up = !limit.at_up || !limit.downloading;
        }
        KeyCode::Enter => match (typed_rate(&limit.up), typed_rate(&limit.down)) {
            (Ok(up), Ok(down)) => {
                let say = Asked::Say(format!("limits set: {}", limit.name));
                out.push(Effect::Call(Command::LimitOne { id: limit.id, up, down }, say));
                return false;
            }
            (Err(why), _) | (_, Err(why)) => limit.error = Some(why),
        },
        _ => {
            limit.field().key(key);
            limit.error = None;
        }
    }
    true
}

/// A rate as typed; nothing is no limit.
fn typed_rate(field: &Field) -> Result<Option<u64>, String> {
    match field.text().trim() {
        "" => Ok(None),
        text => Ok(parse_rate(text)?.0),
    }
}

/// Says whether the list stays open.
pub(crate) fn picks_key(
    model: &Model,
    picks: &mut Picks,
    key: KeyEvent,
    out: &mut Vec<Effect>,
) -> bool {
    let last = picks.len(&model.snap).saturating_sub(1);
    match key.code {
        KeyCode::Char('q') => return false,
        KeyCode::Down | KeyCode::Char('j') => picks.cursor = (picks.cursor + 1).min(last),
        KeyCode::Up | KeyCode::Char('k') => picks.cursor = picks.cursor.saturating_sub(1),
        KeyCode::Enter | KeyCode::Char('x' | 'u') | KeyCode::Delete => {
            out.extend(
                picks
                    .end(&model.snap)
                    .map(|command| Effect::Call(command, Asked::Say("lifted".to_owned()))),
            );
        }
        _ => {}
    }
    picks.cursor = picks.cursor.min(last);
    true
}

pub(crate) fn open(model: &mut Model, kind: PickKind) {
    model.dialogs.push(Dialog::Picks(Picks { kind, cursor: 0 }));
}
