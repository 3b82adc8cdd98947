//! Every command gets exactly one final answer, good or bad, in whatever state that is which it is about.

use std::collections::{BTreeMap, BTreeSet};

use common::id::PeerId;
use tokio::task::JoinSet;

use super::super::start::start_on;
use super::*;
use crate::api::command::{CommandErrorKind, Priority, Reorder};
use crate::api::event::What;
use crate::api::handle::Events;
use crate::api::snapshot::Look;
use crate::library::faults::Faults;
use crate::library::{Library, hash_path};

/// Holds looks at single paths.
#[derive(Default)]
struct Gate {
    /// Looks that still pass, by path; no entry: all.
    passes: Mutex<BTreeMap<PathBuf, usize>>,
    freed: Condvar,
    held: Mutex<usize>,
}

impl Gate {
    fn hold(&self, path: &Path, after: usize) {
        self.passes.lock().unwrap().insert(path.to_path_buf(), after);
    }

    fn free(&self) {
        self.passes.lock().unwrap().clear();
        self.freed.notify_all();
    }

    fn look(&self, path: &Path) {
        let mut passes = self.passes.lock().unwrap();
        match passes.get_mut(path) {
            None => return,
            Some(0) => {}
            Some(left) => {
                *left -= 1;
                return;
            }
        }
        *self.held.lock().unwrap() += 1;
        while passes.contains_key(path) {
            passes = self.freed.wait(passes).unwrap();
        }
    }

    async fn until_held(&self, looks: usize) {
        let end = Instant::now() + PATIENCE;
        while *self.held.lock().unwrap() < looks {
            assert!(Instant::now() < end, "only {} looks", *self.held.lock().unwrap());
            tokio::task::yield_now().await;
        }
    }
}

impl Probe for Gate {
    fn before(&self, path: &Path) {
        self.look(path);
    }

    /// Each path by itself, so that what hangs holds up nothing else.
    fn volume(&self, path: &Path) -> Option<u64> {
        let bytes = path.as_os_str().as_encoded_bytes();
        Some(
            bytes
                .iter()
                .fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add((*byte).into())),
        )
    }
}

/// Whatever the test does, nothing hangs after it.
struct Freed(Arc<Gate>, Arc<Faults>);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.free();
        self.1.mend();
    }
}

/// What a command may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Unknown,
    Hashing,
    Ready,
    Verifying,
    Doubted,
    HashedAgain,
    Gone,
    Damaged,
    Unshared,
    Queued,
    Watching,
    Resolving,
    Blocked,
    Failed,
    Opening,
    Getting,
    Paused,
    Finishing,
    Finished,
    Removed,
}

const STATES: [State; 20] = [
    State::Unknown,
    State::Hashing,
    State::Ready,
    State::Verifying,
    State::Doubted,
    State::HashedAgain,
    State::Gone,
    State::Damaged,
    State::Unshared,
    State::Queued,
    State::Watching,
    State::Resolving,
    State::Blocked,
    State::Failed,
    State::Opening,
    State::Getting,
    State::Paused,
    State::Finishing,
    State::Finished,
    State::Removed,
];

/// A number for each kind of command, so that a new one cannot be forgotten here.
fn kind(command: &Command) -> usize {
    match command {
        Command::Share { .. } => 0,
        Command::Offer { .. } => 1,
        Command::Unshare { .. } => 2,
        Command::Download(_) => 3,
        Command::Pause { .. } => 4,
        Command::Resume { .. } => 5,
        Command::Remove { .. } => 6,
        Command::Restore { .. } => 7,
        Command::ClearFinished => 8,
        Command::Prioritize { .. } => 9,
        Command::Reorder { .. } => 10,
        Command::Sequential { .. } => 11,
        Command::LimitOne { .. } => 12,
        Command::Watch { .. } => 13,
        Command::WatchFor { .. } => 14,
        Command::Ban { .. } => 15,
        Command::Unban { .. } => 16,
        Command::Verify { .. } => 17,
        Command::Select { .. } => 18,
        Command::ListFiles { .. } => 19,
        Command::Join { .. } => 20,
        Command::Host => 21,
        Command::Leave => 22,
        Command::Rejoin => 23,
        Command::Announce => 24,
        Command::Focus { .. } => 25,
        Command::Serve { .. } => 26,
        Command::Downloads { .. } => 27,
        Command::KeepFree { .. } => 28,
        Command::Limits { .. } => 29,
        Command::Figures => 30,
        Command::Delete { .. } => 31,
        Command::Nick { .. } => 32,
        Command::Members { .. } => 33,
        Command::MemberFiles { .. } => 34,
        Command::Rescan { .. } => 35,
        Command::Watched { .. } => 36,
        Command::Find { .. } => 37,
        Command::WriteTorrent { .. } => 38,
    }
}
const KINDS: usize = 39;

/// A content, and where it lies or would.
#[derive(Debug, Clone)]
struct Thing {
    id: ContentId,
    path: PathBuf,
}

/// What is asked of one content at once: each single command, and pairs that meet.
fn asked() -> Vec<fn(&Thing) -> Vec<Command>> {
    vec![
        |t| vec![Command::Share { path: t.path.clone(), name: None }],
        |t| vec![Command::Offer { path: t.path.clone() }],
        |t| vec![Command::Rescan { id: t.id }],
        |t| vec![Command::Watched { path: t.path.clone(), on: true }],
        |t| vec![Command::Unshare { id: t.id }],
        |t| vec![request(t.id, None)],
        |t| vec![Command::Pause { id: t.id }],
        |t| vec![Command::Resume { id: t.id }],
        |t| vec![Command::Remove { id: t.id, delete_partial: true }],
        |t| vec![Command::Restore { id: t.id }],
        |t| vec![Command::Delete { id: t.id }],
        |t| vec![Command::Prioritize { id: t.id, priority: Priority::High }],
        |t| vec![Command::Reorder { id: t.id, to: Reorder::Up }],
        |t| vec![Command::Sequential { id: t.id, on: true }],
        |t| vec![Command::LimitOne { id: t.id, up: Some(1), down: None }],
        |t| vec![Command::Watch { id: t.id, on: true }],
        |t| vec![Command::Verify { id: t.id }],
        |t| vec![Command::Select { id: t.id, files: Selection::Paths(vec!["a".into()]) }],
        |t| vec![Command::ListFiles { id: t.id }],
        |t| {
            vec![Command::WriteTorrent {
                id: t.id,
                to: t.path.with_extension("t"),
                announce: vec![],
            }]
        },
        |t| vec![Command::Focus { id: Some(t.id), look: Look::default() }],
        |t| vec![Command::Verify { id: t.id }, Command::Verify { id: t.id }],
        |t| vec![Command::Verify { id: t.id }, Command::Unshare { id: t.id }],
        |t| vec![Command::Verify { id: t.id }, Command::Share { path: t.path.clone(), name: None }],
        |t| vec![Command::Verify { id: t.id }, request(t.id, None)],
        |t| vec![Command::Verify { id: t.id }, Command::Delete { id: t.id }],
        |t| vec![Command::Delete { id: t.id }, Command::Delete { id: t.id }],
        |t| vec![Command::Delete { id: t.id }, Command::Unshare { id: t.id }],
        |t| vec![Command::Verify { id: t.id }, Command::Remove { id: t.id, delete_partial: true }],
    ]
}

fn of_nothing(temp: &Path) -> Vec<Command> {
    let peer = PeerId::from_bytes([9; 32]);
    let join = format!("shoal://{peer}@127.0.0.1:1").parse().unwrap();
    vec![
        Command::ClearFinished,
        Command::WatchFor { words: "nothing like it".into(), on: true },
        Command::Ban { peer, time: None },
        Command::Unban { peer },
        Command::Announce,
        Command::Serve { on: false },
        Command::Downloads { dir: temp.join("other") },
        Command::KeepFree { bytes: Some(0) },
        Command::Limits { up: None, down: None },
        Command::Figures,
        Command::Members { query: String::new(), cursor: Vec::new() },
        Command::MemberFiles { peer, cursor: Vec::new() },
        Command::Find { query: "notes".into() },
        Command::Nick { nick: "ada".into() },
        Command::Host,
        Command::Leave,
        Command::Rejoin,
        Command::Join { join },
    ]
}

struct World {
    temp: tempfile::TempDir,
    gate: Arc<Gate>,
    faults: Arc<Faults>,
    peer: EngineHandle,
    seed: Option<EngineHandle>,
    /// How often a verification was accepted.
    accepted: BTreeMap<ContentId, usize>,
}

impl World {
    async fn ok(&mut self, command: Command) {
        if let Command::Verify { id } = command {
            *self.accepted.entry(id).or_default() += 1;
        }
        ok(&self.peer, command).await;
    }

    async fn until_all(&self, things: &[Thing], is: impl Fn(&TransferState) -> bool) {
        let all = |s: &Snapshot| things.iter().all(|t| state(s, t.id).as_ref().is_some_and(&is));
        until(&self.peer, "they are so", all).await;
    }
}

/// Many contents in a state.
async fn arrange(of: State, n: usize) -> (World, Vec<Thing>) {
    let temp = tempfile::tempdir().unwrap();
    let (gate, faults) = (Arc::new(Gate::default()), Arc::new(Faults::default()));
    let mut config = config(temp.path(), "peer");
    config.max_active = if of == State::Queued { 1 } else { 1000 };
    if of == State::Blocked {
        config.keep_free = Some(u64::MAX);
    }
    let mut things: Vec<Thing> = (0..n)
        .map(|n| {
            let path = file(temp.path(), 100_000 + n);
            Thing { id: hash_path(&path, 1).unwrap().id, path }
        })
        .collect();
    let from_seed =
        [State::Failed, State::Opening, State::Getting, State::Finishing, State::Finished];
    let mut seed = None;
    if from_seed.contains(&of) {
        let peer = peer(super::config(temp.path(), "seed"), &Hang::new()).await;
        let Ok(Reply::Hosting(join)) = peer.call(Command::Host).await else { panic!("no tracker") };
        config.join = Some(join);
        for thing in &things {
            ok(&peer, Command::Share { path: thing.path.clone(), name: None }).await;
        }
        let shared = |t: &Thing, s: &Snapshot| state(s, t.id) == Some(TransferState::Sharing);
        until(&peer, "all are shared", |s| things.iter().all(|t| shared(t, s))).await;
        seed = Some(peer);
        // It lies elsewhere on the peer's own disk.
        things.iter_mut().for_each(|thing| thing.path = temp.path().join("nowhere"));
    }
    if of == State::Damaged {
        let (library, _) = Library::open(&config.state_dir).unwrap();
        for thing in &things {
            let prepared = hash_path(&thing.path, 1).unwrap();
            library.put_share(&prepared.record(false).doubted(0..1), &prepared).unwrap();
            std::fs::write(&thing.path, "something else").unwrap();
        }
    }
    let peer = start_on(config.clone(), gate.clone(), faults.opener()).await.unwrap();
    let mut world = World { temp, gate, faults, peer, seed, accepted: BTreeMap::new() };
    if let Some(seed) = &world.seed {
        let all = seed.snapshot().transfers.len();
        until(&world.peer, "the catalogue", |s| s.catalogue.rows.len() == all).await;
    }
    into(of, &mut world, &things, &config).await;
    (world, things)
}

/// Brings all contents into a state.
async fn into(of: State, world: &mut World, things: &[Thing], config: &EngineConfig) {
    match of {
        State::Unknown => {}
        State::Ready
        | State::Damaged
        | State::Hashing
        | State::Verifying
        | State::Doubted
        | State::HashedAgain
        | State::Gone
        | State::Unshared => into_share(of, world, things).await,
        _ => into_download(of, world, things, config).await,
    }
}

/// States of what is shared from here.
async fn into_share(of: State, world: &mut World, things: &[Thing]) {
    let again = |thing: &Thing| Command::Share { path: thing.path.clone(), name: None };
    if !matches!(of, State::Damaged | State::Hashing) {
        for thing in things {
            world.ok(again(thing)).await;
        }
        world.until_all(things, |state| *state == TransferState::Sharing).await;
    }
    match of {
        State::Damaged => world.until_all(things, |s| *s == TransferState::Changed).await,
        State::Hashing => {
            for thing in things {
                world.gate.hold(&thing.path, 1);
                world.ok(again(thing)).await;
            }
            world.gate.until_held(things.len()).await;
        }
        State::Verifying | State::Doubted | State::HashedAgain => {
            let passes = match of {
                State::Verifying => 0,
                State::Doubted => 1,
                _ => 2,
            };
            for thing in things {
                if passes > 0 {
                    std::fs::write(&thing.path, "something else").unwrap();
                }
                world.gate.hold(&thing.path, passes);
                world.ok(Command::Verify { id: thing.id }).await;
            }
            world.gate.until_held(things.len()).await;
        }
        State::Gone => {
            for thing in things {
                std::fs::remove_file(&thing.path).unwrap();
                world.ok(Command::Verify { id: thing.id }).await;
            }
            world.until_all(things, |s| *s == TransferState::Changed).await;
        }
        State::Unshared => {
            for thing in things {
                world.ok(Command::Unshare { id: thing.id }).await;
            }
        }
        _ => assert_eq!(of, State::Ready),
    }
}

/// States of what is downloaded.
async fn into_download(of: State, world: &mut World, things: &[Thing], config: &EngineConfig) {
    match of {
        State::Watching => {
            for thing in things {
                world.ok(Command::Watch { id: thing.id, on: true }).await;
            }
            world.until_all(things, |s| *s == TransferState::NoSource).await;
        }
        State::Queued => {
            world.ok(request(ContentId::from_bytes([1; 32]), None)).await;
            for thing in things {
                world.ok(request(thing.id, None)).await;
            }
            world.until_all(things, |s| *s == TransferState::Queued).await;
        }
        State::Resolving | State::Paused | State::Removed | State::Blocked => {
            if of == State::Blocked {
                until(&world.peer, "what is free", |s| s.me.disk_free.is_some()).await;
            }
            for thing in things {
                world.ok(request(thing.id, None)).await;
                if matches!(of, State::Paused | State::Removed) {
                    world.ok(Command::Pause { id: thing.id }).await;
                }
                if of == State::Removed {
                    world.ok(Command::Remove { id: thing.id, delete_partial: false }).await;
                }
            }
            if of == State::Blocked {
                world.until_all(things, |s| *s == TransferState::DiskFull).await;
            }
        }
        State::Failed => {
            let below = config.state_dir.join("library.redb/below");
            for thing in things {
                world.ok(request(thing.id, Some(&below))).await;
            }
            world.until_all(things, |s| matches!(s, TransferState::Failed(_))).await;
        }
        State::Opening => {
            for (n, thing) in things.iter().enumerate() {
                let dir = world.temp.path().join(format!("held{n}"));
                world.gate.hold(&dir, 0);
                world.ok(request(thing.id, Some(&dir))).await;
            }
            world.until_all(things, |s| *s == TransferState::Checking).await;
        }
        State::Getting | State::Finishing => {
            world.ok(Command::Limits { up: None, down: Some(1000) }).await;
            for thing in things {
                world.ok(request(thing.id, None)).await;
            }
            world.until_all(things, |s| *s == TransferState::Getting).await;
            if of == State::Finishing {
                // Only now: what is still being opened when the library hangs waits for it as well.
                world.faults.hang();
                world.ok(Command::Limits { up: None, down: None }).await;
                world.until_all(things, |s| *s == TransferState::Finishing).await;
            }
        }
        State::Finished => {
            for thing in things {
                world.ok(request(thing.id, None)).await;
            }
            world.until_all(things, |s| *s == TransferState::Sharing).await;
        }
        _ => panic!("{of:?} is no state of a download"),
    }
}

/// Verdicts on each content, until the engine has ended.
async fn verdicts(mut events: Events) -> BTreeMap<ContentId, usize> {
    let mut verdicts = BTreeMap::new();
    while let Ok(event) = events.recv().await {
        match event.what {
            What::Verified { id, .. } | What::Failed { id: Some(id), code: "verify", .. } => {
                *verdicts.entry(id).or_default() += 1;
            }
            _ => {}
        }
    }
    verdicts
}

/// States that are tried at once, each in folders of its own: most of a try is waiting for disks.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f2_every_command_gets_exactly_one_final_answer_in_every_state() {
    let mut met = BTreeSet::new();
    let mut left = STATES.into_iter();
    let mut tried = JoinSet::new();
    for of in left.by_ref().take(AT_ONCE) {
        tried.spawn(every_command_in(of));
    }
    while let Some(kinds) = tried.join_next().await {
        met.extend(kinds.unwrap());
        if let Some(of) = left.next() {
            tried.spawn(every_command_in(of));
        }
    }
    assert_eq!(met.len(), KINDS, "some kind of command was not tried: {met:?}");
}

/// Tries all commands on contents in this state; which kinds that were.
async fn every_command_in(of: State) -> BTreeSet<usize> {
    let mut met = BTreeSet::new();
    let (mut world, things) = arrange(of, asked().len()).await;
    let _free = Freed(world.gate.clone(), world.faults.clone());
    // From before the first command, those of the arrangement included.
    let verdicts = tokio::spawn(verdicts(world.peer.events()));
    let mut calls = Vec::new();
    for (ask, thing) in asked().iter().zip(&things) {
        for command in ask(thing) {
            met.insert(kind(&command));
            calls.push((command.clone(), call(&world.peer, command)));
            // In this order.
            tokio::task::yield_now().await;
        }
    }
    for command in of_nothing(world.temp.path()) {
        met.insert(kind(&command));
        calls.push((command.clone(), call(&world.peer, command)));
    }
    world.gate.free();
    if of != State::Finishing {
        world.faults.mend();
    }
    for (command, answer) in calls {
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let Ok(Ok(answer)) = answer else { panic!("{of:?}: no answer to {command:?}") };
        let dropped = matches!(&answer, Err(e) if e.kind == CommandErrorKind::Stopped);
        assert!(!dropped, "{of:?}: {command:?} was dropped");
        if let (Command::Verify { id }, Ok(_)) = (&command, &answer) {
            *world.accepted.entry(*id).or_default() += 1;
        }
    }
    world.faults.mend();
    let at_work = |s: &Snapshot| {
        let works = [TransferState::Hashing, TransferState::Checking, TransferState::Finishing];
        s.transfers.iter().any(|t| works.contains(&t.state))
    };
    until(&world.peer, "all work is done", |s| !at_work(s)).await;
    world.peer.stop(Stop::Now);
    world.peer.stopped().await;
    let World { peer, accepted, .. } = world;
    drop(peer);
    let given = tokio::time::timeout(PATIENCE, verdicts).await.expect("events end").unwrap();
    for thing in &things {
        let (asked, got) = (accepted.get(&thing.id), given.get(&thing.id));
        let (asked, got) = (asked.copied().unwrap_or(0), got.copied().unwrap_or(0));
        // Those who ask while it is being read share a verdict.
        let right = if asked == 0 { got == 0 } else { (1..=asked).contains(&got) };
        assert!(right, "{of:?}: asked {asked} times, {got} verdicts on {}", thing.id);
    }
    met
}

/// Ends it, and waits until its last thread is gone.
async fn ended(peer: EngineHandle, config: &EngineConfig) {
    peer.stop(Stop::Now);
    peer.stopped().await;
    drop(peer);
    let end = Instant::now() + PATIENCE;
    while Library::open(&config.state_dir).is_err() {
        assert!(Instant::now() < end);
        tokio::task::yield_now().await;
    }
}

/// Has it verified: how many chunks are bad, or `None` if it could not be read.
async fn verdict(peer: &EngineHandle, id: ContentId) -> Option<u32> {
    let mut events = peer.live_events();
    ok(peer, Command::Verify { id }).await;
    let wait = async {
        loop {
            match events.recv().await.unwrap().what {
                What::Verified { id: of, bad } if of == id => return Some(bad),
                What::Failed { id: Some(of), code: "verify", .. } if of == id => return None,
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("no verdict")
}

/// Damage that the disk does not show stays damage, over a restart too, until the owner says otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn f11_what_was_found_damaged_is_never_offered_as_new_by_itself() {
    let temp = tempfile::tempdir().unwrap();
    let config = config(temp.path(), "peer");
    let path = file(temp.path(), 200_000);
    let good = std::fs::read(&path).unwrap();
    let prepared = hash_path(&path, 1).unwrap();
    let id = prepared.id;
    // As the disk had it when it was hashed, and as it has it now: the record says what the disk says.
    let mut bytes = good.clone();
    bytes[100_000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let minute_ago = std::time::SystemTime::now() - Duration::from_secs(60);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(minute_ago).unwrap();
    {
        let (library, _) = Library::open(&config.state_dir).unwrap();
        let lies = hash_path(&path, 1).unwrap().stats;
        library
            .put_share(
                &crate::library::ShareRecord { files: lies, ..prepared.record(false) },
                &prepared,
            )
            .unwrap();
    }
    let start = async || peer(config.clone(), &Hang::new()).await;
    let alone =
        |s: &Snapshot| s.transfers.len() == 1 && state(s, id) == Some(TransferState::Changed);

    let first = start().await;
    until(&first, "it is believed", is_here(id)).await;
    assert_eq!(verdict(&first, id).await, Some(1));
    until(&first, "it is off", alone).await;
    assert_eq!(verdict(&first, id).await, Some(1), "the second says the same");
    until(&first, "it is still off", alone).await;
    ended(first, &config).await;

    // What a command line names at every start is not the owner's word on it.
    let second = start().await;
    let mut events = second.events();
    ok(&second, Command::Offer { path: path.clone() }).await;
    let told = async {
        while !events.recv().await.unwrap().text.contains("was found damaged and is not served") {}
    };
    tokio::time::timeout(PATIENCE, told).await.expect("not told");
    until(&second, "it is off after a restart", alone).await;
    assert_eq!(verdict(&second, id).await, Some(1));
    // The right bytes are back: it is served again, and believed again.
    std::fs::write(&path, &good).unwrap();
    assert_eq!(verdict(&second, id).await, Some(0));
    until(&second, "it is served", is_here(id)).await;
    // Damaged once more, and this time it is meant to be so.
    let record = {
        ended(second, &config).await;
        let (library, _) = Library::open(&config.state_dir).unwrap();
        let record = library.share(&path).unwrap().unwrap();
        assert!(!record.is_doubted());
        std::fs::write(&path, &bytes).unwrap();
        library.put_share(&record.clone().doubted(0..1), &prepared).unwrap();
        record
    };
    assert_eq!(record.id, id);
    let third = start().await;
    until(&third, "it is off", alone).await;
    ok(&third, Command::Share { path: path.clone(), name: None }).await;
    let new = |s: &Snapshot| s.transfers.iter().any(|t| t.id != id && t.path == path);
    until(&third, "it is shared as it is", |s| new(s) && state(s, id).is_none()).await;
    third.stop(Stop::Now);
    third.stopped().await;
}
