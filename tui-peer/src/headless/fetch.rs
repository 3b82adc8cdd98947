//! What `get` and `get -o -` have in common: from what was typed to a content, and what is said of it.

use std::str::FromStr as _;
use std::time::Instant;

use common::id::ContentId;
use common::join::{Link, parse_any};

use super::output::{Row, bytes};
use super::serve::{NO_NETWORK, NO_NETWORK_HINT};
use super::wait::TRACKER_WAIT;
use crate::args::exit;
use engine::api::cause::Cause;
use engine::api::snapshot::{NetState, Snapshot, Transfer, TransferState};
use frontend::act::{About, Refused};
use frontend::find;

/// Where to look for names.
pub(super) const LIST: &str = "tui-peer ls lists what there is";

/// What became of a name, id or link.
pub(super) enum Found {
    /// It is this, by this name if that is not its first.
    Yes(ContentId, Option<String>),
    /// It may come.
    NotYet,
    /// It is nothing, and why.
    No(Box<Refused>),
}

/// When a search began, how long it lasts, and how far it is.
pub(super) struct Search {
    began: Instant,
    /// Wait for what is not there yet.
    wait: bool,
    /// The catalogue of this version was gone through by name in vain.
    seen: Option<u64>,
}

impl Search {
    pub(super) fn new(wait: bool) -> Self {
        Self { began: Instant::now(), wait, seen: None }
    }

    /// All that was wanted was looked up: by name it is not done again before the catalogue changes.
    pub(super) fn looked(&mut self, snapshot: &Snapshot) {
        self.seen = snapshot.catalogue.whole.then_some(snapshot.catalogue.version);
    }

    /// What `what` means.
    pub(super) fn look_up(&self, what: &str, snapshot: &Snapshot) -> Found {
        if let Ok(id) = ContentId::from_str(what) {
            return self.by_id(id, snapshot);
        }
        match parse_any(what) {
            // The tracker knows the name that a link leaves out.
            Ok(Link::File(link))
                if link.name().is_none() && snapshot.network.is_of(&link.join().tracker()) =>
            {
                return self.by_id(link.id(), snapshot);
            }
            Ok(Link::File(link)) => return Found::Yes(link.id(), link.name().map(str::to_owned)),
            Ok(Link::Join(_)) => {
                let why = format!("{what} is a join string, not a file; give it with --tracker");
                return no("usage", exit::USAGE, what, why, "tui-peer get --help");
            }
            Err(_) => {}
        }
        if !snapshot.catalogue.whole {
            return self.without_catalogue(what, snapshot);
        }
        if self.wait && self.seen == Some(snapshot.catalogue.version) {
            return Found::NotYet;
        }
        match find::in_catalogue(what, &snapshot.catalogue) {
            Ok((id, name)) => Found::Yes(id, name),
            Err(_) if self.wait => Found::NotYet,
            Err(miss) => Found::No(Refused::miss(miss, "nothing in this network", LIST)),
        }
    }

    fn without_catalogue(&self, what: &str, snapshot: &Snapshot) -> Found {
        let why = match &snapshot.network.state {
            NetState::NoNetwork => {
                let why = NO_NETWORK.to_owned();
                return no("no-network", exit::TRACKER, what, why, NO_NETWORK_HINT);
            }
            NetState::Rejected { why } => why.clone(),
            NetState::Lost { why, .. } if self.began.elapsed() > TRACKER_WAIT => {
                format!("the tracker cannot be reached: {why}")
            }
            _ => return Found::NotYet,
        };
        let hint = "check the join string and that the tracker runs";
        no("tracker", exit::TRACKER, what, why, hint)
    }

    /// Its name comes with the tracker's word on where it is, which is asked for at once: a round trip sooner than the
    /// catalogue.
    fn by_id(&self, id: ContentId, snapshot: &Snapshot) -> Found {
        let late = self.began.elapsed() > TRACKER_WAIT;
        let ready = snapshot.network.join.is_some() || late;
        if ready { Found::Yes(id, None) } else { Found::NotYet }
    }
}

fn no(code: &'static str, exit: u8, what: &str, message: String, hint: &str) -> Found {
    let (about, hint) = (About::Unknown(what.to_owned()), hint.to_owned());
    Found::No(Box::new(Refused { code, exit, message, hint, about, miss: None }))
}

/// Whether a failure of a download passes by itself: it goes on when there is room, or once the tracker takes it.
pub(super) fn passes(code: &str) -> bool {
    matches!(code, "disk-full" | "disk-blocked" | "register")
}

/// How far a download is, for a bar.
pub(super) fn row(transfer: &Transfer) -> Row {
    let note = match (&transfer.state, transfer.unreached.first()) {
        (_, Some(source)) => Some(format!("cannot reach {}", source.display_name())),
        (TransferState::Getting, None) if transfer.down_rate < 1.0 => {
            transfer.why.as_ref().map(Cause::short)
        }
        (TransferState::Getting | TransferState::Sharing, None) => None,
        (state, None) => Some(state_words(state)).filter(|words| !words.is_empty()),
    };
    Row {
        label: transfer.name.to_string(),
        done: transfer.done,
        total: transfer.size,
        ended: transfer.state == TransferState::Sharing,
        rate: transfer.down_rate,
        eta_s: transfer.eta_s,
        sources: Some(transfer.active),
        note,
    }
}

/// How far a download is, in one line.
pub(super) fn line(transfer: &Transfer) -> String {
    let percent = transfer.done as f64 * 100.0 / transfer.size.max(1) as f64;
    let state = match (&transfer.state, transfer.unreached.first()) {
        // It is kept only while there is nobody else.
        (_, Some(source)) => format!("cannot reach {}", source.display_name()),
        (TransferState::Getting, None) => format!("{}/s", bytes(transfer.down_rate)),
        (state, None) => state_words(state),
    };
    let eta =
        transfer.eta_s.map_or(String::new(), |s| format!(" · {}m {:02}s left", s / 60, s % 60));
    // Never 100 before the end.
    format!(
        "{} {:>5.1}% of {} · {state} · {} sources{eta}",
        transfer.name,
        percent.min(99.9),
        bytes(transfer.size as f64),
        transfer.active
    )
}

/// What a download does that is not just coming; empty if nothing is to be said.
pub(super) fn state_words(state: &TransferState) -> String {
    match state {
        TransferState::NoSource => "nobody online has what is missing".to_owned(),
        TransferState::DiskFull => "disk full, waiting for room".to_owned(),
        TransferState::Resolving => "asking what it is …".to_owned(),
        TransferState::Checking => "checking what is here …".to_owned(),
        TransferState::Finishing => "finishing …".to_owned(),
        TransferState::Failed(why) => why.clone(),
        TransferState::Sharing => "done".to_owned(),
        TransferState::Queued => "queued".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use engine::api::snapshot::{Catalogue, CatalogueRow, Me};

    #[test]
    fn c2_what_is_waited_for_by_name_is_looked_for_once_in_each_catalogue() {
        let row = CatalogueRow {
            id: ContentId::from_bytes([1; 32]),
            name: "newest.iso".into(),
            others: None,
            kind: common::content::Kind::File,
            size: 1,
            chunks: 1,
            sources: 1,
            complete: 1,
            first_seen: 0,
        };
        let mut snapshot = Snapshot::first(Me::example());
        let mut show = |version, rows: &[CatalogueRow]| {
            let rows = rows.to_vec().into();
            snapshot.catalogue = Arc::new(Catalogue { version, rows, whole: true });
            snapshot.clone()
        };
        let mut search = Search::new(true);
        let before = show(7, &[]);
        assert!(matches!(search.look_up("new", &before), Found::NotYet));
        search.looked(&before);
        // The engine never changes a catalogue without its number: that it is not looked at again shows.
        assert!(matches!(
            search.look_up("new", &show(7, std::slice::from_ref(&row))),
            Found::NotYet
        ));
        assert!(matches!(search.look_up("new", &show(8, &[row])), Found::Yes(..)));
        // Who does not wait is told at once, and what is like it.
        let now = Search::new(false);
        let Found::No(refused) = now.look_up("newset.iso", &snapshot) else {
            panic!("it is not there")
        };
        assert_eq!((refused.code, refused.exit), ("not-found", exit::NOT_FOUND));
        assert!(refused.message.contains("did you mean \"newest.iso\"?"), "{}", refused.message);
    }
}
