//! What the settings come to: a configuration for the engine.

use std::path::PathBuf;

use settings::{Item, KeyCheck, Origin, SettingsError, Table, load, parse_join, read_secret};

use crate::args::Common;
use engine::api::config::{EngineConfig, OnStart};

/// Everything decided.
#[derive(Debug)]
pub(super) struct Settings {
    /// For the engine.
    pub(super) engine: EngineConfig,
    /// All of it, with where it comes from.
    pub(super) table: Table,
}

/// Puts flags, environment, file and defaults together.
///
/// # Errors
/// [`SettingsError`]: what, where, what to do.
pub(super) fn settings(common: &Common, keys: KeyCheck) -> Result<Settings, SettingsError> {
    let table = load::table(common.flags(), keys)?;
    Ok(Settings { engine: engine(&table)?, table })
}

/// The same for what needs hardly more than to know where the state folder is: without what is wrong in the
/// configuration file, and what that is.
///
/// # Errors
/// [`SettingsError::Option`] for what was typed.
pub(super) fn settings_as_far(
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
    engine.auto_limit = table.is_on(Item::AutoLimit);
    engine.down = table.rate(Item::Down);
    engine.max_active = table.text(Item::Active).parse().unwrap_or(engine.max_active);
    engine.keep_free = table.keep_free();
    engine.on_start = on_start(table);
    engine.watch = table.is_on(Item::Watch);
    engine.names_inside = table.text(Item::NamesInside).parse().unwrap_or_default();
    engine.portmap = table.text(Item::Portmap) == "auto";
    engine.discoverable = table.text(Item::Discoverable).parse().unwrap_or_default();
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

/// What a start does with the network and the downloads of the last run.
fn on_start(table: &Table) -> OnStart {
    match table.text(Item::OnStart).as_ref() {
        "ask" => OnStart::Ask,
        "off" => OnStart::StayOff,
        _ => OnStart::Resume,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_as_the_settings_say() {
        let mut table = Table::default();
        assert_eq!(on_start(&table), OnStart::Resume);
        for (text, start) in [("ask", OnStart::Ask), ("off", OnStart::StayOff)] {
            table.set(Item::OnStart, text).unwrap();
            assert_eq!(on_start(&table), start);
        }
    }
}
