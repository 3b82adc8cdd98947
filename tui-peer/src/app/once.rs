//! Commands by a peer of one run: a key of its own, nothing remembered, nothing of the user's touched.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use common::id::PeerId;
use common::join::{JoinString, MAX_IDS, Secret};
use common::near::Discoverable;
use common::numbers::saturate;

use super::KEYS;
use super::config::{Settings, settings};
use super::links::{Links, links, read_links};
use super::reach::beside;
use super::start::{self, in_runtime};
use crate::args::{Common, Get, Send, exit};
use crate::control::place;
use crate::headless::{self, Output, Sending, SpoolError, Streaming};
use crate::scratch::Scratch;
use engine::api::config::{EngineConfig, OnStart};
use engine::api::known_network;
use settings::{Item, Origin};

/// Whose parts these are in their journals: of all peers of one run, so that the next one takes up what the
/// last one left. That they are this user's own is told by the file system, as with all others.
const OWNER: PeerId = PeerId::from_bytes(*b"shoal: a peer of one run, no key");
/// Standard input and output, where a path is meant.
const DASH: &str = "-";

/// `get`: as ever where the network is known; else by a peer of this run.
pub(super) fn get(mut request: Get) -> u8 {
    let streams = request.output.as_deref() == Some(Path::new(DASH));
    let mut out = Output::new(request.common.json && !streams, 0);
    if let Err(why) = read_links(&mut request.what) {
        out.error("usage", &why, "tui-peer get --help");
        return exit::USAGE;
    }
    let link = match links(&request.what) {
        Ok(link) => link,
        Err(why) => {
            out.error("usage", &why, "tui-peer get --help");
            return exit::USAGE;
        }
    };
    if streams {
        return stream(request, link, &mut out);
    }
    // The running peer's folder is another.
    request.output = request.output.map(|dir| std::path::absolute(&dir).unwrap_or(dir));
    if let Some(link) = link {
        request.what = link.each;
        if is_strange(&request.common, &link.join) {
            return get_once(request, link.join);
        }
    }
    let common = request.common.clone();
    beside(&common, "get", |engine, mut out| async move {
        headless::get(engine, request, &mut out).await
    })
}

/// Whether a link leads to where this user is not: then nothing of it is to stay, and the network of a running
/// peer least of all is to change.
fn is_strange(common: &Common, join: &JoinString) -> bool {
    // What is wrong in the settings is told by whoever uses them.
    let Ok(settings) = settings(common, KEYS) else { return false };
    let state = &settings.engine.state_dir;
    let known = settings.engine.join.clone().or_else(|| known_network(state));
    match known {
        Some(known) => known.tracker() != join.tracker(),
        None if join.secret().is_some() => true,
        None => {
            settings.table.origin(Item::State) == Origin::Default && place::holder(state).is_none()
        }
    }
}

fn get_once(mut request: Get, join: JoinString) -> u8 {
    request.once = true;
    let common = request.common.clone();
    in_runtime(&common.clone(), false, |settings, mut out| async move {
        // The folder of this run is removed whatever comes.
        let _stopped = headless::stop_signal();
        let scratch = match Scratch::small() {
            Ok(scratch) => scratch,
            Err(error) => return no_folder(&error, &mut out),
        };
        let mut config = match config(&settings, &scratch) {
            Ok(config) => config,
            Err(error) => return no_folder(&error, &mut out),
        };
        if let Some(dir) = &request.output {
            config.downloads.clone_from(dir);
        }
        config.join = Some(join);
        start::private(&common, config, Some(&settings.table), out, |engine, mut out| async move {
            headless::get(engine, request, &mut out).await
        })
        .await
    })
}

/// `get -o -`.
fn stream(request: Get, link: Option<Links>, out: &mut Output) -> u8 {
    let mut refuse = |why: &str, hint: &str| {
        out.error("usage", why, hint);
        exit::USAGE
    };
    if request.common.json {
        return refuse("--json and -o - both want standard output", "leave one of them away");
    }
    if request.seed {
        return refuse("--seed needs a file, and -o - keeps none", "-o DIR keeps it");
    }
    let (each, join) = match link {
        Some(link) => (link.each, Some(link.join)),
        None => (request.what.clone(), None),
    };
    let [what] = each.as_slice() else {
        return refuse("standard output takes one file", "get them one by one");
    };
    let what = what.clone();
    let common = request.common.clone();
    in_runtime(&common.clone(), false, |settings, mut out| async move {
        let _stopped = headless::stop_signal();
        let scratch = match Scratch::large() {
            Ok(scratch) => scratch,
            Err(error) => return no_folder(&error, &mut out),
        };
        let made = config(&settings, &scratch).and_then(|made| Ok((made, scratch.folder("data")?)));
        let (mut config, dir) = match made {
            Ok(made) => made,
            Err(error) => return no_folder(&error, &mut out),
        };
        config.downloads.clone_from(&dir);
        let known = config.join.take().or_else(|| known_network(&settings.engine.state_dir));
        config.join = match (known, join) {
            (Some(known), Some(join)) if known.tracker() == join.tracker() => Some(known),
            (known, join) => join.or(known),
        };
        let Get { files, wait, timeout, .. } = request;
        let streaming = Streaming { what, files, wait, timeout, dir };
        // What is downloaded is gone with the run, and whoever reads the pipe sees how it ended: there is nothing that a
        // hook could be told of.
        start::private(&common, config, None, out, |engine, mut out| async move {
            headless::stream(engine, &streaming, &mut out).await
        })
        .await
    })
}

/// `send`.
pub(super) fn send(request: Send) -> u8 {
    let dashes = request.paths.iter().filter(|path| *path == Path::new(DASH)).count();
    let wrong = if request.name.is_some() && request.paths.len() > 1 {
        Some(("--name is for one path", "send them one by one"))
    } else if dashes > 1 {
        Some(("standard input can be sent once", "tui-peer send --help"))
    } else if request.paths.len() > MAX_IDS {
        Some(("one link takes at most 16 paths", "put them into a folder, and send that"))
    } else {
        None
    };
    if let Some((why, hint)) = wrong {
        Output::new(request.common.json, 0).error("usage", &format!("{why}: {hint}"), hint);
        return exit::USAGE;
    }
    let common = request.common.clone();
    in_runtime(&common.clone(), false, |settings, mut out| async move {
        if known(&request, &settings).is_none() && out.is_journaled() {
            let why = "standard output is the journal, where the link's secret would stay";
            out.error("journal", &format!("{why}: send it to a file"), "send it to a file");
            return exit::USAGE;
        }
        // From here on the folder of this run is removed whatever comes.
        let stopped = headless::stop_signal();
        let made = if dashes > 0 { Scratch::large() } else { Scratch::small() };
        let made = made.and_then(|scratch| {
            let config = sender(&request, &settings, &scratch)?;
            Ok((config, scratch.folder("input")?, scratch))
        });
        let (config, input, _scratch) = match made {
            Ok(made) => made,
            Err(error) => return no_folder(&error, &mut out),
        };
        let paths = tokio::select! {
            paths = paths(&request, input, &out) => paths,
            code = stopped => return code,
        };
        let paths = match paths {
            Ok(paths) => paths,
            Err(error) => {
                let (word, code) = match &error {
                    SpoolError::Name(_) => ("usage", exit::USAGE),
                    SpoolError::Full { .. } => ("disk-full", exit::IO),
                    SpoolError::Io { .. } => ("io", exit::IO),
                };
                out.error(word, &error.to_string(), "tui-peer send --help");
                return code;
            }
        };
        let sending = Sending {
            paths,
            host: config.will_host,
            to: saturate::<usize>(request.to),
            timeout: request.timeout,
            qr: !request.no_qr,
        };
        start::private(&common, config, Some(&settings.table), out, |engine, mut out| async move {
            headless::send(engine, sending, &mut out).await
        })
        .await
    })
}

/// The network that a sender joins; without one it makes its own.
fn known(request: &Send, settings: &Settings) -> Option<JoinString> {
    let known = || known_network(&settings.engine.state_dir);
    settings.engine.join.clone().or_else(known).filter(|_| !request.host)
}

/// A sender joins the network that is known, or makes one for its link.
fn sender(request: &Send, settings: &Settings, scratch: &Scratch) -> io::Result<EngineConfig> {
    let mut config = config(settings, scratch)?;
    config.listen = settings.engine.listen;
    config.port_fallback = Some(settings.engine.port_fallback.unwrap_or(true));
    config.downloads = scratch.folder("downloads")?;
    config.join = known(request, settings);
    if config.join.is_none() {
        config.will_host = true;
        config.host_secret = Some(Secret::generate().map_err(io::Error::other)?);
    }
    Ok(config)
}

/// The paths to send, standard input kept in `input` among them.
async fn paths(
    request: &Send,
    input: PathBuf,
    out: &Output,
) -> Result<Vec<(PathBuf, Option<String>)>, SpoolError> {
    let mut paths = Vec::new();
    for path in &request.paths {
        if path != Path::new(DASH) {
            paths.push((path.clone(), request.name.clone()));
            continue;
        }
        if io::stdin().is_terminal() {
            out.always("reading standard input; ^D ends it");
        }
        let (dir, name) = (input.clone(), request.name.clone());
        let spooled = tokio::task::spawn_blocking(move || {
            headless::spool(io::stdin().lock(), &dir, name.as_deref())
        });
        let lost = |error| SpoolError::Io { dir: input.clone(), source: io::Error::other(error) };
        paths.push((spooled.await.map_err(lost)??, None));
    }
    Ok(paths)
}

/// What the settings say, with a state of this run and nothing to remember.
fn config(settings: &Settings, scratch: &Scratch) -> io::Result<EngineConfig> {
    let mut config = settings.engine.clone();
    config.state_dir = scratch.folder("state")?;
    config.remember = false;
    // A network for one link is nobody else's, whatever the settings say of others.
    config.discoverable = Discoverable::Off;
    config.on_start = OnStart::Resume;
    config.listen.set_port(0);
    config.owner = Some(OWNER);
    Ok(config)
}

fn no_folder(error: &io::Error, out: &mut Output) -> u8 {
    let why = format!("cannot make a folder for this run: {error}");
    out.error("folder", &why, "TMPDIR names another folder");
    exit::CANNOT_CREATE
}

#[cfg(test)]
mod tests {
    use super::*;
    use settings::Table;

    #[test]
    fn s13_a_network_for_one_link_is_announced_to_nobody_whatever_the_settings_say() {
        let mut engine = EngineConfig::new("state".into(), "downloads".into());
        engine.discoverable = Discoverable::On;
        let settings = Settings { engine, table: Table::default() };
        let config = config(&settings, &Scratch::small().unwrap()).unwrap();
        assert_eq!(config.discoverable, Discoverable::Off);
    }
}
