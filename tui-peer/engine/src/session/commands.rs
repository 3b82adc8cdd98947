//! Carrying out what the user asks for.

use common::id::ContentId;
use tokio::sync::oneshot;

use super::{Session, refuse};
use crate::announcer::Ask;
use crate::api::command::{Command, CommandError, CommandErrorKind, Reply};
use crate::api::event::{Level, Target};
use crate::api::handle::Call;
use crate::api::snapshot::{Look, NetState};

/// What a caller gets.
pub(super) type Answer = Result<Reply, CommandError>;

impl Session {
    pub(super) fn on_call(&mut self, (command, reply): Call) {
        // Who only watches changes nothing, but is to see what has changed.
        let asks = matches!(
            command,
            Command::Members { .. } | Command::MemberFiles { .. } | Command::Find { .. }
        );
        let looks = asks || matches!(command, Command::Figures);
        if !looks {
            self.changed();
        }
        let moves = matches!(command, Command::Join { .. } | Command::Leave | Command::Rejoin)
            || matches!(&command, Command::Download(request) if self.is_part(&request.id));
        // What takes something away for good must not come back after a power cut once that was said.
        let lasts = matches!(
            command,
            Command::Unshare { .. }
                | Command::Remove { .. }
                | Command::Ban { time: None, .. }
                | Command::Unban { .. }
                | Command::WatchFor { .. }
        );
        let before = self.write_queue.library().newest();
        if let Some((answer, reply)) = self.answer(command, reply) {
            let noted = self.write_queue.library().newest();
            if lasts && answer.is_ok() && noted > before {
                return self.answer_when_kept(noted, answer, reply);
            }
            if moves || looks && self.publisher.has_news() {
                // Whoever reads that we left may ask to rejoin at once, what was complete until more of it was
                // asked for looks as if it were done, and who looks wants what is so now: the state is out before.
                self.publish();
            }
            // A caller that no longer waits is fine.
            let _ = reply.send(answer);
        }
    }

    /// The answer, unless it comes later.
    fn answer(
        &mut self,
        command: Command,
        reply: oneshot::Sender<Answer>,
    ) -> Option<(Answer, oneshot::Sender<Answer>)> {
        let answer = match command {
            Command::Share { path, name } => {
                self.share(path, name, reply);
                return None;
            }
            Command::Offer { path } => {
                self.offer(path, reply);
                return None;
            }
            Command::Rescan { id } => self.rescan(&id),
            Command::Watched { path, on } => {
                self.watched(path, on, reply);
                return None;
            }
            Command::Unshare { id } => self.unshare(&id),
            Command::Download(request) => return self.download(request, reply),
            Command::Pause { id } => self.pause(&id),
            Command::Resume { id } => self.resume(&id),
            Command::Remove { id, delete_partial } => self.remove(&id, delete_partial),
            Command::Delete { id } => {
                self.delete(&id, reply);
                return None;
            }
            Command::Restore { id } => self.restore_removed(&id),
            Command::ClearFinished => self.clear_finished(),
            Command::Prioritize { id, priority } => self.prioritize(&id, priority),
            Command::Reorder { id, to } => self.reorder(&id, to),
            Command::Sequential { id, on } => self.sequential(&id, on),
            Command::LimitOne { id, up, down } => self.limit_one(&id, up, down),
            Command::Watch { id, on } => self.watch(&id, on),
            Command::WatchFor { words, on } => self.watch_for(&words, on),
            Command::Ban { peer, time } => self.ban(peer, time),
            Command::Unban { peer } => self.unban(&peer),
            Command::Verify { id } => return self.check(&id, reply),
            Command::Select { id, files } => self.select(&id, files),
            Command::ListFiles { id } => return self.list_files(id, reply),
            Command::Join { join } => {
                self.join(join);
                Ok(Reply::Accepted)
            }
            Command::Host => {
                self.host(reply);
                return None;
            }
            Command::Leave => self.leave(),
            Command::Rejoin => self.rejoin(),
            Command::Announce => self.announce_now(),
            Command::Focus { id, look } => self.focus_on(id, look),
            Command::Serve { on } => self.serve_others(on),
            Command::Nick { nick } => {
                self.config.nick = nick;
                Ok(Reply::Accepted)
            }
            Command::Downloads { dir } => {
                self.download_to(dir, reply);
                return None;
            }
            Command::KeepFree { bytes } => self.keep_free(bytes),
            Command::Limits { up, down } => self.limits(up, down),
            Command::Members { query, cursor } => {
                self.ask_tracker(Ask::Members { query, cursor }, reply);
                return None;
            }
            Command::MemberFiles { peer, cursor } => {
                self.ask_tracker(Ask::Files { peer, cursor }, reply);
                return None;
            }
            Command::Find { query } => {
                self.ask_tracker(Ask::Find { query }, reply);
                return None;
            }
            Command::WriteTorrent { id, to, announce } => {
                return self.write_torrent(&id, to, announce, reply);
            }
            Command::Figures => Ok(Reply::Figures(Box::new(self.figures()))),
        };
        Some((answer, reply))
    }

    /// Has the tracker asked what somebody waits for.
    fn ask_tracker(&self, ask: Ask, reply: oneshot::Sender<Answer>) {
        match &self.net.announcer {
            Some(announcer) if self.net.state == NetState::On => announcer.ask(ask, reply),
            _ => {
                let why = "there is no tracker to ask just now; tui-peer status tells why";
                // A caller that no longer waits is fine.
                let _ = reply.send(Err(refuse(CommandErrorKind::Invalid, why)));
            }
        }
    }

    /// The user looks at a content: its chunks are kept track of, and the tracker is asked who has it.
    fn focus_on(&mut self, id: Option<ContentId>, look: Look) -> Answer {
        let same = self.publisher.focus() == id;
        if let Some(left) = self.publisher.turn_to(id, look) {
            self.core.unwatch(&left);
        }
        if !same {
            self.watch_sources();
            if let (Some(id), Some(announcer)) = (id, &self.net.announcer) {
                announcer.locate(id);
            }
        }
        Ok(Reply::Accepted)
    }

    fn announce_now(&self) -> Answer {
        if let Some(announcer) = &self.net.announcer {
            announcer.announce_now();
        }
        Ok(Reply::Accepted)
    }

    fn serve_others(&mut self, on: bool) -> Answer {
        self.preferences.serving = on;
        let text =
            if on { "serving others again" } else { "serving paused: others get nothing from us" };
        self.log(Level::Info, Target::Serve, text);
        Ok(Reply::Accepted)
    }

    fn keep_free(&mut self, bytes: Option<u64>) -> Answer {
        self.config.keep_free = bytes;
        let now = std::time::Instant::now();
        self.leave_room();
        self.retry_blocked_now(now);
        Ok(Reply::Accepted)
    }
}
