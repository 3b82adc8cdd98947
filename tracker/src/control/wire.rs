//! What goes over the socket: one question, one answer.

use serde::{Deserialize, Serialize};

/// Longest question: a key or an address, and a reason.
pub(super) const MAX_ASK: u32 = 4 * 1024;
/// Longest answer: [`MAX_MEMBERS`](crate::index::MAX_MEMBERS) with the longest names; bans take less.
pub(super) const MAX_ANSWER: u32 = 32 << 20;

/// What an operator wants. `who` is a key (in full, or as it begins), an IPv4 address, or an IPv6 address,
/// which stands for its /64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Drop what somebody has registered.
    Forget {
        who: String,
    },
    /// The same, and let them in no more.
    Ban {
        who: String,
        /// Told to whoever is refused; may be empty.
        reason: String,
    },
    /// Let somebody in again.
    Unban {
        who: String,
    },
    Bans,
    /// The same as a ban of a key, which peers are told of too; it needs a new invitation.
    Revoke {
        who: String,
        /// Told to whoever is refused; may be empty.
        reason: String,
    },
    /// Make an invitation.
    Invite {
        /// What whoever uses it is called in the list; may be empty.
        name: String,
        /// How many may use it; `None` for any number.
        uses: Option<u32>,
        /// Until when, in seconds since 1970; `None` for ever.
        until: Option<u64>,
        /// Whether they may register what nobody has registered.
        may_share: bool,
    },
    /// Invitations that can still be used.
    Invites,
    /// Take an invitation back.
    Withdraw {
        number: u64,
    },
    /// Who was invited.
    Members,
    /// Those who take most.
    Peers {
        most: u32,
    },
    /// All records, for a file that moves the tracker.
    Records,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Done(Outcome),
    /// Everybody who is banned.
    Bans(Vec<BanRow>),
    /// Peers, those that take most first.
    Peers(Vec<PeerRow>),
    Refused(String),
    /// The invitation, which is told once: its number and its secret.
    Invited {
        number: u64,
        secret: String,
    },
    /// Invitations that can still be used.
    Invites(Vec<InviteRow>),
    /// Everybody who was invited.
    Members(Vec<MemberRow>),
    /// Some of the records, as they are in that file; an empty part is the last.
    Records(Vec<u8>),
}

/// Of [`Ask::Forget`], [`Ask::Ban`] and [`Ask::Unban`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// A key in full, an IPv4 address, or an IPv6 /64.
    pub who: String,
    /// Connections that were closed.
    pub closed: usize,
    /// Peers that were forgotten.
    pub peers: usize,
    /// Contents that they had registered.
    pub items: usize,
    /// Why it may not outlive a restart, if so: it is in force, but the disk failed.
    pub unsaved: Option<String>,
}

/// An invitation, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRow {
    pub number: u64,
    /// What whoever uses it is called; may be empty.
    pub name: String,
    /// How many more may use it; `None` for any number.
    pub uses: Option<u32>,
    /// Until when, in seconds since 1970; `None` for ever.
    pub until: Option<u64>,
    /// Whether they may register what nobody has registered.
    pub may_share: bool,
}

/// Somebody who was invited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRow {
    /// Its key in full.
    pub key: String,
    /// What its invitation was called; may be empty.
    pub name: String,
    /// What it calls itself, if it is known here: by a stranger, to be shown with care.
    pub nick: String,
    /// When it was let in first, in seconds since 1970.
    pub since: u64,
    /// Whether it may register what nobody has registered.
    pub may_share: bool,
    /// Whether it is connected.
    pub here: bool,
}

/// Somebody who is banned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanRow {
    /// A key in full, an IPv4 address, or an IPv6 /64.
    pub who: String,
    /// In the operator's words; may be empty.
    pub reason: String,
    /// Seconds since 1970.
    pub since: u64,
    /// Whether peers are told too.
    #[serde(default)]
    pub revoked: bool,
}

/// A peer and what it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRow {
    /// Its key in full.
    pub key: String,
    /// What it calls itself: by a stranger, to be shown with care.
    pub nick: String,
    /// Where it was last seen: an IPv4 address or an IPv6 /64; empty if that is not known.
    pub address: String,
    /// Whether it is connected.
    pub here: bool,
    /// Contents it has registered or has chunks of.
    pub items: usize,
    /// Bytes of memory it takes.
    pub bytes: u64,
}
