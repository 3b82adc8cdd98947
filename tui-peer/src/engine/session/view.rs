//! Making snapshots: what front ends see.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use common::id::{ContentId, PeerId};

use super::content::{Content, Download, Phase, Role, Share, ShareState, bytes_of};
use super::{Session, Totals};
use crate::engine::disk::free_space;
use crate::engine::snapshot::{
    self, ChunkState, Flags, Focus, Me, Network, Plan, Snapshot, SourceRow, SourceState, Transfer,
    TransferState,
};
use crate::swarm::view::{ContentView, SourceView, SourceWord};

impl Session {
    pub(super) fn publish(&mut self) {
        self.published = Instant::now();
        let now = self.now();
        let rates = self.node.rates(now);
        let Totals { down, up, wasted } = self.totals;
        let snapshot = Snapshot {
            seq: self.snapshots.borrow().seq + 1,
            at: self.published,
            me: Me {
                peer: self.me,
                nick: self.config.nick.clone(),
                listen: self.listen,
                downloads: self.config.downloads.clone(),
                disk_free: self.disk_free,
                serving: self.serving,
            },
            network: self.network_view(),
            totals: snapshot::Totals { down_rate: rates.down, up_rate: rates.up, down, up, wasted },
            catalogue: self.net.catalogue.clone(),
            transfers: self.transfers(),
            peers: self.peers(),
            focus: self.focus.and_then(|id| self.focus_view(id)).map(Arc::new),
            uploads: self.uploads(),
            bans: self.ban_rows(),
            watches: self.keeping.kept.watches.iter().map(|words| words.as_str().into()).collect(),
        };
        // Rates fade for a while after the last byte: keep drawing until they have.
        self.dirty = rates.down > 0.0 || rates.up > 0.0 || !self.jobs.is_empty();
        self.snapshots.send_replace(Arc::new(snapshot));
    }

    pub(super) fn measure_disk(&mut self) {
        self.disk_free = free_space(&self.config.downloads).ok();
    }

    fn network_view(&self) -> Network {
        let join = self.net.join.as_ref();
        Network {
            state: self.net.state.clone(),
            tracker: join.map(common::join::JoinString::address).unwrap_or_default(),
            join: join.map(ToString::to_string),
            latency_ms: self.net.latency_ms,
            hosting: self.net.hosted.is_some(),
            asking: self.asking,
        }
    }

    fn transfers(&self) -> Arc<[Transfer]> {
        let jobs = self.jobs.iter().map(|job| {
            let total = job.progress.total.load(Ordering::Relaxed);
            let done = job.progress.done.load(Ordering::Relaxed);
            Transfer {
                name: job.shown.clone(),
                state: TransferState::Hashing,
                size: total,
                done,
                path: job.path.clone(),
                ..blank(ContentId::from_bytes([0; 32]))
            }
        });
        let own = self.order.iter().filter_map(|id| self.contents.get(id));
        let mut rows: Vec<Transfer> =
            own.map(|content| self.transfer(content)).chain(jobs).collect();
        self.number(&mut rows);
        rows.into()
    }

    /// Places in the line of unfinished downloads.
    fn number(&self, rows: &mut [Transfer]) {
        let line: HashMap<ContentId, u32> = self.line().into_iter().zip(0u32..).collect();
        let mut queued: Vec<(u32, &mut Plan)> = Vec::new();
        for row in rows {
            let Some(order) = line.get(&row.id) else { continue };
            row.plan.order = *order;
            if row.state == TransferState::Queued {
                queued.push((*order, &mut row.plan));
            }
        }
        queued.sort_by_key(|(order, _)| *order);
        for (place, (_, plan)) in (1u32..).zip(queued) {
            plan.place = Some(place);
        }
    }

    fn transfer(&self, content: &Content) -> Transfer {
        let view = self.node.content(&content.id, self.now());
        let mut row = Transfer {
            name: content.shown.clone(),
            kind: content.kind,
            other_complete: content.other_complete,
            ..blank(content.id)
        };
        row.plan.waiting = content.other_partial;
        row.plan.up = content.limit.as_ref().and_then(|limit| limit.rate());
        if let Some(layout) = &content.layout {
            (row.size, row.chunks) = (layout.total(), layout.chunks());
        } else if let Some(meta) = self.net.row(&content.id) {
            (row.size, row.chunks) = (meta.total, meta.chunks);
        }
        if let Some(view) = &view {
            row.have = view.have.count();
            row.down_rate = view.down_rate;
            row.up_rate = view.up_rate;
            row.uploaded = view.uploaded;
            row.active = view.active;
            row.wanted_by = view.fetchers;
            row.availability = view.copies;
            row.unavailable = view.unavailable;
        }
        let known = self.net.sources.get(&content.id).map_or(0, HashMap::len);
        let connected = view.as_ref().map_or(0, |view| view.sources.len());
        row.sources = u32::try_from(known.max(connected)).unwrap_or(u32::MAX);
        match &content.role {
            Role::Share(share) => {
                share_row(&mut row, content, share);
                row.plan.cleared = self.is_hidden(&content.id, share);
            }
            Role::Download(download) => self.download_row(&mut row, content, download, view),
        }
        row
    }

    fn download_row(
        &self,
        row: &mut Transfer,
        content: &Content,
        download: &Download,
        view: Option<ContentView<'_>>,
    ) {
        row.downloaded = true;
        row.path = download.record.dir.join(content.shown.as_ref());
        row.plan = Plan { waiting: row.plan.waiting, ..self.plan(download) };
        let Some(layout) = &content.layout else {
            row.state = phase_state(&download.phase, false);
            return;
        };
        row.size = bytes_of(layout, &download.wanted);
        row.chunks = download.wanted.count();
        let none_left = view.as_ref().is_some_and(|view| view.stuck);
        row.state = phase_state(&download.phase, none_left);
        if let Some(view) = view {
            row.have = view.wanted_here;
            row.done = view.done_bytes;
        } else {
            row.have = download.found.count();
            row.done = bytes_of(layout, &download.found);
        }
        let left = row.size.saturating_sub(row.done);
        let moving = matches!(download.phase, Phase::Getting) && row.down_rate >= 1.0;
        row.eta_s = moving.then(|| (left as f64 / row.down_rate).ceil() as u64);
    }

    fn plan(&self, download: &Download) -> Plan {
        let wish = &download.record.wish;
        let why = match &download.phase {
            Phase::Queued => format!("{} run at once; + raises it", self.config.max_active),
            Phase::Watching => "starts when somebody has it".to_owned(),
            Phase::Blocked { why, .. } => why.clone(),
            Phase::Paused => "by you".to_owned(),
            _ => String::new(),
        };
        Plan {
            priority: wish.priority,
            sequential: wish.sequential,
            up: wish.up,
            down: wish.down,
            watch: download.phase == Phase::Watching,
            why,
            ..Plan::default()
        }
    }

    /// Chunks and sources of one content: exact if it is ours, else as the tracker says.
    fn focus_view(&self, id: ContentId) -> Option<Focus> {
        let view = self.node.content(&id, self.now());
        let claimed = self.net.sources.get(&id);
        let chunks = match &view {
            Some(view) => view.have.chunks(),
            None => self.net.row(&id)?.chunks,
        };
        let mut availability = vec![0u16; chunks as usize];
        let mut states = vec![ChunkState::Missing; chunks as usize];
        let mut rows = Vec::new();
        if let Some(view) = &view {
            for (slot, copies) in availability.iter_mut().zip(&view.availability) {
                *slot = *copies;
            }
            let stored = |chunk: u32| match chunk {
                c if view.have.contains(c) => ChunkState::Have,
                c if view.in_flight(c) => ChunkState::InFlight,
                c if !view.wanted.contains(c) => ChunkState::Unwanted,
                _ => ChunkState::Missing,
            };
            for (chunk, slot) in (0u32..).zip(states.iter_mut()) {
                *slot = stored(chunk);
            }
            rows.extend(view.sources.iter().map(|source| self.source_row(source)));
        }
        let connected: Vec<PeerId> = rows.iter().map(|row: &SourceRow| row.peer).collect();
        for source in claimed.into_iter().flat_map(HashMap::values) {
            if connected.contains(&source.peer) {
                continue;
            }
            if let Some(set) = source.set.as_ref().filter(|set| set.chunks() == chunks) {
                for chunk in set.iter() {
                    if let Some(slot) = availability.get_mut(chunk as usize) {
                        *slot = slot.saturating_add(1);
                    }
                }
            }
            rows.push(SourceRow {
                peer: source.peer,
                nick: source.nick.clone(),
                addr: source.addrs.first().copied(),
                state: SourceState::Waiting,
                why: String::new(),
                down_rate: 0.0,
                up_rate: 0.0,
                got: 0,
                have: source.have,
                pipe: (0, 0),
                rtt_ms: None,
                flags: Flags::default(),
            });
        }
        rows.sort_by(|a, b| {
            b.down_rate
                .total_cmp(&a.down_rate)
                .then(a.state.cmp(&b.state))
                .then(a.peer.cmp(&b.peer))
        });
        Some(Focus { id, chunks: states.into(), availability: availability.into(), sources: rows })
    }

    fn source_row(&self, source: &SourceView) -> SourceRow {
        let state = match source.word {
            SourceWord::Open => SourceState::Open,
            SourceWord::Slow => SourceState::Slow,
            SourceWord::NoData => SourceState::NoData,
            SourceWord::Choked => SourceState::Choked,
            SourceWord::Snubbed => SourceState::Snubbed,
            SourceWord::Waiting => SourceState::Waiting,
            SourceWord::Fetching => SourceState::Fetching,
        };
        SourceRow {
            peer: source.peer,
            nick: self.nick(&source.peer),
            addr: self.conns.get(&source.conn).map(|conn| conn.addr),
            state,
            why: source.why.to_owned(),
            down_rate: source.down_rate,
            up_rate: source.up_rate,
            got: source.got,
            have: source.have,
            pipe: source.pipe,
            rtt_ms: source.rtt_ms,
            flags: Flags {
                choked_by: source.choked_by,
                interested_in: source.interested_in,
                choking: source.choking,
                interesting: source.interesting,
            },
        }
    }

    pub(super) fn nick(&self, peer: &PeerId) -> String {
        self.nicks.get(peer).cloned().unwrap_or_default()
    }
}

fn share_row(row: &mut Transfer, content: &Content, share: &Share) {
    row.downloaded = share.downloaded;
    row.path = share.paths.first().cloned().unwrap_or_default();
    if let (Some(part), Some(layout)) = (&share.part, &content.layout) {
        row.size = bytes_of(layout, part);
        row.chunks = part.count();
    }
    row.done = row.size;
    row.have = row.chunks;
    row.availability = None;
    row.unavailable = 0;
    row.state = match &share.state {
        ShareState::Serving => TransferState::Sharing,
        ShareState::Verifying => TransferState::Checking,
        ShareState::Gone(why) => {
            row.plan.why.clone_from(why);
            TransferState::Changed
        }
    };
    if matches!(share.state, ShareState::Gone(_)) {
        (row.done, row.have) = (0, 0);
    }
}

fn phase_state(phase: &Phase, stuck: bool) -> TransferState {
    match phase {
        Phase::Queued => TransferState::Queued,
        Phase::Watching => TransferState::NoSource,
        Phase::Resolving if stuck => TransferState::NoSource,
        Phase::Resolving => TransferState::Resolving,
        Phase::Opening => TransferState::Checking,
        Phase::Getting if stuck => TransferState::NoSource,
        Phase::Getting => TransferState::Getting,
        Phase::Finishing => TransferState::Finishing,
        Phase::Paused => TransferState::Paused,
        Phase::Blocked { full: true, .. } => TransferState::DiskFull,
        Phase::Blocked { why, .. } | Phase::Failed(why) => TransferState::Failed(why.clone()),
    }
}

/// A row with nothing in it.
fn blank(id: ContentId) -> Transfer {
    Transfer {
        id,
        name: "".into(),
        kind: common::content::Kind::File,
        state: TransferState::Queued,
        size: 0,
        done: 0,
        chunks: 0,
        have: 0,
        path: std::path::PathBuf::new(),
        down_rate: 0.0,
        up_rate: 0.0,
        uploaded: 0,
        eta_s: None,
        active: 0,
        sources: 0,
        availability: None,
        unavailable: 0,
        downloaded: false,
        wanted_by: 0,
        other_complete: 0,
        plan: Plan::default(),
    }
}
