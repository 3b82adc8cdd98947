//! Who may not join, by the operator's word.

use common::id::PeerId;
use common::net::AddrGroup;
use common::revoked::LISTED_SECS;
use common::wire::Code;

use super::peer::Presence;
use super::{Index, Refusal, SessionId};
use crate::record::{BanRecord, Change, Target};

/// Bans at once: an operator's list, not a table that strangers fill (3 MB with the longest reasons).
pub const MAX_BANS: usize = 10_000;
/// Longest reason in bytes: it stands in a refusal, whose text has at most
/// [`MAX_TEXT`](common::limits::MAX_TEXT).
pub const MAX_REASON: usize = 120;

/// Peers looked at in the time in which one is expelled.
const LOOKED_PER_EXPELLED: usize = 8;

/// A command about somebody that is being carried out: with an address there may be any number of peers, of which each
/// step finds some.
#[derive(Debug)]
pub struct Expulsion {
    target: Target,
    /// The next place to look at.
    next: usize,
    /// What became of it so far.
    pub expelled: Expelled,
}

/// What became of a command about somebody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expelled {
    /// Connections that must be closed; they are not known any more.
    pub sessions: Vec<SessionId>,
    /// Keys that are being forgotten.
    pub peers: Vec<PeerId>,
    /// What they have registered.
    pub items: usize,
}

impl Index {
    /// Lets somebody in no more. Those who are in are for [`Index::expel_some`].
    ///
    /// # Errors
    /// [`Refusal`] for too many bans or too long a reason; nothing is changed then.
    pub fn ban(&mut self, now_ms: u64, target: Target, reason: &str) -> Result<Expulsion, Refusal> {
        self.ban_or_revoke(now_ms, target, reason, false)
    }

    /// The same with a key, whose membership ends too: it needs a new invitation, and others are to be told not to talk to
    /// it ([`Index::revoked`]).
    ///
    /// # Errors
    /// As [`Index::ban`].
    pub fn revoke(&mut self, now_ms: u64, key: PeerId, reason: &str) -> Result<Expulsion, Refusal> {
        let expulsion = self.ban_or_revoke(now_ms, Target::Key(key), reason, true)?;
        self.end_membership(&key);
        Ok(expulsion)
    }

    /// Keys whose revocation others have still to know: with a membership of before they would be let in. The latest first.
    pub fn revoked(&self, now_s: u64) -> Vec<PeerId> {
        let mut keys: Vec<(u64, PeerId)> = Vec::new();
        for (target, ban) in &self.bans {
            let lasts = ban.revoked && ban.since.saturating_add(LISTED_SECS) > now_s;
            if let Target::Key(key) = target
                && lasts
            {
                keys.push((ban.since, *key));
            }
        }
        keys.sort_unstable_by(|a, b| b.cmp(a));
        keys.into_iter().map(|(_, key)| key).collect()
    }

    fn ban_or_revoke(
        &mut self,
        now_ms: u64,
        target: Target,
        reason: &str,
        revoked: bool,
    ) -> Result<Expulsion, Refusal> {
        if reason.len() > MAX_REASON || reason.chars().any(char::is_control) {
            let text = format!("a reason is one line of at most {MAX_REASON} bytes");
            return Err(Refusal::new(Code::Limit, text));
        }
        if !self.bans.contains_key(&target) && self.bans.len() >= MAX_BANS {
            let text = format!("there are {MAX_BANS} bans; take some back first");
            return Err(Refusal::new(Code::Limit, text));
        }
        // Whoever was revoked and is banned for another reason stays revoked.
        let revoked = revoked || self.bans.get(&target).is_some_and(|ban| ban.revoked);
        let ban = BanRecord { reason: reason.to_owned(), since: now_ms / 1000, revoked };
        self.changes.push(Change::Ban(target, ban.clone()));
        self.bans.insert(target, ban);
        Ok(Expulsion::new(target))
    }

    /// Takes a ban back; false if there was none.
    pub fn unban(&mut self, target: Target) -> bool {
        let known = self.bans.remove(&target).is_some();
        if known {
            self.changes.push(Change::BanGone(target));
        }
        known
    }

    /// Whether others are told of this ban too.
    pub fn is_revoked(&self, target: Target) -> bool {
        self.bans.get(&target).is_some_and(|ban| ban.revoked)
    }

    /// All bans, keys first, each in order.
    pub fn bans(&self) -> impl Iterator<Item = (&Target, &BanRecord)> {
        self.bans.iter()
    }

    /// Ends connections of those who are meant, and begins to forget what they have registered (see
    /// [`Index::work`]); who is not banned may come back. False when all have been found.
    pub fn expel_some(&mut self, now_ms: u64, expulsion: &mut Expulsion) -> bool {
        let Expulsion { target, next, expelled } = expulsion;
        let group = match target {
            Target::Key(key) => {
                if let Some(peer) = self.by_key.get(key) {
                    self.expel(now_ms, *peer, expelled);
                }
                return false;
            }
            Target::Address(group) => *group,
        };
        let most = self.limits.slice.saturating_mul(LOOKED_PER_EXPELLED);
        let places = self.peers.places(*next, most);
        let (looked, mut found) = (places.len(), Vec::new());
        let mut seen = 0;
        for place in places {
            if found.len() >= self.limits.slice {
                break;
            }
            seen += 1;
            found.extend(place.filter(|(_, peer)| peer.group == Some(group)).map(|(at, _)| at));
        }
        *next += seen;
        for peer in found {
            self.expel(now_ms, peer, expelled);
        }
        seen < looked || looked == most
    }

    /// The one key that is known, banned or invited and begins with this text.
    ///
    /// # Errors
    /// How many there are instead.
    pub fn key_beginning_with(&self, text: &str) -> Result<PeerId, usize> {
        let banned = self.bans.keys().filter_map(|target| match target {
            Target::Key(key) if !self.by_key.contains_key(key) => Some(key),
            _ => None,
        });
        let is_new = |key: &&PeerId| {
            !self.by_key.contains_key(*key) && !self.bans.contains_key(&Target::Key(**key))
        };
        let invited = self.invited().map(|(key, _)| key).filter(is_new);
        let known = self.by_key.keys().chain(banned).chain(invited);
        let mut found = known.filter(|key| begins_with(key, text));
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

    fn expel(&mut self, now_ms: u64, peer: u32, expelled: &mut Expelled) {
        self.drop_claim(peer);
        let Some(owner) = self.peers.get_mut(peer) else { return };
        expelled.peers.push(owner.id);
        expelled.items += owner.shares;
        let session = owner.session();
        (owner.presence, owner.listing) = (Presence::Away, None);
        owner.last_seen = now_ms / 1000;
        if let Some(session) = session {
            self.end_watches(session);
            self.sessions.remove(&session);
            expelled.sessions.push(session);
        }
        self.enroll(peer);
        self.begin_forgetting(peer);
    }
}

impl Expulsion {
    /// Of all who are meant.
    pub fn new(target: Target) -> Self {
        Self { target, next: 0, expelled: Expelled::default() }
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
pub(super) fn begins_with(key: &PeerId, text: &str) -> bool {
    let first = match text.bytes().next() {
        Some(letter @ b'a'..=b'z') => letter - b'a',
        Some(digit @ b'2'..=b'7') => digit - b'2' + 26,
        _ => return false,
    };
    let [byte, ..] = key.as_bytes();
    byte >> 3 == first && key.to_string().starts_with(text)
}
