//! Accepts peers. A stranger gets a place among the half-open connections, two deadlines and little
//! memory, nothing else, until it has proven to be a member.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::channel::Purpose;
use common::descriptors;
use common::net::{
    ACCEPT_TIMEOUT, HalfOpen, HalfOpenPlace, MOST_HALF_OPEN_AT_PEER, half_open_for,
    out_of_descriptors, plain,
};
use tokio::net::{TcpListener, TcpStream};

use super::Ours;
use super::handshake::HandshakeError;
use super::stream::Stream;
use crate::api::snapshot::Way;

/// Descriptors that are kept for other things: 200 connections and 24 extra ones, eight tries of each of 32 dials, open
/// files of shares and downloads, the library, the log, and a tracker's own.
const RESERVED_DESCRIPTORS: u64 = 920;
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The same when a half-open connection was ended for its descriptor: it is free in a moment.
const SHED_PAUSE: Duration = Duration::from_millis(1);

/// Accepts until the task is aborted: always, whoever else is half-open.
pub(crate) async fn listen(listener: TcpListener, ours: Ours) {
    let most = half_open_for(descriptors::limit(), RESERVED_DESCRIPTORS, MOST_HALF_OPEN_AT_PEER);
    listen_with(listener, ours, HalfOpen::new(most)).await;
}

async fn listen_with(listener: TcpListener, ours: Ours, half_open: HalfOpen) {
    let ours = Arc::new(ours);
    loop {
        let (stream, addr) = match listener.accept().await {
            Ok((stream, addr)) => (stream, plain(addr)),
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                let shed = out_of_descriptors(&error) && half_open.shed(fastrand::u64(..));
                tokio::time::sleep(if shed { SHED_PAUSE } else { ACCEPT_PAUSE }).await;
                continue;
            }
        };
        let group = ours.links.now().group(addr.ip());
        let ours = ours.clone();
        let dropped = half_open.admit(group, fastrand::u64(..), |place| {
            tokio::spawn(admit(stream, addr, ours, place)).abort_handle()
        });
        if dropped {
            tracing::debug!("dropped a half-open connection: there are too many");
        }
    }
}

/// Small until the other side says something.
async fn admit(stream: TcpStream, addr: SocketAddr, ours: Arc<Ours>, place: HalfOpenPlace) {
    if let Err(error) = shake_hands(stream, addr, &ours).await {
        tracing::debug!(%addr, %error, "refused a connection");
    }
    drop(place);
}

async fn shake_hands(
    stream: TcpStream,
    addr: SocketAddr,
    ours: &Ours,
) -> Result<(), HandshakeError> {
    let accept = ours.channel.accept(Stream::new(stream, ours.traffic.clone()), Purpose::Peer);
    let secure = tokio::time::timeout(ACCEPT_TIMEOUT, accept)
        .await
        .map_err(|_| HandshakeError::Timeout)??;
    Box::pin(ours.accepted(secure, (addr, Way::Came))).await
}
