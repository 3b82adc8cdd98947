//! Rich snapshots and a pretended engine, all from a seed and a fixed clock.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::content::Kind;
use common::id::{ContentId, PeerId};
use common::names::show;
use engine::api::cause::Cause;
use engine::api::chunk_states::{Chunks, first_chunk};
use engine::api::command::Priority;
use engine::api::event::{Event, Level, Target, What};
use engine::api::snapshot::*;

/// 12:04:31 UTC on some day in 2025.
pub(crate) const UNIX: u64 = 1_763_726_671;

pub(crate) fn wall() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(UNIX)
}

pub(crate) fn content(n: u32) -> ContentId {
    let mut rng = fastrand::Rng::with_seed(u64::from(n) + 77);
    let mut bytes = [0; 32];
    rng.fill(&mut bytes);
    ContentId::from_bytes(bytes)
}

pub(crate) fn peer(n: u32) -> PeerId {
    let mut rng = fastrand::Rng::with_seed(u64::from(n) + 7777);
    let mut bytes = [0; 32];
    rng.fill(&mut bytes);
    PeerId::from_bytes(bytes)
}

pub(crate) fn join_string() -> String {
    format!("shoal://{}@10.0.0.2:7420", peer(999))
}

const NAMES: [(&str, u64, u32, u32); 28] = [
    ("ubuntu-24.04.1-desktop-amd64.iso", 6_184_752_906, 12, 8),
    ("imagenet-val-split-03.tar", 6_764_573_491, 2, 1),
    ("openstreetmap-planet.osm.pbf", 83_859_236_454, 9, 6),
    ("field-recordings-2025.flac.zip", 2_619_930_051, 1, 0),
    ("debian-12.7.0-amd64-netinst.iso", 661_651_456, 41, 38),
    ("lecture-07-consensus.mkv", 1_202_590_842, 3, 3),
    ("alpine-virt-3.21-x86_64.iso", 64_172_851, 18, 17),
    ("archlinux-2025.11.01-x86_64.iso", 1_299_227_607, 33, 31),
    ("big-buck-bunny-4k.mp4", 673_185_792, 30, 29),
    ("blender-4.3-benchmark.tar.xz", 511_705_088, 8, 7),
    ("common-voice-19-en", 93_415_538_688, 3, 1),
    ("dolphin-emu-symbols.tar", 326_107_136, 1, 1),
    ("elephants-dream-hd.avi", 896_532_480, 12, 11),
    ("fedora-42-silverblue.iso", 3_876_208_476, 26, 24),
    ("gutenberg-top-1000.epub.zip", 956_301_312, 14, 12),
    ("kernel-6.12.9.tar.zst", 148_897_792, 27, 25),
    ("nasa-jwst-carina-fullres.tif", 142_606_336, 6, 5),
    ("proteins-pdb-2025q3.tar.zst", 48_211_008_716, 5, 2),
    ("rust-1.95-docs-offline.tar.gz", 244_318_208, 19, 18),
    ("soundfont-collection-v9.7z", 3_274_912_563, 7, 4),
    ("wikipedia-en-2025-11.zim", 109_521_666_048, 11, 9),
    ("xonotic-0.8.6.zip", 1_309_965_025, 22, 20),
    ("year-2025-photos-public", 10_608_872_325, 2, 2),
    ("zeek-traces-sample.pcapng.gz", 81_159_782, 4, 3),
    ("日本語の論文集-2025.pdf", 22_159_782, 4, 3),
    (
        "a-very-long-name-that-goes-on-and-on-so-that-no-column-of-any-terminal-could-ever-hold-it.tar.gz",
        7_340_032,
        2,
        1,
    ),
    ("invoice\\u{202e}fdp.exe", 73_400, 1, 0),
    ("empty.txt", 0, 3, 3),
];

pub(crate) fn catalogue(n: u32) -> Catalogue {
    let mut rng = fastrand::Rng::with_seed(5);
    let mut rows: Vec<CatalogueRow> = (0..n)
        .map(|i| {
            let (name, size, sources, complete) = match NAMES.get(i as usize) {
                Some((name, size, sources, complete)) => {
                    ((*name).to_owned(), *size, *sources, *complete)
                }
                None => {
                    let sources = rng.u32(0..40);
                    let size = 1u64 << rng.u32(8..38);
                    (
                        format!("sample-{:05}-{}.dat", i, rng.u32(..)),
                        size + rng.u64(0..size),
                        sources,
                        sources * 9 / 10,
                    )
                }
            };
            CatalogueRow {
                id: content(i),
                kind: if matches!(i, 10 | 22) { Kind::Folder } else { Kind::File },
                // As the engine makes it: no larger than it is.
                name: show(&name).into(),
                others: (i == 0).then(|| OtherNames::of(None, vec!["ubuntu.iso".into()])).flatten(),
                size,
                chunks: chunks_of(size),
                sources,
                complete,
                first_seen: UNIX - u64::from(rng.u32(60..1_000_000)),
            }
        })
        .collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name).then(a.id.cmp(&b.id)));
    Catalogue { version: 1, rows: rows.into(), whole: true }
}

fn chunks_of(size: u64) -> u32 {
    let chunk = (size / 2048).next_power_of_two().clamp(65_536, 4 << 20);
    u32::try_from(size.div_ceil(chunk)).unwrap()
}

pub(crate) fn transfer(n: u32, state: TransferState, percent: u64) -> Transfer {
    let (name, size, sources, complete) = NAMES[n as usize];
    let chunks = chunks_of(size);
    let done = size / 100 * percent + if percent == 100 { size % 100 } else { 0 };
    let getting = state == TransferState::Getting;
    Transfer {
        id: content(n),
        name: name.into(),
        raw: None,
        kind: if matches!(n, 10 | 22) { Kind::Folder } else { Kind::File },
        downloaded: !matches!(n, 5 | 22),
        size,
        done,
        chunks,
        have: u32::try_from(u64::from(chunks) * percent / 100).unwrap(),
        path: PathBuf::from(format!("/home/ada/Downloads/{name}")),
        down_rate: if getting { 12_998_144.0 } else { 0.0 },
        up_rate: if n == 5 { 2_841_640.0 } else { 0.0 },
        uploaded: if n == 5 { 1_095_216_660 } else { 0 },
        eta_s: getting.then_some(108),
        active: if getting { 4 } else { 0 },
        sources,
        availability: (percent < 100).then_some(if n == 1 { 1.04 } else { 0.994 }),
        unavailable: if getting { 3 } else { 0 },
        wanted_by: if n == 5 { 2 } else { 0 },
        other_complete: if n == 5 { 0 } else { complete },
        why: match &state {
            TransferState::Getting => Some(Cause::TheirUplink(4)),
            TransferState::Queued => Some(Cause::Queued(1)),
            TransferState::Paused => Some(Cause::Paused),
            TransferState::DiskFull => Some(Cause::DiskFull),
            _ => None,
        },
        plan: plan(n, &state),
        unreached: Vec::new(),
        refused: false,
        news: None,
        state,
    }
}

fn plan(n: u32, state: &TransferState) -> Plan {
    let why = match state {
        TransferState::DiskFull => "/home/ada/Downloads: 300 MiB free, 1024 MiB are to be kept",
        TransferState::Queued => "5 run at once",
        _ => "",
    };
    Plan {
        order: n,
        place: (*state == TransferState::Queued).then_some(1),
        priority: if n == 0 { Priority::High } else { Priority::Normal },
        why: why.to_owned(),
        ..Plan::default()
    }
}

pub(crate) fn transfers() -> Vec<Transfer> {
    vec![
        transfer(0, TransferState::Getting, 62),
        transfer(1, TransferState::Paused, 18),
        transfer(2, TransferState::Queued, 0),
        transfer(3, TransferState::DiskFull, 71),
        transfer(4, TransferState::Sharing, 100),
        transfer(5, TransferState::Sharing, 100),
        transfer(22, TransferState::Sharing, 100),
    ]
}

/// Chunk states and copies of a download that is mostly there.
pub(crate) fn focus(id: ContentId, n: usize, have: f64, lost: usize) -> Focus {
    let mut rng = fastrand::Rng::with_seed(3);
    let edge = (n as f64 * have) as usize;
    let mut chunks = Vec::with_capacity(n);
    let mut availability = Vec::with_capacity(n);
    for i in 0..n {
        let near = i.abs_diff(edge) < n / 12 + 1;
        let state = if i < edge && !(near && rng.u32(0..3) == 0)
            || i > edge && near && rng.u32(0..6) == 0
        {
            ChunkState::Have
        } else if near && rng.u32(0..5) == 0 {
            ChunkState::InFlight
        } else {
            ChunkState::Missing
        };
        chunks.push(state);
        availability.push(match rng.u32(0..20) {
            0 => 1,
            1..5 => 3,
            _ => 9,
        });
    }
    let missing: Vec<usize> = (0..n).filter(|i| chunks[*i] == ChunkState::Missing).collect();
    for i in 0..lost.min(missing.len()) {
        availability[missing[i * missing.len() / lost.max(1)]] = 0;
    }
    let only = (0..n).filter(|i| chunks[*i] == ChunkState::Missing && availability[*i] == 1);
    let only = u32::try_from(only.count()).unwrap();
    let flying = (0..n).filter(|i| chunks[*i] == ChunkState::InFlight);
    Focus {
        id,
        chunks: Chunks::of(&chunks, &availability),
        chunk_len: 262_144,
        sources: sources(n as u32),
        flights: flying.map(|i| (i as u32, (i % 3) as u16)).collect(),
        newest: Some(edge as u32),
        sole: vec![Sole { peer: peer(0), nick: "lab-3".to_owned(), chunks: only, connected: true }],
        left: None,
        added: Some(UNIX - 210),
        holders: None,
        sent: None,
        causes: vec![Cause::TheirUplink(4), Cause::Choked(1), Cause::Snubbed(1)],
    }
}

pub(crate) fn sources(n: u32) -> Vec<SourceRow> {
    use SourceState as S;
    let row = |i: u32, nick: &str, state, why: &str, rate: f64, got, have, pipe, rtt| SourceRow {
        peer: peer(i),
        nick: nick.to_owned(),
        way: Way::default(),
        addr: Some(SocketAddr::from(([10, 0, 0, u8::try_from(7 + i).unwrap()], 7421))),
        state,
        why: why.to_owned(),
        down_rate: rate,
        up_rate: if i == 1 { 421_888.0 } else { 0.0 },
        got,
        have,
        pipe,
        rtt_ms: rtt,
        flags: Flags::default(),
    };
    vec![
        row(0, "lab-3", S::Open, "", 4_320_133.0, 1204, n - n / 900, (8, 8), Some(12)),
        row(1, "", S::Open, "", 4_089_446.0, 1117, n - n / 800, (8, 8), Some(18)),
        row(2, "grace", S::Open, "", 2_841_640.0, 640, n * 41 / 100, (6, 8), Some(41)),
        row(3, "", S::Slow, "RTT 9x best", 1_740_636.0, 402, n * 88 / 100, (4, 8), Some(190)),
        row(4, "rack-12", S::Choked, "we wait", 0.0, 88, n * 9 / 100, (0, 8), Some(23)),
        row(5, "", S::Waiting, "dialing", 0.0, 0, 0, (0, 8), None),
        row(6, "linus", S::Snubbed, "no data for 30 s", 0.0, 31, n / 2, (0, 1), Some(2100)),
        row(7, "", S::NoData, "", 0.0, 0, 0, (0, 8), Some(15)),
        row(8, "", S::Fetching, "", 0.0, 0, n / 5, (0, 8), Some(88)),
    ]
}

pub(crate) fn peers(at: Instant) -> Vec<PeerRow> {
    (0..37)
        .map(|i| PeerRow {
            peer: peer(i),
            nick: if i % 3 == 0 { format!("node-{i}") } else { String::new() },
            addr: SocketAddr::from(([10, 0, 0, u8::try_from(7 + i).unwrap()], 7421)),
            way: Way::default(),
            down_rate: if i < 4 { 4_320_133.0 / f64::from(i + 1) } else { 0.0 },
            up_rate: if i == 9 { 2_841_640.0 } else { 0.0 },
            down: u64::from(40 - i) * 12_345_678,
            up: if i % 4 == 1 { 1_095_216_660 } else { 0 },
            contents: i % 5 + 1,
            rtt_ms: Some(3 + i * 7),
            since: at - Duration::from_secs(u64::from(i) * 113 + 7),
            upload: match i {
                9 | 13 => Upload::Sending,
                17 => Upload::Queued(1),
                _ => Upload::Idle,
            },
            takes: if i == 9 {
                vec![Take {
                    id: content(5),
                    name: NAMES[5].0.into(),
                    rate: 2_841_640.0,
                    sent: 1_095_216_660,
                    have: 0,
                }]
            } else {
                Vec::new()
            },
        })
        .collect()
}

/// A busy peer in a network of 1,204 files.
pub(crate) fn rich(at: Instant) -> Snapshot {
    Snapshot {
        seq: 1,
        at,
        me: Me {
            peer: peer(500),
            nick: "ada".to_owned(),
            listen: SocketAddr::from(([0, 0, 0, 0], 7421)),
            downloads: PathBuf::from("/home/ada/Downloads"),
            disk_free: Some(442_381_631_488),
            serving: true,
        },
        network: Network {
            state: NetState::On,
            tracker: "10.0.0.2:7420".to_owned(),
            at: None,
            join: Some(join_string()),
            latency_ms: Some(12),
            reachable: None,
            behind_router: false,
            punches: None,
            port: 7421,
            mapping: None,
            hosting: false,
            met: true,
            asking: false,
            clock_ahead_s: None,
            trouble: None,
            refused: None,
        },
        totals: Totals {
            down_rate: 12_998_144.0,
            up_rate: 3_250_585.0,
            down: 1 << 32,
            up: 1 << 30,
            wasted: 0,
        },
        catalogue: Arc::new(catalogue(1204)),
        transfers: transfers().into(),
        peers: peers(at).into(),
        focus: Some(Arc::new(focus(content(0), 23_593, 0.62, 3))),
        uploads: Uploads {
            slots: 4,
            used: 2,
            waiting: 1,
            up_limit: Some(8 << 20),
            up_held: None,
            down_limit: None,
            today: 15_247_063_449,
        },
        bans: vec![
            BanRow {
                peer: peer(44),
                nick: "mallory".to_owned(),
                why: "sent bad data".to_owned(),
                until: Some(at + Duration::from_secs(540)),
                by_user: false,
            },
            BanRow {
                peer: peer(45),
                nick: String::new(),
                why: "by you".to_owned(),
                until: None,
                by_user: true,
            },
        ]
        .into(),
        watches: vec!["fedora 43 iso".into()].into(),
        unkept: None,
        copies: Default::default(),
    }
}

/// As at the first start.
pub(crate) fn fresh(at: Instant) -> Snapshot {
    let Snapshot { seq, at, me, uploads, bans, watches, .. } = rich(at);
    Snapshot { seq, at, uploads, bans, watches, ..Snapshot::first(me) }
}

pub(crate) fn events() -> Vec<Event> {
    let line = |ago: u64, level, target, text: &str| Event {
        at: wall() - Duration::from_secs(ago),
        level,
        target,
        text: text.to_owned(),
        what: What::Said,
    };
    vec![
        line(40, Level::Info, Target::Serve, "10.0.0.90 connected (id 91be)"),
        line(33, Level::Debug, Target::Net, "connect 10.0.0.58:7421 timed out, retry in 4 s"),
        line(
            29,
            Level::Info,
            Target::Share,
            "hashed lecture-07-consensus.mkv: 4,588 chunks in 2.9 s (396 MiB/s)",
        ),
        line(
            13,
            Level::Info,
            Target::Fetch,
            "ubuntu-24.04.1-desktop-amd64.iso: peer 10.0.0.31 joined (41% of chunks)",
        ),
        line(11, Level::Info, Target::Track, "registered: 1,204 files, 37 peers"),
        line(
            4,
            Level::Warn,
            Target::Fetch,
            "chunk 9,102 of ubuntu-24.04.1-desktop-amd64.iso: bad hash from 10.0.0.44, discarded (1 of 3 before ban)",
        ),
        line(2, Level::Info, Target::Serve, "unchoked 10.0.0.90 for lecture-07-consensus.mkv"),
        line(
            0,
            Level::Warn,
            Target::Fetch,
            "10.0.0.60 snubbed us: no data for 30 s, chunks given to others",
        ),
        line(0, Level::Info, Target::Fetch, "chunk 14,633 verified from 10.0.0.7 (12 ms)"),
    ]
}

/// What an engine answers: `peers` peers, the first has everything, the others less and less; of the last
/// tenth of the chunks the first has the only copy.
pub(crate) fn holders(n: usize, request: StripRequest, peers: u32) -> Holders {
    let buckets = usize::from(request.buckets);
    let level = |who: u32, at: usize| {
        let share = 1.0 - f64::from(who) / f64::from(peers);
        let start = first_chunk(at, buckets, n) as f64 / n as f64;
        match () {
            () if who == 0 => 8,
            () if start >= 0.9 => 0,
            () if start + 0.03 < share => 8,
            () if start < share => 5,
            () => 0,
        }
    };
    let row = |i: u32| HolderRow {
        peer: peer(i),
        nick: if i % 3 == 1 { String::new() } else { format!("rack-{i}") },
        have: (n as f64 * (1.0 - f64::from(i) / f64::from(peers)) * 0.9) as u32,
        useful: (n as u32 / 3) / (i + 1),
        connected: i != 2,
        levels: (0..buckets).map(|at| level(i, at)).collect(),
    };
    let end = peers.min(request.first + u32::from(request.rows));
    let last = |at: &usize| first_chunk(*at, buckets, n) as f64 / n as f64 >= 0.9;
    let copies = |at: usize| (0..peers).filter(|who| level(*who, at) > 0).count().min(255) as u8;
    Holders {
        request,
        all: peers,
        rows: (request.first..end).map(row).collect(),
        copies: (0..buckets).map(copies).collect(),
        only: vec![Only {
            peer: Some(peer(0)),
            nick: "rack-0".to_owned(),
            chunks: n as u32 / 10,
            first: (n - n / 10) as u32,
            last: n as u32 - 1,
        }],
        marks: (0..buckets).map(|at| u8::from(last(&at))).collect(),
    }
}

/// Who sent what of a map of so many buckets: parts of nine senders in turn, and the beginning of nobody.
pub(crate) fn sent(buckets: u32) -> Sent {
    let number = |at: u32| match at * 22 / buckets {
        0 => Sent::BEFORE,
        part @ 1..=9 => part as u8,
        10 | 11 => 1 + u8::from(at.is_multiple_of(3)),
        _ => Sent::NOTHING,
    };
    Sent {
        buckets: (0..buckets).map(number).collect(),
        peers: (0..8).map(|n| (peer(n), 100 / (n + 1))).collect(),
        others: 7,
        before: 70,
    }
}
