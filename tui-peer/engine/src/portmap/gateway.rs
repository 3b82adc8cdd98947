//! The router that leads out of this network, as the system's table of routes names it.

use std::net::{IpAddr, Ipv4Addr};

use common::net::own_address_to;

use super::Why;
use crate::announcer::is_private;

/// Flags of a route: it is up, and leads over a router (`linux/route.h`).
const UP_OVER_A_ROUTER: u32 = 0x1 | 0x2;

/// Bytes of the table that are looked at: thousands of routes. Where there are more, a default route that comes later is
/// not seen.
const MAX_TABLE: u64 = 1 << 20;

/// A router, and where this machine stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gateway {
    /// The router's address in this network.
    pub(super) at: Ipv4Addr,
    /// The address of this machine that leads there.
    pub(super) own: Ipv4Addr,
}

impl Gateway {
    /// The router of now. Asks the kernel only, and does not wait.
    ///
    /// # Errors
    /// [`Why::NoRouter`] where the system names none (only Linux is asked), [`Why::NotPrivate`] where none is needed.
    pub(crate) fn find() -> Result<Self, Why> {
        let at = default_router(&table().ok_or(Why::NoRouter)?).ok_or(Why::NoRouter)?;
        let own = own_address(at).ok_or(Why::NoRouter)?;
        Self::new(at, own)
    }

    pub(super) fn new(at: Ipv4Addr, own: Ipv4Addr) -> Result<Self, Why> {
        // No router translates for who is outside, and none that is outside is ours to ask.
        let both = is_private(own.into()) && is_private(at.into());
        if both { Ok(Self { at, own }) } else { Err(Why::NotPrivate) }
    }
}

fn table() -> Option<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open("/proc/self/net/route").ok()?;
    file.take(MAX_TABLE).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The router of the default route with the lowest metric; among equals the first.
fn default_router(table: &str) -> Option<Ipv4Addr> {
    let routes = table.lines().skip(1).filter_map(default_route);
    routes.min_by_key(|(metric, _)| *metric).map(|(_, at)| at)
}

/// Metric and router, if the line is a default route over a router that is up. Its columns: interface, destination, router,
/// flags, references, uses, metric, mask ...; addresses as the bytes of memory in hexadecimal.
fn default_route(line: &str) -> Option<(u32, Ipv4Addr)> {
    let mut columns = line.split_ascii_whitespace();
    let mut column = |skipped: usize| columns.nth(skipped);
    let address = |text: &str| {
        let bits = u32::from_str_radix(text, 16).ok()?;
        Some(Ipv4Addr::from(bits.to_ne_bytes()))
    };
    let to = address(column(1)?)?;
    let at = address(column(0)?)?;
    let flags = u32::from_str_radix(column(0)?, 16).ok()?;
    let metric = column(2)?.parse().ok()?;
    let mask = address(column(0)?)?;
    let is_default = to.is_unspecified() && mask.is_unspecified();
    let leads_out = flags & UP_OVER_A_ROUTER == UP_OVER_A_ROUTER && !at.is_unspecified();
    (is_default && leads_out).then_some((metric, at))
}

/// The address from which this machine speaks to the router.
fn own_address(router: Ipv4Addr) -> Option<Ipv4Addr> {
    match own_address_to(router.into())? {
        IpAddr::V4(own) => Some(own),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

    fn hex(ip: [u8; 4]) -> String {
        format!("{:08X}", u32::from_ne_bytes(ip))
    }

    fn line(to: [u8; 4], at: [u8; 4], flags: u32, metric: u32, mask: [u8; 4]) -> String {
        format!(
            "eth0\t{}\t{}\t{flags:04X}\t0\t0\t{metric}\t{}\t0\t0\t0\n",
            hex(to),
            hex(at),
            hex(mask)
        )
    }

    #[test]
    fn the_router_is_that_of_the_best_default_route() {
        const ANY: [u8; 4] = [0; 4];
        let lan = line([192, 168, 1, 0], ANY, 1, 100, [255, 255, 255, 0]);
        let wifi = line(ANY, [192, 168, 7, 1], 3, 600, ANY);
        let cable = line(ANY, [192, 168, 1, 1], 3, 100, ANY);
        let down = line(ANY, [192, 168, 9, 1], 2, 1, ANY);
        let tunnel = line(ANY, ANY, 1, 0, ANY);
        let part = line(ANY, [10, 8, 0, 1], 3, 0, [128, 0, 0, 0]);
        let all = [HEAD, &lan, &wifi, &cable, &down, &tunnel, &part].concat();
        assert_eq!(default_router(&all), Some([192, 168, 1, 1].into()));
        assert_eq!(default_router(&[HEAD, &lan, &tunnel].concat()), None);
        assert_eq!(default_router(""), None);
    }

    #[test]
    fn only_who_is_in_a_private_network_has_a_router_to_ask() {
        let find = |at: [u8; 4], own: [u8; 4]| Gateway::new(at.into(), own.into()).is_ok();
        assert!(find([192, 168, 1, 1], [192, 168, 1, 7]) && find([100, 64, 0, 1], [100, 64, 0, 9]));
        assert!(!find([203, 0, 113, 1], [203, 0, 113, 7]), "a server in public");
        assert!(!find([203, 0, 113, 1], [10, 0, 0, 7]) && !find([10, 0, 0, 1], [203, 0, 113, 7]));
        // Of this machine, whatever it has.
        let _ = Gateway::find();
    }

    proptest! {
        #[test]
        fn no_table_upsets_the_parser(text in ".{0,300}", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = default_router(&format!("{HEAD}{text}"));
            let _ = default_router(&String::from_utf8_lossy(&bytes));
        }
    }
}
