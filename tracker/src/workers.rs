//! Threads that each serve a part of the connections, each with a runtime of its own: a connection stays where it began.
//! One runtime for all would wake another thread at every message to look whether there is more to do, which at rest
//! costs more than the message.

use std::future::Future;
use std::io;
use std::num::NonZero;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

/// Most of them: all change one index, behind one lock. Each takes five descriptors.
pub(crate) const MOST_WORKERS: usize = 8;

/// The threads; they end when this is dropped, which the tasks that were spawned on them must not outlive.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    workers: Vec<Worker>,
    /// Whose turn it is, counted on and on.
    turn: usize,
}

#[derive(Debug)]
struct Worker {
    handle: Handle,
    /// Its thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

impl Workers {
    /// Starts so many threads. With none, or none to be had, all is done on the runtime of the caller.
    pub(crate) fn start(count: usize) -> Self {
        let mut workers = Vec::new();
        for n in 0..count.min(MOST_WORKERS) {
            match Worker::start(n) {
                Ok(worker) => workers.push(worker),
                Err(error) => tracing::warn!("cannot start a thread for peers: {error}"),
            }
        }
        Self { workers, turn: 0 }
    }

    /// Serves a connection on the thread whose turn it is.
    pub(crate) fn spawn<F>(
        &mut self,
        tasks: &mut JoinSet<()>,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> AbortHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let turn = NonZero::new(self.workers.len()).map(|count| self.turn % count);
        self.turn = self.turn.wrapping_add(1);
        let Some(worker) = turn.and_then(|turn| self.workers.get(turn)) else {
            return tasks.spawn(serve(stream));
        };
        let moved = async move {
            // Out of one runtime and into another; a connection that cannot be is closed.
            match stream.into_std().and_then(TcpStream::from_std) {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::debug!("a connection cannot be served: {error}"),
            }
        };
        tasks.spawn_on(moved, &worker.handle)
    }
}

impl Worker {
    fn start(n: usize) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name(format!("tracker-peers-{n}"));
        // The runtime is made there: it must not be dropped here, in another one, when no thread is to be had.
        thread.spawn(move || {
            match Builder::new_current_thread().enable_io().enable_time().build() {
                Ok(runtime) => {
                    let _ = tell.send(Ok(runtime.handle().clone()));
                    // An error is a sender that is gone.
                    let _ = runtime.block_on(stopped);
                }
                Err(error) => _ = tell.send(Err(error)),
            }
        })?;
        let handle = told.recv().map_err(io::Error::other)??;
        Ok(Self { handle, _stop: stop })
    }
}
