//! Extra connections to one peer: the core sees one connection, and everything here is about which TCP connection
//! something of it goes over.
//!
//! The side that dialled opens them, and asks over them; the other side answers each request over the connection it came
//! over. Everything but requests and what belongs to them stays on the main connection. An extra one ends with that, and
//! when one ends by itself, what was asked over it is asked again.

pub(super) mod of_conn;
pub(super) mod routes;
pub(super) mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use common::id::PeerId;
use common::wire::Code;
use common::wire::peer::PeerMsg;

use self::routes::Over;
use self::trial::{Trial, Verdict};
use super::Session;
use crate::api::event::{Level, Target};
use crate::api::snapshot::Way;
use crate::conn::{ConnCommand, ConnEvent, ConnHandle, Main, dial_extra};
use swarm::event::{ConnId, Input};

/// Extra connections of one connection: four together carry 1 Gbit/s over 100 ms with the buffers that systems give.
const MOST: usize = 3;
/// Extra connections of this peer in all, that it made and as many again that it took: each is a descriptor, two tasks
/// and the buffers of TLS. As many as four far peers want.
const MOST_IN_ALL: usize = 12;
/// One that was taken and over which nothing is asked for so long makes room for others.
const UNUSED: Duration = Duration::from_secs(30);
/// An extra connection over which nothing came for so long, though something was asked and the main one is not waiting
/// as well, leads nowhere any more. As long as a source may be silent until others are asked.
const STALLED: Duration = Duration::from_secs(5);
/// The same of the main connection, which is then made anew: longer, for with it all ends.
const MAIN_STALLED: Duration = Duration::from_secs(15);

const NOT_NEEDED: &str = "this connection is not needed any more";

/// Which connection each extra one belongs to.
#[derive(Debug, Default)]
pub(super) struct Extras {
    main_of: BTreeMap<ConnId, ConnId>,
    /// Which of them the other side made.
    taken: BTreeSet<ConnId>,
    /// Dials under way.
    dialling: usize,
}

impl Extras {
    fn may_make(&self) -> bool {
        self.main_of.len() - self.taken.len() + self.dialling < MOST_IN_ALL
    }

    fn may_take(&self) -> bool {
        self.taken.len() < MOST_IN_ALL
    }

    fn remove(&mut self, extra: ConnId) -> Option<ConnId> {
        self.taken.remove(&extra);
        self.main_of.remove(&extra)
    }
}

impl Session {
    /// Sends a message of the core, over whichever connection it belongs to.
    pub(super) fn send_to(&mut self, at: ConnId, msg: PeerMsg) {
        let Some(entry) = self.conns.get_mut(&at).filter(|entry| !entry.closing) else { return };
        if entry.extras.routes.is_empty() {
            if !entry.handle.say(msg) {
                self.drop_conn(at);
            }
            return;
        }
        let pending = self.core.node().pending(at);
        let mut failed = Vec::new();
        for (over, msg) in entry.extras.route(entry.came, msg, pending, Instant::now()) {
            let handle = match over {
                Over::Main => Some(&entry.handle),
                Over::Extra(extra) => entry.extras.routes.handle(extra),
                Over::Gone => None,
            };
            if handle.is_some_and(|handle| !handle.say(msg)) {
                failed.push(over);
            }
        }
        for over in failed {
            match over {
                Over::Extra(extra) => self.end_extra(at, extra, "it does not read"),
                _ => self.drop_conn(at),
            }
        }
    }

    /// Hands a command about a request of the peer to the writer of the connection that it came over.
    pub(super) fn command_for(&mut self, at: ConnId, rid: u32, command: ConnCommand) {
        let Some(entry) = self.conns.get(&at) else { return };
        match entry.extras.over_for_peer(entry.came, rid) {
            Over::Main => self.command(at, command),
            Over::Extra(extra) => {
                let handle = entry.extras.routes.handle(extra);
                if handle.is_some_and(|handle| !handle.send(command)) {
                    self.end_extra(at, extra, "it does not read");
                }
            }
            Over::Gone => {
                self.on_conn(ConnEvent::ServeFailed { conn: at, rid, code: Code::Cancelled });
            }
        }
    }

    /// What an event says of the connection itself, if it is one of an extra connection; nothing if that is all.
    pub(super) fn of_main(&mut self, event: ConnEvent) -> Option<ConnEvent> {
        if self.net.extras.main_of.is_empty() {
            return Some(event);
        }
        let main_of = |conn: &ConnId| self.net.extras.main_of.get(conn).copied();
        match event {
            ConnEvent::Message { conn, msg, place } => match main_of(&conn) {
                None => {
                    self.note_given_up(conn, &msg);
                    Some(ConnEvent::Message { conn, msg, place })
                }
                Some(main) => {
                    let msg = self.heard_over(main, conn, msg)?;
                    Some(ConnEvent::Message { conn: main, msg, place })
                }
            },
            ConnEvent::Data { conn, rid, off, buf } => {
                let Some(main) = main_of(&conn) else {
                    self.count_main(conn, buf.len() as u64);
                    self.on_data(conn, rid, off, buf);
                    self.forget_ended(conn, rid);
                    return None;
                };
                let entry = self.conns.get_mut(&main)?;
                if !entry.extras.routes.has(conn) {
                    return None;
                }
                entry.extras.routes.moved(conn, Instant::now());
                if let Some(trial) = &mut entry.extras.trial {
                    trial.count(true, buf.len() as u64);
                }
                self.on_data(main, rid, off, buf);
                self.forget_ended(main, rid);
                None
            }
            ConnEvent::Served { conn, rid } => {
                let main = main_of(&conn);
                if let Some(entry) = main.and_then(|main| self.conns.get_mut(&main)) {
                    entry.extras.routes.ended(rid);
                }
                Some(ConnEvent::Served { conn: main.unwrap_or(conn), rid })
            }
            ConnEvent::ServeFailed { conn, rid, code } => {
                let conn = main_of(&conn).unwrap_or(conn);
                Some(ConnEvent::ServeFailed { conn, rid, code })
            }
            ConnEvent::Greeted { conn, .. } if main_of(&conn).is_some() => None,
            ConnEvent::Refused { conn, ref why, .. } => match main_of(&conn) {
                None => Some(event),
                Some(main) => {
                    self.end_extra(main, conn, why);
                    None
                }
            },
            ConnEvent::Down { conn, ref why } => match self.net.extras.remove(conn) {
                None => Some(event),
                Some(main) => {
                    self.end_extra(main, conn, why);
                    None
                }
            },
            event => Some(event),
        }
    }

    /// A message that came over an extra connection, if it belongs there.
    fn heard_over(&mut self, main: ConnId, extra: ConnId, msg: PeerMsg) -> Option<PeerMsg> {
        let now = Instant::now();
        let entry = self.conns.get_mut(&main)?;
        let routes = &mut entry.extras.routes;
        if !routes.has(extra) {
            return None;
        }
        let msg = match (msg, entry.came) {
            (msg @ PeerMsg::Request { rid, .. }, true) => {
                routes.note(rid, extra, false, now);
                msg
            }
            (msg @ PeerMsg::ReqAny { rid, count, .. }, true) => {
                for rid in (0..u32::from(count)).map(|n| rid.wrapping_add(n)) {
                    routes.note(rid, extra, true, now);
                }
                msg
            }
            (msg @ (PeerMsg::Cancel { .. } | PeerMsg::Recall { .. }), true) => msg,
            (msg @ PeerMsg::Assign { rid, .. }, false) => {
                routes.assigned(rid);
                msg
            }
            (PeerMsg::Reject { rid, code }, false) => {
                // That a chunk is gone is said over the main connection, which may be behind: said only here it would
                // look as if the peer did not keep to what it says it has.
                let gone = code == Code::Gone && routes.is_of_a_chunk(rid);
                routes.ended(rid);
                PeerMsg::Reject { rid, code: if gone { Code::Choked } else { code } }
            }
            _ => {
                self.end_extra(main, extra, "it says what does not belong there");
                return None;
            }
        };
        Some(msg)
    }

    /// Who cancels over the main connection what it asked over an extra one has given that up.
    fn note_given_up(&mut self, main: ConnId, msg: &PeerMsg) {
        let Some(entry) = self.conns.get_mut(&main) else { return };
        if let PeerMsg::Reject { rid, .. } = msg
            && !entry.came
        {
            // It belongs to the connection that it was asked over; but it is over.
            entry.extras.routes.ended(*rid);
        }
        let PeerMsg::Cancel { rid } = msg else { return };
        if let Over::Extra(extra) = entry.extras.over_for_peer(entry.came, *rid) {
            self.end_extra(main, extra, "the other side has given it up");
        }
    }

    /// After payload of a request over an extra connection: was it the last?
    fn forget_ended(&mut self, main: ConnId, rid: u32) {
        if !self.core.node().awaits(main, rid)
            && let Some(entry) = self.conns.get_mut(&main).filter(|entry| !entry.came)
        {
            entry.extras.routes.ended(rid);
        }
    }

    /// An extra connection is there. It gets a place only beside a connection of the same peer that it may belong to.
    pub(super) fn on_extra(
        &mut self,
        conn: ConnId,
        main: ConnId,
        (peer, rtt): (PeerId, Option<Duration>),
        handle: ConnHandle,
    ) {
        let (now, came) = (Instant::now(), rtt.is_none());
        if !came {
            self.dialled(main);
        }
        // Where there is a limit, one connection reaches it.
        let limiter = if came { &self.ours.up } else { &self.ours.down };
        let room = limiter.rate().is_none() && (!came || self.net.extras.may_take());
        let entry = self.conns.get_mut(&main).filter(|entry| {
            let dialled = matches!(entry.way, Way::Dialled | Way::Came);
            let same = entry.peer == peer && entry.came == came && dialled;
            same && entry.greeted && !entry.closing && entry.extras.routes.count() < MOST && room
        });
        let Some(entry) = entry else {
            return handle.close(Code::NotPermitted, "no extra connection here".to_owned());
        };
        if let (Some(trial), Some(rtt)) = (&mut entry.extras.trial, rtt)
            && !trial.opened(rtt, now)
        {
            entry.extras.routes.drain();
            return handle.close(Code::Cancelled, NOT_NEEDED.to_owned());
        }
        entry.extras.routes.add(conn, handle, now);
        self.net.extras.main_of.insert(conn, main);
        if came {
            self.net.extras.taken.insert(conn);
        }
        self.count_streams(main);
    }

    /// A dial of ours has ended.
    fn dialled(&mut self, main: ConnId) {
        self.net.extras.dialling = self.net.extras.dialling.saturating_sub(1);
        if let Some(entry) = self.conns.get_mut(&main) {
            entry.extras.dialling = entry.extras.dialling.saturating_sub(1);
        }
    }

    pub(super) fn on_no_extra(&mut self, main: ConnId, why: &str) {
        self.dialled(main);
        let Some(entry) = self.conns.get_mut(&main) else { return };
        if entry.extras.dialling == 0 && entry.extras.routes.count() == 0 {
            if let Some(trial) = &mut entry.extras.trial {
                trial.lost(Instant::now());
            }
            let peer = entry.peer;
            let text = format!("{}: no second connection: {why}", self.net.display_name(&peer));
            self.log(Level::Debug, Target::Net, text);
        }
    }

    /// Ends an extra connection. What was asked over it is asked again by whoever did.
    fn end_extra(&mut self, main: ConnId, extra: ConnId, why: &str) {
        let Some(entry) = self.conns.get_mut(&main) else { return };
        let Some((handle, lost)) = entry.extras.routes.remove(extra) else { return };
        handle.close(Code::Cancelled, NOT_NEEDED.to_owned());
        let (came, peer) = (entry.came, entry.peer);
        if entry.extras.routes.count() + entry.extras.dialling == 0
            && let Some(trial) = &mut entry.extras.trial
        {
            trial.lost(Instant::now());
        }
        let name = self.net.display_name(&peer);
        self.log(Level::Debug, Target::Net, format!("{name}: one connection fewer: {why}"));
        if came {
            // Its answers lead nowhere.
            for rid in lost {
                self.feed(Input::Message { conn: main, msg: PeerMsg::Cancel { rid } });
            }
        } else if let Some(entry) = self.conns.get_mut(&main) {
            for rid in &lost {
                entry.extras.routes.ended(*rid);
                // The source hears over the main one that nobody listens to the answer; if that is not heard either,
                // the core will notice.
                let _ = entry.handle.say(PeerMsg::Cancel { rid: *rid });
            }
            self.feed(Input::Lost { conn: main, rids: lost });
        }
        self.count_streams(main);
    }

    fn count_streams(&mut self, main: ConnId) {
        let Some(entry) = self.conns.get(&main) else { return };
        let streams = 1 + entry.extras.routes.count();
        self.feed(Input::Streams { conn: main, streams });
    }

    /// The HELLO of a peer that we dialled directly says by what number it knows the connection: extra ones may follow.
    pub(super) fn may_have_extras(&mut self, at: ConnId, number: Option<u64>) {
        let policy = self.config.extra;
        let Some(entry) = self.conns.get_mut(&at).filter(|entry| !entry.came) else { return };
        entry.extras.number = number;
        let rtt = entry.rtt.filter(|_| number.is_some());
        entry.extras.trial = rtt.map(|rtt| Trial::new(policy, rtt, Instant::now()));
    }

    /// Payload came over the main connection.
    pub(super) fn count_main(&mut self, at: ConnId, bytes: u64) {
        let Some(entry) = self.conns.get_mut(&at) else { return };
        if let Some(trial) = &mut entry.extras.trial {
            trial.count(false, bytes);
            entry.extras.main_waits = None;
        }
    }

    /// Opens extra connections, or closes them, if it is time to.
    pub(super) fn try_extras(&mut self, at: ConnId, now: Instant) {
        let Some(entry) = self.conns.get_mut(&at).filter(|entry| !entry.closing) else { return };
        let Some(trial) = &mut entry.extras.trial else { return };
        let verdict = trial.look(now, self.counters.totals.down);
        if verdict == Verdict::Close || self.ours.down.rate().is_some() {
            entry.extras.routes.drain();
        }
        for extra in entry.extras.routes.drained() {
            self.end_extra(at, extra, "it is not needed");
        }
        if verdict == Verdict::Open {
            self.open_extras(at);
        }
    }

    fn open_extras(&mut self, at: ConnId) {
        let Some(entry) = self.conns.get_mut(&at) else { return };
        let Some(number) = entry.extras.number else { return };
        let (peer, addr) = (entry.peer, entry.addr);
        for _ in entry.extras.routes.count()..MOST {
            if !self.net.extras.may_make() || self.ours.down.rate().is_some() {
                break;
            }
            self.net.extras.dialling += 1;
            entry.extras.dialling += 1;
            let to = Main { conn: at, number, peer, addr };
            tokio::spawn(dial_extra(to, self.ours.clone()));
        }
        match entry.extras.dialling {
            0 => {
                if let Some(trial) = &mut entry.extras.trial {
                    trial.lost(Instant::now());
                }
            }
            more => {
                let name = self.net.display_name(&peer);
                let text = format!("{name}: {more} more connections to it are tried");
                self.log(Level::Debug, Target::Net, text);
            }
        }
    }

    /// Now and then: connections that lead nowhere any more, or that nobody uses.
    pub(super) fn check_extras(&mut self, now: Instant) {
        let ago = |time| now.checked_sub(time).unwrap_or(now);
        let limited = self.ours.up.rate().is_some();
        let mut over = Vec::new();
        for (at, entry) in
            self.conns.iter_mut().filter(|(_, entry)| entry.extras.routes.count() > 0)
        {
            let extras = &mut entry.extras;
            let ended = if entry.came {
                if limited { extras.routes.ids() } else { extras.routes.idle(ago(UNUSED)) }
            } else {
                let waits = self.core.node().pending(*at) > extras.routes.live();
                extras.main_waits = extras.main_waits.or(Some(now)).filter(|_| waits);
                let stalled = |time| extras.main_waits.is_some_and(|since| since < ago(time));
                let others = extras.routes.last_moved() >= Some(ago(STALLED));
                if stalled(MAIN_STALLED) && others && !entry.closing {
                    // With all that belongs to it; the core dials again.
                    let why = "nothing comes over the main connection any more";
                    entry.close(Code::Timeout, why.to_owned());
                    continue;
                }
                if stalled(STALLED) { Vec::new() } else { extras.routes.stalled(ago(STALLED)) }
            };
            over.extend(ended.into_iter().map(|extra| (*at, extra)));
        }
        for (at, extra) in over {
            self.end_extra(at, extra, "nothing comes over it any more");
        }
        let tried = self.conns.iter().filter(|(_, entry)| entry.extras.trial.is_some());
        for at in tried.map(|(at, _)| *at).collect::<Vec<_>>() {
            self.try_extras(at, now);
        }
    }
}
