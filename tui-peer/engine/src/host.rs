//! A tracker inside this process, and the addresses of this machine.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::join::{DEFAULT_TRACKER_PORT, JoinString, Secret};
use common::near::Discoverable;
use common::net::{OwnAddress, in_turn, own_address_to, own_addresses};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracker::Admission;

/// Time for the tracker to say goodbye to everybody.
const GOODBYE: Duration = Duration::from_secs(3);

/// A tracker running in this process; stops when told to, or when dropped.
#[derive(Debug)]
pub(crate) struct HostedTracker {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl HostedTracker {
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(GOODBYE, self.task).await;
    }
}

/// How a tracker in this process is to be.
#[derive(Debug, Clone)]
pub(crate) struct HostRequest {
    /// Where it keeps its state.
    pub(crate) state_dir: PathBuf,
    /// Where the peer listens: so does the tracker, on the usual port or, if that is taken, on any free one.
    pub(crate) peer_listen: SocketAddr,
    /// Only who knows this is let in, and the join string names all addresses of this machine.
    pub(crate) secret: Option<Secret>,
    /// When it announces itself in the local network, and as what.
    pub(crate) discoverable: Discoverable,
    pub(crate) name: String,
}

/// Starts it.
pub(crate) async fn start(request: HostRequest) -> Result<(HostedTracker, JoinString), String> {
    let HostRequest { state_dir, peer_listen, secret, discoverable, name } = request;
    let usual = SocketAddr::new(peer_listen.ip(), DEFAULT_TRACKER_PORT);
    let any = SocketAddr::new(peer_listen.ip(), 0);
    let listener = match common::net::listen(usual) {
        Ok(listener) => listener,
        Err(_) => common::net::listen(any)
            .map_err(|error| format!("cannot listen for a tracker on {any}: {error}"))?,
    };
    let bound = listener.local_addr().map_err(|error| error.to_string())?;
    let all = if secret.is_some() { own_addrs(bound, true) } else { Vec::new() };
    let config = tracker::Config {
        state_dir: Some(state_dir.clone()),
        admission: secret.map_or(Admission::Open, Admission::Secret),
        discoverable,
        name,
        ..tracker::Config::default()
    };
    let opened = tokio::task::spawn_blocking(move || tracker::Tracker::open(config)).await;
    let tracker = opened.map_err(|e| e.to_string())?.map_err(|error| error.to_string())?;
    let host = match bound.ip().is_unspecified() {
        true => own_addrs(bound, false).first().map_or(own_address(), SocketAddr::ip),
        false => bound.ip(),
    };
    let join =
        tracker.join_string(&host.to_string(), bound.port()).map_err(|error| error.to_string())?;
    let all: Vec<String> = all.iter().map(|addr| addr.ip().to_string()).collect();
    let join = join.with_more(all.iter().map(|ip| (ip.as_str(), bound.port())));
    let whole = join.clone();
    let kept = tokio::task::spawn_blocking(move || tracker::keep_join(&state_dir, &whole)).await;
    if let Ok(Err(error)) = kept {
        // The tracker is of use all the same.
        tracing::warn!("cannot keep the join string: {error}; `tracker join` will not know it");
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        tracker
            .run(listener, async {
                let _ = stopped.await;
            })
            .await;
    });
    Ok((HostedTracker { stop, task }, join))
}

/// Addresses at which others may reach what listens there, best first and the families in turn; with `inner` also
/// those that only machines inside this one know.
pub(crate) fn own_addrs(listen: SocketAddr, inner: bool) -> Vec<SocketAddr> {
    let own = match listen.ip().is_unspecified() {
        true => own_addresses(),
        false => vec![OwnAddress { ip: listen.ip(), inner: false }],
    };
    let mut ips: Vec<IpAddr> = own
        .iter()
        .filter(|own| (inner || !own.inner) && (own.ip.is_ipv4() || listen.is_ipv6()))
        .map(|own| own.ip)
        .filter(|ip| !ip.is_loopback())
        .collect();
    // From where the system sends what leaves this machine, most come.
    let first = own_address();
    ips.sort_by_key(|ip| *ip != first);
    let addrs: Vec<SocketAddr> =
        ips.into_iter().map(|ip| SocketAddr::new(ip, listen.port())).collect();
    in_turn(&addrs)
}

/// The address that leads out of this machine; loopback if it is alone.
fn own_address() -> IpAddr {
    // From the range for documentation (RFC 5737).
    let outgoing = own_address_to(Ipv4Addr::new(192, 0, 2, 1).into());
    outgoing.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// Writes a file that only its owner may read, all of it or nothing.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn s3_a_hosted_tracker_keeps_the_whole_join_string_for_its_commands() {
        let dir = tempfile::tempdir().unwrap();
        let request = HostRequest {
            state_dir: dir.path().to_owned(),
            peer_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            secret: None,
            discoverable: Discoverable::Off,
            name: String::new(),
        };
        let (hosted, join) = start(request).await.unwrap();
        assert_eq!(tracker::read_join(dir.path()).unwrap(), join);
        hosted.stop().await;
    }
}
