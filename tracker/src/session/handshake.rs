//! From a fresh connection to an admitted peer. Until then strangers get little: two deadlines, one small
//! frame, nothing in the index.

use std::net::SocketAddr;

use common::channel::{ChannelError, FrameError, Purpose, SecureReader, SecureWriter};
use common::id::PeerId;
use common::limits::{MAX_FRAME_BEFORE_HELLO, PROTOCOL_MIN, PROTOCOL_VERSION};
use common::wire::tracker::{Hello, Reply, Request};
use common::wire::{Code, WireError};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::shared::Shared;

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

pub(super) async fn admit(stream: TcpStream, shared: &Shared) -> Result<Admitted, Refused> {
    let timing = &shared.config.timing;
    let secure = timeout(timing.tls, shared.channel.accept(stream, Purpose::Tracker))
        .await
        .map_err(|_| Refused::TlsTimeout)??;
    let (peer, exporter) = (secure.peer, secure.exporter);
    let (mut reader, mut writer) = secure.into_frames();
    let checked = match timeout(timing.hello, reader.read(MAX_FRAME_BEFORE_HELLO)).await {
        Err(_) => Err(Refused::HelloTimeout),
        Ok(Err(error)) => Err(Refused::Frame(error)),
        Ok(Ok(frame)) => parse(frame.kind, &frame.body).and_then(|hello| {
            let version = check(&hello, shared, &exporter)?;
            Ok((hello, version))
        }),
    };
    match checked {
        Ok((hello, version)) => Ok(Admitted { reader, writer, peer, hello, version, exporter }),
        Err(refused) => {
            let reply = refused.reply();
            // Best effort: a peer that is gone or does not read is not waited for.
            let goodbye = async {
                writer.write(reply.kind(), &reply.body()).await?;
                writer.shutdown().await
            };
            let _ = timeout(timing.hello, goodbye).await;
            Err(refused)
        }
    }
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

/// The peer's address without the IPv6 disguise of an IPv4 address.
pub(super) fn plain(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

fn parse(kind: u8, body: &[u8]) -> Result<Hello, Refused> {
    match Request::decode(kind, body)? {
        Some(Request::Hello(hello)) => Ok(hello),
        _ => Err(Refused::NotHello),
    }
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
