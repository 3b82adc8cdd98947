//! What the chunk map means, in words: can this finish from who is online, and if not, why, who could
//! leave before it is done, and what to do. Pure.

mod cause;
mod why;

use std::time::Instant;

use unicode_width::UnicodeWidthStr;

use settings::Units;

use super::action::Action;
use super::format::{self, percent, plural};
use super::heatmap::Counts;
use super::keymap::Keymap;
use super::tone::{Line, Tone};
use engine::api::cause::Cause;
use engine::api::snapshot::{
    CatalogueRow, Focus, FolderNews, Sole, SourceRow, TrackerAt, Transfer, TransferState,
};

pub use cause::sentence;
pub use why::why;

/// Holders of last copies that are named one by one.
const NAMED: usize = 3;

/// What there is to judge.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// Ours, if it is.
    pub transfer: Option<&'a Transfer>,
    /// The network's word, if it is on.
    pub row: Option<&'a CatalogueRow>,
    /// The engine's details, once they are here.
    pub focus: Option<&'a Focus>,
    /// How its chunks stand.
    pub counts: Counts,
    /// At which of several trackers we are.
    pub at: Option<&'a TrackerAt>,
    /// Now.
    pub now: Instant,
    /// How sizes and rates are written.
    pub units: Units,
    /// The keys that hints name.
    pub keymap: &'a Keymap,
}

/// Verdict on a content, most important line first.
pub fn verdict(case: &Case<'_>) -> Vec<Line> {
    match case.transfer {
        Some(t) if t.state == TransferState::Sharing => case.shared(t),
        Some(t) if t.state == TransferState::Hashing => {
            vec![(Tone::Plain, "Being hashed; others can see it once that is done.".to_owned())]
        }
        Some(t) => case.fetching(t),
        None => case.foreign(),
    }
}

/// Columns that a headline takes at most.
const HEADLINE: usize = 34;

/// The verdict in at most 34 columns, for where one line is all there is.
pub fn headline(case: &Case<'_>) -> Option<Line> {
    let Some(t) = case.transfer else {
        return case.row.map(|row| match (row.sources, row.complete) {
            (0, _) => (Tone::Warn, "Nobody online has it".to_owned()),
            (n, 0) => (Tone::Plain, format!("{n} have parts of it, nobody has it all")),
            (_, n) => (Tone::Good, format!("{} with all of it", plural(u64::from(n), "source"))),
        });
    };
    let counts = &case.counts;
    Some(match &t.state {
        TransferState::Sharing if t.differs().is_some() => {
            let news = t.differs().unwrap_or_default();
            let ways = [(Action::Rescan, "shares it so")];
            let ways = if news.watched { &[][..] } else { &ways };
            (Tone::Warn, case.with(&news.words(), "; ", ways))
        }
        TransferState::Sharing if t.other_complete == 0 => {
            (Tone::Warn, "Only you have all of it".to_owned())
        }
        TransferState::Sharing if t.other_complete == 1 => {
            (Tone::Good, "All here; 1 other has all of it too".to_owned())
        }
        TransferState::Sharing => {
            (Tone::Good, format!("All here; {} others have it too", t.other_complete))
        }
        TransferState::DiskFull => (Tone::Bad, "Disk full; resumes when there is room".to_owned()),
        TransferState::Failed(_) => {
            let ways = [(Action::Why, "says why"), (Action::Retry, "tries again")];
            (Tone::Bad, case.with("Failed", ": ", &ways))
        }
        TransferState::Changed if t.why == Some(Cause::Vanished) => {
            let ways = [(Action::Download, "fetches it again")];
            (Tone::Bad, case.with("Gone from disk", ": ", &ways))
        }
        TransferState::Changed => {
            (Tone::Bad, case.with("Changed on disk", "; ", &[(Action::Why, "says more")]))
        }
        TransferState::Checking => (Tone::Plain, "Checking what is on disk".to_owned()),
        _ if case.known() && counts.none > 0 => (
            Tone::Bad,
            format!("Stops at {}: {} lost", case.reach(counts.none), chunks(counts.none)),
        ),
        _ if case.known() && counts.one > 0 => match case.soles() {
            [] => (Tone::Warn, format!("Can finish; {} with 1 source", counts.one)),
            [sole] => {
                let who = format::start(&sole_name(sole), 12);
                (Tone::Warn, format!("{} only at {who}", chunks(u64::from(sole.chunks))))
            }
            all => (Tone::Warn, format!("{} each at 1 of {} peers", chunks(counts.one), all.len())),
        },
        _ if case.known() && counts.wanted() > counts.have => {
            (Tone::Good, "Can finish from the peers online".to_owned())
        }
        _ if t.sources == 0 => (Tone::Warn, "Nobody online has it".to_owned()),
        state => (Tone::Dim, super::labels::state_word(state).to_owned()),
    })
}

/// The most important line of the verdict that fits in `width` columns: in full, in fewer words, or the
/// headline.
pub fn line(case: &Case<'_>, width: usize) -> Option<Line> {
    let full = verdict(case).into_iter().next();
    full.into_iter()
        .chain(case.stuck())
        .find(|(_, text)| text.width() <= width)
        .or_else(|| headline(case))
}

impl Case<'_> {
    /// `text` and what keys do about it, as many of them as fit in a headline.
    fn with(&self, text: &str, gap: &str, ways: &[(Action, &str)]) -> String {
        let mut out = text.to_owned();
        let mut gap = gap;
        for (action, what) in ways {
            let more = self.keymap.and(gap, *action, what);
            if !more.is_empty() && out.width() + more.width() <= HEADLINE {
                out.push_str(&more);
                gap = ", ";
            }
        }
        out
    }

    fn shared(&self, t: &Transfer) -> Vec<Line> {
        let mut lines: Vec<Line> =
            t.differs().into_iter().map(|news| different(self.keymap, news)).collect();
        lines.extend(shared(t));
        lines.extend(
            t.news.filter(|news| news.watched).map(|_| {
                (Tone::Plain, "Watched: what comes into it is shared by itself.".to_owned())
            }),
        );
        lines
    }

    fn known(&self) -> bool {
        self.focus.is_some_and(|focus| !focus.chunks.is_empty())
    }

    fn soles(&self) -> &[Sole] {
        self.focus.map_or(&[], |focus| focus.sole.as_slice())
    }

    /// How far it gets without so many chunks.
    fn reach(&self, without: u64) -> String {
        let wanted = self.counts.wanted();
        percent(wanted.saturating_sub(without), wanted)
    }

    /// That it cannot finish, without what to do.
    fn stuck(&self) -> Option<Line> {
        let none = self.counts.none;
        let fetched = self.transfer.is_some_and(|t| t.state != TransferState::Sharing);
        (fetched && self.known() && none > 0).then(|| {
            let text = format!(
                "Gets to {}, then stuck: nobody online has {}",
                self.reach(none),
                chunks(none)
            );
            (Tone::Bad, text)
        })
    }

    fn fetching(&self, t: &Transfer) -> Vec<Line> {
        let mut lines = Vec::new();
        lines.extend(self.state(t));
        if !self.known() {
            if t.sources == 0 {
                lines.push((Tone::Warn, "Nobody online has it.".to_owned()));
            }
            return lines;
        }
        let counts = &self.counts;
        if counts.checking > 0 {
            return lines;
        }
        if counts.wanted() <= counts.have {
            lines.push((Tone::Good, "Every chunk is here.".to_owned()));
            return lines;
        }
        if counts.none > 0 {
            let jumps = self.keymap.aside(Action::NextMatch, "jumps");
            lines.push((
                Tone::Bad,
                format!(
                    "Cannot finish now: gets to {}, then stuck: nobody online has {}{jumps}.",
                    self.reach(counts.none),
                    chunks(counts.none),
                ),
            ));
            lines.extend(self.departed());
        } else {
            let margin = if counts.one == 0 {
                "every missing chunk has 2 or more sources"
            } else {
                "every missing chunk has a source"
            };
            lines.push((Tone::Good, format!("Can finish from the peers online: {margin}.")));
        }
        if counts.one > 0 {
            lines.push((Tone::Warn, self.sole()));
        }
        lines
    }

    /// What its state says, beyond "getting".
    fn state(&self, t: &Transfer) -> Option<Line> {
        let cause = match &t.state {
            TransferState::NoSource
            | TransferState::Getting
            | TransferState::Hashing
            | TransferState::Sharing => return None,
            TransferState::Changed if t.why == Some(Cause::Vanished) => Cause::Vanished,
            TransferState::Changed if !t.plan.why.is_empty() => {
                // Changed and hashed again, or damaged: the engine knows which.
                let again = self.keymap.and(" ", Action::Verify, "looks again.");
                let text = format!("{}.{again}", common::names::show(&t.plan.why));
                return Some((Tone::Bad, text));
            }
            TransferState::Changed => {
                let text = "The file changed on disk: it is hashed again and not served meanwhile.";
                return Some((Tone::Bad, text.to_owned()));
            }
            TransferState::DiskFull => Cause::DiskFull,
            TransferState::Failed(why) => Cause::Failed(why.clone()),
            TransferState::Paused => Cause::Paused,
            TransferState::Queued => match &t.why {
                Some(Cause::Queued(n)) => Cause::Queued(*n),
                _ => Cause::Queued(1),
            },
            TransferState::Resolving => Cause::Resolving,
            TransferState::Checking => Cause::Checking,
            TransferState::Finishing => Cause::Finishing,
        };
        let rate = |bytes| format::rate(bytes, "nothing", self.units);
        let text = sentence(&cause, rate, self.keymap);
        Some((tone(&cause), text))
    }

    /// The last one who left, when something is with nobody.
    fn departed(&self) -> Option<Line> {
        let left = self.focus?.left.as_ref()?;
        let who = if left.nick.is_empty() { left.peer.short() } else { left.nick.clone() };
        let ago = format::age(self.now.saturating_duration_since(left.at).as_secs());
        let n = self.focus.map_or(0, |focus| focus.chunks.len() as u64);
        let had = match u64::from(left.have).min(n) {
            0 => "; it may have had them".to_owned(),
            have if have == n => " with all of it".to_owned(),
            have => format!(" with {} of it; it may have had them", percent(have, n)),
        };
        Some((Tone::Plain, format!("{who} left {ago}{had}.")))
    }

    /// Who has chunks that nobody else has.
    fn sole(&self) -> String {
        let counts = &self.counts;
        let soles = self.soles();
        let named: u64 = soles.iter().map(|sole| u64::from(sole.chunks)).sum();
        let without = |n: u64| self.reach(n + counts.none);
        match soles {
            [] => {
                let have = if counts.one == 1 { "has" } else { "have" };
                format!("{} {have} only one source.", chunks(counts.one))
            }
            [sole] if named >= counts.one => {
                let (who, n) = (sole_name(sole), u64::from(sole.chunks));
                let it = if n == 1 { "1 chunk".to_owned() } else { chunks(n) };
                let away = if sole.connected { "" } else { " (not connected)" };
                format!("Only {who}{away} has {it}: if it leaves, this stops at {}.", without(n))
            }
            all => {
                let mut who: Vec<String> = all
                    .iter()
                    .take(NAMED)
                    .map(|sole| {
                        format!("{} {}", sole_name(sole), format::count(sole.chunks.into()))
                    })
                    .collect();
                let rest = counts.one.saturating_sub(
                    all.iter().take(NAMED).map(|sole| u64::from(sole.chunks)).sum::<u64>(),
                );
                if rest > 0 {
                    who.push(format!("others {}", format::count(rest)));
                }
                format!(
                    "{} with one source each: {}. Without them this stops at {}.",
                    chunks(counts.one),
                    who.join(", "),
                    without(counts.one)
                )
            }
        }
    }

    fn foreign(&self) -> Vec<Line> {
        let Some(row) = self.row else { return Vec::new() };
        let lost = self.known() && self.counts.none > 0;
        let downloads = self.keymap.and(" ", Action::Download, "downloads it.");
        let line = if row.sources == 0 {
            let what = "downloads it as soon as somebody has it.";
            let later = self.keymap.and(" ", Action::Download, what);
            (Tone::Warn, format!("Nobody online has it right now.{later}"))
        } else if row.complete > 0 {
            let who = plural(u64::from(row.complete), "peer");
            let has = if row.complete == 1 { "has" } else { "have" };
            let text = format!("Not on this machine. {who} online {has} all of it.{downloads}");
            (Tone::Good, text)
        } else if lost {
            let n = chunks(self.counts.none);
            (Tone::Warn, format!("Nobody online has all of it, and {n} nobody has at all."))
        } else {
            let who = plural(u64::from(row.sources), "peer");
            let text = format!("Nobody online has all of it, {who} parts.{downloads}");
            (Tone::Plain, text)
        };
        vec![line]
    }
}

/// What is different in a shared folder on disk, and what to do about it.
fn different(keymap: &Keymap, news: FolderNews) -> Line {
    let then = if news.watched {
        "; shared so once nothing moves any more.".to_owned()
    } else {
        let key = keymap.and("; ", Action::Rescan, "shares it so");
        format!(". Others get it as it was{key}.")
    };
    (Tone::Warn, format!("On disk: {}{then}", news.words()))
}

fn shared(t: &Transfer) -> Vec<Line> {
    let others = match t.other_complete {
        0 => (Tone::Warn, "You are the only one who has all of it.".to_owned()),
        1 => (Tone::Good, "All of it is here; 1 other peer has all of it too.".to_owned()),
        n => (Tone::Good, format!("All of it is here; {n} other peers have all of it too.")),
    };
    let wanted = match t.wanted_by {
        0 => (Tone::Dim, "Nobody is downloading it right now.".to_owned()),
        1 => (Tone::Plain, "1 peer is downloading it from you.".to_owned()),
        n => (Tone::Plain, format!("{n} peers are downloading it from you.")),
    };
    vec![others, wanted]
}

fn chunks(n: u64) -> String {
    plural(n, "chunk")
}

fn copies_word(n: u32) -> String {
    if n == 1 { "1 copy".to_owned() } else { format!("{n} copies") }
}

fn tone(cause: &Cause) -> Tone {
    match cause {
        Cause::DiskFull
        | Cause::Vanished
        | Cause::Failed(_)
        | Cause::NoSource(_)
        | Cause::Lost(_) => Tone::Bad,
        Cause::Offline
        | Cause::TrackerLost(_)
        | Cause::OwnLimit(_)
        | Cause::OurDisk(_)
        | Cause::Hashing(_)
        | Cause::Snubbed(_)
        | Cause::Unreachable(_) => Tone::Warn,
        _ => Tone::Plain,
    }
}

fn sole_name(sole: &Sole) -> String {
    if sole.nick.is_empty() { sole.peer.short() } else { sole.nick.clone() }
}

/// A peer for people: its name for itself, or the beginning of its key.
pub fn source_name(source: &SourceRow) -> String {
    if source.nick.is_empty() { source.peer.short() } else { source.nick.clone() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use common::id::{ContentId, PeerId};

    use super::*;
    use engine::api::chunk_states::Chunks;
    use engine::api::snapshot::{ChunkState, Departed};

    fn transfer(state: TransferState) -> Transfer {
        Transfer {
            id: ContentId::from_bytes([1; 32]),
            name: "x".into(),
            raw: None,
            kind: common::content::Kind::File,
            state,
            size: 1000,
            done: 500,
            chunks: 1000,
            have: 500,
            path: "x".into(),
            down_rate: 0.0,
            up_rate: 0.0,
            uploaded: 0,
            eta_s: None,
            active: 0,
            sources: 2,
            availability: Some(0.99),
            unavailable: 0,
            downloaded: true,
            wanted_by: 0,
            other_complete: 0,
            why: None,
            plan: Default::default(),
            unreached: Vec::new(),
            refused: false,
            news: None,
        }
    }

    fn focus(sole: Vec<Sole>, left: Option<Departed>) -> Focus {
        Focus {
            id: ContentId::from_bytes([1; 32]),
            chunks: Chunks::of(&[ChunkState::Missing; 1000], &[]),
            chunk_len: 65_536,
            sources: Vec::new(),
            flights: Vec::new(),
            newest: None,
            sole,
            left,
            added: None,
            holders: None,
            sent: None,
            causes: vec![Cause::Choked(2)],
        }
    }

    fn sole(n: u8, nick: &str, chunks: u32) -> Sole {
        let peer = PeerId::from_bytes([n; 32]);
        Sole { peer, nick: nick.to_owned(), chunks, connected: true }
    }

    fn say(counts: Counts, focus: &Focus) -> Vec<String> {
        let transfer = transfer(TransferState::Getting);
        let case = Case {
            transfer: Some(&transfer),
            row: None,
            focus: Some(focus),
            counts,
            at: None,
            now: Instant::now() + Duration::from_secs(720),
            units: Units::Iec,
            keymap: &Keymap::standard(),
        };
        assert!(headline(&case).is_some_and(|(_, text)| text.chars().count() <= 34));
        verdict(&case).into_iter().chain(why(&case)).map(|(_, text)| text).collect()
    }

    #[test]
    fn b1_the_long_answer_names_the_standby_and_why_the_first_is_away() {
        let keymap = Keymap::standard();
        let mut at = TrackerAt {
            address: "b.lab:7420".to_owned(),
            place: 2,
            of: 2,
            back_to: Some("a.lab:7420".to_owned()),
            vain: Some("a.lab:7420 does not answer".to_owned()),
        };
        let said = |at: &TrackerAt| {
            let case = Case {
                transfer: None,
                row: None,
                focus: None,
                counts: Counts::default(),
                at: Some(at),
                now: Instant::now(),
                units: Units::Iec,
                keymap: &keymap,
            };
            why(&case).into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n")
        };
        let text = said(&at);
        assert!(
            text.contains("standby b.lab:7420") && text.contains("a.lab:7420 does not answer"),
            "{text}"
        );
        at.back_to = None;
        assert!(!said(&at).contains("b.lab"), "at the first there is nothing to say");
    }

    #[test]
    fn names_who_must_not_leave_and_where_it_would_stop() {
        let counts = Counts { total: 1000, have: 934, one: 66, ..Counts::default() };
        let lines = say(counts, &focus(vec![sole(1, "lab-3", 66)], None));
        assert_eq!(lines[1], "Only lab-3 has 66 chunks: if it leaves, this stops at 93%.");
        let many =
            vec![sole(1, "lab-3", 40), sole(2, "grace", 20), sole(3, "rack", 4), sole(4, "b", 2)];
        let lines = say(counts, &focus(many, None));
        assert_eq!(
            lines[1],
            "66 chunks with one source each: lab-3 40, grace 20, rack 4, others 2. Without them this stops at 93%."
        );
    }

    #[test]
    fn says_where_it_stops_and_who_left() {
        let counts = Counts { total: 1000, have: 900, none: 1, many: 99, ..Counts::default() };
        let peer = PeerId::from_bytes([9; 32]);
        let left = Departed { peer, nick: "linus".into(), at: Instant::now(), have: 410 };
        let lines = say(counts, &focus(Vec::new(), Some(left)));
        assert_eq!(
            lines[0],
            "Cannot finish now: gets to 99.9%, then stuck: nobody online has 1 chunk (n jumps)."
        );
        assert_eq!(lines[1], "linus left 12 min ago with 41% of it; it may have had them.");
        assert!(
            lines
                .iter()
                .any(|l| l.starts_with("Copies 0.99!: the rarest missing chunk has no copy"))
        );
        assert!(lines.iter().any(|l| l.starts_with("2 sources are serving others first")));
    }
}
