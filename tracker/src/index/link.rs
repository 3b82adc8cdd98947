//! The ties between peers and contents. Every change of an entry goes through here, so that swarm,
//! peer, row and counters cannot disagree.

use std::sync::Arc;

use common::id::ContentId;
use common::numbers::saturate;

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
        if let Some(file) = self.row_of(&id) {
            return file;
        }
        let record = record();
        self.changes.push(Change::File(id, record.clone()));
        self.usage.add_row(record.brought_by());
        let file = self.files.insert(File::new(id, record));
        self.by_id.insert(&id, file, &self.files);
        self.enter(file);
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
                self.touch_progress(file.id);
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
        let owner_rests = owner.rests();
        let Some(entry) = owner.files.get_mut(&file).filter(|entry| entry.era != era) else {
            return;
        };
        let fate = owner.rules.fate(entry);
        entry.era = era;
        let Fate::Stays { have, told } = fate else { return self.drop_entry(peer, file) };
        if !here {
            self.leave_swarm(peer, file);
            if !owner_rests {
                self.end_rest(peer, file);
            }
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
        let Some(part) = entry.have.part().filter(|_| fits) else {
            return self.end_rest(peer, file);
        };
        let rested = entry.rests.take();
        if let Some(part) = rested {
            row.resting.remove(part);
        }
        let before = row.swarm.seeds();
        entry.place = Some(row.swarm.add(peer, part));
        self.copies.moved(before, row.swarm.seeds());
        self.catalogue.note(file, row);
        self.last_stamp += 1;
        (entry.stamp, entry.said) = (self.last_stamp, self.last_stamp);
        self.memberships += 1;
        let id = row.id;
        if rested != Some(part) {
            self.touch_counts(file);
        }
        self.touch_sources(id);
    }

    /// Has watchers told anew of a source: it says something else of itself. False if it is none.
    fn tell_anew(&mut self, peer: u32, file: u32) -> bool {
        let entry = self.peers.get_mut(peer).and_then(|owner| owner.files.get_mut(&file));
        let Some(entry) = entry.filter(|entry| entry.place.is_some()) else { return false };
        self.last_stamp += 1;
        (entry.stamp, entry.said) = (self.last_stamp, self.last_stamp);
        if let Some(row) = self.files.get(file) {
            self.touch_sources(row.id);
        }
        true
    }

    /// Takes a peer out of the swarm; what it has stays known.
    fn leave_swarm(&mut self, peer: u32, file: u32) {
        let Some(owner) = self.peers.get_mut(peer) else { return };
        let rests = owner.rests();
        let Some(entry) = owner.files.get_mut(&file) else { return };
        let Some(place) = entry.place.take() else { return };
        let Some(row) = self.files.get_mut(file) else { return };
        if rests {
            entry.rests = Some(place.part);
            row.resting.add(place.part);
        }
        let (id, before) = (row.id, row.swarm.seeds());
        let moved = row.swarm.remove(place);
        self.copies.moved(before, row.swarm.seeds());
        self.catalogue.note(file, row);
        if let Some(moved) = moved
            && let Some(entry) = self.peers.get_mut(moved).and_then(|p| p.files.get_mut(&file))
        {
            entry.place = Some(place);
        }
        self.memberships = self.memberships.saturating_sub(1);
        if !rests {
            self.touch_counts(file);
        }
        self.touch_sources(id);
    }

    /// One that was lost for a moment, and counted all the while, is gone.
    fn end_rest(&mut self, peer: u32, file: u32) {
        let entry = self.peers.get_mut(peer).and_then(|owner| owner.files.get_mut(&file));
        let Some(part) = entry.and_then(|entry| entry.rests.take()) else { return };
        let Some(row) = self.files.get_mut(file) else { return };
        row.resting.remove(part);
        self.catalogue.note(file, row);
        self.touch_counts(file);
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
        let names_before = row.names();
        let held = self.hold_name(file, name);
        let added = self.files.get(file).is_some_and(|row| row.names() != names_before);
        let (name, held) = (held.clone().unwrap_or_else(|| name.into()), held.is_some());
        let pruned = self.prune_names(file);
        let bytes = saturate::<u16>(name_bytes(&name));
        let Some(row) = self.files.get(file) else { return };
        let id = row.id;
        if row.name() != first_before {
            self.changes.push(Change::File(id, row.record()));
        }
        self.order(file);
        if added || pruned {
            self.touch_row(id);
        }
        let Some(owner) = self.peers.get_mut(peer) else { return };
        if owner.shares == 0 {
            self.changes.push(Change::Peer(owner.id, owner.record()));
        }
        self.changes.push(Change::Share(owner.id, id, (&*name).into()));
        owner.shares += usize::from(old.is_none());
        if let Some(entry) = owner.files.get_mut(&file) {
            entry.share = Some(Share { name, held, generation, bytes });
        }
        self.resize_peer(peer, old.map_or(0, |old| old.bytes.into()), bytes.into());
        self.forget_digest(peer);
    }

    /// Ends whatever a peer has to do with a content. The row goes with its last entry.
    pub(super) fn drop_entry(&mut self, peer: u32, file: u32) {
        self.take_back_names(peer, file);
        self.leave_swarm(peer, file);
        self.end_rest(peer, file);
        let Some(owner) = self.peers.get_mut(peer) else { return };
        let Some(entry) = owner.files.remove(&file) else { return };
        owner.set_bytes = owner.set_bytes.saturating_sub(entry.have.heap_bytes());
        let name_bytes = entry.share.as_ref().map_or(0, |share| share.bytes.into());
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
            let refs = row.refs;
            if self.prune_names(file) {
                self.dirty_rows.insert(id);
            }
            let row = self.files.get(file).filter(|row| refs > 0 && row.name() != first_before);
            if let Some(row) = row {
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
        self.by_id.remove(&row.id, file);
        self.catalogue.remove(file, &row);
        self.changes.push(Change::FileGone(row.id));
        self.recounted.remove(&row.id);
        self.touch_row(row.id);
        self.touch_sources(row.id);
    }

    /// A new row can be found.
    pub(super) fn enter(&mut self, file: u32) {
        let Some(row) = self.files.get(file) else { return };
        row.all_folded().for_each(|name| self.catalogue.grams.add(file, name));
        self.catalogue.note(file, row);
        self.order(file);
    }

    /// Puts a row where its name belongs, if that has changed.
    pub(super) fn order(&mut self, file: u32) {
        let Some(row) = self.files.get_mut(file) else { return };
        if std::mem::take(&mut row.misplaced) {
            self.catalogue.place(file, &self.files);
        }
    }

    /// Counts one more holder of a row's name, and has the row found by it; `None` if it has as many names as it may.
    pub(super) fn hold_name(&mut self, file: u32, name: &str) -> Option<Arc<str>> {
        let row = self.files.get_mut(file)?;
        let before = row.names();
        let held = row.hold_name(name);
        for name in row.all_folded().skip(before) {
            self.catalogue.grams.add(file, name);
        }
        held
    }

    /// Drops a row's names that nobody holds; whether there were any.
    pub(super) fn prune_names(&mut self, file: u32) -> bool {
        let Some(row) = self.files.get_mut(file) else { return false };
        let gone = row.prune_names();
        for name in &gone {
            self.catalogue.grams.remove(file, name.folded(), row.all_folded());
        }
        !gone.is_empty()
    }

    /// Notes that a row changed, for readers of the catalogue.
    pub(super) fn touch_row(&mut self, id: ContentId) {
        self.dirty_rows.insert(id);
    }

    /// Notes that a row has more or fewer sources.
    fn touch_counts(&mut self, file: u32) {
        let Some(row) = self.files.get(file) else { return };
        // A row that nobody has been told of is told of at once.
        let dirty = if row.text_version == 0 { &mut self.dirty_rows } else { &mut self.recounted };
        dirty.insert(row.id);
    }

    /// Notes that the sources of a content changed, if anybody watches them.
    pub(super) fn touch_sources(&mut self, id: ContentId) {
        if self.watchers.contains_key(&id) {
            self.dirty_sources.insert(id);
        }
    }

    /// Notes that a source of a content has come further, if anybody watches it.
    fn touch_progress(&mut self, id: ContentId) {
        if self.watchers.contains_key(&id) {
            self.paced.add(id);
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
        if owner.files.insert(file, Entry::new(era)) {
            row.refs += 1;
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
