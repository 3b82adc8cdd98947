//! Shows the tracker where we are in the other of IPv4 and IPv6, so that it can tell peers that have only that.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use common::channel::{Channel, Purpose};
use common::limits::MAX_FRAME_BEFORE_HELLO;
use common::wire::tracker::{Reply, Request};
use tokio::time::timeout;

use super::AnnouncerConfig;
use super::connect::Ended;
use crate::conn;

/// Time for all of it: nothing waits for it.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The only request of its connection.
const Q: u32 = 1;

/// Where the tracker saw us, if it did.
pub(super) type Showing = Pin<Box<dyn Future<Output = Option<SocketAddr>> + Send>>;

/// Resolves, once, when the tracker was shown where we are; never while it is not to be.
pub(super) async fn shown(showing: &mut Option<Showing>) -> Option<SocketAddr> {
    let Some(show) = showing else { return std::future::pending().await };
    let seen = show.await;
    *showing = None;
    seen
}

/// Where the tracker sees us come from when we reach it at one of `addrs`, after `pause`; `None` if that is not possible,
/// which is nothing that anybody has to mend.
pub(super) async fn show(
    config: AnnouncerConfig,
    addrs: Vec<SocketAddr>,
    pause: Duration,
) -> Option<SocketAddr> {
    tokio::time::sleep(pause).await;
    match timeout(TIMEOUT, attempt(&config, &addrs)).await {
        Ok(Ok(observed)) => {
            tracing::debug!(%observed, "the tracker sees us here too");
            Some(observed)
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "the tracker cannot be reached over the other family");
            None
        }
        Err(_) => None,
    }
}

async fn attempt(config: &AnnouncerConfig, addrs: &[SocketAddr]) -> Result<SocketAddr, Ended> {
    let key = config.join.tracker();
    let address = || config.join.address();
    let (stream, _) = conn::connect(addrs).await.map_err(|e| Ended::Connect(address(), e))?;
    let channel = Channel::new(&config.identity)?;
    let (mut reader, mut writer) =
        channel.connect(stream, &key, Purpose::Tracker).await?.into_frames();
    let also = Request::Also { q: Q };
    writer.write(also.kind(), &also.body()).await?;
    writer.flush().await?;
    let frame = reader.read(MAX_FRAME_BEFORE_HELLO).await?;
    match Reply::decode(frame.kind, &frame.body)? {
        Some(Reply::Seen { q: Q, observed }) => Ok(observed),
        Some(Reply::Error { code, text, retry_ms, .. }) => {
            Err(Ended::Refused { code, text, retry_ms })
        }
        _ => Err(Ended::Protocol("no answer to ALSO")),
    }
}
