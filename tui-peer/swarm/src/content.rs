//! What the core keeps for one content.

use std::collections::BTreeMap;

use common::content::Descriptor;
use common::id::PeerId;

use super::body::Body;
use super::event::{ConnId, SourceHint};
use super::link::Link;
use super::pace::Pace;
use super::policy::{NORMAL_WEIGHT, Policy};
use super::rate::Rate;
use super::time::Time;

/// One content: wanted, shared, or both.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) descriptor: Option<Descriptor>,
    /// Known from the moment the shell worked it out.
    pub(super) body: Option<Body>,
    pub(super) paused: bool,
    /// Peers with which it is open.
    pub(super) links: BTreeMap<ConnId, Link>,
    /// Peers that may have it, by the tracker's word.
    pub(super) known: BTreeMap<PeerId, SourceHint>,
    /// The manifest on its way.
    pub(super) manifest: Option<ManifestFetch>,
    pub(super) down: Rate,
    pub(super) up: Rate,
    /// When to ask the tracker again, and how often that was in vain.
    pub(super) ask_at: Time,
    pub(super) asked: u32,
    pub(super) completed: bool,
    /// Payload bytes requested and not yet received or being verified, of this content.
    pub(super) outstanding: u64,
    /// The disk refused a chunk: nothing is asked until then.
    pub(super) rest_until: Time,
    /// Peers that could not open it just now, and when to try again; a subset of `known`.
    pub(super) retry: BTreeMap<PeerId, Time>,
    /// What the user wishes for it.
    pub(super) policy: Policy,
    /// Its limit.
    pub(super) pace: Option<Pace>,
    /// Its uploads have a limit of their own, which the shell keeps to.
    pub(super) up_limited: bool,
}

/// A folder's manifest being fetched from one peer, in slices.
#[derive(Debug)]
pub(super) struct ManifestFetch {
    pub(super) conn: ConnId,
    /// First byte not yet asked for.
    pub(super) next: u32,
    /// Slices asked for, in order; true when all its bytes are here.
    pub(super) slices: Vec<(u32, bool)>,
    /// Slices handed to the shell.
    pub(super) delivered: usize,
}

impl ManifestFetch {
    /// Whether a request is one of its slices.
    pub(super) fn has(&self, at: ConnId, rid: u32) -> bool {
        self.conn == at && self.slices.iter().any(|slice| slice.0 == rid)
    }
}

impl Content {
    pub(super) fn new(now: Time) -> Self {
        Self {
            descriptor: None,
            body: None,
            paused: false,
            links: BTreeMap::new(),
            known: BTreeMap::new(),
            manifest: None,
            down: Rate::default(),
            up: Rate::default(),
            ask_at: now,
            asked: 0,
            completed: false,
            outstanding: 0,
            rest_until: Time::ZERO,
            retry: BTreeMap::new(),
            policy: Policy::default(),
            pace: None,
            up_limited: false,
        }
    }

    /// A peer no longer counts as a source.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.known.remove(peer);
        self.retry.remove(peer);
    }

    /// Payload of it came in.
    pub(super) fn spend(&mut self, now: Time, bytes: u64) {
        if let Some(pace) = &mut self.pace {
            pace.spend(now, bytes, self.outstanding);
        }
    }

    /// What so many bytes cost it of its turn.
    pub(super) fn turn_of(&self, bytes: u64) -> u64 {
        bytes * u64::from(NORMAL_WEIGHT) / u64::from(self.policy.weight.max(1))
    }

    /// Whether it lacks something that no connected peer has.
    pub(super) fn is_stuck(&self) -> bool {
        match &self.body {
            None => self.links.is_empty(),
            Some(body) => {
                !body.is_done()
                    && body.flights.is_empty()
                    && self.links.values().all(|link| link.useful == 0)
            }
        }
    }

    /// Whether something is still wanted.
    pub(super) fn is_leeching(&self) -> bool {
        self.body.as_ref().is_none_or(|body| !body.is_done())
    }

    /// Whether something is wanted now.
    pub(super) fn is_active(&self) -> bool {
        !self.paused && self.is_leeching()
    }
}
