//! Frames: `u32` length (little endian, counts what follows) ‖ `u8` type ‖ body.

use std::io::{self, IoSlice};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Length and type: what stands before the body.
pub const HEADER_LEN: usize = 5;

/// Read in advance, in bytes: many small frames at once, little of a large payload copied twice.
const READ_AHEAD: usize = 8 * 1024;
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
    let len = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
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
    /// Received and not yet handed out; at most [`READ_AHEAD`].
    ahead: BytesMut,
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
            ahead: BytesMut::with_capacity(READ_AHEAD),
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
                let from_ahead = self.ahead.split_to(left.min(self.ahead.len()));
                self.partial.extend_from_slice(&from_ahead);
                from_ahead.len()
            };
            self.current = Some((header, left.saturating_sub(got))).filter(|(_, left)| *left > 0);
        }
        Ok(self.partial.split().freeze())
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
        let room = READ_AHEAD.saturating_sub(self.ahead.len());
        self.ahead.reserve(room);
        let between = self.ahead.is_empty() && self.current.is_none();
        let at_end = if between { FrameError::Closed } else { FrameError::Truncated };
        let read = self.io.read_buf(&mut (&mut self.ahead).limit(room)).await;
        at_least_one(read, at_end).map(drop)
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
        Self { io, collected: BytesMut::with_capacity(COLLECT), torn: false }
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
        self.collected.reserve(COLLECT);
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
