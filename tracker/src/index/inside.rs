//! Folders by the names of the files inside, as far as their owners tell them.
//!
//! Names are told as the folder's manifest, which the id proves ([`Told::read`]): they are what the folder has, whoever
//! tells them. They count for who told them, and are there as long as that peer has the folder registered. Kept are the
//! paths, packed, and lists of which rows have which three bytes in a row in some path ([`super::grams`]): so many may be
//! new with one folder that they are entered, and taken out again, bit by bit ([`Index::enter_names`]).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use common::chunk_set::{put_varint, take_varint};
use common::content::Descriptor;
use common::fold::fold;
use common::id::ContentId;
use common::inside::{InsideError, Names, may_be_told};
use common::numbers::saturate;
use common::wire::Code;
use roaring::RoaringBitmap;

use super::grams::{Grams, three};
use super::quota::wide;
use super::{Index, Refusal, SessionId, replaced};
use crate::record::{Change, NamesRecord};

/// Threes entered in the time in which an entry is gone through.
const GRAMS_PER_ENTRY: usize = 4;
/// What one three of a folder's names takes in memory: its place in a list, and here.
const GRAM_BYTES: u64 = 4;
/// What a folder's names take beside that and themselves.
const LIST_BYTES: u64 = 200;
/// Room that must be left for names that are asked for: what those of a folder of some hundred files take.
const USUAL_BYTES: u64 = 4096;

/// Names of a folder's files as they are kept, and what they are found by. Made without a look at the index, since it
/// takes a while.
#[derive(Debug, Clone)]
pub struct Told {
    packed: Arc<[u8]>,
    /// Bytes of the paths, unpacked.
    text: u32,
    grams: GramList,
}

/// Different threes, in order: differences, as LEB128.
#[derive(Debug, Clone, Default)]
struct GramList {
    bytes: Arc<[u8]>,
    count: u32,
}

#[derive(Debug, Default)]
pub(super) struct Inside {
    pub(super) grams: Grams,
    /// By row.
    lists: HashMap<u32, List>,
    /// Rows whose names are found by.
    pub(super) listed: RoaringBitmap,
    /// Rows whose names have still to be read, after a start.
    unread: BTreeSet<u32>,
    /// What is to be entered and taken out, in this order.
    jobs: VecDeque<Job>,
}

/// Names of one row.
#[derive(Debug)]
struct List {
    packed: Arc<[u8]>,
    /// Bytes of the paths, unpacked.
    text: u32,
    /// Who told them.
    by: u32,
    /// What they take.
    bytes: u64,
    /// What they are found by, once that is known.
    grams: Option<GramList>,
}

#[derive(Debug)]
struct Job {
    row: u32,
    what: What,
    grams: GramList,
    /// Bytes of the list that are done, and the three before them.
    done: (usize, u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Enter,
    TakeOut,
}

impl Told {
    /// Reads the manifest of a folder as it was told.
    ///
    /// # Errors
    /// [`InsideError`] for anything but the manifest of that folder.
    pub fn read(packed: &[u8], descriptor: &Descriptor) -> Result<Self, InsideError> {
        let names = Names::read_manifest(packed, descriptor)?;
        let (grams, text) = (GramList::of(&names), saturate::<u32>(names.len()));
        Ok(Self { packed: names.pack().into(), text, grams })
    }

    /// Reads names as they are kept.
    ///
    /// # Errors
    /// [`InsideError::Damaged`].
    pub fn kept(packed: Arc<[u8]>) -> Result<Self, InsideError> {
        let names = Names::unpack(&packed)?;
        let (grams, text) = (GramList::of(&names), saturate::<u32>(names.len()));
        Ok(Self { packed, text, grams })
    }

    fn bytes(&self) -> u64 {
        bytes(&self.packed, self.grams.count)
    }
}

/// What names take in memory.
fn bytes(packed: &[u8], grams: u32) -> u64 {
    LIST_BYTES + wide(packed.len()) + GRAM_BYTES * u64::from(grams)
}

impl GramList {
    fn of(names: &Names) -> Self {
        let mut grams: Vec<u32> = Vec::new();
        for path in names.iter() {
            let folded = fold(path);
            let threes = folded.as_bytes().windows(3);
            grams.extend(threes.filter_map(|gram| Some(three(gram.try_into().ok()?))));
        }
        grams.sort_unstable();
        grams.dedup();
        let (mut bytes, mut last) = (Vec::new(), 0);
        for gram in &grams {
            put_varint(&mut bytes, gram - last);
            last = *gram;
        }
        Self { bytes: bytes.into(), count: saturate::<u32>(grams.len()) }
    }
}

impl Inside {
    /// Whether there is something to enter or to take out.
    pub(super) fn is_busy(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// The names of a row, packed, and how many bytes they are then.
    pub(super) fn packed(&self, row: u32) -> Option<(&Arc<[u8]>, u32)> {
        self.lists.get(&row).map(|list| (&list.packed, list.text))
    }

    fn enter(&mut self, row: u32, grams: GramList) {
        if let Some(list) = self.lists.get_mut(&row) {
            list.grams = Some(grams.clone());
            self.listed.insert(row);
            self.jobs.push_back(Job { row, what: What::Enter, grams, done: (0, 0) });
        }
    }

    fn remove(&mut self, row: u32) -> Option<List> {
        let list = self.lists.remove(&row)?;
        self.unread.remove(&row);
        self.listed.remove(row);
        if let Some(grams) = list.grams.clone() {
            self.jobs.push_back(Job { row, what: What::TakeOut, grams, done: (0, 0) });
        }
        Some(list)
    }

    /// Does at most so many threes of what is to be done; returns how many.
    fn work(&mut self, most: usize) -> usize {
        let mut done = 0;
        while done < most
            && let Some(job) = self.jobs.front_mut()
        {
            let mut rest = job.grams.bytes.get(job.done.0..).unwrap_or_default();
            while done < most
                && let Ok(step) = take_varint(&mut rest)
            {
                let gram = job.done.1.saturating_add(step);
                job.done = (job.grams.bytes.len() - rest.len(), gram);
                match job.what {
                    What::Enter => self.grams.insert(job.row, gram),
                    What::TakeOut => self.grams.take_out(job.row, gram),
                }
                done += 1;
            }
            if rest.is_empty() {
                self.jobs.pop_front();
                // It costs something too.
                done += 1;
            }
        }
        done
    }
}

impl Index {
    /// A peer may tell the names of the files inside these folders that it shares, or `withdraw`s those that it told.
    /// Returns the folders of which they are wanted: that have none yet, and for whose names there is room.
    ///
    /// # Errors
    /// If the session was replaced.
    pub fn offer_names(
        &mut self,
        session: SessionId,
        ids: &[ContentId],
        withdraw: bool,
    ) -> Result<Vec<ContentId>, Refusal> {
        let peer = self.session_peer(session).ok_or_else(replaced)?;
        if withdraw {
            for id in ids {
                if let Some(file) = self.row_of(id) {
                    self.take_back_names(peer, file);
                }
            }
            return Ok(Vec::new());
        }
        let owner = self.peers.get(peer).ok_or_else(replaced)?;
        if self.check_names(owner, USUAL_BYTES).is_err() {
            return Ok(Vec::new());
        }
        Ok(ids.iter().filter(|id| self.wants_names(peer, id).is_some()).copied().collect())
    }

    /// What the manifest must be that a session gives for a folder; `None` if it is of no use: the names are known, or
    /// it does not share the folder.
    ///
    /// # Errors
    /// If the session was replaced.
    pub fn names_wanted(
        &mut self,
        session: SessionId,
        id: &ContentId,
    ) -> Result<Option<Descriptor>, Refusal> {
        let peer = self.session_peer(session).ok_or_else(replaced)?;
        if let Some(file) = self.row_of(id) {
            self.catch_up(peer, file);
        }
        Ok(self.wants_names(peer, id))
    }

    fn wants_names(&self, peer: u32, id: &ContentId) -> Option<Descriptor> {
        let file = self.row_of(id)?;
        let entry = self.peers.get(peer)?.files.get(&file)?;
        entry.share.as_ref()?;
        let wanted = !self.inside.lists.contains_key(&file);
        let row = self.files.get(file).filter(|row| wanted && may_be_told(&row.descriptor))?;
        Some(row.descriptor)
    }

    /// A peer has told the names of the files inside a folder. Returns what it costs, in entries.
    ///
    /// # Errors
    /// [`Refusal`] if there is no room for them, or the session was replaced.
    pub fn give_names(
        &mut self,
        session: SessionId,
        id: &ContentId,
        told: Told,
    ) -> Result<usize, Refusal> {
        let cost = told.grams.count as usize / GRAMS_PER_ENTRY + 1;
        // Others may have told them meanwhile, or the folder is gone.
        if self.names_wanted(session, id)?.is_none() {
            return Ok(cost);
        }
        let peer = self.session_peer(session).ok_or_else(replaced)?;
        let file = self.row_of(id).ok_or_else(replaced)?;
        let owner = self.peers.get(peer).ok_or_else(replaced)?;
        let taken = told.bytes();
        self.check_names(owner, taken)?;
        let by = owner.id;
        let Told { packed, text, grams } = told;
        let record = NamesRecord { by, grams: grams.count, text, packed: packed.clone() };
        self.changes.push(Change::Names(*id, record));
        self.inside.lists.insert(file, List { packed, text, by: peer, bytes: taken, grams: None });
        self.inside.enter(file, grams);
        self.resize_names(peer, 0, taken);
        Ok(cost)
    }

    /// A peer shares a folder no longer, or tells its names no longer.
    pub(super) fn take_back_names(&mut self, peer: u32, file: u32) {
        if self.inside.lists.get(&file).is_none_or(|list| list.by != peer) {
            return;
        }
        let Some(list) = self.inside.remove(file) else { return };
        self.resize_names(peer, list.bytes, 0);
        if let Some(row) = self.files.get(file) {
            self.changes.push(Change::NamesGone(row.id));
        }
    }

    /// Names as they were stored, of a folder whose shares are restored.
    pub(super) fn restore_names(&mut self, id: ContentId, record: NamesRecord) {
        let NamesRecord { by, grams, text, packed } = record;
        let peer = self.by_key.get(&by).copied();
        let known = peer.zip(self.row_of(&id)).filter(|(peer, file)| {
            let entry = self.peers.get(*peer).and_then(|owner| owner.files.get(file));
            entry.is_some_and(|entry| entry.share.is_some())
        });
        let Some((peer, file)) = known else {
            return self.changes.push(Change::NamesGone(id));
        };
        let taken = bytes(&packed, grams);
        self.inside.lists.insert(file, List { packed, text, by: peer, bytes: taken, grams: None });
        self.inside.unread.insert(file);
        self.resize_names(peer, 0, taken);
    }

    /// Names that were stored and have still to be read ([`Told::kept`]) before anything is found by them.
    pub fn unread_names(&self) -> Option<(ContentId, Arc<[u8]>)> {
        let file = *self.inside.unread.first()?;
        Some((self.files.get(file)?.id, self.inside.packed(file)?.0.clone()))
    }

    /// They were read, or cannot be.
    pub fn names_read(&mut self, id: &ContentId, told: Option<Told>) {
        let Some(file) = self.row_of(id).filter(|file| self.inside.unread.remove(file)) else {
            return;
        };
        match told {
            Some(told) => {
                if let Some(list) = self.inside.lists.get_mut(&file) {
                    list.text = told.text;
                }
                self.inside.enter(file, told.grams);
            }
            None => {
                let by = self.inside.lists.get(&file).map(|list| list.by);
                by.into_iter().for_each(|by| self.take_back_names(by, file));
            }
        }
    }

    /// Enters names and takes others out, for the time in which so many entries are gone through; returns how many that
    /// would have been.
    pub(super) fn enter_names(&mut self, budget: usize) -> usize {
        let done = self.inside.work(budget.saturating_mul(GRAMS_PER_ENTRY));
        done.div_ceil(GRAMS_PER_ENTRY).min(budget)
    }

    /// Folders that are found by the names of their files.
    pub fn looked_into(&self) -> usize {
        self.inside.lists.len()
    }
}

impl From<InsideError> for Refusal {
    fn from(error: InsideError) -> Self {
        Self::new(Code::BadData, error.to_string())
    }
}
