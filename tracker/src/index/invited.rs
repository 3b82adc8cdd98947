//! Who was invited, and invitations that are not used up.
//!
//! An invitation is a secret of its own: whoever proves to know it becomes a member, by key, and needs no proof from then
//! on. So it counts once for each key, and a member that comes again uses none.

use std::collections::BTreeMap;
use std::net::IpAddr;

use common::id::PeerId;
use common::net::AddrGroup;
use common::wire::Code;

use super::{Index, Refusal, SessionId};
use crate::record::{Change, InviteRecord, MemberRecord};

/// Invitations at once: each is tried for a stranger who proves to know one of them, which takes 1 ms with so many.
pub const MAX_INVITES: usize = 1000;
/// Members: 10 MB.
pub const MAX_MEMBERS: usize = 100_000;
/// Longest name of an invitation in bytes: a line of a list.
pub const MAX_INVITE_NAME: usize = 64;

/// What a peer without an invitation is told.
const NO_INVITATION: &str =
    "this network is by invitation: ask its owner for a join string of your own (tracker invite)";
/// What one with an invitation is told that does not count.
const USED_UP: &str = "this invitation does not count (any more): used up, out of date or withdrawn; ask for a new one";

#[derive(Debug, Default)]
pub(super) struct Invited {
    /// Whether only they may join.
    pub(super) only: bool,
    members: BTreeMap<PeerId, MemberRecord>,
    invites: BTreeMap<u64, InviteRecord>,
    last_number: u64,
}

impl Invited {
    pub(super) fn restore(
        &mut self,
        members: Vec<(PeerId, MemberRecord)>,
        invites: Vec<(u64, InviteRecord)>,
    ) {
        self.members = members.into_iter().collect();
        self.invites = invites.into_iter().collect();
        self.last_number = self.invites.keys().next_back().copied().unwrap_or(0);
    }
}

impl Index {
    /// From now on only members may join; or whoever is let in otherwise.
    pub fn admit_only_invited(&mut self, only: bool) {
        self.invited.only = only;
    }

    /// Makes an invitation; returns its number.
    ///
    /// # Errors
    /// [`Refusal`] for too many invitations or too long a name; nothing is changed then.
    pub fn invite(&mut self, now_s: u64, invite: InviteRecord) -> Result<u64, Refusal> {
        let limit = |text: String| Err(Refusal::new(Code::Limit, text));
        if invite.name.len() > MAX_INVITE_NAME || invite.name.chars().any(char::is_control) {
            return limit(format!("a name is one line of at most {MAX_INVITE_NAME} bytes"));
        }
        if invite.uses == Some(0) || invite.until.is_some_and(|until| until <= now_s) {
            return limit("nobody could use that invitation".to_owned());
        }
        self.drop_old_invites(now_s);
        if self.invited.invites.len() >= MAX_INVITES {
            return limit(format!(
                "there are {MAX_INVITES} invitations; withdraw some first (tracker invites)"
            ));
        }
        self.invited.last_number += 1;
        let number = self.invited.last_number;
        self.changes.push(Change::Invite(number, invite.clone()));
        self.invited.invites.insert(number, invite);
        Ok(number)
    }

    /// Invitations that can still be used, by their numbers.
    pub fn invites(&mut self, now_s: u64) -> impl Iterator<Item = (u64, &InviteRecord)> {
        self.drop_old_invites(now_s);
        self.invited.invites.iter().map(|(number, invite)| (*number, invite))
    }

    /// Takes an invitation back; false if there is none of that number. Who used it stays a member.
    pub fn withdraw_invite(&mut self, number: u64) -> bool {
        let known = self.invited.invites.remove(&number).is_some();
        if known {
            self.changes.push(Change::InviteGone(number));
        }
        known
    }

    /// A peer has proved to know an invitation: it is a member from now on.
    ///
    /// # Errors
    /// [`Refusal`] if it is banned, others have used the invitation up meanwhile, it is out of date or withdrawn, or there are too many members.
    pub fn use_invite(
        &mut self,
        now_s: u64,
        number: u64,
        (peer, from): (PeerId, IpAddr),
    ) -> Result<(), Refusal> {
        // Who would not be let in all the same uses none.
        self.check_ban(peer, AddrGroup::of(from))?;
        if self.invited.members.contains_key(&peer) {
            return Ok(());
        }
        self.drop_old_invites(now_s);
        let used_up = || Refusal::new(Code::Auth, USED_UP);
        if self.invited.members.len() >= MAX_MEMBERS {
            let text =
                format!("this network has {MAX_MEMBERS} members; its owner has to revoke some");
            return Err(Refusal::new(Code::Limit, text));
        }
        let invite = self.invited.invites.get_mut(&number).ok_or_else(used_up)?;
        let InviteRecord { name, may_share, .. } = invite.clone();
        match &mut invite.uses {
            Some(0 | 1) => {
                self.withdraw_invite(number);
            }
            Some(uses) => {
                *uses -= 1;
                self.changes.push(Change::Invite(number, invite.clone()));
            }
            None => {}
        }
        let member = MemberRecord { name, since: now_s, may_share };
        self.changes.push(Change::Member(peer, member.clone()));
        self.invited.members.insert(peer, member);
        Ok(())
    }

    /// Everybody who was invited, by key.
    pub fn invited(&self) -> impl Iterator<Item = (&PeerId, &MemberRecord)> {
        self.invited.members.iter()
    }

    /// Whether this peer may join without an invitation.
    pub fn is_invited(&self, peer: &PeerId) -> bool {
        !self.invited.only || self.invited.members.contains_key(peer)
    }

    /// Whether a session's peer may register nothing but what others have registered.
    pub fn is_read_only(&self, session: SessionId) -> bool {
        let peer = self.session_peer(session).and_then(|peer| self.peers.get(peer));
        peer.is_some_and(|peer| self.reads_only(&peer.id))
    }

    pub(super) fn reads_only(&self, peer: &PeerId) -> bool {
        self.invited.only && self.invited.members.get(peer).is_some_and(|member| !member.may_share)
    }

    /// # Errors
    /// [`Refusal`] for who was not invited where that is needed.
    pub(super) fn check_invited(&self, peer: &PeerId) -> Result<(), Refusal> {
        if self.is_invited(peer) { Ok(()) } else { Err(not_invited()) }
    }

    /// The peer needs a new invitation to join; false if it was no member.
    pub(super) fn end_membership(&mut self, peer: &PeerId) -> bool {
        let known = self.invited.members.remove(peer).is_some();
        if known {
            self.changes.push(Change::MemberGone(*peer));
        }
        known
    }

    fn drop_old_invites(&mut self, now_s: u64) {
        let is_old = |invite: &InviteRecord| invite.until.is_some_and(|until| until <= now_s);
        let old = self.invited.invites.iter().filter(|(_, invite)| is_old(invite));
        let old: Vec<u64> = old.map(|(number, _)| *number).collect();
        for number in old {
            self.withdraw_invite(number);
        }
    }
}

/// For who shows no invitation.
pub(crate) fn not_invited() -> Refusal {
    Refusal::new(Code::Auth, NO_INVITATION)
}

/// For who shows one that does not count.
pub(crate) fn no_such_invitation() -> Refusal {
    Refusal::new(Code::Auth, USED_UP)
}
