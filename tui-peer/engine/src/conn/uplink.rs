//! The way to peers beyond our own links: it is one line, often a slow one with a long queue, that all connections to
//! them share. Looks at their sockets while they are written to, and keeps a limit at which that queue stays short.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use common::lock::Unpoisoned as _;
use common::net::{Links, TcpState};
use swarm::congestion::{Congestion, Sample};
use swarm::time::Time;
use tokio::net::TcpStream;

use crate::limiter::{Limiter, Pacing};

/// Uploads to everybody who is not on one of our own links or in another private network, and not this machine.
#[derive(Debug)]
pub(super) struct Uplink {
    links: Arc<Links>,
    control: Mutex<Congestion>,
    /// What the control says, for writers.
    limit: Limiter,
    began: Instant,
    next: AtomicU64,
}

impl Uplink {
    pub(super) fn new(links: Arc<Links>) -> Self {
        Self {
            links,
            control: Mutex::default(),
            limit: Limiter::with(None, Pacing::Even),
            began: Instant::now(),
            next: AtomicU64::new(0),
        }
    }

    /// Whether it is the way to an address.
    pub(super) fn leads_to(&self, peer: IpAddr) -> bool {
        !is_private(peer.to_canonical()) && !self.links.now().contains(peer)
    }

    /// A number for one more connection.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Looks at a connection that is being written to.
    pub(super) fn look(&self, number: u64, tcp: &TcpStream) {
        let Some(TcpState { rtt, least_rtt, acked }) = TcpState::of(tcp) else { return };
        let mut control = self.control.lock().unpoisoned();
        let before = control.limit();
        let waited = self.limit.waited();
        control.sample(self.now(), number, Sample { rtt, least_rtt, acked, waited });
        let limit = control.limit();
        if limit != before {
            tracing::debug!(?before, ?limit, "uploads beyond our own links are held");
            self.limit.adjust(limit);
        }
    }

    /// What payload waits for, beside the limits that the user set.
    pub(super) fn limit(&self) -> &Limiter {
        &self.limit
    }

    /// Bytes per second that uploads are held at, while they would be more.
    pub(super) fn held(&self) -> Option<u64> {
        self.control.lock().unpoisoned().held(self.now())
    }

    fn now(&self) -> Time {
        Time::ZERO + self.began.elapsed()
    }
}

/// Whether an address belongs to a network of some house, campus or office (RFC 1918, 4193, 6598): what is routed there
/// does not leave by the line to the Internet, or not by that alone.
fn is_private(peer: IpAddr) -> bool {
    match peer {
        IpAddr::V4(ip) => ip.is_private() || matches!(ip.octets(), [100, 64..=127, ..]),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_leaves_our_own_links_is_watched() {
        let uplink = Uplink::new(Arc::new(Links::new()));
        let links = ["127.0.0.1", "::1", "::ffff:127.0.0.1", "fe80::1", "169.254.3.4"];
        let routed =
            ["10.2.3.4", "172.31.0.1", "192.168.7.7", "100.64.0.1", "::ffff:10.2.3.4", "fd00::1"];
        for near in links.iter().chain(&routed) {
            assert!(!uplink.leads_to(near.parse().unwrap()), "{near}");
        }
        for far in ["8.8.8.8", "2001:4860:4860::8888"] {
            assert!(uplink.leads_to(far.parse().unwrap()), "{far}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_is_looked_at_without_a_queue_is_not_held() {
        let uplink = Uplink::new(Arc::new(Links::new()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (first, second) = (uplink.number(), uplink.number());
        assert_ne!(first, second);
        for _ in 0..10 {
            uplink.look(first, &tcp);
        }
        assert_eq!((uplink.limit().rate(), uplink.held()), (None, None));
    }
}
