//! From what was typed to a [`Cli`].

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::error::ErrorKind;
use clap::{Command, CommandFactory as _, FromArgMatches as _};

use super::{Cli, Run};

/// Reads the process's command line and environment; on a mistake (or for help) says so and exits.
pub fn parse() -> Cli {
    let mut command = command();
    let typed = sorted(&command, std::env::args_os().collect(), |name| Path::new(name).exists());
    let typed = typed.unwrap_or_else(|why| command.error(ErrorKind::ArgumentConflict, why).exit());
    let matches = command.get_matches_from(typed);
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

/// Puts a command before the options that were typed before it, if it takes all of them: `tui-peer --state DIR share
/// PATH` would else serve a path called `share`.
///
/// # Errors
/// Why it cannot be told what is meant: there is such a path too.
fn sorted(
    command: &Command,
    mut typed: Vec<OsString>,
    is_path: impl Fn(&str) -> bool,
) -> Result<Vec<OsString>, String> {
    let Some((at, options)) = options(command, &typed) else { return Ok(typed) };
    let Some(name) = typed.get(at).and_then(|name| name.to_str()).map(str::to_owned) else {
        return Ok(typed);
    };
    let Some(meant) = command.find_subcommand(&name).filter(|_| at > 1) else { return Ok(typed) };
    let takes = |option: &Name| meant.get_arguments().any(|arg| option.is(arg));
    if !options.iter().all(takes) {
        return Ok(typed);
    }
    if is_path(&name) {
        return Err(format!(
            "{name} is a command, and there is a file or folder of that name here: tui-peer {name} … is the command, ./{name} the path"
        ));
    }
    if let Some(first) = typed.get_mut(1..=at) {
        first.rotate_right(1);
    }
    Ok(typed)
}

/// How an option is written.
#[derive(Debug, PartialEq, Eq)]
enum Name {
    Long(String),
    Short(char),
}

impl Name {
    fn is(&self, arg: &clap::Arg) -> bool {
        match self {
            Self::Long(name) => arg.get_long() == Some(name.as_str()),
            Self::Short(name) => arg.get_short() == Some(*name),
        }
    }
}

/// The options before the first word that is none, and where that stands; `None` if an option is not known.
fn options(command: &Command, typed: &[OsString]) -> Option<(usize, Vec<Name>)> {
    let (mut at, mut options) = (1, Vec::new());
    while let Some(word) = typed.get(at)?.to_str()?.strip_prefix('-') {
        at += 1;
        let (names, has_value) = match word.strip_prefix('-') {
            Some(long) => {
                let (name, value) = long.split_once('=').map_or((long, false), |(n, _)| (n, true));
                (vec![Name::Long(name.to_owned())], value)
            }
            None => (word.chars().map(Name::Short).collect(), false),
        };
        if names.is_empty() {
            // A dash alone is a path.
            return None;
        }
        for name in names {
            let option = command.get_arguments().find(|arg| name.is(arg))?;
            if option.get_action().takes_values() && !has_value {
                at += 1;
            }
            options.push(name);
        }
    }
    Some((at, options))
}

/// A command that was typed after options that are not its own, and so was taken for a path: `tui-peer --serve-only ls`.
pub fn misplaced(run: &Run) -> Option<String> {
    let first = run.paths.first()?;
    let known = Cli::command();
    let name = first.to_str()?;
    known.find_subcommand(name).filter(|_| !Path::new(name).exists())?;
    Some(format!(
        "{name} is a command, and there is no file of that name; one of the options before it is not for that command: see tui-peer {name} --help"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sort(typed: &str, there: &[&str]) -> Result<String, String> {
        let typed = typed.split(' ').map(OsString::from).collect();
        let sorted = sorted(&Cli::command(), typed, |name| there.contains(&name))?;
        let words: Vec<&str> = sorted.iter().map(|word| word.to_str().unwrap()).collect();
        Ok(words.join(" "))
    }

    #[test]
    fn c1_options_before_a_command_are_that_command_s() {
        for (typed, meant) in [
            ("tui-peer --state DIR share x --wait", "tui-peer share --state DIR x --wait"),
            ("tui-peer --state=DIR -vv --json share x", "tui-peer share --state=DIR -vv --json x"),
            ("tui-peer --json list", "tui-peer list --json"),
            ("tui-peer --state share pause all", "tui-peer pause --state share all"),
        ] {
            assert_eq!(sort(typed, &[]).as_deref(), Ok(meant));
        }
    }

    #[test]
    fn c1_what_means_no_command_stays_as_it_was_typed() {
        for typed in [
            "tui-peer",
            "tui-peer share",
            "tui-peer share --state DIR x",
            "tui-peer --state",
            "tui-peer --state DIR",
            "tui-peer --state DIR x share",
            "tui-peer --state DIR -- share",
            "tui-peer --state DIR - share",
            "tui-peer --serve-only share",
            "tui-peer --help share",
            "tui-peer --no-such share",
        ] {
            assert_eq!(sort(typed, &["share"]).as_deref(), Ok(typed));
        }
        let why = sort("tui-peer --state DIR share", &["share"]).unwrap_err();
        assert!(why.contains("tui-peer share") && why.contains("./share"), "{why}");
    }
}
