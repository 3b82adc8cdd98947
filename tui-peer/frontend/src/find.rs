//! What `NAME|ID|PATH` means among what is here, the same for every command.

use std::path::{Path, PathBuf};

use common::id::ContentId;

use engine::api::library::ShareRecord;
use engine::api::snapshot::{Catalogue, CatalogueRow, Transfer, before_mark};
use settings::nearest;

/// Stands for everything; what is really called so is named by its id or its path.
pub const ALL: &str = "all";
/// Fewest letters of an id or a key that stand for it.
pub const SHORTEST_ID: usize = 6;
/// Candidates told when a name could be several things.
const LISTED: usize = 10;
/// Names that one which means nothing is compared with: a few milliseconds, also for long ones.
const MAX_COMPARED: usize = 10_000;

/// Something that can be named.
pub trait Named {
    /// Its id.
    fn id(&self) -> ContentId;
    /// Its name as its owner gave it.
    fn raw(&self) -> &str;
    /// The same, safe to show.
    fn shown(&self) -> String;
    /// Whether it is called so.
    fn is_called(&self, text: &str) -> bool;
    /// Where it lies.
    fn path(&self) -> &Path;
}

impl Named for Transfer {
    fn id(&self) -> ContentId {
        self.id
    }

    fn raw(&self) -> &str {
        self.raw_name()
    }

    fn shown(&self) -> String {
        self.name.to_string()
    }

    fn is_called(&self, text: &str) -> bool {
        &*self.name == text || self.raw_name() == text
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Named for ShareRecord {
    fn id(&self) -> ContentId {
        self.id
    }

    fn raw(&self) -> &str {
        &self.name
    }

    fn shown(&self) -> String {
        common::names::show(&self.name)
    }

    fn is_called(&self, text: &str) -> bool {
        self.name == text || self.shown() == text
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// A name, id or path as it was typed.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    text: &'a str,
    /// Where it leads, if something lies there.
    real: Option<PathBuf>,
}

impl<'a> Wanted<'a> {
    /// Looks once whether it is a path.
    pub fn new(text: &'a str) -> Self {
        Self { text, real: std::fs::canonicalize(text).ok() }
    }

    /// Whether it is this name, the id or its beginning, or this path.
    pub fn means(&self, thing: &impl Named) -> bool {
        if self.text.is_empty() {
            return false;
        }
        thing.is_called(self.text)
            || (self.text.len() >= SHORTEST_ID && thing.id().to_string().starts_with(self.text))
            || self.real.as_deref() == Some(thing.path())
            // Gone from the disk, but known by the path it had.
            || Path::new(self.text) == thing.path()
    }
}

/// One of several things that a name could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id or key.
    pub id: String,
    /// Its name as its owner gave it.
    pub raw: String,
    /// The same, safe to show.
    pub shown: String,
    /// Where it lies, if that is known.
    pub path: Option<PathBuf>,
}

/// Why a name means nothing, or too much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// What was typed.
    pub what: String,
    /// What it could be, if several things; the first of them.
    pub candidates: Vec<Candidate>,
    /// All that it could be.
    pub count: usize,
    /// What was probably meant, if it is nothing.
    pub near: Option<String>,
}

impl Miss {
    /// Nothing is called so.
    pub fn nothing<'n>(what: &str, names: impl Iterator<Item = &'n str>) -> Self {
        let near = nearest(what, names.take(MAX_COMPARED)).map(str::to_owned);
        Self { what: what.to_owned(), candidates: Vec::new(), count: 0, near }
    }

    /// Several things are.
    pub fn many(what: &str, all: Vec<Candidate>) -> Self {
        let (what, count) = (what.to_owned(), all.len());
        let candidates = all.into_iter().take(LISTED).collect();
        Self { what, candidates, count, near: None }
    }

    /// For programs.
    pub fn word(&self) -> &'static str {
        if self.count > 0 { "ambiguous" } else { "not-found" }
    }

    /// For people; `none` says what there is none of, as in "nothing shared here".
    pub fn message(&self, none: &str) -> String {
        let what = common::names::show(&self.what);
        if self.count == 0 {
            let near = self.near.as_ref().map_or_else(String::new, |near| {
                format!("; did you mean {:?}?", common::names::show(near))
            });
            return format!("{none} goes by {what:?}{near}");
        }
        let mut text = format!("{what:?} could be {} things; give the id:", self.count);
        for one in &self.candidates {
            let path = one.path.as_ref().map(|path| path.to_string_lossy());
            let path = common::names::show(path.as_deref().unwrap_or(&one.shown));
            text.push_str(&format!("\n  {}  {path}", one.id));
        }
        if self.count > self.candidates.len() {
            text.push_str(&format!("\n  and {} more", self.count - self.candidates.len()));
        }
        text
    }
}

/// The only one that `what` means; the same content at several places is one.
///
/// # Errors
/// [`Miss`] if there is none, or there are several.
pub fn one<'t, T: Named>(
    what: &str,
    things: impl Iterator<Item = &'t T> + Clone,
) -> Result<&'t T, Miss> {
    let wanted = Wanted::new(what);
    let fits: Vec<&T> = things.clone().filter(|thing| wanted.means(*thing)).collect();
    match fits.as_slice() {
        [] => {
            let names: Vec<String> = things.map(Named::shown).collect();
            Err(Miss::nothing(what, names.iter().map(String::as_str)))
        }
        [first, rest @ ..] => {
            // What is still being hashed has no id of its own.
            let same = |other: &&T| other.id() == first.id() && *other.id().as_bytes() != [0; 32];
            if rest.iter().all(same) {
                return Ok(first);
            }
            let all = fits.iter().map(|thing| Candidate {
                id: thing.id().to_string(),
                raw: thing.raw().to_owned(),
                shown: thing.shown(),
                path: Some(thing.path().to_path_buf()),
            });
            Err(Miss::many(what, all.collect()))
        }
    }
}

/// The content of the network with this name, or the only one that has the text in its name; the name it was
/// asked for by, if that is not its first.
///
/// # Errors
/// [`Miss`] if there is none, or there are several.
pub fn in_catalogue(
    what: &str,
    catalogue: &Catalogue,
) -> Result<(ContentId, Option<String>), Miss> {
    let called = |row: &&CatalogueRow| {
        row.raw_name() == what
            || &*row.name == what
            || row.aliases().iter().any(|name| &**name == what)
    };
    let exact: Vec<_> = catalogue.rows.iter().filter(called).collect();
    if let [only] = exact.as_slice() {
        return Ok((only.id, Some(what.to_owned())));
    }
    let lower = what.to_lowercase();
    let contains = |row: &&CatalogueRow| row.name.to_lowercase().contains(&lower);
    let fits =
        if exact.is_empty() { catalogue.rows.iter().filter(contains).collect() } else { exact };
    match fits.as_slice() {
        [only] => Ok((only.id, None)),
        [] => Err(Miss::nothing(what, catalogue.rows.iter().map(|row| &*row.name))),
        many => {
            let mut all: Vec<(Option<&str>, &CatalogueRow)> =
                many.iter().map(|row| (earlier(row), *row)).collect();
            // Nobody's word makes another content the only one of a name: whoever likes can say it.
            all.sort_by_key(|(earlier, _)| earlier.is_some());
            let all = all.into_iter().map(|(earlier, row)| Candidate {
                id: row.id.to_string(),
                raw: row.raw_name().to_owned(),
                shown: earlier.unwrap_or(&row.name).to_owned(),
                path: None,
            });
            Err(Miss::many(what, all.collect()))
        }
    }
}

/// The name by which somebody says that it is an earlier state of a folder.
fn earlier(row: &CatalogueRow) -> Option<&str> {
    let mark = before_mark(&row.id);
    let names = std::iter::once(&row.name).chain(row.aliases());
    names.map(|name| &**name).find(|name| name.ends_with(&mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::api::snapshot::OtherNames;

    fn transfer(n: u8, name: &str, path: &str) -> Transfer {
        Transfer {
            name: name.into(),
            path: path.into(),
            ..Transfer::blank(ContentId::from_bytes([n; 32]))
        }
    }

    #[test]
    fn a_name_the_start_of_an_id_or_a_path() {
        let thing = transfer(9, "file", "/gone/file");
        let text = thing.id.to_string();
        let yes = |what: &str| Wanted::new(what).means(&thing);
        assert!(yes("file") && yes(&text) && yes(&text[..8]) && yes("/gone/file"));
        assert!(!yes("fil") && !yes(&text[..3]) && !yes("") && !yes("/gone"));
    }

    #[test]
    fn c7_of_two_states_under_one_name_the_earlier_is_listed_last_and_as_such() {
        let row = |n: u8, aliases: &[&str]| CatalogueRow {
            id: ContentId::from_bytes([n; 32]),
            name: "photos".into(),
            others: OtherNames::of(None, aliases.iter().map(|name| (*name).into()).collect()),
            kind: common::content::Kind::Folder,
            size: 1,
            chunks: 1,
            sources: 1,
            complete: 1,
            first_seen: 0,
        };
        let first = ContentId::from_bytes([1; 32]);
        let before = format!("photos (before, {})", first.short());
        let both = vec![row(1, &[&before]), row(2, &[])];
        let catalogue = Catalogue { rows: both.into(), ..Catalogue::default() };
        let miss = in_catalogue("photos", &catalogue).unwrap_err();
        let shown: Vec<&str> = miss.candidates.iter().map(|one| &*one.shown).collect();
        assert_eq!(shown, ["photos", &*before]);
        assert_eq!(in_catalogue(&before, &catalogue).unwrap().0, first);
    }

    #[test]
    fn c1_nothing_names_the_nearest_and_several_are_listed() {
        let all = [
            transfer(1, "debian.iso", "/a/debian.iso"),
            transfer(2, "notes", "/a/notes"),
            transfer(3, "notes", "/b/notes"),
            transfer(3, "notes", "/c/notes"),
        ];
        assert_eq!(one("debian.iso", all.iter()).unwrap().id, all[0].id);
        assert_eq!(one("/b/notes", all.iter()).unwrap().id, all[2].id);
        let miss = one("debain.iso", all.iter()).unwrap_err();
        assert_eq!((miss.word(), miss.near.as_deref()), ("not-found", Some("debian.iso")));
        let text = miss.message("nothing here");
        assert_eq!(text, "nothing here goes by \"debain.iso\"; did you mean \"debian.iso\"?");
        let miss = one("notes", all.iter()).unwrap_err();
        assert_eq!((miss.word(), miss.count), ("ambiguous", 3));
        assert!(miss.message("").contains("/b/notes"), "{miss:?}");
        // One content at two places is one.
        assert_eq!(one("notes", all[2..].iter()).unwrap().id, all[2].id);
        // Two that are being hashed are not.
        let hashing = [transfer(0, "x", "/a/x"), transfer(0, "x", "/b/x")];
        assert_eq!(one("x", hashing.iter()).unwrap_err().count, 2);
    }
}
