//! Connections that come to be relayed.

use std::time::Instant;

use common::net::HalfOpenPlace;
use common::relay::{PREAMBLE_LEN, Token};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::pace::Pace;
use super::splice;
use super::waiting::Met;
use crate::shared::Shared;

/// Whether a fresh connection is one to be relayed, by its first byte; `None` if none came in time.
pub(crate) async fn is_wanted(stream: &TcpStream, shared: &Shared) -> Option<bool> {
    let mut first = [0; 1];
    let peeked = timeout(shared.config.timing.tls, stream.peek(&mut first)).await;
    matches!(peeked, Ok(Ok(1))).then(|| first.first() == common::relay::MAGIC.first())
}

/// One end of a relayed connection. The first waits here for the second, which then serves both to the end. `arrived` is
/// given back once the token has proven to be one of ours: those that wait have a bound of their own.
pub(crate) async fn serve(mut stream: TcpStream, arrived: HalfOpenPlace, shared: &Shared) {
    let Some(relay) = &shared.relay else { return };
    let mut preamble = [0; PREAMBLE_LEN];
    let read = timeout(shared.config.timing.tls, stream.read_exact(&mut preamble)).await;
    let Some(token) = Token::read(&preamble).filter(|_| matches!(read, Ok(Ok(_)))) else { return };
    // Small messages of the peers' handshake should not wait for more.
    let _ = stream.set_nodelay(true);
    let met = relay.waiting().arrive(Instant::now(), token, stream);
    drop(arrived);
    match met {
        // A wrong token, or one that was used or is too old.
        Met::Nobody => shared.metrics.relay_refused.add(1),
        Met::First => {}
        Met::Both(first, second, pair) => {
            let run = relay.begin(pair);
            shared.metrics.relayed_pairs.add(1);
            let pace = Pace::new(relay.limits.pair);
            tokio::select! {
                () = splice::run(first, second, [&pace, &relay.all], &shared.metrics.relayed_bytes) => {}
                () = run.end.notified() => {}
            }
        }
    }
}
