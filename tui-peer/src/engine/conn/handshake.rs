//! HELLO both ways on a fresh secure channel, then the two tasks of a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::channel::{Channel, ChannelError, FrameError, Secure, SecureReader, SecureWriter};
use common::id::PeerId;
use common::limits::{MAX_FRAME_BEFORE_HELLO, MAX_QUEUED_BYTES, PROTOCOL_MIN, PROTOCOL_VERSION};
use common::membership::MembershipError;
use common::net::Links;
use common::wire::peer::{Hello, PeerMsg};
use common::wire::{Code, WireError};
use tokio::sync::mpsc;

use super::flow::{Flow, Queued};
use super::stream::Stream;
use super::{COMMAND_QUEUE, ConnEvent, ConnHandle, Traffic, reader, writer};
use crate::engine::disk::{BufPool, Disk, Part};
use crate::engine::gate::{Admission, Gate};
use crate::engine::limiter::Limiter;
use swarm::event::ConnId;

/// Time for the TLS handshake of a connection that we dialled: the other side may be busy.
pub(super) const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for HELLO.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the rest of a frame and BYE to get out once a connection is to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What every connection of this peer shares. Cheap to clone.
#[derive(Clone)]
pub(in crate::engine) struct Ours {
    /// Makes secure channels.
    pub(in crate::engine) channel: Channel,
    /// Who may talk to us.
    pub(in crate::engine) gate: Gate,
    /// Port we listen on.
    pub(in crate::engine) port: u16,
    /// Program and version.
    pub(in crate::engine) agent: Arc<str>,
    /// Buffers for payload.
    pub(in crate::engine) pool: BufPool,
    /// Reads what is served.
    pub(in crate::engine) disk: Disk,
    /// Limit on payload sent.
    pub(in crate::engine) up: Arc<Limiter>,
    /// Limit on payload received.
    pub(in crate::engine) down: Arc<Limiter>,
    /// Where connections report.
    pub(in crate::engine) events: mpsc::Sender<ConnEvent>,
    /// Which addresses are near: they are exempt from limits by address.
    pub(in crate::engine) links: Arc<Links>,
    /// Bytes of messages that wait, over all connections.
    pub(in crate::engine) queued: Arc<Queued>,
    /// Bytes on the wire, over all connections.
    pub(in crate::engine) traffic: Arc<Traffic>,
    /// Gives every connection a number.
    pub(in crate::engine) next: Arc<AtomicU64>,
}

/// Why a connection did not come up.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("we are in no network")]
    NoNetwork,
    #[error("could not connect: {0}")]
    Connect(#[source] std::io::Error),
    #[error("no answer in time")]
    Timeout,
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("no common protocol version (it speaks {0}-{1})")]
    Version(u8, u8),
    #[error("not a member of this network: {0}")]
    Membership(#[from] MembershipError),
    #[error("refused: {0}")]
    Refused(Code, String),
    #[error("it is ourselves")]
    Ourselves,
    #[error("first message was not HELLO")]
    NotHello,
}

impl HandshakeError {
    /// Whether dialling the same peer at the same address again makes no sense.
    pub(super) fn is_permanent(&self) -> bool {
        match self {
            Self::Channel(ChannelError::WrongKey { .. }) | Self::Ourselves => true,
            Self::Refused(code, _) => {
                matches!(code, Code::Auth | Code::NotMember | Code::Revoked | Code::BadData)
            }
            _ => false,
        }
    }

    fn code(&self) -> Option<Code> {
        match self {
            Self::Version(..) => Some(Code::Version),
            // Time may mend both: a membership from the future is one whose tracker's clock was set, of which
            // we have not heard yet.
            Self::Membership(
                MembershipError::Expired { .. } | MembershipError::NotYetValid { .. },
            ) => Some(Code::Expired),
            Self::Membership(_) => Some(Code::NotMember),
            Self::Ourselves => Some(Code::Duplicate),
            Self::Wire(_) | Self::NotHello => Some(Code::Protocol),
            _ => None,
        }
    }
}

type Frames = (SecureReader<Stream>, SecureWriter<Stream>);

impl Ours {
    /// Exchanges HELLO; on success starts the connection's tasks and reports it.
    pub(super) async fn finish(
        &self,
        secure: Secure<Stream>,
        addr: SocketAddr,
        dialed: bool,
    ) -> Result<(), HandshakeError> {
        let peer = secure.peer;
        let admission = self.gate.get().ok_or(HandshakeError::NoNetwork)?;
        let (mut reader, mut writer) = secure.into_frames();
        let exchange = self.hello(&mut reader, &mut writer, &admission, &peer);
        let hello = match tokio::time::timeout(HELLO_TIMEOUT, exchange).await {
            Err(_) => return Err(HandshakeError::Timeout),
            Ok(Err(error)) => {
                if let Some(code) = error.code() {
                    say_bye(&mut writer, code, &error.to_string()).await;
                }
                return Err(error);
            }
            Ok(Ok(hello)) => hello,
        };
        self.start((reader, writer), peer, addr, dialed, &hello).await;
        Ok(())
    }

    async fn hello(
        &self,
        reader: &mut SecureReader<Stream>,
        writer: &mut SecureWriter<Stream>,
        admission: &Admission,
        peer: &PeerId,
    ) -> Result<Hello, HandshakeError> {
        if *peer == self.channel.peer_id() {
            return Err(HandshakeError::Ourselves);
        }
        let ours = PeerMsg::Hello(Hello {
            versions: (PROTOCOL_MIN, PROTOCOL_VERSION),
            agent: self.agent.to_string(),
            membership: admission.membership.clone(),
            port: self.port,
            features: 0,
            max_queued: u32::try_from(MAX_QUEUED_BYTES).unwrap_or(u32::MAX),
            in_touch: Some(admission.in_touch),
        });
        writer.write(ours.kind(), &ours.body()).await?;
        writer.flush().await?;
        let frame = reader.read(MAX_FRAME_BEFORE_HELLO).await?;
        match PeerMsg::decode(frame.kind, &frame.body)? {
            Some(PeerMsg::Hello(theirs)) => {
                let (min, max) = theirs.versions;
                if max < PROTOCOL_MIN || min > PROTOCOL_VERSION {
                    return Err(HandshakeError::Version(min, max));
                }
                admission.check(peer, &theirs.membership, theirs.in_touch, Instant::now())?;
                Ok(theirs)
            }
            Some(PeerMsg::Bye { code, text }) => Err(HandshakeError::Refused(code, text)),
            _ => Err(HandshakeError::NotHello),
        }
    }

    async fn start(
        &self,
        (reader, writer): Frames,
        peer: PeerId,
        addr: SocketAddr,
        dialed: bool,
        hello: &Hello,
    ) {
        let conn = ConnId(self.next.fetch_add(1, Ordering::Relaxed));
        let (commands, queue) = mpsc::channel(COMMAND_QUEUE);
        let flow = Flow::new(self.queued.clone());
        let handle = ConnHandle { commands, flow: flow.clone() };
        let max_queued = hello.max_queued;
        let up = ConnEvent::Up { conn, peer, dialed, addr, max_queued, handle };
        if self.events.send(up).await.is_err() {
            return;
        }
        // Either side ending ends the other: the reader on a broken or closed stream, the writer when
        // the session drops the handle. Both may hold memory while the peer decides for how long.
        let ours = self.clone();
        let [payload, messages, sending] =
            [Part::Receiving, Part::Messages, Part::Sending].map(|part| self.pool.holder(part));
        tokio::spawn(async move {
            let read = reader::run(reader, conn, &ours, &flow, &payload, &messages);
            let mut write = std::pin::pin!(writer::run(writer, queue, conn, &ours, &sending));
            let ended = tokio::select! {
                why = read => Some(why),
                why = &mut write => Some(why),
                () = payload.blamed() => Some("it stopped in the middle of a frame".to_owned()),
                () = messages.blamed() => Some("it stopped in the middle of a message".to_owned()),
                () = sending.blamed() => Some("it stopped reading".to_owned()),
                () = flow.ended() => None,
            };
            let why = match ended {
                Some(why) => why,
                // Nothing is read from here on, and what was being read is given back.
                None => tokio::time::timeout(CLOSE_TIMEOUT, write)
                    .await
                    .unwrap_or_else(|_| "we closed, and it did not listen".to_owned()),
            };
            // The session gone means there is nobody to tell.
            let _ = ours.events.send(ConnEvent::Down { conn, why }).await;
        });
    }
}

/// Tells the other side why it is refused, if it still listens.
async fn say_bye(writer: &mut SecureWriter<Stream>, code: Code, text: &str) {
    let bye = PeerMsg::Bye { code, text: common::names::show(text).chars().take(60).collect() };
    let goodbye = async {
        writer.write(bye.kind(), &bye.body()).await?;
        writer.shutdown().await
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
}
