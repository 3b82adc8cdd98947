//! The settings in force: what the command line, the environment and the configuration file say, put
//! together. Order: flag, environment, file, default.
//!
//! [`Item`] lists every setting; [`Table`] holds their values with where they come from; `file` reads
//! the configuration file and [`write()`] changes one entry of it; [`load`] puts all together.

mod error;
mod file;
mod hooks;
mod item;
mod join;
mod kind;
pub mod load;
mod rate;
mod table;
mod themes;
mod typed;
mod units;
mod write;

use std::path::PathBuf;

use crate::args::Common;
use crate::engine::config::EngineConfig;

pub use error::{Problem, SettingsError};
pub use file::Binding;
pub use hooks::Hooks;
pub use item::{Item, Page};
pub use join::parse_join;
pub use kind::Kind;
pub use load::KeyCheck;
pub use rate::{Rate, parse_rate, parse_size};
pub use table::{Layer, Origin, Table};
pub use themes::{Base, OwnTheme, Paint, Role};
pub use typed::{AskQuit, Notify};
pub use units::Units;
pub use write::{Change, WriteError, write};

use join::read_secret;
pub(crate) use kind::nearest;

/// What is wrong in the text of a configuration file.
pub(crate) fn problems_in(text: &str) -> Vec<Problem> {
    file::parse(text).problems
}

/// Everything decided.
#[derive(Debug)]
pub struct Settings {
    /// For the engine.
    pub engine: EngineConfig,
    /// All of it, with where it comes from.
    pub table: Table,
}

/// Puts flags, environment, file and defaults together.
///
/// # Errors
/// [`SettingsError`]: what, where, what to do.
pub fn settings(common: &Common, keys: KeyCheck) -> Result<Settings, SettingsError> {
    let table = load::table(common.flags(), keys)?;
    Ok(Settings { engine: engine(&table)?, table })
}

/// The same for what needs hardly more than to know where the state folder is: without what is wrong in the
/// configuration file, and what that is.
///
/// # Errors
/// [`SettingsError::Option`] for what was typed.
pub fn settings_as_far(
    common: &Common,
    keys: KeyCheck,
) -> Result<(Settings, Option<SettingsError>), SettingsError> {
    let (mut table, wrong) = load::table_as_far(common.flags(), keys)?;
    match engine(&table) {
        Ok(engine) => Ok((Settings { engine, table }, wrong)),
        Err(error) if [Item::Tracker, Item::SecretFile].iter().any(|i| table.is_from_file(*i)) => {
            // A file that the configuration names is not there, or holds nothing of use.
            table.reset(Item::Tracker);
            table.reset(Item::SecretFile);
            let engine = engine(&table)?;
            Ok((Settings { engine, table }, wrong.or(Some(error))))
        }
        Err(error) => Err(error),
    }
}

fn engine(table: &Table) -> Result<EngineConfig, SettingsError> {
    let path = |item| {
        let none = || SettingsError::Option(format!("{} is empty: write a path", Item::key(item)));
        table.path_of(item).ok_or_else(none)
    };
    let state: PathBuf = path(Item::State)?;
    let mut engine = EngineConfig::new(state, path(Item::Downloads)?);
    engine.remember = true;
    if let Ok(listen) = table.text(Item::Listen).parse() {
        engine.listen = listen;
    }
    engine.nick = table.text(Item::Nick).into_owned();
    engine.up = table.rate(Item::Up);
    engine.down = table.rate(Item::Down);
    engine.max_active = table.text(Item::Active).parse().unwrap_or(engine.max_active);
    engine.keep_free = table.keep_free();
    engine.on_start = table.on_start();
    engine.watch = table.is_on(Item::Watch);
    // Unless the user says something, it depends on what runs.
    if table.origin(Item::PortFallback) != Origin::Default {
        engine.port_fallback = Some(table.is_on(Item::PortFallback));
    }
    let tracker = table.text(Item::Tracker);
    if !tracker.is_empty() {
        let mut join = parse_join(&tracker)?;
        if let Some(path) = table.path_of(Item::SecretFile) {
            join = join.with_secret(Some(read_secret(&path)?));
        }
        engine.join = Some(join);
    }
    Ok(engine)
}
