//! Where more sources come from: known peers are dialled, then the tracker is asked.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use common::id::{ContentId, PeerId};

use super::dial_rate::MAX_TRIES;
use super::event::{Output, SourceHint};
use super::node::{Cx, Node};
use super::places::STARVING;

/// Sources remembered per content by the tracker's word.
pub const MAX_KNOWN: usize = 1000;
/// Sources looked at in one pass for one that would find a place in a full table; the next pass looks at
/// others.
const MAX_LOOKED_AT: usize = 16;
/// Waits between asking the tracker for more sources, the last one repeated.
const ASK: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
];

impl Node {
    pub(super) fn sources_found(
        &mut self,
        cx: &mut Cx<'_>,
        id: ContentId,
        sources: Vec<SourceHint>,
    ) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        for mut source in sources {
            // Peers say themselves what they have; the tracker's word on it is not needed here.
            source.set = None;
            if source.peer != self.me
                && (content.known.len() < MAX_KNOWN || content.known.contains_key(&source.peer))
            {
                content.known.insert(source.peer, source);
            }
        }
        self.open_known(cx, id);
        self.dial_for(cx, id);
    }

    /// Dials known sources of a content that is wanted, in random order.
    pub(super) fn dial_for(&mut self, cx: &mut Cx<'_>, id: ContentId) {
        let Some(content) = self.contents.get(&id) else { return };
        if !content.is_active() {
            return;
        }
        // Those that were reached and have not said HELLO are on their way too.
        let under_way =
            |peer: &PeerId| self.dialer.is_dialing(peer) || self.peers.reached.contains_key(peer);
        let coming = |peer: &&PeerId| under_way(peer) && !self.peers.greeted.contains_key(*peer);
        let dialing = content.known.keys().filter(coming).count();
        let room = self.cfg.dial_target.saturating_sub(content.links.len() + dialing);
        let mut room = room.min(self.cfg.max_conns.saturating_sub(self.places()));
        let crowded = room == 0;
        if crowded {
            room = STARVING.saturating_sub(dialing);
        }
        let all_dialing = self.dialer.dialing() + self.peers.reached.len();
        let room = room.min(self.cfg.max_dialing.saturating_sub(all_dialing));
        if room == 0 {
            return;
        }
        let mut candidates: Vec<&SourceHint> = content
            .known
            .values()
            .filter(|s| !self.is_direct(&s.peer, cx.now))
            .filter(|s| !under_way(&s.peer) && self.dialer.may_dial(&s.peer, cx.now))
            .collect();
        if candidates.is_empty() {
            return;
        }
        self.rng.shuffle(&mut candidates);
        let mut wished: Vec<(PeerId, Cow<'_, [SocketAddr]>)> = Vec::new();
        if crowded {
            let Some(full) = self.full_tables(&id, cx.now) else { return };
            for source in candidates.into_iter().take(MAX_LOOKED_AT) {
                let mut addrs = source.addrs.clone();
                addrs.truncate(MAX_TRIES);
                addrs.retain(|addr| self.has_place(&full, &source.peer, addr.ip()));
                if !addrs.is_empty() || source.addrs.is_empty() {
                    wished.push((source.peer, addrs.into()));
                }
            }
        } else {
            wished.extend(candidates.into_iter().map(|s| (s.peer, s.addrs.as_slice().into())));
        }
        let (rate, near) = (&mut self.dialer.rate, &self.near);
        rate.refill(cx.now);
        let mut chosen: Vec<(PeerId, _)> = Vec::new();
        for (peer, addrs) in wished {
            if chosen.len() >= room || !rate.has_token() {
                break;
            }
            // Who has no address that may be dialled is told so, and may dial us.
            let allowed = rate.take(peer, &addrs, near);
            if !allowed.is_empty() || addrs.is_empty() {
                chosen.push((peer, allowed));
            }
        }
        for (peer, addrs) in chosen {
            self.dialer.started(peer);
            cx.out.push(Output::Dial { peer, addrs });
        }
    }

    /// Dials more, if the rate of dials held some back and has just been given something back.
    pub(super) fn dial_on(&mut self, cx: &mut Cx<'_>) {
        if std::mem::take(&mut self.dialer.rate.short) {
            let ids: Vec<ContentId> = self.live.iter().copied().collect();
            ids.into_iter().for_each(|id| self.dial_for(cx, id));
        }
    }

    /// Connects a wanted content to more sources, or asks the tracker for some.
    pub(super) fn discover(&mut self, cx: &mut Cx<'_>, id: ContentId) {
        let Some(content) = self.contents.get(&id) else { return };
        if !content.is_active() {
            return;
        }
        self.dial_for(cx, id);
        self.open_known(cx, id);
        // All who were asked for it may have been busy.
        self.fetch_manifest(cx, id);
        let Some(content) = self.contents.get_mut(&id) else { return };
        let helped = content.links.values().any(|link| link.useful > 0)
            || (content.body.is_none() && !content.links.is_empty());
        if helped {
            content.asked = 0;
            content.ask_at = cx.now + ASK[0];
        } else if cx.now >= content.ask_at {
            let wait = ASK.get(content.asked as usize).copied().unwrap_or(ASK[3]);
            content.ask_at = cx.now + wait;
            content.asked = content.asked.saturating_add(1);
            cx.out.push(Output::NeedSources { id });
        }
    }
}
