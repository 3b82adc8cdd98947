//! Everything the user can do, by name. Keys are bound to these in [`super::keymap`].

mod table;

pub(crate) use table::action_table;

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
    (
        $($variant:ident $name:literal $group:ident $place:ident $keys:tt $help:literal, $words:literal,
            $shell:expr, $when:ident, |$it:ident| $run:expr;)*
    ) => {
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

action_table!(actions);

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
