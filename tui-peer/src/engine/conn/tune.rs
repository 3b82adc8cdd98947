//! Options of a connection's socket.

use tokio::net::TcpStream;

/// Bytes that the system takes from us before the network has room for them. It would take hundreds of
/// kilobytes from every connection otherwise and send them side by side: each chunk would be late, though
/// the order in which they go out was chosen so that none is, and a HAVE would wait behind all that.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MAX_UNSENT: u32 = 32 * 1024;

/// Sets what the system would decide otherwise. Nothing of it is needed, so failure does not matter.
pub(super) fn tune(stream: &TcpStream) {
    // Payload goes out in large writes and requests must not wait.
    let _ = stream.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(MAX_UNSENT);
}
