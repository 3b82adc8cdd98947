//! Describing what is shared for programs that speak BitTorrent v2.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use common::id::ContentId;
use tokio::sync::oneshot;

use super::commands::Answer;
use super::content::Role;
use super::done::Done;
use super::verify::EARLIER_STATE;
use super::{Session, refuse};
use crate::api::command::{CommandError, CommandErrorKind, MAX_ANNOUNCE, Reply};
use crate::library::{Library, Prepared, ShareRecord, restore};
use crate::torrent::Torrent;

/// Longest address of a tracker in bytes: browsers take no longer ones.
const MAX_URL: usize = 2048;

impl Session {
    /// Writes the description to a new file; the answer, unless it comes later.
    pub(super) fn write_torrent(
        &mut self,
        id: &ContentId,
        to: PathBuf,
        announce: Vec<String>,
        reply: oneshot::Sender<Answer>,
    ) -> Option<(Answer, oneshot::Sender<Answer>)> {
        let path = match self.described(id, &to, &announce) {
            Ok(path) => path,
            Err(error) => return Some((Err(error), reply)),
        };
        let library = self.write_queue.library().clone();
        // Where the file goes may be a disk that hangs.
        self.background.reading(to, move |to| {
            let answer = library
                .share(&path)
                .map_err(|error| refuse(CommandErrorKind::Io, error.to_string()))
                .and_then(|record| {
                    let record = record.ok_or_else(|| {
                        refuse(CommandErrorKind::NotFound, "it is no longer shared here")
                    })?;
                    describe_share(&library, &record, &to, &announce)
                });
            Done::new(move |_| {
                // A caller that no longer waits is fine.
                let _ = reply.send(answer.map(|magnet| Reply::Torrent { magnet }));
            })
        });
        None
    }

    /// Where the content lies, if it can be described at all.
    fn described(
        &self,
        id: &ContentId,
        to: &Path,
        announce: &[String],
    ) -> Result<PathBuf, CommandError> {
        if !to.is_absolute() {
            return Err(refuse(CommandErrorKind::Invalid, "the path of the file is not absolute"));
        }
        if announce.len() > MAX_ANNOUNCE || announce.iter().any(|url| url.len() > MAX_URL) {
            let text = format!("at most {MAX_ANNOUNCE} trackers of {MAX_URL} bytes each");
            return Err(refuse(CommandErrorKind::Invalid, text));
        }
        let content = self.contents.get(id).ok_or_else(|| {
            refuse(CommandErrorKind::NotFound, "neither shared nor downloaded here")
        })?;
        let Role::Share(share) = &content.role else {
            let text = "not finished yet: its hashes are known when all of it is here";
            return Err(refuse(CommandErrorKind::Invalid, text));
        };
        let path = share.paths.first().cloned();
        path.ok_or_else(|| refuse(CommandErrorKind::Invalid, EARLIER_STATE))
    }
}

/// Describes what is shared, by its stored hashes, in a new file; returns the magnet link.
///
/// # Errors
/// What, where, and what to do.
pub fn describe_share(
    library: &Library,
    record: &ShareRecord,
    to: &Path,
    announce: &[String],
) -> Result<String, CommandError> {
    let prepared = restore(library, record)
        .map_err(|error| refuse(CommandErrorKind::Io, error.to_string()))?;
    describe_prepared(&prepared, to, announce)
}

/// The same of what was just hashed.
///
/// # Errors
/// What, where, and what to do.
pub fn describe_prepared(
    prepared: &Prepared,
    to: &Path,
    announce: &[String],
) -> Result<String, CommandError> {
    let torrent = Torrent::of(prepared, announce)
        .map_err(|error| refuse(CommandErrorKind::Invalid, error.to_string()))?;
    write_new(to, &torrent.bytes).map_err(|error| {
        let text = match error.kind() {
            ErrorKind::AlreadyExists => {
                format!("{} is there already; name another file", to.display())
            }
            _ => format!("could not write {}: {error}", to.display()),
        };
        refuse(CommandErrorKind::Io, text)
    })?;
    Ok(torrent.magnet(&prepared.name, prepared.layout.total(), announce))
}

/// Writes a file that is not there yet; of one that cannot be written whole nothing stays.
fn write_new(to: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(to)?;
    let written = write_all(&mut file, bytes);
    if written.is_err() {
        drop(std::fs::remove_file(to));
    }
    written
}

fn write_all(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}
