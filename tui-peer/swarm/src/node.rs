//! One peer's brain for all its contents and connections. This file only dispatches and holds what
//! the policies share.

use std::collections::{BTreeMap, BTreeSet};

use common::id::{ContentId, PeerId};
use common::net::OnLink;
use common::wire::Code;
use common::wire::peer::PeerMsg;

use super::answers::Answers;
use super::assembly::MAX_STRUCK;
use super::choker::Uplink;
use super::config::NodeConfig;
use super::conn::{Asked, Conn};
use super::content::{Body, Content};
use super::dialer::Dialer;
use super::event::{ConnId, Input, Notice, Output};
use super::policy::Pace;
use super::remembered::Remembered;
use super::suspects::Suspects;
use super::time::Time;
use super::timers::Timers;
use super::waste::MAX_RESTING;

/// The state machine. Feed it [`Input`]s with [`handle`](Self::handle), execute the [`Output`]s, call
/// it again with [`Input::Tick`] at [`next_deadline`](Self::next_deadline).
#[derive(Debug)]
pub struct Node {
    pub(super) cfg: NodeConfig,
    pub(super) me: PeerId,
    pub(super) rng: fastrand::Rng,
    /// Boxed: of tens of thousands every other place in the nodes of the tree is empty.
    pub(super) contents: BTreeMap<ContentId, Box<Content>>,
    pub(super) conns: BTreeMap<ConnId, Conn>,
    pub(super) peers: Peers,
    pub(super) dialer: Dialer,
    /// Which addresses are exempt from the rate of dials to one network.
    pub(super) near: OnLink,
    pub(super) conduct: Conduct,
    /// Payload bytes requested or being verified.
    pub(super) outstanding: u64,
    /// Connections at which somebody may be next, each once.
    pub(super) roomy: Vec<ConnId>,
    /// Lengths of chunks that the disk has.
    pub(super) verifying: BTreeMap<(ContentId, u32), u64>,
    /// Contents that time may have to look after: those wanted and those with news.
    pub(super) live: BTreeSet<ContentId>,
    /// What our uplink carries.
    pub(super) uplink: Uplink,
    /// How far serving has come: the turn of whoever was served last.
    pub(super) turn: u64,
    pub(super) timers: Timers,
    pub(super) shaping: Shaping,
    /// What is answered at once.
    pub(super) answers: Answers,
}

/// The connection to each peer.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// Connections whose HELLO has passed.
    pub(super) greeted: BTreeMap<PeerId, ConnId>,
    /// Those that we dialled and whose HELLO is still to come.
    pub(super) reached: BTreeMap<PeerId, ConnId>,
}

/// How peers have behaved.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    /// Addresses of which a key was banned.
    pub(super) suspects: Suspects,
    /// Bad chunks per peer.
    pub(super) strikes: Remembered<PeerId, u8, MAX_STRUCK>,
    /// Peers that broke off what they had begun: not asked until then.
    pub(super) resting: Remembered<PeerId, Time, MAX_RESTING>,
}

/// What limits and weights make of what is asked for and served.
#[derive(Debug, Default)]
pub(super) struct Shaping {
    /// Our limit for all that comes in.
    pub(super) pace: Option<Pace>,
    /// Some content has another weight than usual.
    pub(super) mixed: bool,
    /// Contents whose uploads have a limit of their own.
    pub(super) up_limited: usize,
}

/// How a connection ended, for whether and when its peer is dialled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was up.
    Itself,
    /// Its HELLO did not pass; `permanent`: another try makes no sense.
    Refused { permanent: bool },
    /// There is another one.
    Spare,
}

/// What handlers work with: the moment and where outputs go.
pub(super) struct Cx<'a> {
    pub(super) now: Time,
    pub(super) out: &'a mut Vec<Output>,
}

impl Cx<'_> {
    pub(super) fn send(&mut self, conn: ConnId, msg: PeerMsg) {
        self.out.push(Output::Send { conn, msg });
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.out.push(Output::Notice(notice));
    }
}

impl Node {
    /// A node with nothing to do. `seed` makes every decision repeatable.
    pub fn new(cfg: NodeConfig, me: PeerId, seed: u64) -> Self {
        Self {
            cfg,
            me,
            rng: fastrand::Rng::with_seed(seed),
            contents: BTreeMap::new(),
            conns: BTreeMap::new(),
            peers: Peers::default(),
            dialer: Dialer::default(),
            near: OnLink::default(),
            conduct: Conduct::default(),
            outstanding: 0,
            roomy: Vec::new(),
            verifying: BTreeMap::new(),
            live: BTreeSet::new(),
            uplink: Uplink::default(),
            turn: 0,
            timers: Timers::default(),
            shaping: Shaping::default(),
            answers: Answers::default(),
        }
    }

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
            Input::DownLimit(rate) => self.set_down_limit(cx.now, rate),
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
            Input::Connected { conn, peer, dialed, group, max_queued } => {
                let mut conn = Conn::new(conn, peer, dialed, group, max_queued, now);
                conn.suspect_until = self.conduct.suspects.until(&peer, group);
                self.connected(cx, conn);
                if dialed {
                    self.dial_on(cx);
                }
            }
            Input::Reached { conn, peer, group } => {
                let mut conn = Conn::new(conn, peer, true, group, 0, now);
                conn.suspect_until = self.conduct.suspects.until(&peer, group);
                self.reached(cx, conn);
                self.dial_on(cx);
            }
            Input::Greeted { conn, max_queued } => self.greeted(cx, conn, max_queued),
            Input::Refused { conn, permanent } => self.refused(cx, conn, permanent),
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

    /// This machine's links: addresses on them are dialled as often as need be.
    pub fn set_links(&mut self, near: &OnLink) {
        if self.near != *near {
            self.near.clone_from(near);
        }
    }

    /// When `Tick` is due next, if ever.
    pub fn next_deadline(&self) -> Option<Time> {
        let rest = self.conns.is_empty() && self.live.is_empty();
        (!rest).then(|| self.timers.next())
    }

    fn message(&mut self, cx: &mut Cx<'_>, at: ConnId, msg: PeerMsg) {
        let conn = self.conns.get_mut(&at).filter(|conn| conn.greeted);
        let Some(conn) = conn else { return };
        conn.heard = cx.now;
        match msg {
            PeerMsg::Hello(_) => self.fault(cx, at, "HELLO twice"),
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

    /// The peer broke the protocol.
    pub(super) fn fault(&mut self, cx: &mut Cx<'_>, at: ConnId, why: &'static str) {
        self.ban_and_close(cx, at, Code::Protocol, why, self.cfg.ban_rude);
    }

    pub(super) fn ban_and_close(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        code: Code,
        why: &'static str,
        time: std::time::Duration,
    ) {
        if let Some(conn) = self.conns.get(&at) {
            let (peer, group) = (conn.peer, conn.group);
            self.dialer.ban(peer, cx.now + time);
            self.conduct.suspects.forget(&peer);
            if let Some(group) = group {
                self.conduct.suspects.add(group, cx.now);
            }
            Self::say_banned(cx, peer, why, time);
            self.close(cx, at, code, why);
        }
    }

    /// Ends a connection from our side.
    pub(super) fn close(&mut self, cx: &mut Cx<'_>, at: ConnId, code: Code, why: &str) {
        self.close_for(cx, at, code, why, false);
    }

    /// The same. If the reason is ours, what the peer leaves half answered is not its doing.
    pub(super) fn close_for(
        &mut self,
        cx: &mut Cx<'_>,
        at: ConnId,
        code: Code,
        why: &str,
        ours: bool,
    ) {
        if self.conns.contains_key(&at) {
            cx.out.push(Output::Disconnect { conn: at, code, text: why.to_owned() });
            if ours {
                self.parted(cx, at, Ended::Itself);
            } else {
                self.disconnected(cx, at);
            }
        }
    }

    pub(super) fn disconnected(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        let Some(conn) = self.conns.get(&at) else { return };
        let (peer, wasted) = (conn.peer, Self::half_answered(conn.requests.values()));
        let ended = conn.ended();
        self.note_waste(cx, at, peer, wasted);
        self.parted(cx, at, ended);
    }

    pub(super) fn parted(&mut self, cx: &mut Cx<'_>, at: ConnId, ended: Ended) {
        let Some(conn) = self.conns.remove(&at) else { return };
        for table in [&mut self.peers.greeted, &mut self.peers.reached] {
            if table.get(&conn.peer) == Some(&at) {
                table.remove(&conn.peer);
            }
        }
        match ended {
            Ended::Itself => {
                let lived = cx.now.since(conn.since);
                self.dialer.ended(conn.peer, lived, cx.now, &mut self.rng);
            }
            Ended::Refused { permanent } => {
                self.dialer.failed(conn.peer, permanent, cx.now, &mut self.rng);
            }
            Ended::Spare => {}
        }
        if !self.dialer.is_banned(&conn.peer, cx.now) {
            self.conduct.suspects.left(&conn, cx.now);
        }
        let mut requeued: BTreeMap<ContentId, u32> = BTreeMap::new();
        let mut lists = BTreeSet::new();
        for (rid, asked) in &conn.requests {
            self.undo(cx, at, *rid, asked);
            match asked {
                Asked::Chunk { id, .. } | Asked::Any { id, .. } => {
                    *requeued.entry(*id).or_default() += 1;
                }
                Asked::Meta { id, .. } => _ = lists.insert(*id),
                Asked::Hashes { .. } => {}
            }
        }
        let ids: BTreeSet<ContentId> = conn.handles.values().copied().collect();
        for id in ids {
            self.unlink(cx, at, id, conn.peer, requeued.get(&id).copied().unwrap_or(0));
        }
        // Of what was not open yet too.
        lists.into_iter().for_each(|id| self.fetch_manifest(cx, id));
        self.fill_all(cx);
        self.fill_slots(cx);
        self.pump(cx);
    }

    /// Takes back what a request of ours reserved; says how many bytes that were.
    pub(super) fn undo(&mut self, cx: &mut Cx<'_>, at: ConnId, rid: u32, asked: &Asked) -> u64 {
        match asked {
            Asked::Chunk { id, chunk, len, got, .. } => {
                if *got > 0 {
                    let wasted = u64::from(*got);
                    cx.out.push(Output::Discard { conn: at, rid, wasted });
                }
                self.free(id, u64::from(*len));
                // What has come was its turn, though it is thrown away.
                self.refund_turn(at, *id, u64::from(len.saturating_sub(*got)));
                if let Some(body) = self.body_mut(id)
                    && let Some(flight) = body.flights.get_mut(chunk)
                {
                    flight.asked.retain(|by| *by != (at, rid));
                    if flight.asked.is_empty() && flight.verifying.is_none() {
                        body.release(*chunk);
                    }
                }
                u64::from(*len)
            }
            Asked::Any { id, len } => {
                self.free(id, u64::from(*len));
                self.refund_turn(at, *id, u64::from(*len));
                u64::from(*len)
            }
            Asked::Meta { id, got, .. } => {
                if *got > 0 {
                    cx.out.push(Output::Discard { conn: at, rid, wasted: u64::from(*got) });
                }
                if let Some(content) = self.contents.get_mut(id)
                    && content.manifest.as_ref().is_some_and(|fetch| fetch.has(at, rid))
                {
                    content.manifest = None;
                }
                0
            }
            Asked::Hashes { id, file, range, early, .. } => {
                if let Some(body) = self.body_mut(id).filter(|_| !early) {
                    body.hash_asked.remove(&(*file, range.index));
                    body.hash_todo.push_back((*file, *range));
                }
                0
            }
        }
    }

    /// Counts payload bytes as asked for.
    pub(super) fn reserve(&mut self, id: &ContentId, bytes: u64) {
        self.outstanding += bytes;
        if let Some(content) = self.contents.get_mut(id) {
            content.outstanding += bytes;
        }
    }

    /// Payload bytes are no longer asked for, nor with the disk.
    pub(super) fn free(&mut self, id: &ContentId, bytes: u64) {
        self.outstanding = self.outstanding.saturating_sub(bytes);
        if let Some(content) = self.contents.get_mut(id) {
            content.outstanding = content.outstanding.saturating_sub(bytes);
        }
    }

    pub(super) fn body_mut(&mut self, id: &ContentId) -> Option<&mut Body> {
        self.contents.get_mut(id)?.body.as_mut()
    }

    /// The content a handle stands for, if both sides have opened it.
    pub(super) fn by_handle(&self, at: ConnId, handle: u16) -> Option<ContentId> {
        self.conns.get(&at)?.handles.get(&handle).copied()
    }
}
