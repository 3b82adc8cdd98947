//! What the connections of this peer have in common.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use common::channel::Channel;
use common::net::Links;
use tokio::sync::mpsc;

use super::flow::Queued;
use super::{ConnEvent, Traffic};
use crate::admission::Gate;
use crate::disk::{BufPool, Disk};
use crate::limiter::Limiter;

/// What every connection of this peer shares. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ours {
    /// Makes secure channels.
    pub(crate) channel: Channel,
    /// Who may talk to us.
    pub(crate) gate: Gate,
    /// Port we listen on.
    pub(crate) port: u16,
    /// Program and version.
    pub(crate) agent: Arc<str>,
    /// Buffers for payload.
    pub(crate) pool: BufPool,
    /// Reads what is served.
    pub(crate) disk: Disk,
    /// Limit on payload sent.
    pub(crate) up: Arc<Limiter>,
    /// Limit on payload received.
    pub(crate) down: Arc<Limiter>,
    /// Where connections report.
    pub(crate) events: mpsc::Sender<ConnEvent>,
    /// Which addresses are near: they are exempt from limits by address.
    pub(crate) links: Arc<Links>,
    /// Bytes of messages that wait, over all connections.
    pub(crate) queued: Arc<Queued>,
    /// Bytes on the wire, over all connections.
    pub(crate) traffic: Arc<Traffic>,
    /// Gives every connection a number.
    pub(crate) next: Arc<AtomicU64>,
}
