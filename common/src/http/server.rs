//! The accept loop and the bounds of a connection.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::places::Places;
use super::route::{self, Route};

/// Longest head of a request, in bytes: browsers and scrapers send a few hundred. The least that hyper takes.
const MAX_HEAD: usize = 8 * 1024;
/// Pause after the system refused a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Bounds of a server. The defaults are for short answers, made at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once: a handful of scrapers and people, and room for silent ones to be cut.
    pub connections: usize,
    /// For a request's head from the first moment on: three retransmissions of a lost packet.
    pub head: Duration,
    /// For a connection as a whole: the head, two seconds for a handler to give up, and a slow line.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 64, head: Duration::from_secs(4), total: Duration::from_secs(10) }
    }
}

/// Answers as [`super::Running::start`] says, until `shutdown` resolves; no task of it is left then.
pub(super) async fn serve<S: Send + Sync + 'static>(
    listener: TcpListener,
    routes: &'static [Route<S>],
    state: Arc<S>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = std::pin::pin!(shutdown);
    let mut connections = JoinSet::new();
    let mut places = Places::new(limits.connections);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = connections.join_next_with_id() => {
                places.ended(match ended {
                    Ok((id, ())) => id,
                    // Cut, or a handler panicked: nobody else is touched.
                    Err(error) => error.id(),
                });
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                refused(&error).await;
                continue;
            }
        };
        if places.make_room() {
            let asked = Arc::new(AtomicBool::new(false));
            let work = connection(stream, routes, Arc::clone(&state), limits, Arc::clone(&asked));
            places.add(connections.spawn(work), asked);
        }
    }
    connections.shutdown().await;
}

/// The system has no descriptor for another connection, or it was reset before it was taken.
async fn refused(error: &io::Error) {
    if error.kind() != io::ErrorKind::ConnectionAborted {
        sleep(ACCEPT_PAUSE).await;
    }
}

async fn connection<S: Send + Sync + 'static>(
    stream: TcpStream,
    routes: &'static [Route<S>],
    state: Arc<S>,
    limits: Limits,
    asked: Arc<AtomicBool>,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        let state = Arc::clone(&state);
        async move {
            let (head, _unread) = request.into_parts();
            Ok::<_, Infallible>(route::answer(routes, &state, &head).await)
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(MAX_HEAD)
        // The next request is a new connection: places go round.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // Who went away, sent nonsense or is too slow has nobody to be told.
    let _ = timeout(limits.total, serving).await;
}
