//! Load on a tracker, and what it costs there: many peers of this program against a tracker in a process of its own.
//! `cargo bench -p tracker --bench load -- [OPTIONS] [ROW...]`; README.md beside this file says more.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a bench"
)]

mod crowd;
mod peer;
mod program;
mod rows;
mod table;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use program::Setup;
use table::Table;

#[derive(Debug, Parser)]
struct Args {
    /// The tracker to be measured [default: the one that was built with this]
    #[arg(long)]
    bin: Option<PathBuf>,
    /// Peers of the rows that are about many
    #[arg(long, default_value_t = 10_000)]
    peers: u32,
    /// Contents of the rows that are about a catalogue
    #[arg(long, default_value_t = 200_000)]
    files: u64,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// What to measure; everything if nothing is named
    #[arg(value_enum)]
    rows: Vec<Row>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Row {
    /// Connections: memory and CPU of each, at rest and with a message a second
    Connect,
    /// Messages of progress: one at a time, and several
    Chunks,
    /// kill -9 with everybody connected, until all are back
    Storm,
    /// Registrations in bulk, on disk
    Register,
    /// Searches and pages of a large catalogue
    Catalogue,
    /// Searches in a million files inside folders, without a connection
    Inside,
    /// Everybody downloads the same file and watches its sources
    Swarm,
    /// Peers that never read
    Slow,
    /// Connections that say nothing, and an honest peer beside them
    HalfOpen,
}

fn main() {
    let args = Args::parse();
    // Both ends take one descriptor a connection.
    let _ = common::descriptors::raise_limit();
    let bin = args.bin.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_tracker")));
    let setup = Setup::new(bin);
    let rows = if args.rows.is_empty() { Row::value_variants().to_vec() } else { args.rows };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut table = Table::default();
    for row in rows {
        println!("# {row:?}");
        let (peers, seconds) = (args.peers, args.seconds);
        runtime.block_on(async {
            match row {
                Row::Connect => rows::connect::run(&setup, &mut table, peers, seconds).await,
                Row::Chunks => rows::chunks::run(&setup, &mut table, seconds).await,
                Row::Storm => rows::storm::run(&setup, &mut table, peers).await,
                Row::Register => rows::register::run(&setup, &mut table, args.files).await,
                Row::Catalogue => rows::catalogue::run(&setup, &mut table, args.files).await,
                Row::Inside => rows::inside::run(&mut table),
                Row::Swarm => rows::swarm::run(&setup, &mut table, seconds).await,
                Row::Slow => rows::slow::run(&setup, &mut table, seconds).await,
                Row::HalfOpen => rows::half_open::run(&setup, &mut table).await,
            }
        });
    }
    println!("{table}");
}
