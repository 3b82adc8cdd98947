//! The dialog for links and join strings.

use common::join::Link;
use crossterm::event::{KeyCode, KeyEvent};

use crate::model::{Dialog, GetLink, Model};
use crate::msg::{Asked, Effect};
use engine::api::command::{Command, Download, Selection};

fn join_of(dialog: &GetLink) -> Result<Command, String> {
    match dialog.parsed() {
        None => Err("paste the line that the tracker printed, shoal://…".to_owned()),
        Some(Err(why)) => Err(why),
        Some(Ok(Link::Join(join))) => Ok(Command::Join { join }),
        Some(Ok(Link::File(link))) => Ok(Command::Join { join: link.join().clone() }),
    }
}

pub(crate) fn link_key(
    model: &mut Model,
    link: &mut GetLink,
    key: KeyEvent,
    out: &mut Vec<Effect>,
) -> bool {
    if key.code != KeyCode::Enter {
        link.error = None;
        link.field.key(key);
        return true;
    }
    if link.joining {
        return match join_of(link) {
            Ok(command) => {
                out.push(Effect::Call(command, Asked::Join));
                false
            }
            Err(why) => {
                link.error = Some(why);
                true
            }
        };
    }
    match link.parsed() {
        Some(Ok(Link::File(file))) => {
            // A link of another network cannot be fetched from this one.
            let here = model.snap.network.joined();
            if here.is_none_or(|here| here.tracker() != file.join().tracker()) {
                out.push(Effect::Call(Command::Join { join: file.join().clone() }, Asked::Join));
            }
            let name = file.name().map(str::to_owned);
            let shown = name.as_deref().map_or_else(|| file.id().short(), common::names::show);
            let command = Command::Download(Download {
                id: file.id(),
                name,
                dir: None,
                files: Selection::All,
            });
            out.push(Effect::Call(command, Asked::Say(format!("downloading: {shown}"))));
            false
        }
        Some(Ok(Link::Join(_))) => {
            link.joining = true;
            true
        }
        Some(Err(why)) => {
            link.error = Some(why);
            true
        }
        None => {
            link.error = Some("paste a link, shoal://…".to_owned());
            true
        }
    }
}

pub(crate) fn open(model: &mut Model) {
    model.dialogs.push(Dialog::Link(GetLink::default()));
}
