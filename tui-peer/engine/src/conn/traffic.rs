//! What goes over the wire, all connections together, and what our uplink bears of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::net::Links;

use super::uplink::Uplink;

/// Bytes that the system took and gave for connections with peers, TLS included.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
    /// The way to peers beyond our own links, if it is watched.
    uplink: Option<Arc<Uplink>>,
}

impl Traffic {
    /// With an eye on the way to peers beyond our own links.
    pub(crate) fn watched(links: Arc<Links>) -> Self {
        Self { uplink: Some(Arc::new(Uplink::new(links))), ..Self::default() }
    }

    /// Received and sent so far.
    pub(crate) fn get(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }

    /// Bytes per second that uploads are held at so that the line stays free, while they would be more.
    pub(crate) fn held(&self) -> Option<u64> {
        self.uplink.as_ref()?.held()
    }

    /// The way to a peer at this address, if that is one that is watched.
    pub(super) fn uplink_to(&self, peer: IpAddr) -> Option<Arc<Uplink>> {
        self.uplink.clone().filter(|uplink| uplink.leads_to(peer))
    }

    pub(super) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
