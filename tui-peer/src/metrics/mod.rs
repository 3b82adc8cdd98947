//! `/metrics` and `/healthz` for machines that watch this peer.
//!
//! A front end like the others: it asks the engine through its handle, and `text` says the numbers in the way
//! of Prometheus.

mod text;

use std::sync::Arc;
use std::time::Duration;

use common::http::{Answering, Asked, Limits, Route, Running, StatusCode, text};
use tokio::net::TcpListener;
use tokio::time::timeout;

use engine::api::command::{Command, Reply};
use engine::api::figures::Figures;
use engine::api::handle::EngineHandle;

/// How long the engine may take to answer: it does in microseconds, and in a second on a machine that has no time.
const PATIENCE: Duration = Duration::from_secs(2);

const ROUTES: &[Route<EngineHandle>] =
    &[Route { path: "/metrics", handler: metrics }, Route { path: "/healthz", handler: health }];

/// Answers on `listener` from now on.
pub fn serve(listener: TcpListener, engine: EngineHandle) -> Running {
    Running::start(listener, ROUTES, Arc::new(engine), Limits::default())
}

async fn figures(engine: &EngineHandle) -> Result<Figures, &'static str> {
    match timeout(PATIENCE, engine.call(Command::Figures)).await {
        Ok(Ok(Reply::Figures(figures))) => Ok(*figures),
        Ok(_) => Err("stopped: the peer has stopped or is stopping\n"),
        Err(_) => Err("stuck: the peer does not answer\n"),
    }
}

fn metrics<'a>(engine: &'a EngineHandle, _: &'a Asked) -> Answering<'a> {
    Box::pin(async {
        match figures(engine).await {
            Ok(figures) => text::exposition(&engine.snapshot(), &figures).into_answer(),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, why),
        }
    })
}

fn health<'a>(engine: &'a EngineHandle, _: &'a Asked) -> Answering<'a> {
    Box::pin(async {
        match trouble(engine).await {
            None => text(StatusCode::OK, "ok\n"),
            Some(words) => text(StatusCode::SERVICE_UNAVAILABLE, words),
        }
    })
}

/// What is wrong, if anything is. The first word is for programs.
async fn trouble(engine: &EngineHandle) -> Option<String> {
    if let Err(why) = figures(engine).await {
        return Some(why.to_owned());
    }
    let snapshot = engine.snapshot();
    let unkept = snapshot.unkept.as_ref()?;
    Some(format!("library: cannot be written: {}\n", unkept.why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::api::figures::Errors;
    use engine::api::handle::{HandleParts, channel};
    use engine::api::snapshot::{Me, Snapshot, Unkept};

    fn first() -> Snapshot {
        Snapshot::first(Me { downloads: "/".into(), ..Me::example() })
    }

    #[tokio::test]
    async fn c6_health_tells_a_session_that_hangs_from_a_library_that_cannot_be_written() {
        let (engine, HandleParts { mut commands, snapshots, .. }) = channel(first());
        let words = trouble(&engine).await.unwrap();
        assert!(words.starts_with("stuck: "), "nobody answers: {words}");
        let answering = tokio::spawn(async move {
            while let Some((command, reply)) = commands.recv().await {
                assert!(matches!(command, Command::Figures));
                let figures = Figures {
                    uptime: Duration::ZERO,
                    received: 0,
                    sent: 0,
                    connections: 0,
                    volumes: Vec::new(),
                    writes_waiting: 0,
                    errors: Errors::default(),
                };
                // The first caller waits no longer.
                let _ = reply.send(Ok(Reply::Figures(Box::new(figures))));
            }
        });
        assert_eq!(trouble(&engine).await, None);
        let unkept = Unkept { why: "no room".into(), hint: String::new(), waiting: 3 };
        snapshots.send_replace(Arc::new(Snapshot { unkept: Some(unkept), ..first() }));
        assert_eq!(trouble(&engine).await.unwrap(), "library: cannot be written: no room\n");
        answering.abort();
        let _ = answering.await;
        assert!(trouble(&engine).await.unwrap().starts_with("stopped: "));
    }
}
