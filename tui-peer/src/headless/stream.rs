//! `get … -o -`: one file to standard output, in order, while it comes. It is an ordinary download with its
//! chunks in order, in a folder of this run; a thread follows it and writes what is verified, so that a slow
//! reader holds up neither the network nor signals. Standard output carries nothing else.

mod follow;

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::content::Kind;
use common::id::ContentId;
use common::join::{Link, parse_any};
use common::names::show;
use tokio::runtime::Handle;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, sleep_until};

use self::follow::{Broken, follow};
use super::fetch::{Found, LIST, Search, line, passes};
use super::output::Output;
use super::signals::Signals;
use super::wait::{deadline, no_way};
use crate::args::exit;
use engine::api::chunk_states::Chunks;
use engine::api::command::{Command, Download, Reply, Selection};
use engine::api::event::{Event, What};
use engine::api::handle::{EngineHandle, Events, Stop};
use engine::api::pattern::{PathPattern, is_pattern, with_folders};
use engine::api::snapshot::{ChunkState, FolderEntry, Look, NetState, Snapshot, TransferState};

/// The line at the bottom, and looks at whether somebody still reads, this often.
const PROGRESS: Duration = Duration::from_millis(500);

#[derive(Debug, Clone)]
pub struct Streaming {
    /// Name, id or link.
    pub what: String,
    /// Which file, if it is a folder.
    pub files: Vec<String>,
    /// Wait for what is not in the network yet.
    pub wait: bool,
    /// Seconds it may take.
    pub timeout: Option<u64>,
    /// A folder of this run, for what is not written out yet.
    pub dir: PathBuf,
}

/// One file of a folder.
#[derive(Debug, PartialEq, Eq)]
struct Chosen {
    size: u64,
    /// Sizes of the files before it.
    before: Vec<u64>,
}

/// The file among the chunks of its content.
struct Place {
    size: u64,
    /// Its first chunk.
    first: u32,
}

/// A command at work.
struct Work<'a> {
    engine: EngineHandle,
    streaming: &'a Streaming,
    id: Option<ContentId>,
    /// It is known, or taken, to be a folder.
    folder: bool,
    /// The file that was chosen in the folder.
    chosen: Option<Chosen>,
    place: Option<Place>,
    /// Chunks of the file known to be here, without a gap.
    chunks: u32,
    limit: watch::Sender<u64>,
    writer: Option<JoinHandle<Result<(), Broken>>>,
    search: Search,
    began: Instant,
    was_on: bool,
}

/// Runs until all of it is written, or cannot be; returns the exit code. `out` must be one without JSON.
pub async fn stream(engine: EngineHandle, streaming: &Streaming, out: &mut Output) -> u8 {
    let Ok(mut signals) = Signals::new() else { return exit::OTHER };
    if std::io::stdout().is_terminal() {
        // What is written would run into them.
        out.without_bars();
    }
    out.only_warnings();
    let mut events = engine.events();
    let mut work = Work {
        engine: engine.clone(),
        streaming,
        id: None,
        folder: false,
        chosen: None,
        place: None,
        chunks: 0,
        limit: watch::channel(0).0,
        writer: None,
        search: Search::new(streaming.wait),
        began: Instant::now(),
        was_on: false,
    };
    let code = work.run(&mut events, &mut signals, out).await;
    // The folder goes: nothing is to be synced or finished.
    engine.stop(Stop::Now);
    engine.stopped().await;
    out.clear();
    code
}

impl Work<'_> {
    async fn run(&mut self, events: &mut Events, signals: &mut Signals, out: &mut Output) -> u8 {
        let engine = self.engine.clone();
        let mut snapshots = engine.snapshots();
        let end = deadline(self.streaming.timeout);
        let mut ticker = tokio::time::interval(PROGRESS);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Err(code) = self.advance(out).await {
                return code;
            }
            tokio::select! {
                changed = snapshots.changed() => {
                    if changed.is_err() {
                        return exit::OTHER;
                    }
                    snapshots.borrow_and_update();
                }
                ended = ended(&mut self.writer) => return said(ended, out),
                event = events.recv() => match event {
                    Ok(event) => {
                        if let Err(code) = self.hear(&event, out) {
                            return code;
                        }
                    }
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return exit::OTHER,
                },
                _ = ticker.tick() => {
                    self.show(&engine.snapshot(), out);
                    out.look();
                    if out.broken {
                        return exit::PIPE;
                    }
                }
                () = sleep_until(end) => {
                    out.note("not done in time");
                    return exit::OTHER;
                }
                code = signals.stop(&engine) => return code,
            }
        }
    }

    /// Takes the next step that can be taken now; the exit code if there is none and will be none.
    async fn advance(&mut self, out: &mut Output) -> Result<(), u8> {
        let snapshot = self.engine.snapshot();
        self.was_on |= snapshot.network.state == NetState::On;
        if !self.was_on
            && !self.streaming.wait
            && let Some(why) = no_way(&snapshot, self.began.elapsed())
        {
            out.error(
                "tracker",
                &why,
                "check the link or the join string, and that the tracker runs",
            );
            return Err(exit::TRACKER);
        }
        let Some(id) = self.id else { return self.resolve(&snapshot, out).await };
        let row = snapshot.transfers.iter().find(|row| row.id == id);
        if let Some(TransferState::Failed(why)) = row.map(|row| &row.state) {
            out.error("failed", why, "run it again");
            return Err(exit::IO);
        }
        if self.folder && self.chosen.is_none() {
            return self.choose(id, out).await;
        }
        if self.place.is_none() {
            self.locate(id, &snapshot, out)?;
        }
        self.let_out(id, &snapshot);
        Ok(())
    }

    /// From a name to a download that has begun.
    async fn resolve(&mut self, snapshot: &Snapshot, out: &mut Output) -> Result<(), u8> {
        let Streaming { what, files, dir, .. } = self.streaming;
        let (id, name) = match self.search.look_up(what, snapshot) {
            Found::Yes(id, name) => (id, name),
            Found::NotYet => {
                self.search.looked(snapshot);
                return Ok(());
            }
            Found::No(refused) => {
                out.refused(&refused);
                return Err(refused.exit);
            }
        };
        let said = match parse_any(what) {
            Ok(Link::File(link)) => link.kind(),
            _ => None,
        };
        let row = snapshot.catalogue.rows.iter().find(|row| row.id == id);
        let kind = row.map(|row| row.kind).or(said);
        match (kind, files.is_empty()) {
            (Some(Kind::Folder), true) => return Err(no_folder(out)),
            (Some(Kind::File), false) => {
                out.error("files", "that is one file, not a folder", "leave --files away");
                return Err(exit::USAGE);
            }
            (_, none) => self.folder = !none,
        }
        // First its list of files alone: what is not asked for is not fetched.
        let chosen = if self.folder { Selection::Paths(Vec::new()) } else { Selection::All };
        let download = Download { id, name, dir: Some(dir.clone()), files: chosen };
        let all = [
            Command::Download(download),
            Command::Sequential { id, on: true },
            Command::Focus { id: Some(id), look: Look::default() },
        ];
        for command in all {
            if let Err(error) = self.engine.call(command).await {
                out.error("get", &error.message, LIST);
                return Err(exit::of(error.kind));
            }
        }
        self.id = Some(id);
        Ok(())
    }

    /// Chooses the one file of a folder, once its list is here.
    async fn choose(&mut self, id: ContentId, out: &mut Output) -> Result<(), u8> {
        let Ok(Reply::Files(files)) = self.engine.call(Command::ListFiles { id }).await else {
            return Ok(());
        };
        let (raw, chosen) = choose(&files, &self.streaming.files).map_err(|(why, code)| {
            let hint = "--files takes the path of one file in the folder, or a pattern for it";
            out.error("files", &why, hint);
            code
        })?;
        self.chosen = Some(chosen);
        let select = Command::Select { id, files: Selection::Paths(vec![raw]) };
        self.engine.call(select).await.map(drop).map_err(|error| {
            out.error("files", &error.message, "run it again");
            exit::of(error.kind)
        })
    }

    /// Finds the file among the chunks, once it is known what the content is, and starts to write.
    fn locate(&mut self, id: ContentId, snapshot: &Snapshot, out: &mut Output) -> Result<(), u8> {
        let Some(row) = snapshot.transfers.iter().find(|row| row.id == id) else { return Ok(()) };
        if row.kind == Kind::Folder && !self.folder {
            return Err(no_folder(out));
        }
        if matches!(row.state, TransferState::Resolving | TransferState::Queued) {
            return Ok(());
        }
        // Only now is it known how long its chunks are.
        let focus = snapshot.focus.as_ref().filter(|focus| focus.id == id && focus.chunk_len > 0);
        let Some(focus) = focus else { return Ok(()) };
        let place = match &self.chosen {
            Some(chosen) => place(chosen, focus.chunk_len),
            None => Some(Place { size: row.size, first: 0 }),
        };
        let Some(place) = place else {
            out.error("files", "it has more chunks than there can be", "get it with -o DIR");
            return Err(exit::OTHER);
        };
        let target = std::io::stdout().as_fd().try_clone_to_owned().map_err(|error| {
            out.error("io", &format!("standard output: {error}"), "");
            exit::IO
        })?;
        let (dir, size) = (self.streaming.dir.clone(), place.size);
        let (mut limit, runtime) = (self.limit.subscribe(), Handle::current());
        self.place = Some(place);
        self.writer = Some(tokio::task::spawn_blocking(move || {
            let more = |written: u64| {
                let further = limit.wait_for(|limit| *limit > written);
                runtime.block_on(further).ok().map(|limit| *limit)
            };
            follow(&dir, size, target.into(), more)
        }));
        Ok(())
    }

    /// Lets out what is verified without a gap from the beginning.
    fn let_out(&mut self, id: ContentId, snapshot: &Snapshot) {
        let Some(place) = &self.place else { return };
        let Some(focus) = snapshot.focus.as_ref().filter(|focus| focus.id == id) else { return };
        self.chunks = here(&focus.chunks, place.first, self.chunks);
        let bytes = u64::from(self.chunks).saturating_mul(focus.chunk_len).min(place.size);
        self.limit.send_if_modified(|limit| {
            bytes > *limit && {
                *limit = bytes;
                true
            }
        });
    }

    fn hear(&self, event: &Event, out: &mut Output) -> Result<(), u8> {
        out.event(event);
        match &event.what {
            What::Failed { id, code, .. } if id.is_some() && *id == self.id => {
                if passes(code) {
                    Ok(())
                } else {
                    Err(exit::IO)
                }
            }
            _ => Ok(()),
        }
    }

    fn show(&self, snapshot: &Snapshot, out: &mut Output) {
        match snapshot.transfers.iter().find(|row| Some(row.id) == self.id) {
            Some(row) => out.status(&line(row)),
            None => out.status("asking the tracker …"),
        }
    }
}

/// The end of the writer; for ever if there is none.
async fn ended(writer: &mut Option<JoinHandle<Result<(), Broken>>>) -> Result<(), Broken> {
    match writer {
        Some(writer) => writer.await.unwrap_or(Err(Broken::Stopped)),
        None => std::future::pending().await,
    }
}

fn said(ended: Result<(), Broken>, out: &mut Output) -> u8 {
    match ended {
        Ok(()) => exit::OK,
        Err(Broken::Reader(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => exit::PIPE,
        Err(error @ Broken::Stopped) => {
            out.error("stopped", &error.to_string(), "run it again");
            exit::OTHER
        }
        Err(error) => {
            out.error("io", &error.to_string(), "check what reads it, and the disk");
            exit::IO
        }
    }
}

/// Chunks from `first` on that are here without a gap; `known` of them were here before.
fn here(chunks: &Chunks, first: u32, known: u32) -> u32 {
    let mut here = known;
    let is_here = |n: u32| {
        let at = first.checked_add(n).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| chunks.state(at)) == Some(ChunkState::Have)
    };
    while is_here(here) {
        here += 1;
    }
    here
}

fn no_folder(out: &mut Output) -> u8 {
    let why = "that is a folder, and standard output takes one file";
    out.error("folder", why, "name one of its files with --files, or a folder with -o DIR");
    exit::USAGE
}

/// Files told by name where one was wanted.
const MAX_TOLD: usize = 3;

/// The one file that these paths or patterns mean (it, or a folder with it alone), or why there is none, with the
/// exit code. A path that is there is meant itself, whatever signs of patterns are in it.
fn choose(files: &[FolderEntry], paths: &[String]) -> Result<(String, Chosen), (String, u8)> {
    // The files of which the path, or that of a folder above them, is meant.
    let such = |is_meant: &dyn Fn(&str) -> bool| -> Vec<usize> {
        let files = files.iter().enumerate();
        files.filter(|(_, file)| with_folders(&file.raw).any(is_meant)).map(|(at, _)| at).collect()
    };
    let mut meant = BTreeSet::new();
    for path in paths {
        let exact = path.trim_end_matches('/');
        let mut found = such(&|name| name == exact);
        if let Some(pattern) = PathPattern::of(exact).filter(|_| found.is_empty()) {
            found = such(&|name| pattern.matches(name));
        }
        if found.is_empty() {
            let what = if is_pattern(exact) { "nothing in it matches" } else { "there is no" };
            return Err((format!("{what} {:?}", show(path)), exit::NOT_FOUND));
        }
        meant.extend(found);
    }
    let meant: Vec<usize> = meant.into_iter().collect();
    match meant.as_slice() {
        [only] => {
            let before = files.iter().take(*only).map(|file| file.size).collect();
            let file = files.get(*only).map(|file| (file.raw.clone(), file.size));
            let (raw, size) = file.unwrap_or_default();
            Ok((raw, Chosen { size, before }))
        }
        many => {
            let names = many.iter().take(MAX_TOLD).filter_map(|at| files.get(*at));
            let mut names: Vec<&str> = names.map(|file| file.path.as_str()).collect();
            if many.len() > MAX_TOLD {
                names.push("…");
            }
            let (count, names) = (many.len(), names.join(", "));
            let why = format!("that means {count} files ({names}), and standard output takes one");
            Err((why, exit::USAGE))
        }
    }
}

/// Where a file of a folder begins: every one starts on a chunk of its own.
fn place(chosen: &Chosen, chunk_len: u64) -> Option<Place> {
    let chunks = |size: &u64| size.div_ceil(chunk_len.max(1));
    let first = chosen.before.iter().map(chunks).fold(0, u64::saturating_add);
    Some(Place { size: chosen.size, first: u32::try_from(first).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c3_only_what_has_no_gap_before_it_is_let_out() {
        use ChunkState::{Bad, Have, InFlight, Missing};
        let of = |states: &[ChunkState]| Chunks::of(states, &[]);
        let some = of(&[Missing, Have, Have, InFlight, Have]);
        assert_eq!((here(&some, 0, 0), here(&some, 1, 0), here(&some, 3, 0)), (0, 2, 0));
        assert_eq!((here(&some, 4, 0), here(&some, 5, 0)), (1, 0));
        assert_eq!(here(&of(&[Have, Bad, Have]), 0, 0), 1);
        assert_eq!(here(&of(&[Have; 300]), 100, 7), 200);
    }

    #[test]
    fn p6_one_file_of_a_folder_is_found_by_path_or_pattern_behind_those_before_it() {
        let files = [("a", 10), ("b/empty", 0), ("b/x", 129), ("bx", 1), ("c", 64)];
        let files = files.map(|(raw, size)| FolderEntry {
            path: raw.to_owned(),
            raw: raw.to_owned(),
            size,
            done: 0,
            wanted: false,
        });
        let find = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            choose(&files, &paths).map(|(raw, chosen)| {
                let place = place(&chosen, 64).unwrap();
                (raw, place.size, place.first)
            })
        };
        assert_eq!(find(&["a"]), Ok(("a".to_owned(), 10, 0)));
        assert_eq!(find(&["b/x"]), Ok(("b/x".to_owned(), 129, 1)));
        assert_eq!(find(&["c/"]), Ok(("c".to_owned(), 64, 5)));
        assert_eq!(find(&["b/empty"]), Ok(("b/empty".to_owned(), 0, 1)));
        // Patterns, as without -o -: of a folder that matches everything below it is meant.
        assert_eq!(find(&["b/x*"]), find(&["b/x"]));
        assert_eq!(find(&["?x"]), Ok(("bx".to_owned(), 1, 4)));
        assert_eq!(find(&["**/x", "b/x"]), find(&["b/x"]), "a file twice is one");
        for (paths, code, why) in [
            (&["nosuch"][..], exit::NOT_FOUND, "there is no \"nosuch\""),
            (&["a", "sub/*.bin"], exit::NOT_FOUND, "nothing in it matches \"sub/*.bin\""),
            (&["b"], exit::USAGE, "that means 2 files (b/empty, b/x), and"),
            (&["a", "c"], exit::USAGE, "(a, c)"),
            (&["*"], exit::USAGE, "5 files (a, b/empty, b/x, …)"),
        ] {
            let (said, told) = find(paths).unwrap_err();
            assert!(told == code && said.contains(why), "{paths:?}: {said}");
        }
        let far = Chosen { size: 1, before: vec![u64::MAX; 3] };
        assert!(place(&far, 1).is_none());
    }
}
