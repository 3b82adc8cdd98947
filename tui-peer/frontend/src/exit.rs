//! Exit codes, as the help lists them; from 64 on as in `sysexits.h` where it has one.

use engine::api::command::CommandErrorKind;

/// All went well.
pub const OK: u8 = 0;
/// Anything without a code of its own.
pub const OTHER: u8 = 1;
/// The command line makes no sense.
pub const USAGE: u8 = 2;
/// The tracker cannot be reached.
pub const TRACKER: u8 = 3;
/// No such file in the network or on disk, or no running peer.
pub const NOT_FOUND: u8 = 4;
/// Bytes on disk are not what they should be.
pub const DAMAGED: u8 = 5;
/// A search makes no sense.
pub const QUERY: u8 = 64;
/// The configuration file makes no sense.
pub const CONFIG: u8 = 65;
/// Some of several things failed.
pub const PARTIAL: u8 = 69;
/// A folder for data cannot be made.
pub const CANNOT_CREATE: u8 = 73;
/// Reading or writing failed.
pub const IO: u8 = 74;
/// Another peer uses the state folder.
pub const LOCKED: u8 = 75;
/// Not allowed.
pub const PERMISSION: u8 = 77;
/// The port is in use.
pub const PORT: u8 = 98;
/// Stopped by the terminal hanging up.
pub const HUNG_UP: u8 = 129;
/// Stopped by SIGINT.
pub const INTERRUPTED: u8 = 130;
/// Nobody reads standard output any more, before all was written there; as of a program that SIGPIPE ended.
pub const PIPE: u8 = 141;
/// Stopped by SIGTERM.
pub const TERMINATED: u8 = 143;

/// The exit code of a command that the engine refused so.
pub fn of(kind: CommandErrorKind) -> u8 {
    match kind {
        CommandErrorKind::NotFound => NOT_FOUND,
        CommandErrorKind::Io => IO,
        CommandErrorKind::Permission => PERMISSION,
        CommandErrorKind::Invalid | CommandErrorKind::Stopped => OTHER,
    }
}

/// For the help.
pub const HELP: &str = "\
Exit codes:
  0        all went well
  1        anything else
  2        the command line makes no sense
  3        tracker unreachable (--serve-only: only with --require-tracker)
  4        not found: no such file, or no running peer
  5        damaged: bytes on disk are not what they should be
  64       a word of a search (ls) means nothing
  65       the configuration file makes no sense
  69       some of several failed
  73       a folder for data cannot be made
  74       read or write error
  75       the state folder is in use by another tui-peer
  77       not permitted
  98       the port is in use
  129      the terminal is gone
  141      get -o -, send: nobody reads standard output any more
  130/143  stopped by SIGINT/SIGTERM before it was done, or by a second one
Signals to --serve-only: INT and TERM stop, HUP reads the settings again, USR1 prints figures,
USR2 changes how much is said.
tui-peer config lists the settings: each is also SHOAL_<NAME> in the environment and a line in config.toml.";
