//! A connection to a peer through the tracker, where neither reaches the other. TLS with both keys runs inside: the
//! tracker sees sealed bytes.

use std::net::SocketAddr;
use std::time::Duration;

use common::channel::Purpose;
use common::id::PeerId;
use common::relay::Token;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::handshake::{HandshakeError, TLS_TIMEOUT};
use super::stream::Stream;
use super::{ConnEvent, Ours};
use crate::api::snapshot::Way;

/// Time for a connection to the tracker, which has just sent us something.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One end of a relayed connection.
#[derive(Debug, Clone)]
pub(crate) struct Meeting {
    /// Who is at the other end.
    pub(crate) peer: PeerId,
    /// Where the tracker is.
    pub(crate) tracker: SocketAddr,
    /// Which connection this is, for the tracker.
    pub(crate) token: Token,
    /// Whether we are the one that dials.
    pub(crate) dials: bool,
}

/// Meets a peer at the tracker; reports `Reached` or `Up`, or `NotMet`. `turn` is given back then.
pub(crate) async fn meet(meeting: Meeting, ours: Ours, turn: OwnedSemaphorePermit) {
    let peer = meeting.peer;
    if let Err(error) = attempt(meeting, &ours).await {
        let why = format!("through the tracker: {error}");
        let _ = ours.events.send(ConnEvent::NotMet { peer, why }).await;
    }
    drop(turn);
}

async fn attempt(meeting: Meeting, ours: &Ours) -> Result<(), HandshakeError> {
    let Meeting { peer, tracker, token, dials } = meeting;
    let connect = async {
        let mut stream = TcpStream::connect(tracker).await?;
        stream.write_all(&token.preamble()).await?;
        Ok::<_, std::io::Error>(stream)
    };
    let stream = timeout(CONNECT_TIMEOUT, connect)
        .await
        .map_err(|_| HandshakeError::Timeout)?
        .map_err(HandshakeError::Connect)?;
    let stream = Stream::new(stream, ours.traffic.clone());
    let secure = match dials {
        true => timeout(TLS_TIMEOUT, ours.channel.connect(stream, &peer, Purpose::Peer)).await,
        false => timeout(TLS_TIMEOUT, ours.channel.accept(stream, Purpose::Peer)).await,
    };
    let secure = secure.map_err(|_| HandshakeError::Timeout)??;
    // Whom it was said to be: a tracker that says another key than comes is not believed.
    if secure.peer != peer {
        return Err(HandshakeError::Stranger);
    }
    let place = (tracker, Way::Relayed);
    match dials {
        true => ours.reached(secure, place, None).await,
        false => Box::pin(ours.accepted(secure, place)).await,
    }
}
