//! The secure channel: TLS 1.3 with raw public keys (RFC 7250), Ed25519 on both sides, and frames on it.
//!
//! There is no mode without encryption and no way to skip the check of the other side's key. Timeouts
//! are the caller's. Nothing a stranger sends reaches the caller before the handshake is complete.

mod framed;
mod frugal;
mod sealing;
mod tls;

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::id::PeerId;
use crate::identity::Identity;

pub use frugal::Frugal;
pub use sealing::Sealing;

pub use framed::{
    Frame, FrameError, FrameHeader, FrameReader, FrameWriter, HEADER_LEN, decode_header,
    encode_header,
};

/// Label under which the exporter is derived (RFC 8446, section 7.5).
const EXPORTER_LABEL: &[u8] = b"EXPORTER-shoal-admit";

/// What a connection is for. Both ends must agree (ALPN).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A peer talks to its tracker.
    Tracker,
    /// A peer talks to a peer.
    Peer,
}

impl Purpose {
    /// The protocol name offered in the handshake.
    pub const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Tracker => b"shoal-tracker/1",
            Self::Peer => b"shoal-peer/1",
        }
    }
}

/// Why there is no secure channel.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// Somebody else answers at this address.
    #[error("wrong key: expected {}, but {} answered", .expected.short(), .got.short())]
    WrongKey {
        /// Whom we wanted to talk to.
        expected: PeerId,
        /// Who answered.
        got: PeerId,
    },
    /// What the other side sent is no TLS.
    #[error("the other side does not speak Shoal (no TLS)")]
    NotTls,
    /// The other side speaks another protocol or version of it, or is a peer instead of a tracker.
    #[error(
        "the other side does not offer this protocol (a peer instead of a tracker, or another version)"
    )]
    WrongProtocol,
    /// The other side broke off the handshake: usually it wanted another key.
    #[error("the other side refused the connection ({0:?})")]
    Refused(AlertDescription),
    /// The handshake failed in another way.
    #[error("the handshake failed: {0}")]
    Handshake(rustls::Error),
    /// The other side hung up during the handshake.
    #[error("the other side closed the connection during the handshake")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
}

/// A finished handshake: the stream, who is at the other end, and what binds proofs to this channel.
#[derive(Debug)]
pub struct Secure<S> {
    /// The encrypted stream.
    pub stream: TlsStream<Frugal<S>>,
    /// Who is at the other end, proved by signature.
    pub peer: PeerId,
    /// 32 bytes that only the two ends of this very connection know (for [`crate::join::Secret::proof`]).
    pub exporter: [u8; 32],
    /// For channels that encrypt far ahead.
    places: sealing::Places,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Secure<S> {
    /// Splits the stream into frames read and frames written, for use from two tasks.
    pub fn into_frames(self) -> (SecureReader<S>, SecureWriter<S>) {
        let stream = Sealing::new(self.stream, self.places);
        let (read, write) = tokio::io::split(stream);
        (FrameReader::new(read), FrameWriter::new(write))
    }
}

/// Frames read from a secure channel.
pub type SecureReader<S> = FrameReader<ReadHalf<Sealing<S>>>;
/// Frames written to a secure channel.
pub type SecureWriter<S> = FrameWriter<WriteHalf<Sealing<S>>>;

/// Makes secure channels for one identity. Cheap to clone.
#[derive(Clone)]
pub struct Channel {
    id: PeerId,
    keys: tls::Keys,
    tracker: Arc<ServerConfig>,
    peer: Arc<ServerConfig>,
    places: sealing::Places,
}

impl Channel {
    /// Prepares the TLS configuration of `me`.
    ///
    /// # Errors
    /// [`ChannelError::Handshake`] if the TLS library refuses the configuration: a bug, not a condition.
    pub fn new(me: &Identity) -> Result<Self, ChannelError> {
        let keys = tls::Keys::new(me);
        let server = |purpose| keys.server(purpose).map(Arc::new).map_err(ChannelError::Handshake);
        Ok(Self {
            id: me.peer_id(),
            tracker: server(Purpose::Tracker)?,
            peer: server(Purpose::Peer)?,
            keys,
            places: sealing::Places::new(),
        })
    }

    /// The identity's public key.
    pub fn peer_id(&self) -> PeerId {
        self.id
    }

    /// Opens a channel on a connection that we dialled. The other side must prove to be `expected`;
    /// otherwise it learns nothing, not even our key.
    ///
    /// # Errors
    /// See [`ChannelError`]. After an error the connection is of no use.
    pub async fn connect<S>(
        &self,
        io: S,
        expected: &PeerId,
        purpose: Purpose,
    ) -> Result<Secure<S>, ChannelError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.keys.client(expected, purpose).map_err(ChannelError::Handshake)?;
        // Required by the library, never sent: SNI is off.
        let nobody = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
        let stream = TlsConnector::from(Arc::new(config))
            .connect(nobody, Frugal::new(io))
            .await
            .map_err(from_handshake)?;
        finish(TlsStream::Client(stream), purpose, &self.places)
    }

    /// Opens a channel on a connection that somebody dialled to us. Any key is accepted: the caller
    /// decides what [`Secure::peer`] may do.
    ///
    /// The future is small (see `tests/half_open_memory.rs`): whoever says nothing costs next to nothing.
    ///
    /// # Errors
    /// See [`ChannelError`]. After an error the connection is of no use.
    pub async fn accept<S>(&self, io: S, purpose: Purpose) -> Result<Secure<S>, ChannelError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = match purpose {
            Purpose::Tracker => &self.tracker,
            Purpose::Peer => &self.peer,
        };
        let mut io = Frugal::new(io);
        io.wait().await.map_err(from_handshake)?;
        // Allocated now, not with the future: most of a flood never comes this far.
        let accepting = Box::pin(TlsAcceptor::from(Arc::clone(config)).accept(io));
        let stream = accepting.await.map_err(from_handshake)?;
        finish(TlsStream::Server(stream), purpose, &self.places)
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Reads off a finished handshake who is there, and insists on the protocol.
fn finish<S>(
    mut stream: TlsStream<Frugal<S>>,
    purpose: Purpose,
    places: &sealing::Places,
) -> Result<Secure<S>, ChannelError> {
    match &mut stream {
        TlsStream::Client(client) => client.get_mut().0.trust(),
        TlsStream::Server(server) => server.get_mut().0.trust(),
    }
    let (_, connection) = stream.get_ref();
    // A client that offers no protocol at all passes the library's own check.
    if connection.alpn_protocol() != Some(purpose.alpn()) {
        return Err(ChannelError::WrongProtocol);
    }
    let peer = tls::only_key(connection.peer_certificates()).map_err(ChannelError::Handshake)?;
    let exporter = match &stream {
        TlsStream::Client(client) => {
            client.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None)
        }
        TlsStream::Server(server) => {
            server.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None)
        }
    }
    .map_err(ChannelError::Handshake)?;
    Ok(Secure { stream, peer, exporter, places: places.clone() })
}

fn from_handshake(error: io::Error) -> ChannelError {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => ChannelError::Closed,
            _ => ChannelError::Io(error),
        };
    };
    if let Some(wrong) = tls::WrongKey::find(tls) {
        return ChannelError::WrongKey { expected: wrong.expected, got: wrong.got };
    }
    match tls {
        rustls::Error::InvalidMessage(_)
        | rustls::Error::InappropriateMessage { .. }
        | rustls::Error::InappropriateHandshakeMessage { .. } => ChannelError::NotTls,
        rustls::Error::NoApplicationProtocol
        | rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            ChannelError::WrongProtocol
        }
        rustls::Error::AlertReceived(alert) => ChannelError::Refused(*alert),
        other => ChannelError::Handshake(other.clone()),
    }
}

#[cfg(test)]
mod tests;
