//! What happened goes to the part that it concerns.

use common::wire::peer::PeerMsg;

use super::conn::Conn;
use super::event::{ConnId, Input, Output};
use super::node::{Cx, Node};
use super::time::Time;

impl Node {
    /// Takes in what happened at `now`; appends what to do. Never blocks, never fails.
    pub fn handle(&mut self, now: Time, input: Input, out: &mut Vec<Output>) {
        let cx = &mut Cx { now, out };
        match input {
            Input::ContentAdded { id, ready } => self.add_content(cx, id, ready),
            Input::ContentReady { id, ready } => self.content_ready(cx, id, ready),
            Input::Described { id, descriptor } => {
                if let Some(content) = self.contents.get_mut(&id) {
                    content.descriptor.get_or_insert(descriptor);
                }
            }
            Input::ManifestRejected { id, conn } => self.manifest_rejected(cx, id, conn),
            Input::WantedChanged { id, wanted } => self.change_wanted(cx, id, wanted),
            Input::PausedChanged { id, paused } => self.change_paused(cx, id, paused),
            Input::PolicyChanged { id, policy } => self.set_policy(cx, id, policy),
            Input::UpLimited { id, limited } => {
                self.set_up_limited(&id, limited);
                self.pump(cx);
            }
            Input::UpLimit(rate) => self.answers.limit(rate),
            Input::DownLimit(rate) => self.shaping.limit(cx.now, rate),
            Input::Ban { peer, time } => self.ban_peer(cx, peer, time),
            Input::Unban { peer } => self.unban(&peer),
            Input::Woke => self.woke(cx),
            Input::ContentRemoved { id } => self.remove_content(cx, id),
            Input::ChunksLost { id, lost } => self.chunks_lost(cx, id, &lost),
            Input::DoubtsSettled { id, here, gone } => self.doubts_settled(cx, id, &here, &gone),
            Input::SourcesFound { id, sources } => self.sources_found(cx, id, sources),
            Input::SourcesLeft { id, peers } => {
                if let Some(content) = self.contents.get_mut(&id) {
                    peers.iter().for_each(|peer| content.forget(peer));
                }
            }
            Input::Connected { conn, route, peer, dialed, group, max_queued } => {
                let mut conn = Conn::new(conn, peer, dialed, group, max_queued, now);
                conn.suspect_until = self.conduct.suspect_until(&peer, group);
                conn.route = route;
                self.connected(cx, conn);
                if dialed {
                    self.dial_on(cx);
                }
            }
            Input::Reached { conn, route, peer, group } => {
                let mut conn = Conn::new(conn, peer, true, group, 0, now);
                conn.suspect_until = self.conduct.suspect_until(&peer, group);
                conn.route = route;
                self.reached(cx, conn);
                self.dial_on(cx);
            }
            Input::Greeted { conn, max_queued } => self.greeted(cx, conn, max_queued),
            Input::Streams { conn, streams } => self.set_streams(cx, conn, streams),
            Input::Lost { conn, rids } => self.lost(cx, conn, &rids),
            Input::Refused { conn, permanent } => self.refused(cx, conn, permanent),
            Input::DialAsked { id, peer, addrs } => self.dial_asked(cx, id, peer, &addrs),
            Input::PunchAsked { id, peer, addrs, wait } => {
                self.punch_asked(cx, id, peer, (&addrs, wait));
            }
            Input::DialFailed { peer, permanent, proven } => {
                self.dialer.rate.ended(&peer, proven);
                self.dialer.failed(peer, permanent, now, &mut self.rng);
                if proven {
                    self.dial_on(cx);
                }
            }
            Input::Disconnected { conn } => self.disconnected(cx, conn),
            Input::Message { conn, msg } => self.message(cx, conn, msg),
            Input::Data { conn, rid, off, len } => self.data(cx, conn, rid, off, len),
            Input::Served { conn, rid } => self.served(cx, conn, rid),
            Input::ServeFailed { conn, rid, code } => self.serve_failed(cx, conn, rid, code),
            Input::ChunkStored { id, chunk } => self.chunk_stored(cx, id, chunk),
            Input::ChunkCorrupt { id, chunk, actual } => self.chunk_corrupt(cx, id, chunk, actual),
            Input::ChunkDamaged { id, chunk } => {
                self.withhold(cx, id, chunk..chunk.saturating_add(1))
            }
            Input::ChunksGone { id, chunks } => self.withhold(cx, id, chunks),
            Input::ChunkNotStored { id, chunk } => self.chunk_not_stored(cx, id, chunk),
            Input::Tick => self.tick(cx),
        }
        self.refill(cx);
    }

    fn message(&mut self, cx: &mut Cx<'_>, at: ConnId, msg: PeerMsg) {
        let conn = self.conns.get_mut(&at).filter(|conn| conn.greeted);
        let Some(conn) = conn else { return };
        conn.heard = cx.now;
        match msg {
            PeerMsg::Hello(_) | PeerMsg::Extra(_) => self.fault(cx, at, "HELLO twice"),
            PeerMsg::Open(open) => self.on_open(cx, at, open),
            PeerMsg::OpenOk(ok) => self.on_open_ok(cx, at, ok),
            PeerMsg::OpenNo { handle, code } => self.on_open_no(cx, at, handle, code),
            PeerMsg::Close { handle } => self.on_close(cx, at, handle),
            PeerMsg::Bitfield { handle, set } => self.on_bitfield(cx, at, handle, set),
            PeerMsg::Have { handle, runs } => self.on_have(cx, at, handle, &runs),
            PeerMsg::DontHave { handle, runs } => self.on_dont_have(cx, at, handle, &runs),
            PeerMsg::Want { handle, want } => self.on_want(cx, at, handle, want),
            PeerMsg::Choke { handle, choke } => self.on_choke(cx, at, handle, choke),
            PeerMsg::Request { handle, rid, chunk, off, len } => {
                self.on_request(cx, at, handle, rid, (chunk, off, len));
            }
            PeerMsg::ReqAny { handle, rid, count, except } => {
                self.on_req_any(cx, at, handle, rid, count, &except.into());
            }
            PeerMsg::Assign { rid, chunk } => self.on_assign(cx, at, rid, chunk),
            PeerMsg::Cancel { rid } => self.on_cancel(cx, at, rid),
            PeerMsg::Recall { rid } => self.on_recall(cx, at, rid),
            PeerMsg::Reject { rid, code } => self.on_reject(cx, at, rid, code),
            PeerMsg::HashReq { handle, rid, file, level, index, count } => {
                self.on_hash_req(cx, at, handle, rid, (file, level, index, count));
            }
            PeerMsg::Hashes { rid, hashes, proof } => {
                self.on_hashes(cx, at, rid, &hashes, &proof);
            }
            PeerMsg::MetaReq { handle, rid, off, len } => {
                self.on_meta_req(cx, at, handle, rid, off, len);
            }
            PeerMsg::Corrupt { handle, chunk, bad } => self.on_corrupt(cx, at, handle, chunk, bad),
            PeerMsg::Ping(nonce) => cx.send(at, PeerMsg::Pong(nonce)),
            PeerMsg::Pong(nonce) => {
                if let Some((sent, when)) = conn.ping
                    && sent == nonce
                {
                    conn.ping = None;
                    conn.rtt = Some(cx.now.since(when));
                }
            }
            PeerMsg::Bye { .. } => {}
        }
    }
}
