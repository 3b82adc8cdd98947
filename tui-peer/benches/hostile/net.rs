//! A network of namespaces: a router, and hosts behind links of their own, so that no two are neighbours
//! (addresses on the same link are exempt from the rules for addresses). Needs root and iproute2.

use std::process::{Command, Stdio};

/// Prefix of the names of all that is made here.
const NAME: &str = "shoalh";

/// The network; taken down when dropped.
pub(crate) struct Net {
    hosts: u8,
}

impl Net {
    /// A router with `hosts` hosts, of which host `n` has the addresses `10.77.n.2` to `10.77.n.31`.
    pub(crate) fn up(hosts: u8) -> Self {
        let net = Self { hosts };
        net.down();
        ip(&format!("netns add {NAME}-hub"));
        ip(&format!("-n {NAME}-hub link set lo up"));
        ip(&format!("netns exec {NAME}-hub sysctl -qw net.ipv4.ip_forward=1"));
        for n in 0..hosts {
            ip(&format!("netns add {NAME}-{n}"));
            ip(&format!("-n {NAME}-{n} link set lo up"));
            ip(&format!("link add eth netns {NAME}-{n} type veth peer name h{n} netns {NAME}-hub"));
            ip(&format!("-n {NAME}-hub addr add 10.77.{n}.1/24 dev h{n}"));
            ip(&format!("-n {NAME}-hub link set h{n} up"));
            for last in 2..32 {
                ip(&format!("-n {NAME}-{n} addr add 10.77.{n}.{last}/24 dev eth"));
            }
            ip(&format!("-n {NAME}-{n} link set eth up"));
            ip(&format!("-n {NAME}-{n} route add default via 10.77.{n}.1"));
        }
        net
    }

    /// The first address of a host.
    pub(crate) fn addr(host: u8) -> String {
        format!("10.77.{host}.2")
    }

    /// A command that runs `program` on a host, as politely as `nice` says.
    pub(crate) fn on(host: u8, nice: u8, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("{NAME}-{host}"), "nice", "-n", &nice.to_string()]);
        command.arg(program);
        command
    }

    fn down(&self) {
        for name in (0..self.hosts).map(|n| n.to_string()).chain(["hub".to_owned()]) {
            let _ = Command::new("ip")
                .args(["netns", "del", &format!("{NAME}-{name}")])
                .stderr(Stdio::null())
                .status();
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.down();
    }
}

fn ip(args: &str) {
    let status = Command::new("ip").args(args.split(' ')).status();
    assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "ip {args}: {status:?}");
}
