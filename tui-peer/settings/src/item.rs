//! Every setting, by name: what the configuration file, the environment, `tui-peer config` and the
//! settings screen know of it is in this one table.

use super::kind::{
    COLORS, DISCOVERABLE, GLYPHS, HANGUPS, Kind, LEVELS, MAX_ACTIVE, MAX_HOOK_S, NAMES_INSIDE,
    PORTMAPS, QUITS, STARTS, THEMES, UNITS, expect_address, expect_metrics,
};

/// A page of the settings screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// What every user may want to change.
    General,
    /// Who we are and where.
    Network,
    /// How fast.
    Transfers,
    /// Colours, characters, numbers.
    Look,
    /// Which key does what.
    Keys,
    /// When the terminal says something while nobody looks.
    Notify,
    /// Version and file.
    About,
}

fn expect_log(text: &str) -> Result<(), String> {
    text.parse::<super::log::LogTo>().map(drop)
}

impl Page {
    /// From top to bottom.
    pub const ALL: [Self; 7] = [
        Self::General,
        Self::Network,
        Self::Transfers,
        Self::Look,
        Self::Keys,
        Self::Notify,
        Self::About,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::General => "General",
            Self::Network => "Network",
            Self::Transfers => "Transfers",
            Self::Look => "Look",
            Self::Keys => "Keys",
            Self::Notify => "Notify",
            Self::About => "About",
        }
    }
}

macro_rules! items {
    ($($variant:ident $page:ident $key:literal $env:literal $kind:expr, $now:literal, $default:literal,
       $label:literal, $help:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Item {
            $(#[doc = $help] $variant,)*
        }

        impl Item {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub fn page(self) -> Page {
                match self { $(Self::$variant => Page::$page,)* }
            }

            /// Its place in the configuration file: `key`, or `section.key`.
            pub fn key(self) -> &'static str {
                match self { $(Self::$variant => $key,)* }
            }

            pub fn env(self) -> &'static str {
                match self { $(Self::$variant => concat!("SHOAL_", $env),)* }
            }

            /// What values it takes.
            pub fn kind(self) -> Kind {
                match self { $(Self::$variant => $kind,)* }
            }

            /// Whether a change takes effect while the program runs.
            pub fn is_live(self) -> bool {
                match self { $(Self::$variant => $now,)* }
            }

            /// Its value unless changed; empty if that depends on the machine.
            pub fn default_text(self) -> &'static str {
                match self { $(Self::$variant => $default,)* }
            }

            /// Its name on the screen.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }

            /// What it does, in a sentence.
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

items! {
    Downloads General "downloads" "DOWNLOADS" Kind::Path, true, "",
        "Download folder", "Where new downloads go.";
    KeepFree General "keep_free" "KEEP_FREE" Kind::Size, true, "auto",
        "Keep free at least", "Downloads pause while less is free on their disk; auto: 1 GiB or 1%.";
    OnStart General "on_start" "ON_START" Kind::Choice(STARTS), false, "resume",
        "On start", "Rejoin the network and resume downloads, ask first, or stay off.";
    Quit General "quit" "QUIT" Kind::Choice(QUITS), true, "ask-if-busy",
        "Quit", "Whether the app asks before it quits.";
    Hangup General "hangup" "HANGUP" Kind::Choice(HANGUPS), true, "quit",
        "Terminal closes", "Leave the network, or keep serving without a screen.";
    State General "state" "STATE" Kind::Path, false, "",
        "State folder", "Where the identity and the library are kept.";
    Log General "log" "LOG" Kind::Text(expect_log), false, "state",
        "Log file", "A file, none, or state: log/shoal.log in the state folder.";
    LogLevel General "log_level" "LOG_LEVEL" Kind::Choice(LEVELS), false, "info",
        "Log level", "The least important lines that are written down.";
    Watch General "watch" "WATCH" Kind::Toggle, false, "false",
        "Watch folders", "Whatever comes into a folder shared from now on is published by itself.";

    Tracker Network "tracker" "TRACKER" Kind::Join, false, "",
        "Tracker", "Join string of the network, or @FILE holding it; the one joined last if empty.";
    SecretFile Network "secret_file" "SECRET_FILE" Kind::Path, false, "",
        "Secret file", "File holding the network's secret, if the join string does not.";
    Listen Network "listen" "LISTEN" Kind::Text(expect_address), false, "[::]:7421",
        "Listen on", "Address and port for other peers; the default takes IPv6 and IPv4, port 0 is any free one.";
    PortFallback Network "port_fallback" "PORT_FALLBACK" Kind::Toggle, false, "true",
        "Try next ports", "If that port is in use, the app takes the next free one; --serve-only does not.";
    Portmap Network "portmap" "PORTMAP" Kind::Choice(PORTMAPS), false, "auto",
        "Map the port", "Whether the router is asked to let others in when they do not reach us (NAT-PMP, PCP).";
    Discoverable Network "discoverable" "DISCOVERABLE" Kind::Choice(DISCOVERABLE), false, "auto",
        "Discoverable", "Whether a tracker hosted here is found in the local network; auto: unless it needs a secret.";
    NamesInside Network "names_inside" "NAMES_INSIDE" Kind::Choice(NAMES_INSIDE), false, "secret",
        "Names in folders", "Where the tracker may know them, so that folders are found by them; secret: in networks with one.";
    Metrics Network "metrics" "METRICS" Kind::Text(expect_metrics), false, "none",
        "Metrics on", "Address and port of /metrics and /healthz for machines that watch, or none.";
    Nick Network "nick" "NICK" Kind::Nick, true, "",
        "Name", "Shown to others in every network joined from now on; the host name by default.";

    Up Transfers "up" "UP" Kind::Rate, true, "none",
        "Upload limit", "Per second, over all peers.";
    Down Transfers "down" "DOWN" Kind::Rate, true, "none",
        "Download limit", "Per second, over all peers.";
    AutoLimit Transfers "auto_limit" "AUTO_LIMIT" Kind::Toggle, false, "false",
        "Keep the line free", "Uploads to the Internet are held just below what the line carries (Linux).";
    Active Transfers "active" "ACTIVE" Kind::Number(1, MAX_ACTIVE), false, "5",
        "Downloads at once", "Others wait in the queue.";

    Theme Look "look.theme" "THEME" Kind::Theme(THEMES), true, "auto",
        "Theme", "auto is dark or light, as the terminal says; over ssh it is asked only with auto-ssh.";
    Color Look "look.color" "COLOR" Kind::Choice(COLORS), true, "auto",
        "Colours", "How many the terminal shows; never uses bold and reverse only.";
    Glyphs Look "look.glyphs" "GLYPHS" Kind::Choice(GLYPHS), true, "auto",
        "Characters", "What the terminal's font has.";
    Units Look "look.units" "UNITS" Kind::Choice(UNITS), true, "iec",
        "Units", "MiB/s (powers of 1024), MB/s (of 1000), or Mbit/s.";
    ReduceMotion Look "look.reduce_motion" "REDUCE_MOTION" Kind::Toggle, true, "false",
        "Reduce motion", "Numbers and maps change once a second at most.";
    Mouse Look "look.mouse" "MOUSE" Kind::Toggle, true, "true",
        "Mouse", "Clicks and wheel; Shift-drag selects text.";

    NotifyDone Notify "notify.done" "NOTIFY_DONE" Kind::Toggle, true, "true",
        "Download done", "Notify when downloads have finished.";
    NotifyError Notify "notify.error" "NOTIFY_ERROR" Kind::Toggle, true, "true",
        "Something failed", "Notify when a download or share fails.";
    NotifyPeer Notify "notify.peer" "NOTIFY_PEER" Kind::Toggle, true, "false",
        "Peer connected", "Notify when another peer connects.";
    OnDone Notify "on_done" "ON_DONE" Kind::Program, true, "none",
        "Run when done", "A program that runs when a download is done: its name, or [\"program\", \"argument\"].";
    OnError Notify "on_error" "ON_ERROR" Kind::Program, true, "none",
        "Run on errors", "The same for whatever fails; SHOAL_ERROR and others in its environment say what happened.";
    HookTimeout Notify "hook_timeout" "HOOK_TIMEOUT" Kind::Number(1, MAX_HOOK_S), true, "600",
        "Hook time limit", "Seconds after which such a program is ended, with all it started.";
}

impl Item {
    pub const COUNT: usize = Self::ALL.len();

    /// Section and key in the file; the top level has no section.
    pub fn place(self) -> (Option<&'static str>, &'static str) {
        match self.key().split_once('.') {
            Some((section, key)) => (Some(section), key),
            None => (None, self.key()),
        }
    }

    /// The setting at a place in the file. `secret-file` and `secret_file` are the same.
    pub fn at(section: Option<&str>, key: &str) -> Option<Self> {
        let key = key.replace('-', "_");
        Self::ALL.iter().copied().find(|item| item.place() == (section, key.as_str()))
    }

    /// The settings of a page.
    pub fn on(page: Page) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |item| item.page() == page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stand_at_their_number_and_have_names_of_their_own() {
        for (at, item) in Item::ALL.iter().enumerate() {
            assert_eq!(*item as usize, at);
            let (section, key) = item.place();
            assert_eq!(Item::at(section, key), Some(*item));
            assert_eq!(Item::ALL.iter().filter(|i| i.env() == item.env()).count(), 1);
        }
        assert_eq!(Item::at(None, "secret-file"), Some(Item::SecretFile));
        assert_eq!(Item::at(Some("look"), "nick"), None);
    }

    #[test]
    fn defaults_are_valid() {
        for item in Item::ALL.iter().filter(|item| !item.default_text().is_empty()) {
            let checked = item.kind().check(item.default_text(), &[]);
            assert_eq!(checked.as_deref(), Ok(item.default_text()), "{}", item.key());
        }
    }
}
