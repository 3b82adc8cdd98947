//! From a host of a tracker to a welcome, or to a reason why not.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::channel::{
    Channel, ChannelError, FrameError, Purpose, Secure, SecureReader, SecureWriter,
};
use common::id::{Hash, PeerId};
use common::limits::{
    MAX_AGENT, MAX_FRAME_BEFORE_HELLO, MAX_MEMBERSHIP, MAX_NICK, PROTOCOL_MIN, PROTOCOL_VERSION,
};
use common::names::{cut, show};
use common::net::in_turn;
use common::wire::tracker::{Hello, Reply, Request, Welcome};
use common::wire::{Code, WireError};
use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::addrs::{Place, where_it_says};
use super::backoff::{LONGEST_SPREAD, Why};
use super::hosts::Host;
use super::order::How;
use super::{AnnouncerConfig, Shared};
use crate::conn;

/// Time for the name of the tracker to be found.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the names of the join string, when they only say how far a tracker's word reaches: their server may be gone
/// together with the tracker whose place another is to take.
const BESIDE_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for the TLS handshake.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for WELCOME.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(5);
/// Role under which a peer proves that it knows the network's secret.
const PROOF_ROLE: &str = "peer";

/// Why a connection did not come up, or ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("cannot find the address of {0}: {1}; check the name and your network")]
    Resolve(String, #[source] std::io::Error),
    #[error("cannot reach {0}: {1}")]
    Connect(String, #[source] std::io::Error),
    #[error("{0} does not answer")]
    Silent(String),
    #[error("the tracker does not answer any more")]
    Timeout,
    #[error("{0}")]
    Channel(#[from] ChannelError),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("the tracker sent something wrong: {0}")]
    Wire(#[from] WireError),
    #[error("the tracker sent something wrong: {0}")]
    Protocol(&'static str),
    #[error("the tracker refused us: {}", show(.text))]
    Refused { code: Code, text: String, retry_ms: u32 },
    #[error("the tracker speaks protocol version {0}")]
    Version(u8),
    #[error("the tracker is going away")]
    Goaway(u32),
    #[error("this machine has other addresses now")]
    Moved,
    /// A tracker that goes before this one has let us in.
    #[error("a tracker before this one is back")]
    Back(usize, Box<Link>),
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("tracker", &self.place.tracker).finish_non_exhaustive()
    }
}

/// An open connection.
pub(super) struct Link {
    pub(super) reader: SecureReader<TcpStream>,
    pub(super) writer: SecureWriter<TcpStream>,
    pub(super) place: Place,
    /// Our own addresses as the tracker was told of them.
    pub(super) local: Vec<SocketAddr>,
    /// The address of ours that it comes from.
    pub(super) own: IpAddr,
    /// It comes from the port we listen on.
    pub(super) punches: bool,
    /// Where the tracker may be reached in the other of IPv4 and IPv6; none if it does not understand ALSO, or we do not
    /// listen there.
    pub(super) other_family: Vec<SocketAddr>,
    pub(super) welcome: Welcome,
    /// All addresses of the host.
    pub(super) addrs: Vec<SocketAddr>,
    /// The digest of our shares that the tracker was told.
    pub(super) digest: Hash,
    /// When `welcome` came.
    pub(super) came: Instant,
    /// How long it took from our hello.
    pub(super) took: Duration,
}

impl Ended {
    /// How long to wait then.
    pub(super) fn why(&self) -> Why {
        match self {
            Self::Goaway(delay_ms) => {
                let pause = Duration::from_millis(u64::from(*delay_ms));
                Why::Asked(pause.min(LONGEST_SPREAD))
            }
            Self::Refused { retry_ms, .. } if *retry_ms > 0 && self.rejected("").is_none() => {
                Why::Asked(Duration::from_millis(u64::from(*retry_ms)))
            }
            _ if self.rejected("").is_some() => Why::Refused,
            _ => Why::Broken,
        }
    }

    /// What it says about the tracker: a try that began then, or a connection.
    pub(super) fn how(&self, tried: Option<Instant>) -> How {
        match (self, tried) {
            (Self::Refused { .. } | Self::Version(_), _) => How::Refused,
            (Self::Goaway(_), None) => match self.why() {
                Why::Asked(pause) => How::SentAway(pause),
                _ => How::Lost,
            },
            (_, Some(began)) => How::Unreached(began),
            (_, None) => How::Lost,
        }
    }

    /// For what a person has to mend, not time: what happened, and what to do.
    pub(super) fn rejected(&self, address: &str) -> Option<String> {
        Some(match self {
            Self::Channel(error @ ChannelError::WrongKey { .. }) => format!(
                "the tracker at {address} is not the one of the join string ({error}): the join string is outdated, or somebody stands in between; ask for a new join string"
            ),
            Self::Refused { code: Code::Auth, text, .. } => format!(
                "the tracker at {address} does not let us in (wrong or missing secret): {}",
                show(text)
            ),
            Self::Refused { code: Code::Version, .. } | Self::Version(_) => format!(
                "the tracker at {address} speaks another protocol version; update the older program"
            ),
            Self::Refused { code: Code::Duplicate, .. } => format!(
                "another program with the same identity is connected to the tracker at {address}; stop one of the two, or give it a state folder of its own"
            ),
            Self::Refused {
                code: Code::NotMember | Code::Revoked | Code::NotPermitted,
                text,
                ..
            } => format!(
                "the tracker at {address} does not let us in: {}; ask its owner",
                show(text)
            ),
            _ => return None,
        })
    }
}

/// A connection to a tracker of the network: proven to have its key.
pub(super) struct Reached {
    secure: Secure<TcpStream>,
    /// All addresses of the host.
    addrs: Vec<SocketAddr>,
    /// The one of them that answered.
    tracker: SocketAddr,
    /// The address of ours that it comes from.
    own: IpAddr,
    /// It comes from the port we listen on.
    punches: bool,
}

/// Says HELLO to the tracker at `host` that was reached. `opening` is asked at the last
/// moment for the digest of our shares, and for what is asked at once: that is read there after HELLO was found right,
/// and answered after WELCOME, by trackers of every version.
pub(super) async fn greet(
    config: &AnnouncerConfig,
    host: &Host,
    reached: Reached,
    opening: impl FnOnce() -> (Hash, Vec<Request>),
) -> Result<Link, Ended> {
    let Reached { secure, addrs, tracker, own, punches } = reached;
    let address = host.address();
    let secret = config.join.secret();
    let proof = secret.map(|secret| Hash::from_bytes(secret.proof(PROOF_ROLE, &secure.exporter)));
    let (digest, early) = opening();
    let local = config.local.now();
    let hello = Request::Hello(Hello {
        versions: (PROTOCOL_MIN, PROTOCOL_VERSION),
        agent: cut(&config.agent, MAX_AGENT).to_owned(),
        nick: cut(&config.nick, MAX_NICK).to_owned(),
        port: config.listen.port(),
        local: local.clone(),
        proof,
        digest,
        punches,
        counts: true,
    });
    let (mut reader, mut writer) = secure.into_frames();
    let asked = Instant::now();
    let answer = async {
        writer.write(hello.kind(), &hello.body()).await?;
        for request in early {
            writer.write(request.kind(), &request.body()).await?;
        }
        writer.flush().await?;
        let frame = reader.read(MAX_FRAME_BEFORE_HELLO).await?;
        Ok::<_, Ended>(Reply::decode(frame.kind, &frame.body)?)
    };
    let answer = timeout(WELCOME_TIMEOUT, answer).await.map_err(|_| Ended::Silent(address))??;
    match answer {
        Some(Reply::Welcome(welcome)) => {
            check(&welcome)?;
            let place = Place { tracker, observed: welcome.observed, also: None };
            let told = welcome.other_family.as_deref();
            let other_family = other_family(&place, config.listen, &addrs, told);
            let came = Instant::now();
            let took = came.duration_since(asked);
            Ok(Link {
                reader,
                writer,
                place,
                local,
                own,
                punches,
                other_family,
                welcome,
                addrs,
                digest,
                came,
                took,
            })
        }
        Some(Reply::Error { code, text, retry_ms, .. }) => {
            Err(Ended::Refused { code, text, retry_ms })
        }
        Some(Reply::Goaway { delay_ms }) => Err(Ended::Goaway(delay_ms)),
        _ => Err(Ended::Protocol("no welcome")),
    }
}

/// The tracker of the network on that host. Of what is only a tracker's word some addresses are not tried; `named` are
/// addresses where one that the join string names was found before.
pub(super) async fn find(
    config: &AnnouncerConfig,
    host: &Host,
    named: &[SocketAddr],
) -> Result<Reached, Ended> {
    let channel = Channel::new(&config.identity)?;
    let mut addrs = in_order(resolve(host.addrs(), RESOLVE_TIMEOUT).await?, config.listen);
    if !host.is_named() {
        let join = &config.join;
        let mut beside = named.to_vec();
        if where_it_says(&addrs, &beside).len() < addrs.len() {
            let hosts = join.addresses().chain(join.standbys());
            beside.extend(resolve(hosts, BESIDE_TIMEOUT).await.unwrap_or_default());
        }
        addrs = where_it_says(&addrs, &beside);
        addrs.truncate(conn::MAX_TRIES);
    }
    let from = config.shared_port.then(|| config.listen.port());
    reach(&channel, (config.join.tracker(), host.address()), addrs, from).await
}

/// What a look for one of the trackers before the present one found.
pub(super) enum Found {
    /// The one at this place in the order lets us in.
    Earlier(usize, Box<Link>),
    /// The one at this place is the present one, by another name.
    Present(usize),
}

/// A look, and what it finds; or why nothing.
pub(super) type Looking = Pin<Box<dyn Future<Output = Result<Found, String>> + Send>>;

/// Resolves, once, when the look is over; never while there is none.
pub(super) async fn looked(looking: &mut Option<Looking>) -> Result<Found, String> {
    let Some(look) = looking else { return std::future::pending().await };
    let found = look.await;
    *looking = None;
    found
}

/// The first of these that lets us in: so the present one is not left for one that does not. Nothing else is asked there
/// yet: one that is at `present` is the present one, which a second hello would take for our own double. `limit` is the
/// time for each. Fails with what was wrong with the first.
pub(super) async fn look(
    (config, shared): (AnnouncerConfig, Arc<Shared>),
    before: Vec<(usize, Host)>,
    (named, present): (Vec<SocketAddr>, Option<SocketAddr>),
    limit: Duration,
) -> Result<Found, String> {
    let mut wrong = None;
    for (at, host) in before {
        let attempt = async {
            let reached = find(&config, &host, &named).await?;
            if present == Some(reached.tracker) {
                return Ok(None);
            }
            let said = || (shared.desired().digest(), Vec::new());
            greet(&config, &host, reached, said).await.map(Some)
        };
        let failed = match timeout(limit, attempt).await {
            Ok(Ok(Some(link))) => return Ok(Found::Earlier(at, Box::new(link))),
            Ok(Ok(None)) => return Ok(Found::Present(at)),
            Ok(Err(ended)) => ended.rejected(&host.address()).unwrap_or_else(|| ended.to_string()),
            Err(_) => Ended::Silent(host.address()).to_string(),
        };
        tracing::debug!("still at a standby: {failed}");
        wrong = wrong.or(Some(failed));
    }
    Err(wrong.unwrap_or_default())
}

/// The first of a host's addresses behind which the tracker's key is. A private address means another machine
/// in another network, so one with the wrong key behind it is no reason to give up the rest.
async fn reach(
    channel: &Channel,
    (key, address): (PeerId, String),
    addrs: Vec<SocketAddr>,
    from: Option<u16>,
) -> Result<Reached, Ended> {
    let mut left = addrs.clone();
    let mut failed = None;
    while !left.is_empty() {
        let ((stream, punches), tracker) = match conn::connect_from(from, &left).await {
            Ok(connected) => connected,
            Err(error) => {
                left.drain(..left.len().min(conn::MAX_TRIES));
                failed = failed.or(Some(Ended::Connect(address.clone(), error)));
                continue;
            }
        };
        // Small requests should not wait for more.
        let _ = stream.set_nodelay(true);
        let own = stream.local_addr().map_or(tracker.ip(), |own| own.ip());
        let secure = channel.connect(stream, &key, Purpose::Tracker);
        match timeout(TLS_TIMEOUT, secure).await {
            Ok(Ok(secure)) => return Ok(Reached { secure, addrs, tracker, own, punches }),
            // What was wrong there tells more than that others are silent.
            Ok(Err(error)) => failed = Some(error.into()),
            Err(_) => failed = failed.or(Some(Ended::Silent(address.clone()))),
        }
        left.retain(|addr| *addr != tracker);
    }
    Err(failed.unwrap_or(Ended::Silent(address)))
}

/// Addresses of a tracker that it names itself and that are tried: it is only its word that they are its own.
const TOLD: usize = 2;

/// Where to show the tracker that we are in the other family too: where the join string names it, and where it says that
/// it is, but not beyond what a tracker may send us to.
fn other_family(
    place: &Place,
    listen: SocketAddr,
    named: &[SocketAddr],
    told: Option<&[SocketAddr]>,
) -> Vec<SocketAddr> {
    let Some(told) = told else { return Vec::new() };
    let is_v4 = |addr: &SocketAddr| addr.ip().to_canonical().is_ipv4();
    let other = |addr: &&SocketAddr| is_v4(addr) != is_v4(&place.tracker) && serves(listen, addr);
    let told = place.filter_tracker(told).into_iter().take(TOLD);
    let mut all: Vec<SocketAddr> = named.iter().filter(other).copied().collect();
    all.extend(told.filter(|addr| other(&addr)));
    all
}

/// Whether who listens there can be reached over the family of `addr`.
fn serves(listen: SocketAddr, addr: &SocketAddr) -> bool {
    let both = listen.is_ipv6() && listen.ip().is_unspecified();
    both || listen.ip().to_canonical().is_ipv4() == addr.ip().to_canonical().is_ipv4()
}

/// A tracker's addresses as they are tried: where peers could reach us first, and IPv4 before IPv6, so that private
/// addresses mean what they did when there was nothing else; the tracker is shown the other family afterwards.
fn in_order(mut addrs: Vec<SocketAddr>, listen: SocketAddr) -> Vec<SocketAddr> {
    addrs.sort_by_key(|addr| (!serves(listen, addr), addr.is_ipv6()));
    addrs
}

/// All addresses of these hosts, in the order they are to be tried.
async fn resolve(
    hosts: impl Iterator<Item = (&str, u16)>,
    limit: Duration,
) -> Result<Vec<SocketAddr>, Ended> {
    let mut first = None;
    let lookups = hosts.map(|host| {
        first.get_or_insert_with(|| host.0.to_owned());
        timeout(limit, tokio::net::lookup_host(host))
    });
    let (mut all, mut failed) = (Vec::new(), None);
    for found in join_all(lookups).await {
        match found.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
            Ok(found) => {
                let found: Vec<SocketAddr> = found.collect();
                all.extend(in_turn(&found));
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    let mut once = HashSet::new();
    all.retain(|addr| once.insert(*addr));
    match failed {
        Some(error) if all.is_empty() => Err(Ended::Resolve(first.unwrap_or_default(), error)),
        _ => Ok(all),
    }
}

/// Whether a welcome is one we can live with.
pub(super) fn check(welcome: &Welcome) -> Result<(), Ended> {
    if !(PROTOCOL_MIN..=PROTOCOL_VERSION).contains(&welcome.version) {
        return Err(Ended::Version(welcome.version));
    }
    if welcome.membership.len() > MAX_MEMBERSHIP {
        return Err(Ended::Protocol("a membership that is too long"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addrs(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|addr| addr.parse().unwrap()).collect()
    }

    #[test]
    fn a_tracker_is_reached_where_peers_reach_us_and_shown_the_other_family() {
        let dual: SocketAddr = "[::]:7421".parse().unwrap();
        let v4: SocketAddr = "0.0.0.0:7421".parse().unwrap();
        // A name in a LAN: a global address of IPv6, a private one of IPv4.
        let named = addrs(&["[2001:db8::1]:7420", "192.168.1.1:7420"]);
        let tried = in_order(named.clone(), dual);
        assert_eq!(tried, addrs(&["192.168.1.1:7420", "[2001:db8::1]:7420"]));
        let v6: SocketAddr = "[2001:db8::7]:7421".parse().unwrap();
        assert_eq!(in_order(named.clone(), v6), named);
        let place =
            Place { tracker: tried[0], observed: "192.168.1.7:1".parse().unwrap(), also: None };
        let told = addrs(&["[2001:db8::2]:7420", "[2001:db8::3]:7420", "[2001:db8::4]:7420"]);
        let shown = addrs(&["[2001:db8::1]:7420", "[2001:db8::2]:7420", "[2001:db8::3]:7420"]);
        assert_eq!(other_family(&place, dual, &tried, Some(&told)), shown);
        assert!(other_family(&place, dual, &tried, None).is_empty(), "an older tracker");
        assert!(other_family(&place, v4, &tried, Some(&told)).is_empty(), "nobody listens there");
        // Reached over IPv6, named at a private address too: that is no word of the tracker's.
        let place = Place { tracker: named[0], observed: v6, also: None };
        assert_eq!(other_family(&place, dual, &named, Some(&[])), addrs(&["192.168.1.1:7420"]));
        let loopback = addrs(&["127.0.0.1:22", "169.254.169.254:80"]);
        assert!(other_family(&place, dual, &[], Some(&loopback)).is_empty());
    }

    #[test]
    fn only_what_a_person_must_mend_is_a_rejection() {
        let refused = |code, retry_ms| Ended::Refused { code, text: "x\u{1b}".into(), retry_ms };
        let auth = refused(Code::Auth, 0);
        assert_eq!(auth.why(), Why::Refused);
        let text = auth.rejected("t:1").unwrap();
        assert!(text.contains("t:1") && text.contains("secret") && !text.contains('\u{1b}'));
        assert_eq!(refused(Code::Busy, 700).why(), Why::Asked(Duration::from_millis(700)));
        assert_eq!(refused(Code::Busy, 0).why(), Why::Broken);
        assert_eq!(Ended::Goaway(5).why(), Why::Asked(Duration::from_millis(5)));
        assert!(Ended::Timeout.rejected("t:1").is_none());
    }
}
