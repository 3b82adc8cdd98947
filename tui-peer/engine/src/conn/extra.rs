//! Dials an extra connection to a source: one TCP connection carries no more than its window in a round trip, and to a
//! source that is far away that is less than the line. It has TLS of its own with the same two keys, and is a
//! connection like any other but for its first message, EXTRA, which says to which one it belongs.

use common::channel::Purpose;
use tokio::time::{Instant, timeout};

use super::dial::open;
use super::handshake::{HandshakeError, TLS_TIMEOUT};
use super::stream::Stream;
use super::{ConnEvent, Main, Ours};

/// Dials; reports `Extra` or `NoExtra`.
pub(crate) async fn dial_extra(to: Main, ours: Ours) {
    if let Err(error) = attempt(to, &ours).await {
        let (main, why) = (to.conn, error.to_string());
        let _ = ours.events.send(ConnEvent::NoExtra { main, why }).await;
    }
}

async fn attempt(to: Main, ours: &Ours) -> Result<(), HandshakeError> {
    let began = Instant::now();
    let stream = open(to.addr).await.map_err(HandshakeError::Connect)?;
    let rtt = began.elapsed();
    let stream = Stream::new(stream, ours.traffic.clone());
    let secure = timeout(TLS_TIMEOUT, ours.channel.connect(stream, &to.peer, Purpose::Peer));
    ours.reached_again(secure.await.map_err(|_| HandshakeError::Timeout)??, to, rtt).await
}
