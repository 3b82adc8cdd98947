//! Lets peers in the local network find this tracker.

use std::net::SocketAddr;

use common::id::PeerId;
use common::near::{Announced, Announcing, Discoverable, Place, announce};

use crate::config::Config;

/// Announces a tracker that listens on `bound`, if the configuration says so.
pub(crate) fn start(config: &Config, key: PeerId, bound: SocketAddr) -> Option<Announcing> {
    let place = Place::of_environment();
    let closed = config.admission.is_closed();
    if !config.discoverable.applies(closed, bound.ip(), place) {
        return None;
    }
    let asked = config.discoverable == Discoverable::On;
    let name = if config.name.is_empty() { host_name() } else { config.name.clone() };
    let said = Announced::new(key, bound.port(), &name, closed);
    Some(announce(place, said, bound.ip(), move |why| {
        // Where nobody asked for it, a machine without such a network is nothing to mend.
        if asked {
            tracing::warn!("not announced in the local network: {why}");
        } else {
            tracing::info!("not announced in the local network: {why}");
        }
    }))
}

/// The first part of this machine's name.
fn host_name() -> String {
    let system = rustix::system::uname();
    let whole = system.nodename().to_string_lossy();
    whole.split('.').next().unwrap_or_default().to_owned()
}
