//! Accepts peers. A stranger gets a permit, a deadline and 4 KiB, nothing else, until it has proven
//! to be a member.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::channel::Purpose;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Ours;
use super::handshake::TLS_TIMEOUT;
use super::stream::Stream;

/// Connections that have not yet proven to be members.
const MAX_HALF_OPEN: usize = 32;
/// Of these from one address (loopback excepted: tests and demos run whole networks there).
const MAX_HALF_OPEN_PER_IP: usize = 8;
/// Pause after a failed accept (out of descriptors, mostly).
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Accepts until the task is aborted.
pub(in crate::engine) async fn listen(listener: TcpListener, ours: Ours) {
    let permits = Arc::new(Semaphore::new(MAX_HALF_OPEN));
    let per_ip = Arc::new(Mutex::new(HashMap::<IpAddr, usize>::new()));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let (stream, addr) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
                continue;
            }
        };
        let Some(slot) = IpSlot::take(&per_ip, addr.ip()) else { continue };
        let ours = ours.clone();
        tokio::spawn(async move {
            let _held = (permit, slot);
            if let Err(error) = admit(stream, addr, &ours).await {
                tracing::debug!(%addr, %error, "refused a connection");
            }
        });
    }
}

async fn admit(
    stream: TcpStream,
    addr: std::net::SocketAddr,
    ours: &Ours,
) -> Result<(), super::handshake::HandshakeError> {
    let accept = ours.channel.accept(Stream::new(stream), Purpose::Peer);
    let secure = tokio::time::timeout(TLS_TIMEOUT, accept)
        .await
        .map_err(|_| super::handshake::HandshakeError::Timeout)??;
    ours.finish(secure, addr, false).await
}

/// One half-open connection of an address; given back on drop.
struct IpSlot {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    ip: IpAddr,
}

impl IpSlot {
    fn take(counts: &Arc<Mutex<HashMap<IpAddr, usize>>>, ip: IpAddr) -> Option<Self> {
        let mut map = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = map.entry(ip).or_default();
        if *count >= MAX_HALF_OPEN_PER_IP && !ip.is_loopback() {
            return None;
        }
        *count += 1;
        drop(map);
        Some(Self { counts: counts.clone(), ip })
    }
}

impl Drop for IpSlot {
    fn drop(&mut self) {
        let mut map = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = map.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                map.remove(&self.ip);
            }
        }
    }
}
