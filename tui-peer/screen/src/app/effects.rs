//! Carrying out what [`update`](crate::update) asks for: calls to the engine, and work on other
//! threads whose results come back as messages.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::id::ContentId;
use futures_util::future::abortable;
use futures_util::{FutureExt, StreamExt};

use settings::{Change, Item, write};

use super::App;
use crate::filter::Filter;
use crate::heatmap::Map;
use crate::model::build;
use crate::msg::{Asked, Effect, Msg};
use crate::probes::{open, write_filters};
use crate::terminal::Front;
use engine::api::command::{Command, Reply};
use engine::api::snapshot::Look;
use frontend::members::{self, Owners};

/// Calls to the engine under way; more means that it hangs, and the user is told.
const MAX_CALLS: usize = 2048;
/// Changes of settings that wait to be written; nobody makes more while the disk hangs.
const MAX_SAVES: usize = 64;
/// How long the end waits for settings to be written: a hanging disk must not keep the terminal.
const SAVE_PATIENCE: Duration = Duration::from_secs(1);

impl<F: Front> App<'_, F> {
    /// Asks who shares what; nobody waits any more for what was asked before.
    fn ask_owners(&mut self, filter: Filter) {
        let handle = self.handle.clone();
        let (asking, abort) = abortable(async move {
            let words = filter.peers().map(|name| name.typed.to_owned()).collect();
            Msg::Owners(words, Owners::of(&handle, &filter).await)
        });
        if let Some(before) = self.owners.replace(abort) {
            before.abort();
        }
        let asking = asking.map(|told| Some(told.unwrap_or(Msg::Nothing)));
        self.work.push(asking.boxed());
    }

    pub(super) fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Call(command, asked) => self.call(command, asked),
                Effect::Focus(id, look) => self.ask_focus((id, look)),
                Effect::ListDir(dir) => {
                    let listing = self.probes.list(dir.clone());
                    self.work.push(async move { Some(Msg::Dir(dir, listing.await)) }.boxed());
                }
                Effect::Probe(probe) => {
                    // `None` would mean a change of focus; a probe that was overtaken says nothing.
                    let looking = self.probes.look(probe);
                    self.work.push(
                        async move {
                            Some(match looking.await {
                                Some((probe, found)) => Msg::Probed(probe, found),
                                None => Msg::Nothing,
                            })
                        }
                        .boxed(),
                    );
                }
                Effect::KeepFilters(text) => {
                    let path = self.model.prefs.table.path_of(Item::State);
                    self.work.extend(path.map(|dir| keep_filters(dir, text).boxed()));
                }
                Effect::Open(path) => self.work.push(
                    async move {
                        let shown = path.clone();
                        let opened = tokio::task::spawn_blocking(move || open(&path)).await;
                        Some(Msg::Opened(shown, opened.unwrap_or_else(|e| Err(e.to_string()))))
                    }
                    .boxed(),
                ),
                Effect::Index(job) => self.work.push(
                    async move {
                        let work = job.clone();
                        let built = tokio::task::spawn_blocking(move || build(&work)).await;
                        Some(Msg::Indexed(job.generation, job, built.unwrap_or_default()))
                    }
                    .boxed(),
                ),
                Effect::Members { number, query, cursor } => {
                    let handle = self.handle.clone();
                    let asking = async move {
                        let page = members::page(&handle, &query, cursor).await;
                        Some(Msg::Members(number, page))
                    };
                    self.work.push(asking.boxed());
                }
                Effect::Owners(filter) => self.ask_owners(filter),
                Effect::Find { number, query } => {
                    let handle = self.handle.clone();
                    let asking = async move {
                        let found = match handle.call(Command::Find { query }).await {
                            Ok(Reply::Found(found)) => Some(found),
                            _ => None,
                        };
                        Some(Msg::Found(number, found))
                    };
                    self.work.push(asking.boxed());
                }
                Effect::Map(job) => self.work.push(
                    async move {
                        let work = job.clone();
                        let build = move || Map::build(&work.chunks, work.cells, work.halves);
                        let map = tokio::task::spawn_blocking(build).await;
                        Some(Msg::Mapped(job, map.unwrap_or_else(|_| Map::empty())))
                    }
                    .boxed(),
                ),
                Effect::Copy(text, what) => {
                    let copying = self.front.copy(text);
                    self.work.push(async move { Some(Msg::Copied(what, copying.await)) }.boxed());
                }
                Effect::Mouse(on) => self.front.mouse(on),
                Effect::Suspend => self.suspend(),
                Effect::Redraw => self.repaint(),
                Effect::Save(change) => self.save(change),
                Effect::Exit(reason) => self.exit = Some(reason),
            }
        }
    }

    pub(super) fn done(&mut self, msg: Option<Msg>) {
        match msg {
            Some(msg) => {
                let saved = matches!(msg, Msg::Saved(_));
                if matches!(msg, Msg::Reply(..)) && self.snapshots.has_changed().unwrap_or(false) {
                    // What was asked for is shown, and known to the next key, with the answer.
                    self.snapshot(Instant::now());
                }
                self.message(msg);
                if saved {
                    self.saves.1 = false;
                    if let Some(next) = self.saves.0.pop_front() {
                        self.save(next);
                    }
                }
            }
            None => {
                // A change of focus was taken; ask for the newest request if that is another.
                let wanted = self.focus.0;
                self.focus.1 = false;
                if wanted != self.model.asked_focus {
                    self.ask_focus(self.model.asked_focus);
                }
            }
        }
    }

    fn ask_focus(&mut self, wanted: (Option<ContentId>, Look)) {
        if self.focus.1 {
            return;
        }
        self.focus = (wanted, true);
        let (id, look) = wanted;
        let handle = self.handle.clone();
        self.work.push(
            async move {
                // Nothing to say: what cannot be shown is not shown.
                let _ = handle.call(Command::Focus { id, look }).await;
                None
            }
            .boxed(),
        );
    }

    fn call(&mut self, command: Command, asked: Asked) {
        if self.work.len() >= MAX_CALLS {
            tracing::warn!("the engine does not answer; a command was dropped");
            return;
        }
        let handle = self.handle.clone();
        self.work.push(
            async move {
                let result = handle.call(command).await;
                Some(Msg::Reply(asked, result))
            }
            .boxed(),
        );
    }

    fn save(&mut self, change: Change) {
        let Some(path) = self.model.prefs.table.path.clone() else { return };
        if self.saves.1 {
            if self.saves.0.len() < MAX_SAVES {
                self.saves.0.push_back(change);
            }
            return;
        }
        self.saves.1 = true;
        self.work.push(
            async move {
                let written = tokio::task::spawn_blocking(move || write(&path, &change)).await;
                Some(Msg::Saved(match written {
                    Ok(result) => result.map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                }))
            }
            .boxed(),
        );
    }

    /// Writes what was changed just before the end.
    pub(super) async fn finish_saving(&mut self) {
        let deadline = Instant::now() + SAVE_PATIENCE;
        while self.saves.1 {
            match tokio::time::timeout_at(deadline.into(), self.work.next()).await {
                Ok(Some(msg)) => self.done(msg),
                _ => return,
            }
        }
    }
}

/// Writes the filters used before into the state folder. Losing them is no error worth a word.
async fn keep_filters(dir: PathBuf, text: String) -> Option<Msg> {
    let written = tokio::task::spawn_blocking(move || write_filters(&dir, &text)).await;
    if let Ok(Err(error)) = written {
        tracing::debug!("filters are not kept: {error}");
    }
    Some(Msg::Nothing)
}
