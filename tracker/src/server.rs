//! The accept loop, the ticker, and the end of it all.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::descriptors;
use common::net::out_of_descriptors;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::clock::Drift;
use crate::controls::{Closing, PARTS};
use crate::entrance::Entrance;
use crate::intervals::{have_interval, spread_ms, tick_pause};
use crate::relay::Relay;
use crate::session;
use crate::shared::Shared;
use crate::workers::Workers;

/// Pause after the system refused a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// The same when a half-open connection was ended for its descriptor: it is free in a moment.
const SHED_PAUSE: Duration = Duration::from_millis(1);
/// Between two attempts to write to a failing disk.
const DISK_RETRY: Duration = Duration::from_secs(2);
/// Shortest spread after a goodbye, in milliseconds: it takes a moment to start again anyway.
const MIN_SPREAD_MS: u32 = 2_000;
/// Parts of the sessions that are swept within the shortest of their deadlines: each is noticed a quarter of it late
/// at most.
const SWEEPS: u32 = 4 * PARTS as u32;
/// Between two parts, however short the deadlines are, and however long.
const SHORTEST_SWEEP: Duration = Duration::from_millis(10);
const LONGEST_SWEEP: Duration = Duration::from_secs(1);
/// How often the two clocks are compared.
const CLOCK_EVERY: Duration = Duration::from_secs(1);
/// After everybody was welcomed again, at the earliest after this: a clock that jumps to and fro must not
/// make signing memberships most of the work.
const CLOCK_PAUSE: Duration = Duration::from_secs(10);

/// Serves until `shutdown` resolves, then says goodbye to everybody.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    shutdown: impl Future<Output = ()>,
) {
    let mut connections = JoinSet::new();
    let mut workers = Workers::start(shared.config.workers);
    let addr = listener.local_addr();
    let everywhere = addr.as_ref().is_ok_and(|addr| addr.is_ipv6() && addr.ip().is_unspecified());
    let relayed = shared.relay.as_ref().map_or(0, Relay::descriptors);
    let descriptors = descriptors::limit().saturating_sub(relayed);
    let entrance = Entrance::new(&shared.config.server, descriptors, everywhere);
    let entrance = Arc::new(entrance);
    if let Ok(addr) = addr {
        let counts = shared.with_index(|index| index.counts());
        tracing::info!(
            "listening on {addr}; {} items of {} peers known",
            counts.files,
            counts.peers
        );
    }
    {
        let accepting = accept(&listener, &shared, &entrance, (&mut connections, &mut workers));
        let mut accepting = std::pin::pin!(accepting);
        let mut ticking = std::pin::pin!(tick(&shared));
        let mut working = std::pin::pin!(work(&shared));
        let mut reading = std::pin::pin!(read_names(&shared));
        let mut retrying = std::pin::pin!(retry_disk(&shared));
        let mut comparing = std::pin::pin!(compare_clocks(&shared));
        let mut sweeping = std::pin::pin!(sweep(&shared));
        let mut shutdown = std::pin::pin!(shutdown);
        tokio::select! {
            () = &mut accepting => {}
            () = &mut ticking => {}
            () = &mut working => {}
            () = &mut reading => {}
            () = &mut retrying => {}
            () = &mut comparing => {}
            () = &mut sweeping => {}
            () = &mut shutdown => {}
        }
    }
    drop(listener);
    let spread = spread_ms(connections.len()).max(MIN_SPREAD_MS);
    if let Some(relay) = &shared.relay {
        relay.end(None);
    }
    shared.close_all(|| Closing::Goaway(fastrand::u32(..=spread)));
    let all_gone = async { while connections.join_next().await.is_some() {} };
    if timeout(shared.config.timing.goodbye, all_gone).await.is_err() {
        tracing::warn!("some connections were cut: they did not take their last message");
    }
    connections.shutdown().await;
}

/// Accepts connections: always. One too many costs another one its place.
async fn accept(
    listener: &TcpListener,
    shared: &Arc<Shared>,
    entrance: &Arc<Entrance>,
    (connections, workers): (&mut JoinSet<()>, &mut Workers),
) {
    let half_open = &entrance.half_open;
    let mut refused_before = false;
    loop {
        while connections.try_join_next().is_some() {}
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if !refused_before {
                    tracing::warn!("cannot accept connections: {error}");
                }
                refused_before = true;
                let shed = out_of_descriptors(&error) && half_open.shed(fastrand::u64(..));
                sleep(if shed { SHED_PAUSE } else { ACCEPT_PAUSE }).await;
                continue;
            }
        };
        refused_before = false;
        shared.metrics.accepted.add(1);
        let group = entrance.links.now().group(from.ip());
        let crowded = half_open.admit(group, fastrand::u64(..), |place| {
            let (shared, entrance) = (Arc::clone(shared), Arc::clone(entrance));
            workers.spawn(connections, stream, move |stream| async move {
                session::serve(stream, from, place, &entrance, &shared).await;
            })
        });
        let shed = entrance.is_over_full() && half_open.shed(fastrand::u64(..));
        shared.metrics.crowded.add(u64::from(crowded) + u64::from(shed));
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
        let (readers, counts, unstored) =
            shared.with_index(|index| (index.tick(now), index.counts(), index.unstored()));
        if unstored > 0 && shared.apply(|_| ()).await.is_err() {
            return tracing::error!("the store has ended; stopping");
        }
        shared.ticked(now);
        if let Some(relay) = &shared.relay {
            relay.expire();
        }
        shared.wake(&readers);
        pause = tick_pause(counts.sessions).min(longest);
        shared.spread_ms.store(spread_ms(counts.sessions), Ordering::Relaxed);
        let interval_ms = have_interval(counts.sessions);
        if shared.have_interval_ms.swap(interval_ms, Ordering::Relaxed) != interval_ms {
            shared.wake_all();
        }
    }
}

/// Does what takes long, step by step.
async fn work(shared: &Shared) {
    loop {
        match shared.work_some().await {
            Ok(true) => {}
            Ok(false) => shared.until_busy().await,
            Err(_) => return tracing::error!("the store has ended; stopping"),
        }
    }
}

/// Reads the names of files inside folders that were stored; then there is nothing more to do.
async fn read_names(shared: &Shared) {
    shared.read_stored_names().await;
    std::future::pending().await
}

/// Has sessions looked at when they are silent, stalled or have an old membership: one timer for all of them.
async fn sweep(shared: &Shared) {
    let timing = &shared.config.timing;
    let every = timing.silence.min(timing.stalled) / SWEEPS;
    loop {
        sleep(every.clamp(SHORTEST_SWEEP, LONGEST_SWEEP)).await;
        shared.sweep();
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

/// Welcomes everybody again, with a new membership and the new time, when the wall clock has left the
/// monotonic one.
async fn compare_clocks(shared: &Shared) {
    let mut drift = Drift::default();
    let mut pause = CLOCK_EVERY;
    loop {
        sleep(pause).await;
        pause = CLOCK_EVERY;
        if let Some(moved) = drift.look(shared.clock.now_ms(), shared.clock.wall_ms()) {
            tracing::warn!(
                "the clock of this machine moved by {moved} s: all peers are told the new time"
            );
            shared.jumps.fetch_add(1, Ordering::Relaxed);
            shared.wake_all();
            pause = CLOCK_PAUSE;
        }
    }
}
