//! An engine without a screen: it runs a tracker, shares a file or a folder, and prints what happens, until ^C.
//! `cargo run -p engine --example without_screen -- PATH`; then `tui-peer --tracker JOIN` with what it prints.
#![allow(clippy::print_stdout, reason = "an example")]

use std::error::Error;
use std::path::PathBuf;

use engine::api;
use engine::api::command::{Command, Reply};
use engine::api::config::EngineConfig;
use engine::api::handle::Stop;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).map(PathBuf::from).ok_or("which file or folder?")?;
    // Gone afterwards; a folder that stays keeps key, shares and downloads.
    let folder = tempfile::tempdir()?;
    let mut config =
        EngineConfig::new(folder.path().join("state"), folder.path().join("downloads"));
    config.listen = ([127, 0, 0, 1], 0).into();
    config.nick = "example".to_owned();
    let engine = api::start(config).await?;
    let mut events = engine.events();
    if let Reply::Hosting(join) = engine.call(Command::Host).await? {
        println!("{join}");
    }
    engine.call(Command::Share { path: std::path::absolute(path)?, name: None }).await?;
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => println!("{}", event.text),
                // It ended by itself, or we were too slow to hear all.
                Err(_) => break,
            },
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    engine.stop(Stop::Gracefully);
    engine.stopped().await;
    Ok(())
}
