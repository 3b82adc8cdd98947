//! The screen without a network: join, listen, downloads, share; host; demo.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::queries::{downloads_text, listen_text, nick_text, stops};
use crate::action::Action;
use crate::format;
use crate::layout::centred;
use crate::model::{Check, Line, Model, Stop, Tone};
use crate::ui::paint;

/// Columns before the values.
const LABEL: u16 = 13;
/// Rows of the lines with a value, the join string's check included.
const FIELDS: u16 = 7;
/// Rows of what is below them: two offers, what the line is for, and what others see.
const BELOW: u16 = 8;
/// Rows of what is above them, with the empty one.
const INTRO: u16 = 3;
/// Networks near that are shown at once.
const MAX_NEAR: u16 = 6;

pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let theme = model.theme;
    let whole = frame.area();
    let found = u16::try_from(model.welcome.near.networks.len()).unwrap_or(MAX_NEAR).min(MAX_NEAR);
    let area = centred(Rect { height: whole.height.saturating_sub(1), ..whole }, 76, 21 + found);
    let border = paint::Frame {
        title: vec![("Welcome to Shoal".to_owned(), theme.bold())],
        ..paint::Frame::default()
    };
    let inner = paint::boxed(frame.buffer_mut(), area, theme, true, &border);
    if inner.height < FIELDS + 3 {
        return;
    }
    let (x, width) = (inner.x + 2, inner.width.saturating_sub(4));
    let mut y = inner.y;
    let roomy = inner.height >= 18;
    let spare = inner.height.saturating_sub(FIELDS + BELOW + u16::from(roomy));
    // One at least: what is chosen has to be seen.
    let near = found.min(spare.max(1));
    if roomy && spare.saturating_sub(near) >= INTRO {
        let intro =
            "Files travel straight between the machines of a network. Join one, or start one here.";
        for line in paint::wrap(intro, usize::from(width)) {
            paint::text(frame.buffer_mut(), x, y, width, &line, Style::new());
            y += 1;
        }
        y += 1;
    }
    let mut numbers = 1..;
    for stop in stops(model) {
        if stop == Stop::Host && roomy {
            y += 1;
        }
        let line = Rect { x, y, width, height: 1 };
        match stop {
            Stop::Near(_) => continue,
            Stop::Host => {
                let text = match model.setting.attached {
                    Some(_) => "Host: run a tracker in the running peer (h)",
                    None => "Host here: run a tracker in this program (h)",
                };
                offer(model, frame, line, stop, text)
            }
            Stop::Demo => {
                offer(model, frame, line, stop, "Demo: a small network on this machine (d)")
            }
            stop => y += value(model, frame, line, stop, numbers.next().unwrap_or(0)),
        }
        y += 1;
        if stop == Stop::Tracker {
            networks(model, frame, Rect { y, height: near, ..line });
            y += near;
        }
    }
    y += 1;
    let hint = paint::wrap(&hint(model), usize::from(width));
    let style = if trouble(model).is_some() { theme.error() } else { theme.dim() };
    for (y, line) in (y..inner.bottom()).zip(hint.iter().take(2)) {
        paint::text(frame.buffer_mut(), x, y, width, line, style);
    }
    y += 3;
    let privacy = "Others see your name, address and port, and what you share and download: names, sizes, hashes, and which chunks you have.";
    for (y, line) in (y..inner.bottom()).zip(&paint::wrap(privacy, usize::from(width))) {
        paint::text(frame.buffer_mut(), x, y, width, line, Style::new());
    }
    foot(model, frame, whole);
}

fn offer(model: &Model, frame: &mut Frame<'_>, line: Rect, stop: Stop, text: &str) {
    let style = head(model, frame, line, stop);
    paint::text(frame.buffer_mut(), line.x + 1, line.y, line.width, text, style);
}

/// Networks near, as many as there is room for: the chosen one among them.
fn networks(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let all = &model.welcome.near.networks;
    let rows = usize::from(area.height);
    let chosen = all.iter().position(|network| model.welcome.stop == Stop::Near(network.key));
    let first = chosen.map_or(0, |at| (at + 1).saturating_sub(rows));
    if rows > 0 {
        let label =
            if all.len() > rows { format!("Near, {}", all.len()) } else { "Near".to_owned() };
        let style = model.theme.dim();
        paint::text(frame.buffer_mut(), area.x + 3, area.y, LABEL - 3, &label, style);
    }
    for (network, y) in all.iter().skip(first).take(rows).zip(area.y..) {
        let line = Rect { y, height: 1, ..area };
        let style = head(model, frame, line, Stop::Near(network.key));
        let (x, room) = (area.x + LABEL, area.width.saturating_sub(LABEL));
        let closed = if network.closed { "  secret" } else { "" };
        let where_ = format!("{}{closed}  {}", network.join.address(), network.key.short());
        let ellipsis = model.theme.ellipsis();
        let name = format::middle(&network.name, usize::from(room / 3), ellipsis);
        paint::text(frame.buffer_mut(), x, y, room, &name, style);
        let (x, room) = (x + room / 3 + 2, room.saturating_sub(room / 3 + 2));
        let where_ = format::middle(&where_, usize::from(room), ellipsis);
        paint::text(frame.buffer_mut(), x, y, room, &where_, style);
    }
}

/// The bar of the chosen line; returns the style of its text.
fn head(model: &Model, frame: &mut Frame<'_>, line: Rect, stop: Stop) -> Style {
    if model.welcome.stop != stop {
        return Style::new();
    }
    let bar = model.theme.bar();
    paint::text(frame.buffer_mut(), line.x.saturating_sub(1), line.y, 1, bar, Style::new());
    model.theme.bold()
}

/// A line with a value and its check; returns how many more rows it took.
fn value(model: &Model, frame: &mut Frame<'_>, line: Rect, stop: Stop, number: usize) -> u16 {
    let theme = model.theme;
    let style = head(model, frame, line, stop);
    let label = format!("{number} {}", stop.label());
    paint::text(frame.buffer_mut(), line.x + 1, line.y, LABEL, &label, style);
    let x = line.x + LABEL;
    let room = line.width.saturating_sub(LABEL);
    let (tone, check) = checked(model, stop);
    let style = match tone {
        Tone::Good => theme.accent(),
        tone => paint::tone(theme, tone),
    };
    let has_keys = model.welcome.stop == stop && model.dialogs.is_empty();
    if stop == Stop::Tracker {
        let field = &model.welcome.field;
        if has_keys {
            let ghost =
                if field.text().is_empty() { "shoal:// paste the tracker's line" } else { "" };
            crate::ui::input::draw(frame, theme, (x, line.y), room, field, ghost);
        } else {
            crate::ui::input::still(frame, (x, line.y), room, field.text());
        }
        let lines = paint::wrap(&check, usize::from(room));
        for (y, text) in (line.y + 1..).zip(lines.iter().take(2)) {
            paint::text(frame.buffer_mut(), x, y, room, text, style);
        }
        return u16::try_from(lines.len()).unwrap_or(1).clamp(1, 2);
    }
    let half = (room / 2).min(26);
    match stop {
        Stop::Listen | Stop::Downloads | Stop::Nick if has_keys => {
            let (text, edited) = match stop {
                Stop::Listen => (listen_text(model), &model.welcome.listen),
                Stop::Nick => (nick_text(model), &model.welcome.nick),
                _ => (downloads_text(model), &model.welcome.downloads),
            };
            let shown = edited.clone().unwrap_or_else(|| crate::field::Field::with(&text));
            crate::ui::input::draw(frame, theme, (x, line.y), half, &shown, "");
        }
        Stop::Listen => crate::ui::input::still(frame, (x, line.y), half, &listen_text(model)),
        Stop::Downloads => {
            crate::ui::input::still(frame, (x, line.y), half, &downloads_text(model))
        }
        Stop::Nick => crate::ui::input::still(frame, (x, line.y), half, &nick_text(model)),
        _ => {
            let text = shares(model);
            paint::text(frame.buffer_mut(), x, line.y, half, &text, Style::new());
        }
    }
    let room = room.saturating_sub(half + 1);
    let check = format::middle(&check, usize::from(room), theme.ellipsis());
    paint::text(frame.buffer_mut(), x + half + 1, line.y, room, &check, style);
    0
}

fn shares(model: &Model) -> String {
    let (all, hashing) = model.snap.transfers.iter().filter(|t| !t.downloaded).fold(
        (0u64, 0u64),
        |(all, hashing), t| {
            let now = t.state == engine::api::snapshot::TransferState::Hashing;
            (all + 1, hashing + u64::from(now))
        },
    );
    match (all, hashing) {
        (0, _) => "nothing yet".to_owned(),
        (n, 0) => format::plural(n, "share"),
        (n, hashing) => format!("{}, {hashing} being hashed", format::plural(n, "share")),
    }
}

fn pending<Of, Answer>(check: &Check<Of, Answer>) -> Option<&Option<Result<Answer, String>>> {
    check.as_ref().map(|(_, answer)| answer)
}

/// How a line stands.
fn checked(model: &Model, stop: Stop) -> Line {
    let theme = model.theme;
    let welcome = &model.welcome;
    let wait = || (Tone::Dim, format!("{} looking", theme.half()));
    let good = |text: String| (Tone::Good, format!("{} {text}", theme.on()));
    let bad = |text: &str| (Tone::Warn, format!("! {}", common::names::show(text)));
    match stop {
        Stop::Tracker => match (welcome.parsed(), pending(&welcome.tracker_check)) {
            _ if welcome.busy => (Tone::Dim, format!("{} joining", theme.half())),
            (None, _) => match &welcome.near.trouble {
                Some(why) => (Tone::Dim, format!("no networks near are looked for: {why}")),
                None if welcome.near.networks.is_empty() => {
                    (Tone::Dim, "networks near that announce themselves appear here".to_owned())
                }
                None => (Tone::Plain, String::new()),
            },
            (Some(Err(why)), _) => bad(&why),
            (Some(Ok(join)), Some(Some(Ok(ms)))) => {
                let kind = if join.secret().is_some() { "closed" } else { "open" };
                good(format!("answers, {ms} ms {} {kind} network; Enter joins", theme.dot()))
            }
            (Some(Ok(_)), Some(Some(Err(why)))) => bad(why),
            (Some(Ok(join)), _) => {
                (Tone::Dim, format!("{} asking {}; Enter joins", theme.half(), join.address()))
            }
        },
        Stop::Listen => {
            let own = listen_text(model).parse().ok() == Some(model.snap.me.listen);
            match pending(&welcome.listen_check) {
                Some(None) => wait(),
                _ if own => good("listening".to_owned()),
                Some(Some(Ok(_))) => good("free".to_owned()),
                Some(Some(Err(why))) => bad(why),
                None => bad("write ADDRESS:PORT"),
            }
        }
        Stop::Downloads => match pending(&welcome.folder_check) {
            None => match model.snap.me.disk_free {
                Some(free) => good(format!("{} free", format::size(free, model.units))),
                None => (Tone::Plain, String::new()),
            },
            Some(None) => wait(),
            Some(Some(Err(why))) => bad(why),
            Some(Some(Ok((free, there)))) => {
                let free = free.map_or_else(String::new, |free| {
                    format!("{} free", format::size(free, model.units))
                });
                good(if *there { free } else { format!("new, {free}") })
            }
        },
        Stop::Share => (Tone::Dim, "Enter picks files".to_owned()),
        Stop::Nick => (Tone::Dim, "all others see it".to_owned()),
        Stop::Near(_) | Stop::Host | Stop::Demo => (Tone::Plain, String::new()),
    }
}

/// What went wrong: just now, or with the network of an earlier run, until something is typed.
fn trouble(model: &Model) -> Option<&str> {
    let fresh = model.welcome.stop == Stop::Tracker && model.welcome.field.text().is_empty();
    let lost = model.snap.network.trouble.as_deref().filter(|_| fresh);
    model.welcome.error.as_deref().or(lost)
}

/// What the chosen line is for, or what went wrong.
fn hint(model: &Model) -> String {
    if let Some(error) = trouble(model) {
        return format!("! {error}");
    }
    let text = match model.welcome.stop {
        Stop::Tracker => {
            let key = model.keymap.way(Action::CopyJoin);
            let with = key.map_or_else(String::new, |key| format!(" with {key}"));
            let text = "The join string: one line that the tracker printed, or that others see";
            return format!("{text}{with}.");
        }
        Stop::Near(key) => {
            let short = key.short();
            return format!(
                "The name can be anybody's: Enter joins the tracker whose key begins with {short}."
            );
        }
        Stop::Listen if model.welcome.listen.is_some() => {
            "Enter saves this address; it takes effect at the next start. a picks a free port, Esc takes it back."
        }
        Stop::Listen => {
            "Other peers reach you here. a picks a free port; a change takes effect at the next start."
        }
        Stop::Downloads if model.welcome.downloads.is_some() => {
            "Enter makes this the folder for downloads, at once. Esc takes it back."
        }
        Stop::Downloads => {
            "Where downloads go. Type another folder if you like; it is created if it does not exist."
        }
        Stop::Nick if model.welcome.nick.is_some() => {
            "Enter makes this your name, from the next network you join. Esc takes it back."
        }
        Stop::Nick => "Shown next to what you share and download. Type another if you like.",
        Stop::Share => {
            let key = model.keymap.way(Action::Share);
            let with = key.map_or_else(String::new, |key| format!(" with {key}"));
            let text = "Shared where they are: nothing is copied. You can share more at any time";
            return format!("{text}{with}.");
        }
        Stop::Host => "You get a line for the others to paste.",
        Stop::Demo => "Nothing leaves this machine; everything is removed at the end.",
    };
    text.to_owned()
}

fn foot(model: &Model, frame: &mut Frame<'_>, whole: Rect) {
    let theme = model.theme;
    let buf = frame.buffer_mut();
    let bottom = whole.bottom().saturating_sub(1);
    let mut at = whole.x + 1;
    if crate::view::footer::toast(model, buf, Rect { y: bottom, height: 1, ..whole }) {
        return;
    }
    for (key, word) in [
        ("Enter", "do it"),
        ("Tab", "next"),
        ("Esc", "undo"),
        ("F1", "help"),
        ("F2", "settings"),
        ("q", if model.setting.attached.is_some() { "close" } else { "quit" }),
    ] {
        let room = |at: u16| whole.right().saturating_sub(at);
        at = paint::text(buf, at, bottom, room(at), key, theme.bold().patch(theme.accent()));
        at = paint::text(buf, at, bottom, room(at), &format!(" {word}  "), Style::new());
    }
}
