//! Contents are opened on connections, and closed.

use std::collections::BTreeSet;
use std::time::Duration;

use common::id::{ContentId, PeerId};
use common::limits::MAX_OPEN_PER_PEER;
use common::numbers::saturate;
use common::wire::Code;
use common::wire::peer::{HaveState, Open, OpenOk, PeerMsg};

use super::content::Content;
use super::event::{ConnId, Notice, Output};
use super::link::{Has, Link};
use super::node::{Cx, Node};
use super::rate::Rate;

/// Wait before a content is opened again with a peer that did not know yet what it is.
const RETRY_BUSY: Duration = Duration::from_secs(2);
/// The same with a peer that had no room.
const RETRY_FULL: Duration = Duration::from_secs(30);

impl Node {
    /// Opens a content on every connection to a peer known to have it.
    pub(super) fn open_known(&mut self, cx: &mut Cx<'_>, id: ContentId) {
        let Some(content) = self.contents.get(&id) else { return };
        let connected: BTreeSet<ConnId> =
            content.known.keys().filter_map(|peer| self.peers.greeted.get(peer).copied()).collect();
        for at in connected {
            self.open(cx, at, id);
        }
    }

    /// Opens on a connection what we want and the peer may have.
    pub(super) fn open_wanted(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        let ids: Vec<ContentId> = self.live.iter().copied().collect();
        for id in ids {
            self.open(cx, at, id);
        }
    }

    fn open(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) {
        let (Some(conn), Some(content)) = (self.conns.get_mut(&at), self.contents.get(&id)) else {
            return;
        };
        let busy = content.links.contains_key(&at)
            || conn.is_opening(&id)
            || conn.handles.len() + conn.opening.len() >= MAX_OPEN_PER_PEER;
        let later = content.retry.get(&conn.peer).is_some_and(|when| *when > cx.now);
        if busy || later || !content.is_active() || !content.known.contains_key(&conn.peer) {
            return;
        }
        if content.links.len() >= self.cfg.max_links {
            let Some(spare) = self.spare_link(&id, at, cx.now) else { return };
            self.close_link(cx, spare, id);
        }
        self.say_open(cx, at, id);
    }

    /// Says OPEN; under which handle.
    pub(super) fn say_open(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) -> Option<u16> {
        let (conn, content) = (self.conns.get_mut(&at)?, self.contents.get(&id)?);
        let handle = conn.handle();
        conn.opening.insert(handle, (id, cx.now));
        let open = Open { handle, id, state: own_state(content), want: true };
        cx.send(at, PeerMsg::Open(open));
        Some(handle)
    }

    pub(super) fn on_open(&mut self, cx: &mut Cx<'_>, at: ConnId, open: Open) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        let Open { handle, id, state, want } = open;
        // Odd handles are the acceptor's.
        let theirs = (handle % 2 == 1) == conn.dialed;
        if !theirs || conn.handles.contains_key(&handle) || conn.opening.contains_key(&handle) {
            return self.fault(cx, at, "OPEN with a wrong handle");
        }
        let refuse = |cx: &mut Cx<'_>, code| cx.send(at, PeerMsg::OpenNo { handle, code });
        let ours_pending = conn.is_opening(&id);
        let full = conn.handles.len() >= MAX_OPEN_PER_PEER;
        let Some(content) = self.contents.get(&id) else {
            return refuse(cx, Code::UnknownContent);
        };
        // Both sides opened at once: the dialler's handle wins.
        if content.links.contains_key(&at) || (ours_pending && conn.dialed) {
            return refuse(cx, Code::AlreadyOpen);
        }
        let (Some(descriptor), true) = (content.descriptor, content.body.is_some()) else {
            return refuse(cx, Code::Busy);
        };
        let crowded = content.links.len() >= self.cfg.max_links;
        if full {
            return refuse(cx, Code::Limit);
        }
        let loser = if crowded { self.crowded_link(&id, at, cx.now) } else { None };
        if crowded && loser.is_none() {
            return refuse(cx, Code::Limit);
        }
        let Some(content) = self.contents.get(&id) else { return };
        let (ours, interested) = (own_state(content), content.is_active());
        let chunks = content.body.as_ref().map_or(0, |body| body.layout.chunks());
        // The bitfield, which costs whoever asks for it again and again nothing.
        let bytes = if ours == HaveState::Part { u64::from(chunks / 8) } else { 0 };
        if !self.may_answer(cx, at, bytes) {
            return cx.send(at, PeerMsg::OpenNo { handle, code: Code::Busy });
        }
        // Nobody goes for one that is not let in.
        if let Some(loser) = loser {
            self.close_link(cx, loser, id);
        }
        let ok = OpenOk { handle, descriptor, state: ours, want: interested };
        cx.send(at, PeerMsg::OpenOk(ok));
        self.link(cx, at, handle, id, (state, want), interested);
    }

    /// Ends the exchange of a content on one connection from our side.
    pub(super) fn close_link(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) {
        let handle = self.contents.get(&id).and_then(|c| c.links.get(&at)).map(|l| l.handle);
        if let Some(handle) = handle {
            self.drop_queued(cx, at, id, Code::Gone);
            cx.send(at, PeerMsg::Close { handle });
            self.on_close(cx, at, handle);
        }
    }

    pub(super) fn on_open_ok(&mut self, cx: &mut Cx<'_>, at: ConnId, ok: OpenOk) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        let OpenOk { handle, descriptor, state, want } = ok;
        let Some((id, _)) = conn.opening.remove(&handle) else {
            // Removed while the answer was on its way.
            return cx.send(at, PeerMsg::Close { handle });
        };
        if descriptor.id() != id {
            let (code, time) = (Code::BadData, self.cfg.ban_bad);
            return self.ban_and_close(cx, at, code, "lied about what a content is", time);
        }
        let Some(content) = self.contents.get_mut(&id) else {
            return cx.send(at, PeerMsg::Close { handle });
        };
        if content.links.contains_key(&at) {
            return self.fault(cx, at, "opened a content twice");
        }
        if content.descriptor.is_none() {
            content.descriptor = Some(descriptor);
            cx.out.push(Output::Described { id, descriptor });
        }
        self.claim_early_hashes(at, id);
        self.link(cx, at, handle, id, (state, want), true);
    }

    pub(super) fn on_open_no(&mut self, cx: &mut Cx<'_>, at: ConnId, handle: u16, code: Code) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        let peer = conn.peer;
        let Some((id, _)) = conn.opening.remove(&handle) else { return };
        conn.idle_since = cx.now;
        let Some(content) = self.contents.get_mut(&id) else { return };
        match code {
            Code::AlreadyOpen => {}
            // It does not know yet what it is, or has no room just now.
            Code::Busy => drop(content.retry.insert(peer, cx.now + RETRY_BUSY)),
            Code::Limit => drop(content.retry.insert(peer, cx.now + RETRY_FULL)),
            _ => content.forget(&peer),
        }
    }

    pub(super) fn on_close(&mut self, cx: &mut Cx<'_>, at: ConnId, handle: u16) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        let peer = conn.peer;
        let Some(id) = conn.handles.remove(&handle) else { return };
        conn.idle_since = cx.now;
        let gone: BTreeSet<u32> = conn
            .requests
            .iter()
            .filter(|(_, asked)| asked.id() == id)
            .map(|(rid, _)| *rid)
            .collect();
        let requeued = saturate::<u32>(gone.len());
        for rid in gone {
            // What its writer has already will still come.
            if let Some(asked) = self.take_back(cx, at, rid) {
                self.expect_late(cx, at, rid, asked);
            }
        }
        self.has_room(at);
        self.unlink(cx, at, id, peer, requeued);
        if let Some(content) = self.contents.get_mut(&id) {
            content.forget(&peer);
        }
        self.fill(cx, id);
    }

    /// The content is open on this connection from now on.
    fn link(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        handle: u16,
        id: ContentId,
        (state, want): (HaveState, bool),
        interested: bool,
    ) {
        let (Some(conn), Some(content)) = (self.conns.get_mut(&at), self.contents.get_mut(&id))
        else {
            return;
        };
        conn.handles.insert(handle, id);
        let has = Has::Unread { all: state == HaveState::All, bitfield: None, runs: Vec::new() };
        let link = Link {
            handle,
            has,
            interesting: want,
            interested,
            choked_by: true,
            choking: true,
            may_ask_since: cx.now,
            since: cx.now,
            useful: 0,
            down: Rate::default(),
            up: Rate::default(),
            got: 0,
            delivered: None,
            barren: false,
            hashless_until: cx.now,
            dry: None,
            assigned: None,
            turn: 0,
        };
        content.links.insert(at, link);
        let chunks = content.body.as_ref().map(|body| body.layout.chunks());
        if let Some(chunks) = chunks {
            self.read_unread(cx, at, id, chunks);
            self.tell_have(cx, at, handle, id);
        }
        if state == HaveState::All {
            self.source_joined(cx, at, id);
        }
        self.fetch_manifest(cx, id);
        self.fill_slots(cx);
        self.fill(cx, id);
    }

    /// The content is no longer open on this connection.
    pub(super) fn unlink(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        id: ContentId,
        peer: PeerId,
        requeued: u32,
    ) {
        self.leave_line(at, id);
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(mut link) = content.links.remove(&at) else { return };
        if let Some(body) = content.body.as_mut() {
            body.forget_has(at, &mut link);
        }
        if content.manifest.as_ref().is_some_and(|fetch| fetch.conn == at) {
            content.manifest = None;
        }
        if content.is_active() && (link.got > 0 || requeued > 0) {
            cx.notice(Notice::SourceLeft { id, peer, requeued });
        }
        self.fetch_manifest(cx, id);
    }
}

/// What our OPEN or OPEN_OK says.
fn own_state(content: &Content) -> HaveState {
    match &content.body {
        Some(body) if body.have.is_complete() && body.withheld.is_empty() => HaveState::All,
        Some(body) if !body.have.is_empty() => HaveState::Part,
        _ => HaveState::None,
    }
}
