//! Peers that are not talked to: by the user's word, or because they misbehaved.

use std::time::{Duration, Instant};

use common::id::PeerId;

use super::{Session, refuse};
use crate::engine::command::{CommandError, CommandErrorKind, Reply};
use crate::engine::event::{Level, Target, What};
use crate::engine::snapshot::BanRow;
use swarm::event::Input;

/// Bans shown and remembered at most; a list for people.
const MAX_BANS: usize = 1000;

/// A ban in force.
pub(super) struct Ban {
    pub(super) peer: PeerId,
    pub(super) why: String,
    /// `None` is for ever.
    pub(super) until: Option<Instant>,
    pub(super) by_user: bool,
}

impl Session {
    /// Bans for ever of earlier runs.
    pub(super) fn restore_bans(&mut self) {
        for (peer, why) in self.keeping.kept.bans() {
            self.bans.push(Ban { peer, why, until: None, by_user: true });
            self.feed(Input::Ban { peer, time: None });
        }
    }

    pub(super) fn ban(
        &mut self,
        peer: PeerId,
        time: Option<Duration>,
    ) -> Result<Reply, CommandError> {
        let invalid = |text: &str| Err(refuse(CommandErrorKind::Invalid, text));
        if peer == self.me {
            return invalid("that is this peer itself");
        }
        if self.bans.len() >= MAX_BANS && time.is_none() {
            return invalid("a thousand peers are banned already; lift some bans first");
        }
        let why = "by you".to_owned();
        if time.is_none() {
            self.keeping.kept.ban(&peer, &why);
            self.write_kept();
        } else if self.keeping.kept.unban(&peer) {
            self.write_kept();
        }
        let for_how_long = match time {
            None => "for ever".to_owned(),
            Some(time) => format!("for {} min", time.as_secs().div_ceil(60)),
        };
        let text = format!("{} is banned {for_how_long}, by you", self.who(&peer));
        self.tell(Level::Info, Target::Net, text, What::Said);
        let until = time.and_then(|time| Instant::now().checked_add(time));
        self.note_ban(Ban { peer, why, until, by_user: true });
        self.feed(Input::Ban { peer, time });
        Ok(Reply::Accepted)
    }

    pub(super) fn unban(&mut self, peer: &PeerId) -> Result<Reply, CommandError> {
        let before = self.bans.len();
        self.bans.retain(|ban| ban.peer != *peer);
        if self.keeping.kept.unban(peer) {
            self.write_kept();
        }
        self.feed(Input::Unban { peer: *peer });
        if self.bans.len() == before {
            return Err(refuse(CommandErrorKind::NotFound, "that peer is not banned"));
        }
        let text = format!("{} is no longer banned", self.who(peer));
        self.say(Level::Info, Target::Net, text);
        Ok(Reply::Accepted)
    }

    /// The core banned a peer.
    pub(super) fn banned(&mut self, peer: PeerId, why: &str, time: Duration) {
        let for_ever = self.bans.iter().any(|ban| ban.peer == peer && ban.until.is_none());
        if for_ever {
            // What it did now must not shorten what the user said.
            return self.feed(Input::Ban { peer, time: None });
        }
        let until = Instant::now().checked_add(time);
        self.note_ban(Ban { peer, why: why.to_owned(), until, by_user: false });
    }

    fn note_ban(&mut self, ban: Ban) {
        self.bans.retain(|other| other.peer != ban.peer);
        if self.bans.len() >= MAX_BANS {
            // The one that ends first makes room.
            let ends = self.bans.iter().enumerate().filter(|(_, ban)| ban.until.is_some());
            if let Some((at, _)) = ends.min_by_key(|(_, ban)| ban.until) {
                self.bans.remove(at);
            }
        }
        self.bans.push(ban);
        self.changed();
    }

    /// Bans whose time is over leave the list.
    pub(super) fn end_bans(&mut self, now: Instant) {
        let before = self.bans.len();
        self.bans.retain(|ban| ban.until.is_none_or(|until| until > now));
        if self.bans.len() != before {
            self.changed();
        }
    }

    pub(super) fn ban_rows(&self) -> std::sync::Arc<[BanRow]> {
        let row = |ban: &Ban| BanRow {
            peer: ban.peer,
            nick: self.nick(&ban.peer),
            why: ban.why.clone(),
            until: ban.until,
            by_user: ban.by_user,
        };
        self.bans.iter().map(row).collect()
    }
}
