//! Shares whose files were changed or vanished: taken from the network at once, and looked at again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::id::ContentId;
use common::wire::Code;

use super::Session;
use super::content::{Content, Role, ShareState};
use super::shares::Done;
use crate::engine::command::{CommandError, Download, Reply};
use crate::engine::event::{Level, Target, What};
use crate::engine::library::{self, Prepared};
use crate::swarm::event::Input;

/// How often shares are looked at beside being looked at whenever they are read.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Files looked at in one go, over all shares: the others have their turn next time. A stat takes
/// microseconds on a disk and a millisecond on a file server.
const LOOK_FILES: usize = 2_000;

impl Session {
    /// A chunk could not be read for serving: the file changed, vanished, or the disk is failing.
    pub(super) fn on_unreadable(&mut self, id: ContentId, code: Code) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let shown = content.shown.clone();
        let Role::Share(share) = &mut content.role else {
            let text = format!("{shown}: a chunk could not be read back from disk");
            return self.say(Level::Error, Target::Disk, text);
        };
        if share.state != ShareState::Serving || code != Code::Gone {
            return;
        }
        let paths = share.paths.clone();
        self.take_off(id, ShareState::Doubted);
        self.beside(paths.first().cloned().unwrap_or_default(), move |_| {
            let there = paths.into_iter().filter(|path| path.exists()).collect();
            Done::Missed { id, there }
        });
    }

    /// Where something still lies of a share that could not be read.
    pub(super) fn on_missed(&mut self, id: ContentId, there: &[PathBuf]) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Role::Share(share) = &mut content.role else { return };
        if share.state != ShareState::Doubted {
            // Unshared meanwhile, and shared again.
            return;
        }
        let (why, hint) = if there.is_empty() {
            (
                "vanished from disk: not served any more",
                "put it back and verify it, download it again, or unshare it",
            )
        } else {
            ("changed on disk: not served any more, hashing it again", "others get the new version")
        };
        let text = format!("{} {why}", content.shown);
        share.state = ShareState::Gone { why: text.clone(), there: !there.is_empty() };
        let what = What::Failed { id: Some(id), code: "changed", hint: hint.to_owned() };
        self.tell(Level::Warn, Target::Share, text, what);
        there.iter().for_each(|path| self.share_real(path.clone(), None));
    }

    /// Takes a share from the network that does not hold what it should; it stays in the list.
    pub(super) fn take_off(&mut self, id: ContentId, state: ShareState) {
        let Some(content) = self.contents.get_mut(&id) else { return };
        let Role::Share(share) = &mut content.role else { return };
        share.state = state;
        let source = content.source.take();
        content.registered = false;
        self.let_go(source);
        self.feed(Input::ContentRemoved { id });
        if let Some(announcer) = &self.net.announcer {
            announcer.remove_share(id);
            announcer.clear_partial(id);
        }
        self.changed();
    }

    /// Fetches from others what the user had and no longer has on disk.
    pub(super) fn fetch_again(&mut self, wish: Download) -> Result<Reply, CommandError> {
        if let Some(Content { role: Role::Share(share), .. }) = self.forget(&wish.id) {
            let library = self.library.clone();
            // The record of the download is written anew: only that of the share is in the way.
            self.background(move || {
                let forget = |path: &PathBuf| library.remove_share(path).map(drop);
                Done::Forgotten { result: share.paths.iter().try_for_each(forget) }
            });
        }
        self.download(wish)
    }

    /// What lies at a path now takes the place of what lay there before.
    pub(super) fn replace_altered(&mut self, prepared: &Prepared) {
        let was_here = |path: &Path, state: &ShareState| path == prepared.path && !state.is_good();
        let old: Vec<ContentId> = self
            .contents
            .values()
            .filter(|content| match &content.role {
                Role::Share(share) => share.paths.iter().any(|path| was_here(path, &share.state)),
                Role::Download(_) => false,
            })
            .map(|content| content.id)
            .collect();
        for id in old {
            self.forget(&id);
        }
    }

    /// Looks at shares, some thousand files at a time.
    pub(super) fn look_at_shares(&mut self, now: Instant) {
        if self.looking || now < self.looked + LOOK_EVERY {
            return;
        }
        let (mut chosen, mut missed) = (Vec::new(), Vec::new());
        let mut files = 0;
        let n = self.order.len();
        for step in 0..n {
            let at = (self.look_from + step) % n.max(1);
            let Some(content) = self.order.get(at).and_then(|id| self.contents.get(id)) else {
                continue;
            };
            let Role::Share(share) = &content.role else { continue };
            let count = content.layout.as_ref().map_or(1, |layout| layout.files());
            if share.is_missed() {
                files += 1;
                missed.push((content.id, share.paths.clone()));
                continue;
            }
            // Large folders are looked at where they are read: a stat of each file for nothing would
            // keep a disk awake.
            if share.state != ShareState::Serving || count > LOOK_FILES {
                continue;
            }
            if files + count > LOOK_FILES {
                self.look_from = at;
                break;
            }
            files += count;
            chosen.extend(share.paths.first().map(|path| (content.id, path.clone())));
        }
        self.looked = now;
        if chosen.is_empty() && missed.is_empty() {
            return;
        }
        self.looking = true;
        let library = self.library.clone();
        self.background(move || {
            let altered = |path: &PathBuf| {
                let record = library.share(path).ok().flatten();
                record.is_some_and(|record| library::is_altered(&record))
            };
            let found = chosen.into_iter().filter(|(_, path)| altered(path)).map(|(id, _)| id);
            let altered = found.collect();
            let here = |(_, paths): &(_, Vec<PathBuf>)| paths.iter().any(|path| path.exists());
            let back = missed.into_iter().filter(here).map(|(id, _)| id).collect();
            Done::Looked { altered, back }
        });
    }

    pub(super) fn on_looked(&mut self, altered: Vec<ContentId>, back: &[ContentId]) {
        self.looking = false;
        for id in back {
            if let Some(Content { role: Role::Share(share), .. }) = self.contents.get_mut(id)
                && let ShareState::Gone { there, .. } = &mut share.state
            {
                *there = true;
            }
        }
        for id in altered {
            self.on_unreadable(id, Code::Gone);
        }
    }
}
