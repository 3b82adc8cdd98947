//! The socket of a connection to a peer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Traffic;
use super::uplink::Uplink;
use super::window::SendBuffer;

/// The system takes what the network carries in this time from us ahead, and no more. It would take
/// hundreds of kilobytes from every connection otherwise and send them side by side: each chunk would be
/// late, though the order in which they go out was chosen so that none is, and a HAVE would wait behind
/// all that. (16 peers at 50 Mbit/s: the seed sends 1.02 copies, without this 1.05.) Longer than a busy
/// machine takes to give us the processor, or the limit would slow down what it is derived from.
const AHEAD_TIME: Duration = Duration::from_millis(20);
/// Fewer bytes than this cost slow links some of their speed.
const MIN_AHEAD: u32 = 32 * 1024;
/// More make fast ones no faster.
const MAX_AHEAD: u32 = 1024 * 1024;
/// The rate is looked at so often.
const PERIOD: Duration = Duration::from_millis(100);
/// A lower rate counts when it has lasted for so long. TCP that repairs a loss sends little for some round trips; less
/// to take ahead would be less to send when it goes on, and keep the rate where it has dipped. (64 MiB at 100 Mbit/s,
/// 100 ms and 1 % loss: a sixth of the time.)
const DIP: Duration = Duration::from_secs(2);

/// A socket that keeps what it takes ahead in proportion to what it carries.
#[derive(Debug)]
pub(super) struct Stream {
    tcp: TcpStream,
    traffic: Arc<Traffic>,
    /// The way out, where that is watched, and our number there.
    uplink: Option<(Arc<Uplink>, u64)>,
    ahead: u32,
    buffer: SendBuffer,
    /// Bytes written in the running period, and when that began.
    written: u64,
    since: Instant,
    /// For how long it has been lower than what is taken ahead stands for.
    low: Duration,
}

impl Stream {
    /// Sets what the system would decide otherwise. None of it is needed, so failure does not matter. What
    /// passes is counted in `traffic`.
    pub(super) fn new(tcp: TcpStream, traffic: Arc<Traffic>) -> Self {
        // Payload goes out in large writes and requests must not wait.
        let _ = tcp.set_nodelay(true);
        let (since, low) = (Instant::now(), Duration::ZERO);
        let (ahead, buffer) = (MIN_AHEAD, SendBuffer::Growing);
        let peer = tcp.peer_addr().ok();
        let uplink = peer.and_then(|peer| traffic.uplink_to(peer.ip()));
        let uplink = uplink.map(|uplink| (uplink.clone(), uplink.number()));
        let stream = Self { tcp, traffic, uplink, ahead, buffer, written: 0, since, low };
        stream.apply();
        stream
    }

    /// Waits until something has come, or it is over; what came is still to be read.
    pub(super) async fn peek(&self) -> io::Result<usize> {
        self.tcp.peek(&mut [0]).await
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn apply(&self) {
        let _ = socket2::SockRef::from(&self.tcp).set_tcp_notsent_lowat(self.ahead);
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn apply(&self) {}

    /// Takes note of what a write came to, and passes it on.
    fn counted(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(n)) = &written {
            self.count(*n);
        }
        written
    }

    fn count(&mut self, written: usize) {
        self.written += written as u64;
        self.traffic.sent(written);
        let elapsed = self.since.elapsed();
        if elapsed < PERIOD {
            return;
        }
        self.buffer.grow(&self.tcp);
        if let Some((uplink, number)) = &self.uplink {
            uplink.look(*number, &self.tcp);
        }
        let ahead = ahead_for(self.written, elapsed);
        (self.written, self.since) = (0, Instant::now());
        self.low = if ahead < self.ahead / 2 { self.low + elapsed } else { Duration::ZERO };
        // A call of the system for what makes a difference only.
        if ahead > self.ahead || self.low >= DIP {
            (self.ahead, self.low) = (ahead, Duration::ZERO);
            self.apply();
        }
    }
}

/// Bytes to take ahead where `written` went out in `elapsed`.
fn ahead_for(written: u64, elapsed: Duration) -> u32 {
    let bytes = written as f64 * AHEAD_TIME.as_secs_f64() / elapsed.as_secs_f64().max(1e-3);
    (bytes as u32).clamp(MIN_AHEAD, MAX_AHEAD)
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(cx, buf);
        self.traffic.received(buf.filled().len().saturating_sub(before));
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(cx, buf);
        self.counted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs);
        self.counted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn what_is_taken_ahead_follows_the_rate() {
        let at = |rate: u64| ahead_for(rate / 10, Duration::from_millis(100));
        assert_eq!(at(0), MIN_AHEAD);
        assert_eq!(at(1_000_000), MIN_AHEAD);
        assert_eq!(at(6_000_000), 120_000);
        assert_eq!(at(10_000_000_000), MAX_AHEAD);
        assert_eq!(ahead_for(u64::MAX, Duration::ZERO), MAX_AHEAD);
        // One write long after the last: no division of a moment.
        assert_eq!(ahead_for(16_384, Duration::from_secs(60)), MIN_AHEAD);
    }

    #[tokio::test]
    async fn bytes_pass_unchanged_while_the_limit_moves() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sent: Vec<u8> = (0..40_000_000u32).map(|n| (n / 7) as u8).collect();
        let expected = sent.clone();
        let sender = tokio::spawn(async move {
            let traffic = Arc::new(Traffic::default());
            let tcp = TcpStream::connect(address).await.unwrap();
            let mut stream = Stream::new(tcp, traffic.clone());
            let (first, rest) = sent.split_at(1_000_000);
            // A period in which much went out, then one in which next to nothing did.
            (stream.written, stream.since) = (1 << 30, Instant::now() - PERIOD);
            stream.write_all(first).await.unwrap();
            let fast = stream.ahead;
            (stream.written, stream.since) = (0, Instant::now() - DIP / 2);
            stream.write_all(&rest[..1]).await.unwrap();
            assert_eq!(stream.ahead, fast, "it may only have dipped");
            (stream.written, stream.since) = (0, Instant::now() - DIP);
            stream.write_all(&rest[1..100]).await.unwrap();
            let slow = stream.ahead;
            stream.write_all(&rest[100..]).await.unwrap();
            stream.shutdown().await.unwrap();
            (fast, slow, traffic.get())
        });
        let mut got = Vec::new();
        let (tcp, _) = listener.accept().await.unwrap();
        let traffic = Arc::new(Traffic::default());
        Stream::new(tcp, traffic.clone()).read_to_end(&mut got).await.unwrap();
        assert!(got == expected);
        assert_eq!(traffic.get(), (40_000_000, 0));
        assert_eq!(sender.await.unwrap(), (MAX_AHEAD, MIN_AHEAD, (0, 40_000_000)));
    }
}
