//! The running tracker's end.

use std::io;
use std::path::Path;
use std::time::Duration;

use common::control::{self, SocketFile};
use common::id::PeerId;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use super::SOCKET;
use super::change::{STORED, apply};
use super::invited::{self, Wanted};
use super::wire::{Answer, Ask, BanRow, MAX_ANSWER, MAX_ASK, Outcome, PeerRow};
use crate::controls::Closing;
use crate::index::{Expelled, Expulsion, Index, PeerUse, Refusal, ban_text};
use crate::moving;
use crate::record::{BanRecord, Target};
use crate::shared::Shared;
use crate::store::StoreError;

/// For a question to come, and for an answer to be taken: both ends are on this machine.
const TALK: Duration = Duration::from_secs(5);
/// Rest after an error of accepting (no more file descriptors), so that it is not a busy loop.
const ACCEPT_REST: Duration = Duration::from_secs(1);
/// Those who were forgotten but may come back do so after this time, in milliseconds.
const COME_BACK_MS: u32 = 2_000;
/// Fewer characters of a key are refused: `key.short()`, which logs and screens show, has as many.
const LEAST_KEY: usize = 8;
/// Most peers in one answer.
const MAX_PEERS: usize = 1000;
/// Records in one part of an answer: with the longest names less than [`MAX_ANSWER`].
const PART: usize = 2000;

/// Where commands come in.
pub(crate) struct Listening {
    listener: std::os::unix::net::UnixListener,
    /// Goes when nobody listens any more.
    _file: SocketFile,
}

/// Listens in the state folder, if there is one. Where the socket cannot be made that is said, and the
/// tracker does without.
pub(crate) fn listen(state_dir: Option<&Path>) -> Option<Listening> {
    let state_dir = state_dir?;
    match control::listen(SOCKET, state_dir) {
        Ok((listener, file)) => Some(Listening { listener, _file: file }),
        Err(error) => {
            let path = SOCKET.socket(state_dir);
            tracing::warn!(
                "commands (tracker ban, ...) cannot reach this tracker: {}: {error}",
                path.display()
            );
            None
        }
    }
}

/// Answers the operator's commands for as long as it is polled; one after the other, which bounds what they
/// cost.
pub(crate) async fn serve(listening: Option<Listening>, shared: &Shared) {
    let Some(Listening { listener, _file }) = listening else {
        return std::future::pending().await;
    };
    match UnixListener::from_std(listener) {
        Ok(listener) => accept(&listener, shared).await,
        Err(error) => {
            tracing::warn!("commands cannot reach this tracker: {error}");
            std::future::pending().await
        }
    }
}

async fn accept(listener: &UnixListener, shared: &Shared) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = client(stream, shared).await {
                    tracing::debug!("control client: {error}");
                }
            }
            Err(error) => {
                tracing::debug!("control socket: {error}");
                sleep(ACCEPT_REST).await;
            }
        }
    }
}

async fn client(mut stream: UnixStream, shared: &Shared) -> io::Result<()> {
    control::admit(&stream)?;
    let answer = match timeout(TALK, control::read(&mut stream, MAX_ASK)).await? {
        Ok(Some(Ask::Records)) => return send_records(&mut stream, shared).await,
        Ok(Some(ask)) => carry_out(ask, shared).await.unwrap_or_else(Answer::Refused),
        Ok(None) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Answer::Refused(format!(
            "the tracker that runs here (version {}) does not know this command; start it again with the newer program",
            env!("CARGO_PKG_VERSION")
        )),
        Err(error) => return Err(error),
    };
    timeout(TALK, control::write(&mut stream, &answer, MAX_ANSWER)).await?
}

/// All that is on the disk, in parts. Others wait for their turn until it is taken.
async fn send_records(stream: &mut UnixStream, shared: &Shared) -> io::Result<()> {
    let saved = match shared.stored().await {
        Ok(saved) => saved,
        Err(error) => {
            let refused = Answer::Refused(error.to_string());
            return timeout(TALK, control::write(stream, &refused, MAX_ANSWER)).await?;
        }
    };
    let changes = saved.into_changes();
    let parts = changes.chunks(PART).map(moving::records).chain([Vec::new()]);
    for part in parts {
        timeout(TALK, control::write(stream, &Answer::Records(part), MAX_ANSWER)).await??;
    }
    Ok(())
}

async fn carry_out(ask: Ask, shared: &Shared) -> Result<Answer, String> {
    let now = shared.clock.now_ms();
    match ask {
        Ask::Forget { who } => {
            let target = target(&who, shared)?;
            let closing = Closing::Goaway(COME_BACK_MS);
            let expelled = expel(shared, now, Expulsion::new(target), &closing).await?;
            if expelled.peers.is_empty() {
                return Err(format!("nothing is known of {target}"));
            }
            tracing::info!("{target} is forgotten: {} items", expelled.items);
            finish(shared, target, expelled).await
        }
        Ask::Ban { who, reason } => {
            let target = target(&who, shared)?;
            let (banned, _) = apply(shared, |index| index.ban(now, target, &reason)).await?;
            expel_banned(shared, now, (target, &reason), banned).await
        }
        Ask::Revoke { who, reason } => {
            let Target::Key(key) = target(&who, shared)? else {
                return Err("an address has no membership; `tracker ban` keeps it out".to_owned());
            };
            let (banned, _) = apply(shared, |index| index.revoke(now, key, &reason)).await?;
            shared.tell_revoked();
            expel_banned(shared, now, (Target::Key(key), &reason), banned).await
        }
        Ask::Invite { name, uses, until, may_share } => {
            invited::invite(shared, Wanted { name, uses, until, may_share }).await
        }
        Ask::Invites => Ok(invited::invites(shared)),
        Ask::Withdraw { number } => invited::withdraw(shared, number).await,
        Ask::Members => Ok(invited::members(shared)),
        Ask::Unban { who } => {
            let target = target(&who, shared)?;
            let is_revoked = |index: &mut Index| index.is_revoked(target);
            let was_revoked = shared.with_index(is_revoked);
            let (known, _) = apply(shared, |index| index.unban(target)).await?;
            if was_revoked {
                shared.tell_revoked();
            }
            if !known {
                return Err(format!("{target} is not banned; `tracker bans` lists who is"));
            }
            tracing::info!("{target} is banned no longer");
            finish(shared, target, Expelled::default()).await
        }
        Ask::Bans => Ok(Answer::Bans(shared.with_index(|index| {
            let row = |(target, ban): (&Target, &BanRecord)| BanRow {
                who: target.to_string(),
                reason: ban.reason.clone(),
                since: ban.since,
                revoked: ban.revoked,
            };
            index.bans().map(row).collect()
        }))),
        // Sent in parts.
        Ask::Records => Err("no answer of one part".to_owned()),
        Ask::Peers { most } => {
            let most = usize::try_from(most).unwrap_or(MAX_PEERS).min(MAX_PEERS);
            let peers = shared.with_index(|index| index.largest_peers(most));
            let row = |peer: PeerUse| PeerRow {
                key: peer.key.to_string(),
                nick: peer.nick,
                address: peer.group.map(|group| group.to_string()).unwrap_or_default(),
                here: peer.here,
                items: peer.items,
                bytes: peer.bytes,
            };
            Ok(Answer::Peers(peers.into_iter().map(row).collect()))
        }
    }
}

/// What becomes of somebody who was just banned or revoked.
async fn expel_banned(
    shared: &Shared,
    now: u64,
    (target, reason): (Target, &str),
    banned: Result<Expulsion, Refusal>,
) -> Result<Answer, String> {
    let banned = banned.map_err(|refusal| refusal.text)?;
    tracing::info!("{target} is banned: {reason}");
    let closing = Closing::Banned(ban_text(reason).into());
    let expelled = expel(shared, now, banned, &closing).await?;
    finish(shared, target, expelled).await
}

/// Closes the connections of those who are meant, and begins to forget what they have registered. Others get their
/// turn between two steps.
async fn expel(
    shared: &Shared,
    now: u64,
    mut expulsion: Expulsion,
    closing: &Closing,
) -> Result<Expelled, String> {
    let mut closed = 0;
    loop {
        let (more, _) = apply(shared, |index| index.expel_some(now, &mut expulsion)).await?;
        let sessions = &expulsion.expelled.sessions;
        for session in sessions.iter().skip(closed) {
            shared.close(*session, closing.clone());
        }
        closed = sessions.len();
        if !more {
            return Ok(expulsion.expelled);
        }
        tokio::task::yield_now().await;
    }
}

/// Has what they registered forgotten to the end, and waits for the disk.
async fn finish(shared: &Shared, target: Target, expelled: Expelled) -> Result<Answer, String> {
    for key in &expelled.peers {
        while shared.with_index(|index| index.is_forgetting(*key)) {
            shared.work_some().await.map_err(|error| error.to_string())?;
        }
    }
    shared.stirred.notify_one();
    // All that was changed before.
    let ((), commit) = apply(shared, |_| ()).await?;
    let stored = match timeout(STORED, commit).await {
        Ok(result) => result.unwrap_or(Err(StoreError::Closed)).map_err(|error| error.to_string()),
        Err(_) => Err("the disk does not answer".to_owned()),
    };
    Ok(Answer::Done(Outcome {
        who: target.to_string(),
        closed: expelled.sessions.len(),
        peers: expelled.peers.len(),
        items: expelled.items,
        unsaved: stored.err(),
    }))
}

/// Whom an operator means.
fn target(who: &str, shared: &Shared) -> Result<Target, String> {
    let who = who.trim();
    if let Ok(target) = who.parse() {
        return Ok(target);
    }
    let text = who.to_ascii_lowercase();
    let wrong = || {
        format!(
            "{who:?} is neither a key (at least its first {LEAST_KEY} characters, a-z and 2-7) nor an IP address"
        )
    };
    if text.len() < LEAST_KEY || !text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
    {
        return Err(wrong());
    }
    let found: Result<PeerId, usize> = shared.with_index(|index| index.key_beginning_with(&text));
    match found {
        Ok(key) => Ok(Target::Key(key)),
        Err(0) => Err(format!("no key that is known here begins with {text}; give it in full")),
        Err(more) => Err(format!("{more} keys begin with {text}; give more of it")),
    }
}
