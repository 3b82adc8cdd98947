//! From what a store holds to an index in which nobody is connected.

use common::numbers::saturate;

use super::entry::Share;
use super::file::File;
use super::peer::Peer;
use super::quota::name_bytes;
use super::usage::PEER_BYTES;
use super::{Index, Limits};
use crate::record::{Change, Saved};

/// After a start nobody is forgotten for this long, in milliseconds, and no row goes that others have had, unless
/// the operator keeps them for less: those who were connected when the tracker died may have been last seen, as
/// far as is stored, when they came weeks ago, and had no chance to be seen since.
const FORGET_NOT_BEFORE_MS: u64 = 24 * 3600 * 1000;

impl Index {
    /// Rebuilds the index. What refers to nothing is left out and taken back from the store with the next
    /// changes; names and claims are as they were.
    pub fn restore(limits: Limits, saved: Saved, now_ms: u64) -> Self {
        let mut index = Self::new(limits);
        for (id, record) in saved.files {
            // An id that is not that of its descriptor would let bytes be verified against the wrong root.
            if record.descriptor.id() == id {
                index.usage.add_row(record.brought_by());
                let file = index.files.insert(File::new(id, record));
                index.by_id.insert(&id, file, &index.files);
                index.enter(file);
            } else {
                index.changes.push(Change::FileGone(id));
            }
        }
        for (id, record) in saved.peers {
            index.usage.add_peer(record.group, (PEER_BYTES, 0));
            let peer = index.peers.insert(Peer::new(id, record));
            index.by_key.insert(id, peer);
        }
        for (key, id, name) in saved.shares {
            match (index.by_key.get(&key).copied(), index.row_of(&id)) {
                (Some(peer), Some(file)) => index.restore_share(peer, file, name),
                _ => index.changes.push(Change::ShareGone(key, id)),
            }
        }
        for (id, record) in saved.names {
            index.restore_names(id, record);
        }
        index.invited.restore(saved.members, saved.invites);
        index.bans.extend(saved.bans);
        index.sweep(now_ms);
        index
    }

    fn restore_share(&mut self, peer: u32, file: u32, name: Box<str>) {
        let bytes = saturate::<u16>(name_bytes(&name));
        let held = self.hold_name(file, &name);
        let (name, held) = (held.clone().unwrap_or_else(|| name.into()), held.is_some());
        let Some(entry) = self.tie(peer, file) else { return };
        let old = entry.share.replace(Share { name, held, generation: 0, bytes });
        self.resize_peer(peer, old.map_or(0, |old| old.bytes.into()), bytes.into());
        if let Some(owner) = self.peers.get_mut(peer) {
            owner.shares += 1;
        }
    }

    /// Drops names nobody holds, rows nobody has and peers that share nothing.
    fn sweep(&mut self, now_ms: u64) {
        let rows: Vec<u32> = self.files.iter().map(|(handle, _)| handle).collect();
        for handle in rows {
            let Some(row) = self.files.get(handle) else { continue };
            let (id, first) = (row.id, row.name().to_owned());
            if row.refs == 0 {
                self.remove_row(handle);
                continue;
            }
            self.prune_names(handle);
            if let Some(row) = self.files.get(handle).filter(|row| row.name() != first) {
                self.changes.push(Change::File(id, row.record()));
            }
            self.order(handle);
        }
        let floor_ms = self.limits.forget_ms.min(FORGET_NOT_BEFORE_MS);
        self.forget_all_from = now_ms.saturating_add(floor_ms);
        let keep_ms = self.limits.lone_ms.min(self.limits.forget_ms);
        let not_before = now_ms.saturating_add(keep_ms.min(FORGET_NOT_BEFORE_MS));
        let peers: Vec<(u32, bool, u64)> =
            self.peers.iter().map(|(peer, p)| (peer, p.shares > 0, p.due(keep_ms))).collect();
        for (peer, shares, due) in peers {
            if shares {
                self.plan_forgetting(peer, due.max(not_before));
            } else {
                self.remove_peer(peer);
            }
        }
    }
}
