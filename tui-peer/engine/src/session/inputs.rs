//! What connections and disk workers report.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::id::{ContentId, PeerId};
use common::net::AddrGroup;
use common::numbers::saturate;
use common::wire::Code;

use super::Session;
use super::extras::of_conn::ConnExtras;
use crate::api::event::{Level, Target, What};
use crate::api::snapshot::Way;
use crate::conn::{ConnEvent, ConnHandle};
use crate::disk::{Buf, DiskError, DiskEvent};
use swarm::event::{ConnId, Input, Route};

/// A connection and what the shell keeps for it.
pub(super) struct Conn {
    pub(super) peer: PeerId,
    /// Where it leads: the other end, or the tracker in between.
    pub(super) addr: SocketAddr,
    /// How it came about.
    pub(super) way: Way,
    /// The peer made it.
    pub(super) came: bool,
    /// How long it took to connect, if we did.
    pub(super) rtt: Option<Duration>,
    /// What it goes over beside.
    pub(super) extras: ConnExtras,
    /// Its HELLO has passed.
    pub(super) greeted: bool,
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
    fn new(
        peer: PeerId,
        (addr, way): (SocketAddr, Way),
        greeted: bool,
        handle: ConnHandle,
    ) -> Self {
        let (bufs, serving, since) = (HashMap::new(), HashMap::new(), Instant::now());
        // Who comes has said HELLO already.
        let (came, closing, down, up) = (greeted, false, 0, 0);
        let (rtt, extras) = (None, ConnExtras::default());
        Self {
            peer,
            addr,
            way,
            came,
            rtt,
            extras,
            greeted,
            handle,
            closing,
            bufs,
            serving,
            down,
            up,
            since,
        }
    }

    /// Ends it from our side; what it holds is free at once.
    pub(super) fn close(&mut self, code: Code, text: String) {
        self.closing = true;
        self.bufs.clear();
        self.extras.close(code, &text);
        self.handle.close(code, text);
    }
}

/// Over what it goes.
fn route(way: Way) -> Route {
    match way {
        Way::Dialled | Way::Came | Way::Punched => Route::Direct,
        Way::Relayed => Route::Relayed,
    }
}

impl Session {
    pub(super) fn on_conn(&mut self, event: ConnEvent) {
        let Some(event) = self.of_main(event) else { return };
        match event {
            ConnEvent::Up { conn, peer, place, max_queued, handle } => {
                self.end_call(&peer, place.1);
                self.conns.insert(conn, Conn::new(peer, place, true, handle));
                self.say_connected(peer, place);
                let (route, group) = (route(place.1), self.group_of(place));
                let dialed = false;
                self.feed(Input::Connected { conn, route, peer, dialed, group, max_queued });
            }
            ConnEvent::Reached { conn, peer, place, rtt, handle } => {
                self.end_call(&peer, place.1);
                let entry = Conn { rtt, ..Conn::new(peer, place, false, handle) };
                self.conns.insert(conn, entry);
                let (route, group) = (route(place.1), self.group_of(place));
                self.feed(Input::Reached { conn, route, peer, group });
            }
            ConnEvent::Greeted { conn, max_queued, number } => {
                self.on_greeted(conn, max_queued, number)
            }
            ConnEvent::Extra { conn, main, peer, rtt, handle } => {
                self.on_extra(conn, main, (peer, rtt), handle);
            }
            ConnEvent::NoExtra { main, why } => self.on_no_extra(main, &why),
            ConnEvent::Refused { conn, permanent, code, why } => {
                self.on_refused(conn, permanent, code, &why);
            }
            ConnEvent::DialSlow { peer } => self.ask_to_be_dialled(peer),
            ConnEvent::NotMet { peer, why } => self.note_unreached(peer, &why),
            ConnEvent::DialStuck { peer } => self.ask_to_be_relayed(peer),
            ConnEvent::DialInVain { peer } => self.on_dial_in_vain(peer),
            ConnEvent::DialFailed { peer, permanent, proven, why } => {
                self.on_dial_failed(peer, permanent, proven, &why);
            }
            ConnEvent::Message { conn, msg, mut place } => {
                place.answer();
                if self.conns.get(&conn).is_some_and(|conn| !conn.closing) {
                    self.feed(Input::Message { conn, msg });
                }
                drop(place);
            }
            ConnEvent::Data { conn, rid, off, buf } => {
                self.count_main(conn, buf.len() as u64);
                self.on_data(conn, rid, off, buf);
            }
            ConnEvent::Served { conn, rid } => {
                if let Some(entry) = self.conns.get_mut(&conn) {
                    if let Some((_, _, len)) = entry.serving.remove(&rid) {
                        entry.up += u64::from(len);
                        self.counters.totals.up += u64::from(len);
                    }
                    self.feed(Input::Served { conn, rid });
                }
            }
            ConnEvent::ServeFailed { conn, rid, code } => self.on_serve_failed(conn, rid, code),
            ConnEvent::Down { conn, why } => {
                let Some(entry) = self.conns.remove(&conn) else { return };
                if entry.greeted {
                    let text =
                        format!("{} disconnected: {why}", self.net.display_name(&entry.peer));
                    let what = What::Peer { peer: entry.peer, connected: false };
                    self.tell(Level::Debug, Target::Net, text, what);
                }
                self.feed(Input::Disconnected { conn });
                self.note_ungreeted(&entry, &why);
            }
        }
    }

    fn on_greeted(&mut self, conn: ConnId, max_queued: u32, number: Option<u64>) {
        let Some(entry) = self.conns.get_mut(&conn).filter(|entry| !entry.closing) else {
            return;
        };
        entry.greeted = true;
        let (peer, place) = (entry.peer, (entry.addr, entry.way));
        self.say_connected(peer, place);
        self.may_have_extras(conn, number);
        self.feed(Input::Greeted { conn, max_queued });
    }

    fn on_serve_failed(&mut self, conn: ConnId, rid: u32, code: Code) {
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        let what = entry.serving.remove(&rid);
        // What cannot be read now may be later: that is no reason to call it gone, and a peer that
        // cannot read its disk is no liar.
        let told = if code == Code::LocalIo { Code::Busy } else { code };
        self.feed(Input::ServeFailed { conn, rid, code: told });
        match (what, code) {
            (Some((id, _, _)), Code::Gone) => self.on_unreadable(id),
            (Some((id, chunk, _)), Code::LocalIo) => {
                self.counters.errors.read += 1;
                self.on_read_error(id, chunk);
            }
            _ => {}
        }
    }

    /// Who counts as one with it. The address of a relay says nothing about who is behind it.
    fn group_of(&self, (addr, way): (SocketAddr, Way)) -> Option<AddrGroup> {
        match route(way) {
            Route::Direct => self.ours.links.now().group(addr.ip()),
            Route::Relayed => None,
        }
    }

    /// Something direct has come of a peer: it is not called any more.
    fn end_call(&mut self, peer: &PeerId, way: Way) {
        if route(way) == Route::Direct {
            self.net.calls.end(peer);
        }
    }

    fn say_connected(&mut self, peer: PeerId, (addr, way): (SocketAddr, Way)) {
        self.net.failures.reached(&peer);
        let way = match way {
            Way::Dialled | Way::Came => addr.to_string(),
            Way::Punched => format!("{addr}, both called at once"),
            Way::Relayed => "through the tracker".to_owned(),
        };
        let text = format!("{} connected ({way})", self.net.display_name(&peer));
        let what = What::Peer { peer, connected: true };
        self.tell(Level::Debug, Target::Net, text, what);
    }

    /// Tells of a connection that ended before its peer had said HELLO, or anything else.
    fn note_ungreeted(&mut self, entry: &Conn, why: &str) {
        if !entry.greeted && !entry.closing {
            self.note_refused(entry.peer, why);
        }
    }

    /// A peer that was reached does not let us in, or we do not let it.
    fn on_refused(&mut self, conn: ConnId, permanent: bool, code: Option<Code>, why: &str) {
        let Some(entry) = self.conns.get_mut(&conn).filter(|entry| !entry.closing) else { return };
        let peer = entry.peer;
        match code {
            Some(code) => entry.close(code, why.to_owned()),
            // It is gone, or has said why itself.
            None => drop(self.conns.remove(&conn)),
        }
        self.feed(Input::Refused { conn, permanent });
        self.note_refused(peer, why);
    }

    /// Payload, whichever TCP connection it came over.
    pub(super) fn on_data(&mut self, conn: ConnId, rid: u32, off: u32, buf: Buf) {
        let Some(entry) = self.conns.get_mut(&conn).filter(|entry| !entry.closing) else { return };
        let len = saturate::<u32>(buf.len());
        entry.down += u64::from(len);
        entry.bufs.entry(rid).or_default().push(buf);
        self.counters.totals.down += u64::from(len);
        self.feed(Input::Data { conn, rid, off, len });
        self.try_extras(conn, Instant::now());
    }

    /// Forgets a connection whose writer cannot keep up; its tasks end by themselves.
    pub(super) fn drop_conn(&mut self, conn: ConnId) {
        if let Some(entry) = self.conns.remove(&conn) {
            self.feed(Input::Disconnected { conn });
            self.note_ungreeted(&entry, "it closed the connection");
        }
    }

    pub(super) fn on_disk(&mut self, event: DiskEvent) {
        match event {
            DiskEvent::ChunkStored { id, chunk } => self.feed(Input::ChunkStored { id, chunk }),
            DiskEvent::ChunkCorrupt { id, chunk, actual } => {
                self.counters.errors.hash += 1;
                self.feed(Input::ChunkCorrupt { id, chunk, actual });
            }
            DiskEvent::ChunkNotStored { id, chunk, error } => {
                // What the sync said counts, and comes with an event of its own.
                if !matches!(error, DiskError::Unsure { .. }) {
                    self.counters.errors.write += 1;
                    self.block(id, &error);
                }
                self.feed(Input::ChunkNotStored { id, chunk });
            }
            #[cfg(test)]
            DiskEvent::Synced { .. } => {}
            DiskEvent::SyncFailed { id, lost, error } => {
                self.counters.errors.sync += 1;
                if self.contents.download_of(&id).is_err() {
                    // Removed meanwhile, and perhaps shared from elsewhere.
                    return;
                }
                let text = format!(
                    "{}: the disk lost {} chunks: {error}",
                    self.shown_name(&id),
                    lost.count()
                );
                self.log(Level::Error, Target::Disk, text);
                self.feed(Input::ChunksLost { id, lost });
                self.block(id, &error);
            }
        }
    }
}
