//! Reaches a peer over the addresses the tracker gave, and makes sure it is the one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::channel::{Purpose, Secure};
use common::id::PeerId;
use common::limits::MAX_ADDRS;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;

use super::handshake::{HandshakeError, TLS_TIMEOUT};
use super::stream::Stream;
use super::{ConnEvent, Ours};
use crate::api::snapshot::Way;

/// Time for a TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);
/// The same out of a certain port: a router may still hold an earlier connection from there for one that goes on. A packet
/// that is lost, or that the tracker answers as one of an earlier connection, is sent again after 1 s.
const FROM_PORT_TIMEOUT: Duration = Duration::from_millis(1500);
/// Head start of each address over the next (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses tried in one dial: all that a peer may have.
pub(crate) const MAX_TRIES: usize = MAX_ADDRS;

/// After this a peer that has not answered is asked to dial us: the head start of an address over another way.
const SLOW: Duration = STAGGER;
/// And after this wherever it may be: who waits for its dial instead has waited long enough.
const SLOW_FAR: Duration = Duration::from_secs(1);

/// After this without any connection both meet at the tracker: until then the other side may have come by itself.
const STUCK: Duration = Duration::from_secs(3);

/// After this a meeting at the tracker, asked for then, has come about where it can: two handshakes over long ways. Only
/// now it is said that a peer cannot be reached.
const IN_VAIN: Duration = Duration::from_secs(5);

/// How long a dial is given before the peer is asked to dial us. `tracker`: what a round trip to the tracker takes, if that
/// is known. A peer may be as far away, and has not been slow before that; were it asked, its dial would be the one that
/// is kept, and over that nobody opens extra connections.
pub(crate) fn head_start(tracker: Option<Duration>) -> Duration {
    tracker.map_or(SLOW, |rtt| (rtt * 3 / 2).clamp(SLOW, SLOW_FAR))
}

/// One attempt over `addrs`, after `head_start` others as well; reports `Reached` or `DialFailed`. Before that `DialSlow` if it takes long, or is in
/// vain before it could; and then, whatever comes of it, `DialStuck` and `DialInVain` in their time.
pub(crate) async fn dial(peer: PeerId, addrs: Vec<SocketAddr>, head_start: Duration, ours: Ours) {
    let answered = AtomicBool::new(false);
    let mut attempt = std::pin::pin!(attempt(peer, &addrs, &ours, &answered));
    let at_once = tokio::time::timeout(head_start, &mut attempt).await;
    // Who has answered is only far away.
    let silent = at_once.is_err() && !answered.load(Ordering::Relaxed);
    let asks_at_once = silent || matches!(at_once, Ok(Err(_)));
    if asks_at_once {
        ask_for_another_way(peer, &ours).await;
    }
    let attempted = match at_once {
        Ok(attempted) => attempted,
        Err(_) => attempt.await,
    };
    let failed = match attempted {
        Err(error) => Some((error, false)),
        // The key was the right one, whatever comes of it.
        Ok((secure, Answered { addr, rtt })) => {
            let reached = ours.reached(secure, (addr, Way::Dialled), Some(rtt)).await;
            reached.err().map(|error| (error, true))
        }
    };
    if let Some((error, proven)) = failed {
        if !(asks_at_once || proven) {
            ask_for_another_way(peer, &ours).await;
        }
        let permanent = error.is_permanent();
        let why = error.to_string();
        let _ = ours.events.send(ConnEvent::DialFailed { peer, permanent, proven, why }).await;
    }
}

/// Has the session try other ways, one after the other.
async fn ask_for_another_way(peer: PeerId, ours: &Ours) {
    let events = ours.events.clone();
    let _ = events.send(ConnEvent::DialSlow { peer }).await;
    tokio::spawn(async move {
        tokio::time::sleep(STUCK.saturating_sub(SLOW)).await;
        let _ = events.send(ConnEvent::DialStuck { peer }).await;
        tokio::time::sleep(IN_VAIN.saturating_sub(STUCK)).await;
        let _ = events.send(ConnEvent::DialInVain { peer }).await;
    });
}

async fn attempt(
    peer: PeerId,
    addrs: &[SocketAddr],
    ours: &Ours,
    answered: &AtomicBool,
) -> Result<(Secure<Stream>, Answered), HandshakeError> {
    if ours.gate.get().is_none() {
        return Err(HandshakeError::NoNetwork);
    }
    let mut left: Vec<SocketAddr> = addrs.iter().take(MAX_TRIES).copied().collect();
    let mut failed = None;
    // A private address means another machine in another network: that somebody else answers there says
    // nothing about the next address.
    while !left.is_empty() {
        let (stream, there) = first(&left, open).await.map_err(HandshakeError::Connect)?;
        answered.store(true, Ordering::Relaxed);
        let stream = Stream::new(stream, ours.traffic.clone());
        let connect = ours.channel.connect(stream, &peer, Purpose::Peer);
        match tokio::time::timeout(TLS_TIMEOUT, connect).await {
            Ok(Ok(secure)) => return Ok((secure, there)),
            Ok(Err(error)) => failed = Some(error.into()),
            Err(_) => failed = failed.or(Some(HandshakeError::Timeout)),
        }
        left.retain(|other| *other != there.addr);
    }
    Err(failed.unwrap_or(HandshakeError::NoAddress))
}

/// An address that answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    addr: SocketAddr,
    /// How long the connection took: a round trip.
    pub(super) rtt: Duration,
}

/// The first address that answers.
pub(crate) async fn connect(addrs: &[SocketAddr]) -> std::io::Result<(TcpStream, SocketAddr)> {
    first(addrs, open).await.map(|(stream, there)| (stream, there.addr))
}

/// The same out of a port of ours, and that this was so; out of any where that is not possible or there is no such port.
pub(crate) async fn connect_from(
    port: Option<u16>,
    addrs: &[SocketAddr],
) -> std::io::Result<((TcpStream, bool), SocketAddr)> {
    let connected = first(addrs, |addr| open_from(port, addr)).await;
    connected.map(|(stream, there)| (stream, there.addr))
}

/// The first that answers. Each is tried a little after the one before, or as soon as that has failed (RFC 8305, 5).
async fn first<T, F: Future<Output = std::io::Result<T>>>(
    addrs: &[SocketAddr],
    open: impl Fn(SocketAddr) -> F,
) -> std::io::Result<(T, Answered)> {
    let mut left = addrs.iter().take(MAX_TRIES).copied();
    let mut tries = FuturesUnordered::new();
    let mut last = std::io::Error::other("no address known");
    loop {
        match left.next() {
            Some(addr) => {
                let (trying, began) = (open(addr), Instant::now());
                let answered = move || Answered { addr, rtt: began.elapsed() };
                tries.push(async move { trying.await.map(|opened| (opened, answered())) });
            }
            None if tries.is_empty() => return Err(last),
            None => {}
        }
        let more = left.len() > 0;
        tokio::select! {
            biased;
            Some(tried) = tries.next() => match tried {
                Ok(connected) => return Ok(connected),
                Err(error) => last = error,
            },
            () = tokio::time::sleep(STAGGER), if more => {}
        }
    }
}

/// One try.
pub(super) async fn open(addr: SocketAddr) -> std::io::Result<TcpStream> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(addr)).await;
    connected.map_err(|_| std::io::ErrorKind::TimedOut)?
}

async fn open_from(port: Option<u16>, addr: SocketAddr) -> std::io::Result<(TcpStream, bool)> {
    if let Some(port) = port {
        let connect = common::net::connect_from(port, addr);
        match tokio::time::timeout(FROM_PORT_TIMEOUT, connect).await {
            Ok(Ok(stream)) => return Ok((stream, true)),
            // Nobody is there, wherever it comes from.
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                return Err(error);
            }
            Ok(Err(error)) => {
                tracing::debug!(port, %addr, "not from the port we listen on: {error}")
            }
            Err(_) => tracing::debug!(port, %addr, "no answer to the port we listen on"),
        }
    }
    Ok((open(addr).await?, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_is_as_far_away_as_the_tracker_is_not_slow() {
        let ms = Duration::from_millis;
        let cases =
            [(None, 250), (Some(1), 250), (Some(100), 250), (Some(300), 450), (Some(9000), 1000)];
        for (tracker, wanted) in cases {
            assert_eq!(head_start(tracker.map(ms)), ms(wanted), "{tracker:?}");
        }
        assert!(SLOW_FAR < STUCK);
    }

    /// Each address that refused cost the head start of the next.
    #[tokio::test]
    async fn what_cannot_leave_from_a_port_leaves_from_any() {
        let there = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = there.local_addr().unwrap();
        let ours = common::net::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = ours.local_addr().unwrap().port();
        let ((stream, from_port), _) = connect_from(Some(port), &[addr]).await.unwrap();
        assert!(!from_port && stream.local_addr().unwrap().port() != port, "it is not shared");
        common::net::share_port(&ours).unwrap();
        let ((stream, from_port), _) = connect_from(Some(port), &[addr]).await.unwrap();
        assert!(from_port && stream.local_addr().unwrap().port() == port);
        let ((again, from_port), _) = connect_from(Some(port), &[addr]).await.unwrap();
        assert!(!from_port && again.local_addr().unwrap().port() != port, "the same two ends");
        drop(there);
        assert!(connect_from(Some(port), &[addr]).await.is_err(), "nobody is there");
    }

    #[tokio::test]
    async fn an_address_that_refuses_costs_nothing() {
        let there = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut addrs = Vec::new();
        for _ in 1..MAX_TRIES {
            // Nobody listens there any more.
            let gone = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            addrs.push(gone.local_addr().unwrap());
        }
        addrs.push(there.local_addr().unwrap());
        let began = Instant::now();
        let (_, addr) = connect(&addrs).await.unwrap();
        assert_eq!(addr, there.local_addr().unwrap());
        assert!(began.elapsed() < STAGGER * 2, "{:?}", began.elapsed());
        assert!(connect(&addrs[..2]).await.is_err());
        assert!(connect(&[]).await.is_err());
    }
}
