//! Contents coming and going, and being opened on connections: descriptors, manifests, bitfields.

use common::chunk_set::ChunkSet;
use common::content::Kind;
use common::id::{ContentId, PeerId};
use common::limits::{MAX_DATA_LEN, MAX_OPEN_PER_PEER};
use common::wire::Code;
use common::wire::peer::{HaveState, Open, OpenOk, PeerMsg, Run};

use super::conn::Asked;
use super::content::{Body, Content, Has, Link, ManifestFetch};
use super::event::{ConnId, Notice, Output, Ready, SourceHint};
use super::node::{Cx, Node};
use super::rate::Rate;

/// Slices of a manifest asked for at once.
const MANIFEST_WINDOW: usize = 8;
/// Runs of HAVE kept while the layout of a content is not known yet.
const MAX_UNREAD_RUNS: usize = 4096;
/// Sources remembered per content by the tracker's word.
const MAX_KNOWN: usize = 1000;

impl Node {
    pub(super) fn add_content(&mut self, cx: &mut Cx<'_>, id: ContentId, ready: Option<Ready>) {
        self.contents.entry(id).or_insert_with(|| Content::new(id, cx.now));
        if let Some(ready) = ready {
            self.content_ready(cx, id, ready);
        }
        self.tick_at = self.tick_at.min(cx.now + super::tick::BUSY);
    }

    pub(super) fn content_ready(&mut self, cx: &mut Cx<'_>, id: ContentId, ready: Ready) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        content.descriptor = Some(ready.descriptor);
        let body = Body::new(ready);
        let chunks = body.layout.chunks();
        let was_waiting = content.body.replace(body).is_none();
        content.completed = false;
        let peers: Vec<(ConnId, u16)> = content.links.iter().map(|(c, l)| (*c, l.handle)).collect();
        for (conn, handle) in peers {
            if !self.read_unread(cx, conn, id, chunks) {
                continue;
            }
            // They opened it before we knew what we have.
            if was_waiting {
                self.tell_have(cx, conn, handle, id);
            }
        }
        // Data that a crash left complete, or an empty file, needs nobody.
        self.maybe_completed(cx, id);
        self.dial_for(cx, id);
        self.fill(cx, id);
    }

    /// Removes a content; connections with nothing else in common end by themselves.
    pub(super) fn remove_content(&mut self, cx: &mut Cx<'_>, id: ContentId) {
        self.cancel_requests(cx, id);
        let Some(content) = self.contents.remove(&id) else { return };
        for (at, link) in &content.links {
            cx.send(*at, PeerMsg::Close { handle: link.handle });
            if let Some(conn) = self.conns.get_mut(at) {
                conn.handles.remove(&link.handle);
                conn.idle_since = cx.now;
            }
            self.drop_queued(cx, *at, id, Code::Gone);
        }
        for conn in self.conns.values_mut() {
            conn.opening.retain(|_, opening| *opening != id);
        }
    }

    pub(super) fn change_wanted(&mut self, cx: &mut Cx<'_>, id: ContentId, wanted: ChunkSet) {
        let Some(body) = self.body_mut(&id) else { return };
        body.want(wanted);
        self.recount(cx, id);
        self.maybe_completed(cx, id);
        self.fill(cx, id);
    }

    pub(super) fn change_paused(&mut self, cx: &mut Cx<'_>, id: ContentId, paused: bool) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        if content.paused == paused {
            return;
        }
        content.paused = paused;
        if paused {
            self.cancel_requests(cx, id);
        } else {
            content.ask_at = cx.now;
            content.asked = 0;
        }
        self.recount(cx, id);
        self.dial_for(cx, id);
        self.fill(cx, id);
        self.tick_at = self.tick_at.min(cx.now + super::tick::BUSY);
    }

    pub(super) fn chunks_lost(&mut self, cx: &mut Cx<'_>, id: ContentId, lost: &ChunkSet) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(body) = content.body.as_mut() else { return };
        content.completed = false;
        let mut runs = Vec::new();
        for run in lost.runs() {
            for chunk in run.clone() {
                body.have.remove(chunk);
            }
            runs.extend(wire_runs(run));
        }
        let wanted = body.wanted.clone();
        body.want(wanted);
        for (at, link) in &content.links {
            for part in runs.chunks(common::limits::MAX_HAVE_RUNS) {
                let (handle, runs) = (link.handle, part.to_vec());
                cx.out.push(Output::Send { conn: *at, msg: PeerMsg::DontHave { handle, runs } });
            }
        }
        self.recount(cx, id);
        self.fill(cx, id);
    }

    pub(super) fn sources_found(
        &mut self,
        cx: &mut Cx<'_>,
        id: ContentId,
        sources: Vec<SourceHint>,
    ) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        for source in sources {
            if source.peer != self.me
                && (content.known.len() < MAX_KNOWN || content.known.contains_key(&source.peer))
            {
                content.known.insert(source.peer, source);
            }
        }
        let connected: Vec<ConnId> =
            content.known.keys().filter_map(|peer| self.by_peer.get(peer).copied()).collect();
        for at in connected {
            self.open_wanted(cx, at);
        }
        self.dial_for(cx, id);
    }

    /// Dials known sources of a content that is wanted, rarest holders and fullest first.
    pub(super) fn dial_for(&mut self, cx: &mut Cx<'_>, id: ContentId) {
        let Some(content) = self.contents.get(&id) else { return };
        if !content.is_active() {
            return;
        }
        let dialing = content.known.keys().filter(|p| self.dialer.is_dialing(p)).count();
        let room = self.cfg.dial_target.saturating_sub(content.links.len() + dialing);
        let free = self.cfg.max_dialing.saturating_sub(self.dialer.dialing());
        let room = room.min(free).min(self.cfg.max_conns.saturating_sub(self.conns.len()));
        if room == 0 {
            return;
        }
        let mut candidates: Vec<&SourceHint> = content
            .known
            .values()
            .filter(|s| !self.by_peer.contains_key(&s.peer) && !s.addrs.is_empty())
            .filter(|s| self.dialer.may_dial(&s.peer, cx.now))
            .collect();
        candidates.sort_by_key(|s| s.peer);
        self.rng.shuffle(&mut candidates);
        let chosen: Vec<(PeerId, _)> =
            candidates.into_iter().take(room).map(|s| (s.peer, s.addrs.clone())).collect();
        for (peer, addrs) in chosen {
            self.dialer.started(peer);
            cx.out.push(Output::Dial { peer, addrs });
        }
    }

    /// Opens on a connection what we want and the peer may have.
    pub(super) fn open_wanted(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        for content in self.contents.values() {
            let busy = content.links.contains_key(&at)
                || conn.opening.values().any(|id| *id == content.id)
                || content.links.len() >= self.cfg.max_links
                || conn.handles.len() + conn.opening.len() >= MAX_OPEN_PER_PEER;
            if busy || !content.is_active() || !content.known.contains_key(&conn.peer) {
                continue;
            }
            let handle = conn.handle();
            conn.opening.insert(handle, content.id);
            let state = own_state(content);
            let open = Open { handle, id: content.id, state, want: true };
            cx.out.push(Output::Send { conn: at, msg: PeerMsg::Open(open) });
        }
    }

    pub(super) fn on_open(&mut self, cx: &mut Cx<'_>, at: ConnId, open: Open) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        let Open { handle, id, state, want } = open;
        // Odd handles are the acceptor's.
        let theirs = (handle % 2 == 1) == conn.dialed;
        if !theirs || conn.handles.contains_key(&handle) {
            return self.fault(cx, at, "OPEN with a wrong handle");
        }
        let refuse = |cx: &mut Cx<'_>, code| cx.send(at, PeerMsg::OpenNo { handle, code });
        let ours_pending = conn.opening.values().any(|pending| *pending == id);
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
        if content.links.len() >= self.cfg.max_links || conn.handles.len() >= MAX_OPEN_PER_PEER {
            return refuse(cx, Code::Limit);
        }
        let ok = OpenOk {
            handle,
            descriptor,
            state: own_state(content),
            want: content.is_active(),
        };
        cx.send(at, PeerMsg::OpenOk(ok));
        self.link(cx, at, handle, id, state, want);
    }

    pub(super) fn on_open_ok(&mut self, cx: &mut Cx<'_>, at: ConnId, ok: OpenOk) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        let OpenOk { handle, descriptor, state, want } = ok;
        let Some(id) = conn.opening.remove(&handle) else {
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
        if content.descriptor.is_none() {
            content.descriptor = Some(descriptor);
            cx.out.push(Output::Described { id, descriptor });
        }
        self.link(cx, at, handle, id, state, want);
    }

    pub(super) fn on_open_no(&mut self, cx: &mut Cx<'_>, at: ConnId, handle: u16, code: Code) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        let peer = conn.peer;
        if let Some(id) = conn.opening.remove(&handle) {
            conn.idle_since = cx.now;
            if code != Code::AlreadyOpen
                && let Some(content) = self.contents.get_mut(&id)
            {
                content.known.remove(&peer);
            }
        }
    }

    pub(super) fn on_close(&mut self, cx: &mut Cx<'_>, at: ConnId, handle: u16) {
        let Some(conn) = self.conns.get_mut(&at) else { return };
        let peer = conn.peer;
        let Some(id) = conn.handles.remove(&handle) else { return };
        conn.idle_since = cx.now;
        let gone: Vec<u32> = conn
            .requests
            .iter()
            .filter(|(_, asked)| asked_of(asked) == id)
            .map(|(rid, _)| *rid)
            .collect();
        let requeued = u32::try_from(gone.len()).unwrap_or(u32::MAX);
        for rid in gone {
            self.take_back(cx, at, rid);
        }
        self.unlink(cx, at, id, peer, requeued);
        if let Some(content) = self.contents.get_mut(&id) {
            content.known.remove(&peer);
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
        state: HaveState,
        want: bool,
    ) {
        let (Some(conn), Some(content)) = (self.conns.get_mut(&at), self.contents.get_mut(&id))
        else {
            return;
        };
        conn.handles.insert(handle, id);
        let has = Has::Unread {
            all: state == HaveState::All,
            bitfield: None,
            runs: Vec::new(),
        };
        let link = Link {
            handle,
            has,
            interesting: want,
            interested: false,
            choked_by: true,
            choking: true,
            useful: 0,
            down: Rate::default(),
            up: Rate::default(),
            got: 0,
            barren: false,
            hashless_until: cx.now,
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

    /// Sends our bitfield, if we have part of the content.
    fn tell_have(&mut self, cx: &mut Cx<'_>, at: ConnId, handle: u16, id: ContentId) {
        let Some(body) = self.body_mut(&id) else { return };
        if !body.have.is_empty() && !body.have.is_complete() {
            cx.send(at, PeerMsg::Bitfield { handle, set: body.have.encode() });
        } else if body.have.is_complete() && body.layout.chunks() > 0 {
            // Our OPEN may have said less than we have now.
            cx.send(at, PeerMsg::Bitfield { handle, set: body.have.encode() });
        }
    }

    /// Makes sense of what a peer said before we knew the layout. False if it made no sense.
    fn read_unread(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId, chunks: u32) -> bool {
        let Some(content) = self.contents.get_mut(&id) else { return false };
        let Some(link) = content.links.get_mut(&at) else { return false };
        let Has::Unread { all, bitfield, runs } = &mut link.has else { return true };
        let (all, bitfield, runs) = (*all, bitfield.take(), std::mem::take(runs));
        let mut set = match (all, bitfield) {
            (true, _) => ChunkSet::full(chunks),
            (false, None) => ChunkSet::empty(chunks),
            (false, Some(bytes)) => match ChunkSet::decode(chunks, &bytes) {
                Ok(set) => set,
                Err(_) => {
                    self.fault(cx, at, "sent a bitfield that makes no sense");
                    return false;
                }
            },
        };
        for (start, len) in runs {
            set.insert_run(start, u32::from(len));
        }
        self.set_has(cx, at, id, set);
        true
    }

    /// Replaces what a peer has.
    fn set_has(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId, set: ChunkSet) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let (Some(link), Some(body)) = (content.links.get_mut(&at), content.body.as_mut()) else {
            return;
        };
        forget_has(link, body);
        if set.is_complete() {
            link.has = Has::All;
            body.seeds = body.seeds.saturating_add(1);
        } else {
            set.iter().for_each(|chunk| body.picker.gained(chunk));
            link.has = Has::Some(set);
        }
        link.barren = false;
        link.useful = useful(link, body);
        self.update_interest(cx, at, id);
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
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(mut link) = content.links.remove(&at) else { return };
        if let Some(body) = content.body.as_mut() {
            forget_has(&mut link, body);
        }
        if content.manifest.as_ref().is_some_and(|fetch| fetch.conn == at) {
            content.manifest = None;
        }
        if content.is_active() && (link.got > 0 || requeued > 0) {
            cx.notice(Notice::SourceLeft { id, peer, requeued });
        }
        self.fetch_manifest(cx, id);
    }

    pub(super) fn on_bitfield(&mut self, cx: &mut Cx<'_>, at: ConnId, handle: u16, set: Vec<u8>) {
        let Some(id) = self.by_handle(at, handle) else { return };
        let Some(content) = self.contents.get_mut(&id) else { return };
        let chunks = content.body.as_ref().map(|body| body.layout.chunks());
        let Some(link) = content.links.get_mut(&at) else { return };
        match chunks {
            None => {
                if let Has::Unread { bitfield, .. } = &mut link.has {
                    *bitfield = Some(set);
                }
            }
            Some(chunks) => match ChunkSet::decode(chunks, &set) {
                Ok(set) => {
                    let news = !link.has.is_all() && set.count() > 0;
                    self.set_has(cx, at, id, set);
                    if news {
                        self.source_joined(cx, at, id);
                    }
                }
                Err(_) => self.fault(cx, at, "sent a bitfield that makes no sense"),
            },
        }
        self.fill(cx, id);
    }

    pub(super) fn on_have(&mut self, cx: &mut Cx<'_>, at: ConnId, handle: u16, runs: &[Run]) {
        let Some(id) = self.by_handle(at, handle) else { return };
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(link) = content.links.get_mut(&at) else { return };
        let Some(body) = content.body.as_mut() else {
            if let Has::Unread { runs: kept, .. } = &mut link.has {
                kept.extend(runs.iter().map(|run| (run.start, run.len)));
                if kept.len() > MAX_UNREAD_RUNS {
                    self.close(cx, at, Code::Limit, "too many HAVEs at once");
                }
            }
            return;
        };
        let chunks = body.layout.chunks();
        if runs.iter().any(|r| r.start.saturating_add(u32::from(r.len)) > chunks) {
            return self.fault(cx, at, "has chunks that do not exist");
        }
        link.barren = false;
        if let Has::Some(set) = &mut link.has {
            for run in runs {
                for chunk in run.start..run.start + u32::from(run.len) {
                    if set.insert(chunk) {
                        body.picker.gained(chunk);
                        link.useful += u32::from(body.lacks(chunk));
                    }
                }
            }
            if set.is_complete() {
                forget_has(link, body);
                link.has = Has::All;
                body.seeds = body.seeds.saturating_add(1);
            }
        }
        self.update_interest(cx, at, id);
        self.fill_link(cx, at, id);
    }

    pub(super) fn on_dont_have(&mut self, cx: &mut Cx<'_>, at: ConnId, handle: u16, runs: &[Run]) {
        let Some(id) = self.by_handle(at, handle) else { return };
        let Some(content) = self.contents.get_mut(&id) else { return };
        let (Some(link), Some(body)) = (content.links.get_mut(&at), content.body.as_mut()) else {
            return;
        };
        let chunks = body.layout.chunks();
        let mut set = match &link.has {
            Has::All => ChunkSet::full(chunks),
            Has::Some(set) => set.clone(),
            Has::Unread { .. } => return,
        };
        for run in runs {
            let end = run.start.saturating_add(u32::from(run.len)).min(chunks);
            for chunk in run.start..end {
                set.remove(chunk);
            }
        }
        self.set_has(cx, at, id, set);
        if let Some(conn) = self.conns.get(&at) {
            cx.notice(Notice::Withdrew { id, peer: conn.peer });
        }
    }

    /// Counts again what each peer has that we want, and tells it whether we are interested.
    pub(super) fn recount(&mut self, cx: &mut Cx<'_>, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(body) = content.body.as_ref() else { return };
        for link in content.links.values_mut() {
            link.useful = useful(link, body);
            link.barren = false;
        }
        let conns: Vec<ConnId> = content.links.keys().copied().collect();
        for at in conns {
            self.update_interest(cx, at, id);
        }
    }

    /// Says WANT when that changed.
    pub(super) fn update_interest(&mut self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let paused = content.paused;
        let Some(link) = content.links.get_mut(&at) else { return };
        let want = link.useful > 0 && !paused;
        if want != link.interested {
            link.interested = want;
            let handle = link.handle;
            cx.send(at, PeerMsg::Want { handle, want });
        }
    }

    fn source_joined(&self, cx: &mut Cx<'_>, at: ConnId, id: ContentId) {
        let (Some(content), Some(conn)) = (self.contents.get(&id), self.conns.get(&at)) else {
            return;
        };
        if content.is_active()
            && let Some(link) = content.links.get(&at)
        {
            let have = match (&link.has, &content.body) {
                (Has::All, Some(body)) => body.layout.chunks(),
                (Has::Some(set), _) => set.count(),
                _ => 0,
            };
            cx.notice(Notice::SourceJoined { id, peer: conn.peer, have });
        }
    }

    /// Asks one source for (more of) a folder's manifest.
    pub(super) fn fetch_manifest(&mut self, cx: &mut Cx<'_>, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Some(descriptor) = content.descriptor.filter(|d| d.kind == Kind::Folder) else { return };
        if content.body.is_some() || content.paused {
            return;
        }
        if content.manifest.is_none() {
            // Whoever has any chunk of a folder has its manifest.
            let source = content.links.iter().find(|(_, link)| match &link.has {
                Has::Unread { all, bitfield, runs } => {
                    *all || bitfield.is_some() || !runs.is_empty()
                }
                _ => true,
            });
            let Some((at, _)) = source else { return };
            content.manifest =
                Some(ManifestFetch { conn: *at, next: 0, slices: Vec::new(), delivered: 0 });
        }
        let Some(fetch) = content.manifest.as_mut() else { return };
        let Some(handle) = content.links.get(&fetch.conn).map(|link| link.handle) else { return };
        let Some(conn) = self.conns.get_mut(&fetch.conn) else { return };
        let size = u32::try_from(descriptor.size).unwrap_or(u32::MAX);
        while fetch.slices.len() - fetch.delivered < MANIFEST_WINDOW && fetch.next < size {
            let len = (size - fetch.next).min(u32::try_from(MAX_DATA_LEN).unwrap_or(u32::MAX));
            let (rid, off) = (conn.rid(), fetch.next);
            if conn.pending() == 0 {
                conn.progress = cx.now;
            }
            conn.requests.insert(rid, Asked::Meta { id, len, got: 0 });
            cx.out.push(Output::Send {
                conn: fetch.conn,
                msg: PeerMsg::MetaReq { handle, rid, off, len },
            });
            fetch.next += len;
            fetch.slices.push((rid, false));
        }
    }

    /// A slice of the manifest is here: hand over what is complete, in order.
    pub(super) fn manifest_slice(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32, id: ContentId) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let size = content.descriptor.map_or(0, |d| d.size);
        let Some(fetch) = content.manifest.as_mut().filter(|fetch| fetch.conn == at) else { return };
        if let Some(slice) = fetch.slices.iter_mut().find(|slice| slice.0 == rid) {
            slice.1 = true;
        }
        while let Some((rid, true)) = fetch.slices.get(fetch.delivered).copied() {
            cx.out.push(Output::ManifestPart { id, conn: at, rid });
            fetch.delivered += 1;
        }
        if u64::from(fetch.next) >= size && fetch.delivered == fetch.slices.len() {
            cx.out.push(Output::ManifestFetched { id, conn: at });
        } else {
            self.fetch_manifest(cx, id);
        }
    }

    pub(super) fn manifest_rejected(&mut self, cx: &mut Cx<'_>, id: ContentId, at: ConnId) {
        if let Some(content) = self.contents.get_mut(&id) {
            content.manifest = None;
        }
        let (code, time) = (Code::BadData, self.cfg.ban_bad);
        self.ban_and_close(cx, at, code, "sent a wrong folder manifest", time);
        self.fetch_manifest(cx, id);
    }
}

/// What our OPEN or OPEN_OK says.
fn own_state(content: &Content) -> HaveState {
    match &content.body {
        Some(body) if body.have.is_complete() => HaveState::All,
        Some(body) if !body.have.is_empty() => HaveState::Part,
        _ => HaveState::None,
    }
}

fn asked_of(asked: &Asked) -> ContentId {
    match asked {
        Asked::Chunk { id, .. }
        | Asked::Any { id, .. }
        | Asked::Meta { id, .. }
        | Asked::Hashes { id, .. } => *id,
    }
}

/// Takes a peer's chunks out of the counts.
fn forget_has(link: &mut Link, body: &mut Body) {
    let nothing = Has::Unread { all: false, bitfield: None, runs: Vec::new() };
    match std::mem::replace(&mut link.has, nothing) {
        Has::All => body.seeds = body.seeds.saturating_sub(1),
        Has::Some(set) => set.iter().for_each(|chunk| body.picker.lost(chunk)),
        Has::Unread { .. } => {}
    }
    link.useful = 0;
}

/// Chunks a peer has that we want and lack.
fn useful(link: &Link, body: &Body) -> u32 {
    match &link.has {
        Has::All => body.missing(),
        Has::Some(set) => {
            let count = set.iter().filter(|chunk| body.lacks(*chunk)).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        }
        Has::Unread { .. } => 0,
    }
}

/// A range as runs of the wire, whose length is two bytes.
pub(super) fn wire_runs(range: std::ops::Range<u32>) -> impl Iterator<Item = Run> {
    let most = u32::from(u16::MAX);
    (range.start..range.end).step_by(most as usize).map(move |start| {
        let len = (range.end - start).min(most);
        Run { start, len: u16::try_from(len).unwrap_or(u16::MAX) }
    })
}
