//! What the user typed, and the configuration it stands for.

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use common::near::Discoverable;
use etcetera::AppStrategy as _;
use tracker::index::{GroupLimits, Limits};
use tracker::moving::{self, Passphrase, PassphraseError};
use tracker::{Admission, Config, RelayLimits, ServerLimits, StartError};

/// The tracker of a Shoal network: it knows who is there, which files exist and who has which parts.
#[derive(Debug, Parser)]
#[command(name = "tracker", version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Where to listen; the default takes IPv6 and IPv4, port 0 is any free port
    #[arg(long, env = "SHOAL_LISTEN", value_name = "ADDR:PORT", default_value = "[::]:7420")]
    pub(crate) listen: SocketAddr,

    /// Where to keep key, secret and records [default: the state folder of shoal, such as ~/.local/state/shoal/tracker]
    #[arg(long, env = "SHOAL_STATE", value_name = "DIR", global = true)]
    state: Option<PathBuf>,

    /// Who may join: everybody with the join string (open), only who knows the secret in it (secret), or only who has used
    /// an invitation of its own (invite: see `tracker invite`)
    #[arg(long, env = "SHOAL_ADMISSION", value_enum, default_value_t = Mode::Open)]
    admission: Mode,

    /// File with the secret (readable by you alone); without it one is made and kept in the state folder
    #[arg(long, env = "SHOAL_SECRET_FILE", value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Hosts that others reach this tracker at, for the join string [default: an address of this machine]; peers
    /// remember them, so that they find a tracker that moved
    #[arg(long, env = "SHOAL_PUBLIC", value_name = "HOST[:PORT],…", value_delimiter = ',')]
    pub(crate) public: Vec<String>,

    /// All trackers of this network in the order peers look for them: the first, then those that stand by with the same key
    /// (`tracker export`, `tracker import`); the same list for each of them, without a port 7420. A peer goes to the next
    /// when those before it were out of reach for 5 s, and comes back
    #[arg(
        long,
        env = "SHOAL_TRACKERS",
        value_name = "HOST[:PORT],…",
        value_delimiter = ',',
        conflicts_with = "public"
    )]
    pub(crate) trackers: Vec<String>,

    /// Bytes a second that are passed on between peers of which neither can reach the other (they are sealed for those),
    /// such as 10M, at most 2 MB/s of them for one pair; or off
    #[arg(long, env = "SHOAL_RELAY", value_name = "RATE|off", value_parser = relay, default_value = "10M")]
    relay: Relayed,

    /// Let peers in the local network find this tracker by multicast DNS: auto is unless a secret is needed to join
    #[arg(long, env = "SHOAL_DISCOVERABLE", value_name = "auto|on|off", default_value = "auto")]
    discoverable: Discoverable,

    /// Serve /metrics and /healthz over plain HTTP here
    #[arg(long, env = "SHOAL_METRICS", value_name = "ADDR:PORT")]
    pub(crate) metrics: Option<SocketAddr>,

    /// Print the whole join string also where standard output is no terminal, with the secret of a closed network
    #[arg(long, env = "SHOAL_SHOW_SECRET", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) show_secret: bool,

    /// Say things in JSON, one object a line
    #[arg(long, env = "SHOAL_JSON", value_parser = clap::builder::FalseyValueParser::new(), global = true)]
    pub(crate) json: bool,

    /// Log more; twice for everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    #[command(flatten)]
    bounds: Bounds,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What is said to a tracker that runs on the same state folder, or asked of that folder.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the whole join string of the tracker with this state folder, whether it runs or not
    Join,
    /// Let somebody in no more, now and after a restart: connections are closed, registrations dropped
    Ban {
        /// A key (in full, or its first 8 characters or more), an IPv4 address, or an IPv6 address (its /64)
        #[arg(value_name = "KEY|ADDR")]
        who: String,
        /// Why; whoever is refused is told
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Let somebody in again
    Unban {
        /// As `tracker bans` shows it
        #[arg(value_name = "KEY|ADDR")]
        who: String,
    },
    /// List who is banned
    Bans,
    /// Print a join string that lets somebody into a network by invitation (--admission invite); it is shown once. Whoever
    /// uses it is a member, by key, until `tracker revoke`
    Invite {
        /// How many may use it
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        uses: u32,
        /// Until when it may be used: a day (2026-12-31, to its end) or a time from now (30m, 12h, 7d)
        #[arg(long, value_name = "T", value_parser = crate::until::parse)]
        until: Option<u64>,
        /// What whoever uses it is called in `tracker members`
        #[arg(long, value_name = "X", default_value = "")]
        name: String,
        /// Whoever uses it may read, and pass on what it has read, but share nothing new
        #[arg(long)]
        read_only: bool,
    },
    /// List invitations that can still be used
    Invites {
        /// Take the one of this number back; who has used it stays a member
        #[arg(long, value_name = "NUMBER")]
        withdraw: Option<u64>,
    },
    /// List who was invited
    Members,
    /// End somebody's membership, here and at all peers within seconds; a new invitation and `tracker unban` let it in again
    Revoke {
        /// A key (in full, or its first 8 characters or more)
        #[arg(value_name = "KEY")]
        who: String,
        /// Why; whoever is refused is told
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Drop what somebody has registered; they may come back and register again
    Forget {
        /// A key (in full, or its first 8 characters or more), an IPv4 address, or an IPv6 address (its /64)
        #[arg(value_name = "KEY|ADDR")]
        who: String,
    },
    /// Write key, secret and records into an encrypted file (mode 0600), for a tracker that stands by on another machine
    /// (--trackers) or to move this one; it may run meanwhile
    Export {
        /// A new file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        passphrase: PassphraseFrom,
    },
    /// Take key, secret and records from a file of `tracker export` into the state folder, in place of records that are
    /// there; no tracker may run on it
    Import {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// A tracker with another key that is in the folder is put aside, as *.replaced-N
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        passphrase: PassphraseFrom,
    },
    /// List the peers that take most
    Peers {
        /// How many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
        most: u32,
    },
}

/// Where the passphrase of a file comes from.
#[derive(Debug, clap::Args)]
pub(crate) struct PassphraseFrom {
    /// File or pipe with the passphrase (readable by you alone; /dev/fd/3 is descriptor 3); without it the terminal is asked
    #[arg(long, env = "SHOAL_PASSPHRASE_FILE", value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseFrom {
    /// The passphrase; a new one is asked for twice.
    pub(crate) fn get(&self, is_new: bool) -> Result<Passphrase, PassphraseError> {
        match &self.passphrase_file {
            Some(file) => moving::read_passphrase(file),
            None => moving::ask(is_new),
        }
    }
}

/// How much may be taken of this tracker.
#[derive(Debug, clap::Args)]
#[command(
    next_help_heading = "Limits (from half of all on, in an open network also by IPv4 address or IPv6 /64)"
)]
struct Bounds {
    /// Peers connected at a time, some 15 KB each, if the system allows so many open files (`ulimit -n`)
    #[arg(long, env = "SHOAL_MAX_CONNECTIONS", value_name = "N", value_parser = at_least_one, default_value_t = ServerLimits::default().connections)]
    max_connections: usize,

    /// Connections that have not said yet who they are, up to 13 KB each
    #[arg(long, env = "SHOAL_MAX_HANDSHAKES", value_name = "N", value_parser = at_least_one, default_value_t = ServerLimits::default().handshakes)]
    max_handshakes: usize,

    /// Peers known
    #[arg(long, env = "SHOAL_MAX_PEERS", value_name = "N", value_parser = at_least_one, default_value_t = Limits::default().peers)]
    max_peers: usize,

    /// Contents in the catalogue
    #[arg(long, env = "SHOAL_MAX_ROWS", value_name = "N", value_parser = at_least_one, default_value_t = Limits::default().rows)]
    max_rows: usize,

    /// Memory for both; the disk needs less
    #[arg(long, env = "SHOAL_MAX_BYTES", value_name = "SIZE", value_parser = size, default_value = "2G")]
    max_bytes: u64,

    /// Contents one key may register
    #[arg(long, env = "SHOAL_KEY_ROWS", value_name = "N", value_parser = at_least_one, default_value_t = Limits::default().files_per_peer)]
    key_rows: usize,

    /// Memory for what one key registers and has
    #[arg(long, env = "SHOAL_KEY_BYTES", value_name = "SIZE", value_parser = size, default_value = "128M")]
    key_bytes: u64,

    /// Keys of one address
    #[arg(long, env = "SHOAL_ADDRESS_KEYS", value_name = "N", value_parser = at_least_one, default_value_t = GroupLimits::default().peers)]
    address_keys: usize,

    /// Contents brought by one address [default: a quarter of --max-rows]
    #[arg(long, env = "SHOAL_ADDRESS_ROWS", value_name = "N", value_parser = at_least_one)]
    address_rows: Option<usize>,

    /// New keys of one address in a minute
    #[arg(long, env = "SHOAL_ADDRESS_NEW_KEYS", value_name = "N", value_parser = at_least_one, default_value_t = GroupLimits::default().new_keys)]
    address_new_keys: usize,
}

impl Bounds {
    fn server(&self) -> ServerLimits {
        ServerLimits {
            connections: self.max_connections,
            handshakes: self.max_handshakes,
            ..ServerLimits::default()
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            peers: self.max_peers,
            rows: self.max_rows,
            bytes: self.max_bytes,
            files_per_peer: self.key_rows,
            bytes_per_peer: self.key_bytes,
            per_group: Some(GroupLimits {
                peers: self.address_keys,
                rows: self.address_rows,
                new_keys: self.address_new_keys,
                ..GroupLimits::default()
            }),
            ..Limits::default()
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(n) => Ok(n),
        Err(_) => Err("a number is wanted".to_owned()),
    }
}

/// Bytes a second with which a handshake through a relay comes through in time.
const LEAST_RELAY: u64 = 64 * 1024;

/// What may be relayed.
#[derive(Debug, Clone, Copy)]
struct Relayed(Option<RelayLimits>);

fn relay(text: &str) -> Result<Relayed, String> {
    if text == "off" {
        return Ok(Relayed(None));
    }
    let all = size(text).map_err(|_| "a rate is wanted, such as 10M, or off".to_owned())?;
    if all < LEAST_RELAY {
        return Err("at least 64K, or off".to_owned());
    }
    let usual = RelayLimits::default();
    Ok(Relayed(Some(RelayLimits { all, pair: usual.pair.min(all), ..usual })))
}

/// Bytes, with K, M, G or T behind for powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (text.get(..at), 1 << 10),
        Some((at, 'm' | 'M')) => (text.get(..at), 1 << 20),
        Some((at, 'g' | 'G')) => (text.get(..at), 1 << 30),
        Some((at, 't' | 'T')) => (text.get(..at), 1 << 40),
        _ => (Some(text), 1),
    };
    let bytes = digits.and_then(|digits| digits.parse::<u64>().ok()?.checked_mul(unit));
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "a size is wanted, such as 512M or 2G".to_owned())
}

const AFTER_HELP: &str = "\
Prints a line `join shoal://...` once it listens: give it to those who should join. Where standard output is
no terminal (a service, a log) the line is without the secret of a closed network; `tracker join` prints the
whole string, which is kept as join.txt (readable by you alone) in the state folder.
Every option can also be set in the environment, as SHOAL_<OPTION>.

Exit codes: 0 ok, 1 other (a command that was refused), 2 usage, 4 no tracker runs there, 65 unusable secret file or export, 73 cannot make the state folder,
74 cannot read or write, 75 state folder in use, 77 no permission, 98 port in use, 130/143 signal";

/// The values of `--admission`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Open,
    Secret,
    Invite,
}

impl Args {
    /// The configuration. Reads the secret file.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        let (state_dir, admission) = (Some(self.state_dir()?), self.admission()?);
        Ok(Config {
            state_dir,
            admission,
            limits: self.bounds.limits(),
            server: self.bounds.server(),
            relay: self.relay.0,
            discoverable: self.discoverable,
            workers: std::thread::available_parallelism().map_or(1, NonZero::get),
            ..Config::default()
        })
    }

    /// Where key, secret, records and join string are kept.
    pub(crate) fn state_dir(&self) -> anyhow::Result<PathBuf> {
        match &self.state {
            Some(dir) => Ok(dir.clone()),
            None => default_state()
                .context("no home folder found; say where to keep state with --state DIR"),
        }
    }

    /// A secret file alone means a closed network: nobody names one for an open network.
    fn admission(&self) -> Result<Admission, StartError> {
        match (&self.secret_file, self.admission) {
            (None, Mode::Invite) => Ok(Admission::Invited),
            (Some(file), Mode::Invite) => {
                let why = "a network by invitation has no secret of its own; leave --secret-file or --admission invite away";
                Err(StartError::Secret { path: file.clone(), why: why.to_owned() })
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_what_limits_they_say_and_defaults_are_the_librarys() {
        let parse = |args: &[&str]| Args::try_parse_from([&["tracker"], args].concat());
        assert_eq!(parse(&[]).unwrap().bounds.limits(), Limits::default());
        let args =
            ["--max-bytes", "3M", "--address-rows", "7", "--key-bytes", "9k", "--max-peers", "5"];
        let limits = parse(&args).unwrap().bounds.limits();
        assert_eq!((limits.bytes, limits.bytes_per_peer, limits.peers), (3 << 20, 9 << 10, 5));
        assert_eq!(limits.per_group.unwrap().rows, Some(7));
        for wrong in ["0", "", "M", "-1", "1X", "99999999999T"] {
            assert!(parse(&["--max-bytes", wrong]).is_err(), "{wrong}");
        }
        assert!(parse(&["--address-keys", "0"]).is_err());
        assert_eq!(parse(&[]).unwrap().bounds.server(), ServerLimits::default());
        let server = parse(&["--max-connections", "7", "--max-handshakes", "9"]).unwrap();
        let ServerLimits { connections, handshakes, .. } = server.bounds.server();
        assert_eq!((connections, handshakes), (7, 9));
    }
}
