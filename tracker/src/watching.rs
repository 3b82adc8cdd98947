//! `/metrics` and `/healthz` for machines that watch.

use std::sync::Arc;
use std::time::Duration;

use common::http::{Answer, Answering, Asked, Limits, Route, Running, StatusCode, text};
use tokio::net::TcpListener;

use crate::relay::Relay;
use crate::shared::Shared;

/// The ticker comes round every second or so, and while everybody is told of something after some seconds more;
/// one that has not for so long is stuck.
const STUCK: Duration = Duration::from_secs(15);

const ROUTES: &[Route<Shared>] =
    &[Route { path: "/metrics", handler: metrics }, Route { path: "/healthz", handler: health }];

/// Answers on `listener` from now on.
pub(crate) fn start(listener: TcpListener, shared: &Arc<Shared>) -> Running {
    let running = Running::start(listener, ROUTES, Arc::clone(shared), Limits::default());
    if let Some(addr) = running.addr() {
        tracing::info!("metrics at http://{addr}/metrics");
    }
    running
}

fn metrics<'a>(shared: &'a Shared, _: &'a Asked) -> Answering<'a> {
    Box::pin(async {
        let counts = shared.with_index(|index| index.counts());
        let relayed = shared.relay.as_ref().map_or(0, Relay::running);
        shared.metrics.exposition(counts, relayed).into_answer()
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
