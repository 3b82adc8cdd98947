//! Where programs of ours listen.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket};

/// Connections that the kernel keeps until they are accepted, if it allows so many: those of a crowd that comes back at
/// once. Who finds no place tries again a second later.
const BACKLOG: u32 = 4096;

/// Listens on `addr`. `[::]` means both IPv6 and IPv4, whatever the system's default is; where it cannot be both, IPv4
/// alone. Other addresses are taken as they are.
///
/// # Errors
/// As of `bind` and `listen`.
///
/// # Panics
/// Outside of a runtime of tokio.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    bind(addr)?.listen(BACKLOG)
}

/// Where [`listen`] would listen, which port included; needs no runtime.
///
/// # Errors
/// As of `bind`.
pub fn try_listen(addr: SocketAddr) -> io::Result<SocketAddr> {
    bind(addr)?.local_addr()
}

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    match open(addr) {
        Err(error) if is_everywhere(addr) && has_no_ipv6(&error) => {
            open(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), addr.port()))
        }
        opened => opened,
    }
}

/// The address without the IPv6 disguise that one of IPv4 has at a listener for both.
pub fn plain(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

fn open(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of an earlier run that are not quite over yet do not keep the port.
    socket.set_reuseaddr(true)?;
    if addr.is_ipv6() {
        let only = !is_everywhere(addr);
        match setsockopt(&socket, sockopt::Ipv6V6Only, &only) {
            // A system whose IPv6 never takes IPv4: that alone is what more peers have.
            Err(_) if !only => return Err(rustix::io::Errno::AFNOSUPPORT.into()),
            Err(error) => return Err(error.into()),
            Ok(()) => {}
        }
    }
    socket.bind(addr)?;
    Ok(socket)
}

fn is_everywhere(addr: SocketAddr) -> bool {
    addr.is_ipv6() && addr.ip().is_unspecified()
}

/// Built or started without IPv6, or with none on any interface.
fn has_no_ipv6(error: &io::Error) -> bool {
    let none = [rustix::io::Errno::AFNOSUPPORT, rustix::io::Errno::ADDRNOTAVAIL];
    none.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answers(host: &str, port: u16) -> bool {
        tokio::net::TcpStream::connect((host, port)).await.is_ok()
    }

    #[tokio::test]
    async fn one_listener_serves_both_families() {
        let listener = listen("[::]:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(answers("127.0.0.1", port).await);
        let (_, from) = listener.accept().await.unwrap();
        assert!(plain(from).is_ipv4(), "{from}");
        if listener.local_addr().unwrap().is_ipv6() {
            assert!(answers("::1", port).await);
        }
        // The port is taken for IPv4 too: a second program is refused rather than served half.
        let second = listen(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port));
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let third = try_listen(SocketAddr::new(listener.local_addr().unwrap().ip(), port));
        assert_eq!(third.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn who_asks_for_one_family_gets_one() {
        let listener = listen("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(answers("127.0.0.1", port).await && !answers("::1", port).await);
    }

    #[test]
    fn a_machine_without_ipv6_is_known_by_its_errors() {
        let of = |errno: rustix::io::Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        assert!(has_no_ipv6(&of(rustix::io::Errno::AFNOSUPPORT)));
        assert!(!has_no_ipv6(&of(rustix::io::Errno::ADDRINUSE)));
        assert!(is_everywhere("[::]:1".parse().unwrap()));
        assert!(
            !is_everywhere("[::1]:1".parse().unwrap())
                && !is_everywhere("0.0.0.0:1".parse().unwrap())
        );
    }
}
