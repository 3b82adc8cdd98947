//! The announcer over real sockets: against a tracker that does what a test says, and against the real one.

mod fake;
mod hostile;
mod inside;
mod members;
mod real;
mod restarts;
mod scripted;
mod standby;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use common::chunk_set::ChunkSet;
use common::content::{Descriptor, Kind};
use common::hash::sha256_concat;
use common::id::ContentId;
use common::identity::Identity;
use common::join::JoinString;
use common::layout::Layout;
use common::wire::tracker::FileMeta;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::order::Waits;
use super::patience::Patience;
use super::{Announcer, AnnouncerConfig, OwnAddresses, TrackerEvent, Welcomed, start_with};
use crate::api::snapshot::{Catalogue, NetState, TrackerAt};

/// Longest wait for anything; only ever reached when a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn identity(n: u8) -> Identity {
    Identity::from_seed(&[n; 32]).unwrap()
}

/// A file that nobody needs to have.
fn file(name: &str, size: u64) -> FileMeta {
    let descriptor = Descriptor { kind: Kind::File, size, root: sha256_concat(&[name.as_bytes()]) };
    let chunks = Layout::for_file(size).unwrap().chunks();
    FileMeta { descriptor, name: name.to_owned(), total: size, chunks }
}

fn id(meta: &FileMeta) -> ContentId {
    meta.descriptor.id()
}

fn some_of(meta: &FileMeta, have: &[u32]) -> ChunkSet {
    let mut set = ChunkSet::empty(meta.chunks);
    have.iter().for_each(|chunk| assert!(set.insert(*chunk)));
    set
}

fn config(n: u8, join: &JoinString) -> AnnouncerConfig {
    AnnouncerConfig {
        shared_port: false,
        identity: Arc::new(identity(n)),
        join: join.clone(),
        hosts: None,
        names_inside: true,
        nick: format!("peer {n}"),
        listen: ([127, 0, 0, 1], 7000 + u16::from(n)).into(),
        local: OwnAddresses::new(Vec::new),
        agent: "test/1".to_owned(),
    }
}

fn join(n: u8, join: &JoinString) -> (Announcer, Events) {
    join_with(n, join, Patience::default())
}

fn join_with(n: u8, join: &JoinString, patience: Patience) -> (Announcer, Events) {
    let rng = fastrand::Rng::with_seed(u64::from(n));
    let (announcer, events) = start_with(config(n, join), rng, patience);
    (announcer, Events(events))
}

/// Gives a tracker up, and looks for it again, after a fifth of a second.
fn soon() -> Patience {
    let fifth = Duration::from_millis(200);
    Patience { trackers: Waits { away: fifth, look: fifth }, ..Patience::default() }
}

/// What the announcer says.
struct Events(mpsc::Receiver<TrackerEvent>);

impl Events {
    async fn next(&mut self) -> TrackerEvent {
        timeout(PATIENCE, self.0.recv()).await.expect("an event in time").expect("a living task")
    }

    /// Skips events until `wanted` makes something of one.
    async fn until<T>(&mut self, mut wanted: impl FnMut(TrackerEvent) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(found) = wanted(self.next().await) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the event in time")
    }

    async fn state(&mut self, wanted: impl Fn(&NetState) -> bool) -> NetState {
        self.until(|event| match event {
            TrackerEvent::State(state) if wanted(&state) => Some(state),
            _ => None,
        })
        .await
    }

    async fn on(&mut self) {
        self.state(|state| *state == NetState::On).await;
    }

    /// The next place in the order of trackers, which is told before that we are on.
    async fn place(&mut self) -> Option<TrackerAt> {
        self.until(|event| match event {
            TrackerEvent::At(at) => Some(at),
            _ => None,
        })
        .await
    }

    /// The reason of the next loss.
    async fn lost(&mut self) -> String {
        match self.state(|state| matches!(state, NetState::Lost { .. })).await {
            NetState::Lost { why, .. } => why,
            other => panic!("{other:?}"),
        }
    }

    async fn rejected(&mut self) -> String {
        match self.state(|state| matches!(state, NetState::Rejected { .. })).await {
            NetState::Rejected { why } => why,
            other => panic!("{other:?}"),
        }
    }

    async fn registered(&mut self) -> HashSet<ContentId> {
        self.until(|event| match event {
            TrackerEvent::Registered { ids } => Some(ids.into_iter().collect()),
            _ => None,
        })
        .await
    }

    async fn catalogue(&mut self, wanted: impl Fn(&Catalogue) -> bool) -> Arc<Catalogue> {
        self.until(|event| match event {
            TrackerEvent::Catalogue { catalogue, .. } if wanted(&catalogue) => Some(catalogue),
            _ => None,
        })
        .await
    }
}

fn names(catalogue: &Catalogue) -> Vec<&str> {
    catalogue.rows.iter().map(|row| &*row.name).collect()
}
