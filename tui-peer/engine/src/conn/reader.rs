//! The reading half of a connection.

use std::sync::Arc;
use std::time::Duration;

use common::channel::{FrameError, FrameHeader, FrameReader};
use common::limits::MAX_PEER_FRAME;
use common::wire::peer::{DATA, DataHeader, PeerMsg};
use tokio::io::AsyncRead;

use super::flow::Flow;
use super::{ConnEvent, Ours};
use crate::disk::{Held, Holder};
use swarm::event::ConnId;

/// Silence after which a connection is dead: the core pings every 15 s.
const SILENCE: Duration = Duration::from_secs(90);
/// Time for one frame to arrive once it has begun: 4 KiB/s for the longest.
const FRAME_TIMEOUT: Duration = Duration::from_secs(64);
/// Longer messages (the sets of contents of more than 100,000 chunks) are read into a part of the pool: 200
/// connections that send the beginning of one would hold 52 MB otherwise.
const SHORT: usize = 16 * 1024;

/// Reads until the stream ends; says why it did.
pub(super) async fn run<R: AsyncRead + Unpin>(
    mut reader: FrameReader<R>,
    conn: ConnId,
    ours: &Ours,
    flow: &Arc<Flow>,
    payload: &Holder,
    messages: &Holder,
) -> String {
    loop {
        let header = match tokio::time::timeout(SILENCE, reader.header(MAX_PEER_FRAME)).await {
            Err(_) => return "silent for too long".to_owned(),
            Ok(Err(FrameError::Closed)) => return "closed by the other side".to_owned(),
            Ok(Err(error)) => return error.to_string(),
            Ok(Ok(header)) => header,
        };
        let event = if header.kind == DATA {
            match read_data(&mut reader, header.len, conn, ours, payload).await {
                Ok(event) => event,
                Err(why) => return why,
            }
        } else {
            let (msg, held) = match read_message(&mut reader, header, ours, messages).await {
                Ok(read) => read,
                Err(why) => return why,
            };
            match msg {
                Some(PeerMsg::Bye { code, text }) => {
                    return format!("{code}: {}", common::names::show(&text));
                }
                Some(msg) => match flow.received(&msg).await {
                    Some(place) => ConnEvent::Message { conn, msg, place: place.with(held) },
                    None => return "it leaves unread what it asks for".to_owned(),
                },
                None => continue,
            }
        };
        if ours.events.send(event).await.is_err() {
            return "the engine stopped".to_owned();
        }
    }
}

/// Reads a message other than DATA (nothing if it is of a kind that we do not know), and keeps the memory that
/// it counts for.
async fn read_message<R: AsyncRead + Unpin>(
    reader: &mut FrameReader<R>,
    header: FrameHeader,
    ours: &Ours,
    holder: &Holder,
) -> Result<(Option<PeerMsg>, Option<Held>), String> {
    if header.len <= SHORT {
        return match tokio::time::timeout(FRAME_TIMEOUT, reader.body()).await {
            Err(_) => Err("a message took too long".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(body)) => Ok((decode(header.kind, &body)?, None)),
        };
    }
    let mut buf = ours.pool.get_for_message(header.len).await;
    let waits = holder.waits(header.len);
    fill(reader, &mut buf).await?;
    drop(waits);
    Ok((decode(header.kind, &buf)?, Some(buf.give_back())))
}

fn decode(kind: u8, body: &[u8]) -> Result<Option<PeerMsg>, String> {
    PeerMsg::decode(kind, body).map_err(|error| error.to_string())
}

async fn read_data<R: AsyncRead + Unpin>(
    reader: &mut FrameReader<R>,
    body_len: usize,
    conn: ConnId,
    ours: &Ours,
    holder: &Holder,
) -> Result<ConnEvent, String> {
    let len = DataHeader::payload_len(body_len + 1).map_err(|error| error.to_string())?;
    ours.disk.keep_up().await;
    // Waits while the byte budget is used up: no buffer, no read, and TCP holds the sender back.
    let mut buf = ours.pool.get(len).await;
    let mut header = [0; DataHeader::LEN];
    let waits = holder.waits(len);
    fill(reader, &mut header).await?;
    drop(waits);
    // Under a limit in small parts, so that TCP slows the sender down evenly.
    let part = ours.down.quantum(len).max(1);
    for part in buf.chunks_mut(part) {
        ours.down.take(part.len()).await;
        let waits = holder.waits(len);
        fill(reader, part).await?;
        drop(waits);
    }
    let DataHeader { rid, off } = DataHeader::decode(header);
    Ok(ConnEvent::Data { conn, rid, off, buf })
}

/// Reads into `out` what belongs there, within the time a frame may take.
async fn fill<R: AsyncRead + Unpin>(
    reader: &mut FrameReader<R>,
    out: &mut [u8],
) -> Result<(), String> {
    match tokio::time::timeout(FRAME_TIMEOUT, reader.read_exact_into(out)).await {
        Err(_) => Err("a frame took too long".to_owned()),
        Ok(read) => read.map_err(|error| error.to_string()),
    }
}
