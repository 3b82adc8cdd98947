//! The app without a screen, for screen readers and simple terminals: lines, and numbered questions. No
//! alternate screen, no colour, nothing that moves. [`Plain`] is pure; [`run`] connects it.

use std::io::{BufRead as _, Read as _, Write as _};
use std::path::PathBuf;

use common::id::ContentId;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use settings::Units;

use crate::args::parse_line;
use engine::api::command::{Command, Download, Selection};
use engine::api::event::{Event, Level, What};
use engine::api::handle::EngineHandle;
use engine::api::snapshot::{BanRow, NetState, Snapshot, Transfer};
use frontend::act::{Request, Verb, plan};
use frontend::filter::fold;
use frontend::find;
use frontend::format;
use screen::{ExitReason, labels};

/// Files listed at once; a filter finds the others.
const PAGE: usize = 20;
/// Longest line read, in bytes: a path, or a link.
const MAX_LINE: u64 = 8192;
/// Lines typed ahead.
const TYPED: usize = 16;
const MENU: &str = "1 list, 2 filter, 3 download, 4 share, 5 status, 6 help, 0 quit";
/// Said where the peer runs on without this program.
const CLOSES: &str = "0 quit closes this only: the peer runs on.";

/// What is to be done after an answer.
#[derive(Debug)]
pub enum Out {
    /// Print this line.
    Say(String),
    /// Ask the engine; say this if it agrees.
    Call(Command, String),
    /// End.
    Quit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Menu,
    Filter,
    Download,
    Share,
}

/// The conversation.
#[derive(Debug)]
pub struct Plain {
    question: Question,
    filter: String,
    /// What the numbers of the last list stand for.
    listed: Vec<ContentId>,
    home: Option<PathBuf>,
    units: Units,
    /// The peer runs on without this program.
    attached: bool,
}

impl Plain {
    /// At the menu.
    pub fn new(home: Option<PathBuf>, units: Units) -> Self {
        let (question, filter, listed) = (Question::Menu, String::new(), Vec::new());
        Self { question, filter, listed, home, units, attached: false }
    }

    /// The same for a peer that runs in another process.
    #[must_use]
    pub fn attached(mut self) -> Self {
        self.attached = true;
        self
    }

    /// What is asked now.
    pub fn prompt(&self) -> &'static str {
        match self.question {
            Question::Menu => "Number or word: ",
            Question::Filter => "Words in the name (empty: all files): ",
            Question::Download => "Number of the file in the list (empty: back): ",
            Question::Share => "Path of a file or folder (empty: back): ",
        }
    }

    /// What is said at the beginning.
    pub fn greeting(&self, snap: &Snapshot) -> Vec<Out> {
        let mut out =
            vec![Out::Say("Shoal, line by line. Type a number and press Enter.".to_owned())];
        out.extend(self.status(snap));
        out.push(Out::Say(MENU.to_owned()));
        if self.attached {
            out.push(Out::Say(CLOSES.to_owned()));
        }
        out
    }

    /// Handles a line that was typed.
    pub fn answer(&mut self, snap: &Snapshot, line: &str) -> Vec<Out> {
        let line = line.trim();
        let question = std::mem::replace(&mut self.question, Question::Menu);
        match question {
            Question::Menu => self.menu(snap, line),
            Question::Filter => {
                self.filter = line.to_owned();
                self.list(snap)
            }
            Question::Download if line.is_empty() => vec![Out::Say(MENU.to_owned())],
            Question::Download => self.download(snap, line),
            Question::Share if line.is_empty() => vec![Out::Say(MENU.to_owned())],
            Question::Share => vec![Out::Call(
                Command::Share { path: self.path(line), name: None },
                format!("Sharing {}.", common::names::show(line)),
            )],
        }
    }

    fn menu(&mut self, snap: &Snapshot, line: &str) -> Vec<Out> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let go = match word.to_lowercase().as_str() {
            "" => return vec![Out::Say(MENU.to_owned())],
            "1" | "l" | "list" => return self.list(snap),
            "2" | "f" | "filter" => Question::Filter,
            "3" | "d" | "download" => Question::Download,
            "4" | "s" | "share" => Question::Share,
            "5" | "status" => return self.status(snap),
            "6" | "h" | "help" | "?" => return help(),
            "0" | "q" | "quit" => return vec![Out::Quit],
            "unshare" => return self.unshare(snap, rest),
            "verify" => return self.verify(snap, rest),
            name if Verb::find(name).is_some() => return self.act(snap, line),
            other => {
                let text = format!("{} is none of: {MENU}", common::names::show(other));
                return vec![Out::Say(text)];
            }
        };
        if go == Question::Download && self.listed.is_empty() {
            let mut out = self.list(snap);
            if !self.listed.is_empty() {
                self.question = go;
            }
            if !rest.is_empty() {
                out.push(Out::Say("Now the number.".to_owned()));
            }
            return out;
        }
        self.question = go;
        // "download 3" and "filter iso" need no second line.
        if rest.trim().is_empty() { Vec::new() } else { self.answer(snap, rest) }
    }

    fn list(&mut self, snap: &Snapshot) -> Vec<Out> {
        let wanted: Vec<String> =
            fold(&self.filter).split_whitespace().map(str::to_owned).collect();
        let mut out = Vec::new();
        self.listed.clear();
        let mut found = 0usize;
        for row in &snap.catalogue.rows {
            let name = fold(&row.name);
            if !wanted.iter().all(|word| name.contains(word.as_str())) {
                continue;
            }
            found += 1;
            if self.listed.len() >= PAGE {
                continue;
            }
            self.listed.push(row.id);
            let own = snap.transfers.iter().find(|t| t.id == row.id);
            let state = own.map_or_else(String::new, |t| {
                let done = format::percent(t.done, t.size);
                format!(", {}, {done}", labels::state_word(&t.state))
            });
            let sources = format::plural(u64::from(row.sources), "source");
            out.push(Out::Say(format!(
                "{}. {}, {}, {sources}{state}",
                self.listed.len(),
                row.name,
                format::size(row.size, self.units),
            )));
        }
        let all = format::plural(snap.catalogue.rows.len() as u64, "file");
        let filter = if self.filter.is_empty() {
            String::new()
        } else {
            format!(" with \"{}\"", common::names::show(&self.filter))
        };
        out.push(Out::Say(match (found, self.listed.len()) {
            (0, _) if self.filter.is_empty() => {
                "No files in the network yet. 4 shares one.".to_owned()
            }
            (0, _) => format!("None of {all}{filter}. 2 changes the filter."),
            (n, m) if n > m => format!("{m} of {n}{filter}; {all} in all. 2 finds the others."),
            (n, _) => format!("{n} of {all}{filter}."),
        }));
        out
    }

    fn download(&mut self, snap: &Snapshot, line: &str) -> Vec<Out> {
        let id = self.numbered(line);
        let row = id.and_then(|id| snap.catalogue.rows.iter().find(|row| row.id == id));
        let Some(row) = row else {
            let text = format!(
                "{} is not in the list; write 1 to {}.",
                common::names::show(line),
                self.listed.len()
            );
            return vec![Out::Say(text)];
        };
        let download = Download { id: row.id, name: None, dir: None, files: Selection::All };
        vec![Out::Call(Command::Download(download), format!("Downloading {}.", row.name))]
    }

    fn status(&self, snap: &Snapshot) -> Vec<Out> {
        let network = match &snap.network.state {
            NetState::NoNetwork => "No network: start with --tracker or --host.".to_owned(),
            NetState::Connecting => "Connecting to the tracker.".to_owned(),
            NetState::On => format!(
                "Connected{}, {}, {}.",
                snap.network.at.as_ref().map_or_else(String::new, |at| format!(" {}", at.words())),
                format::plural(snap.peers.len() as u64, "peer"),
                format::plural(snap.catalogue.rows.len() as u64, "file")
            ),
            NetState::Lost { why, .. } if snap.network.is_unmet() => format!(
                "Tracker {} never reached: check the address. Trying again: {}",
                snap.network.tracker,
                common::names::show(why)
            ),
            NetState::Lost { why, .. } => {
                format!("Tracker lost, trying again: {}", common::names::show(why))
            }
            NetState::Rejected { why } => {
                format!("The tracker refuses us: {}", common::names::show(why))
            }
            NetState::Left => "You left the network.".to_owned(),
        };
        let rate = |rate: f64| format::rate(rate, "nothing", self.units);
        let mut out = vec![
            Out::Say(network),
            Out::Say(format!(
                "Receiving {}, sending {}.",
                rate(snap.totals.down_rate).trim(),
                rate(snap.totals.up_rate).trim()
            )),
        ];
        let clocks = snap.network.clock_ahead_s.map(|ahead| {
            format!("Warning: {}; set whichever is wrong.", engine::api::cause::clocks(ahead))
        });
        let trouble = snap.network.trouble.as_ref().map(|why| format!("Warning: {why}."));
        out.splice(1..1, clocks.into_iter().chain(trouble).map(Out::Say));
        for t in snap.transfers.iter().filter(|t| t.is_unfinished()).take(PAGE) {
            let done = format::percent(t.done, t.size);
            out.push(Out::Say(format!("{}: {done}, {}", t.name, labels::outlook(t))));
        }
        let differ = snap.transfers.iter().filter_map(|t| Some((t, t.differs()?.words())));
        for (t, words) in differ.take(PAGE) {
            out.push(Out::Say(format!("{}: {words} on disk; rescan shares it so.", t.name)));
        }
        let sharing = snap.transfers.iter().filter(|t| !t.is_unfinished()).count() as u64;
        out.push(Out::Say(format!("Sharing {}.", format::plural(sharing, "item"))));
        out
    }

    /// A verb with what it needs, as in the shell; numbers are those of the last list.
    fn act(&self, snap: &Snapshot, line: &str) -> Vec<Out> {
        let request = match parse_line(&words_of(line)) {
            Ok(act) => act.request(),
            Err(why) => return why.lines().map(|line| Out::Say(line.to_owned())).collect(),
        };
        if matches!(&request, Request::Unban(what) if what.is_empty()) {
            return bans(snap);
        }
        let steps = plan(&request, snap, &|text| self.numbered(text));
        if steps.is_empty() {
            return vec![Out::Say("Nothing here for which that makes sense.".to_owned())];
        }
        let out = steps.into_iter().map(|step| match step {
            Ok(step) => Out::Call(step.command, sentence(&step.said)),
            Err(refused) => Out::Say(sentence(&format!("Not done: {}", refused.message))),
        });
        out.collect()
    }

    fn unshare(&self, snap: &Snapshot, rest: &str) -> Vec<Out> {
        self.each(snap, rest, "Name, number or path of what is shared.", |t| {
            (Command::Unshare { id: t.id }, format!("No longer shared: {}.", t.name))
        })
    }

    fn verify(&self, snap: &Snapshot, rest: &str) -> Vec<Out> {
        self.each(snap, rest, "Name, number or path of what is to be read again.", |t| {
            (Command::Verify { id: t.id }, format!("Reading it again: {}.", t.name))
        })
    }

    fn each(
        &self,
        snap: &Snapshot,
        rest: &str,
        how: &str,
        make: impl Fn(&Transfer) -> (Command, String),
    ) -> Vec<Out> {
        let words = words_of(rest);
        if words.is_empty() {
            return vec![Out::Say(how.to_owned())];
        }
        let mut out = Vec::new();
        for what in &words {
            let numbered = self.numbered(what).map(|id| id.to_string());
            let what = numbered.as_deref().unwrap_or(what);
            out.push(match find::one(what, snap.transfers.iter()) {
                Ok(t) => {
                    let (command, text) = make(t);
                    Out::Call(command, text)
                }
                Err(miss) => Out::Say(sentence(&miss.message("Nothing shared or downloaded here"))),
            });
        }
        out
    }

    /// What a number of the last list stands for.
    fn numbered(&self, text: &str) -> Option<ContentId> {
        let number = text.parse::<usize>().ok()?;
        self.listed.get(number.checked_sub(1)?).copied()
    }

    fn path(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(text),
        }
    }
}

fn help() -> Vec<Out> {
    let mut out = vec![
        MENU.to_owned(),
        "Words work as well: filter iso, download 3, share ~/notes, unshare 3, verify 3."
            .to_owned(),
        "What runs is told what to do by a word and names, numbers of the list, or all:".to_owned(),
    ];
    out.extend(Verb::ALL.iter().map(|verb| format!("{}: {}.", verb.name(), verb.help())));
    out.push("For example: pause all, limit 3 --down 1M, remove notes.zip --data.".to_owned());
    out.push(
        "A name with blanks stands in double quotes. A word alone says how it is written."
            .to_owned(),
    );
    out.push("Not here but in the shell: tui-peer --help lists all commands.".to_owned());
    out.push("Ctrl-C ends the program.".to_owned());
    out.into_iter().map(Out::Say).collect()
}

fn bans(snap: &Snapshot) -> Vec<Out> {
    if snap.bans.is_empty() {
        return vec![Out::Say("Nobody is banned.".to_owned())];
    }
    let row = |ban: &BanRow| {
        let nick = if ban.nick.is_empty() { "without a name" } else { &ban.nick };
        Out::Say(format!("{nick}, {}: {}.", ban.peer.short(), ban.why))
    };
    snap.bans.iter().map(row).collect()
}

/// With a capital, and a stop at the end.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    let stop = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{stop}", chars.as_str())
}

/// Words as a shell takes them apart; double quotes keep blanks.
fn words_of(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// What is told of an event without being asked.
pub fn told(event: &Event) -> Option<String> {
    let important = event.level <= Level::Warn
        || matches!(event.what, What::Done { .. } | What::Shared { .. } | What::Failed { .. });
    let hint = match &event.what {
        What::Failed { hint, .. } if !hint.is_empty() => format!(" {hint}"),
        _ => String::new(),
    };
    important.then(|| common::names::show(&format!("{}{hint}", event.text)))
}

/// Holds the conversation on standard input and output until it ends.
///
/// # Errors
/// If there can be no thread for the input.
pub async fn run(
    handle: EngineHandle,
    units: Units,
    attached: bool,
    mut signal: impl Future<Output = i32> + Unpin,
) -> std::io::Result<ExitReason> {
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let mut plain = Plain::new(home, units);
    if attached {
        plain = plain.attached();
    }
    let (typed, mut lines) = mpsc::channel(TYPED);
    std::thread::Builder::new().name("input".to_owned()).spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut line = String::new();
            match input.by_ref().take(MAX_LINE).read_line(&mut line) {
                Ok(1..) if typed.blocking_send(line).is_ok() => {}
                _ => return,
            }
        }
    })?;
    let mut events = handle.events();
    let mut todo = plain.greeting(&handle.snapshot());
    loop {
        for out in todo.drain(..) {
            match out {
                Out::Say(text) => say(&text),
                Out::Call(command, text) => match handle.call(command).await {
                    Ok(_) => say(&text),
                    Err(error) => {
                        say(&format!("Not done: {}", common::names::show(&error.message)))
                    }
                },
                Out::Quit => return Ok(ExitReason::Quit),
            }
        }
        ask(plain.prompt());
        todo = loop {
            tokio::select! {
                number = &mut signal => return Ok(ExitReason::Signal(number)),
                () = handle.stopped() => return Ok(ExitReason::EngineStopped),
                line = lines.recv() => match line {
                    Some(line) => break plain.answer(&handle.snapshot(), &line),
                    None => return Ok(ExitReason::Quit),
                },
                event = events.recv() => match event {
                    Ok(event) => if let Some(text) = told(&event) {
                        break vec![Out::Say(format!("\n{text}"))];
                    },
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(ExitReason::EngineStopped),
                },
            }
        };
    }
}

fn say(text: &str) {
    // Nobody listens: the end of the input says so too.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn ask(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = write!(out, "{text}").and_then(|()| out.flush());
}
