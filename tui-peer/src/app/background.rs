//! Handing over to a peer in the background: the same profile goes on serving without a terminal.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::config::settings;
use crate::args::{Common, exit};
use crate::control;
use crate::hand_over::HandOver;
use crate::headless::Output;
use engine::api::config::EngineConfig;

/// What it says on standard error, in the state folder.
const LOG: &str = "serve.log";
/// How long it may take to start: the state folder is ours for a moment longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// Starts it, once this process has let go of the state folder, and says how to reach it; returns the
/// exit code, `code` if all is well.
pub(super) async fn start(
    common: &Common,
    config: &EngineConfig,
    goes_on: HandOver,
    code: u8,
) -> u8 {
    let mut out = Output::new(false, 0);
    let log = config.state_dir.join(LOG);
    let mut child = match spawn(common, config, &goes_on, &log) {
        Ok(child) => child,
        Err(error) => {
            let hint = "tui-peer --serve-only does it by hand";
            out.error("background", &format!("cannot go on in the background: {error}"), hint);
            return exit::OTHER;
        }
    };
    let pid = child.id();
    let began = Instant::now();
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            let message =
                format!("the peer in the background ended ({status}): see {}", log.display());
            out.error("background", &message, "tui-peer --serve-only");
            return exit::OTHER;
        }
        let found = control::attach_if_running(&config.state_dir, "hand-over", false).await;
        if found.is_ok_and(|peer| peer.is_some_and(|peer| peer.peer.pid == pid)) {
            break;
        }
        if began.elapsed() > PATIENCE {
            let message = format!("process {pid} does not answer: see {}", log.display());
            out.error("background", &message, "tui-peer status");
            return exit::OTHER;
        }
        tokio::time::sleep(LOOK).await;
    }
    let state = state_option(&config.state_dir);
    out.line(&format!("serving on in the background as process {pid}; log: {}", log.display()));
    out.line(&format!("tui-peer status{state} shows it, tui-peer stop{state} ends it"));
    if let Some(join) = goes_on.hosting {
        out.line(&format!("join {join}"));
    }
    code
}

/// What has to be typed to reach this state folder, if it is not the usual one.
pub(super) fn state_option(state: &Path) -> String {
    let usual = settings(&Common::default(), super::KEYS);
    if usual.is_ok_and(|usual| usual.engine.state_dir == state) {
        return String::new();
    }
    format!(" --state {}", quoted(&state.to_string_lossy()))
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn spawn(
    common: &Common,
    config: &EngineConfig,
    goes_on: &HandOver,
    log: &Path,
) -> io::Result<Child> {
    // Names of files and addresses of people: nobody else's business.
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(log)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--serve-only", "--detached"]);
    command.arg("--state").arg(std::path::absolute(&config.state_dir)?);
    command.args(["--listen", &goes_on.listen.to_string()]);
    // What was typed; the rest is found in the environment and the configuration file again.
    if let Some(dir) = &common.downloads {
        command.arg("--downloads").arg(std::path::absolute(dir)?);
    }
    for (option, value) in [
        ("--nick", &common.nick),
        ("--names-inside", &common.names_inside),
        ("--portmap", &common.portmap),
        ("--up", &common.up),
        ("--down", &common.down),
        ("--metrics", &common.metrics),
        ("--on-done", &common.on_done),
        ("--on-error", &common.on_error),
        ("--hook-timeout", &common.hook_timeout),
    ] {
        if let Some(value) = value {
            command.args([option, value]);
        }
    }
    if let Some(when) = common.discoverable {
        command.arg("--discoverable").arg(when.to_string());
    }
    if common.watch {
        command.arg("--watch");
    }
    if goes_on.hosting.is_some() {
        command.arg("--host");
    }
    command.arg("--").args(&goes_on.paths);
    // Its lines go to the log; the network is the one remembered in the state folder.
    command.env_remove("SHOAL_JSON").env_remove("SHOAL_TRACKER").env_remove("SHOAL_HOST");
    if let Some(join) = &goes_on.network {
        command.env("SHOAL_TRACKER", join);
    }
    command.env_remove("SHOAL_SERVE_ONLY").env_remove("SHOAL_REQUIRE_TRACKER");
    // No folder is kept busy, and no terminal is held.
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn()
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_shell_takes_it_for_one_word() {
        assert_eq!(quoted("/srv/shoal"), "/srv/shoal");
        assert_eq!(quoted("/srv/my shoal"), "'/srv/my shoal'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
