//! One connection to one peer: handshake, then a reader task and a writer task.
//!
//! The reader hands DATA payloads over in pooled buffers and everything else as messages. The writer
//! sends control messages before payload, reads payload ahead from the disk while the last frame is
//! being written, and reports when a request has been served.

mod dial;
mod extra;
mod flow;
mod handshake;
mod listener;
mod ours;
mod punch;
mod reader;
mod relay;
mod stream;
mod traffic;
mod uplink;
mod window;
mod writer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::id::PeerId;
use common::wire::Code;
use common::wire::peer::PeerMsg;
use tokio::sync::mpsc;

pub(crate) use dial::{MAX_TRIES, connect, connect_from, dial, head_start};
pub(crate) use extra::dial_extra;
pub(crate) use flow::Charge;
pub(crate) use listener::listen;
pub(crate) use ours::Ours;
pub(crate) use punch::{Punch, punch};
pub(crate) use relay::{Meeting, meet};
pub(crate) use traffic::Traffic;

use self::flow::Flow;
use super::disk::{Buf, ChunkSource};
use super::limiter::Limiter;
use crate::api::snapshot::Way;
use swarm::event::ConnId;

/// Commands waiting at a writer. A peer that lets this many pile up is not reading.
const COMMAND_QUEUE: usize = 4096;

/// The connection that an extra one is to belong to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Main {
    /// Which, here.
    pub(crate) conn: ConnId,
    /// Which, at the other end.
    pub(crate) number: u64,
    /// To whom.
    pub(crate) peer: PeerId,
    /// Where it leads.
    pub(crate) addr: SocketAddr,
}

/// What connections tell the session.
#[derive(Debug)]
pub(crate) enum ConnEvent {
    /// A connection that a peer made passed TLS and HELLO.
    Up {
        /// Its number.
        conn: ConnId,
        /// Who it is.
        peer: PeerId,
        /// How it came about, and where it leads: the other end, or the tracker in between.
        place: (SocketAddr, Way),
        /// Most bytes it lets us have queued.
        max_queued: u32,
        /// Its writer.
        handle: ConnHandle,
    },
    /// A peer that we dialled has proven its key, and our HELLO is on its way; its own is still to come.
    Reached {
        /// The connection's number.
        conn: ConnId,
        /// Who it is.
        peer: PeerId,
        /// How it came about, and where it leads: the other end, or the tracker in between.
        place: (SocketAddr, Way),
        /// How long the system took to connect: a round trip. Not known through the tracker.
        rtt: Option<Duration>,
        /// Its writer.
        handle: ConnHandle,
    },
    /// The HELLO of a peer that was reached has passed.
    Greeted {
        /// Which connection.
        conn: ConnId,
        /// Most bytes it lets us have queued.
        max_queued: u32,
        /// What names it in extra connections, if the peer takes any.
        number: Option<u64>,
    },
    /// An extra connection is there.
    Extra {
        /// Its number.
        conn: ConnId,
        /// The connection that it is said to belong to.
        main: ConnId,
        /// Who has proven to be at its other end.
        peer: PeerId,
        /// How long the system took to connect, if we made it and not the peer.
        rtt: Option<Duration>,
        /// Its writer.
        handle: ConnHandle,
    },
    /// An extra connection was not to be had.
    NoExtra {
        /// For which connection.
        main: ConnId,
        /// Why, in words.
        why: String,
    },
    /// It did not pass, or did not come: the connection is to be closed.
    Refused {
        /// Which.
        conn: ConnId,
        /// Whether another try makes no sense.
        permanent: bool,
        /// What the peer is to be told, if anything.
        code: Option<Code>,
        /// Why, in words.
        why: String,
    },
    /// A dial goes on without an answer so far, or is about to fail.
    DialSlow {
        /// Whom we try to reach.
        peer: PeerId,
    },
    /// Nor has it been reached in another way since.
    DialStuck {
        /// Whom we try to reach.
        peer: PeerId,
    },
    /// Nor has that helped, in the time it takes.
    DialInVain {
        /// Whom we tried to reach.
        peer: PeerId,
    },
    /// A peer was not met at the tracker.
    NotMet {
        /// Whom.
        peer: PeerId,
        /// Why, in words.
        why: String,
    },
    /// A dial came to nothing.
    DialFailed {
        /// Whom we tried to reach.
        peer: PeerId,
        /// Whether another try makes no sense.
        permanent: bool,
        /// Whether the one who answered had the right key.
        proven: bool,
        /// Why, in words.
        why: String,
    },
    /// A message other than HELLO and DATA.
    Message {
        /// From which connection.
        conn: ConnId,
        /// The message.
        msg: PeerMsg,
        /// Its place among those that the session has not dealt with, given back with it.
        place: Charge,
    },
    /// A DATA frame.
    Data {
        /// From which connection.
        conn: ConnId,
        /// Request number.
        rid: u32,
        /// Where the payload starts within the request.
        off: u32,
        /// The payload.
        buf: Buf,
    },
    /// A request was served entirely.
    Served {
        /// To which connection.
        conn: ConnId,
        /// The requester's number.
        rid: u32,
    },
    /// A request could not be served to the end.
    ServeFailed {
        /// To which connection.
        conn: ConnId,
        /// The requester's number.
        rid: u32,
        /// Why.
        code: Code,
    },
    /// The connection is gone.
    Down {
        /// Which.
        conn: ConnId,
        /// Why, in words.
        why: String,
    },
}

/// What the session tells a connection's writer.
#[derive(Debug)]
pub(crate) enum ConnCommand {
    /// Send a message.
    Send {
        /// The message.
        msg: PeerMsg,
        /// Its place among those that wait.
        place: Charge,
    },
    /// Serve a request.
    Serve(ServeJob),
    /// Stop serving a request.
    Stop {
        /// The requester's number.
        rid: u32,
    },
    /// Send BYE and close.
    Close {
        /// Why.
        code: Code,
        /// Why, in words.
        text: String,
    },
}

/// A request to serve.
pub(crate) struct ServeJob {
    /// The requester's number.
    pub(crate) rid: u32,
    /// Where the bytes come from.
    pub(crate) source: ServeSource,
    /// First byte (within the chunk or the manifest).
    pub(crate) off: u32,
    /// How many bytes.
    pub(crate) len: u32,
    /// The limit of its content, beside the one for everything.
    pub(crate) limit: Option<Arc<Limiter>>,
}

/// Where bytes to serve come from.
#[derive(Clone)]
pub(crate) enum ServeSource {
    /// A chunk on disk.
    Chunk(Arc<dyn ChunkSource>, u32),
    /// A manifest in memory.
    Memory(Bytes),
}

impl std::fmt::Debug for ServeJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServeJob")
            .field("rid", &self.rid)
            .field("off", &self.off)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// The session's side of a connection. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct ConnHandle {
    commands: mpsc::Sender<ConnCommand>,
    flow: Arc<Flow>,
}

impl ConnHandle {
    /// Hands a command over; false if the writer is gone or hopelessly behind.
    #[must_use]
    pub(crate) fn send(&self, command: ConnCommand) -> bool {
        self.commands.try_send(command).is_ok()
    }

    /// Sends a message; false as with [`Self::send`], or if it leaves too much unread.
    #[must_use]
    pub(crate) fn say(&self, msg: PeerMsg) -> bool {
        let place = self.flow.to_send(&msg);
        place.is_some_and(|place| self.send(ConnCommand::Send { msg, place }))
    }

    /// Says goodbye and ends the connection: nothing more is read from it, and what it held is free.
    pub(crate) fn close(&self, code: Code, text: String) {
        // A queue without room for it belongs to a peer that would not hear it.
        let _ = self.send(ConnCommand::Close { code, text });
        self.flow.end();
    }
}

impl Drop for ConnHandle {
    fn drop(&mut self) {
        self.flow.end();
    }
}
