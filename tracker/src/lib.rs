//! Shoal's tracker: who is there, which contents exist, who has which chunks.
//!
//! A pure state machine ([`index`]) inside a thin shell of connections, with a store ([`store`]) that keeps what
//! must outlive the process. Bytes of shared files never come near it. It dials nobody.
//!
//! ```text
//! server ─► session ─► index (pure) ─► record::Change ─► store (one thread)
//! ```
//!
//! To run one inside another program, see [`Tracker::open`] and [`Tracker::run`].

mod clock;
mod config;
pub mod control;
mod controls;
mod entrance;
#[doc(hidden)]
pub mod fuzzing;
pub mod index;
mod intervals;
mod metrics;
pub mod moving;
mod near;
pub mod record;
mod relay;
mod server;
mod session;
mod shared;
mod state;
pub mod store;
mod watching;
mod workers;

use std::future::Future;
use std::sync::Arc;

use common::channel::Channel;
use common::id::PeerId;
use common::join::{JoinError, JoinString, Secret};
use common::tracker_hosts::Listed;
use tokio::net::TcpListener;

use clock::Clock;
use index::Index;
use shared::{Seeds, Shared};
use state::State;
use store::{MetaStore, Writer};

pub use clock::WallClock;
pub use config::{Admission, Config, RelayLimits, ServerLimits, Timing, Work};
pub use session::PROOF_ROLE;
pub use state::{StartError, keep_join, read_join, read_secret};

/// A tracker that has its state but does not serve yet.
pub struct Tracker {
    shared: Arc<Shared>,
    metrics: Option<TcpListener>,
    /// Listens from the start, so that a command finds it as soon as it is known to be there.
    control: Option<control::Listening>,
}

impl Tracker {
    /// Opens the state folder, or starts empty in memory if the configuration has none. Blocking.
    ///
    /// # Errors
    /// [`StartError`]: what, where, what to do.
    pub fn open(config: Config) -> Result<Self, StartError> {
        let state = State::open(&config)?;
        Self::start(config, state)
    }

    /// The same with another store, and everything else in memory unless the configuration has a folder.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn open_with(config: Config, store: Box<dyn MetaStore>) -> Result<Self, StartError> {
        let state = State::open(&config)?;
        Self::start(config, State { store, ..state })
    }

    /// The key that peers pin.
    pub fn peer_id(&self) -> PeerId {
        self.shared.identity.peer_id()
    }

    /// The secret that peers need, if the network is closed.
    pub fn secret(&self) -> Option<&Secret> {
        self.shared.secret.as_ref()
    }

    /// Whether only who was invited may join: the join string alone lets in nobody new.
    pub fn is_by_invitation(&self) -> bool {
        self.shared.config.admission == Admission::Invited
    }

    /// What to give to others so that they can join, for a tracker reached at `host` and `port`.
    ///
    /// # Errors
    /// [`JoinError`] for an impossible host or port 0.
    pub fn join_string(&self, host: &str, port: u16) -> Result<JoinString, JoinError> {
        JoinString::new(self.peer_id(), host, port, self.shared.secret.clone())
    }

    /// Peers are told, under the tracker's signature, that it is to be found at these hosts too, and remember them: so
    /// it can move; or where the trackers of its network are, of which this is one, so that one can stand in for another
    /// and all peers look for them in the same order. The list counts as newer than those of earlier starts with this state folder, unless it is the same.
    /// Blocking; only the first call counts.
    ///
    /// # Errors
    /// If the list cannot be kept in the state folder; peers are told all the same.
    pub fn tell_hosts(&self, listed: Listed, hosts: &[(String, u16)]) -> std::io::Result<()> {
        let Shared { config, identity, clock, .. } = &*self.shared;
        let now = clock.wall_ms() / 1000;
        let (signed, kept) =
            state::hosts(config.state_dir.as_deref(), identity, (listed, hosts), now);
        // A second call finds it told.
        let _ = self.shared.hosts.set(signed);
        kept
    }

    /// Also answers `/metrics` and `/healthz` over plain HTTP on this listener, while it runs.
    #[must_use]
    pub fn with_metrics(mut self, listener: TcpListener) -> Self {
        self.metrics = Some(listener);
        self
    }

    /// Serves until `shutdown` resolves; then everybody is told, and what waits is written. Needs a tokio
    /// runtime with I/O and time.
    pub async fn run(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let watching = self.metrics.map(|listener| watching::start(listener, &self.shared));
        let near = listener.local_addr().ok().and_then(|bound| {
            near::start(&self.shared.config, self.shared.identity.peer_id(), bound)
        });
        tokio::select! {
            () = server::serve(listener, Arc::clone(&self.shared), shutdown) => {}
            () = control::serve(self.control, &self.shared) => {}
        }
        if let Some(near) = near {
            near.stop().await;
        }
        if let Some(watching) = watching
            && watching.stop().await.is_err()
        {
            tracing::error!("the server of the metrics had panicked");
        }
        // All tasks are gone, so this is the last one.
        if let Some(shared) = Arc::into_inner(self.shared) {
            let finished = tokio::task::spawn_blocking(|| shared.finish()).await;
            if finished.is_err() {
                tracing::error!("the store did not close");
            }
        } else {
            tracing::error!("something still uses the store; it is not closed");
        }
    }

    fn start(mut config: Config, state: State) -> Result<Self, StartError> {
        let State { identity, secret, mut store } = state;
        let system = |error: &dyn std::fmt::Display| StartError::System(error.to_string());
        let clock = Clock::start(config.wall.clone());
        let saved = store.load()?;
        if config.admission.is_closed() {
            // Whoever knows the secret, or was invited, is no stranger: an address says nothing about them.
            config.limits.per_group = None;
        }
        let mut index = Index::restore(config.limits.clone(), saved, clock.now_ms());
        index.admit_only_invited(config.admission == Admission::Invited);
        let channel = Channel::new(&identity).map_err(|error| system(&error))?;
        let writer = Writer::start(store).map_err(|error| system(&error))?;
        let mut rng = config.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let seeds = Seeds { epoch: rng.u64(..), serial: rng.u64(..) };
        let control = control::listen(config.state_dir.as_deref());
        let shared = Shared::new(config, identity, secret, channel, &seeds, (index, writer, clock));
        if shared.has_revoked() {
            shared.tell_revoked();
        }
        Ok(Self { shared: Arc::new(shared), metrics: None, control })
    }
}

impl std::fmt::Debug for Tracker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracker").field("id", &self.peer_id()).finish_non_exhaustive()
    }
}

/// Opens a tracker and runs it: [`Tracker::open`] and [`Tracker::run`] in one, for callers that need no join string.
///
/// # Errors
/// [`StartError`].
pub async fn run(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let opened = tokio::task::spawn_blocking(|| Tracker::open(config)).await;
    let tracker = opened.map_err(|error| StartError::System(error.to_string()))??;
    tracker.run(listener, shutdown).await;
    Ok(())
}
