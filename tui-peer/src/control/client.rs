//! The other end: an engine handle whose engine is in another process.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::place;
use super::wire::{
    self, Answer, AnswerShape, Hello, MAX_ANSWER, MAX_REQUEST, MAX_ROWS, Page, Request,
};
use engine::api::command::{CommandError, CommandErrorKind, Reply};
use engine::api::handle::{self, EngineHandle, HandleParts, Stop};
use engine::api::snapshot::{Catalogue, Snapshot};

/// Answers read and not yet taken in.
const ANSWERS: usize = 64;
/// A running peer answers within this time, or something is wrong with it.
const FIRST_WORDS: Duration = Duration::from_secs(10);

/// Why a running peer cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(
        "no tui-peer runs on {}; start one (tui-peer, or tui-peer --serve-only), or give its state folder with --state",
        .0.display()
    )]
    NotRunning(PathBuf),
    /// Another version.
    #[error(
        "process {pid} on this state folder is tui-peer {version}, which speaks another language than this one; stop it (kill {pid}) and start it again"
    )]
    Version { pid: u32, version: String },
    /// The socket does not work.
    #[error("{}: {source}; is the tui-peer there still well?", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// A peer that runs, as another process sees it.
#[derive(Debug)]
pub struct Attached {
    /// Its engine. Stopping this handle only detaches; [`Attached::stop`] stops the peer.
    pub engine: EngineHandle,
    /// What it said of itself.
    pub peer: Hello,
    stop: mpsc::Sender<Request>,
}

impl Attached {
    /// Asks the peer to stop. [`EngineHandle::stopped`] says when it has.
    pub async fn stop(&self, now: bool) {
        // If it is gone, it has stopped.
        let _ = self.stop.send(Request::Stop(now)).await;
    }
}

/// As [`attach`], or `None` if nobody runs there.
///
/// # Errors
/// As [`attach`], without [`ControlError::NotRunning`].
pub async fn attach_if_running(
    state_dir: &Path,
    what: &str,
    catalogue: bool,
) -> Result<Option<Attached>, ControlError> {
    match attach(state_dir, what, catalogue).await {
        Ok(attached) => Ok(Some(attached)),
        Err(ControlError::NotRunning(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reaches the peer that runs on `state_dir`. `what` asks, for its log; with `catalogue`, the network's
/// files come along.
///
/// # Errors
/// [`ControlError`].
pub async fn attach(
    state_dir: &Path,
    what: &str,
    catalogue: bool,
) -> Result<Attached, ControlError> {
    let path = place::socket(state_dir);
    let wrong = |source| ControlError::Io { path: path.clone(), source };
    let stream = common::control::connect(place::SOCKET, state_dir).await.map_err(wrong)?;
    let mut stream = stream.ok_or_else(|| ControlError::NotRunning(state_dir.to_path_buf()))?;
    let talk = async {
        wire::write(&mut stream, &Hello::ours(what, catalogue), MAX_REQUEST).await?;
        wire::read::<Hello>(&mut stream, MAX_ANSWER).await
    };
    let answer = timeout(FIRST_WORDS, talk).await.map_err(|late| wrong(late.into()))?;
    // Closed without a word: it was just stopping, or has too many clients.
    let closed = || wrong(io::ErrorKind::ConnectionReset.into());
    let peer = answer.map_err(wrong)?.ok_or_else(closed)?;
    if peer.protocol != wire::PROTOCOL {
        return Err(ControlError::Version { pid: peer.pid, version: peer.version });
    }
    let (from, to) = stream.into_split();
    let (answers_tx, mut answers) = mpsc::channel(ANSWERS);
    tokio::spawn(read(from, answers_tx));
    let mut taken = Pages::default();
    let first = async {
        loop {
            match answers.recv().await? {
                Answer::Catalogue(page) => taken.add(page),
                Answer::Snapshot(snapshot) => return Some(taken.complete(*snapshot)),
                Answer::Reply(..) | Answer::Event(_) => {}
            }
        }
    };
    let first = timeout(FIRST_WORDS, first).await.map_err(|late| wrong(late.into()))?;
    let (engine, parts) = handle::channel(first.ok_or_else(closed)?);
    let (stop, stops) = mpsc::channel(1);
    tokio::spawn(pump(peer.clone(), to, answers, parts, stops, taken));
    Ok(Attached { engine, peer, stop })
}

async fn read(mut from: OwnedReadHalf, answers: mpsc::Sender<Answer>) {
    loop {
        let answer = match wire::read_bytes(&mut from, MAX_ANSWER).await {
            Ok(Some(bytes)) => understand(&bytes),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        match answer {
            Ok(Some(answer)) => {
                if answers.send(answer).await.is_err() {
                    return;
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "control socket");
                return;
            }
        }
    }
}

/// What the peer says; `None` for an event that only a newer version knows.
///
/// # Errors
/// If it is something else that is not understood.
fn understand(bytes: &[u8]) -> io::Result<Option<Answer>> {
    let error = match wire::decode(bytes) {
        Ok(answer) => return Ok(Some(answer)),
        Err(error) => error,
    };
    match wire::decode(bytes) {
        Ok(AnswerShape::Reply(number, _)) => {
            let message = "the running peer is a newer version, and its answer cannot be read: it may or may not have been done".to_owned();
            let refusal = CommandError { kind: CommandErrorKind::Invalid, message };
            Ok(Some(Answer::Reply(number, Err(refusal))))
        }
        Ok(AnswerShape::Event(_)) => Ok(None),
        Err(_) => Err(error),
    }
}

/// Why a command is not sent to a peer that would hang up on it.
fn too_new(peer: &Hello) -> CommandError {
    let message = format!(
        "process {} is tui-peer {}, an earlier version that does not know this command; stop it and start this one",
        peer.pid, peer.version
    );
    CommandError { kind: CommandErrorKind::Invalid, message }
}

/// Between a handle and the socket, until one of them ends.
async fn pump(
    peer: Hello,
    mut to: OwnedWriteHalf,
    mut answers: mpsc::Receiver<Answer>,
    mut parts: HandleParts,
    mut stops: mpsc::Receiver<Request>,
    mut taken: Pages,
) {
    type Caller = oneshot::Sender<Result<Reply, CommandError>>;
    let mut callers: HashMap<u64, Caller> = HashMap::new();
    let mut next = 0;
    loop {
        let request = tokio::select! {
            answer = answers.recv() => {
                match answer {
                    Some(Answer::Reply(number, reply)) => {
                        if let Some(caller) = callers.remove(&number) {
                            let _ = caller.send(reply);
                        }
                    }
                    Some(Answer::Event(event)) => {
                        parts.events.send(event);
                    }
                    Some(Answer::Catalogue(page)) => taken.add(page),
                    Some(Answer::Snapshot(snapshot)) => {
                        parts.snapshots.send_replace(Arc::new(taken.complete(*snapshot)));
                    }
                    None => break,
                }
                continue;
            }
            call = parts.commands.recv() => match call {
                Some((command, caller)) if command.since() > peer.knows => {
                    // A caller that no longer waits is fine.
                    let _ = caller.send(Err(too_new(&peer)));
                    continue;
                }
                Some((command, caller)) => {
                    next += 1;
                    callers.retain(|_, caller| !caller.is_closed());
                    callers.insert(next, caller);
                    Request::Call(next, Box::new(command))
                }
                // Nobody holds the handle any more.
                None => break,
            },
            Some(request) = stops.recv() => request,
            changed = parts.stop.changed() => match changed {
                Ok(()) if *parts.stop.borrow() == Stop::No => continue,
                _ => break,
            },
        };
        if wire::write(&mut to, &request, MAX_REQUEST).await.is_err() {
            break;
        }
    }
}

/// The catalogue as it comes in.
#[derive(Debug, Default)]
struct Pages {
    coming: Vec<engine::api::snapshot::CatalogueRow>,
    whole: Arc<Catalogue>,
}

impl Pages {
    fn add(&mut self, page: Page) {
        if page.first {
            self.coming.clear();
        }
        let room = MAX_ROWS.saturating_sub(self.coming.len());
        self.coming.extend(page.rows.into_iter().take(room));
        if page.last {
            let rows = std::mem::take(&mut self.coming).into();
            let (version, whole) = (page.version, page.whole);
            self.whole = Arc::new(Catalogue { version, rows, whole });
        }
    }

    fn complete(&self, snapshot: Snapshot) -> Snapshot {
        Snapshot { catalogue: self.whole.clone(), ..snapshot }
    }
}
