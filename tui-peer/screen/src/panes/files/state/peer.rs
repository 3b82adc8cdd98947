//! A row of the list of peers: what the tracker says of somebody, and our connection to it.

use std::borrow::Cow;
use std::cmp::Ordering;

use common::content::Kind;
use common::id::PeerId;

use crate::filter::{Filter, Subject, fold};
use crate::model::Sort;
use crate::panes::files::state::roll::Member;
use engine::api::snapshot::{MemberRow, PeerRow};

/// A row of the list of peers.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// Who.
    pub peer: PeerId,
    /// What the tracker says of it.
    pub member: Option<&'a MemberRow>,
    /// Our connection to it.
    pub connected: Option<&'a PeerRow>,
    /// The member as it is searched.
    pub(crate) known: Option<&'a Member>,
}

impl Peer<'_> {
    /// Its name for itself; may be empty.
    pub fn nick(&self) -> &str {
        let connected = self.connected.map(|row| row.nick.as_str()).filter(|nick| !nick.is_empty());
        connected.or(self.member.map(|row| row.nick.as_str())).unwrap_or_default()
    }

    /// The other end of the connection, or where it may be dialled.
    pub fn addr(&self) -> Option<String> {
        let dialled = self.member.and_then(|row| row.addrs.first());
        self.connected.map(|row| row.addr.to_string()).or(dialled.map(ToString::to_string))
    }

    fn sorted_as(&self) -> Cow<'_, str> {
        match self.known {
            Some(known) => Cow::Borrowed(&known.nick),
            None => Cow::Owned(fold(self.nick())),
        }
    }

    /// Whether it is what a filter looks for, at so many seconds since 1970.
    pub(crate) fn matches(&self, filter: &Filter, unix: u64) -> bool {
        // What is searched of a connection are its name and the address at its other end.
        let of_connection = self.connected.map(|row| {
            let text = fold(&format!("{} {} {}", row.nick, row.peer, row.addr));
            self.known.map_or(text.clone(), |known| format!("{text} {}", known.text))
        });
        let text = of_connection.as_deref().or(self.known.map(|known| known.text.as_str()));
        let text = text.unwrap_or_default();
        filter.matches(&Subject {
            name: self.nick(),
            aliases: &[],
            folded: text,
            size: self.connected.map_or(0, |row| row.up.saturating_add(row.down)),
            sources: self.connected.map_or(0, |row| row.contents),
            availability: 0.0,
            kind: Kind::File,
            state: "none",
            id: None,
            age: self.member.map_or(0, |row| unix.saturating_sub(row.since)),
            peer: text,
            owners: Some(&[]),
        })
    }
}

/// Which of two stands first. Of several that are connected, those that a slot is used for.
pub(crate) fn order(a: &Peer<'_>, b: &Peer<'_>, sort: Sort) -> Ordering {
    let by_nick = || a.sorted_as().cmp(&b.sorted_as()).then(a.peer.cmp(&b.peer));
    let shares = |peer: &Peer<'_>| peer.member.map(|row| row.shares);
    let since = |peer: &Peer<'_>| peer.member.map(|row| row.since);
    match (sort, a.connected, b.connected) {
        (Sort::Name, ..) => by_nick(),
        (Sort::Size, ..) => shares(b).cmp(&shares(a)).then_with(by_nick),
        (Sort::Newest, ..) => since(b).cmp(&since(a)).then_with(by_nick),
        (_, Some(_), None) => Ordering::Less,
        (_, None, Some(_)) => Ordering::Greater,
        (_, None, None) => by_nick(),
        (Sort::Sources, Some(left), Some(right)) => {
            (right.down_rate + right.up_rate).total_cmp(&(left.down_rate + left.up_rate))
        }
        (_, Some(left), Some(right)) => left
            .upload
            .cmp(&right.upload)
            .then(right.up_rate.total_cmp(&left.up_rate))
            .then(right.up.cmp(&left.up))
            .then(left.peer.cmp(&right.peer)),
    }
}
