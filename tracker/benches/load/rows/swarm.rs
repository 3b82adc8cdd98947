use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::limits::MAX_TRACKER_FRAME;
use common::wire::tracker::Request;

use crate::crowd::gather;
use crate::peer::{Progress, file};
use crate::program::Setup;
use crate::table::{Goal, Table};

const PEERS: u32 = 1000;
/// Chunks of the file that a peer gets in a second: 2 minutes for all of it.
const CHUNKS_PER_S: f64 = 2048.0 / 120.0;

pub(crate) async fn run(setup: &Setup, table: &mut Table, seconds: u64) {
    let tracker = setup.start();
    let meta = file(1, 1 << 30);
    let id = meta.descriptor.id();
    let mut seed = gather(&tracker.join, 1_000_000..1_000_001).await.pop().expect("let in");
    seed.register(std::slice::from_ref(&meta)).await;
    let sent = Arc::new(AtomicU64::new(0));
    let start = Instant::now() + Duration::from_secs(5);
    let end = start + Duration::from_secs(seconds);
    for mut peer in gather(&tracker.join, 0..PEERS).await {
        let q = peer.q();
        peer.ask(q, &Request::FileLocations { q, id, want: 50 }).await;
        peer.watch(false, vec![id]).await;
        let every = Duration::from_millis(peer.welcome.have_interval_ms.into());
        let (mut reader, mut writer) = (peer.reader, peer.writer);
        let sent = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok(frame) = reader.read(MAX_TRACKER_FRAME).await {
                sent.fetch_add(frame.body.len() as u64, Ordering::Relaxed);
            }
        });
        let mut progress = Progress::new(&meta, fastrand::u32(..meta.chunks / 2));
        tokio::spawn(async move {
            let mut frame = Some(progress.whole());
            let mut at = Instant::now() + every.mul_f64(fastrand::f64());
            while at < end {
                tokio::time::sleep_until(at.into()).await;
                let new = (CHUNKS_PER_S * every.as_secs_f64()).ceil() as u32;
                let frame = frame.take().unwrap_or_else(|| progress.step(new));
                let _ = writer.write(frame.kind(), &frame.body()).await;
                let _ = writer.flush().await;
                at += every;
            }
        });
    }
    tokio::time::sleep_until(start.into()).await;
    let before = (tracker.sample(), sent.load(Ordering::Relaxed));
    tokio::time::sleep_until((end - Duration::from_millis(100)).into()).await;
    let after = (tracker.sample(), sent.load(Ordering::Relaxed));
    table.add("1,000 in a swarm", "% of a core", Goal::AtMost(8.0), after.0.percent(&before.0));
    let bytes = (after.1 - before.1) as f64 / after.0.seconds(&before.0);
    table.add("1,000 in a swarm: sent", "MB/s", Goal::AtMost(3.0), bytes / 1e6);
}
