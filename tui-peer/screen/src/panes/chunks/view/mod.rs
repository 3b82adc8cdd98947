//! The pane of the chunk map: the map, what it means in words, what is under its cursor, its legend.

pub(crate) mod cells;
pub(crate) mod senders;

use common::numbers::saturate;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::action::Action;
use crate::heatmap::{Mode, Standing, standing};
use crate::model::{Line, Model, Pane, Tone};
use crate::panes::chunks::geometry::{MIN_MAP, map_area, scale_rows, word_rows};
use crate::panes::chunks::view::cells::{cells, legend};
use crate::ui::paint;
use crate::{format, verdict};

/// Sources of chunks in flight that the read-out names.
const NAMED: usize = 3;

/// The verdict, wrapped, as many lines as there are rows; the cursor's chunk last.
fn words(model: &Model, inner: Rect) -> Vec<Line> {
    let most = usize::from(word_rows(model, inner));
    let case = model.case();
    let lines = if most <= 2 && inner.width < 60 {
        verdict::headline(&case).into_iter().collect()
    } else {
        verdict::verdict(&case)
    };
    let mut out: Vec<Line> = Vec::new();
    for (tone, text) in lines {
        for line in paint::wrap(&text, usize::from(inner.width)) {
            out.push((tone, line));
        }
    }
    out.truncate(most);
    if model.focus == Pane::Chunks && model.chunks.map.mode != Mode::Empty && most > 0 {
        out.truncate(most - 1);
        out.push((Tone::Dim, read_out(model, usize::from(inner.width))));
    }
    out
}

/// What is under the map's cursor; what matters least is left out first if it is longer than `width`.
fn read_out(model: &Model, width: usize) -> String {
    let (Some(focus), Some((_, known))) = (model.focus_data(), &model.chunks.of) else {
        return String::new();
    };
    let map = &model.chunks.map;
    let cell = map.cell_of(model.chunks.cursor);
    let (Some(chunks), Some(buckets)) = (map.chunks_at(cell), map.buckets_at(cell)) else {
        return String::new();
    };
    let (first, last) = (chunks.start, chunks.end.saturating_sub(1));
    let mut parts = Vec::new();
    if first == last {
        let here = match standing(known, first) {
            Standing::Have => "here, verified".to_owned(),
            Standing::Flight => format!("in flight{}", asked(focus, first, last)),
            Standing::Bad => "failed verification, fetched again".to_owned(),
            Standing::Checking => "on disk, being checked".to_owned(),
            Standing::Unwanted => "not chosen".to_owned(),
            Standing::Lack(0) => "nobody online has it".to_owned(),
            Standing::Lack(n) => format::plural(u64::from(n), "source"),
        };
        parts.push(here);
    } else {
        let (mut have, mut flight, mut bad, mut checking) = (0u64, 0u64, 0u64, 0u64);
        let mut lowest: Option<u16> = None;
        for bucket in buckets {
            if let Some(b) = map.bucket(bucket) {
                have += u64::from(b.have);
                flight += u64::from(b.flight);
                bad += u64::from(b.bad);
                checking += u64::from(b.checking);
            }
            lowest = [lowest, map.lowest(bucket)].into_iter().flatten().min();
        }
        parts.push(format!(
            "have {} of {}",
            format::count(have),
            format::count(chunks.len() as u64)
        ));
        if flight > 0 {
            parts.push(format!("in flight {flight}{}", asked(focus, first, last)));
        }
        if checking > 0 {
            parts.push(format!("checking {checking}"));
        }
        if let Some(n) = lowest {
            let more = if n >= 9 { "+" } else { "" };
            parts.push(format!("lowest availability {n}{more}"));
        }
        parts.push(format!("{bad} bad"));
    }
    let range = if first == last {
        format!("#{}", format::count(first as u64))
    } else {
        format!(
            "#{}{}{}",
            format::count(first as u64),
            model.theme.range(),
            format::count(last as u64)
        )
    };
    let dot = format!(" {} ", model.theme.dot());
    loop {
        let text = format!("{range}: {}", parts.join(&dot));
        if parts.len() <= 1 || text.chars().count() <= width {
            return text;
        }
        parts.pop();
    }
}

/// Who was asked for the chunks in flight in a range.
fn asked(focus: &engine::api::snapshot::Focus, first: usize, last: usize) -> String {
    let from = focus.flights.partition_point(|(chunk, _)| (*chunk as usize) < first);
    let mut places: Vec<u16> = Vec::new();
    for (chunk, place) in focus.flights.iter().skip(from) {
        if *chunk as usize > last {
            break;
        }
        if !places.contains(place) {
            places.push(*place);
        }
    }
    let name = |place: &u16| focus.sources.get(usize::from(*place)).map(verdict::source_name);
    let mut names: Vec<String> = places.iter().take(NAMED).filter_map(name).collect();
    if places.len() > NAMED {
        names.push(format!("+{}", places.len() - NAMED));
    }
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

pub(crate) fn draw(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let theme = model.theme;
    let focused = model.focus == Pane::Chunks;
    let map = &model.chunks.map;
    let counts = map.counts();
    let wanted = counts.wanted();
    let done = if wanted > 0 { format::percent(counts.have, wanted) } else { String::new() };
    let follow = if model.chunks.follows { "following  " } else { "" };
    let note = if area.width >= 70 && wanted > 0 {
        format!("{follow}{done}  {} / {}", format::count(counts.have), format::count(wanted))
    } else {
        format!("{follow}{done}")
    };
    let title = format!("{} ", Pane::Chunks.title(&model.keymap));
    // Corners, blanks and some border stay.
    let room = usize::from(area.width).saturating_sub(title.width() + 11 + note.len());
    let name = model.selected_name().map(|n| theme.fit(&n, room)).unwrap_or_default();
    let frame = paint::Frame {
        title: vec![
            (title, if focused { theme.bold() } else { theme.dim() }),
            (name, Style::new()),
        ],
        note: vec![(note, theme.bold())],
        ..paint::Frame::default()
    };
    let inner = paint::boxed(buf, area, theme, focused, &frame);
    if inner.is_empty() {
        return;
    }
    let area = map_area(model);
    if map.mode == Mode::Empty {
        let text = if model.selected().is_some() {
            no_map(model)
        } else {
            "Select a file to see its chunks."
        };
        paint::text(buf, inner.x + 1, inner.y, inner.width.saturating_sub(1), text, theme.dim());
    } else {
        if scale_rows(model, inner) > 0 {
            scale(model, buf, Rect { height: 1, ..inner });
        }
        cells(model, buf, area, focused);
    }
    for (y, (tone, line)) in (area.bottom()..inner.bottom()).zip(&words(model, inner)) {
        paint::text(buf, inner.x, y, inner.width, line, paint::tone(theme, *tone));
    }
    if inner.height > MIN_MAP && map.mode != Mode::Empty {
        let senders = crate::panes::chunks::view::senders::legend(model, inner.width);
        let line = senders.unwrap_or_else(|| legend(model, inner.width));
        paint::pieces(buf, inner.x, inner.bottom() - 1, inner.width, &line);
    }
}

/// Which chunks the map's first and last cell stand for, and how many each.
fn scale(model: &Model, buf: &mut Buffer, line: Rect) {
    let (map, theme) = (&model.chunks.map, model.theme);
    let n = map.chunks() as u64;
    let (left, right) = theme.arrows();
    let per = match map.mode {
        Mode::Empty => return,
        Mode::Brick(1) => "1 chunk per cell".to_owned(),
        Mode::Brick(k) => format!("{k} cells per chunk"),
        Mode::Half => "2 chunks per cell".to_owned(),
        Mode::Level => {
            let (least, rest) = (n / map.len() as u64, n % map.len() as u64);
            let most =
                if rest > 0 { format!("{}{}", theme.range(), least + 1) } else { String::new() };
            format!("{}{most} chunks per cell", format::count(least))
        }
    };
    let middle = format!("{left} {per} {right}");
    let last = format::count(n.saturating_sub(1));
    paint::text(buf, line.x, line.y, line.width, "chunk 0", theme.dim());
    paint::right(buf, line.x, line.y, line.width, &last, theme.dim());
    let width = saturate::<u16>(middle.chars().count());
    let ends = 8 + u16::try_from(last.len()).unwrap_or(0) + 1;
    if width + 2 * ends <= line.width {
        let x = line.x + (line.width - width) / 2;
        paint::text(buf, x, line.y, width, &middle, theme.dim());
    }
}

fn no_map(model: &Model) -> &'static str {
    match model.focus_data() {
        Some(focus) if focus.chunks.is_empty() => "No chunks are known yet.",
        Some(_) => "Reading its chunks.",
        None => "Asking for its chunks.",
    }
}

/// The map in one line, for the small layout.
pub(crate) fn strip(model: &Model, buf: &mut Buffer, area: Rect) {
    cells(model, buf, area, false);
}

/// Keys for the footer while the pane has the keys, the most used ones first.
pub(crate) fn footer(model: &Model) -> Vec<(Action, &'static str)> {
    vec![
        (Action::Left, "move"),
        (Action::NextMatch, "next problem"),
        (Action::Why, "why?"),
        (Action::Holders, "swarm"),
        (Action::Senders, if model.chunks.senders { "states" } else { "who sent it" }),
        (Action::Contents, "choose files"),
        (Action::Pause, "pause"),
        (Action::Download, "download"),
        (Action::Enter, "details"),
        (Action::Zoom, "zoom"),
        (Action::NextPane, "pane"),
    ]
}
