//! The screen on a pretended engine: `cargo run --example screen [fresh|lost|big|panic|PEERS] [still]`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "an example"
)]

#[allow(dead_code)]
#[path = "../tests/screens/testkit.rs"]
mod testkit;

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::api::chunk_states::Chunks;
use engine::api::command::{Command, CommandError, CommandErrorKind, Reply};
use engine::api::handle::{HandleParts, channel};
use engine::api::snapshot::{ChunkState, FolderEntry, NetState, Snapshot, TransferState};
use screen::{Options, run, signals};
use settings::load;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let kind = std::env::args().nth(1).unwrap_or_default();
    let now = Instant::now();
    let mut snap = if kind == "fresh" { testkit::fresh(now) } else { testkit::rich(now) };
    if kind == "big" {
        snap.catalogue = Arc::new(testkit::catalogue(100_000));
    }
    if kind == "lost" {
        snap.network.state = NetState::Lost {
            since: now,
            retry_at: now + Duration::from_secs(60),
            why: "connection refused".to_owned(),
        };
    }
    let (handle, parts) = channel(snap.clone());
    let still = std::env::args().nth(2).is_some();
    let engine = tokio::spawn(engine(parts, snap, still));
    if kind == "panic" {
        tokio::spawn(async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let number: u8 = "x".parse().unwrap();
            eprintln!("{number}");
        });
    }
    let table = load::table(Default::default(), screen::keymap::check)?;
    let reason =
        run(handle, Options { table, demo: true, ..Options::default() }, signals()?).await?;
    engine.abort();
    eprintln!("{reason:?}");
    Ok(())
}

async fn engine(mut parts: HandleParts, mut snap: Snapshot, still: bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    for event in testkit::events() {
        parts.events.send(event);
    }
    let mut sent_events = false;
    tokio::time::sleep(Duration::from_millis(200)).await;
    loop {
        tokio::select! {
            Some((command, reply)) = parts.commands.recv() => {
                let _ = reply.send(answer(&mut snap, command));
                publish(&mut parts, &mut snap);
            }
            _ = tick.tick(), if !still || !sent_events => {
                if !sent_events {
                    sent_events = true;
                    for event in testkit::events() {
                        parts.events.send(event);
                    }
                }
                if snap.network.state == NetState::On && !still {
                    step(&mut snap);
                    publish(&mut parts, &mut snap);
                }
            }
            else => return,
        }
    }
}

fn publish(parts: &mut HandleParts, snap: &mut Snapshot) {
    snap.seq += 1;
    snap.at = Instant::now();
    parts.snapshots.send_replace(Arc::new(snap.clone()));
}

fn step(snap: &mut Snapshot) {
    let wave = 1.0 + 0.4 * f64::sin(snap.seq as f64 / 7.0);
    snap.totals.down_rate = 12_998_144.0 * wave;
    snap.totals.up_rate = 3_250_585.0 * (2.0 - wave);
    let mut transfers = snap.transfers.to_vec();
    for t in transfers.iter_mut().filter(|t| t.state == TransferState::Getting) {
        t.done = (t.done + 3_000_000).min(t.size);
        t.down_rate = snap.totals.down_rate;
    }
    snap.transfers = transfers.into();
    if let Some(focus) = &snap.focus {
        let mut focus = (**focus).clone();
        let next =
            |of: ChunkState| (0..focus.chunks.len()).find(|i| focus.chunks.state(*i) == Some(of));
        let (flying, missing) = (next(ChunkState::InFlight), next(ChunkState::Missing));
        if let Some(i) = flying {
            focus.chunks.set(i, ChunkState::Have, focus.chunks.partial(i));
            focus.newest = u32::try_from(i).ok();
            focus.flights.retain(|(chunk, _)| *chunk as usize != i);
        }
        if let Some(i) = missing {
            focus.chunks.set(i, ChunkState::InFlight, focus.chunks.partial(i));
            focus.flights.push((i as u32, 0));
            focus.flights.sort_unstable();
        }
        for (i, source) in focus.sources.iter_mut().enumerate() {
            if source.down_rate > 0.0 {
                source.down_rate = 4_000_000.0 / (i as f64 + 1.0)
                    * (1.0 + 0.5 * f64::sin(snap.seq as f64 / 5.0 + i as f64));
            }
        }
        snap.focus = Some(Arc::new(focus));
    }
}

/// Peers that have something of what is looked at.
fn peers() -> u32 {
    std::env::args().nth(1).and_then(|kind| kind.parse().ok()).unwrap_or(9)
}

fn answer(snap: &mut Snapshot, command: Command) -> Result<Reply, CommandError> {
    match command {
        Command::Focus { id, look } => {
            let row = snap.catalogue.rows.iter().find(|row| Some(row.id) == id);
            snap.focus = row.map(|row| {
                let own = snap.transfers.iter().find(|t| t.id == row.id);
                let share = own.map_or(0.0, |t| t.done as f64 / t.size.max(1) as f64);
                let n = if row.id == testkit::content(0) { 23_593 } else { row.chunks as usize };
                let mut focus = testkit::focus(
                    row.id,
                    n,
                    share,
                    if share > 0.0 && share < 1.0 { 3 } else { 0 },
                );
                if share >= 1.0 {
                    focus.chunks = Chunks::of(&vec![ChunkState::Have; n], &[]);
                }
                if row.sources == 0 {
                    focus.sources.clear();
                }
                focus.holders = look.holders.map(|request| testkit::holders(n, request, peers()));
                focus.sent = look.senders.map(testkit::sent);
                Arc::new(focus)
            });
            Ok(Reply::Accepted)
        }
        Command::ListFiles { .. } => Ok(Reply::Files(
            (0..200)
                .map(|i| FolderEntry {
                    path: format!("clips/en/common_voice_{i:05}.mp3"),
                    raw: format!("clips/en/common_voice_{i:05}.mp3"),
                    size: 40_000 + i * 977,
                    done: if i % 3 == 0 { 40_000 + i * 977 } else { 0 },
                    wanted: i % 7 != 0,
                })
                .collect(),
        )),
        Command::Leave => {
            snap.network.state = NetState::Left;
            Ok(Reply::Accepted)
        }
        Command::Rejoin | Command::Join { .. } => {
            *snap = Snapshot {
                network: testkit::rich(snap.at).network,
                catalogue: testkit::rich(snap.at).catalogue,
                ..snap.clone()
            };
            Ok(Reply::Accepted)
        }
        Command::Host => {
            let join: common::join::JoinString =
                testkit::join_string().parse().map_err(|_| failed("no"))?;
            snap.network = testkit::rich(snap.at).network;
            snap.network.hosting = true;
            Ok(Reply::Hosting(join))
        }
        Command::Pause { id } => {
            set(snap, id, &TransferState::Paused);
            Ok(Reply::Accepted)
        }
        Command::Resume { id } => {
            set(snap, id, &TransferState::Getting);
            Ok(Reply::Accepted)
        }
        Command::Serve { on } => {
            snap.me.serving = on;
            Ok(Reply::Accepted)
        }
        Command::Share { path, .. } if !path.exists() => {
            Err(failed(&format!("{}: no such file or folder", path.display())))
        }
        _ => Ok(Reply::Accepted),
    }
}

fn set(snap: &mut Snapshot, id: common::id::ContentId, state: &TransferState) {
    let mut transfers = snap.transfers.to_vec();
    for t in transfers.iter_mut().filter(|t| t.id == id) {
        t.state = state.clone();
    }
    snap.transfers = transfers.into();
}

fn failed(message: &str) -> CommandError {
    CommandError { kind: CommandErrorKind::NotFound, message: message.to_owned() }
}
