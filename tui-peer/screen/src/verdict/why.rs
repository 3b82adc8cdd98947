//! The long answer: everything that holds a content back, and what each source is doing.

use super::{Case, chunks, copies_word, sentence, source_name, tone, verdict};
use crate::action::Action;
use crate::format::{self, plural};
use crate::tone::{Line, Tone};
use engine::api::cause::Cause;
use engine::api::snapshot::{SourceRow, SourceState, TransferState, Way};

/// The long answer to "why is this slow or stuck?".
pub fn why(case: &Case<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    let rate = |bytes: f64| format::rate(bytes, "nothing", case.units);
    let causes = case.focus.map_or(&[][..], |focus| focus.causes.as_slice());
    if case.transfer.is_some_and(|t| t.state == TransferState::Getting) {
        let t = case.transfer.map_or(0.0, |t| t.down_rate);
        lines.push(match (t >= 1.0, causes.first()) {
            (true, Some(_)) => {
                (Tone::Plain, format!("Arriving at {}. What holds it back:", rate(t)))
            }
            (true, None) => {
                (Tone::Good, format!("Arriving at {}; nothing holds it back.", rate(t)))
            }
            (false, _) => (Tone::Warn, "Nothing is arriving right now.".to_owned()),
        });
    }
    // What the verdict says anyway needs not be said twice.
    let said = |cause: &Cause| matches!(cause, Cause::Lost(_) | Cause::NoSource(_));
    let verdict = verdict(case);
    for cause in causes.iter().filter(|cause| !said(cause)) {
        let text = sentence(cause, rate, case.keymap);
        if !verdict.iter().any(|(_, line)| *line == text) {
            lines.push((tone(cause), text));
        }
    }
    lines.extend(verdict);
    lines.extend(case.copies());
    lines.extend(case.sources());
    lines.extend(case.at.filter(|at| at.back_to.is_some()).map(|at| {
        let text = format!("This network is {}. Sources that are connected stay.", at.words());
        (Tone::Dim, text)
    }));
    lines
}

impl Case<'_> {
    /// What the number of copies means.
    fn copies(&self) -> Option<Line> {
        let t = self.transfer.filter(|t| t.state != TransferState::Sharing)?;
        let copies = t.availability?;
        let (whole, more) = (copies.floor(), copies.fract() * 100.0);
        let of = match whole as u32 {
            0 => "no copy".to_owned(),
            n => format!("{} online", copies_word(n)),
        };
        let mark = if copies < 1.0 { "!" } else { "" };
        let tone = if copies < 1.0 { Tone::Bad } else { Tone::Plain };
        let text = format!(
            "Copies {}{mark}: the rarest missing chunk has {of}, {more:.0} % of the missing ones have more.",
            format::availability(copies),
        );
        Some((tone, text))
    }

    /// What every source is doing.
    fn sources(&self) -> Vec<Line> {
        let sharing = self.transfer.is_some_and(|t| t.state == TransferState::Sharing);
        let Some(focus) = self.focus.filter(|_| !sharing) else { return Vec::new() };
        let mut lines = Vec::new();
        let all = [
            (SourceState::Open, Tone::Good, "sending to us."),
            (SourceState::Slow, Tone::Warn, "sending, but much slower than the others."),
            (SourceState::Choked, Tone::Plain, "busy with other peers; our turn will come."),
            (
                SourceState::Snubbed,
                Tone::Warn,
                "stopped delivering; its chunks were given to others.",
            ),
            (SourceState::NoData, Tone::Dim, "connected, but has nothing we need."),
            (SourceState::Waiting, Tone::Dim, "known, being dialled or waiting for a slot."),
            (SourceState::Fetching, Tone::Dim, "fetching from us."),
        ];
        for (state, tone, text) in all {
            let who: Vec<&SourceRow> =
                focus.sources.iter().filter(|source| source.state == state).collect();
            if let [only] = who.as_slice() {
                let why =
                    if only.why.is_empty() { String::new() } else { format!(" ({})", only.why) };
                lines.push((tone, format!("{}: {text}{why}", source_name(only))));
            } else if !who.is_empty() {
                lines.push((tone, format!("{}: {text}", plural(who.len() as u64, "source"))));
            }
        }
        lines.extend(reached(&focus.sources).map(|text| (Tone::Dim, text)));
        if self.counts.bad > 0 {
            let text = "failed verification just now and will be fetched again.";
            lines.push((Tone::Warn, format!("{} {text}", chunks(self.counts.bad))));
        }
        if focus.sources.is_empty() && self.transfer.is_some() {
            let asks = self.keymap.and(" ", Action::Announce, "asks the tracker now.");
            lines.push((Tone::Warn, format!("No sources are known.{asks}")));
        }
        lines
    }
}

/// How the sources are reached, if not all by our own dials.
fn reached(sources: &[SourceRow]) -> Option<String> {
    let ways = [
        (Way::Dialled, "directly"),
        (Way::Came, "because they dialled us"),
        (Way::Punched, "by a call from both sides at once"),
        (Way::Relayed, "through the tracker, which is slow"),
    ];
    let of =
        |way| sources.iter().filter(|s| s.state != SourceState::Waiting && s.way == way).count();
    let said = ways.map(|(way, how)| (of(way), how)).into_iter().filter(|(n, _)| *n > 0);
    let said: Vec<String> = said.map(|(n, how)| format!("{n} {how}")).collect();
    let others = sources.iter().any(|source| source.way != Way::Dialled);
    others.then(|| format!("Sources are reached: {}.", said.join(", ")))
}
