//! Choosing a button, and what each does.

use crossterm::event::{KeyCode, KeyEvent};

use crate::model::{Choice, Confirm, Model, WhenIdle};
use crate::msg::{Asked, Effect, ExitReason};
use crate::update::{ask, network, requests, transfers};
use engine::api::command::Command;

/// The button that was pressed.
pub(crate) fn confirm_key(confirm: &mut Confirm, key: KeyEvent) -> Option<Choice> {
    let n = confirm.buttons.len().max(1);
    match key.code {
        KeyCode::Right | KeyCode::Tab | KeyCode::Down => {
            confirm.selected = (confirm.selected + 1) % n;
        }
        KeyCode::Left | KeyCode::BackTab | KeyCode::Up => {
            confirm.selected = (confirm.selected + n - 1) % n;
        }
        KeyCode::Enter => return confirm.buttons.get(confirm.selected).map(|b| b.choice),
        KeyCode::Char(' ') => {
            if let Some((_, ticked)) = &mut confirm.tick {
                *ticked = !*ticked;
            }
        }
        KeyCode::Char(c) => {
            // A letter marks its button; Enter presses it, so no single key destroys.
            let c = c.to_ascii_lowercase();
            let meant = confirm.letters().iter().position(|letter| *letter == Some(c));
            confirm.selected = meant.unwrap_or(confirm.selected);
        }
        _ => {}
    }
    None
}

/// Does what a button says.
pub(crate) fn chosen(model: &mut Model, confirm: &Confirm, choice: Choice, out: &mut Vec<Effect>) {
    let ids = confirm.ids.as_slice();
    match choice {
        Choice::Stay => {}
        Choice::Quit => out.push(Effect::Exit(ExitReason::Quit)),
        Choice::ServeOn => out.push(Effect::Exit(ExitReason::ServeOn)),
        Choice::QuitWhenIdle | Choice::LeaveWhenIdle => {
            let quit = choice == Choice::QuitWhenIdle;
            model.when_idle = Some(if quit { WhenIdle::Quit } else { WhenIdle::Leave });
            ask::when_idle(model, out);
        }
        Choice::Rejoin => network::rejoin(model, out),
        Choice::Leave => ask::leave_now(model, out),
        Choice::Remove => {
            let delete_partial = confirm.tick.is_some_and(|(_, ticked)| ticked);
            for id in ids {
                out.push(Effect::Call(Command::Remove { id: *id, delete_partial }, Asked::Quietly));
            }
            model.marks.clear();
            requests::removed(model, ids);
        }
        Choice::Unshare => transfers::unshare(model, ids, out),
        Choice::Ban(peer, for_ever) => requests::ban(model, peer, for_ever, out),
        Choice::Suspend => {
            model.suspend_confirmed = true;
            out.push(Effect::Suspend);
        }
    }
}
