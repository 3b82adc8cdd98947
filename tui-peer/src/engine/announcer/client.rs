//! The standing connection to the tracker: connect, say HELLO, tell what is desired, take in what
//! comes; when it breaks, wait and start again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::channel::{Channel, ChannelError, FrameError, Purpose, SecureReader, SecureWriter};
use common::chunk_set::ChunkSet;
use common::id::{ContentId, Hash};
use common::limits::{
    MAX_FRAME_BEFORE_HELLO, MAX_LIST_ROWS, MAX_TRACKER_FRAME, PROTOCOL_MIN, PROTOCOL_VERSION,
};
use common::wire::tracker::{Hello, Reply, Request, Sort, Source, Welcome};
use common::wire::{Code, WireError};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot};

use super::addrs::may_dial;
use super::desired::{Desired, Pending};
use super::mirror::Mirror;
use super::{AnnouncerConfig, SourceInfo, TrackerEvent};
use crate::engine::snapshot::NetState;

/// Time for a TCP connection to one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);
/// Time for the TLS handshake.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for WELCOME.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the answer to a ping.
const PONG_TIMEOUT: Duration = Duration::from_secs(10);
/// First wait after the connection broke; doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait between tries.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Wait after the tracker refused us: a person has to do something first.
const REFUSED_WAIT: Duration = Duration::from_secs(60);
/// Catalogue snapshots at most this often.
const CATALOGUE_EVERY: Duration = Duration::from_millis(250);
/// Contents whose chunk count is remembered.
const MAX_LOCATED: usize = 10_000;
/// Time for LEAVE to be acknowledged.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Client {
    pub(super) config: AnnouncerConfig,
    pub(super) desired: Arc<Mutex<Desired>>,
    pub(super) changed: Arc<Notify>,
    pub(super) hurry: Arc<Notify>,
    pub(super) leaving: mpsc::Receiver<oneshot::Sender<()>>,
    pub(super) events: mpsc::Sender<TrackerEvent>,
    pub(super) rng: fastrand::Rng,
    /// Chunks of contents that were located: what their sources' sets are about.
    pub(super) chunks: HashMap<ContentId, u32>,
}

/// Why a connection did not come up, or ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("cannot find {0}: {1}")]
    Resolve(String, #[source] std::io::Error),
    #[error("cannot reach {0}: {1}")]
    Connect(String, #[source] std::io::Error),
    #[error("no answer in time")]
    Timeout,
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("{1}")]
    Refused(Code, String),
    #[error("it speaks another protocol version ({0})")]
    Version(u8),
    #[error("it broke the protocol")]
    Protocol,
    #[error("it is going away")]
    Goaway(Duration),
    #[error("we left")]
    Left,
    #[error("the engine stopped")]
    Stopped,
}

/// An open connection.
struct Link {
    reader: SecureReader<TcpStream>,
    writer: SecureWriter<TcpStream>,
    tracker: SocketAddr,
    welcome: Welcome,
}

impl Client {
    pub(super) async fn run(mut self) {
        let mut wait = FIRST_WAIT;
        self.tell(TrackerEvent::State(NetState::Connecting)).await;
        loop {
            let ended = match self.connect().await {
                Ok(link) => {
                    wait = FIRST_WAIT;
                    self.serve(link).await
                }
                Err(ended) => ended,
            };
            let pause = match &ended {
                Ended::Left | Ended::Stopped => return,
                Ended::Goaway(pause) => *pause,
                Ended::Refused(Code::Auth | Code::NotPermitted | Code::Version, _)
                | Ended::Version(_)
                | Ended::Channel(ChannelError::WrongKey { .. }) => REFUSED_WAIT,
                _ => wait.mul_f64(0.75 + self.rng.f64() * 0.5),
            };
            wait = (wait * 2).min(LONGEST_WAIT);
            let state = self.state_after(&ended, pause);
            self.tell(TrackerEvent::State(state)).await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.hurry.notified() => wait = FIRST_WAIT,
                leave = self.leaving.recv() => {
                    if let Some(done) = leave {
                        let _ = done.send(());
                    }
                    return;
                }
            }
        }
    }

    fn state_after(&self, ended: &Ended, pause: Duration) -> NetState {
        let address = self.config.join.address();
        let rejected = |why: String| NetState::Rejected { why };
        match ended {
            Ended::Channel(error @ ChannelError::WrongKey { .. }) => rejected(format!(
                "the tracker at {address} is not the one of the join string ({error}): the join string is outdated, or somebody stands between; ask for a new one"
            )),
            Ended::Refused(Code::Auth, text) => rejected(format!(
                "the tracker at {address} does not let us in: {}; check the secret in the join string",
                common::names::show(text)
            )),
            Ended::Refused(Code::Version, _) | Ended::Version(_) => rejected(format!(
                "the tracker at {address} speaks another protocol version; update the older program"
            )),
            Ended::Refused(_, text) => rejected(format!(
                "the tracker at {address} refused us: {}",
                common::names::show(text)
            )),
            other => {
                let now = Instant::now();
                NetState::Lost { since: now, retry_at: now + pause, why: other.to_string() }
            }
        }
    }

    async fn connect(&mut self) -> Result<Link, Ended> {
        let join = &self.config.join;
        let address = join.address();
        let addrs: Vec<SocketAddr> = tokio::net::lookup_host((join.host(), join.port()))
            .await
            .map_err(|error| Ended::Resolve(address.clone(), error))?
            .collect();
        let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
        for addr in addrs {
            match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(addr)).await {
                Err(_) => last = std::io::ErrorKind::TimedOut.into(),
                Ok(Err(error)) => last = error,
                Ok(Ok(stream)) => return self.greet(stream, addr).await,
            }
        }
        Err(Ended::Connect(address, last))
    }

    async fn greet(&mut self, stream: TcpStream, tracker: SocketAddr) -> Result<Link, Ended> {
        let _ = stream.set_nodelay(true);
        let channel = Channel::new(&self.config.identity)?;
        let key = self.config.join.tracker();
        let connect = channel.connect(stream, &key, Purpose::Tracker);
        let secure =
            tokio::time::timeout(TLS_TIMEOUT, connect).await.map_err(|_| Ended::Timeout)??;
        let secret = self.config.join.secret();
        let proof = secret.map(|secret| Hash::from_bytes(secret.proof("peer", &secure.exporter)));
        let hello = Hello {
            versions: (PROTOCOL_MIN, PROTOCOL_VERSION),
            agent: self.config.agent.clone(),
            nick: self.config.nick.clone(),
            port: self.config.port,
            local: self.config.local.clone(),
            proof,
            digest: self.desired().digest(),
        };
        let (mut reader, mut writer) = secure.into_frames();
        send(&mut writer, &Request::Hello(hello)).await?;
        let answer = reader.read(MAX_FRAME_BEFORE_HELLO);
        let frame =
            tokio::time::timeout(WELCOME_TIMEOUT, answer).await.map_err(|_| Ended::Timeout)??;
        match Reply::decode(frame.kind, &frame.body)? {
            Some(Reply::Welcome(welcome))
                if (PROTOCOL_MIN..=PROTOCOL_VERSION).contains(&welcome.version) =>
            {
                Ok(Link { reader, writer, tracker, welcome })
            }
            Some(Reply::Welcome(welcome)) => Err(Ended::Version(welcome.version)),
            Some(Reply::Error { code, text, .. }) => Err(Ended::Refused(code, text)),
            _ => Err(Ended::Protocol),
        }
    }

    /// Runs an open connection until it ends.
    async fn serve(&mut self, mut link: Link) -> Ended {
        let membership = link.welcome.membership.clone();
        self.tell(TrackerEvent::Welcomed { membership, tracker: link.tracker }).await;
        self.tell(TrackerEvent::State(NetState::On)).await;
        let known = self.desired().connected(link.welcome.share_ok);
        if !known.is_empty() {
            self.tell(TrackerEvent::Registered { ids: known }).await;
        }
        match self.converse(&mut link).await {
            Ok(()) => Ended::Stopped,
            Err(ended) => ended,
        }
    }

    async fn converse(&mut self, link: &mut Link) -> Result<(), Ended> {
        let mut mirror = Mirror::default();
        let heartbeat = Duration::from_secs(u64::from(link.welcome.heartbeat_s.clamp(1, 300)));
        let mut progress_every =
            Duration::from_millis(u64::from(link.welcome.have_interval_ms.clamp(100, 60_000)));
        let mut progress_at = Instant::now();
        let mut catalogue_at = Instant::now();
        let mut ping_at = Instant::now();
        let mut pinged: Option<(u32, Instant)> = None;
        let mut throttled = Instant::now();

        let q = self.desired().ask(Pending::Watch);
        send(&mut link.writer, &Request::Watch { q, catalogue: true, ids: vec![] }).await?;
        mirror.begin();
        self.list(link, vec![]).await?;
        loop {
            let now = Instant::now();
            if now >= throttled {
                loop {
                    let next = self.desired().next();
                    let Some(request) = next else { break };
                    link.writer.write(request.kind(), &request.body()).await?;
                }
            }
            if now >= progress_at {
                progress_at = now + progress_every;
                let progress = self.desired().progress();
                if let Some(progress) = progress {
                    link.writer.write(progress.kind(), &progress.body()).await?;
                }
            }
            if now >= ping_at && pinged.is_none() {
                ping_at = now + heartbeat;
                let q = self.desired().ask(Pending::Ping);
                pinged = Some((q, now));
                let ping = Request::Ping { q };
                link.writer.write(ping.kind(), &ping.body()).await?;
            }
            if pinged.is_some_and(|(_, at)| now >= at + PONG_TIMEOUT) {
                return Err(Ended::Timeout);
            }
            if now >= catalogue_at
                && let Some((catalogue, metas)) = mirror.take()
            {
                catalogue_at = now + CATALOGUE_EVERY;
                self.tell(TrackerEvent::Catalogue { catalogue, metas }).await;
            }
            link.writer.flush().await?;

            let mut due = ping_at;
            if let Some((_, at)) = pinged {
                due = due.min(at + PONG_TIMEOUT);
            }
            if self.desired().has_progress() {
                due = due.min(progress_at);
            }
            if mirror.is_dirty() {
                due = due.min(catalogue_at);
            }
            if throttled > now {
                due = due.min(throttled);
            }
            let reply = tokio::select! {
                biased;
                leave = self.leaving.recv() => return Err(self.leave(link, leave).await),
                frame = link.reader.read(MAX_TRACKER_FRAME) => {
                    let frame = frame?;
                    Reply::decode(frame.kind, &frame.body)?
                }
                () = self.changed.notified() => None,
                () = tokio::time::sleep_until(due.into()) => None,
            };
            match reply {
                None => {}
                Some(Reply::Pong { q }) => {
                    self.desired().answered(q);
                    if let Some((asked, at)) = pinged
                        && asked == q
                    {
                        pinged = None;
                        let ms = u32::try_from(at.elapsed().as_millis()).unwrap_or(u32::MAX);
                        self.tell(TrackerEvent::Latency(ms)).await;
                    }
                }
                Some(Reply::Pace { have_interval_ms }) => {
                    progress_every =
                        Duration::from_millis(u64::from(have_interval_ms.clamp(100, 60_000)));
                }
                Some(Reply::Files { q, rows, cursor, .. }) => {
                    if self.desired().answered(q) != Some(Pending::List) {
                        return Err(Ended::Protocol);
                    }
                    rows.into_iter().for_each(|row| mirror.upsert(row));
                    if cursor.is_empty() {
                        mirror.end();
                    } else {
                        self.list(link, cursor).await?;
                    }
                }
                Some(Reply::CatalogueDelta { upserts, removes, resync }) => {
                    upserts.into_iter().for_each(|row| mirror.upsert(row));
                    removes.iter().for_each(|id| mirror.remove(id));
                    if resync {
                        mirror.begin();
                        self.list(link, vec![]).await?;
                    }
                }
                Some(Reply::Goaway { delay_ms }) => {
                    return Err(Ended::Goaway(Duration::from_millis(u64::from(delay_ms))));
                }
                Some(Reply::Error { q: 0, code, text, .. }) => {
                    return Err(Ended::Refused(code, text));
                }
                Some(Reply::Error { q, code, text, retry_ms }) => {
                    let wait = Duration::from_millis(u64::from(retry_ms.min(60_000)));
                    if matches!(code, Code::Rate | Code::Busy) {
                        throttled = Instant::now() + wait.max(Duration::from_millis(100));
                    }
                    self.failed(link, q, code, &text, &mut throttled).await?;
                }
                Some(other) => self.take(link.tracker, other).await,
            }
        }
    }

    /// Answers and pushes that concern the session only.
    async fn take(&mut self, tracker: SocketAddr, reply: Reply) {
        let event = match reply {
            Reply::Done { q } => match self.desired().answered(q) {
                Some(Pending::Register(ids)) => TrackerEvent::Registered { ids },
                _ => return,
            },
            Reply::Locations { q, id, meta, sources, complete, .. } => {
                self.desired().answered(q);
                let meta = meta.filter(|meta| meta.descriptor.id() == id);
                let chunks = meta.as_ref().map(|meta| meta.chunks);
                if let Some(chunks) = chunks {
                    if self.chunks.len() >= MAX_LOCATED {
                        self.chunks.clear();
                    }
                    self.chunks.insert(id, chunks);
                }
                let sources = sources.into_iter();
                let sources = sources.map(|source| info(source, tracker, chunks)).collect();
                TrackerEvent::Sources { id, meta, sources, complete, whole: true }
            }
            Reply::SourceDelta { id, joins, leaves } => {
                if !leaves.is_empty() {
                    self.tell(TrackerEvent::SourcesLeft { id, peers: leaves }).await;
                }
                if joins.is_empty() {
                    return;
                }
                let chunks = self.chunks.get(&id).copied();
                let sources =
                    joins.into_iter().map(|source| info(source, tracker, chunks)).collect();
                TrackerEvent::Sources { id, meta: None, sources, complete: 0, whole: false }
            }
            Reply::Resend { ids } => {
                self.desired().resend(&ids);
                return;
            }
            Reply::Welcome(welcome) => {
                let membership = welcome.membership;
                TrackerEvent::Welcomed { membership, tracker }
            }
            _ => return,
        };
        self.tell(event).await;
    }

    /// A request failed.
    async fn failed(
        &mut self,
        link: &mut Link,
        q: u32,
        code: Code,
        text: &str,
        throttled: &mut Instant,
    ) -> Result<(), Ended> {
        let temporary = matches!(code, Code::Rate | Code::Busy | Code::LocalIo);
        let pending = self.desired().answered(q);
        match pending {
            Some(Pending::List) => {
                tokio::time::sleep_until((*throttled).into()).await;
                self.list(link, vec![]).await?;
            }
            Some(Pending::Register(ids)) => {
                if code == Code::LocalIo {
                    *throttled = Instant::now() + Duration::from_secs(5);
                }
                let why = common::names::show(text);
                if !matches!(code, Code::Rate | Code::Busy) {
                    self.tell(TrackerEvent::RegisterFailed { ids: ids.clone(), why }).await;
                }
                if temporary {
                    self.desired().retry(Pending::Register(ids));
                }
            }
            Some(other) if temporary => self.desired().retry(other),
            _ => {}
        }
        Ok(())
    }

    async fn list(&self, link: &mut Link, cursor: Vec<u8>) -> Result<(), Ended> {
        let q = self.desired().ask(Pending::List);
        let limit = u16::try_from(MAX_LIST_ROWS).unwrap_or(u16::MAX);
        let list = Request::FileList { q, query: String::new(), cursor, limit, sort: Sort::Name };
        send(&mut link.writer, &list).await
    }

    /// Takes leave; `None` is a session that is gone.
    async fn leave(&self, link: &mut Link, leave: Option<oneshot::Sender<()>>) -> Ended {
        let q = self.desired().ask(Pending::Leave);
        let goodbye = async {
            let progress = self.desired().progress();
            if let Some(progress) = progress {
                send(&mut link.writer, &progress).await?;
            }
            send(&mut link.writer, &Request::Leave { q }).await?;
            loop {
                let frame = link.reader.read(MAX_TRACKER_FRAME).await?;
                if Reply::decode(frame.kind, &frame.body)? == Some(Reply::Done { q }) {
                    return Ok::<(), Ended>(());
                }
            }
        };
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, goodbye).await;
        let _ = tokio::time::timeout(Duration::from_millis(200), link.writer.shutdown()).await;
        match leave {
            Some(done) => {
                let _ = done.send(());
                Ended::Left
            }
            None => Ended::Stopped,
        }
    }

    fn desired(&self) -> std::sync::MutexGuard<'_, Desired> {
        self.desired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self, event: TrackerEvent) {
        // A session that is gone shows in `leaving`.
        let _ = self.events.send(event).await;
    }
}

async fn send(writer: &mut SecureWriter<TcpStream>, request: &Request) -> Result<(), Ended> {
    writer.write(request.kind(), &request.body()).await?;
    writer.flush().await?;
    Ok(())
}

/// A source with its name made safe and its addresses filtered; its set can be read only if the number
/// of chunks is known.
fn info(source: Source, tracker: SocketAddr, chunks: Option<u32>) -> SourceInfo {
    let set = chunks.and_then(|chunks| ChunkSet::decode(chunks, source.set.as_deref()?).ok());
    SourceInfo {
        peer: source.peer,
        nick: common::names::show(&source.nick),
        addrs: source.addrs.into_iter().filter(|addr| may_dial(*addr, tracker)).collect(),
        have: source.have,
        set,
    }
}
