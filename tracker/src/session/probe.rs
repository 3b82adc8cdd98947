//! Whether others can reach a peer: one connection to where we see it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::channel::Purpose;
use common::id::PeerId;
use common::net::OnLink;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::entrance::Entrance;
use crate::shared::Shared;

/// Time for TCP and TLS. A packet that a router drops is sent again after 1 s, and after 3.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A look that is under way; nothing of it is kept once it is over.
pub(super) struct Probing<'a>(Option<Pin<Box<dyn Future<Output = Option<bool>> + Send + 'a>>>);

impl<'a> Probing<'a> {
    /// Looks for a peer where we see it, at the port it says it listens on. Nothing else is ever dialled: nobody can
    /// have a tracker knock elsewhere.
    pub(super) fn begin(
        shared: &'a Shared,
        entrance: &Entrance,
        peer: PeerId,
        at: SocketAddr,
    ) -> Self {
        let near = !shared.config.server.probe_links && is_near(&entrance.links.now(), at);
        if at.port() == 0 || at.ip().is_loopback() || near {
            return Self(None);
        }
        Self(Some(Box::pin(reachable(shared, peer, at))))
    }

    /// Resolves, once, when it is over; never if there is nothing to look at.
    pub(super) async fn done(&mut self) -> Option<bool> {
        let Some(looking) = &mut self.0 else { return std::future::pending().await };
        let reachable = looking.await;
        self.0 = None;
        reachable
    }
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
