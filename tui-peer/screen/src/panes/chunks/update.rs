//! The chunk map: kept up to date change by change, built elsewhere when that takes long; its cursor.

use crate::heatmap::{Map, Mode, Standing, buckets, first_chunk, standing};
use crate::model::{MapJob, Model, Tone};
use crate::msg::Effect;
use crate::panes::chunks::geometry::map_area;

/// Chunks up to which a map is built at once: well below a millisecond.
const INLINE_CHUNKS: usize = 65_536;
/// Changed pages up to which changes are followed at once.
const INLINE_PAGES: usize = 256;

/// Brings the map up to date with the engine's details and the size of its pane.
pub(crate) fn settle(model: &mut Model, out: &mut Vec<Effect>) {
    let area = map_area(model);
    let cells = usize::from(area.width) * usize::from(area.height);
    let halves = model.theme.backgrounds();
    let Some(focus) = model.focus_data().cloned() else {
        if model.chunks.of.take().is_some() || model.chunks.map.mode != Mode::Empty {
            model.chunks.map = Map::empty();
        }
        return;
    };
    let (id, chunks) = (focus.id, &focus.chunks);
    let same = model.chunks.of.as_ref().filter(|(of, old)| *of == id && old.len() == chunks.len());
    let fits = (model.chunks.map.cells, model.chunks.map.halves) == (cells, halves);
    if let (Some((_, before)), true) = (same, fits) {
        if chunks.changed_pages(before).take(INLINE_PAGES + 1).count() <= INLINE_PAGES {
            model.chunks.map.apply(before, chunks);
            model.chunks.of = Some((id, chunks.clone()));
            follow(model, focus.newest);
            return;
        }
    } else if chunks.len() <= INLINE_CHUNKS {
        install(model, Map::build(chunks, cells, halves), MapJob::of(id, chunks, cells, halves));
        follow(model, focus.newest);
        return;
    }
    // Another content's map must not stand under this one's name; an old one of its own may.
    if same.is_none() {
        model.chunks.map = Map::empty();
        model.chunks.of = None;
    }
    if !model.chunks.building {
        model.chunks.building = true;
        out.push(Effect::Map(MapJob::of(id, chunks, cells, halves)));
    }
}

/// A map that was built elsewhere is ready. What has changed meanwhile follows.
pub(crate) fn mapped(model: &mut Model, job: MapJob, map: Map) {
    model.chunks.building = false;
    if model.focus_data().is_some_and(|focus| focus.id == job.id) {
        install(model, map, job);
    }
}

fn install(model: &mut Model, map: Map, job: MapJob) {
    model.chunks.map = map;
    model.chunks.of = Some((job.id, job.chunks));
    model.chunks.cursor = model.chunks.cursor.min(model.chunks.map.chunks().saturating_sub(1));
}

fn follow(model: &mut Model, newest: Option<u32>) {
    if let Some(newest) = newest.filter(|_| model.chunks.follows) {
        model.chunks.cursor = (newest as usize).min(model.chunks.map.chunks().saturating_sub(1));
    }
}

/// Turns following the newest verified chunk on or off; moving the cursor turns it off.
pub(crate) fn toggle_follow(model: &mut Model) {
    model.chunks.follows = !model.chunks.follows;
    let newest = model.focus_data().and_then(|focus| focus.newest);
    follow(model, newest);
    let text = if model.chunks.follows {
        "the cursor follows the newest verified chunk"
    } else {
        "the cursor stays where it is"
    };
    model.toast(Tone::Plain, text);
}

/// The map shows who sent each chunk, or how it stands.
pub(crate) fn toggle_senders(model: &mut Model) {
    model.chunks.senders = !model.chunks.senders;
    let text = if model.chunks.senders {
        "the map shows who sent each chunk"
    } else {
        "the map shows how each chunk stands"
    };
    model.toast(Tone::Plain, text);
}

/// Buckets of the map for which the engine is to say who sent them, if it shows that.
pub(crate) fn senders_wanted(model: &Model) -> Option<u32> {
    let area = map_area(model);
    let cells = usize::from(area.width) * usize::from(area.height);
    let shown = model.chunks.senders && cells > 0 && !model.swarm.open;
    let wanted = buckets(model.chunk_count(), cells);
    u32::try_from(wanted).ok().filter(|_| shown)
}

/// Puts the cursor on the cell a click was in.
pub(crate) fn point(model: &mut Model, cell: usize) {
    if let Some(chunks) = model.chunks.map.chunks_at(cell) {
        model.chunks.cursor = chunks.start;
        model.chunks.follows = false;
    }
}

/// Moves the cursor by cells.
pub(crate) fn step(model: &mut Model, by: isize) {
    let cells = model.chunks.map.cell_of(model.chunks.map.chunks().saturating_sub(1)) + 1;
    let stride = match model.chunks.map.mode {
        Mode::Brick(k) if by.unsigned_abs() == 1 => k,
        _ => 1,
    };
    let by = by.saturating_mul(isize::try_from(stride).unwrap_or(1));
    let from = model.chunks.map.cell_of(model.chunks.cursor);
    point(model, from.saturating_add_signed(by).min(cells.saturating_sub(1)));
}

/// To the first or the last chunk.
pub(crate) fn edge(model: &mut Model, end: bool) {
    model.chunks.cursor = if end { model.chunks.map.chunks().saturating_sub(1) } else { 0 };
    model.chunks.follows = false;
}

/// Jumps to the next chunk that nobody has or that was bad: through the buckets, then within one.
pub(crate) fn problem(model: &mut Model, forward: bool) {
    let Some((_, chunks)) = &model.chunks.of else { return };
    let is = |i: &usize| matches!(standing(chunks, *i), Standing::Lack(0) | Standing::Bad);
    let (map, here) = (&model.chunks.map, model.chunks.cursor);
    let own = map.bucket_of(here);
    let (n, of) = (map.chunks(), map.len());
    let range = |at: usize| {
        let first = first_chunk(at, of, n);
        first..first_chunk(at + 1, of, n)
    };
    let rest = range(own);
    let found = if forward {
        (here + 1..rest.end).find(is)
    } else {
        (rest.start..here.max(rest.start)).rev().find(is)
    };
    let found = found.or_else(|| {
        let mut next = range(map.next_problem(own, forward)?);
        if forward { next.find(is) } else { next.rev().find(is) }
    });
    if let Some(chunk) = found {
        model.chunks.cursor = chunk;
        model.chunks.follows = false;
    }
}
