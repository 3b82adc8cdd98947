//! A tracker that does what a test says.

use common::channel::{Channel, Purpose, SecureReader, SecureWriter};
use common::identity::Identity;
use common::join::{JoinString, Secret};
use common::limits::MAX_TRACKER_FRAME;
use common::wire::tracker::{FileMeta, FileRow, Hello, Reply, Request, Source, Welcome};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::PATIENCE;

pub(super) struct Fake {
    listener: TcpListener,
    identity: Identity,
}

impl Fake {
    pub(super) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, identity: super::identity(200) }
    }

    pub(super) fn join(&self) -> JoinString {
        self.join_as(&self.identity, None)
    }

    pub(super) fn join_as(&self, identity: &Identity, secret: Option<Secret>) -> JoinString {
        let port = self.listener.local_addr().unwrap().port();
        JoinString::new(identity.peer_id(), "127.0.0.1", port, secret).unwrap()
    }

    pub(super) async fn accept_tcp(&self) -> TcpStream {
        timeout(PATIENCE, self.listener.accept()).await.expect("a connection in time").unwrap().0
    }

    /// The next connection, with its hello.
    pub(super) async fn accept(&self) -> Conn {
        let stream = self.accept_tcp().await;
        let channel = Channel::new(&self.identity).unwrap();
        let secure = channel.accept(stream, Purpose::Tracker).await.unwrap();
        let exporter = secure.exporter;
        let (mut reader, writer) = secure.into_frames();
        let frame = timeout(PATIENCE, reader.read(4096)).await.unwrap().unwrap();
        let Some(Request::Hello(hello)) = Request::decode(frame.kind, &frame.body).unwrap() else {
            panic!("no hello");
        };
        Conn { reader, writer, hello, exporter }
    }

    /// The next connection, let in.
    pub(super) async fn welcome(&self, epoch: u64, share_ok: bool) -> Conn {
        let mut conn = self.accept().await;
        conn.send(&Reply::Welcome(welcome(epoch, share_ok))).await;
        conn
    }
}

pub(super) fn welcome(epoch: u64, share_ok: bool) -> Welcome {
    Welcome {
        version: 1,
        membership: vec![1, 2, 3],
        observed: "198.51.100.4:5555".parse().unwrap(),
        epoch,
        now_ms: 1_700_000_000_000,
        heartbeat_s: 30,
        have_interval_ms: 50,
        share_ok,
        read_only: false,
        spread_ms: None,
        lists_members: true,
        other_family: None,
        relays: false,
        hosts: None,
        looks_inside: true,
    }
}

pub(super) struct Conn {
    reader: SecureReader<TcpStream>,
    writer: SecureWriter<TcpStream>,
    pub(super) hello: Hello,
    pub(super) exporter: [u8; 32],
}

impl Conn {
    pub(super) async fn send(&mut self, reply: &Reply) {
        assert!(self.try_send(reply.kind(), &reply.body()).await, "the connection ended");
    }

    /// Whatever bytes, to somebody who may hang up meanwhile; returns whether it went out.
    pub(super) async fn try_send(&mut self, kind: u8, body: &[u8]) -> bool {
        self.writer.write(kind, body).await.is_ok() && self.writer.flush().await.is_ok()
    }

    /// The next request; `None` if the connection ended.
    pub(super) async fn try_receive(&mut self) -> Option<Request> {
        let frame = timeout(PATIENCE, self.reader.read(MAX_TRACKER_FRAME)).await.expect("in time");
        let frame = frame.ok()?;
        Some(Request::decode(frame.kind, &frame.body).unwrap().unwrap())
    }

    pub(super) async fn receive(&mut self) -> Request {
        self.try_receive().await.expect("an open connection")
    }

    /// Does what a tracker with an empty catalogue does until `wanted`, which is not answered. Returns
    /// everything before, and that.
    pub(super) async fn serve_until(
        &mut self,
        wanted: impl Fn(&Request) -> bool,
    ) -> (Vec<Request>, Request) {
        let mut before = Vec::new();
        loop {
            let request = self.receive().await;
            if wanted(&request) {
                return (before, request);
            }
            self.answer(&request, &[]).await;
            before.push(request);
        }
    }

    /// The usual answer, with `rows` as the whole catalogue.
    pub(super) async fn answer(&mut self, request: &Request, rows: &[FileRow]) {
        let reply = match request {
            Request::Register { q, .. }
            | Request::Unregister { q, .. }
            | Request::Watch { q, .. }
            | Request::Leave { q } => Reply::Done { q: *q },
            Request::Ping { q } => Reply::Pong { q: *q },
            Request::FileList { q, .. } => {
                let total = u32::try_from(rows.len()).unwrap();
                Reply::Files { q: *q, rows: rows.to_vec(), total, cursor: Vec::new() }
            }
            Request::MemberFiles { q, .. } => {
                Reply::Files { q: *q, rows: Vec::new(), total: 0, cursor: Vec::new() }
            }
            Request::Members { q, .. } => {
                Reply::Members { q: *q, members: Vec::new(), total: 0, cursor: Vec::new() }
            }
            Request::OfferNames { q, .. } => Reply::NamesWanted { q: *q, ids: Vec::new() },
            Request::GiveNames { q, .. } => Reply::Done { q: *q },
            Request::Find { q, .. } => Reply::Found { q: *q, rows: Vec::new(), more: false },
            Request::FileLocations { q, id, .. } => Reply::Locations {
                q: *q,
                id: *id,
                meta: None,
                sources: Vec::new(),
                complete: 0,
                partial: 0,
            },
            Request::Also { q } => {
                Reply::Seen { q: *q, observed: "[2001:db8::4]:5555".parse().unwrap() }
            }
            Request::Hello(_)
            | Request::ChunkRegister { .. }
            | Request::DialMe { .. }
            | Request::Relay { .. }
            | Request::Addresses { .. }
            | Request::Unwatch { .. } => return,
        };
        self.send(&reply).await;
    }
}

pub(super) fn row(meta: FileMeta) -> FileRow {
    FileRow { meta, aliases: Vec::new(), sources: 1, complete: 1, first_seen: 0 }
}

pub(super) fn source(n: u8) -> Source {
    Source {
        peer: super::identity(n).peer_id(),
        nick: format!("peer {n}"),
        addrs: vec!["203.0.113.7:7421".parse().unwrap(), "169.254.169.254:80".parse().unwrap()],
        have: 1,
        set: None,
    }
}
