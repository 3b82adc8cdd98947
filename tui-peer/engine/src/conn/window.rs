//! How much TCP may have under way. The system lets the send buffer of a connection grow to a limit of its own (4 MiB
//! on Linux), and two thirds of that are all that is ever under way: 24 % of 1 Gbit/s at 100 ms. It gives more to who
//! asks, where its owner allows that: Linux 6.18 as it comes, twice as much.

use std::io;
use std::sync::OnceLock;

use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::TcpStream;

/// What is asked for: the system cuts it down to what it allows. 10 Gbit/s at 25 ms.
const MOST: usize = 32 * 1024 * 1024;

/// Whether the send buffer of a connection has been dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendBuffer {
    /// The system lets it grow.
    Growing,
    /// It is as large as it gets.
    Largest,
}

impl SendBuffer {
    /// To be called now and then while much is sent: where the system has let the buffer grow as far as it does, asks
    /// for more. Not before: a buffer that was asked for does not grow any more by itself. None of it is needed, so
    /// failure does not matter.
    pub(super) fn grow(&mut self, tcp: &TcpStream) {
        if *self == Self::Largest {
            return;
        }
        let Some(limit) = usual_limit().filter(|limit| allowed() > *limit) else {
            *self = Self::Largest;
            return;
        };
        let socket = SockRef::from(tcp);
        if socket.send_buffer_size().is_ok_and(|size| size >= limit) {
            *self = Self::Largest;
            let _ = socket.set_send_buffer_size(MOST);
        }
    }
}

/// How far the system lets a send buffer grow by itself, in bytes.
fn usual_limit() -> Option<usize> {
    static LIMIT: OnceLock<Option<usize>> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        // Three numbers: least, at the start, most. Other systems do not have the file, and are left alone.
        let text = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_wmem").ok()?;
        text.split_whitespace().nth(2)?.parse().ok()
    })
}

/// How large a send buffer is that was asked for, at most: what a socket that is thrown away gets.
fn allowed() -> usize {
    static ALLOWED: OnceLock<usize> = OnceLock::new();
    *ALLOWED.get_or_init(|| {
        let ask = || -> io::Result<usize> {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.set_send_buffer_size(MOST)?;
            socket.send_buffer_size()
        };
        ask().unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_buffer_that_is_full_grown_gets_what_the_system_allows_and_never_less() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut there, _) = listener.accept().await.unwrap();
        let size = |tcp: &TcpStream| SockRef::from(tcp).send_buffer_size().unwrap();
        let (mut buffer, before) = (SendBuffer::Growing, size(&tcp));
        // A system that remembers earlier connections to this address may let it begin full grown.
        if usual_limit().is_none_or(|limit| before < limit) {
            buffer.grow(&tcp);
            assert_eq!(size(&tcp), before, "it has hardly begun to grow");
        }
        let reader = tokio::spawn(async move {
            let mut all = vec![0; 1 << 16];
            while there.read(&mut all).await.unwrap() > 0 {}
        });
        let mut largest = 0;
        for _ in 0..200 {
            tcp.write_all(&[7; 1 << 18]).await.unwrap();
            largest = largest.max(size(&tcp));
            buffer.grow(&tcp);
        }
        let allowed_more = usual_limit().is_some_and(|limit| allowed() > limit && largest >= limit);
        if allowed_more {
            assert_eq!((buffer, size(&tcp)), (SendBuffer::Largest, allowed()));
        }
        assert!(size(&tcp) >= largest.min(before), "less than the system gave");
        drop(tcp);
        reader.await.unwrap();
    }
}
