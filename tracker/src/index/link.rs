//! The ties between peers and contents. Every change of an entry goes through here, so that swarm,
//! peer, row and counters cannot disagree.

use std::collections::btree_map;
use std::sync::Arc;

use common::id::ContentId;

use super::Index;
use super::entry::{Entry, Have, Share};
use super::file::File;
use super::quota::{name_bytes, wide};
use super::rules::Fate;
use super::usage::ENTRY_BYTES;
use crate::record::{Change, FileRecord};

impl Index {
    /// The row of `id`, made from `record` if there is none.
    pub(super) fn file_or_new(
        &mut self,
        id: ContentId,
        record: impl FnOnce() -> FileRecord,
    ) -> u32 {
        if let Some(file) = self.by_id.get(&id) {
            return *file;
        }
        let record = record();
        self.changes.push(Change::File(id, record.clone()));
        self.usage.add_row(record.brought_by());
        let file = self.files.insert(File::new(id, record));
        self.by_id.insert(id, file);
        self.order(file);
        self.adopt_orphans(id);
        self.touch_row(id);
        self.touch_sources(id);
        file
    }

    /// Sets what a peer has of a content; makes an entry if there is none. One that is there has caught up.
    pub(super) fn set_have(&mut self, peer: u32, file: u32, have: Have) {
        if self.entry_or_new(peer, file).is_some() {
            self.put_have(peer, file, have);
        }
    }

    /// Sets what a peer has of a content that it has to do with.
    fn put_have(&mut self, peer: u32, file: u32, have: Have) {
        let entry = self.peers.get(peer).and_then(|owner| owner.files.get(&file));
        let Some(entry) = entry else { return };
        let stays = entry.place.map(|place| place.part) == have.part();
        if stays && entry.place.is_some() {
            self.replace_have(peer, file, have);
            if let Some(file) = self.files.get(file) {
                self.touch_sources(file.id);
            }
        } else {
            self.leave_swarm(peer, file);
            self.replace_have(peer, file, have);
            self.enter_swarm(peer, file);
        }
    }

    /// An entry catches up with what happened to all of its peer (see [`super::rules`]).
    pub(super) fn catch_up(&mut self, peer: u32, file: u32) {
        let Some(owner) = self.peers.get_mut(peer) else { return };
        let (era, here) = (owner.rules.era(), owner.is_here());
        let Some(entry) = owner.files.get_mut(&file).filter(|entry| entry.era != era) else {
            return;
        };
        let fate = owner.rules.fate(entry);
        entry.era = era;
        let Fate::Stays { have, told } = fate else { return self.drop_entry(peer, file) };
        if !here {
            self.leave_swarm(peer, file);
        }
        match have {
            Some(have) => self.put_have(peer, file, have),
            None if told && self.tell_anew(peer, file) => {}
            None => self.enter_swarm(peer, file),
        }
    }

    /// Puts a peer that is here into the swarm, if it has anything.
    fn enter_swarm(&mut self, peer: u32, file: u32) {
        let Some(owner) = self.peers.get_mut(peer).filter(|owner| owner.is_here()) else { return };
        let Some(entry) = owner.files.get_mut(&file) else { return };
        let Some(row) = self.files.get_mut(file) else { return };
        // A set about another number of chunks is left from before the folder was claimed anew.
        let fits = entry.place.is_none() && entry.have.is_about(row.chunks);
        let Some(part) = entry.have.part().filter(|_| fits) else { return };
        let before = row.swarm.seeds();
        entry.place = Some(row.swarm.add(peer, part));
        self.copies.moved(before, row.swarm.seeds());
        self.last_stamp += 1;
        entry.stamp = self.last_stamp;
        self.memberships += 1;
        let id = row.id;
        self.touch_row(id);
        self.touch_sources(id);
    }

    /// Has watchers told anew of a source: it says something else of itself. False if it is none.
    fn tell_anew(&mut self, peer: u32, file: u32) -> bool {
        let entry = self.peers.get_mut(peer).and_then(|owner| owner.files.get_mut(&file));
        let Some(entry) = entry.filter(|entry| entry.place.is_some()) else { return false };
        self.last_stamp += 1;
        entry.stamp = self.last_stamp;
        if let Some(row) = self.files.get(file) {
            self.touch_sources(row.id);
        }
        true
    }

    /// Takes a peer out of the swarm; what it has stays known.
    fn leave_swarm(&mut self, peer: u32, file: u32) {
        let Some(entry) = self.peers.get_mut(peer).and_then(|p| p.files.get_mut(&file)) else {
            return;
        };
        let Some(place) = entry.place.take() else { return };
        let Some(row) = self.files.get_mut(file) else { return };
        let (id, before) = (row.id, row.swarm.seeds());
        let moved = row.swarm.remove(place);
        self.copies.moved(before, row.swarm.seeds());
        if let Some(moved) = moved
            && let Some(entry) = self.peers.get_mut(moved).and_then(|p| p.files.get_mut(&file))
        {
            entry.place = Some(place);
        }
        self.memberships = self.memberships.saturating_sub(1);
        self.touch_row(id);
        self.touch_sources(id);
    }

    /// Registers a content for a peer under a name; makes an entry if there is none. One that is there has caught up.
    pub(super) fn set_share(&mut self, peer: u32, file: u32, name: &str, generation: u32) {
        let Some(entry) = self.entry_or_new(peer, file) else { return };
        if let Some(share) = entry.share.as_mut().filter(|share| *share.name == *name) {
            share.generation = generation;
            return;
        }
        let old = entry.share.take();
        let Some(row) = self.files.get_mut(file) else { return };
        let first_before = row.name().to_owned();
        if let Some(old) = old.as_ref().filter(|old| old.held) {
            row.release_name(&old.name);
        }
        let held = row.hold_name(name);
        row.prune_names();
        let bytes = name_bytes(name);
        let id = row.id;
        if row.name() != first_before {
            self.changes.push(Change::File(id, row.record()));
        }
        self.order(file);
        self.touch_row(id);
        let Some(owner) = self.peers.get_mut(peer) else { return };
        if owner.shares == 0 {
            self.changes.push(Change::Peer(owner.id, owner.record()));
        }
        self.changes.push(Change::Share(owner.id, id, name.into()));
        owner.shares += usize::from(old.is_none());
        if let Some(entry) = owner.files.get_mut(&file) {
            entry.share = Some(Share { name: name.into(), held, generation, bytes });
        }
        self.resize_peer(peer, old.map_or(0, |old| old.bytes), bytes);
        self.forget_digest(peer);
    }

    /// Ends whatever a peer has to do with a content. The row goes with its last entry.
    pub(super) fn drop_entry(&mut self, peer: u32, file: u32) {
        self.leave_swarm(peer, file);
        let Some(owner) = self.peers.get_mut(peer) else { return };
        let Some(entry) = owner.files.remove(&file) else { return };
        owner.set_bytes = owner.set_bytes.saturating_sub(entry.have.heap_bytes());
        let name_bytes = entry.share.as_ref().map_or(0, |share| share.bytes);
        self.resize_peer(peer, ENTRY_BYTES + name_bytes + wide(entry.have.heap_bytes()), 0);
        let Some(owner) = self.peers.get_mut(peer) else { return };
        let Some(row) = self.files.get_mut(file) else { return };
        let id = row.id;
        row.refs = row.refs.saturating_sub(1);
        if let Some(share) = entry.share {
            owner.shares = owner.shares.saturating_sub(1);
            self.changes.push(Change::ShareGone(owner.id, id));
            let first_before = row.name().to_owned();
            if share.held {
                row.release_name(&share.name);
            }
            if row.prune_names() {
                self.dirty_rows.insert(id);
            }
            if row.refs > 0 && row.name() != first_before {
                self.changes.push(Change::File(id, row.record()));
            }
            self.forget_digest(peer);
        }
        if self.files.get(file).is_some_and(|row| row.refs == 0) {
            self.remove_row(file);
        } else {
            self.order(file);
        }
    }

    /// Removes a row that nobody refers to.
    pub(super) fn remove_row(&mut self, file: u32) {
        let Some(row) = self.files.remove(file) else { return };
        self.usage.remove_row(row.origin);
        self.by_id.remove(&row.id);
        if let Some(name) = row.ordered_as {
            self.by_name.remove(&(name, row.id));
        }
        self.changes.push(Change::FileGone(row.id));
        self.touch_row(row.id);
        self.touch_sources(row.id);
    }

    /// Puts a row where its name belongs.
    pub(super) fn order(&mut self, file: u32) {
        let Some(row) = self.files.get_mut(file) else { return };
        if row.ordered_as.as_deref() == Some(row.folded()) {
            return;
        }
        let name: Arc<str> = row.folded().into();
        let (id, old) = (row.id, row.ordered_as.replace(Arc::clone(&name)));
        if let Some(old) = old {
            self.by_name.remove(&(old, id));
        }
        self.by_name.insert((name, id), file);
    }

    /// Notes that a row changed, for readers of the catalogue.
    pub(super) fn touch_row(&mut self, id: ContentId) {
        self.dirty_rows.insert(id);
    }

    /// Notes that the sources of a content changed, if anybody watches them.
    pub(super) fn touch_sources(&mut self, id: ContentId) {
        if self.watchers.contains_key(&id) {
            self.dirty_sources.insert(id);
        }
    }

    /// What a peer has to do with a content, from now on if not before.
    fn entry_or_new(&mut self, peer: u32, file: u32) -> Option<&mut Entry> {
        let owner = self.peers.get(peer)?;
        let row = self.files.get_mut(file)?;
        if row.lone
            && owner.group.is_some()
            && owner.group != row.origin
            && !owner.files.contains_key(&file)
        {
            row.lone = false;
            self.changes.push(Change::File(row.id, row.record()));
        }
        self.tie(peer, file)
    }

    /// Ties a peer to a content; this alone says nothing about where the peer is.
    pub(super) fn tie(&mut self, peer: u32, file: u32) -> Option<&mut Entry> {
        let owner = self.peers.get_mut(peer)?;
        let row = self.files.get_mut(file)?;
        let era = owner.rules.era();
        if let btree_map::Entry::Vacant(place) = owner.files.entry(file) {
            row.refs += 1;
            place.insert(Entry::new(era));
            self.resize_peer(peer, 0, ENTRY_BYTES);
        }
        self.peers.get_mut(peer)?.files.get_mut(&file)
    }

    fn replace_have(&mut self, peer: u32, file: u32, have: Have) {
        let Some(owner) = self.peers.get_mut(peer) else { return };
        let Some(entry) = owner.files.get_mut(&file) else { return };
        let (before, after) = (entry.have.heap_bytes(), have.heap_bytes());
        owner.set_bytes = (owner.set_bytes + after).saturating_sub(before);
        if entry.share.is_some() && !have.is(&Have::All) {
            owner.settled = false;
        }
        entry.have = have;
        self.last_stamp += 1;
        entry.stamp = self.last_stamp;
        if before != after {
            self.resize_peer(peer, wide(before), wide(after));
        }
    }
}
