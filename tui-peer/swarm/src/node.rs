//! One peer's brain for all its contents and connections: what it keeps. It knows the parts and none of those who
//! work with them; what happens goes through `dispatch`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::id::{ContentId, PeerId};
use common::net::OnLink;
use common::wire::peer::PeerMsg;

use super::answers::Answers;
use super::body::Body;
use super::conduct::Conduct;
use super::config::NodeConfig;
use super::conn::Conn;
use super::content::Content;
use super::dialer::Dialer;
use super::event::{ConnId, Notice, Output};
use super::shaping::Shaping;
use super::time::Time;
use super::timers::Timers;
use super::uplink::Uplink;

/// The state machine. Feed it inputs with [`handle`](Self::handle), execute the [`Output`]s, call it again with
/// `Input::Tick` at [`next_deadline`](Self::next_deadline).
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

    /// Connections that have a place: not those whose HELLO is still to come.
    pub(super) fn places(&self) -> usize {
        self.conns.len().saturating_sub(self.peers.reached.len())
    }

    /// Weights and limits of contents have changed.
    pub(super) fn weigh(&mut self) {
        self.shaping.weigh(self.contents.values().map(|content| &**content));
    }

    /// How long our own limit may keep an answer from us: no reason to blame its sender.
    pub(super) fn limit_delay(&self) -> Duration {
        self.shaping.delay(self.outstanding)
    }

    pub(super) fn ping(&mut self, cx: &mut Cx<'_>, at: ConnId) {
        let nonce = self.rng.u64(..);
        if let Some(conn) = self.conns.get_mut(&at) {
            conn.ping = Some((nonce, cx.now));
            conn.pinged = cx.now;
            cx.send(at, PeerMsg::Ping(nonce));
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
