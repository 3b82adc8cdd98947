//! Options of the commands that reach a running peer.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use super::Common;

/// Options of `status`.
#[derive(Debug, Clone, Args)]
pub struct Status {
    /// Wait until a peer runs and has its tracker, and nothing is being hashed.
    #[arg(long)]
    pub wait: bool,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    pub timeout: Option<u64>,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Options of `peers`.
#[derive(Debug, Clone, Args)]
pub struct Peers {
    /// Everybody in the network by name: key, address, number of shares, for how long; needs no running peer.
    #[arg(long)]
    pub all: bool,
    /// Wait until there is one.
    #[arg(long)]
    pub wait: bool,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    pub timeout: Option<u64>,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Options of `share`.
#[derive(Debug, Clone, Args)]
pub struct Share {
    /// Files and folders.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Use another name than its own (one path only).
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// From now on publish by itself whatever comes into these folders, whoever puts it there, and what becomes of
    /// their files: once nothing has moved for 2 seconds, at most once a minute, until they are unshared.
    #[arg(long, overrides_with = "no_watch")]
    pub watch: bool,
    /// Publish what comes into these folders only when told to, as usual; stops what is just being hashed for --watch.
    #[arg(long, overrides_with = "watch")]
    pub no_watch: bool,
    /// Wait until others can download it (with a running peer); told in the order of the paths.
    #[arg(long)]
    pub wait: bool,
    /// Give up after this many seconds; what was handed over by then (256 paths at a time) goes on being
    /// shared, the rest does not.
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    pub timeout: Option<u64>,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Options of `unshare`.
#[derive(Debug, Clone, Args)]
pub struct Unshare {
    /// Names, ids or paths.
    #[arg(required = true, value_name = "NAME|ID|PATH")]
    pub what: Vec<String>,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Options of `stop`.
#[derive(Debug, Clone, Args)]
pub struct Stop {
    /// At once, without letting transfers in progress finish.
    #[arg(long)]
    pub now: bool,
    /// Wait at most this many seconds for it to end (30 by default).
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Options of `completions`.
#[derive(Debug, Clone, Args)]
pub struct Completions {
    /// For which shell.
    pub shell: Shell,
}
