//! How each action of the screen is said without one. A new action does not compile until somebody has said it
//! here.

use super::action::Action;
use crate::act::Verb;

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

const MOVES: Shell = Shell::Screen("it moves what is seen");
const LOOKS: Shell = Shell::Screen("it changes what is seen, not what is done");
const MARKS: Shell = Shell::Screen("a command takes several names, or all");
const COPIES: Shell = Shell::Screen("a shell has its own ways of copying what is printed");
const LOG: Shell = Shell::Screen("the log is a file, and --log-level says how much is in it");

impl Action {
    /// How it is said without a screen.
    pub fn shell(self) -> Shell {
        use Shell::{Command, Screen, Verbs};
        match self {
            Self::Down | Self::Up | Self::Left | Self::Right | Self::HalfDown | Self::HalfUp => {
                MOVES
            }
            Self::PageDown | Self::PageUp | Self::ScrollDown | Self::ScrollUp => MOVES,
            Self::Top | Self::Bottom | Self::NextActive | Self::Back => MOVES,
            Self::NextMatch | Self::PrevMatch | Self::FollowMap => MOVES,

            Self::Filter => Command("ls"),
            Self::Sort | Self::Reverse | Self::Window | Self::Senders => LOOKS,
            Self::Enter | Self::Why => Command("status"),
            Self::Holders => Screen("it is a picture; status counts the sources"),
            Self::Download | Self::DownloadTo | Self::Contents | Self::GetLink => Command("get"),
            Self::Pause | Self::PauseAll => Verbs(&[Verb::Pause, Verb::Resume]),
            Self::Retry => Verbs(&[Verb::Resume]),
            Self::Verify | Self::VerifyAll => Command("verify"),
            Self::Remove => Verbs(&[Verb::Remove]),
            Self::Undo => Screen(
                "there is time for it only where somebody looks; get goes on with what is left",
            ),
            Self::Clear => Screen("it tidies the list of the screen; status lists everything"),
            Self::Raise | Self::Lower => Verbs(&[Verb::Priority]),
            Self::QueueUp | Self::QueueDown => Verbs(&[Verb::Move]),
            Self::InOrder => Verbs(&[Verb::Order]),
            Self::LimitOne => Verbs(&[Verb::Limit]),
            // With --wait.
            Self::Watch | Self::Watches => Command("get"),
            Self::Share => Command("share"),
            Self::Unshare => Command("unshare"),
            Self::Rescan => Verbs(&[Verb::Rescan]),
            Self::CopyLink | Self::CopyHash | Self::CopyLine | Self::CopyLog => COPIES,
            Self::OpenFolder => Screen("status prints where it lies"),
            Self::Mark | Self::MarkRange | Self::MarkAll => MARKS,

            Self::Leave => Verbs(&[Verb::Leave]),
            Self::Rejoin => Verbs(&[Verb::Rejoin]),
            Self::JoinOther | Self::Host => {
                Screen("--tracker and --host say so when a peer is started")
            }
            Self::CopyJoin => Screen("the peer that hosts prints it when it is started"),
            Self::Serving => Verbs(&[Verb::Serve]),
            Self::Ban => Verbs(&[Verb::Ban]),
            Self::Bans => Verbs(&[Verb::Unban]),
            Self::Announce => Verbs(&[Verb::Announce]),

            Self::Pane1 | Self::Pane2 | Self::Pane3 | Self::Pane4 | Self::Pane5 => LOOKS,
            Self::NextPane | Self::PrevPane | Self::NextTab | Self::PrevTab => LOOKS,
            Self::TabNetwork | Self::TabDownloads | Self::TabShared | Self::TabPeers => LOOKS,
            Self::Zoom | Self::Wider | Self::Narrower | Self::Theme | Self::Redraw => LOOKS,
            Self::Mouse | Self::Palette | Self::Repeat => LOOKS,
            // Limits of everything are settings on the screen.
            Self::Settings => Verbs(&[Verb::Limit]),
            Self::Help | Self::Version => Screen("--help and --version"),
            Self::Suspend => Screen("the shell does it by itself"),
            Self::Quit | Self::Interrupt => Command("stop"),

            Self::LogMore | Self::LogLess | Self::Follow | Self::Wrap => LOG,
            Self::LogTarget | Self::LogNext | Self::LogPrev => LOG,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn c1_every_action_of_the_screen_has_its_command_or_a_reason() {
        let shell = crate::args::Cli::command();
        let mut told = Vec::new();
        for action in Action::ALL {
            match action.shell() {
                Shell::Verbs(verbs) => {
                    assert!(!verbs.is_empty(), "{action:?}");
                    told.extend(verbs);
                }
                Shell::Command(name) => {
                    assert!(shell.find_subcommand(name).is_some(), "{action:?}: {name}");
                }
                Shell::Screen(why) => assert!(why.contains(' '), "{action:?}: {why}"),
            }
        }
        // And the other way round: what a shell can say, a screen can do.
        for verb in Verb::ALL {
            assert!(told.contains(verb), "{verb:?} is on no key");
        }
    }
}
