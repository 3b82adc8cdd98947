//! The command line: what the user typed, the environment, the configuration file, and what follows.
//! Order: flag, environment, file, default.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use common::join::{JoinString, Secret};
use etcetera::BaseStrategy as _;
use serde::Deserialize;

use crate::engine::config::EngineConfig;

/// Exit codes, as the help lists them.
pub mod exit {
    /// All went well.
    pub const OK: u8 = 0;
    /// Anything without a code of its own.
    pub const OTHER: u8 = 1;
    /// The command line makes no sense.
    pub const USAGE: u8 = 2;
    /// The tracker cannot be reached.
    pub const TRACKER: u8 = 3;
    /// No such file in the network or on disk.
    pub const NOT_FOUND: u8 = 4;
    /// Bytes on disk are not what they should be.
    pub const DAMAGED: u8 = 5;
    /// The configuration file makes no sense.
    pub const CONFIG: u8 = 65;
    /// Some of several things failed.
    pub const PARTIAL: u8 = 69;
    /// Reading or writing failed.
    pub const IO: u8 = 74;
    /// Another peer uses the state folder.
    pub const LOCKED: u8 = 75;
    /// Not allowed.
    pub const PERMISSION: u8 = 77;
    /// The port is in use.
    pub const PORT: u8 = 98;
    /// Stopped by SIGINT.
    pub const INTERRUPTED: u8 = 130;
}

const CODES: &str = "Exit codes: 0 ok, 1 other, 2 usage, 3 tracker unreachable, 4 not found, \
5 damaged, 65 bad configuration, 69 some of several failed, 74 read or write error, 75 state folder \
in use, 77 not permitted, 98 port in use, 130 interrupted twice.\n\
Every option also as SHOAL_<OPTION> in the environment and in config.toml.";

/// Share files with everybody in a network, and fetch theirs.
#[derive(Debug, Parser)]
#[command(name = "tui-peer", version, about, after_help = CODES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; without it, the full-screen app.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the app and of --serve-only.
    #[command(flatten)]
    pub run: Run,
}

/// Commands without a screen.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Download files of the network; the exit code says how it went.
    Get(Get),
    /// List the network's files.
    Ls(Ls),
    /// Print id and root of files or folders; needs no network.
    Hash(Hash),
    /// Read shared or downloaded files again and compare.
    Verify(Verify),
    /// Show a whole small network on this machine.
    Demo(Demo),
    /// Print the settings in force and where each comes from.
    Config(Common),
}

/// Options of every command that talks to a network.
#[derive(Debug, Clone, Default, Args)]
pub struct Common {
    /// Join string (shoal://…) of the network, or @FILE holding it.
    #[arg(long, env = "SHOAL_TRACKER", value_name = "JOIN", hide_env_values = true)]
    pub tracker: Option<String>,
    /// File holding the network's secret, if the join string does not.
    #[arg(long, env = "SHOAL_SECRET_FILE", value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Where to listen for peers; port 0 is any free port.
    #[arg(long, env = "SHOAL_LISTEN", value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// Where downloads go.
    #[arg(long, env = "SHOAL_DOWNLOADS", value_name = "DIR")]
    pub downloads: Option<PathBuf>,
    /// Where identity and library are kept; one running peer per folder.
    #[arg(long, env = "SHOAL_STATE", value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Name shown to others; the host name by default.
    #[arg(long, env = "SHOAL_NICK", value_name = "NAME")]
    pub nick: Option<String>,
    /// Upload limit per second, as 800K, 10M, 1.5GiB; 0 is none.
    #[arg(long, env = "SHOAL_UP", value_name = "RATE", value_parser = parse_rate)]
    pub up: Option<Rate>,
    /// Download limit per second.
    #[arg(long, env = "SHOAL_DOWN", value_name = "RATE", value_parser = parse_rate)]
    pub down: Option<Rate>,
    /// One JSON object a line on standard output.
    #[arg(long, env = "SHOAL_JSON")]
    pub json: bool,
    /// Say more (twice: still more).
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// Options of the app and of --serve-only.
#[derive(Debug, Clone, Default, Args)]
pub struct Run {
    /// Files and folders to share.
    pub paths: Vec<PathBuf>,
    /// Run a tracker inside this peer and print its join string.
    #[arg(long, env = "SHOAL_HOST")]
    pub host: bool,
    /// Serve without a screen.
    #[arg(long, env = "SHOAL_SERVE_ONLY")]
    pub serve_only: bool,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Options of `get`.
#[derive(Debug, Clone, Args)]
pub struct Get {
    /// Name, id or link of what to download.
    #[arg(required = true, value_name = "NAME|ID|LINK")]
    pub what: Vec<String>,
    /// Folder to save in.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Only these files of a folder (paths within it, separated by commas).
    #[arg(long, value_delimiter = ',', value_name = "PATH,…")]
    pub files: Vec<String>,
    /// Go on serving when done.
    #[arg(long)]
    pub seed: bool,
    /// Give up after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Options of `ls`.
#[derive(Debug, Clone, Args)]
pub struct Ls {
    /// Words that must occur in the name.
    pub query: Option<String>,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Options of `hash`.
#[derive(Debug, Clone, Args)]
pub struct Hash {
    /// Files and folders.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// One JSON object a line on standard output.
    #[arg(long, env = "SHOAL_JSON")]
    pub json: bool,
}

/// Options of `verify`.
#[derive(Debug, Clone, Args)]
pub struct Verify {
    /// Names, ids or paths; everything if there are none.
    pub what: Vec<String>,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Options of `demo`.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// Without a screen: serve and print events.
    #[arg(long)]
    pub headless: bool,
    /// One JSON object a line on standard output (with --headless).
    #[arg(long)]
    pub json: bool,
}

/// Bytes per second; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub Option<u64>);

/// Reads `800K`, `10M`, `1.5MiB`, `0`, `none`. K, M and G are powers of 1024, as shown on screen.
///
/// # Errors
/// What is wrong with it.
pub fn parse_rate(text: &str) -> Result<Rate, String> {
    let wrong = || format!("{text:?} is not a rate: write 800K, 10M, 1.5G, or 0 for no limit");
    let lower = text.trim().to_ascii_lowercase();
    if lower == "none" {
        return Ok(Rate(None));
    }
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let factor = match unit.trim().trim_end_matches("/s") {
        "" | "b" => 1u64,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = number * factor as f64;
    if !bytes.is_finite() || bytes > 1e15 {
        return Err(wrong());
    }
    Ok(Rate((bytes >= 1.0).then_some(bytes as u64)))
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The configuration file makes no sense.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: String,
        /// What and where.
        why: String,
    },
    /// An option makes no sense.
    #[error("{0}")]
    Option(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ConfigFile {
    tracker: Option<String>,
    secret_file: Option<PathBuf>,
    listen: Option<SocketAddr>,
    downloads: Option<PathBuf>,
    state: Option<PathBuf>,
    nick: Option<String>,
    up: Option<String>,
    down: Option<String>,
}

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

/// A join string, or `@FILE` holding one.
///
/// # Errors
/// What is wrong with it, and where.
pub fn parse_join(text: &str) -> Result<JoinString, SettingsError> {
    let content;
    let (text, place) = match text.strip_prefix('@') {
        Some(path) => {
            content = std::fs::read_to_string(path)
                .map_err(|error| SettingsError::Option(format!("--tracker: {path}: {error}")))?;
            (content.trim().trim_start_matches("join "), path)
        }
        None => (text.trim(), "--tracker"),
    };
    text.parse().map_err(|error| SettingsError::Option(format!("{place}: {error}")))
}

fn read_secret(path: &Path) -> Result<Secret, SettingsError> {
    let wrong = |why: String| SettingsError::Option(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    text.parse().map_err(|error: common::join::SecretError| wrong(error.to_string()))
}

fn read_config(path: &Path) -> Result<ConfigFile, SettingsError> {
    let wrong = |why: String| SettingsError::File { path: path.display().to_string(), why };
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|error| wrong(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(ConfigFile::default()),
        Err(error) => Err(wrong(error.to_string())),
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", None),
            ("none", None),
            ("500", Some(500)),
            ("800K", Some(800 << 10)),
            ("10M", Some(10 << 20)),
            ("1.5MiB/s", Some(3 << 19)),
            ("2g", Some(2 << 30)),
        ] {
            assert_eq!(parse_rate(text), Ok(Rate(bytes)), "{text}");
        }
        for bad in ["", "fast", "10X", "-1", "1e99", "1.2.3M"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_keys_of_the_config_file_are_named_with_their_line() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("config.toml");
        std::fs::write(&path, "nick = \"a\"\nlisen = \"x\"\n").unwrap();
        let why = read_config(&path).unwrap_err().to_string();
        assert!(why.contains("line 2") && why.contains("lisen"), "{why}");
    }

    #[test]
    fn a_join_string_may_stand_in_a_file() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("net");
        let key = common::id::PeerId::from_bytes([7; 32]);
        std::fs::write(&path, format!("join shoal://{key}@host:1\n")).unwrap();
        let join = parse_join(&format!("@{}", path.display())).unwrap();
        assert_eq!((join.host(), join.port()), ("host", 1));
        assert!(parse_join("@/nowhere").unwrap_err().to_string().contains("/nowhere"));
        assert!(parse_join("shoal://x").is_err());
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
