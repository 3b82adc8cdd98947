//! Who is in the network, and whose its files are: asked of the engine page by page, while somebody looks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use common::id::{ContentId, PeerId};
use common::names::show;

use crate::filter::{Asked, Filter, Owner, fold};
use engine::api::command::{Command, CommandError, CommandErrorKind, Reply};
use engine::api::handle::EngineHandle;
use engine::api::snapshot::{MemberRow, Page};

/// Members that one word of a filter may mean: what each of them shares has to be asked for.
pub const MAX_OWNERS: usize = 50;
/// Files whose owners one filter tells at most: as many as the catalogue has that is kept.
pub const MAX_OWNED: usize = 200_000;
/// Pages of files that are read for one filter: what [`MAX_OWNED`] files take is a fifth of it. One question is not to
/// keep the tracker busy for minutes.
pub const MAX_FILE_PAGES: usize = 2000;
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

/// Who shares which files, of the members that a filter asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    of: HashMap<ContentId, Vec<Arc<Owner>>>,
    /// Pages that were read for it.
    pages: usize,
}

impl Owners {
    /// Reads what the members share whom `peer:` of a filter means. A whole key means that member only: anybody may have
    /// it as a name.
    ///
    /// # Errors
    /// As of [`Command::Members`]; [`CommandErrorKind::NotFound`] if nobody has any of the names that are wanted, and
    /// [`CommandErrorKind::Invalid`] if too many have one, or share too much.
    pub async fn of(engine: &EngineHandle, filter: &Filter) -> Result<Self, CommandError> {
        let mut owners = Self::default();
        let mut members: BTreeMap<PeerId, Owner> = BTreeMap::new();
        // The first of the wanted names that nobody has, and whether somebody has another one.
        let (mut missed, mut found) = (None, false);
        for Asked { folded, typed, not } in filter.peers() {
            let meant = owners.meant(engine, typed).await?;
            match meant.is_empty() {
                true if !not => missed = missed.or(Some(typed)),
                empty => found |= !empty && !not,
            }
            for (peer, name) in meant {
                let owner = members.entry(peer).or_insert(Owner { name, words: Vec::new() });
                if !owner.words.iter().any(|word| word == folded) {
                    owner.words.push(folded.to_owned());
                }
            }
        }
        if let Some(typed) = missed.filter(|_| !found) {
            return Err(nobody(typed));
        }
        for (peer, owner) in members {
            owners.read(engine, peer, &Arc::new(owner)).await?;
        }
        Ok(owners)
    }

    /// The members that a name means, and what they are called.
    async fn meant(
        &mut self,
        engine: &EngineHandle,
        typed: &str,
    ) -> Result<Vec<(PeerId, String)>, CommandError> {
        let key: Option<PeerId> = fold(typed).parse().ok();
        let page = page(engine, typed, Vec::new()).await?;
        self.pages += 1;
        let named = page.rows.into_iter().map(|row| {
            let name = if row.nick.is_empty() { row.peer.short() } else { row.nick };
            (row.peer, name)
        });
        if let Some(key) = key {
            // Whoever is called so may stand before it on the page, or fill it.
            let mut it: Vec<_> = named.filter(|(peer, _)| *peer == key).collect();
            if it.is_empty() && !page.cursor.is_empty() {
                it.push((key, key.short()));
            }
            return Ok(it);
        }
        let named: Vec<_> = named.collect();
        if named.len() > MAX_OWNERS || !page.cursor.is_empty() {
            let typed = show(typed);
            return Err(invalid(format!(
                "more than {MAX_OWNERS} members are called {typed:?}; give more of the name, or the key"
            )));
        }
        Ok(named)
    }

    /// Reads what one member shares.
    async fn read(
        &mut self,
        engine: &EngineHandle,
        peer: PeerId,
        owner: &Arc<Owner>,
    ) -> Result<(), CommandError> {
        let mut cursor = Vec::new();
        loop {
            let page = match engine.call(Command::MemberFiles { peer, cursor }).await {
                Ok(Reply::MemberFiles(page)) => page,
                Ok(_) => return Err(misunderstood()),
                // It left in between.
                Err(CommandError { kind: CommandErrorKind::NotFound, .. }) => return Ok(()),
                Err(error) => return Err(error),
            };
            self.pages += 1;
            let room = page.rows.into_iter().all(|row| self.add(row.id, owner));
            if page.cursor.is_empty() || !room {
                return Ok(());
            }
            if self.pages >= MAX_FILE_PAGES {
                let why = "they share more than can be asked for at once; give more of the name, or the key";
                return Err(invalid(why.to_owned()));
            }
            cursor = page.cursor;
        }
    }

    /// Adds an owner; false when there is no room for more.
    fn add(&mut self, id: ContentId, owner: &Arc<Owner>) -> bool {
        if self.of.len() >= MAX_OWNED && !self.of.contains_key(&id) {
            return false;
        }
        let known = self.of.entry(id).or_default();
        // A tracker may say the same again and again.
        if !known.iter().any(|other| Arc::ptr_eq(other, owner)) {
            known.push(owner.clone());
        }
        true
    }

    /// Those who share a content, in the order of their keys; none if nobody was asked for.
    pub fn of_file(&self, id: &ContentId) -> &[Arc<Owner>] {
        self.of.get(id).map_or(&[], Vec::as_slice)
    }

    /// Whether nothing is known of anybody.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Pages of the tracker that were read for it: what it would cost once more.
    pub fn pages(&self) -> usize {
        self.pages
    }
}

fn nobody(typed: &str) -> CommandError {
    let typed = show(typed);
    let message = format!("nobody in the network is called {typed:?}, and no key begins so");
    CommandError { kind: CommandErrorKind::NotFound, message }
}

fn invalid(message: String) -> CommandError {
    CommandError { kind: CommandErrorKind::Invalid, message }
}

fn misunderstood() -> CommandError {
    invalid("the running peer gave another answer than the one asked for".to_owned())
}
