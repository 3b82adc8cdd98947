//! From the command line to what runs.

mod background;
mod config;
mod links;
mod log;
mod look;
mod once;
mod reach;
mod start;

use std::path::Path;

use clap::CommandFactory as _;

use self::config::{settings, settings_as_far};
use self::look::look;
use self::reach::{beside, reach, reach_or};
use self::start::{Plan, block_on, with_settings};
#[cfg(feature = "tui")]
use crate::args::Attach;
use crate::args::{
    Cli, Command, Common, Config, ConfigCommand, Demo, Hash, Ls, Peers, Run, Share, Status,
    Torrent, Unshare, Verify, exit, misplaced,
};
use crate::demo;
use crate::headless::{self, Output, Reload, Service};
use engine::api::config::OnStart;
use settings::KeyCheck;

/// Runs what the command line says; returns the exit code.
pub fn run(cli: Cli) -> u8 {
    // Connections and open files take a descriptor each; the usual limit of 1024 is soon reached. If it
    // stays, the peer takes fewer half-open connections.
    let _ = common::descriptors::raise_limit();
    let Some(command) = cli.command else { return app(cli.run) };
    match command {
        Command::Get(request) => once::get(request),
        Command::Send(request) => once::send(request),
        Command::Ls(request) => ls(request),
        Command::Hash(request) => hash(request),
        Command::Verify(request) => verify(request),
        Command::Torrent(request) => torrent(request),
        Command::Status(request) => status(request),
        Command::Peers(request) => peers(request),
        Command::Share(request) => share(request),
        Command::Unshare(request) => unshare(request),
        Command::Act(act) => {
            let common = act.reach().common();
            reach(&common, act.verb().name(), None, false, |peer, mut out| async move {
                headless::act(peer, &act.request(), &mut out).await
            })
        }
        Command::Stop(request) => {
            reach(&request.common.clone(), "stop", None, false, |peer, mut out| async move {
                headless::stop(peer, &request, &mut out).await
            })
        }
        #[cfg(feature = "tui")]
        Command::Attach(request) => attach(request),
        Command::Demo(request) => demo(request),
        Command::Config(request) => config(request),
        Command::Completions(request) => {
            let mut command = Cli::command();
            clap_complete::generate(
                request.shell,
                &mut command,
                "tui-peer",
                &mut std::io::stdout(),
            );
            exit::OK
        }
    }
}

fn verify(request: Verify) -> u8 {
    let alone = request.what.clone();
    reach_or(
        &request.common.clone(),
        "verify",
        async |state: &Path, out: &mut Output| headless::verify(state, &alone, out).await,
        |peer, mut out| async move { headless::verify_there(peer, &request, &mut out).await },
    )
}

fn torrent(request: Torrent) -> u8 {
    let alone = request.clone();
    reach_or(
        &request.common.clone(),
        "torrent",
        async |state: &Path, out: &mut Output| headless::torrent(state, &alone, out).await,
        |peer, mut out| async move { headless::torrent_there(peer, &request, &mut out).await },
    )
}

fn status(request: Status) -> u8 {
    let patience = request.wait.then_some(request.timeout);
    reach(&request.common.clone(), "status", patience, true, |peer, mut out| async move {
        headless::status(peer, &request, &mut out).await
    })
}

/// All of the network, which the tracker knows; or those that the running peer is connected to.
fn peers(request: Peers) -> u8 {
    let common = request.common.clone();
    if request.all {
        return beside(&common, "peers", |engine, mut out| async move {
            headless::members(engine, &request, &mut out).await
        });
    }
    let patience = request.wait.then_some(request.timeout);
    reach(&common, "peers", patience, false, |peer, mut out| async move {
        headless::peers(peer, &request, &mut out).await
    })
}

fn share(request: Share) -> u8 {
    if request.name.is_some() && request.paths.len() > 1 {
        let mut out = Output::new(request.common.json, 0);
        out.error("usage", "--name is for one path", "share them one by one");
        return exit::USAGE;
    }
    let later = request.clone();
    reach_or(
        &request.common.clone(),
        "share",
        async |state: &Path, out: &mut Output| headless::share_later(state, &later, out).await,
        |peer, mut out| async move { headless::share(peer, &request, &mut out).await },
    )
}

fn unshare(request: Unshare) -> u8 {
    let later = request.clone();
    reach_or(
        &request.common.clone(),
        "unshare",
        async |state: &Path, out: &mut Output| headless::unshare_later(state, &later, out),
        |peer, mut out| async move { headless::unshare(peer, &request, &mut out).await },
    )
}

/// The screen of a peer that runs elsewhere.
#[cfg(feature = "tui")]
fn attach(request: Attach) -> u8 {
    let common = Common { look: request.look, ..request.common };
    let wanted = common.clone();
    reach(&common, "attach", None, true, |peer, mut out| async move {
        // As the user has it; what is wrong in the file was told already.
        let table = settings_as_far(&wanted, KEYS).map(|(own, _)| own.table);
        crate::screen::attach(peer, request.plain, table.unwrap_or_default(), &mut out).await
    })
}

/// Needs no settings; only how it looks is taken from them, as far as they can be read.
fn hash(request: Hash) -> u8 {
    let common = Common { colours: request.colours, ..Common::default() };
    let look = settings_as_far(&common, KEYS).map(|(settings, _)| look(&settings.table));
    let mut out = Output::new(request.json, 0).looking(look.unwrap_or_default());
    block_on(async move { headless::hash(&request.paths, &mut out).await })
}

/// Nothing is saved; as the user has it, and what is wrong in the file is told when it matters.
fn demo(request: Demo) -> u8 {
    let common = Common {
        look: request.look.clone(),
        colours: request.colours.clone(),
        ..Common::default()
    };
    let table = settings::load::table(common.flags(), KEYS).unwrap_or_default();
    block_on(demo::run(request, table))
}

fn ls(request: Ls) -> u8 {
    let common = request.common.clone();
    if request.near {
        return with_settings(&common, |_, mut out| {
            block_on(async move { headless::near(&request, &mut out).await })
        });
    }
    match headless::search(&request) {
        Ok(filter) => beside(&common, "ls", |engine, mut out| async move {
            headless::ls(engine, &request, &filter, &mut out).await
        }),
        Err(misread) => {
            let hint = "quote what is to be found as it stands; / in the app takes the same words";
            Output::new(common.json, 0).error("query", &misread.to_string(), hint);
            exit::QUERY
        }
    }
}

fn config(request: Config) -> u8 {
    if let Some(ConfigCommand::Check { file, json }) = request.what {
        return headless::config_check(file, KEYS, &mut Output::new(json, 0));
    }
    let mut common = request.common;
    common.look = request.look;
    with_settings(&common, |settings, mut out| headless::config(&settings.table, &mut out))
}

/// Only the app knows its actions; without it, any are taken.
#[cfg(feature = "tui")]
const KEYS: KeyCheck = screen::keymap::check;
#[cfg(not(feature = "tui"))]
const KEYS: KeyCheck = |_| Vec::new();

fn app(run: Run) -> u8 {
    let mut common = run.common.clone();
    common.look = run.look.clone();
    common.metrics = run.metrics.clone();
    common.watch = run.watch;
    common.discoverable = run.discoverable;
    if let Some(why) = misplaced(&run) {
        Output::new(common.json, 0).error("usage", &why, "tui-peer --help");
        return exit::USAGE;
    }
    if !run.serve_only {
        return screen(run, &common);
    }
    if run.detached {
        // Already the leader of a session: fine.
        let _ = rustix::process::setsid();
    }
    let plan = Plan {
        what: "serve-only",
        host: run.host,
        take_over: run.take_over,
        patient: run.detached,
        adjust: |config| config.on_start = OnStart::Resume,
    };
    start::run(&common.clone(), &plan, |engine, mut out, now| async move {
        let read = Box::new(move || {
            settings(&common, KEYS).map(|s| s.engine).map_err(|error| error.to_string())
        });
        let service = Service {
            paths: run.paths,
            host: run.host,
            require_tracker: run.require_tracker,
            reload: Some(Reload::new(now.engine, read)),
        };
        (headless::serve(engine, service, &mut out).await, None)
    })
}

#[cfg(not(feature = "tui"))]
fn screen(_: Run, _: &Common) -> u8 {
    Output::new(false, 0).note("built without the full-screen app; use --serve-only, get or ls");
    exit::USAGE
}

#[cfg(feature = "tui")]
fn screen(run: Run, common: &Common) -> u8 {
    use crate::screen::After;

    if let Err(why) = crate::screen::terminal() {
        Output::new(common.json, 0).error("usage", why, "tui-peer --help");
        return exit::USAGE;
    }
    let plan = Plan {
        what: start::APP,
        host: run.host,
        take_over: run.take_over,
        patient: false,
        // Somebody looks at the screen and is told; a server that others reach by its port is not.
        adjust: |config| {
            config.port_fallback.get_or_insert(true);
        },
    };
    start::run(common, &plan, |engine, out, settings| async move {
        let request = (settings.engine.listen.port(), run.plain);
        let table = settings.table.clone();
        match crate::screen::show(engine, run.paths, run.host, request, table, &out).await {
            After::End(code) => (code, None),
            After::ServeOn(code, goes_on) => (code, Some(goes_on)),
            // As the screen looked.
            After::Demo => (demo::run(Demo::default(), settings.table).await, None),
        }
    })
}
