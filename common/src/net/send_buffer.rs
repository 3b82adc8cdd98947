//! How much a system keeps of what was sent and is not taken.

use std::io;
use std::os::fd::AsFd;

use nix::sys::socket::{setsockopt, sockopt};

/// Has the system keep at most so many bytes for the other side of a connection, and not let them grow with it. Linux
/// takes twice as much, for what it notes of them.
///
/// # Errors
/// The connection is gone.
pub fn bound_send_buffer(socket: &impl AsFd, bytes: usize) -> io::Result<()> {
    Ok(setsockopt(socket, sockopt::SndBuf, &bytes)?)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn who_does_not_read_is_sent_no_more_than_that() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let deaf = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        setsockopt(&deaf, sockopt::RcvBuf, &(64 * 1024)).unwrap();
        let (mut near, _) = listener.accept().unwrap();
        bound_send_buffer(&near, 16 * 1024).unwrap();
        near.set_nonblocking(true).unwrap();
        let taken: usize = std::iter::from_fn(|| near.write(&[7; 4096]).ok()).sum();
        // With what the other side's system takes before it is read.
        assert!((4096..1 << 20).contains(&taken), "{taken}");
    }
}
