//! What a running peer is to share, until others can download it: many paths at once, so that they are hashed side by
//! side, written down in a few commits and told to the tracker in a few messages.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::content::Kind;
use common::id::ContentId;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::status::unkept_line;
use super::wait::Ended;
use engine::api::command::{Command, CommandError, Reply};
use engine::api::event::{Event, What, speaks_of};
use engine::api::handle::{EngineHandle, Events};
use engine::api::snapshot::{NetState, Snapshot, Transfer, TransferState};

/// Paths asked for and not answered: enough for full commits and messages to the tracker, and each is looked at for
/// every event.
const AT_ONCE: usize = 256;

/// What others can download now.
pub(super) struct Shared {
    pub(super) row: Transfer,
    /// Why a restart would forget it.
    pub(super) unkept: Option<String>,
    /// What lies in the folder and is not shared with it.
    pub(super) left_out: Option<String>,
}

/// Why something is not shared.
pub(super) enum Failed {
    /// The peer does not take it.
    Refused(CommandError),
    /// It could not be shared: why, and what to do.
    Share(String, String),
    /// The tracker does not take it.
    Tracker(String),
    Ended(Ended),
}

/// Everything that is waited for, in the order in which it was asked for.
pub(super) struct Sharing {
    engine: EngineHandle,
    name: Option<String>,
    watched: Option<bool>,
    window: VecDeque<Waiting>,
    calls: JoinSet<(u64, Result<Reply, CommandError>)>,
    asked: u64,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    shares: Shares,
}

/// Has the peer share a path under `name`, if that is given, and watch it from then on, or not, if that is said.
///
/// # Errors
/// Whichever of the two the peer refuses; it is not watched where it is not shared.
pub(super) async fn ask_for(
    engine: &EngineHandle,
    path: PathBuf,
    name: Option<String>,
    watched: Option<bool>,
) -> Result<Reply, CommandError> {
    let answer = engine.call(Command::Share { path: path.clone(), name }).await?;
    match watched {
        Some(on) => engine.call(Command::Watched { path, on }).await,
        None => Ok(answer),
    }
}

impl Sharing {
    /// Nothing yet; what is asked for is shared under `name`, if that is given, and watched from then on, or not, if
    /// that is said.
    pub(super) fn new(engine: &EngineHandle, name: Option<String>, watched: Option<bool>) -> Self {
        let mut snapshots = engine.snapshots();
        let shares = Shares::new(snapshots.borrow_and_update().clone());
        let (window, calls) = (VecDeque::new(), JoinSet::new());
        Self { engine: engine.clone(), name, watched, window, calls, asked: 0, snapshots, shares }
    }

    /// Whether as much is waited for as may be at once.
    pub(super) fn is_full(&self) -> bool {
        self.window.len() >= AT_ONCE
    }

    /// Whether nothing is waited for.
    pub(super) fn is_empty(&self) -> bool {
        self.window.is_empty()
    }

    /// Asks for a path.
    pub(super) fn ask(&mut self, path: PathBuf) {
        let number = self.asked;
        self.asked += 1;
        self.window.push_back(self.shares.waiting(number, &path));
        self.call(number, path);
    }

    fn call(&mut self, number: u64, path: PathBuf) {
        let (engine, name, watched) = (self.engine.clone(), self.name.clone(), self.watched);
        self.calls.spawn(async move { (number, ask_for(&engine, path, name, watched).await) });
    }

    /// The final word on the first that was asked for. May be given up and called again.
    pub(super) async fn next(&mut self, events: &mut Events) -> Result<Shared, Failed> {
        loop {
            let Some(first) = self.window.front_mut() else { return std::future::pending().await };
            let looked = first.look(&self.shares);
            match looked {
                // That it is shared does not say that it is watched, or no longer.
                Ok(Some(_)) if self.watched.is_some() && !first.answered => {}
                Ok(None) => {}
                Ok(Some(shared)) => {
                    self.window.pop_front();
                    return Ok(shared);
                }
                Err(failed) => {
                    self.window.pop_front();
                    return Err(failed);
                }
            }
            tokio::select! {
                Some(Ok((number, answer))) = self.calls.join_next() => self.on_answer(number, answer),
                event = events.recv() => match event {
                    Ok(event) => self.hear(&event),
                    Err(RecvError::Lagged(_)) => self.catch_up(),
                    Err(RecvError::Closed) => return Err(Failed::Ended(Ended::Stopped)),
                },
                changed = self.snapshots.changed() => {
                    changed.map_err(|_| Failed::Ended(Ended::Stopped))?;
                    self.shares.update(self.snapshots.borrow_and_update().clone());
                }
            }
        }
    }

    fn on_answer(&mut self, number: u64, answer: Result<Reply, CommandError>) {
        let asked = self.window.iter_mut().find(|waiting| waiting.number == number);
        let Some(waiting) = asked else { return };
        waiting.answered = true;
        if let Err(error) = answer {
            waiting.failed.get_or_insert(Failed::Refused(error));
        }
    }

    fn hear(&mut self, event: &Event) {
        match &event.what {
            What::Hashed { id, path, unkept, left_out } => {
                for waiting in self.window.iter_mut().filter(|waiting| waiting.path == *path) {
                    (waiting.id, waiting.unkept) = (Some(*id), unkept.clone());
                    waiting.left_out.clone_from(left_out);
                }
            }
            What::Shared { id, .. } => {
                self.shares.registered.insert(*id);
            }
            What::Failed { id: None, code: "share", hint } => {
                // Of several paths the longest is meant: "/a" may stand in the text of "/a b".
                let open = self.window.iter_mut().filter(|waiting| waiting.is_open());
                let meant = open.filter(|waiting| speaks_of(&event.text, &waiting.path));
                if let Some(waiting) = meant.max_by_key(|waiting| waiting.path.as_os_str().len()) {
                    waiting.failed = Some(Failed::Share(event.text.clone(), hint.clone()));
                }
            }
            What::Failed { id: Some(id), code: "register", .. } => {
                for waiting in self.window.iter_mut().filter(|waiting| waiting.id == Some(*id)) {
                    waiting.failed.get_or_insert(Failed::Tracker(event.text.clone()));
                }
            }
            _ => {}
        }
    }

    /// Some events were missed: what is shared shows in the snapshot; what does not is asked for once more, and what
    /// became of it is told again. That the tracker has it is not.
    fn catch_up(&mut self) {
        self.shares.update(self.engine.snapshot());
        let mut again = Vec::new();
        let rows: HashMap<&Path, &Transfer> =
            self.shares.snapshot.transfers.iter().map(|row| (row.path.as_path(), row)).collect();
        for waiting in self.window.iter_mut().filter(|waiting| waiting.failed.is_none()) {
            let row = rows.get(waiting.path.as_path());
            let row = row.filter(|row| is_there(row) && row.kind == Kind::File);
            match row.map(|row| row.id) {
                Some(id) => {
                    waiting.id = Some(id);
                    self.shares.registered.insert(id);
                }
                None => {
                    waiting.missed = true;
                    again.push((waiting.number, waiting.path.clone()));
                }
            }
        }
        again.into_iter().for_each(|(number, path)| self.call(number, path));
    }
}

/// What a peer shares.
struct Shares {
    snapshot: Arc<Snapshot>,
    /// Places in the snapshot's rows.
    places: HashMap<ContentId, usize>,
    /// What lay at paths when it was begun to wait.
    before: HashMap<PathBuf, ContentId>,
    /// What the tracker has.
    registered: HashSet<ContentId>,
}

impl Shares {
    fn new(first: Arc<Snapshot>) -> Self {
        let rows = || first.transfers.iter();
        let taken = rows().filter(|row| is_there(row) && !row.refused).map(|row| row.id);
        // A folder is looked at again.
        let here =
            rows().filter(|row| row.state == TransferState::Sharing && row.kind == Kind::File);
        Self {
            registered: taken.collect(),
            before: here.map(|row| (row.path.clone(), row.id)).collect(),
            places: places(&first),
            snapshot: first,
        }
    }

    fn waiting(&self, number: u64, path: &Path) -> Waiting {
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        // Shared before, and still: nothing will happen, and nothing has to.
        let sharing = |id: &ContentId| {
            self.row(id).is_some_and(|row| row.state == TransferState::Sharing && row.path == path)
        };
        let id = self.before.get(&path).copied().filter(sharing);
        let unkept = self.snapshot.unkept.as_ref().filter(|_| id.is_some()).map(unkept_line);
        let (seen, missed, answered) = (false, false, false);
        Waiting { number, path, id, unkept, left_out: None, seen, missed, answered, failed: None }
    }

    fn update(&mut self, snapshot: Arc<Snapshot>) {
        if !snapshot.transfers.is_same(&self.snapshot.transfers) {
            self.places = places(&snapshot);
        }
        self.snapshot = snapshot;
    }

    fn row(&self, id: &ContentId) -> Option<&Transfer> {
        self.snapshot.transfers.get(*self.places.get(id)?)
    }
}

fn places(snapshot: &Snapshot) -> HashMap<ContentId, usize> {
    snapshot.transfers.iter().enumerate().map(|(at, row)| (row.id, at)).collect()
}

fn is_there(row: &Transfer) -> bool {
    matches!(row.state, TransferState::Sharing | TransferState::Checking)
}

struct Waiting {
    number: u64,
    path: PathBuf,
    id: Option<ContentId>,
    unkept: Option<String>,
    left_out: Option<String>,
    /// Whether it was seen among the peer's shares.
    seen: bool,
    /// That the tracker has it may have been told, and missed.
    missed: bool,
    /// The peer has answered what it was asked.
    answered: bool,
    failed: Option<Failed>,
}

impl Waiting {
    /// Whether nothing is known of it yet.
    fn is_open(&self) -> bool {
        self.id.is_none() && self.failed.is_none()
    }

    /// Whether others can download it now (or, without a network, could).
    fn look(&mut self, shares: &Shares) -> Result<Option<Shared>, Failed> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        let Some(id) = self.id else { return Ok(None) };
        let row = shares.row(&id);
        let gone = |why: &str| {
            let why = format!("{}: {why}", self.path.display());
            Err(Failed::Share(why, "tui-peer status lists what there is".to_owned()))
        };
        match row.map(|row| &row.state) {
            // Snapshots come a little later than events.
            None if !self.seen => return Ok(None),
            None => return gone("it was unshared"),
            Some(TransferState::Changed) if self.seen => return gone("it changed, or vanished"),
            _ => {}
        }
        self.seen = true;
        let network = &shares.snapshot.network;
        let alone = match &network.state {
            NetState::NoNetwork | NetState::Left => true,
            NetState::Rejected { why } => return Err(Failed::Tracker(why.clone())),
            _ => false,
        };
        let refused = row.is_some_and(|row| row.refused) && !alone;
        if let (true, Some((_, why))) = (refused, &network.refused) {
            return Err(Failed::Tracker(format!("{}: {why}", self.path.display())));
        }
        let there = alone || self.missed || shares.registered.contains(&id);
        let shared = |row: &Transfer| Shared {
            row: row.clone(),
            unkept: self.unkept.clone(),
            left_out: self.left_out.clone(),
        };
        Ok(row.filter(|_| there).map(shared))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use engine::api::event::{Level, Target};
    use engine::api::handle::{HandleParts, channel};
    use engine::api::snapshot::Me;

    fn row(n: u8, refused: bool) -> Transfer {
        Transfer {
            state: TransferState::Sharing,
            path: format!("/nowhere/{n}").into(),
            refused,
            ..Transfer::blank(ContentId::from_bytes([n; 32]))
        }
    }

    fn on(state: NetState, rows: Vec<Transfer>) -> Snapshot {
        let mut snapshot = Snapshot::first(Me::example());
        snapshot.network.state = state;
        snapshot.transfers = rows.into();
        snapshot
    }

    fn on_net(rows: Vec<Transfer>) -> Snapshot {
        on(NetState::On, rows)
    }

    fn tell(parts: &HandleParts, text: &str, what: What) {
        let (at, text) = (SystemTime::now(), text.to_owned());
        parts.events.send(Event { at, level: Level::Info, target: Target::Share, text, what });
    }

    /// Takes a call, and accepts it.
    async fn accept(parts: &mut HandleParts) -> PathBuf {
        let (command, reply) = parts.commands.recv().await.unwrap();
        let Command::Share { path, .. } = command else { panic!("{command:?}") };
        reply.send(Ok(Reply::Accepted)).unwrap();
        path
    }

    #[tokio::test]
    async fn b14_what_is_shared_and_refused_by_the_tracker_is_not_said_to_be_shared() {
        let mut snapshot = on(NetState::On, vec![row(1, false), row(2, true)]);
        snapshot.network.refused = Some((1, "this tracker is full".to_owned()));
        let (engine, parts) = channel(snapshot.clone());
        let mut events = engine.events();
        let mut sharing = Sharing::new(&engine, None, None);
        ["/nowhere/1", "/nowhere/2"].iter().for_each(|path| sharing.ask(path.into()));
        assert!(sharing.next(&mut events).await.is_ok());
        let Err(Failed::Tracker(why)) = sharing.next(&mut events).await else {
            panic!("said to be shared")
        };
        assert!(why.contains("/nowhere/2") && why.contains("full"), "{why}");
        // Without a network there is nobody to refuse it.
        snapshot.network.state = NetState::Left;
        parts.snapshots.send_replace(snapshot.into());
        let mut sharing = Sharing::new(&engine, None, None);
        sharing.ask("/nowhere/2".into());
        assert!(sharing.next(&mut events).await.is_ok());
    }

    #[tokio::test]
    async fn h3_many_paths_are_asked_for_before_the_first_is_shared_and_told_in_their_order() {
        let (engine, mut parts) = channel(on(NetState::On, Vec::new()));
        let mut events = engine.events();
        let mut sharing = Sharing::new(&engine, None, None);
        let path = |n: u8| PathBuf::from(format!("/nowhere/{n}"));
        [1, 11, 12].into_iter().for_each(|n| sharing.ask(path(n)));
        let mut asked = Vec::new();
        for _ in 0..3 {
            asked.push(accept(&mut parts).await);
        }
        asked.sort();
        assert_eq!(asked, [path(1), path(11), path(12)]);
        // The second cannot be shared; that is not said of the first, which is a part of its name.
        let failed = What::Failed { id: None, code: "share", hint: String::new() };
        tell(&parts, "cannot read /nowhere/11: no", failed);
        let shared = |n: u8| {
            let id = ContentId::from_bytes([n; 32]);
            tell(&parts, "", What::Hashed { id, path: path(n), unkept: None, left_out: None });
            let name = String::new();
            tell(&parts, "", What::Shared { id, name, size: 0, chunks: 0 });
        };
        [12, 1].into_iter().for_each(shared);
        parts.snapshots.send_replace(on(NetState::On, vec![row(12, false), row(1, false)]).into());
        let first = sharing.next(&mut events).await;
        assert!(first.is_ok_and(|shared| shared.row.path == path(1)));
        let second = sharing.next(&mut events).await;
        assert!(matches!(second, Err(Failed::Share(why, _)) if why.contains("/nowhere/11")));
        let third = sharing.next(&mut events).await;
        assert!(third.is_ok_and(|shared| shared.row.path == path(12)));
        assert!(sharing.is_empty());
        (0..AT_ONCE).for_each(|_| sharing.ask(path(1)));
        assert!(sharing.is_full());
    }

    #[tokio::test]
    async fn c7_what_is_to_be_watched_or_not_is_not_done_before_that_is_answered() {
        let refusal = |text: &str| CommandError {
            kind: engine::api::command::CommandErrorKind::Invalid,
            message: text.to_owned(),
        };
        for (on, answer) in [(false, Ok(Reply::Accepted)), (true, Err(refusal("so many")))] {
            let (engine, mut parts) = channel(on_net(vec![row(1, false)]));
            let mut events = engine.events();
            let mut sharing = Sharing::new(&engine, None, Some(on));
            let path = PathBuf::from("/nowhere/1");
            sharing.ask(path.clone());
            assert_eq!(accept(&mut parts).await, path);
            let id = ContentId::from_bytes([1; 32]);
            tell(&parts, "", What::Hashed { id, path: path.clone(), unkept: None, left_out: None });
            let name = String::new();
            tell(&parts, "", What::Shared { id, name, size: 0, chunks: 0 });
            let (command, reply) = parts.commands.recv().await.unwrap();
            assert!(
                matches!(command, Command::Watched { path: of, on: said } if of == path && said == on)
            );
            // Everything is told but that.
            {
                let mut next = std::pin::pin!(sharing.next(&mut events));
                for _ in 0..10 {
                    tokio::select! {
                        biased;
                        _ = &mut next => panic!("said to be done"),
                        () = tokio::task::yield_now() => {}
                    }
                }
            }
            let taken = answer.is_ok();
            reply.send(answer).unwrap();
            let end = sharing.next(&mut events).await;
            match taken {
                true => assert!(end.is_ok()),
                false => assert!(matches!(end, Err(Failed::Refused(_)))),
            }
        }
    }

    #[tokio::test]
    async fn h3_what_is_wrong_inside_a_folder_is_told_of_the_folder() {
        let (engine, parts) = channel(on(NetState::On, Vec::new()));
        let mut events = engine.events();
        let mut sharing = Sharing::new(&engine, None, None);
        ["/nowhere/d", "/nowhere/d/x"].iter().for_each(|path| sharing.ask(path.into()));
        // Of the folder alone, then of the file that is waited for as well.
        for text in ["/nowhere/d: cannot read /nowhere/d/x: no", "cannot read /nowhere/d/x: no"] {
            let failed = What::Failed { id: None, code: "share", hint: String::new() };
            tell(&parts, text, failed);
            let why = sharing.next(&mut events).await;
            assert!(matches!(why, Err(Failed::Share(why, _)) if why == text));
        }
        assert!(sharing.is_empty());
    }

    #[test]
    fn h3_a_text_is_about_the_path_that_it_begins_with() {
        let about = |text, path| speaks_of(text, Path::new(path));
        assert!(about("/a/b changed while it was being hashed", "/a/b"));
        assert!(about("cannot read /a/b: no", "/a/b"));
        assert!(about("/srv: cannot read /srv/data: no", "/srv"));
        for other in ["/srv/data", "/data", "/s"] {
            assert!(!about("/srv: cannot read /srv/data: no", other), "{other}");
        }
        assert!(!about("cannot read /a/b/c: no", "/a/b"));
    }

    #[tokio::test]
    async fn h3_what_was_missed_among_the_events_is_asked_for_again() {
        use engine::api::handle::EVENT_QUEUE;
        let (engine, mut parts) = channel(on(NetState::On, Vec::new()));
        let mut events = engine.events();
        let mut sharing = Sharing::new(&engine, None, None);
        let path = PathBuf::from("/nowhere/1");
        sharing.ask(path.clone());
        assert_eq!(accept(&mut parts).await, path);
        (0..=EVENT_QUEUE).for_each(|_| tell(&parts, "", What::Said));
        let asked_again = async {
            assert_eq!(accept(&mut parts).await, path);
            // It was shared in between: only that is told again.
            let id = ContentId::from_bytes([1; 32]);
            tell(&parts, "", What::Hashed { id, path, unkept: None, left_out: None });
            parts.snapshots.send_replace(on(NetState::On, vec![row(1, false)]).into());
        };
        let (shared, ()) = tokio::join!(sharing.next(&mut events), asked_again);
        assert!(shared.is_ok());
    }
}
