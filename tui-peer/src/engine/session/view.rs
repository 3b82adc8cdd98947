//! Making snapshots: what front ends see.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use common::content::Kind;
use common::id::{ContentId, PeerId};
use common::names::show;

use super::content::{Content, Role, Share, ShareState, bytes_of};
use super::download::{Download, Phase};
use super::facts::{Meters, Of};
use super::lens::{Doing, Known, Lens};
use super::network::Met;
use super::{SNAPSHOT_EVERY, SNAPSHOT_PART, SNAPSHOT_REST, Session, Totals};
use crate::engine::snapshot::{
    self, Flags, Focus, MAX_FLIGHTS, Me, Network, Plan, Rows, Snapshot, Sole, SourceRow,
    SourceState, Transfer, TransferState, raw_of,
};
use crate::engine::why::Cause;
use swarm::view::{ContentView, SourceView, SourceWord, sole_key};

/// Folders of the same bytes of which it is told what came into them: of more copies nobody reads all.
const NEWS_OF: usize = 8;

impl Session {
    pub(super) fn publish(&mut self) {
        self.published = Instant::now();
        let now = self.now();
        let mut meters = std::mem::take(&mut self.meters);
        meters.begin();
        self.read_gauges(&mut meters, now);
        let Totals { down, up, wasted } = self.totals;
        let down_rate = meters.rate(Of::All(false), now, down);
        let up_rate = meters.rate(Of::All(true), now, up);
        let transfers = self.transfers(&mut meters);
        let peers = self.peers(&mut meters);
        let focus = self.focus.and_then(|id| self.focus_view(id, &mut meters)).map(Arc::new);
        let snapshot = Snapshot {
            seq: self.snapshots.borrow().seq + 1,
            at: self.published,
            me: Me {
                peer: self.me,
                nick: show(&self.config.nick),
                listen: self.listen,
                downloads: self.config.downloads.clone(),
                disk_free: self.rooms.last(&self.config.downloads).map(|room| room.space.free),
                serving: self.serving,
            },
            network: self.network_view(),
            totals: snapshot::Totals { down_rate, up_rate, down, up, wasted },
            catalogue: self.net.catalogue.clone(),
            transfers,
            peers,
            focus,
            uploads: self.uploads(),
            bans: self.ban_rows(),
            watches: self.keeping.kept.watches.iter().map(|words| words.as_str().into()).collect(),
            unkept: self.unkept(),
            copies: self.copies.rows(),
        };
        // Rates fade for a while after the last byte: keep drawing until they have.
        let moving = meters.end();
        self.meters = meters;
        let works = !self.jobs.is_empty() || !self.copies.is_empty();
        self.dirty = moving || works || self.lens.as_ref().is_some_and(Lens::is_waiting);
        self.snapshots.send_replace(Arc::new(snapshot));
        let pause = self.published.elapsed() * SNAPSHOT_PART;
        self.snapshot_pause = pause.clamp(SNAPSHOT_EVERY, SNAPSHOT_REST);
    }

    fn network_view(&self) -> Network {
        let join = self.net.join.as_ref();
        Network {
            state: self.net.state.clone(),
            tracker: join.map(common::join::JoinString::address).unwrap_or_default(),
            join: join.map(ToString::to_string),
            latency_ms: self.net.latency_ms,
            hosting: self.net.hosted.is_some(),
            met: self.net.met != Met::Never,
            asking: self.asking,
            clock_ahead_s: self.gap.secs(),
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
        let mut rows = Vec::with_capacity(self.order.len() + self.jobs.len());
        let mut changed: Vec<(ContentId, Arc<Transfer>)> = Vec::new();
        for content in self.order.iter().filter_map(|id| self.contents.get(id)) {
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
        rows.extend(self.jobs.iter().map(|job| {
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
        self.snapshots.borrow().transfers.renewed(rows)
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
        let now = self.now();
        let view = self.node.content(&content.id, now);
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
            row.down_rate = meters.rate(Of::Content(content.id, false), now, view.downloaded);
            row.up_rate = meters.rate(Of::Content(content.id, true), now, view.uploaded);
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
        let wish = &download.record.wish;
        let why = match &download.phase {
            Phase::Queued => format!("{} run at once", self.config.max_active),
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
    fn focus_view(&mut self, id: ContentId, meters: &mut Meters) -> Option<Focus> {
        let known = self.lens.take().filter(|lens| lens.id == id);
        let mut lens = known.unwrap_or_else(|| Lens::new(id));
        let touched = self.node.touched(&id);
        let now = self.now();
        let view = self.node.content(&id, now);
        let content = self.contents.get(&id);
        let download = content.and_then(|content| match &content.role {
            Role::Download(download) => Some(download),
            Role::Share(_) => None,
        });
        let checking = download.is_some_and(|download| download.phase == Phase::Opening)
            || content.is_some_and(|content| match &content.role {
                Role::Share(share) => {
                    matches!(share.state, ShareState::Verifying | ShareState::Doubted)
                }
                Role::Download(_) => false,
            });
        let layout = content.and_then(|content| content.layout.as_ref());
        let meta = self.net.row(&id);
        let chunks = match (&view, layout, meta) {
            (Some(view), _, _) => Some(view.have.chunks()),
            (_, Some(layout), _) => Some(layout.chunks()),
            (_, _, Some(meta)) => Some(meta.chunks),
            _ => None,
        };
        let Some(chunks) = chunks else {
            drop(view);
            self.lens = Some(lens);
            return None;
        };
        let others = self.others(&id, view.as_ref());
        let known = Known {
            chunks,
            doing: if checking { Doing::Checking } else { Doing::Ordinary },
            found: download.map(|download| &download.found),
            others,
        };
        lens.update(&known, view.as_ref(), touched, self.published);

        let wanting = download.is_some_and(|download| download.phase == Phase::Getting);
        let links = view.as_ref().map_or(&[][..], |view| view.sources.as_slice());
        let rates: Vec<(f64, f64)> = links
            .iter()
            .map(|link| {
                let down = meters.rate(Of::Link(id, link.conn, false), now, link.down_total);
                (down, meters.rate(Of::Link(id, link.conn, true), now, link.up_total))
            })
            .collect();
        let best_rate = rates.iter().map(|rate| rate.0).fold(0.0, f64::max);
        let best = (best_rate, links.iter().filter_map(|link| link.rtt_ms).min());
        let mut sources: Vec<SourceRow> = Vec::with_capacity(links.len() + known.others.len());
        for (link, (down, up)) in links.iter().zip(rates) {
            let why = self.source_why(link, down, best, wanting);
            sources.push(SourceRow { why, down_rate: down, up_rate: up, ..self.source_row(link) });
        }
        for other in &known.others {
            let why = self.other_why(&other.peer, wanting);
            sources.push(SourceRow {
                peer: other.peer,
                nick: other.nick.clone(),
                addr: other.addrs.first().copied(),
                state: SourceState::Waiting,
                why,
                down_rate: 0.0,
                up_rate: 0.0,
                got: 0,
                have: other.have,
                pipe: (0, 0),
                rtt_ms: None,
                flags: Flags::default(),
            });
        }
        sources.sort_by(|a, b| {
            let (fast, slow) = (b.down_rate, a.down_rate);
            fast.total_cmp(&slow).then(a.state.cmp(&b.state)).then(a.peer.cmp(&b.peer))
        });

        let keys: Vec<(u32, PeerId, bool)> = links
            .iter()
            .map(|link| (sole_key(link.conn), link.peer, link.have >= chunks))
            .collect();
        let sole = lens.soles(&keys).into_iter().map(|(peer, chunks)| Sole {
            peer,
            nick: self.nick(&peer),
            chunks,
            connected: keys.iter().any(|(_, connected, _)| *connected == peer),
        });
        let causes = match (content, download) {
            (Some(content), Some(download)) => {
                let rate = meters.rate(
                    Of::Content(id, false),
                    now,
                    view.as_ref().map_or(0, |view| view.downloaded),
                );
                let mut causes =
                    self.outlook(meters, content, download, view.as_ref(), (rate, 0)).1;
                if let [Cause::Queued(place)] = causes.as_mut_slice() {
                    *place = self.queue_place(&id);
                }
                causes
            }
            _ => Vec::new(),
        };
        let mut holders = lens.holders(self.look.holders, &known, view.as_ref());
        if let Some(holders) = &mut holders {
            for row in holders.rows.iter_mut().filter(|row| row.connected) {
                row.nick = self.nick(&row.peer);
            }
            for only in holders.only.iter_mut().filter(|only| only.nick.is_empty()) {
                only.nick = only.peer.map_or_else(String::new, |peer| self.nick(&peer));
            }
        }
        let sent = lens.senders(self.look.senders, view.as_ref().map(ContentView::senders));
        let focus = Focus {
            id,
            chunks: lens.chunks.clone(),
            chunk_len: layout.map_or(0, |layout| u64::from(layout.chunk_len())),
            flights: flights(view.as_ref(), links, &sources),
            sources,
            newest: lens.newest,
            sole: sole.collect(),
            left: lens.left.clone(),
            added: download.map(|download| download.record.added_ms / 1000),
            causes,
            holders,
            sent,
        };
        drop(view);
        self.lens = Some(lens);
        Some(focus)
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
            why: String::new(),
            down_rate: 0.0,
            up_rate: 0.0,
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

/// Chunks in flight, with the places of whom was asked among the rows shown.
fn flights(
    view: Option<&ContentView<'_>>,
    links: &[SourceView],
    rows: &[SourceRow],
) -> Vec<(u32, u16)> {
    let place = |link: &SourceView| rows.iter().position(|row| row.peer == link.peer);
    let places: HashMap<_, u16> = links
        .iter()
        .filter_map(|link| Some((link.conn, u16::try_from(place(link)?).ok()?)))
        .collect();
    let all = view.into_iter().flat_map(ContentView::flights);
    let mut out: Vec<(u32, u16)> = all
        .flat_map(|(chunk, asked)| asked.into_iter().map(move |at| (chunk, at)))
        .filter_map(|(chunk, at)| Some((chunk, *places.get(&at)?)))
        .take(MAX_FLIGHTS)
        .collect();
    out.sort_unstable();
    out
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
