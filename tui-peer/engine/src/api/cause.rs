//! Why a download, or one of its sources, is slow or stuck. Pure: what the engine counted goes in, causes
//! come out, the most important first; the same cause in a few letters stands in the row.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Share of the time that must have gone into waiting for something before it is named.
const NAMED: f32 = 0.3;
/// A source this much slower to answer than the quickest is called so.
const FAR: u32 = 5;
/// Round trips below this are never called long, in milliseconds.
const NEAR_MS: u32 = 20;
/// Other downloads take "the bandwidth" when they take so many times what this one gets.
const OTHERS: f64 = 2.0;

/// What keeps a download from being faster, or from moving at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Cause {
    /// Others go first; it is so many-th in the queue.
    Queued(u32),
    /// The user paused it.
    Paused,
    /// The disk is full.
    DiskFull,
    /// It was complete and is no longer on our disk.
    Vanished,
    /// Something else is wrong with it, in words.
    Failed(String),
    /// It starts when somebody has it.
    Watching,
    /// Sources are being asked what it is.
    Resolving,
    /// What is on disk is being checked.
    Checking,
    /// It is being moved into place.
    Finishing,
    /// Nobody online has any of the so many missing chunks.
    NoSource(u32),
    /// So many of the missing chunks are with nobody online.
    Lost(u32),
    /// We left the network, or never joined one.
    Offline,
    /// The tracker does not answer since so many seconds: no new sources are found.
    TrackerLost(u64),
    /// Our own limit, in bytes per second.
    OwnLimit(u64),
    /// Our disk: percent of the time it was writing.
    OurDisk(u32),
    /// Our processor: percent of the time it was hashing.
    Hashing(u32),
    /// So many sources serve others first.
    Choked(u32),
    /// So many sources stopped delivering.
    Snubbed(u32),
    /// So many sources are being dialled.
    Dialing(u32),
    /// So many sources cannot be reached.
    Unreachable(u32),
    /// Chunk hashes are asked for first.
    Hashes,
    /// Other downloads of ours get so many bytes per second.
    Others(f64),
    /// All that was asked is on its way from so many sources: their uplinks are the limit.
    TheirUplink(u32),
}

impl Cause {
    /// In at most ten columns.
    pub fn short(&self) -> String {
        match self {
            Self::Queued(n) => format!("queued #{}", (*n).min(99)),
            Self::Paused => "paused".into(),
            Self::DiskFull => "disk full".into(),
            Self::Vanished => "gone".into(),
            Self::Failed(_) => "failed".into(),
            Self::Watching => "watching".into(),
            Self::Resolving => "asking".into(),
            Self::Checking => "checking".into(),
            Self::Finishing => "finishing".into(),
            Self::NoSource(_) => "no source".into(),
            Self::Lost(n) => format!("{} lost", (*n).min(9999)),
            Self::Offline => "offline".into(),
            Self::TrackerLost(_) => "no tracker".into(),
            Self::OwnLimit(_) => "our limit".into(),
            Self::OurDisk(_) => "our disk".into(),
            Self::Hashing(_) => "hashing".into(),
            Self::Choked(_) => "busy peers".into(),
            Self::Snubbed(_) => "silent".into(),
            Self::Dialing(_) => "dialing".into(),
            Self::Unreachable(_) => "no answer".into(),
            Self::Hashes => "hashes".into(),
            Self::Others(_) => "others".into(),
            Self::TheirUplink(_) => "uplinks".into(),
        }
    }
}

/// What a download is doing, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Stage {
    /// Number in the queue.
    Queued(u32),
    /// By the user.
    Paused,
    /// No room.
    DiskFull,
    /// In words.
    Failed(String),
    /// Until somebody has it.
    Watching,
    /// Asking what it is.
    Resolving,
    /// Looking at what is there.
    Checking,
    /// Chunks may come.
    #[default]
    Getting,
    /// Moving into place.
    Finishing,
}

/// What the engine counted of a download.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// What it is doing.
    pub stage: Stage,
    /// Wanted chunks that are not here.
    pub missing: u32,
    /// Of those, with nobody we know.
    pub lost: u32,
    /// How long the tracker has not answered; `None` if it does.
    pub tracker_lost: Option<Duration>,
    /// In no network at all.
    pub offline: bool,
    /// Sources that send.
    pub sending: u32,
    /// Of those, sending all they were asked for as fast as they can: full pipe.
    pub full: u32,
    /// Sources with something useful that choke us.
    pub choked: u32,
    /// That stopped delivering.
    pub snubbed: u32,
    /// Being dialled.
    pub dialing: u32,
    /// Not reached at the last try.
    pub unreachable: u32,
    /// Chunk hashes are still missing, and nothing else can be asked.
    pub hashless: bool,
    /// Our limit in bytes per second.
    pub limit: Option<u64>,
    /// Share of the time in which something waited for that limit, 0 to 1 and above.
    pub limited: f32,
    /// Share of the time the disk's threads were writing, 0 to 1.
    pub writing: f32,
    /// Share of the time they were hashing, 0 to 1.
    pub hashing: f32,
    /// Share of the time in which something waited for a buffer: what came is not written yet.
    pub behind: f32,
    /// Bytes per second of this one.
    pub rate: f64,
    /// Bytes per second of our other downloads.
    pub others: f64,
}

/// Why; the most important first. Empty for a download that has all it wants.
pub fn causes(facts: &Facts) -> Vec<Cause> {
    let mut out = Vec::new();
    match &facts.stage {
        Stage::Queued(n) => out.push(Cause::Queued(*n)),
        Stage::Paused => out.push(Cause::Paused),
        Stage::Watching => out.push(Cause::Watching),
        Stage::DiskFull => out.push(Cause::DiskFull),
        Stage::Failed(why) => out.push(Cause::Failed(why.clone())),
        Stage::Checking => out.push(Cause::Checking),
        Stage::Finishing => out.push(Cause::Finishing),
        Stage::Resolving | Stage::Getting => {}
    }
    if !out.is_empty() {
        return out;
    }
    let still = facts.rate < 1.0;
    let connected = facts.sending + facts.choked + facts.snubbed;
    if facts.stage == Stage::Getting && facts.missing > 0 {
        if facts.lost == facts.missing {
            out.push(Cause::NoSource(facts.missing));
        } else if still && facts.hashless && facts.sending > 0 {
            out.push(Cause::Hashes);
        }
    }
    let percent = |share: f32| (share.clamp(0.0, 1.0) * 100.0) as u32;
    if let Some(limit) = facts.limit.filter(|_| facts.limited >= NAMED) {
        out.push(Cause::OwnLimit(limit));
    }
    // Waiting for a buffer says that we are the limit; what the threads did says by what.
    if facts.behind >= NAMED {
        out.push(if facts.hashing > facts.writing {
            Cause::Hashing(percent(facts.hashing))
        } else {
            Cause::OurDisk(percent(facts.writing))
        });
    }
    // What stands still is explained by who does not send; what moves, by who sends.
    let idle = [
        (facts.choked, Cause::Choked as fn(u32) -> Cause),
        (facts.snubbed, Cause::Snubbed),
        (facts.dialing, Cause::Dialing),
        (facts.unreachable, Cause::Unreachable),
    ];
    let idle = idle.into_iter().filter(|(n, _)| *n > 0).map(|(n, cause)| cause(n));
    if still {
        out.extend(idle);
    } else {
        if facts.others > facts.rate * OTHERS {
            out.push(Cause::Others(facts.others));
        }
        if out.is_empty() && facts.full > 0 && facts.full == facts.sending {
            out.push(Cause::TheirUplink(facts.sending));
        }
        out.extend(idle);
    }
    if facts.lost > 0 && facts.lost < facts.missing {
        // A download that moves shows its time to go; that some will be missing comes after.
        let at = if still && connected == 0 { 0 } else { out.len() };
        out.insert(at, Cause::Lost(facts.lost));
    }
    match facts.tracker_lost {
        _ if facts.offline => out.push(Cause::Offline),
        Some(since) => out.push(Cause::TrackerLost(since.as_secs())),
        None => {}
    }
    if facts.stage == Stage::Resolving {
        out.push(Cause::Resolving);
    }
    out
}

/// In words that the tracker's clock is so many seconds ahead of ours, or behind it.
pub fn clocks(ahead_secs: i64) -> String {
    let secs = ahead_secs.unsigned_abs();
    let by = match secs {
        0..7_200 => format!("{} min", secs.saturating_add(30) / 60),
        7_200..172_000 => format!("{} h", secs.saturating_add(1_800) / 3_600),
        _ => format!("{} days", secs.saturating_add(43_200) / 86_400),
    };
    let way = if ahead_secs < 0 { "behind" } else { "ahead of" };
    format!("the tracker's clock is {by} {way} ours")
}

/// Whether others can reach this machine, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// They can.
    Open(SocketAddr),
    /// They can: the router lets them in there because we asked it to.
    Mapped(SocketAddr),
    /// The tracker can; a router in between may let in nobody else.
    ByTracker(SocketAddr),
    /// They cannot.
    BehindNat(SocketAddr),
    /// Nobody has looked.
    Unknown,
}

impl Reach {
    /// In two words, if it is worth a place in a header.
    pub fn short(self) -> Option<&'static str> {
        match self {
            Self::Open(_) | Self::Mapped(_) => Some("reachable"),
            Self::BehindNat(_) => Some("behind NAT"),
            Self::ByTracker(_) | Self::Unknown => None,
        }
    }

    /// In words, and what to do.
    pub fn words(self) -> String {
        match self {
            Self::Open(at) => format!("reachable: others can dial this machine at {at}"),
            Self::Mapped(at) => {
                format!("reachable: others can dial this machine, mapped by the router: {at}")
            }
            Self::ByTracker(at) => format!(
                "reach unknown: the tracker can dial this machine at {at}, others only where the router lets them; files come \
                 and go all the same. To be reached by all, let TCP port {} through to it",
                at.port()
            ),
            Self::BehindNat(at) => format!(
                "behind NAT: others cannot dial this machine at {at}; files come and go all the same. To be reached by all, \
                 let TCP port {} through to it",
                at.port()
            ),
            Self::Unknown => {
                "reach unknown: not looked at yet, or not needed; nothing to do".to_owned()
            }
        }
    }
}

/// In words that others cannot be called while they call us, and why.
pub fn no_calls(port: u16) -> String {
    format!(
        "the connection to the tracker does not come from port {port} (an earlier one from there may not be over yet, or the \
         system does not share the port): with others behind a router, files go through the tracker until it is made anew"
    )
}

/// What the engine counted of one source.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SourceFacts {
    /// Connected.
    pub connected: bool,
    /// Being dialled.
    pub dialing: bool,
    /// Dials that failed in a row, and seconds to the next.
    pub failed: Option<(u32, u64)>,
    /// Banned for so many more seconds.
    pub banned: Option<u64>,
    /// It chokes us.
    pub choked: bool,
    /// It stopped delivering; no data for so many seconds.
    pub snubbed: Option<u64>,
    /// It has something that we lack.
    pub useful: bool,
    /// It fetches from us.
    pub fetching: bool,
    /// We want something.
    pub wanting: bool,
    /// Requests outstanding, and how many fit.
    pub pipe: (u32, u32),
    /// Round trip in milliseconds, its own and the quickest.
    pub rtt: (Option<u32>, Option<u32>),
    /// Bytes per second, its own and the best.
    pub rate: (f64, f64),
    /// It sends much less than the best.
    pub slow: bool,
}

/// Why a source does not send, or sends little; empty if nothing is wrong.
pub fn source(facts: &SourceFacts) -> String {
    if let Some(left) = facts.banned {
        return format!("banned, {left} s left");
    }
    if facts.dialing {
        return "dialing".into();
    }
    if let Some((fails, left)) = facts.failed {
        return format!("no answer x{fails}, again in {left} s");
    }
    if !facts.connected {
        return if facts.wanting { "waits for a place".into() } else { String::new() };
    }
    if let Some(seconds) = facts.snubbed {
        return format!("no data for {seconds} s");
    }
    if !facts.useful {
        return match (facts.wanting, facts.fetching) {
            (_, true) | (false, _) => String::new(),
            (true, false) => "nothing we lack".into(),
        };
    }
    if facts.choked {
        return "serves others first".into();
    }
    if let (Some(own), Some(best)) = facts.rtt
        && own > NEAR_MS
        && own >= best.max(1) * FAR
    {
        return format!("RTT {}x best", own / best.max(1));
    }
    if facts.pipe.0 == 0 {
        return "others were quicker".into();
    }
    if facts.slow && facts.rate.0 >= 1.0 {
        return format!("{:.0}x slower than best", facts.rate.1 / facts.rate.0);
    }
    if facts.slow { "asked, nothing yet".into() } else { String::new() }
}

/// Every cause, with some figures: for tests.
#[doc(hidden)]
pub fn one_of_each() -> Vec<Cause> {
    vec![
        Cause::Queued(1234),
        Cause::Paused,
        Cause::Watching,
        Cause::DiskFull,
        Cause::Vanished,
        Cause::Failed("x".into()),
        Cause::Resolving,
        Cause::Checking,
        Cause::Finishing,
        Cause::NoSource(3),
        Cause::Lost(123_456),
        Cause::Offline,
        Cause::TrackerLost(42),
        Cause::OwnLimit(1),
        Cause::OurDisk(97),
        Cause::Hashing(80),
        Cause::Choked(1),
        Cause::Snubbed(2),
        Cause::Dialing(1),
        Cause::Unreachable(2),
        Cause::Hashes,
        Cause::Others(1.0),
        Cause::TheirUplink(2),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(facts: Facts) -> Option<Cause> {
        causes(&facts).into_iter().next()
    }

    fn getting() -> Facts {
        Facts { missing: 100, ..Facts::default() }
    }

    #[test]
    fn what_the_user_or_the_disk_decided_is_all_there_is_to_say() {
        for (stage, cause) in [
            (Stage::Queued(3), Cause::Queued(3)),
            (Stage::Paused, Cause::Paused),
            (Stage::DiskFull, Cause::DiskFull),
            (Stage::Checking, Cause::Checking),
        ] {
            let facts = Facts { stage, choked: 3, offline: true, ..getting() };
            assert_eq!(causes(&facts), [cause]);
        }
    }

    #[test]
    fn standing_still_is_explained_by_who_does_not_send() {
        assert_eq!(first(Facts { lost: 100, ..getting() }), Some(Cause::NoSource(100)));
        assert_eq!(first(Facts { choked: 2, snubbed: 1, ..getting() }), Some(Cause::Choked(2)));
        assert_eq!(first(Facts { dialing: 1, ..getting() }), Some(Cause::Dialing(1)));
        assert_eq!(first(Facts { unreachable: 4, ..getting() }), Some(Cause::Unreachable(4)));
        assert_eq!(first(Facts { lost: 3, ..getting() }), Some(Cause::Lost(3)));
        assert_eq!(first(Facts { hashless: true, sending: 1, ..getting() }), Some(Cause::Hashes));
        assert_eq!(first(Facts { stage: Stage::Resolving, ..getting() }), Some(Cause::Resolving));
        let lost = Facts { tracker_lost: Some(Duration::from_secs(42)), ..getting() };
        assert_eq!(first(lost), Some(Cause::TrackerLost(42)));
        assert_eq!(first(getting()), None);
    }

    #[test]
    fn our_own_bottlenecks_come_before_those_of_others() {
        let moving = Facts { rate: 1e6, sending: 3, full: 3, choked: 1, ..getting() };
        assert_eq!(first(moving.clone()), Some(Cause::TheirUplink(3)));
        let limited = Facts { limit: Some(1 << 20), limited: 0.9, ..moving.clone() };
        assert_eq!(first(limited), Some(Cause::OwnLimit(1 << 20)));
        let unused = Facts { limit: Some(1 << 20), limited: 0.1, ..moving.clone() };
        assert_eq!(first(unused), Some(Cause::TheirUplink(3)), "a limit that nobody waited for");
        let disk = Facts { behind: 0.8, writing: 0.97, hashing: 0.02, ..moving.clone() };
        assert_eq!(first(disk), Some(Cause::OurDisk(97)));
        let cpu = Facts { behind: 0.8, writing: 0.2, hashing: 0.8, ..moving.clone() };
        assert_eq!(first(cpu), Some(Cause::Hashing(80)));
        let crowd = Facts { others: 9e6, ..moving };
        assert_eq!(first(crowd), Some(Cause::Others(9e6)));
    }

    #[test]
    fn a_source_says_what_it_waits_for() {
        let fine = SourceFacts {
            connected: true,
            useful: true,
            wanting: true,
            pipe: (8, 8),
            rtt: (Some(12), Some(10)),
            rate: (5e6, 5e6),
            ..SourceFacts::default()
        };
        assert_eq!(source(&fine), "");
        assert_eq!(source(&SourceFacts { choked: true, ..fine }), "serves others first");
        assert_eq!(source(&SourceFacts { rtt: (Some(190), Some(20)), ..fine }), "RTT 9x best");
        let slow = SourceFacts { slow: true, rate: (1e5, 5e6), ..fine };
        assert_eq!(source(&slow), "50x slower than best");
        assert_eq!(source(&SourceFacts { snubbed: Some(31), ..fine }), "no data for 31 s");
        assert_eq!(source(&SourceFacts { useful: false, ..fine }), "nothing we lack");
        let away = SourceFacts { connected: false, ..fine };
        assert_eq!(source(&SourceFacts { dialing: true, ..away }), "dialing");
        assert_eq!(
            source(&SourceFacts { failed: Some((3, 8)), ..away }),
            "no answer x3, again in 8 s"
        );
        assert_eq!(source(&away), "waits for a place");
    }

    #[test]
    fn differences_of_clocks_are_said_in_units_that_people_use() {
        assert_eq!(clocks(899), "the tracker's clock is 15 min ahead of ours");
        assert_eq!(clocks(-2 * 86_400 + 3), "the tracker's clock is 2 days behind ours");
        assert_eq!(clocks(121), "the tracker's clock is 2 min ahead of ours");
        assert_eq!(clocks(-5 * 3_600), "the tracker's clock is 5 h behind ours");
        assert_eq!(clocks(40 * 86_400), "the tracker's clock is 40 days ahead of ours");
        assert!(clocks(i64::MIN).ends_with("days behind ours"));
    }

    #[test]
    fn reach_is_said_in_the_same_words_everywhere_and_with_what_to_do() {
        let at = SocketAddr::from(([203, 0, 113, 9], 7421));
        for reach in [Reach::Open(at), Reach::Mapped(at), Reach::BehindNat(at)] {
            let (short, long) = (reach.short().unwrap(), reach.words());
            assert!(long.starts_with(short) && long.contains("203.0.113.9:7421"), "{long}");
        }
        for reach in [Reach::ByTracker(at), Reach::BehindNat(at)] {
            assert!(reach.words().contains("let TCP port 7421 through"));
        }
        for reach in [Reach::ByTracker(at), Reach::Unknown] {
            assert!(reach.short().is_none() && reach.words().starts_with("reach unknown:"));
        }
    }

    #[test]
    fn every_cause_fits_its_column() {
        for cause in one_of_each() {
            assert!((1..=10).contains(&cause.short().len()), "{}", cause.short());
        }
    }
}
