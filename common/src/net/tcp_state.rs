//! How TCP finds a connection: its round trips, and what has arrived at the other end.

use std::os::fd::AsFd;
use std::time::Duration;

/// What the system tells of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpState {
    /// Its round trip now, smoothed.
    pub rtt: Duration,
    /// The shortest in the last minutes, its handshake's included.
    pub least_rtt: Duration,
    /// Bytes that arrived at the other end since it began.
    pub acked: u64,
}

impl TcpState {
    /// As it is now; `None` where the system does not tell: other systems than Linux, and Linux before 4.9.
    #[cfg(target_os = "linux")]
    pub fn of(socket: &impl AsFd) -> Option<Self> {
        linux::tells(socket).then(|| linux::get(socket))?
    }

    /// As it is now; `None` where the system does not tell.
    #[cfg(not(target_os = "linux"))]
    pub fn of(_: &impl AsFd) -> Option<Self> {
        None
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::AsFd;
    use std::panic::AssertUnwindSafe;
    use std::sync::OnceLock;
    use std::time::Duration;

    use nix::libc;

    use super::TcpState;

    /// The first part of Linux' `struct tcp_info`, to `tcpi_delivery_rate`, in words: newer systems give as much as is
    /// asked for.
    type Words = [u32; 42];

    /// Where in it, in words (`include/uapi/linux/tcp.h`).
    const RTT: usize = 17;
    const MIN_RTT: usize = 37;
    const BYTES_ACKED: usize = 30;

    /// The first Linux that gives all of that. An older one gives less, which nix takes for an error of ours.
    const SINCE: (u32, u32) = (4, 9);

    #[derive(Debug, Clone, Copy)]
    struct TcpInfo;

    nix::getsockopt_impl!(
        TcpInfo,
        libc::IPPROTO_TCP,
        libc::TCP_INFO,
        Words,
        nix::sys::socket::sockopt::GetStruct<Words>
    );

    /// Whether the system gives so much, by its version and by the first answer: what only looks like Linux may give
    /// less, and nix panics at that.
    pub(super) fn tells(socket: &impl AsFd) -> bool {
        static TELLS: OnceLock<bool> = OnceLock::new();
        *TELLS.get_or_init(|| {
            let uname = rustix::system::uname();
            let version = version(&uname.release().to_string_lossy());
            let first = || std::panic::catch_unwind(AssertUnwindSafe(|| get(socket)));
            version.is_some_and(|version| version >= SINCE) && first().is_ok()
        })
    }

    pub(super) fn get(socket: &impl AsFd) -> Option<TcpState> {
        of(&nix::sys::socket::getsockopt(socket, TcpInfo).ok()?)
    }

    fn version(release: &str) -> Option<(u32, u32)> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }

    fn of(words: &Words) -> Option<TcpState> {
        let micros = |at: usize| Some(Duration::from_micros(u64::from(*words.get(at)?)));
        let [low, high] = [*words.get(BYTES_ACKED)?, *words.get(BYTES_ACKED + 1)?];
        let acked = match cfg!(target_endian = "little") {
            true => u64::from(high) << 32 | u64::from(low),
            false => u64::from(low) << 32 | u64::from(high),
        };
        Some(TcpState { rtt: micros(RTT)?, least_rtt: micros(MIN_RTT)?, acked })
    }

    #[cfg(test)]
    #[test]
    fn versions_are_read() {
        assert_eq!(version("6.18.0-rc1+"), Some((6, 18)));
        assert_eq!(version("4.9.337"), Some((4, 9)));
        assert_eq!(version("4.4.0-gvisor").filter(|v| *v >= SINCE), None);
        assert_eq!(version("unknown"), None);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_tells_what_arrived_and_how_long_it_takes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut there, _) = listener.accept().unwrap();
        here.write_all(&[7; 10_000]).unwrap();
        there.read_exact(&mut [0; 10_000]).unwrap();
        // What answers them has acknowledged them.
        there.write_all(&[1]).unwrap();
        here.read_exact(&mut [0]).unwrap();
        let state = TcpState::of(&here).unwrap();
        // Linux counts the SYN.
        assert!((10_000..=10_001).contains(&state.acked), "{state:?}");
        assert!(!state.rtt.is_zero() && state.rtt < Duration::from_secs(1), "{state:?}");
        assert!(!state.least_rtt.is_zero() && state.least_rtt <= state.rtt, "{state:?}");
        assert_eq!(TcpState::of(&listener).map(|state| state.acked), Some(0), "no connection");
    }
}
