//! From a request and a snapshot to what is asked of the engine. Pure.

use std::sync::Arc;

use common::content::Kind;
use common::id::ContentId;
use serde_json::Value;

use super::step::{About, Refused, Step};
use super::{Deed, Rates, Request, peers};
use crate::find::{self, ALL};
use engine::api::command::{Command, Reorder, UNDO_TIME};
use engine::api::snapshot::{Snapshot, Transfer, TransferState};

/// Where to look for what there is.
const STATUS: &str = "tui-peer status lists what there is";

/// One step, or why not, for each target. `number` says what a name stands for beside what is here, such as the
/// numbers of a list.
pub fn plan(
    request: &Request,
    snapshot: &Snapshot,
    number: &dyn Fn(&str) -> Option<ContentId>,
) -> Vec<Result<Step, Box<Refused>>> {
    let alone = |command, event, more: Vec<(&'static str, Value)>, said: &str| {
        let (about, said) = (About::Itself, said.to_owned());
        vec![Ok(Step { command, about, event, more, said })]
    };
    match request {
        Request::On(deed, what) => contents(*deed, what, snapshot, number),
        Request::Limits(rates) => {
            let up = rates.up.unwrap_or(snapshot.uploads.up_limit);
            let down = rates.down.unwrap_or(snapshot.uploads.down_limit);
            let said = format!("limits of the whole peer, until it stops: {}", limits(up, down));
            alone(
                Command::Limits { up, down },
                "limited",
                vec![("up", up.into()), ("down", down.into())],
                &said,
            )
        }
        Request::Ban(what, time) => peers::ban(what, *time, snapshot),
        Request::Unban(what) => peers::unban(what, snapshot),
        Request::Leave => alone(
            Command::Leave,
            "left",
            Vec::new(),
            "left the network; downloads rest, and nothing is served",
        ),
        Request::Rejoin => alone(
            Command::Rejoin,
            "rejoining",
            Vec::new(),
            "rejoining the network; tui-peer status --wait ends when that is done",
        ),
        Request::Serve(on) => alone(
            Command::Serve { on: *on },
            "serving",
            vec![("on", (*on).into())],
            if *on { "serving others" } else { "serving paused: others get nothing from here" },
        ),
        Request::Announce => {
            alone(Command::Announce, "announced", Vec::new(), "asking the tracker now")
        }
    }
}

fn contents(
    deed: Deed,
    what: &[String],
    snapshot: &Snapshot,
    number: &dyn Fn(&str) -> Option<ContentId>,
) -> Vec<Result<Step, Box<Refused>>> {
    let mut steps = Vec::new();
    let mut seen = Vec::new();
    for text in what {
        if text == ALL {
            let all = snapshot.transfers.iter().filter(|t| applies(deed, t));
            let new: Vec<&Transfer> = all.filter(|t| !seen.contains(&t.id)).collect();
            seen.extend(new.iter().map(|t| t.id));
            // The last one that goes to the top is the first: as they stand, so they shall stand.
            let top = deed == Deed::Move(Reorder::Top);
            let ordered: Vec<&Transfer> = if top { new.into_iter().rev().collect() } else { new };
            steps.extend(ordered.into_iter().map(|t| step(deed, t)));
            continue;
        }
        let numbered = number(text);
        let found =
            match numbered {
                Some(id) => snapshot.transfers.iter().find(|t| t.id == id).ok_or_else(|| {
                    find::Miss { what: text.clone(), candidates: Vec::new(), count: 0, near: None }
                }),
                None => find::one(text, snapshot.transfers.iter()),
            };
        match found {
            Ok(t) if seen.contains(&t.id) && *t.id.as_bytes() != [0; 32] => {}
            Ok(t) => {
                seen.push(t.id);
                steps.push(step(deed, t));
            }
            Err(miss) => {
                let none = "nothing shared or downloaded here";
                steps.push(Err(Refused::miss(miss, none, STATUS)));
            }
        }
    }
    steps
}

/// Whether `all` means this one as well.
fn applies(deed: Deed, t: &Transfer) -> bool {
    match deed {
        Deed::Pause => {
            t.is_unfinished()
                && !matches!(
                    t.state,
                    TransferState::Paused
                        | TransferState::Failed(_)
                        | TransferState::Finishing
                        | TransferState::Changed
                        | TransferState::Checking
                )
        }
        Deed::Resume => {
            t.downloaded
                && matches!(
                    t.state,
                    TransferState::Paused | TransferState::Failed(_) | TransferState::DiskFull
                )
        }
        Deed::Prioritize(_) | Deed::Move(_) | Deed::InOrder(_) => t.is_on_its_way(),
        Deed::Limit(_) => t.state != TransferState::Hashing,
        // What came into a folder may not have been noticed yet; earlier states of one have no path.
        Deed::Rescan => {
            t.kind == Kind::Folder
                && !t.downloaded
                && t.state == TransferState::Sharing
                && !t.path.as_os_str().is_empty()
        }
        Deed::Remove { data, yes } => {
            let finished = if data { yes } else { !t.plan.cleared };
            t.downloaded && (t.is_unfinished() || finished)
        }
    }
}

fn step(deed: Deed, t: &Transfer) -> Result<Step, Box<Refused>> {
    let (id, name) = (t.id, t.name.clone());
    let about = About::Content { id, raw: t.raw_name().into(), name: name.clone() };
    if t.state == TransferState::Hashing {
        let message = format!("{name}: it is being hashed just now");
        return Err(Box::new(Refused {
            code: "hashing",
            exit: crate::exit::OTHER,
            message,
            hint: "wait for that: tui-peer status --wait".to_owned(),
            about,
            miss: None,
        }));
    }
    let (command, event, more, said) = match deed {
        Deed::Pause => (Command::Pause { id }, "paused", Vec::new(), format!("paused: {name}")),
        Deed::Resume => (Command::Resume { id }, "resumed", Vec::new(), format!("resumed: {name}")),
        Deed::Prioritize(priority) => (
            Command::Prioritize { id, priority },
            "prioritized",
            vec![("priority", priority.word().into())],
            format!("priority {}: {name}", priority.word()),
        ),
        Deed::Move(to) => {
            let said = match to {
                Reorder::Up | Reorder::Down => format!("moved {}: {name}", to.word()),
                Reorder::Top | Reorder::Bottom => format!("moved to the {}: {name}", to.word()),
            };
            (Command::Reorder { id, to }, "moved", vec![("to", to.word().into())], said)
        }
        Deed::InOrder(on) => {
            let order = if on { "sequential" } else { "rarest" };
            let words = if on { "chunks in order" } else { "rarest chunks first" };
            let more = vec![("order", order.into())];
            (Command::Sequential { id, on }, "ordered", more, format!("{words}: {name}"))
        }
        Deed::Rescan => {
            let said = format!("hashed, and shared as it is now: {name}");
            (Command::Rescan { id }, "rescanning", Vec::new(), said)
        }
        Deed::Limit(rates) => return limit(rates, t, about),
        Deed::Remove { data, yes } => return remove(data, yes, t, about),
    };
    Ok(Step { command, about, event, more, said })
}

fn limit(rates: Rates, t: &Transfer, about: About) -> Result<Step, Box<Refused>> {
    let (id, name) = (t.id, &t.name);
    let complete = !t.downloaded || t.state == TransferState::Sharing;
    if complete && rates.down.is_some_and(|down| down.is_some()) && rates.up.is_none() {
        let message = format!("{name}: all of it is here, so only --up makes sense");
        return Err(Refused::usage(about, message, "tui-peer limit --help"));
    }
    let up = rates.up.unwrap_or(t.plan.up);
    let down = if complete { None } else { rates.down.unwrap_or(t.plan.down) };
    let words = if complete { format!("up {}", rate(up)) } else { limits(up, down) };
    Ok(Step {
        command: Command::LimitOne { id, up, down },
        event: "limited",
        more: vec![("up", up.into()), ("down", down.into())],
        said: format!("limits of {name}: {words}"),
        about,
    })
}

fn remove(data: bool, yes: bool, t: &Transfer, about: About) -> Result<Step, Box<Refused>> {
    let (id, name): (ContentId, &Arc<str>) = (t.id, &t.name);
    let path = common::names::show(&t.path.to_string_lossy());
    let whole = t.chunks > 0 && t.have >= t.chunks;
    let finished = match t.state {
        TransferState::Sharing | TransferState::Changed => true,
        // A share that is verified, or a download that is looked at again.
        TransferState::Checking => whole,
        _ => !t.downloaded,
    };
    if !finished {
        let said = if data {
            let seconds = UNDO_TIME.as_secs();
            format!("removed, and what was fetched of it is deleted in {seconds} s: {name}")
        } else {
            format!("removed; what was fetched of it stays beside {path}: {name}")
        };
        let command = Command::Remove { id, delete_partial: data };
        let more = vec![("data", data.into())];
        return Ok(Step { command, about, event: "removed", more, said });
    }
    match (data, yes) {
        (false, _) => Ok(Step {
            command: Command::Remove { id, delete_partial: false },
            about,
            event: "removed",
            more: vec![("data", false.into())],
            said: format!("out of the list of downloads, and still shared from {path}: {name}"),
        }),
        (true, false) => {
            let message = format!(
                "{name} is finished: --data --yes deletes {path} for good, if this peer fetched it"
            );
            let hint = "give --yes as well, or leave --data away";
            Err(Box::new(Refused { code: "needs-yes", ..*Refused::usage(about, message, hint) }))
        }
        (true, true) => Ok(Step {
            command: Command::Delete { id },
            about,
            event: "removed",
            more: vec![("data", true.into())],
            said: format!("deleted, and no longer shared: {path}"),
        }),
    }
}

fn limits(up: Option<u64>, down: Option<u64>) -> String {
    format!("up {}, down {}", rate(up), rate(down))
}

fn rate(rate: Option<u64>) -> String {
    match rate {
        None => "no limit".to_owned(),
        Some(rate) if rate < 1024 => format!("{rate} B/s"),
        Some(rate) if rate < 10 << 20 => format!("{} KiB/s", rate >> 10),
        Some(rate) => format!("{} MiB/s", rate >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::api::command::Priority;
    use engine::api::snapshot::Me;

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::first(Me::example());
        let row = |n: u8, name: &str, state, downloaded| Transfer {
            name: name.into(),
            state,
            downloaded,
            path: format!("/d/{name}").into(),
            ..Transfer::blank(ContentId::from_bytes([n; 32]))
        };
        snapshot.transfers = [
            row(1, "coming", TransferState::Getting, true),
            row(2, "resting", TransferState::Paused, true),
            row(3, "here", TransferState::Sharing, true),
            row(4, "mine", TransferState::Sharing, false),
            row(0, "new", TransferState::Hashing, false),
        ]
        .into();
        snapshot
    }

    fn on(deed: Deed, what: &[&str]) -> Vec<Result<Step, Box<Refused>>> {
        let what = what.iter().map(|what| (*what).to_owned()).collect();
        plan(&Request::On(deed, what), &snapshot(), &|_| None)
    }

    fn names(steps: &[Result<Step, Box<Refused>>]) -> Vec<String> {
        let word = |about: &About| match about {
            About::Content { name, .. } => name.to_string(),
            other => format!("{other:?}"),
        };
        let name = |step: &Result<Step, Box<Refused>>| match step {
            Ok(step) => word(&step.about),
            Err(refused) => format!("!{}", refused.code),
        };
        steps.iter().map(name).collect()
    }

    #[test]
    fn c7_all_folders_are_looked_at_also_those_where_nothing_was_noticed_yet() {
        let mut snapshot = snapshot();
        let row = |n: u8, name: &str, kind, downloaded, path: &str| Transfer {
            name: name.into(),
            state: TransferState::Sharing,
            kind,
            downloaded,
            path: path.into(),
            ..Transfer::blank(ContentId::from_bytes([n; 32]))
        };
        snapshot.transfers = [
            row(1, "photos", Kind::Folder, false, "/d/photos"),
            row(2, "photos before", Kind::Folder, false, ""),
            row(3, "fetched", Kind::Folder, true, "/d/fetched"),
            row(4, "file", Kind::File, false, "/d/file"),
        ]
        .into();
        let request = Request::On(Deed::Rescan, vec!["all".to_owned()]);
        assert_eq!(names(&plan(&request, &snapshot, &|_| None)), ["photos"]);
    }

    #[test]
    fn c1_all_means_those_for_which_it_makes_sense() {
        assert_eq!(names(&on(Deed::Pause, &["all"])), ["coming"]);
        assert_eq!(names(&on(Deed::Resume, &["all"])), ["resting"]);
        let high = Deed::Prioritize(Priority::High);
        assert_eq!(names(&on(high, &["all"])), ["coming", "resting"]);
        let top = Deed::Move(Reorder::Top);
        assert_eq!(names(&on(top, &["all"])), ["resting", "coming"]);
        let rates = Rates { up: Some(Some(5)), down: None };
        assert_eq!(names(&on(Deed::Limit(rates), &["all"])), ["coming", "resting", "here", "mine"]);
        let remove = Deed::Remove { data: false, yes: false };
        assert_eq!(names(&on(remove, &["all"])), ["coming", "resting", "here"]);
        // What is finished is not meant by `all` until it is said that it may go.
        let data = |yes| Deed::Remove { data: true, yes };
        assert_eq!(names(&on(data(false), &["all"])), ["coming", "resting"]);
        assert_eq!(names(&on(data(true), &["all"])), ["coming", "resting", "here"]);
    }

    #[test]
    fn c1_every_target_gets_one_answer() {
        let all = on(Deed::Pause, &["comming", "coming", "/d/coming", "all", "new"]);
        assert_eq!(names(&all), ["!not-found", "coming", "!hashing"]);
        let missed = all.into_iter().find_map(Result::err).unwrap();
        assert_eq!(missed.exit, crate::exit::NOT_FOUND);
        assert_eq!(missed.object()["near"], "coming");
    }

    #[test]
    fn c1_what_is_finished_is_deleted_only_by_data_and_yes() {
        let data = |yes| Deed::Remove { data: true, yes };
        let asked = on(data(false), &["coming", "here"]);
        assert_eq!(names(&asked), ["coming", "!needs-yes"]);
        assert!(matches!(
            asked[0].as_ref().unwrap().command,
            Command::Remove { delete_partial: true, .. }
        ));
        // Whether it is a share of the user's own is the engine's to say.
        for what in ["here", "mine"] {
            let step = on(data(true), &[what]).remove(0).unwrap();
            assert!(matches!(step.command, Command::Delete { .. }), "{step:?}");
        }
        let kept = on(Deed::Remove { data: false, yes: true }, &["here"]).remove(0).unwrap();
        assert!(matches!(kept.command, Command::Remove { delete_partial: false, .. }));
    }

    #[test]
    fn c1_a_limit_that_is_not_named_stays() {
        let mut snapshot = snapshot();
        snapshot.uploads.up_limit = Some(7);
        let request = Request::Limits(Rates { up: None, down: Some(Some(2048)) });
        let step = plan(&request, &snapshot, &|_| None).remove(0).unwrap();
        assert!(matches!(step.command, Command::Limits { up: Some(7), down: Some(2048) }));
        assert!(step.said.contains("down 2 KiB/s"), "{}", step.said);
        let down = Deed::Limit(Rates { up: None, down: Some(Some(1)) });
        assert_eq!(names(&on(down, &["here", "coming"])), ["!usage", "coming"]);
    }
}
