//! Reads the command line and hands over.

use std::process::ExitCode;

use clap::Parser as _;
use tui_peer::args::Cli;

fn main() -> ExitCode {
    ExitCode::from(tui_peer::run(Cli::parse()))
}
