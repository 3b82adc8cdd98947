//! SIGHUP: the settings are read again, and what may change while the engine runs does.

use std::time::Duration;

use tokio::time::timeout;

use super::output::Output;
use engine::api::command::Command;
use engine::api::config::EngineConfig;
use engine::api::handle::EngineHandle;
use frontend::logfile::Logs;

/// How long a setting may take to be carried out. A download folder on a disk that hangs must not keep
/// us from hearing signals.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads the settings as the program did at its start; what is wrong with them otherwise.
type ReadAgain = Box<dyn FnMut() -> Result<EngineConfig, String> + Send>;

/// The settings in force and how to read them again.
pub struct Reload {
    now: EngineConfig,
    read: ReadAgain,
    patience: Duration,
}

impl Reload {
    /// With the settings the engine was started with.
    pub fn new(
        now: EngineConfig,
        read: Box<dyn FnMut() -> Result<EngineConfig, String> + Send>,
    ) -> Self {
        Self { now, read, patience: PATIENCE }
    }

    /// Reads them again and carries out what changed. A mistake in the file changes nothing.
    pub(super) async fn reload(&mut self, engine: &EngineHandle, out: &mut Output) {
        // A log that was moved away goes on under its name.
        Logs::shared().reopen();
        let new = match (self.read)() {
            Ok(new) => new,
            Err(why) => {
                let hint = "mend it, then send SIGHUP again; the settings before it stay in force";
                return out.error("config", &why, hint);
            }
        };
        let changes = changes(&self.now, &new);
        for command in changes.commands {
            match timeout(self.patience, engine.call(command)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => out.note(&error.message),
                Err(_) => out.note("a folder does not answer; it is used as soon as it does"),
            }
        }
        for name in changes.later {
            out.note(&format!("{name} changed: takes effect at the next start"));
        }
        out.say(&format!("settings read again: {}", changes.words));
        self.now = new;
    }
}

struct Changes {
    commands: Vec<Command>,
    /// Settings that only a start can change.
    later: Vec<&'static str>,
    words: String,
}

fn changes(old: &EngineConfig, new: &EngineConfig) -> Changes {
    let (mut commands, mut words) = (Vec::new(), Vec::new());
    if (old.up, old.down) != (new.up, new.down) {
        let show = |rate: Option<u64>| rate.map_or("none".to_owned(), |rate| format!("{rate} B/s"));
        words.push(format!("limits {} up, {} down", show(new.up), show(new.down)));
        commands.push(Command::Limits { up: new.up, down: new.down });
    }
    let text = |config: &EngineConfig| config.join.as_ref().map(ToString::to_string);
    if let Some(join) = &new.join
        && text(old) != text(new)
    {
        words.push(format!("joining {}", join.address()));
        commands.push(Command::Join { join: join.clone() });
    }
    if old.downloads != new.downloads {
        words.push(format!("downloads go to {}", new.downloads.display()));
        commands.push(Command::Downloads { dir: new.downloads.clone() });
    }
    if old.keep_free != new.keep_free {
        let show = |bytes: Option<u64>| bytes.map_or("as usual".to_owned(), |n| format!("{n} B"));
        words.push(format!("room kept free {}", show(new.keep_free)));
        commands.push(Command::KeepFree { bytes: new.keep_free });
    }
    let mut later = Vec::new();
    for (name, differs) in [
        ("nick", old.nick != new.nick),
        ("listen", old.listen != new.listen),
        ("state", old.state_dir != new.state_dir),
        ("max_active", old.max_active != new.max_active),
        ("watch", old.watch != new.watch),
    ] {
        if differs {
            later.push(name);
        }
    }
    let words = if words.is_empty() { "nothing new".to_owned() } else { words.join(", ") };
    Changes { commands, later, words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_carried_out() {
        let old = EngineConfig::new("/s".into(), "/d".into());
        let same = changes(&old, &old);
        assert!(same.commands.is_empty() && same.later.is_empty());
        assert_eq!(same.words, "nothing new");
        let key = common::id::PeerId::from_bytes([7; 32]);
        let join = format!("shoal://{key}@host:1").parse().unwrap();
        let new = EngineConfig { up: Some(5), nick: "n".into(), join: Some(join), ..old.clone() };
        let some = changes(&old, &new);
        assert!(
            matches!(
                some.commands[..],
                [Command::Limits { up: Some(5), down: None }, Command::Join { .. }]
            ),
            "{:?}",
            some.commands
        );
        assert_eq!(some.later, ["nick"]);
        let new = EngineConfig { keep_free: Some(7), max_active: 9, watch: true, ..old.clone() };
        let some = changes(&old, &new);
        assert!(matches!(some.commands[..], [Command::KeepFree { bytes: Some(7) }]));
        assert_eq!(some.later, ["max_active", "watch"]);
    }

    #[tokio::test]
    async fn a_folder_that_hangs_keeps_nobody_from_hearing_signals() {
        let state = engine::api::snapshot::Snapshot::first(engine::api::snapshot::Me {
            peer: common::id::PeerId::from_bytes([7; 32]),
            nick: String::new(),
            listen: ([127, 0, 0, 1], 1).into(),
            downloads: "/d".into(),
            disk_free: None,
            serving: true,
        });
        let (handle, mut parts) = engine::api::handle::channel(state);
        let old = EngineConfig::new("/s".into(), "/d".into());
        let new = EngineConfig { downloads: "/hangs".into(), ..old.clone() };
        let mut reload = Reload::new(old, Box::new(move || Ok(new.clone())));
        reload.patience = Duration::ZERO;
        let mut out = Output::new(false, 0);
        let mut reloading = std::pin::pin!(reload.reload(&handle, &mut out));
        let (_, reply) = tokio::select! {
            biased;
            () = &mut reloading => parts.commands.try_recv().unwrap(),
            call = parts.commands.recv() => call.unwrap(),
        };
        reloading.await;
        assert!(reply.is_closed(), "nobody waits for it any more");
    }
}
