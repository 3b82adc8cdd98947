//! `^C`.

use crate::action::Action;
use crate::model::{INTERRUPT_WINDOW, Model, Tone};
use crate::msg::{Effect, ExitReason};

/// Twice within two seconds quits at once: `^C` wherever one is, in lists also other keys. Says whether the
/// key is used up.
pub(super) fn interrupt(model: &mut Model, again: &str, out: &mut Vec<Effect>) -> bool {
    let now = model.now.mono;
    let second =
        model.interrupted.is_some_and(|at| now.saturating_duration_since(at) < INTERRUPT_WINDOW);
    model.interrupted = Some(now);
    if second {
        out.push(Effect::Exit(ExitReason::QuitNow));
        return true;
    }
    let (tone, text) = match model.setting.attached {
        Some(pid) => (Tone::Plain, format!("{again} closes this screen; process {pid} runs on")),
        None => {
            let gracefully = model.keymap.and(" · ", Action::Quit, "quits gracefully");
            (Tone::Warn, format!("{again} quits at once (state is saved){gracefully}"))
        }
    };
    model.toasts.push(tone, text, now);
    // In a field or dialog the first one also cancels.
    model.dialogs.is_empty() && model.typing.is_none()
}
