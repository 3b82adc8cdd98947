//! Executes what a core says, as the engine's session does.

use std::time::Duration;

use common::hash::sha256;
use common::wire::Code;
use common::wire::peer::PeerMsg;
use swarm::event::{ConnId, Input, Output};

use super::links::{Job, Load};
use super::network::{Event, Network, peer_id};
use super::spec::Manner;

/// Hashing and writing a chunk.
const DISK: Duration = Duration::from_micros(500);
/// What a message takes on the wire beside its body: headers of Ethernet, IP, TCP, TLS and frame.
const MESSAGE: u32 = 100;

impl Network {
    pub(crate) fn execute(&mut self, i: usize, output: Output) {
        match output {
            Output::Dial { peer, .. } => self.dial(i, peer),
            Output::Punch { peer, wait, .. } => {
                let other = (0..self.peers.len()).find(|other| peer_id(*other) == peer).unwrap();
                self.call(i, other, wait);
            }
            Output::Send { conn, msg } => self.send(i, conn, &msg),
            Output::Disconnect { conn, .. } => self.cut(i, conn),
            Output::Serve { conn, rid, chunk, len, .. } => {
                if let Manner::Refuses(code) = self.peers[i].spec.manner {
                    self.send(i, conn, &PeerMsg::Reject { rid, code });
                    return self.soon(i, Input::Served { conn, rid });
                }
                if let Some((other, _)) = self.wires.get(&(i, conn)).copied() {
                    let chosen = self.peers[i].chosen.remove(&(conn, rid));
                    self.peers[i].served.push((self.now, other, chunk, chosen));
                }
                self.enqueue(i, conn, Job { rid, chunk: Some(chunk), len, sent: 0 });
            }
            Output::ServeManifest { conn, rid, len, .. } => {
                self.enqueue(i, conn, Job { rid, chunk: None, len, sent: 0 });
            }
            Output::StopServing { conn, rid } => {
                if self.peers[i].uplink.stop(conn, rid) {
                    self.soon(i, Input::ServeFailed { conn, rid, code: Code::Cancelled });
                }
            }
            Output::Verify { id, chunk, parts, .. } => {
                let tainted = &mut self.peers[i].tainted;
                let bad = parts.iter().any(|p| tainted.remove(&(p.conn, p.rid)).is_some());
                let actual = sha256(b"other bytes");
                let verdict = if bad {
                    Input::ChunkCorrupt { id, chunk, actual }
                } else {
                    Input::ChunkStored { id, chunk }
                };
                self.at(self.now + DISK, i, Event::Input(verdict));
            }
            Output::Discard { wasted, .. } => self.peers[i].wasted += wasted,
            Output::Completed { .. } => self.completed(i),
            Output::NeedSources { id } => self.name_sources(i, id, usize::MAX),
            Output::Notice(notice) => self.peers[i].notices.push(notice),
            Output::ManifestFetched { id, .. } => {
                let ready = self.payload(id).nothing();
                self.soon(i, Input::ContentReady { id, ready });
            }
            Output::Described { id, .. } => {
                if !self.payload(id).is_folder() {
                    let ready = self.payload(id).nothing();
                    self.soon(i, Input::ContentReady { id, ready });
                }
            }
            Output::Stored { .. } => self.stored(i),
            Output::Recheck { .. }
            | Output::CheckDoubted { .. }
            | Output::HashesLearned { .. }
            | Output::ManifestPart { .. } => {}
        }
    }

    fn send(&mut self, i: usize, conn: ConnId, msg: &PeerMsg) {
        if self.peers[i].spec.manner == Manner::Mute {
            return;
        }
        if let PeerMsg::Assign { rid, .. } = msg {
            self.peers[i].chosen.insert((conn, *rid));
        }
        if let Some((other, back)) = self.wires.get(&(i, conn)).copied() {
            self.peers[i].messages += 1;
            self.peers[i].answered_hashes += u64::from(matches!(msg, PeerMsg::Hashes { .. }));
            // Every message crosses the wire format.
            let body = msg.body();
            let len = MESSAGE + u32::try_from(body.len()).unwrap();
            let msg = PeerMsg::decode(msg.kind(), &body).unwrap().unwrap();
            self.send_small((i, conn), (other, back), Load::Message(msg), len);
        }
    }
}
