//! `/metrics` and `/healthz` for machines that watch.

use std::sync::Arc;
use std::time::Duration;

use common::http::{Answer, Answering, Asked, Limits, Route, StatusCode, serve, text};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::shared::Shared;

/// The ticker comes round every second or so, and while everybody is told of something after some seconds more;
/// one that has not for so long is stuck.
const STUCK: Duration = Duration::from_secs(15);

const ROUTES: &[Route<Shared>] =
    &[Route { path: "/metrics", handler: metrics }, Route { path: "/healthz", handler: health }];

/// A server at work. It holds the tracker's state until [`Self::stop`].
pub(crate) struct Watching {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Watching {
    /// Answers on `listener` from now on.
    pub(crate) fn start(listener: TcpListener, shared: &Arc<Shared>) -> Self {
        if let Ok(addr) = listener.local_addr() {
            tracing::info!("metrics at http://{addr}/metrics");
        }
        let (stop, stopped) = oneshot::channel::<()>();
        // Either way: told, or the tracker's future is gone.
        let stopped = async { drop(stopped.await) };
        let shared = Arc::clone(shared);
        let task = tokio::spawn(serve(listener, ROUTES, shared, Limits::default(), stopped));
        Self { stop, task }
    }

    /// Ends it; nothing of it is left then.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        if self.task.await.is_err() {
            tracing::error!("the server of the metrics had panicked");
        }
    }
}

fn metrics<'a>(shared: &'a Shared, _: &'a Asked) -> Answering<'a> {
    Box::pin(async {
        let counts = shared.with_index(|index| index.counts());
        shared.metrics.exposition(counts).into_answer()
    })
}

fn health<'a>(shared: &'a Shared, _: &'a Asked) -> Answering<'a> {
    Box::pin(async { report(shared.since_tick(), shared.is_failing()) })
}

/// Its first word is for programs.
fn report(since_tick: Duration, failing: bool) -> Answer {
    if failing {
        let words = "store: registrations cannot be stored; see the log\n";
        text(StatusCode::SERVICE_UNAVAILABLE, words)
    } else if since_tick > STUCK {
        let words =
            format!("stuck: the main loop has not come round for {} s\n", since_tick.as_secs());
        text(StatusCode::SERVICE_UNAVAILABLE, words)
    } else {
        text(StatusCode::OK, "ok\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c6_health_says_in_a_word_what_is_wrong() {
        let status = |since, failing| report(Duration::from_secs(since), failing).status().as_u16();
        assert_eq!((status(0, false), status(15, false)), (200, 200));
        assert_eq!((status(16, false), status(0, true)), (503, 503));
    }
}
