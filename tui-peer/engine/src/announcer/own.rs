//! The addresses that the tracker is told of, and when they are others.

use std::fmt;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use common::limits::MAX_ADDRS;

type Ask<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// Tells the addresses at which we listen now, best first. Asks the kernel only, and does not wait.
#[derive(Clone)]
pub(crate) struct OwnAddresses {
    machine: Ask<Vec<SocketAddr>>,
    outside: Ask<Option<SocketAddr>>,
}

impl OwnAddresses {
    pub(crate) fn new(ask: impl Fn() -> Vec<SocketAddr> + Send + Sync + 'static) -> Self {
        Self { machine: Arc::new(ask), outside: Arc::new(|| None) }
    }

    /// The same, and one outside of this network while there is one: last, since who is near needs no router.
    pub(crate) fn with_outside(
        mut self,
        outside: impl Fn() -> Option<SocketAddr> + Send + Sync + 'static,
    ) -> Self {
        self.outside = Arc::new(outside);
        self
    }

    /// Those of this machine alone: while they are the same, so is the network it is in, whatever its router lets in.
    pub(super) fn of_machine(&self) -> Vec<SocketAddr> {
        (self.machine)()
    }

    /// As the tracker is told of them: no more than it takes.
    pub(super) fn now(&self) -> Vec<SocketAddr> {
        let (mut addrs, outside) = (self.of_machine(), (self.outside)());
        addrs.truncate(MAX_ADDRS - usize::from(outside.is_some()));
        addrs.extend(outside);
        addrs
    }

    /// Those of now, if they are others than `told`. The order alone is no news: a route that changes turns it round.
    pub(super) fn news(&self, told: &[SocketAddr]) -> Option<Vec<SocketAddr>> {
        let now = self.now();
        (!are_same(&now, told)).then_some(now)
    }
}

/// Whatever their order.
pub(super) fn are_same(some: &[SocketAddr], others: &[SocketAddr]) -> bool {
    some.len() == others.len() && some.iter().all(|addr| others.contains(addr))
}

impl fmt::Debug for OwnAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.now().fmt(f)
    }
}

/// Whether an address is one of this machine (or the system does not say): a connection from one that is not leads
/// nowhere any more.
pub(crate) fn is_ours(ip: IpAddr) -> bool {
    // Nothing is sent.
    match UdpSocket::bind((ip, 0)) {
        Err(error) => error.kind() != std::io::ErrorKind::AddrNotAvailable,
        Ok(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_order_is_no_news_and_another_address_is() {
        let addrs = |text: &[&str]| -> Vec<SocketAddr> {
            text.iter().map(|addr| addr.parse().unwrap()).collect()
        };
        let told = addrs(&["10.0.0.5:7001", "[2001:db8::5]:7001"]);
        let own = |now: Vec<SocketAddr>| OwnAddresses::new(move || now.clone());
        assert_eq!(own(addrs(&["[2001:db8::5]:7001", "10.0.0.5:7001"])).news(&told), None);
        let moved = addrs(&["192.168.7.5:7001"]);
        assert_eq!(own(moved.clone()).news(&told), Some(moved));
        assert!(own(told.clone()).news(&told[..1]).is_some() && own(vec![]).news(&told).is_some());
        assert_eq!(own(vec![told[0]; 20]).now().len(), MAX_ADDRS);
        // Where a router lets others in is never among those that are too many.
        let outside = addrs(&["203.0.113.9:4711"])[0];
        let all = own(vec![told[0]; 20]).with_outside(move || Some(outside)).now();
        assert_eq!((all.len(), all.last()), (MAX_ADDRS, Some(&outside)));
        assert_eq!(own(told.clone()).with_outside(|| None).now(), told);
        let mapped = own(told.clone()).with_outside(move || Some(outside));
        assert!(mapped.news(&told).is_some(), "the tracker is told");
        assert!(are_same(&mapped.of_machine(), &told), "but it is no other network");
        assert!(is_ours([127, 0, 0, 1].into()) && !is_ours([192, 0, 2, 1].into()));
    }
}
