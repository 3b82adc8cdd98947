//! Records that end with the process: for a network that lasts an evening, and for tests.

use std::collections::BTreeMap;

use common::id::{ContentId, PeerId};

use super::{MetaStore, StoreError};
use crate::record::{
    BanRecord, Change, FileRecord, InviteRecord, MemberRecord, NamesRecord, PeerRecord, Saved,
    Target,
};

/// Keeps records in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    files: BTreeMap<ContentId, FileRecord>,
    peers: BTreeMap<PeerId, PeerRecord>,
    shares: BTreeMap<(PeerId, ContentId), Box<str>>,
    names: BTreeMap<ContentId, NamesRecord>,
    members: BTreeMap<PeerId, MemberRecord>,
    invites: BTreeMap<u64, InviteRecord>,
    bans: BTreeMap<Target, BanRecord>,
}

impl MetaStore for MemoryStore {
    fn load(&mut self) -> Result<Saved, StoreError> {
        Ok(Saved {
            files: self.files.iter().map(|(id, record)| (*id, record.clone())).collect(),
            peers: self.peers.iter().map(|(id, record)| (*id, record.clone())).collect(),
            shares: self
                .shares
                .iter()
                .map(|((peer, id), name)| (*peer, *id, name.clone()))
                .collect(),
            names: self.names.iter().map(|(id, record)| (*id, record.clone())).collect(),
            members: self.members.iter().map(|(id, member)| (*id, member.clone())).collect(),
            invites: self.invites.iter().map(|(n, invite)| (*n, invite.clone())).collect(),
            bans: self.bans.iter().map(|(target, ban)| (*target, ban.clone())).collect(),
        })
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        for change in changes.iter().cloned() {
            match change {
                Change::File(id, record) => drop(self.files.insert(id, record)),
                Change::FileGone(id) => drop(self.files.remove(&id)),
                Change::Peer(id, record) => drop(self.peers.insert(id, record)),
                Change::PeerGone(id) => drop(self.peers.remove(&id)),
                Change::Share(peer, id, name) => drop(self.shares.insert((peer, id), name)),
                Change::ShareGone(peer, id) => drop(self.shares.remove(&(peer, id))),
                Change::Names(id, record) => drop(self.names.insert(id, record)),
                Change::NamesGone(id) => drop(self.names.remove(&id)),
                Change::Member(id, member) => drop(self.members.insert(id, member)),
                Change::MemberGone(id) => drop(self.members.remove(&id)),
                Change::Invite(number, invite) => drop(self.invites.insert(number, invite)),
                Change::InviteGone(number) => drop(self.invites.remove(&number)),
                Change::Ban(target, ban) => drop(self.bans.insert(target, ban)),
                Change::BanGone(target) => drop(self.bans.remove(&target)),
            }
        }
        Ok(())
    }
}
