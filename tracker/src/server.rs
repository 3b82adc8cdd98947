//! The accept loop, the ticker, and the end of it all.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::session;
use crate::shared::{Closing, Shared};

/// Least time between two rounds of pushes. Peers that begin together find each other after one.
const MIN_TICK: Duration = Duration::from_millis(100);
/// Interval of CHUNK_REGISTER while few are connected.
pub(crate) const MIN_HAVE_INTERVAL_MS: u32 = 1_000;
/// And at most: sources of a download then still become known within half a minute.
const MAX_HAVE_INTERVAL_MS: u32 = 30_000;
/// Progress messages the tracker wants to get per second; the interval follows from it.
const PROGRESS_PER_S: usize = 2_000;
/// Pause after the system refused a connection (no descriptors left, usually).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Between two attempts to write to a failing disk.
const DISK_RETRY: Duration = Duration::from_secs(2);
/// Peers that may come back per second after a restart.
const RETURNS_PER_S: usize = 2_000;
/// Shortest spread of returning peers, in milliseconds.
const MIN_SPREAD_MS: usize = 2_000;

/// Serves until `shutdown` resolves, then says goodbye to everybody.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    shutdown: impl Future<Output = ()>,
) {
    let mut connections = JoinSet::new();
    if let Ok(addr) = listener.local_addr() {
        let counts = shared.with_index(|index| index.counts());
        tracing::info!(
            "listening on {addr}; {} items of {} peers known",
            counts.files,
            counts.peers
        );
    }
    {
        let accepting = accept(&listener, &shared, &mut connections);
        let mut accepting = std::pin::pin!(accepting);
        let mut ticking = std::pin::pin!(tick(&shared));
        let mut retrying = std::pin::pin!(retry_disk(&shared));
        let mut shutdown = std::pin::pin!(shutdown);
        tokio::select! {
            () = &mut accepting => {}
            () = &mut ticking => {}
            () = &mut retrying => {}
            () = &mut shutdown => {}
        }
    }
    drop(listener);
    let spread = (connections.len() * 1000 / RETURNS_PER_S).max(MIN_SPREAD_MS);
    shared.close_all(|| {
        Closing::Goaway(u32::try_from(fastrand::usize(..=spread)).unwrap_or(u32::MAX))
    });
    let all_gone = async { while connections.join_next().await.is_some() {} };
    if timeout(shared.config.timing.goodbye, all_gone).await.is_err() {
        tracing::warn!("some connections were cut: they did not take their last message");
    }
    connections.shutdown().await;
}

/// Accepts connections; a permit is taken before, so that what cannot be served waits in the system's queue.
async fn accept(listener: &TcpListener, shared: &Arc<Shared>, connections: &mut JoinSet<()>) {
    let limits = &shared.config.server;
    let all = Arc::new(Semaphore::new(limits.connections));
    let mut half_open = HalfOpen::new(limits.handshakes);
    let per_ip = PerIp::new(limits.per_ip);
    let mut refused_before = false;
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&all).acquire_owned().await else { return };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if !refused_before {
                    tracing::warn!("cannot accept connections: {error}");
                }
                refused_before = true;
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        refused_before = false;
        let Some(slot) = per_ip.take(from.ip().to_canonical()) else {
            shared.metrics.refused.add(1);
            tracing::debug!(%from, "refused: too many connections from this address");
            continue;
        };
        shared.metrics.accepted.add(1);
        let greeted = Arc::new(AtomicBool::new(false));
        let task =
            connection(stream, from, Arc::clone(&greeted), Arc::clone(shared), (permit, slot));
        half_open.add(greeted, connections.spawn(task));
    }
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    greeted: Arc<AtomicBool>,
    shared: Arc<Shared>,
    place: (OwnedSemaphorePermit, Slot),
) {
    session::serve(stream, from, &greeted, &shared).await;
    drop(place);
}

/// Connections that have not said hello. When there are too many, the oldest is cut: idle strangers cannot keep
/// others from connecting.
#[derive(Debug)]
struct HalfOpen {
    tasks: VecDeque<(Arc<AtomicBool>, AbortHandle)>,
    most: usize,
}

impl HalfOpen {
    fn new(most: usize) -> Self {
        Self { tasks: VecDeque::new(), most }
    }

    fn add(&mut self, greeted: Arc<AtomicBool>, task: AbortHandle) {
        if self.tasks.len() >= self.most {
            self.tasks
                .retain(|(greeted, task)| !greeted.load(Ordering::Relaxed) && !task.is_finished());
        }
        if self.tasks.len() >= self.most
            && let Some((greeted, oldest)) = self.tasks.pop_front()
            && !greeted.load(Ordering::Relaxed)
        {
            oldest.abort();
        }
        self.tasks.push_back((greeted, task));
    }
}

/// Lets time pass in the index, and wakes those for whom something changed: soon after a change, but not
/// so often that telling everybody of everything becomes most of the work.
async fn tick(shared: &Shared) {
    let longest = shared.config.timing.tick;
    let mut pause = Duration::ZERO;
    loop {
        sleep(pause).await;
        // What nobody asked for (somebody is gone) is seen after the longest pause.
        let _ = timeout(longest.saturating_sub(pause), shared.stirred.notified()).await;
        let now = shared.clock.now_ms();
        let Ok(((readers, counts), _)) =
            shared.apply(|index| (index.tick(now), index.counts())).await
        else {
            return tracing::error!("the store has ended; stopping");
        };
        shared.wake(&readers);
        pause = tick_pause(counts.sessions).min(longest);
        let interval_ms = have_interval(counts.sessions);
        if shared.have_interval_ms.swap(interval_ms, Ordering::Relaxed) != interval_ms {
            shared.wake_all();
        }
    }
}

/// Tries a failing disk again, also when nobody registers anything.
async fn retry_disk(shared: &Shared) {
    loop {
        sleep(DISK_RETRY).await;
        if shared.is_failing() && shared.apply(|_| ()).await.is_err() {
            return;
        }
    }
}

/// Least time between two rounds of telling watchers, in a network of so many peers: in the worst case
/// every peer is told something in every round, at some 7 us each (tracker.md). Below one per cent of a
/// core, as long as the longest pause is not reached.
fn tick_pause(peers: usize) -> Duration {
    MIN_TICK.max(Duration::from_millis(u64::try_from(peers).unwrap_or(u64::MAX)))
}

/// Grows with the number of peers, in steps of two so that it seldom changes.
fn have_interval(peers: usize) -> u32 {
    let mut interval = MIN_HAVE_INTERVAL_MS;
    while (interval as usize) * PROGRESS_PER_S < peers.saturating_mul(1000) {
        interval = interval.saturating_mul(2);
        if interval >= MAX_HAVE_INTERVAL_MS {
            return MAX_HAVE_INTERVAL_MS;
        }
    }
    interval
}

/// Connections by address.
#[derive(Debug, Clone)]
struct PerIp {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most: usize,
}

/// One counted connection; gives its place back when dropped.
#[derive(Debug)]
struct Slot {
    from: IpAddr,
    owner: PerIp,
}

impl PerIp {
    fn new(most: usize) -> Self {
        Self { counts: Arc::default(), most }
    }

    /// Counts a connection, unless there are too many. The own machine is not counted.
    fn take(&self, from: IpAddr) -> Option<Slot> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(from).or_insert(0);
        if *count >= self.most && !from.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Slot { from, owner: self.clone() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.owner.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.from) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_an_address_come_back() {
        let per_ip = PerIp::new(2);
        let ip = IpAddr::from([192, 0, 2, 1]);
        let (a, b) = (per_ip.take(ip).unwrap(), per_ip.take(ip).unwrap());
        assert!(per_ip.take(ip).is_none());
        assert!(per_ip.take(IpAddr::from([192, 0, 2, 2])).is_some());
        drop(a);
        assert!(per_ip.take(ip).is_some());
        drop(b);
        assert!(per_ip.counts.lock().unwrap().is_empty());
        let own = IpAddr::from([127, 0, 0, 1]);
        let many: Vec<_> = (0..10).map(|_| per_ip.take(own)).collect();
        assert!(many.iter().all(Option::is_some));
    }

    #[test]
    fn watchers_of_a_small_network_are_told_sooner() {
        assert_eq!(tick_pause(0), MIN_TICK);
        assert_eq!(tick_pause(100), MIN_TICK);
        assert_eq!(tick_pause(300), Duration::from_millis(300));
    }

    #[test]
    fn the_interval_grows_with_the_network() {
        assert_eq!(have_interval(0), 1_000);
        assert_eq!(have_interval(2_000), 1_000);
        assert_eq!(have_interval(2_001), 2_000);
        assert_eq!(have_interval(10_000), 8_000);
        assert_eq!(have_interval(usize::MAX), 30_000);
    }
}
