//! The command line: what the user typed, or said in the environment.

mod act;
mod parse;
mod remote;
mod send;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use common::near::Discoverable;
use settings::{Item, Layer, LogTo, parse_rate};

pub use frontend::exit;

pub use act::{Act, Here, Reach, parse_line};
pub use parse::{misplaced, parse};
pub use remote::{Completions, Peers, Share, Status, Stop, Unshare};
pub use send::Send;

/// Share files with everybody in a network, and fetch theirs.
#[derive(Debug, Parser)]
#[command(name = "tui-peer", version, about, after_help = exit::HELP, args_conflicts_with_subcommands = true)]
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
    /// Download files from the network; the exit code says how it went.
    Get(Get),
    /// Send files or folders to whoever opens the link it prints; ends once they have them.
    Send(Send),
    /// List the network's files.
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Show how the running peer is doing: network, transfers, rates.
    Status(Status),
    /// Peers the running peer is connected to, or with --all everybody in the network.
    Peers(Peers),
    /// Share files or folders from the running peer, or from its next start on.
    Share(Share),
    /// Stop sharing something; files are not touched.
    Unshare(Unshare),
    /// Changes what the running peer does.
    #[command(flatten)]
    Act(Act<Reach>),
    /// Stop the running peer gracefully.
    Stop(Stop),
    /// Show the full-screen app on the running peer; quitting it leaves the peer running.
    #[cfg(feature = "tui")]
    Attach(Attach),
    /// Print id and root of files or folders; needs no network.
    Hash(Hash),
    /// Read shared or downloaded files again and compare.
    Verify(Verify),
    /// Describe something that is shared, or a file or folder, for BitTorrent programs (v2): writes a .torrent file.
    Torrent(Torrent),
    /// Show a whole small network on this machine.
    Demo(Demo),
    /// Print the settings in force and where each comes from, or check the file.
    Config(Config),
    /// Print a script that completes this command line in a shell.
    Completions(Completions),
}

/// Options of every command that talks to a network.
#[derive(Debug, Clone, Default, Args)]
pub struct Common {
    /// Join string (shoal://…) of the network, or @FILE holding it.
    #[arg(long, value_name = "JOIN")]
    pub tracker: Option<String>,
    /// File holding the network's secret, if the join string does not.
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Where to listen for peers; port 0 is any free port.
    #[arg(long, value_name = "ADDR:PORT", value_parser = listen)]
    pub listen: Option<SocketAddr>,
    /// Where downloads go.
    #[arg(long, value_name = "DIR")]
    pub downloads: Option<PathBuf>,
    /// Where identity and library are kept; one running peer per folder.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Name shown to others; the host name by default.
    #[arg(long, value_name = "NAME")]
    pub nick: Option<String>,
    /// In which networks the tracker may know the names of files inside folders, so that folders are found by them:
    /// secret (those that have one), always, never.
    #[arg(long, value_name = "WHERE", value_parser = ["secret", "always", "never"])]
    pub names_inside: Option<String>,
    /// Whether the router is asked to let others in when they do not reach this machine: auto, off.
    #[arg(long, value_name = "WHEN", value_parser = ["auto", "off"])]
    pub portmap: Option<String>,
    /// Upload limit per second, as 800K, 10M, 1.5GiB, 20Mbit; 0 is none.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub up: Option<String>,
    /// Download limit per second.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub down: Option<String>,
    /// Where the log goes: a file, or none; log/shoal.log in the state folder by default.
    #[arg(long, value_name = "FILE|none", value_parser = log)]
    pub log: Option<String>,
    /// Least important lines in the log: error, warn, info or debug.
    #[arg(long, value_name = "LEVEL", value_parser = ["error", "warn", "info", "debug"])]
    pub log_level: Option<String>,
    /// Program to run when a download is done: its name, or '["program", "argument"]', or none.
    #[arg(long, value_name = "PROGRAM")]
    pub on_done: Option<String>,
    /// Program to run when something fails; both find what happened in SHOAL_… variables.
    #[arg(long, value_name = "PROGRAM")]
    pub on_error: Option<String>,
    /// Seconds after which such a program is ended (600 unless told otherwise).
    #[arg(long, value_name = "SECONDS")]
    pub hook_timeout: Option<String>,
    /// How words look on a terminal.
    #[command(flatten)]
    pub colours: Colours,
    /// How the app looks; only it has these options.
    #[arg(skip)]
    pub look: Look,
    /// Where to serve metrics; an option of the app and --serve-only.
    #[arg(skip)]
    pub metrics: Option<String>,
    /// Whether shared folders are watched; an option of the app and --serve-only.
    #[arg(skip)]
    pub watch: bool,
    /// Whether a hosted tracker is found in the local network; an option of the app and --serve-only.
    #[arg(skip)]
    pub discoverable: Option<Discoverable>,
    /// Print one JSON object per line on standard output.
    #[arg(long, env = "SHOAL_JSON", value_parser = FalseyValueParser::new())]
    pub json: bool,
    /// Format of the log on standard error; detected by default.
    #[arg(long, env = "SHOAL_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Log more (twice: even more).
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Time, level, part, words.
    Text,
    /// One JSON object a line.
    Json,
    /// For the journal: a priority and no time.
    Journal,
}

/// How words look on a terminal.
#[derive(Debug, Clone, Default, Args)]
pub struct Colours {
    /// How many colours: auto, 256, 16, never.
    #[arg(long, value_name = "WHEN")]
    pub color: Option<String>,
    /// Characters: auto, unicode, cp437, ascii.
    #[arg(long, value_name = "SET")]
    pub glyphs: Option<String>,
}

/// How the app looks beside that.
#[derive(Debug, Clone, Default, Args)]
pub struct Look {
    /// Colours: auto, dark, light, high-contrast, mono, or a theme of config.toml.
    #[arg(long, value_name = "NAME")]
    pub theme: Option<String>,
    /// Leave the mouse to the terminal.
    #[arg(long)]
    pub no_mouse: bool,
}

/// Options of the app and of --serve-only.
#[derive(Debug, Clone, Default, Args)]
pub struct Run {
    /// Files and folders to share.
    pub paths: Vec<PathBuf>,
    /// Publish by itself whatever comes into folders that are shared from now on, PATHS among them.
    #[arg(long)]
    pub watch: bool,
    /// Run a tracker inside this peer and print its join string.
    #[arg(long, env = "SHOAL_HOST", value_parser = FalseyValueParser::new())]
    pub host: bool,
    /// Let peers in the local network find a tracker that runs inside this peer: auto, on, off; auto is unless it needs
    /// a secret.
    #[arg(long, value_name = "WHEN")]
    pub discoverable: Option<Discoverable>,
    /// Serve without a screen.
    #[arg(long, env = "SHOAL_SERVE_ONLY", value_parser = FalseyValueParser::new())]
    pub serve_only: bool,
    /// Lines and numbered questions instead of a screen, for screen readers; ACCESSIBLE=1 does the same.
    #[arg(long, env = "SHOAL_PLAIN", value_parser = FalseyValueParser::new())]
    pub plain: bool,
    /// With --serve-only: end if the tracker cannot be reached at the start.
    #[arg(long, env = "SHOAL_REQUIRE_TRACKER", requires = "serve_only", value_parser = FalseyValueParser::new())]
    pub require_tracker: bool,
    /// Stop the peer that runs on this state folder, then start.
    #[arg(long)]
    pub take_over: bool,
    /// Serve /metrics (Prometheus) and /healthz over plain HTTP here; port 0 is any free port.
    #[arg(long, value_name = "ADDR:PORT", value_parser = metrics)]
    pub metrics: Option<String>,
    /// Started by a quitting app: in a session of its own, and patient about the state folder.
    #[arg(long, hide = true, requires = "serve_only")]
    pub detached: bool,
    /// How the app looks.
    #[command(flatten)]
    pub look: Look,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Options of `get`.
#[derive(Debug, Clone, Args)]
pub struct Get {
    /// Name, id or link of what to download, or @FILE holding a link; without any, a link is read from
    /// standard input.
    #[arg(value_name = "NAME|ID|LINK")]
    pub what: Vec<String>,
    /// Folder to save in, where what is on its way moves and what is here already is copied; - writes one file (of a
    /// folder the one that --files means) to standard output.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Only these files of a folder (paths within it or patterns as 'sub/*.bin', separated by commas);
    /// added to those of an earlier get.
    #[arg(long, value_delimiter = ',', value_name = "PATH,…")]
    pub files: Vec<String>,
    /// Keep serving when done.
    #[arg(long)]
    pub seed: bool,
    /// Wait for what is not in the network yet.
    #[arg(long)]
    pub wait: bool,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// By a peer of this run alone: nothing but a tracker that answers can help.
    #[arg(skip)]
    pub once: bool,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Options of `ls`.
#[derive(Debug, Clone, Args)]
pub struct Ls {
    /// What to look for, in the language of / in the app: words (all of them), !not, "exact", a|b, ~fuzzy,
    /// size:>1G, src:>5, avail:<1, type:iso, state:mine, hash:, age:<2d, peer:NICK|KEY for what one member shares.
    /// All files without it. Folders are found by the files inside too, where their owners let the tracker know these.
    pub query: Option<String>,
    /// The same.
    #[arg(long, value_name = "WORDS", conflicts_with = "query")]
    pub filter: Option<String>,
    /// The networks that trackers announce in the local network, instead of files.
    #[arg(long, conflicts_with_all = ["query", "filter"])]
    pub near: bool,
    /// Wait until something fits.
    #[arg(long)]
    pub wait: bool,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
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
    /// Print one JSON object per line on standard output.
    #[arg(long, env = "SHOAL_JSON", value_parser = FalseyValueParser::new())]
    pub json: bool,
    /// How words look on a terminal.
    #[command(flatten)]
    pub colours: Colours,
}

/// Options of `verify`.
#[derive(Debug, Clone, Args)]
pub struct Verify {
    /// Names, ids or paths; everything if there are none.
    #[arg(value_name = "NAME|ID|PATH")]
    pub what: Vec<String>,
    /// Give up after this many seconds (when a running peer does it).
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Options of `torrent`.
#[derive(Debug, Clone, Args)]
pub struct Torrent {
    /// Name or id of something that is shared here, or a path.
    #[arg(value_name = "NAME|ID|PATH")]
    pub what: String,
    /// File to write, which is not there yet; NAME.torrent in this folder by default.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// BitTorrent tracker to name in it; may be given several times, best first.
    #[arg(long, value_name = "URL")]
    pub announce: Vec<String>,
    /// Print the magnet link instead of the file's path.
    #[arg(long)]
    pub magnet: bool,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Options of `config`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Config {
    /// What to do instead of printing.
    #[command(subcommand)]
    pub what: Option<ConfigCommand>,
    /// How the app looks.
    #[command(flatten)]
    pub look: Look,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// What else `config` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Report what is wrong with a configuration file, line by line.
    Check {
        /// The file; the one that is used if there is none.
        file: Option<PathBuf>,
        /// Print one JSON object per line on standard output.
        #[arg(long, env = "SHOAL_JSON", value_parser = FalseyValueParser::new())]
        json: bool,
    },
}

/// Options of `attach`.
#[derive(Debug, Clone, Args)]
pub struct Attach {
    /// Lines and numbered questions instead of a screen, for screen readers; ACCESSIBLE=1 does the same.
    #[arg(long, env = "SHOAL_PLAIN", value_parser = FalseyValueParser::new())]
    pub plain: bool,
    /// How the app looks.
    #[command(flatten)]
    pub look: Look,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Options of `demo`.
#[derive(Debug, Clone, Default, Args)]
pub struct Demo {
    /// Without a screen: serve and print events.
    #[arg(long)]
    pub headless: bool,
    /// Print one JSON object per line on standard output (with --headless).
    #[arg(long)]
    pub json: bool,
    /// Lines and numbered questions instead of a screen, for screen readers; ACCESSIBLE=1 does the same.
    #[arg(long, env = "SHOAL_PLAIN", value_parser = FalseyValueParser::new())]
    pub plain: bool,
    /// How the app looks.
    #[command(flatten)]
    pub look: Look,
    /// How words look on a terminal.
    #[command(flatten)]
    pub colours: Colours,
}

impl Common {
    /// What was given, for the settings.
    pub fn flags(&self) -> Layer {
        let mut flags = Layer::default();
        flags.set_if(Item::Tracker, self.tracker.clone());
        flags.set_if(Item::SecretFile, self.secret_file.clone());
        flags.set_if(Item::Listen, self.listen.map(|listen| listen.to_string()));
        flags.set_if(Item::Downloads, self.downloads.clone());
        flags.set_if(Item::State, self.state.clone());
        flags.set_if(Item::Metrics, self.metrics.clone());
        flags.set_if(Item::Watch, self.watch.then_some("true"));
        flags.set_if(Item::NamesInside, self.names_inside.clone());
        flags.set_if(Item::Portmap, self.portmap.clone());
        flags.set_if(Item::Discoverable, self.discoverable.map(|when| when.to_string()));
        flags.set_if(Item::OnDone, self.on_done.clone());
        flags.set_if(Item::OnError, self.on_error.clone());
        flags.set_if(Item::HookTimeout, self.hook_timeout.clone());
        flags.set_if(Item::Nick, self.nick.clone());
        flags.set_if(Item::Up, self.up.clone());
        flags.set_if(Item::Down, self.down.clone());
        flags.set_if(Item::Log, self.log.clone());
        flags.set_if(Item::LogLevel, self.log_level.clone());
        flags.set_if(Item::Theme, self.look.theme.clone());
        flags.set_if(Item::Color, self.colours.color.clone());
        flags.set_if(Item::Glyphs, self.colours.glyphs.clone());
        flags.set_if(Item::Mouse, self.look.no_mouse.then_some("false"));
        flags
    }
}

/// An address to listen on.
fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an address and a port, as [::]:7421; port 0 is any".to_owned())
}

/// The same, or `none`.
fn metrics(text: &str) -> Result<String, String> {
    if text == "none" { Ok(text.to_owned()) } else { listen(text).map(|addr| addr.to_string()) }
}

/// A file name, or `none`.
fn log(text: &str) -> Result<String, String> {
    text.parse::<LogTo>().map(|_| text.to_owned())
}

/// A rate as it was typed, once it makes sense.
fn rate(text: &str) -> Result<String, String> {
    parse_rate(text).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[cfg(feature = "tui")]
    #[test]
    fn c1_every_action_of_the_screen_has_its_command_or_a_reason() {
        use clap::CommandFactory as _;
        use frontend::act::Verb;
        use screen::action::Action;
        use screen::shell::Shell;

        let shell = Cli::command();
        let mut told = Vec::new();
        for action in Action::ALL {
            match action.shell() {
                Shell::Verbs(verbs) => {
                    assert!(!verbs.is_empty(), "{action:?}");
                    told.extend(verbs);
                }
                Shell::Command(name) => {
                    assert!(shell.find_subcommand(name).is_some(), "{action:?}: {name}");
                }
                Shell::Screen(why) => assert!(why.contains(' '), "{action:?}: {why}"),
            }
        }
        // And the other way round: what a shell can say, a screen can do.
        for verb in Verb::ALL {
            assert!(told.contains(verb), "{verb:?} is on no key");
        }
    }
}
