//! The running peer's end: listens for the user's other commands and does what they ask.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::control::{SocketFile, admit};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::place;
use super::wire::{
    self, Answer, Hello, MAX_ANSWER, MAX_REQUEST, PAGE_ROWS, Page, Request, RequestShape,
};
use engine::api::command::{Command, CommandError, CommandErrorKind, Reply};
use engine::api::handle::{EngineHandle, Stop};
use engine::api::snapshot::Catalogue;

/// Clients served at once; commands are short, and nobody looks at more screens.
const MAX_CLIENTS: usize = 32;
/// Answers to commands waiting to be written.
const ANSWERS: usize = 16;
/// A client says who it is within this time, or is somebody else.
const HELLO: Duration = Duration::from_secs(5);
/// How long a client's first snapshot waits for a busy engine, to tell also of what happened just now.
const FRESH: Duration = Duration::from_secs(1);
/// A client that takes nothing for so long is gone.
const WRITE: Duration = Duration::from_secs(30);
/// The catalogue goes out at most this often: with 100,000 rows it is some 20 MB.
const CATALOGUE_EVERY: Duration = Duration::from_secs(1);
/// How long the last words may take once the engine has stopped.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Rest after an error of accepting (no more file descriptors), so that it is not a busy loop.
const ACCEPT_REST: Duration = Duration::from_secs(1);

/// A running control socket; removed on drop.
#[derive(Debug)]
pub struct Control {
    /// `None` while the last clients end.
    file: Option<SocketFile>,
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Control {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets clients read the last words of a stopped engine, then closes.
    pub async fn close(mut self) {
        self.file = None;
        // Clients end by themselves once the engine has stopped.
        let _ = timeout(LAST_WORDS, &mut self.task).await;
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens in `state_dir`, whose lock the caller holds: a socket found there is left over from a
/// process that died. `what` runs here, for people.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(engine: EngineHandle, state_dir: &Path, what: &'static str) -> io::Result<Control> {
    let (listener, file) = common::control::listen(place::SOCKET, state_dir)?;
    let path = file.path().to_owned();
    let task = tokio::spawn(accept(UnixListener::from_std(listener)?, engine, what));
    Ok(Control { file: Some(file), path, task })
}

async fn accept(listener: UnixListener, engine: EngineHandle, what: &'static str) {
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            () = engine.stopped() => break,
            Some(_) = clients.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let Ok(place) = places.clone().try_acquire_owned() else { continue };
                    let engine = engine.clone();
                    clients.spawn(async move {
                        if let Err(error) = client(stream, engine, what).await {
                            tracing::debug!(%error, "control client");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "control socket");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            },
        }
    }
    drop(listener);
    while clients.join_next().await.is_some() {}
}

async fn client(mut stream: UnixStream, engine: EngineHandle, what: &str) -> io::Result<()> {
    admit(&stream)?;
    let hello: Option<Hello> = timeout(HELLO, wire::read(&mut stream, MAX_REQUEST)).await??;
    let Some(hello) = hello else { return Ok(()) };
    wire::write(&mut stream, &Hello::ours(what, false), MAX_ANSWER).await?;
    if hello.protocol != wire::PROTOCOL {
        return Ok(());
    }
    // Whoever was told a moment ago that something is done may ask about it now. An engine that does not answer
    // is not waited for: its last snapshot has to do.
    let _ = timeout(FRESH, engine.call(Command::Figures)).await;
    let (mut from, mut to) = stream.into_split();
    let (answers, waiting) = mpsc::channel(ANSWERS);
    let commands = engine.clone();
    let reading = async move {
        // One command after the other: the engine answers at once, what takes time shows in snapshots.
        while let Some(bytes) = wire::read_bytes(&mut from, MAX_REQUEST).await? {
            let (number, answer) = match understand(&bytes)? {
                Ok(Request::Call(number, command)) => (number, commands.call(*command).await),
                Ok(Request::Stop(now)) => {
                    commands.stop(if now { Stop::Now } else { Stop::Gracefully });
                    continue;
                }
                Err(refused) => refused,
            };
            if answers.send(Answer::Reply(number, answer)).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = reading => ended,
        ended = write(&mut to, &engine, &hello, waiting) => ended,
    }
}

/// Which call is answered, and how.
type Answered = (u64, Result<Reply, CommandError>);

/// What a client asks; for a command that only a newer version knows, the refusal of that call.
///
/// # Errors
/// If not even that can be read.
fn understand(bytes: &[u8]) -> io::Result<Result<Request, Answered>> {
    let error = match wire::decode(bytes) {
        Ok(request) => return Ok(Ok(request)),
        Err(error) => error,
    };
    let RequestShape::Call(number, _) = wire::decode(bytes).map_err(|_| error)?;
    let message = format!(
        "process {} is tui-peer {}, which does not know this command; stop it and start the newer one",
        std::process::id(),
        env!("CARGO_PKG_VERSION"),
    );
    Ok(Err((number, Err(CommandError { kind: CommandErrorKind::Invalid, message }))))
}

type Half = tokio::net::unix::OwnedWriteHalf;

/// Everything that goes to a client, until the engine has stopped.
async fn write(
    to: &mut Half,
    engine: &EngineHandle,
    client: &Hello,
    mut answers: mpsc::Receiver<Answer>,
) -> io::Result<()> {
    let (catalogue, knows) = (client.catalogue, client.knows);
    let mut events = engine.live_events();
    let mut snapshots = engine.snapshots();
    snapshots.mark_changed();
    let mut sent: Option<Arc<Catalogue>> = None;
    let mut next_catalogue = Instant::now();
    let mut due = false;
    loop {
        tokio::select! {
            Some(answer) = answers.recv() => send(to, &answer).await?,
            event = events.recv() => match event {
                Ok(event) => send(to, &Answer::Event(event.for_older(knows))).await?,
                // The client's own log says nothing of what it missed; nor would a slow screen's.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            },
            Ok(()) = snapshots.changed() => due = true,
            () = sleep_until(next_catalogue), if stale(engine, catalogue, sent.as_ref()) => due = true,
            () = engine.stopped() => break,
        }
        if due {
            due = false;
            let snapshot = snapshots.borrow_and_update().clone();
            if stale(engine, catalogue, sent.as_ref()) && Instant::now() >= next_catalogue {
                pages(to, &snapshot.catalogue).await?;
                sent = Some(snapshot.catalogue.clone());
                next_catalogue = Instant::now() + CATALOGUE_EVERY;
            }
            send(to, &Answer::Snapshot(Box::new((*snapshot).clone()))).await?;
        }
    }
    while let Ok(answer) = answers.try_recv() {
        send(to, &answer).await?;
    }
    while let Ok(event) = events.try_recv() {
        send(to, &Answer::Event(event.for_older(knows))).await?;
    }
    let last = (*engine.snapshot()).clone();
    send(to, &Answer::Snapshot(Box::new(last))).await
}

/// Whether the client's catalogue is not the engine's.
fn stale(engine: &EngineHandle, wanted: bool, sent: Option<&Arc<Catalogue>>) -> bool {
    wanted && sent.is_none_or(|sent| !Arc::ptr_eq(sent, &engine.snapshot().catalogue))
}

async fn pages(to: &mut Half, catalogue: &Catalogue) -> io::Result<()> {
    let count = catalogue.rows.len().div_ceil(PAGE_ROWS).max(1);
    let mut rows = catalogue.rows.iter();
    for number in 0..count {
        let page = Page {
            version: catalogue.version,
            whole: catalogue.whole,
            first: number == 0,
            last: number + 1 == count,
            rows: rows.by_ref().take(PAGE_ROWS).cloned().collect(),
        };
        send(to, &Answer::Catalogue(page)).await?;
    }
    Ok(())
}

async fn send(to: &mut Half, answer: &Answer) -> io::Result<()> {
    match timeout(WRITE, wire::write(to, answer, MAX_ANSWER)).await? {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => match answer {
            Answer::Reply(number, _) => {
                let message = format!("the answer is too large for the control socket: {error}");
                let refusal = CommandError { kind: CommandErrorKind::Invalid, message };
                wire::write(to, &Answer::Reply(*number, Err(refusal)), MAX_ANSWER).await
            }
            _ => Err(error),
        },
        other => other,
    }
}
