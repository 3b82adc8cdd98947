//! What the user can have a running peer do, whichever way it is said: by a command in the shell, by words line
//! by line, by a key on the screen.
//!
//! [`Verb`] is the one table of it: the commands of the command line, the words of the line-by-line mode and
//! the actions of the screen are compared with it by tests. [`Request`] is a verb with what it needs; [`plan()`]
//! makes of it and of the newest snapshot what is asked of the engine, one [`Step`] for each target, or why not.

mod deed;
mod peers;
mod plan;
mod step;

pub use deed::{Deed, Rates, Request};
pub use plan::plan;
pub use step::{About, Refused, Step};

macro_rules! verbs {
    ($($variant:ident $name:literal $help:literal;)*) => {
        /// Something a running peer can be told to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Verb {
            $(#[doc = $help] $variant,)*
        }

        impl Verb {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word for it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it does, in one line.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

verbs! {
    Pause    "pause"    "Stop downloading for now; the parts already here are still served";
    Resume   "resume"   "Resume downloads after a pause or an error";
    Priority "priority" "Set how important downloads are: which start first and get more";
    Move     "move"     "Move downloads within the queue, among those of the same priority";
    Order    "order"    "Fetch chunks in order (to watch or read meanwhile), or the rarest first";
    Limit    "limit"    "Limit the speed of single files or folders, or of the whole peer until it stops";
    Rescan   "rescan"   "Share folders as they are now: with what is new, without what is gone";
    Remove   "remove"   "Take downloads out of the list; deletes nothing unless told to";
    Ban      "ban"      "Neither download from peers nor serve them";
    Unban    "unban"    "Lift bans; without a PEER list them";
    Leave    "leave"    "Leave the network; downloads stop and nothing is served";
    Rejoin   "rejoin"   "Return to the network that was left";
    Serve    "serve"    "Serve others, or stop serving for now";
    Announce "announce" "Ask the tracker now instead of at the next try";
}

impl Verb {
    /// The verb of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|verb| verb.name() == name)
    }
}
