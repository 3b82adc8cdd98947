//! Carrying out what the user asks for.

use tokio::sync::oneshot;

use super::Session;
use crate::engine::command::{Command, CommandError, Reply};
use crate::engine::event::{Level, Target};
use crate::engine::handle::Call;

/// What a caller gets.
type Answer = Result<Reply, CommandError>;

impl Session {
    pub(super) fn on_call(&mut self, (command, reply): Call) {
        self.changed();
        if let Some((answer, reply)) = self.answer(command, reply) {
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
            Command::Share { path, name } => self.share(&path, name),
            Command::Unshare { id } => self.unshare(&id),
            Command::Download(wish) => self.download(wish),
            Command::Pause { id } => self.pause(&id),
            Command::Resume { id } => self.resume(&id),
            Command::Remove { id, delete_partial } => self.remove(&id, delete_partial),
            Command::Verify { id } => self.check(&id),
            Command::Select { id, files } => self.select(&id, files),
            Command::ListFiles { id } => self.list_files(&id),
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
            Command::Announce => {
                if let Some(announcer) = &self.net.announcer {
                    announcer.announce_now();
                }
                Ok(Reply::Accepted)
            }
            Command::Focus { id } => {
                if self.focus != id {
                    if let Some(lens) = self.lens.take() {
                        self.node.unwatch(&lens.id);
                    }
                    self.focus = id;
                    self.watch_sources();
                    self.locate_focus();
                }
                Ok(Reply::Accepted)
            }
            Command::Serve { on } => {
                self.serving = on;
                let text = if on {
                    "serving others again"
                } else {
                    "serving paused: others get nothing from us"
                };
                self.say(Level::Info, Target::Serve, text);
                Ok(Reply::Accepted)
            }
            Command::Limits { up, down } => {
                self.ours.up.set(up);
                self.ours.down.set(down);
                Ok(Reply::Accepted)
            }
        };
        Some((answer, reply))
    }

    /// Asks the tracker who has what the user looks at.
    fn locate_focus(&mut self) {
        if let (Some(id), Some(announcer)) = (self.focus, &self.net.announcer) {
            announcer.locate(id);
        }
    }
}
