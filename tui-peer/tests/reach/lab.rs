//! A bridge is "the Internet"; the tracker and public hosts hang on it, others are behind a router.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the tracker is in public.
const TRACKER: &str = "203.0.113.10";

/// Where a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Reached by everybody.
    Public,
    /// Behind a router that keeps ports, as most at home do, and lets nothing in.
    Easy,
    /// Behind one that takes another port for each destination.
    Hard,
}

impl Place {
    pub(crate) const ALL: [Self; 3] = [Self::Public, Self::Easy, Self::Hard];
}

/// The namespaces of one test; gone when dropped.
pub(crate) struct Lab {
    tag: String,
    made: Vec<String>,
    /// Where the tracker is.
    pub(crate) tracker: &'static str,
}

impl Lab {
    pub(crate) fn new(source: Place, getter: Place) -> Self {
        let mut lab = Self::empty();
        lab.make("net");
        lab.ip("net", "link add br0 type bridge");
        lab.ip("net", "link set br0 up");
        lab.attach("trk", &format!("{TRACKER}/24"));
        lab.place("a", 20, source);
        lab.place("b", 30, getter);
        lab
    }

    /// Tracker, source and getter in private networks with a router between them that carries a megabyte a second to each;
    /// source and getter in another one too, which is theirs alone and fast.
    pub(crate) fn with_two_networks() -> Self {
        let mut lab = Self::empty();
        lab.tracker = "10.1.10.2";
        lab.make("net");
        let router = lab.name("net");
        run(&format!("ip netns exec {router} sysctl -qw net.ipv4.ip_forward=1"));
        for (name, n) in [("trk", 10), ("a", 20), ("b", 30)] {
            lab.make(name);
            let new = lab.name(name);
            run(&format!("ip link add w{name} netns {router} type veth peer name wan netns {new}"));
            lab.ip("net", &format!("addr add 10.1.{n}.1/24 dev w{name}"));
            lab.ip("net", &format!("link set w{name} up"));
            lab.ip(name, &format!("addr add 10.1.{n}.2/24 dev wan"));
            lab.ip(name, "link set wan up");
            lab.ip(name, &format!("route add default via 10.1.{n}.1"));
            let slow =
                format!("qdisc add dev w{name} root tbf rate 8mbit burst 16kb latency 100ms");
            run(&format!("ip netns exec {router} tc {slow}"));
        }
        let [a, b] = ["a", "b"].map(|name| lab.name(name));
        run(&format!("ip link add fast netns {a} type veth peer name fast netns {b}"));
        for (name, n) in [("a", 20), ("b", 30)] {
            lab.ip(name, &format!("addr add 10.2.0.{n}/24 dev fast"));
            lab.ip(name, "link set fast up");
        }
        lab
    }

    /// The tracker is no neighbour of anybody: it looks whether others can be reached.
    pub(crate) fn set_tracker_apart(&self) {
        self.ip("trk", "addr flush dev wan");
        self.ip("trk", &format!("addr add {TRACKER}/32 dev wan"));
        self.ip("trk", "route add 203.0.113.0/24 dev wan");
    }

    fn empty() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let tag = format!("sh{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self { tag, made: Vec::new(), tracker: TRACKER }
    }

    pub(crate) fn in_public(&self, program: &Path) -> Command {
        self.command("trk", program)
    }

    pub(crate) fn at_source(&self, program: &Path) -> Command {
        self.command("a", program)
    }

    pub(crate) fn at_getter(&self, program: &Path) -> Command {
        self.command("b", program)
    }

    /// Gives the machines in public an address of IPv6 too.
    pub(crate) fn add_ipv6(&mut self) {
        for (name, n) in [("trk", 10), ("a", 20), ("b", 30)] {
            self.ip(name, &format!("addr add 2a00:1450:5ca1::{n}/64 dev wan nodad"));
        }
    }

    /// From now on nothing gets through between source and getter over IPv4; both still reach the tracker.
    pub(crate) fn cut_ipv4(&self) {
        self.nft(
            "a",
            "table ip cut { chain in_ { type filter hook input priority -5; ip saddr 203.0.113.30 drop; }; }",
        );
        self.nft(
            "b",
            "table ip cut { chain in_ { type filter hook input priority -5; ip saddr 203.0.113.20 drop; }; }",
        );
    }

    /// The router of the source lets others in at the usual port.
    pub(crate) fn let_in_at_source(&self) {
        self.nft(
            "ra",
            "table ip open { chain pre_ { type nat hook prerouting priority -100;
               iifname \"wan\" tcp dport 7421 dnat to 10.20.0.2; }; }",
        );
        self.nft("ra", "insert rule ip t forward_ iifname \"wan\" tcp dport 7421 accept");
    }

    /// A router of the source that lets others in when it is asked to; to be run.
    pub(crate) fn asked_router_of_source(&self) -> Command {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reach/natpmp.py");
        let mut router = self.command("ra", Path::new("python3"));
        router.args([script, "203.0.113.20", "10.20.0.1"]);
        router
    }

    /// A machine `name`, behind a router of its own if need be.
    fn place(&mut self, name: &str, n: u8, place: Place) {
        let public = format!("203.0.113.{n}/24");
        if place == Place::Public {
            return self.attach(name, &public);
        }
        let router = format!("r{name}");
        self.attach(&router, &public);
        self.make(name);
        let (inner, outer) = (self.name(name), self.name(&router));
        run(&format!("ip link add lan netns {outer} type veth peer name eth0 netns {inner}"));
        self.ip(&router, &format!("addr add 10.{n}.0.1/24 dev lan"));
        self.ip(&router, "link set lan up");
        self.ip(name, &format!("addr add 10.{n}.0.2/24 dev eth0"));
        self.ip(name, "link set eth0 up");
        self.ip(name, &format!("route add default via 10.{n}.0.1"));
        run(&format!("ip netns exec {outer} sysctl -qw net.ipv4.ip_forward=1"));
        let ports = if place == Place::Hard { "fully-random" } else { "" };
        let rules = format!(
            "table ip t {{
               chain post_ {{ type nat hook postrouting priority 100; oifname \"wan\" masquerade {ports}; }}
               chain forward_ {{ type filter hook forward priority 0; policy drop;
                 iifname \"lan\" accept; ct state established,related accept; }}
               chain input_ {{ type filter hook input priority 0; policy drop;
                 iifname \"lo\" accept; iifname \"lan\" accept; ct state established,related accept; }}
             }}"
        );
        self.nft(&router, &rules);
    }

    fn nft(&self, name: &str, rules: &str) {
        let mut nft = Command::new("ip");
        nft.args(["netns", "exec", &self.name(name), "nft", "--", rules]);
        assert!(nft.status().expect("nftables").success(), "{rules}");
    }

    /// A namespace on the bridge.
    fn attach(&mut self, name: &str, addr: &str) {
        self.make(name);
        let (net, new) = (self.name("net"), self.name(name));
        run(&format!("ip link add w{name} netns {net} type veth peer name wan netns {new}"));
        self.ip("net", &format!("link set w{name} master br0 up"));
        self.ip(name, &format!("addr add {addr} dev wan"));
        self.ip(name, "link set wan up");
    }

    fn make(&mut self, name: &str) {
        let full = self.name(name);
        run(&format!("ip netns add {full}"));
        self.made.push(full);
        self.ip(name, "link set lo up");
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.tag)
    }

    fn ip(&self, name: &str, what: &str) {
        run(&format!("ip -n {} {what}", self.name(name)));
    }

    fn command(&self, name: &str, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(name)]).arg(program);
        command
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in &self.made {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn run(line: &str) {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    let status = command.args(words).stdin(Stdio::null()).status();
    assert!(status.expect("root and iproute2").success(), "{line}");
}
