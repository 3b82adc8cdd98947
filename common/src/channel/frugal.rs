//! What a stranger may cost before its handshake is complete.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// Bytes that a handshake may take. One of ours takes 700; a message may be spread over several reads of
/// 4 KiB, and the TLS library would buffer up to 64 KiB of it. The last read may go beyond.
const HANDSHAKE_BYTES: usize = 8 * 1024;

/// A stream whose other side may send only so much until the handshake is complete.
#[derive(Debug)]
pub struct Frugal<S> {
    io: S,
    /// Read before there was anybody to give it to.
    first: Option<u8>,
    /// Bytes that may still come; no limit after the handshake.
    left: Option<usize>,
}

impl<S: AsyncRead + Unpin> Frugal<S> {
    /// Limits what is read from now on.
    pub(super) fn new(io: S) -> Self {
        Self { io, first: None, left: Some(HANDSHAKE_BYTES) }
    }

    /// Waits until the other side says something. Costs no memory: a TLS connection takes about 6 KB,
    /// also while nothing comes, and its read buffer another 4.
    pub(super) async fn wait(&mut self) -> io::Result<()> {
        if self.first.is_none() {
            let mut byte = [0];
            match self.io.read(&mut byte).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => self.first = Some(byte[0]),
            }
        }
        Ok(())
    }
}

impl<S> Frugal<S> {
    /// The handshake is complete: no limit any more.
    pub(super) fn trust(&mut self) {
        self.left = None;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Frugal<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(first) = self.first.filter(|_| out.remaining() > 0) {
            out.put_slice(&[first]);
            self.first = None;
            return Poll::Ready(Ok(()));
        }
        let Some(left) = self.left else { return Pin::new(&mut self.io).poll_read(cx, out) };
        if left == 0 {
            let why = "more than a handshake takes, and no end of it";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
        }
        let before = out.filled().len();
        let done = Pin::new(&mut self.io).poll_read(cx, out);
        let got = out.filled().len().saturating_sub(before);
        self.left = Some(left.saturating_sub(got));
        done
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Frugal<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
