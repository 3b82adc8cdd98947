//! Who is in the network, and whose its files are: asked of the engine page by page, while somebody looks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use common::id::{ContentId, PeerId};
use common::names::show;

use crate::engine::command::{Command, CommandError, CommandErrorKind, Reply};
use crate::engine::handle::EngineHandle;
use crate::engine::snapshot::{CatalogueRow, MemberRow, Page};
use crate::filter::{Filter, Owner};

/// Members that one word of a filter may mean: what each of them shares has to be asked for.
pub const MAX_OWNERS: usize = 50;
/// Files whose owners one filter tells at most: as many as the catalogue has that is kept.
pub const MAX_OWNED: usize = 200_000;
/// Pages that are read of one list at most: with 200 rows each twice what a tracker knows. One that leads round in
/// circles comes to an end.
pub const MAX_PAGES: usize = 10_000;

/// A page of the members whose nick has `query` in it, or whose key begins so; all of them if it is empty.
///
/// # Errors
/// As of [`Command::Members`].
pub async fn page(
    engine: &EngineHandle,
    query: &str,
    cursor: Vec<u8>,
) -> Result<Page<MemberRow>, CommandError> {
    match engine.call(Command::Members { query: query.to_owned(), cursor }).await? {
        Reply::Members(page) => Ok(page),
        _ => Err(misunderstood()),
    }
}

/// Calls `row` for what a member shares, until there is no more or it says that it is enough.
///
/// # Errors
/// As of [`Command::MemberFiles`].
pub async fn each_file(
    engine: &EngineHandle,
    peer: PeerId,
    mut row: impl FnMut(CatalogueRow) -> bool,
) -> Result<(), CommandError> {
    let mut cursor = Vec::new();
    for _ in 0..MAX_PAGES {
        let Reply::MemberFiles(page) = engine.call(Command::MemberFiles { peer, cursor }).await?
        else {
            return Err(misunderstood());
        };
        for found in page.rows {
            if !row(found) {
                return Ok(());
            }
        }
        cursor = page.cursor;
        if cursor.is_empty() {
            break;
        }
    }
    Ok(())
}

/// Who shares which files, of the members that a filter asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners(HashMap<ContentId, Vec<Arc<Owner>>>);

impl Owners {
    /// Reads what the members share whom `peer:` of a filter means.
    ///
    /// # Errors
    /// As of [`Command::Members`]; [`CommandErrorKind::NotFound`] for a name that nobody has, and
    /// [`CommandErrorKind::Invalid`] for one that too many have.
    pub async fn of(engine: &EngineHandle, filter: &Filter) -> Result<Self, CommandError> {
        let mut members: BTreeMap<PeerId, Owner> = BTreeMap::new();
        for (folded, typed) in filter.peers() {
            let page = page(engine, typed, Vec::new()).await?;
            if page.rows.is_empty() {
                let typed = show(typed);
                let message =
                    format!("nobody in the network is called {typed:?}, and no key begins so");
                return Err(CommandError { kind: CommandErrorKind::NotFound, message });
            }
            if page.rows.len() > MAX_OWNERS || !page.cursor.is_empty() {
                let typed = show(typed);
                let message = format!(
                    "more than {MAX_OWNERS} members are called {typed:?}; give more of the name, or the key"
                );
                return Err(CommandError { kind: CommandErrorKind::Invalid, message });
            }
            for row in page.rows {
                let owner = members.entry(row.peer).or_insert_with(|| Owner {
                    name: if row.nick.is_empty() { row.peer.short() } else { row.nick },
                    words: Vec::new(),
                });
                if !owner.words.iter().any(|word| word == folded) {
                    owner.words.push(folded.to_owned());
                }
            }
        }
        let mut owners = Self::default();
        for (peer, owner) in members {
            let owner = Arc::new(owner);
            match each_file(engine, peer, |row| owners.add(row.id, &owner)).await {
                // It left in between.
                Err(CommandError { kind: CommandErrorKind::NotFound, .. }) => {}
                other => other?,
            }
        }
        Ok(owners)
    }

    /// Adds an owner; false when there is no room for more.
    fn add(&mut self, id: ContentId, owner: &Arc<Owner>) -> bool {
        if self.0.len() >= MAX_OWNED && !self.0.contains_key(&id) {
            return false;
        }
        let known = self.0.entry(id).or_default();
        // A tracker may say the same again and again.
        if !known.iter().any(|other| Arc::ptr_eq(other, owner)) {
            known.push(owner.clone());
        }
        true
    }

    /// Those who share a content, in the order of their keys; none if nobody was asked for.
    pub fn of_file(&self, id: &ContentId) -> &[Arc<Owner>] {
        self.0.get(id).map_or(&[], Vec::as_slice)
    }

    /// Whether nothing is known of anybody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn misunderstood() -> CommandError {
    let message = "the running peer gave another answer than the one asked for".to_owned();
    CommandError { kind: CommandErrorKind::Invalid, message }
}
