//! What is under the cursor, marked, or in a row.

use std::sync::Arc;

use common::id::ContentId;

use super::{List, Model, Pane, Peer, RowKey, Tab};
use crate::verdict::Case;
use engine::api::snapshot::{CatalogueRow, Focus, FoundInside, Holders, SourceRow, Transfer};

impl Model {
    /// The list in which something is selected: that of the Transfers pane, or of the open tab.
    pub fn at(&self) -> Tab {
        if self.in_transfers { Tab::Downloads } else { self.tab }
    }

    /// That list.
    pub fn list(&self) -> &List {
        self.list_of(self.at())
    }

    /// Whether the filter of the open tab is typed.
    pub fn is_filtering(&self) -> bool {
        self.typing == Some(Pane::Files)
    }

    /// The list of a tab.
    pub fn list_of(&self, tab: Tab) -> &List {
        &self.lists[tab as usize]
    }

    /// The list of a tab, to be changed.
    pub fn list_mut(&mut self, tab: Tab) -> &mut List {
        &mut self.lists[tab as usize]
    }

    /// Row `at` of the network tab.
    pub fn catalogue_row(&self, at: usize) -> Option<&CatalogueRow> {
        let row = *self.list_of(Tab::Network).rows.get(at)?;
        self.catalogue.rows.get(row as usize)
    }

    /// The files inside, if row `at` of the network tab is a folder that is shown only for these.
    pub fn found_inside(&self, at: usize) -> Option<&FoundInside> {
        let first = self.list_of(Tab::Network).rows.len().checked_sub(self.inside.shown)?;
        self.catalogue_row(at)
            .filter(|_| at >= first)
            .and_then(|row| self.inside.found.get(&row.id))
    }

    /// Row `at` of the downloads or shared tab.
    pub fn transfer_row(&self, tab: Tab, at: usize) -> Option<&Transfer> {
        let row = *self.list_of(tab).rows.get(at)?;
        self.snap.transfers.get(row as usize)
    }

    /// Row `at` of the peers tab.
    pub fn peer_row(&self, at: usize) -> Option<Peer<'_>> {
        let row = *self.list_of(Tab::Peers).rows.get(at)?;
        self.crowd.get(row as usize, &self.snap.peers)
    }

    /// What identifies row `at` of a tab.
    pub fn row_key(&self, tab: Tab, at: usize) -> Option<RowKey> {
        match tab {
            Tab::Network => self.catalogue_row(at).map(|row| RowKey::Content(row.id)),
            Tab::Downloads | Tab::Shared => self.transfer_row(tab, at).map(transfer_key),
            Tab::Peers => self.peer_row(at).map(|row| RowKey::Peer(row.peer)),
        }
    }

    /// The selected content.
    pub fn selected(&self) -> Option<ContentId> {
        match &self.list().key {
            Some(RowKey::Content(id)) => Some(*id),
            _ => None,
        }
    }

    /// Our transfer of a content.
    pub fn transfer(&self, id: &ContentId) -> Option<&Transfer> {
        self.mine.get(id).and_then(|at| self.snap.transfers.get(*at))
    }

    /// The transfer under the cursor, also one that has no id yet.
    pub fn selected_transfer(&self) -> Option<&Transfer> {
        match self.at() {
            Tab::Network => self.selected().and_then(|id| self.transfer(&id)),
            Tab::Downloads | Tab::Shared => self.transfer_row(self.at(), self.list().cursor),
            Tab::Peers => None,
        }
    }

    /// The catalogue's row of the selected content, wherever the cursor is.
    pub fn selected_row(&self) -> Option<&CatalogueRow> {
        match self.at() {
            Tab::Network => self.catalogue_row(self.list().cursor),
            Tab::Peers => None,
            _ => {
                let id = self.selected()?;
                let (of, at) = self.row_place?;
                let row = self.catalogue.rows.get(at)?;
                (of == id && row.id == id).then_some(row)
            }
        }
    }

    /// Name of the selected content.
    pub fn selected_name(&self) -> Option<Arc<str>> {
        self.selected_transfer()
            .map(|t| t.name.clone())
            .or_else(|| self.selected_row().map(|r| (*r.name).into()))
    }

    /// The engine's details, if they are of the selected content.
    pub fn focus_data(&self) -> Option<&Arc<Focus>> {
        let id = self.selected()?;
        self.snap.focus.as_ref().filter(|focus| focus.id == id)
    }

    /// Who has what of the selected content, once the engine has said it.
    pub fn holders(&self) -> Option<&Holders> {
        self.focus_data()?.holders.as_ref()
    }

    /// How many chunks the selected content has; 0 while that is not known.
    pub fn chunk_count(&self) -> usize {
        self.focus_data().map_or(0, |focus| focus.chunks.len())
    }

    /// The selected content, to be judged.
    pub fn case(&self) -> Case<'_> {
        Case {
            transfer: self.selected_transfer(),
            row: self.selected_row(),
            focus: self.focus_data().map(AsRef::as_ref),
            counts: self.chunks.map.counts(),
            at: self.snap.network.at.as_ref(),
            now: self.now.mono,
            units: self.units,
            keymap: &self.keymap,
        }
    }

    /// The sources shown.
    pub fn source_rows(&self) -> &[SourceRow] {
        self.focus_data().map_or(&[], |focus| focus.sources.as_slice())
    }

    /// The contents an action is for: the marked ones, or the selected one.
    pub fn targets(&self) -> Vec<ContentId> {
        if self.marks.is_empty() || self.focus != Pane::Files || self.in_transfers {
            self.selected().into_iter().collect()
        } else {
            let mut marked: Vec<ContentId> = self.marks.iter().copied().collect();
            marked.sort_unstable();
            marked
        }
    }
}

/// What identifies a transfer: its id, or its path while it has none.
pub fn transfer_key(transfer: &Transfer) -> RowKey {
    if transfer.id.as_bytes().iter().all(|b| *b == 0) {
        RowKey::Path(transfer.path.clone())
    } else {
        RowKey::Content(transfer.id)
    }
}
