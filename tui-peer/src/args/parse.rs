//! From what was typed to a [`Cli`].

use std::ffi::OsStr;
use std::path::Path;

use clap::{Command, CommandFactory as _, FromArgMatches as _};

use super::{Cli, Run};

/// Reads the process's command line and environment; on a mistake (or for help) says so and exits.
pub fn parse() -> Cli {
    let matches = command().get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The command line's description. A variable that is set to nothing is not set.
fn command() -> Command {
    without_empty(Cli::command())
}

fn without_empty(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let empty = arg.get_env().is_some_and(|name| {
            std::env::var_os(name).is_some_and(|value| value == OsStr::new(""))
        });
        if empty { arg.env(clap::builder::Resettable::Reset) } else { arg }
    });
    command.mut_subcommands(without_empty)
}

/// A command that was typed after options and so was taken for a path: `tui-peer --json ls`.
pub fn misplaced(run: &Run) -> Option<String> {
    let first = run.paths.first()?;
    let known = Cli::command();
    let name = first.to_str()?;
    known.find_subcommand(name).filter(|_| !Path::new(name).exists())?;
    Some(format!(
        "{name} is a command, and there is no file of that name; options stand after it: tui-peer {name} …"
    ))
}
