//! Frames: a `u32` length, then one MessagePack value.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Reads one frame; `None` at the end.
///
/// # Errors
/// From the socket; [`io::ErrorKind::InvalidData`] for a frame longer than `limit` or not understood.
pub async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
    limit: u32,
) -> io::Result<Option<T>> {
    read_bytes(from, limit).await?.map(|bytes| decode(&bytes)).transpose()
}

/// What is in a frame.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] if it is not understood.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    rmp_serde::from_slice(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Reads one frame without a look at what is in it, for those who may not understand it; `None` at the end.
///
/// # Errors
/// From the socket; [`io::ErrorKind::InvalidData`] for a frame longer than `limit`.
pub async fn read_bytes(
    from: &mut (impl AsyncRead + Unpin),
    limit: u32,
) -> io::Result<Option<Vec<u8>>> {
    let len = match from.read_u32().await {
        Ok(len) => len,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if len > limit {
        let why = format!("a frame of {len} bytes; {limit} are allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    // Grows with what really comes, not with what is announced.
    let mut bytes = Vec::new();
    from.take(u64::from(len)).read_to_end(&mut bytes).await?;
    if u32::try_from(bytes.len()) != Ok(len) {
        return Ok(None);
    }
    Ok(Some(bytes))
}

/// Writes one frame.
///
/// # Errors
/// From the socket; [`io::ErrorKind::InvalidData`] if it would be longer than `limit`.
pub async fn write<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    value: &T,
    limit: u32,
) -> io::Result<()> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut frame = vec![0; 4];
    rmp_serde::encode::write_named(&mut frame, value)
        .map_err(|error| invalid(error.to_string()))?;
    let len = u32::try_from(frame.len() - 4).ok().filter(|len| *len <= limit);
    let len =
        len.ok_or_else(|| invalid(format!("{} bytes are too many for a frame", frame.len())))?;
    if let Some(head) = frame.first_chunk_mut::<4>() {
        *head = len.to_be_bytes();
    }
    to.write_all(&frame).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_is_bounded_and_whole() {
        let (mut a, mut b) = tokio::io::duplex(64);
        let long = write(&mut a, &"x".repeat(100), 50).await;
        assert_eq!(long.unwrap_err().kind(), io::ErrorKind::InvalidData);
        a.write_all(&[0, 0, 0, 51]).await.unwrap();
        let long = read::<String>(&mut b, 50).await;
        assert_eq!(long.unwrap_err().kind(), io::ErrorKind::InvalidData);
        let (mut a, mut b) = tokio::io::duplex(64);
        a.write_all(&[0, 0, 0, 9, 1, 2]).await.unwrap();
        drop(a);
        // Cut off in the middle.
        assert!(read::<String>(&mut b, 50).await.unwrap().is_none());
    }
}
