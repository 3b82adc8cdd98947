//! The command's end.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::control;
use tokio::time::timeout;

use super::SOCKET;
use super::wire::{Answer, Ask, MAX_ANSWER, MAX_ASK};

/// A running tracker answers within this time: forgetting a /64 full of peers takes some seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a running tracker cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(
        "no tracker runs on {}; start it, or give its state folder with --state (a peer with --host keeps its tracker's in its own)",
        .0.display()
    )]
    NotRunning(PathBuf),
    /// The socket does not work.
    #[error("{}: {source}; is the tracker there still well?", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Asks the tracker that runs on `state_dir`. Needs a tokio runtime with I/O and time.
///
/// # Errors
/// [`ControlError`].
pub async fn ask(state_dir: &Path, ask: &Ask) -> Result<Answer, ControlError> {
    let wrong = |source| ControlError::Io { path: SOCKET.socket(state_dir), source };
    let stream = control::connect(SOCKET, state_dir).await.map_err(wrong)?;
    let mut stream = stream.ok_or_else(|| ControlError::NotRunning(state_dir.to_owned()))?;
    let talk = async {
        control::write(&mut stream, ask, MAX_ASK).await?;
        control::read(&mut stream, MAX_ANSWER).await
    };
    let answer = timeout(PATIENCE, talk).await.map_err(|late| wrong(late.into()))?;
    // Closed without a word: it was just stopping.
    answer.map_err(wrong)?.ok_or_else(|| wrong(io::ErrorKind::ConnectionReset.into()))
}

/// Has the tracker that runs on `state_dir` send all its records, which are given to `put` part by part. `Some` is why it
/// does not. Needs a tokio runtime with I/O and time.
///
/// # Errors
/// [`ControlError`]; also what `put` returns.
pub(crate) async fn records(
    state_dir: &Path,
    put: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<Option<String>, ControlError> {
    let wrong = |source| ControlError::Io { path: SOCKET.socket(state_dir), source };
    let stream = control::connect(SOCKET, state_dir).await.map_err(wrong)?;
    let mut stream = stream.ok_or_else(|| ControlError::NotRunning(state_dir.to_owned()))?;
    control::write(&mut stream, &Ask::Records, MAX_ASK).await.map_err(wrong)?;
    loop {
        let answer = timeout(PATIENCE, control::read(&mut stream, MAX_ANSWER)).await;
        match answer.map_err(|late| wrong(late.into()))?.map_err(wrong)? {
            Some(Answer::Records(part)) if part.is_empty() => return Ok(None),
            Some(Answer::Records(part)) => put(&part).map_err(wrong)?,
            Some(Answer::Refused(why)) => return Ok(Some(why)),
            _ => return Err(wrong(io::ErrorKind::ConnectionReset.into())),
        }
    }
}
