//! The first rows, in some order, of those that may match: by the numbers that they are sorted by, without a look at
//! the rows themselves but those of the page.

use std::ops::Range;

use common::id::ContentId;
use common::wire::tracker::Sort;

use super::Index;
use super::catalogue::Standing;
use super::file::File;
use super::page::{After, Asked, Filling, PASSED_PER_LOOK, Page, Rows};

/// Rows kept before the best of them are picked out anew: so many pages of them. Each then costs a few comparisons, in
/// whatever order they come.
const PAGES_KEPT: usize = 4;
/// And at least so many.
const LEAST_KEPT: usize = 1024;

/// How far it has come.
#[derive(Debug)]
pub(super) struct Pick {
    rows: Rows,
    /// Handles that are still to be gone through.
    left: Range<u32>,
    /// Whether each row is looked at, and not only those of the page.
    checks: bool,
    /// Whether those that match are counted.
    counts: bool,
    total: u32,
    best: Best,
    /// The page, once all have been gone through.
    page: Option<Taking>,
}

/// The best so far.
#[derive(Debug)]
struct Best {
    /// Rows that are kept in the end: a page, and one more.
    most: usize,
    rows: Vec<(Standing, u32)>,
    /// Whoever stands here or behind is none of them.
    bound: Option<Standing>,
    /// Whether that was found in this slice.
    cut: bool,
    /// The last of them when it was found: between two slices places and handles may come to mean others.
    last: Option<After>,
    /// The ids of the rows, between two slices.
    ids: Vec<ContentId>,
}

/// The best, in order, of which the page is made.
#[derive(Debug)]
struct Taking {
    rows: std::vec::IntoIter<(u32, After)>,
    page: Filling,
    /// Some of the best did not match.
    missed: bool,
}

impl Pick {
    pub(super) fn new(rows: Rows, limit: usize, end: u32, total: u32) -> Self {
        let most = limit.saturating_add(1);
        Self {
            rows,
            left: 0..end,
            checks: false,
            counts: false,
            total,
            best: Best::new(most),
            page: None,
        }
    }

    /// Each row is to be looked at, as there may be others among those that were gathered; and those that match are
    /// counted.
    pub(super) fn look_at_each(&mut self, counts: bool) {
        (self.checks, self.counts) = (true, counts);
        if counts {
            self.total = 0;
        }
    }

    /// All over again, with a look at each row.
    fn begin_again(&mut self, end: u32) {
        (self.left, self.checks, self.counts) = (0..end, true, false);
        self.best = Best::new(self.best.most);
        self.page = None;
    }
}

impl Best {
    fn new(most: usize) -> Self {
        Self { most, rows: Vec::new(), bound: None, cut: false, last: None, ids: Vec::new() }
    }

    fn is_behind(&self, standing: Standing) -> bool {
        self.bound.is_some_and(|bound| standing >= bound)
    }

    fn offer(&mut self, standing: Standing, row: u32) {
        self.rows.push((standing, row));
        if self.rows.len() >= self.most.saturating_mul(PAGES_KEPT).max(LEAST_KEPT) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.rows.len() > self.most {
            let (_, (worst, _), _) = self.rows.select_nth_unstable(self.most - 1);
            self.bound = Some(*worst);
            self.cut = true;
            self.rows.truncate(self.most);
        }
    }
}

/// Those that are left, from the end at which the first of the page are found sooner: the newest have the greatest
/// handles as a rule.
fn candidates(rows: &Rows, left: Range<u32>, sort: Sort) -> Box<dyn Iterator<Item = u32> + '_> {
    match (rows, sort) {
        _ if left.is_empty() => Box::new(std::iter::empty()),
        (Rows::All, Sort::Newest) => Box::new(left.rev()),
        (Rows::All, _) => Box::new(left),
        (Rows::Some(rows), Sort::Newest) => Box::new(rows.range(left).rev()),
        (Rows::Some(rows), _) => Box::new(rows.range(left)),
    }
}

impl Index {
    /// Goes on until so many comparisons were made in all; the page, when it is full.
    pub(super) fn advance_pick(
        &self,
        asked: &mut Asked,
        pick: &mut Pick,
        end: usize,
    ) -> Option<Page> {
        if pick.page.is_none() {
            self.take_up(&mut pick.best);
            if !self.pick_out(asked, pick, end) {
                self.put_down(&mut pick.best);
                return None;
            }
            pick.page = Some(self.begin_page(&mut pick.best));
        }
        let taking = pick.page.as_mut()?;
        let (mut full, others) = (false, pick.best.bound.is_some());
        while let Some((row, after)) = taking.rows.next() {
            // It may have gone since it was found, or stand elsewhere.
            let is_it = |file: &&File| file.id == after.id && file.folded() == after.name;
            let Some(file) = self.files.get(row).filter(is_it) else { continue };
            if !pick.checks && !asked.matches(file) {
                taking.missed = true;
            } else if !taking.page.take(asked, file, after) {
                full = true;
                break;
            }
            if asked.looked >= end && taking.rows.len() > 0 {
                return None;
            }
        }
        let (shown, missed) = (taking.page.rows.len(), taking.missed);
        if others && !full && (shown == 0 || missed) {
            pick.begin_again(self.catalogue.end());
            return None;
        }
        Some(std::mem::take(&mut taking.page).finish(asked, pick.total, full || others))
    }

    /// Whether all have been gone through.
    fn pick_out(&self, asked: &mut Asked, pick: &mut Pick, end: usize) -> bool {
        let sort = asked.sort;
        let first = asked.after.as_ref().map(|after| {
            let behind = self.point(Some(after));
            (after.number, self.catalogue.order.number_behind(behind))
        });
        let Pick { rows, left, checks, counts, total, best, .. } = pick;
        let (mut passed, mut come_to, mut done) = (0, None, true);
        for row in candidates(rows, left.clone(), sort) {
            if asked.looked.saturating_add(passed / PASSED_PER_LOOK) >= end {
                done = false;
                break;
            }
            passed += 1;
            come_to = Some(row);
            let Some(standing) = self.catalogue.standing(sort, row) else { continue };
            let shown = first.is_none_or(|first| standing >= first) && !best.is_behind(standing);
            if *checks && (shown || *counts) {
                let Some(file) = self.files.get(row) else { continue };
                if !asked.matches(file) {
                    continue;
                }
                *total = total.saturating_add(u32::from(*counts));
            }
            if shown {
                best.offer(standing, row);
            }
        }
        asked.looked = asked.looked.saturating_add(1 + passed / PASSED_PER_LOOK);
        match come_to {
            _ if done => *left = 0..0,
            Some(row) if sort == Sort::Newest => left.end = row,
            Some(row) => left.start = row.saturating_add(1),
            None => {}
        }
        done
    }

    fn begin_page(&self, best: &mut Best) -> Taking {
        best.cut();
        let mut rows = std::mem::take(&mut best.rows);
        rows.sort_unstable();
        let rows: Vec<_> = rows
            .into_iter()
            .filter_map(|((number, _), row)| Some((row, After::new(number, self.files.get(row)?))))
            .collect();
        Taking { rows: rows.into_iter(), page: Filling::default(), missed: false }
    }

    /// Notes the best so that they are known again whatever changes.
    fn put_down(&self, best: &mut Best) {
        best.cut();
        best.ids = best.rows.iter().filter_map(|(_, row)| Some(self.files.get(*row)?.id)).collect();
        if std::mem::take(&mut best.cut)
            && let Some(((number, _), row)) = best.rows.iter().max()
        {
            best.last = self.files.get(*row).map(|file| After::new(*number, file));
        }
    }

    /// Has the best stand where they stand now. Those that have gone, or stand behind others that were left out, are left
    /// out too.
    fn take_up(&self, best: &mut Best) {
        if let Some(last) = &best.last {
            let behind = self.catalogue.order.number_behind(self.point(Some(last)));
            best.bound = Some((last.number, behind));
        }
        let (rows, ids) = (std::mem::take(&mut best.rows), std::mem::take(&mut best.ids));
        let known = rows.into_iter().zip(ids).filter_map(|(((number, _), row), id)| {
            self.files.get(row).filter(|file| file.id == id)?;
            Some(((number, self.catalogue.order.number(row)?), row))
        });
        best.rows = known.filter(|(standing, _)| !best.is_behind(*standing)).collect();
    }
}
