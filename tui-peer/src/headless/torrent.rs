//! `torrent`: a BitTorrent v2 description of something that is shared, or lies on this disk.

use std::path::{Path, PathBuf, absolute};

use common::id::ContentId;
use common::names::{safe_component, show};
use serde_json::json;

use super::output::{Output, with_name, with_path};
use super::signals::Signals;
use super::wait::Ended;
use super::working::{label, reading};
use super::{library_code, missed, share_code};
use crate::args::{Torrent, exit};
use crate::control::Attached;
use engine::api::command::{Command, Reply};
use engine::api::library::{Library, Progress, describe_prepared, describe_share, hash_watched};
use frontend::act::{About, Refused};
use frontend::find::{self, Miss, Named};

/// What there is none of.
const NOTHING: &str = "nothing shared here, and no file or folder, is called that";

/// By the running peer, which knows the hashes; what it does not share is hashed here. Returns the exit code.
pub async fn torrent_there(peer: Attached, request: &Torrent, out: &mut Output) -> u8 {
    let snapshot = peer.engine.snapshot();
    let transfer = match find::one(&request.what, snapshot.transfers.iter()) {
        Ok(transfer) => transfer.clone(),
        Err(miss) => return of_path(request, miss, out).await,
    };
    let raw = Named::raw(&transfer).to_owned();
    let Some(to) = place(request, &raw, out) else { return exit::USAGE };
    let Ok(mut signals) = Signals::new() else { return exit::OTHER };
    let announce = request.announce.clone();
    let command = Command::WriteTorrent { id: transfer.id, to: to.clone(), announce };
    let answer = tokio::select! {
        answer = peer.engine.call(command) => answer,
        code = signals.stop(&peer.engine) => {
            let (why, code) = Ended::Signal(code).words();
            let hint = "the file may be written all the same";
            out.error("wait", &format!("{why}: {}", show(&raw)), hint);
            return code;
        }
    };
    match answer {
        Ok(Reply::Torrent { magnet }) => tell(request, &raw, &to, &magnet, out),
        Ok(_) => exit::OTHER,
        Err(error) => {
            let refused = Refused::engine(error, about(transfer.id, &raw));
            out.refused(&refused);
            refused.exit
        }
    }
}

/// While no peer runs: by the library at `state`, or hashed here. Returns the exit code.
pub async fn torrent(state: &Path, request: &Torrent, out: &mut Output) -> u8 {
    // Nothing is made where there never was a peer.
    if !state.is_dir() {
        let miss = Miss::nothing(&request.what, std::iter::empty());
        return of_path(request, miss, out).await;
    }
    let (library, loaded) = match Library::open(state) {
        Ok(opened) => opened,
        Err(error) => {
            out.error("state", &error.to_string(), "stop whatever uses the folder");
            return library_code(&error);
        }
    };
    let record = match find::one(&request.what, loaded.shares.iter()) {
        Ok(record) => record.clone(),
        Err(miss) => return of_path(request, miss, out).await,
    };
    let Some(to) = place(request, &record.name, out) else { return exit::USAGE };
    match describe_share(&library, &record, &to, &request.announce) {
        Ok(magnet) => tell(request, &record.name, &to, &magnet, out),
        Err(error) => {
            let refused = Refused::engine(error, about(record.id, &record.name));
            out.refused(&refused);
            refused.exit
        }
    }
}

/// Of a file or folder that nobody shares here.
async fn of_path(request: &Torrent, miss: Miss, out: &mut Output) -> u8 {
    let path = PathBuf::from(&request.what);
    if std::fs::symlink_metadata(&path).is_err() {
        return missed(miss, NOTHING, "tui-peer status lists what is shared", out);
    }
    let read = path.clone();
    let work = move |progress: &Progress, cancel: &_| hash_watched(&read, 0, progress, cancel);
    let prepared = match reading(label(&path), out, work).await {
        Ok(Ok(prepared)) => prepared,
        Ok(Err(error)) => {
            out.error("hash", &error.to_string(), "check the path");
            return share_code(&error);
        }
        Err(code) => return code,
    };
    let Some(to) = place(request, &prepared.name, out) else { return exit::USAGE };
    match describe_prepared(&prepared, &to, &request.announce) {
        Ok(magnet) => tell(request, &prepared.name, &to, &magnet, out),
        Err(error) => {
            let refused = Refused::engine(error, about(prepared.id, &prepared.name));
            out.refused(&refused);
            refused.exit
        }
    }
}

/// Where the file goes: as asked, or by the name in the present folder.
fn place(request: &Torrent, raw: &str, out: &mut Output) -> Option<PathBuf> {
    let named = || safe_component(&format!("{raw}.torrent")).map(PathBuf::from).ok();
    let to = request.output.clone().or_else(named).and_then(|to| absolute(to).ok());
    if to.is_none() {
        out.error("usage", "no file can be called as this is", "name the file with -o FILE");
    }
    to
}

fn about(id: ContentId, raw: &str) -> About {
    About::Content { id, raw: raw.into(), name: show(raw).into() }
}

fn tell(request: &Torrent, raw: &str, to: &Path, magnet: &str, out: &mut Output) -> u8 {
    let object = with_name(json!({"event": "torrent", "magnet": magnet}), raw, &show(raw));
    out.json(&with_path(object, "path", to));
    out.line(&match request.magnet {
        true => magnet.to_owned(),
        false => show(&to.to_string_lossy()),
    });
    exit::OK
}
