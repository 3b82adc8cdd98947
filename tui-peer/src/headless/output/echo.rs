//! `^C` and the like are not shown while bars stand at the bottom: what the terminal writes by itself moves the cursor
//! away from where they were drawn, and some of them would stay for good.

use std::sync::Mutex;

use common::lock::Unpoisoned as _;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// Whether we have them not shown.
static OFF: Mutex<bool> = Mutex::new(false);

/// Has them not shown, until [`back`]. A terminal that somebody else drives, as what reads our output from a pipe may,
/// is left alone.
pub(super) fn off() {
    let mut off = OFF.lock().unpoisoned();
    if *off || !is_ours() {
        return;
    }
    let stderr = std::io::stderr();
    let Ok(mut modes) = tcgetattr(&stderr) else { return };
    let shown = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ECHOCTL;
    if !modes.local_modes.contains(shown) {
        return;
    }
    modes.local_modes.remove(LocalModes::ECHOCTL);
    if tcsetattr(&stderr, OptionalActions::Now, &modes).is_ok() {
        *off = true;
        crate::leave::before(back);
    }
}

/// Has them shown again, and changes nothing else that may have become of the terminal meanwhile.
pub(super) fn back() {
    let was_off = std::mem::take(&mut *OFF.lock().unpoisoned());
    let stderr = std::io::stderr();
    if was_off
        && is_ours()
        && let Ok(mut modes) = tcgetattr(&stderr)
    {
        modes.local_modes.insert(LocalModes::ECHOCTL);
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(&stderr, OptionalActions::Now, &modes);
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
