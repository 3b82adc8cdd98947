//! How much a channel encrypts ahead of the kernel. A full frame at once is one system call, and one wake-up
//! of the receiver; but what is encrypted stays in memory until the other side reads. So a channel may be
//! that far ahead only while there are few that are.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsStream;

use super::Frugal;
use crate::limits::MAX_PEER_FRAME;

/// Encrypted bytes that may wait for the kernel at a channel that has a place for it: a full DATA frame,
/// handed over in one system call. The library's 64 KiB would take four.
const WIDE: usize = MAX_PEER_FRAME + 8 * 1024;
/// The same at any other channel: a TLS record. 200 members that do not read hold 3 MB of it.
const NARROW: usize = 16 * 1024;
/// A write of more bytes is worth a place: answers of 33 KiB to those who do not read take none.
const WORTH: usize = 4 * NARROW;
/// Channels of one identity that are far ahead at a time: 4 MB. A place is held only until the kernel has
/// taken what was encrypted, so that thousands of channels that are read at the other end share them.
const PLACES: usize = 16;
/// Places besides for channels that have proven to be read: those who do not read cannot make a fast channel
/// slower by holding all of the others. 2 MB.
const PROVEN_PLACES: usize = 8;
/// Bytes that a channel must have taken for that: far more than a system's buffers at both ends.
const PROVEN: u64 = 64 << 20;

/// The places of all channels of one identity.
#[derive(Debug, Clone)]
pub(super) struct Places {
    any: Arc<Semaphore>,
    proven: Arc<Semaphore>,
}

impl Places {
    pub(super) fn new() -> Self {
        Self::of(PLACES, PROVEN_PLACES)
    }

    fn of(any: usize, proven: usize) -> Self {
        Self { any: Arc::new(Semaphore::new(any)), proven: Arc::new(Semaphore::new(proven)) }
    }

    /// A place for a channel that has taken so many bytes, if there is one.
    fn take(&self, taken: u64) -> Option<OwnedSemaphorePermit> {
        let any = || Arc::clone(&self.any).try_acquire_owned().ok();
        let proven = || Arc::clone(&self.proven).try_acquire_owned().ok();
        if taken >= PROVEN { proven().or_else(any) } else { any() }
    }
}

/// A channel that is far ahead of the kernel only while it has a place for that.
#[derive(Debug)]
pub struct Sealing<S> {
    tls: TlsStream<Frugal<S>>,
    places: Places,
    place: Option<OwnedSemaphorePermit>,
    /// Bytes it was given so far.
    taken: u64,
}

impl<S> Sealing<S> {
    pub(super) fn new(tls: TlsStream<Frugal<S>>, places: Places) -> Self {
        let mut sealing = Self { tls, places, place: None, taken: 0 };
        sealing.limit(NARROW);
        sealing
    }

    fn limit(&mut self, bytes: usize) {
        match &mut self.tls {
            TlsStream::Client(client) => client.get_mut().1.set_buffer_limit(Some(bytes)),
            TlsStream::Server(server) => server.get_mut().1.set_buffer_limit(Some(bytes)),
        }
    }

    /// Takes a place, if there is one, for `len` bytes that are to be encrypted.
    fn widen(&mut self, len: usize) {
        if len > WORTH && self.place.is_none() {
            self.place = self.places.take(self.taken);
            if self.place.is_some() {
                self.limit(WIDE);
            }
        }
    }

    fn wrote(&mut self, done: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(n)) = done {
            self.taken = self.taken.saturating_add(*n as u64);
        }
        self.narrow();
    }

    /// Gives the place back once the kernel has everything.
    fn narrow(&mut self) {
        if self.place.is_some() && !self.tls.get_ref().1.wants_write() {
            self.limit(NARROW);
            self.place = None;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Sealing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_read(cx, out)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Sealing<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.widen(bytes.len());
        let done = Pin::new(&mut self.tls).poll_write(cx, bytes);
        self.wrote(&done);
        done
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.widen(parts.iter().map(|part| part.len()).sum());
        let done = Pin::new(&mut self.tls).poll_write_vectored(cx, parts);
        self.wrote(&done);
        done
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.tls).poll_flush(cx);
        self.narrow();
        done
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::super::{Channel, Purpose};
    use super::*;
    use crate::identity::Identity;

    type End = Sealing<DuplexStream>;

    /// A channel whose pipe holds 8 KiB, and its other end.
    async fn pair(places: &Places) -> (End, End) {
        let [alice, bob] = [1, 2].map(|n| Identity::from_seed(&[n; 32]).unwrap());
        let (from, to) = (Channel::new(&alice).unwrap(), Channel::new(&bob).unwrap());
        let (near, far) = duplex(8 * 1024);
        let expected = bob.peer_id();
        let (near, far) = tokio::join!(
            from.connect(near, &expected, Purpose::Peer),
            to.accept(far, Purpose::Peer)
        );
        let end = |stream| Sealing::new(stream, places.clone());
        (end(near.unwrap().stream), end(far.unwrap().stream))
    }

    /// Writes until no more is taken; how much that was.
    async fn fill(end: &mut End) -> usize {
        let frame = vec![7; MAX_PEER_FRAME];
        let mut taken = 0;
        while let Ok(n) = tokio::time::timeout(Duration::from_millis(50), end.write(&frame)).await {
            taken += n.unwrap();
        }
        taken
    }

    #[tokio::test]
    async fn s2_of_channels_that_nobody_reads_few_are_far_ahead() {
        let places = Places::of(2, 1);
        let mut pairs = Vec::new();
        let mut taken = Vec::new();
        for _ in 0..5 {
            let mut pair = pair(&places).await;
            taken.push(fill(&mut pair.0).await);
            pairs.push(pair);
        }
        // The pipe takes 8 KiB more.
        let wide = |n: &&usize| (MAX_PEER_FRAME..WIDE + 64 * 1024).contains(*n);
        let narrow = |n: &&usize| (16 * 1024..NARROW + 32 * 1024).contains(*n);
        assert_eq!(taken[..2].iter().filter(wide).count(), 2, "{taken:?}");
        assert_eq!(taken[2..].iter().filter(narrow).count(), 3, "{taken:?}");
        // One is read: its place is free for another, and nothing is lost on the way.
        let (mut first, mut reader) = pairs.remove(0);
        let mut got = vec![0; taken[0]];
        let (read, flushed) = tokio::join!(reader.read_exact(&mut got), first.flush());
        assert_eq!((read.unwrap(), flushed.is_ok()), (taken[0], true));
        assert!(got.iter().all(|byte| *byte == 7));
        assert_eq!(places.any.available_permits(), 1);
        let more = fill(&mut pairs[1].0).await;
        assert!(more > NARROW, "{more}");
    }
    #[tokio::test]
    async fn s2_a_channel_that_is_read_has_a_place_whoever_does_not_read() {
        let places = Places::of(1, 1);
        let mut deaf = pair(&places).await;
        assert!(fill(&mut deaf.0).await >= MAX_PEER_FRAME);
        let mut fast = pair(&places).await;
        assert!(fill(&mut fast.0).await < MAX_PEER_FRAME, "nothing is known of it yet");
        let mut proven = pair(&places).await;
        proven.0.taken = PROVEN;
        assert!(fill(&mut proven.0).await >= MAX_PEER_FRAME);
    }
}
