//! What a stranger costs before it has proven anything (S6), measured as growth of this process: one test
//! alone in its program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use common::channel::{Channel, ChannelError, Purpose};
use common::identity::Identity;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Sends so many bytes, the beginning of a long TLS message, and then nothing more.
#[derive(Debug)]
struct Stranger {
    sends: usize,
    sent: usize,
}

impl AsyncRead for Stranger {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let end = self.sends.min(self.sent + out.remaining());
        if self.sent == end {
            return Poll::Pending;
        }
        let bytes = (self.sent..end).map(|at| LONG_HELLO.get(at).copied().unwrap_or(0));
        out.put_slice(&bytes.collect::<Vec<u8>>());
        self.sent = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stranger {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}

const MANY: usize = 4000;
/// A handshake record of 16 KiB whose message is a ClientHello of 65,000 bytes.
const LONG_HELLO: &[u8] = &[0x16, 3, 1, 0x40, 0, 1, 0, 0xfd, 0xe8];

#[test]
fn s6_half_open_connections_cost_little_memory() {
    let channel = Channel::new(&Identity::from_seed(&[1; 32]).unwrap()).unwrap();
    let mut costs = Vec::new();
    for sends in [0, 6, 60_000] {
        let before = resident();
        let mut waiting = Vec::new();
        let mut refused = 0;
        for _ in 0..MANY {
            let stranger = Stranger { sends, sent: 0 };
            let mut accepting = Box::pin(channel.accept(stranger, Purpose::Peer));
            match accepting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => waiting.push(accepting),
                Poll::Ready(Err(ChannelError::Io(error))) => {
                    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                    refused += 1;
                }
                Poll::Ready(other) => panic!("{other:?}"),
            }
        }
        costs.push((sends, resident().saturating_sub(before) / MANY, refused));
    }
    println!("bytes sent, bytes held for each, refused: {costs:?}");
    let [(_, silent, 0), (_, begun, 0), (_, long, MANY)] = costs[..] else { panic!("{costs:?}") };
    assert!(silent < 1024, "{silent} bytes for one that is silent");
    assert!(begun < 12 * 1024, "{begun} bytes for one that stops in its first message");
    assert!(long < 12 * 1024, "{long} bytes for one that never ends its first message");
}
