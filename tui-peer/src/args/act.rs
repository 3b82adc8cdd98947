//! Commands that change what the running peer does; the same words work in the line-by-line mode.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{FalseyValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

use super::{Common, LogFormat};
use engine::api::command::{Priority, Reorder};
use frontend::act::{Deed, Rates, Request, Verb};
use settings::parse_rate;

/// Which peer is meant and how it answers; what every such command takes in the shell.
#[derive(Debug, Clone, Default, Args)]
pub struct Reach {
    /// State folder of the running peer to use.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
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

impl Reach {
    /// As the settings take it.
    pub fn common(&self) -> Common {
        Common {
            state: self.state.clone(),
            json: self.json,
            log_format: self.log_format,
            verbose: self.verbose,
            ..Common::default()
        }
    }
}

/// Nothing: the peer that is meant is this one.
#[derive(Debug, Clone, Default, Args)]
pub struct Here {}

/// Has the running peer do something. `R` says how it is reached.
#[derive(Debug, Clone, Subcommand)]
pub enum Act<R: Args> {
    #[command(about = Verb::Pause.help())]
    Pause(Targets<R>),
    #[command(about = Verb::Resume.help())]
    Resume(Targets<R>),
    #[command(about = Verb::Priority.help())]
    Priority(SetPriority<R>),
    #[command(about = Verb::Move.help())]
    Move(Place<R>),
    #[command(about = Verb::Order.help())]
    Order(Order<R>),
    #[command(about = Verb::Limit.help())]
    Limit(Limit<R>),
    #[command(about = Verb::Rescan.help())]
    Rescan(Targets<R>),
    #[command(about = Verb::Remove.help())]
    Remove(Remove<R>),
    #[command(about = Verb::Ban.help())]
    Ban(Ban<R>),
    #[command(about = Verb::Unban.help())]
    Unban(Unban<R>),
    #[command(about = Verb::Leave.help())]
    Leave(Bare<R>),
    #[command(about = Verb::Rejoin.help())]
    Rejoin(Bare<R>),
    #[command(about = Verb::Serve.help())]
    Serve(Serve<R>),
    #[command(about = Verb::Announce.help())]
    Announce(Bare<R>),
}

/// Which contents.
#[derive(Debug, Clone, Args)]
pub struct Targets<R: Args> {
    /// Names, ids (or how they begin) or paths; "all" is everything for which it makes sense.
    #[arg(required = true, value_name = "NAME|ID|PATH|all")]
    pub what: Vec<String>,
    /// How the peer is reached.
    #[command(flatten)]
    pub reach: R,
}

/// How important.
#[derive(Debug, Clone, Args)]
pub struct SetPriority<R: Args> {
    /// From now on.
    #[arg(value_parser = levels())]
    pub level: Priority,
    /// Which downloads.
    #[command(flatten)]
    pub targets: Targets<R>,
}

/// Where to.
#[derive(Debug, Clone, Args)]
pub struct Place<R: Args> {
    /// Where to.
    #[arg(value_parser = places())]
    pub to: Reorder,
    /// Which downloads.
    #[command(flatten)]
    pub targets: Targets<R>,
}

/// In which order.
#[derive(Debug, Clone, Args)]
pub struct Order<R: Args> {
    /// In order, which is slower for everybody, or the rarest first.
    #[arg(value_name = "ORDER", value_parser = orders(), action = clap::ArgAction::Set)]
    pub order: bool,
    /// Which downloads.
    #[command(flatten)]
    pub targets: Targets<R>,
}

/// Limits.
#[derive(Debug, Clone, Args)]
pub struct Limit<R: Args> {
    /// Names, ids (or how they begin) or paths, or "all"; without one, the limits of the whole peer.
    #[arg(value_name = "NAME|ID|PATH|all")]
    pub what: Vec<String>,
    /// Most that may go out per second, such as 800K, 10M or 20Mbit; 0 is no limit.
    #[arg(long, value_name = "RATE", value_parser = rate, required_unless_present = "down")]
    pub up: Option<RateArg>,
    /// Most that may come in per second.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub down: Option<RateArg>,
    /// How the peer is reached.
    #[command(flatten)]
    pub reach: R,
}

/// A rate in bytes per second; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateArg(pub Option<u64>);

/// What to remove.
#[derive(Debug, Clone, Args)]
pub struct Remove<R: Args> {
    /// Which downloads.
    #[command(flatten)]
    pub targets: Targets<R>,
    /// Also delete the parts of unfinished ones.
    #[arg(long)]
    pub data: bool,
    /// With --data: also delete finished files, if this peer fetched them; they are no longer shared then.
    #[arg(long, requires = "data")]
    pub yes: bool,
}

/// Whom to ban.
#[derive(Debug, Clone, Args)]
pub struct Ban<R: Args> {
    /// Keys, how they begin (at least six letters), or names that only one peer has.
    #[arg(required = true, value_name = "PEER")]
    pub peers: Vec<String>,
    /// For this many minutes; for ever without it.
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..))]
    pub minutes: Option<u32>,
    /// How the peer is reached.
    #[command(flatten)]
    pub reach: R,
}

/// Whose ban to lift.
#[derive(Debug, Clone, Args)]
pub struct Unban<R: Args> {
    /// Keys, how they begin (at least six letters), or names that only one banned peer has.
    #[arg(value_name = "PEER")]
    pub peers: Vec<String>,
    /// How the peer is reached.
    #[command(flatten)]
    pub reach: R,
}

/// Whether to serve.
#[derive(Debug, Clone, Args)]
pub struct Serve<R: Args> {
    /// Whether to.
    #[arg(value_name = "on|off", value_parser = switch(), action = clap::ArgAction::Set)]
    pub on: bool,
    /// How the peer is reached.
    #[command(flatten)]
    pub reach: R,
}

/// Nothing but how the peer is reached.
#[derive(Debug, Clone, Args)]
pub struct Bare<R: Args> {
    /// How the peer is reached.
    #[command(flatten)]
    pub reach: R,
}

impl<R: Args> Act<R> {
    /// Which verb it is.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Pause(_) => Verb::Pause,
            Self::Resume(_) => Verb::Resume,
            Self::Priority(_) => Verb::Priority,
            Self::Move(_) => Verb::Move,
            Self::Order(_) => Verb::Order,
            Self::Limit(_) => Verb::Limit,
            Self::Rescan(_) => Verb::Rescan,
            Self::Remove(_) => Verb::Remove,
            Self::Ban(_) => Verb::Ban,
            Self::Unban(_) => Verb::Unban,
            Self::Leave(_) => Verb::Leave,
            Self::Rejoin(_) => Verb::Rejoin,
            Self::Serve(_) => Verb::Serve,
            Self::Announce(_) => Verb::Announce,
        }
    }

    /// How the peer is reached.
    pub fn reach(&self) -> &R {
        match self {
            Self::Pause(targets) | Self::Resume(targets) | Self::Rescan(targets) => &targets.reach,
            Self::Priority(SetPriority { targets, .. })
            | Self::Move(Place { targets, .. })
            | Self::Order(Order { targets, .. })
            | Self::Remove(Remove { targets, .. }) => &targets.reach,
            Self::Limit(limit) => &limit.reach,
            Self::Ban(ban) => &ban.reach,
            Self::Unban(unban) => &unban.reach,
            Self::Leave(bare) | Self::Rejoin(bare) | Self::Announce(bare) => &bare.reach,
            Self::Serve(serve) => &serve.reach,
        }
    }

    /// What is wished for.
    pub fn request(&self) -> Request {
        match self {
            Self::Pause(targets) => Request::On(Deed::Pause, targets.what.clone()),
            Self::Resume(targets) => Request::On(Deed::Resume, targets.what.clone()),
            Self::Rescan(targets) => Request::On(Deed::Rescan, targets.what.clone()),
            Self::Priority(request) => {
                Request::On(Deed::Prioritize(request.level), request.targets.what.clone())
            }
            Self::Move(request) => {
                Request::On(Deed::Move(request.to), request.targets.what.clone())
            }
            Self::Order(request) => {
                Request::On(Deed::InOrder(request.order), request.targets.what.clone())
            }
            Self::Limit(request) => {
                let rate = |rate: Option<RateArg>| rate.map(|RateArg(rate)| rate);
                let rates = Rates { up: rate(request.up), down: rate(request.down) };
                match request.what.as_slice() {
                    [] => Request::Limits(rates),
                    what => Request::On(Deed::Limit(rates), what.to_vec()),
                }
            }
            Self::Remove(request) => {
                let deed = Deed::Remove { data: request.data, yes: request.yes };
                Request::On(deed, request.targets.what.clone())
            }
            Self::Ban(request) => {
                let time = request.minutes.map(|n| Duration::from_secs(u64::from(n) * 60));
                Request::Ban(request.peers.clone(), time)
            }
            Self::Unban(request) => Request::Unban(request.peers.clone()),
            Self::Leave(_) => Request::Leave,
            Self::Rejoin(_) => Request::Rejoin,
            Self::Serve(request) => Request::Serve(request.on),
            Self::Announce(_) => Request::Announce,
        }
    }
}

/// A line of the line-by-line mode.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_subcommand = true, disable_help_flag = true)]
struct Line {
    #[command(subcommand)]
    act: Act<Here>,
}

/// Reads what was typed in the line-by-line mode: the words of the shell without the name of the program.
///
/// # Errors
/// What is wrong with it, and how it is to be written.
pub fn parse_line(words: &[String]) -> Result<Act<Here>, String> {
    Line::try_parse_from(words).map(|line| line.act).map_err(|error| {
        let text = error.to_string();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        // There is no such option here.
        let lines = lines.filter(|line| !line.contains("--help"));
        lines.collect::<Vec<_>>().join("\n").trim_start_matches("error: ").to_owned()
    })
}

/// One of the words that `all` have, as what it stands for.
fn one_of<T: Copy + Send + Sync + 'static>(
    all: &'static [(&'static str, T)],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.iter().map(|(word, _)| *word)).try_map(move |typed: String| {
        let found = all.iter().find(|(word, _)| *word == typed);
        found.map(|(_, value)| *value).ok_or("no such word")
    })
}

fn levels() -> impl TypedValueParser<Value = Priority> {
    one_of(&[
        ("low", Priority::Low),
        ("normal", Priority::Normal),
        ("high", Priority::High),
        ("first", Priority::First),
    ])
}

fn places() -> impl TypedValueParser<Value = Reorder> {
    one_of(&[
        ("up", Reorder::Up),
        ("down", Reorder::Down),
        ("top", Reorder::Top),
        ("bottom", Reorder::Bottom),
    ])
}

fn orders() -> impl TypedValueParser<Value = bool> {
    one_of(&[("sequential", true), ("rarest", false)])
}

fn switch() -> impl TypedValueParser<Value = bool> {
    one_of(&[("on", true), ("off", false)])
}

fn rate(text: &str) -> Result<RateArg, String> {
    parse_rate(text).map(|rate| RateArg(rate.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Request, String> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        parse_line(&words).map(|act| act.request())
    }

    #[test]
    fn c1_every_verb_is_a_command_with_the_help_of_the_table() {
        use clap::CommandFactory as _;
        let (shell, lines) = (super::super::Cli::command(), Line::command());
        for verb in Verb::ALL {
            for command in [&shell, &lines] {
                let found = command.find_subcommand(verb.name());
                let found = found.unwrap_or_else(|| panic!("{verb:?} is no command"));
                assert_eq!(
                    found.get_about().map(ToString::to_string).as_deref(),
                    Some(verb.help())
                );
            }
        }
        assert_eq!(lines.get_subcommands().count(), Verb::ALL.len());
    }

    #[test]
    fn c1_words_become_wishes() {
        let all = || vec!["all".to_owned()];
        assert_eq!(line("pause all"), Ok(Request::On(Deed::Pause, all())));
        assert_eq!(line("rescan all"), Ok(Request::On(Deed::Rescan, all())));
        assert_eq!(
            line("priority high all"),
            Ok(Request::On(Deed::Prioritize(Priority::High), all()))
        );
        assert_eq!(line("move top all"), Ok(Request::On(Deed::Move(Reorder::Top), all())));
        assert_eq!(line("order sequential all"), Ok(Request::On(Deed::InOrder(true), all())));
        let rates = Rates { up: Some(Some(1 << 20)), down: Some(None) };
        assert_eq!(line("limit --up 1M --down 0"), Ok(Request::Limits(rates)));
        let rates = Rates { up: None, down: Some(Some(800 << 10)) };
        assert_eq!(line("limit all --down 800K"), Ok(Request::On(Deed::Limit(rates), all())));
        let deed = Deed::Remove { data: true, yes: true };
        assert_eq!(line("remove all --data --yes"), Ok(Request::On(deed, all())));
        let time = Some(Duration::from_secs(600));
        assert_eq!(line("ban all --minutes 10"), Ok(Request::Ban(all(), time)));
        assert_eq!(line("serve off"), Ok(Request::Serve(false)));
        for wrong in [
            "pause",
            "priority",
            "priority urgent all",
            "limit all",
            "remove all --yes",
            "ban x --minutes 0",
        ] {
            let why = line(wrong).unwrap_err();
            assert!(!why.is_empty() && !why.contains("--help"), "{wrong}: {why}");
        }
        for level in Priority::ALL {
            let request = Request::On(Deed::Prioritize(level), all());
            assert_eq!(line(&format!("priority {} all", level.word())), Ok(request));
        }
        for to in Reorder::ALL {
            let request = Request::On(Deed::Move(to), all());
            assert_eq!(line(&format!("move {} all", to.word())), Ok(request));
        }
    }
}
