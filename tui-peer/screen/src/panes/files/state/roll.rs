//! A list of members that is read page by page, and anew from time to time while somebody looks.

use std::time::{Duration, Instant};

use common::numbers::saturate;

use crate::filter::fold;
use engine::api::snapshot::{MemberRow, Page};

/// Members that are kept of all: more than anybody scrolls through, and some 3 MB. Of more, the tracker looks up those
/// that a filter means.
pub(crate) const MAX_MEMBERS: usize = 10_000;
/// Members that are kept of a search: nobody picks one out of more.
pub(crate) const MAX_FOUND: usize = 1000;
/// Pages that are read at a time: twice as many as the longest list has.
const MAX_PAGES: usize = 100;
/// Shortest time between two questions for what is typed: the tracker has others to serve.
pub(crate) const GAP: Duration = Duration::from_millis(300);
/// How long a list counts while it is looked at …
const FRESH: Duration = Duration::from_secs(15);
/// … and this much longer for each member: ten thousand take fifty pages of the tracker.
const PER_MEMBER: Duration = Duration::from_millis(5);

/// A member, and as what it is searched.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) row: MemberRow,
    /// Its folded nick.
    pub(crate) nick: String,
    /// That, its key and its addresses.
    pub(crate) text: String,
}

impl From<MemberRow> for Member {
    fn from(row: MemberRow) -> Self {
        let nick = fold(&row.nick);
        let mut text = format!("{nick} {}", row.peer);
        for addr in &row.addrs {
            text.push(' ');
            text.push_str(&addr.to_string());
        }
        Self { row, nick, text }
    }
}

/// One list of members.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    /// Part of a nick, or the beginning of a key; empty for all.
    pub(crate) query: String,
    /// In the order of the tracker, which is by nick.
    pub(crate) members: Vec<Member>,
    /// Members of the network there are in all.
    pub(crate) total: u32,
    /// Nobody is missing.
    pub(crate) whole: bool,
    /// What is read to take the place of `members`.
    anew: Option<Vec<Member>>,
    /// Where the next page begins; empty if none is to be read.
    cursor: Vec<u8>,
    /// Pages read this time.
    pages: usize,
    /// When the first page was asked for last.
    asked: Option<Instant>,
}

impl Roll {
    /// When it was asked for last.
    pub(crate) fn asked_at(&self) -> Option<Instant> {
        self.asked
    }

    /// As many as are kept, and there are more.
    pub(crate) fn is_full(&self, most: usize) -> bool {
        self.members.len() >= most && !self.whole
    }

    /// Other members are wanted from now on; the present ones stay until they are known.
    pub(crate) fn ask_for(&mut self, query: &str) {
        let members = std::mem::take(&mut self.members);
        *self = Self { query: query.to_owned(), members, total: self.total, ..Self::default() };
    }

    /// When it is to be read anew.
    pub(crate) fn stale_at(&self) -> Option<Instant> {
        let members = saturate::<u32>(self.members.len());
        self.asked.map(|at| at + FRESH + PER_MEMBER.saturating_mul(members))
    }

    /// Where the page begins that is to be asked for now, if there is one.
    pub(crate) fn next(&mut self, now: Instant, most: usize) -> Option<Vec<u8>> {
        if self.anew.is_none() && self.stale_at().is_none_or(|at| now >= at) {
            self.asked = Some(now);
            self.anew = Some(Vec::new());
            self.pages = 0;
            self.cursor.clear();
            return Some(Vec::new());
        }
        let room = self.anew.is_some() || self.members.len() < most;
        (room && !self.cursor.is_empty()).then(|| self.cursor.clone())
    }

    /// Takes a page; of all of them no more than `most` members.
    pub(crate) fn take(&mut self, page: Page<MemberRow>, most: usize) {
        self.pages += 1;
        self.total = page.total;
        self.cursor = if self.pages < MAX_PAGES { page.cursor.clone() } else { Vec::new() };
        let rows = page.rows.into_iter().map(Member::from);
        match &mut self.anew {
            Some(anew) => {
                anew.extend(rows);
                // As soon as there are as many as before: a list that is read for the first time grows on the screen.
                if self.cursor.is_empty() || anew.len() >= self.members.len() {
                    self.members = self.anew.take().unwrap_or_default();
                }
            }
            None => self.members.extend(rows),
        }
        if self.anew.is_none() {
            self.whole = page.cursor.is_empty() && self.members.len() <= most;
        }
        self.members.truncate(most);
    }

    /// There was no page. What is known stays, and is asked for again when it is stale.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.anew = None;
        self.cursor.clear();
        self.asked = Some(now);
    }
}
