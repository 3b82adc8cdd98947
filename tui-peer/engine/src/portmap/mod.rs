//! Port mapping: the router of this network is asked to let others in at a port of its address outside (PCP, RFC 6887, and
//! NAT-PMP, RFC 6886), so that they can dial this machine.
//!
//! - [`gateway`]: which router, from the system's table of routes.
//! - [`lease`]: PURE. When to ask, to renew, to give back, and which answers count.
//! - this file: one question and its answer, by `crab_nat`.
//!
//! What a router says is a hint. Only a public address at which the tracker sees us too is passed on, only to the tracker,
//! and that sends others there only after it was let in itself. UPnP is not spoken: `igd-next` brings 39 new crates (an
//! XML parser, a second HTTP client) for what any machine of the network answers to.

mod gateway;
mod lease;

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;
use std::time::Duration;

use crab_nat::{GatewayAddress, InternetProtocol, PortMappingOptions, TimeoutConfig, natpmp, pcp};
use tokio::time::timeout;

use gateway::Gateway;
pub(crate) use lease::{Lease, Left, Standing, Todo};

use crate::announcer::is_public;

/// How long a router is asked for: what RFC 6886, 3.3 recommends. After that it forgets us by itself.
const LIFETIME: Duration = Duration::from_secs(2 * 3600);

/// First wait for an answer, doubled each time (RFC 6886, 3.1): a router is near.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// A question is sent so many times more: 1.75 s for each of three questions.
const RETRIES: usize = 2;
/// For all of them.
const PATIENCE: Duration = Duration::from_secs(8);
/// For giving back: what is not heard ends by itself.
const GIVING_BACK: Duration = Duration::from_secs(1);

/// Why there is no mapping, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Why {
    #[error("the system names no router (only Linux is asked)")]
    NoRouter,
    #[error("this machine is not in a private network of IPv4")]
    NotPrivate,
    #[error("the router does not answer (NAT-PMP and PCP may be off there)")]
    NoAnswer,
    #[error("the router refuses: {0}")]
    Refused(String),
    #[error("the router has no public address itself, but {0}")]
    BehindAnother(IpAddr),
    #[error("the router gives the address {0}, but the tracker sees another")]
    Elsewhere(Ipv4Addr),
    #[error("the router gives it for {0} s only")]
    TooShort(u64),
    #[error("the router gave it, but nobody comes in there: it was given back")]
    LeadsNowhere,
}

/// What is asked of a router: that TCP `port` of this machine can be reached from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    /// By which a router knows whose mapping it is (PCP).
    pub(crate) nonce: pcp::Nonce,
    pub(crate) port: NonZeroU16,
    /// Where, if that is possible.
    pub(crate) suggested: Option<SocketAddrV4>,
}

/// What a router granted, by its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Granted {
    /// Where others are let in.
    outside: (IpAddr, NonZeroU16),
    /// For how long, from when it was asked.
    lifetime: Duration,
    gateway: Gateway,
    port: NonZeroU16,
    /// With PCP.
    nonce: Option<pcp::Nonce>,
}

/// Asks the router of this network.
///
/// # Errors
/// [`Why`] not.
pub(crate) async fn ask(question: Question) -> Result<Granted, Why> {
    ask_at(Gateway::find()?, question, FIRST_WAIT).await
}

async fn ask_at(
    gateway: Gateway,
    question: Question,
    first_wait: Duration,
) -> Result<Granted, Why> {
    let answer = async {
        let refused = match by_pcp(gateway, question, first_wait).await {
            Ok(granted) => return Ok(granted),
            Err(why) => why,
        };
        match by_natpmp(gateway, question, first_wait).await {
            // What the other protocol said tells more.
            Err(Why::NoAnswer) => Err(refused),
            answer => answer,
        }
    };
    timeout(PATIENCE, answer).await.unwrap_or(Err(Why::NoAnswer))
}

async fn by_pcp(
    gateway: Gateway,
    Question { nonce, port, suggested }: Question,
    first_wait: Duration,
) -> Result<Granted, Why> {
    let base = pcp::BaseMapRequest::new(
        GatewayAddress::IpV4(gateway.at),
        gateway.own.into(),
        InternetProtocol::Tcp,
        port,
    );
    let ip = suggested.map(|at| IpAddr::V4(*at.ip()));
    let answer = pcp::port_mapping(base, Some(nonce), ip, options(port, suggested, first_wait));
    let mapping = answer.await.map_err(|failure| match failure {
        pcp::Failure::Timeout | pcp::Failure::Socket(_) => Why::NoAnswer,
        // It speaks the older protocol only, or none of the two.
        pcp::Failure::UnsupportedVersion(_) => Why::NoAnswer,
        failure => Why::Refused(failure.to_string()),
    })?;
    let crab_nat::PortMappingType::Pcp { external_ip, .. } = mapping.mapping_type() else {
        return Err(Why::NoAnswer);
    };
    Ok(Granted {
        outside: (external_ip, mapping.external_port()),
        lifetime: Duration::from_secs(mapping.lifetime().into()),
        gateway,
        port,
        nonce: Some(nonce),
    })
}

async fn by_natpmp(
    gateway: Gateway,
    Question { port, suggested, .. }: Question,
    first_wait: Duration,
) -> Result<Granted, Why> {
    let refused = |failure| match failure {
        natpmp::Failure::Timeout | natpmp::Failure::Socket(_) => Why::NoAnswer,
        failure => Why::Refused(failure.to_string()),
    };
    let at = GatewayAddress::IpV4(gateway.at);
    let timing = timing(first_wait);
    let ip = natpmp::external_address(at, Some(timing)).await.map_err(refused)?;
    if !is_public(ip.into()) {
        return Err(Why::BehindAnother(ip.into()));
    }
    let options = options(port, suggested, first_wait);
    let mapping = natpmp::port_mapping(at, InternetProtocol::Tcp, port, options);
    let mapping = mapping.await.map_err(refused)?;
    Ok(Granted {
        outside: (ip.into(), mapping.external_port()),
        lifetime: Duration::from_secs(mapping.lifetime().into()),
        gateway,
        port,
        nonce: None,
    })
}

/// Tells the router that it can forget us; whether it heard that does not matter.
pub(crate) async fn give_back(Granted { gateway, port, nonce, .. }: Granted) {
    if !timeout(GIVING_BACK, forget(gateway, port, nonce)).await.unwrap_or(false) {
        tracing::debug!(router = %gateway.at, "nothing was given back");
    }
}

/// Tells it the same of what it was asked, and may have granted: in both protocols, since it did not say yet which it speaks.
pub(crate) async fn take_back(Question { nonce, port, .. }: Question) {
    if let Ok(gateway) = Gateway::find() {
        take_back_at(gateway, nonce, port).await;
    }
}

async fn take_back_at(gateway: Gateway, nonce: pcp::Nonce, port: NonZeroU16) {
    let both =
        async { tokio::join!(forget(gateway, port, Some(nonce)), forget(gateway, port, None)) };
    let _ = timeout(GIVING_BACK, both).await;
}

/// Whether the router says that it has forgotten the mapping of `port`: by PCP with the nonce of the question, by NAT-PMP
/// without.
async fn forget(gateway: Gateway, port: NonZeroU16, nonce: Option<pcp::Nonce>) -> bool {
    let (at, timing) = (GatewayAddress::IpV4(gateway.at), Some(timing(FIRST_WAIT)));
    let protocol = InternetProtocol::Tcp;
    match nonce {
        Some(nonce) => {
            let range = pcp::DropMappingRange::Single { protocol, internal_port: port };
            pcp::try_drop_mapping(at, gateway.own.into(), nonce, range, timing).await.is_ok()
        }
        None => natpmp::try_drop_mapping(at, protocol, Some(port), timing).await.is_ok(),
    }
}

fn options(
    port: NonZeroU16,
    suggested: Option<SocketAddrV4>,
    first_wait: Duration,
) -> PortMappingOptions {
    PortMappingOptions {
        external_port: suggested.and_then(|at| NonZeroU16::new(at.port())).or(Some(port)),
        lifetime_seconds: Some(common::numbers::saturate(LIFETIME.as_secs())),
        timeout_config: Some(timing(first_wait)),
    }
}

fn timing(first_wait: Duration) -> TimeoutConfig {
    TimeoutConfig { initial_timeout: first_wait, max_retries: RETRIES, max_retry_timeout: None }
}

// Other systems have one address of loopback only.
#[cfg(all(test, target_os = "linux"))]
mod tests;
