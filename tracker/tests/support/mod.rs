//! A tracker on a free port, and a small client that says what it is told to say.
#![allow(dead_code, unreachable_pub, reason = "shared by test files, each of which uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use common::channel::{Channel, Purpose, Secure, SecureReader, SecureWriter};
use common::chunk_set::ChunkSet;
use common::content::{Descriptor, Kind};
use common::hash::sha256_concat;
use common::id::{ContentId, Hash, PeerId};
use common::identity::Identity;
use common::inside::pack_manifest;
use common::join::{JoinString, Secret};
use common::layout::Layout;
use common::limits::{MAX_TRACKER_FRAME, PROTOCOL_VERSION};
use common::manifest::{Entry, EntryKind, Manifest};
use common::wire::Code;
use common::wire::tracker::{
    ChunkUpdate, FileMeta, FileRow, Hello, Reply, Request, Sort, Welcome, share_digest,
};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracker::{Config, Timing, Tracker};

/// Longest wait for anything; only ever reached when a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running tracker.
pub struct Running {
    pub join: JoinString,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// A configuration with fast ticks.
pub fn quick() -> Config {
    let timing = Timing { tick: Duration::from_millis(20), ..Timing::default() };
    Config { timing, ..Config::default() }
}

impl Running {
    pub async fn start(config: Config) -> Self {
        Self::serve(Tracker::open(config).unwrap()).await
    }

    pub async fn serve(tracker: Tracker) -> Self {
        Self::serve_at(tracker, TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub async fn listening(config: Config, listener: TcpListener) -> Self {
        Self::serve_at(Tracker::open(config).unwrap(), listener)
    }

    fn serve_at(tracker: Tracker, listener: TcpListener) -> Self {
        let port = listener.local_addr().unwrap().port();
        let join = tracker.join_string("127.0.0.1", port).unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(tracker.run(listener, async {
            let _ = stopped.await;
        }));
        Self { join, stop, task }
    }

    /// Shuts down and waits until all is written.
    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

/// Address of a tracker.
pub fn address(join: &JoinString) -> SocketAddr {
    join.address().parse().unwrap()
}

/// The same identity for the same number.
pub fn identity(n: u8) -> Identity {
    Identity::from_seed(&[n; 32]).unwrap()
}

/// The same of many more.
pub fn numbered_identity(n: u32) -> Identity {
    Identity::from_seed(sha256_concat(&[b"identity", &n.to_be_bytes()]).as_bytes()).unwrap()
}

/// A file that nobody needs to have: the tracker only sees this.
pub fn file(name: &str, size: u64) -> FileMeta {
    let root = sha256_concat(&[name.as_bytes()]);
    FileMeta {
        descriptor: Descriptor { kind: Kind::File, size, root },
        name: name.to_owned(),
        total: size,
        chunks: Layout::for_file(size).unwrap().chunks(),
    }
}

pub fn folder(name: &str, total: u64, chunks: u32) -> FileMeta {
    let root = sha256_concat(&[b"folder", name.as_bytes()]);
    FileMeta {
        descriptor: Descriptor { kind: Kind::Folder, size: 1000, root },
        name: name.to_owned(),
        total,
        chunks,
    }
}

/// A folder of these files, and its list of them as it is told.
pub fn folder_of(name: &str, paths: &[&str]) -> (FileMeta, Vec<u8>) {
    let entries = paths.iter().map(|path| Entry {
        path: path.split('/').map(str::to_owned).collect(),
        kind: EntryKind::File,
        size: 1,
        root: sha256_concat(&[path.as_bytes()]),
        exec: false,
        mtime: 0,
    });
    let manifest = Manifest::build(name, entries.collect()).unwrap();
    let descriptor = Manifest::descriptor_of(manifest.bytes());
    let (total, chunks) = (paths.len() as u64, u32::try_from(paths.len()).unwrap());
    let meta = FileMeta { descriptor, name: name.to_owned(), total, chunks };
    (meta, pack_manifest(manifest.bytes()).unwrap())
}

pub fn id(meta: &FileMeta) -> ContentId {
    meta.descriptor.id()
}

pub fn digest(files: &[FileMeta]) -> Hash {
    share_digest(files.iter().map(|meta| (id(meta), meta.name.as_str())))
}

/// Progress: these chunks in addition, or (full) instead.
pub fn progress(meta: &FileMeta, new: &[u32], total: u32, full: bool) -> ChunkUpdate {
    let mut set = ChunkSet::empty(meta.chunks);
    new.iter().for_each(|chunk| assert!(set.insert(*chunk)));
    ChunkUpdate { id: id(meta), set: set.encode(), chunks: meta.chunks, total, full }
}

/// What a client says first, and as whom.
pub struct Who {
    pub identity: Identity,
    pub secret: Option<Secret>,
    pub port: u16,
    pub shares: Hash,
    /// Whether it listens where its connection comes from, by its own word.
    pub punches: bool,
    /// Whether it says that it understands numbers without their rows.
    pub counts: bool,
}

impl Who {
    pub fn new(n: u8) -> Self {
        let (port, shares) = (7000 + u16::from(n), digest(&[]));
        Self { identity: identity(n), secret: None, port, shares, punches: false, counts: false }
    }

    pub fn sharing(n: u8, files: &[FileMeta]) -> Self {
        Self { shares: digest(files), ..Self::new(n) }
    }
}

/// A connected peer.
pub struct Client {
    reader: SecureReader<TcpStream>,
    writer: SecureWriter<TcpStream>,
    pub me: PeerId,
    pub exporter: [u8; 32],
    /// Pushes that came while an answer was awaited.
    pub pushes: VecDeque<Reply>,
    next_q: u32,
}

impl Client {
    /// Connects without saying hello.
    pub async fn dial(join: &JoinString, identity: &Identity) -> Self {
        Self::over(TcpStream::connect(address(join)).await.unwrap(), join, identity).await
    }

    /// The same at another address of the tracker.
    pub async fn dial_at(at: SocketAddr, join: &JoinString, identity: &Identity) -> Self {
        Self::over(TcpStream::connect(at).await.unwrap(), join, identity).await
    }

    /// The same from 127.0.0.`host`, which is an address of its own to a tracker that counts loopback.
    pub async fn dial_from(host: u8, join: &JoinString, identity: &Identity) -> Self {
        Self::dial_out_of([127, 0, 0, host].into(), join, identity).await
    }

    async fn dial_out_of(from: Ipv4Addr, join: &JoinString, identity: &Identity) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        Self::over(socket.connect(address(join)).await.unwrap(), join, identity).await
    }

    async fn over(stream: TcpStream, join: &JoinString, identity: &Identity) -> Self {
        let channel = Channel::new(identity).unwrap();
        let secure: Secure<_> =
            channel.connect(stream, &join.tracker(), Purpose::Tracker).await.unwrap();
        let exporter = secure.exporter;
        let (reader, writer) = secure.into_frames();
        let me = identity.peer_id();
        Self { reader, writer, me, exporter, pushes: VecDeque::new(), next_q: 0 }
    }

    /// Connects and says hello; returns what the tracker answers.
    pub async fn greet(join: &JoinString, who: &Who) -> (Self, Reply) {
        let client = Self::dial(join, &who.identity).await;
        client.say_hello(who).await
    }

    /// The same from 127.0.0.`host`.
    pub async fn greet_from(host: u8, join: &JoinString, who: &Who) -> (Self, Reply) {
        let client = Self::dial_from(host, join, &who.identity).await;
        client.say_hello(who).await
    }

    /// The same from any address of loopback.
    pub async fn greet_at(from: Ipv4Addr, join: &JoinString, who: &Who) -> (Self, Reply) {
        let client = Self::dial_out_of(from, join, &who.identity).await;
        client.say_hello(who).await
    }

    async fn say_hello(mut self, who: &Who) -> (Self, Reply) {
        let hello = self.hello(who);
        self.send(&Request::Hello(hello)).await;
        let reply = self.receive().await;
        (self, reply)
    }

    /// Connects and must be welcome.
    pub async fn connect(join: &JoinString, who: &Who) -> (Self, Welcome) {
        match Self::greet(join, who).await {
            (client, Reply::Welcome(welcome)) => (client, welcome),
            (_, other) => panic!("not welcome: {other:?}"),
        }
    }

    pub fn hello(&self, who: &Who) -> Hello {
        let proof =
            who.secret.as_ref().map(|secret| secret.proof(tracker::PROOF_ROLE, &self.exporter));
        Hello {
            versions: (PROTOCOL_VERSION, PROTOCOL_VERSION),
            agent: "test".to_owned(),
            nick: format!("peer {}", who.port),
            port: who.port,
            local: Vec::new(),
            proof: proof.map(Hash::from_bytes),
            digest: who.shares,
            punches: who.punches,
            counts: who.counts,
        }
    }

    pub async fn send(&mut self, request: &Request) {
        self.send_raw(request.kind(), &request.body()).await;
    }

    pub async fn send_raw(&mut self, kind: u8, body: &[u8]) {
        // The other side may have closed already, as some tests want.
        let _ = self.writer.write(kind, body).await;
        let _ = self.writer.flush().await;
    }

    /// The next message, or `None` when the connection is over.
    pub async fn next(&mut self) -> Option<Reply> {
        let frame = self.reader.read(MAX_TRACKER_FRAME);
        let frame = tokio::time::timeout(PATIENCE, frame).await.expect("nothing came").ok()?;
        Some(Reply::decode(frame.kind, &frame.body).unwrap().expect("a known message"))
    }

    pub async fn receive(&mut self) -> Reply {
        self.next().await.expect("the connection ended")
    }

    /// The next push.
    pub async fn push(&mut self) -> Reply {
        match self.pushes.pop_front() {
            Some(push) => push,
            None => self.receive().await,
        }
    }

    /// A number for the next request.
    pub fn q(&mut self) -> u32 {
        self.next_q += 1;
        self.next_q
    }

    /// Sends, and waits for the answer with this number; pushes are put aside.
    pub async fn ask(&mut self, q: u32, request: &Request) -> Reply {
        self.send(request).await;
        self.answer(q).await
    }

    pub async fn answer(&mut self, q: u32) -> Reply {
        loop {
            let reply = self.receive().await;
            match &reply {
                Reply::Done { q: to }
                | Reply::Files { q: to, .. }
                | Reply::Locations { q: to, .. }
                | Reply::Members { q: to, .. }
                | Reply::Pong { q: to }
                | Reply::Seen { q: to, .. }
                | Reply::NamesWanted { q: to, .. }
                | Reply::Found { q: to, .. }
                | Reply::Error { q: to, .. }
                    if *to == q =>
                {
                    return reply;
                }
                Reply::Error { .. } => panic!("unexpected {reply:?}"),
                _ => self.pushes.push_back(reply),
            }
        }
    }

    pub async fn register(&mut self, files: &[FileMeta]) -> Reply {
        let q = self.q();
        self.ask(q, &Request::Register { q, files: files.to_vec(), more: false, full: false }).await
    }

    pub async fn must_register(&mut self, files: &[FileMeta]) {
        let reply = self.register(files).await;
        assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    }

    /// Says that it may tell the names inside these; which are wanted.
    pub async fn offer_names(&mut self, ids: &[ContentId], withdraw: bool) -> Vec<ContentId> {
        let q = self.q();
        let ids = ids.to_vec();
        match self.ask(q, &Request::OfferNames { q, ids, withdraw }).await {
            Reply::NamesWanted { ids, .. } => ids,
            other => panic!("{other:?}"),
        }
    }

    pub async fn give_names(&mut self, id: ContentId, manifest: &[u8]) -> Reply {
        let q = self.q();
        self.ask(q, &Request::GiveNames { q, id, manifest: manifest.to_vec() }).await
    }

    /// Names of the folders in which files are found, with the first of these, and how many there are.
    pub async fn find(&mut self, query: &str) -> Vec<(String, Vec<String>, u32)> {
        let q = self.q();
        match self.ask(q, &Request::Find { q, query: query.to_owned(), limit: 100 }).await {
            Reply::Found { rows, .. } => rows
                .into_iter()
                .map(|found| (found.row.meta.name, found.paths, found.files))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    pub async fn chunks(&mut self, updates: Vec<ChunkUpdate>) {
        self.send(&Request::ChunkRegister { files: updates }).await;
    }

    /// Everything sent before has been dealt with.
    pub async fn sync(&mut self) {
        let q = self.q();
        let reply = self.ask(q, &Request::Ping { q }).await;
        assert_eq!(reply, Reply::Pong { q });
    }

    /// All pages of a list.
    pub async fn list(&mut self, query: &str, sort: Sort) -> Vec<FileRow> {
        let (mut all, mut cursor) = (Vec::new(), Vec::new());
        loop {
            let q = self.q();
            let request =
                Request::FileList { q, query: query.to_owned(), cursor, limit: 500, sort };
            match self.ask(q, &request).await {
                Reply::Files { rows, cursor: next, .. } => {
                    all.extend(rows);
                    if next.is_empty() {
                        return all;
                    }
                    cursor = next;
                }
                Reply::Error { code: Code::Rate, retry_ms, .. } => {
                    tokio::time::sleep(Duration::from_millis(retry_ms.into())).await;
                    return Box::pin(self.list(query, sort)).await;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub async fn names(&mut self, query: &str) -> Vec<String> {
        self.list(query, Sort::Name).await.into_iter().map(|row| row.meta.name).collect()
    }

    pub async fn locations(&mut self, id: ContentId, want: u16) -> Located {
        let q = self.q();
        match self.ask(q, &Request::FileLocations { q, id, want }).await {
            Reply::Locations { meta, sources, complete, partial, .. } => {
                Located { meta, sources, complete, partial }
            }
            other => panic!("{other:?}"),
        }
    }

    pub async fn watch(&mut self, catalogue: bool, ids: &[ContentId]) {
        let q = self.q();
        let reply = self.ask(q, &Request::Watch { q, catalogue, ids: ids.to_vec() }).await;
        assert_eq!(reply, Reply::Done { q });
    }
}

/// Answer to FileLocations.
pub struct Located {
    pub meta: Option<FileMeta>,
    pub sources: Vec<common::wire::tracker::Source>,
    pub complete: u32,
    pub partial: u32,
}
