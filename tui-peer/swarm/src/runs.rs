//! Runs of chunks, as HAVE and DONT_HAVE name them.

use std::ops::Range;

use common::numbers::saturate;
use common::wire::peer::Run;

/// A range as runs of the wire, whose length is two bytes.
pub(super) fn wire_runs(range: Range<u32>) -> impl Iterator<Item = Run> {
    let most = u32::from(u16::MAX);
    (range.start..range.end).step_by(most as usize).map(move |start| {
        let len = (range.end - start).min(most);
        Run { start, len: saturate::<u16>(len) }
    })
}

/// Chunks in order, each once, as runs.
pub(super) fn runs_of(chunks: &[u32]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for chunk in chunks {
        match runs.last_mut() {
            Some(run) if run.start + u32::from(run.len) == *chunk && run.len < u16::MAX => {
                run.len += 1;
            }
            _ => runs.push(Run { start: *chunk, len: 1 }),
        }
    }
    runs
}

/// Whether runs lie within the content, in order and apart: then there is no more work in them than
/// the content has chunks.
pub(super) fn are_runs_of(runs: &[Run], chunks: u32) -> bool {
    let mut least = 0;
    runs.iter().all(|run| {
        let end = run.start.checked_add(u32::from(run.len));
        let fits = run.start >= least && end.is_some_and(|end| end <= chunks);
        least = end.unwrap_or(u32::MAX);
        fits
    })
}

/// How many chunks they name.
pub(super) fn count_runs(runs: &[Run]) -> u32 {
    runs.iter().map(|run| u32::from(run.len)).sum()
}
