//! Small things remembered over restarts beside shares and downloads: bans for ever, words waited for,
//! what was served today, what the list of downloads no longer shows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::id::{ContentId, PeerId};
use serde::{Deserialize, Serialize};

use super::Session;
use super::bans::Bans;
use super::clock::unix_ms;
use super::commands::Answer;
use super::content::{Content, Role, Share};
use crate::api::command::Reply;

/// Setting of the library that holds it, as JSON.
const KEY: &str = "session";
/// How long a finished download stays in the list of downloads, in milliseconds.
const LISTED_MS: u64 = 60 * 60 * 1000;
/// What was served is written to disk this often.
const WRITE_EVERY: Duration = Duration::from_secs(60);
/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    /// Banned for ever, and why.
    bans: BTreeMap<String, String>,
    /// Words waited for.
    pub(super) watches: Vec<String>,
    /// Everything that was finished before is out of the list; milliseconds since 1970.
    cleared_ms: u64,
    /// Taken out of the list one by one, with the time when they were finished.
    cleared: BTreeMap<String, u64>,
    /// Upload limits of shares in bytes per second.
    limits: BTreeMap<String, u64>,
    /// Day since 1970 (UTC), and bytes served in it.
    served: (u64, u64),
}

/// What the user wishes: what of that is kept, and how it stands with the disk.
pub(super) struct Preferences {
    pub(super) kept: Kept,
    /// Not written yet.
    dirty: bool,
    written: Instant,
    /// Bytes of `Totals::up` that are in `served` already.
    counted: u64,
    /// Those in force, for ever or for a time.
    pub(super) bans: Bans,
    /// Whether others get something from us, in this run.
    pub(super) serving: bool,
}

impl Preferences {
    /// From the library's settings; a text that cannot be read counts as none.
    pub(super) fn load(settings: &BTreeMap<String, String>, now: Instant) -> Self {
        let text = settings.get(KEY);
        let kept = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Self { kept, dirty: false, written: now, counted: 0, bans: Bans::default(), serving: true }
    }
}

impl Kept {
    fn serve(&mut self, day: u64, bytes: u64) {
        let (of, total) = self.served;
        self.served = (day, if of == day { total + bytes } else { bytes });
    }

    fn hides(&self, id: &ContentId, finished_ms: u64, now_ms: u64) -> bool {
        finished_ms <= self.cleared_ms
            || now_ms.saturating_sub(finished_ms) >= LISTED_MS
            || self.cleared.contains_key(&id.to_string())
    }

    /// Banned for ever, and why.
    pub(super) fn bans(&self) -> Vec<(PeerId, String)> {
        let parse = |(peer, why): (&String, &String)| Some((peer.parse().ok()?, why.clone()));
        self.bans.iter().filter_map(parse).collect()
    }

    pub(super) fn ban(&mut self, peer: &PeerId, why: &str) {
        self.bans.insert(peer.to_string(), why.to_owned());
    }

    /// Says whether it was there.
    pub(super) fn unban(&mut self, peer: &PeerId) -> bool {
        self.bans.remove(&peer.to_string()).is_some()
    }
}

impl Session {
    /// Whether a finished download is out of the list.
    pub(super) fn is_hidden(&self, id: &ContentId, share: &Share) -> bool {
        share.downloaded && self.preferences.kept.hides(id, share.finished_ms, unix_ms())
    }

    /// Whether it was taken out of the list by itself.
    pub(super) fn is_cleared(&self, id: &ContentId) -> bool {
        self.preferences.kept.cleared.contains_key(&id.to_string())
    }

    /// Takes all finished downloads out of the list.
    pub(super) fn clear_finished(&mut self) -> Answer {
        self.preferences.kept.cleared_ms = unix_ms();
        self.preferences.kept.cleared.clear();
        self.write_kept();
        Ok(Reply::Accepted)
    }

    /// Takes one finished download out of the list, or puts it back.
    pub(super) fn keep_cleared(&mut self, id: &ContentId, cleared: bool) {
        let now = unix_ms();
        let list = &mut self.preferences.kept.cleared;
        // What is too old for the list needs no entry.
        list.retain(|_, finished| now.saturating_sub(*finished) < LISTED_MS);
        if !cleared {
            list.remove(&id.to_string());
        } else if let Some(Content { role: Role::Share(share), .. }) = self.contents.get(id) {
            list.insert(id.to_string(), share.finished_ms);
        }
        self.write_kept();
    }

    /// Remembers the upload limit of a share.
    pub(super) fn keep_limit(&mut self, id: &ContentId, up: Option<u64>) {
        let limits = &mut self.preferences.kept.limits;
        let changed = match up {
            Some(up) => limits.insert(id.to_string(), up) != Some(up),
            None => limits.remove(&id.to_string()).is_some(),
        };
        if changed {
            self.write_kept();
        }
    }

    /// The upload limit of a share is that of what takes its place from now on.
    pub(super) fn hand_on_limit(&mut self, from: &ContentId, to: &ContentId) {
        let limits = &mut self.preferences.kept.limits;
        if let Some(up) = limits.remove(&from.to_string()) {
            limits.entry(to.to_string()).or_insert(up);
            self.write_kept();
        }
    }

    /// The remembered upload limit of a share takes effect.
    pub(super) fn recall_limit(&mut self, id: &ContentId) {
        if let Some(up) = self.preferences.kept.limits.get(&id.to_string()).copied() {
            self.limit_up(id, Some(up));
        }
    }

    /// Payload sent since midnight.
    pub(super) fn served_today(&self) -> u64 {
        let (day, served) = self.preferences.kept.served;
        let today = if day == unix_ms() / DAY_MS { served } else { 0 };
        today + self.counters.totals.up.saturating_sub(self.preferences.counted)
    }

    /// Counts what was served, and writes it down now and then.
    pub(super) fn count_served(&mut self, now: Instant) {
        let new = self.counters.totals.up.saturating_sub(self.preferences.counted);
        if new > 0 {
            self.preferences.counted = self.counters.totals.up;
            self.preferences.kept.serve(unix_ms() / DAY_MS, new);
            self.preferences.dirty = true;
        }
        if self.preferences.dirty && now >= self.preferences.written + WRITE_EVERY {
            self.write_kept();
        }
    }

    /// Writes what is kept, beside the session.
    pub(super) fn write_kept(&mut self) {
        self.changed();
        self.preferences.dirty = false;
        self.preferences.written = Instant::now();
        self.write_setting(KEY, serde_json::to_string(&self.preferences.kept));
    }

    /// Writes what is kept at the end.
    pub(super) fn last_kept(&mut self) {
        self.count_served(Instant::now());
        self.write_kept();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_counts_by_itself_and_a_finished_download_is_listed_for_an_hour() {
        let mut kept = Kept::default();
        kept.serve(5, 10);
        kept.serve(5, 20);
        assert_eq!(kept.served, (5, 30));
        kept.serve(6, 1);
        assert_eq!(kept.served, (6, 1));
        let id = ContentId::from_bytes([1; 32]);
        assert!(!kept.hides(&id, 1_000, 1_000 + LISTED_MS - 1));
        assert!(kept.hides(&id, 1_000, 1_000 + LISTED_MS));
        kept.cleared_ms = 1_000;
        assert!(kept.hides(&id, 1_000, 1_001) && !kept.hides(&id, 1_001, 1_002));
    }

    #[test]
    fn what_is_kept_comes_back_and_what_is_unreadable_is_nothing() {
        let mut kept = Kept { watches: vec!["a b".to_owned()], ..Kept::default() };
        kept.ban(&PeerId::from_bytes([3; 32]), "rude");
        kept.limits.insert(ContentId::from_bytes([4; 32]).to_string(), 7);
        let text = serde_json::to_string(&kept).unwrap();
        let settings = |text: &str| BTreeMap::from([(KEY.to_owned(), text.to_owned())]);
        assert_eq!(Preferences::load(&settings(&text), Instant::now()).kept, kept);
        assert_eq!(Preferences::load(&settings("{nonsense"), Instant::now()).kept, Kept::default());
    }
}
