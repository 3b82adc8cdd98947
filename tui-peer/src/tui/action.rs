//! Everything the user can do, by name. Keys are bound to these in [`super::keymap`].

/// Where an action makes sense: a set of panes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Where(u8);

impl Where {
    /// The list of files, downloads, shares or peers.
    pub const FILES: Self = Self(1);
    /// The chunk map.
    pub const CHUNKS: Self = Self(2);
    /// The sources of the selected file.
    pub const SOURCES: Self = Self(4);
    /// The log.
    pub const LOG: Self = Self(8);
    /// The downloads, where they have a pane of their own.
    pub const TRANSFERS: Self = Self(16);
    /// Everywhere.
    pub const ALL: Self = Self(31);
    /// Panes that show the selected file.
    pub const FILE: Self = Self(23);
    /// Panes with a list of peers.
    pub const PEERS: Self = Self(5);
    /// The five panes.
    pub const PANES: [Self; 5] =
        [Self::FILES, Self::CHUNKS, Self::SOURCES, Self::LOG, Self::TRANSFERS];

    /// Whether `pane` is in this set.
    pub fn covers(self, pane: Self) -> bool {
        self.0 & pane.0 == pane.0
    }

    /// Whether the two sets share a pane.
    pub fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Headings of the help screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Moving about.
    Move,
    /// Finding files.
    Find,
    /// What is done with the selected file.
    File,
    /// The network.
    Network,
    /// What is shown.
    View,
    /// The log.
    Log,
}

impl Group {
    /// In reading order.
    pub const ALL: [Self; 6] =
        [Self::Move, Self::Find, Self::File, Self::Network, Self::View, Self::Log];

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Move => "MOVE",
            Self::Find => "FIND",
            Self::File => "THIS FILE",
            Self::Network => "NETWORK",
            Self::View => "VIEW",
            Self::Log => "LOG",
        }
    }
}

macro_rules! actions {
    ($($variant:ident $name:literal $group:ident $place:ident $keys:expr, $help:literal, $words:literal;)*) => {
        /// Something the user can do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action {
            $(#[doc = $help] $variant,)*
        }

        impl Action {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Name for key bindings and the palette.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it does, in a few words.
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }

            /// Other words people may search for.
            pub fn words(self) -> &'static str {
                match self { $(Self::$variant => $words,)* }
            }

            /// Where it makes sense.
            pub fn place(self) -> Where {
                match self { $(Self::$variant => Where::$place,)* }
            }

            /// Its heading in the help.
            pub fn group(self) -> Group {
                match self { $(Self::$variant => Group::$group,)* }
            }

            /// Its keys unless changed.
            pub fn default_keys(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &$keys,)* }
            }
        }
    };
}

actions! {
    Down        "down"        Move ALL ["j", "down"], "one row down", "";
    Up          "up"          Move ALL ["k", "up"], "one row up", "";
    Left        "left"        Move ALL ["h", "left"], "left; previous tab", "";
    Right       "right"       Move ALL ["l", "right"], "right; next tab", "";
    HalfDown    "half-down"   Move ALL ["ctrl-d"], "half a page down", "";
    HalfUp      "half-up"     Move ALL ["ctrl-u"], "half a page up", "";
    PageDown    "page-down"   Move ALL ["pgdn"], "a page down", "";
    PageUp      "page-up"     Move ALL ["pgup"], "a page up", "";
    ScrollDown  "scroll-down" Move ALL ["ctrl-e"], "scroll the view down", "";
    ScrollUp    "scroll-up"   Move ALL ["ctrl-y"], "scroll the view up", "";
    Top         "top"         Move ALL ["g g", "home"], "to the top", "first";
    Bottom      "bottom"      Move ALL ["G", "end"], "to the bottom", "last";

    Filter      "filter"      Find ALL ["/"], "filter", "search find";
    NextMatch   "next"        Find CHUNKS ["n"], "next lost or bad chunk", "missing problem";
    PrevMatch   "previous"    Find CHUNKS ["N"], "previous lost or bad chunk", "missing";
    FollowMap   "follow-map"  Find CHUNKS ["f"], "follow the newest chunk", "verified cursor";
    NextActive  "next-active" Find FILES ["'"], "next active download", "downloading";
    Sort        "sort"        Find FILES ["o"], "sort by", "order";
    Reverse     "reverse"     Find FILES ["O"], "reverse the order", "sort";

    Enter       "details"     File ALL ["enter"], "details / open", "info heatmap";
    Download    "download"    File FILE ["d"], "download, or resume", "get fetch";
    DownloadTo  "download-to" File FILE ["D"], "download to another folder", "save directory";
    Pause       "pause"       File FILE ["p"], "pause / resume", "stop continue";
    PauseAll    "pause-all"   File FILE ["P"], "pause or resume all", "stop continue";
    Contents    "contents"    File FILE ["C"], "choose files in the folder", "select folder";
    Retry       "retry"       File FILE ["r"], "retry what failed", "again error";
    Verify      "verify"      File FILE ["v"], "verify on disk", "check hash";
    VerifyAll   "verify-all"  File ALL ["g v"], "verify all of mine", "check hash";
    Remove      "remove"      File FILE ["x"], "remove from the list", "delete forget cancel";
    Undo        "undo-remove" File ALL ["U"], "undo a removal", "undo restore";
    Clear       "clear"       File ALL ["c"], "clear finished downloads", "remove done list";
    Raise       "raise"       File FILE ["+", "="], "raise the priority", "important first high";
    Lower       "lower"       File FILE ["-"], "lower the priority", "unimportant low";
    QueueUp     "queue-up"    File FILE ["{"], "move up in the queue", "earlier order";
    QueueDown   "queue-down"  File FILE ["}"], "move down in the queue", "later order";
    InOrder     "in-order"    File FILE ["g o"], "chunks in order / rarest first", "sequential stream";
    LimitOne    "limit"       File FILE ["g r"], "limit the speed of this one", "rate bandwidth";
    Watch       "watch"       File FILE ["W"], "start when somebody has it", "wait source";
    Unshare     "unshare"     File FILE ["u"], "stop sharing it", "remove stop";
    Rescan      "rescan"      File FILE ["R"], "share the folder as it is now", "refresh update new files";
    CopyLink    "copy-link"   File FILE ["y"], "copy link", "yank url";
    CopyHash    "copy-id"     File FILE ["Y"], "copy id", "yank hash";
    OpenFolder  "open-folder" File FILE ["e"], "open its folder (over ssh: copy its path)", "show xdg file manager yank path";
    Why         "why"         File FILE ["i"], "why is this slow or stuck?", "explain info";
    Holders     "who-has"     File FILE ["w"], "who has which chunks", "swarm peers copies pieces bitfield";
    Senders     "who-sent"    File FILE ["M"], "map: who sent it / how it stands", "colours sources senders mode";
    Mark        "mark"        File FILES ["space"], "mark", "select";
    MarkRange   "mark-range"  File FILES ["V"], "mark a range: begin / end", "select visual";
    MarkAll     "mark-all"    File FILES ["*"], "mark all / none", "select";

    Share       "share"       Network ALL ["s"], "share a file or folder", "add upload seed";
    GetLink     "get-link"    Network ALL ["g l"], "get a shoal:// link", "paste open url";
    Leave       "leave"       Network ALL ["L"], "leave the network", "disconnect offline";
    Rejoin      "rejoin"      Network ALL ["J"], "rejoin, or join a network", "connect online tracker";
    JoinOther   "join"        Network ALL ["g j"], "join another network", "connect tracker switch";
    Host        "host"        Network ALL [], "host a network here", "tracker start";
    CopyJoin    "copy-join"   Network ALL ["g y"], "invite: the join string", "copy yank join";
    Serving     "serving"     Network ALL ["S"], "pause / resume serving", "upload seed";
    Ban         "ban"         Network PEERS ["b"], "ban this peer", "block";
    Bans        "bans"        Network ALL ["B"], "banned peers", "block unban lift";
    Watches     "watches"     Network ALL ["g w"], "names you wait for", "watch list";
    Announce    "announce"    Network ALL ["A"], "ask the tracker now", "retry reconnect";

    Pane1       "files"       View ALL ["1"], "Files pane", "focus";
    Pane2       "chunks"      View ALL ["2"], "Chunks pane", "focus heatmap map";
    Pane3       "sources"     View ALL ["3"], "Sources pane", "focus peers";
    Pane4       "log"         View ALL ["4"], "Log pane", "focus";
    Pane5       "transfers"   View ALL ["5"], "Transfers pane", "focus downloads queue";
    NextPane    "next-pane"   View ALL ["tab"], "next pane", "focus";
    PrevPane    "prev-pane"   View ALL ["backtab"], "previous pane", "focus";
    NextTab     "next-tab"    View ALL ["]"], "next tab", "";
    PrevTab     "prev-tab"    View ALL ["["], "previous tab", "";
    TabNetwork  "tab-network"   View ALL ["g n"], "Network tab", "catalogue";
    TabDownloads "tab-downloads" View ALL ["g d"], "Downloads tab", "transfers";
    TabShared   "tab-shared"  View ALL ["g s"], "Shared tab", "";
    TabPeers    "tab-peers"   View ALL ["g p"], "Peers tab", "uploads";
    Zoom        "zoom"        View ALL ["z"], "zoom this pane", "maximise";
    Wider       "wider"       View ALL [">"], "split right / down", "resize";
    Narrower    "narrower"    View ALL ["<"], "split left / up", "resize";
    Window      "graph-window" View FILE ["t"], "how far back the graph goes", "throughput speed rate history minutes";
    Settings    "settings"    View ALL ["f2"], "settings", "options preferences configuration limit speed rate port folder notify units colours";
    Theme       "theme"       View ALL ["T"], "next theme", "color colour dark light contrast mono";
    Mouse       "mouse"       View ALL ["m"], "mouse on / off", "";
    Palette     "commands"    View ALL [":"], "command palette", "";
    Help        "help"        View ALL ["?", "f1"], "help", "keys";
    Repeat      "repeat"      View ALL ["."], "repeat the last action", "again";
    Version     "version"     View ALL [], "show version and build", "about release";
    Redraw      "redraw"      View ALL ["ctrl-l"], "redraw", "refresh";
    Suspend     "suspend"     View ALL ["ctrl-z"], "suspend (serving stops)", "background shell";
    Back        "back"        View ALL ["esc"], "back", "cancel close";
    Quit        "quit"        View ALL ["q"], "quit", "exit";
    Interrupt   "quit-now"    View ALL ["ctrl-c"], "twice: quit now", "exit";

    LogMore     "log-more"    Log LOG ["+", "="], "more detail", "level debug";
    LogLess     "log-less"    Log LOG ["-"], "less detail", "level error";
    Follow      "follow"      Log LOG ["f"], "follow / pause", "";
    Wrap        "wrap"        Log LOG ["w"], "wrap long lines", "";
    LogTarget   "log-target"  Log LOG ["t"], "one part of the program", "filter source";
    LogNext     "log-next"    Log LOG ["n"], "next (older) match", "search find";
    LogPrev     "log-previous" Log LOG ["N"], "previous match", "search find";
    CopyLine    "copy-line"   Log LOG ["y"], "copy the line", "yank";
    CopyLog     "copy-log"    Log LOG ["Y"], "copy all lines shown", "yank";
}

impl Action {
    /// What it does, in a few words, on a screen that only looks at a peer which runs on without it.
    pub fn help_attached(self) -> &'static str {
        match self {
            Self::Quit => "close (the peer runs on)",
            Self::Interrupt => "twice: close now",
            Self::Suspend => "suspend (the peer runs on)",
            Self::Host => "host a network in that peer",
            other => other.help(),
        }
    }

    /// Whether the command palette lists it (moving about is not a command).
    pub fn palette(self) -> bool {
        self.group() != Group::Move && !matches!(self, Self::Palette | Self::Back | Self::Interrupt)
    }
}
