use std::time::{Duration, Instant};

use crate::crowd::gather;
use crate::peer::{Progress, file};
use crate::program::Setup;
use crate::table::{Goal, Table};

/// Peers that send; each may send 20 messages a second.
const PEERS: u32 = 5000;

pub(crate) async fn run(setup: &Setup, table: &mut Table, seconds: u64) {
    for (burst, goal, what) in
        [(1, 120_000.0, "progress, one message a wake"), (16, 400_000.0, "progress, 16 a wake")]
    {
        let tracker = setup.start();
        let files: Vec<_> = (0..100).map(|n| file(n, 128 << 20)).collect();
        let mut seed = gather(&tracker.join, 1_000_000..1_000_001).await.pop().expect("let in");
        seed.register(&files).await;
        let crowd = gather(&tracker.join, 0..PEERS).await;
        let start = Instant::now() + Duration::from_secs(1);
        let end = start + Duration::from_secs(seconds);
        let pause = Duration::from_secs_f64(f64::from(burst) / 16.0);
        let mut tasks = Vec::new();
        for (n, peer) in crowd.into_iter().enumerate() {
            let mut progress = Progress::new(&files[n % files.len()], 0);
            let mut at = start + pause.mul_f64(fastrand::f64());
            let (mut writer, _) = peer.drain();
            tasks.push(tokio::spawn(async move {
                while at < end {
                    tokio::time::sleep_until(at.into()).await;
                    for _ in 0..burst {
                        let frame = progress.step(4);
                        let _ = writer.write(frame.kind(), &frame.body()).await;
                    }
                    let _ = writer.flush().await;
                    at += pause;
                }
            }));
        }
        tokio::time::sleep_until((start + Duration::from_secs(1)).into()).await;
        let before = (tracker.sample(), tracker.metric("chunk_updates_total"));
        tokio::time::sleep_until(end.into()).await;
        let after = (tracker.sample(), tracker.metric("chunk_updates_total"));
        let frames = after.1 - before.1;
        table.add(what, "/s and core", Goal::AtLeast(goal), frames / after.0.cpu(&before.0));
        let rate = frames / after.0.seconds(&before.0);
        table.add(format!("{what}: came"), "/s", Goal::None, rate);
        for task in tasks {
            task.await.unwrap();
        }
    }
}
