//! The content somebody looks at, as the snapshot shows it: its chunks and its sources.

use std::collections::HashMap;

use common::id::ContentId;

use super::Session;
use super::chunk_map::{ChunkMap, Doing, Known, Link};
use super::content::{Content, Role, ShareState};
use super::download::{Download, Phase};
use super::measures::{Direction, Meters, Of};
use crate::announcer::SourceInfo;
use crate::api::cause::Cause;
use crate::api::snapshot::{Flags, Focus, Holders, MAX_FLIGHTS, Sole, SourceRow, SourceState, Way};
use swarm::view::{ContentView, SourceView, SourceWord, Touched, sole_key};

/// What is looked at, and what the core says of it if it has it.
struct Looked<'a> {
    id: ContentId,
    content: Option<&'a Content>,
    download: Option<&'a Download>,
    view: Option<&'a ContentView<'a>>,
}

impl Looked<'_> {
    fn links(&self) -> &[SourceView] {
        self.view.map_or(&[], |view| view.sources.as_slice())
    }

    /// Whether chunks of it are wanted just now.
    fn wanting(&self) -> bool {
        self.download.is_some_and(|download| download.phase == Phase::Getting)
    }
}

impl Session {
    /// Chunks and sources of one content: exact if it is ours, else as the tracker says.
    pub(super) fn focus_view(&mut self, id: ContentId, meters: &mut Meters) -> Option<Focus> {
        let mut chunk_map = self.publisher.take_chunk_map(id);
        let touched = self.core.touched(&id);
        let focus = self.look_through(&mut chunk_map, touched, meters);
        self.publisher.put_chunk_map(chunk_map);
        focus
    }

    fn look_through(
        &self,
        chunk_map: &mut ChunkMap,
        touched: Touched,
        meters: &mut Meters,
    ) -> Option<Focus> {
        let id = chunk_map.id;
        let view = self.core.node().content(&id, self.core.now());
        let (content, view) = (self.contents.get(&id), view.as_ref());
        let download = content.and_then(|content| match &content.role {
            Role::Download(download) => Some(&**download),
            Role::Share(_) => None,
        });
        let looked = Looked { id, content, download, view };
        let layout = content.and_then(|content| content.layout.as_ref());
        let chunks = match (view, layout, self.net.row(&id)) {
            (Some(view), _, _) => view.have.chunks(),
            (_, Some(layout), _) => layout.chunks(),
            (_, _, Some(meta)) => meta.chunks,
            _ => return None,
        };
        let known = Known {
            chunks,
            doing: content.map_or(Doing::Ordinary, doing),
            found: download.map(|download| &download.found),
            others: self.others(&id, view),
        };
        chunk_map.update(&known, view, touched, self.publisher.published());
        let sources = self.source_rows(&looked, &known.others, meters);
        let look = self.publisher.look();
        let mut holders = chunk_map.holders(look.holders, &known, view);
        if let Some(holders) = &mut holders {
            self.name_holders(holders);
        }
        Some(Focus {
            id,
            chunks: chunk_map.chunks.clone(),
            chunk_len: layout.map_or(0, |layout| u64::from(layout.chunk_len())),
            flights: flights(view, looked.links(), &sources),
            sources,
            newest: chunk_map.newest,
            sole: self.soles(chunk_map, looked.links(), chunks),
            left: chunk_map.left.clone(),
            added: download.map(|download| download.record.added_ms / 1000),
            causes: self.causes(&looked, meters),
            holders,
            sent: chunk_map.senders(look.senders, view.map(ContentView::senders)),
        })
    }

    /// Everybody who has some of it, the fastest first.
    fn source_rows(
        &self,
        looked: &Looked<'_>,
        others: &[&SourceInfo],
        meters: &mut Meters,
    ) -> Vec<SourceRow> {
        let (now, links, wanting) = (self.core.now(), looked.links(), looked.wanting());
        let rates: Vec<(f64, f64)> = links
            .iter()
            .map(|link| {
                let of = |way| Of::Link(looked.id, link.conn, way);
                let down = meters.rate(of(Direction::Down), now, link.down_total);
                (down, meters.rate(of(Direction::Up), now, link.up_total))
            })
            .collect();
        let best_rate = rates.iter().map(|rate| rate.0).fold(0.0, f64::max);
        let best = (best_rate, links.iter().filter_map(|link| link.rtt_ms).min());
        let mut sources: Vec<SourceRow> = Vec::with_capacity(links.len() + others.len());
        for (link, (down, up)) in links.iter().zip(rates) {
            let why = self.source_why(link, down, best, wanting);
            sources.push(SourceRow { why, down_rate: down, up_rate: up, ..self.source_row(link) });
        }
        for other in others {
            let why = self.other_why(&other.peer, wanting);
            sources.push(SourceRow {
                peer: other.peer,
                nick: other.nick.clone(),
                addr: other.addrs.first().copied(),
                way: Way::default(),
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
        sources
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
            nick: self.net.nick(&source.peer),
            addr: self.conns.get(&source.conn).map(|conn| conn.addr),
            way: self.conns.get(&source.conn).map(|conn| conn.way).unwrap_or_default(),
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

    /// Who alone has missing chunks.
    fn soles(&self, chunk_map: &ChunkMap, links: &[SourceView], chunks: u32) -> Vec<Sole> {
        let link = |link: &SourceView| Link {
            key: sole_key(link.conn),
            peer: link.peer,
            whole: link.have >= chunks,
        };
        let links: Vec<Link> = links.iter().map(link).collect();
        let sole = |(peer, chunks)| Sole {
            peer,
            nick: self.net.nick(&peer),
            chunks,
            connected: links.iter().any(|link| link.peer == peer),
        };
        chunk_map.soles(&links).into_iter().map(sole).collect()
    }

    /// Why a download does not get on faster.
    fn causes(&self, looked: &Looked<'_>, meters: &mut Meters) -> Vec<Cause> {
        let (Some(content), Some(download)) = (looked.content, looked.download) else {
            return Vec::new();
        };
        let total = looked.view.map_or(0, |view| view.downloaded);
        let rate = meters.rate(Of::Content(looked.id, Direction::Down), self.core.now(), total);
        let (_, mut causes) = self.outlook(meters, content, download, looked.view, (rate, 0));
        if let [Cause::Queued(place)] = causes.as_mut_slice() {
            *place = self.queue_place(&looked.id);
        }
        causes
    }

    fn name_holders(&self, holders: &mut Holders) {
        for row in holders.rows.iter_mut().filter(|row| row.connected) {
            row.nick = self.net.nick(&row.peer);
        }
        for only in holders.only.iter_mut().filter(|only| only.nick.is_empty()) {
            only.nick = only.peer.map_or_else(String::new, |peer| self.net.nick(&peer));
        }
    }
}

/// Whether what is on disk is being checked.
fn doing(content: &Content) -> Doing {
    let checking = match &content.role {
        Role::Download(download) => download.phase == Phase::Opening,
        Role::Share(share) => {
            matches!(share.state, ShareState::Verifying | ShareState::Doubted)
        }
    };
    if checking { Doing::Checking } else { Doing::Ordinary }
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
