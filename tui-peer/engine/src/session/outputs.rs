//! Executing what the core says.

use std::time::Duration;

use common::id::ContentId;
use common::wire::Code;

use super::Session;
use super::download::Phase;
use crate::api::event::{Level, Target, What};
use crate::conn::{ConnCommand, ServeJob, ServeSource, dial, head_start};
use crate::disk::{Buf, VerifyJob};
use swarm::event::{ConnId, Input, Notice, Output, Part};

impl Session {
    pub(super) fn execute(&mut self, output: Output) {
        match output {
            Output::Dial { peer, addrs } => {
                let tracker = self.net.latency_ms.map(|ms| Duration::from_millis(ms.into()));
                tokio::spawn(dial(peer, addrs, head_start(tracker), self.ours.clone()));
            }
            Output::Punch { peer, addrs, wait } => self.punch(peer, addrs, wait),
            Output::Send { conn, msg } => self.send_to(conn, msg),
            Output::Disconnect { conn, code, text } => {
                if code != Code::Duplicate {
                    self.log(Level::Debug, Target::Net, format!("closing a connection: {text}"));
                }
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.close(code, text);
                }
            }
            Output::Serve { conn, rid, id, chunk, off, len } => {
                self.serve(conn, rid, &id, chunk, off, len);
            }
            Output::ServeManifest { conn, rid, id, off, len } => {
                let manifest = self.contents.get(&id).and_then(|c| c.manifest.as_ref());
                match manifest {
                    Some(manifest) => {
                        let source = ServeSource::Memory(manifest.bytes().clone());
                        let job = ServeJob { rid, source, off, len, limit: None };
                        self.command(conn, ConnCommand::Serve(job));
                    }
                    None => self.feed(Input::ServeFailed { conn, rid, code: Code::Gone }),
                }
            }
            Output::StopServing { conn, rid } => {
                self.command_for(conn, rid, ConnCommand::Stop { rid });
            }
            Output::Verify { id, chunk, expected, parts } => {
                self.verify(id, chunk, expected, &parts);
            }
            Output::Recheck { id, chunk, expected } => self.recheck(id, chunk, expected),
            Output::CheckDoubted { id, chunks } => self.on_doubted(id, &chunks),
            Output::Discard { conn, rid, wasted } => {
                self.counters.totals.wasted += wasted;
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.bufs.remove(&rid);
                }
            }
            Output::Described { id, descriptor } => self.on_described(id, descriptor),
            Output::ManifestPart { id, conn, rid } => {
                let part = Part { conn, rid, off: 0, len: 0 };
                let bufs = self.take_bufs(&[part]);
                self.on_manifest_part(id, conn, &bufs);
            }
            Output::ManifestFetched { id, conn } => self.on_manifest(id, conn),
            Output::Stored { id, chunk } => {
                if let Some(chunk_map) = self.publisher.chunk_map_of(&id) {
                    chunk_map.newest = Some(chunk);
                }
                if let Some(announcer) = &self.net.announcer {
                    announcer.add_chunks(id, &[chunk]);
                }
            }
            Output::Completed { id } => self.on_completed(id),
            Output::NeedSources { id } => {
                if let Some(announcer) = &self.net.announcer {
                    announcer.locate(id);
                }
                self.recall_sources(&id);
            }
            Output::HashesLearned { id, file, index, hashes } => {
                self.on_hashes(id, file, index, &hashes);
            }
            Output::Notice(notice) => self.on_notice(&notice),
        }
    }

    /// Hands a command to a connection's writer; one that cannot take it is beyond hope.
    pub(super) fn command(&mut self, conn: ConnId, command: ConnCommand) {
        let full = self.conns.get(&conn).is_some_and(|conn| !conn.handle.send(command));
        if full {
            // Dropping the handle ends the writer, which reports the connection down.
            self.drop_conn(conn);
        }
    }

    fn serve(&mut self, conn: ConnId, rid: u32, id: &ContentId, chunk: u32, off: u32, len: u32) {
        let source = self.contents.get(id).and_then(|content| content.source.clone());
        let Some(source) = source.filter(|_| self.preferences.serving) else {
            return self.feed(Input::ServeFailed { conn, rid, code: Code::NotPermitted });
        };
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.serving.insert(rid, (*id, chunk, len));
        }
        let limit = self.contents.get(id).and_then(|content| content.limit.clone());
        let source = ServeSource::Chunk(source, chunk);
        let job = ServeJob { rid, source, off, len, limit };
        self.command_for(conn, rid, ConnCommand::Serve(job));
    }

    fn verify(&mut self, id: ContentId, chunk: u32, expected: common::id::Hash, parts: &[Part]) {
        let bufs = self.take_bufs(parts);
        let read_soon = self.core.node().is_asked_for(&id);
        let job = self.contents.get_mut(&id).and_then(|content| {
            let layout = content.layout.clone()?;
            let file = layout.place(layout.chunk(chunk)?).file;
            let only = layout.file_chunks(file)?.len() == 1;
            let target = content.as_download()?.partial()?.clone();
            let chunk_level = layout.chunk_level();
            Some(VerifyJob {
                id,
                chunk,
                expected,
                chunk_level,
                single_chunk_file: only,
                target,
                read_soon,
                bufs,
            })
        });
        match job {
            Some(job) => self.ours.disk.verify(job),
            None => self.feed(Input::ChunkNotStored { id, chunk }),
        }
    }

    /// The buffers of some requests, in order; they are no longer kept for the connections.
    fn take_bufs(&mut self, parts: &[Part]) -> Vec<Buf> {
        let mut bufs = Vec::new();
        for part in parts {
            if let Some(conn) = self.conns.get_mut(&part.conn) {
                bufs.extend(conn.bufs.remove(&part.rid).unwrap_or_default());
            }
        }
        bufs
    }

    fn on_notice(&mut self, notice: &Notice) {
        self.lens_notice(notice);
        if let Notice::Banned { peer, why, time } = notice {
            self.banned(*peer, why, *time);
        }
        let name = |id: &ContentId| self.shown_name(id);
        match notice {
            Notice::SourceJoined { id, peer, have } => {
                let text =
                    format!("{} joined ({have} chunks): {}", self.net.display_name(peer), name(id));
                self.log(Level::Info, Target::Fetch, text);
            }
            Notice::SourceLeft { id, peer, requeued } => {
                let text = format!(
                    "{} left, {requeued} requests go to others: {}",
                    self.net.display_name(peer),
                    name(id)
                );
                self.log(Level::Info, Target::Fetch, text);
            }
            Notice::Snubbed { id, peer } => {
                let text = format!(
                    "{} stopped delivering, its chunks are asked of others: {}",
                    self.net.display_name(peer),
                    name(id)
                );
                self.log(Level::Warn, Target::Fetch, text);
            }
            Notice::BadChunk { id, chunk, peer, strikes: (strike, of) } => {
                let from = peer
                    .as_ref()
                    .map_or("several peers".to_owned(), |peer| self.net.display_name(peer));
                let text = format!(
                    "wrong hash: chunk {chunk} from {from}, fetched again ({strike} of {of} before a ban): {}",
                    name(id)
                );
                self.log(Level::Error, Target::Fetch, text);
            }
            Notice::Banned { peer, why, .. } => {
                let text = format!("{} is banned: {why}", self.net.display_name(peer));
                self.tell(Level::Error, Target::Net, text, What::Banned { peer: *peer });
            }
            Notice::Unchoked { id, peer } => {
                let text = format!("serving {}: {}", self.net.display_name(peer), name(id));
                self.log(Level::Debug, Target::Serve, text);
            }
            Notice::HasAll { id, peer, fetched } => {
                let text = format!("{}: {} has all of it", name(id), self.net.display_name(peer));
                let what = What::HasAll { id: *id, peer: *peer, fetched: *fetched };
                self.tell(Level::Debug, Target::Serve, text, what);
            }
            Notice::Withdrew { id, peer } => {
                let text = format!(
                    "{} no longer has some chunks: {}",
                    self.net.display_name(peer),
                    name(id)
                );
                self.log(Level::Debug, Target::Fetch, text);
            }
        }
    }

    /// Whether somebody is fetching or we are.
    pub(super) fn is_busy(&self) -> bool {
        !self.sharing.jobs.is_empty()
            || self.conns.values().any(|conn| !conn.serving.is_empty() || !conn.bufs.is_empty())
            || self
                .contents
                .downloads()
                .any(|content| content.phase().is_some_and(Phase::is_active))
            || self.core.node().is_busy()
    }
}
