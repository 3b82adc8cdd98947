//! Making snapshots: what front ends see.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::content::Kind;
use common::id::ContentId;
use common::names::show;
use common::numbers::saturate;

use super::content::{Content, Role, Share, ShareState, bytes_of};
use super::download::{Download, Phase};
use super::measures::{Direction, Meters, Of};
use super::network::Met;
use super::{Session, Totals};
use crate::api::cause::Cause;
use crate::api::snapshot::{
    self, Me, Network, Plan, Rows, Snapshot, Transfer, TransferState, raw_of,
};
use swarm::view::ContentView;

/// Folders of the same bytes of which it is told what came into them: of more copies nobody reads all.
const NEWS_OF: usize = 8;

impl Session {
    pub(super) fn publish(&mut self) {
        let now = self.core.now();
        let mut meters = self.publisher.begin();
        meters.begin();
        self.read_gauges(&mut meters, now);
        let Totals { down, up, wasted } = self.counters.totals;
        let down_rate = meters.rate(Of::All(Direction::Down), now, down);
        let up_rate = meters.rate(Of::All(Direction::Up), now, up);
        let transfers = self.transfers(&mut meters);
        let peers = self.peers(&mut meters);
        let focus =
            self.publisher.focus().and_then(|id| self.focus_view(id, &mut meters)).map(Arc::new);
        let snapshot = Snapshot {
            seq: self.publisher.last().seq + 1,
            at: self.publisher.published(),
            me: Me {
                peer: self.core.me(),
                nick: show(&self.config.nick),
                listen: self.net.listen(),
                downloads: self.config.downloads.clone(),
                disk_free: self
                    .storage
                    .rooms
                    .last(&self.config.downloads)
                    .map(|room| room.space.free),
                serving: self.preferences.serving,
            },
            network: self.network_view(),
            totals: snapshot::Totals { down_rate, up_rate, down, up, wasted },
            catalogue: self.net.catalogue.clone(),
            transfers,
            peers,
            focus,
            uploads: self.uploads(),
            bans: self.ban_rows(),
            watches: self
                .preferences
                .kept
                .watches
                .iter()
                .map(|words| words.as_str().into())
                .collect(),
            unkept: self.unkept(),
            copies: self.storage.copies.rows(),
        };
        // Rates fade for a while after the last byte: keep drawing until they have.
        let moving = meters.end();
        let works = !self.sharing.jobs.is_empty() || !self.storage.copies.is_empty();
        self.publisher.send(snapshot, meters, moving || works);
    }

    pub(super) fn network_view(&self) -> Network {
        let join = self.net.join.as_ref();
        Network {
            state: self.net.state.clone(),
            tracker: match &self.net.at {
                Some(at) => at.address.clone(),
                None => join.map(common::join::JoinString::address).unwrap_or_default(),
            },
            at: self.net.at.clone(),
            join: self.net.join_for_others().map(|join| join.to_string()),
            latency_ms: self.net.latency_ms,
            hosting: self.net.hosted.is_some(),
            met: self.net.met != Met::Never,
            asking: self.net.asking,
            clock_ahead_s: self.net.gap.secs(),
            reachable: self.net.reachable_at(),
            behind_router: self.net.behind_router,
            punches: self.net.punches,
            port: self.net.listen().port(),
            mapping: self.net.mapping.view(),
            trouble: self.net.trouble.clone(),
            refused: self
                .net
                .refused
                .as_ref()
                .map(|refused| (refused.ids.len(), refused.why.clone())),
        }
    }

    fn transfers(&mut self, meters: &mut Meters) -> Rows<Transfer> {
        let places = self.places();
        let mut rows = Vec::with_capacity(self.contents.order().len() + self.sharing.jobs.len());
        let mut changed: Vec<(ContentId, Arc<Transfer>)> = Vec::new();
        for content in self.contents.in_order() {
            let row = self.transfer(content, places.get(&content.id), meters);
            rows.push(match &content.row {
                Some(known) if **known == row => known.clone(),
                _ => {
                    let row = Arc::new(row);
                    changed.push((content.id, row.clone()));
                    row
                }
            });
        }
        for (id, row) in changed {
            if let Some(content) = self.contents.get_mut(&id) {
                content.row = Some(row);
            }
        }
        rows.extend(self.sharing.jobs.iter().map(|job| {
            let total = job.progress.total.load(Ordering::Relaxed);
            let done = job.progress.done.load(Ordering::Relaxed);
            Arc::new(Transfer {
                name: job.shown.clone(),
                raw: job.raw.clone(),
                state: TransferState::Hashing,
                size: total,
                done,
                path: job.path.clone(),
                ..Transfer::blank(ContentId::from_bytes([0; 32]))
            })
        }));
        self.publisher.last().transfers.renewed(rows)
    }

    /// Where unfinished downloads stand: in their line, from 0, and among those that wait, from 1.
    fn places(&self) -> HashMap<ContentId, (u32, Option<u32>)> {
        let waits = |id: &ContentId| {
            self.contents.get(id).is_some_and(|content| content.phase() == Some(&Phase::Queued))
        };
        let mut waiting = 0;
        let mut place = |id: &ContentId| {
            waits(id).then(|| {
                waiting += 1;
                waiting
            })
        };
        let line = (0u32..).zip(self.line());
        line.map(|(order, id)| (id, (order, place(&id)))).collect()
    }

    fn transfer(
        &self,
        content: &Content,
        place: Option<&(u32, Option<u32>)>,
        meters: &mut Meters,
    ) -> Transfer {
        let now = self.core.now();
        let view = self.core.node().content(&content.id, now);
        let mut row = Transfer {
            name: content.shown.clone(),
            raw: raw_of(&content.name, &content.shown),
            kind: content.kind,
            other_complete: content.other_complete,
            refused: self.net.refused.as_ref().is_some_and(|r| r.ids.contains(&content.id)),
            ..Transfer::blank(content.id)
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
            row.down_rate =
                meters.rate(Of::Content(content.id, Direction::Down), now, view.downloaded);
            row.up_rate = meters.rate(Of::Content(content.id, Direction::Up), now, view.uploaded);
            row.uploaded = view.uploaded;
            row.active = view.active;
            row.wanted_by = view.fetchers;
            row.availability = view.copies;
            row.unavailable = view.unavailable;
        }
        let known = self.net.sources.get(&content.id).map_or(0, HashMap::len);
        let connected = view.as_ref().map_or(0, |view| view.sources.len());
        row.sources = saturate::<u32>(known.max(connected));
        match &content.role {
            Role::Share(share) => {
                share_row(&mut row, content, share);
                if content.kind == Kind::Folder && share.state.is_good() {
                    let mut paths = share.paths.iter().take(NEWS_OF);
                    row.news = paths.find_map(|path| self.folders.news(path, &content.id));
                }
                if self.is_read_again(&content.id) {
                    row.state = TransferState::Checking;
                }
                row.plan.cleared = self.is_hidden(&content.id, share);
            }
            Role::Download(download) => {
                self.download_row(&mut row, content, download, view.as_ref(), meters);
            }
        }
        if let Some((order, place)) = place {
            row.plan.order = *order;
            if let Some(place) = place {
                row.plan.place = Some(*place);
                row.why = Some(Cause::Queued(*place));
            }
        }
        row
    }

    fn download_row(
        &self,
        row: &mut Transfer,
        content: &Content,
        download: &Download,
        view: Option<&ContentView<'_>>,
        meters: &mut Meters,
    ) {
        row.downloaded = true;
        row.path = download.record.dir.join(content.shown.as_ref());
        row.plan = Plan { waiting: row.plan.waiting, ..self.plan(download) };
        row.unreached = self.unreached(&content.id);
        let Some(layout) = &content.layout else {
            row.state = phase_state(&download.phase, false);
            row.why = self.outlook(meters, content, download, view, (0.0, 0)).1.into_iter().next();
            return;
        };
        row.size = bytes_of(layout, &download.wanted);
        row.chunks = download.wanted.count();
        let none_left = view.is_some_and(|view| view.stuck);
        row.state = phase_state(&download.phase, none_left);
        if let Some(view) = view {
            row.have = view.wanted_here;
            row.done = view.done_bytes;
        } else {
            row.have = download.found.count();
            row.done = bytes_of(layout, &download.found);
        }
        let left = row.size.saturating_sub(row.done);
        let outlook = self.outlook(meters, content, download, view, (row.down_rate, left));
        row.eta_s = outlook.0;
        row.why = outlook.1.into_iter().next();
    }

    fn plan(&self, download: &Download) -> Plan {
        let options = &download.record.options;
        let why = match &download.phase {
            Phase::Queued => format!("{} run at once", self.config.max_active),
            Phase::Watching => "starts when somebody has it".to_owned(),
            Phase::Blocked { why, .. } => why.clone(),
            Phase::Paused => "by you".to_owned(),
            _ => String::new(),
        };
        Plan {
            priority: options.priority,
            sequential: options.sequential,
            up: options.up,
            down: options.down,
            watch: download.phase == Phase::Watching,
            why,
            ..Plan::default()
        }
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
        ShareState::Verifying | ShareState::Doubted => TransferState::Checking,
        ShareState::Damaged { why } => {
            row.plan.why.clone_from(why);
            TransferState::Changed
        }
        ShareState::Gone { why, there } => {
            row.plan.why.clone_from(why);
            row.why = (!there).then_some(Cause::Vanished);
            TransferState::Changed
        }
    };
    if !share.state.is_good() {
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
