//! First line, the pane names of the small layout, its summary, and the card.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::action::Action;
use crate::layout::Class;
use crate::model::{Model, Pane, Tab, WhenIdle, banner};
use crate::ui::paint::{self, Piece};
use crate::{format, labels, queries, verdict};
use engine::api::cause::Reach;
use engine::api::snapshot::{NetState, TransferState};

/// The first line: network, rates, disk. Parts that do not fit are left out from the right.
pub(crate) fn draw(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let theme = model.theme;
    let snap = &model.snap;
    let wide = area.width >= 100;
    let mut parts: Vec<Vec<Piece>> = vec![connection(model, area.width)];
    if let Some(pid) = model.setting.attached.filter(|_| area.width >= 76) {
        parts.push(vec![(format!("process {pid}"), theme.accent())]);
    }
    if let Some(what) = model.when_idle {
        let text = if what == WhenIdle::Quit { "quits when idle" } else { "leaves when idle" };
        let left = queries::waits_for(model);
        let left = if left.is_empty() || area.width < 76 { left } else { format!(": {left}") };
        let left = if area.width < 76 { "" } else { left.as_str() };
        let cancels = model.keymap.aside(Action::Back, "cancels");
        parts.push(vec![(format!("{text}{left}{cancels}"), theme.warn())]);
    }
    if !snap.me.serving && !banner::has(model) {
        let key = model.keymap.aside(Action::Serving, "");
        parts.push(vec![(format!("{} serving paused{key}", theme.pause()), theme.warn())]);
    }
    let peers = parts.len();
    // Connections, not all there are: a network at rest has members and no connection.
    parts.push(vec![plain(format!("{} connected", format::count(snap.peers.len() as u64)))]);
    let reach = snap.network.reach();
    let is_behind = matches!(reach, Reach::BehindNat(_));
    let style = if is_behind { theme.warn() } else { Style::new() };
    let reach = reach.short().map(|word| (word.to_owned(), style));
    if let Some(word) = reach.clone().filter(|_| wide && is_behind || area.width >= 160) {
        parts.push(vec![word]);
    }
    if wide {
        parts.push(vec![plain(format::plural(snap.catalogue.rows.len() as u64, "file"))]);
    }
    let active = snap.transfers.iter().filter(|t| t.is_unfinished()).count() as u64;
    if area.width >= 160 && active > 0 {
        let eta = snap.transfers.iter().filter(|t| t.is_unfinished()).filter_map(|t| t.eta_s).max();
        let eta = eta.map_or_else(String::new, |s| format!(" {} {}", theme.dot(), format::eta(s)));
        parts.push(vec![plain(format!("{}{eta}", format::plural(active, "download")))]);
    }
    let cells = match area.width {
        160.. => 14,
        100.. => 8,
        76.. => 6,
        // Narrow: the numbers are worth more.
        _ => 0,
    };
    parts.push(rate(model, theme.down(), snap.totals.down_rate, &model.history.down.last(cells)));
    parts.push(rate(model, theme.up(), snap.totals.up_rate, &model.history.up.last(cells)));
    if let Some(free) = snap.me.disk_free.filter(|_| wide) {
        parts.push(vec![plain(format!("disk {} free", format::size(free, model.units)))]);
    }
    if area.width >= 160 {
        let name =
            if snap.me.nick.is_empty() { snap.me.peer.short() } else { snap.me.nick.clone() };
        parts.push(vec![plain(format!("{name} on :{}", snap.me.listen.port()))]);
    }
    // Everything works without: rates go first where it is narrow.
    if let Some(word) = reach.filter(|_| is_behind && !wide && area.width >= 60) {
        parts.push(vec![word]);
    }
    // Where it is narrow: rather both rates than the number of peers.
    let gaps = 2 * u16::try_from(parts.len()).unwrap_or(0);
    let all: u16 = parts.iter().map(|part| paint::width(part)).sum();
    if cells == 0 && all + gaps + 5 > area.width {
        parts.remove(peers);
    }
    paint_parts(model, buf, area, &parts);
}

/// As many of them, from the left, as there is room for.
fn paint_parts(model: &Model, buf: &mut Buffer, area: Rect, parts: &[Vec<Piece>]) {
    let (theme, wide) = (model.theme, area.width >= 100);
    let mut x = area.x + 1;
    x = paint::text(buf, x, area.y, area.width, "shoal ", theme.bold());
    for (i, part) in parts.iter().enumerate() {
        let gap = if !wide && i > 0 {
            "  ".to_owned()
        } else if i > 0 {
            format!(" {} ", theme.separator())
        } else {
            String::new()
        };
        let need = paint::width(part) + if i > 0 { 3 } else { 0 };
        if x + need > area.right() + 1 {
            break;
        }
        x = paint::text(buf, x, area.y, area.right().saturating_sub(x), &gap, theme.line());
        x = paint::pieces(buf, x, area.y, area.right().saturating_sub(x), part);
    }
}

fn plain(text: String) -> Piece {
    (text, Style::new())
}

fn rate(model: &Model, arrow: &str, rate: f64, values: &[f64]) -> Vec<Piece> {
    let theme = model.theme;
    let top = model
        .history
        .down
        .last(60)
        .iter()
        .chain(&model.history.up.last(60))
        .copied()
        .fold(1.0, f64::max);
    let number = format::rate(rate, theme.dash(), model.units);
    let spark = format::sparkline(values, top, theme.levels());
    if values.is_empty() {
        // Where it is narrow, blanks would cost the other rate.
        return vec![plain(format!("{arrow} {number}"))];
    }
    vec![(format!("{arrow} {number:>10} "), Style::new()), (spark, theme.accent())]
}

/// How we stand with the tracker, in words.
fn connection(model: &Model, width: u16) -> Vec<Piece> {
    let theme = model.theme;
    let net = &model.snap.network;
    let now = model.now.mono;
    let tracker = match net.state == NetState::On && net.is_at_standby() {
        true => "standby tracker",
        false => "tracker",
    };
    let tracker = if width >= 160 && !net.tracker.is_empty() {
        format!("{tracker} {}", net.tracker)
    } else {
        tracker.to_owned()
    };
    match &net.state {
        NetState::On => {
            let latency = net
                .latency_ms
                .filter(|_| width >= 76)
                .map_or_else(String::new, |ms| format!(" {ms} ms"));
            let host = if net.hosting { " (here)" } else { "" };
            vec![
                (format!("{} ", theme.on()), theme.accent()),
                plain(format!("{tracker}{host}{latency}")),
            ]
        }
        NetState::Connecting => {
            vec![(format!("{} {tracker} {}", theme.half(), theme.ellipsis()), theme.warn())]
        }
        NetState::Lost { since, retry_at, why } => {
            let age = format::clock(now.saturating_duration_since(*since));
            let left = retry_at.saturating_duration_since(now).as_secs_f64().ceil();
            let how = if net.met { format!("lost {age}") } else { "never reached".to_owned() };
            let mut text = format!("{} {tracker} {how}", theme.off());
            if width >= 100 && !banner::has(model) {
                let dot = format!(" {} ", theme.dot());
                let now = model.keymap.and(&dot, Action::Announce, "now");
                text.push_str(&format!("{dot}retry in {left} s{now}"));
            }
            if width >= 160 && !banner::has(model) && !why.is_empty() {
                text.push_str(&format!(
                    " {} {}",
                    theme.dot(),
                    format::middle(&common::names::show(why), 40, theme.ellipsis())
                ));
            }
            vec![(text, theme.error())]
        }
        NetState::Rejected { why } => {
            let why =
                format::middle(&common::names::show(why), usize::from(width / 2), theme.ellipsis());
            vec![(format!("! rejected: {why}"), theme.error())]
        }
        NetState::Left => {
            let dot = format!(" {} ", theme.dot());
            let rejoins = model.keymap.and(&dot, Action::Rejoin, "rejoins");
            vec![(format!("{} offline{rejoins}", theme.off()), theme.warn())]
        }
        NetState::NoNetwork => vec![(format!("{} no network", theme.off()), theme.warn())],
    }
}

/// Names of the panes, where only one fits.
pub(crate) fn strip(model: &Model, buf: &mut Buffer, area: Rect) {
    let theme = model.theme;
    let mut x = area.x + 1;
    for pane in Pane::ALL.into_iter().filter(|pane| *pane != Pane::Transfers) {
        let style = if pane == model.focus { theme.bold() } else { theme.dim() };
        let mut text = pane.title(&model.keymap);
        if pane == Pane::Log && model.log.unread > 0 {
            text = format!("{text} {}{}", theme.on(), model.log.unread);
        }
        if pane == model.focus {
            text = format!("[{text}]");
        }
        x = paint::text(buf, x, area.y, area.right().saturating_sub(x), &text, style);
        x = paint::text(buf, x, area.y, area.right().saturating_sub(x), "  ", Style::new());
    }
}

/// The selected file in four lines, for the small layout.
pub(crate) fn summary(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let theme = model.theme;
    let (x, width) = (area.x + 1, area.width.saturating_sub(2));
    let Some(name) = model.selected_name() else { return };
    let transfer = model.selected_transfer();
    let end = transfer.map_or_else(String::new, |t| {
        format!("{}  {}", format::percent(t.done, t.size), labels::outlook(t))
    });
    let room = usize::from(width).saturating_sub(end.chars().count() + 2);
    paint::text(buf, x, area.y, width, &theme.fit(&name, room), theme.bold());
    paint::right(buf, x, area.y, width, &end, Style::new());
    crate::panes::chunks::view::strip(model, buf, Rect { x, y: area.y + 1, width, height: 1 });
    let line = match transfer {
        Some(t) => format!(
            "{}/{} sources {} {}",
            t.active,
            t.sources,
            theme.dot(),
            format::rate(t.down_rate, theme.dash(), model.units)
        ),
        None => model.selected_row().map_or_else(String::new, |r| {
            format!(
                "{} {} {}",
                format::plural(u64::from(r.sources), "source"),
                theme.dot(),
                format::size(r.size, model.units)
            )
        }),
    };
    paint::text(buf, x, area.y + 2, width, &line, Style::new());
    if let Some((tone, text)) = verdict::line(&model.case(), usize::from(width)) {
        paint::text(buf, x, area.y + 3, width, &text, paint::tone(theme, tone));
    }
}

/// The smallest screen.
pub(crate) fn card(model: &Model, buf: &mut Buffer, area: Rect) {
    let theme = model.theme;
    let snap = &model.snap;
    let mut first = connection(model, area.width);
    let rates = format!(
        " {}{} {}{}",
        theme.down(),
        format::rate(snap.totals.down_rate, theme.dash(), model.units),
        theme.up(),
        format::rate(snap.totals.up_rate, theme.dash(), model.units)
    );
    let wide = |first: &[Piece]| usize::from(paint::width(first)) + rates.width();
    if wide(&first) > usize::from(area.width) {
        // The sign says it as well.
        let sign = |text: &str| text.chars().next().map_or_else(String::new, String::from);
        first = first.into_iter().take(1).map(|(text, style)| (sign(&text), style)).collect();
    }
    first.push(plain(rates));
    paint::pieces(buf, area.x, area.y, area.width, &first);
    let best = snap
        .transfers
        .iter()
        .filter(|t| t.downloaded && t.state != TransferState::Sharing)
        .max_by_key(|t| t.done.saturating_mul(100) / t.size.max(1));
    let second = match best {
        Some(t) => {
            let done = format::percent(t.done, t.size);
            let room = usize::from(area.width).saturating_sub(done.len() + 1);
            format!("{done} {}", theme.fit(&t.name, room))
        }
        None => format::plural(model.list_of(Tab::Shared).total as u64, "file") + " shared",
    };
    let dot = format!(" {} ", theme.dot());
    let word = if model.setting.attached.is_some() { "closes" } else { "quits" };
    let quits = |before: &str| before.to_owned() + &model.keymap.and(&dot, Action::Quit, word);
    let hints = match model.dialogs.last() {
        Some(_) => vec!["make the window larger, or Esc".to_owned(), "larger, or Esc".to_owned()],
        None => vec![
            quits("make the window larger"),
            quits("larger shows more"),
            model.keymap.does(Action::Quit, word).unwrap_or_default(),
        ],
    };
    let room = usize::from(area.width);
    let hint = hints.iter().find(|hint| hint.width() <= room).cloned().unwrap_or_default();
    for (y, line) in [(1, second.as_str()), (2, hint.as_str())] {
        if y < area.height {
            paint::text(buf, area.x, area.y + y, area.width, line, Style::new());
        }
    }
    debug_assert_eq!(crate::layout::class(area.width, area.height), Class::Card);
}
