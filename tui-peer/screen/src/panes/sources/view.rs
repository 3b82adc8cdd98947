//! Sources of the selected file: who sends how fast, and why somebody does not.

use common::numbers::saturate;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::action::Action;
use crate::model::{Model, Pane};
use crate::panes::files::view::cells::rtt;
use crate::ui::paint::{self, Piece};
use crate::verdict::source_name;
use crate::{format, labels};
use engine::api::cause::Cause;
use engine::api::snapshot::{NetState, SourceRow, SourceState, Transfer, TransferState, Way};

/// Most columns kept for the reasons.
const MAX_WHY: u16 = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Address,
    Way,
    Rate,
    Spark,
    Got,
    Has,
    Pipe,
    Rtt,
    Up,
    State,
    Why,
}

impl Column {
    const ALL: [Self; 11] = [
        Self::Address,
        Self::Way,
        Self::Rate,
        Self::Spark,
        Self::Got,
        Self::Has,
        Self::Pipe,
        Self::Rtt,
        Self::Up,
        Self::State,
        Self::Why,
    ];
    /// First to go when it gets narrow first.
    const DROPS: [Self; 9] = [
        Self::Up,
        Self::Pipe,
        Self::Address,
        Self::Has,
        Self::Way,
        Self::Why,
        Self::Rtt,
        Self::Spark,
        Self::Got,
    ];

    fn head(self) -> &'static str {
        match self {
            Self::Address => "Address",
            Self::Way => "Reached",
            Self::Rate => "Down",
            Self::Spark => "60 s",
            Self::Got => "Got",
            Self::Has => "Has",
            Self::Pipe => "Pipe",
            Self::Rtt => "RTT",
            Self::Up => "Up",
            Self::State => "State",
            Self::Why => "Why",
        }
    }

    /// In a pane of this width.
    fn width(self, pane: u16) -> u16 {
        match self {
            Self::Address => 21,
            Self::Way => 12,
            Self::Rate | Self::Up => format::RATE_WIDTH,
            Self::Spark => match pane {
                ..80 => 6,
                80..120 => 10,
                120..180 => 20,
                _ => 30,
            },
            Self::Got | Self::Has | Self::Pipe => 5,
            Self::Rtt => 6,
            Self::State => 8,
            Self::Why => 18,
        }
    }

    fn left(self) -> bool {
        matches!(self, Self::Address | Self::Way | Self::State | Self::Why)
    }
}

pub(crate) fn draw(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let theme = model.theme;
    let focused = model.focus == Pane::Sources;
    let rows = model.source_rows();
    let active = rows.iter().filter(|s| s.down_rate >= 1.0).count();
    let total: f64 = rows.iter().map(|s| s.down_rate).sum();
    let count = match rows.len() {
        // Who was known before is not asked any more.
        _ if has_left(model) => String::new(),
        0 => String::new(),
        n if active > 0 || is_fetched(model) => format!(" {active} of {n} active"),
        n => format!(" {n} online"),
    };
    let height = usize::from(area.height.saturating_sub(3));
    let frame = paint::Frame {
        title: vec![
            (Pane::Sources.title(&model.keymap), if focused { theme.bold() } else { theme.dim() }),
            (count, Style::new()),
        ],
        note: vec![(format::rate(total, theme.dash(), model.units), Style::new())],
        scroll: Some((model.sources.offset, height, rows.len())),
        ..paint::Frame::default()
    };
    let inner = paint::boxed(buf, area, theme, focused, &frame);
    if inner.is_empty() {
        return;
    }
    if rows.is_empty() {
        let (first, second) = nobody(model);
        paint::text(buf, inner.x + 1, inner.y, inner.width.saturating_sub(1), &first, theme.dim());
        paint::text(
            buf,
            inner.x + 1,
            inner.y + 1,
            inner.width.saturating_sub(1),
            &second,
            theme.dim(),
        );
        return;
    }
    let why = rows.iter().map(|source| why(model, source).width()).max().unwrap_or(0);
    let told = Told {
        way: rows.iter().any(|source| source.way != Way::Dialled),
        why: saturate::<u16>(why),
    };
    let (columns, name) = fit(inner.width, told);
    heads(model, buf, inner, &columns, name);
    for (y, at) in (inner.y + 1..inner.bottom()).zip(model.sources.visible(height)) {
        let Some(source) = rows.get(at) else { break };
        row(model, buf, Rect { y, height: 1, ..inner }, source, &columns, name);
        if at == model.sources.cursor && focused {
            paint::text(buf, inner.x, y, 1, theme.bar(), Style::new());
            for x in inner.x..inner.right() {
                if let Some(cell) = buf.cell_mut((x, y)) {
                    cell.set_style(Style::reset().patch(theme.selected()));
                }
            }
        }
    }
}

fn has_left(model: &Model) -> bool {
    model.snap.network.state == NetState::Left
}

fn nobody(model: &Model) -> (String, String) {
    match (model.selected(), model.selected_row()) {
        (Some(_), _) if has_left(model) => {
            let then = model.keymap.does(Action::Rejoin, "rejoins");
            ("You left the network: no sources.".to_owned(), then.unwrap_or_default())
        }
        (None, _) => ("Select a file to see its sources.".to_owned(), String::new()),
        (_, Some(row)) if row.sources == 0 && model.selected_transfer().is_none() => {
            let key = model.keymap.way(Action::Watch);
            let then = key.map(|key| format!("{key}  watch: starts when somebody has it"));
            ("No sources online for this file.".to_owned(), then.unwrap_or_default())
        }
        (_, Some(row)) if model.selected_transfer().is_none() => {
            let key = model.keymap.way(Action::Download);
            let then = key.map(|key| format!("{key}  downloads it from all of them"));
            let first = format!("{} online.", format::plural(u64::from(row.sources), "source"));
            (first, then.unwrap_or_default())
        }
        _ if !is_fetched(model) && others(model) > 0 => (
            format!("{} with all of it, none connected.", format::plural(others(model), "other")),
            String::new(),
        ),
        _ if !is_fetched(model) => {
            ("No other peer online has any of it.".to_owned(), String::new())
        }
        _ => {
            let left = model.focus_data().and_then(|focus| focus.left.as_ref());
            let left = left.map_or_else(String::new, |left| {
                let who = if left.nick.is_empty() { left.peer.short() } else { left.nick.clone() };
                // The time of day: an age would have to be painted again and again.
                let ago = model.now.mono.saturating_duration_since(left.at);
                let at = model.now.wall.checked_sub(ago).unwrap_or(model.now.wall);
                format!(" ({who} left at {})", format::time_of_day(at, &model.setting.zone))
            });
            let running = model
                .selected_transfer()
                .is_some_and(|t| labels::is_running(t) || t.state == TransferState::NoSource);
            let then = if running { "It resumes by itself when one appears." } else { "" };
            (format!("No sources online{left}."), then.to_owned())
        }
    }
}

/// First letters of a key that tell peers of the same name apart.
const KEY: usize = 4;

/// The name of a source, with the beginning of its key if another one has the same name.
fn distinct(model: &Model, source: &SourceRow) -> String {
    let name = source_name(source);
    let same = |other: &&SourceRow| other.nick == source.nick;
    if source.nick.is_empty() || model.source_rows().iter().filter(same).count() < 2 {
        return name;
    }
    format!("{name} {}", format::start(&source.peer.short(), KEY))
}

/// How many others have all of what we share.
fn others(model: &Model) -> u64 {
    model.selected_transfer().map_or(0, |t| u64::from(t.other_complete))
}

/// What has a column only where there is something to tell.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// Somebody is reached in another way than by our dial.
    way: bool,
    /// Columns of the longest reason there is.
    why: u16,
}

/// Columns of a pane and the width of the names. A reason that is longer than usual gets its room where other columns of
/// the usual layout need not go for it altogether.
fn fit(width: u16, told: Told) -> (Vec<Column>, u16) {
    let with = |why: u16| fit_with(width, Told { why, ..told });
    let (columns, name) = with(told.why.min(MAX_WHY));
    if told.why == 0 || columns.contains(&Column::Why) {
        return (columns, name);
    }
    with(told.why.min(Column::Why.width(width)))
}

/// [`fit`] with so much room kept for the reasons.
fn fit_with(width: u16, Told { way, why }: Told) -> (Vec<Column>, u16) {
    const MIN_NAME: u16 = 8;
    let wide = |column: &Column| if *column == Column::Why { why } else { column.width(width) };
    let mut columns = Column::ALL.to_vec();
    // Where nobody needs an excuse there is no column for it.
    columns.retain(|column| match column {
        Column::Way => way,
        Column::Why => why > 0,
        _ => true,
    });
    let mut drops = Column::DROPS.iter();
    loop {
        let taken: u16 = columns.iter().map(|c| wide(c) + 1).sum();
        let name = width.saturating_sub(taken + 1);
        if name >= MIN_NAME {
            // What is left over beyond a comfortable name goes to the last column by itself.
            return (columns, name.min(20));
        }
        match drops.next() {
            Some(drop) => columns.retain(|c| c != drop),
            None => return (columns, name),
        }
    }
}

fn heads(model: &Model, buf: &mut Buffer, area: Rect, columns: &[Column], name: u16) {
    let dim = model.theme.dim();
    paint::text(buf, area.x + 1, area.y, name, "Peer", dim);
    let mut x = area.x + 1 + name;
    for column in columns {
        let width = column.width(area.width).min(area.right().saturating_sub(x + 1));
        if column.left() {
            paint::text(buf, x + 1, area.y, width, column.head(), dim);
        } else {
            paint::right(buf, x + 1, area.y, width, column.head(), dim);
        }
        x += column.width(area.width) + 1;
    }
}

fn row(
    model: &Model,
    buf: &mut Buffer,
    area: Rect,
    source: &SourceRow,
    columns: &[Column],
    name: u16,
) {
    let theme = model.theme;
    let mut name_x = area.x + 1;
    if let Some((sign, style)) = crate::panes::chunks::view::senders::before_name(model, source) {
        paint::text(buf, name_x, area.y, name, &sign, style);
        name_x += 2;
    }
    let room = (area.x + 1 + name).saturating_sub(name_x);
    let shown = theme.fit(&distinct(model, source), usize::from(room));
    paint::text(buf, name_x, area.y, room, &shown, Style::new());
    let mut x = area.x + 1 + name;
    for column in columns {
        let last = *column == Column::Why;
        let room = area.right().saturating_sub(x + 1);
        let width = if last { room } else { column.width(area.width).min(room) };
        let (text, style) = cell(model, source, *column, width);
        if column.left() {
            paint::text(buf, x + 1, area.y, width, &text, style);
        } else {
            paint::right(buf, x + 1, area.y, width, &text, style);
        }
        x += column.width(area.width) + 1;
    }
}

/// Why a source sends little or nothing.
fn why<'a>(model: &Model, source: &'a SourceRow) -> &'a str {
    let limited = || {
        let causes = model.focus_data().map_or(&[][..], |focus| focus.causes.as_slice());
        causes.iter().any(|cause| matches!(cause, Cause::OwnLimit(_)))
    };
    let ready = source.state == SourceState::Open && source.down_rate < 1.0;
    if source.why.is_empty() && ready && limited() {
        return "waiting for our limit";
    }
    &source.why
}

/// What a source does, in a word of at most eight columns.
fn doing(source: &SourceRow) -> &'static str {
    match source.state {
        SourceState::Open if source.down_rate >= 1.0 => "sending",
        SourceState::Open => "ready",
        SourceState::Choked => "busy",
        SourceState::Snubbed => "silent",
        state => state.word(),
    }
}

/// Whether anything of the selected file is still to come from its sources.
fn is_fetched(model: &Model) -> bool {
    model.selected_transfer().is_some_and(Transfer::is_unfinished)
}

/// What a source has, where we want nothing of it: that it "waits" or "has no data for us" would puzzle.
fn holding(model: &Model, source: &SourceRow) -> Option<&'static str> {
    let rests = matches!(source.state, SourceState::Waiting | SourceState::NoData);
    if !rests || is_fetched(model) {
        return None;
    }
    let n = model.chunk_count() as u64;
    match u64::from(source.have) {
        0 => None,
        have if have >= n => Some("has all"),
        _ => Some("has part"),
    }
}

fn cell(model: &Model, source: &SourceRow, column: Column, width: u16) -> Piece {
    let theme = model.theme;
    let plain = |text: String| (text, Style::new());
    match column {
        // The tracker's, which is no news.
        Column::Address if source.way == Way::Relayed => plain(theme.dash().to_owned()),
        Column::Way if source.state == SourceState::Waiting => plain(theme.dash().to_owned()),
        Column::Way => plain(source.way.words().to_owned()),
        Column::Address => {
            plain(source.addr.map_or_else(|| theme.dash().to_owned(), |a| a.to_string()))
        }
        Column::Rate => plain(format::rate(source.down_rate, theme.dash(), model.units)),
        Column::Up => plain(format::rate(source.up_rate, theme.dash(), model.units)),
        Column::Spark => {
            let cells = usize::from(width);
            let known = model.history.sources.get(&source.peer);
            let values = known.map_or_else(|| vec![0.0; cells], |slots| slots.minute(cells));
            let top = values.iter().copied().fold(1.0, f64::max);
            (format::sparkline(&values, top, theme.levels()), theme.accent())
        }
        Column::Got => plain(format::short_count(u64::from(source.got))),
        Column::Has => {
            let n = model.focus_data().map_or(0, |f| f.chunks.len() as u64);
            plain(if n == 0 {
                "?".to_owned()
            } else {
                format::percent(u64::from(source.have).min(n), n)
            })
        }
        Column::Pipe => plain(format!("{}/{}", source.pipe.0.min(99), source.pipe.1.min(99))),
        Column::Rtt => plain(rtt(source.rtt_ms, theme.dash())),
        Column::State => {
            let style = match source.state {
                SourceState::Open | SourceState::Fetching => Style::new(),
                SourceState::Slow | SourceState::Choked => theme.warn(),
                SourceState::Snubbed => theme.error(),
                SourceState::NoData | SourceState::Waiting => theme.dim(),
            };
            match holding(model, source) {
                Some(word) => (word.to_owned(), theme.dim()),
                None => (doing(source).to_owned(), style),
            }
        }
        Column::Why => (why(model, source).to_owned(), theme.dim()),
    }
}

/// Keys for the footer while the pane has the keys, the most used ones first.
pub(crate) fn footer() -> Vec<(Action, &'static str)> {
    vec![
        (Action::Holders, "swarm"),
        (Action::Window, "time"),
        (Action::Why, "why?"),
        (Action::Pause, "pause"),
        (Action::Ban, "ban"),
        (Action::Enter, "details"),
        (Action::Zoom, "zoom"),
        (Action::NextPane, "pane"),
    ]
}
