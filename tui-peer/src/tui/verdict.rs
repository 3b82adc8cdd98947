//! What the chunk map means, in words: can this finish from who is online, and if not, why, and what
//! to do. Pure.

use crate::engine::snapshot::{
    CatalogueRow, ChunkState, Focus, SourceRow, SourceState, Transfer, TransferState,
};

use super::format::{percent, plural};
use super::heatmap::Counts;
use super::model::{Line, Tone};

/// Verdict on a content, most important line first.
pub fn verdict(
    transfer: Option<&Transfer>,
    row: Option<&CatalogueRow>,
    focus: Option<&Focus>,
    counts: &Counts,
) -> Vec<Line> {
    match transfer {
        Some(t) if t.state == TransferState::Sharing => shared(t),
        Some(t) if t.state == TransferState::Hashing => {
            vec![(Tone::Plain, "Being hashed; others see it when this is done.".to_owned())]
        }
        Some(t) => fetching(t, focus, counts),
        None => foreign(row, focus, counts),
    }
}

/// The verdict in at most 34 columns, for where one line is all there is.
pub fn headline(
    transfer: Option<&Transfer>,
    row: Option<&CatalogueRow>,
    focus: Option<&Focus>,
    counts: &Counts,
) -> Option<Line> {
    let known = focus.is_some_and(|focus| !focus.chunks.is_empty());
    let Some(t) = transfer else {
        return row.map(|row| match (row.sources, row.complete) {
            (0, _) => (Tone::Warn, "Nobody online has it".to_owned()),
            (n, 0) => (Tone::Plain, format!("{n} have parts, nobody all of it")),
            (_, n) => (Tone::Good, format!("{} with all of it", plural(u64::from(n), "source"))),
        });
    };
    let wanted = counts.wanted();
    Some(match &t.state {
        TransferState::Sharing if t.other_complete == 0 => {
            (Tone::Warn, "Only you have all of it".to_owned())
        }
        TransferState::Sharing => {
            (Tone::Good, format!("All here, {} more have it all", t.other_complete))
        }
        TransferState::DiskFull => (Tone::Bad, "Disk full; goes on when there is room".to_owned()),
        TransferState::Failed(_) => (Tone::Bad, "Failed: i says why, r tries again".to_owned()),
        TransferState::Changed => (Tone::Bad, "Changed on disk: hashed again".to_owned()),
        _ if known && counts.none > 0 => {
            let reach = percent(wanted - counts.none, wanted);
            (Tone::Bad, format!("Stops at {reach}: {} lost", plural(counts.none, "chunk")))
        }
        _ if known && counts.one > 0 => match focus.and_then(sole_source) {
            Some(source) => (
                Tone::Warn,
                format!("{} only at {}", plural(counts.one, "chunk"), source_name(source)),
            ),
            None => (Tone::Warn, format!("Can finish; {} with 1 source", counts.one)),
        },
        _ if known && wanted > counts.have => {
            (Tone::Good, "Can finish from who is online".to_owned())
        }
        _ if t.sources == 0 => (Tone::Warn, "Nobody online has it".to_owned()),
        state => (Tone::Dim, super::words::state_word(state).to_owned()),
    })
}

fn shared(t: &Transfer) -> Vec<Line> {
    let others = match t.other_complete {
        0 => (Tone::Warn, "You are the only one who has all of it.".to_owned()),
        1 => (Tone::Good, "All of it is here; 1 other peer has all of it too.".to_owned()),
        n => (Tone::Good, format!("All of it is here; {n} other peers have all of it too.")),
    };
    let wanted = match t.wanted_by {
        0 => (Tone::Dim, "Nobody is fetching it right now.".to_owned()),
        1 => (Tone::Plain, "1 peer is fetching it from you.".to_owned()),
        n => (Tone::Plain, format!("{n} peers are fetching it from you.")),
    };
    vec![others, wanted]
}

fn fetching(t: &Transfer, focus: Option<&Focus>, counts: &Counts) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(cause) = cause(t) {
        lines.push(cause);
    }
    let known = focus.is_some_and(|focus| !focus.chunks.is_empty());
    if !known {
        if t.sources == 0 {
            lines.push((Tone::Warn, "Nobody online has it.".to_owned()));
        }
        return lines;
    }
    let wanted = counts.wanted();
    let lacking = wanted - counts.have.min(wanted);
    if lacking == 0 {
        lines.push((Tone::Good, "Every chunk is here.".to_owned()));
        return lines;
    }
    if counts.none > 0 {
        let reach = percent(wanted - counts.none, wanted);
        let missing = plural(counts.none, "chunk");
        let have = if counts.none == 1 { "has" } else { "have" };
        lines.push((
            Tone::Bad,
            format!(
                "Cannot finish now: {missing} {have} no source online; stops at {reach} (n jumps)."
            ),
        ));
    } else {
        let margin = if counts.one == 0 {
            "every missing chunk has 2 or more sources"
        } else {
            "every missing chunk has a source"
        };
        lines.push((Tone::Good, format!("Can finish from who is online: {margin}.")));
    }
    if counts.one > 0 {
        lines.push((Tone::Warn, sole(focus, counts)));
    }
    lines
}

fn sole(focus: Option<&Focus>, counts: &Counts) -> String {
    let chunks = plural(counts.one, "chunk");
    let have = if counts.one == 1 { "has" } else { "have" };
    match focus.and_then(sole_source) {
        Some(source) => {
            let wanted = counts.wanted();
            let reach = percent(wanted.saturating_sub(counts.one + counts.none), wanted);
            format!(
                "Only {} has {chunks}: if it leaves, this stops at {reach}.",
                source_name(source)
            )
        }
        None => format!("{chunks} {have} only one source."),
    }
}

/// Who has the chunks that only one peer has, if that can be said: somebody who has everything, or the
/// only one who has anything.
pub fn sole_source(focus: &Focus) -> Option<&SourceRow> {
    let n = u32::try_from(focus.chunks.len()).unwrap_or(u32::MAX);
    let mut holders = focus.sources.iter().filter(|s| s.have > 0);
    let complete = focus.sources.iter().find(|s| s.have >= n && n > 0);
    match (complete, holders.next(), holders.next()) {
        (Some(complete), _, _) => Some(complete),
        (None, Some(only), None) => Some(only),
        _ => None,
    }
}

/// A peer for people: its name for itself, or the beginning of its key.
pub fn source_name(source: &SourceRow) -> String {
    if source.nick.is_empty() { source.peer.short() } else { source.nick.clone() }
}

fn cause(t: &Transfer) -> Option<Line> {
    let line = match &t.state {
        TransferState::DiskFull => (
            Tone::Bad,
            "The disk is full. It goes on by itself when there is room (r tries now).".to_owned(),
        ),
        TransferState::Failed(why) => {
            (Tone::Bad, format!("Failed: {}. r tries again.", common::names::show(why)))
        }
        TransferState::Changed => (
            Tone::Bad,
            "The file changed on disk: it is hashed again and not served meanwhile.".to_owned(),
        ),
        TransferState::Paused => (Tone::Plain, "You paused it. p goes on.".to_owned()),
        TransferState::Queued => (Tone::Plain, "Waits for other downloads to finish.".to_owned()),
        TransferState::Resolving => {
            (Tone::Plain, "Asking sources what this content is.".to_owned())
        }
        TransferState::Checking => (Tone::Plain, "Checking what is on disk.".to_owned()),
        TransferState::Finishing => {
            (Tone::Plain, "All here; writing to disk and moving into place.".to_owned())
        }
        TransferState::NoSource
        | TransferState::Getting
        | TransferState::Hashing
        | TransferState::Sharing => {
            return None;
        }
    };
    Some(line)
}

fn foreign(row: Option<&CatalogueRow>, focus: Option<&Focus>, counts: &Counts) -> Vec<Line> {
    let Some(row) = row else { return Vec::new() };
    let lost = focus.is_some_and(|focus| !focus.availability.is_empty()) && counts.none > 0;
    let line = if row.sources == 0 {
        (
            Tone::Warn,
            "Nobody online has it right now. d downloads it as soon as somebody comes.".to_owned(),
        )
    } else if row.complete > 0 {
        let who = plural(u64::from(row.complete), "peer");
        let has = if row.complete == 1 { "has" } else { "have" };
        (Tone::Good, format!("Not on this machine. {who} online {has} all of it. d downloads it."))
    } else if lost {
        (
            Tone::Warn,
            format!(
                "Nobody online has all of it, and {} nobody has at all.",
                plural(counts.none, "chunk")
            ),
        )
    } else {
        let who = plural(u64::from(row.sources), "peer");
        (Tone::Plain, format!("Nobody online has all of it, {who} parts. d downloads it."))
    };
    vec![line]
}

/// The long answer to "why is this slow or stuck?".
pub fn why(
    transfer: Option<&Transfer>,
    row: Option<&CatalogueRow>,
    focus: Option<&Focus>,
    counts: &Counts,
) -> Vec<Line> {
    let mut lines = verdict(transfer, row, focus, counts);
    let Some(focus) = focus.filter(|_| transfer.is_none_or(|t| t.state != TransferState::Sharing))
    else {
        return lines;
    };
    let with =
        |state: SourceState| focus.sources.iter().filter(|s| s.state == state).count() as u64;
    let tell = |n: u64, tone: Tone, text: &str| {
        (n > 0).then(|| (tone, format!("{}: {text}", plural(n, "source"))))
    };
    lines.extend(tell(with(SourceState::Open), Tone::Good, "sending to us."));
    lines.extend(tell(
        with(SourceState::Slow),
        Tone::Warn,
        "sending, but much slower than the others.",
    ));
    lines.extend(tell(
        with(SourceState::Choked),
        Tone::Plain,
        "busy with other peers; our turn comes.",
    ));
    lines.extend(tell(
        with(SourceState::Snubbed),
        Tone::Warn,
        "stopped delivering; its chunks were given to others.",
    ));
    lines.extend(tell(
        with(SourceState::NoData),
        Tone::Dim,
        "connected, but with nothing that we lack.",
    ));
    lines.extend(tell(
        with(SourceState::Waiting),
        Tone::Dim,
        "known, being dialled or waiting for a place.",
    ));
    lines.extend(tell(with(SourceState::Fetching), Tone::Dim, "fetching from us."));
    let bad = focus.chunks.iter().filter(|c| **c == ChunkState::Bad).count() as u64;
    lines.extend(tell_bad(bad));
    if focus.sources.is_empty() && transfer.is_some() {
        lines.push((Tone::Warn, "No sources are known. A asks the tracker now.".to_owned()));
    }
    lines
}

fn tell_bad(n: u64) -> Option<Line> {
    (n > 0).then(|| {
        (
            Tone::Warn,
            format!(
                "{} failed verification just now and will be fetched again.",
                plural(n, "chunk")
            ),
        )
    })
}
