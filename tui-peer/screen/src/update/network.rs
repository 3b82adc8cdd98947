//! The network and what it has of us.

use crate::action::Action;
use crate::model::{Dialog, GetLink, Model, Tone};
use crate::msg::{Asked, Effect};
use engine::api::command::Command;
use engine::api::snapshot::NetState;

/// Shows the join string, for terminals that do not take copies.
pub(crate) fn invite(model: &mut Model, join: &str) {
    // Their keys are not known; ours are the best guess.
    let key = model.keymap.key(Action::Rejoin).map_or_else(String::new, |key| format!("{key}, "));
    let mut lines = vec![
        (Tone::Plain, format!("Others join with this line (welcome screen, {key}or --tracker):")),
        (Tone::Good, join.to_owned()),
    ];
    if join.contains("secret=") {
        lines.push((
            Tone::Warn,
            "It contains the secret: give it only to people you want in.".to_owned(),
        ));
    }
    model.dialogs.push(Dialog::Why { title: "Invite others".to_owned(), lines, about: None });
}

/// Asks for the join string of a network.
pub(crate) fn join(model: &mut Model) {
    model.dialogs.push(Dialog::Link(GetLink { joining: true, ..GetLink::default() }));
}

/// Back into the network that was left, or into one that is asked for.
pub(crate) fn rejoin(model: &mut Model, out: &mut Vec<Effect>) {
    match model.snap.network.state {
        NetState::Left => {
            out.push(Effect::Call(Command::Rejoin, Asked::Say("rejoining".to_owned())));
        }
        _ => join(model),
    }
}

pub(crate) fn copy_join(model: &mut Model, out: &mut Vec<Effect>) {
    if let Some(join) = model.snap.network.join.clone() {
        invite(model, &join);
        out.push(Effect::Copy(join, "join string"));
    }
}

/// Serves others, or rests.
pub(crate) fn serving(model: &Model, out: &mut Vec<Effect>) {
    let on = !model.snap.me.serving;
    let text =
        if on { "serving others again" } else { "serving paused: others cannot download from you" };
    out.push(Effect::Call(Command::Serve { on }, Asked::Say(text.to_owned())));
}

pub(crate) fn host(out: &mut Vec<Effect>) {
    out.push(Effect::Call(Command::Host, Asked::Host));
}

pub(crate) fn announce(out: &mut Vec<Effect>) {
    out.push(Effect::Call(Command::Announce, Asked::Say("asking the tracker".to_owned())));
}
