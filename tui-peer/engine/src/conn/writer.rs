//! The writing half of a connection: control messages first, payload in frames sized to the link.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::channel::FrameWriter;
use common::limits::{MAX_DATA_LEN, MIN_DATA_LEN};
use common::numbers::saturate;
use common::wire::Code;
use common::wire::peer::{DATA, DataHeader, PeerMsg};
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;

use super::uplink::Uplink;
use super::{ConnCommand, ConnEvent, Ours, ServeJob, ServeSource};
use crate::disk::{Buf, Holder, ReadError};
use swarm::event::ConnId;

/// A frame should take about this long to hand to the kernel.
const FRAME_TIME: Duration = Duration::from_millis(100);
/// A write that makes no progress for so long ends the connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time to get BYE out.
const BYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Payload of one frame.
enum Payload {
    Pooled(Buf),
    Memory(Bytes),
}

impl Payload {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Pooled(buf) => buf,
            Self::Memory(bytes) => bytes,
        }
    }
}

type Fetch = Pin<Box<dyn Future<Output = Result<Payload, ReadError>> + Send>>;

/// A request being served.
struct Active {
    job: ServeJob,
    /// Whether anything of it was asked from the disk.
    begun: bool,
    /// Bytes handed to the stream.
    sent: u32,
    /// Bytes asked from the disk.
    fetched: u32,
    /// The next frame, being read.
    next: Option<Fetch>,
}

impl Active {
    fn new(job: ServeJob) -> Self {
        Self { job, begun: false, sent: 0, fetched: 0, next: None }
    }

    /// How long until the limit of its content lets it go on.
    fn debt(&self) -> Option<Duration> {
        self.job.limit.as_ref()?.debt()
    }
}

struct Writer<'a, W> {
    frames: FrameWriter<W>,
    conn: ConnId,
    ours: &'a Ours,
    /// The way out, where that is watched.
    uplink: Option<Arc<Uplink>>,
    holder: &'a Holder,
    waiting: VecDeque<Active>,
    active: Option<Active>,
    frame_len: usize,
    /// Payload has gone out.
    flows: bool,
}

/// Writes until the session drops the handle or the stream breaks; says why it ended.
pub(super) async fn run<W: AsyncWrite + Unpin>(
    frames: FrameWriter<W>,
    mut commands: mpsc::Receiver<ConnCommand>,
    conn: ConnId,
    (ours, uplink): (&Ours, Option<Arc<Uplink>>),
    holder: &Holder,
) -> String {
    let mut writer = Writer {
        frames,
        conn,
        ours,
        uplink,
        holder,
        waiting: VecDeque::new(),
        active: None,
        frame_len: MAX_DATA_LEN / 2,
        flows: false,
    };
    match writer.run(&mut commands).await {
        Ok(why) | Err(why) => why,
    }
}

impl<W: AsyncWrite + Unpin> Writer<'_, W> {
    async fn run(&mut self, commands: &mut mpsc::Receiver<ConnCommand>) -> Result<String, String> {
        loop {
            // Everything that waits goes before the next frame of payload.
            while let Ok(command) = commands.try_recv() {
                if let Some(end) = self.obey(command).await? {
                    return Ok(end);
                }
            }
            self.start_next();
            if let Some(wait) = self.give_way() {
                self.flush().await?;
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    command = commands.recv() => {
                        let Some(command) = command else { return Ok("closed".to_owned()) };
                        if let Some(end) = self.obey(command).await? {
                            return Ok(end);
                        }
                    }
                }
                continue;
            }
            let Some(active) = self.active.as_mut() else {
                self.flush().await?;
                match commands.recv().await {
                    None => return Ok("closed".to_owned()),
                    Some(command) => {
                        if let Some(end) = self.obey(command).await? {
                            return Ok(end);
                        }
                    }
                }
                continue;
            };
            let Some(fetch) = active.next.as_mut() else {
                self.finish_active().await?;
                continue;
            };
            // A slow disk must not hold up control messages.
            let fetched = tokio::select! {
                biased;
                payload = fetch => Some(payload),
                command = commands.recv() => {
                    let Some(command) = command else { return Ok("closed".to_owned()) };
                    if let Some(end) = self.obey(command).await? {
                        return Ok(end);
                    }
                    self.flush().await?;
                    None
                }
            };
            match fetched {
                None => {}
                Some(Ok(payload)) => self.send_frame(&payload, commands).await?,
                Some(Err(error)) => {
                    let code = match error {
                        ReadError::Changed | ReadError::Gone => Code::Gone,
                        ReadError::Busy(_) => Code::Busy,
                        _ => Code::LocalIo,
                    };
                    self.fail_active(code).await?;
                }
            }
        }
    }

    /// Carries out one command; `Some` ends the connection.
    async fn obey(&mut self, command: ConnCommand) -> Result<Option<String>, String> {
        match command {
            ConnCommand::Send { msg, place } => {
                self.write(msg).await?;
                drop(place);
            }
            ConnCommand::Serve(job) => self.waiting.push_back(Active::new(job)),
            ConnCommand::Stop { rid } => {
                if self.active.as_ref().is_some_and(|active| active.job.rid == rid) {
                    self.fail_active(Code::Cancelled).await?;
                } else if self.drop_waiting(rid) {
                    self.report(ConnEvent::ServeFailed {
                        conn: self.conn,
                        rid,
                        code: Code::Cancelled,
                    })
                    .await?;
                }
            }
            ConnCommand::Close { code, text } => {
                let why = format!("we closed: {text}");
                let goodbye = async {
                    self.write(PeerMsg::Bye { code, text }).await?;
                    self.frames.shutdown().await.map_err(|error| error.to_string())
                };
                let _ = tokio::time::timeout(BYE_TIMEOUT, goodbye).await;
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    /// Forgets a request that waits; says whether there was one.
    fn drop_waiting(&mut self, rid: u32) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|next| next.job.rid != rid);
        self.waiting.len() < before
    }

    fn start_next(&mut self) {
        if self.active.is_none()
            && let Some(mut active) = self.waiting.pop_front()
        {
            if !std::mem::replace(&mut active.begun, true) {
                self.fetch_next(&mut active);
            }
            self.active = Some(active);
        }
    }

    /// If the request being served has used up the limit of its content, one that has not goes first;
    /// if all have, says how long to wait.
    fn give_way(&mut self) -> Option<Duration> {
        let wait = self.active.as_ref().filter(|active| active.next.is_some())?.debt()?;
        let debts = self.waiting.iter().map(Active::debt);
        let soonest = debts.enumerate().min_by_key(|(_, debt)| debt.unwrap_or_default());
        let Some((at, debt)) = soonest else { return Some(wait) };
        if debt.is_some() {
            return Some(wait.min(debt.unwrap_or_default()));
        }
        let next = self.waiting.remove(at);
        self.waiting.extend(self.active.take());
        if let Some(next) = next {
            self.waiting.push_front(next);
        }
        self.start_next();
        None
    }

    /// Starts reading the frame after those already read.
    fn fetch_next(&self, active: &mut Active) {
        let off = active.job.off + active.fetched;
        let left = active.job.len - active.fetched;
        let mut most = self.ours.up.quantum(self.frame_len);
        if let Some(uplink) = &self.uplink {
            most = uplink.limit().quantum(most);
        }
        if let Some(limit) = &active.job.limit {
            most = limit.quantum(most);
        }
        let len = left.min(u32::try_from(most).unwrap_or(left));
        active.next = (len > 0).then(|| {
            active.fetched += len;
            match &active.job.source {
                ServeSource::Chunk(source, chunk) => {
                    let (disk, source, chunk) = (self.ours.disk.clone(), source.clone(), *chunk);
                    Box::pin(async move {
                        disk.read(source, chunk, off, len).await.map(Payload::Pooled)
                    }) as Fetch
                }
                ServeSource::Memory(bytes) => {
                    let end = off.saturating_add(len) as usize;
                    let in_range = end <= bytes.len();
                    let slice = in_range.then(|| bytes.slice(off as usize..end));
                    let ready = slice.map(Payload::Memory).ok_or(ReadError::OutOfRange);
                    Box::pin(std::future::ready(ready)) as Fetch
                }
            }
        });
    }

    async fn send_frame(
        &mut self,
        payload: &Payload,
        commands: &mut mpsc::Receiver<ConnCommand>,
    ) -> Result<(), String> {
        let Some(mut active) = self.active.take() else { return Ok(()) };
        let len = payload.bytes().len();
        let header = DataHeader { rid: active.job.rid, off: active.sent }.encode();
        active.sent += saturate::<u32>(len);
        active.next = None;
        if let Some(limit) = &active.job.limit {
            limit.charge(len);
        }
        self.fetch_next(&mut active);
        // The disk reads the next frame while this one waits for its turn and is written.
        self.active = Some(active);
        self.wait_turn(len, commands).await?;
        if !std::mem::replace(&mut self.flows, true) {
            // OPEN_OK and the first hashes in one record with payload could be read only with all of its 16 KiB, more
            // than a new connection carries in a round trip: what they allow to be asked for would come later by one.
            self.flush().await?;
        }
        let begun = Instant::now();
        let parts: [&[u8]; 2] = [&header, payload.bytes()];
        // This frame and the next.
        let waits = self.holder.waits(2 * len);
        let write = self.frames.write_parts(DATA, &parts);
        match tokio::time::timeout(WRITE_TIMEOUT, write).await {
            Err(_) => return Err("it stopped reading".to_owned()),
            Ok(written) => written.map_err(|error| error.to_string())?,
        }
        drop(waits);
        let took = begun.elapsed();
        if took > FRAME_TIME {
            self.frame_len = (self.frame_len / 2).max(MIN_DATA_LEN);
        } else if took < FRAME_TIME / 8 && len >= self.frame_len {
            self.frame_len = (self.frame_len * 2).min(MAX_DATA_LEN);
        }
        Ok(())
    }

    /// Waits until the upload limits let `len` bytes pass, sending control messages meanwhile.
    async fn wait_turn(
        &mut self,
        len: usize,
        commands: &mut mpsc::Receiver<ConnCommand>,
    ) -> Result<(), String> {
        let (limiter, uplink) = (self.ours.up.clone(), self.uplink.clone());
        let uplink = uplink.as_ref().map(|uplink| uplink.limit());
        if limiter.rate().is_none() && uplink.is_none_or(|limit| limit.rate().is_none()) {
            return Ok(());
        }
        let turn = async {
            limiter.take(len).await;
            if let Some(limit) = uplink {
                limit.take(len).await;
            }
        };
        tokio::pin!(turn);
        self.flush().await?;
        loop {
            tokio::select! {
                biased;
                () = &mut turn => return Ok(()),
                command = commands.recv() => match command {
                    Some(ConnCommand::Send { msg, place }) => {
                        self.write(msg).await?;
                        drop(place);
                        self.flush().await?;
                    }
                    Some(ConnCommand::Serve(job)) => self.waiting.push_back(Active::new(job)),
                    // The frame at hand is paid for: obey after it.
                    Some(other) => {
                        turn.await;
                        self.deferred(other).await?;
                        return Ok(());
                    }
                    None => return Err("closed".to_owned()),
                },
            }
        }
    }

    async fn deferred(&mut self, command: ConnCommand) -> Result<(), String> {
        match self.obey(command).await? {
            Some(end) => Err(end),
            None => Ok(()),
        }
    }

    async fn finish_active(&mut self) -> Result<(), String> {
        if let Some(active) = self.active.take() {
            if self.waiting.is_empty() {
                self.flush().await?;
            }
            self.report(ConnEvent::Served { conn: self.conn, rid: active.job.rid }).await?;
        }
        Ok(())
    }

    async fn fail_active(&mut self, code: Code) -> Result<(), String> {
        if let Some(active) = self.active.take() {
            self.report(ConnEvent::ServeFailed { conn: self.conn, rid: active.job.rid, code })
                .await?;
        }
        Ok(())
    }

    async fn report(&mut self, event: ConnEvent) -> Result<(), String> {
        self.ours.events.send(event).await.map_err(|_| "the engine stopped".to_owned())
    }

    async fn write(&mut self, msg: PeerMsg) -> Result<(), String> {
        let (kind, body) = (msg.kind(), msg.body());
        if matches!(msg, PeerMsg::Hashes { .. } | PeerMsg::Bitfield { .. }) {
            // They go ahead of payload, which waits until the limit has been paid for them.
            self.ours.up.charge(body.len());
            if let Some(uplink) = &self.uplink {
                uplink.limit().charge(body.len());
            }
        }
        // What follows may take a minute: not both of them in memory.
        drop(msg);
        let write = self.frames.write(kind, &body);
        match tokio::time::timeout(WRITE_TIMEOUT, write).await {
            Err(_) => Err("it stopped reading".to_owned()),
            Ok(written) => written.map_err(|error| error.to_string()),
        }
    }

    async fn flush(&mut self) -> Result<(), String> {
        match tokio::time::timeout(WRITE_TIMEOUT, self.frames.flush()).await {
            Err(_) => Err("it stopped reading".to_owned()),
            Ok(flushed) => flushed.map_err(|error| error.to_string()),
        }
    }
}
