//! How far what is got is, and what was said of it.

use std::collections::HashMap;

use common::id::ContentId;
use common::names::show as show_path;
use serde_json::json;

use crate::args::exit;
use crate::headless::fetch::{passes, row};
use crate::headless::output::{Output, Row, with_path};
use crate::headless::together;
use crate::headless::unreached::Told;
use engine::api::event::{Event, NO_SUCH_FILE, TAKEN, What};
use engine::api::handle::EngineHandle;
use engine::api::snapshot::{Copying, NetState, Snapshot, Transfer, TransferState};

/// In how many snapshots in a row something has to look as if it were over, if no event said so: snapshots
/// come a little later than answers, and a folder that was complete may be about to get more files.
const STEADY: u32 = 2;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Unresolved,
    Getting,
    Done,
    Failed(u8),
}

/// How often in a row something was seen here, or missed.
#[derive(Debug, Default)]
struct Seen {
    here: u32,
    gone: u32,
}

/// What is got in this run, and what was said of it.
pub(super) struct Going {
    /// Each request as it was typed, what it turned out to mean, and what became of it.
    pub(super) wanted: Vec<(String, Option<ContentId>, Fate)>,
    /// Chunks of each that programs were told of last.
    reported: HashMap<ContentId, u32>,
    seen: HashMap<ContentId, Seen>,
    told: Told,
}

impl Going {
    /// Nothing is known yet of what these words mean.
    pub(super) fn of(what: &[String]) -> Self {
        let wanted = what.iter().map(|what| (what.clone(), None, Fate::Unresolved)).collect();
        let told = Told::default();
        Self { wanted, reported: HashMap::new(), seen: HashMap::new(), told }
    }

    pub(super) fn have_all_ended(&self) -> bool {
        let ended = |fate: &Fate| matches!(fate, Fate::Done | Fate::Failed(_));
        self.wanted.iter().all(|(_, _, fate)| ended(fate))
    }

    fn is_getting(&self, id: &ContentId) -> bool {
        self.wanted.iter().any(|(_, own, fate)| *own == Some(*id) && *fate == Fate::Getting)
    }

    /// The engine says what became of something.
    pub(super) fn hear(&mut self, event: &Event, engine: &EngineHandle, out: &mut Output) {
        self.told.hear(event);
        let mut size = None;
        if let What::Done { id, .. } = &event.what {
            // The last progress before the end, so that programs see all chunks.
            let snapshot = engine.snapshot();
            if let Some(transfer) = snapshot.transfers.iter().find(|t| t.id == *id) {
                let whole = Transfer { have: transfer.chunks, ..transfer.clone() };
                out.progress(id, &whole);
                self.reported.insert(*id, whole.have);
                size = Some(whole.size);
            }
        }
        out.event(event);
        for (_, id, fate) in self.wanted.iter_mut().filter(|(_, id, _)| id.is_some()) {
            match &event.what {
                What::Done { id: done, path, bytes, seconds, .. } if *id == Some(*done) => {
                    *fate = Fate::Done;
                    // Nothing came of it, though it is not empty: it turned out to be here.
                    match *bytes == 0 && size != Some(0) {
                        true => out.here(path),
                        false => out.fetched(path, *bytes, *seconds),
                    }
                }
                What::Failed { id: failed, code, .. }
                    if id == failed && *fate == Fate::Getting && !passes(code) =>
                {
                    *fate = Fate::Failed(match *code {
                        NO_SUCH_FILE => exit::NOT_FOUND,
                        TAKEN => exit::OTHER,
                        _ => exit::IO,
                    });
                }
                _ => {}
            }
        }
    }

    /// How far everything is: bars, the last line, and what is new about its sources.
    pub(super) fn show(&mut self, snapshot: &Snapshot, out: &mut Output) {
        let mut rows = Vec::new();
        for (_, id, fate) in &self.wanted {
            let transfer = snapshot.transfers.iter().find(|t| Some(t.id) == *id);
            let Some(transfer) = transfer else { continue };
            let copy = snapshot.copies.iter().find(|copy| copy.id == transfer.id);
            let copied = copy.map(|copy| copied(transfer, copy));
            let shown = copied.as_ref().unwrap_or(transfer);
            if self.reported.insert(shown.id, shown.have) != Some(shown.have) {
                out.progress(&shown.id, shown);
            }
            if *fate == Fate::Getting {
                let to = copy.map(|copy| show_path(&copy.path.to_string_lossy()));
                let note = to.map(|to| format!("copying to {to}"));
                rows.push(match note {
                    Some(note) => Row { note: Some(note), ended: false, ..row(shown) },
                    None => row(shown),
                });
            }
        }
        let asks = self.wanted.iter().any(|(_, _, fate)| *fate == Fate::Unresolved);
        out.rows(&rows, "downloads");
        out.status(match snapshot.network.state {
            NetState::Connecting if asks => "asking the tracker …",
            _ if asks && !snapshot.catalogue.whole => "asking the tracker …",
            _ if asks => "waiting for what is not in the network yet · ^C ends",
            _ => "",
        });
        for transfer in &snapshot.transfers {
            if self.is_getting(&transfer.id) {
                self.told.programs(transfer, out);
                self.told.people(transfer, out);
            }
        }
    }

    /// A request whose content is complete already ends without an event, and so does one that somebody else takes
    /// back.
    pub(super) fn catch_up(&mut self, snapshot: &Snapshot, out: &mut Output) {
        let seen = &mut self.seen;
        for (what, id, fate) in self.wanted.iter_mut().filter(|(_, _, fate)| *fate == Fate::Getting)
        {
            let Some(id) = *id else { continue };
            if snapshot.copies.iter().any(|copy| copy.id == id) {
                // It ends with an event.
                seen.remove(&id);
                continue;
            }
            let transfer = snapshot.transfers.iter().find(|t| t.id == id);
            match transfer.map(|t| (t, &t.state)) {
                Some((transfer, TransferState::Sharing)) => {
                    let seen = seen.entry(id).or_default();
                    (seen.here, seen.gone) = (seen.here + 1, 0);
                    if seen.here >= STEADY {
                        say_here(transfer, out);
                        *fate = Fate::Done;
                    }
                }
                Some(_) => _ = seen.insert(id, Seen::default()),
                None if seen.get(&id).is_none_or(|seen| seen.gone + 1 < STEADY) => {
                    if let Some(seen) = seen.get_mut(&id) {
                        seen.gone += 1;
                    }
                }
                None => {
                    let why = format!("{what}: somebody else removed it from the running peer");
                    out.error("removed", &why, "run the same command again to go on");
                    *fate = Fate::Failed(exit::OTHER);
                }
            }
        }
    }

    /// Events were dropped, among them perhaps what failed: the state says it as well.
    pub(super) fn unheard(&mut self, snapshot: &Snapshot, out: &mut Output) {
        for (what, id, fate) in self.wanted.iter_mut().filter(|(_, _, fate)| *fate == Fate::Getting)
        {
            let row = snapshot.transfers.iter().find(|row| Some(row.id) == *id);
            if let Some(TransferState::Failed(why)) = row.map(|row| &row.state) {
                out.error("failed", &format!("{what}: {why}"), "tui-peer status shows it");
                *fate = Fate::Failed(exit::IO);
            }
        }
    }

    /// The exit code: how it went with all of them.
    pub(super) fn code(&self) -> u8 {
        let failed: Vec<u8> = self
            .wanted
            .iter()
            .filter_map(|(_, _, fate)| match fate {
                Fate::Done => None,
                Fate::Failed(code) => Some(*code),
                Fate::Unresolved | Fate::Getting => Some(exit::OTHER),
            })
            .collect();
        together(&failed, self.wanted.len())
    }
}

/// All of it is here, and where.
pub(super) fn say_here(transfer: &Transfer, out: &mut Output) {
    let id = transfer.id.to_string();
    let object = json!({"event": "done", "id": id, "bytes": 0, "seconds": 0.0});
    out.json(&with_path(object, "path", &transfer.path));
    out.here(&transfer.path);
}

/// A copy of what is here, as if it were on its way.
fn copied(transfer: &Transfer, copy: &Copying) -> Transfer {
    let chunks = u64::from(transfer.chunks);
    let have = u128::from(chunks) * u128::from(copy.done) / u128::from(copy.size.max(1));
    Transfer {
        size: copy.size,
        done: copy.done,
        have: u32::try_from(have).unwrap_or(transfer.chunks).min(transfer.chunks),
        ..transfer.clone()
    }
}
