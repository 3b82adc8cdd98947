//! From a fresh connection to an admitted peer. Until then strangers get little: three deadlines, one small
//! frame, nothing in the index.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use common::channel::{ChannelError, FrameError, Purpose, Secure, SecureReader, SecureWriter};
use common::id::PeerId;
use common::limits::{MAX_FRAME_BEFORE_HELLO, PROTOCOL_MIN, PROTOCOL_VERSION};
use common::wire::tracker::{Hello, Reply, Request};
use common::wire::{Code, WireError};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::shared::Shared;

/// Longest wait for a turn: half of the 10 s after which peers give up a tracker that has not answered their first
/// message. Whoever would wait longer had better come again, spread: their handshake would be computed in vain.
const LONGEST_QUEUE: Duration = Duration::from_secs(5);

/// Part of the time for a handshake that is left at least to who began to speak at the end of it.
const LEAST_PART: u32 = 4;

/// Role under which a peer proves that it knows the network's secret.
pub const PROOF_ROLE: &str = "peer";

/// A connection that has said hello and may stay.
pub(super) struct Admitted {
    pub(super) reader: SecureReader<TcpStream>,
    pub(super) writer: SecureWriter<TcpStream>,
    pub(super) peer: PeerId,
    pub(super) hello: Hello,
    /// Highest version both speak.
    pub(super) version: u8,
    /// Kept for a later hello on the same connection.
    pub(super) exporter: [u8; 32],
}

/// A connection that only shows where its peer is too.
pub(super) struct Also {
    writer: SecureWriter<TcpStream>,
    pub(super) peer: PeerId,
    q: u32,
}

impl Also {
    /// The answer, which is the end of the connection.
    pub(super) async fn answer(self, noted: Option<SocketAddr>, shared: &Shared) {
        let Self { writer, q, .. } = self;
        let reply = match noted {
            Some(observed) => Reply::Seen { q, observed },
            None => Reply::Error {
                q,
                code: Code::NotMember,
                text: "say hello first, over the other of IPv4 and IPv6".to_owned(),
                retry_ms: 0,
            },
        };
        say_last(writer, &reply, shared).await;
    }
}

/// What a connection begins with.
pub(super) enum First {
    Hello(Box<Admitted>),
    Also(Box<Also>),
}

/// Why a connection went no further.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("no TLS handshake in time")]
    TlsTimeout,
    #[error("{0}")]
    Channel(#[from] ChannelError),
    #[error("no hello in time")]
    HelloTimeout,
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Wire(#[from] WireError),
    #[error("the first message was not a hello")]
    NotHello,
    #[error("{text}")]
    Hello { code: Code, text: String },
}

/// One that came `waited` ago has that much less time to say something.
pub(super) async fn admit(
    stream: TcpStream,
    waited: Duration,
    shared: &Shared,
) -> Result<First, Refused> {
    let timing = &shared.config.timing;
    // Whoever is silent waits here, and takes no turn.
    let (left, since) = (timing.tls.saturating_sub(waited), Instant::now());
    let spoke = timeout(left, stream.readable()).await;
    spoke.map_err(|_| Refused::TlsTimeout)?.map_err(ChannelError::Io)?;
    let left = left.saturating_sub(since.elapsed()).max(timing.tls / LEAST_PART);
    let secure = shake_hands(stream, left, shared).await?;
    let (peer, exporter) = (secure.peer, secure.exporter);
    let (mut reader, writer) = secure.into_frames();
    let first = match timeout(timing.hello, reader.read(MAX_FRAME_BEFORE_HELLO)).await {
        Err(_) => Err(Refused::HelloTimeout),
        Ok(Err(error)) => Err(Refused::Frame(error)),
        Ok(Ok(frame)) => Request::decode(frame.kind, &frame.body).map_err(Refused::Wire),
    };
    let checked = match first {
        Ok(Some(Request::Hello(hello))) => {
            check(&hello, shared, &exporter).map(|version| (hello, version))
        }
        Ok(Some(Request::Also { q })) => {
            return Ok(First::Also(Box::new(Also { writer, peer, q })));
        }
        Ok(_) => Err(Refused::NotHello),
        Err(refused) => Err(refused),
    };
    match checked {
        Ok((hello, version)) => {
            let admitted = Admitted { reader, writer, peer, hello, version, exporter };
            Ok(First::Hello(Box::new(admitted)))
        }
        Err(refused) => {
            say_last(writer, &refused.reply(), shared).await;
            Err(refused)
        }
    }
}

/// The handshake of one that has begun to speak. When many come at once, those that were begun are ended before others
/// begin: a turn is held only while this side computes what it answers first, so nobody who stalls keeps it. What comes
/// after that is done as soon as it is there, and the time until it began does not count.
async fn shake_hands(
    stream: TcpStream,
    left: Duration,
    shared: &Shared,
) -> Result<Secure<TcpStream>, Refused> {
    let turn = timeout(LONGEST_QUEUE, shared.handshakes.acquire()).await;
    let mut turn = turn.map_err(|_| Refused::TlsTimeout)?.ok();
    let accepting = shared.channel.accept(stream, Purpose::Tracker);
    let mut accepting = pin!(timeout(left, accepting));
    let done = poll_fn(|cx| {
        let done = accepting.as_mut().poll(cx);
        turn = None;
        done
    });
    Ok(done.await.map_err(|_| Refused::TlsTimeout)??)
}

/// Best effort: a peer that is gone or does not read is not waited for.
async fn say_last(mut writer: SecureWriter<TcpStream>, reply: &Reply, shared: &Shared) {
    let goodbye = async {
        writer.write(reply.kind(), &reply.body()).await?;
        writer.shutdown().await
    };
    let _ = timeout(shared.config.timing.hello, goodbye).await;
}

/// Checks version and secret; returns the version to speak.
pub(super) fn check(hello: &Hello, shared: &Shared, exporter: &[u8; 32]) -> Result<u8, Refused> {
    let (low, high) = hello.versions;
    if high < PROTOCOL_MIN || low > PROTOCOL_VERSION {
        let text = format!(
            "this tracker speaks protocol {PROTOCOL_MIN} to {PROTOCOL_VERSION}, you speak {low} to {high}; update the older program"
        );
        return Err(Refused::Hello { code: Code::Version, text });
    }
    let Some(secret) = &shared.secret else { return Ok(high.min(PROTOCOL_VERSION)) };
    let text = match &hello.proof {
        Some(proof) if secret.verify(PROOF_ROLE, exporter, proof.as_bytes()) => {
            return Ok(high.min(PROTOCOL_VERSION));
        }
        Some(_) => "wrong network secret; use the whole join string that the tracker prints",
        None => "this network needs a secret; use the whole join string that the tracker prints",
    };
    Err(Refused::Hello { code: Code::Auth, text: text.to_owned() })
}

impl Refused {
    fn reply(&self) -> Reply {
        let code = match self {
            Self::TlsTimeout | Self::HelloTimeout => Code::Timeout,
            Self::Hello { code, .. } => *code,
            _ => Code::Protocol,
        };
        Reply::Error { q: 0, code, text: super::clip(&self.to_string()), retry_ms: 0 }
    }
}
