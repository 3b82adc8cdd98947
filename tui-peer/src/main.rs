//! Reads the command line and hands over.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(tui_peer::run(tui_peer::args::parse()))
}
