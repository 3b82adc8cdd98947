//! Connections out of the port that a listener has. A router in between gives them the address at which it lets answers
//! in, so that others can come from there too, when they are called at the same time (RFC 5128, 3.4).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Lets [`connect_from`] use the port of a listener. Only after it was bound: that has proven that the port is free, and
/// whoever binds it later without the same option, as [`listen`](super::listen()) does, is refused as before.
///
/// # Errors
/// As of `setsockopt`.
pub fn share_port(listener: &TcpListener) -> io::Result<()> {
    Ok(setsockopt(listener, sockopt::ReusePort, &true)?)
}

/// Connects to `to` out of a port that a listener of this process [shares](share_port), at whatever address of this
/// machine leads there.
///
/// # Errors
/// As of `bind` and `connect`: among others that the address is in use (another program has the port in that family, or
/// the system does not share it so) or not available (an earlier connection between the same two ends is not over).
pub async fn connect_from(port: u16, to: SocketAddr) -> io::Result<TcpStream> {
    let (socket, any) = match to {
        SocketAddr::V4(_) => (TcpSocket::new_v4()?, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        SocketAddr::V6(_) => (TcpSocket::new_v6()?, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    };
    if to.is_ipv6() {
        // Or it would take the port in both families.
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(SocketAddr::new(any, port))?;
    socket.connect(to).await
}

#[cfg(test)]
mod tests {
    use super::super::{listen, plain, try_listen};
    use super::*;

    fn at(text: &str, port: u16) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), port)
    }

    #[tokio::test]
    async fn what_leaves_through_the_port_of_a_listener_leaves_that_alone() {
        let listener = listen("[::]:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        share_port(&listener).unwrap();
        let tracker = listen("[::]:0".parse().unwrap()).unwrap();
        let there = tracker.local_addr().unwrap();
        let out = connect_from(port, at("127.0.0.1", there.port())).await.unwrap();
        let (_in, from) = tracker.accept().await.unwrap();
        assert_eq!((plain(from), out.local_addr().unwrap().port()), (at("127.0.0.1", port), port));
        if there.is_ipv6() {
            connect_from(port, at("::1", there.port())).await.unwrap();
        }
        // Others still come in, and a second program is still refused.
        TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        for second in ["::", "0.0.0.0", "127.0.0.1"] {
            let refused = try_listen(at(second, port)).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AddrInUse, "{second}");
        }
    }

    #[tokio::test]
    async fn a_port_that_is_not_shared_is_not_used() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        let refused = connect_from(port, listener.local_addr().unwrap()).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
