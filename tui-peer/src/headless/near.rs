//! `ls --near`: the networks that trackers announce in the local network.

use std::time::Duration;

use common::near::{Looking, Near, NearNetwork, Place, look};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::output::{Cell, Column, Kind, Output, Paint};
use super::wait::deadline;
use crate::args::{Ls, exit};

/// How long answers are waited for: they come within a tenth of a second (RFC 6762, 6), and one may be lost.
const LOOK: Duration = Duration::from_millis(1500);

/// Prints what is near; returns the exit code. Needs no network, no state folder and no running peer.
pub async fn near(request: &Ls, out: &mut Output) -> u8 {
    let stop = super::stop_signal();
    let mut looking = look(Place::of_environment());
    let near = tokio::select! {
        near = collect(&mut looking, request) => near,
        code = stop => return code,
    };
    if let Some(why) = &near.trouble
        && near.networks.is_empty()
    {
        let why = format!("cannot look for networks near: {why}");
        out.error("near", &why, "paste the join string that the tracker printed");
        return exit::IO;
    }
    if out.is_read() {
        show(&near.networks, out);
    } else {
        near.networks.iter().for_each(|network| print(network, out));
    }
    if near.networks.is_empty() {
        if request.wait {
            let hint = "give it more with --timeout";
            out.error("wait", "no network announced itself within the time given", hint);
            return exit::OTHER;
        }
        if out.is_told() {
            out.always("no tracker announces itself in the local network (closed networks do so only if told: tracker --discoverable on)");
        }
    }
    exit::OK
}

/// What is near after a while; with `--wait`, once there is something.
async fn collect(looking: &mut Looking, request: &Ls) -> Near {
    let soon = Instant::now() + LOOK;
    let end = match request.timeout {
        None if !request.wait => soon,
        seconds => deadline(seconds),
    };
    // With a time given and no --wait all of it is for looking.
    let soon = if request.wait { soon.min(end) } else { end };
    loop {
        let near = looking.now();
        let found = !near.networks.is_empty();
        if near.trouble.is_some() {
            return near;
        }
        // Others may answer as well.
        let until = if found { soon } else { end };
        if timeout_at(until, looking.changed()).await.is_err() {
            return looking.now();
        }
    }
}

fn print(network: &NearNetwork, out: &mut Output) {
    let addrs: Vec<String> = network.addrs.iter().map(ToString::to_string).collect();
    out.json(&json!({
        "name": network.name, "key": network.key.to_string(), "addrs": addrs,
        "secret": network.closed, "join": network.join.to_string(),
    }));
    let secret = if network.closed { "secret" } else { "open" };
    out.line(&format!("{}  {secret:<6}  {}", network.join, network.name));
}

/// What stands in the table.
const COLUMNS: [Column; 4] = [
    Column { title: "NAME", kind: Kind::Text },
    Column { title: "ADDRESS", kind: Kind::Word },
    Column { title: "SECRET", kind: Kind::Word },
    Column { title: "KEY", kind: Kind::Word },
];

/// For a person at a terminal: the table, and below it what joins each, which is too long for a column.
fn show(networks: &[NearNetwork], out: &mut Output) {
    if networks.is_empty() {
        return;
    }
    let row = |network: &NearNetwork| {
        let secret = match network.closed {
            true => Cell::painted("needed", Paint::Warn),
            false => "none".into(),
        };
        vec![
            network.name.clone().into(),
            network.join.address().into(),
            secret,
            network.key.short().into(),
        ]
    };
    let rows: Vec<Vec<Cell>> = networks.iter().map(row).collect();
    out.table(&COLUMNS, &rows);
    for network in networks {
        out.line(&format!("tui-peer --tracker '{}'", network.join));
    }
}
