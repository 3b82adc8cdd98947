//! A connection to a peer behind another router than ours, with neither of which anybody gets in: both call at the same
//! time, out of the ports they listen on, and each router takes the other's call for an answer (TCP simultaneous open,
//! RFC 9293, 3.5; RFC 5128, 3.4).

use std::net::SocketAddr;
use std::time::Duration;

use common::channel::{Channel, Purpose, Secure};
use common::id::PeerId;
use common::net::connect_from;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::Ours;
use super::handshake::{HandshakeError, TLS_TIMEOUT};
use super::stream::Stream;
use crate::api::snapshot::Way;

/// Calls, one after the other: nearly all that come through do so with the first (97.6 % of 4.4 million, arXiv 2510.27500).
const TRIES: u32 = 3;
/// From one to the next, for both sides: what was lost is sent again after 1 s.
const EACH: Duration = Duration::from_millis(1500);
/// Time for all of it: the last call, and TLS over a long way.
const IN_ALL: Duration = Duration::from_secs(8);
/// Who is to begin TLS has been connected as long as we have, if this is its call that met ours. If nothing comes for so
/// long, our call has reached its listener, which waits too.
const BEGINS: Duration = Duration::from_secs(1);

/// Whom to call, and when.
#[derive(Debug)]
pub(crate) struct Punch {
    pub(crate) peer: PeerId,
    /// Where its router lets in whom it calls.
    pub(crate) addrs: Vec<SocketAddr>,
    /// Whether we are the client of TLS; the other side decides the opposite.
    pub(crate) begins: bool,
    /// When both call.
    pub(crate) at: Instant,
}

/// Calls a peer that calls us; reports `Reached` or `Up`, and nothing if it comes to nothing: other ways are tried beside
/// it. May be aborted at any time.
pub(crate) async fn punch(punch: Punch, ours: Ours) {
    // Whoever answers and then stalls.
    let _ = timeout_at(punch.at + IN_ALL, tries(&punch, &ours)).await;
}

async fn tries(punch: &Punch, ours: &Ours) {
    for n in 0..TRIES {
        let at = punch.at + EACH * n;
        sleep_until(at).await;
        if Instant::now() >= at + EACH {
            // The other side is at the next one.
            continue;
        }
        match attempt(punch, at + EACH, ours).await {
            Ok(()) => break,
            Err(error) => {
                tracing::debug!(peer = %punch.peer.short(), n, "simultaneous open: {error}");
            }
        }
    }
}

async fn attempt(punch: &Punch, until: Instant, ours: &Ours) -> Result<(), HandshakeError> {
    let call = |addr: SocketAddr| async move {
        let stream = timeout_at(until, connect_from(ours.port, addr)).await;
        let stream =
            stream.map_err(|_| HandshakeError::Timeout)?.map_err(HandshakeError::Connect)?;
        let stream = Stream::new(stream, ours.traffic.clone());
        Ok::<_, HandshakeError>((shake_hands(stream, punch, &ours.channel).await?, addr))
    };
    let mut calls: FuturesUnordered<_> = punch.addrs.iter().map(|addr| call(*addr)).collect();
    let mut failed = HandshakeError::NoAddress;
    while let Some(called) = calls.next().await {
        match called {
            Ok(((secure, begins), addr)) => {
                let place = (addr, Way::Punched);
                return match begins {
                    true => ours.reached(secure, place, None).await,
                    false => Box::pin(ours.accepted(secure, place)).await,
                };
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// TLS with the peer and nobody else, and whether we began it.
async fn shake_hands(
    stream: Stream,
    punch: &Punch,
    channel: &Channel,
) -> Result<(Secure<Stream>, bool), HandshakeError> {
    let begins = punch.begins || timeout(BEGINS, stream.peek()).await.is_err();
    let secure = match begins {
        true => timeout(TLS_TIMEOUT, channel.connect(stream, &punch.peer, Purpose::Peer)).await,
        false => timeout(TLS_TIMEOUT, channel.accept(stream, Purpose::Peer)).await,
    };
    let secure = secure.map_err(|_| HandshakeError::Timeout)??;
    match secure.peer == punch.peer {
        true => Ok((secure, begins)),
        false => Err(HandshakeError::Stranger),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use common::identity::Identity;
    use tokio::net::{TcpListener, TcpStream};

    use super::super::Traffic;
    use super::*;

    fn channel(n: u8) -> (Channel, PeerId) {
        let identity = Identity::from_seed(&[n; 32]).unwrap();
        (Channel::new(&identity).unwrap(), identity.peer_id())
    }

    async fn ends() -> (Stream, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        let (one, other) = tokio::join!(connect, listener.accept());
        let traffic = Arc::new(Traffic::default());
        (Stream::new(one.unwrap(), traffic.clone()), Stream::new(other.unwrap().0, traffic))
    }

    fn calling(peer: PeerId, begins: bool) -> Punch {
        Punch { peer, addrs: Vec::new(), begins, at: Instant::now() }
    }

    #[tokio::test]
    async fn of_two_that_call_one_begins_and_both_know_whom_they_have() {
        let ((one, me), (other, them)) = (channel(1), channel(2));
        let (ours, theirs) = ends().await;
        let (here, there) = (calling(them, true), calling(me, false));
        let both =
            tokio::join!(shake_hands(ours, &here, &one), shake_hands(theirs, &there, &other));
        let ((ours, begun), (theirs, began)) = (both.0.unwrap(), both.1.unwrap());
        assert_eq!((ours.peer, begun, theirs.peer, began), (them, true, me, false));
    }

    #[tokio::test]
    async fn whose_call_reached_a_listener_begins_though_the_other_should() {
        let ((one, me), (other, them)) = (channel(1), channel(2));
        let (ours, theirs) = ends().await;
        let here = calling(them, false);
        let both =
            tokio::join!(shake_hands(ours, &here, &one), other.accept(theirs, Purpose::Peer));
        let ((ours, begun), theirs) = (both.0.unwrap(), both.1.unwrap());
        assert_eq!((ours.peer, begun, theirs.peer), (them, true, me));
    }

    #[tokio::test]
    async fn a_stranger_who_answers_is_not_taken() {
        let ((one, me), (other, _)) = (channel(1), channel(3));
        let (_, them) = channel(2);
        for begins in [true, false] {
            let (ours, theirs) = ends().await;
            let (here, there) = (calling(them, begins), calling(me, !begins));
            let both =
                tokio::join!(shake_hands(ours, &here, &one), shake_hands(theirs, &there, &other));
            assert!(both.0.is_err(), "{begins}");
        }
    }
}
