//! Something that is asked for although it is known: more of its files, another folder, or only to go on.

use tokio::sync::oneshot;

use super::Session;
use super::commands::Answer;
use super::content::Role;
use super::download::Phase;
use super::refuse;
use super::selection::merged;
use crate::api::command::{CommandErrorKind, Download, Reply};

impl Session {
    /// Downloads something; the answer, unless it comes later.
    pub(super) fn download(
        &mut self,
        request: Download,
        reply: oneshot::Sender<Answer>,
    ) -> Option<(Answer, oneshot::Sender<Answer>)> {
        let Some(content) = self.contents.get(&request.id) else {
            return Some((self.download_new(request), reply));
        };
        match &content.role {
            Role::Share(share) if share.is_missed() => Some((self.fetch_again(request), reply)),
            Role::Share(share) => match request.dir.clone().filter(|dir| !share.lies_in(dir)) {
                Some(dir) => self.copy_to(request, dir, reply),
                // Files that it does not have are named, also if it is complete.
                None => Some((self.select(&request.id, request.files), reply)),
            },
            Role::Download(_) => self.change(request, reply),
        }
    }

    /// What is on its way goes on, with the files that were wanted and those that are asked for now, in
    /// the folder that is asked for now.
    fn change(
        &mut self,
        request: Download,
        reply: oneshot::Sender<Answer>,
    ) -> Option<(Answer, oneshot::Sender<Answer>)> {
        let Download { id, dir, files, .. } = request;
        // What is not there is named, also if all that is there is wanted already.
        let files = match self.settled(&id, files) {
            Ok(files) => files,
            Err(error) => return Some((Err(error), reply)),
        };
        let Ok(download) = self.contents.download_of(&id) else { return None };
        let here = download.record.dir.clone();
        // To be put somewhere is more than to be looked at.
        let looks = dir.is_none();
        let dir = dir.filter(|dir| *dir != here);
        if download.phase == Phase::Finishing && dir.is_some() {
            let text = format!(
                "it is just being put in place in {}; ask again when that is done",
                here.display()
            );
            return Some((Err(refuse(CommandErrorKind::Invalid, text)), reply));
        }
        let selection = merged(&download.record.selection, &files);
        let more = selection != download.record.selection;
        if dir.is_none()
            && more
            && let Err(error) = self.select(&id, selection)
        {
            return Some((Err(error), reply));
        }
        match dir {
            // Refused, it changes nothing: the files are chosen when it goes there.
            Some(dir) => self.move_to(id, dir, files, reply),
            None if looks => Some((self.go_on_unless_looking(&id), reply)),
            None => Some((self.resume(&id), reply)),
        }
    }

    /// Goes on after a pause or an error; what was begun only to see its files stays that.
    fn go_on_unless_looking(&mut self, id: &common::id::ContentId) -> Answer {
        let download = self.contents.download_mut(id);
        match download {
            Some(download) if download.only_looks() => {
                self.try_again(id);
                Ok(Reply::Accepted)
            }
            _ => self.resume(id),
        }
    }
}
