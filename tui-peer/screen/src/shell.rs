//! How each action of the screen is said without one: a column of the table of actions.

use Shell::{Command, Screen, Verbs};

use super::action::{Action, action_table};
use frontend::act::Verb;

/// Without a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// The running peer is told so: in the shell, and line by line.
    Verbs(&'static [Verb]),
    /// Another command of the shell does it.
    Command(&'static str),
    /// Only a screen needs it: why.
    Screen(&'static str),
}

const MOVES: Shell = Screen("it moves what is seen");
const LOOKS: Shell = Screen("it changes what is seen, not what is done");
const MARKS: Shell = Screen("a command takes several names, or all");
const COPIES: Shell = Screen("a shell has its own ways of copying what is printed");
const LOG: Shell = Screen("the log is a file, and --log-level says how much is in it");

const STARTS: Shell = Screen("--tracker and --host say so when a peer is started");
const NO_TIME: Shell =
    Screen("there is time for it only where somebody looks; get goes on with what is left");
const TIDIES: Shell = Screen("it tidies the list of the screen; status lists everything");

macro_rules! shells {
    (
        $($variant:ident $name:literal $group:ident $place:ident $keys:tt $help:literal, $words:literal,
            $shell:expr, $when:ident, |$it:ident| $run:expr;)*
    ) => {
        impl Action {
            /// How it is said without a screen.
            pub fn shell(self) -> Shell {
                match self { $(Self::$variant => $shell,)* }
            }
        }
    };
}

action_table!(shells);
