//! `send`: shares, hosts a network for one link if none is known, says the link, and ends when whoever is
//! to have it says that it has it.

mod qr;
mod receivers;
mod spool;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::content::Kind;
use common::id::ContentId;
use common::join::{FileLink, JoinString};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, sleep_until};

use self::receivers::{Receiver, Receivers};
pub use self::spool::{SpoolError, spool};
use super::output::{Output, SCHEMA, bytes};
use super::serve::{NO_NETWORK, NO_NETWORK_HINT};
use super::sharing::{Failed, Sharing};
use super::signals::Signals;
use super::wait::{deadline, no_way};
use super::working::Working;
use crate::args::exit;
use engine::api::command::{Command, Reply};
use engine::api::event::{Event, What};
use engine::api::handle::{EngineHandle, Events, Stop};
use engine::api::snapshot::{Look, Snapshot};

/// Progress events and bars at most this often.
const PROGRESS: Duration = Duration::from_millis(500);

/// What is sent, and until when.
#[derive(Debug, Clone)]
pub struct Sending {
    /// What, and under which other name.
    pub paths: Vec<(PathBuf, Option<String>)>,
    /// In a network of this link alone, which is made here.
    pub host: bool,
    /// How many are to have it.
    pub to: usize,
    /// Seconds it may take.
    pub timeout: Option<u64>,
    /// Whether to show the link as a picture.
    pub qr: bool,
}

/// Something that others can fetch now.
struct Sent {
    id: ContentId,
    name: String,
    kind: Kind,
    size: u64,
    chunks: u32,
}

/// A command at work.
struct Work {
    engine: EngineHandle,
    events: Events,
    signals: Signals,
    end: tokio::time::Instant,
    began: Instant,
}

/// Runs until it is received, or cannot be; returns the exit code.
pub async fn send(engine: EngineHandle, sending: Sending, out: &mut Output) -> u8 {
    let Ok(signals) = Signals::new() else { return exit::OTHER };
    out.only_warnings();
    let mut work = Work {
        events: engine.events(),
        engine: engine.clone(),
        signals,
        end: deadline(sending.timeout),
        began: Instant::now(),
    };
    let code = match work.run(&sending, out).await {
        Ok(code) | Err(code) => code,
    };
    out.clear();
    engine.stop(Stop::Gracefully);
    engine.stopped().await;
    out.exit(&engine.snapshot());
    code
}

impl Work {
    async fn run(&mut self, sending: &Sending, out: &mut Output) -> Result<u8, u8> {
        let hosted = if sending.host { Some(self.host(out).await?) } else { None };
        let mut all: Vec<Sent> = Vec::new();
        for (path, name) in &sending.paths {
            let sent = self.share(path.clone(), name.clone(), out).await?;
            if all.iter().all(|other| other.id != sent.id) {
                all.push(sent);
            }
        }
        let size = all.iter().fold(0, |sum: u64, sent| sum.saturating_add(sent.size));
        let contents = all.iter().map(|sent| (sent.id, sent.chunks));
        let mut receivers = Receivers::new(contents, size, sending.host);
        if receivers.chunks() == 0 {
            out.error("empty", "there is not one byte in it to send", "check what it should be");
            return Err(exit::USAGE);
        }
        let join = hosted.or_else(|| self.engine.snapshot().network.joined());
        let Some(join) = join else {
            out.error("no-network", NO_NETWORK, NO_NETWORK_HINT);
            return Err(exit::TRACKER);
        };
        let link = link(&join, &all, sending.host);
        out.clear();
        announce(&self.engine.snapshot(), &join, &link, sending, out);
        // The tracker tells the names of those who fetch what is looked at.
        let looked_at = all.first().map(|sent| sent.id);
        let _ = self.engine.call(Command::Focus { id: looked_at, look: Look::default() }).await;
        self.wait(&mut receivers, sending.to, out).await?;
        let text = words(&all, size, &receivers.done(), self.began.elapsed());
        let peers = receivers
            .done()
            .into_iter()
            .map(|receiver| json!({"peer": receiver.peer.to_string(), "nick": receiver.nick}));
        out.json(&json!({
            "event": "done", "bytes": size, "seconds": self.began.elapsed().as_secs_f64(),
            "receivers": peers.collect::<Vec<_>>(),
        }));
        out.clear();
        out.line(&text);
        Ok(exit::OK)
    }

    async fn host(&mut self, out: &mut Output) -> Result<JoinString, u8> {
        match self.engine.call(Command::Host).await {
            Ok(Reply::Hosting(join)) => Ok(join),
            Ok(_) => Err(exit::OTHER),
            Err(error) => {
                out.error("host", &error.message, "--listen names another address to listen on");
                Err(exit::OTHER)
            }
        }
    }

    /// Waits until others can fetch it.
    async fn share(
        &mut self,
        path: PathBuf,
        name: Option<String>,
        out: &mut Output,
    ) -> Result<Sent, u8> {
        let engine = self.engine.clone();
        let file_name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut sharing = Sharing::new(&engine, name.clone(), None);
        sharing.ask(path);
        let (mut ticker, mut working) = (tokio::time::interval(PROGRESS), Working::default());
        loop {
            tokio::select! {
                shared = sharing.next(&mut self.events) => return match shared {
                    Ok(shared) => Ok(Sent {
                        id: shared.row.id,
                        name: name.or(file_name).unwrap_or_else(|| shared.row.name.to_string()),
                        kind: shared.row.kind,
                        size: shared.row.size,
                        chunks: shared.row.chunks,
                    }),
                    Err(failed) => Err(not_shared(failed, out)),
                },
                _ = ticker.tick() => {
                    let snapshot = engine.snapshot();
                    working.show(&snapshot, out);
                    out.status("hashing · ^C ends");
                    if let Some(why) = no_way(&snapshot, self.began.elapsed()) {
                        out.error("tracker", &why, "--host sends without it");
                        return Err(exit::TRACKER);
                    }
                }
                () = sleep_until(self.end) => return Err(too_late(0, out)),
                code = self.signals.stop(&engine) => return Err(code),
            }
        }
    }

    /// Waits until so many have it.
    async fn wait(
        &mut self,
        receivers: &mut Receivers,
        to: usize,
        out: &mut Output,
    ) -> Result<(), u8> {
        let engine = self.engine.clone();
        let mut ticker = tokio::time::interval(PROGRESS);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = receivers.done().len();
            if done >= to {
                receivers.look(&engine.snapshot());
                return Ok(());
            }
            if out.broken {
                return Err(exit::PIPE);
            }
            tokio::select! {
                event = self.events.recv() => match event {
                    Ok(event) => hear(&event, receivers, &engine, to, out),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Err(exit::OTHER),
                },
                _ = ticker.tick() => show(receivers, &engine, to, out),
                () = sleep_until(self.end) => return Err(too_late(done, out)),
                code = self.signals.stop(&engine) => return Err(code),
            }
        }
    }
}

fn too_late(done: usize, out: &mut Output) -> u8 {
    let why = format!("not within the time given; {done} received it");
    out.error("timeout", &why, "send it again: who has a part goes on from there");
    exit::OTHER
}

fn not_shared(failed: Failed, out: &mut Output) -> u8 {
    match failed {
        Failed::Refused(error) => {
            out.error("share", &error.message, "check the path");
            exit::of(error.kind)
        }
        Failed::Share(why, hint) => {
            out.error("share", &why, &hint);
            exit::IO
        }
        Failed::Tracker(why) => {
            out.error("tracker", &why, "--host sends without it");
            exit::TRACKER
        }
        Failed::Ended(ended) => ended.words().1,
    }
}

/// The link for the other side. It holds a secret only if that was made for it.
fn link(join: &JoinString, all: &[Sent], one_time: bool) -> String {
    let mut ids = all.iter().map(|sent| sent.id);
    let (Some(first), Some(id)) = (all.first(), ids.next()) else { return String::new() };
    // Names of several are told by the tracker; the link would be long.
    let name = (all.len() == 1).then_some(first.name.as_str());
    let link = FileLink::new(join, id, Some(first.kind), name).with_also(ids);
    if one_time { link.one_time(join).to_string() } else { link.to_string() }
}

/// Says what the other side needs: on standard output the link alone, or with what to do with it where a
/// person reads it.
fn announce(
    snapshot: &Snapshot,
    join: &JoinString,
    link: &str,
    sending: &Sending,
    out: &mut Output,
) {
    let addrs: Vec<String> = match sending.host {
        true => join.addresses().map(|(host, _)| host.to_owned()).collect(),
        false => Vec::new(),
    };
    out.json(&json!({
        "event": "ready", "schema": SCHEMA, "addr": snapshot.me.listen.to_string(),
        "peer": snapshot.me.peer.to_string(), "pid": std::process::id(), "link": link,
        "addrs": addrs,
    }));
    if std::io::stdout().is_terminal() {
        out.line(&format!("On the other machine:\n\n  tui-peer get '{link}'\n"));
        if let Some(picture) = sending.qr.then(|| qr::picture(link)).flatten() {
            out.line(&picture);
        }
    } else {
        out.line(link);
    }
    if !sending.host {
        let tracker = &snapshot.network.tracker;
        out.always(&format!("in the network of {tracker}: whoever is in it can fetch this too"));
        if join.secret().is_some() {
            out.always(
                "the link lets nobody in: the other side must be in that network (or --host)",
            );
        }
    } else if addrs.iter().all(|addr| addr.starts_with("127.") || addr == "::1") {
        out.always("this machine has no address for others: only it can reach this");
    } else {
        let port = (join.port(), snapshot.me.listen.port());
        let addrs = addrs.join(", ");
        out.always(&format!("reachable at {addrs}, TCP ports {} and {}", port.0, port.1));
    }
    out.always("waiting for the other side; ^C ends");
}

fn hear(
    event: &Event,
    receivers: &mut Receivers,
    engine: &EngineHandle,
    to: usize,
    out: &mut Output,
) {
    out.event(event);
    let What::HasAll { id, peer, fetched } = &event.what else { return };
    for changed in receivers.look(&engine.snapshot()) {
        tell(&changed, receivers.chunks(), out);
    }
    if let Some(done) = receivers.has_all(*peer, *id, *fetched) {
        tell(&done, receivers.chunks(), out);
        if to > 1 {
            let n = receivers.done().len();
            out.always(&format!("{} has all of it ({n} of {to})", done.display_name()));
        }
    }
}

fn show(receivers: &mut Receivers, engine: &EngineHandle, to: usize, out: &mut Output) {
    let snapshot = engine.snapshot();
    for changed in receivers.look(&snapshot) {
        tell(&changed, receivers.chunks(), out);
    }
    out.look();
    let rows = receivers.rows();
    out.rows(&rows, "receivers");
    let done = receivers.done().len();
    out.status(&match rows.len() {
        0 => format!("waiting for the other side · {done} of {to} done · ^C ends"),
        _ => format!("{done} of {to} done · ^C ends"),
    });
}

/// How far one is, for programs.
fn tell(receiver: &Receiver, chunks: u32, out: &mut Output) {
    out.json(&json!({
        "event": "receiver", "peer": receiver.peer.to_string(), "nick": receiver.nick,
        "addr": receiver.addr.map(|addr| addr.to_string()), "connected": receiver.connected,
        "have": receiver.have, "chunks": chunks, "rate": receiver.rate.round(),
        "complete": receiver.done,
    }));
}

/// The last line.
fn words(all: &[Sent], size: u64, done: &[&Receiver], took: Duration) -> String {
    let what = match all {
        [only] => common::names::show(&only.name),
        many => format!("{} things", many.len()),
    };
    let who = match done {
        [only] => only.display_name(),
        many => format!("{} receivers", many.len()),
    };
    let size = bytes(size as f64);
    format!(
        "sent {what} ({size}) to {who} in {:.0} s, every chunk verified there",
        took.as_secs_f64()
    )
}
