//! What comes in at one connection goes out at the other, both ways.

use std::io;
use std::time::Duration;

use common::numbers::saturate;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::pace::Pace;
use crate::metrics::Counter;

/// Bytes in hand of one direction: what a second of the slowest pair fills, and few enough for a thousand pairs.
const BUFFER: usize = 16 * 1024;
/// Silence after which a connection is dead: peers ping every 15 s.
const SILENCE: Duration = Duration::from_secs(90);
/// Time for the other end to take what is in hand.
const STALLED: Duration = Duration::from_secs(60);

/// Until one of both ends, or is silent, or takes nothing.
pub(super) async fn run(one: TcpStream, other: TcpStream, paces: [&Pace; 2], bytes: &Counter) {
    let (one_in, one_out) = one.into_split();
    let (other_in, other_out) = other.into_split();
    let there = carry(one_in, other_out, paces, bytes);
    let back = carry(other_in, one_out, paces, bytes);
    // Each closes its own half in order; an error ends both.
    let _ = tokio::try_join!(there, back);
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    paces: [&Pace; 2],
    bytes: &Counter,
) -> io::Result<()> {
    loop {
        // No memory is held while there is nothing to carry.
        timeout(SILENCE, from.readable()).await??;
        let mut buffer = vec![0; BUFFER];
        let read = timeout(SILENCE, from.read(&mut buffer)).await??;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
            return to.shutdown().await;
        };
        for pace in paces {
            timeout(STALLED, pace.take(read)).await?;
        }
        timeout(STALLED, to.write_all(piece)).await??;
        bytes.add(saturate::<u64>(read));
    }
}
