//! `^C` and the like are not shown while bars stand at the bottom: what the terminal writes by itself moves the cursor
//! away from where they were drawn, and some of them would stay for good.

use std::sync::{Mutex, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The terminal as it was.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Has them not shown, until [`back`].
pub(super) fn off() {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    if before.is_some() || !is_ours() {
        return;
    }
    let stderr = std::io::stderr();
    let Ok(found) = tcgetattr(&stderr) else { return };
    let mut quiet = found.clone();
    quiet.local_modes.remove(LocalModes::ECHOCTL);
    if tcsetattr(&stderr, OptionalActions::Now, &quiet).is_ok() {
        *before = Some(found);
        crate::leave::before(back);
    }
}

/// As the terminal was.
pub(super) fn back() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before.filter(|_| is_ours()) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(std::io::stderr(), OptionalActions::Now, &before);
    }
}

/// Whether we are in its foreground: who is not, and changes it, is stopped. As the system says it (`proc(5)`): a
/// group of another PID namespace has number 0, which rustix cannot hold. Where it does not say, nothing is changed.
fn is_ours() -> bool {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program stands in parentheses, and may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let fields: Vec<&str> = fields.split_whitespace().take(6).collect();
    matches!(fields.as_slice(), [_state, _parent, group, _session, _tty, foreground] if group == foreground)
}
