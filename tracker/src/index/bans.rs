//! Who may not join, by the operator's word.

use common::id::PeerId;
use common::net::AddrGroup;
use common::wire::Code;

use super::peer::{Peer, Presence};
use super::{Index, Refusal, SessionId};
use crate::record::{BanRecord, Change, Target};

/// Bans at once: an operator's list, not a table that strangers fill (3 MB with the longest reasons).
pub const MAX_BANS: usize = 10_000;
/// Longest reason in bytes: it stands in a refusal, whose text has at most
/// [`MAX_TEXT`](common::limits::MAX_TEXT).
pub const MAX_REASON: usize = 120;

/// What became of a command about somebody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expelled {
    /// Connections that must be closed; they are not known any more.
    pub sessions: Vec<SessionId>,
    /// Keys that are being forgotten, in order.
    pub peers: Vec<PeerId>,
    /// What they have registered.
    pub items: usize,
}

impl Index {
    /// Lets somebody in no more, and begins to forget what they have registered (see
    /// [`Index::forget_some`]).
    ///
    /// # Errors
    /// [`Refusal`] for too many bans or too long a reason; nothing is changed then.
    pub fn ban(&mut self, now_ms: u64, target: Target, reason: &str) -> Result<Expelled, Refusal> {
        if reason.len() > MAX_REASON || reason.chars().any(char::is_control) {
            let text = format!("a reason is one line of at most {MAX_REASON} bytes");
            return Err(Refusal::new(Code::Limit, text));
        }
        if !self.bans.contains_key(&target) && self.bans.len() >= MAX_BANS {
            let text = format!("there are {MAX_BANS} bans; take some back first");
            return Err(Refusal::new(Code::Limit, text));
        }
        let ban = BanRecord { reason: reason.to_owned(), since: now_ms / 1000 };
        self.changes.push(Change::Ban(target, ban.clone()));
        self.bans.insert(target, ban);
        Ok(self.expel(now_ms, target))
    }

    /// Takes a ban back; false if there was none.
    pub fn unban(&mut self, target: Target) -> bool {
        let known = self.bans.remove(&target).is_some();
        if known {
            self.changes.push(Change::BanGone(target));
        }
        known
    }

    /// All bans, keys first, each in order.
    pub fn bans(&self) -> impl Iterator<Item = (&Target, &BanRecord)> {
        self.bans.iter()
    }

    /// Begins to forget what somebody has registered (see [`Index::forget_some`]). Their connections end;
    /// they may come back.
    pub fn forget(&mut self, now_ms: u64, target: Target) -> Expelled {
        self.expel(now_ms, target)
    }

    /// The one key that is known or banned and begins with this text.
    ///
    /// # Errors
    /// How many there are instead.
    pub fn key_beginning_with(&self, text: &str) -> Result<PeerId, usize> {
        let banned = self.bans.keys().filter_map(|target| match target {
            Target::Key(key) if !self.by_key.contains_key(key) => Some(key),
            _ => None,
        });
        let mut found = self.by_key.keys().chain(banned).filter(|key| begins_with(key, text));
        match (found.next(), found.count()) {
            (Some(key), 0) => Ok(*key),
            (first, more) => Err(usize::from(first.is_some()) + more),
        }
    }

    /// Why this peer may not join from there, if so.
    pub(super) fn check_ban(&self, peer: PeerId, group: AddrGroup) -> Result<(), Refusal> {
        let targets = [Target::Key(peer), Target::Address(group)];
        let Some(ban) = targets.iter().find_map(|target| self.bans.get(target)) else {
            return Ok(());
        };
        Err(Refusal::new(Code::Revoked, ban_text(&ban.reason)))
    }

    /// Ends the connections of those who are meant, and begins to forget them.
    fn expel(&mut self, now_ms: u64, target: Target) -> Expelled {
        let mut handles: Vec<(PeerId, u32)> = match target {
            Target::Key(key) => {
                self.by_key.get(&key).map(|peer| (key, *peer)).into_iter().collect()
            }
            // An operator's rare word may cost a pass over all peers.
            Target::Address(group) => self
                .peers
                .iter()
                .filter(|(_, peer)| peer.group == Some(group))
                .map(|(handle, peer)| (peer.id, handle))
                .collect(),
        };
        handles.sort_unstable();
        let mut expelled = Expelled::default();
        for (key, handle) in handles {
            expelled.peers.push(key);
            expelled.items += self.peers.get(handle).map_or(0, |peer| peer.shares);
            if let Some(session) = self.peers.get(handle).and_then(Peer::session) {
                self.end_watches(session);
                self.sessions.remove(&session);
                expelled.sessions.push(session);
            }
            self.withdraw(handle);
            if let Some(peer) = self.peers.get_mut(handle) {
                (peer.presence, peer.listing) = (Presence::Away, None);
                peer.last_seen = now_ms / 1000;
            }
            self.begin_forgetting(handle);
        }
        expelled
    }
}

/// What a banned peer is told.
pub fn ban_text(reason: &str) -> String {
    if reason.is_empty() {
        "banned by the owner of this tracker".to_owned()
    } else {
        format!("banned by the owner of this tracker: {reason}")
    }
}

/// Whether a key's text begins with this. The bytes that the text stands for are compared first: of a
/// million keys hardly one is ever written out.
fn begins_with(key: &PeerId, text: &str) -> bool {
    let first = match text.bytes().next() {
        Some(letter @ b'a'..=b'z') => letter - b'a',
        Some(digit @ b'2'..=b'7') => digit - b'2' + 26,
        _ => return false,
    };
    let [byte, ..] = key.as_bytes();
    byte >> 3 == first && key.to_string().starts_with(text)
}
