//! Options of `send`.

use std::path::PathBuf;

use clap::Args;

use super::Common;

/// Options of `send`.
#[derive(Debug, Clone, Args)]
pub struct Send {
    /// Files and folders, at most 16; - is standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Use another name than its own (one path only); what comes from standard input is called stdin.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// End when this many have all of it.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub to: u32,
    /// Use a network of its own for this link, even if another is known.
    #[arg(long, conflicts_with = "tracker")]
    pub host: bool,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Do not show the link as a QR code on a terminal.
    #[arg(long)]
    pub no_qr: bool,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}
