//! What can happen to the screen, and what it wants done.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use common::id::ContentId;
use common::near::Near;
use crossterm::event::{KeyEvent, MouseEvent};

use settings::{Change, Item};

use super::heatmap::Map;
use super::model::{Built, Job, MapJob, PathEntry};
use super::probes::{Found, Probe};
use crate::filter::Filter;
use engine::api::command::{Command, CommandError, Reply};
use engine::api::event::Event;
use engine::api::snapshot::{Look, MemberRow, Page, Snapshot};
use frontend::logfile::Entry;
use frontend::members::Owners;

/// Something happened.
#[derive(Debug)]
pub enum Msg {
    /// A key went down.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The mouse did something.
    Mouse(MouseEvent),
    /// The terminal has another size.
    Resize(u16, u16),
    /// The terminal got or lost the keyboard.
    Attention(bool),
    /// The engine has a new snapshot.
    Snapshot(Arc<Snapshot>),
    /// The engine says something.
    Event(Event),
    /// The engine said all this.
    Events(Vec<Event>),
    /// The program's parts traced this.
    Traces(Vec<Entry>),
    /// So many events were lost because we were slow.
    Missed(u64),
    /// A command was answered.
    Reply(Asked, Result<Reply, CommandError>),
    /// Names in a folder of this machine.
    Dir(PathBuf, Result<Vec<PathEntry>, String>),
    /// Something outside was looked at.
    Probed(Probe, Found),
    /// Other networks are near than before.
    Near(Near),
    /// Something outside has ended and has nothing to say.
    Nothing,
    /// A folder was shown by the desktop, or why not.
    Opened(PathBuf, Result<(), String>),
    /// A long list was ordered.
    Indexed(u64, Job, Built),
    /// A page of who is in the network, for the question with this number.
    Members(u64, Result<Page<MemberRow>, CommandError>),
    /// Who shares what, of the members with these names.
    Owners(Vec<String>, Result<Owners, CommandError>),
    /// Folders in which files were found, for the question with this number; none if the tracker did not say.
    Found(u64, Option<engine::api::snapshot::Found>),
    /// A chunk map was built.
    Mapped(MapJob, Map),
    /// Something was copied (which, and by which way), or not (why).
    Copied(&'static str, Result<&'static str, String>),
    /// Another task of the program panicked; the message.
    Panicked(SystemTime, String),
    /// A setting was saved, or why not.
    Saved(Result<(), String>),
    /// Time passed.
    Tick,
}

/// Something is to be done outside.
#[derive(Debug)]
pub enum Effect {
    /// Ask the engine.
    Call(Command, Asked),
    /// Ask the engine for details of this, and for so much of them, from now on.
    Focus(Option<ContentId>, Look),
    /// List a folder of this machine.
    ListDir(PathBuf),
    /// Look at something outside, once the typing rests.
    Probe(Probe),
    /// Show a folder by the desktop's means.
    Open(PathBuf),
    /// Order a long list.
    Index(Job),
    /// Ask the engine for a page of who is in the network.
    Members {
        /// Comes back with the answer.
        number: u64,
        /// Part of a nick, or the beginning of a key; empty for all.
        query: String,
        /// Of the page before; empty for the first.
        cursor: Vec<u8>,
    },
    /// Ask the engine what the members share whom this filter means.
    Owners(Filter),
    /// Ask the engine for folders in which files are found.
    Find {
        /// Comes back with the answer.
        number: u64,
        /// Words, and alternatives.
        query: String,
    },
    /// Build a chunk map.
    Map(MapJob),
    /// Put this into the clipboard; what it is.
    Copy(String, &'static str),
    /// Take or give back the mouse.
    Mouse(bool),
    /// Stop the process until the shell continues it.
    Suspend,
    /// Paint everything anew.
    Redraw,
    /// Keep the filters used before, one a line.
    KeepFilters(String),
    /// Change an entry of the configuration file.
    Save(Change),
    /// End.
    Exit(ExitReason),
}

/// What a command was for, to make sense of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Say nothing if it went well.
    Quietly,
    /// Say this if it went well.
    Say(String),
    /// The files of this folder.
    Files(ContentId),
    /// A network hosted here.
    Host,
    /// A network joined.
    Join,
    /// A setting that the engine may refuse, with its value (`None` is the default).
    Setting(Item, Option<String>),
}

/// Asks the engine one thing after the other for what the user wished once: `say` if the first went well; of all that
/// went wrong is told.
pub(crate) fn call_each(
    commands: impl Iterator<Item = Command>,
    say: String,
    out: &mut Vec<Effect>,
) {
    let mut asked = Asked::Say(say);
    out.extend(
        commands
            .map(|command| Effect::Call(command, std::mem::replace(&mut asked, Asked::Quietly))),
    );
}

/// Why the app ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitReason {
    /// The user quit: leave gracefully.
    Quit,
    /// The user quit at once (`^C` twice): save and stop.
    QuitNow,
    /// The user closed the screen only: go on serving without it.
    ServeOn,
    /// The user wants to see the demo.
    Demo,
    /// A signal (its number): leave gracefully.
    Signal(i32),
    /// The terminal cannot be read or written any more, and why: leave gracefully, as if it had hung up.
    Gone(String),
    /// The engine has stopped: somebody else asked for it, or it failed.
    EngineStopped,
    /// The screen failed; the terminal was given back and the user told.
    Panicked,
}
