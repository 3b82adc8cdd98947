//! What the user typed, and the configuration it stands for.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use etcetera::AppStrategy as _;
use tracker::{Admission, Config, StartError};

/// The tracker of a Shoal network: it knows who is there, which files exist and who has which parts.
#[derive(Debug, Parser)]
#[command(name = "tracker", version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Where to listen; port 0 is any free port
    #[arg(long, env = "SHOAL_LISTEN", value_name = "ADDR:PORT", default_value = "0.0.0.0:7420")]
    pub(crate) listen: SocketAddr,

    /// Where to keep key, secret and records [default: the state folder of shoal, such as ~/.local/state/shoal/tracker]
    #[arg(long, env = "SHOAL_STATE", value_name = "DIR")]
    state: Option<PathBuf>,

    /// Who may join: everybody with the join string (open), or only who knows the secret in it (secret)
    #[arg(long, env = "SHOAL_ADMISSION", value_enum, default_value_t = Mode::Open)]
    admission: Mode,

    /// File with the secret (readable by you alone); without it one is made and kept in the state folder
    #[arg(long, env = "SHOAL_SECRET_FILE", value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Host that others reach this tracker at, for the join string [default: an address of this machine]
    #[arg(long, env = "SHOAL_PUBLIC", value_name = "HOST[:PORT]")]
    pub(crate) public: Option<String>,

    /// Serve /metrics and /healthz over plain HTTP here
    #[arg(long, env = "SHOAL_METRICS", value_name = "ADDR:PORT")]
    pub(crate) metrics: Option<SocketAddr>,

    /// Say things in JSON, one object a line
    #[arg(long, env = "SHOAL_JSON", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) json: bool,

    /// Log more; twice for everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

const AFTER_HELP: &str = "\
Prints a line `join shoal://...` once it listens: give it to those who should join.
Every option can also be set in the environment, as SHOAL_<OPTION>.

Exit codes: 0 ok, 1 other, 2 usage, 65 unusable secret file, 73 cannot make the state folder,
74 cannot read or write, 75 state folder in use, 77 no permission, 98 port in use, 130/143 signal";

/// The values of `--admission`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Open,
    Secret,
}

impl Args {
    /// The configuration. Reads the secret file.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        let state_dir = match &self.state {
            Some(dir) => dir.clone(),
            None => default_state()
                .context("no home folder found; say where to keep state with --state DIR")?,
        };
        Ok(Config { state_dir: Some(state_dir), admission: self.admission()?, ..Config::default() })
    }

    /// A secret file alone means a closed network: nobody names one for an open network.
    fn admission(&self) -> Result<Admission, StartError> {
        match (&self.secret_file, self.admission) {
            (Some(file), _) => tracker::read_secret(file).map(Admission::Secret),
            (None, Mode::Secret) => Ok(Admission::Kept),
            (None, Mode::Open) => Ok(Admission::Open),
        }
    }
}

/// `tracker` in the XDG state folder of shoal.
fn default_state() -> Option<PathBuf> {
    let strategy = etcetera::choose_app_strategy(etcetera::AppStrategyArgs {
        top_level_domain: String::new(),
        author: String::new(),
        app_name: "shoal".to_owned(),
    })
    .ok()?;
    Some(strategy.state_dir().unwrap_or_else(|| strategy.data_dir()).join("tracker"))
}
