//! HELLO both ways on a fresh secure channel, then the two tasks of a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::channel::{ChannelError, FrameError, Secure, SecureReader, SecureWriter};
use common::id::PeerId;
use common::limits::{MAX_FRAME_BEFORE_HELLO, MAX_QUEUED_BYTES, PROTOCOL_MIN, PROTOCOL_VERSION};
use common::membership::MembershipError;
use common::numbers::saturate;
use common::wire::peer::{Hello, PeerMsg};
use common::wire::{Code, WireError};
use tokio::sync::mpsc;

use super::flow::Flow;
use super::stream::Stream;
use super::uplink::Uplink;
use super::{COMMAND_QUEUE, ConnCommand, ConnEvent, ConnHandle, Main, Ours, reader, writer};
use crate::admission::Admission;
use crate::api::snapshot::Way;
use crate::disk::Part;
use swarm::event::ConnId;

/// Time for the TLS handshake of a connection that we dialled: the other side may be busy.
pub(super) const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for HELLO.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the rest of a frame and BYE to get out once a connection is to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for BYE to a peer whose HELLO did not pass.
const BYE_TIMEOUT: Duration = Duration::from_secs(1);
/// Time and bytes for what such a peer sent along with its HELLO, which is 1 KiB: if it is not read, the system may take
/// the connection down before the peer has read why.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_DRAINED: usize = 64 * 1024;

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
    #[error("no address of it can be reached from here")]
    NoAddress,
    #[error("somebody else came")]
    Stranger,
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

/// The connection's own side of its handle.
struct Parts {
    queue: mpsc::Receiver<ConnCommand>,
    flow: Arc<Flow>,
    /// The way out, where that is watched.
    uplink: Option<Arc<Uplink>>,
}

impl Ours {
    /// A peer came to us: exchanges HELLO, and only then starts the connection's tasks and reports it. Or it comes a
    /// second time, for an extra connection: whether there is one to which that belongs the session knows.
    pub(super) async fn accepted(
        &self,
        secure: Secure<Stream>,
        place: (SocketAddr, Way),
    ) -> Result<(), HandshakeError> {
        let peer = secure.peer;
        let admission = self.admission_for(&peer)?;
        let (mut reader, mut writer) = secure.into_frames();
        let conn = self.new_id();
        // Through the tracker there are none, and who was called at the same moment cannot be dialled.
        let number = (place.1 == Way::Came).then_some(conn.0);
        let exchange = async {
            self.say_hello(&mut writer, &admission, number).await?;
            hear_first(&mut reader, &admission, &peer).await
        };
        let first = match tokio::time::timeout(HELLO_TIMEOUT, exchange).await {
            Err(_) => return Err(HandshakeError::Timeout),
            Ok(Err(error)) => {
                if let Some(code) = error.code() {
                    say_bye(&mut writer, code, &error.to_string()).await;
                    let _ = tokio::time::timeout(DRAIN_TIMEOUT, drain(&mut reader)).await;
                }
                return Err(error);
            }
            Ok(Ok(first)) => first,
        };
        let (handle, parts) = self.queues(Some(place.0));
        let up = match first {
            First::Hello(hello) => {
                ConnEvent::Up { conn, peer, place, max_queued: hello.max_queued, handle }
            }
            First::Extra(main) if number.is_some() => {
                ConnEvent::Extra { conn, main: ConnId(main), peer, rtt: None, handle }
            }
            First::Extra(_) => return Err(HandshakeError::NotHello),
        };
        if self.events.send(up).await.is_ok() {
            tokio::spawn(self.clone().run(conn, (reader, writer), parts, None));
        }
        Ok(())
    }

    /// We reached a peer, which has proven to be the one: says HELLO, and reports it before the answer is here, so
    /// that what is asked first goes along.
    pub(super) async fn reached(
        &self,
        secure: Secure<Stream>,
        place: (SocketAddr, Way),
        rtt: Option<Duration>,
    ) -> Result<(), HandshakeError> {
        let peer = secure.peer;
        let admission = self.admission_for(&peer)?;
        let (reader, mut writer) = secure.into_frames();
        let said = self.say_hello(&mut writer, &admission, None);
        tokio::time::timeout(HELLO_TIMEOUT, said).await.map_err(|_| HandshakeError::Timeout)??;
        let (conn, (handle, parts)) = (self.new_id(), self.queues(Some(place.0)));
        let reached = ConnEvent::Reached { conn, peer, place, rtt, handle };
        if self.events.send(reached).await.is_ok() {
            let expected = Some((peer, admission));
            tokio::spawn(self.clone().run(conn, (reader, writer), parts, expected));
        }
        Ok(())
    }

    /// We reached a peer for an extra connection: says to which one it belongs. Its HELLO comes as on any other.
    pub(super) async fn reached_again(
        &self,
        secure: Secure<Stream>,
        to: Main,
        rtt: Duration,
    ) -> Result<(), HandshakeError> {
        let peer = secure.peer;
        let admission = self.admission_for(&peer)?;
        let (reader, mut writer) = secure.into_frames();
        let extra = PeerMsg::Extra(to.number);
        let said = async {
            writer.write(extra.kind(), &extra.body()).await?;
            writer.flush().await
        };
        tokio::time::timeout(HELLO_TIMEOUT, said).await.map_err(|_| HandshakeError::Timeout)??;
        let (conn, (handle, parts)) = (self.new_id(), self.queues(None));
        let rtt = Some(rtt);
        let extra = ConnEvent::Extra { conn, main: to.conn, peer, rtt, handle };
        if self.events.send(extra).await.is_ok() {
            let expected = Some((peer, admission));
            tokio::spawn(self.clone().run(conn, (reader, writer), parts, expected));
        }
        Ok(())
    }

    /// Our place in the network, if we are in one and the peer is somebody else.
    fn admission_for(&self, peer: &PeerId) -> Result<Arc<Admission>, HandshakeError> {
        let admission = self.gate.get().ok_or(HandshakeError::NoNetwork)?;
        if *peer == self.channel.peer_id() {
            return Err(HandshakeError::Ourselves);
        }
        Ok(admission)
    }

    async fn say_hello(
        &self,
        writer: &mut SecureWriter<Stream>,
        admission: &Admission,
        number: Option<u64>,
    ) -> Result<(), HandshakeError> {
        let ours = PeerMsg::Hello(Hello {
            versions: (PROTOCOL_MIN, PROTOCOL_VERSION),
            agent: self.agent.to_string(),
            membership: admission.membership.clone(),
            port: self.port,
            features: 0,
            max_queued: saturate::<u32>(MAX_QUEUED_BYTES),
            in_touch: Some(admission.in_touch),
            number,
        });
        writer.write(ours.kind(), &ours.body()).await?;
        writer.flush().await?;
        Ok(())
    }

    fn new_id(&self) -> ConnId {
        ConnId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// What the tasks of a connection need: not before its peer has shown who it is. Where payload is sent: to whom.
    fn queues(&self, peer: Option<SocketAddr>) -> (ConnHandle, Parts) {
        let (commands, queue) = mpsc::channel(COMMAND_QUEUE);
        let flow = Flow::new(self.queued.clone());
        let uplink = peer.and_then(|peer| self.traffic.uplink_to(peer.ip()));
        (ConnHandle { commands, flow: flow.clone() }, Parts { queue, flow, uplink })
    }

    /// Runs a connection to its end. Either side ending ends the other: the reader on a broken or closed stream, the
    /// writer when the session drops the handle. Both may hold memory while the peer decides for how long. The peer
    /// that is `expected` has not said HELLO yet.
    async fn run(
        self,
        conn: ConnId,
        (mut reader, writer): Frames,
        Parts { queue, flow, uplink }: Parts,
        expected: Option<(PeerId, Arc<Admission>)>,
    ) {
        let ours = &self;
        let [payload, messages, sending] =
            [Part::Receiving, Part::Messages, Part::Sending].map(|part| self.pool.holder(part));
        let greeted = AtomicBool::new(expected.is_none());
        let mut read = Box::pin(async {
            if let Some((peer, admission)) = expected
                && let Err(why) = ours.greeting(conn, &mut reader, &peer, &admission).await
            {
                return why;
            }
            greeted.store(true, Ordering::Relaxed);
            reader::run(reader, conn, ours, &flow, &payload, &messages).await
        });
        let mut write = std::pin::pin!(writer::run(writer, queue, conn, (ours, uplink), &sending));
        let ended = tokio::select! {
            biased;
            () = flow.ended() => None,
            why = &mut read => Some(why),
            why = &mut write => match greeted.load(Ordering::Relaxed) {
                true => Some(why),
                // It closed with what was asked early unread; why it did may be here all the same.
                false => tokio::select! {
                    why = &mut read => Some(why),
                    () = flow.ended() => Some(why),
                    () = tokio::time::sleep(HELLO_TIMEOUT) => Some(why),
                },
            },
            () = payload.blamed() => Some("it stopped in the middle of a frame".to_owned()),
            () = messages.blamed() => Some("it stopped in the middle of a message".to_owned()),
            () = sending.blamed() => Some("it stopped reading".to_owned()),
        };
        // Nothing is read from here on, and what was being read is given back.
        drop(read);
        let why = match ended {
            Some(why) => why,
            None => tokio::time::timeout(CLOSE_TIMEOUT, write)
                .await
                .unwrap_or_else(|_| "we closed, and it did not listen".to_owned()),
        };
        // The session gone means there is nobody to tell.
        let _ = ours.events.send(ConnEvent::Down { conn, why }).await;
    }

    /// Waits for the HELLO of a peer that we reached. Until it has passed nothing else is read from it.
    ///
    /// # Errors
    /// Why there is nothing to read any more.
    async fn greeting(
        &self,
        conn: ConnId,
        reader: &mut SecureReader<Stream>,
        peer: &PeerId,
        admission: &Admission,
    ) -> Result<(), String> {
        let hello = tokio::time::timeout(HELLO_TIMEOUT, hear_hello(reader, admission, peer)).await;
        let error = match hello.unwrap_or(Err(HandshakeError::Timeout)) {
            Ok(Hello { max_queued, number, .. }) => {
                let greeted = ConnEvent::Greeted { conn, max_queued, number };
                let told = self.events.send(greeted).await;
                return told.map_err(|_| "the engine stopped".to_owned());
            }
            Err(error) => error,
        };
        let (permanent, code, why) = (error.is_permanent(), error.code(), error.to_string());
        let refused = ConnEvent::Refused { conn, permanent, code, why: why.clone() };
        if self.events.send(refused).await.is_ok() {
            // The session says goodbye, and with that it is over.
            tokio::time::sleep(CLOSE_TIMEOUT).await;
        }
        Err(why)
    }
}

/// What a peer that comes says first.
enum First {
    Hello(Hello),
    /// It is here already, and this belongs to the connection of that number.
    Extra(u64),
}

/// Reads HELLO and checks it.
async fn hear_hello(
    reader: &mut SecureReader<Stream>,
    admission: &Admission,
    peer: &PeerId,
) -> Result<Hello, HandshakeError> {
    match hear_first(reader, admission, peer).await? {
        First::Hello(hello) => Ok(hello),
        First::Extra(_) => Err(HandshakeError::NotHello),
    }
}

async fn hear_first(
    reader: &mut SecureReader<Stream>,
    admission: &Admission,
    peer: &PeerId,
) -> Result<First, HandshakeError> {
    let frame = reader.read(MAX_FRAME_BEFORE_HELLO).await?;
    match PeerMsg::decode(frame.kind, &frame.body)? {
        Some(PeerMsg::Hello(theirs)) => {
            let (min, max) = theirs.versions;
            if max < PROTOCOL_MIN || min > PROTOCOL_VERSION {
                return Err(HandshakeError::Version(min, max));
            }
            admission.check(peer, &theirs.membership, theirs.in_touch, Instant::now())?;
            Ok(First::Hello(theirs))
        }
        Some(PeerMsg::Extra(main)) => Ok(First::Extra(main)),
        Some(PeerMsg::Bye { code, text }) => Err(HandshakeError::Refused(code, text)),
        _ => Err(HandshakeError::NotHello),
    }
}

/// Reads on, and drops it, until the other side has closed.
async fn drain(reader: &mut SecureReader<Stream>) {
    let mut drained = 0;
    while drained < MAX_DRAINED
        && let Ok(frame) = reader.read(MAX_FRAME_BEFORE_HELLO).await
    {
        drained += frame.body.len() + 1;
    }
}

/// Tells the other side why it is refused, if it still listens.
async fn say_bye(writer: &mut SecureWriter<Stream>, code: Code, text: &str) {
    let bye = PeerMsg::Bye { code, text: common::names::show(text).chars().take(60).collect() };
    let goodbye = async {
        writer.write(bye.kind(), &bye.body()).await?;
        writer.shutdown().await
    };
    let _ = tokio::time::timeout(BYE_TIMEOUT, goodbye).await;
}
