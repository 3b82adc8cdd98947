//! The least that a tracker takes for a peer.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use common::channel::{Channel, Purpose, SecureReader, SecureWriter};
use common::chunk_set::ChunkSet;
use common::content::{Descriptor, Kind};
use common::hash::sha256_concat;
use common::id::{ContentId, Hash};
use common::identity::Identity;
use common::join::JoinString;
use common::layout::Layout;
use common::limits::{MAX_REGISTER, MAX_TRACKER_FRAME, PROTOCOL_VERSION};
use common::wire::tracker::{ChunkUpdate, FileMeta, Hello, Reply, Request, Welcome, share_digest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// As long as peers wait for TLS, and for the welcome.
const PATIENCE: Duration = Duration::from_secs(10);
/// Peers that come from one address of this machine: fewer than it has ports.
const PER_ADDRESS: u32 = 250;

/// A connected peer.
pub(crate) struct Peer {
    pub(crate) reader: SecureReader<TcpStream>,
    pub(crate) writer: SecureWriter<TcpStream>,
    pub(crate) welcome: Welcome,
    q: u32,
}

/// The connection of peer `n`, before it says anything.
pub(crate) async fn tcp(join: &JoinString, n: u32) -> Option<TcpStream> {
    let block = n / PER_ADDRESS;
    let ip = Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + block);
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind(SocketAddr::from((ip, 0))).ok()?;
    let stream =
        timeout(PATIENCE, socket.connect(join.address().parse().ok()?)).await.ok()?.ok()?;
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

impl Peer {
    /// `None` if it is not let in, or not in time.
    pub(crate) async fn connect(join: &JoinString, n: u32, digest: Hash) -> Option<Self> {
        let stream = tcp(join, n).await?;
        let seed = sha256_concat(&[b"load", &n.to_be_bytes()]);
        let channel = Channel::new(&Identity::from_seed(seed.as_bytes()).ok()?).ok()?;
        let key = join.tracker();
        let secure = timeout(PATIENCE, channel.connect(stream, &key, Purpose::Tracker));
        let secure = secure.await.ok()?.ok()?;
        let hello = Request::Hello(Hello {
            versions: (PROTOCOL_VERSION, PROTOCOL_VERSION),
            agent: "load".to_owned(),
            nick: format!("peer-{n}"),
            port: 7421,
            local: Vec::new(),
            proof: None,
            digest,
            punches: false,
            counts: true,
        });
        let (mut reader, mut writer) = secure.into_frames();
        writer.write(hello.kind(), &hello.body()).await.ok()?;
        writer.flush().await.ok()?;
        let frame = timeout(PATIENCE, reader.read(MAX_TRACKER_FRAME)).await.ok()?.ok()?;
        match Reply::decode(frame.kind, &frame.body).ok()?? {
            Reply::Welcome(welcome) => Some(Self { reader, writer, welcome, q: 0 }),
            _ => None,
        }
    }

    pub(crate) fn q(&mut self) -> u32 {
        self.q += 1;
        self.q
    }

    pub(crate) async fn send(&mut self, request: &Request) {
        let _ = self.writer.write(request.kind(), &request.body()).await;
        let _ = self.writer.flush().await;
    }

    /// The next message that is known; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Reply> {
        loop {
            let frame = self.reader.read(MAX_TRACKER_FRAME).await.ok()?;
            if let Some(reply) = Reply::decode(frame.kind, &frame.body).ok()? {
                return Some(reply);
            }
        }
    }

    /// Sends a request with this number and waits for its answer.
    pub(crate) async fn ask(&mut self, q: u32, request: &Request) -> Reply {
        self.send(request).await;
        loop {
            let reply = self.next().await.expect("an answer");
            match &reply {
                Reply::Done { q: to }
                | Reply::Pong { q: to }
                | Reply::Files { q: to, .. }
                | Reply::Locations { q: to, .. }
                | Reply::Error { q: to, .. }
                    if *to == q =>
                {
                    return reply;
                }
                _ => {}
            }
        }
    }

    pub(crate) async fn watch(&mut self, catalogue: bool, ids: Vec<ContentId>) {
        let q = self.q();
        self.ask(q, &Request::Watch { q, catalogue, ids }).await;
    }

    /// Registers a whole list, with four batches on their way.
    pub(crate) async fn register(&mut self, files: &[FileMeta]) {
        let mut batches = files.chunks(MAX_REGISTER).peekable();
        let mut waiting = 0;
        let mut first = true;
        while batches.peek().is_some() || waiting > 0 {
            if waiting < 4
                && let Some(batch) = batches.next()
            {
                let (q, more) = (self.q(), batches.peek().is_some());
                let files = batch.to_vec();
                self.send(&Request::Register { q, files, more, full: first }).await;
                (waiting, first) = (waiting + 1, false);
                continue;
            }
            match self.next().await.expect("an answer") {
                Reply::Done { .. } => waiting -= 1,
                Reply::Error { text, .. } => panic!("refused: {text}"),
                _ => {}
            }
        }
    }

    /// Reads whatever comes, to the end; how much it was.
    pub(crate) fn drain(self) -> (SecureWriter<TcpStream>, tokio::task::JoinHandle<u64>) {
        let Self { mut reader, writer, .. } = self;
        let reading = tokio::spawn(async move {
            let mut bytes = 0;
            while let Ok(frame) = reader.read(MAX_TRACKER_FRAME).await {
                bytes += frame.body.len() as u64;
            }
            bytes
        });
        (writer, reading)
    }
}

/// A content that nobody needs to have: the tracker only sees this.
pub(crate) fn file(n: u64, size: u64) -> FileMeta {
    const WORDS: [&str; 16] = [
        "train", "shard", "Debian", "backup", "lecture", "photo", "model", "genome", "sample",
        "desktop", "season", "album", "paper", "figure", "archive", "kernel",
    ];
    let mut rng = fastrand::Rng::with_seed(n);
    let [a, b] = [0, 0].map(|_: u8| rng.choice(WORDS).unwrap());
    let name = format!("{a}-{b}-{n:08}.{}", rng.choice(["tar.gz", "iso", "mkv", "bin"]).unwrap());
    let root = sha256_concat(&[&n.to_be_bytes(), name.as_bytes()]);
    let chunks = Layout::for_file(size).unwrap().chunks();
    FileMeta { descriptor: Descriptor { kind: Kind::File, size, root }, name, total: size, chunks }
}

pub(crate) fn digest(files: &[FileMeta]) -> Hash {
    share_digest(files.iter().map(|meta| (meta.descriptor.id(), meta.name.as_str())))
}

/// A download from its first chunk to its last, over and over.
pub(crate) struct Progress {
    id: ContentId,
    chunks: u32,
    at: u32,
    have: ChunkSet,
}

impl Progress {
    /// One that has so many chunks already.
    pub(crate) fn new(meta: &FileMeta, at: u32) -> Self {
        let mut progress = Self {
            id: meta.descriptor.id(),
            chunks: meta.chunks,
            at: 0,
            have: ChunkSet::empty(meta.chunks),
        };
        for _ in 0..at.min(meta.chunks - 1) {
            progress.have.insert(progress.at);
            progress.at += 1;
        }
        progress
    }

    /// All that is there.
    pub(crate) fn whole(&self) -> Request {
        self.update(&self.have, true)
    }

    /// So many more chunks.
    pub(crate) fn step(&mut self, new: u32) -> Request {
        let again = self.at + new >= self.chunks;
        if again {
            (self.have, self.at) = (ChunkSet::empty(self.chunks), 0);
        }
        let mut delta = ChunkSet::empty(self.chunks);
        for chunk in self.at..self.at + new {
            delta.insert(chunk);
            self.have.insert(chunk);
        }
        let full = again || self.at == 0;
        self.at += new;
        self.update(&delta, full)
    }

    fn update(&self, set: &ChunkSet, full: bool) -> Request {
        let (id, chunks, total) = (self.id, self.chunks, self.have.count());
        Request::ChunkRegister {
            files: vec![ChunkUpdate { id, set: set.encode(), chunks, total, full }],
        }
    }
}
