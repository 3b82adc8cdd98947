//! Standing wishes: a content that nobody has just now, and names that are not in the catalogue yet.

use common::id::ContentId;
use common::names::show;

use super::content::{Content, Role};
use super::download::Phase;
use super::{Session, refuse};
use crate::api::command::{self, CommandError, CommandErrorKind, Reply, Selection};
use crate::api::event::{Level, Target};
use crate::api::snapshot::CatalogueRow;

/// Names waited for at most: every change of the catalogue is compared with all of them.
const MAX_WATCHES: usize = 100;
/// Longest text of words.
const MAX_WORDS_LEN: usize = 200;

/// Whether all words are in a name, whatever their case.
fn matches(words: &str, name: &str) -> bool {
    let name = name.to_lowercase();
    words.split_whitespace().all(|word| name.contains(word))
}

impl Session {
    /// Starts a download as soon as somebody has it, or no longer.
    pub(super) fn watch(&mut self, id: &ContentId, on: bool) -> Result<Reply, CommandError> {
        let invalid = |text: &str| Err(refuse(CommandErrorKind::Invalid, text));
        match self.contents.get(id).map(|content| &content.role) {
            Some(Role::Share(_)) => return invalid("it is here already"),
            Some(Role::Download(download)) if !on => {
                if download.phase != Phase::Watching {
                    return invalid("it is not being watched");
                }
                return self.remove(id, false);
            }
            None if !on => return invalid("it is not being watched"),
            _ => {}
        }
        if self.is_offered(id) {
            return invalid("somebody has it: download it");
        }
        if !self.contents.contains_key(id) {
            let request =
                command::Download { id: *id, name: None, dir: None, files: Selection::All };
            let record = self.new_record(request);
            self.insert(Content::download(record));
        }
        let download = self.contents.download_of(id)?;
        download.record.options.watch = true;
        download.record.paused = false;
        download.phase = Phase::Watching;
        let record = download.record.clone();
        self.remember(&record);
        self.feed(swarm::event::Input::PausedChanged { id: *id, paused: true });
        let text = format!("starts when somebody has it: {}", self.shown_name(id));
        self.log(Level::Info, Target::Fetch, text);
        if let Some(announcer) = &self.net.announcer {
            announcer.locate(*id);
        }
        self.start_queued();
        Ok(Reply::Accepted)
    }

    /// Waits for a name.
    pub(super) fn watch_for(&mut self, words: &str, on: bool) -> Result<Reply, CommandError> {
        let invalid = |text: String| Err(refuse(CommandErrorKind::Invalid, text));
        let words = show(&words.split_whitespace().collect::<Vec<_>>().join(" ")).to_lowercase();
        let known = self.preferences.kept.watches.contains(&words);
        match (on, known) {
            (false, false) => return invalid(format!("nothing waits for \"{words}\"")),
            (true, true) => return Ok(Reply::Accepted),
            (false, true) => self.preferences.kept.watches.retain(|other| *other != words),
            (true, false) => {
                if words.is_empty() {
                    return invalid("type words of the name first".to_owned());
                }
                if words.len() > MAX_WORDS_LEN || self.preferences.kept.watches.len() >= MAX_WATCHES
                {
                    let text = "too much to wait for; end another watch first";
                    return invalid(text.to_owned());
                }
                if let Some(row) = self.find_offer(&words) {
                    let text = format!("\"{}\" is there already: download it", row.name);
                    return invalid(text);
                }
                self.preferences.kept.watches.push(words);
            }
        }
        self.write_kept();
        Ok(Reply::Accepted)
    }

    fn find_offer(&self, words: &str) -> Option<&CatalogueRow> {
        self.net.catalogue.rows.iter().find(|row| {
            row.sources > 0 && !self.contents.contains_key(&row.id) && matches(words, &row.name)
        })
    }

    /// Whether somebody is known to have some of a content.
    fn is_offered(&self, id: &ContentId) -> bool {
        self.net.sources.get(id).is_some_and(|sources| !sources.is_empty())
            || self.net.catalogue.rows.iter().any(|row| row.id == *id && row.sources > 0)
    }

    /// Something changed in the network: is there what is waited for?
    pub(super) fn check_watches(&mut self) {
        let waiting = self.contents.downloads().filter(|c| c.phase() == Some(&Phase::Watching));
        let ids: Vec<ContentId> = waiting.map(|content| content.id).collect();
        for id in ids {
            if self.is_offered(&id) {
                let text = format!("somebody has it now, downloading: {}", self.shown_name(&id));
                self.log(Level::Info, Target::Fetch, text);
                self.try_again(&id);
            }
        }
        for words in self.preferences.kept.watches.clone() {
            let Some(id) = self.find_offer(&words).map(|row| row.id) else { continue };
            self.preferences.kept.watches.retain(|other| *other != words);
            self.write_kept();
            let text = format!("\"{words}\" has appeared; downloading it");
            self.log(Level::Info, Target::Fetch, text);
            let request = command::Download { id, name: None, dir: None, files: Selection::All };
            // Without a folder the answer comes at once, and nobody waits for it.
            let (reply, _) = tokio::sync::oneshot::channel();
            if let Some((Err(error), _)) = self.download(request, reply) {
                self.log(Level::Error, Target::Fetch, error.message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn all_words_in_any_order_and_case() {
        assert!(matches("iso debian", "Debian-13.ISO"));
        assert!(!matches("iso fedora", "Debian-13.ISO"));
    }
}
