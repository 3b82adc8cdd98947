//! Peers that are not talked to: by the user's word, or because they misbehaved.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use common::id::PeerId;

use super::{Session, refuse};
use crate::api::command::{CommandError, CommandErrorKind, Reply};
use crate::api::event::{Level, Target, What};
use crate::api::snapshot::BanRow;
use swarm::event::Input;

/// Bans shown and remembered at most; a list for people.
const MAX_BANS: usize = 1000;

/// A ban in force.
struct Ban {
    peer: PeerId,
    why: String,
    /// `None` is for ever.
    until: Option<Instant>,
    by_user: bool,
}

/// All that are in force, in the order in which they were noted.
#[derive(Default)]
pub(super) struct Bans {
    all: Vec<Ban>,
    /// By the tracker's word, which nobody here takes back.
    revoked: BTreeSet<PeerId>,
}

/// What a user is told of them.
const REVOKED: &str = "the tracker has revoked its membership";

impl Bans {
    fn is_for_ever(&self, peer: &PeerId) -> bool {
        self.revoked.contains(peer)
            || self.all.iter().any(|ban| ban.peer == *peer && ban.until.is_none())
    }

    fn note(&mut self, ban: Ban) {
        self.remove(&ban.peer);
        if self.all.len() >= MAX_BANS {
            // The one that ends first makes room.
            let ends = self.all.iter().enumerate().filter(|(_, ban)| ban.until.is_some());
            if let Some((at, _)) = ends.min_by_key(|(_, ban)| ban.until) {
                self.all.remove(at);
            }
        }
        self.all.push(ban);
    }

    /// Says whether it was there.
    fn remove(&mut self, peer: &PeerId) -> bool {
        let before = self.all.len();
        self.all.retain(|ban| ban.peer != *peer);
        self.all.len() != before
    }

    /// Those whose time is over leave the list. Says whether there were some.
    fn end(&mut self, now: Instant) -> bool {
        let before = self.all.len();
        self.all.retain(|ban| ban.until.is_none_or(|until| until > now));
        self.all.len() != before
    }
}

impl Session {
    /// Bans for ever of earlier runs.
    pub(super) fn restore_bans(&mut self) {
        for (peer, why) in self.preferences.kept.bans() {
            self.preferences.bans.all.push(Ban { peer, why, until: None, by_user: true });
            self.feed(Input::Ban { peer, time: None });
        }
    }

    pub(super) fn ban(
        &mut self,
        peer: PeerId,
        time: Option<Duration>,
    ) -> Result<Reply, CommandError> {
        let invalid = |text: &str| Err(refuse(CommandErrorKind::Invalid, text));
        if peer == self.core.me() {
            return invalid("that is this peer itself");
        }
        if self.preferences.bans.all.len() >= MAX_BANS && time.is_none() {
            return invalid("a thousand peers are banned already; lift some bans first");
        }
        let why = "by you".to_owned();
        if time.is_none() {
            self.preferences.kept.ban(&peer, &why);
            self.write_kept();
        } else if self.preferences.kept.unban(&peer) {
            self.write_kept();
        }
        let for_how_long = match time {
            None => "for ever".to_owned(),
            Some(time) => format!("for {} min", time.as_secs().div_ceil(60)),
        };
        let text = format!("{} is banned {for_how_long}, by you", self.net.display_name(&peer));
        self.tell(Level::Info, Target::Net, text, What::Said);
        let until = time.and_then(|time| Instant::now().checked_add(time));
        self.note_ban(Ban { peer, why, until, by_user: true });
        let time = time.filter(|_| !self.preferences.bans.revoked.contains(&peer));
        self.feed(Input::Ban { peer, time });
        Ok(Reply::Accepted)
    }

    /// Exactly these are banned by the tracker's word.
    pub(super) fn ban_revoked(&mut self, keys: BTreeSet<PeerId>) {
        let before = std::mem::replace(&mut self.preferences.bans.revoked, keys);
        let now = self.preferences.bans.revoked.clone();
        for peer in now.difference(&before) {
            let text = format!("{}: {REVOKED}", self.net.display_name(peer));
            self.tell(Level::Info, Target::Net, text, What::Said);
            self.feed(Input::Ban { peer: *peer, time: None });
        }
        for peer in before.difference(&now) {
            let own = self.preferences.bans.all.iter().find(|ban| ban.peer == *peer);
            match own.map(|ban| ban.until) {
                None => self.feed(Input::Unban { peer: *peer }),
                Some(None) => {}
                Some(Some(until)) => {
                    let left = until.saturating_duration_since(Instant::now());
                    self.feed(Input::Ban { peer: *peer, time: Some(left) });
                }
            }
        }
        if before != now {
            self.changed();
        }
    }

    pub(super) fn unban(&mut self, peer: &PeerId) -> Result<Reply, CommandError> {
        if self.preferences.bans.revoked.contains(peer) {
            let text =
                format!("{REVOKED}; only the network's owner lets it in again (tracker unban)");
            return Err(refuse(CommandErrorKind::Permission, text));
        }
        let was_banned = self.preferences.bans.remove(peer);
        if self.preferences.kept.unban(peer) {
            self.write_kept();
        }
        self.feed(Input::Unban { peer: *peer });
        if !was_banned {
            return Err(refuse(CommandErrorKind::NotFound, "that peer is not banned"));
        }
        let text = format!("{} is no longer banned", self.net.display_name(peer));
        self.log(Level::Info, Target::Net, text);
        Ok(Reply::Accepted)
    }

    /// The core banned a peer.
    pub(super) fn banned(&mut self, peer: PeerId, why: &str, time: Duration) {
        if self.preferences.bans.is_for_ever(&peer) {
            // What it did now must not shorten what the user said.
            return self.feed(Input::Ban { peer, time: None });
        }
        let until = Instant::now().checked_add(time);
        self.note_ban(Ban { peer, why: why.to_owned(), until, by_user: false });
    }

    fn note_ban(&mut self, ban: Ban) {
        self.preferences.bans.note(ban);
        self.changed();
    }

    /// Bans whose time is over leave the list.
    pub(super) fn end_bans(&mut self, now: Instant) {
        if self.preferences.bans.end(now) {
            self.changed();
        }
    }

    pub(super) fn ban_rows(&self) -> std::sync::Arc<[BanRow]> {
        let row = |ban: &Ban| BanRow {
            peer: ban.peer,
            nick: self.net.nick(&ban.peer),
            why: ban.why.clone(),
            until: ban.until,
            by_user: ban.by_user,
        };
        let revoked = |peer: &PeerId| BanRow {
            peer: *peer,
            nick: self.net.nick(peer),
            why: REVOKED.to_owned(),
            until: None,
            by_user: false,
        };
        let Bans { all, revoked: keys } = &self.preferences.bans;
        let own = all.iter().filter(|ban| !keys.contains(&ban.peer));
        own.map(row).chain(keys.iter().map(revoked)).collect()
    }
}
