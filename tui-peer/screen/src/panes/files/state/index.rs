//! Order and filter of the lists. Pure, so that a long list can be done on another thread.

use std::cmp::{Ordering, Reverse};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use common::id::ContentId;
use common::numbers::saturate;

use crate::filter::{Filter, Subject, fold};
use crate::labels;
use crate::model::Tab;
use crate::names::Names;
use engine::api::snapshot::{Catalogue, CatalogueRow, FoundInside, Rows, Transfer};
use frontend::members::Owners;

/// Rows from which on ordering is done on another thread: below, it takes less than a frame.
pub const INLINE_ROWS: usize = 20_000;

/// Order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// As the engine gives it: by name, or as added.
    #[default]
    Given,
    /// Ours first, then by name.
    Mine,
    /// By name.
    Name,
    /// Biggest first.
    Size,
    /// Most sources (or fastest) first.
    Sources,
    /// Furthest first.
    Done,
    /// Newest first.
    Newest,
}

impl Sort {
    /// Orders a tab offers.
    pub fn choices(tab: Tab) -> &'static [Self] {
        match tab {
            Tab::Network => &[Self::Mine, Self::Name, Self::Size, Self::Sources, Self::Newest],
            Tab::Downloads | Tab::Shared => {
                &[Self::Given, Self::Name, Self::Size, Self::Sources, Self::Done]
            }
            Tab::Peers => &[Self::Given, Self::Sources, Self::Name, Self::Size, Self::Newest],
        }
    }

    /// In words.
    pub fn title(self, tab: Tab) -> &'static str {
        match (self, tab) {
            (Self::Given, Tab::Downloads) => "queue",
            (Self::Given, Tab::Shared) => "as added",
            (Self::Given, _) => "connected first",
            (Self::Mine, _) => "mine first",
            (Self::Name, _) => "name",
            (Self::Size, Tab::Peers) => "shares",
            (Self::Size, _) => "size",
            (Self::Sources, Tab::Network) => "sources",
            (Self::Sources, _) => "rate",
            (Self::Done, _) => "done",
            (Self::Newest, _) => "newest",
        }
    }
}

/// What is needed to order and filter the network's files.
#[derive(Debug, Clone)]
pub struct Job {
    /// Counts up.
    pub generation: u64,
    /// The files.
    pub catalogue: Arc<Catalogue>,
    /// Ours.
    pub transfers: Rows<Transfer>,
    /// What to show.
    pub filter: Filter,
    /// In which order.
    pub sort: Sort,
    /// Reversed.
    pub reverse: bool,
    /// Whose the files are, as far as the filter asks for that and it is known.
    pub owners: Option<Arc<Owners>>,
    /// Folders that fit by files inside.
    pub inside: Arc<HashMap<ContentId, FoundInside>>,
    /// Now, in seconds since 1970.
    pub unix: u64,
    /// What is under the cursor.
    pub key: Option<ContentId>,
    /// What earlier jobs found out.
    pub cache: Cache,
}

/// What does not change with every key: names in searchable form, the order of all files, the last
/// result. Each belongs to one catalogue. Clones share all of it.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    catalogue: Option<Arc<Catalogue>>,
    names: Option<Arc<Names>>,
    order: Option<Arc<Order>>,
    shown: Option<(Filter, Arc<[u32]>)>,
}

#[derive(Debug)]
struct Order {
    sort: Sort,
    reverse: bool,
    mine: Vec<ContentId>,
    rows: Arc<[u32]>,
}

/// The rows to show.
#[derive(Debug, Clone, Default)]
pub struct Built {
    /// Places in the catalogue.
    pub rows: Arc<[u32]>,
    /// Where in them the file under the cursor is.
    pub at: Option<usize>,
    /// So many of them, at the end, fit only by files inside.
    pub inside: usize,
    /// For the next job.
    pub cache: Cache,
}

impl Cache {
    /// Heap bytes used, the catalogue itself not counted.
    pub fn heap_bytes(&self) -> usize {
        self.names.as_ref().map_or(0, |names| names.heap_bytes())
            + self.order.as_ref().map_or(0, |order| order.rows.len() * 4)
            + self.shown.as_ref().map_or(0, |(_, rows)| rows.len() * 4)
    }
}

/// Orders and filters. What the cache has is not done again: a longer filter looks only at the rows that
/// the shorter one left, a new one searches all names in one pass.
pub fn build(job: &Job) -> Built {
    let known = job.cache.catalogue.as_ref();
    let mut cache = match known.is_some_and(|known| Arc::ptr_eq(known, &job.catalogue)) {
        true => job.cache.clone(),
        false => Cache { catalogue: Some(job.catalogue.clone()), ..Cache::default() },
    };
    let mine: HashMap<ContentId, &Transfer> = job.transfers.iter().map(|t| (t.id, t)).collect();
    let mut ids: Vec<ContentId> = Vec::new();
    if job.sort == Sort::Mine {
        ids.extend(job.transfers.iter().map(|t| t.id));
    }
    let same = |order: &&Arc<Order>| {
        (order.sort, order.reverse) == (job.sort, job.reverse) && order.mine == ids
    };
    let kept = cache.order.as_ref().filter(same).cloned();
    let ordered = kept.is_some();
    let order = kept.unwrap_or_else(|| {
        let rows = order(job, &mine);
        Arc::new(Order { sort: job.sort, reverse: job.reverse, mine: ids, rows })
    });
    cache.order = Some(order.clone());
    let mut rows: Arc<[u32]> = if job.filter.is_empty() {
        order.rows.clone()
    } else {
        let names = cache.names.get_or_insert_with(|| Arc::new(Names::of(&job.catalogue))).clone();
        let shown = cache.shown.as_ref().filter(|(old, _)| ordered && job.filter.narrows(old));
        let matches = |i: &u32| job.matches(&names, &mine, *i);
        match (shown, job.filter.needed_word()) {
            (Some((_, shown)), _) => shown.iter().copied().filter(matches).collect(),
            (None, Some(word)) => {
                let hits = names.find(word);
                let hit = |i: &u32| hits.contains(*i) && matches(i);
                order.rows.iter().copied().filter(hit).collect()
            }
            (None, None) => order.rows.iter().copied().filter(matches).collect(),
        }
    };
    // In the order of the list, so that the next longer filter can go on from here.
    cache.shown = (!job.filter.is_empty()).then(|| (job.filter.clone(), rows.clone()));
    if let Some(names) = cache.names.as_ref().filter(|_| job.filter.ranks()) {
        let scores = job.filter.scores(rows.iter().map(|i| names.row(*i as usize)));
        let mut best: Vec<(Reverse<u32>, u32)> =
            scores.into_iter().map(Reverse).zip(rows.iter().copied()).collect();
        best.sort_by_key(|(score, _)| *score);
        rows = best.into_iter().map(|(_, row)| row).collect();
    }
    let inside = job.by_what_is_inside(&order.rows, &rows);
    if !inside.is_empty() {
        rows = rows.iter().chain(&inside).copied().collect();
    }
    let at = job.key.and_then(|key| place(&job.catalogue, &rows, key));
    Built { rows, at, inside: inside.len(), cache }
}

/// Where a file is among some rows.
pub fn place(catalogue: &Catalogue, rows: &[u32], key: ContentId) -> Option<usize> {
    rows.iter().position(|i| catalogue.rows.get(*i as usize).is_some_and(|row| row.id == key))
}

/// All rows in order.
fn order(job: &Job, mine: &HashMap<ContentId, &Transfer>) -> Arc<[u32]> {
    let rows = &job.catalogue.rows;
    // In place, all of it: what a copy of the list took would stay with the program.
    let mut shared: Arc<[u32]> = (0..saturate::<u32>(rows.len())).collect();
    let out = Arc::make_mut(&mut shared);
    let row = |i: &u32| rows.get(*i as usize);
    // Stable sorts on a list that is already in the order of names.
    match job.sort {
        Sort::Given | Sort::Name | Sort::Done => {}
        Sort::Mine if mine.is_empty() => {}
        Sort::Mine => {
            let own = |i: &u32| row(i).and_then(|row| mine.get(&row.id));
            let mut first: Vec<u32> = out.iter().copied().filter(|i| own(i).is_some()).collect();
            first.sort_by_key(|i| own(i).map_or(9, |t| rank(t)));
            // The others move down to make room, the last of them first.
            let mut free = out.len();
            for at in (0..out.len()).rev() {
                if own(&out[at]).is_none() {
                    free -= 1;
                    out[free] = out[at];
                }
            }
            out[..free].copy_from_slice(&first);
        }
        Sort::Size => out.sort_by_cached_key(|i| Reverse(row(i).map_or(0, |row| row.size))),
        Sort::Sources => out.sort_by_cached_key(|i| Reverse(row(i).map_or(0, |row| row.sources))),
        Sort::Newest => out.sort_by_cached_key(|i| Reverse(row(i).map_or(0, |row| row.first_seen))),
    }
    if job.reverse {
        out.reverse();
    }
    shared
}

/// Running ones above waiting ones above finished ones.
fn rank(transfer: &Transfer) -> u8 {
    use engine::api::snapshot::TransferState as S;
    match transfer.state {
        S::Getting | S::Finishing | S::Resolving => 0,
        S::Paused | S::Queued | S::Checking | S::Hashing => 1,
        S::NoSource | S::DiskFull | S::Changed | S::Failed(_) => 2,
        S::Sharing => 3,
    }
}

impl Job {
    fn matches(&self, names: &Names, mine: &HashMap<ContentId, &Transfer>, i: u32) -> bool {
        let Some(row) = self.catalogue.rows.get(i as usize) else { return false };
        let own = if self.filter.needs_own() { mine.get(&row.id).copied() } else { None };
        let names = (&*row.name, names.row(i as usize));
        self.filter.matches(&subject(row, names, own, self.owners.as_deref(), self.unix))
    }

    /// Of `all` rows those that fit by files inside and are not `shown` already.
    fn by_what_is_inside(&self, all: &[u32], shown: &[u32]) -> Vec<u32> {
        if self.inside.is_empty() || self.filter.is_empty() {
            return Vec::new();
        }
        let id = |i: &u32| self.catalogue.rows.get(*i as usize).map(|row| row.id);
        let is_found = |i: &&u32| id(i).is_some_and(|id| self.inside.contains_key(&id));
        let there: HashSet<u32> = shown.iter().filter(is_found).copied().collect();
        all.iter().filter(is_found).copied().filter(|i| !there.contains(i)).collect()
    }
}

/// One of the network's files as a filter looks at it, under a name and with its names folded.
pub(crate) fn subject<'s>(
    row: &'s CatalogueRow,
    (name, folded): (&'s str, &'s str),
    own: Option<&Transfer>,
    owners: Option<&'s Owners>,
    unix: u64,
) -> Subject<'s> {
    Subject {
        name,
        aliases: row.aliases(),
        folded,
        size: row.size,
        sources: row.sources,
        availability: own.and_then(|t| t.availability).unwrap_or(row.complete as f32),
        kind: row.kind,
        state: own.map_or("none", |t| labels::state_word(&t.state)),
        id: Some(row.id),
        age: unix.saturating_sub(row.first_seen),
        peer: "",
        owners: owners.map(|owners| owners.of_file(&row.id)),
    }
}

/// The rows of the downloads or shared tab, and how many there are without the filter.
pub fn transfers_for(
    tab: Tab,
    transfers: &Rows<Transfer>,
    filter: &Filter,
    sort: Sort,
    reverse: bool,
) -> (Vec<u32>, usize) {
    let belongs = |t: &Transfer| match tab {
        Tab::Downloads => t.downloaded && !t.plan.cleared,
        _ => !t.downloaded || t.state == engine::api::snapshot::TransferState::Sharing,
    };
    let mut total = 0;
    let mut out: Vec<u32> = Vec::new();
    for (i, t) in (0u32..).zip(transfers) {
        if !belongs(t) {
            continue;
        }
        total += 1;
        let hit = filter.is_empty()
            || filter.matches(&Subject {
                name: &t.name,
                aliases: &[],
                folded: &fold(&t.name),
                size: t.size,
                sources: t.sources,
                availability: t.availability.unwrap_or(t.other_complete as f32),
                kind: t.kind,
                state: labels::state_word(&t.state),
                id: Some(t.id),
                age: 0,
                peer: "",
                owners: Some(&[]),
            });
        if hit {
            out.push(i);
        }
    }
    let get = |i: &u32| transfers.get(*i as usize);
    let key = |a: &u32, b: &u32| -> Ordering {
        let (Some(a), Some(b)) = (get(a), get(b)) else { return Ordering::Equal };
        match sort {
            Sort::Name => a.name.cmp(&b.name),
            Sort::Size => b.size.cmp(&a.size),
            Sort::Sources => (b.down_rate + b.up_rate).total_cmp(&(a.down_rate + a.up_rate)),
            Sort::Done => share(b).total_cmp(&share(a)),
            // The queue; what is finished stands below it.
            Sort::Given if tab == Tab::Downloads => queue_key(a).cmp(&queue_key(b)),
            Sort::Given | Sort::Mine | Sort::Newest => Ordering::Equal,
        }
    };
    out.sort_by(key);
    if reverse {
        out.reverse();
    }
    (out, total)
}

fn queue_key(t: &Transfer) -> (bool, u32) {
    (!t.is_unfinished(), t.plan.order)
}

fn share(t: &Transfer) -> f64 {
    t.done as f64 / t.size.max(1) as f64
}
