//! What front ends see of serving: who gets what, who waits, how much went out.

use std::collections::HashMap;
use std::sync::Arc;

use common::numbers::saturate;

use super::Session;
use super::measures::{Direction, Meters, Of};
use crate::api::snapshot::{PeerRow, Take, Upload, Uploads};
use swarm::event::ConnId;

impl Session {
    pub(super) fn uploads(&self) -> Uploads {
        let line = self.core.node().upload_line(self.core.now());
        let count = |n: usize| saturate::<u32>(n);
        Uploads {
            slots: count(line.slots),
            used: count(line.used),
            waiting: count(line.waiting.len()),
            up_limit: self.ours.up.rate(),
            up_held: self.ours.traffic.held(),
            down_limit: self.ours.down.rate(),
            today: self.served_today(),
        }
    }

    /// Connected peers.
    pub(super) fn peers(&self, meters: &mut Meters) -> Arc<[PeerRow]> {
        let now = self.core.now();
        let line = self.core.node().upload_line(now);
        let places: HashMap<ConnId, u32> = line.waiting.iter().copied().zip(1u32..).collect();
        let greeted = self.conns.iter().filter(|(_, conn)| conn.greeted);
        let rows = greeted.map(|(id, conn)| {
            let view = self.core.node().conn(*id, now).unwrap_or_default();
            let takes: Vec<Take> = self
                .core
                .node()
                .takes(*id, now)
                .into_iter()
                .map(|(id, rate, sent, have)| Take {
                    id,
                    name: self.name_of(&id),
                    rate,
                    sent,
                    have,
                })
                .collect();
            let upload = match places.get(id) {
                Some(place) => Upload::Queued(*place),
                None if !takes.is_empty() || !conn.serving.is_empty() => Upload::Sending,
                None => Upload::Idle,
            };
            PeerRow {
                peer: conn.peer,
                nick: self.net.nick(&conn.peer),
                addr: conn.addr,
                way: conn.way,
                down_rate: meters.rate(Of::Conn(*id, Direction::Down), now, view.down),
                up_rate: meters.rate(Of::Conn(*id, Direction::Up), now, view.up),
                down: conn.down,
                up: conn.up,
                contents: view.contents,
                rtt_ms: view.rtt_ms,
                since: conn.since,
                upload,
                takes,
            }
        });
        let mut rows: Vec<PeerRow> = rows.collect();
        rows.sort_by_key(|row| row.peer);
        rows.into()
    }

    fn name_of(&self, id: &common::id::ContentId) -> Arc<str> {
        self.contents.get(id).map_or_else(|| id.short().into(), |content| content.shown.clone())
    }
}
