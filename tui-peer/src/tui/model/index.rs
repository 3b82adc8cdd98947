//! Order and filter of the lists. Pure, so that a long list can be done on another thread.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

use common::id::ContentId;

use crate::engine::snapshot::{Catalogue, CatalogueRow, PeerRow, Transfer};

use super::super::filter::{Filter, Subject, fold};
use super::super::words;
use super::Tab;

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
            Tab::Peers => &[Self::Given, Self::Sources, Self::Name],
        }
    }

    /// In words.
    pub fn title(self, tab: Tab) -> &'static str {
        match (self, tab) {
            (Self::Given, Tab::Downloads) => "queue",
            (Self::Given, Tab::Shared) => "as added",
            (Self::Given, _) => "uploads first",
            (Self::Mine, _) => "mine first",
            (Self::Name, _) => "name",
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
    pub transfers: Arc<[Transfer]>,
    /// What to show.
    pub filter: Filter,
    /// In which order.
    pub sort: Sort,
    /// Reversed.
    pub reverse: bool,
    /// Now, in seconds since 1970.
    pub unix: u64,
}

/// The rows to show, as places in the catalogue.
pub fn build(job: &Job) -> Vec<u32> {
    let mine: HashMap<ContentId, &Transfer> = job.transfers.iter().map(|t| (t.id, t)).collect();
    let rows = &job.catalogue.rows;
    let mut out: Vec<u32> = if job.filter.is_empty() {
        (0..u32::try_from(rows.len()).unwrap_or(u32::MAX)).collect()
    } else {
        (0u32..)
            .zip(rows)
            .filter(|(_, row)| {
                catalogue_matches(&job.filter, row, mine.get(&row.id).copied(), job.unix)
            })
            .map(|(i, _)| i)
            .collect()
    };
    let row = |i: &u32| rows.get(*i as usize);
    // Stable sorts on a list that is already in the order of names.
    match job.sort {
        Sort::Given | Sort::Name | Sort::Done => {}
        Sort::Mine if mine.is_empty() => {}
        Sort::Mine => {
            let (first, rest): (Vec<u32>, Vec<u32>) =
                out.into_iter().partition(|i| row(i).is_some_and(|row| mine.contains_key(&row.id)));
            out = first;
            out.sort_by_key(|i| row(i).and_then(|row| mine.get(&row.id)).map_or(9, |t| rank(t)));
            out.extend(rest);
        }
        Sort::Size => out.sort_by_cached_key(|i| Reverse(row(i).map_or(0, |row| row.size))),
        Sort::Sources => out.sort_by_cached_key(|i| Reverse(row(i).map_or(0, |row| row.sources))),
        Sort::Newest => out.sort_by_cached_key(|i| Reverse(row(i).map_or(0, |row| row.first_seen))),
    }
    if job.reverse {
        out.reverse();
    }
    out
}

/// Running ones above waiting ones above finished ones.
fn rank(transfer: &Transfer) -> u8 {
    use crate::engine::snapshot::TransferState as S;
    match transfer.state {
        S::Getting | S::Finishing | S::Resolving => 0,
        S::Paused | S::Queued | S::Checking | S::Hashing => 1,
        S::NoSource | S::DiskFull | S::Changed | S::Failed(_) => 2,
        S::Sharing => 3,
    }
}

fn catalogue_matches(
    filter: &Filter,
    row: &CatalogueRow,
    own: Option<&Transfer>,
    unix: u64,
) -> bool {
    let folded = fold(&row.name);
    let subject = |name: &str, folded: &str| {
        filter.matches(&Subject {
            name,
            folded,
            size: row.size,
            sources: row.sources,
            availability: own.and_then(|t| t.availability).unwrap_or(row.complete as f32),
            kind: row.kind,
            state: own.map_or("none", |t| words::state_word(&t.state)),
            id: Some(row.id),
            age: unix.saturating_sub(row.first_seen),
            peer: "",
        })
    };
    subject(&row.name, &folded) || row.aliases.iter().any(|alias| subject(alias, &fold(alias)))
}

/// The rows of the downloads or shared tab, and how many there are without the filter.
pub fn transfers_for(
    tab: Tab,
    transfers: &[Transfer],
    filter: &Filter,
    sort: Sort,
    reverse: bool,
) -> (Vec<u32>, usize) {
    let belongs = |t: &Transfer| match tab {
        Tab::Downloads => t.downloaded && !t.plan.cleared,
        _ => !t.downloaded || t.state == crate::engine::snapshot::TransferState::Sharing,
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
                folded: &fold(&t.name),
                size: t.size,
                sources: t.sources,
                availability: t.availability.unwrap_or(t.other_complete as f32),
                kind: t.kind,
                state: words::state_word(&t.state),
                id: Some(t.id),
                age: 0,
                peer: "",
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
    (!words::is_unfinished(t), t.plan.order)
}

fn share(t: &Transfer) -> f64 {
    t.done as f64 / t.size.max(1) as f64
}

/// The rows of the peers tab.
pub(crate) fn peers_for(peers: &[PeerRow], filter: &Filter, sort: Sort, reverse: bool) -> Vec<u32> {
    let mut out: Vec<u32> = (0u32..)
        .zip(peers)
        .filter(|(_, p)| {
            let text = fold(&format!("{} {} {}", p.nick, p.peer.short(), p.addr));
            filter.is_empty()
                || filter.matches(&Subject {
                    name: &p.nick,
                    folded: &text,
                    size: p.up.saturating_add(p.down),
                    sources: p.contents,
                    availability: 0.0,
                    kind: common::content::Kind::File,
                    state: "none",
                    id: None,
                    age: 0,
                    peer: &text,
                })
        })
        .map(|(i, _)| i)
        .collect();
    out.sort_by(|a, b| {
        let (Some(a), Some(b)) = (peers.get(*a as usize), peers.get(*b as usize)) else {
            return Ordering::Equal;
        };
        match sort {
            Sort::Sources => (b.down_rate + b.up_rate).total_cmp(&(a.down_rate + a.up_rate)),
            Sort::Name => a.nick.cmp(&b.nick),
            Sort::Given => a
                .upload
                .cmp(&b.upload)
                .then(b.up_rate.total_cmp(&a.up_rate))
                .then(b.up.cmp(&a.up))
                .then(a.peer.cmp(&b.peer)),
            _ => Ordering::Equal,
        }
    });
    if reverse {
        out.reverse();
    }
    out
}
