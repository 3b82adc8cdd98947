//! What connections and disk workers report.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use common::id::{ContentId, PeerId};
use common::wire::Code;

use super::Session;
use crate::engine::conn::{ConnEvent, ConnHandle};
use crate::engine::disk::{Buf, DiskError, DiskEvent};
use crate::engine::event::{Level, Target, What};
use swarm::event::{ConnId, Input};

/// A connection and what the shell keeps for it.
pub(super) struct Conn {
    pub(super) peer: PeerId,
    pub(super) addr: SocketAddr,
    pub(super) handle: ConnHandle,
    /// We ended it: what still comes from it is of no interest.
    pub(super) closing: bool,
    /// Payload received for requests not yet complete, in order of arrival.
    pub(super) bufs: HashMap<u32, Vec<Buf>>,
    /// Requests being served: content, chunk and length.
    pub(super) serving: HashMap<u32, (ContentId, u32, u32)>,
    pub(super) down: u64,
    pub(super) up: u64,
    pub(super) since: Instant,
}

impl Conn {
    /// Ends it from our side; what it holds is free at once.
    pub(super) fn close(&mut self, code: Code, text: String) {
        self.closing = true;
        self.bufs.clear();
        self.handle.close(code, text);
    }
}

impl Session {
    pub(super) fn on_conn(&mut self, event: ConnEvent) {
        match event {
            ConnEvent::Up { conn, peer, dialed, addr, max_queued, handle } => {
                let (bufs, serving) = (HashMap::new(), HashMap::new());
                let since = Instant::now();
                let closing = false;
                let entry =
                    Conn { peer, addr, handle, closing, bufs, serving, down: 0, up: 0, since };
                self.conns.insert(conn, entry);
                self.failures.reached(&peer);
                let text = format!("{} connected ({addr})", self.who(&peer));
                let what = What::Peer { peer, connected: true };
                self.tell(Level::Debug, Target::Net, text, what);
                let group = self.ours.links.now().group(addr.ip());
                self.feed(Input::Connected { conn, peer, dialed, group, max_queued });
            }
            ConnEvent::DialFailed { peer, permanent, proven, why } => {
                self.on_dial_failed(peer, (permanent, proven), &why);
            }
            ConnEvent::Message { conn, msg, mut place } => {
                place.answer();
                if self.conns.get(&conn).is_some_and(|conn| !conn.closing) {
                    self.feed(Input::Message { conn, msg });
                }
                drop(place);
            }
            ConnEvent::Data { conn, rid, off, buf } => self.on_data(conn, rid, off, buf),
            ConnEvent::Served { conn, rid } => {
                if let Some(entry) = self.conns.get_mut(&conn) {
                    if let Some((_, _, len)) = entry.serving.remove(&rid) {
                        entry.up += u64::from(len);
                        self.totals.up += u64::from(len);
                    }
                    self.feed(Input::Served { conn, rid });
                }
            }
            ConnEvent::ServeFailed { conn, rid, code } => {
                let Some(entry) = self.conns.get_mut(&conn) else { return };
                let what = entry.serving.remove(&rid);
                // What cannot be read now may be later: that is no reason to call it gone, and a peer that
                // cannot read its disk is no liar.
                let told = if code == Code::LocalIo { Code::Busy } else { code };
                self.feed(Input::ServeFailed { conn, rid, code: told });
                match (what, code) {
                    (Some((id, _, _)), Code::Gone) => self.on_unreadable(id),
                    (Some((id, chunk, _)), Code::LocalIo) => {
                        self.errors.read += 1;
                        self.on_read_error(id, chunk);
                    }
                    _ => {}
                }
            }
            ConnEvent::Down { conn, why } => {
                if let Some(entry) = self.conns.remove(&conn) {
                    let text = format!("{} disconnected: {why}", self.who(&entry.peer));
                    let what = What::Peer { peer: entry.peer, connected: false };
                    self.tell(Level::Debug, Target::Net, text, what);
                    self.feed(Input::Disconnected { conn });
                }
            }
        }
    }

    fn on_data(&mut self, conn: ConnId, rid: u32, off: u32, buf: Buf) {
        let Some(entry) = self.conns.get_mut(&conn).filter(|entry| !entry.closing) else { return };
        let len = u32::try_from(buf.len()).unwrap_or(u32::MAX);
        entry.down += u64::from(len);
        entry.bufs.entry(rid).or_default().push(buf);
        self.totals.down += u64::from(len);
        self.feed(Input::Data { conn, rid, off, len });
    }

    /// Forgets a connection whose writer cannot keep up; its tasks end by themselves.
    pub(super) fn drop_conn(&mut self, conn: ConnId) {
        if self.conns.remove(&conn).is_some() {
            self.feed(Input::Disconnected { conn });
        }
    }

    pub(super) fn on_disk(&mut self, event: DiskEvent) {
        match event {
            DiskEvent::ChunkStored { id, chunk } => self.feed(Input::ChunkStored { id, chunk }),
            DiskEvent::ChunkCorrupt { id, chunk, actual } => {
                self.errors.hash += 1;
                self.feed(Input::ChunkCorrupt { id, chunk, actual });
            }
            DiskEvent::ChunkNotStored { id, chunk, error } => {
                // What the sync said counts, and comes with an event of its own.
                if !matches!(error, DiskError::Unsure { .. }) {
                    self.errors.write += 1;
                    self.block(id, &error);
                }
                self.feed(Input::ChunkNotStored { id, chunk });
            }
            DiskEvent::Synced { .. } => {}
            DiskEvent::SyncFailed { id, lost, error } => {
                self.errors.sync += 1;
                if self.download_of(&id).is_err() {
                    // Removed meanwhile, and perhaps shared from elsewhere.
                    return;
                }
                let text = format!(
                    "{}: the disk lost {} chunks: {error}",
                    self.shown_name(&id),
                    lost.count()
                );
                self.say(Level::Error, Target::Disk, text);
                self.feed(Input::ChunksLost { id, lost });
                self.block(id, &error);
            }
        }
    }
}
