//! A server as a task of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};

use super::route::Route;
use super::server::{Limits, serve};

/// A server at work. Dropped, it ends by itself.
#[derive(Debug)]
pub struct Running {
    addr: Option<SocketAddr>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// Answers one request a connection as `routes` say, from now on; holds `state` until [`Self::stop`]. Needs a
    /// tokio runtime with I/O and time.
    pub fn start<S: Send + Sync + 'static>(
        listener: TcpListener,
        routes: &'static [Route<S>],
        state: Arc<S>,
        limits: Limits,
    ) -> Self {
        let addr = listener.local_addr().ok();
        let (stop, stopped) = oneshot::channel::<()>();
        // Either way: told, or whoever would tell is gone.
        let stopped = async { drop(stopped.await) };
        let task = tokio::spawn(serve(listener, routes, state, limits, stopped));
        Self { addr, stop, task }
    }

    /// Where it listens, if the system says so.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.addr
    }

    /// Ends it: the port is free then, and nothing of it is left.
    ///
    /// # Errors
    /// It had panicked.
    pub async fn stop(self) -> Result<(), JoinError> {
        drop(self.stop);
        self.task.await
    }
}
