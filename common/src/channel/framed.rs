//! Frames: `u32` length (little endian, counts what follows) ‖ `u8` type ‖ body.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::numbers::saturate;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Length and type: what stands before the body.
pub const HEADER_LEN: usize = 5;

/// Read in advance, in bytes: many small frames at once, little of a large payload copied twice. Kept are only those
/// that came: who says nothing holds no buffer.
const READ_AHEAD: usize = 8 * 1024;
/// The same until the other side has filled it once: before HELLO strangers get little memory.
const FIRST_READ_AHEAD: usize = 512;
/// Small frames are collected up to here before they are written: one full TLS record.
const COLLECT: usize = 16 * 1024;
/// Parts of at least this many bytes are written from where they are; shorter ones are collected.
const LARGE_PART: usize = 4 * 1024;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side closed the connection between two frames.
    #[error("the other side closed the connection")]
    Closed,
    /// The connection ended in the middle of a frame.
    #[error("the connection ended in the middle of a message")]
    Truncated,
    /// A frame above the limit.
    #[error("a message of {len} bytes, at most {max} are allowed")]
    TooLong {
        /// Its length: type and body.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A frame without even a type.
    #[error("an empty message")]
    Empty,
    /// More was to be read from a frame than its body holds.
    #[error("a message too short for its kind")]
    ShortBody,
    /// An earlier write was given up halfway; what follows would be misread.
    #[error("an earlier message was sent only in part")]
    Torn,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
}

/// What stands before a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Type byte.
    pub kind: u8,
    /// Length of the body in bytes: the length field less the type byte.
    pub len: usize,
}

/// A whole frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Type byte.
    pub kind: u8,
    /// The body, without length and type.
    pub body: Bytes,
}

/// The five bytes before a body of `body_len` bytes.
///
/// # Errors
/// [`FrameError::TooLong`] if the length field cannot hold it.
pub fn encode_header(kind: u8, body_len: usize) -> Result<[u8; HEADER_LEN], FrameError> {
    let len = body_len.saturating_add(1);
    let too_long = FrameError::TooLong { len, max: u32::MAX as usize };
    let [a, b, c, d] = u32::try_from(len).map_err(|_| too_long)?.to_le_bytes();
    Ok([a, b, c, d, kind])
}

/// Reads a header; `max` bounds the length field (type and body).
///
/// # Errors
/// [`FrameError::Empty`] or [`FrameError::TooLong`].
pub fn decode_header(bytes: [u8; HEADER_LEN], max: usize) -> Result<FrameHeader, FrameError> {
    let [a, b, c, d, kind] = bytes;
    let len = saturate::<usize>(u32::from_le_bytes([a, b, c, d]));
    if len > max {
        return Err(FrameError::TooLong { len, max });
    }
    let len = len.checked_sub(1).ok_or(FrameError::Empty)?;
    Ok(FrameHeader { kind, len })
}

/// Reads frames. After any error the stream is of no use.
///
/// Control frames are read whole with [`FrameReader::read`]. Large payloads go straight where they
/// belong: [`FrameReader::header`], then [`FrameReader::read_exact_into`] as often as needed.
#[derive(Debug)]
pub struct FrameReader<R> {
    io: R,
    /// Received and not yet handed out; at most `room`.
    ahead: BytesMut,
    /// Read in advance: grows up to [`READ_AHEAD`] with what arrives at once.
    room: usize,
    /// The frame at hand and how much of its body is still to come.
    current: Option<(FrameHeader, usize)>,
    /// The part of a body that a cancelled [`FrameReader::read`] had already received.
    partial: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads frames from `io`.
    pub fn new(io: R) -> Self {
        Self {
            io,
            ahead: BytesMut::new(),
            room: FIRST_READ_AHEAD,
            current: None,
            partial: BytesMut::new(),
        }
    }

    /// The next frame. Cancel-safe: nothing is lost if the future is dropped, the next call goes on.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] before anything is allocated; see [`FrameError`].
    pub async fn read(&mut self, max: usize) -> Result<Frame, FrameError> {
        let header = self.header(max).await?;
        let body = self.body().await?;
        Ok(Frame { kind: header.kind, body })
    }

    /// The header of the next frame, or again that of the frame at hand if nothing of its body has
    /// been handed out. What is left of a body that was handed out in part is skipped. Cancel-safe.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub async fn header(&mut self, max: usize) -> Result<FrameHeader, FrameError> {
        match self.current {
            // Also the case after a cancelled `read`: its received part waits in `partial`.
            Some((header, left)) if left + self.partial.len() == header.len => return Ok(header),
            Some(_) => self.skip_body().await?,
            None => {}
        }
        let bytes = loop {
            if let Some(bytes) = self.ahead.first_chunk::<HEADER_LEN>() {
                break *bytes;
            }
            // A hopeless length is refused on its four bytes, without waiting for more.
            if let Some(length) = self.ahead.first_chunk::<4>() {
                let [a, b, c, d] = *length;
                decode_header([a, b, c, d, 0], max)?;
            }
            self.fill().await?;
        };
        let header = decode_header(bytes, max)?;
        self.ahead.advance(HEADER_LEN);
        // A frame without a body is over with its header.
        self.current = (header.len > 0).then_some((header, header.len));
        Ok(header)
    }

    /// What is left of the body of the frame at hand. Cancel-safe.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub async fn body(&mut self) -> Result<Bytes, FrameError> {
        while let Some((header, left)) = self.current {
            if self.partial.is_empty() {
                self.partial.reserve(left);
            }
            let got = if self.ahead.is_empty() {
                let read = self.io.read_buf(&mut (&mut self.partial).limit(left)).await;
                at_least_one(read, FrameError::Truncated)?
            } else {
                let len = left.min(self.ahead.len());
                self.partial.extend_from_slice(self.ahead.get(..len).unwrap_or_default());
                self.ahead.advance(len);
                len
            };
            self.current = Some((header, left.saturating_sub(got))).filter(|(_, left)| *left > 0);
        }
        Ok(std::mem::take(&mut self.partial).freeze())
    }

    /// Bytes of the body of the frame at hand that have not been handed out.
    pub fn remaining(&self) -> usize {
        self.current.map_or(0, |(_, left)| left) + self.partial.len()
    }

    /// Fills `out` with the next bytes of the body. Not cancel-safe: what was received stands in `out`.
    ///
    /// # Errors
    /// [`FrameError::ShortBody`] if fewer bytes remain, before anything is read; see [`FrameError`].
    pub async fn read_exact_into(&mut self, out: &mut [u8]) -> Result<(), FrameError> {
        if out.len() > self.remaining() {
            return Err(FrameError::ShortBody);
        }
        let mut rest = out;
        while !rest.is_empty() {
            let got = self.read_some_into(rest).await?;
            rest = rest.get_mut(got..).unwrap_or_default();
        }
        Ok(())
    }

    /// Copies at least one of the next bytes of the body to the start of `out` and says how many; 0
    /// only if `out` is empty or the body is at its end. Cancel-safe.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub async fn read_some_into(&mut self, out: &mut [u8]) -> Result<usize, FrameError> {
        let want = out.len().min(self.remaining());
        let Some(out) = out.get_mut(..want).filter(|out| !out.is_empty()) else { return Ok(0) };
        if !self.partial.is_empty() {
            return Ok(take(&mut self.partial, out));
        }
        let Some((header, left)) = self.current else { return Ok(0) };
        // Small reads go through the buffer, large ones past it.
        if self.ahead.is_empty() && out.len() < LARGE_PART {
            self.fill().await?;
        }
        let got = if self.ahead.is_empty() {
            at_least_one(self.io.read(out).await, FrameError::Truncated)?
        } else {
            take(&mut self.ahead, out)
        };
        self.current = Some((header, left.saturating_sub(got))).filter(|(_, left)| *left > 0);
        Ok(got)
    }

    /// Drops what is left of the body of the frame at hand. Cancel-safe.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub async fn skip_body(&mut self) -> Result<(), FrameError> {
        self.partial.clear();
        while let Some((header, left)) = self.current {
            if self.ahead.is_empty() {
                self.fill().await?;
            }
            let got = left.min(self.ahead.len());
            self.ahead.advance(got);
            self.current = Some((header, left.saturating_sub(got))).filter(|(_, left)| *left > 0);
        }
        Ok(())
    }

    /// Waits for more bytes and puts them behind those in `ahead`.
    async fn fill(&mut self) -> Result<(), FrameError> {
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
        let between = self.ahead.is_empty() && self.current.is_none();
        let at_end = if between { FrameError::Closed } else { FrameError::Truncated };
        let room = self.room.saturating_sub(self.ahead.len());
        let read = poll_fn(|cx| self.poll_fill(cx, room)).await;
        if at_least_one(read, at_end)? >= room {
            self.room = READ_AHEAD;
        }
        Ok(())
    }

    /// Reads into a buffer that lives no longer than this call, and keeps what came.
    fn poll_fill(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        let mut space = [MaybeUninit::uninit(); READ_AHEAD];
        let mut read = ReadBuf::uninit(space.get_mut(..room).unwrap_or_default());
        let done = Pin::new(&mut self.io).poll_read(cx, &mut read);
        self.ahead.extend_from_slice(read.filled());
        done.map_ok(|()| read.filled().len())
    }
}

/// Writes frames. Small ones are collected until [`FrameWriter::flush`]; nothing else sends them.
#[derive(Debug)]
pub struct FrameWriter<W> {
    io: W,
    collected: BytesMut,
    /// A large part was being written; stays set if that write was given up.
    torn: bool,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Writes frames to `io`.
    pub fn new(io: W) -> Self {
        // Grows with the first frames: a connection that has said HELLO only holds no more than that.
        Self { io, collected: BytesMut::new(), torn: false }
    }

    /// Writes one frame.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub async fn write(&mut self, kind: u8, body: &[u8]) -> Result<(), FrameError> {
        self.write_parts(kind, &[body]).await
    }

    /// Writes one frame whose body is the parts one after the other; large parts are not copied.
    ///
    /// Not cancel-safe: if the future is dropped halfway, later writes fail with [`FrameError::Torn`]
    /// instead of sending rubbish.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub async fn write_parts(&mut self, kind: u8, parts: &[&[u8]]) -> Result<(), FrameError> {
        let body_len = parts.iter().map(|part| part.len()).fold(0, usize::saturating_add);
        let header = encode_header(kind, body_len)?;
        if self.torn {
            return Err(FrameError::Torn);
        }
        self.torn = true;
        self.collected.extend_from_slice(&header);
        for part in parts {
            if part.len() >= LARGE_PART {
                self.drain_with(part).await?;
            } else {
                self.collected.extend_from_slice(part);
                if self.collected.len() >= COLLECT {
                    self.drain_with(&[]).await?;
                }
            }
        }
        self.torn = false;
        Ok(())
    }

    /// Sends everything collected.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub async fn flush(&mut self) -> Result<(), FrameError> {
        if self.torn {
            return Err(FrameError::Torn);
        }
        self.drain_with(&[]).await?;
        // Whoever has nothing to say holds no buffer.
        self.collected = BytesMut::new();
        self.io.flush().await.map_err(FrameError::Io)
    }

    /// Sends everything collected and tells the other side that nothing follows.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub async fn shutdown(&mut self) -> Result<(), FrameError> {
        self.flush().await?;
        self.io.shutdown().await.map_err(FrameError::Io)
    }

    /// Writes what is collected and then `part`, in as few system calls as the stream allows.
    async fn drain_with(&mut self, mut part: &[u8]) -> Result<(), FrameError> {
        let reserved = self.collected.len();
        while !self.collected.is_empty() || !part.is_empty() {
            let slices = [IoSlice::new(&self.collected), IoSlice::new(part)];
            let written = self.io.write_vectored(&slices).await.map_err(FrameError::Io)?;
            if written == 0 {
                return Err(FrameError::Io(io::ErrorKind::WriteZero.into()));
            }
            let from_collected = written.min(self.collected.len());
            self.collected.advance(from_collected);
            part = part.get(written.saturating_sub(from_collected)..).unwrap_or_default();
        }
        // Give the room back to the front; the buffer never grows past one collected batch.
        self.collected.clear();
        self.collected.reserve(reserved);
        Ok(())
    }
}

/// Moves bytes from the front of `from` into `out`.
fn take(from: &mut BytesMut, out: &mut [u8]) -> usize {
    let count = out.len().min(from.len());
    if let Some(out) = out.get_mut(..count) {
        from.copy_to_slice(out);
    }
    count
}

/// Turns the end of the stream into `at_end`: TLS reports it as an error if the other side did not
/// say goodbye, which frames make harmless.
fn at_least_one(read: io::Result<usize>, at_end: FrameError) -> Result<usize, FrameError> {
    match read {
        Ok(0) => Err(at_end),
        Ok(count) => Ok(count),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(at_end),
        Err(error) => Err(FrameError::Io(error)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::duplex;

    use super::*;

    const MAX: usize = 1 << 20;

    async fn written(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = FrameWriter::new(&mut out);
        writer.write_parts(kind, parts).await.unwrap();
        writer.flush().await.unwrap();
        out
    }

    #[test]
    fn header_bytes_are_fixed() {
        assert_eq!(encode_header(0x20, 0x0102).unwrap(), [0x03, 0x01, 0, 0, 0x20]);
        let header = decode_header([0x03, 0x01, 0, 0, 0x20], 0x103).unwrap();
        assert_eq!(header, FrameHeader { kind: 0x20, len: 0x102 });
        assert_eq!(decode_header([1, 0, 0, 0, 7], 1).unwrap(), FrameHeader { kind: 7, len: 0 });
        assert!(matches!(
            decode_header([0x04, 0x01, 0, 0, 0x20], 0x103),
            Err(FrameError::TooLong { len: 0x104, max: 0x103 })
        ));
        assert!(matches!(decode_header([0, 0, 0, 0, 7], 9), Err(FrameError::Empty)));
        assert!(matches!(decode_header([0xff; 5], MAX), Err(FrameError::TooLong { .. })));
        assert!(matches!(encode_header(1, u32::MAX as usize), Err(FrameError::TooLong { .. })));
        assert!(matches!(encode_header(1, usize::MAX), Err(FrameError::TooLong { .. })));
    }

    #[tokio::test]
    async fn ends_are_told_apart() {
        let whole = written(5, &[b"abc"]).await;
        for cut in 0..whole.len() {
            let mut reader = FrameReader::new(&whole[..cut]);
            let error = reader.read(MAX).await.unwrap_err();
            match cut {
                0 => assert!(matches!(error, FrameError::Closed)),
                _ => assert!(matches!(error, FrameError::Truncated), "{cut}"),
            }
        }
        let mut reader = FrameReader::new(whole.as_slice());
        assert_eq!(reader.read(4).await.unwrap(), Frame { kind: 5, body: Bytes::from("abc") });
        assert!(matches!(reader.read(4).await, Err(FrameError::Closed)));
        let mut reader = FrameReader::new(whole.as_slice());
        assert!(matches!(reader.read(3).await, Err(FrameError::TooLong { len: 4, max: 3 })));
        let mut reader = FrameReader::new([0; 5].as_slice());
        assert!(matches!(reader.read(MAX).await, Err(FrameError::Empty)));
        // A hopeless length is refused without waiting for the type byte.
        let mut reader = FrameReader::new([0xff; 4].as_slice());
        assert!(matches!(reader.read(MAX).await, Err(FrameError::TooLong { .. })));
    }

    #[tokio::test]
    async fn a_short_body_is_refused_and_a_rest_skipped() {
        let mut bytes = written(1, &[b"abcdef"]).await;
        bytes.extend(written(2, &[]).await);
        bytes.extend(written(3, &[&[9; 20_000]]).await);
        bytes.extend(written(4, &[b"end"]).await);
        let mut reader = FrameReader::new(bytes.as_slice());
        assert_eq!(reader.header(MAX).await.unwrap().kind, 1);
        assert_eq!(reader.header(MAX).await.unwrap().kind, 1, "untouched: the same again");
        let mut two = [0; 2];
        reader.read_exact_into(&mut two).await.unwrap();
        assert_eq!((&two, reader.remaining()), (b"ab", 4));
        assert!(matches!(reader.read_exact_into(&mut [0; 5]).await, Err(FrameError::ShortBody)));
        assert_eq!(reader.header(MAX).await.unwrap(), FrameHeader { kind: 2, len: 0 });
        assert_eq!(reader.body().await.unwrap(), Bytes::new());
        assert_eq!(reader.header(MAX).await.unwrap().kind, 3);
        reader.read_exact_into(&mut two).await.unwrap();
        assert_eq!(reader.read(MAX).await.unwrap().body, "end");
    }

    /// Polls once and drops the future, as `select!` does.
    async fn cancelled<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| match future.as_mut().poll(context) {
            std::task::Poll::Ready(done) => std::task::Poll::Ready(Some(done)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn cancelled_reads_lose_nothing() {
        let body: Vec<u8> = (0..9_000u32).map(|i| (i % 253) as u8).collect();
        let mut bytes = written(1, &[&body]).await;
        bytes.extend(written(2, &[b"next"]).await);
        let (mut far, near) = duplex(64 * 1024);
        let mut reader = FrameReader::new(near);
        let mut frames = Vec::new();
        for piece in bytes.chunks(7) {
            far.write_all(piece).await.unwrap();
            while let Some(frame) = cancelled(reader.read(MAX)).await {
                frames.push(frame.unwrap());
            }
        }
        let first = Frame { kind: 1, body: body.into() };
        assert_eq!(frames, [first, Frame { kind: 2, body: Bytes::from("next") }]);
    }

    #[tokio::test]
    async fn small_frames_wait_for_the_flush() {
        let (near, mut far) = duplex(1 << 16);
        let mut writer = FrameWriter::new(near);
        for _ in 0..100 {
            writer.write(1, b"have").await.unwrap();
        }
        assert!(cancelled(far.read_u8()).await.is_none());
        writer.flush().await.unwrap();
        let mut got = vec![0; 900];
        far.read_exact(&mut got).await.unwrap();
        assert!(cancelled(far.read_u8()).await.is_none());
    }

    #[tokio::test]
    async fn a_write_given_up_halfway_ends_the_stream() {
        let (near, mut far) = duplex(100);
        let mut writer = FrameWriter::new(near);
        assert!(cancelled(writer.write(1, &[0; 8192])).await.is_none());
        assert!(matches!(writer.write(2, b"x").await, Err(FrameError::Torn)));
        assert!(matches!(writer.flush().await, Err(FrameError::Torn)));
        far.read_exact(&mut [0; 100]).await.unwrap();
        drop(writer);
        assert_eq!(far.read(&mut [0; 9]).await.unwrap(), 0, "nothing else was sent");
    }

    #[derive(Debug, Clone)]
    struct Sent {
        kind: u8,
        parts: Vec<Vec<u8>>,
        two_step: bool,
    }

    fn sent() -> impl Strategy<Value = Sent> {
        let part = prop_oneof![0..40usize, 0..40usize, 4_000..9_000usize]
            .prop_flat_map(|len| proptest::collection::vec(any::<u8>(), len));
        (any::<u8>(), proptest::collection::vec(part, 0..4), any::<bool>())
            .prop_map(|(kind, parts, two_step)| Sent { kind, parts, two_step })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn frames_arrive_as_written(
            frames in proptest::collection::vec(sent(), 0..12),
            room in prop_oneof![Just(1usize), 2..5000usize],
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (near, far) = duplex(room);
                let (mut writer, mut reader) = (FrameWriter::new(near), FrameReader::new(far));
                tokio::join!(
                    async {
                        for frame in &frames {
                            let parts: Vec<&[u8]> = frame.parts.iter().map(Vec::as_slice).collect();
                            writer.write_parts(frame.kind, &parts).await.unwrap();
                        }
                        writer.shutdown().await.unwrap();
                    },
                    async {
                        for frame in &frames {
                            let whole = frame.parts.concat();
                            if frame.two_step {
                                let header = reader.header(MAX).await.unwrap();
                                assert_eq!(header, FrameHeader { kind: frame.kind, len: whole.len() });
                                for part in &frame.parts {
                                    let mut out = vec![0; part.len()];
                                    reader.read_exact_into(&mut out).await.unwrap();
                                    assert_eq!(&out, part);
                                }
                                assert_eq!(reader.remaining(), 0);
                            } else {
                                let got = reader.read(MAX).await.unwrap();
                                assert_eq!((got.kind, &got.body[..]), (frame.kind, &whole[..]));
                            }
                        }
                        assert!(matches!(reader.read(MAX).await, Err(FrameError::Closed)));
                    }
                );
            });
        }

        #[test]
        fn hostile_bytes_end_in_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let mut reader = FrameReader::new(bytes.as_slice());
                for _ in 0..=bytes.len() {
                    if reader.read(100).await.is_err() {
                        return;
                    }
                }
                panic!("more frames than bytes");
            });
        }
    }
}
