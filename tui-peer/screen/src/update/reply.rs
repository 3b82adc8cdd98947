//! Answers of the engine.

use crate::model::{Dialog, Model, Tone};
use crate::msg::{Asked, Effect};
use engine::api::command::{CommandError, Reply};

pub(super) fn reply(
    model: &mut Model,
    asked: Asked,
    result: Result<Reply, CommandError>,
    out: &mut Vec<Effect>,
) {
    let now = model.now.mono;
    if matches!(asked, Asked::Host | Asked::Join) {
        model.welcome.busy = false;
    }
    match (asked, result) {
        (Asked::Files(id), result) => {
            let entries = match result {
                Ok(Reply::Files(entries)) => Ok(entries),
                Ok(_) => Err("no answer".to_owned()),
                Err(error) => Err(common::names::show(&error.message)),
            };
            for dialog in &mut model.dialogs {
                if let Dialog::Contents(contents) = dialog
                    && contents.id == id
                {
                    match &entries {
                        Ok(entries) => contents.fill(entries.clone()),
                        Err(why) => contents.error = Some(why.clone()),
                    }
                }
            }
        }
        (Asked::Host, Ok(Reply::Hosting(join))) => {
            super::network::invite(model, &join.to_string());
            let text = format!("hosting a network at {}", join.address());
            model.toasts.push(Tone::Good, text, now);
        }
        (Asked::Say(text), Ok(_)) => model.toasts.push(Tone::Good, common::names::show(&text), now),
        (Asked::Join, Ok(_)) => model.toasts.push(Tone::Good, "joining".to_owned(), now),
        (Asked::Setting(item, text), Ok(_)) => {
            crate::screens::settings::update::agreed(model, item, text, out)
        }
        (_, Ok(_)) => {}
        (asked, Err(error)) => {
            if matches!(asked, Asked::Host | Asked::Join) && model.is_welcome() {
                model.welcome.error = Some(common::names::show(&error.message));
            }
            model.toasts.push(Tone::Bad, common::names::show(&error.message), now);
        }
    }
}
