//! Everything the screen shows and remembers. Changed only by [`super::update`], read by [`super::view`].

pub(crate) mod banner;
mod history;
mod list;
mod pane;
mod pointer;
mod prefs;
mod selection;
mod toast;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use common::id::ContentId;
use common::near::Place;
use jiff::tz::TimeZone;

use settings::Units;

use super::action::Action;
use super::keymap::{Key, Keymap};
use super::layout::{Areas, Inputs};
use super::theme::Theme;
use engine::api::snapshot::{Catalogue, Look, NetState, Snapshot};

pub use super::tone::{Line, Tone};

pub use crate::dialogs::confirm::state::{Button, Choice, Confirm};
pub use crate::dialogs::contents::state::{Contents, Node};
pub use crate::dialogs::link::state::GetLink;
pub use crate::dialogs::picker::state::{MAX_MARKED, Marked, Picker};
pub use crate::dialogs::picks::state::{LimitOne, PickKind, Picks};
pub use crate::dialogs::share::state::{ShareField, SharePath};
pub use crate::dialogs::state::Dialog;
pub use crate::panes::chunks::state::{ChunkMap, MapJob};
pub use crate::panes::files::state::crowd::{Ask, Crowd};
pub use crate::panes::files::state::held::Held;
pub use crate::panes::files::state::index::{
    Built, Cache, INLINE_ROWS, Job, Sort, build, place, transfers_for,
};
pub use crate::panes::files::state::inside::Inside;
pub use crate::panes::files::state::owned::Owned;
pub use crate::panes::files::state::peer::Peer;
pub use crate::panes::files::state::recall::Recall;
pub use crate::panes::graph::state::{Drawn, Graph, MAX_POINTS, Scale, Window};
pub use crate::panes::holders::state::Swarm;
pub use crate::panes::log::state::{Log, LogLine};
pub use crate::paths::{Measure, PathEntry, typed, untyped};
pub use crate::screens::settings::state::{Capture, Edit, Panel, Row};
pub use crate::screens::welcome::state::{Check, Stop, Welcome};
pub use history::{History, SLOTS, Slots};
pub use list::{List, RowKey};
pub use pane::{Pane, Tab};
pub use pointer::Pointer;
pub use prefs::Prefs;
pub use selection::transfer_key;
pub use toast::{Toast, Toasts};

/// How long a second `^C` counts as "now".
pub const INTERRUPT_WINDOW: Duration = Duration::from_secs(2);

/// The present moment, passed in so that tests own it.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For durations.
    pub mono: Instant,
    /// For the time of day.
    pub wall: SystemTime,
}

impl Now {
    /// Reads the clocks.
    pub fn read() -> Self {
        Self { mono: Instant::now(), wall: SystemTime::now() }
    }

    /// Seconds since 1970.
    pub fn unix(&self) -> u64 {
        common::clock::unix_secs(self.wall)
    }
}

/// A range of marks: where it began, and what was marked before.
#[derive(Debug, Clone)]
pub struct Range {
    /// The row it began at.
    pub anchor: ContentId,
    /// Marks that stay when it shrinks.
    pub before: HashSet<ContentId>,
}

/// What to do as soon as nothing runs any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenIdle {
    /// Quit.
    Quit,
    /// Leave the network.
    Leave,
}

/// Things that never change while the app runs.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Home folder, shown as `~`.
    pub home: Option<PathBuf>,
    /// Where relative paths start.
    pub cwd: PathBuf,
    /// Where clocks are shown.
    pub zone: TimeZone,
    /// Whether a shell could take over on `^Z`.
    pub job_control: bool,
    /// Whether a desktop can show folders: a local session with a display.
    pub desktop: bool,
    /// Whether the welcome screen offers a demo.
    pub demo: bool,
    /// Where networks near are looked for while there is none.
    pub near: Option<Place>,
    /// The port asked for.
    pub wanted_port: Option<u16>,
    /// The process in which the peer runs on when this screen is closed; `None` if that is this one.
    pub attached: Option<u32>,
}

/// The whole state of the app.
#[derive(Debug)]
pub struct Model {
    /// Constants.
    pub setting: Setting,
    /// Now.
    pub now: Now,
    /// Terminal size.
    pub size: (u16, u16),
    /// Settings.
    pub prefs: Prefs,
    /// Look.
    pub theme: Theme,
    /// In what sizes and rates are shown.
    pub units: Units,
    /// Keys.
    pub keymap: Keymap,
    /// The engine's newest word.
    pub snap: Arc<Snapshot>,
    /// The catalogue that the rows of the network tab refer to.
    pub catalogue: Arc<Catalogue>,
    /// Our transfers by id: places in `snap.transfers`.
    pub mine: HashMap<ContentId, usize>,
    /// What there is among them, for the columns of the lists.
    pub held: Held,
    /// Focused pane.
    pub focus: Pane,
    /// Open tab.
    pub tab: Tab,
    /// The selection is that of the Transfers pane, not of the open tab.
    pub in_transfers: bool,
    /// What was removed just now, and when.
    pub removed: Option<(Vec<ContentId>, Instant)>,
    /// The four lists, in the order of [`Tab::ALL`].
    pub lists: [List; 4],
    /// Sources of the selected file.
    pub sources: List,
    /// The chunk map of the selected content.
    pub chunks: ChunkMap,
    /// Log.
    pub log: Log,
    /// Whether the focused pane takes all the room.
    pub zoom: bool,
    /// Whether the details of the selected file take all the room.
    pub details: bool,
    /// Moved split, in percent.
    pub split: i16,
    /// Open dialogs, the top one last.
    pub dialogs: Vec<Dialog>,
    /// Short messages.
    pub toasts: Toasts,
    /// First key of a sequence.
    pub prefix: Vec<Key>,
    /// Count typed before a key.
    pub count: Option<u32>,
    /// The pane whose field has the keys: the filter of the list, or the search of the log.
    pub typing: Option<Pane>,
    /// Filters used before.
    pub recall: Recall,
    /// For a filter without any match: its text, a word of it, and the word probably meant (both
    /// empty if there is none).
    pub meant: Option<(String, String, String)>,
    /// Range of marks being made.
    pub range: Option<Range>,
    /// What `.` does again.
    pub repeat: Option<(Action, Option<u32>)>,
    /// Marked files.
    pub marks: HashSet<ContentId>,
    /// Rates of the last minute.
    pub history: History,
    /// Rates of the last hour, and how they are drawn.
    pub graph: Graph,
    /// The screen without a network.
    pub welcome: Welcome,
    /// What to do when idle.
    pub when_idle: Option<WhenIdle>,
    /// Whether the mouse is ours.
    pub mouse: bool,
    /// What the mouse did last.
    pub pointer: Pointer,
    /// Bans that came lately, and when.
    pub told_bans: Vec<(common::id::PeerId, Instant)>,
    /// Whether the terminal has the keyboard's attention.
    pub attention: bool,
    /// When `^C` was pressed last.
    pub interrupted: Option<Instant>,
    /// When a key was pressed last.
    pub last_key: Option<Instant>,
    /// Whether the network list waits for its order to be renewed.
    pub stale: bool,
    /// Generation of the newest index job, and whether one runs.
    pub job: (u64, bool),
    /// Who is in the network.
    pub crowd: Crowd,
    /// Whose files are, where the filter asks for that.
    pub owned: Owned,
    /// Folders that fit the filter by the files inside.
    pub inside: Inside,
    /// What index jobs found out.
    pub index: Cache,
    /// Content the engine was asked to give details of, and what else of it.
    pub asked_focus: (Option<ContentId>, Look),
    /// Who has what.
    pub swarm: Swarm,
    /// Whether it was asked at the start whether to go on.
    pub asked_start: bool,
    /// Whether suspending was confirmed once.
    pub suspend_confirmed: bool,
    pub(crate) mine_ids: Vec<ContentId>,
    /// Place in the catalogue of the content last looked for, so that drawing need not search.
    pub(crate) row_place: Option<(ContentId, usize)>,
}

impl Model {
    /// The state at start.
    pub fn new(
        setting: Setting,
        theme: Theme,
        keymap: Keymap,
        snap: Arc<Snapshot>,
        size: (u16, u16),
        now: Now,
    ) -> Self {
        let mut model = Self {
            setting,
            now,
            size,
            prefs: Prefs::default(),
            theme,
            units: Units::default(),
            keymap,
            catalogue: Arc::new(Catalogue::default()),
            mine: HashMap::new(),
            held: Held::default(),
            focus: Pane::Files,
            tab: Tab::Network,
            in_transfers: false,
            removed: None,
            lists: Default::default(),
            sources: List::default(),
            chunks: ChunkMap::default(),
            log: Log::default(),
            zoom: false,
            details: false,
            split: 0,
            dialogs: Vec::new(),
            toasts: Toasts::default(),
            prefix: Vec::new(),
            count: None,
            typing: None,
            recall: Recall::default(),
            meant: None,
            range: None,
            repeat: None,
            marks: HashSet::new(),
            history: History::new(now.mono),
            graph: Graph::new(now.mono),
            welcome: Welcome::default(),
            when_idle: None,
            mouse: true,
            pointer: Default::default(),
            told_bans: Vec::new(),
            attention: true,
            interrupted: None,
            last_key: None,
            stale: false,
            job: (0, false),
            crowd: Crowd::default(),
            owned: Owned::default(),
            inside: Inside::default(),
            index: Cache::default(),
            asked_focus: (None, Look::default()),
            swarm: Swarm::default(),
            asked_start: false,
            suspend_confirmed: false,
            mine_ids: Vec::new(),
            row_place: None,
            snap,
        };
        model.list_mut(Tab::Network).sort = Sort::Mine;
        model
    }

    /// Whether the welcome screen is shown.
    pub fn is_welcome(&self) -> bool {
        self.snap.network.state == NetState::NoNetwork
    }

    /// What an action does here, in a few words.
    pub fn help(&self, action: Action) -> &'static str {
        match self.setting.attached {
            Some(_) => action.help_attached(),
            None => action.help(),
        }
    }

    /// Where everything is.
    pub fn areas(&self) -> Areas {
        Areas::new(self.size.0, self.size.1, self.request())
    }

    /// What decides about it besides the size.
    pub fn request(&self) -> Inputs {
        Inputs {
            focus: self.focus,
            zoom: self.zoom,
            details: self.details,
            swarm: self.swarm.open,
            split: self.split,
            banner: banner::has(self),
        }
    }

    /// How long something that began then had lasted when the engine last told how things stand.
    pub fn age(&self, since: Instant) -> Duration {
        self.snap.at.saturating_duration_since(since)
    }

    /// Says something in short.
    pub fn toast(&mut self, tone: Tone, text: impl Into<String>) {
        self.toasts.push(tone, text.into(), self.now.mono);
    }

    /// A path with the home folder as `~`, safe to show.
    pub fn show_path(&self, path: &std::path::Path) -> String {
        let home = self.setting.home.as_deref();
        let text = match home.and_then(|home| path.strip_prefix(home).ok()) {
            Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
            Some(rest) => format!("~/{}", rest.to_string_lossy()),
            None => path.to_string_lossy().into_owned(),
        };
        common::names::show(&text)
    }
}
