//! PURE: what shows outside the window: its title, progress in the task bar, notifications of the desktop.
//! Only for terminals known to understand them: there is no way to ask, and others show rubbish.

use std::time::{Duration, Instant};

use super::format;
use super::model::Model;
use super::theme::Env;
use engine::api::event::{Event, What};
use engine::api::snapshot::{NetState, Transfer, TransferState};

/// Between two titles, and between two values of progress.
const INTERVAL: Duration = Duration::from_secs(1);
/// What ends within this time is told in one notification.
const BATCH: Duration = Duration::from_secs(3);
/// Names in one notification.
const NAMES: usize = 3;
/// Names remembered for one notification; more are only counted.
const MAX_NAMES: usize = 16;
/// Characters of one name.
const MAX_NAME: usize = 60;

/// How a terminal takes notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notify {
    /// OSC 9 (iTerm2).
    Nine,
    /// OSC 777 (rxvt-unicode, foot, `WezTerm`, Ghostty).
    Rxvt,
    /// OSC 99 (kitty).
    Kitty,
}

/// What the terminal is known to understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// Titles, with a stack to restore them from.
    pub title: bool,
    /// ConEmu's progress, OSC 9;4.
    pub progress: bool,
    /// Notifications.
    pub notify: Option<Notify>,
}

impl Known {
    /// By the names terminals give themselves. Nothing passes a multiplexer but the title.
    pub fn by(env: Env<'_>) -> Self {
        let get = |name: &str| env(name).unwrap_or_default();
        let (term, program) = (get("TERM"), get("TERM_PROGRAM"));
        let title = !term.is_empty() && term != "linux" && term != "dumb";
        let through = ["TMUX", "STY", "ZELLIJ"].iter().any(|name| env(name).is_some());
        if through {
            return Self { title, ..Self::default() };
        }
        let notify = match program.as_str() {
            "iTerm.app" => Some(Notify::Nine),
            "WezTerm" | "ghostty" => Some(Notify::Rxvt),
            _ if term.contains("kitty") => Some(Notify::Kitty),
            _ if ["foot", "rxvt-unicode", "ghostty"].iter().any(|t| term.contains(t)) => {
                Some(Notify::Rxvt)
            }
            _ => None,
        };
        let progress = env("WT_SESSION").is_some()
            || get("ConEmuANSI") == "ON"
            || ["WezTerm", "ghostty"].contains(&program.as_str());
        Self { title, progress, notify }
    }
}

/// What was shown last, and what is to be told.
#[derive(Debug)]
pub struct Signs {
    known: Known,
    title: String,
    progress: Option<u64>,
    next: Option<Instant>,
    /// Names of what ended well, what badly, who came; how many; and when it is told.
    done: (Vec<String>, usize),
    failed: (Vec<String>, usize),
    came: (Vec<String>, usize),
    tell: Option<Instant>,
}

impl Signs {
    /// For a terminal.
    pub fn new(known: Known) -> Self {
        Self {
            known,
            title: String::new(),
            progress: None,
            next: None,
            done: (Vec::new(), 0),
            failed: (Vec::new(), 0),
            came: (Vec::new(), 0),
            tell: None,
        }
    }

    /// Something happened; it is told later if nobody looks.
    pub fn event(&mut self, event: &Event, model: &Model, now: Instant) {
        if model.attention || self.known.notify.is_none() {
            return;
        }
        let request = model.prefs.table.notify();
        let (names, n) = match &event.what {
            What::Done { path, .. } if request.done => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                add(&mut self.done.0, name);
                (&self.done.0, &mut self.done.1)
            }
            What::Failed { .. } if request.error => {
                add(&mut self.failed.0, event.text.clone());
                (&self.failed.0, &mut self.failed.1)
            }
            What::Peer { connected: true, .. } if request.peer => {
                add(&mut self.came.0, event.text.clone());
                (&self.came.0, &mut self.came.1)
            }
            _ => return,
        };
        debug_assert!(names.len() <= MAX_NAMES);
        *n += 1;
        self.tell.get_or_insert(now + BATCH);
    }

    /// What is to be sent now, if anything.
    pub fn due(&mut self, model: &Model, now: Instant) -> Vec<u8> {
        let mut out = String::new();
        if self.next.is_none_or(|next| next <= now) {
            self.next = None;
            let title = title(model);
            if self.known.title && title != self.title {
                out.push_str(&format!("\x1b]2;{title}\x1b\\"));
                self.title = title;
                self.next = Some(now + INTERVAL);
            }
            let progress = progress(model);
            if self.known.progress && progress != self.progress {
                out.push_str(&match progress {
                    Some(percent) => format!("\x1b]9;4;1;{percent}\x1b\\"),
                    None => "\x1b]9;4;0;\x1b\\".to_owned(),
                });
                self.progress = progress;
                self.next = Some(now + INTERVAL);
            }
        }
        if model.attention {
            // Whoever looks sees it.
            self.forget();
        } else if self.tell.is_some_and(|at| at <= now) {
            if let Some(how) = self.known.notify {
                out.push_str(&notification(how, &self.text()));
            }
            self.forget();
        }
        out.into_bytes()
    }

    /// When something is to be sent, if nothing happens before.
    pub fn deadline(&self, model: &Model) -> Option<Instant> {
        let changed = (self.known.title && title(model) != self.title)
            || (self.known.progress && progress(model) != self.progress);
        let next = self.next.filter(|_| changed);
        [next, self.tell].into_iter().flatten().min()
    }

    /// The terminal was given back meanwhile: everything is to be shown again.
    pub fn reset(&mut self) {
        (self.title, self.progress, self.next) = (String::new(), None, None);
    }

    fn forget(&mut self) {
        (self.done, self.failed) = ((Vec::new(), 0), (Vec::new(), 0));
        (self.came, self.tell) = ((Vec::new(), 0), None);
    }

    fn text(&self) -> String {
        let part = |(names, n): &(Vec<String>, usize), word: &str| {
            let shown: Vec<&str> = names.iter().take(NAMES).map(String::as_str).collect();
            let more = n.saturating_sub(shown.len());
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            (*n > 0).then(|| format!("{word}: {}{rest}", shown.join(", ")))
        };
        let parts =
            [part(&self.done, "Done"), part(&self.failed, "Failed"), part(&self.came, "Peers")];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" - ")
    }
}

fn add(names: &mut Vec<String>, name: String) {
    if names.len() < MAX_NAMES {
        names.push(common::names::show(&name).chars().take(MAX_NAME).collect());
    }
}

fn notification(how: Notify, text: &str) -> String {
    // Names are safe to show already; a semicolon would end a field of OSC 777.
    let text = text.replace(';', ",");
    match how {
        Notify::Nine => format!("\x1b]9;Shoal: {text}\x1b\\"),
        Notify::Rxvt => format!("\x1b]777;notify;Shoal;{text}\x1b\\"),
        Notify::Kitty => format!("\x1b]99;i=shoal;Shoal: {text}\x1b\\"),
    }
}

fn running(model: &Model) -> impl Iterator<Item = &Transfer> {
    model.snap.transfers.iter().filter(|t| {
        t.is_unfinished() && !matches!(t.state, TransferState::Paused | TransferState::Failed(_))
    })
}

/// Whole percent of what is being downloaded; `None` if nothing is.
fn progress(model: &Model) -> Option<u64> {
    let (done, size) = running(model).fold((0u64, 0u64), |(done, size), t| {
        (done.saturating_add(t.done), size.saturating_add(t.size))
    });
    (size > 0).then(|| (u128::from(done) * 100 / u128::from(size)).try_into().unwrap_or(99).min(99))
}

/// The window's title: what one wants to know from afar.
fn title(model: &Model) -> String {
    let theme = model.theme;
    let totals = &model.snap.totals;
    let state = if let Some(percent) = progress(model) {
        let rate = format::rate(totals.down_rate, theme.dash(), model.units);
        format!("{} {percent}% {rate} {} ", theme.down(), theme.dash())
    } else if matches!(model.snap.network.state, NetState::Lost { .. }) {
        let how = if model.snap.network.met { "lost" } else { "never reached" };
        format!("tracker {how} {} ", theme.dash())
    } else if totals.up_rate >= 1.0 {
        format!(
            "{} {} {} ",
            theme.up(),
            format::rate(totals.up_rate, theme.dash(), model.units),
            theme.dash()
        )
    } else {
        String::new()
    };
    format!("{state}Shoal")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(vars: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| vars.iter().find(|(k, _)| *k == name).map(|(_, v)| (*v).to_owned())
    }

    #[test]
    fn only_known_terminals_are_told() {
        let kitty = Known::by(&env(&[("TERM", "xterm-kitty")]));
        assert_eq!(kitty.notify, Some(Notify::Kitty));
        let plain = Known::by(&env(&[("TERM", "xterm-256color")]));
        assert_eq!(plain, Known { title: true, ..Known::default() });
        assert_eq!(Known::by(&env(&[("TERM", "linux")])), Known::default());
        let tmux = Known::by(&env(&[("TERM", "tmux"), ("TMUX", "x"), ("TERM_PROGRAM", "ghostty")]));
        assert_eq!(tmux, plain);
        assert!(Known::by(&env(&[("TERM", "xterm"), ("WT_SESSION", "1")])).progress);
    }

    #[test]
    fn notifications_cannot_be_forged_by_names() {
        let mut signs = Signs::new(Known { notify: Some(Notify::Rxvt), ..Known::default() });
        add(&mut signs.done.0, "a\x1b\\;b".to_owned());
        signs.done.1 = 5;
        let text = notification(Notify::Rxvt, &signs.text());
        assert_eq!(text, "\x1b]777;notify;Shoal;Done: a\\u{1b}\\,b and 4 more\x1b\\");
    }
}
