//! Frames on their way to one peer, and the task that writes them. What is unsent is counted, so that a
//! peer that does not read costs a bounded amount and nobody else notices.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use common::channel::{HEADER_LEN, SecureWriter};
use common::lock::Unpoisoned as _;
use common::wire::tracker::Reply;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::index::Shared;
use crate::metrics::Metrics;

/// Bytes of a frame beside its body.
const FRAME_OVERHEAD: usize = 5;

/// The queue of one connection. Its length is bounded by the session, which reads no further request
/// and polls no further push while too much is unsent.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    /// Something was added, or nothing will be any more.
    added: Notify,
    /// Something was written.
    written: Notify,
}

#[derive(Debug)]
struct Queue {
    frames: VecDeque<(u8, Body)>,
    /// Unsent bytes, with the frame that is being written.
    bytes: usize,
    /// When the peer last took something, or when the queue last stopped being empty.
    progress: Instant,
    closed: bool,
}

/// The body of a frame.
#[derive(Debug)]
enum Body {
    Own(Vec<u8>),
    Shared(Arc<Shared>),
}

impl Body {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Own(body) => body,
            Self::Shared(shared) => shared.body(),
        }
    }
}

impl Outbox {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(Queue {
                frames: VecDeque::new(),
                bytes: 0,
                progress: Instant::now(),
                closed: false,
            }),
            added: Notify::new(),
            written: Notify::new(),
        })
    }

    pub(super) fn push(&self, reply: &Reply) {
        self.add(reply.kind(), Body::Own(reply.body()));
    }

    /// Adds what many are told.
    pub(super) fn push_shared(&self, shared: Arc<Shared>) {
        self.add(shared.kind(), Body::Shared(shared));
    }

    fn add(&self, kind: u8, body: Body) {
        let len = body.as_bytes().len();
        let mut queue = self.lock();
        if queue.closed {
            return;
        }
        if queue.bytes == 0 {
            queue.progress = Instant::now();
        }
        queue.bytes += len + FRAME_OVERHEAD;
        queue.frames.push_back((kind, body));
        drop(queue);
        self.added.notify_one();
    }

    /// Bytes of frames that wait to be sent.
    pub(super) fn unsent(&self) -> usize {
        self.lock().bytes
    }

    /// Since when the peer has taken nothing, although there is something to take.
    pub(super) fn stands_since(&self) -> Option<Instant> {
        let queue = self.lock();
        (queue.bytes > 0).then_some(queue.progress)
    }

    /// Nothing more will be added; the writer ends when it is done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.added.notify_one();
    }

    /// Waits until something was written since the last call.
    pub(super) async fn written(&self) {
        self.written.notified().await;
    }

    /// Writes until closed or broken.
    pub(super) async fn write_to(&self, mut writer: SecureWriter<TcpStream>, metrics: &Metrics) {
        loop {
            let (next, closed) = {
                let mut queue = self.lock();
                (queue.frames.pop_front(), queue.closed)
            };
            let sent = match next {
                Some((kind, body)) => {
                    let body = body.as_bytes();
                    let sent = writer.write(kind, body).await;
                    metrics.frames_out.add(1);
                    metrics.bytes_out.add((HEADER_LEN + body.len()) as u64);
                    self.took(body.len() + FRAME_OVERHEAD);
                    sent
                }
                None => {
                    let flushed = writer.flush().await;
                    self.settle();
                    self.written.notify_one();
                    if closed {
                        // The peer may be gone already.
                        let _ = writer.shutdown().await;
                        return;
                    }
                    if flushed.is_ok() {
                        self.added.notified().await;
                    }
                    flushed
                }
            };
            if sent.is_err() {
                // The reading half notices by itself.
                self.fail();
                return;
            }
        }
    }

    fn took(&self, bytes: usize) {
        let mut queue = self.lock();
        // The last frame counts until it is flushed: it may still be in the writer's buffer.
        if !queue.frames.is_empty() {
            queue.bytes = queue.bytes.saturating_sub(bytes);
            queue.progress = Instant::now();
        }
        drop(queue);
        self.written.notify_one();
    }

    /// All is flushed: only what was added meanwhile is unsent.
    fn settle(&self) {
        let mut queue = self.lock();
        queue.bytes =
            queue.frames.iter().map(|(_, body)| body.as_bytes().len() + FRAME_OVERHEAD).sum();
        queue.progress = Instant::now();
    }

    fn fail(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.frames.clear();
        queue.bytes = 0;
        drop(queue);
        self.written.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unpoisoned()
    }
}
