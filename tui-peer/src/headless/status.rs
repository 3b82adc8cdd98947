//! `status` and `peers`: how the running peer does.

use std::time::Instant;

use common::names::show;
use serde_json::{Value, json};

use super::ls::availability;
use super::output::{Cell, Column, Kind, Output, Paint, bytes, with_name, with_path};
use super::wait::{deadline, until};
use super::{fetch, figures};
use crate::args::{Peers, Status, exit};
use crate::control::Attached;
use crate::control::wire::Hello;
use engine::api::cause;
use engine::api::snapshot::{Mapping, NetState, Snapshot, Transfer, TransferState, Unkept};
use frontend::format;

/// Prints it; returns the exit code.
pub async fn status(peer: Attached, request: &Status, out: &mut Output) -> u8 {
    let settled = |snapshot: &Snapshot| {
        let hashing = |t: &Transfer| t.state == TransferState::Hashing;
        let on =
            matches!(snapshot.network.state, NetState::On | NetState::NoNetwork | NetState::Left);
        on && !snapshot.transfers.iter().any(hashing)
    };
    let end = deadline(request.timeout);
    let snapshot = match until(&peer.engine, end, |s| !request.wait || settled(s)).await {
        Ok(snapshot) => snapshot,
        Err(ended) => {
            let (why, code) = ended.words();
            out.error("wait", why, "tui-peer status shows how far it is");
            return code;
        }
    };
    out.json(&with_path(object(&peer.peer, &snapshot), "downloads", &snapshot.me.downloads));
    head(&peer.peer, &snapshot, out);
    if out.is_read() {
        show_transfers(&snapshot, out);
        return exit::OK;
    }
    for transfer in &snapshot.transfers {
        out.line(&format!("  {}  {}", short(transfer), line(transfer)));
        if let Some(news) = news(transfer) {
            out.line(&format!("            {news}"));
        }
        for source in &transfer.unreached {
            out.line(&format!("            {}", source.words("tried", Instant::now())));
        }
    }
    exit::OK
}

/// All of it, for programs.
fn object(peer: &Hello, snapshot: &Snapshot) -> Value {
    let mut object = figures::object("status", snapshot);
    if let Some(fields) = object.as_object_mut() {
        let (me, network) = (&snapshot.me, &snapshot.network);
        fields.insert("pid".into(), peer.pid.into());
        fields.insert("runs".into(), peer.what.clone().into());
        fields.insert("version".into(), peer.version.clone().into());
        fields.insert("peer_id".into(), me.peer.to_string().into());
        fields.insert("nick".into(), show(&me.nick).into());
        fields.insert("addr".into(), me.listen.to_string().into());
        fields.insert("tracker".into(), network.tracker.clone().into());
        let at = network.at.as_ref();
        fields.insert("tracker_place".into(), at.map(|at| at.place).into());
        fields.insert("tracker_of".into(), at.map(|at| at.of).into());
        fields.insert("tracker_back_to".into(), at.and_then(|at| at.back_to.clone()).into());
        fields.insert("tracker_back_why".into(), at.and_then(|at| at.vain.clone()).into());
        fields.insert("network_trouble".into(), network.trouble.clone().into());
        fields.insert("network_why".into(), why_not(&network.state).into());
        let (refused, why) = network.refused.clone().unzip();
        fields.insert("refused".into(), refused.unwrap_or(0).into());
        fields.insert("refused_why".into(), why.into());
        fields.insert("clock_ahead_s".into(), network.clock_ahead_s.into());
        let reachable = match network.reach() {
            cause::Reach::Open(_) | cause::Reach::Mapped(_) => Some(true),
            cause::Reach::BehindNat(_) => Some(false),
            cause::Reach::ByTracker(_) | cause::Reach::Unknown => None,
        };
        fields.insert("reachable".into(), reachable.into());
        fields.insert("punches".into(), network.punches.into());
        let mapped = network.mapped().map(|at| at.to_string());
        fields.insert("mapped".into(), mapped.into());
        let not_mapped = match &network.mapping {
            Some(Mapping::Not(why)) => Some(why.clone()),
            Some(Mapping::At(_)) | None => None,
        };
        fields.insert("mapped_why".into(), not_mapped.into());
        fields.insert("serving".into(), me.serving.into());
        fields.insert("up_limit".into(), snapshot.uploads.up_limit.into());
        fields.insert("up_held".into(), snapshot.uploads.up_held.into());
        fields.insert("down_limit".into(), snapshot.uploads.down_limit.into());
        fields.insert("files".into(), snapshot.catalogue.rows.len().into());
        fields.insert("transfers".into(), snapshot.transfers.iter().map(row).collect());
        // Null as long as everything is remembered.
        let unkept = snapshot.unkept.as_ref();
        let unkept = unkept.map(|u| json!({"why": u.why, "hint": u.hint, "waiting": u.waiting}));
        fields.insert("unkept".into(), unkept.into());
    }
    object
}

/// The peer and its network, in lines for people.
fn head(peer: &Hello, snapshot: &Snapshot, out: &mut Output) {
    out.line(&format!(
        "{} ({}, process {}) on {}",
        show(&snapshot.me.nick),
        peer.what,
        peer.pid,
        snapshot.me.listen
    ));
    let tracker = figures::tracker(&snapshot.network);
    let tracker = format!("{tracker}  {}", snapshot.network.tracker);
    match why_not(&snapshot.network.state) {
        Some(why) => out.line(&format!("{tracker}: {why}")),
        None => out.line(tracker.trim_end()),
    }
    if let Some((count, why)) = &snapshot.network.refused {
        out.line(&format!("{count} shares that the tracker does not take: {why}"));
    }
    if let Some(trouble) = &snapshot.network.trouble {
        out.line(trouble);
    }
    if let Some(ahead) = snapshot.network.clock_ahead_s {
        out.line(&format!("{}: set whichever is wrong", cause::clocks(ahead)));
    }
    let reach = snapshot.network.reach();
    if snapshot.network.state == NetState::On {
        if let Some(at) = &snapshot.network.at {
            out.line(&at.words());
        }
        out.line(&reach.words());
    }
    let is_open = matches!(reach, cause::Reach::Open(_) | cause::Reach::Mapped(_));
    // Where it is mapped and reached, that was said.
    if let Some(mapping) = snapshot.network.mapping.as_ref().filter(|_| !is_open) {
        out.line(&mapping.words());
    }
    if snapshot.network.punches == Some(false) && !is_open {
        out.line(&cause::no_calls(snapshot.me.listen.port()));
    }
    out.line(&figures::line(snapshot));
    if let Some(held) = snapshot.uploads.up_held {
        let held = format::rate(held as f64, "", out.looks().units);
        out.line(&format!("upload held at {} so that the line stays free", held.trim()));
    }
    if let Some(unkept) = &snapshot.unkept {
        out.line(&unkept_line(unkept));
    }
}

/// What stands in the table of transfers.
const COLUMNS: [Column; 9] = [
    Column { title: "NAME", kind: Kind::Text },
    Column { title: "STATE", kind: Kind::Word },
    Column { title: "SIZE", kind: Kind::Number },
    Column { title: "DONE", kind: Kind::Number },
    Column { title: "DOWN", kind: Kind::Number },
    Column { title: "UP", kind: Kind::Number },
    Column { title: "LEFT", kind: Kind::Number },
    Column { title: "WEAKEST", kind: Kind::Number },
    Column { title: "ID", kind: Kind::Word },
];

/// Transfers for a person at a terminal.
fn show_transfers(snapshot: &Snapshot, out: &mut Output) {
    if snapshot.transfers.is_empty() {
        return;
    }
    let units = out.looks().units;
    let rows = snapshot.transfers.iter().map(|t| {
        let rate = |rate| Cell::from(format::rate(rate, "", units));
        let paint = match t.state {
            TransferState::Sharing => None,
            TransferState::Failed(_)
            | TransferState::NoSource
            | TransferState::DiskFull
            | TransferState::Changed => Some(Paint::Error),
            TransferState::Paused | TransferState::Queued => Some(Paint::Dim),
            _ => Some(Paint::Accent),
        };
        let done = match t.state {
            TransferState::Sharing | TransferState::Changed => String::new(),
            _ if t.size == 0 => String::new(),
            _ if t.done >= t.size => "99.9%".to_owned(),
            _ => format::percent(t.done, t.size),
        };
        vec![
            t.name.to_string().into(),
            Cell { text: t.state.word().to_owned(), paint },
            format::size(t.size, units).into(),
            done.into(),
            rate(t.down_rate),
            rate(t.up_rate),
            t.eta_s.map_or_else(Cell::default, |seconds| format::eta(seconds).into()),
            copies(t),
            short(t).into(),
        ]
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    out.line("");
    out.table(&COLUMNS, &rows);
    for transfer in &snapshot.transfers {
        if let TransferState::Failed(why) = &transfer.state {
            out.line(&format!("{}: {why}", transfer.name));
        }
        if let Some(news) = news(transfer) {
            out.line(&format!("{}: {news}", transfer.name));
        }
        for source in &transfer.unreached {
            out.line(&source.words(&transfer.name, Instant::now()));
        }
    }
}

/// Copies of its weakest chunk, this peer's own among them if it has all.
fn copies(t: &Transfer) -> Cell {
    match t.availability {
        Some(copies) => availability(copies),
        None if t.state == TransferState::Sharing && t.other_complete == 0 => {
            Cell::painted("only here", Paint::Warn)
        }
        None if t.state == TransferState::Sharing => {
            format::short_count(u64::from(t.other_complete) + 1).into()
        }
        None => Cell::default(),
    }
}

/// Prints the connected peers; returns the exit code.
pub async fn peers(peer: Attached, request: &Peers, out: &mut Output) -> u8 {
    let end = deadline(request.timeout);
    let snapshot = match until(&peer.engine, end, |s| !request.wait || !s.peers.is_empty()).await {
        Ok(snapshot) => snapshot,
        Err(ended) => {
            let (why, code) = ended.words();
            out.error("wait", why, "tui-peer status shows how the network does");
            return code;
        }
    };
    if out.is_read() {
        show_peers(&snapshot, out);
    }
    for row in snapshot.peers.iter() {
        out.json(&json!({
            "event": "connected", "peer": row.peer.to_string(), "nick": row.nick,
            "addr": row.addr.to_string(), "down_rate": row.down_rate.round(),
            "up_rate": row.up_rate.round(), "down": row.down, "up": row.up,
            "contents": row.contents, "rtt_ms": row.rtt_ms, "way": row.way.code(),
        }));
        if out.is_read() {
            continue;
        }
        let nick = if row.nick.is_empty() { "-" } else { &row.nick };
        out.line(&format!(
            "{}  {nick:<16} {:<21} ↓ {:>9} ({}/s)  ↑ {:>9} ({}/s)",
            row.peer.short(),
            row.addr.to_string(),
            bytes(row.down as f64),
            bytes(row.down_rate),
            bytes(row.up as f64),
            bytes(row.up_rate),
        ));
    }
    if snapshot.peers.is_empty() {
        out.note("connected to nobody just now");
    }
    exit::OK
}

/// What stands in the table of peers.
const PEER_COLUMNS: [Column; 10] = [
    Column { title: "NAME", kind: Kind::Text },
    Column { title: "KEY", kind: Kind::Word },
    Column { title: "ADDRESS", kind: Kind::Word },
    Column { title: "REACHED", kind: Kind::Word },
    Column { title: "DOWN", kind: Kind::Number },
    Column { title: "UP", kind: Kind::Number },
    Column { title: "GOT", kind: Kind::Number },
    Column { title: "SENT", kind: Kind::Number },
    Column { title: "RTT", kind: Kind::Number },
    Column { title: "SINCE", kind: Kind::Number },
];

/// Connected peers for a person at a terminal.
fn show_peers(snapshot: &Snapshot, out: &mut Output) {
    if snapshot.peers.is_empty() {
        return;
    }
    let (units, now) = (out.looks().units, Instant::now());
    let dash = out.looks().signs.dash;
    let rows = snapshot.peers.iter().map(|row| {
        let since = now.saturating_duration_since(row.since).as_secs();
        vec![
            if row.nick.is_empty() { dash.into() } else { row.nick.clone().into() },
            row.peer.short().into(),
            row.addr.to_string().into(),
            row.way.words().into(),
            format::rate(row.down_rate, dash, units).into(),
            format::rate(row.up_rate, dash, units).into(),
            format::size(row.down, units).into(),
            format::size(row.up, units).into(),
            row.rtt_ms.map_or_else(Cell::default, |ms| format!("{ms} ms").into()),
            format::eta(since).into(),
        ]
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    out.table(&PEER_COLUMNS, &rows);
}

/// Why the tracker is not there for us.
fn why_not(state: &NetState) -> Option<&str> {
    match state {
        NetState::Lost { why, .. } | NetState::Rejected { why } => Some(why),
        NetState::NoNetwork | NetState::Connecting | NetState::On | NetState::Left => None,
    }
}

/// What a restart would forget.
pub(super) fn unkept_line(unkept: &Unkept) -> String {
    let Unkept { why, hint, waiting } = unkept;
    format!("NOT REMEMBERED: {waiting} records cannot be written: {why}; {hint}")
}

fn short(transfer: &Transfer) -> String {
    if transfer.state == TransferState::Hashing { "--------".into() } else { transfer.id.short() }
}

fn line(transfer: &Transfer) -> String {
    match transfer.state {
        TransferState::Sharing => {
            format!("{} · {} · sharing", transfer.name, bytes(transfer.size as f64))
        }
        TransferState::Hashing => format!(
            "{} · hashing, {} of {}",
            transfer.name,
            bytes(transfer.done as f64),
            bytes(transfer.size as f64)
        ),
        _ => fetch::line(transfer),
    }
}

/// What is different in a folder on disk, and what to do about it.
fn news(transfer: &Transfer) -> Option<String> {
    let news = transfer.differs()?;
    Some(if news.watched {
        format!("{} on disk; shared so once nothing moves any more", news.words())
    } else {
        format!("{} on disk; tui-peer rescan {} shares it so", news.words(), transfer.id.short())
    })
}

fn row(transfer: &Transfer) -> serde_json::Value {
    let id = (transfer.state != TransferState::Hashing).then(|| transfer.id.to_string());
    let unreached = transfer.unreached.iter().map(|source| {
        json!({
            "peer": source.peer.to_string(), "nick": source.nick, "why": source.why,
            "retry_s": source.retry_s(Instant::now()),
        })
    });
    let object = json!({
        "unreached": unreached.collect::<Vec<_>>(),
        "id": id, "state": transfer.state.code(),
        "size": transfer.size, "done": transfer.done, "chunks": transfer.chunks,
        "have": transfer.have, "down_rate": transfer.down_rate.round(), "up_rate": transfer.up_rate.round(),
        "sources": transfer.sources, "downloaded": transfer.downloaded,
        "priority": transfer.plan.priority.word(), "order": transfer.plan.order,
        "sequential": transfer.plan.sequential, "up_limit": transfer.plan.up,
        "down_limit": transfer.plan.down, "news": transfer.news,
    });
    with_path(with_name(object, transfer.raw_name(), &transfer.name), "path", &transfer.path)
}
