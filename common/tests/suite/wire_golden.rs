//! The exact bytes of every message. A change here is a change of the protocol: old and new programs
//! stop understanding each other, unless the version goes up with it.

use common::content::{Descriptor, Kind};
use common::id::{ContentId, Hash, PeerId};
use common::relay::Token;
use common::wire::peer::{DataHeader, HaveState, Hello, Open, OpenOk, PeerMsg, Run};
use common::wire::tracker::{
    self, ChunkUpdate, Counts, FileMeta, FileRow, FoundRow, Member, Reply, Request, Sort, Source,
    Welcome,
};
use common::wire::{Code, WireError};

fn id(byte: u8) -> ContentId {
    ContentId::from_bytes([byte; 32])
}

fn hash(byte: u8) -> Hash {
    Hash::from_bytes([byte; 32])
}

fn descriptor() -> Descriptor {
    Descriptor { kind: Kind::File, size: 70_000, root: hash(3) }
}

fn meta() -> FileMeta {
    FileMeta { descriptor: descriptor(), name: "a.iso".into(), total: 70_000, chunks: 2 }
}

fn source() -> Source {
    Source {
        peer: PeerId::from_bytes([9; 32]),
        nick: "rack7".into(),
        addrs: vec!["10.0.0.7:7421".parse().unwrap(), "[fe80::1]:1".parse().unwrap()],
        have: 1,
        set: Some(vec![1, 0, 1]),
    }
}

fn row() -> FileRow {
    FileRow { meta: meta(), aliases: vec!["b".into()], sources: 3, complete: 2, first_seen: 1700 }
}

fn peer_messages() -> Vec<PeerMsg> {
    let hello = Hello {
        versions: (1, 1),
        agent: "shoal/0.1.0".into(),
        membership: vec![1, 2, 3],
        port: 7421,
        features: 0,
        max_queued: 1 << 24,
        in_touch: None,
        number: None,
    };
    let newer = Hello { in_touch: Some(false), ..hello.clone() };
    let accepting = Hello { number: Some(300), ..newer.clone() };
    let (state, want) = (HaveState::Part, true);
    vec![
        PeerMsg::Hello(hello),
        PeerMsg::Open(Open { handle: 2, id: id(1), state, want }),
        PeerMsg::OpenOk(OpenOk { handle: 2, descriptor: descriptor(), state, want }),
        PeerMsg::OpenNo { handle: 2, code: Code::UnknownContent },
        PeerMsg::Close { handle: 2 },
        PeerMsg::Bitfield { handle: 2, set: vec![1, 0, 1] },
        PeerMsg::Have { handle: 2, runs: vec![Run { start: 5, len: 2 }] },
        PeerMsg::DontHave { handle: 2, runs: vec![Run { start: 5, len: 2 }] },
        PeerMsg::Want { handle: 2, want: true },
        PeerMsg::Choke { handle: 2, choke: false },
        PeerMsg::Request { handle: 2, rid: 7, chunk: 5, off: 65_536, len: 4464 },
        PeerMsg::ReqAny { handle: 2, rid: 7, count: 2, except: vec![1, 2] },
        PeerMsg::Assign { rid: 7, chunk: 5 },
        PeerMsg::Cancel { rid: 7 },
        PeerMsg::Recall { rid: 7 },
        PeerMsg::Reject { rid: 7, code: Code::Choked },
        PeerMsg::HashReq { handle: 2, rid: 8, file: 0, level: 2, index: 0, count: 2 },
        PeerMsg::Hashes { rid: 8, hashes: vec![hash(4), hash(5)], proof: vec![hash(6)] },
        PeerMsg::MetaReq { handle: 2, rid: 9, off: 0, len: 100 },
        PeerMsg::Corrupt { handle: 2, chunk: 5, bad: hash(7) },
        PeerMsg::Ping(11),
        PeerMsg::Pong(11),
        PeerMsg::Bye { code: Code::Limit, text: "too many".into() },
        PeerMsg::Hello(newer),
        PeerMsg::Hello(accepting),
        PeerMsg::Extra(300),
    ]
}

fn requests() -> Vec<Request> {
    let hello = tracker::Hello {
        versions: (1, 1),
        agent: "shoal/0.1.0".into(),
        nick: "rack7".into(),
        port: 7421,
        local: vec!["10.0.0.7:7421".parse().unwrap()],
        proof: Some(hash(8)),
        digest: hash(2),
        punches: false,
        counts: false,
    };
    let punches = tracker::Hello { punches: true, ..hello.clone() };
    let counts = tracker::Hello { counts: true, ..punches.clone() };
    let update = ChunkUpdate { id: id(1), set: vec![1, 0, 1], chunks: 2, total: 1, full: true };
    vec![
        Request::Hello(hello),
        Request::Register { q: 1, files: vec![meta()], more: true, full: false },
        Request::Unregister { q: 2, ids: vec![id(1)] },
        Request::FileList {
            q: 3,
            query: "iso".into(),
            cursor: vec![1],
            limit: 100,
            sort: Sort::Size,
        },
        Request::FileLocations { q: 4, id: id(1), want: 50 },
        Request::ChunkRegister { files: vec![update] },
        Request::Leave { q: 5 },
        Request::Watch { q: 6, catalogue: true, ids: vec![id(1)] },
        Request::Unwatch { catalogue: false, ids: vec![id(1)] },
        Request::Ping { q: 7 },
        Request::Members { q: 8, query: "rack".into(), cursor: vec![1, 2], limit: 200 },
        Request::MemberFiles {
            q: 9,
            peer: PeerId::from_bytes([9; 32]),
            cursor: vec![0, 0, 0, 1],
            limit: 500,
        },
        Request::Also { q: 10 },
        Request::DialMe { id: id(1), peer: PeerId::from_bytes([9; 32]) },
        Request::Relay { id: id(1), peer: PeerId::from_bytes([9; 32]) },
        Request::Addresses { local: vec!["192.168.0.7:7421".parse().unwrap()] },
        Request::Hello(punches),
        Request::Hello(counts),
        Request::OfferNames { q: 11, ids: vec![id(1)], withdraw: false },
        Request::OfferNames { q: 12, ids: vec![id(1)], withdraw: true },
        Request::GiveNames { q: 13, id: id(1), manifest: vec![1, 2, 3] },
        Request::Find { q: 14, query: "iso".into(), limit: 100 },
    ]
}

fn delta(upserts: Vec<FileRow>, removes: Vec<ContentId>, counts: Vec<Counts>) -> Reply {
    Reply::CatalogueDelta { upserts, removes, resync: false, counts }
}

/// As the first trackers sent it.
fn welcome() -> Welcome {
    Welcome {
        version: 1,
        membership: vec![1, 2, 3],
        observed: "10.0.0.7:50000".parse().unwrap(),
        epoch: 12,
        now_ms: 1_700_000_000_000,
        heartbeat_s: 30,
        have_interval_ms: 1000,
        share_ok: true,
        spread_ms: None,
        lists_members: false,
        other_family: None,
        relays: false,
        hosts: None,
        looks_inside: false,
        read_only: false,
    }
}

fn replies() -> Vec<Reply> {
    let welcome = welcome();
    let newer = Welcome { spread_ms: Some(20_000), ..welcome.clone() };
    let newest = Welcome { lists_members: true, ..newer.clone() };
    let relays = Welcome { relays: true, ..newest.clone() };
    let inside = Welcome { looks_inside: true, ..newest.clone() };
    let reads = Welcome { read_only: true, ..newest.clone() };
    let found = FoundRow { row: row(), paths: vec!["sub/b.txt".into()], files: 4 };
    let moves = Welcome { hosts: Some(vec![4, 5, 6]), ..newest.clone() };
    let dual = Welcome {
        other_family: Some(vec!["[2001:db8::1]:7420".parse().unwrap()]),
        ..newest.clone()
    };
    let member = Member {
        peer: PeerId::from_bytes([9; 32]),
        nick: "rack7".into(),
        addrs: vec!["10.0.0.7:7421".parse().unwrap()],
        shares: 3,
        since: 1_700_000_000,
    };
    vec![
        Reply::Welcome(welcome),
        Reply::Done { q: 1 },
        Reply::Files { q: 3, rows: vec![row()], total: 1, cursor: vec![] },
        Reply::Locations {
            q: 4,
            id: id(1),
            meta: Some(meta()),
            sources: vec![source()],
            complete: 2,
            partial: 1,
        },
        Reply::Pong { q: 7 },
        delta(vec![row()], vec![id(2)], vec![]),
        Reply::SourceDelta {
            id: id(1),
            joins: vec![source()],
            leaves: vec![PeerId::from_bytes([8; 32])],
        },
        Reply::Pace { have_interval_ms: 2000 },
        Reply::Resend { ids: vec![id(1)] },
        Reply::Goaway { delay_ms: 500 },
        Reply::Error { q: 4, code: Code::Rate, text: "slow down".into(), retry_ms: 100 },
        Reply::Welcome(newer),
        Reply::Members { q: 8, members: vec![member], total: 2, cursor: vec![3] },
        Reply::Welcome(newest),
        Reply::Welcome(dual),
        Reply::Seen { q: 10, observed: "[2001:db8::7]:50000".parse().unwrap() },
        Reply::Reach { reachable: false, port: None },
        Reply::Dial { id: id(1), who: Source { have: 0, set: None, ..source() } },
        Reply::Relay {
            id: id(1),
            peer: (PeerId::from_bytes([9; 32]), "rack7".into()),
            token: Token::from_bytes([5; 32]),
            dials: true,
        },
        Reply::Welcome(relays),
        Reply::Welcome(moves),
        Reply::Punch { id: id(1), who: Source { have: 0, set: None, ..source() }, wait_ms: 100 },
        Reply::Reach { reachable: true, port: Some(4711) },
        delta(vec![], vec![], vec![Counts::new(&id(1), 300, 2), Counts::new(&id(2), 0, 0)]),
        Reply::Welcome(inside),
        Reply::NamesWanted { q: 11, ids: vec![id(1)] },
        Reply::Found { q: 14, rows: vec![found.clone()], more: false },
        Reply::Found { q: 15, rows: vec![found], more: true },
        Reply::Welcome(reads),
        Reply::Revoked { signed: vec![7, 8, 9] },
    ]
}

/// One line a message: type and body in hexadecimal.
fn lines<'a>(messages: impl Iterator<Item = (u8, Vec<u8>)> + 'a) -> String {
    messages
        .map(|(kind, body)| {
            let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{kind:02x} {hex}\n")
        })
        .collect()
}

#[test]
fn peer_messages_have_their_bytes() {
    let all = peer_messages();
    let got = lines(all.iter().map(|m| (m.kind(), m.body())));
    assert_eq!(got, include_str!("../golden/peer.txt"), "got:\n{got}");
    for message in all {
        let (kind, body) = (message.kind(), message.body());
        assert_eq!(PeerMsg::decode(kind, &body), Ok(Some(message)));
        refuses_damage(|bytes| PeerMsg::decode(kind, bytes).map(drop), &body, kind == 0x10);
    }
}

#[test]
fn tracker_requests_have_their_bytes() {
    let all = requests();
    let got = lines(all.iter().map(|m| (m.kind(), m.body())));
    assert_eq!(got, include_str!("../golden/requests.txt"), "got:\n{got}");
    for message in all {
        let (kind, body) = (message.kind(), message.body());
        assert_eq!(Request::decode(kind, &body), Ok(Some(message)));
        refuses_damage(|bytes| Request::decode(kind, bytes).map(drop), &body, false);
    }
}

#[test]
fn tracker_replies_have_their_bytes() {
    let all = replies();
    let got = lines(all.iter().map(|m| (m.kind(), m.body())));
    assert_eq!(got, include_str!("../golden/replies.txt"), "got:\n{got}");
    for message in all {
        let (kind, body) = (message.kind(), message.body());
        assert_eq!(Reply::decode(kind, &body), Ok(Some(message)));
        refuses_damage(|bytes| Reply::decode(kind, bytes).map(drop), &body, false);
    }
}

/// What was recorded before trackers listed members is still what is sent and understood.
#[test]
fn c4_a_tracker_that_does_not_list_members_is_understood() {
    let golden = include_str!("../golden/replies.txt");
    let welcomes: Vec<&str> = golden.lines().filter(|line| line.starts_with("41 ")).collect();
    let lists: Vec<bool> = welcomes.iter().map(|line| line.contains("a26c6d")).collect();
    assert_eq!(lists, [false, false, true, true, true, true, true, true]);
}

/// A body cut short or with a byte too many is refused (a bitmap has no length of its own).
fn refuses_damage(decode: impl Fn(&[u8]) -> Result<(), WireError>, body: &[u8], open_ended: bool) {
    let mut longer = body.to_vec();
    longer.push(0xc0);
    assert_eq!(decode(&longer).is_err(), !open_ended);
    let shortest = if open_ended { 2 } else { body.len() };
    for len in 0..shortest {
        assert!(decode(&body[..len]).is_err(), "cut to {len} of {}", body.len());
    }
}

#[test]
fn a_tracker_that_tells_no_time_is_understood() {
    let golden = include_str!("../golden/replies.txt").lines().next().unwrap();
    let hex = golden.strip_prefix("41 ").unwrap();
    let time = "a177cf0000018bcfe56800";
    assert!(hex.contains(time), "{hex}");
    // One field less in the map.
    let hex = hex.replacen("88", "87", 1).replacen(time, "", 1);
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let Ok(Some(Reply::Welcome(welcome))) = Reply::decode(0x41, &bytes) else { panic!("{hex}") };
    assert_eq!((welcome.now_ms, welcome.epoch, welcome.share_ok), (0, 12, true));
}

#[test]
fn data_headers_have_their_bytes() {
    let header = DataHeader { rid: 0x0102_0304, off: 0x0506_0708 };
    assert_eq!(header.encode(), [4, 3, 2, 1, 8, 7, 6, 5]);
    assert_eq!(DataHeader::decode(header.encode()), header);
    assert_eq!(DataHeader::payload_len(9 + 1), Ok(1));
    assert_eq!(DataHeader::payload_len(9 + 262_144), Ok(262_144));
    assert!(DataHeader::payload_len(9).is_err());
    assert!(DataHeader::payload_len(9 + 262_145).is_err());
}

#[test]
fn unknown_types_are_refused_unless_they_may_be_ignored() {
    assert_eq!(PeerMsg::decode(0x6e, &[]), Err(WireError::UnknownType(0x6e)));
    assert_eq!(PeerMsg::decode(0xee, &[1, 2]), Ok(None));
    assert_eq!(Request::decode(0x6e, &[]), Err(WireError::UnknownType(0x6e)));
    assert_eq!(Reply::decode(0xee, &[1, 2]), Ok(None));
}
