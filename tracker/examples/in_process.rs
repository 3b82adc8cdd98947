//! A tracker inside another program: all in memory, on a free port, until ^C.
//! `cargo run -p tracker --example in_process`; then `tui-peer --tracker JOIN` with what it prints.
#![allow(clippy::print_stdout, reason = "an example")]

use tokio::net::TcpListener;
use tracker::{Config, Tracker};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    // With `state_dir` in the configuration key and registrations outlive it.
    let tracker = Tracker::open(Config::default())?;
    println!("{}", tracker.join_string("127.0.0.1", port)?);
    tracker
        .run(listener, async {
            // If signals cannot be had it ends at once.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await;
    Ok(())
}
