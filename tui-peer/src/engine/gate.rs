//! Who may talk to us: the membership we show, and the check of the one a peer shows.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use common::id::PeerId;
use common::membership::{Membership, MembershipError};
use tokio::sync::watch;

/// How long an expired membership is still accepted while the tracker cannot be reached: a network
/// does not stop because its tracker is down for a night.
pub(in crate::engine) const GRACE_SECS: u64 = 24 * 60 * 60;

/// Our place in a network.
#[derive(Debug)]
pub(in crate::engine) struct Admission {
    /// The tracker whose signature counts.
    pub(in crate::engine) tracker: PeerId,
    /// Our own signed membership.
    pub(in crate::engine) membership: Vec<u8>,
}

/// The current admission; `None` while we are in no network, when nobody is talked to.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Gate {
    admission: watch::Sender<Option<Arc<Admission>>>,
}

impl Gate {
    /// A closed gate.
    pub(in crate::engine) fn new() -> Self {
        Self { admission: watch::Sender::new(None) }
    }

    /// Opens, or closes with `None`.
    pub(in crate::engine) fn set(&self, admission: Option<Admission>) {
        self.admission.send_replace(admission.map(Arc::new));
    }

    /// The current admission.
    pub(in crate::engine) fn get(&self) -> Option<Arc<Admission>> {
        self.admission.borrow().clone()
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Admission {
    /// Checks a membership shown by the peer whose key the TLS handshake proved.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub(in crate::engine) fn check(
        &self,
        peer: &PeerId,
        shown: &[u8],
    ) -> Result<(), MembershipError> {
        Membership::check(shown, &self.tracker, peer, unix_now(), GRACE_SECS).map(drop)
    }
}

/// Wall clock in seconds since 1970.
pub(in crate::engine) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
