//! The settings in force: what the command line, the environment and the configuration file say, put
//! together. Order: flag, environment, file, default.

mod error;
mod file;
mod join;
mod rate;
mod units;

use etcetera::BaseStrategy as _;

use crate::args::Common;
use crate::engine::config::EngineConfig;

pub use error::SettingsError;
pub use join::parse_join;
pub use rate::{Rate, parse_rate};
pub use units::Units;

use file::read_config;
use join::read_secret;

/// Everything decided.
#[derive(Debug)]
pub struct Settings {
    /// For the engine.
    pub engine: EngineConfig,
    /// Name, value and origin of every setting.
    pub origins: Vec<(&'static str, String, &'static str)>,
}

/// Puts flags, environment, file and defaults together.
///
/// # Errors
/// [`SettingsError`]: what, where, what to do.
pub fn settings(common: &Common) -> Result<Settings, SettingsError> {
    let base = etcetera::choose_base_strategy().map_err(|_| {
        SettingsError::Option("no home folder: set HOME, or use --state and --downloads".into())
    })?;
    let file = read_config(&base.config_dir().join("shoal").join("config.toml"))?;
    let mut origins = Vec::new();
    let mut note = |name, value: String, set: bool, in_file: bool| {
        let origin = if set {
            "flag or environment"
        } else if in_file {
            "config.toml"
        } else {
            "default"
        };
        origins.push((name, value, origin));
    };

    let home = base.home_dir();
    let default_state = base.state_dir().unwrap_or_else(|| base.data_dir()).join("shoal");
    let state = common.state.clone().or(file.state.clone()).unwrap_or(default_state);
    note("state", state.display().to_string(), common.state.is_some(), file.state.is_some());
    let downloads = common.downloads.clone().or(file.downloads.clone());
    let downloads = downloads.unwrap_or_else(|| home.join("Downloads"));
    let from_file = file.downloads.is_some();
    note("downloads", downloads.display().to_string(), common.downloads.is_some(), from_file);

    let mut engine = EngineConfig::new(state, downloads);
    engine.remember = true;
    if let Some(listen) = common.listen.or(file.listen) {
        engine.listen = listen;
    }
    note("listen", engine.listen.to_string(), common.listen.is_some(), file.listen.is_some());
    engine.nick = common.nick.clone().or(file.nick.clone()).unwrap_or_else(host_name);
    while engine.nick.len() > common::limits::MAX_NICK {
        engine.nick.pop();
    }
    note("nick", engine.nick.clone(), common.nick.is_some(), file.nick.is_some());

    let rate = |name: &str, flag: Option<Rate>, file: &Option<String>| match (flag, file) {
        (Some(rate), _) => Ok(rate.0),
        (None, Some(text)) => parse_rate(text)
            .map(|rate| rate.0)
            .map_err(|why| SettingsError::Option(format!("config.toml: {name}: {why}"))),
        (None, None) => Ok(None),
    };
    engine.up = rate("up", common.up, &file.up)?;
    engine.down = rate("down", common.down, &file.down)?;
    let show = |rate: Option<u64>| rate.map_or("none".to_owned(), |rate| format!("{rate} B/s"));
    note("up", show(engine.up), common.up.is_some(), file.up.is_some());
    note("down", show(engine.down), common.down.is_some(), file.down.is_some());

    let tracker = common.tracker.clone().or(file.tracker.clone());
    if let Some(text) = tracker {
        let mut join = parse_join(&text)?;
        if let Some(path) = common.secret_file.as_ref().or(file.secret_file.as_ref()) {
            join = join.with_secret(Some(read_secret(path)?));
        }
        note("tracker", join.address(), common.tracker.is_some(), file.tracker.is_some());
        engine.join = Some(join);
    } else {
        note("tracker", "the one joined last".to_owned(), false, false);
    }
    Ok(Settings { engine, origins })
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
