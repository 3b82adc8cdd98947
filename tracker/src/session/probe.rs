//! Whether others can reach a peer: one connection to where we see it.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::channel::Purpose;
use common::id::PeerId;
use common::net::OnLink;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::entrance::Entrance;
use crate::shared::Shared;

/// Time for TCP and TLS. A packet that a router drops is sent again after 1 s, and after 3.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A connection has a peer looked for again only so often, when its router lets others in at another port: nobody goes
/// through the ports of a router by a tracker. As much as coming back would cost.
const AGAIN: Duration = Duration::from_secs(10);

/// At which port, and whether a peer was there; `None` if that could not be found out.
type Looked = Option<(u16, bool)>;

/// A look that is under way; nothing of it is kept once it is over.
pub(super) struct Probing<'a> {
    looking: Option<Pin<Box<dyn Future<Output = Looked> + Send + 'a>>>,
    /// The port that its router gave it, by its word.
    named: Option<u16>,
    begun: Instant,
}

impl<'a> Probing<'a> {
    /// Looks for a peer where we see it, at the port that it says its router gave it, and at the one it says it listens
    /// on. No other address is ever dialled: nobody can have a tracker knock elsewhere.
    pub(super) fn begin(
        shared: &'a Shared,
        entrance: &Entrance,
        peer: PeerId,
        (seen, named, port): (IpAddr, Option<u16>, u16),
        after: Duration,
    ) -> Self {
        let at = SocketAddr::new(seen, port);
        let near = !shared.config.server.probe_links && is_near(&entrance.links.now(), at);
        let looks = port != 0 && !seen.is_loopback() && !near;
        let looking =
            looks.then(|| Box::pin(look(shared, peer, (at, named), after)) as Pin<Box<_>>);
        Self { looking, named, begun: Instant::now() + after }
    }

    /// After which time another look is to be: the peer names another port of its router.
    pub(super) fn again(&self, named: Option<u16>) -> Option<Duration> {
        let is_other = self.looking.is_none() && self.named != named;
        is_other.then(|| AGAIN.saturating_sub(self.begun.elapsed()))
    }

    /// At which port, and whether the peer was there; once, when it is over; never if there is nothing to look at.
    pub(super) async fn done(&mut self) -> Looked {
        let Some(looking) = &mut self.looking else { return std::future::pending().await };
        let looked = looking.await;
        self.looking = None;
        looked
    }
}

/// At which port, and whether a peer answers there: first the one that its router gave it, by its word, then its own.
async fn look(
    shared: &Shared,
    peer: PeerId,
    (at, named): (SocketAddr, Option<u16>),
    after: Duration,
) -> Looked {
    sleep(after).await;
    if let Some(other) = named.filter(|named| *named != at.port())
        && reachable(shared, peer, SocketAddr::new(at.ip(), other)).await == Some(true)
    {
        return Some((other, true));
    }
    Some((at.port(), reachable(shared, peer, at).await?))
}

/// Who is on our own links is behind no router, or is that router: its other ports are none of our business.
fn is_near(links: &OnLink, at: SocketAddr) -> bool {
    links.contains(at.ip())
}

/// Whether a peer answers there, with the key it has; `None` if that could not be found out. All who come back after a
/// restart are not looked at at once.
async fn reachable(shared: &Shared, peer: PeerId, at: SocketAddr) -> Option<bool> {
    let spread = u64::from(shared.spread_ms.load(Ordering::Relaxed));
    sleep(Duration::from_millis(fastrand::u64(..=spread))).await;
    let _turn = shared.probes.acquire().await.ok()?;
    let attempt = async {
        let stream = TcpStream::connect(at).await?;
        let secure = shared.channel.connect(stream, &peer, Purpose::Peer).await;
        Ok::<_, std::io::Error>(secure.is_ok())
    };
    match timeout(TIMEOUT, attempt).await {
        Ok(Ok(proven)) => Some(proven),
        Ok(Err(error)) => {
            // Refused and reset come from over there; everything else is about us.
            let answered = [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset];
            answered.contains(&error.kind()).then_some(false)
        }
        Err(_) => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use common::net::Prefix;

    use super::*;

    #[test]
    fn who_is_on_our_own_links_is_not_looked_at() {
        let links = OnLink::new([Prefix::new("172.17.0.2".parse().unwrap(), 16)]);
        assert!(is_near(&links, "172.17.0.1:22".parse().unwrap()));
        assert!(!is_near(&links, "203.0.113.9:7421".parse().unwrap()));
    }
}
