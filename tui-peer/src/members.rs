//! Who is in the network, and whose its files are: asked of the engine page by page, while somebody looks.

use std::collections::HashMap;

use common::id::{ContentId, PeerId};

use crate::engine::command::{Command, CommandError, CommandErrorKind, Reply};
use crate::engine::handle::EngineHandle;
use crate::engine::snapshot::{CatalogueRow, MemberRow, Page};
use crate::filter::{Filter, fold};

/// Members that one word of a filter may mean: what each of them shares has to be asked for.
pub const MAX_OWNERS: usize = 50;
/// Files whose owners one filter tells at most: as many as the catalogue has that is kept.
pub const MAX_OWNED: usize = 200_000;
/// Pages that are read of one list at most: with 200 rows each twice what a tracker knows. One that leads round in
/// circles comes to an end.
pub const MAX_PAGES: usize = 10_000;
/// Stands between the owners of one file; cannot be typed into a filter.
const BETWEEN: char = '\u{1}';

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

/// Who shares what, of the members that a filter asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners(HashMap<ContentId, String>);

impl Owners {
    /// Reads what the members share whom `peer:` of a filter means.
    ///
    /// # Errors
    /// As of [`Command::Members`]; [`CommandErrorKind::NotFound`] for a name that nobody has and that is not
    /// asked not to have, and [`CommandErrorKind::Invalid`] for one that too many have.
    pub async fn of(engine: &EngineHandle, filter: &Filter) -> Result<Self, CommandError> {
        let mut members: HashMap<PeerId, String> = HashMap::new();
        for word in filter.peers() {
            let page = page(engine, word, Vec::new()).await?;
            if page.rows.is_empty() {
                let message = format!(
                    "nobody in the network is called {word:?}, and no key begins so; tui-peer peers --all lists who is there"
                );
                return Err(CommandError { kind: CommandErrorKind::NotFound, message });
            }
            if page.rows.len() > MAX_OWNERS || !page.cursor.is_empty() {
                let message = format!(
                    "more than {MAX_OWNERS} members are called {word:?}; give more of the name, or the key"
                );
                return Err(CommandError { kind: CommandErrorKind::Invalid, message });
            }
            members.extend(page.rows.iter().map(|row| (row.peer, said(row))));
        }
        let mut owners = Self::default();
        let mut order: Vec<_> = members.into_iter().collect();
        order.sort_unstable();
        for (peer, said) in order {
            match each_file(engine, peer, |row| owners.add(row.id, &said)).await {
                // It left in between.
                Err(CommandError { kind: CommandErrorKind::NotFound, .. }) => {}
                other => other?,
            }
        }
        Ok(owners)
    }

    /// Adds an owner; false when there is no room for more.
    fn add(&mut self, id: ContentId, owner: &str) -> bool {
        if let Some(owners) = self.0.get_mut(&id) {
            // A tracker may say the same again and again. What is said of a member ends with its key.
            if owners.ends_with(owner) {
                return true;
            }
            owners.push(BETWEEN);
            owners.push_str(owner);
        } else if self.0.len() < MAX_OWNED {
            self.0.insert(id, owner.to_owned());
        }
        self.0.len() < MAX_OWNED
    }

    /// The owners of a content as [`crate::filter::Subject::peer`] wants them; empty if none is known.
    pub fn text(&self, id: &ContentId) -> &str {
        self.0.get(id).map_or("", String::as_str)
    }
}

/// A member as a filter sees it.
fn said(row: &MemberRow) -> String {
    format!("{} {}", fold(&row.nick), row.peer)
}

fn misunderstood() -> CommandError {
    let message = "the running peer gave another answer than the one asked for".to_owned();
    CommandError { kind: CommandErrorKind::Invalid, message }
}
